package manifest

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/internal/safeyaml"
)

func TestScanIdentity(t *testing.T) {
	for _, test := range []struct{ name, document, want string }{
		{"plain", "# Source: x\napiVersion: v1\nkind: Pod\nspec:\n  a: 1\n", "v1 Pod"},
		{"quoted", "apiVersion: \"v1\" # it\nkind: 'Pod'\n", "v1 Pod"},
		{"a list not indented", "apiVersion: v1\nrules:\n- a: 1\nkind: Role\n", "v1 Role"},
		{"items", "apiVersion: v1\nkind: Pod\nitems:\n- a: 1\n", ""},
		{"a kind that is no text", "apiVersion: v1\nkind: yes\n", ""},
		{"a text in quotes that is no word for true", "apiVersion: v1\nkind: 'yes'\n", "v1 yes"},
		{"JSON", `{"apiVersion": "v1", "kind": "Pod"}`, ""},
		{"indented as a whole", "  kind: Pod\n  x: \"\nkind: ConfigMap\napiVersion: v1\n  \"\n", ""},
		{"a second kind in quotes", "apiVersion: v1\nx: \"\nkind: ConfigMap\n\"\nkind: Pod\n", ""},
		{"a key in quotes", "apiVersion: v1\nkind: ConfigMap\n\"kind\": Pod\n", ""},
		{"a key by merge", "apiVersion: v1\nkind: ConfigMap\n<<: {kind: Pod}\n", ""},
		{"a key by question mark", "apiVersion: v1\nkind: ConfigMap\n? kind\n: Pod\n", ""},
		{"a line break that only YAML 1.1 knows", "apiVersion: v1\nkind: ConfigMap\n# \u2028kind: Pod\n", ""},
		{"a lone carriage return", "apiVersion: v1\nkind: ConfigMap\n# \rkind: Pod\n", ""},
		{"no kind", "apiVersion: v1\n", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			apiVersion, kind := (&document{Document: safeyaml.Document{Text: []byte(test.document)}}).scanIdentity()
			assert.Equal(t, test.want, strings.TrimSpace(apiVersion+" "+kind))
		})
	}
}

func TestObjects(t *testing.T) {
	objects, err := Manifest(`
apiVersion: v1
kind: ConfigMap
metadata: {name: first, name: last}
data: {a: yes, b: 3}
---
# nothing
---
apiVersion: v1
kind: List
items:
- {kind: Pod, metadata: {name: p}}
- {kind: Pod, metadata: {name: q}}
---
kind: [
---
- no object
---
{"kind": "Service"}
`).Objects()

	var kinds []string
	for _, object := range objects {
		kinds = append(kinds, object["kind"].(string))
	}
	assert.Equal(t, []string{"ConfigMap", "Pod", "Pod", "Service"}, kinds)
	assert.Equal(t, map[string]any{"name": "last"}, objects[0]["metadata"], "the last of a repeated key counts")
	assert.Equal(t, map[string]any{"a": true, "b": 3.0}, objects[0]["data"], "as Kubernetes reads it")

	require.ErrorIs(t, err, ErrBadManifest)
	var bad *DocumentError
	require.ErrorAs(t, err, &bad)
	assert.Equal(t, 3, bad.Document)
	assert.Equal(t, 14, bad.Line)
	assert.ErrorContains(t, err, "manifest document 4 at line 16: ")
}

// One unreadable document does not lose the images and accelerators of the others.
func TestBadDocumentAmongOthers(t *testing.T) {
	stream := Manifest(`
apiVersion: v1
kind: Pod
spec: {containers: [{image: a, resources: {limits: {nvidia.com/gpu: 1}}}]}
---
apiVersion: apps/v1
kind: Deployment
spec:
  resources: {limits: {}}
  image: "open
---
apiVersion: v1
kind: Pod
spec: {containers: [{image: b}]}
`)
	images, err := stream.Images(ImageOptions{})
	assert.Equal(t, []string{"a", "b"}, images)
	var bad *DocumentError
	require.ErrorAs(t, err, &bad)
	assert.Equal(t, 2, bad.Document)
	assert.Equal(t, 5, bad.Line)
	assert.Equal(t, "apps/Deployment", bad.Object.String())
	assert.ErrorContains(t, err, "line 10: ", "the line counts from the start of the stream")

	report, err := stream.GPUs(GPUOptions{})
	require.ErrorIs(t, err, ErrBadManifest)
	assert.Equal(t, map[string]int64{"nvidia.com/gpu": 1}, report.Totals)

	after, _, err := stream.Retag(toMirror, RetagOptions{})
	require.ErrorIs(t, err, ErrBadManifest)
	assert.Contains(t, string(after), "image: mirror.lab/docker.io/library/b}")
	assert.Contains(t, string(after), `image: "open`)
}

