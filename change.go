package helmexec

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"syscall"
	"time"

	"github.com/sut-bench/helmexec/internal/helmtext"
)

// change carries one install or upgrade through its tries.
type change struct {
	h     *Helm
	op    *operation
	opts  InstallOptions
	chart *Chart
	stdin []byte
	args  func(InstallOptions) args // without labels and positionals
	table *settlement
	taken error // the kind of nextTaken
	tries *tries

	latest  int       // the latest revision seen, once looked
	looked  bool      // latest is known
	before  record    // of that revision the labels, and when the release was installed
	ended   bool      // the caller's context has ended
	until   time.Time // on the record of the last try: when it is over
	open    bool      // a try may have made something that no later look has seen
	openErr error     // of the last such try
	silent  bool      // the try succeeded and printed nothing, which no helm does
	printed *record   // what the try printed when it succeeded, if that is what is recorded; otherwise nil
	again   bool      // a try was repeated because helm could not see what it had made
	// historyOnly: an upgrade finds its release uninstalled, with its history kept.
	historyOnly bool
	failed      struct {
		updated string    // of the record that was found failed
		since   time.Time // when it was first found so
	}
	left   []Remain // what earlier clean-ups left by design
	beside []Remain // what helm makes outside the release and never removes: CRDs, the namespace
	// base is the revision that a plan to upgrade was made over; 0 for none.
	base int
	// charts are those of the plan that is applied; nil for none. plan, if it is left to make, makes it.
	charts *literals
	plan   func(context.Context) error
	made   bool // a try may have made objects of the plan

	panicked string // what Progress panicked with, and where
	// clear removes what blocks a further try.
	clear func(context.Context, *record) error
	// giveUp ends a change that was recorded and failed for good.
	giveUp func(context.Context, tried, *record, error) error
}

// carryOut tries until the outcome of the change is settled.
func (c *change) carryOut(ctx context.Context) (*Release, error) {
	defer func() {
		if c.panicked != "" {
			panic(c.panicked)
		}
	}()
	c.tries = c.h.tries()
	for {
		// A record carries the time by which its helm has ended, so every change needs a time limit. The time
		// on the record is that of one try: before it, waiting for a helm elsewhere may take as long.
		longest := c.longest()
		limited, free := context.WithTimeoutCause(ctx, longest, fmt.Errorf("%w: over %v", errOverlong, longest))
		err := c.try(withTry(limited, c.tries.nth))
		c.ended = limited.Err() != nil
		free()
		// The grace period begins here: a helm that had to be killed has used up its own.
		later, cancel := c.cleanUpContext(ctx)
		o := c.observe(later, err)
		next := c.table[o.how][o.found]
		if next == nextWait {
			cancel()
			next = c.awaitOthers(ctx, &o)
			later, cancel = c.cleanUpContext(ctx)
		}
		rel, again, err := c.act(ctx, later, c.decide(later, next, &o), &o)
		cancel()
		if !again {
			return rel, err
		}
	}
}

// longest is the time limit of one try, and of waiting for somebody else's.
func (c *change) longest() time.Duration { return time.Hour + 4*c.opts.Timeout }

// cleanUpContext ends with the grace period after ctx, and by the time that the record names: after it,
// another host may take the release over.
func (c *change) cleanUpContext(ctx context.Context) (context.Context, context.CancelFunc) {
	left := c.until.Sub(c.h.host.now())
	if left <= 0 {
		left = c.longest() // others were waited for since
	}
	later, cancel := graceContext(ctx, c.h.cfg.GracePeriod)
	later, free := context.WithTimeoutCause(later, left, fmt.Errorf("%w: over %v", errOverlong, left))
	return later, func() { free(); cancel() }
}

