package manifest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestImages(t *testing.T) {
	const pod = "{containers: [{name: c, image: a:1}], initContainers: [{name: i, image: b:1}], ephemeralContainers: [{name: e, image: c:1}], volumes: [{name: v, image: {reference: d:1}}, {name: disk, rbd: {image: foo}}]}"
	const dag = "apiVersion: argoproj.io/v1alpha1\nmetadata: {name: w}\n"
	ofPod := []string{"a:1", "b:1", "c:1", "d:1"}
	for _, test := range []struct {
		name, manifest string
		want           []string
	}{
		// Kubernetes
		{"Pod", "apiVersion: v1\nkind: Pod\nspec: " + pod, ofPod},
		{"PodTemplate", "apiVersion: v1\nkind: PodTemplate\ntemplate: {spec: " + pod + "}", ofPod},
		{"ReplicationController", "apiVersion: v1\nkind: ReplicationController\nspec: {template: {spec: " + pod + "}}", ofPod},
		{"ReplicaSet", "apiVersion: apps/v1\nkind: ReplicaSet\nspec: {template: {spec: " + pod + "}}", ofPod},
		{"Deployment", "apiVersion: apps/v1\nkind: Deployment\nspec: {template: {spec: " + pod + "}}", ofPod},
		{"Deployment of an old group", "apiVersion: extensions/v1beta1\nkind: Deployment\nspec: {template: {spec: " + pod + "}}", ofPod},
		{"StatefulSet", "apiVersion: apps/v1\nkind: StatefulSet\nspec: {template: {spec: " + pod + "}}", ofPod},
		{"DaemonSet", "apiVersion: apps/v1\nkind: DaemonSet\nspec: {template: {spec: " + pod + "}}", ofPod},
		{"Job", "apiVersion: batch/v1\nkind: Job\nspec: {template: {spec: " + pod + "}}", ofPod},
		{"CronJob", "apiVersion: batch/v1\nkind: CronJob\nspec: {jobTemplate: {spec: {template: {spec: " + pod + "}}}}", ofPod},
		{"ControllerRevision", "apiVersion: apps/v1\nkind: ControllerRevision\ndata: {spec: {template: {spec: " + pod + "}}}", ofPod},
		{"List", "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Pod, spec: " + pod + "}]", ofPod},
		{"PodList", "apiVersion: v1\nkind: PodList\nitems: [{apiVersion: v1, kind: Pod, spec: " + pod + "}]", ofPod},
		{"status", "apiVersion: v1\nkind: Pod\nstatus: {containerStatuses: [{image: a}]}", []string{}},
		{"a field named image that is none", "apiVersion: v1\nkind: Pod\nmetadata: {annotations: {image: a:1}, labels: {image: a}}\nspec: {image: b, containers: [{env: [{name: image, value: c}]}]}", []string{}},
		{"ConfigMap and Secret", "apiVersion: v1\nkind: ConfigMap\ndata: {image: a:1}\n---\napiVersion: v1\nkind: Secret\nstringData: {image: a:1}", []string{}},
		{"CustomResourceDefinition", "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nspec: {image: a, containers: [{image: b}]}", []string{}},
		{"policies", "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nspec: {rules: [{validate: {pattern: {spec: {containers: [{image: 'quay.io/a:1'}]}}}}]}\n---\napiVersion: constraints.gatekeeper.sh/v1beta1\nkind: K8sAllowed\nspec: {image: a}", []string{}},
		{"invalid, empty and busybox", "apiVersion: v1\nkind: Pod\nspec: {containers: [{image: ':1.0.0'}, {image: 'docker.io:a/b'}, {image: __R__}, {image: ''}, {image: auto}, {image: busybox}, {image: 'busybox:1'}]}", []string{"auto", "busybox:1"}},

		// Argo
		{"Workflow", dag + "kind: Workflow\nspec: {templateDefaults: {container: {image: a}}, templates: [{container: {image: b}, initContainers: [{image: c}], sidecars: [{image: d}]}, {script: {image: e}}, {containerSet: {containers: [{image: f}]}}]}",
			[]string{"a", "b", "c", "d", "e", "f"}},
		{"inline templates", dag + "kind: WorkflowTemplate\nspec: {templates: [{dag: {tasks: [{inline: {container: {image: a}}}]}}, {steps: [[{inline: {script: {image: b}}}], [{inline: {container: {image: c}}}]]}]}",
			[]string{"a", "b", "c"}},
		{"CronWorkflow", dag + "kind: CronWorkflow\nspec: {workflowSpec: {templates: [{container: {image: a}}]}}", []string{"a"}},
		{"ClusterWorkflowTemplate", dag + "kind: ClusterWorkflowTemplate\nspec: {templates: [{container: {image: a}}]}", []string{"a"}},
		{"status of a workflow", dag + "kind: Workflow\nstatus: {storedTemplates: {one: {container: {image: a}}}, storedWorkflowTemplateSpec: {templates: [{script: {image: b}}]}, nodes: {x: {container: {image: no}}}}", []string{"a", "b"}},
		{"argument", dag + "kind: Workflow\nspec: {arguments: {parameters: [{name: i, value: a}]}, templates: [{container: {image: '{{workflow.parameters.i}}:{{ workflow.parameters.i }}'}}]}", []string{"a:a"}},
		{"argument without a value", dag + "kind: Workflow\nspec: {arguments: {parameters: [{name: i}]}, templates: [{container: {image: '{{workflow.parameters.i}}'}}, {container: {image: '{{inputs.parameters.i}}'}}]}", []string{}},
		{"items of a loop", dag + "kind: Workflow\nspec: {templates: [{steps: [[{withItems: [{image: debian, tag: 9}]}]]}]}", []string{}},
		{"manifest of a resource", dag + "kind: Workflow\nspec: {templates: [{resource: {manifest: \"apiVersion: v1\\nkind: Pod\\nspec: {containers: [{image: a}]}\"}}]}", []string{"a"}},
		{"manifest with expressions that are no YAML", dag + "kind: Workflow\nspec: {templates: [{resource: {manifest: \"apiVersion: v1\\nkind: Pod\\nmetadata: {name: {{x}}-a}\\nspec: {n: {{a}}{{b}}, containers: [{image: a}, {image: {{b}}}]}\"}}]}", []string{"a"}},
		{"patch of the pod", dag + "kind: Workflow\nspec: {podSpecPatch: '{\"containers\": [{\"name\": \"main\", \"image\": \"a\"}]}'}", []string{"a"}},
		{"Workflow in a Sensor", dag + "kind: Sensor\nspec: {triggers: [{template: {argoWorkflow: {source: {resource: {apiVersion: argoproj.io/v1alpha1, kind: Workflow, spec: {arguments: {parameters: [{name: i, value: a}]}, templates: [{container: {image: '{{workflow.parameters.i}}'}}]}}}}}}]}", []string{"a"}},
		{"Rollout", dag + "kind: Rollout\nspec: {template: {spec: " + pod + "}}", ofPod},
	} {
		t.Run(test.name, func(t *testing.T) {
			images, err := Manifest(test.manifest).Images(ImageOptions{})
			require.NoError(t, err)
			assert.Equal(t, test.want, images)
		})
	}
}

