package growth

import (
	"fmt"
	"strconv"
	"strings"
)

// A Shape makes a text of about n bytes that is meant to be hard to read.
type Shape struct {
	Name string
	Make func(n int) string
}

// Repeated is one piece over and over, between a beginning and an end.
func Repeated(name, begin, piece, end string) Shape {
	return Shape{name, func(n int) string {
		return begin + strings.Repeat(piece, max(1, (n-len(begin)-len(end))/len(piece))) + end
	}}
}

// Numbered is a piece with a running number in it, over and over.
func Numbered(name, begin, piece, end string) Shape {
	return Shape{name, func(n int) string {
		var b strings.Builder
		b.WriteString(begin)
		for i := 1; b.Len() < n; i++ {
			b.WriteString(strings.NewReplacer("{i}", fmt.Sprint(i), "{i-1}", fmt.Sprint(i-1)).Replace(piece))
		}
		b.WriteString(end)
		return b.String()
	}}
}

// Nested is a piece inside of a piece inside of a piece.
func Nested(name, begin, open, inner, closing, end string) Shape {
	return Shape{name, func(n int) string {
		depth := max(1, n/(len(open)+len(closing)))
		return begin + strings.Repeat(open, depth) + inner + strings.Repeat(closing, depth) + end
	}}
}

const (
	podHead    = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n"
	customHead = "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: image}\nspec:\n"
	flowHead   = "{apiVersion: example.com/v1, kind: Thing, metadata: {name: image}, spec: "
	argoHead   = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: w}\nspec:\n"
	configHead = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n"
	podInOne   = "{spec: {containers: [{image: 'a:1', resources: {limits: {nvidia.com/gpu: 1}}}]}}"
)

