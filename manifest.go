package helmexec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	yamlnode "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"

	"github.com/sut-bench/helmexec/internal/redact"
)

// Manifest is a stream of YAML documents, such as helm template prints. It is data from outside: every method
// bounds the time and memory it spends on hostile input, and no method panics.
//
// A document that cannot be read does not lose the others: each method returns what it found in the rest, together
// with an error that joins one *DocumentError per unreadable document.
//
// Where a mapping repeats a key the last one wins, which is what Helm and kubectl make of it.
type Manifest []byte

// DocumentError is the failure to read one document of a manifest. errors.Is finds ErrBadManifest in it, and
// ErrOutputTooLarge when the document expands past the bounds set on untrusted input.
type DocumentError struct {
	Document int       // its number in the stream, from 1; documents without content are not counted
	Line     int       // line of the stream on which it starts, from 1
	Object   ObjectRef // what it describes, as far as that could be told
	Err      error
}

func (e *DocumentError) Error() string {
	object := ""
	if e.Object != (ObjectRef{}) {
		object = " (" + e.Object.String() + ")"
	}
	return fmt.Sprintf("manifest document %d at line %d%s: %s", e.Document, e.Line, object, redact.Printable(e.Err.Error()))
}

// Unwrap gives ErrBadManifest and the cause.
func (e *DocumentError) Unwrap() []error { return []error{ErrBadManifest, e.Err} }

// Objects decodes every document to the form that encoding/json gives (numbers are float64), by the same rules as
// Helm and kubectl read YAML. The items of a List are returned in its place. Documents without content are left out.
func (m Manifest) Objects() ([]map[string]any, error) {
	var objects []map[string]any
	var errs []error
	for doc := range m.documents() {
		var value any
		if err := yaml.Unmarshal(doc.text, &value); err != nil {
			errs = append(errs, doc.fail(err))
			continue
		}
		switch value := value.(type) {
		case nil:
		case map[string]any:
			objects = appendObjects(objects, value)
		default:
			errs = append(errs, doc.fail(fmt.Errorf("a %T where an object was expected", value)))
		}
	}
	return objects, errors.Join(errs...)
}

func appendObjects(objects []map[string]any, object map[string]any) []map[string]any {
	kind, _ := object["kind"].(string)
	items, isList := object["items"].([]any)
	if !isList || !strings.HasSuffix(kind, "List") {
		return append(objects, object)
	}
	for _, item := range items {
		if item, ok := item.(map[string]any); ok {
			objects = appendObjects(objects, item)
		}
	}
	return objects
}

var lineInError = regexp.MustCompile(`^(?:error converting YAML to JSON: )?yaml: line (\d+):`)

// document is one document of a stream, not parsed yet.
type document struct {
	number int    // from 1
	line   int    // of the stream, from 1, at which text starts
	offset int    // of text in the stream
	text   []byte // without the marker lines around it
}

// fail makes the error of the document. Lines that the parser names are counted from the start of the stream.
func (d *document) fail(err error) error {
	if at := lineInError.FindStringSubmatchIndex(err.Error()); at != nil {
		text := err.Error()
		if line, convErr := strconv.Atoi(text[at[2]:at[3]]); convErr == nil {
			err = errors.New(text[:at[2]] + strconv.Itoa(d.line+line-1) + text[at[3]:])
		}
	}
	apiVersion, kind := d.scanIdentity()
	group, version := splitAPIVersion(apiVersion)
	return &DocumentError{
		Document: d.number, Line: d.line, Err: err,
		Object: ObjectRef{Group: group, Version: version, Kind: kind},
	}
}

// nodes parses the document. Nearly always it is one node; a document with line breaks that only YAML knows (a lone
// carriage return) may hold several, and none may get lost.
func (d *document) nodes() ([]*yamlnode.Node, error) {
	if node, ok := parseSimple(d.text); ok {
		return []*yamlnode.Node{node}, nil
	}
	if !hasOddBreaks(d.text) {
		node := new(yamlnode.Node)
		if err := yamlnode.Unmarshal(d.text, node); err != nil {
			return nil, d.fail(err)
		}
		return []*yamlnode.Node{node}, nil
	}
	var nodes []*yamlnode.Node
	for decoder := yamlnode.NewDecoder(bytes.NewReader(d.text)); ; {
		node := new(yamlnode.Node)
		switch err := decoder.Decode(node); {
		case err == io.EOF:
			return nodes, nil
		case err != nil:
			return nodes, d.fail(err)
		}
		nodes = append(nodes, node)
	}
}

// documents splits the stream at its marker lines. YAML allows `---` and `...` at the start of a line nowhere but
// between documents, not even in a block or quoted scalar, so the split needs no parser.
func (m Manifest) documents() func(yield func(*document) bool) {
	return func(yield func(*document) bool) {
		number, line := 0, 1
		for start := 0; start < len(m); {
			end, next := nextMarker(m, start)
			text := m[start:end]
			if isBlank(text) {
				// A prologue: directives belong to the document after the marker.
				if bytes.IndexByte(text, '%') >= 0 && next < len(m) {
					end, next = nextMarker(m, next)
					text = m[start:end]
				}
			}
			if !isBlank(text) {
				number++
				if !yield(&document{number: number, line: line, offset: start, text: text}) {
					return
				}
			}
			line += bytes.Count(m[start:next], []byte{'\n'})
			start = next
		}
	}
}

