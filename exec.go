package helmexec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/sut-bench/helmexec/internal/fetch"
	"github.com/sut-bench/helmexec/internal/redact"
)

const (
	// maxStdout is what one command may print. The largest honest output is the manifest of a
	// chart, and Kubernetes itself refuses a release record over 1 MiB.
	maxStdout = 64 << 20
	// maxStderr is how much of the end of stderr is kept. Helm says what went wrong last.
	maxStderr = 32 << 10
	// processMemory is what one helm process needs before it does anything.
	processMemory = 75 << 20
)

// invocation is one helm process: what it gets, and what may become of its output.
type invocation struct {
	args    []string   // after the binary; every positional behind "--"
	env     []string   // over the environment of every call
	stdin   []byte     // for "-f -" and "--password-stdin"; nil is an empty stdin
	secrets []string   // kept out of logs and errors
	inherit []*os.File // open in helm as descriptor 3 and up

	limits *processLimits // on a helm that fetches or renders, nil on one that gets nothing from outside
	// atMost is how long it may take from its start, 0 being no limit, and late the error after that.
	atMost time.Duration
	late   error
	stderr *string // set to the end of stderr when helm succeeds
	// subject is what an error names in place of the first positional, which is a name of our making.
	subject string
	via     *fetch.Relay // what stands between helm and a repository
	login   fetch.Login  // what becomes of the credentials for the source that it asks

	// mutates marks a command that changes the cluster. Its output is not worth its life: what
	// exceeds the cap is dropped, and the process goes on.
	mutates bool
	// waits marks a command that may wait for pods for as long as its caller lets it.
	waits bool
	// reports marks a command that prints its failure on stdout.
	reports bool
}

// flag is the value of a flag, "" where it is not given.
func (inv invocation) flag(name string) string {
	for _, a := range inv.args {
		if value, ok := strings.CutPrefix(a, name+"="); ok {
			return value
		}
	}
	return ""
}

// source tells a helm that asks a source of charts, and has no chart to render.
func (inv invocation) source() bool {
	return slices.Contains([]string{"repo", "pull", "push", "registry", "dependency"}, inv.args[0])
}

// redactor makes what helm says fit for logs and errors.
func (inv invocation) redactor() func(string) string {
	without := redact.Redactor(inv.secrets)
	return func(s string) string { return redact.Printable(without(inv.via.Speak(s))) }
}

// run is the one way a helm process runs. It returns stdout. The error, when the process was
// started, is an *Error.
func (h *Helm) run(ctx context.Context, inv invocation) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, contextError(ctx)
	}
	if err := h.home.CheckPlugins(); err != nil {
		return nil, err
	}
	release, err := h.acquire(ctx, inv.waits)
	if err != nil {
		return nil, err
	}
	defer release()

	safe := inv.redactor()
	shown := make([]string, len(inv.args))
	for i, a := range inv.args {
		if strings.HasPrefix(a, "--username=") {
			a = "--username=***" // it may be a token
		}
		shown[i] = redact.Abridged(safe(a))
	}

	if inv.atMost > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, inv.atMost, overLimit{inv.late})
		defer cancel()
	}
	// Ending ctx ends helm by SIGTERM to its process group.
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	cmd := exec.CommandContext(ctx, h.binary, inv.args...)
	// A helm over a limit is killed: while it renders, an install goes on after a SIGTERM.
	kill := func(why error) {
		end(overLimit{why})
		killGroup(cmd)
	}
	stdout, kind, limit := &headBuffer{max: h.maxStdout}, ErrOutputTooLarge, ""
	if inv.limits != nil && inv.limits.render != nil {
		stdout.max, kind, limit = int(min(inv.limits.render.output, math.MaxInt)), ErrRenderTooLarge, " (Limits.RenderOutput)"
	}
	if !inv.mutates {
		stdout.full = func() {
			kill(fmt.Errorf("%w: helm %s printed more than %d MiB%s", kind, shown[0], stdout.max>>20, limit))
		}
	}
	stderr := &tailBuffer{max: maxStderr}

	cmd.Env = slices.Concat(h.env, inv.env)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.ExtraFiles = inv.inherit
	if inv.stdin != nil {
		in, done, err := h.inputFile(inv.stdin)
		if err != nil {
			return nil, err
		}
		defer done()
		cmd.Stdin = in
	}
	ownProcessGroup(cmd)
	var stopped atomic.Bool
	var last *time.Timer
	cmd.Cancel = func() error {
		stopped.Store(true)
		last = time.AfterFunc(h.cfg.GracePeriod, func() { killGroup(cmd) })
		return terminateGroup(cmd)
	}
	// A grandchild that keeps the pipes open must not keep the caller: past this the pipes close.
	cmd.WaitDelay = h.cfg.GracePeriod + time.Second

	start := time.Now()
	err = cmd.Start()
	if err == nil {
		endWatch := func() {}
		if inv.limits != nil {
			endWatch = inv.limits.watch(ctx, cmd.Process.Pid, kill)
		}
		awaitExit(ctx, cmd)
		err = cmd.Wait()
		endWatch()
		if stopped.Load() {
			last.Stop()
			killGroup(cmd)
		}
	}
	over := errors.As(context.Cause(ctx), new(overLimit)) || !inv.mutates && stdout.over()
	code := -1
	if cmd.ProcessState != nil {
		code = cmd.ProcessState.ExitCode()
	}
	// Exit 0 with its output complete is a success even when the context ended meanwhile.
	done := code == 0 && (err == nil || stopped.Load() && errors.Is(err, ctx.Err())) && !stdout.over()
	if inv.mutates && code == 0 {
		done = true
	}
	var failure *Error
	if !done {
		failure = &Error{Args: shown, ExitCode: code, Stderr: safe(stderr.String()), subject: redact.Abridged(safe(inv.subject))}
		if inv.reports {
			// Behind what stderr says, for the reason is what follows the last "Error:".
			failure.Stderr = strings.TrimSpace(failure.Stderr) + "\n" + strings.TrimSpace(safe(string(lastBytes(stdout.buf.Bytes(), maxStderr))))
		}
		failure.Signal = signalOf(cmd.ProcessState)
		failure.kind, failure.transient = meaning(failure.Stderr, inv.source())
		switch {
		case stopped.Load(), over:
			// We ended it, so the end of the context is the cause, not what helm said of it.
			failure.cause, failure.kind, failure.transient = contextError(ctx), nil, false
		case failure.Signal != "":
			// What it said until then is not its last word.
			failure.kind, failure.transient = nil, true
		case code <= 0:
			failure.cause = err
		}
		failure.advice = inv.advice(failure)
	}
	h.log(ctx, shown, time.Since(start), code, failure)
	if failure != nil {
		return stdout.buf.Bytes(), failure
	}
	if inv.stderr != nil {
		*inv.stderr = safe(stderr.String())
	}
	return stdout.buf.Bytes(), nil
}