// YAML are the shapes of manifests, values and other YAML.
var YAML = []Shape{
	Repeated("markers", "", "---\n", ""),
	Repeated("end markers", "", "...\n", ""),
	Repeated("false markers", "a: 1\n", "...x\n", ""),
	Repeated("false markers before a true one", "a: 1\n", "...x\n---x\n", "---\n"),
	Repeated("dashes only", "", "---x\n", ""),
	Repeated("directives", "", "%\n---\n", ""),
	Repeated("directives and ends", "", "%\n...\n", ""),
	Repeated("directives without an end", "", "%YAML 1.1\n", ""),
	Numbered("tag directives", "", "%TAG !t{i}! tag:x{i}\n", "---\na: 1\n"),
	Repeated("tiny documents", "", "a: 1\n---\n", ""),
	Numbered("documents of different keys", "", "k{i}: v\n---\n", ""),
	Repeated("tiny documents with an anchor", "", "a: &a 1\n---\n", ""),
	Repeated("tiny broken documents", "", "*\n---\n", ""),
	Repeated("tiny documents in flow style", "", "--- {kind: Pod}\n", ""),
	Repeated("byte order marks", "", "\ufeffa: 1\n---\n", ""),
	Repeated("objects", "", "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, image: a:1}]}\n---\n", ""),
	Repeated("alias bombs", "", customHead+"  a: &a [x,x,x,x,x,x,x,x,x]\n  b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n  c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n  d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n  e: [*d,*d,*d,*d,*d,*d,*d,*d,*d]\n---\n", ""),
	Repeated("Lists in themselves", "", "kind: List\nitems: &i\n- {kind: List, items: *i}\n- {kind: List, items: *i}\n- {kind: Pod}\n---\n", ""),

	Nested("nested lists", "a: ", "[", "", "]", "\n"),
	Nested("nested mappings", customHead+"  a: ", "{a: ", "x", "}", "\n"),
	Nested("nested mappings of a pod", podHead+"  containers: [{image: a:1}]\n  a: ", "{a: ", "x", "}", "\n"),
	Nested("nested, never closed", "a: ", "[", "", "", "\n"),
	Nested("nested dashes", "", "- ", "x", "", "\n"),
	Nested("nested questions", "", "? ", "x", "", "\n"),
	Nested("nested in JSON", "", `{"a":`, "1", "}", "\n"),
	Nested("nested Lists", "", "{kind: List, items: [", "", "]}", "\n"),
	{"nested by indentation", func(n int) string {
		var b strings.Builder
		for depth := 0; b.Len() < n; depth++ {
			b.WriteString(strings.Repeat(" ", depth) + "a:\n")
		}
		return b.String()
	}},
	{"text below many levels", func(n int) string {
		return customHead + "  a: " + strings.Repeat("{image: ", 400) + "[" + strings.Repeat("a/b:1, ", n/7) + "]" + strings.Repeat("}", 400) + "\n"
	}},
	{"deep configuration", func(n int) string {
		return "apiVersion: v1\nkind: ConfigMap\ndata: " + strings.Repeat("{a: ", 400) + "[" + strings.Repeat("a/b:1, ", n/7) + "]" + strings.Repeat("}", 400) + "\n"
	}},

	Numbered("chain of aliases", customHead+"  a0: &a0 x\n", "  a{i}: &a{i} [*a{i-1}]\n", ""),
	Numbered("aliases of aliases", customHead+"  a0: &a0 {image: a:1}\n", "  a{i}: &a{i} [*a{i-1}, *a{i-1}]\n", ""),
	Numbered("chain of merges", customHead+"  a0: &a0 {image: a:1}\n", "  a{i}: &a{i} {<<: *a{i-1}, k{i}: v}\n", ""),
	Numbered("merges of merges", customHead+"  a0: &a0 {image: a:1}\n", "  a{i}: &a{i} {<<: [*a{i-1}, *a{i-1}]}\n", ""),
	Numbered("anchors", customHead, "  a{i}: &a{i} image\n", ""),
	{"a long text by many aliases", func(n int) string {
		return customHead + "  a: &a " + strings.Repeat("x", n/2) + "\n  b: [" + strings.Repeat("*a, ", n/8) + "]\n"
	}},
	{"a wide mapping by many aliases", func(n int) string {
		return customHead + "  a: &a {" + strings.Repeat("b: c, ", n/12) + "}\n  b: [" + strings.Repeat("*a, ", n/8) + "]\n"
	}},
	{"a wide mapping by many merges", func(n int) string {
		var b strings.Builder
		b.WriteString(customHead + "  a: &a {")
		for i := 0; b.Len() < n/2; i++ {
			fmt.Fprintf(&b, "k%d: c, ", i)
		}
		return b.String() + "}\n  b:\n" + strings.Repeat("  - <<: *a\n", n/22)
	}},
	{"a wide mapping of resources for many containers", func(n int) string {
		var b strings.Builder
		b.WriteString("x: &r {limits: {")
		for i := 0; b.Len() < n/2; i++ {
			fmt.Fprintf(&b, "a/r%d: 1, ", i)
		}
		return b.String() + "}}\n" + podHead + "  containers:\n" + strings.Repeat("  - {image: a:1, resources: *r}\n", n/64)
	}},
	{"a long patch for many containers", func(n int) string {
		return argoHead + "  podSpecPatch: '" + strings.Repeat("{{a}}{{b}}", n/20) + "'\n  templates:\n" + strings.Repeat("  - container: {image: a:1}\n", n/60)
	}},
	{"a manifest of expressions", func(n int) string {
		return argoHead + "  templates:\n  - resource: {manifest: '{" + strings.Repeat("{{a}}, ", n/7) + "}'}\n"
	}},
	{"images in a text that is no YAML", func(n int) string {
		return argoHead + "  templates:\n  - resource: {manifest: '{{" + strings.Repeat("image:a{{", n/9) + "'}\n"
	}},
	{"many containers for Istio beside many labels", func(n int) string {
		var b strings.Builder
		b.WriteString("apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  labels:\n")
		for i := 0; b.Len() < n/2; i++ {
			fmt.Fprintf(&b, "    k%d: v\n", i)
		}
		return b.String() + "spec:\n  containers:\n" + strings.Repeat("  - {image: auto}\n", n/40)
	}},
	{"defaults of images in a definition", func(n int) string {
		var b strings.Builder
		b.WriteString("apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: d}\nspec:\n")
		for i := 0; b.Len() < n; i++ {
			fmt.Fprintf(&b, "  image%d:\n    default: a\n", i)
		}
		return b.String()
	}},
	{"many pods in a wide mapping", func(n int) string {
		var b strings.Builder
		b.WriteString(customHead)
		for i := 0; b.Len() < n; i++ {
			fmt.Fprintf(&b, "  k%d: %s\n", i, podInOne)
		}
		return b.String()
	}},
	{"many containers beside many keys", func(n int) string {
		var b strings.Builder
		b.WriteString(podHead)
		for i := 0; b.Len() < n/2; i++ {
			fmt.Fprintf(&b, "  k%d: v\n", i)
		}
		return b.String() + "  containers:\n" + strings.Repeat("  - {image: a:1, resources: {limits: {nvidia.com/gpu: 1}}}\n", n/120)
	}},
	{"many words beside many keys", func(n int) string {
		var b strings.Builder
		b.WriteString(podHead + "  containers:\n  - name: x\n")
		for i := 0; b.Len() < n/2; i++ {
			fmt.Fprintf(&b, "    k%d: v\n", i)
		}
		return b.String() + "    args:\n" + strings.Repeat("    - a/b:1\n", n/24)
	}},
	{"many pods below many levels of keys", func(n int) string {
		return customHead + "  a: " + strings.Repeat("{replicas: 2, a: ", 400) + "[" + strings.Repeat(podInOne+", ", n/len(podInOne)) + "]" + strings.Repeat("}", 400) + "\n"
	}},

	Repeated("many containers that a LimitRange gives something", "apiVersion: v1\nkind: LimitRange\nspec: {limits: [{type: Container, default: {nvidia.com/gpu: 1, amd.com/gpu: 1}}]}\n---\n"+podHead+"  containers:\n", "  - {image: a:1}\n", ""),
	Numbered("claims of one name in many namespaces", "", "apiVersion: resource.k8s.io/v1\nkind: ResourceClaim\nmetadata: {name: image, namespace: n{i}}\nspec: {devices: {requests: [{deviceClassName: gpu}]}}\n---\n", podHead+"  resourceClaims: [{name: g, resourceClaimName: image}]\n  containers: [{image: a:1}]\n"),

	Numbered("many keys", customHead, "  k{i}: v\n", ""),
	Numbered("many images by key", customHead, "  k{i}Image: a/b:1\n", ""),
	Repeated("one key again and again", customHead, "  image: a:1\n", ""),
	Numbered("many composites", customHead, "  k{i}: {registry: r.io, repository: a, tag: v{i}}\n", ""),
	Repeated("composites on one line, last things first", flowHead+"[", "{tag: v1, repository: a/b, pullPolicy: x}, ", "]}\n"),
	Repeated("composites on one line, in other letters", flowHead+"[", "{tag: v1, repository: a/b, pullPolicy: é}, ", "]}\n"),
	{"many names with a long prefix", func(n int) string {
		return customHead + "  repository: " + strings.Repeat("a/", n/4) + "\n  pullPolicy: x\n  tag: v1\n  image:\n" + strings.Repeat("  - a\n", n/12)
	}},
	{"long key", func(n int) string {
		return customHead + "  ? " + strings.Repeat("k", n/2) + "\n  :\n" + strings.Repeat("  - {image: a/b:1}\n", n/38)
	}},
	{"long keys", func(n int) string {
		return customHead + strings.Repeat("  ? "+strings.Repeat("k", 5000)+"\n  : {image: a/b:1}\n", max(1, n/5030))
	}},
	{"long name of a container", func(n int) string {
		return podHead + "  containers:\n  - name: " + strings.Repeat("k", n/2) + "\n    args:\n" + strings.Repeat("    - a/b:1\n", n/24)
	}},
	Repeated("unclosed key", customHead, "a", ""),

	Repeated("long line", "a: ", "x", "\n"),
	Repeated("long line of words", "a: ", "x y: ", "\n"),
	Repeated("long line of colons", "a: ", ": ", "\n"),
	Repeated("long line of commas", "a: {", "x, ", "}\n"),
	Repeated("long text in quotes", `a: "`, `\u0061x `, "\"\n"),
	Repeated("long text in single quotes", `a: '`, `''x `, "'\n"),
	Repeated("text over many lines", "a: x\n", "  y\n", ""),
	Repeated("text over many blank lines", "a: x\n", "\n", "  y\n"),
	Repeated("quotes over many lines", "a: \"x\n", "  y\n", "  \"\n"),
	Repeated("single quotes over many lines", "a: 'x\n", "  y\n", "  '\n"),
	Repeated("quotes over many blank lines", "a: \"x", "\n", "  y\"\n"),
	Repeated("quotes with escaped line breaks", "a: \"x", "\\\n  \\ ", "\"\n"),
	Repeated("quotes over lines in a list", "a: [", "'x\n  y', ", "]\n"),
	Numbered("texts over two lines", customHead, "  k{i}: image\n    x\n", ""),
	Repeated("unclosed quotes", "a: \"x\n", "  y\n", ""),
	Repeated("many quotes", "a:\n", "  \"\"\n", ""),
	Repeated("literal text", configHead+"  image: |\n", "    image: quay.io/a/b:v1 and more\n", ""),
	Repeated("literal text of a custom resource", customHead+"  image: |\n", "    image: quay.io/a/b:v1 and more\n", ""),
	Repeated("literal blank lines", configHead+"  image: |\n", "\n", ""),
	Repeated("literal blank lines with spaces", configHead+"  image: |\n", "      \n", ""),
	Repeated("folded text", configHead+"  image: >\n", "    a b\n\n", ""),
	Numbered("literal texts", configHead, "  k{i}: |\n    a\n", ""),
	Repeated("carriage returns", "", "a: 1\r", ""),
	Repeated("carriage returns and markers", "", "a: 1\r---\r", ""),
	Numbered("Windows lines", "a: 1\r\n", "k{i}: x\r\n", ""),
	Repeated("other line breaks", "a: x", "\u2028  y\u0085", "\n"),
	Repeated("tabs", "a:", "\t", "x\n"),
	Repeated("spaces", "a:", " ", "x\n"),
	Repeated("blank lines", "", "\n", "a: 1\n"),
	Repeated("comments", "", "# x\n", "a: 1\n"),
	Repeated("comments in between", customHead, "  # x\n  a: 1 # y\n", ""),
	Repeated("comments and blank lines", "a:\n", "  # x\n\n", ""),
	Repeated("comments at the end", "a: 1\n", "\n# x\n", ""),
	Repeated("comments in a list", "a:\n", "- # x\n  # y\n", ""),
	Repeated("comments in flow style", "a: [\n", "x, # y\n", "]\n"),
	Repeated("tags", customHead+"  a: [", "!a x, ", "]\n"),
	Repeated("null bytes", "a: ", "\x00", "\n"),
	Repeated("other letters", "a: ", "é", "\n"),
	Repeated("no text at all", "", "\xff", ""),

	Repeated("list items", "a:\n", "- b\n", ""),
	Repeated("list of empty items", "a:\n", "-\n", ""),
	Repeated("containers", podHead+"  containers:\n", "  - {name: c, image: a:1, env: [{name: IMAGE, value: a/b:1}]}\n", ""),
	Repeated("containers in JSON", `{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{}`, `,{"image":"a:1","name":"é"}`, "]}}\n"),
	Repeated("pods in a List", "apiVersion: v1\nkind: List\nitems:\n", "- {apiVersion: v1, kind: Pod, spec: {containers: [{image: a:1}]}}\n", ""),
	Repeated("words like images", podHead+"  containers:\n  - args:\n    - ", "a/b:1 ", "\n"),
	Repeated("words like images, one letter each", podHead+"  containers:\n  - args:\n    - ", "a:1,", "\n"),
	Repeated("one very long word like an image", podHead+"  containers:\n  - image: ", "a/", "b:1\n"),
	Repeated("one very long word of colons", podHead+"  containers:\n  - image: a", ":1", "\n"),
	Repeated("one very long word of dots", podHead+"  containers:\n  - image: a", ".", "b\n"),
	Repeated("one very long name", podHead+"  containers:\n  - image: ", "a", "\n"),
	{"many aliases of a very long word", func(n int) string {
		return "x: &x a" + strings.Repeat("/a", n/4) + "\n" + podHead + "  containers:\n" + strings.Repeat("  - {image: *x}\n", n/32)
	}},
	Repeated("very long argument", podHead+"  containers:\n  - args: [", "a/", "b:1]\n"),
	Repeated("scheme after scheme", podHead+"  containers:\n  - args: [", "docker://", "b:1]\n"),
	Repeated("expressions", argoHead+"  templates:\n  - container: {image: '", "{{workflow.parameters.x}}", "'}\n"),
	{"expressions for a long argument", func(n int) string {
		return argoHead + "  arguments: {parameters: [{name: x, value: " + strings.Repeat("a", n/2) + "}]}\n  templates:\n  - container: {image: '" +
			strings.Repeat("{{workflow.parameters.x}}", n/50) + "'}\n"
	}},
	{"many arguments for many images", func(n int) string {
		var b strings.Builder
		b.WriteString(argoHead + "  arguments:\n    parameters:\n")
		for i := 0; b.Len() < n/2; i++ {
			fmt.Fprintf(&b, "    - {name: x%d, value: a}\n", i)
		}
		return b.String() + "  templates:\n" + strings.Repeat("  - container: {image: '{{workflow.parameters.y}}'}\n", n/100)
	}},
	{"a call for each image", func(n int) string {
		return argoHead + "  templates:\n  - {name: m, steps: [[" + strings.Repeat("{template: t}, ", n/36) + "]]}\n  - name: t\n    containers: [" +
			strings.Repeat("{image: '{{item}}'}, ", n/36) + "]\n"
	}},
	{"an item for each image", func(n int) string {
		return argoHead + "  templates:\n  - name: m\n    steps: [[{template: t, withItems: [" + strings.Repeat("a, ", n/24) + "]}]]\n  - name: t\n    containers: [" +
			strings.Repeat("{image: '{{item}}'}, ", n/24) + "]\n"
	}},
	{"a long argument for each image", func(n int) string {
		return argoHead + "  arguments: {parameters: [{name: x, value: " + strings.Repeat("a", n/2) + "}]}\n  templates:\n" +
			strings.Repeat("  - container: {image: '{{workflow.parameters.x}}'}\n", n/100)
	}},
	{"a wide mapping for each image", func(n int) string {
		var b strings.Builder
		b.WriteString(argoHead + "  templates:\n  - name: t\n    containers: [" + strings.Repeat("{image: '{{inputs.parameters.x}}'}, ", n/72) + "]\n")
		for i := 0; b.Len() < n; i++ {
			fmt.Fprintf(&b, "    k%d: v\n", i)
		}
		return b.String()
	}},
	Repeated("the same text for each placeholder", customHead+"  aB: "+strings.Repeat("x", 900)+"\n  images: [", "'{{a_b}}:1', ", "]\n"),
	Repeated("a pipeline in a pipeline", "apiVersion: tekton.dev/v1\nkind: Task\nspec: {params: [{name: p, default: a}], steps: [", "{image: $(params.p)}, ", "]}\n"),
	Repeated("a long default", "apiVersion: kro.run/v1\nkind: ResourceGraphDefinition\nspec: {schema: {spec: {x: '"+strings.Repeat("default= ", 90)+"'}}, resources: [", "{image: '${schema.spec.x}:1'}, ", "]}\n"),
	{"many names with a long registry by default", func(n int) string {
		return customHead + "  defaults: {registry: r.io/" + strings.Repeat("a/", n/4) + "}\n  parts:\n" + strings.Repeat("  - {image: a, tag: v1}\n", n/48)
	}},
	{"many names with a long tag", func(n int) string {
		var b strings.Builder
		b.WriteString(customHead + "  tag: " + strings.Repeat("a+", n/4) + "\n")
		for i := 0; b.Len() < n; i++ {
			fmt.Fprintf(&b, "  k%dImageRepository: a/b\n", i)
		}
		return b.String()
	}},
	Repeated("many images in a text", customHead+"  images: ", "a=r.io/a:1;", "\n"),
	Repeated("a text that is no YAML", argoHead+"  podSpecPatch: |\n    {\n", "    image: a:1\n", ""),
	Repeated("keys in pairs", configHead, "  a.repository: a/b\n  a.tag: v1\n", ""),
	{"a tag for many keys", func(n int) string {
		return configHead + "  tag: " + strings.Repeat("1", n/2) + "\n  repository: a/b\n  repo: a/b\n" + strings.Repeat("  image: a/b\n", n/26)
	}},
	Repeated("unclosed expressions", argoHead+"  templates:\n  - container: {image: '", "{{", "'}\n"),
	{"YAML in YAML in YAML", func(n int) string {
		text := "spec: {containers: [{image: 'a:1'}]}\nx: " + strings.Repeat("a", n/8)
		for range 3 {
			text = argoHead + "  podSpecPatch: |\n    " + strings.ReplaceAll(text, "\n", "\n    ") + "\n"
		}
		return text
	}},
	Repeated("many texts with YAML", argoHead+"  templates:\n", "  - {podSpecPatch: 'containers: [{image: a:1}]'}\n", ""),
	Repeated("a text with many documents", argoHead+"  podSpecPatch: |\n", "    containers: [{image: a:1}]\n    ---\n", ""),
	Repeated("a text with many expressions", argoHead+"  podSpecPatch: |\n    containers: [{image: a:1}]\n    x: ", "{{a}}", "\n"),
	{"many aliases of a text with YAML", func(n int) string {
		return argoHead + "  x: &x \"containers: [" + strings.Repeat("{image: a:1}, ", n/28) + "]\"\n  templates:\n" + strings.Repeat("  - {podSpecPatch: *x}\n", n/46)
	}},
	Repeated("hooks", "apiVersion: v1\nkind: Pod\nmetadata: {annotations: {helm.sh/hook: '", "a,", "'}}\nspec: {containers: [{image: a}, {image: b}]}\n"),
	Repeated("device claims", podHead+"  containers: [{image: a}]\n  resourceClaims:\n", "  - {name: c, resourceClaimName: x}\n", ""),
	Numbered("claims", "", "apiVersion: resource.k8s.io/v1\nkind: ResourceClaim\nmetadata: {name: c{i}}\nspec: {devices: {requests: [{exactly: {deviceClassName: gpu}}]}}\n---\n", ""),
	{"many claims of one name", func(n int) string {
		return strings.Repeat("apiVersion: resource.k8s.io/v1\nkind: ResourceClaim\nmetadata: {name: c}\nspec: {devices: {requests: [{deviceClassName: gpu}]}}\n---\n", n/250) +
			podHead + "  containers: [{image: a}]\n  resourceClaims:\n" + strings.Repeat("  - {name: c, resourceClaimName: c}\n", n/70)
	}},
	{"a claim of many requests for many pods", func(n int) string {
		return "apiVersion: resource.k8s.io/v1\nkind: ResourceClaim\nmetadata: {name: c}\nspec: {devices: {requests: [" + strings.Repeat("{deviceClassName: gpu}, ", n/48) + "]}}\n---\n" +
			podHead + "  containers: [{image: a}]\n  resourceClaims:\n" + strings.Repeat("  - {name: c, resourceClaimName: c}\n", n/70)
	}},
	Numbered("extended resources", podHead+"  containers:\n  - resources:\n      limits:\n", "        a/r{i}: 1\n", ""),
	Repeated("tolerations", podHead+"  containers: [{image: a}]\n  tolerations:\n", "  - {key: a}\n", ""),
}

