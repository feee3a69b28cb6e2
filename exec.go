package helmexec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/sut-bench/helmexec/internal/argument"
	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/fetch"
	"github.com/sut-bench/helmexec/internal/helmtext"
	"github.com/sut-bench/helmexec/internal/process"
	"github.com/sut-bench/helmexec/internal/redact"
)

const (
	// maxStdout is how much one command may print. The largest regular output is the manifest of a
	// chart, and Kubernetes itself refuses a release record over 1 MiB.
	maxStdout = 64 << 20
	// maxFiltered is how much of it is kept for a caller who needs little of it.
	maxFiltered = 1 << 20
	// maxStderr is how much of the end of stderr is kept. Helm prints the reason last.
	maxStderr = 32 << 10
	// maxLog is the same for a helm that also writes its log there.
	maxLog = 1 << 20
	// processMemory is what one helm process needs before it does anything.
	processMemory = 75 << 20
	// placePatience is how long a helm that computes waits for others on this host that do. So long a chart that takes
	// much to render can hold up other jobs.
	placePatience = 5 * time.Second
)

// invocation is one helm process: its input, and how its output is handled.
type invocation struct {
	args    []string   // after the binary; every positional behind "--"
	cluster bool       // it talks to the caller's cluster, and gets what a log-in there needs
	env     []string   // over the environment of every such call
	stdin   []byte     // for "-f -" and "--password-stdin"; nil is an empty stdin
	secrets []string   // kept out of logs and errors
	inherit []*os.File // open in helm as descriptor 3 and up

	limits *processLimits // for a helm that fetches or renders; nil for one that gets nothing from outside
	// atMost is how long it may take from its start (0 is no limit), and late the error after that.
	atMost time.Duration
	late   error
	stderr *string // set to the end of stderr if helm succeeds, as helm wrote it: not for logs and errors
	// filter is what stdout passes through before it is kept, at most maxFiltered bytes; nil keeps it as it is.
	filter func(io.Writer) io.Writer
	// hears, if not nil, gets each line of helm's log, which helm writes with --debug, while helm runs. Errors are
	// without the log, but have the reason why objects were not deleted, which is only there.
	hears  func(line string)
	starts func() // called when helm is about to start, after the wait for its turn
	// races says that another helm does the same: who comes second finds no release, which is no fault.
	races bool
	// patience is how long it may wait for its turn, 0 is as long as its context; then the error is errNoPlace.
	patience time.Duration
	// subject replaces the first positional in errors, if that is a name that we made up.
	subject string
	task    string       // what helm runs for, in words: replaces its command in errors, if that is ours and not the caller's
	via     *fetch.Relay // between helm and a repository
	login   fetch.Login  // how the credentials for its source are used

	// mutates marks a command that changes the cluster. It is not killed for its output: what
	// exceeds the cap is dropped, and the process goes on.
	mutates bool
	// waits marks a command that may wait for pods for as long as its caller lets it.
	waits bool
	// computes marks a command that waits for nothing.
	computes bool
	// reports marks a command that prints its failure on stdout.
	reports bool
	// lacks says what is missing from what a helm that succeeded has fetched, "" for nothing: that is a failure.
	lacks func(stdout, stderr string) string
	// fetchedTo is the file or folder in which helm leaves what it fetches.
	fetchedTo string
}

// source reports whether helm contacts a source of charts and renders no chart.
func (inv invocation) source() bool {
	return slices.Contains([]string{"repo", "pull", "push", "registry", "dependency"}, inv.args[0])
}

// redactor makes helm's output safe for logs and errors.
func (inv invocation) redactor() func(string) string {
	without := redact.Redactor(inv.secrets)
	return func(s string) string { return redact.Printable(without(inv.via.Speak(s))) }
}

// shown are the arguments as logs and errors show them.
func (inv invocation) shown(safe func(string) string) []string {
	all := make([]string, len(inv.args))
	for i, a := range inv.args {
		if strings.HasPrefix(a, "--username=") {
			a = "--username=***" // it may be a token
		}
		all[i] = redact.Abridged(safe(a))
	}
	return all
}

