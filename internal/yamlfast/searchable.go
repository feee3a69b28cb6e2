package yamlfast

import (
	"bytes"
	"context"
	"strings"
)

// Searchable reports whether a document is a well-formed mapping in block style whose keys are spelled as they read, so
// that a search of its bytes finds them. It makes no nodes, and takes a fraction of the time of Parse. It gives up also
// where a text has anchors, aliases, tags or merges, where an escape hides letters or joins what stands on two lines, where a
// value goes on in the first column, where a key is no text, and where a number is infinite.
//
// It gives up when the context ends in the midst of a long flow collection.
func Searchable(ctx context.Context, text []byte) bool {
	text, letters, ok := withLineFeeds(text)
	s := skimmer{ctx: ctx, text: text, tabs: letters.tabs, open: true}
	return ok && s.mapping()
}

// skimmer goes through a document line by line.
type skimmer struct {
	ctx        context.Context
	text       []byte
	tabs       bool // there are some
	start, end int  // of the current line, without its break
	next       int  // start of the next line

	levels [maxDepth]skimLevel // the collections around the current line
	depth  int
	open   bool // something deeper may follow: the last key or dash has no value yet

	plain     bool // the scalar before the current line has no quotes, and goes on if this line is indented deeper
	commented bool // comments stand right before the current line

	flows *parser // reads flow collections
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
	}
}

// mapping reads the whole text.
func (s *skimmer) mapping() bool {
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
		level := skimLevel{indent, s.isDash(at)}
		s.leave(level)
		switch {
		case s.depth > 0 && s.top() == level: // one more entry
		case !s.open || !s.mayBegin(level):
			return false
		case s.depth > 0 && !level.list && s.keyLength(at) < 0: // a scalar on a line of its own
			if s.open = false; !s.value(at) {
				return false
			}
			continue
		case !s.push(level):
			return false
		}
		if !s.entry(at, level.list) {
			return false
		}
	}
}

// leave ends the collections that a line does not belong to: those that are indented deeper, and a list that is
// indented as its key is, where there is no dash.
func (s *skimmer) leave(line skimLevel) {
	for s.depth > 0 && (s.top().indent > line.indent || s.top().indent == line.indent && s.top().list && !line.list) {
		s.depth--
		s.open = false
	}
}

// mayBegin reports whether a collection may begin below what is open.
func (s *skimmer) mayBegin(level skimLevel) bool {
	if s.depth == 0 {
		return level == skimLevel{}
	}
	return level.list || s.top().indent < level.indent
}

func (s *skimmer) top() skimLevel { return s.levels[s.depth-1] }

func (s *skimmer) push(level skimLevel) bool {
	if s.depth == len(s.levels) {
		return false
	}
	s.levels[s.depth] = level
	s.depth++
	return true
}

// entry reads an item of a list or an entry of a mapping, as far as it stands on this line.
func (s *skimmer) entry(at int, isDash bool) bool {
	for s.open = true; isDash; {
		if at = s.skipSpaces(at + 1); at == s.end || s.text[at] == '#' {
			return true
		}
		if isDash = s.isDash(at); !isDash && s.keyLength(at) < 0 {
			s.open = false
			return s.value(at)
		}
		if !s.push(skimLevel{at - s.start, isDash}) {
			return false
		}
	}
	length := s.keyLength(at)
	if length < 0 || length > maxKey || bytes.HasPrefix(s.text[at:], []byte("<<")) || !isText(s.text[at:at+length]) {
		return false
	}
	if at = s.skipSpaces(at + length + 1); at == s.end || s.text[at] == '#' && s.text[at-1] == ' ' {
		return true
	}
	s.open = false
	return s.value(at)
}

// isText reports a key that is a text for Kubernetes too. Others can be the same key as a text in the same mapping.
func isText(key []byte) bool {
	key = bytes.TrimRight(key, " ")
	if c := key[0]; c > '9' && (len(key) > len("false") || strings.IndexByte("yYnNtTfFoO~", c) < 0) {
		return true
	}
	_, tag := Resolve(string(key))
	return tag == "!!str"
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
	return isPlainStart(s.text[at:s.end]) && !isInfinite(s.text[at:s.end]) && s.plainText(at)
}

func isInfinite(text []byte) bool {
	digits := bytes.TrimLeft(text, "+-")
	if len(digits) == 0 || digits[0] != '.' {
		return false
	}
	text, _, _ = bytes.Cut(text, []byte(" #"))
	_, tag := Resolve(string(bytes.TrimRight(text, " ")))
	return tag == Infinite
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
				if at += i + 2; escapes[s.text[at-1]] == 0 {
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
		for value := s.text[s.end:at]; len(value) > 0; {
			i := bytes.IndexByte(value, '\n') + 1
			if i == 0 {
				break
			}
			if value = value[i:]; len(value) == 0 || strings.IndexByte(" \n", value[0]) < 0 {
				return false
			}
		}
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
		s.flows = &parser{ctx: s.ctx, text: string(s.text)}
	}
	s.flows.at = at
	s.flows.flow(s.depth)
	hidden := bytes.Contains(s.text[at:s.flows.at], []byte("\\\n")) // a line break in the midst of a word
	return !s.flows.failed && !hidden && s.endValue(s.flows.at)
}
