package manifest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// argo is an Argo workflow with a spec.
func argo(spec string) string { return custom("argoproj.io", "Workflow", spec) }

// Images with placeholders whose values the manifest gives, and others.
func TestImagesWithPlaceholders(t *testing.T) {
	const implementation = `'{"args":["--text","{{$.inputs.parameters[''text'']}}"],"command":["sh"],"image":"python:3.9"}'`
	loop := func(items, call, image string) string {
		return argo("{templates: [{name: main, steps: [[{name: a, template: t, " + items + ", arguments: {parameters: [" + call + "]}}]]}, " +
			"{name: t, inputs: {parameters: [{name: image}, {name: tag, value: latest}]}, container: {image: '" + image + "'}}]}")
	}
	const call = "{name: image, value: '{{item.image}}'}, {name: tag, value: '{{item.tag}}'}"
	const called = "{{inputs.parameters.image}}:{{inputs.parameters.tag}}"
	openShift := func(parameters, image string) string {
		return "apiVersion: template.openshift.io/v1\nkind: Template\nmetadata: {name: t}\nparameters: " + parameters +
			"\nobjects: [{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{image: '" + image + "'}]}}]"
	}
	graph := func(schema, image string) string {
		return custom("kro.run", "ResourceGraphDefinition", "{schema: {spec: "+schema+"}, resources: [{template: {apiVersion: v1, kind: Pod, spec: {containers: [{image: '"+image+"'}]}}}]}")
	}
	spark := func(image, spec string) string {
		return custom("spark.apache.org", "SparkApplication", "{sparkConf: {spark.kubernetes.container.image: '"+image+"'}, "+spec+"}")
	}
	for _, test := range []struct {
		name, manifest string
		want           lists
	}{
		// Kubeflow Pipelines
		{"a compiled pipeline", argo("{arguments: {parameters: [{name: implementations-1, value: " + implementation + `}, {name: components-1, value: '{"executorLabel":"x"}'}]}, ` +
			"templates: [{name: impl, inputs: {parameters: [{name: p}]}, podSpecPatch: '{{inputs.parameters.p}}', container: {image: gcr.io/ml-pipeline/replaced}, initContainers: [{image: launcher}]}]}"),
			lists{images: []string{"python:3.9", "launcher"}, unresolved: []string{"{{inputs.parameters.p}}", "gcr.io/ml-pipeline/replaced"}}},
		{"a patch that is known", argo(`{podSpecPatch: '{"containers":[{"name":"main","resources":{"limits":{"memory":"{{workflow.parameters.m}}"}}}]}', templates: [{container: {image: a}, podSpecPatch: 'x: {{inputs.parameters.m}}'}]}`),
			lists{images: []string{"a"}}},
		{"a patch in an argument", argo(`{arguments: {parameters: [{name: p, value: '{"containers":[{"name":"main","image":"b"}]}'}]}, templates: [{container: {image: a}, podSpecPatch: '{{workflow.parameters.p}}'}]}`),
			lists{images: []string{"b", "a"}}},
		{"JSON of something else in an argument", argo(`{arguments: {parameters: [{name: p, value: '{"image": "word", "x": {"image": "a/b:1"}, "imageName": "c:1"}'}]}}`),
			lists{images: []string{"a/b:1"}, hints: []string{"word"}}},
		{"what is no JSON in an argument", argo(`{arguments: {parameters: [{name: p, value: '{image: '}]}}`), lists{}},

		// Argo
		{"an image for each item", loop("withItems: [{image: debian, tag: 9}, {image: alpine, tag: 3}]", call, called), lists{images: []string{"debian:9", "alpine:3"}}},
		{"words for items", loop("withItems: ['a:1', 'b:1']", "{name: image, value: '{{item}}'}", "{{inputs.parameters.image}}"), lists{images: []string{"a:1", "b:1"}}},
		{"items in a text", loop(`withParam: '[{"image": "debian", "tag": "9"}]'`, call, called), lists{images: []string{"debian:9"}}},
		{"items in an argument", strings.Replace(loop("withParam: '{{workflow.parameters.l}}'", call, called), "spec: {", `spec: {arguments: {parameters: [{name: l, value: '[{"image":"a","tag":"1"}]'}]}, `, 1),
			lists{images: []string{"a:1"}}},
		{"an item that lacks a field", loop("withItems: [{image: debian, tag: 9}, {image: alpine}]", call, called), lists{images: []string{"debian:9"}, unresolved: []string{called}}},
		{"items that only the running workflow knows", loop("withParam: '{{steps.a.outputs.result}}'", call, called), lists{unresolved: []string{called}}},
		{"no items", loop("withItems: []", call, called), lists{unresolved: []string{called}}},
		{"an item where the image is", argo("{templates: [{name: main, dag: {tasks: [{withItems: [{i: a}, {i: b}], inline: {container: {image: '{{item.i}}:1'}}}]}}]}"), lists{images: []string{"a:1", "b:1"}}},
		{"a default for what is not handed over", loop("when: x", "{name: image, value: a}", called), lists{images: []string{"a:latest"}}},
		{"each call of a template", argo("{templates: [{name: m, steps: [[{template: t, arguments: {parameters: [{name: i, value: a}]}}], [{template: t, arguments: {parameters: [{name: i, value: b}]}}], [{template: t, arguments: {parameters: [{name: i, value: a}]}}]]}, {name: t, inputs: {parameters: [{name: i}]}, script: {image: '{{inputs.parameters.i}}'}}]}"),
			lists{images: []string{"a", "b"}}},
		{"handed on", argo("{entrypoint: m, arguments: {parameters: [{name: i, value: a}]}, templates: [{name: m, inputs: {parameters: [{name: i}]}, steps: [[{template: s, arguments: {parameters: [{name: j, value: 'r.io/{{inputs.parameters.i}}'}]}}]]}, " +
			"{name: s, inputs: {parameters: [{name: j}]}, dag: {tasks: [{template: t, arguments: {parameters: [{name: k, value: '{{inputs.parameters.j}}'}]}}]}}, {name: t, inputs: {parameters: [{name: k}]}, container: {image: '{{inputs.parameters.k}}:1'}}]}"),
			lists{images: []string{"r.io/a:1"}}},
		{"the input of another template", argo("{templates: [{name: m, inputs: {parameters: [{name: i, value: a}]}, steps: [[{template: t}]]}, {name: t, inputs: {parameters: [{name: i}]}, container: {image: '{{inputs.parameters.i}}'}}]}"),
			lists{unresolved: []string{"{{inputs.parameters.i}}"}}},
		{"templates that call each other", argo("{templates: [{name: a, inputs: {parameters: [{name: i}]}, steps: [[{template: b, arguments: {parameters: [{name: i, value: 'x{{inputs.parameters.i}}'}]}}]]}, {name: b, inputs: {parameters: [{name: i}]}, steps: [[{template: a, arguments: {parameters: [{name: i, value: '{{inputs.parameters.i}}'}]}}]], container: {image: '{{inputs.parameters.i}}'}}]}"),
			lists{unresolved: []string{"{{inputs.parameters.i}}"}}},
		{"a result", argo("{templates: [{name: t, container: {image: '{{tasks.a.outputs.result}}'}}]}"), lists{unresolved: []string{"{{tasks.a.outputs.result}}"}}},
		{"a manifest in a workflow", argo(`{arguments: {parameters: [{name: i, value: a}]}, templates: [{resource: {manifest: "apiVersion: batch/v1\nkind: Job\nspec: {template: {spec: {containers: [{image: '{{workflow.parameters.i}}:1'}]}}}"}}]}`),
			lists{images: []string{"a:1"}}},
		{"a manifest that is no YAML before", argo(`{arguments: {parameters: [{name: i, value: a}]}, templates: [{resource: {manifest: "apiVersion: v1\nkind: Pod\nmetadata: {name: {{x}}-y}\nspec:\n  containers:\n  - image: {{workflow.parameters.i}}:1\n  - image: 'b:{{workflow.parameters.i}}'\n  - image: {{x}}\n"}}]}`),
			lists{images: []string{"a:1", "b:a"}, unresolved: []string{"{{x}}"}}},
		{"a manifest that cannot be read", argo(`{templates: [{resource: {manifest: "{{a}}: {\nimage: b\n  - image: 'c:1'\n"}}]}`), lists{unresolved: []string{"b", "c:1"}}},

		// Tekton
		{"a parameter of a run", custom("tekton.dev", "TaskRun", "{params: [{name: X, value: 'a:1'}], taskSpec: {params: [{name: X, default: 'b:1'}], steps: [{image: $(params.X)}, {image: '$(params[\"X\"])-x'}]}}"),
			lists{images: []string{"a:1", "a:1-x"}}},
		{"a default", custom("tekton.dev", "Task", "{params: [{name: X, default: 'b:1'}, {name: Y}], steps: [{image: $(inputs.params.X)}, {image: $(params.Y)}]}"),
			lists{images: []string{"b:1"}, unresolved: []string{"$(params.Y)"}}},
		{"a parameter of a pipeline", custom("tekton.dev", "PipelineRun", "{params: [{name: P, value: a}], pipelineSpec: {params: [{name: P, default: b}], tasks: [{params: [{name: X, value: '$(params.P):1'}], taskSpec: {params: [{name: X}], steps: [{image: $(params.X)}]}}]}}"),
			lists{images: []string{"a:1"}}},
		{"a matrix", custom("tekton.dev", "Pipeline", "{tasks: [{matrix: {params: [{name: X, value: [a, b]}]}, taskSpec: {params: [{name: X, default: c}], steps: [{image: $(params.X)}]}}]}"),
			lists{unresolved: []string{"$(params.X)"}}},
		{"a result of a task", custom("tekton.dev", "Pipeline", "{tasks: [{taskSpec: {steps: [{image: $(tasks.a.results.b)}]}}]}"), lists{unresolved: []string{"$(tasks.a.results.b)"}}},
		{"a template of a trigger", custom("triggers.tekton.dev", "TriggerTemplate", "{params: [{name: i, default: 'a:1'}], resourcetemplates: [{apiVersion: tekton.dev/v1, kind: TaskRun, spec: {params: [{name: X, value: $(tt.params.i)}], taskSpec: {steps: [{image: $(params.X)}]}}}]}"),
			lists{images: []string{"a:1"}}},
		{"a strategy of Shipwright", custom("shipwright.io", "ClusterBuildStrategy", "{parameters: [{name: v, default: '1.25'}], steps: [{image: golang:$(params.v)}]}"), lists{images: []string{"golang:1.25"}}},

		// OpenShift and kro
		{"a template", openShift("[{name: IMAGE, value: quay.io/a}, {name: TAG, value: v1}]", "${IMAGE}:${{TAG}}"), lists{images: []string{"quay.io/a:v1"}, hints: []string{"quay.io/a"}}},
		{"a parameter without a value", openShift("[{name: IMAGE, value: a/b}, {name: TAG, required: true}]", "${IMAGE}:${TAG}"), lists{unresolved: []string{"${IMAGE}:${TAG}"}}},
		{"a parameter that is not there", openShift("[]", "${IMAGE}"), lists{unresolved: []string{"${IMAGE}"}}},
		{"a field of a schema", graph("{image: string}", "${schema.spec.image}"), lists{unresolved: []string{"${schema.spec.image}"}}},
		{"a default of a schema", graph(`{image: 'string | default="nginx"', name: 'string | default="x:1"'}`, "${schema.spec.image}"), lists{unresolved: []string{"${schema.spec.image}"}, hints: []string{"nginx"}}},
		{"two defaults of a schema", graph("{a: {r: string | default=a/b, t: string | default=1 description=x}}", "${schema.spec.a.r}:${schema.spec.a.t}"),
			lists{unresolved: []string{"${schema.spec.a.r}:${schema.spec.a.t}"}, hints: []string{"a/b:1"}}},

		// Fields of the object
		{"a field called like the placeholder", spark("apache/spark:{{SPARK_VERSION}}-scala", "runtimeVersions: {sparkVersion: 4.1.1}"), lists{images: []string{"apache/spark:4.1.1-scala"}}},
		{"two fields that differ", spark("apache/spark:{{SPARK_VERSION}}", "a: {sparkVersion: 4.1.1}, b: {sparkVersion: 4.1.2}"), lists{unresolved: []string{"apache/spark:{{SPARK_VERSION}}"}}},
		{"no such field", spark("apache/spark:{{SPARK_VERSION}}", "a: 1"), lists{unresolved: []string{"apache/spark:{{SPARK_VERSION}}"}}},
		{"a placeholder of one word", custom("operator.knative.dev", "KnativeServing", "{registry: {default: 'gcr.io/x/${NAME}:v1'}}"), lists{unresolved: []string{"gcr.io/x/${NAME}:v1"}}},
		{"a variable", custom("workspace.devfile.io", "DevWorkspace", "{variables: {test_image: 'a/b:1'}, components: [{container: {image: '{{test_image}}'}}]}"), lists{images: []string{"a/b:1", "a/b:1"}}},
		{"a value of a chart", custom("example.com", "Thing", "{r: {name: quay.io/a}, tag: v1, image: '{{ .Values.r.name }}:{{ .Values.tag }}', initImage: '{{ .Values.x }}'}"),
			lists{images: []string{"quay.io/a:v1"}, unresolved: []string{"{{ .Values.x }}"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, test.want, listsOf(t, test.manifest))
		})
	}
}

