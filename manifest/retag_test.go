package manifest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// toMirror puts the registry in front, as most mirrors do.
func toMirror(r Reference) Reference {
	if r.Registry == "mirror.lab" {
		return r
	}
	return Reference{Registry: "mirror.lab", Repository: r.Registry + "/" + r.Repository, Tag: r.Tag, Digest: r.Digest}
}

func TestRetag(t *testing.T) {
	const digest = "sha256:0123456789012345678901234567890123456789012345678901234567890123"
	workflow := "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: w}\nspec:\n"
	pod := "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n"
	injected := strings.Replace(pod, "{name: p}", "{name: p, labels: {sidecar.istio.io/inject: \"true\"}}", 1)
	custom := "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: t}\nspec:\n"
	for _, test := range []struct {
		name, before, after string
		failed              []string // reasons
	}{
		{"plain, with a comment", pod + "  - image: nginx:1  # the proxy\n", pod + "  - image: mirror.lab/docker.io/library/nginx:1  # the proxy\n", nil},
		{"double quotes", pod + "  - image: \"nginx:1\"\n", pod + "  - image: \"mirror.lab/docker.io/library/nginx:1\"\n", nil},
		{"single quotes", pod + "  - image: 'nginx:1'\n", pod + "  - image: 'mirror.lab/docker.io/library/nginx:1'\n", nil},
		{"escapes", pod + "  - image: \"quay.io/a\\u002fb\"\n", pod + "  - image: \"mirror.lab/quay.io/a/b\"\n", nil},
		{"digest", pod + "  - image: quay.io/a/b:1@" + digest + "\n", pod + "  - image: mirror.lab/quay.io/a/b:1@" + digest + "\n", nil},
		{"flow style", pod + "  - {name: a, image: nginx:1, tty: true}\n", pod + "  - {name: a, image: mirror.lab/docker.io/library/nginx:1, tty: true}\n", nil},
		{"JSON", `{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"image":"nginx"}]}}`, `{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"image":"mirror.lab/docker.io/library/nginx"}]}}`, nil},
		{"characters of several bytes in front", pod + "  - {name: \"größe 你好\", image: nginx}\n", pod + "  - {name: \"größe 你好\", image: mirror.lab/docker.io/library/nginx}\n", nil},
		{"carriage returns", "apiVersion: v1\r\nkind: Pod\r\nspec:\r\n  containers:\r\n  - image: nginx\r\n  - image: redis\r\n", "apiVersion: v1\r\nkind: Pod\r\nspec:\r\n  containers:\r\n  - image: mirror.lab/docker.io/library/nginx\r\n  - image: mirror.lab/docker.io/library/redis\r\n", nil},
		{"byte order mark and marker lines", "\ufeff--- # first\n" + pod + "  - image: nginx\n...\n---\n", "\ufeff--- # first\n" + pod + "  - image: mirror.lab/docker.io/library/nginx\n...\n---\n", nil},
		{"anchor and alias", pod + "  - image: &i nginx\n  - image: *i\n", pod + "  - image: &i mirror.lab/docker.io/library/nginx\n  - image: *i\n", nil},
		{"tag of YAML", pod + "  - image: !!str nginx\n", pod + "  - image: !!str mirror.lab/docker.io/library/nginx\n", nil},
		{"block scalar", pod + "  - image: |-\n      nginx\n", pod + "  - image: |-\n      mirror.lab/docker.io/library/nginx\n", nil},
		{"a number by a tag", pod + "  - image: !!int '4'\n  - image: !!str nginx\n", pod + "  - image: !!int '4'\n  - image: !!str mirror.lab/docker.io/library/nginx\n", []string{errTagged.Error()}},
		{"a key as image", pod + "  - &x image: *x\n", pod + "  - &x image: *x\n", []string{errKey.Error()}},
		{"an image as key", pod + "  - image: &i nginx\n    a: {*i : b}\n", pod + "  - image: &i nginx\n    a: {*i : b}\n", []string{errKey.Error()}},
		{"a key that a later one replaces", pod + "  - {&x image: a, image: *x}\n", pod + "  - {&x image: a, image: *x}\n", []string{errKey.Error()}},
		{"folded scalar", pod + "  - image: >-\n      nginx\n", pod + "  - image: >-\n      nginx\n", []string{errFolded.Error()}},
		{"invalid", pod + "  - image: docker.io:a/b\n  - image: nginx\n", pod + "  - image: docker.io:a/b\n  - image: mirror.lab/docker.io/library/nginx\n", []string{"invalid reference format"}},
		{"nothing is excluded", pod + "  - image: busybox\n", pod + "  - image: mirror.lab/docker.io/library/busybox\n", nil},
		{"what Istio would replace", pod + "  - image: auto\n", pod + "  - image: mirror.lab/docker.io/library/auto\n", nil},
		{"what Istio replaces", injected + "  - image: auto\n", injected + "  - image: auto\n", []string{"Istio replaces it by the image of its proxy"}},
		{"already there", pod + "  - image: mirror.lab/a\n", pod + "  - image: mirror.lab/a\n", nil},

		{"composite of repository, image and version", custom + "  repository: nvcr.io/nvidia\n  image: driver\n  version: 1.2\n", custom + "  repository: mirror.lab/nvcr.io/nvidia\n  image: driver\n  version: 1.2\n", nil},
		{"composite with a digest for version", custom + "  repository: nvcr.io/nvidia\n  image: driver\n  version: \"" + digest + "\"\n", custom + "  repository: mirror.lab/nvcr.io/nvidia\n  image: driver\n  version: \"" + digest + "\"\n", nil},
		{"composite of registry, name and version", custom + "  registry: quay.io\n  name: a/b\n  version: v1\n", custom + "  registry: mirror.lab/quay.io\n  name: a/b\n  version: v1\n", nil},
		{"composite of image and tag", custom + "  image: quay.io/a/b\n  imageTag: v1\n", custom + "  image: mirror.lab/quay.io/a/b\n  imageTag: v1\n", nil},

		{"composite with a tag and a digest in one", custom + "  image: {repository: a/b, tag: \"v1@" + digest + "\"}\n", custom + "  image: {repository: mirror.lab/docker.io/a/b, tag: \"v1@" + digest + "\"}\n", nil},
		{"composite with a plus in the version", custom + "  image: {repository: a/b, tag: v1+k3s1}\n", custom + "  image: {repository: mirror.lab/docker.io/a/b, tag: v1+k3s1}\n", nil},
		{"composite with defaults", custom + "  defaults: {registry: docker.io}\n  images: {c: {repository: a, name: b, tag: 1}}\n", custom + "  defaults: {registry: mirror.lab/docker.io}\n  images: {c: {repository: a, name: b, tag: 1}}\n", nil},
		{"a registry beside an image", custom + "  registry: quay.io\n  image: a/b:1\n", custom + "  registry: mirror.lab/quay.io\n  image: a/b:1\n", nil},
		{"nothing but a repository", custom + "  image: {repository: a/b}\n", custom + "  image: {repository: a/b}\n", []string{"nothing in the manifest says which tag it has"}},
		{"a scheme", custom + "  url: docker://a/b:1\n", custom + "  url: docker://mirror.lab/docker.io/a/b:1\n", nil},
		{"several in a text", custom + "  images: a=quay.io/a:1;b=quay.io/b:1\n", custom + "  images: a=mirror.lab/quay.io/a:1;b=mirror.lab/quay.io/b:1\n", nil},

		{"an item of a loop", workflow + "  templates: [{steps: [[{withItems: [{i: a}], inline: {container: {image: '{{item.i}}'}}}]]}]\n", workflow + "  templates: [{steps: [[{withItems: [{i: mirror.lab/docker.io/library/a}], inline: {container: {image: '{{item.i}}'}}}]]}]\n", nil},
		{"two arguments alike", workflow + "  templates: [{name: m, steps: [[{template: t, arguments: {parameters: [{name: i, value: a}]}}, {template: t, arguments: {parameters: [{name: i, value: a}]}}]]}, {name: t, container: {image: '{{inputs.parameters.i}}'}}]\n",
			workflow + "  templates: [{name: m, steps: [[{template: t, arguments: {parameters: [{name: i, value: mirror.lab/docker.io/library/a}]}}, {template: t, arguments: {parameters: [{name: i, value: mirror.lab/docker.io/library/a}]}}]]}, {name: t, container: {image: '{{inputs.parameters.i}}'}}]\n", nil},
		{"an item in a text", workflow + "  templates: [{steps: [[{withParam: '[\"a\"]', inline: {container: {image: '{{item}}'}}}]]}]\n", workflow + "  templates: [{steps: [[{withParam: '[\"a\"]', inline: {container: {image: '{{item}}'}}}]]}]\n", []string{"put together from arguments of the workflow"}},
		{"JSON in an argument", workflow + "  arguments: {parameters: [{name: i, value: '{\"image\":\"a\",\"command\":[]}'}]}\n", workflow + "  arguments: {parameters: [{name: i, value: '{\"image\":\"mirror.lab/docker.io/library/a\",\"command\":[]}'}]}\n", nil},
		{"argument in a manifest of a workflow", workflow + "  arguments: {parameters: [{name: i, value: a}]}\n  templates: [{resource: {manifest: \"kind: Pod\\napiVersion: v1\\nspec: {containers: [{image: '{{workflow.parameters.i}}'}]}\"}}]\n",
			workflow + "  arguments: {parameters: [{name: i, value: mirror.lab/docker.io/library/a}]}\n  templates: [{resource: {manifest: \"kind: Pod\\napiVersion: v1\\nspec: {containers: [{image: '{{workflow.parameters.i}}'}]}\"}}]\n", nil},
		{"argument of a workflow", workflow + "  arguments: {parameters: [{name: i, value: nginx}]}\n  templates: [{container: {image: '{{workflow.parameters.i}}'}}]\n",
			workflow + "  arguments: {parameters: [{name: i, value: mirror.lab/docker.io/library/nginx}]}\n  templates: [{container: {image: '{{workflow.parameters.i}}'}}]\n", nil},
		{"part of an argument", workflow + "  arguments: {parameters: [{name: v, value: 1}]}\n  templates: [{container: {image: 'nginx:{{workflow.parameters.v}}'}}]\n",
			workflow + "  arguments: {parameters: [{name: v, value: 1}]}\n  templates: [{container: {image: 'nginx:{{workflow.parameters.v}}'}}]\n", []string{"put together from arguments of the workflow"}},
		{"manifest in a block", workflow + "  templates:\n  - resource:\n      manifest: |\n        kind: Pod\n        apiVersion: v1\n        spec:\n\n          containers:\n          - image: 'nginx' # in a string\n",
			workflow + "  templates:\n  - resource:\n      manifest: |\n        kind: Pod\n        apiVersion: v1\n        spec:\n\n          containers:\n          - image: 'mirror.lab/docker.io/library/nginx' # in a string\n", nil},
		{"several documents in a block", workflow + "  templates:\n  - resource:\n      manifest: |\n        kind: Pod\n        spec: {containers: [{image: a}]}\n        ---\n        # two\n        kind: Pod\n        spec:\n          containers:\n          - image: b\n",
			workflow + "  templates:\n  - resource:\n      manifest: |\n        kind: Pod\n        spec: {containers: [{image: mirror.lab/docker.io/library/a}]}\n        ---\n        # two\n        kind: Pod\n        spec:\n          containers:\n          - image: mirror.lab/docker.io/library/b\n", nil},
		{"manifest in quotes", workflow + "  templates:\n  - resource: {manifest: \"kind: Pod\\napiVersion: v1\\nspec:\\n  containers: [{image: nginx}, {image: 'redis'}]\"}\n",
			workflow + "  templates:\n  - resource: {manifest: \"kind: Pod\\napiVersion: v1\\nspec:\\n  containers: [{image: mirror.lab/docker.io/library/nginx}, {image: 'mirror.lab/docker.io/library/redis'}]\"}\n", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			after, report, err := Manifest(test.before).Retag(toMirror, RetagOptions{})
			require.NoError(t, err)
			assert.Equal(t, test.after, string(after))
			var failed []string
			for _, f := range report.Failed {
				failed = append(failed, f.Reason)
			}
			assert.Equal(t, test.failed, failed)

			again, _, err := after.Retag(toMirror, RetagOptions{})
			require.NoError(t, err)
			assert.Equal(t, string(after), string(again), "a second run changes nothing")
		})
	}
}

