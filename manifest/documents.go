package manifest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	yamlnode "go.yaml.in/yaml/v3"

	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/pattern"
	"github.com/sut-bench/helmexec/internal/safeyaml"
	"github.com/sut-bench/helmexec/internal/yamlfast"
)

// document is one document of a stream, not parsed yet.
type document struct {
	safeyaml.Document
	number int // from 1
	pass   *safeyaml.Pass
	helm   map[string]string       // once it was read: the annotations of Helm, which it looks for at its root only
	hooks  []string                // once it was read: the events of helm.sh/hook
	keys   map[*yamlnode.Node]bool // once it was read: keys whose text is that of something else too
}

// maxBad is how many unreadable documents of a manifest are reported. Each costs far more than its few bytes.
const maxBad = 1000

// maxDocument is how much an API server takes in one request, so no object is larger. Hostile YAML takes a few hundred times its
// size while it is read.
const maxDocument = 3 << 20

var errTooLong = fmt.Errorf("it has more than the %d MiB that an API server takes in one request: %w", maxDocument>>20, ErrOutputTooLarge)

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

var lineInError = pattern.New(`^(?:error converting YAML to JSON: )?yaml: line (\d+):`)

// fail makes the error of the document. Lines that the parser names are counted from the start of the stream.
func (d *document) fail(err error) error {
	if at := lineInError().FindStringSubmatchIndex(err.Error()); at != nil {
		text := err.Error()
		if line, convErr := strconv.Atoi(text[at[2]:at[3]]); convErr == nil {
			err = errors.New(text[:at[2]] + strconv.Itoa(d.Line+line-1) + text[at[3]:])
		}
	}
	apiVersion, kind := d.scanIdentity()
	group, version := SplitAPIVersion(apiVersion)
	return &DocumentError{
		Document: d.number, Line: d.Start, Err: err,
		Object: ObjectRef{Group: group, Version: version, Kind: kind},
	}
}

// searchable reports that a document is well-formed and that a search of its bytes finds the keys in it.
func (d *document) searchable() bool {
	return d.Refused == nil && yamlfast.Searchable(d.pass.Context(), d.Text)
}

// documents splits the stream.
func (m Manifest) documents() func(yield func(*document) bool) {
	return func(yield func(*document) bool) {
		number := 0
		for doc := range safeyaml.Documents(m) {
			number++
			if !yield(&document{Document: doc, number: number}) {
				return
			}
		}
	}
}

// readAnnotations reads those of Helm from the root of the document.
func (d *document) readAnnotations(root *yamlnode.Node) {
	d.helm, d.hooks = nil, nil
	annotations := resolve(get(get(root, "metadata"), "annotations"))
	for _, key := range []string{hookAnnotation, "helm.sh/hook-weight", "helm.sh/hook-delete-policy", "helm.sh/resource-policy"} {
		if value := get(annotations, key); value != nil {
			if d.helm == nil {
				d.helm = map[string]string{}
			}
			d.helm[key] = scalar(value)
		}
	}
	if events := d.helm[hookAnnotation]; events != "" {
		seen := make(map[string]bool)
		for event := range strings.SplitSeq(events, ",") {
			if event = strings.TrimSpace(event); !seen[event] {
				seen[event] = true
				d.hooks = append(d.hooks, event)
			}
		}
	}
}

const hookAnnotation = "helm.sh/hook"
