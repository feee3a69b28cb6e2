package chart

import (
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
		{Name: "JSON", Read: func(text string) {
			values, _ := parseValues("values", []byte(text))
			_, _ = values.JSON()
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
	ofFiles := func(name string, files func(text string) []entry) growth.Reader {
		return growth.Reader{Name: name, Read: func(text string) { _, _ = readBytes(archiveOf(t, files(text)...), Limits{}) }}
	}
	growth.Check(t, []growth.Reader{
		ofFiles("Chart.yaml", func(text string) []entry { return []entry{file("demo/Chart.yaml", demoChart+text)} }),
		ofFiles("values", func(text string) []entry {
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
		_, _ = readBytes(archiveOf(t, entries...), Limits{})
	}}}, []growth.Shape{
		growth.Numbered("files", "", "f{i}\n", ""),
		growth.Repeated("equal files", "", "f\n", ""),
		growth.Repeated("folders", "", "a/", "f\n"),
		growth.Repeated("dots", "", "./", "f\n"),
		growth.Numbered("files below folders", "", "a/b/c/d{i}/e\n", ""),
	})
}

// No depth of nesting overflows the stack.
func TestDeepNesting(t *testing.T) {
	for _, text := range []string{"[", "{a: ", `{"a":`, "- ", "? ", "&a ["} {
		_, err := parseValues("values", []byte("a: "+strings.Repeat(text, 100_000)))
		require.Error(t, err, text)
	}
}
