package helmexec

import (
	"strings"

	yamlnode "go.yaml.in/yaml/v3"
)

// value reads a scalar or flow collection inside a block collection of the given indent, to the end of its line.
func (p *simpleParser) value(indent, depth int) *yamlnode.Node {
	var n *yamlnode.Node
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
func (p *simpleParser) plain(rest string) *yamlnode.Node {
	if comment := strings.Index(rest, " #"); comment >= 0 {
		rest = rest[:comment]
	}
	if !isPlainStart(rest) || strings.Contains(rest, ": ") || rest[len(rest)-1] == ':' || strings.IndexByte(rest, '\t') >= 0 {
		return p.fail()
	}
	n := p.node(yamlnode.ScalarNode, p.at)
	p.at += len(rest)
	n.Value = strings.TrimRight(rest, " ")
	n.Tag = plainTag(n.Value)
	return n
}

// simpleEscapes are the escapes that are read here; the general parser knows more.
var simpleEscapes = map[byte]byte{'"': '"', '\\': '\\', 'n': '\n', 't': '\t'}

// quoted reads a scalar in quotes that ends on this line.
func (p *simpleParser) quoted() *yamlnode.Node {
	rest := p.rest()
	n := p.node(yamlnode.ScalarNode, p.at)
	n.Tag, n.Style = "!!str", quoteStyle(rest[0])
	var unescaped []byte
	from := 1 // of what is not in unescaped yet
	for i := 1; i < len(rest); i++ {
		switch {
		case rest[i] == '\\' && rest[0] == '"':
			if i+1 == len(rest) || simpleEscapes[rest[i+1]] == 0 {
				return p.fail()
			}
			unescaped = append(append(unescaped, rest[from:i]...), simpleEscapes[rest[i+1]])
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
func (p *simpleParser) literal(indent int, header string) *yamlnode.Node {
	n := p.node(yamlnode.ScalarNode, p.at)
	n.Tag, n.Style = "!!str", yamlnode.LiteralStyle
	header = strings.TrimRight(header, " ")
	if header != "|" && header != "|-" {
		return p.fail()
	}
	p.nextLine()
	start, end, depth, line := p.at, p.at, -1, p.line
	for at := start; at < len(p.text); {
		lineEnd := strings.IndexByte(p.text[at:], '\n')
		if lineEnd < 0 {
			return p.fail() // a last line without a break
		}
		text := p.text[at : at+lineEnd]
		spaces := 0
		for spaces < len(text) && text[spaces] == ' ' && spaces != depth {
			spaces++
		}
		if spaces == len(text) && depth < 0 && len(text) > 0 {
			return p.fail() // spaces before the first line may be too many
		}
		if spaces < len(text) {
			if depth < 0 {
				if depth = spaces; depth <= indent || text[spaces] == '\t' {
					return p.fail()
				}
			}
			if spaces < depth {
				break
			}
			end = at + lineEnd + 1
		}
		at += lineEnd + 1
	}
	if depth < 0 {
		return p.fail()
	}
	var value strings.Builder
	value.Grow(end - start)
	for at := start; at < end; {
		lineEnd := at + strings.IndexByte(p.text[at:], '\n') + 1
		value.WriteString(p.text[min(at+depth, lineEnd-1):lineEnd])
		at = lineEnd
		line++
	}
	n.Value = value.String()
	if header == "|-" {
		n.Value = n.Value[:len(n.Value)-1]
	}
	p.at, p.lineStart, p.line = end, end, line
	if next, found := p.nextContent(); found && next > indent {
		return p.fail()
	}
	return n
}

// flow reads a flow collection. It may go over several lines, each entry's key and scalar being on one.
func (p *simpleParser) flow(depth int) *yamlnode.Node {
	if depth > maxSimpleDepth {
		return p.fail()
	}
	kind, closing := yamlnode.MappingNode, byte('}')
	if p.text[p.at] == '[' {
		kind, closing = yamlnode.SequenceNode, ']'
	}
	n := p.node(kind, p.at)
	n.Style = yamlnode.FlowStyle
	p.at++
	p.flowSpaces()
	if p.peek() == closing {
		p.at++
		return n
	}
	for !p.failed {
		if kind == yamlnode.MappingNode {
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
func (p *simpleParser) flowSpaces() {
	p.skipSpaces()
	for p.at < len(p.text) && p.text[p.at] == '\n' && !p.failed {
		p.nextLine()
		p.skipSpaces()
	}
}

// peek gives the next byte, a line break at the end of the text.
func (p *simpleParser) peek() byte {
	if p.at >= len(p.text) {
		return '\n'
	}
	return p.text[p.at]
}

func (p *simpleParser) flowKey() *yamlnode.Node {
	var key *yamlnode.Node
	start := p.at
	quoted := p.peek() == '"' || p.peek() == '\''
	if quoted {
		key = p.quoted()
	} else {
		key = p.flowPlain()
	}
	if p.peek() != ':' || key.Value == "<<" && !quoted || p.at-start > maxSimpleKey {
		return p.fail()
	}
	p.at++
	if p.peek() != ' ' && !quoted {
		return p.fail()
	}
	return key
}

func (p *simpleParser) flowValue(depth int) *yamlnode.Node {
	switch p.peek() {
	case '{', '[':
		return p.flow(depth + 1)
	case '"', '\'':
		return p.quoted()
	}
	n := p.flowPlain()
	if p.peek() == ':' {
		return p.fail()
	}
	return n
}

// flowPlain reads a scalar without quotes inside a flow collection.
func (p *simpleParser) flowPlain() *yamlnode.Node {
	rest := p.rest()
	if rest == "" || !isPlainStart(rest) || rest[0] == ':' || rest[0] == '?' {
		return p.fail()
	}
	end := 0
scan:
	for ; end < len(rest); end++ {
		switch c := rest[end]; c {
		case ',', ']', '}':
			break scan
		case '[', '{', '\t', '?':
			return p.fail()
		case ':':
			if end+1 == len(rest) || strings.IndexByte(" ,[]{}", rest[end+1]) >= 0 {
				break scan
			}
		case '#':
			if rest[end-1] == ' ' {
				return p.fail()
			}
		}
	}
	n := p.node(yamlnode.ScalarNode, p.at)
	n.Value = strings.TrimRight(rest[:end], " ")
	n.Tag = plainTag(n.Value)
	p.at += end
	return n
}
