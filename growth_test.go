package helmexec

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/internal/growth"
)

func TestGrowthOfValues(t *testing.T) {
	growth.Check(t, []growth.Reader{
		{Name: "parseValues and Merge", Read: func(text string) {
			values, _ := parseValues("values", []byte(text))
			_ = values.Merge(values)
		}},
		{Name: "encode", Read: func(text string) {
			values, _ := parseValues("values", []byte(text))
			_, _ = values.encode()
		}},
	}, growth.YAML)
}

func TestGrowthOfMetadata(t *testing.T) {
	growth.Check(t, []growth.Reader{
		{Name: "Chart.yaml", Read: func(text string) { _, _ = parseMetadata(chartFile, []byte(demoChart+text)) }},
		{Name: "requirements.yaml", Read: func(text string) { _ = new(Metadata).addRequirements(requirementsFile, []byte(text)) }},
	}, growth.YAML)
}

func TestGrowthOfCharts(t *testing.T) {
	chart := func(name string, files func(text string) []entry) growth.Reader {
		return growth.Reader{Name: name, Read: func(text string) { _, _ = readBytes(archiveOf(t, files(text)...), defaultChartLimits) }}
	}
	growth.Check(t, []growth.Reader{
		chart("Chart.yaml", func(text string) []entry { return []entry{file("demo/Chart.yaml", demoChart+text)} }),
		chart("values", func(text string) []entry {
			return []entry{file("demo/Chart.yaml", demoChart), file("demo/values.yaml", text), file("demo/values.schema.json", text)}
		}),
	}, []growth.Shape{
		growth.Repeated("tiny documents", "", "a: 1\n---\n", ""),
		growth.Nested("nested mappings", "a: ", "{a: ", "x", "}", "\n"),
		{Name: "a long text by many aliases", Make: func(n int) string {
			return "a: &a " + strings.Repeat("x", n/2) + "\nb: [" + strings.Repeat("*a, ", n/8) + "]\n"
		}},
		growth.Repeated("a long text", "a: ", "x", "\n"),
	})
}

func TestGrowthOfFileNames(t *testing.T) {
	growth.Check(t, []growth.Reader{{Name: "archive", Read: func(text string) {
		entries := []entry{file("demo/Chart.yaml", demoChart)}
		for name := range strings.Lines(text) {
			entries = append(entries, file("demo/"+strings.TrimSpace(name), ""))
		}
		_, _ = readBytes(archiveOf(t, entries...), defaultChartLimits)
	}}}, []growth.Shape{
		growth.Numbered("files", "", "f{i}\n", ""),
		growth.Repeated("equal files", "", "f\n", ""),
		growth.Repeated("folders", "", "a/", "f\n"),
		growth.Repeated("dots", "", "./", "f\n"),
		growth.Numbered("files below folders", "", "a/b/c/d{i}/e\n", ""),
	})
}

