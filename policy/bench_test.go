package policy

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/chart"
	"github.com/sut-bench/helmexec/internal/corpus"
	"github.com/sut-bench/helmexec/manifest"
	"github.com/sut-bench/helmexec/plan"
)

// BenchmarkTenant runs every rule over a plan of four hundred objects, and over that of the largest chart in the folder
// that HELMEXEC_CORPUS names.
func BenchmarkTenant(b *testing.B) {
	strict := tenant
	strict.Registries, strict.Pinned, strict.Restricted, strict.NoTokens = []string{"registry.example"}, true, true, true
	for _, test := range []struct {
		name string
		opts TenantOptions
		plan *plan.Plan
	}{{"honest", TenantOptions{Limits: Limits{GPUs: map[string]int64{"nvidia.com/gpu": 1000}}}, manyWorkloads(b)}, {"corpus", strict, largestOfCorpus(b)}} {
		b.Run(test.name, func(b *testing.B) {
			if test.plan == nil {
				b.Skip("HELMEXEC_CORPUS names no folder of manifests")
			}
			rule, bytes, found := Tenant(test.opts), len(test.plan.Manifest())+len(test.plan.CRDManifest()), 0
			b.ReportAllocs()
			for b.Loop() {
				found = len(test.plan.Check(rule))
			}
			b.ReportMetric(float64(bytes)/1e3, "KB")
			b.ReportMetric(float64(found), "findings")
		})
	}
}

func manyWorkloads(b *testing.B) *plan.Plan {
	files, err := filepath.Glob("testdata/honest/*.yaml")
	require.NoError(b, err)
	var all strings.Builder
	for i := range 50 {
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(b, err)
			all.WriteString("---\n" + strings.ReplaceAll(string(text), "name: ", fmt.Sprintf("name: x%d-%.3s-", i, filepath.Base(file))))
		}
	}
	return planOf(b, all.String(), "")
}

func largestOfCorpus(b *testing.B) *plan.Plan {
	folder := os.Getenv("HELMEXEC_CORPUS")
	if folder == "" {
		return nil
	}
	c, err := corpus.Load(folder)
	require.NoError(b, err)
	var largest manifest.Manifest
	for _, m := range c.Manifests {
		if len(m) > len(largest) {
			largest = m
		}
	}
	p, err := plan.New(b.Context(), plan.Input{Release: "web", Namespace: "bench", Chart: chart.Metadata{Name: "web", Version: "1.0.0"}, Rendered: largest})
	require.NoError(b, err)
	return p
}