func TestRegistryMap(t *testing.T) {
	mirrors := RegistryMap{
		"docker.io": "mirror.lab/docker", "quay.io/ceph": "mirror.lab/ceph", "quay.io/ceph/special": "other.lab",
		"gcr.io/": "mirror.lab:5000/", "*": "mirror.lab/rest",
	}
	for _, test := range []struct{ from, to string }{
		{"nginx:1", "mirror.lab/docker/library/nginx:1"},
		{"docker.io/a/b", "mirror.lab/docker/a/b"},
		{"quay.io/ceph/ceph:v18", "mirror.lab/ceph/ceph:v18"},
		{"quay.io/ceph/special/x", "other.lab/x"},
		{"quay.io/cephalopod/x", "mirror.lab/rest/cephalopod/x"},
		{"gcr.io/a", "mirror.lab:5000/a"},
		{"mirror.lab/docker/library/nginx:1", "mirror.lab/docker/library/nginx:1"},
		{"mirror.lab/dockerfiles/x", "mirror.lab/rest/dockerfiles/x"},
	} {
		ref, err := ParseReference(test.from)
		require.NoError(t, err)
		to := mirrors.Rewrite(ref)
		assert.Equal(t, test.to, to.String())
		assert.Equal(t, to, mirrors.Rewrite(to), "a second time changes nothing")
	}
	ref, err := ParseReference("nginx")
	require.NoError(t, err)
	assert.Equal(t, ref, RegistryMap{"quay.io": "mirror.lab"}.Rewrite(ref), "a registry that is not listed stays")
	assert.Equal(t, ref, RegistryMap{}.Rewrite(ref))
}

