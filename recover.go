package helmexec

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/sut-bench/helmexec/internal/helmtext"
)

// tried is how a try of an install or upgrade ended, as far as helm's own words tell.
type tried int

const (
	triedOK          tried = iota // exit 0
	triedTaken                    // the name is in use
	triedUnreachable              // the cluster did not answer before anything was done
	triedLost                     // the connection or the process was lost on the way
	triedNotReady                 // objects were made and waiting for them ended
	triedRefused                  // it failed for good
	triedStopped                  // the caller's context ended
)

// found is what is recorded afterwards under the name.
type found int

const (
	foundNothing  found = iota
	foundDeployed       // this operation's release, as wanted, or upgraded since
	foundFailed         // this operation's, failed
	foundDead           // this operation's, pending or being removed, by a helm that is dead
	foundLive           // this operation's, unfinished, by a helm on another host that may live
	foundForeign        // of another operation
	foundUnknown        // looking failed
)

// next is what follows from the two.
type next int

const (
	nextDone       next = iota // success
	nextAgain                  // another try
	nextClearAgain             // remove what is there, then another try
	nextClearFail              // say why, remove what is there, fail
	nextFail                   // fail; there is nothing to remove, or no telling
	nextTaken                  // fail: the name is another's
	nextWait                   // look again in a while
)

// settlement is the whole of recovery: what to do after a try, given how it ended and what is found.
//
// A deployed release of this operation is a success however the try ended. A live helm is always
// waited for, since changing the record below it orphans its objects. A release of somebody else
// is never touched.
type settlement [triedStopped + 1][foundUnknown + 1]next

var settleInstall = settlement{
	//                 nothing    deployed  failed          dead            live      foreign    unknown
	triedOK:          {nextAgain, nextDone, nextClearAgain, nextClearAgain, nextWait, nextTaken, nextFail},
	triedTaken:       {nextAgain, nextDone, nextClearAgain, nextClearAgain, nextWait, nextTaken, nextFail},
	triedUnreachable: {nextAgain, nextDone, nextClearAgain, nextClearAgain, nextWait, nextTaken, nextAgain},
	triedLost:        {nextAgain, nextDone, nextClearAgain, nextClearAgain, nextWait, nextTaken, nextAgain},
	triedNotReady:    {nextFail, nextDone, nextClearFail, nextClearFail, nextWait, nextTaken, nextFail},
	triedRefused:     {nextFail, nextDone, nextClearFail, nextClearFail, nextWait, nextFail, nextFail},
	triedStopped:     {nextFail, nextDone, nextClearFail, nextClearFail, nextFail, nextFail, nextFail},
}

// For an upgrade "foreign" is the release as it was before: the try recorded nothing. A failed
// revision does not block a further try, a pending one does.
var settleUpgrade = settlement{
	//                 nothing    deployed  failed         dead            live      foreign    unknown
	triedOK:          {nextAgain, nextDone, nextAgain, nextClearAgain, nextWait, nextAgain, nextFail},
	triedTaken:       {nextAgain, nextDone, nextAgain, nextClearAgain, nextWait, nextTaken, nextFail},
	triedUnreachable: {nextAgain, nextDone, nextAgain, nextClearAgain, nextWait, nextAgain, nextAgain},
	triedLost:        {nextAgain, nextDone, nextAgain, nextClearAgain, nextWait, nextAgain, nextAgain},
	triedNotReady:    {nextFail, nextDone, nextClearFail, nextClearFail, nextWait, nextFail, nextFail},
	triedRefused:     {nextFail, nextDone, nextClearFail, nextClearFail, nextWait, nextFail, nextFail},
	triedStopped:     {nextFail, nextDone, nextClearFail, nextClearFail, nextFail, nextFail, nextFail},
}

