package helmexec

import (
	"bytes"
	"context"
	"strings"
)

// skim checks a document of the kind that nearly all charts consist of, several times as fast as parseSimple: it makes
// no nodes. It reports whether the document is well-formed, is a mapping in block style, and spells its keys as they
// read, so that a search of its bytes finds them. It gives up on whatever it is not sure about.
func (d *document) skim() bool {
	letters, ok := lettersOf(d.text)
	s := skimmer{ctx: d.pass.Context(), text: d.text, tabs: letters.tabs}
	return ok && s.mapping()
}

// skimmer goes through a document line by line.
type skimmer struct {
	ctx        context.Context
	text       []byte
	tabs       bool // there are some
	start, end int  // of the current line, without its break
	next       int  // start of the next line

	levels [maxSimpleDepth]skimLevel // the collections around the current line
	depth  int

	plain     bool // the scalar before the current line has no quotes, and goes on if this line is indented deeper
	commented bool // comments stand right before the current line

	flows *simpleParser // reads flow collections
}

// skimLevel is a mapping or a list in block style.
type skimLevel struct {
	indent int // of its keys or dashes
	list   bool
}

// line goes on to the next line that has content, and gives its indent.
func (s *skimmer) line() (indent int, found bool) {
	for s.commented = false; s.next < len(s.text); {
		s.setLine(s.next)
		at := s.skipSpaces(s.start)
		if at < s.end && s.text[at] != '#' {
			return at - s.start, true
		}
		s.commented = s.commented || at < s.end
	}
	return 0, false
}

// setLine makes the line from a position on the current one.
func (s *skimmer) setLine(at int) {
	s.start, s.end, s.next = at, len(s.text), len(s.text)
	if i := bytes.IndexByte(s.text[at:], '\n'); i >= 0 {
		s.end, s.next = at+i, at+i+1
		if i > 0 && s.text[s.end-1] == '\r' {
			s.end--
		}
	}
}

// mapping reads the whole text.
func (s *skimmer) mapping() bool {
	open := true // something deeper may follow: the last key or dash has no value yet
	for {
		indent, found := s.line()
		if !found {
			return s.depth > 0
		}
		at := s.start + indent
		if s.plain = s.plain && s.top().indent < indent; s.plain {
			if s.commented || !s.plainText(at) {
				return false
			}
			continue
		}
		for s.depth > 0 && s.top().indent > indent {
			s.depth--
			open = false
		}
		isDash := s.isDash(at)
		if s.depth > 0 && s.top() == (skimLevel{indent, true}) && !isDash {
			s.depth-- // a list that is not indented more than the key it belongs to
			open = false
		}
		switch {
		case s.depth == 0:
			if !open || indent != 0 || isDash || !s.push(indent, false) {
				return false
			}
		case s.top().indent == indent && s.top().list == isDash:
		case !open || s.top().indent == indent && !isDash:
			return false
		case isDash:
			if !s.push(indent, true) {
				return false
			}
		case s.keyLength(at) >= 0:
			if !s.push(indent, false) {
				return false
			}
		default:
			if !s.value(at) {
				return false
			}
			open = false
			continue
		}
		var ok bool
		if open, ok = s.entry(at, isDash); !ok {
			return false
		}
	}
}

func (s *skimmer) top() skimLevel { return s.levels[s.depth-1] }

func (s *skimmer) push(indent int, list bool) bool {
	if s.depth == len(s.levels) {
		return false
	}
	s.levels[s.depth] = skimLevel{indent, list}
	s.depth++
	return true
}

// entry reads an item of a list or an entry of a mapping. open is true if it has no value on this line.
func (s *skimmer) entry(at int, isDash bool) (open, ok bool) {
	for isDash {
		if at = s.skipSpaces(at + 1); at == s.end || s.text[at] == '#' {
			return true, true
		}
		if isDash = s.isDash(at); !isDash && s.keyLength(at) < 0 {
			return false, s.value(at)
		}
		if !s.push(at-s.start, isDash) {
			return false, false
		}
	}
	length := s.keyLength(at)
	if length < 0 || length > maxSimpleKey {
		return false, false
	}
	if bytes.HasPrefix(s.text[at:], []byte("<<")) {
		return false, false
	}
	if at = s.skipSpaces(at + length + 1); at == s.end || s.text[at] == '#' && s.text[at-1] == ' ' {
		return true, true
	}
	return false, s.value(at)
}