// inputFile is what helm reads from stdin. A pipe would end with this process, and a helm that
// outlives it would take a part of the values, or none, for all. The file has no name any more where
// the system allows that.
func (h *Helm) inputFile(content []byte) (f *os.File, done func(), err error) {
	f, err = os.CreateTemp(h.home.Path("tmp"), "stdin-")
	if err != nil {
		return nil, nil, err
	}
	done = func() { f.Close() }
	if os.Remove(f.Name()) != nil {
		done = func() { f.Close(); os.Remove(f.Name()) }
	}
	_, err = f.Write(content)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		done()
	}
	return f, done, err
}

// log writes the one line of a helm process.
func (h *Helm) log(ctx context.Context, shown []string, took time.Duration, code int, failure *Error) {
	attrs := []slog.Attr{
		slog.Any("args", shown), slog.Duration("duration", took.Round(time.Microsecond)), slog.Int("exit", code),
	}
	level := slog.LevelInfo
	if failure != nil {
		level = slog.LevelWarn
		attrs = append(attrs, slog.String("error", failure.why()))
	}
	h.cfg.Logger.LogAttrs(ctx, level, "helm", attrs...)
}

// contextError is the end of ctx as an error: context.Canceled or context.DeadlineExceeded, with
// the cause where the caller gave one; or the limit that a helm went over.
func contextError(ctx context.Context) error {
	cause := context.Cause(ctx)
	if over := (overLimit{}); errors.As(cause, &over) {
		return over.error
	}
	if errors.Is(cause, context.Canceled) || errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	return fmt.Errorf("%w: %w", ctx.Err(), cause)
}

// args collects flags in a fixed order, each as one word, so that no value is taken for a flag.
type args []string

func (a *args) str(flag, value string) {
	if value != "" {
		*a = append(*a, flag+"="+value)
	}
}

func (a *args) is(flag string, on bool) {
	if on {
		*a = append(*a, flag)
	}
}

func (a *args) number(flag string, n int) {
	if n != 0 {
		*a = append(*a, flag+"="+strconv.Itoa(n))
	}
}

// duration leaves 0 out: "--timeout=0s" with "--wait" fails on Helm 3 and succeeds on Helm 4.
func (a *args) duration(flag string, d time.Duration) {
	if d != 0 {
		*a = append(*a, flag+"="+d.String())
	}
}

func (a *args) add(words ...string) { *a = append(*a, words...) }

// headBuffer keeps the first max bytes and counts the rest.
type headBuffer struct {
	buf     bytes.Buffer
	max     int
	dropped int
	full    func() // called once, at the first byte over max
}

func (b *headBuffer) Write(p []byte) (int, error) {
	keep := min(len(p), b.max-b.buf.Len())
	b.buf.Write(p[:keep])
	if keep < len(p) && b.dropped == 0 && b.full != nil {
		b.full()
	}
	b.dropped += len(p) - keep
	return len(p), nil
}

func (b *headBuffer) over() bool { return b.dropped > 0 }

// tailBuffer keeps the last max bytes.
type tailBuffer struct {
	buf []byte
	max int
	cut bool
}

// cutMark stands in the place of what a tail does not hold.
const cutMark = "… "

func (b *tailBuffer) Write(p []byte) (int, error) {
	b.cut = b.cut || len(b.buf)+len(p) > b.max
	b.buf = append(b.buf, lastBytes(p, b.max)...)
	if len(b.buf) > 2*b.max {
		b.buf = append(b.buf[:0], lastBytes(b.buf, b.max)...)
	}
	return len(p), nil
}

func (b *tailBuffer) String() string {
	if b.cut {
		rest := lastBytes(b.buf, b.max-len(cutMark))
		for len(rest) > 0 && !utf8.RuneStart(rest[0]) {
			rest = rest[1:]
		}
		return cutMark + string(rest)
	}
	return string(b.buf)
}

func lastBytes[T ~string | ~[]byte](p T, n int) T {
	if len(p) > n {
		return p[len(p)-n:]
	}
	return p
}

// processesThatFit is how many helm processes the memory available now can hold, at least 64.
func processesThatFit() int {
	available := 0
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		for _, line := range strings.Split(string(text), "\n") {
			if f := strings.Fields(line); len(f) == 3 && f[0] == "MemAvailable:" {
				available, _ = strconv.Atoi(f[1])
				available <<= 10
			}
		}
	}
	if text, err := os.ReadFile("/sys/fs/cgroup/memory.max"); err == nil {
		if limit, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && (available == 0 || limit < available) {
			available = limit
		}
	}
	return max(64, available/processMemory)
}
