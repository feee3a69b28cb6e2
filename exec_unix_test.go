//go:build unix

package helmexec

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
)

// endings are the ways in which a context ends.
var endings = []struct {
	name  string
	ctx   func(context.Context) (ctx context.Context, end func())
	is    error
	isNot error
}{
	{"canceled", func(ctx context.Context) (context.Context, func()) { return context.WithCancel(ctx) }, context.Canceled, context.DeadlineExceeded},
	{"timed out", func(ctx context.Context) (context.Context, func()) {
		late := timedOut{ctx, make(chan struct{})}
		return late, sync.OnceFunc(func() { close(late.done) })
	}, context.DeadlineExceeded, context.Canceled},
}

// timedOut is a context whose deadline passes when the test says so.
type timedOut struct {
	context.Context
	done chan struct{}
}

func (c timedOut) Done() <-chan struct{} { return c.done }

func (c timedOut) Err() error {
	select {
	case <-c.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func TestEndOfTheContext(t *testing.T) {
	for _, ending := range endings {
		for _, test := range []struct {
			name   string
			reply  helmtest.Reply
			code   int
			signal string
			stderr string
		}{
			{"helm dies of SIGTERM", helmtest.Reply{Until: helmtest.Forever}, -1, "terminated", ""},
			{"helm puts its record in order", helmtest.Reply{Until: helmtest.Forever,
				Term: &helmtest.Reply{Stdout: "Release web has been cancelled.\n", Stderr: "Error: context canceled\n", Exit: 1}},
				1, "", "Error: context canceled\n"},
		} {
			t.Run(ending.name+", "+test.name, func(t *testing.T) {
				h, fake := withFake(t, Config{})
				ctx, end := ending.ctx(t.Context())
				defer end()
				test.reply.Then = end
				fake.On("install", test.reply)
				_, err := h.run(ctx, invocation{args: []string{"install"}, mutates: true})
				var e *Error
				require.ErrorAs(t, err, &e)
				assert.ErrorIs(t, err, ending.is)
				assert.NotErrorIs(t, err, ending.isNot)
				assert.False(t, IsTransient(err))
				assert.Equal(t, test.code, e.ExitCode)
				assert.Equal(t, test.signal, e.Signal)
				assert.Equal(t, test.stderr, e.Stderr)
			})
		}
	}
}

// A failure that has nothing to do with a context is not a context error.
func TestFailureWithoutEndOfContext(t *testing.T) {
	h, fake := withFake(t, Config{})
	fake.On("install", helmtest.Reply{Stderr: "Error: context deadline exceeded\n", Exit: 1})
	_, err := h.run(t.Context(), invocation{args: []string{"install"}, mutates: true})
	require.Error(t, err)
	assert.NotErrorIs(t, err, context.Canceled)
	assert.NotErrorIs(t, err, context.DeadlineExceeded)
}

// Helm was told to stop, and had finished.
func TestExitZeroAfterTheEndIsASuccess(t *testing.T) {
	for _, mutates := range []bool{false, true} {
		h, fake := withFake(t, Config{})
		ctx, cancel := context.WithCancel(t.Context())
		fake.On("install", helmtest.Reply{Stdout: "STATUS: ", Then: cancel, Until: helmtest.Forever, Term: &helmtest.Reply{Stdout: "deployed"}})
		out, err := h.run(ctx, invocation{args: []string{"install"}, mutates: mutates})
		require.NoError(t, err)
		assert.Equal(t, "STATUS: deployed", string(out))
	}
}

func TestGracePeriodEndsByKill(t *testing.T) {
	h, fake := withFake(t, Config{GracePeriod: 100 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	fake.On("install", helmtest.Reply{Until: helmtest.Forever, Then: cancel, Term: &helmtest.Reply{Until: helmtest.Forever}})
	var err error
	answers(t, func() { _, err = h.run(ctx, invocation{args: []string{"install"}, mutates: true}) })
	var e *Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, "killed", e.Signal)
	assert.ErrorIs(t, err, context.Canceled)
	noneRuns(t, fake)
}

// A grandchild that keeps the pipes open and ignores SIGTERM blocks nobody, and does not outlive
// helm.
func TestGrandchildrenEndWithHelm(t *testing.T) {
	h, fake := withFake(t, Config{GracePeriod: 100 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	fake.On("install", helmtest.Reply{Linger: true, Then: cancel, Until: helmtest.Forever})
	var err error
	answers(t, func() { _, err = h.run(ctx, invocation{args: []string{"install"}, mutates: true}) })
	require.ErrorIs(t, err, context.Canceled)
	noneRuns(t, fake)
}

// Helm has succeeded, but a child of it keeps the pipes open.
func TestGrandchildAfterASuccess(t *testing.T) {
	for _, test := range []struct {
		name    string
		mutates bool
	}{
		{"a change is done", true},
		{"what was read may be incomplete", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, fake := withFake(t, Config{GracePeriod: time.Millisecond})
			fake.On("install", helmtest.Reply{Linger: true})
			var err error
			answers(t, func() { _, err = h.run(t.Context(), invocation{args: []string{"install"}, mutates: test.mutates}) })
			if test.mutates {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, exec.ErrWaitDelay)
			}
		})
	}
}

// noneRuns waits until the system has taken the last process away.
func noneRuns(t *testing.T, fake *helmtest.Fake) {
	t.Helper()
	require.Eventually(t, func() bool { return fake.Running() == 0 }, tooLong, 5*time.Millisecond, "a process goes on")
}

// A home that becomes writable for others after New is refused before the next helm starts.
func TestHomeThatIsOpenedLater(t *testing.T) {
	for _, sub := range []string{"", "user"} {
		dir := t.TempDir()
		require.NoError(t, errors.Join(os.Chmod(dir, 0o755), os.Chmod(filepath.Dir(dir), 0o755)))
		h, fake := withFake(t, Config{Home: dir})
		require.NoError(t, os.Chmod(h.home.Path(sub), 0o777))
		_, err := h.Version(t.Context())
		require.ErrorIs(t, err, ErrInvalidArgument)
		assert.Empty(t, fake.Calls())
	}
}
