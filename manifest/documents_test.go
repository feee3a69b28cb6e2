package manifest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// readers of manifests that report what they cannot read.
var manifestReaders = map[string]func(Manifest) error{
	"Objects":     func(m Manifest) error { _, err := m.Objects(); return err },
	"Images":      func(m Manifest) error { _, err := m.Images(ImageOptions{}); return err },
	"ImageReport": func(m Manifest) error { _, err := m.ImageReport(ImageOptions{}); return err },
	"GPUs":        func(m Manifest) error { _, err := m.GPUs(GPUOptions{}); return err },
	"Retag":       func(m Manifest) error { _, _, err := m.Retag(toMirror, RetagOptions{}); return err },
}

// A document that cannot be read is reported by everyone, whatever its kind and whether or not it says anything that
// the reader looks for.
func TestBrokenDocumentIsReported(t *testing.T) {
	const service = "apiVersion: v1\nkind: Service\nmetadata:\n  name: s\n"
	for _, test := range []struct{ name, broken string }{
		{"a mapping in a value", service + "spec: a: b\n"},
		{"an unclosed list", service + "spec: [a\n"},
		{"an unclosed quote", service + "spec: \"a\n"},
		{"a key too far to the left", service + "spec:\n    a: b\n  c: d\n"},
		{"a tab", service + "spec:\n\ta: b\n"},
		{"an item in a mapping", service + "- a\n"},
		{"an alias to nothing", service + "spec: *a\n"},
		{"a control character", service + "spec: \x01\n"},
		{"a list", "- a\n"},
		{"a text", "a\n"},
		{"in a ConfigMap", "apiVersion: v1\nkind: ConfigMap\ndata:\n  a: |\n    b\n   c\n"},
		{"in a definition", "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nspec: {a\n"},
		{"in a custom resource", "apiVersion: example.com/v1\nkind: Thing\nspec: {a\n"},
		{"in lines of Windows", "apiVersion: v1\r\nkind: Service\r\nspec: [a\r\n"},
		{"behind a tag", "apiVersion: v1\nkind: Service\nspec: !a b: c\n"},
	} {
		m := Manifest("kind: A\n---\n" + test.broken + "---\nkind: B\n")
		for name, read := range manifestReaders {
			t.Run(test.name+"/"+name, func(t *testing.T) {
				err := read(m)
				var bad *DocumentError
				require.ErrorAs(t, err, &bad)
				require.ErrorIs(t, err, ErrBadManifest)
				assert.Equal(t, 2, bad.Document)
				assert.Equal(t, 2, bad.Line)
			})
		}
	}
}

// Of a stream of unreadable documents so many are reported as somebody will look at.
func TestVeryManyBrokenDocuments(t *testing.T) {
	bad := Manifest(strings.Repeat("*\n---\n", 5*maxBad) + "kind: A\n")
	for name, read := range manifestReaders {
		t.Run(name, func(t *testing.T) {
			err := read(bad)
			require.ErrorIs(t, err, errTooManyBad)
			require.ErrorIs(t, err, ErrOutputTooLarge)
			reported := err.(interface{ Unwrap() []error }).Unwrap()
			assert.Len(t, reported, maxBad+1)
		})
	}
	err := manifestReaders["Images"](Manifest(strings.Repeat("*\n---\n", maxBad) + "kind: A\n"))
	require.ErrorIs(t, err, ErrBadManifest)
	assert.NotErrorIs(t, err, errTooManyBad)
}

// endingContext ends when it was asked a number of times whether it has.
type endingContext struct {
	context.Context
	asks int
}

func (c *endingContext) Err() error {
	if c.asks--; c.asks < 0 {
		return context.Canceled
	}
	return nil
}

// A reader stops soon after its context ends, wherever it is.
func TestReadersEndWithTheirContext(t *testing.T) {
	pod := "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n"
	container := "  - {image: a:1, resources: {limits: {nvidia.com/gpu: 1}}, args: [b/c:2]}\n"
	streams := map[string]string{
		"many documents":                        strings.Repeat(pod+container+"---\n", 500),
		"many documents without an image":       strings.Repeat("apiVersion: v1\nkind: Service\n---\n", 500),
		"a large document":                      pod + strings.Repeat(container, 600),
		"a large document with aliases":         "x: &x y\n" + pod + strings.Repeat(container, 600) + "z: *x\n",
		"a large List":                          "apiVersion: v1\nkind: List\nitems: [" + strings.Repeat("{apiVersion: v1, kind: Pod, spec: {containers: [{image: a}]}},\n", 300) + "]\n",
		"a large text with a manifest in it":    "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec:\n  image: x\n  podSpecPatch: |\n    resources:\n" + strings.Repeat("    - {image: a, limits: {a/b: 1}}\n", 600),
		"a large configuration":                 "apiVersion: v1\nkind: ConfigMap\ndata: {a: &a b}\nimage: *a\n" + strings.Repeat("limits: [image, a/b:1]\n", 300),
		"many documents that cannot be read":    strings.Repeat("image: limits: gpu\n---\n", 900),
		"many documents of the general parser":  strings.Repeat("image: &a gpu\n---\n", 900),
		"a large document that cannot be read":  pod + strings.Repeat(container, 600) + "image: limits: gpu\n",
		"a large document of a kind left aside": "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nx: &x image\ny: gpu\nz:\n" + strings.Repeat("- [a, b]\n", 600),
	}
	readers := map[string]func(context.Context, Manifest) error{
		"images": func(ctx context.Context, m Manifest) error {
			_, err := m.ImagesContext(ctx, ImageOptions{})
			return err
		},
		"report": func(ctx context.Context, m Manifest) error {
			_, err := m.ImageReportContext(ctx, ImageOptions{})
			return err
		},
		"gpus":  func(ctx context.Context, m Manifest) error { _, err := m.GPUsContext(ctx, GPUOptions{}); return err },
		"index": func(ctx context.Context, m Manifest) error { _, err := m.IndexContext(ctx); return err },
	}
	for stream, text := range streams {
		for name, read := range readers {
			t.Run(fmt.Sprint(name, " of ", stream), func(t *testing.T) {
				counting := &endingContext{Context: t.Context(), asks: 1 << 30}
				_ = read(counting, Manifest(text))
				asked := 1<<30 - counting.asks
				if name == "index" && asked < 10 {
					t.Skip("only what names an object is read")
				}
				require.Greater(t, asked, 10, "nobody looks at the context")
				for _, share := range []float64{0, 0.1, 0.5, 0.9} {
					ctx := &endingContext{Context: t.Context(), asks: int(share * float64(asked))}
					err := read(ctx, Manifest(text))
					require.ErrorIs(t, err, context.Canceled)
					var bad *DocumentError
					assert.False(t, errors.As(err, &bad), "the context is why, not a document")
					assert.Greater(t, ctx.asks, -20, "it goes on after the end")
				}
			})
		}
	}
}
