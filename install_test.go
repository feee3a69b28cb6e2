package helmexec

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
)

const objects = `apiVersion: v1
kind: ConfigMap
metadata: {name: web-config}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
`

func TestInstall(t *testing.T) {
	for _, test := range []struct {
		name      string
		prepare   func(*helmtest.Fake)
		opts      InstallOptions
		commands  string // that are started
		recovered bool
		left      string   // the status of the release then, "" for none
		errs      []error  // that errors.Is finds
		not       []error  // that it does not find
		says      []string // in its text
	}{
		{name: "usual", prepare: func(*helmtest.Fake) {}, commands: "install", left: "deployed"},
		{
			name:     "lost after its success",
			prepare:  func(f *helmtest.Fake) { inTurn(f, "install", installed(f, "deployed", reset)) },
			commands: "install, get all", recovered: true, left: "deployed",
		},
		{
			name: "killed after its success",
			prepare: func(f *helmtest.Fake) {
				inTurn(f, "install", installed(f, "deployed", helmtest.Reply{Signal: os.Kill}))
			},
			commands: "install, get all", recovered: true, left: "deployed",
		},
		{
			name:     "lost before anything was recorded",
			prepare:  func(f *helmtest.Fake) { inTurn(f, "install", installed(f, "", reset)) },
			commands: "install, get all, install", left: "deployed",
		},
		{
			name:     "lost half-way",
			prepare:  func(f *helmtest.Fake) { inTurn(f, "install", installed(f, "failed", reset)) },
			commands: "install, get all, uninstall, install", left: "deployed",
		},
		{
			name: "lost half-way, and somebody removes it before the clean-up does",
			prepare: func(f *helmtest.Fake) {
				inTurn(f, "install", installed(f, "failed", reset))
				inTurn(f, "uninstall", func(c helmtest.Call) helmtest.Reply { f.RemoveRelease("", "web"); return f.Perform(c) })
				sees(f)
			},
			commands: "install, get all, uninstall, template, template, template",
			errs:     []error{ErrNotRecorded}, not: []error{ErrLeftBehind}, says: []string{"somebody removed the release", "connection reset"},
		},
		{
			name: "killed half-way",
			prepare: func(f *helmtest.Fake) {
				inTurn(f, "install", installed(f, "pending-install", helmtest.Reply{Signal: os.Kill}))
			},
			commands: "install, get all, uninstall, install", left: "deployed",
		},
		{
			name: "lost, and the answer after the success too",
			prepare: func(f *helmtest.Fake) {
				inTurn(f, "install", installed(f, "deployed", reset))
				f.On("get all", unreachable, unreachable)
			},
			commands: "install, get all, get all, get all", recovered: true, left: "deployed",
		},
		{
			name:     "unreachable at first",
			prepare:  func(f *helmtest.Fake) { f.On("install", unreachable, unreachable) },
			commands: "install, install, install", left: "deployed",
		},
		{
			name:     "no such cluster",
			prepare:  func(f *helmtest.Fake) { f.On("install", noCluster); f.On("get all", noCluster) },
			commands: "install",
			errs:     []error{ErrClusterUnreachable}, not: []error{ErrLeftBehind}, says: []string{`context "nope" does not exist`},
		},
		{
			name:     "no such namespace",
			prepare:  func(f *helmtest.Fake) { f.On("install", noNamespace) },
			commands: "install, get all",
			errs:     []error{ErrNamespaceNotFound}, not: []error{ErrLeftBehind}, says: []string{"create it; if it is the namespace of the release, CreateNamespace does"},
		},
		{
			name:     "no such namespace, of an object of the chart",
			prepare:  func(f *helmtest.Fake) { f.On("install", noNamespace) },
			opts:     InstallOptions{Namespace: "default", CreateNamespace: true},
			commands: "install, get all",
			errs:     []error{ErrNamespaceNotFound}, says: []string{"the chart puts objects into that namespace"},
		},
		{
			name: "no right to read or write records",
			prepare: func(f *helmtest.Fake) {
				f.On("install", noRecordRight)
				f.Handle("get all", func(helmtest.Call) helmtest.Reply { return noReadRight })
			},
			commands: "install, get all", not: []error{ErrLeftBehind, ErrNotReady}, says: []string{"secrets is forbidden"},
		},
		{
			name:     "a hook is refused",
			prepare:  func(f *helmtest.Fake) { inTurn(f, "install", installed(f, "failed", hookIsRefused)) },
			opts:     InstallOptions{Wait: true},
			commands: "install, get all, uninstall", not: []error{ErrLeftBehind, ErrNotReady}, says: []string{"exceeded quota", "removed again"},
		},
		{
			name:     "unreachable throughout",
			prepare:  func(f *helmtest.Fake) { f.On("install", unreachable, unreachable, unreachable) },
			commands: "install, install, install",
			errs:     []error{ErrClusterUnreachable}, not: []error{ErrLeftBehind},
		},
		{
			name: "the name is another's", prepare: func(f *helmtest.Fake) { f.SetRelease(others) },
			commands: "install, get all", left: "deployed",
			errs: []error{ErrReleaseExists}, says: []string{"release web", "status deployed, of job 41"},
		},
		{
			name: "the name is another's, half-made",
			prepare: func(f *helmtest.Fake) {
				pending := others
				pending.Status = "pending-install"
				f.SetRelease(pending)
			},
			commands: "install, get all", left: "pending-install",
			errs: []error{ErrReleaseExists}, says: []string{"status pending-install"},
		},
		{
			name: "the name is taken, and by whom nobody can say",
			prepare: func(f *helmtest.Fake) {
				f.SetRelease(others)
				f.On("get all", unreachable, unreachable, unreachable)
			},
			commands: "install, get all, get all, get all", left: "deployed",
			errs: []error{ErrClusterUnreachable}, not: []error{ErrReleaseExists, ErrLeftBehind}, says: []string{"the name is in use"},
		},
		{
			name: "lost, and then the name is another's",
			prepare: func(f *helmtest.Fake) {
				inTurn(f, "install", func(helmtest.Call) helmtest.Reply { f.SetRelease(others); return reset })
			},
			commands: "install, get all", left: "deployed", errs: []error{ErrReleaseExists},
		},
		{
			name:     "exit 0 and still pending",
			prepare:  func(f *helmtest.Fake) { inTurn(f, "install", unrecorded(f)) },
			commands: "install, get all, uninstall, install", left: "deployed",
		},
		{
			name:     "exit 0, and somebody has removed it",
			prepare:  func(f *helmtest.Fake) { f.NotRecorded() },
			commands: "install, get all, template, template",
			errs:     []error{ErrNotRecorded}, not: []error{ErrLeftBehind}, says: []string{"somebody removed the release"},
		},
		{
			name: "exit 0, and somebody has removed it before its objects were made",
			prepare: func(f *helmtest.Fake) {
				inTurn(f, "install", installed(f, "", helmtest.Reply{}))
				f.On("template", helmtest.Reply{Stdout: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\n"}, unreachable, unreachable, unreachable)
			},
			commands: "install, get all, template, template, template, template",
			errs:     []error{ErrNotRecorded, ErrLeftBehind}, says: []string{"ConfigMap web"},
		},
		{
			name: "refused at once", prepare: func(f *helmtest.Fake) { f.On("install", noSchema) },
			commands: "install, get all",
			says:     []string{"release web: helm install web: INSTALLATION FAILED: values don't meet"}, not: []error{ErrLeftBehind, ErrNotReady},
		},
		{
			name:     "refused when something was made",
			prepare:  func(f *helmtest.Fake) { inTurn(f, "install", installed(f, "failed", noSchema)) },
			commands: "install, get all, uninstall",
			says:     []string{"values don't meet"}, not: []error{ErrLeftBehind, ErrNotReady},
		},
		{
			name:     "not ready in time",
			prepare:  func(f *helmtest.Fake) { inTurn(f, "install", installed(f, "failed", tooLate)) },
			commands: "install, get all, status, get all, uninstall",
			errs:     []error{ErrNotReady}, not: []error{ErrLeftBehind, context.DeadlineExceeded},
		},
		{
			name: "all is ready, and helm could not see it",
			prepare: func(f *helmtest.Fake) {
				inTurn(f, "install", installed(f, "failed", blind))
				f.On("status", helmtest.Reply{Stdout: onePod("True")})
			},
			commands: "install, get all, status, uninstall, install", left: "deployed",
		},
		{
			name: "all is ready, and helm never sees it",
			prepare: func(f *helmtest.Fake) {
				inTurn(f, "install", installed(f, "failed", blind), installed(f, "failed", blind), installed(f, "failed", blind))
				f.On("status", helmtest.Reply{Stdout: onePod("True")}, helmtest.Reply{Stdout: onePod("True")}, helmtest.Reply{Stdout: onePod("True")})
			},
			commands: "install, get all, status, uninstall, install, get all, status, get all, uninstall",
			errs:     []error{ErrNotReady}, not: []error{ErrLeftBehind}, says: []string{"release not ready (removed again): just after its time nothing is known to be in the way: "},
		},
		{
			name: "not ready in time, and helm could not see it",
			prepare: func(f *helmtest.Fake) {
				inTurn(f, "install", installed(f, "failed", blind))
				f.On("status", helmtest.Reply{Stdout: onePod("False")}, helmtest.Reply{Stdout: onePod("False")})
			},
			commands: "install, get all, status, status, template, get all, uninstall",
			errs:     []error{ErrNotReady}, not: []error{ErrLeftBehind}, says: []string{"Pod web-1"},
		},
		{
			name:     "not ready in time, and somebody has removed it",
			prepare:  func(f *helmtest.Fake) { inTurn(f, "install", installed(f, "", tooLate)); sees(f) },
			commands: "install, get all, template, template",
			errs:     []error{ErrNotReady}, not: []error{ErrLeftBehind},
		},
		{
			name:     "not ready in time, kept",
			prepare:  func(f *helmtest.Fake) { inTurn(f, "install", installed(f, "failed", tooLate)) },
			opts:     InstallOptions{KeepFailed: true},
			commands: "install, get all, status", left: "failed",
			errs: []error{ErrNotReady}, says: []string{"(status failed)"},
		},
		{
			name: "not ready in time, and a hook blocks its removal",
			prepare: func(f *helmtest.Fake) {
				inTurn(f, "install", func(c helmtest.Call) helmtest.Reply {
					reply := installed(f, "failed", tooLate)(c)
					setRecord(f, func(r *helmtest.Release) {
						r.Hooks = []helmtest.Hook{{Kind: "Job", Name: "goodbye", Events: []string{"pre-delete"}}}
					})
					return reply
				})
				f.On("uninstall", hookFails)
			},
			commands: "install, get all, status, get all, uninstall, get all, uninstall",
			errs:     []error{ErrNotReady}, not: []error{ErrLeftBehind},
		},
		{
			name: "not ready in time, and it cannot be removed",
			prepare: func(f *helmtest.Fake) {
				inTurn(f, "install", installed(f, "failed", tooLate))
				f.On("uninstall", unreachable, unreachable, unreachable)
			},
			commands: "install, get all, status, get all, uninstall, uninstall, uninstall, template", left: "failed",
			errs: []error{ErrLeftBehind, ErrNotReady, ErrClusterUnreachable},
			says: []string{"ConfigMap default/web-config", "Deployment default/web", "Secret default/sh.helm.release.v1.web.v1"},
		},
		{
			name: "lost half-way, and the rest cannot be removed",
			prepare: func(f *helmtest.Fake) {
				inTurn(f, "install", installed(f, "failed", reset))
				f.On("uninstall", unreachable, unreachable, unreachable)
			},
			commands: "install, get all, uninstall, uninstall, uninstall, template", left: "failed",
			errs: []error{ErrLeftBehind, ErrClusterUnreachable}, says: []string{"Deployment default/web", "connection reset"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, fake := withFake(t, Config{})
			test.prepare(fake)
			rel, err := h.Install(t.Context(), "web", chartFolder(t, "web", "1.2.3"), test.opts)

			assert.Equal(t, test.commands, strings.Join(fake.Commands(), ", "))
			left, _ := fake.Release("", "web")
			assert.Equal(t, test.left, left.Status, "what is left")
			locks, _ := dirNames(h.home.Path() + "/operations")
			assert.Empty(t, locks, "the lock files are removed")
			if test.errs == nil && test.says == nil {
				require.NoError(t, err)
				assert.Equal(t, test.recovered, rel.Recovered, "recovered")
				assert.Equal(t, StatusDeployed, rel.Status)
				assert.Equal(t, "1.2.3", rel.ChartVersion)
				return
			}
			var e *ReleaseError
			require.ErrorAs(t, err, &e)
			assert.Equal(t, "web", e.Release)
			for _, is := range test.errs {
				assert.ErrorIs(t, err, is)
			}
			for _, not := range test.not {
				assert.NotErrorIs(t, err, not)
			}
			for _, text := range test.says {
				assert.ErrorContains(t, err, text)
			}
		})
	}
}

// A runner that is started again with its operation id finds what the one before it made.
func TestInstallAgain(t *testing.T) {
	for _, test := range []struct {
		name      string
		found     Status
		commands  string
		recovered bool
	}{
		{"it had succeeded", StatusDeployed, "install, get all", true},
		{"it had failed", StatusFailed, "install, get all, uninstall, install", false},
		{"it was killed", StatusPendingInstall, "install, get all, uninstall, install", false},
		{"it was killed cleaning up", StatusUninstalling, "install, get all, uninstall, install", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			home := t.TempDir()
			h, fake := withFake(t, Config{Home: home})
			chart, opts := chartFolder(t, "web", "1.2.3"), InstallOptions{OperationID: "job-7/attempt 1"}
			_, err := h.Install(t.Context(), "web", chart, opts)
			require.NoError(t, err)
			setRecord(fake, func(r *helmtest.Release) { r.Status = string(test.found) })

			again := drive(t, fake, Config{Home: home})
			before := len(fake.Commands())
			rel, err := again.Install(t.Context(), "web", chart, opts)
			require.NoError(t, err)
			assert.Equal(t, test.commands, strings.Join(fake.Commands()[before:], ", "))
			assert.Equal(t, test.recovered, rel.Recovered)
			assert.Equal(t, StatusDeployed, rel.Status)
		})
	}
	t.Run("another id has no part in it", func(t *testing.T) {
		h, fake := withFake(t, Config{})
		chart := chartFolder(t, "web", "1.2.3")
		_, err := h.Install(t.Context(), "web", chart, InstallOptions{OperationID: "1"})
		require.NoError(t, err)
		_, err = h.Install(t.Context(), "web", chart, InstallOptions{OperationID: "2"})
		require.ErrorIs(t, err, ErrReleaseExists)
		assert.Empty(t, fake.Calls("uninstall"))
	})
}

// A helm of this operation may be working on another host.
func TestInstallWaitsForAHelmElsewhere(t *testing.T) {
	elsewhere := func(until time.Duration) helmtest.Release {
		return helmtest.Release{Name: "web", Status: "pending-install", Chart: "web", ChartVersion: "1.2.3", Labels: map[string]string{
			labelInstall: "op", labelHome: "another", labelUntil: unixLabel(time.Now().Add(until)),
		}}
	}
	install := func(ctx context.Context, t *testing.T, h *Helm) (*Release, error) {
		return h.Install(ctx, "web", chartFolder(t, "web", "1.2.3"), InstallOptions{OperationID: "op"})
	}
	t.Run("it succeeds", func(t *testing.T) {
		h, fake := withFake(t, Config{})
		fake.SetRelease(elsewhere(time.Hour))
		looks := 0
		fake.Handle("get all", func(c helmtest.Call) helmtest.Reply {
			if looks++; looks == 2 {
				setRecord(fake, func(r *helmtest.Release) { r.Status = "deployed" })
			}
			return fake.Perform(c)
		})
		rel, err := install(t.Context(), t, h)
		require.NoError(t, err)
		assert.True(t, rel.Recovered)
		assert.Equal(t, []string{"install", "get all", "get all"}, fake.Commands())
	})
	t.Run("its time is over", func(t *testing.T) {
		h, fake := withFake(t, Config{})
		fake.SetRelease(elsewhere(-2 * time.Second))
		rel, err := install(t.Context(), t, h)
		require.NoError(t, err)
		assert.False(t, rel.Recovered)
		assert.Equal(t, []string{"install", "get all", "uninstall", "install"}, fake.Commands())
	})
	t.Run("the caller leaves", func(t *testing.T) {
		h, fake := withFake(t, Config{})
		fake.SetRelease(elsewhere(time.Hour))
		ctx, cancel := context.WithCancel(t.Context())
		fake.On("get all", helmtest.Reply{Then: cancel, Stdout: fake.Perform(helmtest.Call{
			Args: []string{"get", "all", "--template=" + recordTemplate, "--", "web"},
		}).Stdout})
		_, err := install(ctx, t, h)
		require.ErrorIs(t, err, ErrReleaseBusy)
		require.ErrorIs(t, err, context.Canceled)
		assert.Empty(t, fake.Calls("uninstall"))
		left, _ := fake.Release("", "web")
		assert.Equal(t, "pending-install", left.Status)
	})
}

func TestInstallRefusesContradictions(t *testing.T) {
	h, fake := withFake(t, Config{})
	chart := chartFolder(t, "web", "1.2.3")
	for name, opts := range map[string]InstallOptions{
		"roll back and keep":  {RollbackOnFailure: true, KeepFailed: true},
		"negative timeout":    {Timeout: -1},
		"blank operation id":  {OperationID: " "},
		"blank job id":        {JobID: "\t"},
		"label of Helm's own": {Labels: map[string]string{"owner": "me"}},
		"label of this":       {Labels: map[string]string{labelJob: "7"}},
		"illegal label":       {Labels: map[string]string{"a b": "c"}},
		"values file missing": {ValuesFiles: []string{"/no/such/file"}},
		"version of a folder": {Version: "1.0.0"},
	} {
		_, err := h.Install(t.Context(), "web", chart, opts)
		assert.ErrorIs(t, err, ErrInvalidArgument, name)
	}
	assert.Empty(t, fake.Calls("install"))
}

// A release stays with its job: another one that took it for its own would not find it again.
func TestAnotherJobIsAnotherOperation(t *testing.T) {
	h, _ := withFake(t, Config{})
	chart := chartFolder(t, "web", "1.2.3")
	for _, test := range []struct {
		name, first, then string
		same              bool
	}{
		{"the same job", "77", "77", true},
		{"another job", "77", "78", false},
		{"a job, where there was none", "", "77", false},
		{"no job, where there was one", "77", "", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := h.Install(t.Context(), "web", chart, InstallOptions{OperationID: "1", JobID: test.first})
			require.NoError(t, err)
			rel, err := h.Install(t.Context(), "web", chart, InstallOptions{OperationID: "1", JobID: test.then})
			if test.same {
				require.NoError(t, err)
				assert.True(t, rel.Recovered)
			} else {
				var failed *ReleaseError
				require.ErrorAs(t, err, &failed)
				assert.ErrorIs(t, err, ErrReleaseExists)
				assert.Equal(t, test.first, failed.JobID)
			}
			_, err = h.Uninstall(t.Context(), "web", UninstallOptions{})
			require.NoError(t, err)
		})
	}
}

