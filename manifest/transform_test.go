package manifest

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTransforms(t *testing.T) {
	labels := AddLabels(map[string]string{"example.com/job": "7"})
	for _, test := range []struct {
		name          string
		transform     Transform
		before, after string
	}{
		{"labels of an object", labels,
			"# Source: demo/templates/s.yaml\napiVersion: v1\nkind: Service\nmetadata:\n  name: s\n",
			"---\n# Source: demo/templates/s.yaml\napiVersion: v1\nkind: Service\nmetadata:\n  labels:\n    example.com/job: \"7\"\n  name: s\n"},
		{"labels over those there are", labels,
			"{apiVersion: v1, kind: Service, metadata: {labels: {example.com/job: old, a: b}}}",
			"---\napiVersion: v1\nkind: Service\nmetadata:\n  labels:\n    a: b\n    example.com/job: \"7\"\n"},
		{"labels of pods and claims, not of selectors", labels,
			"{apiVersion: apps/v1, kind: StatefulSet, spec: {selector: {matchLabels: {a: b}}, template: {spec: {containers: []}}, volumeClaimTemplates: [{spec: {}}]}}",
			"---\napiVersion: apps/v1\nkind: StatefulSet\nmetadata:\n  labels:\n    example.com/job: \"7\"\nspec:\n  selector:\n    matchLabels:\n      a: b\n  template:\n    metadata:\n      labels:\n        example.com/job: \"7\"\n    spec:\n      containers: []\n  volumeClaimTemplates:\n  - metadata:\n      labels:\n        example.com/job: \"7\"\n    spec: {}\n"},
		{"labels of the jobs of a CronJob", labels,
			"{apiVersion: batch/v1, kind: CronJob, spec: {jobTemplate: {spec: {template: {spec: {}}}}}}",
			"---\napiVersion: batch/v1\nkind: CronJob\nmetadata:\n  labels:\n    example.com/job: \"7\"\nspec:\n  jobTemplate:\n    metadata:\n      labels:\n        example.com/job: \"7\"\n    spec:\n      template:\n        metadata:\n          labels:\n            example.com/job: \"7\"\n        spec: {}\n"},
		{"labels of the pods of a workflow", labels,
			"{apiVersion: argoproj.io/v1alpha1, kind: CronWorkflow, spec: {workflowSpec: {entrypoint: e}}}",
			"---\napiVersion: argoproj.io/v1alpha1\nkind: CronWorkflow\nmetadata:\n  labels:\n    example.com/job: \"7\"\nspec:\n  workflowSpec:\n    entrypoint: e\n    podMetadata:\n      labels:\n        example.com/job: \"7\"\n"},
		{"labels of the items of a List", labels,
			"{apiVersion: v1, kind: List, items: [{kind: Service}]}",
			"---\napiVersion: v1\nitems:\n- kind: Service\n  metadata:\n    labels:\n      example.com/job: \"7\"\nkind: List\n"},
		{"a schema has no pods", labels,
			"{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, spec: {template: {spec: {}}}}",
			"---\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  labels:\n    example.com/job: \"7\"\nspec:\n  template:\n    spec: {}\n"},
		{"values keep their types", labels,
			"{kind: A, metadata: {labels: {}}, a: 'yes', b: 12345678901234567, c: '012', d: 1.5, e: '1e3', f: null, g: true}",
			"---\na: \"yes\"\nb: 12345678901234567\nc: \"012\"\nd: 1.5\ne: \"1e3\"\nf: null\ng: true\nkind: A\nmetadata:\n  labels:\n    example.com/job: \"7\"\n"},
		{"documents without content", labels, "---\n# nothing\n---\n", ""},
		{"tolerations", AddTolerations(Toleration{Key: "gpu", Operator: "Exists"}, Toleration{Key: "a", Value: "b", Effect: "NoSchedule"}),
			"{apiVersion: v1, kind: Pod, spec: {containers: [], tolerations: [{key: gpu, operator: Exists}]}}\n---\n{apiVersion: batch/v1, kind: CronJob, spec: {jobTemplate: {spec: {template: {spec: {containers: []}}}}}}\n---\n{apiVersion: v1, kind: Service, spec: {}}",
			"---\napiVersion: v1\nkind: Pod\nspec:\n  containers: []\n  tolerations:\n  - key: gpu\n    operator: Exists\n  - effect: NoSchedule\n    key: a\n    value: b\n" +
				"---\napiVersion: batch/v1\nkind: CronJob\nspec:\n  jobTemplate:\n    spec:\n      template:\n        spec:\n          containers: []\n          tolerations:\n          - key: gpu\n            operator: Exists\n          - effect: NoSchedule\n            key: a\n            value: b\n" +
				"---\napiVersion: v1\nkind: Service\nspec: {}\n"},
		{"node selector", AddNodeSelector(map[string]string{"zone": "a"}),
			"{apiVersion: v1, kind: Pod, spec: {containers: [], nodeSelector: {b: c}}}\n---\n{apiVersion: argoproj.io/v1alpha1, kind: Workflow, spec: {}}",
			"---\napiVersion: v1\nkind: Pod\nspec:\n  containers: []\n  nodeSelector:\n    b: c\n    zone: a\n---\napiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec:\n  nodeSelector:\n    zone: a\n"},
		{"retag", RetagImages(toMirror, RetagOptions{}),
			"{apiVersion: v1, kind: Pod, spec: {containers: [{image: a}]}} # one\n",
			"{apiVersion: v1, kind: Pod, spec: {containers: [{image: mirror.lab/docker.io/library/a}]}} # one\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			after, err := test.transform(Manifest(test.before))
			require.NoError(t, err)
			assert.Equal(t, test.after, string(after))
			again, err := test.transform(after)
			require.NoError(t, err)
			assert.Equal(t, string(after), string(again), "a second run changes nothing")
		})
	}
}

