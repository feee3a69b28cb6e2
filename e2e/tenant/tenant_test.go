// Package tenant checks policy.Tenant with charts as real Helms render them.
package tenant

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/internal/tools"
	"github.com/sut-bench/helmexec/plan"
	"github.com/sut-bench/helmexec/policy"
)

// options are what an orchestrator may give to a stranger.
var options = policy.TenantOptions{Limits: policy.Limits{
	CPU: "64", Memory: "256Gi", Storage: "1Ti", Pods: 100, Nodes: 8, GPUs: map[string]int64{"nvidia.com/gpu": 8},
}}

// apis are those of the cluster: Kubernetes' own, and one of an operator.
var apis = []string{
	"v1", "apps/v1", "batch/v1", "autoscaling/v2", "policy/v1", "networking.k8s.io/v1", "rbac.authorization.k8s.io/v1", "storage.k8s.io/v1",
	"scheduling.k8s.io/v1", "discovery.k8s.io/v1", "admissionregistration.k8s.io/v1", "admissionregistration.k8s.io/v1beta1",
	"apiregistration.k8s.io/v1", "apiextensions.k8s.io/v1", "argoproj.io/v1alpha1",
}

// each runs a test with both Helms.
func each(t *testing.T, test func(t *testing.T, planned func(t *testing.T, chart string, values helmexec.Values) (*plan.Plan, error))) {
	for _, name := range []string{"helm3", "helm4"} {
		t.Run(name, func(t *testing.T) {
			binary, err := tools.Path(name)
			if errors.Is(err, tools.ErrNotBuilt) {
				t.Skip(err)
			} else if err != nil {
				t.Fatal(err)
			}
			h, err := helmexec.New(helmexec.Config{Binary: binary, Home: t.TempDir(), Namespace: "bench"})
			if err != nil {
				t.Fatal(err)
			}
			test(t, func(t *testing.T, chart string, values helmexec.Values) (*plan.Plan, error) {
				return h.Plan(t.Context(), "web", chart, helmexec.PlanOptions{
					Values: values, Cluster: &helmexec.Cluster{KubeVersion: "v1.34.4", APIVersions: apis},
				})
			})
		})
	}
}

// Tenant finds what a hostile chart is there for; its Chart.yaml says what that is.
func TestHostileCharts(t *testing.T) {
	const folder = "../../policy/testdata/hostile"
	charts, err := os.ReadDir(folder)
	if err != nil || len(charts) < 20 {
		t.Fatalf("%d charts: %v", len(charts), err)
	}
	each(t, func(t *testing.T, planned func(*testing.T, string, helmexec.Values) (*plan.Plan, error)) {
		for _, entry := range charts {
			t.Run(entry.Name(), func(t *testing.T) {
				p, err := planned(t, filepath.Join(folder, entry.Name()), nil)
				if err != nil {
					t.Fatal(err)
				}
				text, err := os.ReadFile(filepath.Join(folder, entry.Name(), "Chart.yaml"))
				if err != nil {
					t.Fatal(err)
				}
				_, want, _ := strings.Cut(string(text), "finding: '")
				want, _, _ = strings.Cut(want, "'")
				for _, f := range p.Check(policy.Tenant(options)) {
					if f.Rule+" "+f.Path == want {
						return
					}
				}
				t.Errorf("no finding %q", want)
			})
		}
	})
}

// Tenant allows the honest charts of this repository, and says what is wrong with the one that needs more.
func TestHonestCharts(t *testing.T) {
	each(t, func(t *testing.T, planned func(*testing.T, string, helmexec.Values) (*plan.Plan, error)) {
		for _, test := range []struct {
			chart   string
			values  helmexec.Values
			refused string // a rule and a kind
		}{
			{"../../testdata/charts/webapp", nil, ""},
			{"../../testdata/charts/stack", nil, ""},
			{"../../testdata/charts/gpu-inference", nil, ""},
			{"../../testdata/charts/gpu-inference", helmexec.Values{"persistence": map[string]any{"enabled": true}, "replicas": 2}, ""},
			{"../testdata/sut", nil, ""},
			{"../testdata/sut", helmexec.Values{"kind": "StatefulSet", "hook": map[string]any{"event": "pre-install"}}, ""},
			{"../../testdata/charts/argo-benchmark", nil, "kinds CustomResourceDefinition"}, // definitions and custom resources
		} {
			t.Run(filepath.Base(test.chart), func(t *testing.T) {
				p, err := planned(t, test.chart, test.values)
				if err != nil {
					t.Fatal(err)
				}
				findings := p.Check(policy.Tenant(options))
				found := ""
				for _, f := range findings {
					if found == "" || f.Rule+" "+f.Object.Kind == test.refused {
						found = f.Rule + " " + f.Object.Kind
					}
				}
				if found != test.refused {
					t.Errorf("Tenant finds %q, want %q: %v", found, test.refused, findings)
				}
			})
		}
		if _, err := planned(t, "../../testdata/charts/broken-template", nil); !errors.Is(err, helmexec.ErrRenderFailed) {
			t.Errorf("broken-template: %v", err)
		}
	})
}
