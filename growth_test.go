package helmexec

import (
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/internal/helmtext"
)

// What reads text from outside takes memory in proportion to its size, whatever the text: for each shape of text
// these tests double the size three times. The bytes that are allocated decide, which are the same on a loaded
// machine. The race detector makes all of this slow and empties pools of memory by chance: under it each reader
// takes a dozen of the shapes, not the same as the others, in shorter texts.
//
// Time that grows without memory shows only in larger texts:
//
//	HELMEXEC_GROWTH=16384 go test -timeout=1h -run Growth .
//
// takes texts from that size on and compares the times as well, which takes some minutes. On Linux a busy machine
// hardly matters to them.
const (
	doublings    = 3
	maxGrowth    = 2.3     // of memory, when a text doubles
	growthSlack  = 1 << 20 // bytes that do not count
	raceSlack    = 8 << 20 // more of them under the race detector
	slackPerByte = 16      // the same, for one byte of a larger text: buffers grow by leaps
	maxPerByte   = 6000    // bytes of memory for one of text; the most is what tiny documents take to be written anew
	maxSlowdown  = 3.0     // of the time that one byte takes, from the smallest text to the largest
	raceShapes   = 12
)

// reader is a function that reads text from outside.
type reader struct {
	name string
	read func(text string)
}

// raceDetector reports whether the tests were built with the race detector.
var raceDetector = sync.OnceValue(func() bool {
	build, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(build.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
})

// checkGrowth reads texts of a shape that double in size.
func checkGrowth(t *testing.T, readers []reader, shapes []shape) {
	size, step, timed := 2<<10, 1, false
	if raceDetector() {
		size, step = 1<<10, max(1, len(shapes)/raceShapes)
	}
	if wanted, err := strconv.Atoi(os.Getenv("HELMEXEC_GROWTH")); err == nil {
		size, timed = wanted, true
	}
	for n, shape := range shapes {
		var texts []string
		for i := range doublings + 1 {
			texts = append(texts, shape.make(size<<i))
		}
		for i, reader := range readers {
			if (n+i)%step == 0 {
				checkReader(t, reader, shape.name, texts, timed)
			}
		}
	}
}

// allowed is the memory that a text of a size may take. half is what a text of half the size took; 0 if none did.
func allowed(size int, half float64) float64 {
	slack := max(growthSlack, slackPerByte*float64(size))
	limit := maxPerByte*float64(size) + slack
	if raceDetector() {
		slack, limit = slack+raceSlack, math.Inf(1)
	}
	if half > 0 {
		limit = min(limit, maxGrowth*half+slack)
	}
	return limit
}

func checkReader(t *testing.T, reader reader, shape string, texts []string, timed bool) {
	memory, times := make([]float64, len(texts)), make([]float64, len(texts))
	for i, text := range texts {
		allowed := allowed(len(text), memory[max(0, i-1)])
		// A pool that is empty, and a garbage collector, take memory and time of their own: the best of three counts.
		for try := range 3 {
			allocated, took := measure(func() { reader.read(text) })
			if try == 0 || allocated < memory[i] {
				memory[i] = allocated
			}
			if try == 0 || took < times[i] {
				times[i] = took
			}
			if memory[i] <= allowed && !timed {
				break
			}
		}
		assert.LessOrEqual(t, memory[i], allowed, "%s of %s: memory %.0f for %d bytes of text", reader.name, shape, memory, len(text))
	}
	if testing.Verbose() {
		t.Logf("%s of %s: %.0f bytes, %.6f s", reader.name, shape, memory, times)
	}
	if last := len(texts) - 1; timed {
		larger := float64(len(texts[last])) / float64(len(texts[0]))
		assert.LessOrEqual(t, times[last], maxSlowdown*larger*times[0]+0.002, "%s of %s: %.6f s", reader.name, shape, times)
	}
}

// measure gives the bytes that a function allocates, and the seconds of the processor that it takes.
func measure(f func()) (allocated, took float64) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := cpuTime()
	f()
	took = (cpuTime() - start).Seconds()
	runtime.ReadMemStats(&after)
	return float64(after.TotalAlloc - before.TotalAlloc), took
}

// ofManifest makes a reader of a function on a manifest.
func ofManifest(name string, read func(Manifest)) reader {
	return reader{name, func(text string) { read(Manifest(text)) }}
}

func transforming(name string, transform Transform) reader {
	return ofManifest(name, func(m Manifest) { _, _ = transform(m) })
}

func TestGrowthOfManifests(t *testing.T) {
	checkGrowth(t, []reader{
		ofManifest("Objects", func(m Manifest) { _, _ = m.Objects() }),
		ofManifest("Index", func(m Manifest) { _, _ = m.Index() }),
		ofManifest("Images", func(m Manifest) { _, _ = m.Images(ImageOptions{SkipTests: true}) }),
		ofManifest("GPUs", func(m Manifest) { _, _ = m.GPUs(GPUOptions{}) }),
		ofManifest("Retag", func(m Manifest) { _, _, _ = m.Retag(toMirror, RetagOptions{Hints: true}) }),
		transforming("AddLabels", AddLabels(map[string]string{"a": "b"})),
	}, hostileYAML)
}

