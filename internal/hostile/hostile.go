// Package hostile makes streams that readers of YAML understand differently, and reads them as Kubernetes does. It is
// only for tests.
package hostile

import (
	"bytes"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
)

// Pods for splices; of these Kubernetes pulls the image evil.
const (
	FlowPod = "{apiVersion: v1, kind: Pod, metadata: {name: e}, spec: {containers: [{name: c, image: evil}]}}"
	JSONPod = `{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "j"}, "spec": {"containers": [{"name": "c", "image": "evil"}]}}`
)

const (
	podHead    = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n"
	config     = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: b}\n"
	deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: d\n  namespace: ns\nspec:\n  replicas: 2\n  template:\n    metadata: {labels: {a: b}}\n" +
		"    spec: {containers: [{name: c, image: good, resources: {limits: {nvidia.com/gpu: 1}}}]}\n"
)

// bases are what the splices are put into.
var bases = []string{
	podHead + "spec:\n  containers:\n  - name: c\n    image: good\n    resources: {limits: {nvidia.com/gpu: 3}}\n",
	podHead + "spec: {containers: [{name: c, image: good, tty: true}]}\n",
	podHead + "spec:\n  initContainers: [{name: i, image: early}]\n  containers:\n  - image: \"good\"\n    name: 'c'\n  ephemeralContainers: [{name: e, image: late}]\n" +
		"  volumes:\n  - name: v\n    image: {reference: volume}\n",
	config, deployment,
	"apiVersion: v1\nkind: List\nitems:\n- " + FlowPod + "\n",
	"apiVersion: v1\nkind: PodList\nmetadata: {}\nitems:\n- {metadata: {name: i}, spec: {containers: [{name: c, image: good}]}}\n",
	"apiVersion: apps/v1\nkind: DeploymentList\nitems:\n- metadata:\n    name: i\n  spec:\n    template:\n      spec: {containers: [{name: c, image: good}]}\n",
	"apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: List\n  items: [" + FlowPod + "]\n- kind: PodList\n  apiVersion: v1\n  items:\n  - {kind: Pod, metadata: {name: i}}\n",
	JSONPod + "\n", JSONPod + "\n" + JSONPod + "\n",
	config + "---\n" + FlowPod + "\n",
	"x: &x {image: good}\n" + podHead + "spec: {containers: [{name: c, image: bad, <<: *x}]}\n",
	"apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: c}\nspec:\n  jobTemplate:\n    spec:\n      template:\n        spec:\n          containers:\n          - image: good\n            name: c\n",
	"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\ndata:\n  a: >-\n    b\n    c\n  d: |\n    e\n",
	"apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: t}\nspec: {replicas: 1, image: good}\n",
	"apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  annotations:\n    a: b\n      c # d\n    e: \"f\\n\n\n      \\ g\"\n    h: 'i\n      j'\nspec:\n  containers:\n  - image: good\n    name: c\n" +
		"    args: [\"k\n      l\", m]\n    command:\n    - n\n\n      o\n",
}

