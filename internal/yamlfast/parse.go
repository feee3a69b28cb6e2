// Package yamlfast reads the part of YAML that nearly all rendered charts keep to, several times as fast as the
// general parser: block mappings and lists, scalars, flow collections. Both of its readers give up on everything else,
// which includes every error, and on whatever they are not sure about; what they accept they read as the general parser
// does, and as sigs.k8s.io/yaml decodes it, which Helm and Kubernetes use. A text holds one document, without the marker
// lines around it.
package yamlfast

import (
	"context"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Parse makes the nodes of a document, without comments. Scalars have the tags and values of Resolve. It gives up (ok is
// false) also where a folded block is, where text in quotes goes on in the first column, where a key is no string, and
// where a number is infinite. Of a key that repeats in a mapping the last entry counts.
//
// It gives up when the context ends.
func Parse(ctx context.Context, text []byte) (root *yaml.Node, ok bool) {
	text, letters, ok := withLineFeeds(text)
	if !ok {
		return nil, false
	}
	p := &parser{ctx: ctx, text: string(text), line: 1, wide: letters.wide}
	indent, found := p.nextContent()
	if !found || indent != 0 || p.failed {
		return nil, false
	}
	root = p.below(-1, 0, 0)
	if _, more := p.nextContent(); more || p.failed {
		return nil, false
	}
	return root, true
}

type parser struct {
	ctx       context.Context
	text      string
	at        int   // in text
	line      int   // from 1
	lineStart int   // in text
	lineEnd   int   // in text, once looked up
	counted   place // the last place whose column was counted
	wide      bool  // has characters of several bytes, so that columns have to be counted
	commented bool  // comments stand right before the content that nextContent found
	failed    bool
	spare     []yaml.Node
}

// place is a position by line and column, and by bytes.
type place struct{ line, column, at int }

// bounds below those of the general parser, which gives its own errors
const (
	maxDepth = 100
	maxKey   = 1000
)

func (p *parser) fail() *yaml.Node {
	p.failed = true
	return p.node(yaml.ScalarNode, p.at)
}

// node makes a node that starts at a place of the current line.
func (p *parser) node(kind yaml.Kind, at int) *yaml.Node {
	if len(p.spare) == 0 {
		p.spare = make([]yaml.Node, 64)
		p.failed = p.failed || p.ctx.Err() != nil
	}
	n := &p.spare[0]
	p.spare = p.spare[1:]
	n.Kind, n.Line, n.Column = kind, p.line, at-p.lineStart+1
	if p.wide {
		if p.counted.line != p.line || p.counted.at > at {
			p.counted = place{line: p.line, column: 1, at: p.lineStart}
		}
		p.counted.column += utf8.RuneCountInString(p.text[p.counted.at:at])
		p.counted.at = at
		n.Column = p.counted.column
	}
	return n
}

// rest is what is left of the current line.
func (p *parser) rest() string {
	if p.lineEnd <= p.at {
		p.lineEnd = len(p.text)
		if end := strings.IndexByte(p.text[p.at:], '\n'); end >= 0 {
			p.lineEnd = p.at + end
		}
	}
	return p.text[p.at:p.lineEnd]
}

func (p *parser) nextLine() {
	if p.at += len(p.rest()); p.at < len(p.text) {
		p.at++
		p.line++
	}
	p.lineStart = p.at
}

// nextContent goes on to the next line that has content, unless it is at the start of it already, and gives its
// indent. Found is false at the end of the text.
func (p *parser) nextContent() (indent int, found bool) {
	for p.commented = false; p.at < len(p.text); {
		start := p.lineStart
		for start < len(p.text) && p.text[start] == ' ' {
			start++
		}
		if start == len(p.text) {
			break
		}
		switch p.text[start] {
		case '\n':
			p.nextLine()
			continue
		case '#':
			p.commented = true
			p.nextLine()
			continue
		case '\t':
			p.failed = true
		}
		p.at = start
		return start - p.lineStart, true
	}
	p.at, p.lineStart = len(p.text), len(p.text)
	return 0, false
}

// endLine goes behind a value that ends on this line: nothing but a comment may follow there, and the next content
// must not be indented deeper than the collection that the value is in.
func (p *parser) endLine(indent int) {
	rest := p.rest()
	trimmed := strings.TrimLeft(rest, " ")
	if trimmed != "" && (trimmed[0] != '#' || len(trimmed) == len(rest)) {
		p.failed = true
		return
	}
	p.nextLine()
	if next, found := p.nextContent(); found && next > indent {
		p.failed = true
	}
}

// below reads what starts on this line, deeper than the collection of the given indent that it is in.
func (p *parser) below(indent, next, depth int) *yaml.Node {
	if rest := p.rest(); p.atDash() || keyLength(rest) >= 0 || rest[0] == '|' {
		return p.block(next, depth+1)
	}
	return p.value(indent, depth)
}

// block reads the collection that starts here, with its first entry at the given indent.
func (p *parser) block(indent, depth int) *yaml.Node {
	switch {
	case p.failed || depth > maxDepth:
		return p.fail()
	case p.atDash():
		return p.list(indent, depth)
	}
	return p.mapping(indent, depth)
}

// atDash reports the start of a list's item.
func (p *parser) atDash() bool {
	rest := p.text[p.at:]
	return rest != "" && rest[0] == '-' && (len(rest) == 1 || rest[1] == ' ' || rest[1] == '\n')
}

func (p *parser) list(indent, depth int) *yaml.Node {
	list := p.node(yaml.SequenceNode, p.at)
	for !p.failed {
		p.at++
		p.skipSpaces()
		list.Content = append(list.Content, p.item(indent, depth))
		if next, found := p.nextContent(); !found || next < indent || next == indent && !p.atDash() {
			return list
		} else if next > indent {
			break
		}
	}
	return p.fail()
}

// item reads what stands behind the dash of a list whose dashes are at the given indent.
func (p *parser) item(indent, depth int) *yaml.Node {
	rest := p.rest()
	if rest == "" || rest[0] == '#' {
		p.nextLine()
		if next, found := p.nextContent(); found && next > indent {
			return p.below(indent, next, depth)
		}
		return p.null()
	}
	if p.atDash() || keyLength(rest) >= 0 {
		return p.block(p.at-p.lineStart, depth+1)
	}
	return p.value(indent, depth)
}

func (p *parser) mapping(indent, depth int) *yaml.Node {
	mapping := p.node(yaml.MappingNode, p.at)
	mapping.Content = make([]*yaml.Node, 0, 8)
	for !p.failed {
		length := keyLength(p.rest())
		if length < 0 || p.atDash() {
			break
		}
		key := p.key(length)
		p.at += length + 1
		p.skipSpaces()
		mapping.Content = append(mapping.Content, key, p.entry(indent, depth))
		if next, found := p.nextContent(); !found || next < indent {
			p.keepLast(mapping)
			return mapping
		} else if next > indent {
			break
		}
	}
	return p.fail()
}

// keepLast drops what a key that stands in a mapping again had before. The last entry takes the place of the first.
func (p *parser) keepLast(mapping *yaml.Node) {
	if !repeats(mapping) {
		return
	}
	places := make(map[string]int)
	kept := mapping.Content[:0]
	for i := 0; i < len(mapping.Content); i += 2 {
		key, value := mapping.Content[i], mapping.Content[i+1]
		place, found := places[key.Value]
		if !found {
			places[key.Value] = len(kept)
			kept = append(kept, key, value)
			continue
		}
		kept[place], kept[place+1] = key, value
		p.failed = p.failed || key.Value == "<<" // in quotes a merge for some readers
	}
	mapping.Content = kept
}

// repeats reports a mapping in which a key stands twice.
func repeats(mapping *yaml.Node) bool {
	const few = 16
	keys := len(mapping.Content) / 2
	if keys > few {
		seen := make(map[string]bool, keys)
		for i := 0; i < len(mapping.Content); i += 2 {
			seen[mapping.Content[i].Value] = true
		}
		return len(seen) < keys
	}
	for i := 2; i < len(mapping.Content); i += 2 {
		for j := 0; j < i; j += 2 {
			if mapping.Content[i].Value == mapping.Content[j].Value {
				return true
			}
		}
	}
	return false
}

// entry reads what stands behind a key of a mapping whose keys are at the given indent.
func (p *parser) entry(indent, depth int) *yaml.Node {
	if rest := p.rest(); rest != "" && rest[0] != '#' {
		return p.value(indent, depth)
	}
	p.nextLine()
	next, found := p.nextContent()
	if found && (next > indent || next == indent && p.atDash()) {
		return p.below(indent, next, depth)
	}
	return p.null()
}

func (p *parser) null() *yaml.Node {
	n := p.node(yaml.ScalarNode, p.at)
	n.Tag = "!!null"
	return n
}

func (p *parser) skipSpaces() {
	for p.at < len(p.text) && p.text[p.at] == ' ' {
		p.at++
	}
	if p.at < len(p.text) && p.text[p.at] == '\t' {
		p.failed = true
	}
}

// keyLength gives the length of the key that a line starts with, -1 if it starts with none.
func keyLength[T string | []byte](line T) int {
	switch {
	case len(line) == 0:
		return -1
	case line[0] == '"' || line[0] == '\'':
		return quotedKeyLength(line)
	case !isPlainStart(line):
		return -1
	}
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case ':':
			if i+1 == len(line) || line[i+1] == ' ' {
				return i
			}
		case '\t':
			return -1
		case '#':
			if i > 0 && line[i-1] == ' ' {
				return -1
			}
		}
	}
	return -1
}

