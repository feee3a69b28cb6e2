package helmexec

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/sut-bench/helmexec/internal/helmtext"
	"github.com/sut-bench/helmexec/internal/process"
	"github.com/sut-bench/helmexec/internal/redact"
)

// Observer sees operations and helm processes begin and end, for traces, metrics and logs. An operation is the call of
// a method of Helm; operations and processes that work for another operation are below it. The module
// github.com/sut-bench/helmexec/otelhelm has an Observer for OpenTelemetry.
//
// Both methods are called by the goroutine that does the work, several at once. It waits for them, so a slow Observer makes
// everything slow, and nothing recovers its panics, which may come on a goroutine of this package and end the program.
type Observer interface {
	// Begin is called before anything is done, and before a process waits for its turn. It returns ctx, or a context
	// derived from it, which Begin then gets for everything below.
	Begin(ctx context.Context, s Span) context.Context
	// End is called once for each Begin, after everything below has ended, with the context that Begin returned. That may
	// have ended, but its values are there.
	End(ctx context.Context, s Span)
}

// Span is one operation, or one helm process below it. All texts are printable. Passwords, tokens and the user names in
// addresses are replaced, and this package puts no value of a chart into it; but a chart can quote its values in what helm
// says, which is in Err.
type Span struct {
	// Operation is the name of the method of Helm that was called, as "Install"; of a process, that of the operation that
	// it works for.
	Operation string
	// Process is what only a helm process has; nil for an operation.
	Process *Process

	// Release and Namespace are those of the call, the namespace of a release also from Config; "" where it names none.
	Release, Namespace string
	// JobID and OperationID are those of the call. Without an OperationID it is the random one, once there is one. A call
	// whose options have no JobID, such as Plan and Uninstall, can have it in its context, for End to read.
	JobID, OperationID string
	// Address is that of the chart, repository or registry, as the call was given it.
	Address string
	// Begun is when Begin was called.
	Begun time.Time

	// ChartName, ChartVersion and ChartDigest say which chart was found at the address, once that is known. The digest is
	// the "sha256:…" of its archive, "" for a folder.
	ChartName, ChartVersion, ChartDigest string

	// The rest is known at the end.

	// Duration is the time since Begun; of a process, with the time in the queue.
	Duration time.Duration
	// Err is the error that the call returned, or of a process an *Error, or why it was not started. ErrorKind gives it a
	// short name.
	Err error
	// Recovered is set if a release was found to be there, made by a try that seemed lost, or by an earlier call with
	// the same OperationID.
	Recovered bool
	// Cache says whether an operation had to do its work: of Fetch, whether the archive was in the cache of the home; of
	// Inspect, Chart2Images and Chart2GPUs, whether the render was remembered. "" if there was nothing to look up, as for
	// a chart in a folder.
	Cache CacheResult
	// FetchedBytes is the size of the archives and indexes that helm fetched, also of everything below an operation.
	FetchedBytes int64
}

// CacheResult is CacheHit, CacheMiss or "".
type CacheResult string

const (
	CacheHit  CacheResult = "hit"
	CacheMiss CacheResult = "miss"
)

// Process is what only the Span of a helm process has.
type Process struct {
	Path    string   // of the binary
	Args    []string // as in Error.Args; not to be changed
	Command string   // their first words, as "registry login"; the dry run of a Plan is an "install" or "upgrade" too
	// Try counts from 1. A try above 1 follows one that failed, of this command or of the step of its operation.
	Try int
	// Poll marks a look at a release while another helm changes it. The next look follows whatever it says.
	Poll bool

	// The rest is known at the end.

	// Queued is how long it waited for its turn (Config.MaxProcesses), Took how long it ran.
	Queued, Took time.Duration
	PID          int    // 0 if it was not started
	ExitCode     int    // -1 if a signal ended it, or it was not started
	Signal       string // that ended it, "" if it exited by itself
	// Expected marks a failure that is no fault, so that only the operation says whether all is well: of a poll, of a helm
	// that was ended because nobody needed it any more, and the answer that there is no such release.
	Expected bool
}

// ErrorKind is a short name for an error of this package, for metrics and traces: "" for nil; the name of the first
// variable that the error is, without Err, as "NotReady", where ErrLeftBehind comes first and those of a context last;
// "Canceled" and "DeadlineExceeded"; otherwise "Signal" or "HelmFailed" for an *Error, and "Other".
func ErrorKind(err error) string {
	if err == nil {
		return ""
	}
	for _, kind := range errorKinds {
		if errors.Is(err, kind.err) {
			return kind.name
		}
	}
	var e *Error
	switch {
	case !errors.As(err, &e):
		return "Other"
	case e.Signal != "":
		return "Signal"
	}
	return "HelmFailed"
}

