package manifest_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/sut-bench/helmexec/manifest"
)

// splices are pieces that make readers of YAML disagree.
var splices = []string{
	"<<: {image: evil}", "<<: {image: evil}, ", "<<: *x\n", "<<: [*x, {image: bad}]", "{<<: {<<: {image: evil}}}", `"<<": {image: evil}, `,
	`! "<<": {image: evil}, `, "!!merge ", "!!str ", "!!int ", "!!binary ", "! ", "!evil ", "&x ", "*x", "*x : ", "? ", "\n? image\n: evil\n",
	"\r", "\u0085", "\u2028", "\u2029", "\ufeff", "\t", " ", "  ", "\n", "\r\n", "\n\n", "# x\r", " # x", "\n# x\n", "\\\n", "\u00a0", "\x00", "\xff",
	"\n---\n", "\n--- # x\n", "\n--- {kind: Pod}\n", "\n---kind: Pod\n", "\r---\r", "\n...\n", "\n... x\n", "\r...\r", "%YAML 1.1\n", "\ufeff---\n", "---\n", "--- |\n",
	"items: []\n", "items:\n- ", "items: [" + evilPod + "]\n", "kind: PodList\n", "kind: List\n", "kind: ConfigMap\n", "kind: Pod\n", "\"kind\": Pod\n",
	"apiVersion: v1\n", "apiVersion: apps/v1\n", "metadata: {}\n", "kind: ", "Pod", "ConfigMap", "null", "yes", "true: a\n", "1: a\n'1': b\n", "1.0: a, ", "~: a, ",
	jsonPod, evilPod, "{", "}", "[", "]", "'", "\"", ", ", ": ", "- ", "|\n", ">-\n", "\\x6b", "image: evil\n", "image: evil, ", "im\\x61ge",
	"0x2", "1_0", "0b10", "010", "0o10", "!!int \"4\"", "+3", "4.0", "1e1", ".inf", "0b-1", "-1", "replicas: 0x3\n", "nvidia.com/gpu: 1_0",
	"resources: {limits: {nvidia.com/gpu: 2}}", "spec: {containers: [{name: c, image: evil}]}\n", "data: {a: b}\n",
}

// bases are what the pieces are put into.
var bases = []string{
	block("image: good\nresources: {limits: {nvidia.com/gpu: 3}}"), container("image: good, tty: true"), config + "data: {a: b}\n",
	replicas("2"), deployment("metadata: {labels: {a: b}}"), list("List", "- "+goodPod), list("PodList", "- {metadata: {name: i}, spec: {containers: [{name: c, image: good}]}}"),
	jsonPod + "\n", config + "---\n" + goodPod + "\n", "x: &x {image: good}\n" + container("image: bad, <<: *x"),
}

// hostileStream makes a stream of a program: the number of a base, then for each piece its number and its place.
func hostileStream(program []byte) string {
	if raw, found := bytes.CutPrefix(program, []byte("raw:")); found || len(program) == 0 {
		return string(raw)
	}
	text := bases[int(program[0])%len(bases)]
	const most = 16
	for n, rest := 0, program[1:]; len(rest) > 2 && n < most; n, rest = n+1, rest[3:] {
		at := (int(rest[1])<<8 | int(rest[2])) % (len(text) + 1)
		if rest[1]&1 == 0 { // at the start of a line
			at = strings.LastIndexByte(text[:at], '\n') + 1
		}
		text = text[:at] + splices[int(rest[0])%len(splices)] + text[at:]
	}
	return text
}