// What operators make images of. Each spec is of a custom resource of the group and kind.
func TestImagesOfCustomResources(t *testing.T) {
	for _, test := range []struct {
		name, group, kind, spec string
		want                    []string
	}{
		{"a pod spec at any depth", "example.com", "Thing", "{a: [{b: {containers: [{image: a}]}}]}", []string{"a"}},
		{"a field named image", "example.com", "Thing", "{image: a, b: {image: quay.io/b}}", []string{"a", "quay.io/b"}},
		{"a field named like an image", "example.com", "Thing", "{initImage: a:1, devicePluginImage: quay.io/b/c, base_image: d:1, imageName: e:1}", []string{"a:1", "d:1", "e:1", "quay.io/b/c"}},
		{"a field named like an image that holds a word", "example.com", "Thing", "{diskImage: ubuntu, imagePullPolicy: Always, enableImage: true}", []string{}},
		{"pictures and disks", "example.com", "Thing", "{image: logo.png, bootImage: 'x.io/a/disk.qcow2', a: {image: /ui/logo}, b: {image: 'https://x.io/logo'}}", []string{}},
		{"images by component", "example.com", "Thing", "{images: {a: 'quay.io/a:1', b: word}, imageOverrides: {c: 'quay.io/c:1'}, extraImages: ['d:1', word]}", []string{"d:1", "quay.io/a:1", "quay.io/c:1"}},
		{"Tekton", "tekton.dev", "Task", "{steps: [{image: a}, {image: $(params.i)}], sidecars: [{image: b}], stepTemplate: {image: c}}", []string{"a", "b", "c"}},
		{"target of a build", "shipwright.io", "Build", "{output: {image: quay.io/a:1}, builder: {image: b:1}}", []string{"b:1"}},
		{"status", "example.com", "Thing", "{}\nstatus: {image: a}", []string{}},
		{"schema", "apiextensions.crossplane.io", "CompositeResourceDefinition", "{versions: [{schema: {openAPIV3Schema: {properties: {image: {type: string}}, default: {image: a}}}}]}", []string{}},

		{"repository, image and version", "nvidia.com", "ClusterPolicy", "{driver: {repository: nvcr.io/nvidia, image: driver, version: 595.1}, gfd: {image: gfd}, dcgm: {image: nvcr.io/nvidia/dcgm:1}}", []string{"nvcr.io/nvidia/dcgm:1", "nvcr.io/nvidia/driver:595.1"}},
		{"a digest for a version", "nvidia.com", "ClusterPolicy", "{driver: {repository: nvcr.io/nvidia, image: driver, version: 'sha256:0123456789012345678901234567890123456789012345678901234567890123'}}", []string{"nvcr.io/nvidia/driver@sha256:0123456789012345678901234567890123456789012345678901234567890123"}},
		{"registry, name and version", "gpu.metax-tech.com", "ClusterOperator", "{driver: {image: {registry: r.io, name: a/b, version: 1}, payload: {registry: r.io, name: a/c, version: 2}}, maca: {payload: {registry: r.io, images: ['a/d:3', 'a/e:4']}}}", []string{"r.io/a/b:1", "r.io/a/c:2", "r.io/a/d:3", "r.io/a/e:4"}},
		{"registry and name with a tag", "production-stack.vllm.ai", "VLLMRuntime", "{image: {registry: docker.io, name: 'lmcache/vllm:1'}}", []string{"docker.io/lmcache/vllm:1"}},
		{"registry, repository, name and tag", "example.com", "Thing", "{containerImage: {registry: docker.io, repository: a, name: b, tag: 1}}", []string{"docker.io/a/b:1"}},
		{"repository and tag", "example.com", "Thing", "{image: {repository: quay.io/a/b, tag: 1, pullPolicy: Always}, other: {repository: https://git, tag: 2}}", []string{"quay.io/a/b:1"}},
		{"registry, repository and tag", "example.com", "Thing", "{image: {registry: quay.io, repository: a/b, tag: 1}}", []string{"quay.io/a/b:1"}},
		{"image and tag", "data.fluid.io", "JindoRuntime", "{fuse: {image: r.io/a, imageTag: 1}, b: {image: 'r.io/b:2', imageTag: 1}}", []string{"r.io/a:1", "r.io/b:2"}},
		{"base image and version", "monitoring.coreos.com", "Prometheus", "{baseImage: quay.io/p, version: v1, thanos: {image: t:1, baseImage: u, version: v2}}", []string{"quay.io/p:v1", "t:1"}},
		{"version of all components", "pingcap.com", "TidbCluster", "{version: v5, tikv: {baseImage: pingcap/tikv}, pd: {baseImage: pingcap/pd, version: v6}}", []string{"pingcap/pd:v6", "pingcap/tikv:v5"}},
		{"an image over its version", "monitoring.coreos.com", "Prometheus", "{image: 'quay.io/p', tag: v2, version: v1}", []string{"quay.io/p"}},
		{"values of a chart", "install.istio.io", "IstioOperator", "{hub: docker.io/istio, tag: 1.2, values: {global: {proxy: {image: proxyv2}}, pilot: {image: 'quay.io/p:1'}}}", []string{"quay.io/p:1"}},

		{"Ray", "ray.io", "RayCluster", "{headGroupSpec: {template: {spec: {containers: [{image: a}]}}}, autoscalerOptions: {image: b}}", []string{"a", "b"}},
		{"Spark", "sparkoperator.k8s.io", "SparkApplication", "{image: a, driver: {image: b, sidecars: [{image: c}]}}", []string{"a", "b", "c"}},
		{"Rook", "ceph.rook.io", "CephCluster", "{cephVersion: {image: 'quay.io/ceph/ceph:v18'}}", []string{"quay.io/ceph/ceph:v18"}},
		{"AMD", "amd.com", "DeviceConfig", "{devicePlugin: {devicePluginImage: 'rocm/k8s-device-plugin:latest', nodeLabellerImage: 'rocm/labeller:1'}}", []string{"rocm/k8s-device-plugin:latest", "rocm/labeller:1"}},
		{"Volcano's own Job", "batch.volcano.sh", "Job", "{tasks: [{template: {spec: {containers: [{name: nginx, image: nginx}]}}}]}", []string{"nginx"}},
		{"images to fetch", "apps.kruise.io", "ImageListPullJob", "{images: [nginx, 'redis:1']}", []string{"nginx", "redis:1"}},
		{"disk of a virtual machine in a container", "kubevirt.io", "VirtualMachine", "{template: {spec: {volumes: [{containerDisk: {image: 'quay.io/d:1'}}]}}}", []string{"quay.io/d:1"}},
		{"an image volume that is called otherwise", "example.com", "Thing", "{mounts: [{name: x, image: {reference: a}}]}", []string{"a"}},
		{"an image in a mapping", "example.com", "Thing", "{image: {custom: 'quay.io/a:1', productVersion: 2}, taskImage: {ref: 'b:1'}, image2: {name: 'c:1'}, osImage: {name: ubuntu}}", []string{"b:1", "quay.io/a:1"}},
		{"name and tag", "example.com", "Thing", "{image: {name: quay.io/a, tag: 1}, containerImage: {repository: b, name: c, tag: 2, pullPolicy: Always}, d: {name: d, tag: 3}}", []string{"b/c:2", "quay.io/a:1"}},
		{"a name beside a whole repository", "example.com", "Thing", "{images: [{name: x, repository: a/b, tag: 1}], image: {repository: c/d, name: d, tag: 1}}", []string{"a/b:1", "c/d:1"}},
		{"parts that are pulled", "example.com", "Thing", "{proxy: {name: x, repository: a/b, tag: 1, pullPolicy: Always}, redisImageSpec: {repository: c/d, versionTag: 2}}", []string{"a/b:1", "c/d:2"}},
		{"a container is not called like its image", "example.com", "Thing", "{main: {name: x, tag: 1, imagePullPolicy: Always}}", []string{}},
		{"image and digest", "example.com", "Thing", "{images: [{image: a/b, digest: 'sha256:0123456789012345678901234567890123456789012345678901234567890123'}]}", []string{"a/b@sha256:0123456789012345678901234567890123456789012345678901234567890123"}},
		{"a tag called like its image", "example.com", "Thing", "{reloaderImage: a/b, reloaderImageTag: 1, db_image: c, db_image_version: 2, other_image: 'd:1', other_image_version: 3}", []string{"a/b:1", "c:2", "d:1"}},
		{"images by component and variant", "example.com", "Thing", "{images: {a: 'a:1', b: {new: 'b:1', old: 'b:0'}, c: {repository: quay.io/c, tag: 1}}}", []string{"a:1", "b:0", "b:1", "quay.io/c:1"}},
		{"other names of fields", "example.com", "Thing", "{imageURL: 'quay.io/a:1', imageRef: 'b:1', conf: {container.image: 'c:1'}, aImageFqin: 'quay.io/d:1', logo: {imageUrl: 'https://x.io/a/b:1'}}", []string{"b:1", "c:1", "quay.io/a:1", "quay.io/d:1"}},
		{"labels, switches and numbers", "example.com", "Thing", "{selector: {matchLabels: {image: a}}, nodeSelector: {image: b}, template: {metadata: {annotations: {image: 'c:1'}}}, scan: {image: true}, n: {image: 5}}", []string{}},
		{"schema of another kind of schema", "kro.run", "ResourceGraphDefinition", "{schema: {spec: {image: string}}}", []string{}},
		{"an operator that deploys an operator", "operator.cluster.x-k8s.io", "CoreProvider", "{deployment: {containers: [{name: a, imageUrl: 'gcr.io/a:1'}, {image: 'b:1'}]}}", []string{"b:1", "gcr.io/a:1"}},
		{"a registry with exceptions", "operator.knative.dev", "KnativeServing", "{registry: {default: 'gcr.io/x/${NAME}:1', override: {a: 'gcr.io/a:1'}}}", []string{"gcr.io/a:1"}},
		{"a version that is an image", "grafana.integreatly.org", "Grafana", "{version: 'docker.io/grafana/grafana:1'}", []string{"docker.io/grafana/grafana:1"}},
		{"a version", "grafana.integreatly.org", "Grafana", "{version: 1.2.3}", []string{}},
		{"a version above", "upgrade.cattle.io", "Plan", "{version: v1, upgrade: {image: a/b}}", []string{"a/b:v1"}},
		{"an artifact", "kafka.strimzi.io", "KafkaConnect", "{build: {output: {image: 'a:1'}}, plugins: [{artifacts: [{type: image, reference: a}]}]}", []string{"a"}},
		{"source and target of a build", "build.openshift.io", "BuildConfig", "{output: {to: {kind: DockerImage, name: 'a:1'}}, strategy: {from: {kind: DockerImage, name: 'b:1'}}}", []string{"b:1"}},
		{"replaced by Kustomize", "kustomize.toolkit.fluxcd.io", "Kustomization", "{images: [{name: a, newName: b, newTag: 1}, {name: c, newTag: 2}]}", []string{"b:1", "c:2"}},
		{"a policy of Kubewarden", "policies.kubewarden.io", "ClusterAdmissionPolicy", "{settings: {images: {reject: ['a:1']}}}", []string{}},
		{"its server", "policies.kubewarden.io", "PolicyServer", "{image: 'a:1'}", []string{"a:1"}},
		{"images to remove", "eraser.sh", "ImageList", "{images: ['a:1']}", []string{}},
		{"image of another cloud's machine", "compute.gcp.upbound.io", "Instance", "{bootDisk: [{initializeParams: [{image: debian-cloud/debian-11}]}]}", []string{}},
		{"images by the part of a component", "example.com", "Thing", "{image: {application: 'quay.io/a:1', init: 'b:1', pullPolicy: Always, sum: 'sha256:0123456789012345678901234567890123456789012345678901234567890123', from: '12:30'}}", []string{"b:1", "quay.io/a:1"}},
		{"repository and tag of an image", "example.com", "Thing", "{a: {imageRepository: a/b, tag: 1}, c: {apiImageRegistry: quay.io, apiImageRepository: c/d, apiImageTag: 2}, e: {imageRepository: e/f}}", []string{"a/b:1", "quay.io/c/d:2"}},
		{"what comes before the names of several images", "bootstrap.cluster.x-k8s.io", "KubeadmConfig", "{clusterConfiguration: {dns: {imageRepository: quay.io/a, imageTag: 1}}}", []string{}},
		{"values of several charts", "example.com", "Pipeline", "{pipeline: [{chartValues: {image: name, server: {image: {repository: quay.io/a, tag: 1}}}}]}", []string{"quay.io/a:1"}},
		{"a name below a registry that the operator knows", "example.com", "Thing", "{image: {name: agent, tag: 7}}", []string{}},
		{"a mapping called a reference", "example.com", "Thing", "{imageRef: {repository: a/b, tag: 1}, workImagePullSpec: 'quay.io/a:1', imageSpec: {repository: c/d, version: 2}}", []string{"a/b:1", "c/d:2", "quay.io/a:1"}},
		{"image and version", "k0s.k0sproject.io", "ClusterConfig", "{images: {calico: {cni: {image: a/b, version: v1}}}}", []string{"a/b:v1"}},
		{"image beside the version of something else", "kafka.strimzi.io", "Kafka", "{image: a/b, version: v1}", []string{"a/b"}},
		{"a report", "secscan.quay.redhat.com", "ImageManifestVuln", "{image: quay.io/a}", []string{}},
		{"a file of Kustomize", "kustomize.config.k8s.io", "Kustomization", "{}\nimages: [{name: a, newName: b, newTag: 1}]", []string{}},
		{"a container where an image may be a machine's", "pkg.crossplane.io", "DeploymentRuntimeConfig", "{spec: {template: {spec: {containers: [{image: a}]}}}, image: ubuntu}", []string{"a"}},
		{"a registry called like its image", "example.com", "Thing", "{a: {image: b, imageTag: 1, imageRegistry: quay.io}, c: {image: docker.io/d, imageTag: 1, imageRegistry: quay.io}}", []string{"docker.io/d:1", "quay.io/b:1"}},
		{"images to keep at hand", "cache.example.com", "ImageCache", "{images: [nginx, 'a:1']}", []string{"a:1", "nginx"}},
		{"image of a machine", "infrastructure.cluster.x-k8s.io", "OpenStackMachine", "{image: ubuntu-22}", []string{}},
		{"an image to look at", "image.toolkit.fluxcd.io", "ImageRepository", "{image: ghcr.io/a/b}", []string{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			manifest := fmt.Sprintf("apiVersion: %s/v1\nkind: %s\nmetadata: {name: n}\nspec: %s\n", test.group, test.kind, test.spec)
			images, err := Manifest(manifest).Images(ImageOptions{})
			require.NoError(t, err)
			assert.Equal(t, test.want, images)
		})
	}
}

