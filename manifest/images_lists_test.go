package manifest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// lists are the four lists of a report, as text.
type lists struct{ images, invalid, unresolved, hints []string }

func listsOf(t *testing.T, manifest string) lists {
	t.Helper()
	report, err := Manifest(manifest).ImageReport(ImageOptions{})
	require.NoError(t, err)
	images, err := Manifest(manifest).Images(ImageOptions{Exclude: []string{}})
	require.NoError(t, err)
	assert.Equal(t, images, imageNames(report.Images), "with hints or without, the images are the same")
	texts := func(uses []ImageUse) (texts []string) {
		for _, use := range uses {
			texts = append(texts, use.Image)
		}
		return texts
	}
	for _, use := range slices.Concat(report.Invalid, report.Unresolved) {
		assert.NotEmpty(t, use.Reason, "%s is in a list that says why", use.Image)
	}
	return lists{texts(report.Images), texts(report.Invalid), texts(report.Unresolved), texts(report.Hints)}
}

// custom is a custom resource with a spec.
func custom(group, kind, spec string) string {
	return fmt.Sprintf("apiVersion: %s/v1\nkind: %s\nmetadata: {name: n}\nspec: %s\n", group, kind, spec)
}

const testDigest = "sha256:0123456789012345678901234567890123456789012345678901234567890123"