func TestRetagHints(t *testing.T) {
	const before = `apiVersion: v1
kind: ConfigMap
metadata: {name: m, annotations: {image: "quay.io/a/note:v1"}}
data:
  plain.image: quay.io/a/b:v1
  quoted: "image: quay.io/a/c:v1\nother: \"quay.io/a/d:v1\" # \u00e4 quay.io/a/e:v1"
  single: 'it''s the image quay.io/a/f:v1'
  block: |
    first: x

      image: quay.io/a/g:v1
    images: [quay.io/a/h:v1,quay.io/a/i:v1]
  folded: >
    image: quay.io/a/j:v1
  x.repository: quay.io/a/k
  x.tag: v1
`
	after, report, err := Manifest(before).Retag(toMirror, RetagOptions{Hints: true})
	require.NoError(t, err)
	want := strings.ReplaceAll(before, "quay.io", "mirror.lab/quay.io")
	want = strings.Replace(want, "mirror.lab/quay.io/a/j", "quay.io/a/j", 1)
	assert.Equal(t, want, string(after))
	assert.Len(t, report.Changed, 10)
	require.Len(t, report.Failed, 1)
	assert.Equal(t, errFolded.Error(), report.Failed[0].Reason)

	after, _, err = Manifest(before).Retag(toMirror, RetagOptions{})
	require.NoError(t, err)
	assert.Equal(t, before, string(after), "hints stay unless asked for")
}

