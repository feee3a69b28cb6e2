package manifest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// thing is a custom resource of a group that nobody knows.
func thing(spec string) string { return custom("example.com", "Thing", spec) }

func only(images ...string) lists   { return lists{images: images} }
func unsure(images ...string) lists { return lists{unresolved: images} }
func hinted(images ...string) lists { return lists{hints: images} }
func inText(text string, n int) string { // a text as a string in a string, n times
	for range n {
		text = fmt.Sprintf("%q", text)
	}
	return text
}

// What an operator makes containers of is found whatever stands beside it, and by whatever name it goes.
func TestImagesInDisguise(t *testing.T) {
	const containers = "containers: [{name: c, image: 'evil/b:1'}]"
	service, configMap := "apiVersion: v1, kind: Service, metadata: {}, ", "apiVersion: v1, kind: ConfigMap, metadata: {}, "
	for _, test := range []struct {
		name, manifest string
		want           lists
	}{
		{"a template as a Service", thing("{template: {" + service + "spec: {" + containers + "}}}"), only("evil/b:1")},
		{"a template as a ConfigMap", thing("{podTemplate: {" + configMap + "spec: {" + containers + "}}}"), only("evil/b:1")},
		{"a template as a Secret, by its init containers", thing("{template: {apiVersion: v1, kind: Secret, data: {}, spec: {initContainers: [{name: c, image: evil}]}}}"), only("evil")},
		{"a template as a definition", thing("{template: {apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, spec: {" + containers + "}}}"), only("evil/b:1")},
		{"a template as a policy", thing("{template: {apiVersion: kyverno.io/v1, kind: ClusterPolicy, spec: {" + containers + "}}}"), only("evil/b:1")},
		{"a template as a List", thing("{template: {apiVersion: v1, kind: List, metadata: {}, items: [], spec: {" + containers + "}}}"), only("evil/b:1")},
		{"a template as a Role, deeper", thing("{job: {apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: x}, spec: {template: {spec: {" + containers + "}}}}}"), only("evil/b:1")},
		{"data as containers", thing("{job: {" + configMap + "data: {" + containers + "}}}"), only("evil/b:1")},
		{"a spec as a Service", "apiVersion: monitoring.coreos.com/v1\nkind: Prometheus\nmetadata: {name: n}\nspec: {" + service + "image: 'evil/a:1', " + containers + "}", only("evil/a:1", "evil/b:1")},
		{"a spec as a Pod", thing("{apiVersion: v1, kind: Pod, metadata: {}, image: 'evil/a:1'}"), only("evil/a:1")},
		{"a part as a Service", thing("{server: {" + service + "image: 'evil/a:1'}}"), unsure("evil/a:1")},
		{"a part as a Pod", thing("{server: {apiVersion: v1, kind: Pod, metadata: {}, image: 'evil/a:1'}}"), unsure("evil/a:1")},
		{"a ConfigMap", thing("{object: {" + configMap + "data: {image: 'a/b:1'}}}"), hinted("a/b:1")},
		{"a Service", thing("{object: {apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{name: http, port: 80}]}}}"), lists{}},
		{"a List of Pods", thing("{object: {apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Pod, spec: {" + containers + "}}]}}"), only("evil/b:1")},
		{"a Service of Pods", thing("{object: {apiVersion: v1, kind: Service, metadata: {}, items: [{apiVersion: v1, kind: Pod, spec: {" + containers + "}}]}}"), only("evil/b:1")},

		{"parts beside the image of a container", thing("{containers: [{name: c, image: evil, registry: good.example, tag: '1'}]}"), only("evil")},
		{"other parts beside it", thing("{initContainers: [{name: c, image: evil/b, imageTag: '1', imageRegistry: good.example, repository: x, version: 2, imagePullPolicy: Always}]}"), only("evil/b")},
		{"another image beside it", thing("{containers: [{name: c, image: a, sideImage: 'evil/b:1'}]}"), only("a", "evil/b:1")},
		{"of an operator that joins parts", custom("nvidia.com", "ClusterPolicy", "{containers: [{name: c, image: evil, repository: good.example/x, version: 1}]}"), only("evil")},
		{"parts beside what may be a container", thing("{sidecars: [{name: c, image: evil, registry: good.example, tag: '1'}], run: {name: c, image: evil/b, tag: 2, command: [x]}}"),
			lists{images: []string{"good.example/evil:1", "evil/b:2"}, unresolved: []string{"evil", "evil/b"}}},
		{"parts of an image, and its name", thing("{a: {name: c, image: b, registry: good.example, tag: '1'}}"), only("good.example/b:1")},
		{"a container in the values of a chart", thing("{values: {extraContainers: [{name: c, image: evil}]}}"), only("evil")},

		{"a role called schema", thing("{roles: {schema: {" + containers + "}}}"), only("evil/b:1")},
		{"a role called schema with a type", thing("{roles: {schema: {type: object, image: 'evil/b:1'}}}"), only("evil/b:1")},
		{"a service called schema", thing("{services: {schema: {image: 'evil/b:1'}}}"), only("evil/b:1")},
		{"roles called spec and status", thing("{roles: {spec: {replicas: 1}, status: {template: {spec: {" + containers + "}}}}}"), only("evil/b:1")},
		{"roles called like fields of metadata", thing("{roles: {managedFields: {image: 'a:1'}, ownerReferences: {image: 'b:1'}}}"), only("a:1", "b:1")},
		{"a role called labels", thing("{roles: {labels: {image: 'evil/b:1'}, selector: {image: evil, args: [x]}}}"), only("evil/b:1", "evil")},
		{"a role called labels, with a word", thing("{roles: {labels: {image: evil, replicas: 2}}}"), hinted("evil")},
		{"a default in a schema", custom("apiextensions.crossplane.io", "CompositeResourceDefinition", "{versions: [{schema: {openAPIV3Schema: {type: object, default: {"+containers+"}}}}]}"), only("evil/b:1")},

		{"a file of Prometheus", custom("monitoring.coreos.com", "Prometheus", "{image: 'evil.io/prom:1.img'}"), only("evil.io/prom:1.img")},
		{"a file of a step", custom("tekton.dev", "Task", "{steps: [{image: 'evil.io/x:1.png'}], stepTemplate: {image: none}}"), only("evil.io/x:1.png", "none")},
		{"words of steps", thing("{steps: [{name: a, image: none}], extraContainers: [{name: b, image: 'evil.io/x:1.iso'}]}"), only("none", "evil.io/x:1.iso")},
		{"a picture of a step that has no name", thing("{steps: [{image: logo.png}]}"), lists{}},

		{"auto", "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, image: auto}]}", only("auto")},
		{"auto, for Istio", "apiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: {sidecar.istio.io/inject: 'true'}}\nspec: {containers: [{name: c, image: auto}]}", unsure("auto")},
		{"auto, for Istio's gateway", "apiVersion: apps/v1\nkind: Deployment\nspec: {template: {metadata: {annotations: {inject.istio.io/templates: gateway}}, spec: {containers: [{name: c, image: auto}]}}}", unsure("auto")},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, test.want, listsOf(t, test.manifest))
			after, err := RetagImages(toMirror, RetagOptions{})(Manifest(test.manifest))
			if len(test.want.unresolved) > 0 {
				assert.Error(t, err)
				return
			}
			require.NoError(t, err)
			for _, image := range listsOf(t, string(after)).images {
				assert.True(t, strings.HasPrefix(image, "mirror.lab/"), image)
			}
		})
	}
}