var byteOrderMark = []byte("\ufeff")

// nextMarker finds the end of the document that starts at start, and where the next one starts: behind the marker,
// which may share its line with content (`--- {}`) or with a comment.
func nextMarker(m []byte, start int) (end, next int) {
	atMarker := func(at int) bool {
		rest := m[at:]
		if !bytes.HasPrefix(rest, []byte("---")) && !bytes.HasPrefix(rest, []byte("...")) {
			return false
		}
		return len(rest) == 3 || strings.IndexByte(" \t\r\n", rest[3]) >= 0
	}
	at := start
	for {
		if start == at && at == 0 && bytes.HasPrefix(m, byteOrderMark) {
			at = len(byteOrderMark)
		}
		if (at == 0 || m[at-1] == '\n' || at == len(byteOrderMark)) && atMarker(at) {
			return at, at + 3
		}
		dashes, dots := bytes.Index(m[at:], []byte("\n---")), -1
		if dashes >= 0 {
			dots = bytes.Index(m[at:at+dashes], []byte("\n..."))
		} else {
			dots = bytes.Index(m[at:], []byte("\n..."))
		}
		switch {
		case dots >= 0:
			at += dots + 1
		case dashes >= 0:
			at += dashes + 1
		default:
			return len(m), len(m)
		}
	}
}

// isBlank reports whether the text holds nothing but white space, comments and directives.
func isBlank(text []byte) bool {
	text = bytes.TrimPrefix(text, byteOrderMark)
	for len(text) > 0 {
		line := text
		if end := bytes.IndexByte(text, '\n'); end >= 0 {
			line, text = text[:end], text[end+1:]
		} else {
			text = nil
		}
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] != '#' && line[0] != '%' {
			return false
		}
	}
	return true
}

// scanIdentity reads apiVersion and kind of a document in block style without parsing it. It answers only where
// nothing else can be meant: the top mapping starts in the first column, each of its lines there is a plain key, and
// both keys occur once. A text made to look like another kind to this scan and not to a parser fails that, and gets
// parsed.
func (d *document) scanIdentity() (apiVersion, kind string) {
	var versions, kinds int
	text := bytes.TrimPrefix(d.text, byteOrderMark)
	first := true
	for len(text) > 0 {
		line := text
		if end := bytes.IndexByte(text, '\n'); end >= 0 {
			line, text = text[:end], text[end+1:]
		} else {
			text = nil
		}
		if len(line) == 0 || line[0] == '#' || line[0] == '\r' {
			continue
		}
		if line[0] == ' ' || line[0] == '\t' {
			if first && len(bytes.TrimSpace(line)) > 0 && bytes.TrimSpace(line)[0] != '#' {
				return "", ""
			}
			continue
		}
		if line[0] == '-' && len(line) > 1 && line[1] == ' ' && !first {
			continue // an item of a list that is not indented
		}
		first = false
		colon := bytes.IndexByte(line, ':')
		if colon < 1 || !isPlainWord(line[:colon]) {
			return "", ""
		}
		value := line[colon+1:]
		if len(value) > 0 && value[0] != ' ' && value[0] != '\r' {
			return "", ""
		}
		switch string(line[:colon]) {
		case "apiVersion":
			apiVersion, versions = plainScalar(value), versions+1
		case "kind":
			kind, kinds = plainScalar(value), kinds+1
		}
	}
	if versions != 1 || kinds != 1 || apiVersion == "" || kind == "" || hasOddBreaks(d.text) {
		return "", ""
	}
	return apiVersion, kind
}

// hasOddBreaks reports line breaks other than LF and CRLF: YAML 1.1 has four more.
func hasOddBreaks(text []byte) bool {
	return bytes.Count(text, []byte{'\r'}) != bytes.Count(text, []byte("\r\n")) ||
		bytes.Contains(text, []byte("\u0085")) || bytes.Contains(text, []byte("\u2028")) || bytes.Contains(text, []byte("\u2029"))
}

func isPlainWord(b []byte) bool {
	for _, c := range b {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

// plainScalar gives the value of a scalar that takes one line and needs no unescaping, else "".
func plainScalar(value []byte) string {
	if comment := bytes.Index(value, []byte(" #")); comment >= 0 {
		value = value[:comment]
	}
	value = bytes.TrimSpace(value)
	if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
		value = value[1 : n-1]
	}
	for _, c := range value {
		if !(c == '/' || c == '.' || c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z') {
			return ""
		}
	}
	return string(value)
}

// hidesKeys reports whether keys of the text could be spelled so that a byte search misses them: by an escape in
// double quotes, or in another encoding.
func hidesKeys(text []byte) bool {
	return bytes.Contains(text, []byte(`\u00`)) || bytes.Contains(text, []byte(`\U00`)) ||
		bytes.Contains(text, []byte(`\x`)) || bytes.IndexByte(text, 0) >= 0 ||
		bytes.HasPrefix(text, []byte{0xfe, 0xff}) || bytes.HasPrefix(text, []byte{0xff, 0xfe}) ||
		bytes.Contains(text, []byte("\\\n")) || bytes.Contains(text, []byte("\\\r"))
}
