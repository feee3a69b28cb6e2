package helmexec

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
)

// spans is an Observer that keeps what it sees.
type spans struct {
	mu    sync.Mutex
	begun []*seenSpan
}

type seenSpan struct {
	Span  // as it ended
	first Span
	above *seenSpan
	ended int
}

type spanKey struct{}

func (o *spans) Begin(ctx context.Context, s Span) context.Context {
	o.mu.Lock()
	defer o.mu.Unlock()
	above, _ := ctx.Value(spanKey{}).(*seenSpan)
	seen := &seenSpan{first: s, above: above}
	o.begun = append(o.begun, seen)
	return context.WithValue(ctx, spanKey{}, seen)
}

func (o *spans) End(ctx context.Context, s Span) {
	o.mu.Lock()
	defer o.mu.Unlock()
	seen := ctx.Value(spanKey{}).(*seenSpan)
	seen.Span = s
	seen.ended++
}

// all are the spans that a test has seen, each ended once, in the order of their beginnings.
func (o *spans) all(t *testing.T) []*seenSpan {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range o.begun {
		require.Equal(t, 1, s.ended, "%+v", s.first)
		assert.GreaterOrEqual(t, s.Duration, time.Duration(0))
	}
	return o.begun
}

// tree has a line for each span, indented below those that they work for.
func (o *spans) tree(t *testing.T) string {
	var text strings.Builder
	for _, s := range o.all(t) {
		for above := s.above; above != nil; above = above.above {
			text.WriteString("  ")
		}
		name := s.Operation
		if p := s.Process; p != nil {
			name = fmt.Sprintf("helm %s, try %d", p.Command, p.Try)
		}
		text.WriteString(name)
		if s.Err != nil {
			text.WriteString(": " + ErrorKind(s.Err))
		}
		text.WriteString("\n")
	}
	return text.String()
}

// one is the span of a method, or of a helm by its command.
func (o *spans) one(t *testing.T, name string) *seenSpan {
	t.Helper()
	var found *seenSpan
	for _, s := range o.all(t) {
		if s.Process == nil && s.Operation == name || s.Process != nil && s.Process.Command == name {
			require.Nil(t, found, "one %s", name)
			found = s
		}
	}
	require.NotNil(t, found, name)
	return found
}

func observed(t *testing.T, cfg Config) (*Helm, *helmtest.Fake, *spans) {
	t.Helper()
	seen := &spans{}
	cfg.Observer = seen
	h, fake := withFake(t, cfg)
	_, err := h.Version(t.Context())
	require.NoError(t, err)
	seen.begun = nil
	return h, fake, seen
}

func TestSpansOfAnInstall(t *testing.T) {
	h, fake, seen := observed(t, Config{Namespace: "bench"})
	addArchives(t, fake, "1.0.0")
	inTurn(fake, "install", installed(fake, "", unreachable))
	release, err := h.Install(t.Context(), "web", repoAddress+"/web:1.0.0", InstallOptions{OperationID: "42/1", JobID: "42"})
	require.NoError(t, err)
	assert.False(t, release.Recovered)
	assert.Equal(t, `Install
  Fetch
    helm repo add, try 1
    helm pull, try 1
  helm install, try 1: ClusterUnreachable
  helm install, try 2
`, seen.tree(t))

	install := seen.one(t, "Install")
	archive := packed(t, chartFolder(t, "web", "1.0.0"))
	assert.Equal(t, Span{Operation: "Install", Release: "web", Namespace: "bench", JobID: "42", OperationID: "42/1", Address: repoAddress + "/web:1.0.0", Begun: install.Begun}, install.first)
	assert.Equal(t, "web", install.ChartName)
	assert.Equal(t, "1.0.0", install.ChartVersion)
	assert.Regexp(t, "^sha256:[0-9a-f]{64}$", install.ChartDigest)
	assert.Positive(t, install.Duration)
	assert.False(t, install.Recovered)
	assert.Empty(t, install.Cache)

	fetch, pull := seen.one(t, "Fetch"), seen.one(t, "pull")
	assert.Equal(t, CacheMiss, fetch.Cache)
	assert.Equal(t, int64(len(archive)), pull.FetchedBytes)
	assert.Greater(t, fetch.FetchedBytes, pull.FetchedBytes, "with the index")
	assert.Equal(t, fetch.FetchedBytes, install.FetchedBytes)
	assert.Equal(t, "Fetch", pull.Operation)
	assert.Equal(t, "web bench 42 42/1", strings.Join([]string{pull.Release, pull.Namespace, pull.JobID, pull.OperationID}, " "), "of the operation above")
	assert.Equal(t, fake.Binary, pull.Process.Path)
	assert.Positive(t, pull.Process.PID)
	assert.Positive(t, pull.Process.Took)
	assert.Zero(t, pull.Process.ExitCode)
	assert.LessOrEqual(t, pull.Process.Queued+pull.Process.Took, pull.Duration)

	seen.begun = nil
	_, err = h.Install(t.Context(), "other", repoAddress+"/web:1.0.0", InstallOptions{})
	require.NoError(t, err)
	again := seen.one(t, "Install")
	assert.Equal(t, install.ChartDigest, again.ChartDigest)
	assert.Equal(t, CacheHit, seen.one(t, "Fetch").Cache)
	assert.Zero(t, again.FetchedBytes)
	assert.Empty(t, again.first.OperationID)
	assert.NotEmpty(t, again.OperationID, "the random one")
	assert.Equal(t, again.OperationID, seen.one(t, "install").OperationID)
}

