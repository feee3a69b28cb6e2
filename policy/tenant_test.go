package policy

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/chart"
	"github.com/sut-bench/helmexec/plan"
)

// tenant is what an orchestrator may give to a stranger.
var tenant = TenantOptions{Limits: Limits{CPU: "64", Memory: "256Gi", Storage: "1Ti", Pods: 100, Nodes: 8, GPUs: map[string]int64{"nvidia.com/gpu": 8}}}

// Tenant refuses every hostile chart for the finding that its Chart.yaml names: rule and path. The templates are plain
// manifests; e2e renders them with Helm.
func TestTenantRefuses(t *testing.T) {
	charts, err := os.ReadDir("testdata/hostile")
	require.NoError(t, err)
	assert.GreaterOrEqual(t, len(charts), 20)
	for _, entry := range charts {
		t.Run(entry.Name(), func(t *testing.T) {
			folder := filepath.Join("testdata/hostile", entry.Name())
			ch, err := chart.Read(folder, chart.Options{Name: entry.Name()})
			require.NoError(t, err)
			assert.Contains(t, rulesAndPaths(hostilePlan(t, folder).Check(Tenant(tenant))), ch.Metadata.Annotations["finding"])
		})
	}
}

func rulesAndPaths(findings []plan.Finding) (all []string) {
	for _, f := range findings {
		all = append(all, f.Rule+" "+f.Path)
	}
	return all
}

// hostilePlan makes a plan of a chart whose templates are plain manifests.
func hostilePlan(t *testing.T, folder string) *plan.Plan {
	t.Helper()
	var rendered, crds strings.Builder
	require.NoError(t, filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Name() == "Chart.yaml" {
			return err
		}
		text, err := os.ReadFile(path)
		into := &rendered
		if strings.Contains(filepath.ToSlash(path), "/crds/") {
			into = &crds
		}
		into.WriteString("---\n" + string(text))
		return err
	}))
	return planOf(t, rendered.String(), crds.String())
}

// Tenant allows honest charts, as helm template renders those of this repository.
func TestTenantAllows(t *testing.T) {
	files, err := filepath.Glob("testdata/honest/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			assert.Empty(t, planOf(t, string(text), "").Check(Tenant(tenant)))
		})
	}
}

func TestTenantOptions(t *testing.T) {
	text, err := os.ReadFile("testdata/honest/stack.yaml")
	require.NoError(t, err)
	rules := func(opts TenantOptions, extra string) []string {
		var rules []string
		for _, f := range planOf(t, string(text)+"---\n"+extra, "").Check(Tenant(opts)) {
			rules = append(rules, f.Rule)
		}
		slices.Sort(rules)
		return slices.Compact(rules)
	}
	workflow := object("argoproj.io/v1alpha1", "Workflow", "spec: {templates: [{name: a, container: {image: acme/a}}]}")
	assert.Empty(t, rules(TenantOptions{}, ""))
	assert.Equal(t, []string{"images"}, rules(TenantOptions{Registries: []string{"registry.example"}}, ""))
	assert.Equal(t, []string{"digests"}, rules(TenantOptions{Pinned: true}, ""))
	assert.Equal(t, []string{"tokens"}, rules(TenantOptions{NoTokens: true}, ""))
	assert.Equal(t, []string{"restricted/allowPrivilegeEscalation", "restricted/capabilities", "restricted/runAsNonRoot", "restricted/seccompProfile"}, rules(TenantOptions{Restricted: true}, ""))
	assert.Equal(t, []string{"totals"}, rules(TenantOptions{Limits: Limits{Pods: 1}}, ""))
	assert.Equal(t, []string{"kinds", "namespaced"}, rules(TenantOptions{}, workflow))
	assert.Empty(t, rules(TenantOptions{Kinds: []string{"argoproj.io/Workflow"}}, workflow))
	login := podWith("imagePullSecrets: [{name: login}]")
	assert.Equal(t, []string{"references"}, rules(TenantOptions{}, login))
	assert.Empty(t, rules(TenantOptions{References: []string{"Secret/login"}}, login))
	gpu := container("resources: {limits: {amd.com/gpu: 1}}")
	assert.Equal(t, []string{"devices"}, rules(TenantOptions{}, gpu))
	assert.Empty(t, rules(TenantOptions{Limits: Limits{GPUs: map[string]int64{"amd.com/gpu": 1}}}, gpu))
}

// A plan that nobody made passes no policy, and does not end the program.
func TestTenantOfTheZeroPlan(t *testing.T) {
	findings := (&plan.Plan{}).Check(Tenant(TenantOptions{Pinned: true}))
	require.Len(t, findings, 1)
	assert.Equal(t, "plan", findings[0].Rule)
}
