package manifest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	yamlnode "go.yaml.in/yaml/v3"

	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/safeyaml"
	"github.com/sut-bench/helmexec/internal/yamlfast"
)

// document is one document of a stream, not parsed yet.
type document struct {
	number int    // from 1
	line   int    // of the stream, from 1, at which text starts
	offset int    // of text in the stream
	text   []byte // without the marker lines around it
	pass   *safeyaml.Pass
}

// maxBad is how many unreadable documents of a manifest are reported. Each costs far more than its few bytes.
const maxBad = 1000

var errTooManyBad = fmt.Errorf("%w: more than %d documents; those behind them were not read: %w", ErrBadManifest, maxBad, ErrOutputTooLarge)

// read visits the documents in their order and joins the errors. It ends with the context's error when that ends, and
// stops when too many documents are bad.
func (m Manifest) read(ctx context.Context, visit func(*document) error) error {
	pass := safeyaml.NewPass(ctx, len(m))
	var errs []error
	for doc := range m.documents() {
		doc.pass = pass
		err := ctx.Err()
		if err == nil {
			err = visit(doc)
		}
		switch {
		case ctx.Err() != nil:
			return errdef.ContextError(ctx)
		case err == nil:
		case len(errs) == maxBad:
			return errors.Join(append(errs, errTooManyBad)...)
		default:
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

var lineInError = regexp.MustCompile(`^(?:error converting YAML to JSON: )?yaml: line (\d+):`)

// fail makes the error of the document. Lines that the parser names are counted from the start of the stream.
func (d *document) fail(err error) error {
	if at := lineInError.FindStringSubmatchIndex(err.Error()); at != nil {
		text := err.Error()
		if line, convErr := strconv.Atoi(text[at[2]:at[3]]); convErr == nil {
			err = errors.New(text[:at[2]] + strconv.Itoa(d.line+line-1) + text[at[3]:])
		}
	}
	apiVersion, kind := d.scanIdentity()
	group, version := SplitAPIVersion(apiVersion)
	return &DocumentError{
		Document: d.number, Line: d.line, Err: err,
		Object: ObjectRef{Group: group, Version: version, Kind: kind},
	}
}

// nodes parses the document. Nearly always it is one node; a document with line breaks that only YAML knows (a lone
// carriage return) may hold several, and none may get lost.
func (d *document) nodes() ([]*yamlnode.Node, error) {
	if node, ok := yamlfast.Parse(d.pass.Context(), d.text); ok {
		return []*yamlnode.Node{node}, nil
	}
	nodes, err := d.pass.Parse(d.text)
	if err != nil {
		err = d.fail(err)
	}
	return nodes, err
}

// searchable reports that a document is well-formed and that a search of its bytes finds the keys in it.
func (d *document) searchable() bool { return yamlfast.Searchable(d.pass.Context(), d.text) }

// documents splits the stream at its marker lines. YAML allows `---` and `...` at the start of a line nowhere but
// between documents, not even in a block or quoted scalar, so the split needs no parser.
func (m Manifest) documents() func(yield func(*document) bool) {
	return func(yield func(*document) bool) {
		markers := markers{text: m, dashes: -1, dots: -1}
		number, line := 0, 1
		for start := 0; start < len(m); {
			end, next := markers.after(start)
			text := m[start:end]
			if isBlank(text) {
				// A prologue: directives belong to the document after the marker.
				if bytes.IndexByte(text, '%') >= 0 && next < len(m) {
					end, next = markers.after(next)
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

// markers finds the marker lines of a stream, one after the other. It remembers how far it has looked for each of the
// two, since there may be many of one and few of the other.
type markers struct {
	text         []byte
	dashes, dots int // of the next line that starts with them; len(text) if there is none
}

// after finds the end of the document that starts at start, and where the next one starts: behind the marker, which may
// share its line with content (`--- {}`) or with a comment.
func (m *markers) after(start int) (end, next int) {
	if start == 0 {
		if bytes.HasPrefix(m.text, safeyaml.ByteOrderMark) {
			start = len(safeyaml.ByteOrderMark)
		}
		if m.marks(start) {
			return start, start + 3
		}
	}
	for at := start; ; {
		m.dashes = m.find("\n---", m.dashes, at)
		m.dots = m.find("\n...", m.dots, at)
		if at = min(m.dashes, m.dots); at == len(m.text) || m.marks(at) {
			return at, min(at+3, len(m.text))
		}
	}
}

// find gives the start of the first line behind a position that begins as wanted. known is what it gave last.
func (m *markers) find(wanted string, known, behind int) int {
	if known > behind {
		return known
	}
	if i := bytes.Index(m.text[behind:], []byte(wanted)); i >= 0 {
		return behind + i + 1
	}
	return len(m.text)
}

// marks reports a marker at the start of a line.
func (m *markers) marks(at int) bool {
	rest := m.text[at:]
	if !bytes.HasPrefix(rest, []byte("---")) && !bytes.HasPrefix(rest, []byte("...")) {
		return false
	}
	return len(rest) == 3 || strings.IndexByte(" \t\r\n", rest[3]) >= 0
}

// isBlank reports whether the text holds nothing but white space, comments and directives.
func isBlank(text []byte) bool {
	text = bytes.TrimPrefix(text, safeyaml.ByteOrderMark)
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