// run runs every helm process and returns its stdout. If the process was started, the error is an
// *Error.
func (h *Helm) run(ctx context.Context, inv invocation) (out []byte, err error) {
	if ctx.Err() != nil {
		return nil, contextError(ctx)
	}
	if err := argument.Line(inv.args); err != nil {
		return nil, err
	}
	if err := h.home.CheckAccess(); err != nil {
		return nil, err
	}
	if err := h.enforced(ctx, inv.args[0]); err != nil {
		return nil, err
	}
	login, given := h.login, inv.secrets
	if inv.cluster {
		inv.secrets = slices.Concat(given, login.secrets)
	}
	safe := inv.redactor()
	shown := inv.shown(safe)
	seen := h.enterProcess(ctx, inv, shown)
	defer seen.end(&err)
	release, err := h.acquire(ctx, inv.waits, inv.patience)
	if err != nil {
		return nil, err
	}
	defer release()
	if inv.computes {
		defer h.home.Place(ctx, placesToCompute(), placePatience)()
		if ctx.Err() != nil {
			return nil, contextError(ctx)
		}
	}
	if inv.cluster {
		// Only now: the wait for a turn may have taken longer than a token is valid.
		if login, err = login.renewed(ctx); err != nil {
			return nil, err
		}
		inv.secrets = slices.Concat(given, login.secrets)
		safe = inv.redactor()
	}
	seen.starts()
	if inv.starts != nil {
		inv.starts()
	}

	c, done, err := h.command(inv, login, shown)
	if err != nil {
		return nil, err
	}
	defer done()
	result := h.host.run(ctx, c)
	var failure *Error
	lacks := ""
	if result.Err == nil && inv.lacks != nil {
		if lacks = inv.lacks(string(result.Stdout), result.Stderr); lacks != "" {
			result.Stderr += "\nError: " + lacks
		}
	}
	if result.Err != nil || lacks != "" {
		failure = inv.failure(ctx, result, shown, safe)
	}
	seen.ran(result)
	if failure != nil {
		return result.Stdout, failure
	}
	if inv.stderr != nil {
		*inv.stderr = result.Stderr
	}
	return result.Stdout, nil
}

// command is what starts helm. done removes the files that were made for it.
func (h *Helm) command(inv invocation, login login, shown []string) (c process.Command, done func(), err error) {
	env, arguments, done := h.env.local, inv.args, func() {}
	if inv.cluster {
		env = slices.Concat(h.env.cluster, login.token)
		if arguments, done, err = login.file(h.home.Path("tmp"), arguments); err != nil {
			return c, nil, err
		}
	}
	c = process.Command{
		Path: h.binary, Args: arguments, Env: slices.Concat(env, inv.env), Inherit: inv.inherit,
		Grace: h.cfg.GracePeriod, AtMost: inv.atMost, Late: inv.late,
		MaxStdout: h.maxStdout, MaxStderr: maxStderr, CutMark: helmtext.CutMark,
	}
	kind, limit := ErrOutputTooLarge, ""
	if inv.limits != nil {
		c.Limits = &inv.limits.Limits
		if inv.limits.output > 0 {
			c.MaxStdout = int(min(inv.limits.output, math.MaxInt))
			kind, limit = ErrRenderTooLarge, " (Limits.RenderOutput)"
		}
	}
	if inv.filter != nil {
		c.Filter, c.MaxStdout = inv.filter, min(c.MaxStdout, maxFiltered)
	}
	if !inv.mutates {
		c.OverStdout = fmt.Errorf("%w: helm %s printed more than %d MiB%s", kind, shown[0], c.MaxStdout>>20, limit)
	}
	if inv.hears != nil {
		c.MaxStderr, c.Hear = maxLog, byLine(inv.hears)
	}
	if inv.stdin != nil {
		in, closed, err := process.Input(inv.stdin, h.home.Path("tmp"))
		if err != nil {
			done()
			return c, nil, err
		}
		before := done
		c.Stdin, done = in, func() { closed(); before() }
	}
	return c, done, nil
}

// failure makes the error of a failed helm from its output and how it ended.
func (inv invocation) failure(ctx context.Context, result process.Result, shown []string, safe func(string) string) *Error {
	e := &Error{
		Args: shown, ExitCode: result.ExitCode, Signal: result.Signal,
		Stderr: safe(result.Stderr), subject: redact.Abridged(safe(inv.subject)), task: redact.Abridged(safe(inv.task)),
	}
	if inv.hears != nil {
		e.Stderr = helmtext.WithoutLog(e.Stderr, maxStderr)
	}
	if inv.reports {
		// Placed after stderr, because the reason follows the last "Error:".
		printed := result.Stdout[max(0, len(result.Stdout)-maxStderr):]
		e.Stderr = strings.TrimSpace(e.Stderr) + "\n" + strings.TrimSpace(safe(string(printed)))
	}
	switch {
	case result.Exceeded != nil:
		e.cause = result.Exceeded
	case result.Stopped:
		// We ended it, so the end of the context is the cause, not helm's message.
		e.cause = contextError(ctx)
	case result.Signal != "":
		e.transient = true // what it printed before is not its last word
	default:
		e.kind, e.transient = helmtext.KindOf(e.Stderr, inv.source())
		if result.ExitCode <= 0 {
			e.cause = result.Err
		}
	}
	if e.cause == nil && e.Signal == "" {
		e.advice = helmtext.Advice(helmtext.Failure{
			Args: inv.args, Stderr: e.Stderr, Kind: e.kind, Subject: inv.subject,
			CredentialsGiven: inv.login == fetch.LoginGiven, CredentialsWithheld: inv.login == fetch.LoginWithheld, RedirectedAway: inv.via.LedAway(),
		})
	}
	return e
}

// contextError is the end of ctx as an error; it says that the caller's context has ended unless we ended this one.
func contextError(ctx context.Context) error {
	if cause := context.Cause(ctx); isHopeless(cause) {
		return cause
	}
	return errdef.ContextError(ctx)
}

// args collects flags in a fixed order, each as one word, so that no value is read as a flag.
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