func TestOddYAML(t *testing.T) {
	pod := "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: "
	for _, test := range []struct {
		name, manifest string
		want           []string
	}{
		{"repeated keys", pod + "{containers: [{image: a, image: b}]}", []string{"b"}},
		{"repeated keys further up", pod + "{containers: [{image: a}], containers: [{image: b}]}", []string{"b"}},
		{"aliases", "x: &c {image: a}\n" + pod + "{containers: [*c, *c]}", []string{"a"}},
		{"merge key", "x: &c {image: a, tty: true}\n" + pod + "{containers: [{<<: *c, name: n}, {<<: *c, image: b}]}", []string{"a", "b"}},
		{"merge of merges", "x: &c {image: a}\ny: &d {<<: *c}\n" + pod + "{containers: [{<<: [{tty: true}, *d]}]}", []string{"a"}},
		{"merged pod spec", "x: &s {containers: [{image: a}]}\n" + pod + "{<<: *s}", []string{"a"}},
		{"a key that is an alias", "x: &i image\n" + pod + "{containers: [{*i : a}]}", []string{"a"}},
		{"a key with escapes", pod + `{"cont\u0061iners": [{"im\x61ge": a}]}`, []string{"a"}},
		{"a plain equals sign", "x: =\n" + pod + "{containers: [{image: a}]}", []string{"a"}},
		{"a tag", pod + "{containers: [{image: !!string a}, {image: !!str b}]}", []string{"a", "b"}},
		{"names that are no strings", "apiVersion: v1\nkind: Pod\nmetadata: {name: 17, namespace: [x]}\nspec: {containers: [{image: a}]}", []string{"a"}},
		{"metadata that is no mapping", "apiVersion: v1\nkind: Pod\nmetadata: x\nspec: {containers: [{image: a}]}", []string{"a"}},
		{"empty, null, number, list and mapping for an image", pod + "{containers: [{image: ''}, {image: null}, {image:}, {image: {a: b}}, {image: 1}]}", []string{"1"}},
		{"JSON", `{"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"image": "a"}]}}`, []string{"a"}},
		{"lone carriage returns", strings.ReplaceAll("x: 1\napiVersion: v1\nkind: Pod\nspec: {containers: [{image: a}]}\n", "\n", "\r"), []string{"a"}},
		{"a document in quotes that looks like another", "apiVersion: v1\nkind: Pod\nx: '\n\n  kind: ConfigMap'\nspec: {containers: [{image: a}]}", []string{"a"}},
		{"nothing", "", []string{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			images, err := Manifest(test.manifest).Images(ImageOptions{})
			require.NoError(t, err)
			assert.Equal(t, test.want, images)
		})
	}
}