// change carries one install or upgrade through its tries.
type change struct {
	h        *Helm
	op       *operation
	opts     InstallOptions
	chart    *Chart
	stdin    []byte
	args     func(InstallOptions) args // without labels and positionals
	settle   *settlement
	taken    error     // the kind of nextTaken
	unseen   error     // of the try whose outcome could not be looked up
	revision int       // the latest one seen
	looked   bool      // revision is known
	ended    bool      // the caller's context has
	lastTry  bool      // there is no other after it
	until    time.Time // on the record of the last try: when it is over
	blind    bool      // a try was repeated because helm could not see what it had made
	failed   struct {
		updated string    // of the record that was found failed
		since   time.Time // when it was first found so
	}
	kept   []Remain // what clearing the way left by design
	beside []Remain // what helm makes beside the release and never removes: CRDs, the namespace
	// clear makes way for a further try.
	clear func(context.Context, *record) error
	// giveUp ends a change that was recorded and failed for good.
	giveUp func(context.Context, tried, *record, error) error
}

// carryOut tries until the change is settled.
func (c *change) carryOut(ctx context.Context) (*Release, error) {
	// A record carries the time by which the helm that wrote it has ended, so there is one.
	longest := time.Hour + 4*c.opts.Timeout
	ctx, cancel := context.WithTimeoutCause(ctx, longest, fmt.Errorf("%w: over %v", errOverlong, longest))
	defer cancel()
	tries := c.h.tries()
	var later context.Context
	cancel = func() {}
	defer func() { cancel() }()
	lost := false // a try may have made something that has not been seen since
	for {
		unknown := lost
		err := c.try(ctx)
		cancel()
		c.ended, c.lastTry = ctx.Err() != nil, tries.left == 1
		// Its time begins here: a helm that had to be killed has used up its own.
		later, cancel = graceContext(ctx, c.h.cfg.GracePeriod)
		how := c.h.howItEnded(err)
		// Helm asks for the cluster before it does anything.
		if !errors.Is(err, ErrClusterUnreachable) && how != triedTaken {
			lost, c.unseen = true, err
		}
		found, rec, lookErr := foundNothing, (*record)(nil), error(nil)
		if lost || how == triedTaken {
			found, rec, lookErr = c.lookUp(later)
		}
		if found == foundUnknown && how == triedRefused && !unknown && recordedNothing(err) {
			found = foundNothing // who may not read records can be told so by helm alone
		}
		if how == triedNotReady && found == foundFailed && !c.blind && !c.opts.KeepFailed && tries.left > 1 && c.ready(later, err) {
			how, c.blind = triedLost, true
		}
		next := c.settle[how][found]
		for pause := time.Second; next == nextWait; pause = min(2*pause, maxPause) {
			if !sleep(ctx, pause) {
				return nil, c.failure(ErrReleaseBusy, rec, errors.Join(contextError(ctx), err))
			}
			if found, rec, lookErr = c.lookUp(later); found != foundUnknown {
				next = c.settle[how][found]
			}
		}
		if found != foundUnknown {
			lost = false
		}
		late := false // what helm had sent when it was killed may still arrive
		if last := next == nextFail || next == nextAgain && c.lastTry; last && c.nothingNew(found) && killed(err) {
			if found, rec, lookErr = c.lookForLate(later, found, rec); c.nothingNew(found) {
				late = true
			} else {
				next = c.settle[how][found]
			}
		}
		switch next {
		case nextDone:
			rel := rec.release()
			rel.Recovered = err != nil
			return rel, nil
		case nextTaken:
			taken := c.failure(c.taken, rec, err)
			if c.taken == ErrReleaseExists {
				taken.JobID = rec.labels()[labelJob]
			}
			return nil, c.told(later, taken)
		case nextClearFail:
			return nil, c.giveUp(later, how, rec, err)
		case nextClearAgain:
			if clearErr := c.clear(later, rec); clearErr != nil {
				return nil, c.leftBehind(later, rec, errors.Join(err, clearErr))
			}
		case nextFail:
			if lost {
				return nil, c.leftBehind(later, rec, errors.Join(err, lookErr))
			}
			if late {
				return nil, c.leftOnItsWay(later, rec, err)
			}
			if how == triedTaken && lookErr != nil {
				// By whom decides between a success and ErrReleaseExists, so it is neither.
				err = fmt.Errorf("the name is in use, and by whom could not be found out: %w", lookErr)
			}
			return nil, c.told(later, c.failure(nil, rec, err))
		}
		if err == nil {
			err = ErrNotRecorded
			lost = found == foundNothing
		}
		if !tries.another(ctx) {
			if lost {
				return nil, c.leftBehind(later, rec, errors.Join(err, lookErr))
			}
			if late {
				return nil, c.leftOnItsWay(later, rec, lastError(ctx, err))
			}
			if next == nextAgain && found == foundFailed {
				return nil, c.giveUp(later, how, rec, lastError(ctx, err))
			}
			return nil, c.told(later, c.failure(nil, nil, lastError(ctx, err)))
		}
	}
}