func TestGPUsInDisguise(t *testing.T) {
	const spec = "spec: {containers: [{name: c, image: a, resources: {limits: {nvidia.com/gpu: 2}}}]}}"
	for _, kind := range []string{"v1, kind: Service", "v1, kind: ConfigMap", "apps/v1, kind: DaemonSet", "v1, kind: PodTemplate"} {
		report, err := Manifest(custom("apps.kruise.io", "CloneSet", "{replicas: 3, template: {apiVersion: "+kind+", metadata: {}, "+spec+"}")).GPUs(GPUOptions{})
		require.NoError(t, err)
		assert.Equal(t, map[string]int64{"nvidia.com/gpu": 6}, report.Totals, kind)
	}
}

// Images among the defaults of definitions, and in policies that change what is created.
func TestImagesOfDefinitionsAndPolicies(t *testing.T) {
	definition := func(schema string) string {
		return "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: d}\nspec:\n  versions:\n  - name: v1\n    schema:\n      openAPIV3Schema:\n" + schema
	}
	for _, test := range []struct {
		name, manifest string
		want           lists
	}{
		{"a default of a field image", definition("        properties:\n          image:\n            default: evil/b:1\n            type: string\n"), hinted("evil/b:1")},
		{"a word", definition("        properties:\n          initImage:\n            description: |-\n              Of an image.\n            type: string\n            default: evil\n"), hinted("evil")},
		{"a default in flow style", definition("        {properties: {image: {type: string, default: evil}}}\n"), hinted("evil")},
		{"a default of a mapping", definition("        properties:\n          worker:\n            default:\n              image: evil/b:1\n            type: object\n"), hinted("evil/b:1")},
		{"a default with containers", definition("        properties:\n          template:\n            default: {spec: {containers: [{name: c, image: evil}]}}\n"), hinted("evil")},
		{"other defaults", definition("        properties:\n          protocol:\n            default: TCP\n          image:\n            type: string\n          file:\n            default: a/b:1\n"), lists{}},
		{"a policy that changes pods", custom("kyverno.io", "ClusterPolicy", "{rules: [{mutate: {patchStrategicMerge: {spec: {initContainers: [{name: x, image: evil}, {name: y, image: 'evil/b:1'}]}}}}]}"), hinted("evil/b:1", "evil")},
		{"a policy that makes a pod", custom("kyverno.io", "ClusterPolicy", "{rules: [{generate: {kind: Pod, data: {spec: {containers: [{name: x, image: 'evil/b:1'}]}}}}]}"), hinted("evil/b:1")},
		{"a policy that makes an object", custom("kyverno.io", "ClusterPolicy", "{rules: [{generate: {data: {apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: x, image: evil}]}}}}]}"), hinted("evil")},
		{"a policy that replaces", custom("kyverno.io", "ClusterPolicy", `{rules: [{mutate: {patchesJson6902: "- op: add\n  path: /spec/containers/0/image\n  value: evil/b:v1\n"}}]}`), hinted("evil/b:v1")},
		{"an expression that changes pods", custom("admissionregistration.k8s.io", "MutatingAdmissionPolicy", `{mutations: [{applyConfiguration: {expression: 'Object{spec: Object.spec{initContainers: [Object.spec.initContainers{name: "x", image: "evil/b:1"}]}}'}}]}`), hinted("evil/b:1")},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, test.want, listsOf(t, test.manifest))
		})
	}
}

