package process

import (
	"context"
	"io"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// crowd lets many goroutines do the same again and again.
func crowd(t *testing.T, times int, do func()) {
	t.Helper()
	answers(t, func() {
		var all sync.WaitGroup
		for range 24 {
			all.Add(1)
			go func() {
				defer all.Done()
				for range times {
					do()
				}
			}()
		}
		all.Wait()
	})
}

// A process can end before, while and after somebody begins to wait for that.
func TestProcessesThatEndAtOnce(t *testing.T) {
	binary, err := exec.LookPath("true")
	if err != nil {
		t.Skip(err)
	}
	crowd(t, 100, func() {
		assert.NoError(t, Run(t.Context(), Command{Path: binary, OverStdout: errOver, Grace: tooLong}).Err)
	})
}

// started starts a process that ends when its stdin does.
func started(t *testing.T) (cmd *exec.Cmd, stdin io.Closer) {
	t.Helper()
	cmd = exec.Command("cat")
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd, stdin
}

func awaitEnd(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	require.NoError(t, unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil))
}

func TestAwaitExitOfWhatHasEnded(t *testing.T) {
	cmd, stdin := started(t)
	require.NoError(t, stdin.Close())
	awaitEnd(t, cmd)
	crowd(t, 1000, func() { awaitExit(t.Context(), cmd) })
}

func TestAwaitExit(t *testing.T) {
	cmd, stdin := started(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		awaitExit(t.Context(), cmd)
		awaitEnd(t, cmd)
	}()
	select {
	case <-done:
		t.Fatal("the process lives")
	case <-time.After(20 * time.Millisecond):
	}
	require.NoError(t, stdin.Close())
	answers(t, func() { <-done })
}

// The process did not end in spite of all signals: Wait has to report that.
func TestAwaitExitEndsAfterItsContext(t *testing.T) {
	cmd, _ := started(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	answers(t, func() { awaitExit(ctx, cmd) })
	require.NoError(t, cmd.Process.Signal(syscall.Signal(0)), "the process lives")
}

// What it costs this process to wait for one that ends in a moment, with the poller and without.
func BenchmarkAwaitExit(b *testing.B) {
	own := func() float64 {
		var u syscall.Rusage
		require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
		return float64(u.Utime.Nano()+u.Stime.Nano()) / 1000
	}
	wait := func(before func(*exec.Cmd)) float64 {
		began := own()
		cmd := exec.Command("sleep", "0.05")
		require.NoError(b, cmd.Start())
		before(cmd)
		require.NoError(b, cmd.Wait())
		return own() - began
	}
	var polled, blocked float64
	for b.Loop() {
		polled += wait(func(cmd *exec.Cmd) { awaitExit(b.Context(), cmd) })
		blocked += wait(func(*exec.Cmd) {})
	}
	b.ReportMetric(polled/float64(b.N), "polled-µs/op")
	b.ReportMetric(blocked/float64(b.N), "blocked-µs/op")
}