// try runs helm once.
func (c *change) try(ctx context.Context) error {
	// A helm whose runner was killed is stopped by nobody: its own timeout, which counts for each
	// hook and for waiting, is what ends it.
	end, _ := ctx.Deadline()
	timeout := min(cmp.Or(c.opts.Timeout, helmTimeout), max(time.Until(end).Round(time.Second), time.Second))
	until := time.Now().Add(4 * timeout)
	if end.After(until) {
		until = end
	}
	opts := c.opts
	if timeout != helmTimeout || opts.Timeout != 0 {
		opts.Timeout = timeout
	}
	a := c.args(opts)
	c.until = until.Add(4 * c.h.cfg.GracePeriod)
	a.str("--labels", c.op.labels(opts, c.revision, c.until))
	limits, asNow := c.h.rendering(), *c
	limits.MoreCPUTime = asNow.recorded
	inv := invocation{args: a, stdin: c.stdin, limits: limits, mutates: true, waits: true, inherit: c.op.inherited()}
	defer c.h.watch(ctx, c.op, c.opts)()
	_, err := c.h.runTransformed(ctx, inv, c.opts.Transform, c.op.release, c.chart.Path)
	return err
}

// recorded tells whether the try that runs has recorded the release, or that nobody can say so now.
func (c *change) recorded(ctx context.Context) bool {
	rec, err := c.h.record(ctx, c.op.target, c.op.release, 0)
	if err == nil {
		rec, err = c.ours(ctx, rec)
	}
	if err != nil {
		return !errors.Is(err, ErrReleaseNotFound)
	}
	return rec != nil
}

// lookUp finds what is recorded under the name, and whose it is.
func (c *change) lookUp(ctx context.Context) (found, *record, error) {
	var rec *record
	err := c.h.retry(ctx, func() (err error) {
		rec, err = c.h.record(ctx, c.op.target, c.op.release, 0)
		return err
	})
	switch {
	case errors.Is(err, ErrReleaseNotFound):
		c.looked, c.revision = true, 0
		return foundNothing, nil, nil
	case err != nil:
		return foundUnknown, nil, err
	}
	ours, err := c.ours(ctx, rec)
	if err != nil {
		return foundUnknown, nil, err
	}
	c.looked, c.revision = true, rec.Revision
	if ours == nil {
		return foundForeign, rec, nil
	}
	now := time.Now()
	if ours.Status == StatusFailed && c.failed.updated != ours.Updated {
		c.failed.updated, c.failed.since = ours.Updated, now
	}
	what := c.op.found(ours.release(), now, c.failed.since)
	if ours.Revision != rec.Revision && what != foundDeployed {
		return foundForeign, rec, nil // it did not succeed, and others have gone on from there
	}
	return what, ours, nil
}

