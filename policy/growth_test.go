package policy

import (
	"testing"

	"github.com/sut-bench/helmexec/chart"
	"github.com/sut-bench/helmexec/internal/growth"
	"github.com/sut-bench/helmexec/manifest"
	"github.com/sut-bench/helmexec/plan"
)

func TestGrowth(t *testing.T) {
	opts := tenant
	opts.Registries, opts.Pinned, opts.Restricted, opts.NoTokens = []string{"registry.example"}, true, true, true
	growth.Check(t, []growth.Reader{{Name: "Tenant", Read: func(text string) {
		p, err := plan.New(t.Context(), plan.Input{Release: "web", Chart: chart.Metadata{Name: "web", Version: "1.2.3"}, Rendered: manifest.Manifest(text)})
		if err == nil {
			p.Check(Tenant(opts))
		}
	}}}, []growth.Shape{
		growth.Repeated("containers", "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n", "  - {name: c, image: a, securityContext: {privileged: true}}\n", ""),
		growth.Repeated("volumes of a custom resource", "apiVersion: a.io/v1\nkind: A\nmetadata: {name: a}\nspec:\n  volumes:\n", "  - {name: c, hostPath: {path: /}}\n", ""),
		growth.Repeated("claims of others", "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  volumes:\n", "  - {name: c, persistentVolumeClaim: {claimName: data-x-0}}\n", ""),
		growth.Repeated("objects in a text", "apiVersion: a.io/v1\nkind: A\nmetadata: {name: a}\nspec:\n  text: |\n", "    ---\n    {apiVersion: v1, kind: Pod, spec: {hostPID: true}}\n", ""),
		growth.Repeated("a StatefulSet each, with its claims", "", "---\n{apiVersion: apps/v1, kind: StatefulSet, metadata: {generateName: a}, spec: {volumeClaimTemplates: [{metadata: {name: a}}]}}\n", ""),
	})
}