// observe reads how a try ended and what is recorded.
func (c *change) observe(ctx context.Context, err error) observation {
	o := observation{err: err, how: c.h.howItEnded(err)}
	wasOpen := c.open
	// Helm contacts the cluster before it does anything.
	if !errors.Is(err, ErrClusterUnreachable) && o.how != triedTaken {
		c.open, c.openErr = true, err
	}
	if c.printed != nil {
		o.found, o.rec = foundDeployed, c.printed
		return o
	}
	if c.open || o.how == triedTaken {
		o.found, o.rec, o.lookErr = c.lookUp(ctx)
	}
	if c.silent && errors.Is(o.lookErr, errSilent) {
		// A lost record is another thing: then a helm says that there is no release.
		o.found, o.rec, o.lookErr = foundDeployed, unseen(c.op.target, c.op.release, c.chart), nil
	}
	if o.found == foundUnknown && o.how == triedRefused && !wasOpen && recordedNothing(err) {
		o.found = foundNothing // without rights to read records, only helm can report that
	}
	if o.how == triedNotReady && o.found == foundFailed && !c.again && !c.opts.KeepFailed && c.tries.left > 1 && c.ready(ctx, err) {
		o.how, c.again = triedLost, true
	}
	return o
}

// awaitOthers looks until a helm that may live has ended. It answers nextWait if the caller's context ended
// before that, or the time was over by which every such helm has ended.
func (c *change) awaitOthers(ctx context.Context, o *observation) next {
	next := nextWait
	end := c.h.host.now().Add(c.longest())
	for pause := time.Second; next == nextWait; pause = min(2*pause, maxPause) {
		if o.rec != nil {
			until, err := strconv.ParseInt(o.rec.labels()[labelUntil], 10, 64)
			if t := time.Unix(until, 0).Add(time.Minute); err == nil && t.After(end) {
				end = t
			}
		}
		if c.h.host.now().After(end) || !sleep(ctx, pause) {
			return nextWait
		}
		if o.found, o.rec, o.lookErr = c.lookUp(ctx); o.found != foundUnknown {
			next = c.table[o.how][o.found]
		}
	}
	return next
}

// decide says what to do next, after what a killed helm had sent has arrived.
func (c *change) decide(later context.Context, next next, o *observation) next {
	c.open = c.open && o.found == foundUnknown
	last := next == nextFail || next == nextAgain && c.tries.left == 1
	if last && c.nothingNew(o.found) && killed(o.err) {
		c.lookForLate(later, o)
		if o.late = c.nothingNew(o.found); !o.late {
			next = c.table[o.how][o.found]
		}
	}
	return next
}

// act does it. again means that another try is needed.
func (c *change) act(ctx, later context.Context, next next, o *observation) (rel *Release, again bool, err error) {
	switch next {
	case nextDone:
		rel := o.rec.release()
		rel.Recovered = o.err != nil
		note(ctx, func(s *Span) { s.Recovered = rel.Recovered })
		return rel, false, nil
	case nextWait:
		why := o.lookErr
		if ctx.Err() != nil {
			why = contextError(ctx)
		}
		return nil, false, c.failure(ErrReleaseBusy, o.rec, errors.Join(why, o.err))
	case nextTaken:
		taken := c.failure(c.taken, o.rec, o.err)
		if c.taken == ErrReleaseExists {
			taken.JobID = o.rec.labels()[labelJob]
		}
		return nil, false, c.withRemains(later, taken)
	case nextGone:
		return nil, false, c.gone(later, o.err)
	case nextAgain:
		if err := c.stale(o.found, o.rec); err != nil {
			return nil, false, err
		}
		c.made = c.made || !c.nothingNew(o.found)
	case nextClearFail:
		return nil, false, c.giveUp(later, o.how, o.rec, o.err)
	case nextClearAgain:
		switch clearErr := c.clear(later, o.rec); {
		case clearErr == errRemovedByAnother:
			return nil, false, c.gone(later, errors.Join(o.err, clearErr))
		case clearErr != nil:
			return nil, false, c.leftBehind(later, o.rec, errors.Join(o.err, clearErr))
		}
		c.made = true // what goes slowly may still be there
		o.found, o.rec = foundNothing, nil
	case nextFail:
		if o.how == triedTaken && o.lookErr != nil {
			// Who uses it would decide between success and ErrReleaseExists, so this is neither.
			o.err = fmt.Errorf("the name is in use, but it could not be found out by whom: %w", o.lookErr)
		}
		return nil, false, c.fail(later, o)
	}
	o.err = cmp.Or(o.err, ErrNotRecorded)
	if c.tries.another(ctx) {
		return nil, true, nil
	}
	o.err = lastError(ctx, o.err)
	if o.found == foundFailed {
		return nil, false, c.giveUp(later, o.how, o.rec, o.err)
	}
	if !o.late {
		o.rec = nil // the release is as it was before, or was removed
	}
	return nil, false, c.fail(later, o)
}