func TestTransformFailures(t *testing.T) {
	pod := Manifest("{apiVersion: v1, kind: Pod, spec: {containers: [{image: ':1'}]}}")
	for _, test := range []struct {
		name      string
		transform Transform
		manifest  Manifest
		want      string
	}{
		{"label key", AddLabels(map[string]string{"a b": "c"}), pod, `invalid argument: label key "a b"`},
		{"label prefix", AddLabels(map[string]string{"A_/b": "c"}), pod, `invalid argument: label key "A_/b"`},
		{"label value", AddLabels(map[string]string{"a": "-"}), pod, `invalid argument: value "-" of label a`},
		{"unreadable document", AddLabels(nil), Manifest("kind: ["), "manifest document 1 at line 1: "},
		{"an image that cannot be rewritten", RetagImages(toMirror, RetagOptions{}), pod, `image ":1" of Pod at spec.containers[0].image cannot be rewritten: invalid reference format`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := test.transform(test.manifest)
			assert.ErrorContains(t, err, test.want)
		})
	}
	_, err := RetagImages(toMirror, RetagOptions{KeepFailed: true})(pod)
	assert.NoError(t, err)
}

func TestExportImages(t *testing.T) {
	manifest := Manifest(`{apiVersion: v1, kind: Pod, spec: {containers: [
		{image: nginx:1}, {image: quay.io/a/b:2}, {image: quay.io/a/c:3}, {image: d:4}, {image: quay.io/x/hard-coded:5}, {image: mirror.lab/e}, {image: busybox}]}}`)
	values := map[string]any{
		"image":   map[string]any{"repository": "nginx", "tag": ""},
		"b":       map[string]any{"image": map[string]any{"registry": "quay.io", "repository": "a/b", "tag": "2"}},
		"cImage":  "quay.io/a/c:3",
		"sidecar": []any{map[string]any{"name": "d", "image": "d:4"}, "other"},
		"unused":  map[string]any{"image": "quay.io/not/there:1"},
		"git":     map[string]any{"repository": "https://example.com/x"},
	}
	export, err := ExportImages(manifest, values, toMirror, ImageOptions{})
	require.NoError(t, err)
	assert.Equal(t, &ImageExport{
		Images: []string{"docker.io/library/busybox", "docker.io/library/d:4", "docker.io/library/nginx:1", "mirror.lab/e", "quay.io/a/b:2", "quay.io/a/c:3", "quay.io/x/hard-coded:5"},
		Mirrors: []string{"mirror.lab/docker.io/library/busybox", "mirror.lab/docker.io/library/d:4", "mirror.lab/docker.io/library/nginx:1", "mirror.lab/e",
			"mirror.lab/quay.io/a/b:2", "mirror.lab/quay.io/a/c:3", "mirror.lab/quay.io/x/hard-coded:5"},
		Values: map[string]any{
			"image":   map[string]any{"repository": "mirror.lab/docker.io/library/nginx"},
			"b":       map[string]any{"image": map[string]any{"registry": "mirror.lab", "repository": "quay.io/a/b"}},
			"cImage":  "mirror.lab/quay.io/a/c:3",
			"sidecar": []any{map[string]any{"name": "d", "image": "mirror.lab/docker.io/library/d:4"}, "other"},
		},
		Missed: []string{"docker.io/library/busybox", "quay.io/x/hard-coded:5"},
	}, export)
}
