package yamlfast

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// value reads a scalar or flow collection inside a block collection of the given indent, to the end of its line.
func (p *parser) value(indent, depth int) *yaml.Node {
	var n *yaml.Node
	switch rest := p.rest(); rest[0] {
	case '|':
		return p.literal(indent, rest)
	case '"', '\'':
		n = p.quoted()
	case '{', '[':
		n = p.flow(depth)
	default:
		return p.plain(indent)
	}
	if !p.failed {
		p.endLine(indent)
	}
	return n
}

// plain reads a scalar without quotes, with the lines that continue it: those that are indented deeper than the
// collection that it is in.
func (p *parser) plain(indent int) *yaml.Node {
	if !isPlainStart(p.rest()) {
		return p.fail()
	}
	n := p.node(yaml.ScalarNode, p.at)
	text := p.plainLine()
	var before []byte // the lines before the one in text
	for !p.failed {
		ended, line := p.peek() != '\n', p.line
		p.nextLine()
		if next, found := p.nextContent(); !found || next <= indent {
			break
		}
		if ended || p.commented {
			return p.fail()
		}
		before = appendBreaks(append(before, text...), p.line-line)
		text = p.plainLine()
	}
	if before != nil {
		text = string(append(before, text...))
	}
	p.setPlain(n, text)
	return n
}

// plainLine reads a scalar without quotes up to a comment or the end of the line.
func (p *parser) plainLine() string {
	rest := p.rest()
	if comment := strings.Index(rest, " #"); comment >= 0 {
		rest = rest[:comment]
	} else {
		p.at += len(rest)
	}
	if strings.Contains(rest, ": ") || rest[len(rest)-1] == ':' || strings.IndexByte(rest, '\t') >= 0 {
		p.failed = true
	}
	return strings.TrimRight(rest, " ")
}

// appendBreaks adds what a number of line breaks in a scalar means: one is a space, the first of several nothing.
func appendBreaks(value []byte, breaks int) []byte {
	if breaks == 1 {
		return append(value, ' ')
	}
	for ; breaks > 1; breaks-- {
		value = append(value, '\n')
	}
	return value
}

// escapes are the escapes that are read here; the general parser knows more.
var escapes = [256]byte{'"': '"', '\\': '\\', 'n': '\n', 't': '\t', ' ': ' '}

// quoted reads a scalar in quotes. It may go over several lines, but for the first column.
func (p *parser) quoted() *yaml.Node {
	quote := p.text[p.at]
	n := p.node(yaml.ScalarNode, p.at)
	n.Tag, n.Style = "!!str", quoteStyle(quote)
	var value []byte // of what stands before p.at
	p.at++
	for i := p.at; i < len(p.text) && !p.failed; {
		switch c := p.text[i]; {
		case c == quote && quote == '\'' && strings.HasPrefix(p.text[i:], "''"):
			value = append(value, p.text[p.at:i+1]...)
			p.at = i + 2
			i = p.at
		case c == quote:
			n.Value = p.text[p.at:i]
			if value != nil {
				n.Value = string(append(value, n.Value...))
			}
			p.at = i + 1
			return n
		case c == '\n':
			value = append(value, strings.TrimRight(p.text[p.at:i], " \t")...)
			p.at = i
			value = appendBreaks(value, p.skipBreaks())
			i = p.at
		case c == '\\' && quote == '"':
			value = append(value, p.text[p.at:i]...)
			p.at = i + 1
			value = p.escape(value)
			i = p.at
		default:
			i++
		}
	}
	return p.fail()
}

// escape adds what stands behind a backslash to a value. A line break there is nothing.
func (p *parser) escape(value []byte) []byte {
	if p.peek() == '\n' {
		if breaks := p.skipBreaks(); breaks > 1 {
			value = appendBreaks(value, breaks)
		}
		return value
	}
	letter := escapes[p.peek()]
	p.failed = p.failed || letter == 0
	p.at++
	return append(value, letter)
}

// skipBreaks goes on to the next text inside of quotes, and gives the number of line breaks on the way.
func (p *parser) skipBreaks() (breaks int) {
	for ; p.at < len(p.text); p.at++ {
		switch p.text[p.at] {
		case '\n':
			breaks++
			p.line++
			p.lineStart = p.at + 1
		case ' ', '\t':
		default:
			p.failed = p.failed || p.at == p.lineStart
			return breaks
		}
	}
	return breaks
}

// literal reads a block scalar: the lines that are indented at least as deep as its first one.
func (p *parser) literal(indent int, header string) *yaml.Node {
	n := p.node(yaml.ScalarNode, p.at)
	n.Tag, n.Style = "!!str", yaml.LiteralStyle
	header = strings.TrimRight(header, " ")
	if header != "|" && header != "|-" {
		return p.fail()
	}
	p.nextLine()
	lines, depth := literalLines(p.text[p.at:], indent)
	if lines == "" {
		return p.fail()
	}
	var value strings.Builder
	value.Grow(len(lines))
	for at := 0; at < len(lines); p.line++ {
		end := at + strings.IndexByte(lines[at:], '\n') + 1
		value.WriteString(lines[min(at+depth, end-1):end])
		at = end
	}
	n.Value = value.String()
	if header == "|-" {
		n.Value = n.Value[:len(n.Value)-1]
	}
	p.at += len(lines)
	p.lineStart = p.at
	if next, found := p.nextContent(); found && next > indent {
		return p.fail()
	}
	return n
}