// ours finds the revision that this operation made, nil when there is none. Others may have made
// revisions before and after it, and those after an upgrade inherit its labels. At the first look only
// what the labels of the latest revision lead to counts; later ones go back to what was seen before.
func (c *change) ours(ctx context.Context, latest *record) (*record, error) {
	rec := latest
	for {
		labels := rec.labels()
		mine := labels[c.op.label] == c.op.id
		switch {
		case mine && (c.op.label == labelInstall || labels[labelBase] == strconv.Itoa(rec.Revision-1)):
			return rec, nil
		case !mine && (c.op.label == labelInstall || !c.looked || rec.Revision-1 <= c.revision):
			return nil, nil
		}
		var before *record
		err := c.h.retry(ctx, func() (err error) {
			before, err = c.h.record(ctx, c.op.target, c.op.release, rec.Revision-1)
			return err
		})
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

// nothingNew tells that what is found is as it was before the try.
func (c *change) nothingNew(found found) bool {
	return found == foundNothing || found == foundForeign && c.op.label == labelUpgrade
}

// killed tells that helm was given no time for a last word. One that was over a limit was still rendering,
// and had sent nothing.
func killed(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Signal == syscall.SIGKILL.String() && !errors.Is(err, ErrRenderFailed)
}

// lookForLate looks for some of the time of grace for the record that a killed helm had sent on its
// way: whatever stands between it and the API server may deliver that later.
func (c *change) lookForLate(ctx context.Context, found found, rec *record) (_ found, _ *record, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.h.cfg.GracePeriod/2)
	defer cancel()
	for pause := 100 * time.Millisecond; sleep(ctx, pause); pause = min(2*pause, time.Second) {
		now, nowRec, lookErr := c.lookUp(ctx)
		if now == foundUnknown {
			err = lookErr
			continue
		}
		if found, rec, err = now, nowRec, nil; !c.nothingNew(found) {
			break
		}
	}
	return found, rec, err
}

// ready tells whether a try that said otherwise left everything ready: a helm whose connection went
// silent waits to the end of its time for objects that it cannot see.
func (c *change) ready(ctx context.Context, tried error) bool {
	var e *Error
	if !errors.As(tried, &e) || !helmtext.SawNothing(e.Stderr) {
		return false
	}
	objects, err := c.h.liveObjects(ctx, c.op.target, c.op.release)
	p := progressOf(objects)
	return err == nil && p.Total > 0 && p.Ready == p.Total && p.Blocker == nil
}

func (c *change) failure(kind error, rec *record, err error) *ReleaseError {
	if kind == nil && errors.Is(err, ErrNamespaceNotFound) {
		kind = ErrNamespaceNotFound
	}
	e := &ReleaseError{Release: c.op.release, Namespace: c.op.target.namespace, Kind: kind, Err: err}
	if rec != nil {
		e.Status = rec.Status
	}
	return e
}

// told adds to a failure what its tries left by design: objects that clearing the way for further
// tries did not remove, and what helm makes before it records anything.
func (c *change) told(ctx context.Context, e *ReleaseError) *ReleaseError {
	left := c.kept
	if c.unseen != nil {
		left = slices.Concat(left, c.beside)
	}
	e.Remains = distinct(append(e.Remains, c.h.present(ctx, c.op.target, left)...))
	return e
}

// whyFailed is the failure of a change whose record is there, with what keeps it from being ready.
func (c *change) whyFailed(ctx context.Context, how tried, rec *record, err error) *ReleaseError {
	failed := c.failure(nil, rec, err)
	switch how {
	case triedNotReady:
		failed.Kind = ErrNotReady
		failed.Blockers = c.h.blockers(ctx, c.op.target, rec)
	case triedStopped:
		if c.opts.Wait || c.opts.WaitForJobs {
			// Most of the time of grace belongs to the clean-up.
			brief, cancel := context.WithTimeout(ctx, c.h.cfg.GracePeriod/5)
			defer cancel()
			failed.Blockers = c.h.blockers(brief, c.op.target, rec)
		}
	}
	return failed
}

// leftBehind names what an install may have left: what its record says, or what the chart renders
// to when the record cannot be read. After an upgrade it is the release itself that is left.
func (c *change) leftBehind(ctx context.Context, rec *record, err error) *ReleaseError {
	e := c.failure(ErrLeftBehind, rec, err)
	if c.op.label == labelInstall {
		left := c.h.remainsOf(ctx, c.op, c.chart, rec, c.opts, c.stdin, c.unseen)
		e.Remains = c.h.present(ctx, c.op.target, slices.Concat(left, c.kept, c.beside))
	}
	if failed := (*ReleaseError)(nil); errors.As(err, &failed) {
		e.Status = failed.Status                                   // it may have gone since rec was read
		e.Remains = distinct(append(e.Remains, failed.Remains...)) // some may come yet
	}
	return e
}

// leftOnItsWay is the failure of a change whose helm was killed and is not seen to have recorded
// anything. The record comes first, so nothing but that can still arrive.
func (c *change) leftOnItsWay(ctx context.Context, rec *record, err error) *ReleaseError {
	e := c.told(ctx, c.failure(ErrLeftBehind, rec, err))
	e.Remains = append(e.Remains, recordSecret(c.op.release, c.op.target.namespace, c.revision+1, "may still be on its way"))
	return e
}

// helmTimeout is helm's own default for --timeout.
const helmTimeout = 5 * time.Minute

// settlingTime is how long a runner on another host is left alone with a release that is found
// failed: it is about to remove it.
const settlingTime = 2 * time.Minute

// errOverlong ends a change that has no end of its own.
var errOverlong = fmt.Errorf("the change takes too long: %w", context.DeadlineExceeded)

// howItEnded reads the error of a try.
func (h *Helm) howItEnded(err error) tried {
	var e *Error
	switch {
	case err == nil:
		return triedOK
	case !errors.As(err, &e) && !errors.Is(err, errTransform) && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)):
		return triedStopped // before helm started
	case e == nil:
		return triedRefused
	case e != nil && e.cause != nil && (errors.Is(e.cause, context.Canceled) || errors.Is(e.cause, context.DeadlineExceeded) || errors.Is(e.cause, errOverlong)):
		return triedStopped
	case errors.Is(err, ErrRenderTooLarge), errors.Is(err, ErrRenderTimeout):
		return triedRefused // it takes as much next time, whatever Retry says
	case errors.Is(err, ErrReleaseExists), errors.Is(err, ErrReleaseBusy):
		return triedTaken
	case h.cfg.Retry.Retryable(err) && errors.Is(err, ErrClusterUnreachable):
		return triedUnreachable
	case h.cfg.Retry.Retryable(err):
		return triedLost
	case helmtext.NotReadyInTime(e.Stderr):
		return triedNotReady
	}
	return triedRefused
}

