package helmexec

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
)

// withExtra are the calls that take ExtraArgs, and the commands that get them.
var withExtra = map[string]struct {
	commands []string
	call     func(t *testing.T, h *Helm, chart string, extra []string) error
}{
	"Install": {[]string{"install"}, func(t *testing.T, h *Helm, chart string, extra []string) error {
		_, err := h.Install(t.Context(), "new", chart, InstallOptions{ExtraArgs: extra})
		return err
	}},
	"Install with a Transform": {[]string{"install", "dry-run install"}, func(t *testing.T, h *Helm, chart string, extra []string) error {
		_, err := h.Install(t.Context(), "new", chart, InstallOptions{ExtraArgs: extra, Transform: func(m Manifest) (Manifest, error) { return m, nil }})
		return err
	}},
	"Install that only looks": {[]string{"dry-run install"}, func(t *testing.T, h *Helm, chart string, extra []string) error {
		_, err := h.Install(t.Context(), "new", chart, InstallOptions{ExtraArgs: extra, DryRun: true})
		return err
	}},
	"Upgrade": {[]string{"upgrade"}, func(t *testing.T, h *Helm, chart string, extra []string) error {
		_, err := h.Upgrade(t.Context(), "web", chart, UpgradeOptions{ExtraArgs: extra})
		return err
	}},
	"Upgrade that installs": {[]string{"install"}, func(t *testing.T, h *Helm, chart string, extra []string) error {
		_, err := h.Upgrade(t.Context(), "new", chart, UpgradeOptions{ExtraArgs: extra, Install: true})
		return err
	}},
	"Upgrade that only looks": {[]string{"dry-run upgrade"}, func(t *testing.T, h *Helm, chart string, extra []string) error {
		_, err := h.Upgrade(t.Context(), "web", chart, UpgradeOptions{ExtraArgs: extra, DryRun: true})
		return err
	}},
	"Rollback": {[]string{"rollback"}, func(t *testing.T, h *Helm, chart string, extra []string) error {
		_, err := h.Rollback(t.Context(), "web", RollbackOptions{ExtraArgs: extra})
		return err
	}},
	"Uninstall": {[]string{"uninstall"}, func(t *testing.T, h *Helm, chart string, extra []string) error {
		_, err := h.Uninstall(t.Context(), "web", UninstallOptions{ExtraArgs: extra})
		return err
	}},
	"Template": {[]string{"template"}, func(t *testing.T, h *Helm, chart string, extra []string) error {
		_, err := h.Template(t.Context(), chart, TemplateOptions{ExtraArgs: extra})
		return err
	}},
	"Lint": {[]string{"lint"}, func(t *testing.T, h *Helm, chart string, extra []string) error {
		_, err := h.Lint(t.Context(), chart, LintOptions{ExtraArgs: extra})
		return err
	}},
	"Test": {[]string{"test"}, func(t *testing.T, h *Helm, chart string, extra []string) error {
		_, err := h.Test(t.Context(), "web", TestOptions{ExtraArgs: extra})
		return err
	}},
	"Plan": {[]string{"dry-run install"}, func(t *testing.T, h *Helm, chart string, extra []string) error {
		_, err := h.Plan(t.Context(), "new", chart, PlanOptions{ExtraArgs: extra})
		return err
	}},
	"Plan of an upgrade": {[]string{"dry-run upgrade"}, func(t *testing.T, h *Helm, chart string, extra []string) error {
		_, err := h.Plan(t.Context(), "web", chart, PlanOptions{ExtraArgs: extra, Upgrade: true})
		return err
	}},
	"Apply": {[]string{"install"}, func(t *testing.T, h *Helm, chart string, extra []string) error {
		p, err := h.Plan(t.Context(), "new", chart, PlanOptions{Cluster: &Cluster{KubeVersion: "v1.34.0"}})
		require.NoError(t, err)
		_, err = h.Apply(t.Context(), p, ApplyOptions{ExtraArgs: extra})
		return err
	}},
}

// Extra flags stand right behind the command, so that ours, which follow, count if both mean the same.
func TestExtraArgsStandBeforeOurs(t *testing.T) {
	extra := []string{"--qps=50", "--burst-limit=7"}
	for _, name := range sortedKeys(withExtra) {
		test := withExtra[name]
		h, fake := withFake(t, Config{Namespace: "default"})
		fake.SetRelease(helmtest.Release{Name: "web", Revision: 1, Chart: "web", ChartVersion: "1.0.0", Values: "{}"})
		fake.SetRelease(helmtest.Release{Name: "web", Revision: 2, Chart: "web", ChartVersion: "1.0.0", Values: "{}"})
		fake.On("lint", helmtest.Reply{})
		require.NoError(t, test.call(t, h, chartFolder(t, "web", "1.2.3"), extra), name)
		var got []string
		for _, c := range fake.Calls() {
			if slices.Contains(c.Args, extra[0]) {
				got = append(got, c.Command())
				assert.Equal(t, extra, c.Args[1:3], "%s: %q", name, c.Args)
			}
		}
		slices.Sort(got)
		want := slices.Sorted(slices.Values(test.commands))
		assert.Equal(t, want, slices.Compact(got), name)
	}
}

