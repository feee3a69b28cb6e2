package manifest

import (
	"bytes"
	"sort"
	"strings"
	"unicode/utf8"

	yamlnode "go.yaml.in/yaml/v3"

	"github.com/sut-bench/helmexec/internal/safeyaml"
)

// scalarText tells where in the stream the text of a scalar stands. Between two of its segments text and stream run
// in step; an escape, and the start of a line of a block, begin a new one.
type scalarText struct {
	segments []segment
	known    int // how far into the value the segments reach, its end included if it is len(value)
}

type segment struct{ value, raw int }

// at gives the place in the stream of a byte of the value; ok is false where that cannot be told.
func (t *scalarText) at(i int) (raw int, ok bool) {
	if len(t.segments) == 0 || i > t.known {
		return 0, false
	}
	n := sort.Search(len(t.segments), func(n int) bool { return t.segments[n].value > i }) - 1
	return t.segments[n].raw + i - t.segments[n].value, true
}

// locate finds the text of a scalar of this source in the stream.
func (s *source) locate(node *yamlnode.Node) *scalarText {
	if text, found := s.located[node]; found {
		return text
	}
	text := s.segments(node)
	for i := range text.segments {
		text.segments[i].raw += s.start
	}
	if s.parent != nil {
		text = text.within(s.parent.locate(s.node))
	}
	if s.located == nil {
		s.located = make(map[*yamlnode.Node]*scalarText)
	}
	s.located[node] = text
	return text
}

// within turns places in an embedded text into places in the stream. It keeps what lies in one segment of the outer
// text, which is a line at least.
func (t *scalarText) within(outer *scalarText) *scalarText {
	inner := &scalarText{known: t.known}
	for i, s := range t.segments {
		end := t.known
		if i+1 < len(t.segments) {
			end = t.segments[i+1].value
		}
		for value := s.value; value <= end; {
			raw, ok := outer.at(s.raw + value - s.value)
			if !ok {
				inner.known = value - 1
				return inner
			}
			inner.segments = append(inner.segments, segment{value, raw})
			next := sort.Search(len(outer.segments), func(n int) bool { return outer.segments[n].value > s.raw+value-s.value })
			if next == len(outer.segments) {
				break
			}
			value += outer.segments[next].value - (s.raw + value - s.value)
		}
	}
	return inner
}

// segments finds the text of a scalar in this source's own text.
func (s *source) segments(node *yamlnode.Node) *scalarText {
	nothing := &scalarText{known: -1}
	at, ok := s.offset(node.Line, node.Column)
	if !ok {
		return nothing
	}
	if at, ok = skipProperties(s.text, at); !ok {
		return nothing
	}
	switch rest := s.text[at:]; {
	case node.Style&yamlnode.DoubleQuotedStyle != 0 && rest[0] == '"':
		return doubleQuoted(rest, at)
	case node.Style&yamlnode.SingleQuotedStyle != 0 && rest[0] == '\'':
		return singleQuoted(rest, at)
	case node.Style&yamlnode.LiteralStyle != 0 && rest[0] == '|':
		return literal(rest, node.Value, at)
	case !strings.HasPrefix(string(rest[:min(len(rest), len(node.Value))]), node.Value):
	case isNumeric(node) && strings.IndexByte(" \t\r\n,]}", (string(rest[len(node.Value):min(len(rest), len(node.Value)+1)]) + "\n")[0]) < 0:
	default:
		return &scalarText{segments: []segment{{0, at}}, known: len(node.Value)}
	}
	return nothing // a plain or folded scalar over several lines, or a number that is written otherwise than it reads
}

// isNumeric reports a scalar that is a number.
func isNumeric(node *yamlnode.Node) bool { return node.Tag == "!!int" || node.Tag == "!!float" }

// offset turns a line and a column, which counts characters, into a place in the text.
func (s *source) offset(line, column int) (int, bool) {
	if s.lines == nil {
		s.lines = lineStarts(s.text)
	}
	if line < 1 || line > len(s.lines) {
		return 0, false
	}
	// A document can stand on one line, and what is looked up in any order: the way to every so many columns is kept.
	const step = 256
	at, column := s.lines[line-1], max(column, 1)-1
	if column >= step {
		known := s.columns[line]
		for len(known) < column/step {
			from := at
			if len(known) > 0 {
				from = known[len(known)-1]
			}
			known = append(known, skipRunes(s.text, from, step))
		}
		if s.columns == nil {
			s.columns = make(map[int][]int)
		}
		s.columns[line] = known
		at = known[column/step-1]
	}
	at = skipRunes(s.text, at, column%step)
	return at, at < len(s.text)
}