// errorKinds has those first that are also others, or come with others that say less.
var errorKinds = []struct {
	name string
	err  error
}{
	{"LeftBehind", ErrLeftBehind}, {"NotGone", ErrNotGone}, {"ReleaseExists", ErrReleaseExists}, {"ReleaseBusy", ErrReleaseBusy},
	{"NotReady", ErrNotReady}, {"TestFailed", ErrTestFailed}, {"NotRecorded", ErrNotRecorded}, {"PlanStale", ErrPlanStale}, {"BadPlan", ErrBadPlan},
	{"RenderTooLarge", ErrRenderTooLarge}, {"RenderTimeout", ErrRenderTimeout}, {"RenderFailed", ErrRenderFailed},
	{"LintFailed", ErrLintFailed}, {"DigestMismatch", ErrDigestMismatch}, {"FetchTimeout", ErrFetchTimeout}, {"OutputTooLarge", ErrOutputTooLarge},
	{"BadManifest", ErrBadManifest}, {"Unverified", ErrUnverified}, {"BadChart", ErrBadChart}, {"Unauthorized", ErrUnauthorized}, {"Forbidden", ErrForbidden},
	{"ChartNotFound", ErrChartNotFound}, {"RepoNotFound", ErrRepoNotFound}, {"ReleaseNotFound", ErrReleaseNotFound}, {"NamespaceNotFound", ErrNamespaceNotFound},
	{"ClusterUnreachable", ErrClusterUnreachable}, {"HelmNotFound", ErrHelmNotFound}, {"UnsupportedVersion", ErrUnsupportedVersion}, {"InvalidArgument", ErrInvalidArgument},
	{"Canceled", context.Canceled}, {"DeadlineExceeded", context.DeadlineExceeded},
}

// observers are told in turn, and the last of Begin is the first of End.
type observers []Observer

// observersOf is what observes a Helm, nil for nothing.
func observersOf(cfg Config) Observer {
	var all observers
	if cfg.Observer != nil {
		all = append(all, cfg.Observer)
	}
	if cfg.Logger != nil {
		all = append(all, logObserver{cfg.Logger})
	}
	switch len(all) {
	case 0:
		return nil
	case 1:
		return all[0]
	}
	return all
}

func (all observers) Begin(ctx context.Context, s Span) context.Context {
	for _, o := range all {
		ctx = o.Begin(ctx, s)
	}
	return ctx
}

func (all observers) End(ctx context.Context, s Span) {
	for i := len(all) - 1; i >= 0; i-- {
		all[i].End(ctx, s)
	}
}

// logObserver writes the lines of Config.Logger.
type logObserver struct{ log *slog.Logger }

func (logObserver) Begin(ctx context.Context, _ Span) context.Context { return ctx }

func (o logObserver) End(ctx context.Context, s Span) {
	p := s.Process
	if p == nil {
		return
	}
	attrs := []slog.Attr{
		slog.Any("args", p.Args), slog.Duration("duration", p.Took.Round(time.Microsecond)), slog.Int("exit", p.ExitCode),
	}
	level := slog.LevelInfo
	if s.Err != nil {
		if !p.Expected {
			level = slog.LevelWarn
		}
		why := s.Err.Error()
		if e := (*Error)(nil); errors.As(s.Err, &e) {
			why = e.why()
		}
		attrs = append(attrs, slog.String("error", why))
	}
	o.log.LogAttrs(ctx, level, "helm", attrs...)
}

// observedOperation is an operation under way. All its methods do nothing if nobody observes.
type observedOperation struct {
	caller context.Context // while it lasts, whatever ends is ended by this package
	above  *observedOperation

	mu   sync.Mutex
	span Span // guarded by mu
}

// scope is what a context says of what runs with it.
type scope struct {
	in   *observedOperation // nil if nobody observes
	try  int
	poll bool
}

type scopeKey struct{}

func scopeOf(ctx context.Context) scope {
	s, _ := ctx.Value(scopeKey{}).(scope)
	return s
}

// withTry says which try it is that runs with the context.
func withTry(ctx context.Context, try int) context.Context {
	s := scopeOf(ctx)
	if s.in == nil || s.try == try {
		return ctx
	}
	s.try = try
	return context.WithValue(ctx, scopeKey{}, s)
}

// polling says that what runs with the context looks while another helm is at work.
func polling(ctx context.Context) context.Context {
	s := scopeOf(ctx)
	if s.in == nil || s.poll {
		return ctx
	}
	s.poll = true
	return context.WithValue(ctx, scopeKey{}, s)
}

// note adds to the span of the operation of a context.
func note(ctx context.Context, add func(*Span)) { scopeOf(ctx).in.note(add) }

func (o *observedOperation) note(add func(*Span)) {
	if o != nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		add(&o.span)
	}
}

// now is a copy of the span.
func (o *observedOperation) now() (s Span) {
	o.note(func(span *Span) { s = *span })
	return s
}

// noteChart says which chart an operation is about, and those above it.
func noteChart(ctx context.Context, ch *Chart) {
	set := func(s *Span) {
		if s.ChartName == "" {
			s.ChartName, s.ChartVersion, s.ChartDigest = redact.Abridged(ch.Metadata.Name), redact.Abridged(ch.Metadata.Version), ch.Digest
		}
	}
	for o := scopeOf(ctx).in; o != nil; o = o.above {
		o.note(set)
	}
}