// pieces are repeated to texts that are not YAML.
var pieces = []string{
	"a", "A", "1", "-", "_", ".", "/", "\\", ":", "@", " ", "\n", "\t", "é", "\xff", "\x00", "%", "%41", "?", "#", "[", "]", "~", "..", "//", "://",
	"a-", "a.", "a/", "a:", "a@", "-sut", "-sut-", "sut-", "job-", "-a-sut", "1.", "1-", "^1 ", "||", ">=1,", "1 - 2 ", "x=",
	"Error: ", "\nError: ", "Error: release: not found\n", "failed to fetch a : 5", "failed to fetch ", "namespace \"a\" ", "not found ", "chart \"",
	"\" not found in index ", "template: ", "helm.go:1: ", "[debug]\n", "connection refused\n", "not ready. status: unknown\n", "context deadline exceeded\n",
	"Internal Server Error: \\\"", "repo a not found ", "stream error ",
}

// Words are the shapes of texts that are not YAML: names, addresses, helm's output.
var Words = func() (all []Shape) {
	for _, piece := range pieces {
		all = append(all, Repeated(strconv.Quote(piece), "", piece, ""))
	}
	for _, begin := range []string{"https://a/", "oci://a/b:", "oci://a/b@sha256:", "repo/web:", "./", "job-1-sut-", "Error: "} {
		for _, piece := range []string{"a", "/", "-", ".", "1.", "@", ":", "||", "-sut-", "é"} {
			all = append(all, Repeated(strconv.Quote(begin+piece), begin, piece, ""))
		}
	}
	return all
}()

// DeepYAML returns texts, by description, that are nested so deeply that a stack may overflow.
func DeepYAML() map[string]string {
	const levels = 200_000
	texts := make(map[string]string)
	for _, test := range []struct{ name, begin, open, inner, closing string }{
		{"lists", "a: ", "[", "", "]"},
		{"mappings", "a: ", "{a: ", "x", "}"},
		{"JSON", "", `{"a":`, "1", "}"},
		{"lists in JSON", "", "[", "", "]"},
		{"dashes", "", "- ", "x", ""},
		{"questions", "", "? ", "x", ""},
		{"anchors", "a: ", "&a [", "", "]"},
		{"Lists", "", "{kind: List, items: [", "", "]}"},
		{"never closed", "a: ", "{a: ", "", ""},
	} {
		texts[test.name] = test.begin + strings.Repeat(test.open, levels) + test.inner + strings.Repeat(test.closing, levels) + "\n"
	}
	return texts
}