// quotedKeyLength is keyLength of a line that starts with a quote. A key with an escape is none.
func quotedKeyLength[T string | []byte](line T) int {
	for i := 1; i < len(line) && line[i] != '\\'; i++ {
		if line[i] == line[0] {
			if i+1 < len(line) && line[i+1] == ':' && (i+2 == len(line) || line[i+2] == ' ') {
				return i + 1
			}
			return -1
		}
	}
	return -1
}

func (p *parser) key(length int) *yaml.Node {
	key := p.node(yaml.ScalarNode, p.at)
	switch text := p.text[p.at : p.at+length]; {
	case length > maxKey:
		p.failed = true
	case text[0] == '"' || text[0] == '\'':
		key.Value, key.Tag, key.Style = text[1:len(text)-1], "!!str", quoteStyle(text[0])
	default:
		p.setPlainKey(key, strings.TrimRight(text, " "))
	}
	return key
}

// isPlainStart reports what may start a scalar without quotes.
func isPlainStart[T string | []byte](text T) bool {
	switch text[0] {
	case '!', '&', '*', '|', '>', '%', '@', '`', '{', '}', '[', ']', ',', '#', '"', '\'':
		return false
	case '-', '?', ':':
		return len(text) > 1 && strings.IndexByte(" \t,[]{}", text[1]) < 0
	}
	return true
}

// setPlain sets the value of a scalar without quotes.
func (p *parser) setPlain(n *yaml.Node, text string) {
	n.Value, n.Tag = Resolve(text)
	p.failed = p.failed || n.Tag == Infinite
}

// setPlainKey is setPlain for a key.
func (p *parser) setPlainKey(n *yaml.Node, text string) {
	n.Value, n.Tag = Resolve(text)
	p.failed = p.failed || n.Tag != "!!str" || text == "<<"
}

func quoteStyle(quote byte) yaml.Style {
	if quote == '"' {
		return yaml.DoubleQuotedStyle
	}
	return yaml.SingleQuotedStyle
}
