package yamlfast

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// letters is what matters to the fast readers of YAML about the characters of a text.
type letters struct {
	wide    bool // some take several bytes
	tabs    bool
	returns bool // some lines end as on Windows
}

// withLineFeeds gives a text with lines that end as on Unix, which read the same, and what matters about its characters.
func withLineFeeds(text []byte) (_ []byte, found letters, ok bool) {
	found, ok = lettersOf(text)
	if ok && found.returns {
		text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	}
	return text, found, ok
}

// lettersOf goes through the characters of a text. ok is false if it holds characters that YAML forbids, or that it
// treats in some way of their own: line breaks other than LF and CRLF, and byte order marks.
func lettersOf(text []byte) (found letters, ok bool) {
	for i := 0; i < len(text); {
		if i+8 <= len(text) && isPrintable(binary.LittleEndian.Uint64(text[i:])) {
			i += 8
			continue
		}
		switch c := text[i]; {
		case c >= ' ' && c < 0x7f, c == '\n':
			i++
		case c == '\t':
			found.tabs = true
			i++
		case c == '\r':
			if i+1 == len(text) || text[i+1] != '\n' {
				return found, false
			}
			found.returns = true
			i++
		case c < utf8.RuneSelf:
			return found, false
		default:
			r, size := utf8.DecodeRune(text[i:])
			if r < 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfeff || r >= 0xfffd {
				return found, false
			}
			found.wide = true
			i += size
		}
	}
	return found, true
}

// isPrintable reports eight bytes of nothing but printable ASCII and line feeds, as nearly all are.
func isPrintable(w uint64) bool {
	// Adding 0x7f to a byte below 0x80 sets its high bit unless the byte is 0.
	const ones, highs, most = 0x0101010101010101, 0x8080808080808080, 0x7f7f7f7f7f7f7f7f
	control := ^(w&(0x60*ones) + most)
	lineFeed := ^(w ^ '\n'*ones + most)
	del := ^(w ^ most + most)
	return (w|control&^lineFeed|del)&highs == 0
}