// An install that somebody has upgraded since, for another job, is still the install.
func TestInstallUpgradedForAnotherJob(t *testing.T) {
	h, _ := withFake(t, Config{})
	chart := chartFolder(t, "web", "1.2.3")
	first := InstallOptions{OperationID: "1", JobID: "77"}
	_, err := h.Install(t.Context(), "web", chart, first)
	require.NoError(t, err)
	_, err = h.Upgrade(t.Context(), "web", chart, UpgradeOptions{OperationID: "2", JobID: "null"})
	require.NoError(t, err)
	for range 2 { // helm keeps no label of the value null
		rel, err := h.Upgrade(t.Context(), "web", chart, UpgradeOptions{OperationID: "2", JobID: "null"})
		require.NoError(t, err)
		assert.True(t, rel.Recovered)
		assert.Equal(t, 2, rel.Revision)
	}
	rel, err := h.Install(t.Context(), "web", chart, first)
	require.NoError(t, err)
	assert.True(t, rel.Recovered)
	removed, err := h.UninstallJob(t.Context(), "null", JobOptions{})
	require.NoError(t, err)
	assert.Len(t, removed, 1)
}

// Helm's own time is over after the context's, whose end would otherwise look as if the objects had not become ready.
func TestHelmOutlastsTheContext(t *testing.T) {
	h, fake := withFake(t, Config{})
	chart := chartFolder(t, "web", "1.2.3")
	for _, test := range []struct{ left, timeout, least, most time.Duration }{
		{90 * time.Second, time.Hour, 90 * time.Second, 92 * time.Second},
		{90 * time.Second, 0, 90 * time.Second, 92 * time.Second},
		{time.Hour, time.Minute, time.Minute, time.Minute},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), test.left)
		_, err := h.Install(ctx, "web", chart, InstallOptions{Wait: true, Timeout: test.timeout})
		cancel()
		require.NoError(t, err)
		calls := fake.Calls("install")
		given, err := time.ParseDuration(calls[len(calls)-1].Flag("--timeout"))
		require.NoError(t, err)
		assert.GreaterOrEqual(t, given, test.least)
		assert.LessOrEqual(t, given, test.most)
		_, err = h.Uninstall(t.Context(), "web", UninstallOptions{})
		require.NoError(t, err)
	}
}