// The others among the readers of manifests do what those of TestGrowthOfManifests do, and a little more.
func TestGrowthOfMoreManifests(t *testing.T) {
	var pods []shape
	for _, shape := range hostileYAML {
		if text := shape.make(2 << 10); strings.Contains(text, "image") {
			pods = append(pods, shape)
		}
	}
	checkGrowth(t, []reader{
		ofManifest("ImageReport", func(m Manifest) { _, _ = m.ImageReport(ImageOptions{FullNames: true}) }),
		transforming("AddTolerations", AddTolerations(Toleration{Key: "a"})),
		transforming("AddNodeSelector", AddNodeSelector(map[string]string{"a": "b"})),
		transforming("RetagImages", RetagImages(toMirror, RetagOptions{})),
	}, pods)
}

func TestGrowthOfValues(t *testing.T) {
	checkGrowth(t, []reader{
		{"parseValues and Merge", func(text string) {
			values, _ := parseValues("values", []byte(text))
			_ = values.Merge(values)
		}},
		{"encode", func(text string) {
			values, _ := parseValues("values", []byte(text))
			_, _ = values.encode()
		}},
	}, hostileYAML)
}

func TestGrowthOfMetadata(t *testing.T) {
	checkGrowth(t, []reader{
		{"Chart.yaml", func(text string) { _, _ = parseMetadata(chartFile, []byte(demoChart+text)) }},
		{"requirements.yaml", func(text string) { _ = new(Metadata).addRequirements(requirementsFile, []byte(text)) }},
	}, hostileYAML)
}

func TestGrowthOfCharts(t *testing.T) {
	chart := func(name string, files func(text string) []entry) reader {
		return reader{name, func(text string) { _, _ = readBytes(archiveOf(t, files(text)...), defaultChartLimits) }}
	}
	checkGrowth(t, []reader{
		chart("Chart.yaml", func(text string) []entry { return []entry{file("demo/Chart.yaml", demoChart+text)} }),
		chart("values", func(text string) []entry {
			return []entry{file("demo/Chart.yaml", demoChart), file("demo/values.yaml", text), file("demo/values.schema.json", text)}
		}),
	}, []shape{
		repeated("tiny documents", "", "a: 1\n---\n", ""),
		nested("nested mappings", "a: ", "{a: ", "x", "}", "\n"),
		{"a long text by many aliases", func(n int) string {
			return "a: &a " + strings.Repeat("x", n/2) + "\nb: [" + strings.Repeat("*a, ", n/8) + "]\n"
		}},
		repeated("a long text", "a: ", "x", "\n"),
	})
}

func TestGrowthOfFileNames(t *testing.T) {
	checkGrowth(t, []reader{{"archive", func(text string) {
		entries := []entry{file("demo/Chart.yaml", demoChart)}
		for name := range strings.Lines(text) {
			entries = append(entries, file("demo/"+strings.TrimSpace(name), ""))
		}
		_, _ = readBytes(archiveOf(t, entries...), defaultChartLimits)
	}}}, []shape{
		numbered("files", "", "f{i}\n", ""),
		repeated("equal files", "", "f\n", ""),
		repeated("folders", "", "a/", "f\n"),
		repeated("dots", "", "./", "f\n"),
		numbered("files below folders", "", "a/b/c/d{i}/e\n", ""),
	})
}

func TestGrowthOfIndexes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index.yaml")
	index := reader{"readIndex", func(text string) {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, _ = readIndex(path, "web", 1<<30)
	}}
	const head = "apiVersion: v1\nentries:\n  web:\n"
	checkGrowth(t, []reader{index}, append(hostileYAML,
		numbered("versions", head, "  - version: 1.0.{i}\n    urls: [a]\n", ""),
		numbered("charts", head, "  - version: 1.0.0\n  c{i}:\n", ""),
		repeated("versions that are none", head, "  - version: v\n", ""),
		repeated("one long version", head+"  - version: ", "1.", "\n"),
		repeated("long lines", head+"  - description: ", "x", "\n"),
		repeated("aliases", head+"  - &a {description: "+strings.Repeat("x", 500)+"}\n", "  - *a\n", ""),
		repeated("comments in an index", head, "# x\n", ""),
		repeated("JSON", `{"entries":{"web":[{}`, `,{"version":"1.0.0"}`, "]}}"),
		repeated("nested JSON", `{"entries":{"web":`, "[", ""),
		repeated("JSON with keys again and again", `{"entries":{"web":[]`, `,"web":[]`, "}}"),
	))
}

