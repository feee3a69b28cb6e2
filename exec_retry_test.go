package helmexec

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
)

// A failure that may pass, and one that does not.
var (
	refused = helmtest.Reply{Stderr: "Error: dial tcp 10.0.0.1:443: connect: connection refused\n", Exit: 1}
	broken  = helmtest.Reply{Stderr: "Error: unknown flag: --x\n", Exit: 1}
)

func TestRetryTries(t *testing.T) {
	always := func(error) bool { return true }
	for _, test := range []struct {
		name    string
		retry   Retry
		replies []helmtest.Reply
		calls   int
		fails   bool
	}{
		{"success at once", Retry{}, nil, 1, false},
		{"success at the second try", Retry{}, []helmtest.Reply{refused}, 2, false},
		{"success at the last try", Retry{}, []helmtest.Reply{refused, refused}, 3, false},
		{"three tries by default", Retry{}, []helmtest.Reply{refused, refused, refused, refused}, 3, true},
		{"as many as asked for", Retry{Tries: 5}, []helmtest.Reply{refused, refused, refused, refused}, 5, false},
		{"no retry", Retry{Tries: 1}, []helmtest.Reply{refused}, 1, true},
		{"a failure for good", Retry{}, []helmtest.Reply{broken}, 1, true},
		{"a failure for good at the second try", Retry{}, []helmtest.Reply{refused, broken}, 2, true},
		{"the caller's own predicate", Retry{Retryable: always}, []helmtest.Reply{broken}, 2, false},
		{"a back-off that stops", Retry{BackOff: func() backoff.BackOff { return &backoff.StopBackOff{} }}, []helmtest.Reply{refused}, 1, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, fake := withFake(t, Config{Retry: test.retry})
			fake.On("repo add", test.replies...)
			_, err := h.AddRepo(t.Context(), "http://charts.example", RepoOptions{})
			assert.Equal(t, test.fails, err != nil, "%v", err)
			assert.Len(t, fake.Calls("repo add"), test.calls)
		})
	}
}

// Each call begins its own series of pauses.
func TestRetryPauses(t *testing.T) {
	var made []*countingBackOff
	h, fake := withFake(t, Config{Retry: Retry{BackOff: func() backoff.BackOff {
		made = append(made, &countingBackOff{})
		return made[len(made)-1]
	}}})
	for range 2 {
		fake.On("repo add", refused, refused, refused)
		_, err := h.AddRepo(t.Context(), "http://charts.example", RepoOptions{})
		require.Error(t, err)
	}
	require.Len(t, made, 2)
	for _, b := range made {
		assert.Equal(t, 2, b.asked, "three tries have two pauses")
	}
}

type countingBackOff struct{ asked int }

func (b *countingBackOff) Reset()                     {}
func (b *countingBackOff) NextBackOff() time.Duration { b.asked++; return 0 }

// endlessPause makes a pause that only the end of a context ends, and calls begun when it begins.
func endlessPause(begun func()) func() backoff.BackOff {
	return func() backoff.BackOff { return pauseHook(begun) }
}

type pauseHook func()

func (p pauseHook) Reset()                     {}
func (p pauseHook) NextBackOff() time.Duration { p(); return time.Hour }

func TestRetryEndsWithTheContext(t *testing.T) {
	fake := helmtest.New(t)
	for _, is := range []error{context.Canceled, context.DeadlineExceeded} {
		t.Run(is.Error(), func(t *testing.T) {
			onceItWaits(t, func(ctx context.Context, t *testing.T) {
				ctx, cancel := context.WithCancel(ctx)
				defer cancel()
				h := drive(t, fake, Config{Retry: Retry{BackOff: endlessPause(func() {
					if is == context.Canceled {
						cancel()
					}
				})}})
				tries := 0
				err := h.retry(ctx, func(ctx context.Context) error {
					tries++
					return transientError("connection refused, the last real error")
				})
				require.ErrorIs(t, err, is)
				var e *Error
				require.ErrorAs(t, err, &e, "the last real error stays reachable")
				assert.ErrorContains(t, err, "the last real error")
				assert.Equal(t, 1, tries)
			})
		})
	}
}

