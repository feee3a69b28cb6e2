package plan

import (
	"testing"

	"github.com/sut-bench/helmexec/chart"
	"github.com/sut-bench/helmexec/internal/growth"
	"github.com/sut-bench/helmexec/manifest"
)

func TestGrowth(t *testing.T) {
	made := func(text string) *Plan {
		p, err := New(t.Context(), Input{Release: "web", Chart: chart.Metadata{Name: "web", Version: "1.2.3"}, Rendered: manifest.Manifest(text)})
		if err != nil {
			return &Plan{}
		}
		return p
	}
	growth.Check(t, []growth.Reader{
		{Name: "New", Read: func(text string) { made(text) }},
		{Name: "Diff", Read: func(text string) { _, _ = (&Plan{}).Diff(t.Context(), manifest.Manifest(text)) }},
	}, []growth.Shape{
		growth.Repeated("a List of objects whose names are made", "kind: List\napiVersion: v1\nitems:\n", "- {apiVersion: v1, kind: Pod, metadata: {generateName: a}}\n", ""),
		growth.Repeated("documents that are the same", "", "---\nkind: a\napiVersion: v1\n", ""),
		growth.Repeated("objects without names", "", "---\n{apiVersion: v1, kind: Pod, metadata: {generateName: a}}\n", ""),
	})
}