// Images that are put together from several fields, and what lacks a part.
func TestImageParts(t *testing.T) {
	thing := func(spec string) string { return custom("example.com", "Thing", spec) }
	for _, test := range []struct {
		name, manifest string
		want           lists
	}{
		{"a tag with a digest", thing("{image: {repository: quay.io/a, tag: '3.12.0@" + testDigest + "'}}"), lists{images: []string{"quay.io/a:3.12.0@" + testDigest}}},
		{"a version with a digest, in the values of a chart", custom("helm.toolkit.fluxcd.io", "HelmRelease", "{values: {image: {repository: a/b, tag: 'v1@"+testDigest+"'}}}"), lists{images: []string{"a/b:v1@" + testDigest}}},
		{"a tag with what is no digest", thing("{image: {repository: a/b, tag: 'v1@v2'}}"), lists{invalid: []string{"a/b:v1@sha256:v2"}}},
		{"a digest split behind its algorithm", thing("{image: {repository: 'a/b@sha256', tag: '" + testDigest[7:] + "'}}"), lists{images: []string{"a/b@" + testDigest}}},
		{"a plus in a version", custom("upgrade.cattle.io", "Plan", "{version: v1.20.11+k3s1, upgrade: {image: rancher/k3s-upgrade}}"), lists{images: []string{"rancher/k3s-upgrade:v1.20.11-k3s1"}}},
		{"a plus in an image", thing("{image: 'a/b:v1+k3s1'}"), lists{invalid: []string{"a/b:v1+k3s1"}}},

		{"repository, name and tag by component", thing("{images: {reaper: {repository: thelastpickle, name: cassandra-reaper, tag: 4.0.1}}}"), lists{images: []string{"thelastpickle/cassandra-reaper:4.0.1"}}},
		{"with a registry", thing("{images: {a: {registry: ghcr.io, repository: k8ssandra, name: system-logger, tag: latest}}}"), lists{images: []string{"ghcr.io/k8ssandra/system-logger:latest"}}},
		{"an item of a list is called something", thing("{images: [{name: x, repository: a/b, tag: 1}]}"), lists{images: []string{"a/b:1"}}},
		{"repository and version of an image", thing("{image: {repository: emqx/emqx-ee, version: 4.4.15}}"), lists{images: []string{"emqx/emqx-ee:4.4.15"}}},
		{"repository and version of something else", thing("{chart: {repository: emqx/emqx-ee, version: 4.4.15}}"), lists{}},

		{"defaults for all", custom("mellanox.com", "NicClusterPolicy", "{global: {repository: nvcr.io/m, version: v1}, a: {image: multus-cni}, b: {image: driver, repository: r.io/x, version: v2}, c: {image: plugins, version: v3}}"),
			lists{images: []string{"nvcr.io/m/multus-cni:v1", "r.io/x/driver:v2", "nvcr.io/m/plugins:v3"}}},
		{"a registry for all", custom("datadoghq.com", "DatadogAgent", "{global: {registry: public.ecr.aws/datadog}, override: {nodeAgent: {image: {name: agent, tag: 7}}, other: {image: {name: 'gcr.io/a/b:7'}}}}"),
			lists{images: []string{"public.ecr.aws/datadog/agent:7", "gcr.io/a/b:7"}}},
		{"a default that is so anyway", thing("{defaults: {registry: docker.io}, images: {a: {repository: r, name: a, tag: 1}, b: {registry: quay.io, repository: r, name: b, tag: 1}}}"),
			lists{images: []string{"r/a:1", "quay.io/r/b:1"}}},
		{"no default is a registry", thing("{global: {registry: true}, a: {image: {name: agent, tag: 7}}}"), lists{unresolved: []string{"agent:7"}}},
		{"defaults are not for containers", thing("{global: {registry: quay.io}, containers: [{name: c, image: nginx}]}"), lists{images: []string{"nginx"}}},

		{"a registry beside an image", thing("{registry: mirror.lab, image: 'emqx/emqx:4.4.15'}"), lists{images: []string{"mirror.lab/emqx/emqx:4.4.15"}}},
		{"a registry beside an image with one", thing("{registry: mirror.lab, image: 'quay.io/emqx/emqx:4.4.15'}"), lists{images: []string{"quay.io/emqx/emqx:4.4.15"}}},
		{"another registry beside an image", thing("{registry: schemas, image: 'emqx/emqx:4.4.15'}"), lists{images: []string{"emqx/emqx:4.4.15"}}},
		{"a registry and a version beside an image", thing("{registry: docker.io, image: a/b, version: v1}"), lists{images: []string{"docker.io/a/b:v1"}}},

		{"an image name with its registry and tag", thing("{a: {imageName: a, imageRegistry: r.io/x, imageTag: 1}}"), lists{images: []string{"r.io/x/a:1"}}},
		{"parts that are called like an image", thing("{image: {pgImage: 'pg:14', pgRepository: r.io/x, jobImage: job, jobRepository: r.io/x, jobTag: 2}}"), lists{images: []string{"r.io/x/pg:14", "r.io/x/job:2"}}},
		{"a version beside an image", thing("{image: a/b, version: v1.2+x}"), lists{images: []string{"a/b:v1.2-x"}}},
		{"a version beside an image that has one", thing("{image: 'a/b:1', version: 2, c: {image: 'a/c@" + testDigest + "', version: 3}}"), lists{images: []string{"a/b:1", "a/c@" + testDigest}}},
		{"the version of something beside a word", thing("{image: ubuntu, version: 1}"), lists{images: []string{"ubuntu"}}},
		{"a range of versions beside an image", thing("{image: a/b, version: '>= 1.2'}"), lists{images: []string{"a/b"}}},
		{"a version beside a container", thing("{containers: [{image: a/b, version: 1}]}"), lists{images: []string{"a/b"}}},
		{"versions called like the images", thing("{prometheusImage: prom/prometheus, prometheusVersion: v2.9, initImage: a/b, version: v1}"), lists{images: []string{"prom/prometheus:v2.9", "a/b"}}},
		{"a version beside a word", thing("{nodeImage: ubuntu, nodeVersion: 22.04}"), lists{hints: []string{"ubuntu"}}},
		{"a base image and a tag", thing("{imageConfigs: [{baseImage: a/b, tag: 1}]}"), lists{images: []string{"a/b:1"}}},
		{"image name and tag name", thing("{image: {repository: r.io, imageName: a/b, tagName: latest}}"), lists{images: []string{"r.io/a/b:latest"}}},

		{"nothing but a repository", custom("operator.victoriametrics.com", "VMAuth", "{image: {repository: victoriametrics/vmauth, pullPolicy: Always}}"), lists{unresolved: []string{"victoriametrics/vmauth"}}},
		{"nothing but an image's repository", thing("{imageRepository: r.io/a/b, c: {kubeImageRepository: 'r.io/a/c:1', d: {imageRepository: word}, e: {image_repo: r.io/a/e}, f: {image_repo: r.io/a/f, image_tag: v1}}}"), lists{images: []string{"r.io/a/c:1", "r.io/a/f:v1"}, unresolved: []string{"r.io/a/b", "r.io/a/e"}}},
		{"a whole image for a repository", thing("{image: {repository: 'a/b:1'}}"), lists{images: []string{"a/b:1"}}},
		{"a name and a tag", thing("{image: {name: agent, tag: 7}}"), lists{unresolved: []string{"agent:7"}}},
		{"a name and a tag by component", thing("{images: {a: {name: agent, tag: 7}}}"), lists{unresolved: []string{"agent:7"}}},
		{"an item of a list that is called something", thing("{images: [{name: agent, tag: 7}]}"), lists{}},
		{"nothing but a tag", thing("{image: {tag: v1.2, pullPolicy: Always}}"), lists{unresolved: []string{":v1.2"}}},
		{"a tag beside something else", thing("{image: {tag: v1.2, publisher: Canonical}}"), lists{}},
		{"an image and a repository without a version", thing("{repository: r.io/a, image: b, imagePullPolicy: Always}"), lists{unresolved: []string{"r.io/a/b"}}},
		{"an image of a machine", custom("infrastructure.cluster.x-k8s.io", "Machine", "{image: {name: ubuntu, tag: 22}, a: {image: {repository: a/b}}, b: {image: {version: 1}}}"), lists{}},
		{"a disk in an image, of a machine", custom("infrastructure.cluster.x-k8s.io", "Machine", "{volumes: [{containerDisk: {image: '${IMAGE}'}}, {containerDisk: {image: a/b}}]}"), lists{images: []string{"a/b"}, unresolved: []string{"${IMAGE}"}}},
		{"a profile for an image", custom("security-profiles-operator.x-k8s.io", "ProfileBinding", "{image: 'a/b:1'}"), lists{}},
		{"an image without a tag, in the values of a chart", custom("helm.toolkit.fluxcd.io", "HelmRelease", "{values: {image: a/b}}"), lists{unresolved: []string{"a/b"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, test.want, listsOf(t, test.manifest))
		})
	}
}