// What tries to be more than a flag without an option is refused before helm starts.
func TestExtraArgsCannotSmuggle(t *testing.T) {
	for _, name := range sortedKeys(withExtra) {
		for _, word := range []string{"--namespace=kube-system", "-nkube-system", "--", "./evil", "--set", "--post-renderer=/bin/sh", "--wait=false", "--qps=1\x00"} {
			h, fake := withFake(t, Config{})
			fake.SetRelease(helmtest.Release{Name: "web", Chart: "web", ChartVersion: "1.0.0", Values: "{}"})
			test := withExtra[name]
			assert.ErrorIs(t, test.call(t, h, chartFolder(t, "web", "1.2.3"), []string{word}), ErrInvalidArgument, "%s %q", name, word)
			ran := fake.Commands()
			if name == "Apply" { // of a plan that was made before
				ran = slices.DeleteFunc(ran, func(command string) bool { return !slices.Contains(test.commands, command) })
			}
			assert.Empty(t, ran, "%s %q", name, word)
		}
	}
}

// The gate before each process is the last one: a command line that could be read otherwise never starts.
func TestNoProcessWithAnOddCommandLine(t *testing.T) {
	h, fake := withFake(t, Config{})
	for _, words := range [][]string{
		{"list", "-n", "kube-system"}, {"list", "--namespace", "kube-system"}, {"get", "all", "web"}, {"list", "--filter=a\x00b"}, {"list", "--", ""},
	} {
		_, err := h.run(t.Context(), invocation{args: words, cluster: true})
		assert.ErrorIs(t, err, ErrInvalidArgument, "%q", words)
	}
	_, err := h.List(t.Context(), ListOptions{Selector: "a=b\x00"})
	assert.ErrorIs(t, err, ErrInvalidArgument)
	_, err = h.Install(t.Context(), "web", chartFolder(t, "web", "1.2.3"), InstallOptions{Description: "a\x00b"})
	assert.ErrorIs(t, err, ErrInvalidArgument)
	assert.Empty(t, slices.DeleteFunc(fake.Commands(), func(c string) bool { return c == "version" }))
}

// Numbers that mean nothing are refused by every call, also where they would only matter on the day on which there is something to do.
func TestNumbersAreChecked(t *testing.T) {
	h, fake := withFake(t, Config{})
	ctx := t.Context()
	for name, call := range map[string]func() error{
		"Status, negative Revision":    func() error { _, err := h.Status(ctx, "web", StatusOptions{Revision: -1}); return err },
		"GetNotes, negative Revision":  func() error { _, err := h.GetNotes(ctx, "web", GetOptions{Revision: -1}); return err },
		"GetValues, negative Revision": func() error { _, err := h.GetValues(ctx, "web", ValuesOptions{Revision: -1}); return err },
		"History, negative Max":        func() error { _, err := h.History(ctx, "web", HistoryOptions{Max: -1}); return err },
		"Rollback, negative Revision":  func() error { _, err := h.Rollback(ctx, "web", RollbackOptions{Revision: -1}); return err },
		"Rollback, no unit":            func() error { _, err := h.Rollback(ctx, "web", RollbackOptions{Timeout: 10}); return err },
		"Test, no unit":                func() error { _, err := h.Test(ctx, "web", TestOptions{Timeout: 10}); return err },
		"Uninstall, no unit":           func() error { _, err := h.Uninstall(ctx, "web", UninstallOptions{Timeout: 10}); return err },
		"Install, no unit":             func() error { _, err := h.Install(ctx, "web", "chart", InstallOptions{Timeout: 10}); return err },
		"Upgrade, no unit": func() error {
			_, err := h.Upgrade(ctx, "web", "chart", UpgradeOptions{ProgressInterval: 1})
			return err
		},
		"UninstallJob, negative Timeout": func() error { _, err := h.UninstallJob(ctx, "7", JobOptions{Timeout: -1}); return err },
		"UninstallJob, no unit":          func() error { _, err := h.UninstallJob(ctx, "7", JobOptions{Timeout: 10}); return err },
		"UninstallJob, Parallel":         func() error { _, err := h.UninstallJob(ctx, "7", JobOptions{Parallel: -1}); return err },
		"UninstallJob, blanks":           func() error { _, err := h.UninstallJob(ctx, " ", JobOptions{}); return err },
		"Overdue, Parallel":              func() error { _, err := h.Overdue(ctx, JobOptions{Parallel: -1}); return err },
		"UninstallOverdue, Timeout":      func() error { _, err := h.UninstallOverdue(ctx, JobOptions{Timeout: -1}); return err },
	} {
		assert.ErrorIs(t, call(), ErrInvalidArgument, name)
	}
	assert.Empty(t, fake.Calls())
}