func TestRetagComposites(t *testing.T) {
	custom := "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: t}\nspec: "
	newTag := func(r Reference) Reference { r.Tag = "2.0"; return r }
	shorter := func(r Reference) Reference { return Reference{Registry: "m.io", Repository: "x", Tag: r.Tag} }
	for _, test := range []struct {
		name, before, after, failed string
		rewrite                     func(Reference) Reference
	}{
		{"another tag, which needs quotes", "{repository: quay.io/a, image: b, version: v1}", `{repository: quay.io/a, image: b, version: "2.0"}`, "", newTag},
		{"another tag in quotes", "{repository: quay.io/a, image: b, version: 'v1'}", "{repository: quay.io/a, image: b, version: '2.0'}", "", newTag},
		{"another tag in front of a digest", "{image: {repository: a, tag: 'v1@" + testDigest + "'}}", "{image: {repository: docker.io/library/a, tag: '2.0@" + testDigest + "'}}", "", newTag},
		{"no digest behind the tag", "{image: {repository: a, tag: 'v1@" + testDigest + "'}}", "", "the version has a field of its own", func(r Reference) Reference { r.Digest = ""; return r }},
		{"another tag in the name", "{image: {registry: quay.io, name: 'b:v1'}}", "{image: {registry: quay.io, name: 'b:2.0'}}", "", newTag},
		{"no field for the tag", "{image: {registry: quay.io, name: b}}", "{image: {registry: quay.io, name: b}}", "there is no field for the version of the new reference", newTag},
		{"another last element", "{registry: quay.io, name: a/b, version: v1}", "{registry: m.io, name: x, version: v1}", "the new name has fewer elements than fields", shorter},
		{"a name that gets shorter", "{repository: quay.io/a, image: b, version: v1}", "{repository: m.io, image: x, version: v1}", "", shorter},
		{"no valid reference", "{image: a}", "{image: a}", `rewritten to "": invalid reference format`, func(Reference) Reference { return Reference{} }},
	} {
		t.Run(test.name, func(t *testing.T) {
			after, report, err := Manifest(custom+test.before).Retag(test.rewrite, RetagOptions{})
			require.NoError(t, err)
			if test.failed != "" {
				require.Len(t, report.Failed, 1)
				assert.Contains(t, report.Failed[0].Reason, test.failed)
				assert.Equal(t, custom+test.before, string(after))
				return
			}
			assert.Equal(t, custom+test.after, string(after))
		})
	}
}