// The last error of used-up tries contains no context error.
func TestRetryKeepsTheLastError(t *testing.T) {
	h, fake := withFake(t, Config{Retry: Retry{Tries: 2}})
	fake.On("repo add", refused, helmtest.Reply{Stderr: "Error: unexpected EOF\n", Exit: 1})
	_, err := h.AddRepo(t.Context(), "http://charts.example", RepoOptions{})
	assert.EqualError(t, err, "repository http://charts.example: unexpected EOF")
}

func transientError(text string) *Error {
	return &Error{Args: []string{"list"}, ExitCode: 1, Stderr: "Error: " + text, transient: true}
}

func TestIsTransient(t *testing.T) {
	passes := transientError("connection refused")
	for _, test := range []struct {
		name string
		err  error
		want bool
	}{
		{"nothing", nil, false},
		{"an error of something else", errors.New("connection refused"), false},
		{"the end of a context", context.DeadlineExceeded, false},
		{"a failure that may pass", passes, true},
		{"the same, wrapped", fmt.Errorf("adding it: %w", passes), true},
		{"the same, of a release", &ReleaseError{Kind: ErrClusterUnreachable, Err: passes}, true},
		{"a failure for good", &Error{ExitCode: 1}, false},
		{"a failure by the caller's context", &Error{transient: true, cause: context.Canceled}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, test.want, IsTransient(test.err))
		})
	}
}

// The commands that are retried, and some that are not: a test may have effects, and a reader can
// ask again.
func TestWhichCommandsAreTriedAgain(t *testing.T) {
	chart := chartFolder(t, "web", "1.2.3")
	for _, test := range []struct {
		command string
		call    func(*Helm) error
		again   bool
	}{
		{"repo add", func(h *Helm) error { _, err := h.AddRepo(t.Context(), "http://x.example", RepoOptions{}); return err }, true},
		{"repo update", func(h *Helm) error { return h.UpdateRepos(t.Context(), UpdateReposOptions{}) }, true},
		{"pull", func(h *Helm) error {
			_, err := h.Pull(t.Context(), "oci://x.example/web:1.2.3", t.TempDir(), ChartOptions{})
			return err
		}, true},
		{"install", func(h *Helm) error { _, err := h.Install(t.Context(), "new", chart, InstallOptions{}); return err }, true},
		{"upgrade", func(h *Helm) error { _, err := h.Upgrade(t.Context(), "web", chart, UpgradeOptions{}); return err }, true},
		{"rollback", func(h *Helm) error {
			_, err := h.Rollback(t.Context(), "web", RollbackOptions{Revision: 1})
			return err
		}, true},
		{"uninstall", func(h *Helm) error { _, err := h.Uninstall(t.Context(), "web", UninstallOptions{}); return err }, true},
		{"test", func(h *Helm) error { _, err := h.Test(t.Context(), "web", TestOptions{}); return err }, false},
		{"list", func(h *Helm) error { _, err := h.List(t.Context(), ListOptions{}); return err }, false},
	} {
		t.Run(test.command, func(t *testing.T) {
			h, fake := withFake(t, Config{})
			fake.AddArchive("web-1.2.3.tgz", packed(t, chart))
			fake.SetRelease(helmtest.Release{Name: "web", Chart: "web", ChartVersion: "1.0.0"})
			if test.command == "repo update" {
				_, err := h.AddRepo(t.Context(), "http://x.example", RepoOptions{})
				require.NoError(t, err)
			}
			fake.On(test.command, refused, refused)
			err := test.call(h)
			if test.again {
				require.NoError(t, err)
				assert.Len(t, fake.Calls(test.command), 3)
			} else {
				require.Error(t, err)
				assert.Len(t, fake.Calls(test.command), 1)
			}
		})
	}
}