// noteFetched counts what was fetched for an operation and those above it.
func noteFetched(ctx context.Context, bytes int64) {
	for o := scopeOf(ctx).in; o != nil; o = o.above {
		o.note(func(s *Span) { s.FetchedBytes += bytes })
	}
}

// enter begins an operation. The caller ends it with its error.
func (h *Helm) enter(ctx context.Context, s Span) (context.Context, func(*error)) {
	if h.slots == nil {
		panic("helmexec: this Helm was not made by New") // it would wait for ever for a place
	}
	if h.observer == nil {
		return ctx, func(*error) {}
	}
	above := scopeOf(ctx).in
	if s.Address != "" {
		s.Address = redact.Abridged(redact.Address(s.Address))
	}
	for _, text := range []*string{&s.Release, &s.Namespace, &s.JobID, &s.OperationID} {
		*text = redact.Abridged(*text)
	}
	s.inherit(above.now())
	if s.Release != "" {
		s.Namespace = cmp.Or(s.Namespace, h.cfg.Namespace)
	}
	s.Begun = h.host.now()
	o := &observedOperation{caller: ctx, above: above, span: s}
	if above != nil {
		o.caller = above.caller
	}
	within := scopeOf(ctx)
	within.in, within.try = o, max(within.try, 1)
	own := h.observer.Begin(ctx, s)
	return context.WithValue(own, scopeKey{}, within), func(err *error) {
		o.note(func(s *Span) { s.Duration, s.Err = h.host.now().Sub(s.Begun), *err })
		h.observer.End(own, o.now())
	}
}

// inherit fills what a span leaves open from the operation above it.
func (s *Span) inherit(above Span) {
	s.Release, s.Namespace = cmp.Or(s.Release, above.Release), cmp.Or(s.Namespace, above.Namespace)
	s.JobID, s.OperationID = cmp.Or(s.JobID, above.JobID), cmp.Or(s.OperationID, above.OperationID)
}

// observedProcess is a helm process under way; nil if nobody observes.
type observedProcess struct {
	h       *Helm
	inv     invocation
	ctx     context.Context // of the process
	own     context.Context // of its observer
	scope   scope
	span    Span
	started bool
}

// enterProcess begins a process, with the arguments to show. The caller ends it.
func (h *Helm) enterProcess(ctx context.Context, inv invocation, shown []string) *observedProcess {
	if h.observer == nil {
		return nil
	}
	p := &observedProcess{h: h, inv: inv, ctx: ctx, scope: scopeOf(ctx)}
	p.span = p.scope.in.now()
	p.span.Cache, p.span.FetchedBytes, p.span.Recovered = "", 0, false // of the operation alone
	p.span.Begun = h.host.now()
	p.span.Process = &Process{Path: h.binary, Args: shown, Command: strings.Join(commandOf(shown), " "), Try: max(p.scope.try, 1), Poll: p.scope.poll}
	p.own = h.observer.Begin(ctx, p.span)
	ended := *p.span.Process // the observer may keep the one that it got
	ended.ExitCode = -1
	p.span.Process = &ended
	return p
}

// starts says that its time in the queue is over.
func (p *observedProcess) starts() {
	if p != nil {
		p.started, p.span.Process.Queued = true, p.h.host.now().Sub(p.span.Begun)
	}
}

// ran says how it ended.
func (p *observedProcess) ran(r process.Result) {
	if p != nil {
		s := p.span.Process
		s.Took, s.PID, s.ExitCode, s.Signal = r.Took, r.PID, r.ExitCode, r.Signal
	}
}

func (p *observedProcess) end(err *error) {
	if p == nil {
		return
	}
	p.span.Duration, p.span.Err = p.h.host.now().Sub(p.span.Begun), *err
	switch {
	case !p.started:
		p.span.Process.Queued = p.span.Duration
	case *err == nil && p.inv.fetchedTo != "":
		p.span.FetchedBytes = sizeOf(p.inv.fetchedTo)
		noteFetched(p.ctx, p.span.FetchedBytes)
	}
	p.span.Process.Expected = *err != nil && p.expects(*err)
	p.h.observer.End(p.own, p.span)
}

// expects reports whether a failure is no fault.
func (p *observedProcess) expects(err error) bool {
	unneeded := p.scope.in != nil && p.scope.in.caller.Err() == nil && p.ctx.Err() != nil
	var e *Error
	if p.inv.races && (errors.Is(err, ErrReleaseNotFound) || errors.As(err, &e) && helmtext.PurgedByAnother(e.Stderr)) {
		return true
	}
	if p.inv.mutates {
		// It is ended for its time or by a rule of FailFast, too, and those are faults.
		why := context.Cause(p.ctx)
		return unneeded && errors.Is(p.ctx.Err(), context.Canceled) && !isHopeless(why) && !errors.Is(why, errTimeIsUp)
	}
	return p.scope.poll || unneeded || errors.Is(err, ErrReleaseNotFound)
}

// sizeOf is the size of a file, or of the files in a folder.
func sizeOf(path string) (size int64) {
	_ = filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				size += info.Size()
			}
		}
		return nil
	})
	return size
}
