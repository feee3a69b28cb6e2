package helmtext

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
)

// PrintedRelease is what is kept of a release that helm printed with --output=json. There are no labels in it.
type PrintedRelease struct {
	Name, Namespace string
	Version         int // the revision
	Info            struct {
		FirstDeployed string `json:"first_deployed"`
		LastDeployed  string `json:"last_deployed"`
		Status        string
		Description   string
		Notes         string
	}
	Chart struct {
		Metadata struct{ Name, Version, AppVersion string }
	}
}

// ParseRelease reads a release that helm printed with --output=json. Text before or after it is an error.
func ParseRelease(out []byte) (*PrintedRelease, error) {
	var rel PrintedRelease
	if err := json.Unmarshal(out, &rel); err != nil {
		return nil, err
	}
	return &rel, nil
}

// Unrecorded reports whether an install of Helm 4 that succeeded may not have recorded that: it says so in its log, as its
// last words. Helm 3 does not say it.
func Unrecorded(stderr string) bool {
	return strings.Contains(stderr, "failed to record the release") || strings.HasPrefix(stderr, CutMark)
}

// WithoutContent returns a writer for a release that helm prints with --output=json. It passes on what PrintedRelease needs;
// everything that a chart can make large, such as its files and the manifest, becomes null. It passes on all other text.
func WithoutContent(to io.Writer) io.Writer { return &withoutContent{to: to} }

type withoutContent struct {
	to     io.Writer
	passed []byte // by this Write
	depth  int    // of objects and lists
	skip   int    // the depth of the object with a value that is being left out, 0 for none
	chart  bool   // what is at depth 2 is of the chart

	text    bool // within a string
	escaped bool // after a backslash in it
	isKey   bool // it may be a key at depth 1 or 2
	key     []byte
	awaits  bool // a key
}

func (w *withoutContent) Write(p []byte) (int, error) {
	w.passed = w.passed[:0]
	for _, b := range p {
		w.next(b)
	}
	if len(w.passed) > 0 {
		if _, err := w.to.Write(w.passed); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (w *withoutContent) next(b byte) {
	if w.text {
		w.inText(b)
	} else {
		w.between(b)
	}
}

func (w *withoutContent) inText(b byte) {
	switch {
	case w.escaped:
		w.escaped = false
	case b == '\\':
		w.escaped = true
	case b == '"':
		w.text = false
	}
	if w.text && w.isKey && len(w.key) <= len("namespace") {
		w.key = append(w.key, b)
	}
	w.pass(b)
}

func (w *withoutContent) between(b byte) {
	switch b {
	case '"':
		w.text, w.isKey = true, w.awaits && w.depth <= 2
		if w.isKey {
			w.key = w.key[:0]
		}
	case '{', '[':
		w.depth++
		w.awaits = b == '{'
	case '}', ']', ',':
		if w.skip == w.depth {
			w.skip = 0
		}
		if w.awaits = b == ','; !w.awaits {
			w.depth--
		}
	case ':':
		if w.awaits = false; w.skip == 0 && w.large() {
			w.passed = append(w.passed, ":null"...)
			w.skip = w.depth
		}
	}
	w.pass(b)
}

func (w *withoutContent) pass(b byte) {
	if w.skip == 0 {
		w.passed = append(w.passed, b)
	}
}

// wanted are the keys of a release that are not large.
var wanted = [][]byte{[]byte("name"), []byte("namespace"), []byte("version"), []byte("info"), []byte("chart")}

// large reports whether the value of the last key is left out.
func (w *withoutContent) large() bool {
	switch w.depth {
	case 1:
		w.chart = bytes.Equal(w.key, []byte("chart"))
		for _, key := range wanted {
			if bytes.Equal(w.key, key) {
				return false
			}
		}
		return true
	case 2:
		return w.chart && !bytes.Equal(w.key, []byte("metadata"))
	}
	return false
}
