package manifest

import (
	"context"
	"fmt"
	"strings"

	"github.com/sut-bench/helmexec/internal/redact"
)

// Manifest is a stream of YAML documents, such as helm template prints. It is untrusted: every method limits
// the time and memory it spends on hostile input, and no method panics.
//
// A document that cannot be read does not lose the others: each method returns what it found in the rest, together
// with an error that joins one *DocumentError per unreadable document. After a thousand of them it reads no further,
// and the error is ErrOutputTooLarge as well.
//
// If a mapping repeats a key the last one wins, and a merge (<<) counts at its place, as in Helm and kubectl.
type Manifest []byte

// DocumentError is the failure to read one document of a manifest. errors.Is finds ErrBadManifest in it, and
// ErrOutputTooLarge if the document exceeds the limits on untrusted input: it is nested too deeply, has too many
// directives, or its aliases make it many times as large as its text.
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

// Objects decodes every document to the form that encoding/json gives (numbers are float64), by the same rules as
// Helm and kubectl read YAML. The items of a List are returned in its place. Documents without content are left out.
func (m Manifest) Objects() ([]map[string]any, error) {
	var objects []map[string]any
	err := m.read(context.Background(), func(doc *document) error {
		var value any
		if err := doc.pass.Decode(doc.text, &value); err != nil {
			return doc.fail(err)
		}
		switch value := value.(type) {
		case nil:
		case map[string]any:
			objects = appendObjects(objects, value)
		default:
			return doc.fail(fmt.Errorf("a %T where an object was expected", value))
		}
		return nil
	})
	return objects, err
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