// What we show is what Kubernetes runs, or there is an error.
func FuzzAsKubernetes(f *testing.F) {
	for _, test := range hostile {
		f.Add([]byte("raw:" + test.stream))
	}
	for i := range splices {
		f.Add([]byte{byte(i), byte(i), 0, byte(31 * i)})
		f.Add([]byte{byte(i / 2), byte(i), 1, byte(17 * i), byte(i + 7), 0, byte(11 * i)})
	}
	f.Fuzz(func(t *testing.T, program []byte) {
		stream := hostileStream(program)
		m := manifest.Manifest(stream)
		images, imagesErr := m.Images(manifest.ImageOptions{Exclude: []string{}})
		gpus, gpusErr := m.GPUs(manifest.GPUOptions{})
		objects, objectsErr := m.Objects()
		places, indexErr := m.Index()
		if imagesErr != nil || gpusErr != nil || objectsErr != nil || indexErr != nil {
			return
		}
		truth, err := kubernetesObjects(stream)
		if err != nil {
			return // Kubernetes runs nothing
		}
		if asJSON(truth) != asJSON(objects) && !strings.ContainsAny(asJSON(truth), "eE.") { // numbers are float64 in one of them
			t.Fatalf("objects %s, Kubernetes has %s\n%q", asJSON(objects), asJSON(truth), stream)
		}
		if len(places) != len(truth) {
			t.Fatalf("an index of %d objects, Kubernetes has %s\n%q", len(places), asJSON(truth), stream)
		}
		for i, object := range truth {
			if places[i].Object.Kind != object["kind"] {
				t.Fatalf("the index has %v, Kubernetes has %s\n%q", places, asJSON(truth), stream)
			}
		}
		runs, count, odd := kubernetesRuns(truth)
		runs = slices.DeleteFunc(runs, func(image string) bool { _, err := manifest.ParseReference(image); return err != nil })
		for _, image := range runs {
			if !slices.Contains(images, image) {
				t.Fatalf("images %q, Kubernetes runs %q\n%q", images, runs, stream)
			}
		}
		if odd {
			return
		}
		if !slices.Equal(images, runs) && len(images)+len(runs) > 0 {
			t.Fatalf("images %q, Kubernetes runs %q\n%q", images, runs, stream)
		}
		if got := gpus.Totals["nvidia.com/gpu"]; got != count {
			t.Fatalf("%d GPUs, Kubernetes needs %d\n%q", got, count, stream)
		}
	})
}

// checkOnlyImages checks that Kubernetes reads a retagged manifest as before, but for the texts that were changed.
func checkOnlyImages(t *testing.T, before, after manifest.Manifest, report *manifest.RetagReport) {
	was, err := before.Objects()
	if err != nil {
		return
	}
	is, err := after.Objects()
	if err != nil || len(is) != len(was) {
		t.Fatalf("%d objects became %d: %v\n%q\n%q", len(was), len(is), err, before, after)
	}
	changed := 0
	for i := range was {
		changed += compareValues(t, was[i], is[i], after)
	}
	if changed > 0 && len(report.Changed) == 0 {
		t.Fatalf("%d texts changed, and none is reported\n%q\n%q", changed, before, after)
	}
}

// compareValues counts the texts that differ between two values, of which none may have been lost.
func compareValues(t *testing.T, was, is any, after manifest.Manifest) (changed int) {
	switch was := was.(type) {
	case map[string]any:
		is, ok := is.(map[string]any)
		if !ok || len(is) != len(was) {
			t.Fatalf("%v became %v\n%q", was, is, after)
		}
		for key, below := range was {
			changed += compareValues(t, below, is[key], after)
		}
	case []any:
		is, ok := is.([]any)
		if !ok || len(is) != len(was) {
			t.Fatalf("%v became %v\n%q", was, is, after)
		}
		for i, below := range was {
			changed += compareValues(t, below, is[i], after)
		}
	case string:
		is, ok := is.(string)
		if !ok || is != was && !strings.Contains(is, "mirror.lab") {
			t.Fatalf("%q became %v\n%q", was, is, after)
		}
		if is != was {
			changed++
		}
	default:
		if is != was {
			t.Fatalf("%v became %v\n%q", was, is, after)
		}
	}
	return changed
}