// literalLines gives the lines of a block scalar that is in a collection of the given indent, without blank lines at
// their end, and how deep they are indented. They are empty where that cannot be told.
func literalLines(text string, indent int) (lines string, depth int) {
	depth = -1
	end := 0
	for at := 0; at < len(text); {
		length := strings.IndexByte(text[at:], '\n')
		if length < 0 {
			return "", 0 // a last line without a break
		}
		line := text[at : at+length]
		at += length + 1
		spaces := 0
		for spaces < len(line) && line[spaces] == ' ' && spaces != depth {
			spaces++
		}
		switch isBlank := spaces == len(line); {
		case isBlank && depth < 0 && spaces > 0:
			return "", 0 // spaces before the first line may be too many
		case isBlank:
		case depth < 0 && (spaces <= indent || line[spaces] == '\t'):
			return "", 0
		case spaces < depth:
			return text[:end], depth
		default:
			depth, end = spaces, at
		}
	}
	return text[:end], depth
}

// flow reads a flow collection. It may go over several lines, but none of its keys and of its scalars without quotes may.
func (p *parser) flow(depth int) *yaml.Node {
	if depth > maxDepth {
		return p.fail()
	}
	kind, closing := yaml.MappingNode, byte('}')
	if p.text[p.at] == '[' {
		kind, closing = yaml.SequenceNode, ']'
	}
	n := p.node(kind, p.at)
	n.Style = yaml.FlowStyle
	p.at++
	p.flowSpaces()
	if p.peek() == closing {
		p.at++
		return n
	}
	for !p.failed {
		if kind == yaml.MappingNode {
			n.Content = append(n.Content, p.flowKey())
			p.flowSpaces()
		}
		if p.failed {
			break
		}
		n.Content = append(n.Content, p.flowValue(depth))
		p.flowSpaces()
		switch next := p.peek(); {
		case next == closing:
			p.at++
			if kind == yaml.MappingNode {
				p.keepLast(n)
			}
			return n
		case next != ',':
			return p.fail()
		}
		p.at++
		p.flowSpaces()
	}
	return n
}

// flowSpaces goes on to the next token of a flow collection.
func (p *parser) flowSpaces() {
	p.skipSpaces()
	for p.at < len(p.text) && p.text[p.at] == '\n' && !p.failed {
		p.nextLine()
		p.skipSpaces()
	}
}

// peek gives the next byte, a line break at the end of the text.
func (p *parser) peek() byte {
	if p.at >= len(p.text) {
		return '\n'
	}
	return p.text[p.at]
}

// flowKey reads a key, with the colon behind it. A key with an escape is none, nor is one over several lines.
func (p *parser) flowKey() *yaml.Node {
	var key *yaml.Node
	start := p.at
	quoted := p.peek() == '"' || p.peek() == '\''
	if quoted {
		key = p.quoted()
	} else {
		var text string
		key, text = p.flowPlain()
		p.setPlainKey(key, text)
	}
	if p.peek() != ':' || p.at-start > maxKey || strings.ContainsAny(p.text[start:p.at], "\\\n") {
		return p.fail()
	}
	p.at++
	if p.peek() != ' ' && !quoted {
		return p.fail()
	}
	return key
}

func (p *parser) flowValue(depth int) *yaml.Node {
	switch p.peek() {
	case '{', '[':
		return p.flow(depth + 1)
	case '"', '\'':
		return p.quoted()
	}
	n, text := p.flowPlain()
	if p.setPlain(n, text); p.peek() == ':' {
		return p.fail()
	}
	return n
}

// flowPlain reads a scalar without quotes inside a flow collection, and gives its text.
func (p *parser) flowPlain() (*yaml.Node, string) {
	rest := p.rest()
	if rest == "" || !isPlainStart(rest) || rest[0] == ':' || rest[0] == '?' {
		return p.fail(), ""
	}
	end := 0
scan:
	for ; end < len(rest); end++ {
		switch c := rest[end]; c {
		case ',', ']', '}':
			break scan
		case '[', '{', '\t', '?':
			return p.fail(), ""
		case ':':
			if end+1 == len(rest) || strings.IndexByte(" ,[]{}", rest[end+1]) >= 0 {
				break scan
			}
		case '#':
			if rest[end-1] == ' ' {
				return p.fail(), ""
			}
		}
	}
	n := p.node(yaml.ScalarNode, p.at)
	p.at += end
	return n, strings.TrimRight(rest[:end], " ")
}
