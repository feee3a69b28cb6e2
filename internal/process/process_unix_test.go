//go:build unix

package process

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// answers fails the test if f hangs.
func answers(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(tooLong):
		t.Fatal("no answer in", tooLong)
	}
}

// shell is a shell command with limits that nothing reaches.
func shell(script string) Command {
	return Command{
		Path: "/bin/sh", Args: []string{"-c", script}, Env: os.Environ(), Grace: tooLong,
		MaxStdout: 1 << 20, OverStdout: errOver, MaxStderr: 1 << 10,
	}
}

// file is an open file with a content.
func file(t *testing.T, content string) *os.File {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "file")
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	_, err = f.WriteString(content)
	require.NoError(t, err)
	_, err = f.Seek(0, 0)
	require.NoError(t, err)
	return f
}

func TestRun(t *testing.T) {
	c := shell(`cat; echo "$A$0" >&2; exit $1`)
	c.Args = append(c.Args, "x", "0")
	c.Env = append(c.Env, "A=a")
	c.Stdin = file(t, "in")
	r := Run(t.Context(), c)
	require.NoError(t, r.Err)
	assert.Equal(t, "in", string(r.Stdout))
	assert.Equal(t, "ax\n", r.Stderr)
	assert.Zero(t, r.ExitCode)
	assert.Positive(t, r.Took)

	c.Args[3], c.Stdin = "3", nil
	r = Run(t.Context(), c)
	require.ErrorAs(t, r.Err, new(*exec.ExitError))
	assert.Empty(t, r.Stdout, "nothing is inherited from the caller's stdin")
	assert.Equal(t, 3, r.ExitCode)
	assert.Empty(t, r.Signal)
	assert.False(t, r.Stopped)
	require.NoError(t, r.Exceeded)

	r = Run(t.Context(), shell("kill -9 $$"))
	require.Error(t, r.Err)
	assert.Equal(t, -1, r.ExitCode)
	assert.Equal(t, "killed", r.Signal)
	assert.False(t, r.Stopped, "somebody else ended it")

	c.Path = filepath.Join(t.TempDir(), "none")
	r = Run(t.Context(), c)
	require.ErrorIs(t, r.Err, os.ErrNotExist)
	assert.Equal(t, -1, r.ExitCode)
}

func TestOwnProcessGroup(t *testing.T) {
	r := Run(t.Context(), shell(`echo $$; ps -o pgid= -p $$ || cut -d" " -f5 /proc/$$/stat`))
	require.NoError(t, r.Err)
	ids := strings.Fields(string(r.Stdout))
	require.Len(t, ids, 2)
	assert.Equal(t, ids[0], ids[1])
	assert.NotEqual(t, strconv.Itoa(syscall.Getpgrp()), ids[1])
}

// A process gets none of the caller's files except those it is given.
func TestInheritsNothingElse(t *testing.T) {
	needsProc(t)
	mine, given := file(t, ""), file(t, "")
	c := shell(`for fd in /proc/$$/fd/*; do echo "${fd##*/} $(readlink $fd)"; done`)
	c.Inherit = []*os.File{given}
	r := Run(t.Context(), c)
	require.NoError(t, r.Err)
	assert.Contains(t, string(r.Stdout), "3 "+given.Name()+"\n")
	assert.NotContains(t, string(r.Stdout), mine.Name())
	assert.Equal(t, 1, strings.Count(string(r.Stdout), filepath.Dir(filepath.Dir(given.Name()))))
}

func TestOutputIsBounded(t *testing.T) {
	many := "head -c 3000 /dev/zero | tr '\\0' x"
	for _, test := range []struct {
		name     string
		script   string
		over     error
		exceeded error
	}{
		{"within", "printf x", errOver, nil},
		{"killed", many + "; trap '' TERM; while :; do sleep 1; done", errOver, errOver},
		{"over, and it ends well", many, errOver, errOver},
		{"dropped", many, nil, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := shell(test.script)
			c.MaxStdout, c.OverStdout = 1000, test.over
			r := Run(t.Context(), c)
			require.ErrorIs(t, r.Exceeded, test.exceeded)
			assert.Equal(t, test.exceeded != nil, r.Stopped)
			assert.Equal(t, test.exceeded != nil, r.Err != nil)
			assert.Equal(t, strings.Repeat("x", len(r.Stdout)), string(r.Stdout))
			assert.LessOrEqual(t, len(r.Stdout), 1000)
		})
	}
	c := shell(`i=0; while [ $i -lt 500 ]; do echo "línea $i"; i=$((i+1)); done >&2`)
	c.CutMark = "… "
	r := Run(t.Context(), c)
	require.NoError(t, r.Err)
	assert.True(t, strings.HasPrefix(r.Stderr, c.CutMark))
	assert.True(t, strings.HasSuffix(r.Stderr, "línea 499\n"))
	assert.InDelta(t, c.MaxStderr, len(r.Stderr), 1, "but no half of a letter")
}

