package manifest

import "bytes"

// mayMatter tells from the bytes of a document whether it can hold an image, if its keys are spelled as they read.
func (f *imageFinder) mayMatter(doc *document) bool {
	apiVersion, kind := doc.scanIdentity()
	if kind == "" {
		return true
	}
	group, _ := SplitAPIVersion(apiVersion)
	switch scopeOf(group, kind) {
	case scopeNothing:
		return false
	case scopeConfig, scopePolicy:
		return f.hints
	case scopeSchema:
		return f.hints && mayHaveDefaultImage(doc.Text)
	}
	named := f.hints || containsWord(doc.Text, f.words.fields)
	if scopeOf(group, kind) == scopeTyped {
		return named
	}
	return named || containsWord(doc.Text, f.words.groups) || mayHoldImages(doc.Text)
}

// mayHoldImages reports text in which two words may be references with a registry and a version, which make a mapping
// one of images.
func mayHoldImages(text []byte) bool {
	found := 0
	for at := 0; at < len(text) && found < 2; {
		slash := bytes.IndexByte(text[at:], '/')
		if slash < 0 {
			break
		}
		start, end := at+slash, at+slash
		for start > at && text[start-1] != '\n' && isReferenceByte(text[start-1]) {
			start--
		}
		for end < len(text) && isReferenceByte(text[end]) {
			end++
		}
		if bytes.ContainsAny(text[start:at+slash], ".:") && bytes.ContainsAny(text[at+slash:end], ":@") {
			found++
		}
		at = max(end, at+slash+1)
	}
	return found == 2
}

// mayHaveDefaultImage reports a definition of a custom resource in which a field that is called like an image may have a
// default. Nearly no definition has one, and they are long.
func mayHaveDefaultImage(text []byte) bool {
	word := []byte("default")
	if !bytes.Contains(text, []byte("mage")) {
		return false
	}
	for at := 0; ; {
		next := bytes.Index(text[at:], word)
		if next < 0 {
			return false
		}
		start := at + next
		at = start + len(word)
		if at == len(text) || text[at] >= 'A' { // a longer word
			continue
		}
		after := bytes.TrimLeft(text[at:min(len(text), at+8)], "\"' ")
		if len(after) > 0 && after[0] == ':' && mayBeDefaultImage(text, start, at) {
			return true
		}
	}
}

// mayBeDefaultImage is mayHaveDefaultImage for the key default at a position: in block style, for a field that is not
// called like an image, a scalar is none.
func mayBeDefaultImage(text []byte, start, end int) bool {
	const maxLines = 64
	line := bytes.LastIndexByte(text[:start], '\n') + 1
	indentation := start - line
	if len(bytes.TrimLeft(text[line:start], " ")) > 0 {
		return true
	}
	value, _, _ := bytes.Cut(text[end:], []byte("\n"))
	switch value = bytes.TrimSpace(value[bytes.IndexByte(value, ':')+1:]); string(value) {
	case "{}", "[]", `""`, "''", "true", "false":
		return false
	}
	if len(value) == 0 || bytes.IndexByte([]byte("{[&*!|>#"), value[0]) >= 0 {
		return true
	}
	for range maxLines {
		if line == 0 {
			return true
		}
		before := bytes.LastIndexByte(text[:line-1], '\n') + 1
		content := bytes.TrimLeft(text[before:line-1], " ")
		if indent := line - 1 - before - len(content); len(content) > 0 && indent < indentation {
			return bytes.Contains(content, []byte("mage"))
		}
		line = before
	}
	return true
}
