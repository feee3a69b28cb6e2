package process

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var errOver = errors.New("over a limit")

// tooLong is longer than anything takes on a busy machine unless it hangs.
const tooLong = 5 * time.Minute

func needsProc(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("there is no /proc to read")
	}
}

func TestWatch(t *testing.T) {
	needsProc(t)
	full := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(full, "x"), make([]byte, 2000), 0o600))
	assert.EqualValues(t, 2000, folderSize(full))
	const much = 1 << 40
	for _, test := range []struct {
		name   string
		limits Limits
		over   error
	}{
		{"within", Limits{Memory: much, CPUTime: time.Hour, Read: much, Dir: full, Written: 2000}, nil},
		{"none", Limits{}, nil},
		{"folder", Limits{Memory: much, Read: much, Dir: full, Written: 1999, OverFetch: errOver}, errOver},
		{"memory", Limits{Memory: 1 << 10, OverMemory: errOver}, errOver},
		{"read", Limits{Read: 1, OverFetch: errOver}, errOver},
	} {
		t.Run(test.name, func(t *testing.T) {
			limit := time.Minute
			if test.over == nil {
				limit = 200 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			assert.Equal(t, test.over, test.limits.awaitExcess(ctx, os.Getpid()))
		})
	}
}

func TestUsage(t *testing.T) {
	needsProc(t)
	before := usageOf(os.Getpid())
	assert.Greater(t, before.memory, int64(1<<20))
	assert.NotZero(t, bytesRead(os.Getpid()))
	assert.Eventually(t, func() bool { return usageOf(os.Getpid()).processor > before.processor }, tooLong, time.Nanosecond)
	assert.Zero(t, usageOf(-1))
	assert.Zero(t, bytesRead(-1))

	// The name of a process comes before the numbers.
	sleep, err := exec.LookPath("sleep")
	require.NoError(t, err)
	named := filepath.Join(t.TempDir(), "h) R 1 (2")
	require.NoError(t, os.Symlink(sleep, named))
	cmd := exec.Command(named, "60")
	require.NoError(t, cmd.Start())
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	assert.Eventually(t, func() bool { return usageOf(cmd.Process.Pid).memory > 0 }, tooLong, time.Millisecond)
	assert.Less(t, usageOf(cmd.Process.Pid).memory, int64(1<<30))
}

func TestWatchAsksForMoreCPUTime(t *testing.T) {
	needsProc(t)
	go func() { // uses processor time
		for t.Context().Err() == nil {
		}
	}()
	asked := 0
	l := Limits{CPUTime: time.Nanosecond, OverCPUTime: errOver, MoreCPUTime: func(context.Context) bool {
		asked++
		return asked < 3
	}}
	require.ErrorIs(t, l.awaitExcess(t.Context(), os.Getpid()), errOver)
	assert.Equal(t, 3, asked)
}

func TestAvailableMemory(t *testing.T) {
	needsProc(t)
	assert.Greater(t, AvailableMemory(), int64(1<<20))
}
