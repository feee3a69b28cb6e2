package manifest_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/internal/hostile"
	"github.com/sut-bench/helmexec/manifest"
)

const (
	podHead = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n"
	evilPod = hostile.FlowPod
	goodPod = "{apiVersion: v1, kind: Pod, metadata: {name: g}, spec: {containers: [{name: c, image: good}]}}"
	jsonPod = hostile.JSONPod
	safePod = "\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: safe}\nspec: {containers: [{name: c, image: safe}]}\n"
	config  = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n"
	refused = "refused"
)

func container(fields string) string {
	return podHead + "spec: {containers: [{name: c, " + fields + "}]}\n"
}

func block(lines string) string {
	return podHead + "spec:\n  containers:\n  - name: c\n    " + strings.ReplaceAll(lines, "\n", "\n    ") + "\n"
}

func gpu(count string) string {
	return container("image: a, resources: {limits: {nvidia.com/gpu: " + count + "}}")
}

func replicas(count string) string {
	return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec:\n  replicas: " + count +
		"\n  template: {spec: {containers: [{name: c, image: a, resources: {limits: {nvidia.com/gpu: 1}}}]}}\n"
}

func deployment(fields string) string {
	return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec:\n  template:\n    " + fields +
		"\n    spec: {containers: [{name: c, image: evil}]}\n"
}

func list(kind, items string) string {
	return "apiVersion: v1\nkind: " + kind + "\nmetadata: {name: l}\nitems:\n" + items + "\n"
}