// splices are pieces that make readers of YAML disagree.
var splices = []string{
	"<<: {image: evil}", "<<: {image: evil}, ", "<<: *x\n", "<<: [*x, {image: bad}]", "{<<: {<<: {image: evil}}}", `"<<": {image: evil}, `,
	"<<: {kind: Pod}\n", "<<:\n  image: evil\n", "<<: {items: [" + FlowPod + "]}\n", "<<: null, ",
	`! "<<": {image: evil}, `, "!!merge ", "!!str ", "!!int ", "!!float ", "!!bool ", "!!null ", "!!binary ", "!!set ", "! ", "!evil ", "&x ", "*x", "*x : ", "x: &x {image: evil}\n", "image: &x evil, name: *x, ", "b: &x evil\nc: *x\n", "\"image\": evil, ", "? ", "\n? image\n: evil\n",
	"\r", "\u0085", "\u2028", "\u2029", "\ufeff", "\t", " ", "  ", "\n", "\r\n", "\n\n", "# x\r", " # x", "\n# x\n", "# \u0085", "\\\n", "\u00a0", "\x00", "\xff",
	"\n          ", "\n\n          ", " \\\n          ", "\\\n          \\ ", "\\ ", "\"a\n          evil\"", "'a \t\n\n          evil'", "a\n          evil", "a # x\n          evil", "\n          # x\n          ", "\"evil\\\n          \"", "\r\n          ",
	"\n---\n", "\n--- # x\n", "\n--- {kind: Pod}\n", "\n---kind: Pod\n", "\r---\r", "\n...\n", "\n... x\n", "\r...\r", "%YAML 1.1\n", "\ufeff---\n", "---\n", "--- |\n", "--- \u2028\n",
	"items: []\n", "items:\n- ", "items: [" + FlowPod + "]\n", "items: null\n", "items: {}\n", "items: [{spec: {containers: [{image: evil}]}}]\n", "kind: PodList\n", "kind: List\n", "kind: ConfigMap\n",
	"kind: Pod\n", "\"kind\": Pod\n", "apiVersion: v1\n", "apiVersion: apps/v1\n", "metadata: {}\n", "metadata: {name: evil, namespace: evil}\n", "kind: ", "Pod", "List", "ConfigMap", "null", "yes",
	"apiVersion: v1, kind: ConfigMap, ", "kind: Pod, ", "name: evil, ", "namespace: 010\n", "true: a\n", "1: a\n'1': b\n", "1.0: a, ", "~: a, ",
	JSONPod, FlowPod, "{", "}", "[", "]", "'", "\"", ", ", ": ", "- ", "|\n", ">-\n", "\\x6b", "image: evil\n", "image: evil, ", "im\\x61ge",
	"0x2", "1_0", "0b10", "010", "0o10", "!!int \"4\"", "+3", "4.0", "1e1", ".inf", "0b-1", "-1", "1e400", "12345678901234567890123", "9007199254740993", "2001-01-01", "1:30",
	"replicas: 0x3\n", "nvidia.com/gpu: 1_0", "resources: {limits: {nvidia.com/gpu: 2}}", "spec: {containers: [{name: c, image: evil}]}\n", "data: {a: b}\n",
	"volumes: [{image: {reference: evil}}], ", "ephemeralContainers: [{image: evil}]\n",
}

// What Scalars puts together.
var (
	scalarHeads = []string{
		"a: ", "a: '", "a: \"", "a: b", "a:\n  ", "a:\n  '", "a:\n  \"", "- ", "- '", "- \"", "- - ", "- a: \"", "a:\n- ", "a:\n- '", "a:\n- \"", "a:\n- b: ",
		"a:\n  b: ", "a:\n  b: '", "a:\n  b: \"", "a: [", "a: ['", "a: [\"", "a: {b: ", "a: {b: '", "a: {b: \"", "a: {'", "a: {\"", "{\"a\": \"", "", "'", "\"", "? ", "? \"",
		"a:\n  - b\n  - ", "a:\n  - \"", "é: ", "é: \"é", "a: [é, \"", "a: |\n  ", "a: b # c\nd: ", "a: 1\na: ", "\ufeffa: \"",
	}
	scalarWords  = []string{"a", "b c", " ", "\n", "\n  ", "\n    ", "\n\n  ", "\n \n   ", "  \n   ", "\r\n  ", "é", "\\n", "\\ ", "\\\n  ", "\\\n  \\ ", "''", "\\\"", "- ", "\n  - ", "x/y:1", "1", ".inf"}
	scalarTricks = []string{
		"'", "\"", "\\", "\t", "\n\t", "\n  \t", " \t\n  ", "\\\t", "\\\r\n  ", "\\ \n  ", "#", " #", "\n  #", "\n  # x\n  ", "\n#\n", ":", ": ", ":\n  ", "\n  b: ", "\nb: ", "'\nb: '", "\"\nb: \"",
		"\n--- ", "\n---\n", "\n...\n", "\n---x", "\n  --- ", "\r", "\u0085", "\n\u0085  ", "\u2028", "\ufeff", "\n\ufeff  ", "\u00a0", "[", "]", "{", "}", ", ", ",", "\n  ]", "\n  , ",
		"&x ", "*x", "!t ", "|\n  ", ">\n  ", "? ", "\n  ? ", "%", "@", "`", "<<", "\\x41", "\\u00e9", "\\/", "\\N", "\\0", "\x00", "\xff", "~", "yes", "0x1", "2001-01-01",
	}
	scalarTails = []string{"\n", "", "'\n", "\"\n", "\" # c\n", "' # c\n", " # c\n", "\nb: c\n", "\"\nb: c\n", "'\nb: c\n", "\n- c\n", "\"\n- c\n", "]\n", "'}\n", "\"]\n", "\", c]\n", "\"}\n", "\"\n  }\n", "\": c}\n", ": c\n", "\": c\n", "\r\n", "\"\r\nb: c\r\n"}
)