// pieces are repeated to texts that are no YAML.
var pieces = []string{
	"a", "A", "1", "-", "_", ".", "/", "\\", ":", "@", " ", "\n", "\t", "é", "\xff", "\x00", "%", "%41", "?", "#", "[", "]", "~", "..", "//", "://",
	"a-", "a.", "a/", "a:", "a@", "-sut", "-sut-", "sut-", "job-", "-a-sut", "1.", "1-", "^1 ", "||", ">=1,", "1 - 2 ", "x=",
	"Error: ", "\nError: ", "Error: release: not found\n", "failed to fetch a : 5", "failed to fetch ", "namespace \"a\" ", "not found ", "chart \"",
	"\" not found in index ", "template: ", "helm.go:1: ", "[debug]\n", "connection refused\n", "not ready. status: unknown\n", "context deadline exceeded\n",
	"Internal Server Error: \\\"", "repo a not found ", "stream error ",
}

func TestGrowthOfTexts(t *testing.T) {
	var shapes []shape
	for _, piece := range pieces {
		shapes = append(shapes, repeated(strconv.Quote(piece), "", piece, ""))
	}
	for _, begin := range []string{"https://a/", "oci://a/b:", "oci://a/b@sha256:", "repo/web:", "./", "job-1-sut-", "Error: "} {
		for _, piece := range []string{"a", "/", "-", ".", "1.", "@", ":", "||", "-sut-", "é"} {
			shapes = append(shapes, repeated(strconv.Quote(begin+piece), begin, piece, ""))
		}
	}
	checkGrowth(t, []reader{
		{"parseAddress", func(text string) { _, _ = parseAddress(text) }},
		{"parseRepoURL", func(text string) {
			if u, err := parseRepoURL(text); err == nil {
				_ = nameOfRepo(u)
			}
		}},
		{"names", func(text string) {
			_ = SUTNamePrune(text)
			_, _, _ = ParseSUTHelmName(SUTHelmName(text, text))
			_, _, _ = ParseSUTHelmName(text)
			_ = validateReleaseName(text)
		}},
		{"messages", func(text string) {
			_, _ = helmtext.Meaning(text, true)
			_, _, _ = helmtext.RecordedNothing(text), helmtext.NotReadyInTime(text), helmtext.SawNothing(text)
			_ = helmtext.Advice(helmtext.Failure{Stderr: text})
		}},
		{"references", func(text string) { _, _ = ParseReference(text) }},
		{"splitChart", func(text string) { _, _ = splitChart(text) }},
	}, shapes)
}

func TestGrowthOfOutputs(t *testing.T) {
	checkGrowth(t, []reader{
		{"parseList", func(text string) { _, _ = parseList([]byte(text)) }},
		{"parseHistory", func(text string) { _, _ = parseHistory([]byte(text)) }},
		{"parseRecord", func(text string) {
			if rec, err := parseRecord([]byte(text)); err == nil {
				_, _, _ = rec.release(), rec.hooks(), rec.hasHook("test")
			}
		}},
		{"parseGetValues", func(text string) { _, _ = parseGetValues([]byte(text)) }},
	}, []shape{
		repeated("rows", "[{}", `,{"name":"a","namespace":"b","revision":1,"chart":"a-1.0.0","updated":"2024-01-01T00:00:00Z"}`, "]"),
		repeated("empty rows", "[{}", ",{}", "]"),
		repeated("one long chart", `[{"chart":"`, "a-", `"}]`),
		repeated("one long chart of numbers", `[{"chart":"`, "-1.2.3", `"}]`),
		repeated("one long text", `[{"description":"`, `\u0061`, `"}]`),
		nested("lists", "", "[", "", "]", ""),
		nested("tables", "", `{"a":`, "1", "}", ""),
		repeated("lists, never closed", "", "[", ""),
		repeated("keys again and again", `{"a":1`, `,"a":1`, "}"),
		numbered("keys", `{"a":1`, `,"a{i}":1`, "}"),
		repeated("a long number", `{"a":1`, "0", "}"),
		repeated("hooks", `{"Hooks":[null`, `,{"Name":"61","Events":"5b746573745d","Manifest":"61"}`, "]}"),
		repeated("events", `{"Hooks":[{"Events":"`, "6120", `"},null]}`),
		repeated("labels", `{"Labels":[null`, `,{"Key":"a","Value":"b"}`, "]}"),
		repeated("manifest", `{"Manifest":"`, "61", `"}`),
		repeated("spaces", "", " ", "[]"),
	})
}

// No depth of nesting overflows a stack.
func TestDeepNesting(t *testing.T) {
	const levels = 200_000
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
		t.Run(test.name, func(t *testing.T) {
			text := test.begin + strings.Repeat(test.open, levels) + test.inner + strings.Repeat(test.closing, levels) + "\n"
			for name, read := range manifestReaders {
				require.ErrorIs(t, read(Manifest(text)), ErrBadManifest, name)
			}
			_, err := AddLabels(nil)(Manifest(text))
			require.ErrorIs(t, err, ErrBadManifest)
			_, err = Manifest(text).Index()
			require.ErrorIs(t, err, ErrBadManifest)
			_, err = parseValues("values", []byte(text))
			require.Error(t, err)
			_, err = parseGetValues([]byte(text))
			require.Error(t, err)
			_, err = parseRecord([]byte(text))
			require.Error(t, err)
		})
	}
}