func TestSpansOfARecoveredInstall(t *testing.T) {
	h, fake, seen := observed(t, Config{})
	inTurn(fake, "install", installed(fake, "deployed", reset))
	folder := chartFolder(t, "web", "1.2.3")
	_, err := h.Install(t.Context(), "web", folder, InstallOptions{})
	require.NoError(t, err)
	install := seen.one(t, "Install")
	assert.True(t, install.Recovered)
	assert.NoError(t, install.Err)
	assert.Empty(t, install.ChartDigest, "it is a folder")
	assert.Empty(t, seen.one(t, "Fetch").Cache)
	lost := seen.one(t, "install")
	assert.Equal(t, "HelmFailed", ErrorKind(lost.Err))
	assert.Equal(t, 1, lost.Process.ExitCode)
	assert.False(t, lost.Process.Expected)

	h, fake, seen = observed(t, Config{})
	inTurn(fake, "install", installed(fake, "", noSchema))
	_, err = h.Install(t.Context(), "web", folder, InstallOptions{})
	require.Error(t, err)
	assert.Equal(t, err, seen.one(t, "Install").Err)
	assert.False(t, seen.one(t, "Install").Recovered)
}

func TestSpansOfOtherOperations(t *testing.T) {
	h, _, seen := observed(t, Config{Namespace: "bench"})
	folder := chartFolder(t, "web", "1.2.3")
	for _, test := range []struct {
		name string
		call func() error
		want string
	}{
		{"a plan", func() error {
			plan, err := h.Plan(t.Context(), SUTHelmName("42", "a"), folder, PlanOptions{})
			if err == nil {
				_, err = h.Apply(t.Context(), plan, ApplyOptions{JobID: "42"})
			}
			return err
		}, `Plan
  Fetch
  helm template, try 1
  helm install, try 1
Apply
  helm install, try 1
`},
		{"an upgrade", func() error {
			_, err := h.Upgrade(t.Context(), "job-42-sut-a", folder, UpgradeOptions{JobID: "42"})
			return err
		}, `Upgrade
  Fetch
  helm get all, try 1
  helm upgrade, try 1
`},
		{"a rollback", func() error {
			_, err := h.Rollback(t.Context(), "job-42-sut-a", RollbackOptions{})
			return err
		}, `Rollback
  helm history, try 1
  helm rollback, try 1
  helm history, try 1
`},
		{"a job", func() error {
			_, err := h.UninstallJob(t.Context(), "42", JobOptions{})
			return err
		}, `UninstallJob
  List
    helm list, try 1
  List
    helm list, try 1
  Uninstall
    helm get all, try 1
    helm uninstall, try 1
`},
		{"an uninstall of nothing", func() error {
			_, err := h.Uninstall(t.Context(), "web", UninstallOptions{IgnoreNotFound: true})
			return err
		}, `Uninstall
  helm get all, try 1: ReleaseNotFound
`},
	} {
		t.Run(test.name, func(t *testing.T) {
			seen.begun = nil
			require.NoError(t, test.call())
			lines := seen.tree(t)
			if test.name == "a plan" { // the two run at once
				lines = strings.Replace(lines, "  helm install, try 1\n  helm template, try 1\n", "  helm template, try 1\n  helm install, try 1\n", 1)
			}
			assert.Equal(t, test.want, lines)
			for _, s := range seen.all(t) {
				if s.Operation != "List" && s.Operation != "UninstallJob" && s.Operation != "Uninstall" {
					assert.Equal(t, "job-42-sut-a", s.Release)
					assert.Equal(t, "bench", s.Namespace)
				}
				if test.name == "a job" {
					assert.Equal(t, "42", s.JobID)
				}
				if s.Operation == "Apply" {
					assert.Equal(t, "web 1.2.3", s.first.ChartName+" "+s.first.ChartVersion, "of the plan")
				}
			}
		})
	}
	assert.True(t, seen.one(t, "get all").Process.Expected, "the answer that there is no such release")
}

