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
		n = p.plain(rest)
	}
	if !p.failed {
		p.endLine(indent)
	}
	return n
}

// plain reads a scalar without quotes, up to a comment or the end of the line.
func (p *parser) plain(rest string) *yaml.Node {
	if comment := strings.Index(rest, " #"); comment >= 0 {
		rest = rest[:comment]
	}
	if !isPlainStart(rest) || strings.Contains(rest, ": ") || rest[len(rest)-1] == ':' || strings.IndexByte(rest, '\t') >= 0 {
		return p.fail()
	}
	n := p.node(yaml.ScalarNode, p.at)
	p.at += len(rest)
	p.setPlain(n, strings.TrimRight(rest, " "))
	return n
}

// escapes are the escapes that are read here; the general parser knows more.
var escapes = map[byte]byte{'"': '"', '\\': '\\', 'n': '\n', 't': '\t'}

// quoted reads a scalar in quotes that ends on this line.
func (p *parser) quoted() *yaml.Node {
	rest := p.rest()
	n := p.node(yaml.ScalarNode, p.at)
	n.Tag, n.Style = "!!str", quoteStyle(rest[0])
	var unescaped []byte
	from := 1 // of what is not in unescaped yet
	for i := 1; i < len(rest); i++ {
		switch {
		case rest[i] == '\\' && rest[0] == '"':
			if i+1 == len(rest) || escapes[rest[i+1]] == 0 {
				return p.fail()
			}
			unescaped = append(append(unescaped, rest[from:i]...), escapes[rest[i+1]])
			i++
			from = i + 1
		case rest[i] != rest[0]:
		case rest[0] == '\'' && i+1 < len(rest) && rest[i+1] == '\'':
			i++
			unescaped = append(unescaped, rest[from:i]...)
			from = i + 1
		default:
			n.Value = rest[from:i]
			if unescaped != nil {
				n.Value = string(append(unescaped, rest[from:i]...))
			}
			p.at += i + 1
			return n
		}
	}
	return p.fail()
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

// flow reads a flow collection. It may go over several lines, each entry's key and scalar being on one.
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
			p.failed = p.failed || kind == yaml.MappingNode && repeats(n)
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
	if p.peek() != ':' || p.at-start > maxKey {
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