// What the fields of custom resources that are called like an image hold.
func TestImageFields(t *testing.T) {
	for _, test := range []struct {
		name, spec string
		want       lists
	}{
		{"a container with what is no image", "{containers: [{image: 'ko://a/b'}, {image: /a/b}, {image: true}]}", lists{invalid: []string{"ko://a/b", "/a/b"}, images: []string{"true"}}},
		{"whatever a field is called", "{proxyService: 'quay.io/a/b:v1', build: {from: 'quay.io/a/c@" + testDigest + "'}, at: 'x.io/a:80', note: 'see quay.io/a/b:v1', output: {image: 'quay.io/a/d:v1'}, labels: {a: 'quay.io/a/e:v1'}, run: {builder: 'a/f:v1', api: 'apps/v1:a', count: 'a/b:2'}}", lists{hints: []string{"quay.io/a/b:v1", "quay.io/a/c@" + testDigest, "quay.io/a/e:v1", "a/f:v1"}}},
		{"a mapping of images that is called something else", "{components: {redis: 'quay.io/a/b:v1', proxy: 'quay.io/a/c:v1', size: 'a/b:2', other: 'a/d:v1'}, pair: {a: 'a/e:v1', b: 'a/f:v1'}}", lists{images: []string{"quay.io/a/b:v1", "quay.io/a/c:v1"}, hints: []string{"a/d:v1", "a/e:v1", "a/f:v1"}}},
		{"a scheme in a list", "{image_list: ['docker://quay.io/a', quay.io/b, 'docker://c:1'], imageLabels: ['docker://quay.io/d', quay.io/e]}", lists{images: []string{"quay.io/a", "quay.io/b", "c:1", "quay.io/d"}}},
		{"a path without tag and registry", "{dummyImage: my-registry/my-dummy-image}", lists{images: []string{"my-registry/my-dummy-image"}}},
		{"a word", "{initImage: busybox}", lists{hints: []string{"busybox"}}},
		{"a template", "{initImage: '{{ image }}', containerImage: 'a/b:$VERSION'}", lists{unresolved: []string{"{{ image }}", "a/b:$VERSION"}}},
		{"a place to fill in", "{containerImage: '<your image>', aImage: 'r.io/<repo>:1'}", lists{invalid: []string{"<your image>", "r.io/<repo>:1"}}},
		{"what is no reference", "{initImage: 'docker.io:a/b', newImage: PLACEHOLDER}", lists{invalid: []string{"docker.io:a/b", "PLACEHOLDER"}}},
		{"prose", "{coverImage: A picture of a cat, titleImage: 'Hello {{ name }}'}", lists{}},
		{"switches, numbers and files", "{pushImage: true, hashedImages: No, sizeImage: 5, aImage: 's3://a/b', bImage: /a/b, cImage: a/b.qcow2, imageURL: 'data:image/png;base64,AA==', image: projects/a/global/images/b}", lists{}},
		{"a scheme", "{aImage: 'docker://quay.io/a:1', image: 'oci://quay.io/b:1'}", lists{images: []string{"quay.io/a:1", "quay.io/b:1"}}},
		{"an override", "{installerImageOverride: '${IMAGE}', imageOverride: a/b}", lists{images: []string{"a/b"}, unresolved: []string{"${IMAGE}"}}},
		{"several in a text", "{images: 'a=quay.io/a:1;b=quay.io/b:1', baseImages: 'c:1, d:1'}", lists{images: []string{"quay.io/a:1", "quay.io/b:1", "c:1", "d:1"}}},
		{"one that has no image", "{images: 'a=quay.io/a:1;b=word'}", lists{invalid: []string{"a=quay.io/a:1;b=word"}}},
		{"settings beside images", "{images: {a: 'quay.io/a:1', size: 5Gi, pullPolicy: Always, pullSecret: x, tag: v1}}", lists{images: []string{"quay.io/a:1"}}},
		{"a small name", "{pauseimage: 'k8s.gcr.io/pause:3'}", lists{images: []string{"k8s.gcr.io/pause:3"}}},
		{"something about an image", "{imageBeta: 'quay.io/a/b:1', image_robin: 'a/b:1', imageDetails: {name: 'a/c:1'}}", lists{images: []string{"quay.io/a/b:1", "a/b:1", "a/c:1"}}},
		{"something else about an image", "{imageClass: a/b, imageStreamTag: 'a/b:1', imageRegistry: 'quay.io:443/a', imageCatalogRef: {name: 'a:1'}}", lists{}},
		{"a whole image for a part", "{appVersion: 'quay.io/a/b:1', imageRepository: 'quay.io/a/c:1'}", lists{images: []string{"quay.io/a/b:1", "quay.io/a/c:1"}}},
		{"a link to an image", "{a: {image: {url: 'quay.io/a/b:1'}}, images: [{name: x, url: quay.io/a/c}], b: {image: {url: 'https://x.io/a/b:1'}}}", lists{images: []string{"quay.io/a/b:1", "quay.io/a/c"}}},
		{"a link that says what it is", "{source: {registry: {url: 'docker://quay.io/a/b'}}, other: {url: 'oci://quay.io/a/b:1'}}", lists{images: []string{"quay.io/a/b"}}},
		{"a parameter", "{params: [{name: image, value: 'docker://quay.io/a/b:1'}]}", lists{hints: []string{"quay.io/a/b:1"}}},
		{"a patch", "{plaintext: [{path: /spec/containers/0/image, operator: replace, value: 'a:1'}, {path: /spec/image, value: b}, {path: /spec/image, value: 'quay.io/d:1'}, {path: /spec/image, value: 'quay.io/a/d:1'}, {path: /spec/replicas, value: 'c:1'}]}", lists{hints: []string{"a:1", "b", "quay.io/d:1", "quay.io/a/d:1"}}},
		{"an object without metadata", "{trialSpec: {apiVersion: trainer.kubeflow.org/v1, kind: TrainJob, spec: {trainer: {image: 'a:1'}}}}", lists{images: []string{"a:1"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, test.want, listsOf(t, custom("example.com", "Thing", test.spec)))
		})
	}
	assert.Equal(t, lists{hints: []string{"a/b:1"}}, listsOf(t, "apiVersion: example.com/v1\nkind: Config\nspec: {image: 'a/b:1'}"), "the configuration of a program is no object")
	assert.Equal(t, lists{images: []string{"nginx", "a/b:1", "busybox"}},
		listsOf(t, custom("core.oam.dev", "Application", "{components: [{properties: {image: nginx}, traits: [{type: nocalhost, properties: {image: go}}, {type: nocalhost, properties: {image: 'a/b:1'}}, {type: sidecar, properties: {image: busybox}}]}]}")), "one trait names a language")
}