func TestSpansOfARememberedRender(t *testing.T) {
	h, _, seen := observed(t, Config{})
	path := filepath.Join(t.TempDir(), "web-1.2.3.tgz")
	require.NoError(t, os.WriteFile(path, packed(t, chartFolder(t, "web", "1.2.3")), 0o600))
	for _, want := range []CacheResult{CacheMiss, CacheHit} {
		seen.begun = nil
		_, err := h.Chart2Images(t.Context(), path, TemplateOptions{}, ImageOptions{})
		require.NoError(t, err)
		assert.Equal(t, want, seen.one(t, "Chart2Images").Cache)
		if want == CacheMiss {
			assert.Equal(t, "web", seen.one(t, "template").first.ChartName)
		}
	}
}

// Looks that come before the release is recorded, or are under way when the wait is over, are polls and no faults; what
// FailFast ends is one.
func TestSpansOfPolls(t *testing.T) {
	h, fake, seen := observed(t, Config{})
	looking := make(chan struct{})
	var looks atomic.Int32
	fake.Handle("status", func(helmtest.Call) helmtest.Reply {
		if looks.Add(1) == 1 {
			return helmtest.Reply{Stderr: "Error: the server is busy\n", Exit: 1}
		}
		return helmtest.Reply{Then: func() { close(looking) }, Until: helmtest.Forever}
	})
	inTurn(fake, "install", installed(fake, "deployed", helmtest.Reply{Until: looking}))
	waits := InstallOptions{Wait: true, Progress: func(Progress) {}, ProgressInterval: time.Millisecond}
	_, err := h.Install(t.Context(), "web", chartFolder(t, "web", "1.2.3"), waits)
	require.NoError(t, err)
	polls := 0
	for _, s := range seen.all(t) {
		if s.Process == nil {
			continue
		}
		assert.Equal(t, s.Process.Command == "status", s.Process.Poll)
		if s.Process.Poll {
			polls++
			assert.Error(t, s.Err)
			assert.True(t, s.Process.Expected)
		}
	}
	assert.Equal(t, 2, polls)

	h, fake, seen = observed(t, Config{})
	inTurn(fake, "install", installed(fake, "pending-install", helmtest.Reply{Until: helmtest.Forever}))
	fake.Handle("status", func(c helmtest.Call) helmtest.Reply {
		if _, recorded := fake.Release("", "web"); !recorded {
			return fake.Perform(c)
		}
		return helmtest.Reply{Stdout: `{"info":{"resources":{"v1/Deployment":[` + deployment + `],"v1/Pod(related)":[` + podThat("web-5f5-1", waitingFor("InvalidImageName", 0)) + `]}}}`}
	})
	waits.FailFast = FailFastRules()
	_, err = h.Install(t.Context(), "web", chartFolder(t, "web", "1.2.3"), waits)
	require.ErrorIs(t, err, ErrNotReady)
	assert.False(t, seen.one(t, "install").Process.Expected)
}

// The caller's own end of a call is no reason to call its helm expected.
func TestSpansOfACanceledCall(t *testing.T) {
	h, fake, seen := observed(t, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	fake.On("list", helmtest.Reply{Then: cancel, Until: helmtest.Forever})
	_, err := h.List(ctx, ListOptions{})
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, "List: Canceled\n  helm list, try 1: Canceled\n", seen.tree(t))
	list := seen.one(t, "list")
	assert.False(t, list.Process.Expected)
	assert.Equal(t, -1, list.Process.ExitCode)
}