// What only a running workflow knows.
func TestLateTextsOfWorkflows(t *testing.T) {
	const pod = `{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"name":"c","image":"evil/b"}]}}`
	const expression = `{{=toJson({"containers":[{"name":"main","image":"evil/b"+":1"}]})}}`
	const two = "{{workflow.parameters.a}}{{workflow.parameters.b}}"
	const arguments = `arguments: {parameters: [{name: a, value: '{"containers":[{"name":"main",'}, {name: b, value: '"image":"evil/b"}]}'}]}, `
	made := func(text string) string { return argo("{templates: [{resource: {manifest: '" + text + "'}}]}") }
	sensor := func(dest string) string {
		return custom("argoproj.io", "Sensor", "{triggers: [{template: {k8s: {source: {resource: {apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, image: a}]}}}, parameters: [{src: {dependencyName: x}, dest: "+dest+"}]}}}]}")
	}
	nested := pod
	for range maxEmbedded + 1 {
		nested = `{"apiVersion":"argoproj.io/v1alpha1","kind":"Workflow","metadata":{"name":"w"},"spec":{"templates":[{"resource":{"manifest":` + inText(nested, 1) + `}}]}}`
	}
	for _, test := range []struct {
		name, manifest string
		want           lists
	}{
		{"a patch of two parameters", argo("{" + arguments + "templates: [{container: {image: a}, podSpecPatch: '" + two + "'}]}"), unsure(two, "a")},
		{"a patch for all templates", argo("{" + arguments + "podSpecPatch: '" + two + "', templates: [{container: {image: a}}, {containerSet: {containers: [{name: main, image: b}]}}]}"), unsure(two, "a", "b")},
		{"a patch among the defaults of templates", argo("{templateDefaults: {podSpecPatch: '{{workflow.parameters.x}}'}, templates: [{script: {image: a}}]}"), unsure("{{workflow.parameters.x}}", "a")},
		{"a patch by an expression with braces", argo("{templates: [{container: {image: a}, podSpecPatch: '" + expression + "'}]}"), unsure("evil/b", "a")},
		{"a patch with an unknown list", argo(`{templates: [{container: {image: a}, podSpecPatch: '{"containers": {{workflow.parameters.c}}}'}]}`), unsure("{{workflow.parameters.c}}", "a")},
		{"a patch with an unknown item", argo(`{templates: [{container: {image: a}, podSpecPatch: '{"containers": [{{workflow.parameters.c}}]}'}]}`), unsure("{{workflow.parameters.c}}", "a")},
		{"a patch with an unknown key", argo(`{templates: [{container: {image: a}, podSpecPatch: '{"containers":[{"name":"main","{{workflow.parameters.k}}":"evil/b:1"}]}'}]}`), unsure("evil/b:1", "a")},
		{"a patch with an unknown image", argo(`{templates: [{container: {image: a}, podSpecPatch: '{"containers":[{"name":"main","image":"{{inputs.parameters.i}}"}]}'}]}`), unsure("{{inputs.parameters.i}}", "a")},
		{"a patch in the default of an input", argo(`{templates: [{inputs: {parameters: [{name: p, default: '{"containers":[{"name":"main","image":"evil/b"}]}'}]}, container: {image: a}, podSpecPatch: '{{inputs.parameters.p}}', name: t}]}`), only("a", "evil/b")},
		{"a patch of a limit", argo(`{templates: [{container: {image: a}, podSpecPatch: '{"containers":[{"name":"main","resources":{"limits":{"memory":"{{inputs.parameters.m}}", "cpu": {{inputs.parameters.c}}}}}]}'}]}`), only("a")},

		{"a manifest in an argument", argo("{arguments: {parameters: [{name: p, value: \"apiVersion: v1\\nkind: Pod\\nspec: {containers: [{name: c, image: evil/b}]}\\n\"}]}, templates: [{resource: {manifest: '{{workflow.parameters.p}}'}}]}"), only("evil/b")},
		{"a manifest that is unknown", made("{{workflow.parameters.p}}"), unsure("{{workflow.parameters.p}}")},
		{"a manifest of two parameters", argo("{" + arguments + "templates: [{resource: {manifest: '" + two + "'}}]}"), unsure(two)},
		{"a manifest from an artifact", argo("{templates: [{resource: {manifestFrom: {artifact: {name: m}}}}]}"), unsure("manifestFrom")},
		{"a Service of Pods", made(`{"apiVersion":"v1","kind":"Service","metadata":{"name":"x"},"items":[` + pod + `]}`), only("evil/b")},
		{"two objects of JSON", made(pod + pod), unsure("evil/b", "evil/b")},
		{"two objects of JSON in lines", made(pod + "\n\n\n" + pod), unsure("evil/b", "evil/b")},
		{"a kind by an unknown key", made(`{"apiVersion":"v1","kind":"Service","{{workflow.parameters.k}}":"Pod","metadata":{"name":"x"},"spec":{"containers":[{"name":"c","image":"evil/b"}]}}`), only("evil/b")},
		{"containers by an unknown key", made(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"},"spec":{"{{workflow.parameters.k}}":[{"name":"c","image":"evil"}]}}`), unsure("evil")},
		{"an unknown label", made(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x","labels":{"{{workflow.parameters.k}}":"v"}},"spec":{"containers":[{"name":"c","image":"a"}]}}`), only("a")},
		{"nothing but a comment", made("# nothing"), lists{}},
		{"workflows in workflows", nested, unsure("evil/b")},

		{"an event that replaces a kind", sensor("kind"), lists{images: []string{"a"}, unresolved: []string{"kind"}}},
		{"an event that replaces a spec", sensor("spec"), lists{images: []string{"a"}, unresolved: []string{"spec"}}},
		{"an event that replaces a container", sensor("spec.containers.0"), lists{images: []string{"a"}, unresolved: []string{"spec.containers.0"}}},
		{"an event that gives an image", custom("argoproj.io", "Sensor", "{triggers: [{template: {argoWorkflow: {source: {resource: {apiVersion: argoproj.io/v1alpha1, kind: Workflow, spec: {arguments: {parameters: [{name: i, value: a}, {name: j, value: b}]}, templates: [{container: {image: '{{workflow.parameters.i}}'}}, {container: {image: '{{workflow.parameters.j}}'}}]}}}, parameters: [{dest: spec.arguments.parameters.0.value}]}}}]}"),
			lists{images: []string{"b"}, unresolved: []string{"{{workflow.parameters.i}}"}}},
		{"an event that gives a name", sensor("metadata.name"), only("a")},
		{"an event that gives an argument", sensor("spec.containers.0.args.0"), only("a")},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := listsOf(t, test.manifest)
			assert.ElementsMatch(t, test.want.images, got.images, "images")
			assert.ElementsMatch(t, test.want.unresolved, got.unresolved, "unresolved")
			assert.Empty(t, got.invalid)
			assert.Empty(t, got.hints)
		})
	}
}