func TestGrowthOfIndexes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index.yaml")
	index := growth.Reader{Name: "readIndex", Read: func(text string) {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, _ = readIndex(path, "web", 1<<30)
	}}
	const head = "apiVersion: v1\nentries:\n  web:\n"
	growth.Check(t, []growth.Reader{index}, append(growth.YAML,
		growth.Numbered("versions", head, "  - version: 1.0.{i}\n    urls: [a]\n", ""),
		growth.Numbered("charts", head, "  - version: 1.0.0\n  c{i}:\n", ""),
		growth.Repeated("versions that are none", head, "  - version: v\n", ""),
		growth.Repeated("one long version", head+"  - version: ", "1.", "\n"),
		growth.Repeated("long lines", head+"  - description: ", "x", "\n"),
		growth.Repeated("aliases", head+"  - &a {description: "+strings.Repeat("x", 500)+"}\n", "  - *a\n", ""),
		growth.Repeated("comments in an index", head, "# x\n", ""),
		growth.Repeated("JSON", `{"entries":{"web":[{}`, `,{"version":"1.0.0"}`, "]}}"),
		growth.Repeated("nested JSON", `{"entries":{"web":`, "[", ""),
		growth.Repeated("JSON with keys again and again", `{"entries":{"web":[]`, `,"web":[]`, "}}"),
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
	var shapes []growth.Shape
	for _, piece := range pieces {
		shapes = append(shapes, growth.Repeated(strconv.Quote(piece), "", piece, ""))
	}
	for _, begin := range []string{"https://a/", "oci://a/b:", "oci://a/b@sha256:", "repo/web:", "./", "job-1-sut-", "Error: "} {
		for _, piece := range []string{"a", "/", "-", ".", "1.", "@", ":", "||", "-sut-", "é"} {
			shapes = append(shapes, growth.Repeated(strconv.Quote(begin+piece), begin, piece, ""))
		}
	}
	growth.Check(t, []growth.Reader{
		{Name: "parseAddress", Read: func(text string) { _, _ = parseAddress(text) }},
		{Name: "parseRepoURL", Read: func(text string) {
			if u, err := parseRepoURL(text); err == nil {
				_ = nameOfRepo(u)
			}
		}},
		{Name: "names", Read: func(text string) {
			_ = SUTNamePrune(text)
			_, _, _ = ParseSUTHelmName(SUTHelmName(text, text))
			_, _, _ = ParseSUTHelmName(text)
			_ = validateReleaseName(text)
		}},
		{Name: "messages", Read: func(text string) {
			_, _ = meaning(text, true)
			_, _, _ = verdict(text), notReadyInTime(text), sawNothing(text)
			_ = invocation{args: []string{"pull"}}.advice(&Error{Stderr: text})
		}},
		{Name: "splitChart", Read: func(text string) { _, _ = splitChart(text) }},
	}, shapes)
}

func TestGrowthOfOutputs(t *testing.T) {
	growth.Check(t, []growth.Reader{
		{Name: "parseList", Read: func(text string) { _, _ = parseList([]byte(text)) }},
		{Name: "parseHistory", Read: func(text string) { _, _ = parseHistory([]byte(text)) }},
		{Name: "parseRecord", Read: func(text string) {
			if rec, err := parseRecord([]byte(text)); err == nil {
				_, _, _ = rec.release(), rec.hooks(), rec.hasHook("test")
			}
		}},
		{Name: "parseGetValues", Read: func(text string) { _, _ = parseGetValues([]byte(text)) }},
	}, []growth.Shape{
		growth.Repeated("rows", "[{}", `,{"name":"a","namespace":"b","revision":1,"chart":"a-1.0.0","updated":"2024-01-01T00:00:00Z"}`, "]"),
		growth.Repeated("empty rows", "[{}", ",{}", "]"),
		growth.Repeated("one long chart", `[{"chart":"`, "a-", `"}]`),
		growth.Repeated("one long chart of numbers", `[{"chart":"`, "-1.2.3", `"}]`),
		growth.Repeated("one long text", `[{"description":"`, `\u0061`, `"}]`),
		growth.Nested("lists", "", "[", "", "]", ""),
		growth.Nested("tables", "", `{"a":`, "1", "}", ""),
		growth.Repeated("lists, never closed", "", "[", ""),
		growth.Repeated("keys again and again", `{"a":1`, `,"a":1`, "}"),
		growth.Numbered("keys", `{"a":1`, `,"a{i}":1`, "}"),
		growth.Repeated("a long number", `{"a":1`, "0", "}"),
		growth.Repeated("hooks", `{"Hooks":[null`, `,{"Name":"61","Events":"5b746573745d","Manifest":"61"}`, "]}"),
		growth.Repeated("events", `{"Hooks":[{"Events":"`, "6120", `"},null]}`),
		growth.Repeated("labels", `{"Labels":[null`, `,{"Key":"a","Value":"b"}`, "]}"),
		growth.Repeated("manifest", `{"Manifest":"`, "61", `"}`),
		growth.Repeated("spaces", "", " ", "[]"),
	})
}

// No depth of nesting overflows a stack.
func TestDeepNesting(t *testing.T) {
	for name, text := range growth.DeepYAML() {
		t.Run(name, func(t *testing.T) {
			_, err := parseValues("values", []byte(text))
			require.Error(t, err)
			_, err = parseGetValues([]byte(text))
			require.Error(t, err)
			_, err = parseRecord([]byte(text))
			require.Error(t, err)
		})
	}
}
