package safeyaml

import (
	"bytes"
	"errors"
	"iter"
)

// Document is a document of a stream.
type Document struct {
	Text   []byte
	Offset int // of Text in the stream
	Line   int // of the stream, from 1, on which Text starts
	Start  int // line of the marker before it; Line if there is none
	// Refused is why Helm and Kubernetes may read another text than this one; nil if they do not.
	Refused error
}

var (
	errBehindMarker = errors.New("text behind --- on the same line, which Helm and Kubernetes read differently: write it on a line of its own")
	errMark         = errors.New("a byte order mark behind ---, which readers of YAML take differently: remove it")
	errBehindEnd    = errors.New("text behind the end of the document (...), which Kubernetes does not read: begin a new document with ---")
)

// Documents splits a stream as Kubernetes does: every line that starts with --- ends a document. Documents without
// content are left out.
func Documents(stream []byte) iter.Seq[Document] {
	return func(yield func(Document) bool) {
		doc := Document{Line: 1, Start: 1}
		if mark := len(ByteOrderMark); bytes.HasPrefix(stream, ByteOrderMark) && bytes.HasPrefix(stream[mark:], dashes) {
			doc.Offset = mark
			doc.afterMarker(stream)
		}
		for {
			end := nextMarker(stream, doc.Offset)
			doc.Text = stream[doc.Offset:end]
			lines := bytes.Count(doc.Text, []byte{'\n'})
			doc.cutEnd()
			if doc.Offset > 0 && doc.Refused == nil && bytes.HasPrefix(doc.Text, ByteOrderMark) {
				doc.Refused = errMark
			}
			if doc.Refused != nil || !isBlank(bytes.TrimPrefix(doc.Text, ByteOrderMark)) {
				if !yield(doc) {
					return
				}
			}
			if end == len(stream) {
				return
			}
			line := doc.Line + lines
			doc = Document{Offset: end, Line: line, Start: line}
			doc.afterMarker(stream)
		}
	}
}

var dashes = []byte("---")

// nextMarker finds the next line that starts with dashes, from the start of a line on.
func nextMarker(stream []byte, from int) int {
	if bytes.HasPrefix(stream[from:], dashes) && (from == 0 || stream[from-1] == '\n') {
		return from
	}
	if i := bytes.Index(stream[from:], []byte("\n---")); i >= 0 {
		return from + i + 1
	}
	return len(stream)
}

// afterMarker begins the document behind the marker at its offset: on the next line or, where the line of the marker
// has text, right behind the dashes.
func (d *Document) afterMarker(stream []byte) {
	d.Offset += len(dashes)
	rest := stream[d.Offset:]
	if i := bytes.IndexByte(rest, '\n'); i >= 0 {
		rest = rest[:i+1]
	}
	if !isBlank(rest) {
		d.Refused = errBehindMarker
		return
	}
	d.Offset += len(rest)
	d.Line++
}

// cutEnd ends the document at the first line of dots.
func (d *Document) cutEnd() {
	for at := 0; ; {
		if rest := d.Text[at:]; bytes.HasPrefix(rest, []byte("...")) && (len(rest) == 3 || isSpace(rest[3])) {
			if !isBlank(rest[3:]) && d.Refused == nil {
				d.Refused = errBehindEnd
			}
			d.Text = d.Text[:at]
			return
		}
		i := bytes.Index(d.Text[at:], []byte("\n..."))
		if i < 0 {
			return
		}
		at += i + 1
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// isBlank reports text without content: white space, comments and ends of documents.
func isBlank(text []byte) bool {
	for line := range bytes.Lines(text) {
		rest := bytes.TrimLeft(line, " \t\r\n")
		if bytes.HasPrefix(line, []byte("...")) && (len(line) == 3 || isSpace(line[3])) {
			rest = bytes.TrimLeft(line[3:], " \t\r\n")
		}
		if len(rest) > 0 && (rest[0] != '#' || HasOddBreaks(rest)) {
			return false
		}
	}
	return true
}
