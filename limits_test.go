package helmexec

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
)

func needsProc(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("there is no /proc to read")
	}
}

// What a chart can do to a helm that renders it, with the limit for that, and the kind of error.
var greedy = []struct {
	name   string
	reply  helmtest.Reply
	limits Limits
	kind   error
	says   string
}{
	{"memory", helmtest.Reply{Memory: 400 << 20, Until: helmtest.Forever}, Limits{RenderMemory: 200 << 20}, ErrRenderTooLarge, "more than 200 MiB of memory"},
	{"time", helmtest.Reply{Spin: time.Minute}, Limits{RenderTime: 100 * time.Millisecond}, ErrRenderTimeout, "more than 100ms of processor time"},
	{"output", helmtest.Reply{Stdout: strings.Repeat("x", 1<<20), Repeat: 1 << 30}, Limits{RenderOutput: 2 << 20}, ErrRenderTooLarge, "more than 2 MiB"},
}

func TestRenderLimits(t *testing.T) {
	needsProc(t)
	chart := chartFolder(t, "web", "1.2.3")
	transform := func(m Manifest) (Manifest, error) { return m, nil }
	for _, call := range []struct {
		name, command string
		changes       bool
		do            func(context.Context, *Helm) error
	}{
		{"Template", "template", false, func(ctx context.Context, h *Helm) error {
			_, err := h.Template(ctx, chart, TemplateOptions{})
			return err
		}},
		{"Inspect", "template", false, func(ctx context.Context, h *Helm) error {
			_, err := h.Inspect(ctx, chart, InspectOptions{})
			return err
		}},
		{"Lint", "lint", false, func(ctx context.Context, h *Helm) error {
			_, err := h.Lint(ctx, chart, LintOptions{})
			return err
		}},
		{"Install", "install", true, func(ctx context.Context, h *Helm) error {
			_, err := h.Install(ctx, "web", chart, InstallOptions{Wait: true, Timeout: time.Hour})
			return err
		}},
		{"Install, dry run", "dry-run install", false, func(ctx context.Context, h *Helm) error {
			_, err := h.Install(ctx, "web", chart, InstallOptions{DryRun: true})
			return err
		}},
		{"Install, transformed", "template", false, func(ctx context.Context, h *Helm) error {
			_, err := h.Install(ctx, "web", chart, InstallOptions{Transform: transform})
			return err
		}},
		{"Upgrade", "upgrade", true, func(ctx context.Context, h *Helm) error {
			_, err := h.Upgrade(ctx, "old", chart, UpgradeOptions{Wait: true, Timeout: time.Hour})
			return err
		}},
		{"Upgrade, dry run", "dry-run upgrade", false, func(ctx context.Context, h *Helm) error {
			_, err := h.Upgrade(ctx, "old", chart, UpgradeOptions{DryRun: true})
			return err
		}},
	} {
		for _, test := range greedy {
			if call.changes && test.name == "output" {
				continue // what it prints is not the manifest
			}
			t.Run(call.name+", "+test.name, func(t *testing.T) {
				t.Parallel()
				// Not even for a caller who retries every failure.
				h, fake := withFake(t, Config{Limits: test.limits, Retry: Retry{Retryable: func(err error) bool { return !errors.Is(err, ErrReleaseNotFound) }}})
				fake.SetVersion("v3.22.0")
				fake.SetRelease(helmtest.Release{Name: "old"})
				fake.Handle(call.command, func(helmtest.Call) helmtest.Reply { return test.reply })
				var err error
				answers(t, func() { err = call.do(t.Context(), h) })
				require.ErrorIs(t, err, test.kind)
				require.ErrorIs(t, err, ErrRenderFailed)
				for _, not := range []error{context.Canceled, context.DeadlineExceeded, ErrLeftBehind, ErrOutputTooLarge} {
					assert.NotErrorIs(t, err, not)
				}
				assert.ErrorContains(t, err, test.says)
				assert.False(t, IsTransient(err))
				assert.Equal(t, 1, len(fake.Calls(call.command)), "calls")
				require.Eventually(t, func() bool { return fake.Running() == 0 }, tooLong, 5*time.Millisecond, "a process goes on")
				_, there := fake.Release("", "web")
				assert.False(t, there)
				old, there := fake.Release("", "old")
				assert.True(t, there)
				assert.Equal(t, 1, old.Revision)
			})
		}
	}
}