func (s *skimmer) isDash(at int) bool {
	return s.text[at] == '-' && (at+1 == s.end || s.text[at+1] == ' ')
}

func (s *skimmer) skipSpaces(at int) int {
	for at < s.end && s.text[at] == ' ' {
		at++
	}
	return at
}

func (s *skimmer) keyLength(at int) int { return keyLength(s.text[at:s.end]) }

// value reads what starts on the current line, and makes its last line the current one.
func (s *skimmer) value(at int) bool {
	switch s.text[at] {
	case '|', '>':
		return s.block(at)
	case '"', '\'':
		return s.quoted(at)
	case '{', '[':
		return s.flow(at)
	}
	return isPlainStart(s.text[at:s.end]) && s.plainText(at)
}

// plainText reads one line of a scalar without quotes.
func (s *skimmer) plainText(at int) bool {
	text := s.text[at:s.end]
	s.plain = true
	for i := bytes.IndexByte(text, '#'); i > 0; {
		if text[i-1] == ' ' {
			s.plain, text = false, text[:i-1]
			break
		}
		next := bytes.IndexByte(text[i+1:], '#')
		if next < 0 {
			break
		}
		i += 1 + next
	}
	for i := bytes.IndexByte(text, ':'); i >= 0; {
		if i+1 == len(text) || text[i+1] == ' ' {
			return false
		}
		next := bytes.IndexByte(text[i+1:], ':')
		if next < 0 {
			break
		}
		i += 1 + next
	}
	return !s.tabs || bytes.IndexByte(text, '\t') < 0
}

// skimmedEscapes are what may stand behind a backslash between double quotes. The parser also knows numbers, which have
// digits behind them.
const skimmedEscapes = "\"'\\ 0abtnvfreN_LP\r\n"

// quoted reads a scalar in quotes.
func (s *skimmer) quoted(at int) bool {
	quote := s.text[at]
	closing := at
	for at++; ; {
		if closing < at {
			i := bytes.IndexByte(s.text[at:], quote)
			if i < 0 {
				return false
			}
			closing = at + i
		}
		if quote == '"' {
			if i := bytes.IndexByte(s.text[at:closing], '\\'); i >= 0 {
				if at += i + 2; at > len(s.text) || strings.IndexByte(skimmedEscapes, s.text[at-1]) < 0 {
					return false
				}
				continue
			}
		} else if closing+1 < len(s.text) && s.text[closing+1] == quote {
			at = closing + 2
			continue
		}
		return s.endValue(closing + 1)
	}
}

// endValue reports whether a value can end at a position, and makes the line there the current one.
func (s *skimmer) endValue(at int) bool {
	if at > s.end {
		s.setLine(at)
	}
	after := s.skipSpaces(at)
	return after == s.end || s.text[after] == '#' && after > at
}

// block reads a literal or folded scalar: the lines that are indented at least as deep as its first one.
func (s *skimmer) block(at int) bool {
	if at++; at < s.end && (s.text[at] == '-' || s.text[at] == '+') {
		at++
	}
	if s.skipSpaces(at) != s.end {
		return false
	}
	depth, blank := -1, 0 // the indent of the text, and that of blank lines before it
	for s.next < len(s.text) {
		before := s.next
		s.setLine(s.next)
		spaces := 0
		for s.start+spaces < s.end && s.text[s.start+spaces] == ' ' && spaces != depth {
			spaces++
		}
		switch isBlank := s.start+spaces == s.end; {
		case isBlank && depth < 0:
			blank = max(blank, spaces)
		case isBlank, spaces == depth:
		case depth < 0 && spaces > s.top().indent:
			if depth = spaces; depth < blank || s.text[s.start+spaces] == '\t' {
				return false
			}
		default:
			s.next = before
			return true
		}
	}
	return true
}

// flow reads a flow collection.
func (s *skimmer) flow(at int) bool {
	if rest := s.text[at:s.end]; len(rest) > 1 && (rest[1] == '}' || rest[1] == ']') && rest[1] == rest[0]+2 {
		return s.endValue(at + 2)
	}
	if s.flows == nil {
		s.flows = &simpleParser{ctx: s.ctx, text: string(s.text)}
	}
	s.flows.at = at
	s.flows.flow(s.depth)
	return !s.flows.failed && s.endValue(s.flows.at)
}
