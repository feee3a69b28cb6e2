package helmtest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/helmtest"
)

// A program's test: what does it do when the cluster does not answer?
func TestOfAProgram(t *testing.T) {
	fake := helmtest.New(t)
	h, err := helmexec.New(helmexec.Config{Binary: fake.Binary, Home: t.TempDir(), Retry: helmexec.Retry{Tries: 1}})
	require.NoError(t, err)
	chart := chartFolder(t)

	fake.On("install", helmtest.Reply{Stderr: "Error: kubernetes cluster unreachable: connection refused\n", Exit: 1})
	_, err = h.Install(t.Context(), "web", chart, helmexec.InstallOptions{})
	assert.ErrorIs(t, err, helmexec.ErrClusterUnreachable)

	_, err = h.Install(t.Context(), "web", chart, helmexec.InstallOptions{Values: helmexec.Values{"replicas": 2}, Labels: map[string]string{"a": "b"}})
	require.NoError(t, err)
	release, ok := fake.Release("", "web")
	assert.True(t, ok)
	assert.Equal(t, "b", release.Labels["a"])
	assert.Equal(t, "{\"replicas\":2}\n", release.Values)
	assert.Len(t, fake.Calls("install"), 2)

	values, err := h.GetValues(t.Context(), "web", helmexec.ValuesOptions{})
	require.NoError(t, err)
	assert.EqualValues(t, 2, values["replicas"])
	upgraded, err := h.Upgrade(t.Context(), "web", chart, helmexec.UpgradeOptions{Description: "again"})
	require.NoError(t, err)
	assert.Equal(t, 2, upgraded.Revision)
	_, err = h.Rollback(t.Context(), "web", helmexec.RollbackOptions{})
	require.NoError(t, err)
	history, err := h.History(t.Context(), "web", helmexec.HistoryOptions{})
	require.NoError(t, err)
	assert.Len(t, history, 3)
	list, err := h.List(t.Context(), helmexec.ListOptions{Filter: "^we", Selector: "a=b"})
	require.NoError(t, err)
	assert.Len(t, list, 1)
	_, err = h.Uninstall(t.Context(), "web", helmexec.UninstallOptions{})
	require.NoError(t, err)
	_, err = h.Status(t.Context(), "web", helmexec.StatusOptions{})
	assert.ErrorIs(t, err, helmexec.ErrReleaseNotFound)
}

func TestReply(t *testing.T) {
	fake := helmtest.New(t)
	dir := t.TempDir()
	fake.On("pull", helmtest.Reply{
		Files:  map[string][]byte{"${--destination}/${0}-${WHO}.tgz": {0, 255}},
		Stdout: "x", Repeat: 2, Stderr: "careful", Exit: 3,
	})
	cmd := exec.Command(fake.Binary, "pull", "--destination="+dir, "--", "web")
	cmd.Env, cmd.Dir, cmd.Stdin = append(os.Environ(), "WHO=me"), dir, strings.NewReader("in")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, 3, exit.ExitCode())
	assert.Equal(t, "xxx", string(out))
	assert.Equal(t, "careful", stderr.String())
	content, err := os.ReadFile(filepath.Join(dir, "web-me.tgz"))
	require.NoError(t, err)
	assert.Equal(t, []byte{0, 255}, content)

	call := fake.Calls()[0]
	assert.Equal(t, "pull", call.Command())
	assert.Equal(t, "in", call.Stdin)
	assert.Equal(t, dir, call.Dir)
	assert.Equal(t, dir, call.Flag("--destination"))
	assert.Equal(t, "web", call.Arg(0))
	assert.Empty(t, call.Arg(1)+call.Flag("--nosuch"))
}

// A test can wait for a process that hangs, and decide what it does at a signal.
func TestReplyUntil(t *testing.T) {
	fake := helmtest.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	fake.On("install", helmtest.Reply{Stdout: "a", Then: cancel, Until: helmtest.Forever, Term: &helmtest.Reply{Stdout: "b", Exit: 4}})
	cmd := exec.CommandContext(ctx, fake.Binary, "install")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	out, err := cmd.Output()
	require.Error(t, err)
	assert.Equal(t, "ab", string(out))
	assert.Equal(t, 4, cmd.ProcessState.ExitCode())

	end := make(chan struct{})
	fake.On("install", helmtest.Reply{Then: func() { close(end) }, Until: end})
	require.NoError(t, exec.Command(fake.Binary, "install").Run())
}

func TestUnknownCommand(t *testing.T) {
	fake := helmtest.New(t)
	out, err := exec.Command(fake.Binary, "frobnicate").CombinedOutput()
	var exit *exec.ExitError
	require.True(t, errors.As(err, &exit))
	assert.Equal(t, "Error: helmtest: no answer for \"frobnicate\": use On or Handle\n", string(out))
}

// A test that is run passes if no play says otherwise, also one that failed before.
func TestTestsPass(t *testing.T) {
	fake := helmtest.New(t)
	h, err := helmexec.New(helmexec.Config{Binary: fake.Binary, Home: t.TempDir()})
	require.NoError(t, err)
	hooks := []helmtest.Hook{
		{Kind: "Pod", Name: "smoke", Phase: "Failed", Events: []string{"test"}},
		{Kind: "Pod", Name: "load", Events: []string{"test-success"}},
		{Kind: "Job", Name: "init", Phase: "Failed", Events: []string{"pre-install"}},
	}
	for _, test := range []struct {
		names []string
		want  []string
	}{
		{nil, []string{"Succeeded", "Succeeded", "Failed"}},
		{[]string{"load"}, []string{"Failed", "Succeeded", "Failed"}},
	} {
		fake.SetRelease(helmtest.Release{Name: "web", Hooks: hooks})
		tests, err := h.Test(t.Context(), "web", helmexec.TestOptions{Names: test.names})
		require.NoError(t, err)
		assert.Len(t, tests, 2)
		r, _ := fake.Release("", "web")
		for i, hook := range r.Hooks {
			assert.Equal(t, test.want[i], hook.Phase, "%s of %v", hook.Name, test.names)
		}
	}
	assert.Equal(t, "Failed", hooks[0].Phase)
}

