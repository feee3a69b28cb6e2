package manifest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/sut-bench/helmexec/internal/safeyaml"
)

// Document is one document of a manifest.
type Document struct {
	// Text is the document as a stream of its own.
	Text Manifest
	// Objects are what Kubernetes decodes from the text, as Manifest.Objects gives them but with numbers as json.Number.
	Objects []map[string]any
}

// Canonical writes every document anew as Kubernetes decodes it: block style, keys sorted, without comments, anchors,
// merges and repeated keys. Nobody can read such a text in two ways. Documents without content are left out; a List
// stays one document.
//
// Unlike the other methods it gives nothing if a document is bad: what was left out could be what matters.
// ErrBadManifest, also for a text that Helm would change ("<no value>").
func (m Manifest) Canonical(ctx context.Context) ([]Document, error) {
	var all []Document
	err := m.read(ctx, func(doc *document) error {
		object, _, err := doc.decode()
		if err != nil || object == nil {
			return err
		}
		document, err := canonical(object, len(doc.Text))
		if err != nil {
			return doc.fail(err)
		}
		all = append(all, document)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// noValue is what Helm removes from everything that it renders: Go writes it for a value that is missing.
const noValue = "<no value>"

// canonical writes an object that was read from a number of bytes.
func canonical(object map[string]any, size int) (d Document, err error) {
	if room := minIndentation + indentationPerByte*size; indentation(object, 0, room) > room {
		return d, errTooIndented
	}
	if err := checkHead(object); err != nil {
		return d, err
	}
	if d.Text, err = yaml.Marshal(object); err != nil {
		return d, err
	}
	var again map[string]any
	if err := yaml.Unmarshal(d.Text, &again, safeyaml.UseNumber); err != nil || !sameValue(object, again) {
		return d, errors.New("it cannot be written so that it reads the same")
	}
	if bytes.Contains(d.Text, []byte(noValue)) {
		return d, fmt.Errorf("it contains the text %q, which Helm removes", noValue)
	}
	d.Objects = decodedObjects(again)
	return d, nil
}

// checkHead refuses keys that Helm, which does not mind their case, takes for others that name an object or make it a
// hook. Kubernetes does mind it.
func checkHead(object map[string]any) error {
	metadata, _ := object["metadata"].(map[string]any)
	for _, level := range []struct {
		keys map[string]any
		head []string
	}{{object, []string{"apiVersion", "kind", "metadata"}}, {metadata, []string{"name", "annotations"}}} {
		for key := range level.keys {
			for _, known := range level.head {
				if key != known && strings.EqualFold(key, known) {
					return fmt.Errorf("it has the key %q, which Helm reads as %q", key, known)
				}
			}
		}
	}
	return nil
}

// sameValue reports whether two decoded values say the same. A number may be spelled in two ways.
func sameValue(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for key, value := range a {
			if other, found := b[key]; !found || !sameValue(value, other) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !sameValue(a[i], b[i]) {
				return false
			}
		}
		return true
	case json.Number:
		b, ok := b.(json.Number)
		if a == b || !ok {
			return ok
		}
		x, err := a.Float64()
		y, otherErr := b.Float64()
		return err == nil && otherErr == nil && x == y
	}
	return reflect.DeepEqual(a, b)
}
