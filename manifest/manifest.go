package manifest

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/sut-bench/helmexec/internal/redact"
)

// Manifest is a stream of YAML documents, such as helm template prints. It is untrusted: every method limits
// the time and memory it spends on hostile input, and no method panics.
//
// A document that cannot be read does not lose the others: each method returns what it found in the rest, together
// with an error that joins one *DocumentError per unreadable document. After a thousand of them it reads no further,
// and the error is ErrOutputTooLarge as well.
//
// A manifest says what Kubernetes makes of it when Helm or kubectl sends it: numbers by YAML 1.1 (010 is 8), the last of
// two equal keys, merges (<<) at their place, and an object with a field items is a list of objects. A document that
// Helm, Kubernetes and other readers of YAML understand differently is refused instead of guessed at.
type Manifest []byte

// DocumentError is the failure to read one document of a manifest. errors.Is finds ErrBadManifest in it, and
// ErrOutputTooLarge if the document exceeds the limits on untrusted input: it has more than 3 MiB, is nested too deeply, has too
// many directives, or its aliases make it many times as large as its text.
type DocumentError struct {
	Document int       // its number in the stream, from 1; documents without content are not counted
	Line     int       // line of the stream on which it starts, from 1
	Object   ObjectRef // what it describes, as far as that is known
	Err      error
}

func (e *DocumentError) Error() string {
	object := ""
	if e.Object != (ObjectRef{}) {
		object = " (" + e.Object.String() + ")"
	}
	return fmt.Sprintf("manifest document %d at line %d%s: %s", e.Document, e.Line, object, redact.Printable(e.Err.Error()))
}

// Unwrap returns ErrBadManifest and the cause.
func (e *DocumentError) Unwrap() []error { return []error{ErrBadManifest, e.Err} }

// Document is one document of a manifest, as Kubernetes decodes it: numbers are json.Number.
type Document struct {
	// Text is the document as a stream of its own.
	Text Manifest
	// Whole is what the document holds. Helm looks for its annotations (helm.sh/hook, helm.sh/resource-policy) here only:
	// those of a List count, those of its items do not.
	Whole map[string]any
	// Objects are Whole, or its items where it is a list, with the kind and apiVersion that Kubernetes gives them.
	Objects []map[string]any
}

// Documents decodes every document. Those without content are left out.
//
// Documents that cannot be read are reported in the error.
func (m Manifest) Documents() ([]Document, error) {
	var all []Document
	err := m.read(context.Background(), func(doc *document) error {
		whole, objects, err := doc.decode()
		if whole != nil {
			all = append(all, Document{Manifest(doc.Text), whole, objects})
		}
		return err
	})
	return all, err
}

// Objects decodes every document to the form that encoding/json gives (numbers are float64), as Kubernetes reads it. The
// items of a list are returned in its place, with the kind and apiVersion that Kubernetes gives them. Documents without
// content are left out.
func (m Manifest) Objects() ([]map[string]any, error) {
	documents, err := m.Documents()
	var objects []map[string]any
	for _, document := range documents {
		for _, object := range document.Objects {
			objects = append(objects, withFloats(object).(map[string]any))
		}
	}
	return objects, err
}

// withFloats turns the numbers of a decoded value into float64.
func withFloats(value any) any {
	switch value := value.(type) {
	case json.Number:
		number, _ := value.Float64() // the decoder got it from one
		return number
	case map[string]any:
		for key, below := range value {
			value[key] = withFloats(below)
		}
	case []any:
		for i, below := range value {
			value[i] = withFloats(below)
		}
	}
	return value
}