// placesToCompute is how many helms that compute run at once on this host, as long as nobody loses patience.
func placesToCompute() int { return 2 * runtime.NumCPU() }

// processesThatFit is how many helm processes the memory available now can hold, at least 64.
func processesThatFit() int { return max(64, int(process.AvailableMemory()/processMemory)) }

// sources runs helm for package fetch.
type sources struct{ h *Helm }

// Fetch implements fetch.Helm.
func (s sources) Fetch(ctx context.Context, call fetch.Call) (out []byte, err error) {
	h := s.h
	inv := invocation{
		args: call.Args, env: call.Env, stdin: call.Stdin, secrets: call.Secrets, subject: call.Subject,
		via: call.Via, login: call.Login, reports: call.Reports, stderr: call.Stderr, lacks: call.Lacks, fetchedTo: call.FetchedTo,
	}
	if call.Args[0] == "repo" && call.Subject != "" {
		inv.task = "repository " + call.Subject // who fetches a chart has called no "repo add" or "repo update"
	}
	if call.Dir == "" {
		return h.run(ctx, inv)
	}
	if call.Args[0] == "pull" {
		note(ctx, func(s *Span) { s.Cache = CacheMiss })
	}
	inv.limits = h.fetchingInto(call.Dir, call.MaxBytes)
	inv.atMost, inv.late = h.cfg.Limits.Time, fmt.Errorf("%w: over %v", ErrFetchTimeout, h.cfg.Limits.Time)
	err = h.retry(ctx, func(ctx context.Context) error {
		out, err = h.run(ctx, inv)
		return err
	})
	// A server can fail in many ways, so every other failure counts as one, unless helm could not
	// write locally.
	if e := (*Error)(nil); errors.As(err, &e) && e.kind == nil && e.cause == nil && e.Signal == "" && !helmtext.LocalFault(e.Stderr) {
		e.kind = call.Kind
	}
	return out, err
}

// UpdateFlags implements fetch.Helm.
func (s sources) UpdateFlags(ctx context.Context) ([]string, error) {
	d, err := s.h.dialect(ctx)
	return d.UpdateFails, err
}

// Retry says how a call is repeated after a failure that may pass. The zero value is three tries,
// one second apart.
type Retry struct {
	// Tries is how often a call is made in all; 1 means no retry.
	Tries int
	// BackOff makes the pauses between the tries of one call. Its MaxElapsedTime, if it has one,
	// ends the tries too.
	BackOff func() backoff.BackOff
	// Retryable decides which failures are worth another try. Default is IsTransient.
	Retryable func(error) bool
}

func (r Retry) withDefaults() Retry {
	if r.Tries == 0 {
		r.Tries = 3
	}
	if r.BackOff == nil {
		r.BackOff = func() backoff.BackOff { return backoff.NewConstantBackOff(time.Second) }
	}
	if r.Retryable == nil {
		r.Retryable = IsTransient
	}
	return r
}

// IsTransient reports whether the call that gave err may succeed if it is repeated: helm met a
// network or server fault that may pass, or was ended by a signal that this package did not send.
// The end of the caller's own context is not transient.
func IsTransient(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.transient && e.cause == nil
}

// retryable reports whether a failure is worth another try. A chart that takes too much to render takes as much next
// time, whatever Retry says.
func (h *Helm) retryable(err error) bool {
	return !errors.Is(err, ErrRenderTooLarge) && !errors.Is(err, ErrRenderTimeout) && h.cfg.Retry.Retryable(err)
}

// retry calls op until it succeeds, fails for good, the tries are used up or ctx ends. If the
// context ends between two tries, its error is joined with the last real error. The context of op says which try it is.
func (h *Helm) retry(ctx context.Context, op func(context.Context) error) error {
	var last error
	try := 0
	pauses := backoff.WithContext(backoff.WithMaxRetries(h.cfg.Retry.BackOff(), uint64(h.cfg.Retry.Tries-1)), ctx)
	err := backoff.Retry(func() error {
		try++
		last = op(withTry(ctx, try))
		if last != nil && !h.retryable(last) {
			return backoff.Permanent(last)
		}
		return last
	}, pauses)
	if err != nil {
		return lastError(ctx, last)
	}
	return nil
}

// lastError joins the end of ctx, if that ended the tries, with the last real error.
func lastError(ctx context.Context, last error) error {
	if ctx.Err() == nil || errors.Is(last, context.Canceled) || errors.Is(last, context.DeadlineExceeded) {
		return last
	}
	return fmt.Errorf("%w; the last try failed: %w", contextError(ctx), last)
}

// tries counts the tries of one call.
type tries struct {
	nth   int // of the one under way, from 1
	left  int
	pause backoff.BackOff
}

func (h *Helm) tries() *tries {
	return &tries{nth: 1, left: h.cfg.Retry.Tries, pause: h.cfg.Retry.BackOff()}
}

// another pauses and reports whether there is another try.
func (t *tries) another(ctx context.Context) bool {
	t.nth, t.left = t.nth+1, t.left-1
	d := t.pause.NextBackOff()
	return t.left > 0 && d != backoff.Stop && sleep(ctx, d)
}

// sleep reports whether d passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
