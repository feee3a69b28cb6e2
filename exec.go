package helmexec

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/process"
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
	via     *relay // what stands between helm and a repository
	login   login  // what becomes of the credentials for the source that it asks

	// mutates marks a command that changes the cluster. Its output is not worth its life: what
	// exceeds the cap is dropped, and the process goes on.
	mutates bool
	// waits marks a command that may wait for pods for as long as its caller lets it.
	waits bool
	// reports marks a command that prints its failure on stdout.
	reports bool
}

// login tells whether a source of charts gets credentials.
type login int

const (
	loginNone     login = iota
	loginGiven          // it does
	loginWithheld       // there are some, and they are for another host
)

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
	return func(s string) string { return redact.Printable(without(inv.via.speak(s))) }
}

// run is the one way a helm process runs. It returns stdout. The error, when the process was
// started, is an *Error.
func (h *Helm) run(ctx context.Context, inv invocation) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, contextError(ctx)
	}
	if err := h.checkPlugins(); err != nil {
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

	c := process.Command{
		Path: h.binary, Args: inv.args, Env: slices.Concat(h.env, inv.env), Inherit: inv.inherit,
		Grace: h.cfg.GracePeriod, AtMost: inv.atMost, Late: inv.late,
		MaxStdout: h.maxStdout, MaxStderr: maxStderr, CutMark: cutMark,
	}
	kind, limit := ErrOutputTooLarge, ""
	if inv.limits != nil {
		c.Limits = &inv.limits.Limits
		if inv.limits.output > 0 {
			c.MaxStdout = int(min(inv.limits.output, math.MaxInt))
			kind, limit = ErrRenderTooLarge, " (Limits.RenderOutput)"
		}
	}
	if !inv.mutates {
		c.OverStdout = fmt.Errorf("%w: helm %s printed more than %d MiB%s", kind, shown[0], c.MaxStdout>>20, limit)
	}
	if inv.stdin != nil {
		in, done, err := h.inputFile(inv.stdin)
		if err != nil {
			return nil, err
		}
		defer done()
		c.Stdin = in
	}
	result := h.host.run(ctx, c)
	var failure *Error
	if result.Err != nil {
		failure = inv.failure(ctx, result, shown, safe)
	}
	h.log(ctx, shown, result.Took, result.ExitCode, failure)
	if failure != nil {
		return result.Stdout, failure
	}
	if inv.stderr != nil {
		*inv.stderr = safe(result.Stderr)
	}
	return result.Stdout, nil
}

// failure reads what a helm that failed said and how it ended.
func (inv invocation) failure(ctx context.Context, result process.Result, shown []string, safe func(string) string) *Error {
	e := &Error{
		Args: shown, ExitCode: result.ExitCode, Signal: result.Signal,
		Stderr: safe(result.Stderr), subject: redact.Abridged(safe(inv.subject)),
	}
	if inv.reports {
		// Behind what stderr says, for the reason is what follows the last "Error:".
		printed := result.Stdout[max(0, len(result.Stdout)-maxStderr):]
		e.Stderr = strings.TrimSpace(e.Stderr) + "\n" + strings.TrimSpace(safe(string(printed)))
	}
	switch {
	case result.Exceeded != nil:
		e.cause = result.Exceeded
	case result.Stopped:
		// We ended it, so the end of the context is the cause, not what helm said of it.
		e.cause = contextError(ctx)
	case result.Signal != "":
		e.transient = true // what it said until then is not its last word
	default:
		e.kind, e.transient = meaning(e.Stderr, inv.source())
		if result.ExitCode <= 0 {
			e.cause = result.Err
		}
	}
	e.advice = inv.advice(e)
	return e
}

// inputFile is what helm reads from stdin. A pipe would end with this process, and a helm that
// outlives it would take a part of the values, or none, for all. The file has no name any more where
// the system allows that.
func (h *Helm) inputFile(content []byte) (f *os.File, done func(), err error) {
	f, err = os.CreateTemp(filepath.Join(h.state, "tmp"), "stdin-")
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

func contextError(ctx context.Context) error { return errdef.ContextError(ctx) }

// cutMark stands for the beginning of a stderr of which only the end was kept.
const cutMark = "… "

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

// processesThatFit is how many helm processes the memory available now can hold, at least 64.
func processesThatFit() int { return max(64, int(process.AvailableMemory()/processMemory)) }
