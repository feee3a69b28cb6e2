package helmexec

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/internal/growth"
)

// ofManifest makes a reader of a function on a manifest.
func ofManifest(name string, read func(Manifest)) growth.Reader {
	return growth.Reader{Name: name, Read: func(text string) { read(Manifest(text)) }}
}

func transforming(name string, transform Transform) growth.Reader {
	return ofManifest(name, func(m Manifest) { _, _ = transform(m) })
}

func TestGrowthOfManifests(t *testing.T) {
	growth.Check(t, []growth.Reader{
		ofManifest("Objects", func(m Manifest) { _, _ = m.Objects() }),
		ofManifest("Index", func(m Manifest) { _, _ = m.Index() }),
		ofManifest("Images", func(m Manifest) { _, _ = m.Images(ImageOptions{SkipTests: true}) }),
		ofManifest("GPUs", func(m Manifest) { _, _ = m.GPUs(GPUOptions{}) }),
		ofManifest("Retag", func(m Manifest) { _, _, _ = m.Retag(toMirror, RetagOptions{Hints: true}) }),
		transforming("AddLabels", AddLabels(map[string]string{"a": "b"})),
	}, growth.YAML)
}

// The others among the readers of manifests do what those of TestGrowthOfManifests do, and a little more.
func TestGrowthOfMoreManifests(t *testing.T) {
	var pods []growth.Shape
	for _, shape := range growth.YAML {
		if text := shape.Make(2 << 10); strings.Contains(text, "image") {
			pods = append(pods, shape)
		}
	}
	growth.Check(t, []growth.Reader{
		ofManifest("ImageReport", func(m Manifest) { _, _ = m.ImageReport(ImageOptions{FullNames: true}) }),
		transforming("AddTolerations", AddTolerations(Toleration{Key: "a"})),
		transforming("AddNodeSelector", AddNodeSelector(map[string]string{"a": "b"})),
		transforming("RetagImages", RetagImages(toMirror, RetagOptions{})),
	}, pods)
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
			_, err = parseGetValues([]byte(text))
			require.Error(t, err)
			_, err = parseRecord([]byte(text))
			require.Error(t, err)
		})
	}
}

func TestGrowthOfTexts(t *testing.T) {
	growth.Check(t, []growth.Reader{
		{Name: "names", Read: func(text string) {
			_ = SUTNamePrune(text)
			_, _, _ = ParseSUTHelmName(SUTHelmName(text, text))
			_, _, _ = ParseSUTHelmName(text)
			_ = validateReleaseName(text)
		}},
		{Name: "references", Read: func(text string) { _, _ = ParseReference(text) }},
		{Name: "splitChart", Read: func(text string) { _, _ = splitChart(text) }},
	}, growth.Words)
}
