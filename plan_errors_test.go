package helmexec

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
)

// An error of Plan says what was planned, and not that something failed that nobody started.
func TestWhatErrorsOfPlanSay(t *testing.T) {
	const down = "kubernetes cluster unreachable: connection refused"
	chart := chartFolder(t, "web", "1.2.3")
	file := filepath.Join(chart, "templates", "a.yaml")
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
	require.NoError(t, os.WriteFile(file, []byte(`{{ fail "tag is required" }}`), 0o600))
	kubeconfig := filepath.Join(chart, "kubeconfig")
	require.NoError(t, os.WriteFile(kubeconfig, nil, 0o600))
	plan := func(opts PlanOptions) func(*Helm) error {
		return func(h *Helm) error {
			_, err := h.Plan(t.Context(), "job-42", chart, opts)
			return err
		}
	}
	ask := func(opts ClusterOptions) func(*Helm) error {
		return func(h *Helm) error {
			_, err := h.Cluster(t.Context(), opts)
			return err
		}
	}
	for _, test := range []struct {
		name    string
		down    bool // the cluster
		call    func(*Helm) error
		kind    error
		message string
	}{
		{"a chart that fails", false, plan(PlanOptions{}), ErrRenderFailed, "plan job-42: execution error at (web/templates/a.yaml:1:1): tag is required"},
		{"in an upgrade", false, plan(PlanOptions{Upgrade: true}), ErrRenderFailed, "plan job-42: execution error at (web/templates/a.yaml:1:1): tag is required"},
		{"no cluster", true, plan(PlanOptions{}), ErrClusterUnreachable, "plan job-42: ask the cluster: " + down},
		{"no cluster of a kubeconfig", true, plan(PlanOptions{Kubeconfig: kubeconfig}), ErrClusterUnreachable, "plan job-42: ask the cluster of kubeconfig " + kubeconfig + ": " + down},
		{"no cluster of a context", true, plan(PlanOptions{Upgrade: true, Kubeconfig: kubeconfig, KubeContext: "lab"}), ErrClusterUnreachable,
			"plan job-42: ask the cluster of kubeconfig " + kubeconfig + ", context lab: " + down},
		{"nothing is planned", true, ask(ClusterOptions{KubeContext: "lab"}), ErrClusterUnreachable, "ask the cluster of context lab: " + down},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, fake := withFake(t, Config{})
			fake.SetRelease(helmtest.Release{Name: "job-42"})
			if test.down {
				fake.Handle("template", func(helmtest.Call) helmtest.Reply { return helmtest.Reply{Stderr: "Error: " + down + "\n", Exit: 1} })
				fake.Handle("dry-run upgrade", func(helmtest.Call) helmtest.Reply { return helmtest.Reply{Until: helmtest.Forever} })
			}
			err := test.call(h)
			require.ErrorIs(t, err, test.kind)
			assert.Equal(t, test.message, err.Error())
		})
	}
}

// A keyring holds charts of others. The chart that is made of a plan is nobody's.
func TestKeyringAndPlans(t *testing.T) {
	keyring := filepath.Join(t.TempDir(), "keys.gpg")
	require.NoError(t, os.WriteFile(keyring, []byte("keys"), 0o600))
	h, fake := withFake(t, Config{})
	strict := drive(t, fake, Config{Keyring: keyring})
	folder := plannedChart(t)
	p, err := h.Plan(t.Context(), "web", folder, PlanOptions{})
	require.NoError(t, err)
	_, err = strict.Apply(t.Context(), p, ApplyOptions{})
	require.NoError(t, err)

	calls := map[string]func(*Helm, SourceOptions) error{
		"Plan": func(h *Helm, from SourceOptions) error {
			_, err := h.Plan(t.Context(), "job-1", folder, PlanOptions{Source: from})
			return err
		},
		"Install": func(h *Helm, from SourceOptions) error {
			_, err := h.Install(t.Context(), "job-1", folder, InstallOptions{Source: from})
			return err
		},
		"Upgrade": func(h *Helm, from SourceOptions) error {
			_, err := h.Upgrade(t.Context(), "web", folder, UpgradeOptions{Source: from})
			return err
		},
		"Template": func(h *Helm, from SourceOptions) error {
			_, err := h.Template(t.Context(), folder, TemplateOptions{Source: from})
			return err
		},
		"Chart2Images": func(h *Helm, from SourceOptions) error {
			_, err := h.Chart2Images(t.Context(), folder, TemplateOptions{Source: from}, ImageOptions{})
			return err
		},
		"Pull": func(h *Helm, from SourceOptions) error {
			_, err := h.Pull(t.Context(), folder, t.TempDir(), ChartOptions{Source: from})
			return err
		},
	}
	for name, call := range calls {
		require.ErrorIs(t, call(strict, SourceOptions{}), ErrUnverified, name)
		require.ErrorIs(t, call(h, SourceOptions{Keyring: keyring}), ErrUnverified, name)
	}
}

func TestApplyOfNoPlan(t *testing.T) {
	h, fake := withFake(t, Config{})
	_, err := h.Apply(t.Context(), nil, ApplyOptions{})
	require.ErrorIs(t, err, ErrInvalidArgument)
	_, err = h.Apply(t.Context(), &Plan{Release: "web"}, ApplyOptions{})
	require.ErrorIs(t, err, ErrBadPlan)
	assert.NotErrorIs(t, err, ErrBadChart)
	assert.Empty(t, fake.Steps())
}

// Whatever answers in the place of the question to a cluster, it is told as it is.
func TestClusterThatAnswersSomethingElse(t *testing.T) {
	const answer = `{"data": {"id": "x", "version": "v1.34.0", "major": "1", "minor": "34", "apis": "[\"apps/v1\"]"}}`
	for name, test := range map[string]struct{ says, want string }{
		"as helm prints it":  {"---\n# Source: capabilities/templates/capabilities.yaml\n" + answer + "\n", ""},
		"a warning before":   {"WARNING: old\n---\n" + answer, ""},
		"nothing":            {"", "cannot be read"},
		"cut":                {answer[:40], "cannot be read"},
		"another type":       {"[]", "cannot be read"},
		"another document":   {"{}" + answer, "cannot be read"},
		"no version":         {strings.Replace(answer, "v1.34.0", "new", 1), `its version is "new"`},
		"APIs that are none": {strings.Replace(answer, `[\"apps/v1\"]`, "apps/v1", 1), "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			h, fake := withFake(t, Config{})
			fake.Handle("template", func(helmtest.Call) helmtest.Reply { return helmtest.Reply{Stdout: test.says} })
			c, err := h.Cluster(t.Context(), ClusterOptions{})
			if test.want == "" {
				require.NoError(t, err)
				assert.Equal(t, []string{"apps/v1"}, c.APIVersions)
				return
			}
			require.ErrorContains(t, err, test.want)
			require.NotErrorIs(t, err, ErrInvalidArgument, "the caller is not to blame")
		})
	}
}
