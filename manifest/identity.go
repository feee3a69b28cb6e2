package manifest

import (
	"bytes"
	"strings"

	"github.com/sut-bench/helmexec/internal/safeyaml"
	"github.com/sut-bench/helmexec/internal/yamlfast"
)

// space is what counts as white space in YAML; bytes.TrimSpace knows more, which are letters of a text there.
const space = " \t\r\n"

// scanIdentity reads apiVersion and kind of a document in block style without parsing it. It answers only where
// nothing else can be meant if the document is searchable: the top mapping starts in the first column, each of its lines
// there is a plain key, both keys occur once, and there are no items, which make it a list.
func (d *document) scanIdentity() (apiVersion, kind string) {
	var versions, kinds int
	begun, named := false, false // whether there was an entry, and whether the last one was one of the two
	text := bytes.TrimPrefix(d.Text, safeyaml.ByteOrderMark)
	for len(text) > 0 {
		line := text[:bytes.IndexByte(text, '\n')+1]
		if len(line) == 0 {
			line = text
		}
		text = text[len(line):]
		if begun && line[0] == ' ' || isBelowTop(line, begun) {
			if named && goesOn(line) {
				return "", ""
			}
			continue
		}
		key, value, ok := topEntry(line)
		if !ok {
			return "", ""
		}
		begun, named = true, string(key) == "apiVersion" || string(key) == "kind"
		switch string(key) {
		case "apiVersion":
			apiVersion, versions = plainScalar(value), versions+1
		case "kind":
			kind, kinds = plainScalar(value), kinds+1
		case "items":
			return "", ""
		}
	}
	if versions != 1 || kinds != 1 || apiVersion == "" || kind == "" || safeyaml.HasOddBreaks(d.Text) {
		return "", ""
	}
	return apiVersion, kind
}

// goesOn reports a line that may continue the text of an entry before it.
func goesOn(line []byte) bool {
	text := bytes.Trim(line, space)
	return len(text) > 0 && text[0] != '#'
}

// isBelowTop reports a line that is no entry of the top mapping: a blank one, a comment, or one that belongs to an entry
// before it. Before the first entry (begun is false) only blank lines and comments may be indented.
func isBelowTop(line []byte, begun bool) bool {
	switch line[0] {
	case '\n', '\r', '#':
		return true
	case ' ', '\t':
		text := bytes.Trim(line, space)
		return begun || len(text) == 0 || text[0] == '#'
	case '-': // an item of a list that is not indented
		return begun && len(line) > 1 && line[1] == ' '
	}
	return false
}

// topEntry splits an entry in the first column. ok is false where its key is no plain word.
func topEntry(line []byte) (key, value []byte, ok bool) {
	key, value, found := bytes.Cut(line, []byte{':'})
	ok = found && len(key) > 0 && isPlainWord(key) && (len(value) == 0 || strings.IndexByte(" \r\n", value[0]) >= 0)
	return key, value, ok
}

func isPlainWord(b []byte) bool {
	for _, c := range b {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

// plainScalar gives the value of a string that takes one line and needs no unescaping, else "".
func plainScalar(value []byte) string {
	if comment := bytes.Index(value, []byte(" #")); comment >= 0 {
		value = value[:comment]
	}
	value = bytes.Trim(value, space)
	if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
		value = value[1 : n-1]
	} else if _, tag := yamlfast.Resolve(string(value)); tag != "!!str" {
		return ""
	}
	for _, c := range value {
		if !(c == '/' || c == '.' || c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z') {
			return ""
		}
	}
	return string(value)
}