// If helm is killed after it recorded something, nothing is left, and there is no further try.
func TestRenderLimitsAfterTheRecord(t *testing.T) {
	needsProc(t)
	test := greedy[0]
	chart := chartFolder(t, "web", "1.2.3")

	h, fake := withFake(t, Config{Limits: test.limits})
	fake.Handle("install", installed(fake, "pending-install", test.reply))
	_, err := h.Install(t.Context(), "web", chart, InstallOptions{})
	require.ErrorIs(t, err, test.kind)
	assert.Equal(t, []string{"install", "get all", "uninstall"}, fake.Commands())
	_, there := fake.Release("", "web")
	assert.False(t, there)

	h, fake = withFake(t, Config{Limits: test.limits})
	old := helmtest.Release{Name: "web", Revision: 1}
	fake.SetRelease(old)
	fake.Handle("upgrade", func(c helmtest.Call) helmtest.Reply {
		reply := installed(fake, "pending-upgrade", test.reply)(c)
		pending, _ := fake.Release("", "web")
		fake.SetRelease(old) // it is deployed until the next one is
		fake.SetRelease(pending)
		return reply
	})
	_, err = h.Upgrade(t.Context(), "web", chart, UpgradeOptions{})
	require.ErrorIs(t, err, test.kind)
	assert.Equal(t, 1, len(fake.Calls("upgrade")), "calls")
	now, _ := fake.Release("", "web")
	assert.Equal(t, "deployed", now.Status)
	assert.Equal(t, 3, now.Revision)
	assert.Equal(t, 1, len(fake.Calls("rollback")), "calls")
}

// Once the release is recorded helm waits for hooks and pods, which has other limits.
func TestRenderTimeEndsWithTheRecord(t *testing.T) {
	needsProc(t)
	h, fake := withFake(t, Config{Limits: Limits{RenderTime: 500 * time.Millisecond}})
	fake.Handle("install", installed(fake, "deployed", helmtest.Reply{Spin: time.Hour}))
	var looks atomic.Int32
	fake.Handle("get all", func(c helmtest.Call) helmtest.Reply {
		// It has used up its time twice, and is not stopped. Now somebody kills it.
		if looks.Add(1) == 2 {
			install, err := os.FindProcess(fake.Calls("install")[0].Pid)
			assert.NoError(t, errors.Join(err, install.Kill()))
		}
		return fake.Perform(c)
	})
	rel, err := h.Install(t.Context(), "web", chartFolder(t, "web", "1.2.3"), InstallOptions{Wait: true})
	require.NoError(t, err)
	assert.True(t, rel.Recovered)
	assert.EqualValues(t, 3, looks.Load())
}

func TestRecorded(t *testing.T) {
	for _, test := range []struct {
		name string
		put  func(*helmtest.Fake, *operation)
		want bool
	}{
		{"nothing", func(*helmtest.Fake, *operation) {}, false},
		{"another's", func(f *helmtest.Fake, _ *operation) { f.SetRelease(others) }, false},
		{"ours, half-made", func(f *helmtest.Fake, op *operation) {
			f.SetRelease(helmtest.Release{Name: "web", Status: "pending-install", Labels: map[string]string{labelInstall: op.id}})
		}, true},
		{"nobody can say", func(f *helmtest.Fake, _ *operation) { f.On("get all", unreachable) }, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, fake := withFake(t, Config{})
			op, err := h.begin(t.Context(), "web", target{}, labelInstall, "mine", "")
			require.NoError(t, err)
			defer op.end()
			test.put(fake, op)
			c := &change{h: h, op: op}
			assert.Equal(t, test.want, c.recorded(t.Context()))
		})
	}
}

// A helm that got a SIGTERM goes on rendering until it is killed.
func TestRenderLimitsWhileHelmHasToEnd(t *testing.T) {
	needsProc(t)
	h, fake := withFake(t, Config{GracePeriod: time.Hour, Limits: greedy[0].limits})
	ctx, cancel := context.WithCancel(t.Context())
	fake.On("template", helmtest.Reply{Then: cancel, Until: helmtest.Forever, Term: &greedy[0].reply})
	var err error
	answers(t, func() { _, err = h.Template(ctx, chartFolder(t, "web", "1.2.3"), TemplateOptions{}) })
	require.ErrorIs(t, err, context.Canceled)
	assert.NotErrorIs(t, err, ErrRenderTooLarge)
}

// The error of another call as the cause of a context says nothing about this helm.
func TestCauseThatLooksLikeALimit(t *testing.T) {
	for _, kind := range []error{ErrOutputTooLarge, ErrFetchTimeout, ErrRenderTooLarge} {
		h, _ := withFake(t, Config{})
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(kind)
		_, err := h.run(ctx, invocation{args: []string{"list"}})
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, kind)
	}
}

// A helm with a low memory limit collects its garbage in time.
func TestMemoryOfTheGarbageCollector(t *testing.T) {
	for _, test := range []struct {
		limits Limits
		want   string
	}{
		{Limits{}, "GOMEMLIMIT=805306368"},
		{Limits{RenderMemory: 400 << 20}, "GOMEMLIMIT=314572800"},
		{Limits{Memory: 400 << 20}, "GOMEMLIMIT=314572800"},
	} {
		assert.Contains(t, newEnvironments(nil, Config{Limits: test.limits}, "/home").local, test.want)
	}
}