// Hints in ConfigMaps and in other text.
func TestImageHints(t *testing.T) {
	for _, test := range []struct {
		name, data string
		want       []string
	}{
		{"two keys", "{trivy.repository: ghcr.io/aquasecurity/trivy, trivy.tag: 0.50.1}", []string{"ghcr.io/aquasecurity/trivy:0.50.1"}},
		{"three keys", "{PROXY_REGISTRY: quay.io, PROXY_IMAGE: a/proxy, PROXY_TAG: '1'}", []string{"quay.io/a/proxy:1"}},
		{"names of several words", "{proxyImage: proxy, proxyImageTag: v1, db-image: db, db-image-tag: v2}", []string{"proxy:v1", "db:v2"}},
		{"keys of two images", "{a.repository: quay.io/a, b.tag: v1}", nil},
		{"a repository of something else", "{git.repository: 'https://example.com/a/b', git.tag: v1}", nil},
		{"labels, taints and resources", "{a: 'app.kubernetes.io/component:webhook', b: 'node-role.kubernetes.io/master:NoSchedule', c: 'example.com/team:blue', d: 'helm.sh/chart:a-1.0'}", nil},
		{"a registry is no label", "{a: 'registry.k8s.io/pause:3.1', b: 'example.com/team/blue:green'}", []string{"registry.k8s.io/pause:3.1", "example.com/team/blue:green"}},
		{"what a placeholder goes on with", "{image: 'quay.io/a:v1-{{revision}} quay.io/b:$TAG quay.io/c:v1'}", []string{"quay.io/c:v1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, lists{hints: test.want}, listsOf(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: "+test.data))
		})
	}
}