// hostileStreams are streams that readers of YAML understand differently, with the images that Kubernetes runs.
var hostileStreams = []struct {
	name, stream, want string
	gpus               int64
}{
	// Merges and repeated keys.
	{"a merge behind the key", container("image: good, <<: {image: evil}"), "evil", 0},
	{"a merge behind the key, in lines", block("image: good\n<<: {image: evil}"), "evil", 0},
	{"a merge in front of the key", container("<<: {image: good}, image: evil"), "evil", 0},
	{"two merges", container("<<: {image: good}, <<: {image: evil}"), "evil", 0},
	{"a list of merges", container("<<: [{image: evil}, {image: good}]"), "evil", 0},
	{"a list of merges behind a merge", container("<<: {image: good}, <<: [{image: evil}, {image: bad}]"), "evil", 0},
	{"merges in merges", container(strings.Repeat("<<: {", 12) + "image: evil" + strings.Repeat("}", 12)), "evil", 0},
	{"merges in merges that override", container("<<: {image: good, <<: {image: bad, <<: {image: evil}}}"), "evil", 0},
	{"a merge of an alias", "x: &x {image: evil}\n" + container("image: good, <<: *x"), "evil", 0},
	{"a merge of a null", container("image: evil, <<: null"), refused, 0},
	{"a merge of a text", container("image: evil, <<: text"), refused, 0},
	{"a merge of a list of texts", container("image: evil, <<: [text]"), refused, 0},
	{"a merge in quotes", container(`image: evil, "<<": {image: good}`), "evil", 0},
	{"a merge in quotes by a tag", container(`image: good, !!merge "<<": {image: evil}`), "evil", 0},
	{"a merge in quotes by the tag of nothing", container(`image: good, ! "<<": {image: evil}`), refused, 0},
	{"a merge in quotes, once by the tag of nothing", container(`"<<": {image: evil}, ! "<<": {image: evil}, image: good`), refused, 0},
	{"a merge that is a text", container(`image: evil, !!str <<: {image: good}`), "evil", 0},
	{"the tag of a merge on a key", container("image: good, !!merge image: evil"), "evil", 0},
	{"the tag of a merge on a mapping", container("!!merge x: {image: good}, image: evil"), "evil", 0},
	{"a kind by a merge", config + "<<: {kind: Pod, spec: {containers: [{name: c, image: evil}]}}\n", "evil", 0},
	{"a kind by a merge in lines", config + "<<:\n  kind: Pod\n  spec: {containers: [{name: c, image: evil}]}\n", "evil", 0},
	{"a kind by an alias", "x: &x Pod\napiVersion: v1\nkind: *x\nmetadata: {name: p}\nspec: {containers: [{name: c, image: evil}]}\n", "evil", 0},
	{"a key that repeats", container("image: good, image: evil"), "evil", 0},
	{"a kind that repeats", config + "kind: Pod\nspec: {containers: [{name: c, image: evil}]}\n", "evil", 0},
	{"a kind that repeats in quotes", config + "\"kind\": Pod\nspec: {containers: [{name: c, image: evil}]}\n", "evil", 0},
	{"a spec that repeats", podHead + "spec: {containers: [{name: c, image: good}]}\nspec: {containers: [{name: c, image: evil}]}\n", "evil", 0},
	{"keys that only JSON takes for the same", container("image: a, env: {1: b, '1': c}"), refused, 0},
	{"keys that only JSON takes for the same, in lines", block("image: a\n1: b\n'1': c"), refused, 0},
	{"keys that only JSON takes for true, in lines", config + "x:\n  yes: b\n  'true': c\n", refused, 0},
	{"keys that are true twice", container("image: a, env: {yes: b, true: c}"), "a", 0},
	{"a key true beside a text", container("image: a, env: {yes: b, 'true': c}"), refused, 0},
	{"floats that are one key", container("image: a, env: {1.00000001: b, 1.00000002: c}"), refused, 0},
	{"a null for a key", container("image: a, ~: b"), refused, 0},

	// Keys that are spelled in other ways.
	{"a key with escapes", container(`image: good, "\x69mage": evil`), "evil", 0},
	{"a key by a question mark", block("image: good\n? image\n: evil"), "evil", 0},
	{"a key by an alias", "x: &x image\n" + container("image: good, *x : evil"), "evil", 0},
	{"a key in base64", container("image: good, !!binary aW1hZ2U=: evil"), refused, 0},
	{"a value in base64", container("image: !!binary ZXZpbA=="), refused, 0},
	{"a kind in base64", config + "!!binary a2luZA==: Pod\nspec: {containers: [{name: c, image: evil}]}\n", refused, 0},
	{"a tag that nobody knows", container("image: !evil evil"), "evil", 0},
	{"a text by a tag", container("image: !!str evil"), "evil", 0},
	{"the tag of nothing", container("image: ! evil"), "evil", 0},
	{"a set", container("image: evil, x: !!set {a, b}"), "evil", 0},
	{"a key by NEL", block("image: good\nx: 'a\u0085\n  b'\nimage: evil"), "evil", 0},
	{"a line by NEL", block("image: good\u0085    image: evil"), "evil", 0},
	{"a line by a line separator", block("image: good\u2028    image: evil"), "evil", 0},
	{"a line by a paragraph separator", block("image: good # x\u2029    image: evil"), "evil", 0},
	{"a line by a carriage return", block("image: good\r    image: evil"), "evil", 0},
	{"a line in a comment by a carriage return", config + "# x\rkind: Pod\nspec: {containers: [{name: c, image: evil}]}\n", "evil", 0},
	{"a kind in a comment by NEL", config + "# x\u0085kind: Pod\nspec: {containers: [{name: c, image: evil}]}\n", "evil", 0},
	{"a document in a comment by a carriage return", "# x\r" + evilPod + "\n", "evil", 0},
	{"a key that NEL breaks", container("\"image\u0085\": evil, image: good"), refused, 0},
	{"two carriage returns at the end of a line", block("image: evil\r\r"), "evil", 0},
	{"a kind in quotes over lines", config + "x: \"\nkind: Pod\n\"\nspec: {containers: [{name: c, image: good}]}\n", "", 0},
	{"a kind that goes on", config[:len("apiVersion: v1\nkind: ConfigMap\n")] + "  x\nmetadata: {name: c}\n", "", 0},
	{"a kind that goes on with a no-break space", "apiVersion: v1\nkind: ConfigMap\n  \u00a0\nmetadata: {name: c}\n", "", 0},
	{"a kind behind a no-break space", "apiVersion: v1\nkind: \u00a0ConfigMap\nmetadata: {name: c}\n", "", 0},
	{"an apiVersion that goes on", "apiVersion: v1\n x\nkind: ConfigMap\nmetadata: {name: c}\n", "", 0},
	{"an image in quotes over lines", block("args: [\"x\n  image: good\"]\nimage: 'evil'"), "evil", 0},
	{"an image behind a text over lines", block("args:\n- x\n  image\nimage: evil"), "evil", 0},
	{"an image behind a text over lines of Windows", block("args:\r\n- \"x\r\n\r\n  y\"\r\nimage: evil\r"), "evil", 0},
	{"a kind in a text, and none", "apiVersion: v1\nx: \"\nkind: ConfigMap\n\"\nspec: {containers: [{name: c, image: evil}]}\n", refused, 0},

	// Lists.
	{"a ConfigMap with items", list("ConfigMap", "- "+evilPod), "evil", 0},
	{"a definition with items", "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: l}\nitems: [" + evilPod + "]\n", "evil", 0},
	{"a Deployment with items", "apiVersion: apps/v1\nkind: Deployment\nspec: {template: {spec: {containers: [{name: c, image: good}]}}}\nitems: [" + evilPod + "]\n", "evil", 0},
	{"a Pod with items", podHead + "spec: {containers: [{name: c, image: good}]}\nitems: []\n", "", 0},
	{"a Pod with items of null", podHead + "spec: {containers: [{name: c, image: good}]}\nitems:\n", "", 0},
	{"a Pod with items that are no list", podHead + "spec: {containers: [{name: c, image: good}]}\nitems: {}\n", refused, 0},
	{"a Pod with items that are texts", podHead + "spec: {containers: [{name: c, image: good}]}\nitems: [a]\n", refused, 0},
	{"an item with items of null", list("PodList", "- {metadata: {name: i}, items: , spec: {containers: [{name: c, image: evil}]}}"), "evil", 0},
	{"items by a merge", config + "<<: {items: [" + evilPod + "]}\n", "evil", 0},
	{"items in quotes", config + "\"items\": [" + evilPod + "]\n", "evil", 0},
	{"items with escapes", config + "\"item\\x73\": [" + evilPod + "]\n", "evil", 0},
	{"items with the tag of null", config + "items: !!null [" + evilPod + "]\n", "evil", 0},
	{"items that are null by a tag", podHead + "spec: {containers: [{name: c, image: good}]}\nitems: !!null ''\n", "", 0},
	{"items with a kind that is a mapping", list("PodList", "- {kind: {containers: [{name: c, image: good}]}, spec: {containers: [{name: c, image: evil}]}}"), "evil", 0},
	{"a PodList", list("PodList", "- {metadata: {name: i}, spec: {containers: [{name: c, image: evil}]}}"), "evil", 0},
	{"a PodList with GPUs", list("PodList", "- {spec: {containers: [{name: c, image: evil, resources: {limits: {nvidia.com/gpu: 0x3}}}]}}"), "evil", 3},
	{"a DeploymentList", "apiVersion: apps/v1\nkind: DeploymentList\nitems: [{spec: {template: {spec: {containers: [{name: c, image: evil}]}}}}]\n", "evil", 0},
	{"items without kind of a Pod", list("Pod", "- {metadata: {name: i}, spec: {containers: [{name: c, image: evil}]}}"), "evil", 0},
	{"items with a kind that is no text", list("PodList", "- {kind: 5, spec: {containers: [{name: c, image: evil}]}}"), "evil", 0},
	{"items without kind of a List", list("List", "- {spec: {containers: [{name: c, image: evil}]}}"), refused, 0},
	{"items with an apiVersion alone", list("PodList", "- {apiVersion: v1, spec: {containers: [{name: c, image: evil}]}}"), refused, 0},
	{"a list in a list", list("List", "- {apiVersion: v1, kind: List, items: ["+evilPod+"]}"), refused, 0},
	{"an empty list in a list", list("List", "- {apiVersion: v1, kind: List, items: []}"), refused, 0},
	{"a list in a list that gives it its kind", list("PodList", "- {items: [{spec: {containers: [{name: c, image: evil}]}}]}"), refused, 0},
	{"an item with items that are no list", list("List", "- {apiVersion: v1, kind: Pod, items: {}, spec: {containers: [{name: c, image: evil}]}}"), "evil", 0},
	{"a List", list("List", "- "+evilPod+"\n- "+goodPod), "evil good", 0},

	// What names an object, and what looks as if it did.
	{"a template that looks like a ConfigMap", deployment("apiVersion: v1\n    kind: ConfigMap\n    metadata: {name: x}"), "evil", 0},
	{"a template that looks like a definition", deployment("apiVersion: apiextensions.k8s.io/v1\n    kind: CustomResourceDefinition"), "evil", 0},
	{"a spec that looks like a ConfigMap", podHead + "spec: {apiVersion: v1, kind: ConfigMap, data: {}, containers: [{name: c, image: evil}]}\n", "evil", 0},
	{"a container that looks like a ConfigMap", container("apiVersion: v1, kind: ConfigMap, metadata: {}, image: evil"), "evil", 0},
	{"a template that looks like a list", deployment("apiVersion: v1\n    kind: List\n    metadata: {}\n    items: []"), "evil", 0},
	{"no kind", "apiVersion: v1\nspec: {containers: [{name: c, image: evil}]}\n", refused, 0},
	{"a kind that is null", "apiVersion: v1\nkind:\nspec: {containers: [{name: c, image: evil}]}\n", refused, 0},
	{"a kind that is true", "apiVersion: v1\nkind: yes\nspec: {containers: [{name: c, image: evil}]}\n", refused, 0},
	{"a kind that is a number", "apiVersion: v1\nkind: 5\nspec: {containers: [{name: c, image: evil}]}\n", refused, 0},
	{"an empty object", "{}\n", refused, 0},
	{"null", "null\n", "", 0},
	{"a list of objects", "- " + evilPod + "\n", refused, 0},

	// Frames.
	{"two objects of JSON", jsonPod + "\n" + jsonPod + "\n", refused, 0},
	{"two objects of JSON on one line", jsonPod + jsonPod + "\n", refused, 0},
	{"an object of JSON, then YAML", jsonPod + "\n" + podHead + "\n", refused, 0},
	{"an object of JSON, then text", jsonPod + " x\n", refused, 0},
	{"an object in flow style, then YAML", goodPod + "\n" + podHead, refused, 0},
	{"one object of JSON", jsonPod + "\n", "evil", 0},
	{"one object of JSON and a comment", jsonPod + " # x\n", "evil", 0},
	{"JSON with a line separator in a text", strings.Replace(jsonPod, "evil", "ev\u2028il", 1) + "\n", refused, 0},
	{"a less indented rest", "  apiVersion: v1\n  kind: ConfigMap\nkind: Pod\n", refused, 0},
	{"content on the line of a marker", "--- " + evilPod + "\n", refused, 0},
	{"a block on the line of a marker", "--- |\n  x\n", refused, 0},
	{"an anchor on the line of a marker", "--- &x\n" + evilPod + "\n", refused, 0},
	{"a tag on the line of a marker", "--- !!map\n" + evilPod + "\n", refused, 0},
	{"a key right behind a marker", config + "---kind: Pod\nspec: {containers: [{name: c, image: evil}]}\n", refused, 0},
	{"more dashes", config + "----\n" + evilPod + "\n", refused, 0},
	{"a comment beside a marker", "--- # x\n" + evilPod + "\n", "evil", 0},
	{"a carriage return in the comment beside a marker", "--- # x\r" + evilPod + "\n", refused, 0},
	{"text behind the end", "apiVersion: v1\nkind: ConfigMap\n...\n" + evilPod + "\n", refused, 0},
	{"text on the line of the end", "apiVersion: v1\nkind: ConfigMap\n... " + evilPod + "\n", refused, 0},
	{"text behind the end of nothing", "...\n" + evilPod + "\n", refused, 0},
	{"text behind an end that a carriage return begins", "apiVersion: v1\nkind: ConfigMap\r...\r" + evilPod + "\n", refused, 0},
	{"a document that carriage returns begin", "apiVersion: v1\nkind: ConfigMap\r---\r" + evilPod + "\n", refused, 0},
	{"a document that NEL begins", "apiVersion: v1\nkind: ConfigMap\u0085---\u0085" + evilPod + "\n", refused, 0},
	{"the end alone", evilPod + "\n...\n# x\n", "evil", 0},
	{"a marker in a text", config + "data: {x: \"a\n---\nb\"}\n", refused, 0},
	{"a directive", "%YAML 1.1\n---\n" + goodPod + "\n", refused, 0},
	{"a byte order mark first", "\ufeff" + podHead + "spec: {containers: [{name: c, image: evil}]}\n", "evil", 0},
	{"a byte order mark before a marker", "\ufeff---\n" + evilPod + "\n", "evil", 0},
	{"a byte order mark before a kind", "apiVersion: v1\n\ufeffkind: ConfigMap\nkind: Pod\nspec: {containers: [{name: c, image: evil}]}\n", "evil", 0},
	{"a byte order mark behind a comment", "# x\n\ufeff" + podHead + "spec: {containers: [{name: c, image: evil}]}\n", "evil", 0},
	{"a byte order mark behind the first marker", "---\n\ufeffitems: []\n" + podHead + "spec: {containers: [{name: c, image: evil}]}\n", refused, 0},
	{"a byte order mark behind a marker", config + "---\n\ufeffitems: []\n" + podHead + "spec: {containers: [{name: c, image: evil}]}\n", refused, 0},
	{"a byte order mark before and behind a marker", "\ufeff---\n\ufeffitems: []\n" + podHead + "spec: {containers: [{name: c, image: evil}]}\n", refused, 0},
	{"a byte order mark alone behind a marker", "---\n\ufeff\n", refused, 0},
	{"two byte order marks", "\ufeff\ufeff" + podHead + "spec: {containers: [{name: c, image: evil}]}\n", refused, 0},
	{"a byte order mark before a marker in between", config + "\ufeff---\n" + evilPod + "\n", refused, 0},
	{"UTF-16", "\xff\xfe{\x00}\x00\n", refused, 0},

	// Numbers.
	{"sixteen", gpu("0x2"), "a", 2},
	{"an underscore", gpu("1_0"), "a", 10},
	{"two", gpu("0b10"), "a", 2},
	{"eight", gpu("010"), "a", 8},
	{"eight, in another way", gpu("0o10"), "a", 8},
	{"a number by a tag", gpu(`!!int "4"`), "a", 4},
	{"a float by a tag", gpu(`!!float 4`), "a", 4},
	{"a text of digits", gpu(`"010"`), "a", 10},
	{"a fraction of nothing", gpu("4.0"), "a", 4},
	{"an exponent", gpu("1e1"), "a", 10},
	{"a sign", gpu("+3"), "a", 3},
	{"a number by an alias", "x: &x 0x2\n" + gpu("*x"), "a", 2},
	{"a number that nobody has", gpu(".inf"), refused, 0},
	{"replicas in hexadecimal", replicas("0x10"), "a", 16},
	{"replicas in octal", replicas("010"), "a", 8},
	{"replicas with an underscore", replicas("1_0"), "a", 10},
	{"replicas by a tag", replicas(`!!int "3"`), "a", 3},
	{"replicas with a fraction", replicas("3.0"), "a", 3},
}