// Two images that share a field keep sharing it: the second one is refused if it would need another text there.
func TestRetagSharedField(t *testing.T) {
	const before = "apiVersion: gpu.metax-tech.com/v1\nkind: ClusterOperator\nmetadata: {name: t}\nspec: {payload: {registry: r.io, images: [a/b:1, c/d:1]}}"
	mapped := RegistryMap{"r.io/a": "one.lab/a", "r.io/c": "two.lab/c"}
	after, report, err := Manifest(before).Retag(mapped.Rewrite, RetagOptions{})
	require.NoError(t, err)
	assert.Equal(t, strings.Replace(before, "r.io", "one.lab", 1), string(after))
	require.Len(t, report.Failed, 1)
	assert.Equal(t, errShared.Error(), report.Failed[0].Reason)
}

// Without a function that rewrites, nothing is read.
func TestRewriteThatIsMissing(t *testing.T) {
	m := Manifest("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: c, image: a}]}\n")
	_, _, err := m.Retag(nil, RetagOptions{})
	assert.ErrorIs(t, err, ErrInvalidArgument)
	_, err = RetagImages(nil, RetagOptions{})(m)
	assert.ErrorIs(t, err, ErrInvalidArgument)
	_, err = ExportImages(m, nil, nil, ImageOptions{})
	assert.ErrorIs(t, err, ErrInvalidArgument)
	_, err = Transforms(AddLabels(nil), nil)(m)
	assert.ErrorContains(t, err, "transform 2 of 2 is nil")
	assert.ErrorIs(t, err, ErrInvalidArgument)
}