// Who gives up in the queue has waited there, and has started nothing.
func TestSpansOfAQueue(t *testing.T) {
	seen := &spans{}
	fake := helmtest.New(t)
	onceItWaits(t, func(ctx context.Context, t *testing.T) {
		h := drive(t, fake, Config{MaxProcesses: 1, Observer: seen})
		release, err := h.acquire(ctx, false, 0)
		require.NoError(t, err)
		defer release()
		_, err = h.run(ctx, invocation{args: []string{"list"}})
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
	list := seen.one(t, "list")
	assert.Equal(t, 500*time.Millisecond, list.Process.Queued)
	assert.Equal(t, list.Duration, list.Process.Queued)
	assert.Zero(t, list.Process.PID)
	assert.Zero(t, list.Process.Took)
	assert.Equal(t, -1, list.Process.ExitCode)
	assert.Empty(t, list.Operation, "nobody called a method")
	assert.Equal(t, 1, list.Process.Try)
}

func TestSpansHaveNoSecrets(t *testing.T) {
	h, fake, seen := observed(t, Config{Retry: Retry{Tries: 1}})
	fake.On("pull", helmtest.Reply{Stderr: "Error: GET https://bob:hunter2@charts.example/x-1.2.3.tgz?token=hunter2: refused\n", Exit: 1})
	_, err := h.Install(t.Context(), "web", "https://bob:hunter2@charts.example/x-1.2.3.tgz?token=hunter2", InstallOptions{Values: Values{"password": "hunter2"}})
	require.Error(t, err)
	_, err = h.AddRepo(t.Context(), "https://bob:hunter2@charts.example/x", RepoOptions{})
	require.NoError(t, err)
	fake.On("registry login", helmtest.Reply{})
	require.NoError(t, h.RegistryLogin(t.Context(), "registry.example", RegistryOptions{Username: "bob", Password: "hunter2"}))
	_, err = h.Install(t.Context(), "web\x1b[2J", "./x", InstallOptions{JobID: "a\nb"})
	require.ErrorIs(t, err, ErrInvalidArgument)
	var all strings.Builder
	for _, s := range seen.all(t) {
		fmt.Fprintf(&all, "%+v %+v %+v\n", s.first, s.Span, s.Process)
	}
	assert.Contains(t, all.String(), "registry.example")
	assert.NotContains(t, all.String(), "hunter2")
	assert.NotContains(t, all.String(), "bob")
	wantPrintable(t, all.String())
	assert.Contains(t, all.String(), `a\nb`)
}

// Each method of Helm is an operation of its name, whatever it is called with, and ends with the error that it returns.
func TestEveryMethodIsObserved(t *testing.T) {
	h, fake, seen := observed(t, Config{Retry: Retry{Tries: 1}})
	fake.Handle("list", func(helmtest.Call) helmtest.Reply { return unreachable })
	helm := reflect.ValueOf(h)
	for i := range helm.NumMethod() {
		name, method := helm.Type().Method(i).Name, helm.Method(i)
		args := []reflect.Value{reflect.ValueOf(t.Context())}
		for at := 1; at < method.Type().NumIn(); at++ {
			args = append(args, reflect.Zero(method.Type().In(at)))
		}
		seen.begun = nil
		results := method.Call(args)
		err, _ := results[len(results)-1].Interface().(error)
		all := seen.all(t)
		if assert.NotEmpty(t, all, name) {
			assert.Equal(t, name, all[0].Operation)
			assert.Nil(t, all[0].Process, name)
			assert.Equal(t, err, all[0].Err, name)
		}
	}
	assert.Greater(t, helm.NumMethod(), 35)
}

func TestErrorKinds(t *testing.T) {
	text, err := os.ReadFile("errors.go")
	require.NoError(t, err)
	known := map[string]bool{}
	for _, kind := range errorKinds {
		known[kind.name] = true
		assert.Equal(t, kind.name, ErrorKind(fmt.Errorf("x: %w", kind.err)), "none before it is more general")
	}
	variables := regexp.MustCompile(`(?m)^\tErr(\w+) += errdef`).FindAllStringSubmatch(string(text), -1)
	assert.Greater(t, len(variables), 20)
	for _, match := range variables {
		assert.True(t, known[match[1]], match[1])
	}
	for _, test := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{errors.New("x"), "Other"},
		{&Error{ExitCode: 1}, "HelmFailed"},
		{&Error{ExitCode: -1, Signal: "killed"}, "Signal"},
		{&Error{cause: context.Canceled, Signal: "terminated"}, "Canceled"},
		{&ReleaseError{Kind: ErrLeftBehind, Err: &Error{kind: ErrClusterUnreachable}}, "LeftBehind"},
		{errors.Join(context.DeadlineExceeded, ErrReleaseBusy), "ReleaseBusy"},
	} {
		assert.Equal(t, test.want, ErrorKind(test.err))
	}
}