// Fields that belong together are found in a mapping of any size.
func TestImagesOfLargeMapping(t *testing.T) {
	var spec strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&spec, "  x%dImage: a\n  x%dImageTag: %d\n", i, i, i%1000)
	}
	images, err := Manifest("apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: n}\nspec:\n" + spec.String()).Images(ImageOptions{})
	require.NoError(t, err)
	assert.Len(t, images, 1000)
}

func TestImageOptions(t *testing.T) {
	manifest := Manifest(`
apiVersion: v1
kind: Pod
metadata: {name: p}
spec: {containers: [{image: busybox}, {image: nginx}, {image: auto}]}
---
apiVersion: v1
kind: Pod
metadata: {name: t, annotations: {helm.sh/hook: test}}
spec: {containers: [{image: tester}]}
---
apiVersion: v1
kind: Pod
metadata: {name: h, annotations: {helm.sh/hook: "pre-install, test"}}
spec: {containers: [{image: hook}]}
---
apiVersion: example.com/v1
kind: Thing
metadata: {name: t}
spec: {runner: acme, parts: {host: acme.io, what: a, number: 3}}
`)
	for _, test := range []struct {
		name string
		opts ImageOptions
		want []string
	}{
		{"default", ImageOptions{}, []string{"auto", "hook", "nginx", "tester"}},
		{"without tests", ImageOptions{SkipTests: true}, []string{"auto", "hook", "nginx"}},
		{"without hooks", ImageOptions{SkipHooks: true}, []string{"auto", "nginx"}},
		{"others left out", ImageOptions{Exclude: []string{"nginx", "auto"}}, []string{"busybox", "hook", "tester"}},
		{"nothing left out", ImageOptions{Exclude: []string{}}, []string{"auto", "busybox", "hook", "nginx", "tester"}},
		{"in full", ImageOptions{FullNames: true, SkipHooks: true}, []string{"docker.io/library/auto", "docker.io/library/nginx"}},
		{"rules of the caller", ImageOptions{SkipHooks: true, Rules: []ImageRule{
			{Group: "*.com", Kind: "Thing", Path: "spec.runner"},
			{Path: "parts", Parts: ImageParts{Registry: "host", Name: "what", Tag: "number"}},
		}}, []string{"acme", "acme.io/a:3", "auto", "nginx"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			images, err := manifest.Images(test.opts)
			require.NoError(t, err)
			assert.Equal(t, test.want, images)
		})
	}
}