// found reads what a record of the operation means to it. A record that failed was found so since then.
func (op *operation) found(r *Release, now, since time.Time) found {
	switch {
	case r.Status == StatusUninstalled, r.Status == StatusUninstalling && op.label == labelUpgrade:
		// Its history was kept on purpose, and so was the name; or somebody is removing it.
		return foundForeign
	case r.Labels[labelSweep] != "":
		return foundDead
	case r.Status == StatusDeployed, r.Status == StatusSuperseded, r.Revision > 1 && op.label == labelInstall:
		return foundDeployed
	case r.Status == StatusFailed && (!op.mayLive(r, now) || now.Sub(since) > settlingTime):
		return foundFailed
	case op.mayLive(r, now):
		return foundLive
	}
	return foundDead
}

// tries counts the tries of one call.
type tries struct {
	left  int
	pause backoff.BackOff
}

func (h *Helm) tries() *tries {
	return &tries{left: h.cfg.Retry.Tries, pause: h.cfg.Retry.BackOff()}
}

// another pauses and tells whether a further try is due.
func (t *tries) another(ctx context.Context) bool {
	t.left--
	d := t.pause.NextBackOff()
	return t.left > 0 && d != backoff.Stop && sleep(ctx, d)
}

// sleep tells whether d went by before ctx ended.
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