// fail ends a change that has nothing to remove, or nothing that is known.
func (c *change) fail(ctx context.Context, o *observation) error {
	switch {
	case c.open:
		return c.leftBehind(ctx, o.rec, errors.Join(o.err, o.lookErr))
	case o.late:
		return c.leftOnItsWay(ctx, o.rec, o.err)
	}
	return c.withRemains(ctx, c.failure(nil, o.rec, o.err))
}

// helmTimeout is helm's own default for --timeout.
const helmTimeout = 5 * time.Minute

// try runs helm once.
func (c *change) try(ctx context.Context) error {
	// If the runner is killed, nobody stops its helm: only helm's own timeout ends it, which
	// applies to each hook and to waiting. It is a little longer than what is left to ctx, so that the end of ctx is not
	// taken for objects that are not ready.
	end, _ := ctx.Deadline()
	timeout := min(cmp.Or(c.opts.Timeout, helmTimeout), max(end.Sub(c.h.host.now()), 0).Truncate(time.Second)+2*time.Second)
	until := c.h.host.now().Add(4 * timeout)
	if end.After(until) {
		until = end
	}
	if c.plan != nil {
		if err := c.plan(ctx); err != nil {
			return err
		}
		c.plan = nil
	}
	if c.charts != nil {
		ch, err := c.charts.of(ctx, c.made)
		if err != nil {
			return err
		}
		c.chart = ch
	}
	opts := c.opts
	if timeout != helmTimeout || opts.Timeout != 0 {
		opts.Timeout = timeout
	}
	a := c.args(opts)
	c.until = until.Add(4 * c.h.cfg.GracePeriod)
	labels := c.op.labels(opts, c.latest, c.until)
	a.str("--labels", joinLabels(labels))
	a.str("--output", "json")
	var said string
	limits, asNow := c.h.rendering(), *c
	limits.MoreCPUTime = asNow.recorded
	inv := invocation{args: a, cluster: true, stdin: c.stdin, limits: limits, mutates: true, waits: true, inherit: c.op.inherited(), filter: helmtext.WithoutContent, stderr: &said}
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	defer c.watch(ctx, giveUp)()
	inv.args = append(inv.args, "--", c.op.release, c.chart.Path)
	out, err := c.h.run(ctx, inv)
	c.silent, c.printed = err == nil && len(out) == 0, nil
	if err == nil && ctx.Err() == nil {
		c.printed = c.asRecorded(ctx, out, said, labels)
	}
	return err
}

// recorded reports whether the running try has recorded the release; also true if that cannot be
// found out now.
func (c *change) recorded(ctx context.Context) bool {
	ctx = polling(ctx)
	rec, err := c.h.record(ctx, c.op.target, c.op.release, 0)
	if err == nil {
		rec, err = c.ours(ctx, rec)
	}
	if err != nil {
		return !errors.Is(err, ErrReleaseNotFound)
	}
	return rec != nil
}

// revision reads a revision, the latest if it is 0.
func (c *change) revision(ctx context.Context, revision int) (rec *record, err error) {
	err = c.h.retry(ctx, func(ctx context.Context) (err error) {
		rec, err = c.h.record(ctx, c.op.target, c.op.release, revision)
		return err
	})
	return rec, err
}