// Each Helm prints the logs of the tests that it runs, also of one that fails.
func TestTestLogs(t *testing.T) {
	for version, container := range map[string]string{"v3.22.0": "", "v4.3.1": "main"} {
		for _, fails := range []bool{false, true} {
			s := newStage(t, version, 0)
			s.fake.SetRelease(helmtest.Release{Name: "sut", Namespace: "bench", Hooks: []helmtest.Hook{
				{Kind: "Pod", Name: "smoke", Events: []string{"test"}}, {Kind: "Job", Name: "load", Events: []string{"test"}},
			}})
			s.fake.SetTestLog("smoke", "all is well\n")
			s.fake.SetTestLog("load", "nobody can read it\n")
			if fails {
				s.fake.TestFails()
			}
			tests, err := s.helm.Test(t.Context(), "sut", helmexec.TestOptions{Logs: true})
			assert.Equal(t, fails, errors.Is(err, helmexec.ErrTestFailed), "%v", err)
			require.Len(t, tests, 2)
			assert.Equal(t, map[string]string{container: "all is well\n"}, tests[0].Logs)
			assert.Empty(t, tests[1].Logs, "it is a Job")
			tests, err = s.helm.Test(t.Context(), "sut", helmexec.TestOptions{})
			require.NoError(t, err)
			assert.Empty(t, tests[0].Logs, "nobody asked for them")
		}
	}
}

// Every archive is signed if no play says otherwise; what is in the cache is verified, too.
func TestSigned(t *testing.T) {
	for _, version := range versions {
		s := newStage(t, version, 0)
		s.fake.AddChart(s.chart)
		require.NoError(t, s.fetch("oci://registry.example/suts/web:1.2.3"))
		keyring := helmexec.ChartOptions{Source: helmexec.SourceOptions{Keyring: s.fake.Keyring()}}
		for range 2 {
			info, err := s.helm.Chart2Info(t.Context(), "oci://registry.example/suts/web:1.2.3", keyring)
			require.NoError(t, err)
			assert.Equal(t, &helmexec.Signature{Fingerprint: helmtest.Fingerprint, SignedBy: helmtest.SignedBy}, info.Signature)
		}
		assert.Len(t, s.fake.Calls("verify"), 1)
		_, err := s.helm.Fetch(t.Context(), s.chart, keyring)
		assert.ErrorIs(t, err, helmexec.ErrUnverified, "a folder")
	}
}

// The error of a chart that the fake cannot render says so, and not that the chart is wrong.
func TestUnknownFunction(t *testing.T) {
	fake := helmtest.New(t)
	chart := chartFolder(t)
	require.NoError(t, os.Mkdir(filepath.Join(chart, "templates"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(chart, "templates", "a.yaml"), []byte("a: {{ int 1 }}\n"), 0o600))
	h, err := helmexec.New(helmexec.Config{Binary: fake.Binary, Home: t.TempDir()})
	require.NoError(t, err)
	_, err = h.Template(t.Context(), chart, helmexec.TemplateOptions{})
	assert.ErrorContains(t, err, `helmtest: the fake helm has no function "int"; beside those of text/template it has dig, fail, lookup, quote, toJson`)
}

// chartFolder writes a chart without templates.
func chartFolder(t testing.TB) string {
	chart := t.TempDir()
	if err := os.WriteFile(filepath.Join(chart, "Chart.yaml"), []byte("apiVersion: v2\nname: web\nversion: 1.2.3\n"), 0o600); err != nil {
		t.Fatalf("%v", err)
	}
	return chart
}

// inExample is as much of a test as New needs.
type inExample struct {
	testing.TB
	cleanups []func()
}

func (*inExample) Helper()                           {}
func (*inExample) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (t *inExample) Cleanup(f func())                { t.cleanups = append(t.cleanups, f) }

func (t *inExample) TempDir() string {
	dir, err := os.MkdirTemp("", "helmtest-")
	if err != nil {
		panic(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (t *inExample) end() {
	for _, f := range slices.Backward(t.cleanups) {
		f()
	}
}

// Values reach a chart as Helm merges them: maps at every depth, and null deletes a default.
func TestValuesAreMerged(t *testing.T) {
	fake := helmtest.New(t)
	helm, err := helmexec.New(helmexec.Config{Binary: fake.Binary, Home: t.TempDir()})
	require.NoError(t, err)
	folder := t.TempDir()
	for name, text := range map[string]string{
		"Chart.yaml":  "apiVersion: v2\nname: web\nversion: 1.0.0\n",
		"values.yaml": "image: {repo: redis, tag: '7', pull: Always}\nlist: [a, b]\n",
		"templates/map.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata:\n" +
			"  image: {{ .Values.image.repo }}:{{ .Values.image.tag }}\n  pull: '{{ .Values.image.pull }}'\n  list: '{{ .Values.list }}'\n  none: '{{ .Values.none }}'\n",
	} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(folder, name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600))
	}
	values := helmexec.Values{"image": map[string]any{"tag": "9", "pull": nil}, "list": []any{"c"}}
	rendered, err := helm.Template(t.Context(), folder, helmexec.TemplateOptions{Values: values})
	require.NoError(t, err)
	for _, line := range []string{"  image: redis:9\n", "  pull: ''\n", "  list: '[c]'\n", "  none: ''\n"} {
		assert.Contains(t, string(rendered), line)
	}
}
