package manifest

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Merges and repeated keys count as they do for Helm, which Objects asks.
func TestMergesCountAsForHelm(t *testing.T) {
	long := "x0: &x0 {image: a}\n"
	for i := range 30 {
		long += fmt.Sprintf("x%d: &x%d {<<: *x%d}\n", i+1, i+1, i)
	}
	for _, test := range []struct{ name, anchors, container, want string }{
		{"a merge before the key", "", "{<<: {image: a}, image: b}", "b"},
		{"a merge behind the key", "", "{image: a, <<: {image: b}}", "b"},
		{"a merge between two", "", "{image: a, <<: {image: b}, image: c}", "c"},
		{"two merges", "", "{<<: {image: a}, <<: {image: b}}", "b"},
		{"a list of merges", "", "{<<: [{image: a}, {image: b}]}", "a"},
		{"a list behind a merge", "", "{<<: {image: a}, <<: [{tty: true}, {image: b}]}", "b"},
		{"a merge in a merge", "", "{<<: {image: a, <<: {image: b}}}", "b"},
		{"a key that repeats in a merge", "", "{<<: {image: a, image: b}}", "b"},
		{"a merge of aliases", "x: &x {image: a}\ny: &y {image: b}\n", "{<<: *x, <<: *y}", "b"},
		{"a long chain of merges", long, "{<<: *x30}", "a"},
		{"what looks like a merge in quotes", "", `{image: a, "<<": {image: b}}`, "a"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := Manifest(test.anchors + "apiVersion: v1\nkind: Pod\nspec:\n  containers: [" + test.container + "]\n")
			images, err := m.Images(ImageOptions{})
			require.NoError(t, err)
			assert.Equal(t, []string{test.want}, images)

			objects, err := m.Objects()
			require.NoError(t, err)
			container := objects[0]["spec"].(map[string]any)["containers"].([]any)[0].(map[string]any)
			assert.Equal(t, test.want, container["image"])
		})
	}
}

// A text that goes over several lines is what Kubernetes makes of them, and words that it joins are found.
func TestImagesOverLines(t *testing.T) {
	const pod = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: "
	const custom = "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: t}\nspec:\n  components: "
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"an escaped line break", pod + "\"ev\\\n      il\"\n", []string{"evil"}},
		{"an escaped line break of Windows", pod + "\"ev\\\r\n      il\"\r\n", []string{"evil"}},
		{"the value on the next line", pod + "\n      evil\n", []string{"evil"}},
		{"a line break", pod + "\"good\n      x\"\n", nil},
		{"a line break without quotes", pod + "good\n      x\n", nil},
		{"a mapping of joined words", custom + "\n    redis: \"quay.io/a\\\n     /b:v1\"\n    proxy: \"quay.io/a\\\n     /c:v1\"\n", []string{"quay.io/a/b:v1", "quay.io/a/c:v1"}},
		{"a flow mapping of joined words", custom + "{redis: \"quay.io/a\\\n    /b:v1\", proxy: \"quay.io/a\\\n    /c:v1\"}\n", []string{"quay.io/a/b:v1", "quay.io/a/c:v1"}},
		{"a flow mapping of joined words, lines of Windows", custom + "{redis: \"quay.io/a\\\r\n    /b:v1\", proxy: \"quay.io/a\\\r\n    /c:v1\"}\r\n", []string{"quay.io/a/b:v1", "quay.io/a/c:v1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			images, err := Manifest(test.text).Images(ImageOptions{})
			require.NoError(t, err)
			assert.ElementsMatch(t, test.want, images)
		})
	}
}

// What aliases and directives blow up is refused by all that read or write manifests.
func TestYAMLThatExpands(t *testing.T) {
	bomb := "a: &a [" + strings.Repeat("x, ", 50) + "]\nb: &b [" + strings.Repeat("*a, ", 50) + "]\nc: [" + strings.Repeat("*b, ", 50) + "]\n"
	for _, test := range []struct {
		name, text string
		tooLarge   bool
	}{
		{"aliases of aliases", bomb, true},
		{"behind a byte order mark", "\ufeff" + bomb, true},
		{"some aliases", "kind: A\na: &a {b: c}\nd: [*a, *a, *a]\n", false},
		{"very many directives", strings.Repeat("%TAG !a! tag:x\n", 200) + "---\na: b\n", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, retagErr := Manifest(test.text).Retag(toMirror, RetagOptions{})
			_, labelErr := AddLabels(nil)(Manifest(test.text))
			_, objectsErr := Manifest(test.text).Objects()
			_, reportErr := Manifest(test.text).ImageReport(ImageOptions{})
			for _, err := range []error{retagErr, labelErr, objectsErr, reportErr} {
				if test.tooLarge {
					assert.ErrorIs(t, err, ErrOutputTooLarge)
				} else {
					assert.NoError(t, err)
				}
			}
		})
	}
}

