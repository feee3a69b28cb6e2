package helmexec

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/internal/argument"
	"github.com/sut-bench/helmexec/internal/growth"
)

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

// No depth of nesting overflows the stack.
func TestDeepNesting(t *testing.T) {
	for name, text := range growth.DeepYAML() {
		t.Run(name, func(t *testing.T) {
			_, err := parseGetValues([]byte(text))
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
			_ = argument.Release(text)
		}},
		{Name: "references", Read: func(text string) { _, _ = ParseReference(text) }},
		{Name: "splitChart", Read: func(text string) { _, _ = splitChart(text) }},
	}, growth.Words)
}
