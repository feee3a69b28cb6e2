package helmexec

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
	"github.com/sut-bench/helmexec/internal/filelock"
	"github.com/sut-bench/helmexec/internal/process"
)

// simulated makes a Helm that drives a fake on its own host, with no process and no file lock. run, if not
// nil, answers instead of the fake.
func simulated(t *testing.T, fake *helmtest.Fake, name string, ahead time.Duration, run func(ctx context.Context, c helmtest.Call) *helmtest.Reply) *Helm {
	t.Helper()
	h := drive(t, fake, Config{GracePeriod: time.Minute})
	locks := &memoryLocks{held: map[string]int{}}
	h.host = host{
		now: func() time.Time { return time.Now().Add(ahead) }, name: func() string { return name }, newID: rand.Text,
		takeLock: locks.take, tryLock: locks.try,
		run: func(ctx context.Context, c process.Command) process.Result {
			call := helmtest.Call{Args: c.Args}
			if c.Stdin != nil {
				text, _ := io.ReadAll(c.Stdin)
				call.Stdin = string(text)
			}
			if c.AtMost > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeoutCause(ctx, c.AtMost, c.Late)
				defer cancel()
			}
			var reply *helmtest.Reply
			if run != nil {
				reply = run(ctx, call)
			}
			if reply == nil {
				performed := fake.Perform(call)
				reply = &performed
			}
			r := process.Result{Stdout: []byte(reply.Stdout), Stderr: reply.Stderr, ExitCode: reply.Exit, Stopped: ctx.Err() != nil}
			if reply.Exit != 0 {
				r.Err = errors.New("it failed")
			}
			if reply.Exit == exitKilled {
				r.Signal = "killed"
			}
			if c.AtMost > 0 && context.Cause(ctx) == c.Late {
				r.Exceeded = c.Late
			}
			return r
		},
	}
	return h
}

// exitKilled is the exit code of a simulated helm that is killed.
const exitKilled = -1

// acts says what a simulated helm does at its commands; nil does what the fake does.
type acts map[string]func(ctx context.Context, c helmtest.Call) *helmtest.Reply

// acting makes a simulated Helm, and lists the commands that it runs.
func acting(t *testing.T, fake *helmtest.Fake, does acts) (*Helm, *[]string) {
	t.Helper()
	commands := &[]string{}
	var mu sync.Mutex // two helms can run at once
	return simulated(t, fake, "one", 0, func(ctx context.Context, c helmtest.Call) *helmtest.Reply {
		if c.Command() != "version" {
			mu.Lock()
			*commands = append(*commands, c.Command())
			mu.Unlock()
		}
		if answer := does[c.Command()]; answer != nil {
			return answer(ctx, c)
		}
		return nil
	}), commands
}

// stoppedInstall plays the first install: helm records it as failed, is stopped when its context ends, which it does
// then, and says so.
func stoppedInstall(fake *helmtest.Fake, cancel func()) func(context.Context, helmtest.Call) *helmtest.Reply {
	begun := false
	return func(ctx context.Context, c helmtest.Call) *helmtest.Reply {
		if begun {
			return nil
		}
		begun = true
		fake.Perform(c)
		setRecord(fake, func(r *helmtest.Release) { r.Status = "failed" })
		cancel()
		<-ctx.Done()
		return &helmtest.Reply{Stderr: "Error: INSTALLATION FAILED: context canceled\n", Exit: 1}
	}
}

// memoryLocks are the locks of one simulated host.
type memoryLocks struct {
	mu   sync.Mutex
	held map[string]int // how many share it, -1 when one has it alone
}

type memoryLock struct {
	of   *memoryLocks
	file string
}

func (l *memoryLocks) try(file string, mode filelock.Mode) (lock, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch n := l.held[file]; {
	case n < 0, n > 0 && mode&filelock.Shared == 0:
		return nil, filelock.ErrHeld
	case mode&filelock.Shared == 0:
		l.held[file] = -1
	default:
		l.held[file]++
	}
	return &memoryLock{l, file}, nil
}

func (l *memoryLocks) take(ctx context.Context, file string, mode filelock.Mode) (lock, error) {
	for {
		if got, err := l.try(file, mode); err == nil {
			return got, nil
		}
		if !sleep(ctx, time.Second) {
			return nil, filelock.ErrHeld
		}
	}
}

func (l *memoryLock) Path() string          { return l.file }
func (l *memoryLock) Inherited() []*os.File { return nil }
func (l *memoryLock) Release() {
	l.of.mu.Lock()
	defer l.of.mu.Unlock()
	if l.of.held[l.file]--; l.of.held[l.file] < 0 {
		l.of.held[l.file] = 0
	}
}

// installOnAHostThatIsLost begins an install on a host that loses its power when the release is recorded as
// pending, and is not heard of again. What it returns ends the goroutine that plays it.
func installOnAHostThatIsLost(t *testing.T, fake *helmtest.Fake, chart string, opts InstallOptions) (end func()) {
	t.Helper()
	power, cut := context.WithCancel(t.Context())
	one := simulated(t, fake, "one", 0, func(_ context.Context, c helmtest.Call) *helmtest.Reply {
		if c.Command() != "install" {
			return nil
		}
		fake.Perform(c)
		setRecord(fake, func(r *helmtest.Release) { r.Status = "pending-install" })
		<-power.Done()
		return &helmtest.Reply{Exit: 1}
	})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = one.Install(power, "web", chart, opts)
	}()
	synctest.Wait()
	return func() { cut(); <-ended }
}

// Two hosts in one process, and hours in a moment: the first loses its power during an install, and the second
// takes over when the time on the record is over by its own clock.
func TestTakeOverFromAHostThatIsGone(t *testing.T) {
	for _, ahead := range []time.Duration{0, 20 * time.Minute, -20 * time.Minute} {
		t.Run(ahead.String(), func(t *testing.T) {
			fake := helmtest.New(t)
			chart := chartFolder(t, "web", "1.2.3")
			synctest.Test(t, func(t *testing.T) {
				other := simulated(t, fake, "other", ahead, nil)
				opts := InstallOptions{OperationID: "job-7", Timeout: 10 * time.Minute}
				defer installOnAHostThatIsLost(t, fake, chart, opts)()
				begin := time.Now()
				rel, err := other.Install(t.Context(), "web", chart, opts)
				require.NoError(t, err)
				assert.Equal(t, StatusDeployed, rel.Status)
				// The end of its context, and four times its grace. A second host's clock counts.
				assert.InDelta(t, (time.Hour + 4*opts.Timeout + 4*time.Minute - ahead).Seconds(), time.Since(begin).Seconds(), maxPause.Seconds()+1)
				home, err := other.homeID()
				require.NoError(t, err)
				left, _ := fake.Release("", "web")
				assert.Equal(t, home, left.Labels[labelHome])
			})
		})
	}
}

// Nothing else in this package uses the machine directly, so that a test can replace the host.
func TestOnlyTheHostAsksTheMachine(t *testing.T) {
	asks := regexp.MustCompile(`\b(time\.(Now|Since|Until)|os\.Hostname|rand\.Text|filelock\.(Take|Try)|process\.Run)\b`)
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		before, rest, _ := strings.Cut(string(text), "func thisHost() host {")
		_, after, _ := strings.Cut(rest, "\n}\n")
		assert.Empty(t, asks.FindAllString(before+after, -1), file)
	}
}