// skipRunes gives the place behind some characters, the end of the text if there are fewer.
func skipRunes(text []byte, at, n int) int {
	for ; n > 0 && at < len(text); n-- {
		_, size := utf8.DecodeRune(text[at:])
		at += size
	}
	return at
}

// lineStarts lists where the lines of a text start, by the line breaks of YAML 1.1, which the parser counts.
func lineStarts(text []byte) []int {
	starts := []int{0}
	if strings.HasPrefix(string(text[:min(len(text), 3)]), string(safeyaml.ByteOrderMark)) {
		starts[0] = len(safeyaml.ByteOrderMark)
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\r' && i+1 < len(text) && text[i+1] == '\n':
			i++
		case c == '\r', c == '\n':
		case c == 0xc2 && i+1 < len(text) && text[i+1] == 0x85: // next line
			i++
		case c == 0xe2 && i+2 < len(text) && text[i+1] == 0x80 && (text[i+2] == 0xa8 || text[i+2] == 0xa9): // line and paragraph separator
			i += 2
		default:
			continue
		}
		starts = append(starts, i+1)
	}
	return starts
}

// skipProperties goes past the anchor and the tag in front of a node.
func skipProperties(text []byte, at int) (int, bool) {
	for at < len(text) {
		switch text[at] {
		case '&', '!':
			for at < len(text) && strings.IndexByte(" \t\r\n", text[at]) < 0 {
				at++
			}
		case ' ', '\t', '\r', '\n':
			at++
		default:
			return at, true
		}
	}
	return at, false
}

func singleQuoted(raw []byte, at int) *scalarText {
	text := &scalarText{segments: []segment{{0, at + 1}}}
	for i := 1; i < len(raw) && raw[i] != '\n' && raw[i] != '\r'; i++ { // folding starts at a line break
		if raw[i] == '\'' {
			if i+1 >= len(raw) || raw[i+1] != '\'' {
				return text
			}
			i++
			text.segments = append(text.segments, segment{text.known + 1, at + i + 1})
		}
		text.known++
	}
	text.known--
	return text
}

// escapes gives for the letter after a backslash the number of hexadecimal digits that follow.
var escapes = map[byte]int{'x': 2, 'u': 4, 'U': 8}

func doubleQuoted(raw []byte, at int) *scalarText {
	text := &scalarText{segments: []segment{{0, at + 1}}}
	for i := 1; i < len(raw) && raw[i] != '\n' && raw[i] != '\r'; {
		switch {
		case raw[i] == '"':
			return text
		case raw[i] != '\\':
			text.known++
			i++
		default:
			if i+1 >= len(raw) {
				return text
			}
			text.segments = append(text.segments, segment{text.known, at + i})
			digits, size := escapes[raw[i+1]], 1
			switch raw[i+1] {
			case '\n', '\r': // a line that goes on: what follows is not told
				text.known--
				return text
			case 'N', '_':
				size = 2
			case 'L', 'P':
				size = 3
			}
			if i+2+digits > len(raw) {
				return text
			}
			if digits > 0 {
				char := rune(0)
				for _, digit := range raw[i+2 : i+2+digits] {
					char = char<<4 | rune(strings.IndexByte("0123456789abcdef", digit|0x20)&0xf)
				}
				size = utf8.RuneLen(char)
			}
			i += 2 + digits
			text.known += size
			text.segments = append(text.segments, segment{text.known, at + i})
		}
	}
	text.known--
	return text
}

// literal reads a block scalar: every line of the value is a line of the text behind some spaces.
func literal(raw []byte, value string, at int) *scalarText {
	text := &scalarText{}
	header := bytes.IndexByte(raw, '\n')
	if header < 0 {
		return &scalarText{known: -1}
	}
	at += header + 1
	raw = raw[header+1:]
	for text.known < len(value) && len(raw) > 0 {
		line, lineLength := raw, len(raw)
		if end := bytes.IndexByte(raw, '\n'); end >= 0 {
			line, lineLength = raw[:end], end+1
		}
		wanted, _, _ := strings.Cut(value[text.known:], "\n")
		line = bytes.TrimSuffix(line, []byte{'\r'})
		indent := 0
		if wanted != "" {
			if indent = len(line) - len(wanted); indent < 0 || string(line[indent:]) != wanted {
				break
			}
		}
		text.segments = append(text.segments, segment{text.known, at + indent})
		text.known = min(len(value), text.known+len(wanted)+1)
		raw, at = raw[lineLength:], at+lineLength
	}
	if text.known < len(value) || len(text.segments) == 0 {
		text.known--
	}
	return text
}