func TestHostile(t *testing.T) {
	for _, test := range hostileStreams {
		t.Run(test.name, func(t *testing.T) {
			stream := test.stream + safePod
			m := manifest.Manifest(stream)
			opts := manifest.ImageOptions{Exclude: []string{}}
			images, err := m.Images(opts)
			report, reportErr := m.ImageReport(opts)
			gpus, gpusErr := m.GPUs(manifest.GPUOptions{})
			objects, objectsErr := m.Objects()
			places, indexErr := m.Index()
			after, _, retagErr := m.Retag(toMirror, manifest.RetagOptions{})
			errs := map[string]error{"Images": err, "ImageReport": reportErr, "GPUs": gpusErr, "Objects": objectsErr, "Index": indexErr, "Retag": retagErr}
			if test.want == refused {
				for name, err := range errs {
					var bad *manifest.DocumentError
					require.ErrorAs(t, err, &bad, name)
					assert.ErrorIs(t, err, manifest.ErrBadManifest, name)
				}
				assert.NotContains(t, images, "evil")
				assert.Contains(t, images, "safe")
				return
			}
			for name, err := range errs {
				require.NoError(t, err, name)
			}
			want := append(strings.Fields(test.want), "safe")
			assert.Equal(t, want, images)
			for _, use := range report.Images {
				assert.Contains(t, want, use.Image)
			}
			assert.Equal(t, test.gpus, gpus.Totals["nvidia.com/gpu"])

			truth, err := hostile.Objects(stream)
			require.NoError(t, err)
			assert.JSONEq(t, asJSON(truth), asJSON(objects))
			var kinds []string
			for _, place := range places {
				kinds = append(kinds, place.Object.Kind)
			}
			var wantKinds []string
			for _, object := range truth {
				wantKinds = append(wantKinds, object["kind"].(string))
			}
			assert.Equal(t, wantKinds, kinds)
			checkRetagged(t, truth, after)
		})
	}
}