// Nobody can apply a document that no API server takes, and to read it would take gigabytes.
func TestDocumentsThatNoServerTakes(t *testing.T) {
	small := "apiVersion: v1\nkind: Pod\nspec: {containers: [{image: a}]}\n---\n"
	for name, head := range map[string]string{
		"itself":   "apiVersion: v1\nkind: Thing\nspec: {image: b}\na: ",
		"embedded": "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec:\n  templates:\n  - resource:\n      manifest: |\n        kind: Pod\n        image: nvidia.com/gpu\n        a: ",
	} {
		t.Run(name, func(t *testing.T) {
			m := Manifest(small + head + "[" + strings.Repeat("[],", maxDocument/3) + "]\n")
			_, objectsErr := m.Objects()
			images, imagesErr := m.Images(ImageOptions{})
			_, gpusErr := m.GPUs(GPUOptions{})
			_, canonicalErr := m.Canonical(t.Context())
			for _, err := range []error{objectsErr, imagesErr, gpusErr, canonicalErr} {
				require.ErrorIs(t, err, ErrBadManifest)
				require.ErrorIs(t, err, ErrOutputTooLarge)
				assert.ErrorContains(t, err, "manifest document 2 at line 4")
			}
			assert.Equal(t, []string{"a"}, images, "of the other document")
		})
	}
	_, err := Manifest(small + "apiVersion: v1\nkind: ConfigMap\ndata: {a: " + strings.Repeat("b", maxDocument-100) + "}\n").Objects()
	require.NoError(t, err)
}

// What is found in one document after the other has a limit in all.
func TestManyImages(t *testing.T) {
	document := "apiVersion: v1\nkind: Pod\nspec: {containers: [" + strings.Repeat("{image: a},", maxFound/2) + "]}\n---\n"
	_, err := Manifest(document + document).Images(ImageOptions{})
	require.NoError(t, err)
	report, err := Manifest(document + document + "apiVersion: v1\nkind: Pod\nspec: {containers: [{image: b}]}\n").ImageReport(ImageOptions{})
	require.ErrorIs(t, err, ErrOutputTooLarge)
	require.ErrorContains(t, err, "manifest document 3 at line")
	assert.Len(t, report.Images, maxFound)
}

// The documents of a stream share what aliases may add: many small ones expand no further than a large one.
func TestAliasesOfManyDocuments(t *testing.T) {
	document := "apiVersion: v1\nkind: Pod\nx: &x {image: a" + strings.Repeat(", b: c", 50) + "}\nspec: {containers: [" + strings.Repeat("*x, ", 20) + "]}\n---\n"
	_, err := Manifest(document).Images(ImageOptions{})
	require.NoError(t, err)
	images, err := Manifest(strings.Repeat(document, 100)).Images(ImageOptions{})
	require.ErrorIs(t, err, ErrOutputTooLarge)
	assert.Equal(t, []string{"a"}, images, "of those before")
}

// A transform writes what was in flow style in lines, of which each is indented.
func TestTransformOfWhatIsNestedDeeply(t *testing.T) {
	deep := func(levels, items int) Manifest {
		return Manifest("kind: A\na: " + strings.Repeat("{a: ", levels) + "[" + strings.Repeat("b,", items) + "]" + strings.Repeat("}", levels) + "\n")
	}
	_, err := AddLabels(nil)(deep(40, 1000))
	require.NoError(t, err)
	_, err = AddLabels(nil)(deep(1000, 1000))
	require.ErrorIs(t, err, ErrOutputTooLarge)
	require.ErrorIs(t, err, ErrBadManifest)
}

// A path tells where something is, however long somebody made the names in it.
func TestLongPaths(t *testing.T) {
	long := strings.Repeat("ä", 5000)
	report, err := Manifest("apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: x}\nspec:\n  ? " + long + "\n  : {image: a}\n" +
		"  deep: " + strings.Repeat("{abcdefghij: ", 200) + "{image: b}" + strings.Repeat("}", 200) + "\n").ImageReport(ImageOptions{})
	require.NoError(t, err)
	require.Len(t, report.Images, 2)
	for _, use := range report.Images {
		assert.LessOrEqual(t, len(use.Path), maxPath)
		assert.True(t, utf8.ValidString(use.Path))
		assert.True(t, strings.HasPrefix(use.Path, "spec."))
		assert.Contains(t, use.Path, "…")
	}
	assert.True(t, strings.HasSuffix(report.Images[0].Path, "ä.image"))
	assert.True(t, strings.HasSuffix(report.Images[1].Path, "abcdefghij.image"))
}

// The items of a List that another object carries are a part of that object where they are no objects of their own.
func TestPathsInAListInAnObject(t *testing.T) {
	for _, test := range []struct{ name, kind, item, want string }{
		{"a custom resource", "apiVersion: example.com/v1\nkind: Sensor\n", "{spec: {image: a}}", "spec.carries.items[0].spec.image"},
		{"a workflow", "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\n", "{container: {image: 'a:{{item}}'}}", "spec.carries.items[0].container.image"},
	} {
		t.Run(test.name, func(t *testing.T) {
			report, err := Manifest(test.kind + "metadata: {name: s}\nspec:\n  carries:\n" +
				"    apiVersion: v1\n    kind: List\n    metadata: {}\n    items: [" + test.item + "]\n").ImageReport(ImageOptions{})
			require.NoError(t, err)
			uses := append(report.Images, report.Unresolved...)
			require.Len(t, uses, 1)
			assert.Equal(t, test.want, uses[0].Path)
		})
	}
}

func TestHooksAreListedOnce(t *testing.T) {
	places, err := Manifest("kind: Pod\nmetadata: {annotations: {helm.sh/hook: 'test, pre-install,test,test'}}\n").Index()
	require.NoError(t, err)
	require.Len(t, places, 1)
	assert.Equal(t, []string{"test", "pre-install"}, places[0].Hooks)
	assert.False(t, places[0].IsTest())
}