// ready runs a script that says when it is ready, and calls then.
func ready(ctx context.Context, t *testing.T, c Command, then func()) (r Result) {
	t.Helper()
	said, say, err := os.Pipe()
	require.NoError(t, err)
	defer said.Close()
	c.Inherit = []*os.File{say}
	go func() {
		_, _ = said.Read(make([]byte, 1))
		then()
	}()
	answers(t, func() { r = Run(ctx, c) })
	say.Close()
	return r
}

func TestEndOfTheContext(t *testing.T) {
	for _, test := range []struct {
		name   string
		script string
		grace  time.Duration
		ends   bool // well
		signal string
	}{
		{"it dies", "echo >&3; while :; do sleep 1; done", tooLong, false, "terminated"},
		{"it ends well", "trap 'exit 0' TERM; echo >&3; while :; do sleep 1; done", tooLong, true, ""},
		{"it does not listen", "trap '' TERM; echo >&3; while :; do sleep 1; done", 50 * time.Millisecond, false, "killed"},
		{"a child of it does not listen", "(trap '' TERM; echo >&3; while :; do sleep 1; done); exit 3", 50 * time.Millisecond, false, "terminated"},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			c := shell(test.script)
			c.Grace = test.grace
			r := ready(ctx, t, c, cancel)
			assert.True(t, r.Stopped)
			require.NoError(t, r.Exceeded)
			assert.Equal(t, test.signal, r.Signal)
			assert.Equal(t, test.ends, r.Err == nil, "%v", r.Err)
		})
	}
}

func TestAtMost(t *testing.T) {
	c := shell("while :; do sleep 1; done")
	c.AtMost, c.Late = 10*time.Millisecond, errOver
	r := Run(t.Context(), c)
	require.ErrorIs(t, r.Exceeded, errOver)
	require.Error(t, r.Err)
	assert.True(t, r.Stopped)

	ctx, cancel := context.WithCancel(t.Context())
	c = shell("echo >&3; while :; do sleep 1; done")
	c.AtMost, c.Late = tooLong, errOver
	r = ready(ctx, t, c, cancel)
	assert.True(t, r.Stopped)
	require.NoError(t, r.Exceeded, "the context ended first")
}

// It is killed, since it may ignore a signal.
func TestOverALimit(t *testing.T) {
	needsProc(t)
	c := shell("trap '' TERM; while :; do :; done")
	c.Limits = &Limits{CPUTime: 50 * time.Millisecond, OverCPUTime: errOver}
	var r Result
	answers(t, func() { r = Run(t.Context(), c) })
	require.ErrorIs(t, r.Exceeded, errOver)
	assert.Equal(t, "killed", r.Signal)
}

// A child that stays keeps the pipes open after its parent succeeded.
func TestChildAfterASuccess(t *testing.T) {
	for _, over := range []error{errOver, nil} {
		said, say, err := os.Pipe()
		require.NoError(t, err)
		c := shell("(read x <&3) & echo done")
		c.Inherit, c.Grace, c.OverStdout = []*os.File{said}, time.Millisecond, over
		var r Result
		answers(t, func() { r = Run(t.Context(), c) })
		said.Close()
		say.Close()
		assert.True(t, bytes.Equal([]byte("done\n"), r.Stdout))
		if over == nil {
			require.NoError(t, r.Err, "its output does not count")
		} else {
			require.ErrorIs(t, r.Err, exec.ErrWaitDelay)
		}
	}
}

// Only what a filter passes on counts, and is kept.
func TestFilteredOutput(t *testing.T) {
	c := shell(`head -c 3000000 /dev/zero; echo end`)
	c.MaxStdout = 10
	c.Filter = func(to io.Writer) io.Writer { return withoutZeros{to} }
	r := Run(t.Context(), c)
	require.NoError(t, r.Err)
	assert.Equal(t, "end\n", string(r.Stdout))
	c.MaxStdout = 3
	assert.ErrorIs(t, Run(t.Context(), c).Exceeded, errOver)
}

type withoutZeros struct{ to io.Writer }

func (w withoutZeros) Write(p []byte) (int, error) {
	_, err := w.to.Write(bytes.ReplaceAll(p, []byte{0}, nil))
	return len(p), err
}
