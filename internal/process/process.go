// Package process runs one process within limits on its output, its memory, its processor time, what it
// fetches, and how long it may take. It ends the process and its children when the context ends or a
// limit is exceeded, and says how it ended. It knows nothing about the program: the caller names the
// errors of the limits and reads the output.
package process

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"sync/atomic"
	"time"
)

// Command is a process to run, and its limits.
type Command struct {
	Path    string
	Args    []string // after the path
	Env     []string
	Stdin   *os.File   // nil is empty
	Inherit []*os.File // open in the process as descriptor 3 and up

	// Grace is how long a process may take to end after SIGTERM, before it is killed with everything it
	// started.
	Grace time.Duration
	// AtMost is how long the process may take from its start; 0 is no limit. Then it gets a SIGTERM,
	// and Late is the error.
	AtMost time.Duration
	Late   error
	// Limits are watched while it runs; nil for none. A process that exceeds one is killed, because it
	// may ignore SIGTERM.
	Limits *Limits

	// Filter, if not nil, is what stdout passes through before it is kept.
	Filter    func(io.Writer) io.Writer
	MaxStdout int // bytes kept, from the beginning
	// OverStdout is the error of a process that prints more than MaxStdout; it is killed. If it is nil,
	// the excess output is dropped, and exit code 0 is a success even if output was lost.
	OverStdout error

	MaxStderr int    // bytes kept, from the end
	CutMark   string // replaces the beginning of stderr if that is not kept
	// Hear, if not nil, gets what the process writes to stderr, as soon as it is written.
	Hear func([]byte)
}

// Result is how a process ended.
type Result struct {
	Stdout   []byte
	Stderr   string
	PID      int    // 0 if it never started
	ExitCode int    // -1 when a signal ended the process or it never started
	Signal   string // the signal that ended it, "" if it exited by itself
	Stopped  bool   // the context ended or a limit was exceeded before it ended
	Exceeded error  // the error of the exceeded limit; nil if there was none, or the context ended first
	// Err is nil if the process succeeded: it exited with code 0 and its output is complete, even if it
	// was asked to end meanwhile. Otherwise it says why it could not be started, or what ended it.
	Err  error
	Took time.Duration
}

// exceeded is the cause of a context that ended because of a limit.
type exceeded struct{ error }

// Run runs a process to its end.
func Run(ctx context.Context, c Command) Result {
	if c.AtMost > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.AtMost, exceeded{c.Late})
		defer cancel()
	}
	// Ending ctx ends the process by SIGTERM to its group.
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	cmd := exec.CommandContext(ctx, c.Path, c.Args...)
	kill := func(why error) {
		end(exceeded{why})
		killGroup(cmd)
	}
	stdout, stderr := &headBuffer{max: c.MaxStdout}, &tailBuffer{max: c.MaxStderr, mark: c.CutMark}
	if c.OverStdout != nil {
		stdout.full = func() { kill(c.OverStdout) }
	}
	cmd.Env, cmd.ExtraFiles = c.Env, c.Inherit
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if c.Filter != nil {
		cmd.Stdout = c.Filter(stdout)
	}
	if c.Hear != nil {
		cmd.Stderr = io.MultiWriter(stderr, heard(c.Hear))
	}
	if c.Stdin != nil {
		cmd.Stdin = c.Stdin
	}
	ownProcessGroup(cmd)
	var stopped atomic.Bool
	var last *time.Timer
	cmd.Cancel = func() error {
		stopped.Store(true)
		last = time.AfterFunc(c.Grace, func() { killGroup(cmd) })
		return terminateGroup(cmd)
	}
	// A grandchild that keeps the pipes open must not block the caller: after this the pipes close.
	cmd.WaitDelay = c.Grace + time.Second

	start := time.Now()
	err := cmd.Start()
	if err == nil {
		endWatch := func() {}
		if c.Limits != nil {
			endWatch = c.Limits.watch(ctx, cmd.Process.Pid, kill)
		}
		awaitExit(ctx, cmd)
		exited := time.Now()
		err = cmd.Wait()
		endWatch()
		if stopped.Load() {
			last.Stop()
		}
		if stopped.Load() || time.Since(exited) >= cmd.WaitDelay {
			killGroup(cmd) // it has who keeps the pipes open
		}
	}

	r := Result{
		Stdout: stdout.buf.Bytes(), Stderr: stderr.String(), ExitCode: -1, Signal: signalOf(cmd.ProcessState), Took: time.Since(start),
	}
	if cmd.ProcessState != nil {
		r.PID, r.ExitCode = cmd.ProcessState.Pid(), cmd.ProcessState.ExitCode()
	}
	if over := (exceeded{}); errors.As(context.Cause(ctx), &over) {
		r.Exceeded = over.error
	}
	overflowed := c.OverStdout != nil && stdout.dropped > 0
	r.Stopped = stopped.Load() || r.Exceeded != nil || overflowed
	// Exit 0 with complete output is a success even if the context ended meanwhile.
	complete := c.OverStdout == nil || !overflowed && (err == nil || stopped.Load() && errors.Is(err, ctx.Err()))
	switch {
	case r.ExitCode == 0 && complete:
	case err != nil:
		r.Err = err
	default: // it printed too much
		r.Err = cmp.Or(r.Exceeded, context.Cause(ctx))
	}
	return r
}