// What stands where an image is due is in exactly one of the lists, whatever it is.
func TestEveryImageIsInOneList(t *testing.T) {
	workflow := func(template string) string {
		return "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: w}\nspec: {templates: [" + template + "]}"
	}
	places := map[string]string{ // with %s for the image
		"a pod":             "apiVersion: v1\nkind: Pod\nspec: {containers: [{image: %s}]}",
		"an init container": "apiVersion: apps/v1\nkind: Deployment\nspec: {template: {spec: {initContainers: [{name: c, image: %s}]}}}",
		"an image volume":   "apiVersion: v1\nkind: Pod\nspec: {volumes: [{name: v, image: {reference: %s}}]}",
		"a workflow":        workflow("{container: {image: %s}}"),
		"a sidecar":         workflow("{sidecars: [{name: s, image: %s}]}"),
		"a patched pod":     workflow("{container: {image: %s}, podSpecPatch: 'memory: {{inputs.parameters.p}}'}"),
		"an item of a list": "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Pod, spec: {containers: [{image: %s}]}}]",
		"a service":         custom("serving.knative.dev", "Service", "{template: {spec: {containers: [{image: %s}]}}}"),
		"a step":            custom("tekton.dev", "Task", "{params: [{name: a, default: x}], steps: [{image: %s}]}"),
		"a template":        "apiVersion: template.openshift.io/v1\nkind: Template\nobjects: [{apiVersion: v1, kind: Pod, spec: {containers: [{image: %s}]}}]\nparameters: [{name: A, value: x}]",
		"a graph":           custom("kro.run", "ResourceGraphDefinition", "{resources: [{template: {apiVersion: v1, kind: Pod, spec: {containers: [{image: %s}]}}}]}"),
		"a field":           custom("example.com", "Thing", "{image: %s}"),
		"a container":       custom("example.com", "Thing", "{a: [{containers: [{image: %s}]}]}"),
		"a name":            custom("example.com", "Thing", "{initImage: %s}"),
		"a small name":      custom("example.com", "Thing", "{spark.container.image: %s}"),
		"names":             custom("example.com", "Thing", "{extraImages: [%s]}"),
		"a list":            custom("example.com", "Thing", "{image: [%s]}"),
		"an embedded one":   custom("example.com", "Thing", "{job: {apiVersion: example.com/v1, kind: Job, spec: {image: %s}}}"),
	}
	values := []string{
		"a", "a:1", "a/b", "quay.io/a/b:v1", "a@" + testDigest, "a:1@" + testDigest, "localhost:5000/a", "docker.io:a/b", ":1", "a:", "A/B:1", "a/b:v1+x",
		"{{image}}", "{{ .Values.image }}", "a:{{tag}}", "{{inputs.parameters.a}}", "{{workflow.parameters.a}}:1", "{{item}}", "{{=sprig.x()}}",
		"$(params.a)", "$(params.b)", "a:$(params.a)", "${A}", "${B}:1", "${{A}}", "${schema.spec.image}", "$IMAGE", "a:$TAG", "r.io/$X/b@" + testDigest,
		"<image>", "a:<tag>", "a:%TAG%", "__REGION__", "a:{TAG}", "{{", "a:${", "a b/c:1", strings.Repeat("a", 300), strings.Repeat("${A}", 400), "{{a}}" + strings.Repeat("b", 2000),
	}
	for place, manifest := range places {
		for _, value := range values {
			if strings.Contains(value, " ") && !strings.Contains(value, "{{") && strings.Contains(place, "name") {
				continue // prose in a field that is only called like an image
			}
			got := listsOf(t, fmt.Sprintf(manifest, "'"+value+"'"))
			in := 0
			for _, list := range [][]string{got.images, got.invalid, got.unresolved, got.hints} {
				in += len(list)
			}
			assert.Equal(t, 1, in, "%s: %q is in %+v", place, value, got)
		}
	}
}

// A field of a custom resource that holds a switch, a number or a file is no image, and nothing is due in an empty one.
func TestNoImageIsDue(t *testing.T) {
	for _, value := range []string{"", "''", "null", "~", "true", "False", "12", "/ui/logo", "logo.png", "https://x.io/a/b:1", "{}", "[]"} {
		assert.Equal(t, lists{}, listsOf(t, custom("example.com", "Thing", "{image: "+value+", initImage: "+value+"}")), value)
	}
}