// lookUp finds what is recorded under the name, and who made it.
func (c *change) lookUp(ctx context.Context) (found, *record, error) {
	rec, err := c.revision(ctx, 0)
	switch {
	case errors.Is(err, ErrReleaseNotFound):
		c.looked, c.latest, c.before = true, 0, record{}
		return foundNothing, nil, nil
	case err != nil:
		return foundUnknown, nil, err
	}
	ours, err := c.ours(ctx, rec)
	if err != nil {
		return foundUnknown, nil, err
	}
	c.looked, c.latest, c.before = true, rec.Revision, record{Labels: rec.Labels, Installed: rec.Installed}
	if ours == nil {
		return foundForeign, rec, nil
	}
	now := c.h.host.now()
	if ours.Status == StatusFailed && c.failed.updated != ours.Updated {
		c.failed.updated, c.failed.since = ours.Updated, now
	}
	what := c.op.judge(ours.release(), now, c.failed.since)
	if ours.Revision != rec.Revision && what != foundDeployed {
		return foundForeign, rec, nil // it did not succeed, and others have changed the release since
	}
	return what, ours, nil
}

// ours finds the revision that this operation made, nil if there is none. Others may have made
// revisions before and after it, and those after an upgrade inherit its labels. The first look only
// follows the labels of the latest revision; later looks go back to the revision that was seen before. A revision of another
// job is not this operation's: UninstallJob would not find it.
func (c *change) ours(ctx context.Context, latest *record) (*record, error) {
	rec := latest
	for {
		labels := rec.labels()
		mine := labels[c.op.label] == c.op.id && (c.op.plan == "" || labels[labelPlan] == c.op.plan) && c.op.isOfJob(rec)
		switch {
		case mine && (c.op.label == labelInstall || rec.Revision <= 1 || labels[labelBase] == strconv.Itoa(rec.Revision-1)):
			return rec, nil
		case !mine && (c.op.label == labelInstall || !c.looked || rec.Revision-1 <= c.latest):
			return nil, nil
		}
		before, err := c.revision(ctx, rec.Revision-1)
		switch {
		case mine && (errors.Is(err, ErrReleaseNotFound) || err == nil && before.labels()[labelTry] != labels[labelTry]):
			return rec, nil
		case errors.Is(err, ErrReleaseNotFound):
			return nil, nil // no longer in the history
		case err != nil:
			return nil, err
		}
		rec = before
	}
}

// nothingNew reports whether what is found is as it was before the try.
func (c *change) nothingNew(found found) bool {
	return found == foundNothing || found == foundForeign && c.op.label == labelUpgrade
}

// killed reports whether helm ended without a last message. A helm that was over a limit was still
// rendering, and had sent nothing.
func killed(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Signal == syscall.SIGKILL.String() && !errors.Is(err, ErrRenderFailed)
}

// lookForLate uses part of the grace period to look for the record that a killed helm had sent: a
// proxy or the network may deliver it later.
func (c *change) lookForLate(ctx context.Context, o *observation) {
	ctx, cancel := context.WithTimeout(ctx, c.h.cfg.GracePeriod/2)
	defer cancel()
	for pause := 100 * time.Millisecond; c.nothingNew(o.found) && sleep(ctx, pause); pause = min(2*pause, time.Second) {
		found, rec, err := c.lookUp(ctx)
		if o.lookErr = err; found != foundUnknown {
			o.found, o.rec = found, rec
		}
	}
}

// ready reports whether everything is ready although the try said otherwise: a helm whose
// connection went silent waits to the end of its time for objects that it cannot see.
func (c *change) ready(ctx context.Context, tried error) bool {
	var e *Error
	if !errors.As(tried, &e) || !helmtext.SawNothing(e.Stderr) {
		return false
	}
	seen, err := c.h.liveObjects(ctx, c.op.target, c.op.release, 0, nil)
	p := progressOf(seen.objects)
	return err == nil && p.Total > 0 && p.Ready == p.Total && p.Blocker == nil
}