// Hostile documents are refused, before they take much, by an error that names them; what is only large is read.
func TestHostileManifests(t *testing.T) {
	var bomb strings.Builder
	bomb.WriteString("apiVersion: example.com/v1\nkind: Bomb\nmetadata: {name: image}\na0: &a0 {image: a}\n")
	for i := range 30 {
		fmt.Fprintf(&bomb, "a%d: &a%d {x: *a%d, y: *a%d, z: *a%d}\n", i+1, i+1, i, i, i)
	}
	merges := "apiVersion: example.com/v1\nkind: Bomb\nmetadata: {name: image}\na0: &a0 {image: a}\n"
	for i := range 20 {
		merges += fmt.Sprintf("a%d: &a%d {<<: [%s*a%d]}\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d, ", i), 20), i)
	}
	pod := "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{image: ok}], x: "
	for _, test := range []struct {
		name, manifest string
		refused        error
	}{
		{"aliases of aliases", bomb.String(), ErrOutputTooLarge},
		{"merges of merges", merges, ErrOutputTooLarge},
		{"an alias to what it is in", "apiVersion: example.com/v1\nkind: Loop\nmetadata: {name: image}\nspec: &s {a: *s}\n", ErrBadManifest},
		{"a merge of what it is in", "apiVersion: example.com/v1\nkind: Loop\nmetadata: {name: image}\nspec: &s {<<: *s, image: a}\n", ErrBadManifest},
		{"nested deeply", pod + strings.Repeat("{a: ", 600) + "image" + strings.Repeat("}", 600) + "}", ErrOutputTooLarge},
		{"nested too deeply for the parser", pod + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + "}", ErrBadManifest},
		{"many keys", pod + "{" + strings.Repeat("image: b, ", 20_000) + "}}", nil},
		{"many containers", "apiVersion: v1\nkind: Pod\nspec: {containers: [" + strings.Repeat("{image: a, resources: {limits: {nvidia.com/gpu: 1}}}, ", 10_000) + "]}", nil},
		{"many extended resources", "apiVersion: v1\nkind: Pod\nspec: {containers: [{image: a, resources: {limits: {" + strings.Repeat("nvidia.com/x, ", 50_000) + "}}}]}", nil},
		{"large ConfigMap", "apiVersion: v1\nkind: ConfigMap\ndata:\n  image: |\n" + strings.Repeat("    image: quay.io/a/b:v1 and more text\n", 20_000), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			m := Manifest(test.manifest)
			_, imagesErr := m.ImageReport(ImageOptions{})
			_, _, retagErr := m.Retag(toMirror, RetagOptions{Hints: true})
			for _, err := range []error{imagesErr, retagErr} {
				if test.refused == nil {
					assert.NoError(t, err)
				} else {
					assert.ErrorIs(t, err, test.refused)
				}
			}
			if _, err := m.GPUs(GPUOptions{}); err != nil { // a document without a word of accelerators is not parsed
				assert.ErrorIs(t, err, test.refused)
			}
			runtime.ReadMemStats(&after)
			assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<30), "no blow-up")
		})
	}
}

func TestIndex(t *testing.T) {
	stream := Manifest(`# Source: demo/templates/one.yaml
apiVersion: apps/v1
kind: Deployment
metadata:
  name: d
  namespace: ns # here
  annotations:
    "helm.sh/hook": pre-install, test
spec: [not, read]
---
kind: Pod
apiVersion: v1
metadata: {generateName: p-}
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Service, metadata: {name: s}}
- {apiVersion: v1, kind: Secret}
---
{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "json"}}
---
x: &m {name: by-alias}
apiVersion: v1
kind: Pod
metadata: *m
---
apiVersion: v1
kind: Pod
metadata: {name: first}
metadata: {name: last}
---
apiVersion: v1
kind: Pod
metadata:
  annotations: {a: "text
metadata: of several lines"}
  name: odd
---
apiVersion: v1
kind: PodList
items:
- metadata: {name: without-kind}
---
no: object
---
kind: [
---
apiVersion: v1
kind: Service
spec: [open
`)
	places, err := stream.Index()
	var got []string
	for _, place := range places {
		got = append(got, fmt.Sprintf("%d %d %s %s", place.Document, place.Line, place.Object, strings.Join(place.Hooks, "+")))
	}
	assert.Equal(t, []string{
		"1 2 apps/Deployment ns/d pre-install+test",
		"2 11 Pod p- ",
		"3 18 Service s ",
		"3 19 Secret ",
		"4 21 ConfigMap json ",
		"5 23 Pod by-alias ",
		"6 28 Pod last ",
		"7 33 Pod odd ",
		"8 43 Pod without-kind ",
	}, got)
	assert.ErrorIs(t, err, ErrBadManifest)
	assert.ErrorContains(t, err, "manifest document 9 at line 44: it has no kind")
	assert.ErrorContains(t, err, "manifest document 10 at line 46")
	assert.ErrorContains(t, err, "manifest document 11 at line 48")
}

func TestIndexOfItself(t *testing.T) {
	places, err := Manifest("kind: List\nitems: &i\n- {kind: List, items: *i}\n- {kind: Pod}\n").Index()
	assert.ErrorContains(t, err, `anchor "i" contains itself`)
	assert.Empty(t, places)
}