// Kubernetes ends each line, so a text at the end of a stream has its line feed.
func TestLastLine(t *testing.T) {
	for _, stream := range []string{"kind: A\na: |\n  b", "kind: A\na: |\n  b\u0085  c", "kind: A\na: >\n  b", "kind: A\na: |+\n  b\n"} {
		truth, err := hostile.Objects(stream)
		require.NoError(t, err)
		objects, err := manifest.Manifest(stream).Objects()
		require.NoError(t, err)
		assert.Equal(t, truth, objects, "%q", stream)
	}
}

// checkRetagged checks that Kubernetes reads the same objects afterwards, but for their images.
func checkRetagged(t *testing.T, before []map[string]any, after manifest.Manifest) {
	t.Helper()
	objects, err := hostile.Objects(string(after))
	require.NoError(t, err, "%q", after)
	plain := strings.NewReplacer("mirror.lab/library/", "", "mirror.lab/", "")
	assert.Equal(t, plain.Replace(asJSON(before)), plain.Replace(asJSON(objects)), "%q", after)
	images, _, _ := kubernetesRuns(objects)
	for _, image := range images {
		assert.True(t, strings.HasPrefix(image, "mirror.lab/"), "%s in %q", image, after)
	}
}

// toMirror puts the registry in front, as most mirrors do.
func toMirror(r manifest.Reference) manifest.Reference {
	return manifest.RegistryMap{"*": "mirror.lab"}.Rewrite(r)
}