func TestImageReport(t *testing.T) {
	report, err := Manifest(`# Source: demo/templates/all.yaml
apiVersion: batch/v1
kind: Job
metadata:
  name: j
  namespace: ns
  annotations: {helm.sh/hook: "pre-install,post-install", note: "see quay.io/a/note:v1"}
spec:
  template:
    spec:
      containers:
      - name: c
        image: quay.io/a/b:1
        args: [--x, "--solver-image=quay.io/a/solver", --proxy-image, "proxy:v1", "db:v1"]
        env: [{name: RELATED_IMAGE_X, value: related:1}, {name: ADDRESS, value: "db.local:5432"}]
      - name: d
        image: docker.io:a/b
---
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {generateName: w-}
spec: {templates: [{name: t, container: {image: "{{inputs.parameters.i}}"}}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: m}
data:
  config.yaml: |
    image: quay.io/a/from-config:v1
    url: https://quay.io/a/c:v1
    when: 12:30, a/b:8080, /etc/x:ro
---
apiVersion: example.com/v1
kind: Thing
metadata: {name: t}
spec:
  note: quay.io/a/one-line:v1
  values: |
    image: quay.io/a/from-values:v1
`).ImageReport(ImageOptions{})
	require.NoError(t, err)

	job := ObjectRef{Group: "batch", Version: "v1", Kind: "Job", Namespace: "ns", Name: "j"}
	hooks := []string{"pre-install", "post-install"}
	assert.Equal(t, []ImageUse{{
		Place:     Place{Object: job, Document: 1, Line: 13, Path: "spec.template.spec.containers[0].image", Container: "c", Hooks: hooks},
		Image:     "quay.io/a/b:1",
		Reference: Reference{Registry: "quay.io", Repository: "a/b", Tag: "1"},
	}}, report.Images)
	assert.Equal(t, []ImageUse{{
		Place: Place{Object: job, Document: 1, Line: 17, Path: "spec.template.spec.containers[1].image", Container: "d", Hooks: hooks},
		Image: "docker.io:a/b", Reason: "invalid reference format",
	}}, report.Invalid)
	require.Len(t, report.Unresolved, 1)
	assert.Equal(t, "argoproj.io/Workflow w-", report.Unresolved[0].Object.String())
	assert.Equal(t, "spec.templates[0].container.image", report.Unresolved[0].Path)
	var hints []string
	for _, hint := range report.Hints {
		hints = append(hints, hint.Object.Kind+" "+hint.Path+" "+hint.Image)
	}
	assert.Equal(t, []string{
		"Job metadata.annotations.note quay.io/a/note:v1",
		"Job spec.template.spec.containers[0].args quay.io/a/solver",
		"Job spec.template.spec.containers[0].args proxy:v1",
		"Job spec.template.spec.containers[0].env related:1",
		"ConfigMap data.config.yaml quay.io/a/from-config:v1",
		"Thing spec.note quay.io/a/one-line:v1",
		"Thing spec.values quay.io/a/from-values:v1",
	}, hints)
}

func TestParseReference(t *testing.T) {
	const digest = "sha256:0123456789012345678901234567890123456789012345678901234567890123"
	for _, test := range []struct {
		image string
		want  Reference
		full  string
	}{
		{"nginx", Reference{Registry: "docker.io", Repository: "library/nginx"}, "docker.io/library/nginx"},
		{"a/b:1", Reference{Registry: "docker.io", Repository: "a/b", Tag: "1"}, "docker.io/a/b:1"},
		{"localhost:5000/a", Reference{Registry: "localhost:5000", Repository: "a"}, "localhost:5000/a"},
		{"quay.io/a/b:v1@" + digest, Reference{Registry: "quay.io", Repository: "a/b", Tag: "v1", Digest: digest}, "quay.io/a/b:v1@" + digest},
	} {
		got, err := ParseReference(test.image)
		require.NoError(t, err)
		assert.Equal(t, test.want, got)
		assert.Equal(t, test.full, got.String())
	}
	_, err := ParseReference("Upper/Case")
	assert.Error(t, err)
}