// What placeholders expand to is bounded, and what is left out is unresolved.
func TestPlaceholdersAreBounded(t *testing.T) {
	list := func(n int, item func(i int) string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(item(i) + ", ")
		}
		return "[" + b.String() + "]"
	}
	const input = "inputs: {parameters: [{name: i}]}, "
	call := func(template int, value string) string {
		return fmt.Sprintf("{template: t%d, arguments: {parameters: [{name: i, value: '%s'}]}}", template, value)
	}
	for _, test := range []struct {
		name, manifest string
	}{
		{"images times items", argo("{templates: [{name: m, steps: [[{template: t1, withItems: " + list(1000, func(i int) string { return fmt.Sprint("a", i) }) +
			", arguments: {parameters: [{name: i, value: '{{item}}'}]}}]]}, {name: t1, " + input + "containerSet: {containers: " +
			list(1000, func(i int) string { return fmt.Sprintf("{image: '{{inputs.parameters.i}}:%d'}", i) }) + "}}]}")},
		{"calls that double", argo("{templates: " + list(60, func(i int) string {
			return fmt.Sprintf("{name: t%d, %scontainer: {image: '{{inputs.parameters.i}}'}, steps: [[%s, %s]]}", 60-i, input, call(59-i, "a{{inputs.parameters.i}}"), call(59-i, "b{{inputs.parameters.i}}"))
		}) + "}")},
		{"an argument in itself", custom("tekton.dev", "TaskRun", strings.Repeat("{params: [{name: p, value: '$(params.p)$(params.p)'}], a: ", 200)+"{image: $(params.p)}"+strings.Repeat("}", 200))},
		{"a long value", custom("tekton.dev", "Task", "{params: [{name: p, default: "+strings.Repeat("a", 100_000)+"}], steps: "+list(100, func(i int) string { return fmt.Sprintf("{image: '$(params.p):%d'}", i) })+"}")},
		{"placeholders in a row", custom("example.com", "Thing", "{aB: x, image: '"+strings.Repeat("{{a_b}}", 100_000)+"'}")},
	} {
		t.Run(test.name, func(t *testing.T) {
			report, err := Manifest(test.manifest).ImageReport(ImageOptions{})
			require.NoError(t, err)
			assert.NotEmpty(t, report.Unresolved)
			assert.Less(t, len(report.Images), minFills+len(test.manifest)/8)
		})
	}
}