// Stream makes a stream of a program: the number of a base, of which every other one lacks its last line feed, then for each
// splice its number and its place. A program may also be a stream itself, behind "raw:".
func Stream(program []byte) string {
	if raw, found := bytes.CutPrefix(program, []byte("raw:")); found || len(program) == 0 {
		return string(raw)
	}
	text := bases[int(program[0]/2)%len(bases)]
	if program[0]%2 == 1 {
		text = strings.TrimSuffix(text, "\n")
	}
	const most = 16
	for n, rest := 0, program[1:]; len(rest) > 2 && n < most; n, rest = n+1, rest[3:] {
		text = spliced(text, splices[int(rest[0])%len(splices)], rest[1]%4, int(rest[1])<<8|int(rest[2]))
	}
	return text
}

// spliced puts a piece into a text: by way 0 where at says, by way 1 in place of the next value, else where it fits.
func spliced(text, piece string, way byte, at int) string {
	at %= len(text) + 1
	after := 0 // of what the piece replaces
	switch {
	case way == 0:
	case way == 1:
		if value := strings.Index(text[at:], ": "); value >= 0 {
			at += value + len(": ")
			after = max(0, strings.IndexAny(text[at:], " ,{}[]\n"))
		}
	case strings.HasSuffix(piece, "\n"): // as lines of the mapping there
		line := strings.LastIndexByte(text[:at], '\n') + 1
		at = line + len(text[line:]) - len(strings.TrimLeft(text[line:], " -"))
		piece = strings.ReplaceAll(piece, "\n", "\n"+strings.Repeat(" ", at-line))
	case strings.HasSuffix(piece, ", "): // as a field
		at += strings.IndexByte(text[at:], '{') + 1
	default: // at a word
		at += strings.IndexAny(text[at:], " {[") + 1
	}
	return text[:at] + piece + text[at+after:]
}

// Cases calls check with streams made at random, most of them with one or two splices. HELMEXEC_CASES says how many they
// are, n if it is not set. HELMEXEC_SEED repeats those of a run, which logs it.
func Cases(t *testing.T, n int, check func(stream string)) {
	random(t, n, func(r *rand.Rand) {
		program := make([]byte, 1+3*(1+min(r.IntN(5), r.IntN(5))))
		for i := range program {
			program[i] = byte(r.Uint32())
		}
		check(Stream(program))
	})
}

// Scalars is Cases for small documents with a scalar that may go over several lines.
func Scalars(t *testing.T, n int, check func(text string)) {
	random(t, n, func(r *rand.Rand) {
		var text strings.Builder
		text.WriteString(scalarHeads[r.IntN(len(scalarHeads))])
		for range 1 + r.IntN(9) {
			piece := scalarWords
			if r.IntN(3) == 0 {
				piece = scalarTricks
			}
			text.WriteString(piece[r.IntN(len(piece))])
		}
		text.WriteString(scalarTails[r.IntN(len(scalarTails))])
		check(text.String())
	})
}

// random calls check a number of times, with the source of chance that the seed makes.
func random(t *testing.T, n int, check func(r *rand.Rand)) {
	n = int(setting("HELMEXEC_CASES", uint64(n)))
	seed := setting("HELMEXEC_SEED", rand.Uint64N(1e6))
	t.Logf("repeat with HELMEXEC_SEED=%d HELMEXEC_CASES=%d", seed, n)
	r := rand.New(rand.NewPCG(seed, 0))
	for range n {
		check(r)
	}
}

func setting(name string, otherwise uint64) uint64 {
	if n, err := strconv.ParseUint(os.Getenv(name), 10, 64); err == nil {
		return n
	}
	return otherwise
}
