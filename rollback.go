package helmexec

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sut-bench/helmexec/internal/argument"
	"github.com/sut-bench/helmexec/internal/filelock"
)

// RollbackOptions is for Rollback.
type RollbackOptions struct {
	Namespace string
	// Revision to go back to; 0 is the last deployed one before the latest. (Helm itself takes the one
	// before the latest, even if it failed or a dead helm left it half made.)
	Revision          int
	Wait, WaitForJobs bool
	Timeout           time.Duration
	NoHooks           bool
	ExtraArgs         []string // as in InstallOptions

	Kubeconfig, KubeContext string
}

// Rollback makes a new revision with the content of an earlier one, and returns it as the history lists it,
// without notes and labels. Starts three helm processes if nothing goes wrong: one reads the history, so that
// a further try after a lost one goes back to the same revision, one rolls back, and one reads the history
// again, so that a rollback that succeeded without an answer is found. If ctx ends on the way, what helm was
// doing is brought to an end within Config.GracePeriod, for a pending revision would block every later change.
//
// Errors, each a *ReleaseError: ErrReleaseNotFound, also for a revision that is not in the history;
// ErrReleaseBusy if somebody else changed the release meanwhile; ErrNotReady with the reasons;
// ErrLeftBehind if the release stays pending, or the outcome could not be found out; ErrNotRecorded;
// ErrClusterUnreachable; the error of ctx; or helm's own.
func (h *Helm) Rollback(ctx context.Context, release string, opts RollbackOptions) (_ *Release, err error) {
	ctx, end := h.enter(ctx, Span{Operation: "Rollback", Release: release, Namespace: opts.Namespace})
	defer end(&err)
	t, err := h.releaseTarget(release, opts.Namespace, opts.Kubeconfig, opts.KubeContext)
	if err != nil {
		return nil, err
	}
	if err := cmp.Or(argument.Duration("Timeout", opts.Timeout), argument.Count("Revision", opts.Revision), argument.Extra(opts.ExtraArgs)); err != nil {
		return nil, err
	}
	r := &rollback{h: h, target: t, release: release, opts: opts}
	var free func()
	if r.inherit, free, err = h.lockRelease(ctx, t, release, filelock.Shared, nil); err != nil {
		return nil, err
	}
	defer free()
	if err := r.choose(ctx); err != nil {
		return nil, err
	}
	for tries := h.tries(); ; {
		_, err := h.run(withTry(ctx, tries.nth), invocation{args: rollbackArgs(t, release, r.to, r.opts), cluster: true, mutates: true, waits: true, inherit: r.inherit})
		later, cancel := graceContext(ctx, h.cfg.GracePeriod)
		defer cancel()
		o := r.observe(later, err)
		next := settleRollback[o.how][o.found]
		switch {
		case next == nextDone:
			r.made.Recovered = err != nil
			note(ctx, func(s *Span) { s.Recovered = r.made.Recovered })
			return r.made, nil
		case next == nextClearFail:
			return nil, r.end(later, o)
		case next != nextAgain || !tries.another(ctx):
			return nil, r.fail(later, ctx, o)
		}
	}
}

// rollback carries one rollback through its tries.
type rollback struct {
	h        *Helm
	target   target
	release  string
	opts     RollbackOptions
	inherit  []*os.File // locks that live as long as helm
	from, to int        // the latest revision, and the one to go back to
	made     *Release   // the revision that the rollback made, nil if there is none; if it is not ours, the latest
}

// history reads all revisions.
func (r *rollback) history(ctx context.Context) (revisions []Release, err error) {
	err = r.h.retry(ctx, func(ctx context.Context) (err error) {
		revisions, err = r.h.history(ctx, r.target, r.release, 0)
		return err
	})
	return revisions, err
}

// choose chooses the revision to go back to.
func (r *rollback) choose(ctx context.Context) error {
	before, err := r.history(ctx)
	if err != nil {
		return r.error(nil, err)
	}
	r.from, r.to = before[len(before)-1].Revision, r.opts.Revision
	if r.to == 0 {
		r.to = lastDeployed(before, r.from)
	}
	switch {
	case r.to == 0:
		return r.error(ErrReleaseNotFound, fmt.Errorf("no revision before revision %d was deployed", r.from))
	case !slices.ContainsFunc(before, func(rel Release) bool { return rel.Revision == r.to }):
		return r.error(ErrReleaseNotFound, fmt.Errorf("no revision %d in its history", r.to))
	}
	return nil
}

// observe reads how a try ended and what the history says of it. Others may have changed the release since:
// then it is not rolled back once more, which would undo what they did.
func (r *rollback) observe(ctx context.Context, err error) observation {
	o := observation{err: err, how: r.h.howItEnded(err)}
	now, lookErr := r.history(ctx)
	switch {
	case errors.Is(lookErr, ErrReleaseNotFound):
		o.lookErr = lookErr
		return o
	case lookErr != nil:
		o.lookErr, o.found = lookErr, foundUnknown
		return o
	}
	latest := now[len(now)-1]
	r.made, o.found = &latest, foundForeign
	for _, rel := range slices.Backward(now) {
		if rel.Revision > r.from && (rel.Description == "Rollback to "+strconv.Itoa(r.to) || rel.Status == StatusFailed && strings.HasPrefix(rel.Description, "Rollback ")) {
			r.made = &rel
			switch rel.Status {
			case StatusDeployed, StatusSuperseded:
				o.found = foundDeployed
			case StatusPendingRollback:
				o.found = foundDead
			default:
				o.found = foundFailed
			}
			break
		}
	}
	theirsOnTop := latest.Revision > r.from && (o.found == foundForeign || r.made.Revision != latest.Revision)
	if theirsOnTop && o.found != foundDeployed {
		o.found = foundLive
	}
	return o
}

// end rolls back once more, without waiting, over a revision that would stay pending.
func (r *rollback) end(ctx context.Context, o observation) error {
	opts := r.opts
	opts.Wait, opts.WaitForJobs = false, false
	_, err := r.h.run(ctx, invocation{args: rollbackArgs(r.target, r.release, r.to, opts), cluster: true, mutates: true, inherit: r.inherit})
	if err != nil {
		o.err = errors.Join(o.err, err)
		return r.fail(ctx, ctx, o)
	}
	return r.error(nil, o.err)
}

// fail ends a rollback that did not succeed; callers is the context of the caller.
func (r *rollback) fail(ctx, callers context.Context, o observation) error {
	err := o.err
	if err == nil && o.lookErr == nil {
		err = ErrNotRecorded
	}
	if err != nil {
		err = lastError(callers, err)
	}
	e := r.error(nil, errors.Join(err, o.lookErr))
	switch {
	case o.found == foundUnknown, o.found == foundDead:
		e.Kind = ErrLeftBehind
	case o.found == foundNothing:
		e.Kind = ErrReleaseNotFound
	case o.found == foundLive:
		e.Kind = ErrReleaseBusy
	case o.how == triedNotReady && o.found == foundFailed:
		e.Kind = ErrNotReady
		if rec, err := r.h.record(ctx, r.target, r.release, 0); err == nil {
			e.explain(ctx, r.h, r.target, rec)
		}
	}
	if r.made != nil {
		e.Status = r.made.Status
	}
	return e
}

func (r *rollback) error(kind, err error) *ReleaseError {
	if kind == nil && errors.Is(err, ErrReleaseNotFound) {
		kind = ErrReleaseNotFound
	}
	return &ReleaseError{Release: r.release, Namespace: r.target.namespace, Kind: kind, Err: err}
}

func rollbackArgs(t target, release string, revision int, opts RollbackOptions) []string {
	a := append(args{"rollback"}, opts.ExtraArgs...)
	a.is("--wait", opts.Wait || opts.WaitForJobs)
	a.is("--wait-for-jobs", opts.WaitForJobs)
	a.duration("--timeout", opts.Timeout)
	a.is("--no-hooks", opts.NoHooks)
	a.add(t.flags()...)
	return append(a, "--", release, strconv.Itoa(revision))
}

// rollBackPending rolls back over a failed or pending revision.
func (h *Helm) rollBackPending(ctx context.Context, op *operation, rec *record) error {
	return h.retry(ctx, func(ctx context.Context) error {
		revisions, err := h.history(ctx, op.target, rec.Name, 0)
		if err != nil {
			return err
		}
		to := lastDeployed(revisions, rec.Revision)
		if to == 0 {
			return fmt.Errorf("release %s has no deployed revision to go back to", rec.Name)
		}
		_, err = h.run(ctx, invocation{args: rollbackArgs(op.target, rec.Name, to, RollbackOptions{}), cluster: true, mutates: true, inherit: op.inherited()})
		return err
	})
}

// lastDeployed is the last revision before another that was deployed; 0 for none. A helm that is stopped at the end of an
// upgrade may have superseded the revision before already.
func lastDeployed(revisions []Release, before int) (revision int) {
	for _, r := range revisions {
		if r.Revision < before && (r.Status == StatusDeployed || r.Status == StatusSuperseded) {
			revision = r.Revision
		}
	}
	return revision
}

// leftByFailures lists what an uninstall leaves because the last revision failed: Helm removes only what that revision has, and an
// upgrade that fails may not have removed the rest. A revision that is being removed had failed if another one is still deployed.
func (h *Helm) leftByFailures(ctx context.Context, t target, rec *record) []Remain {
	removing := rec.Status == StatusUninstalling
	if rec.Revision == 1 || rec.Status != StatusFailed && !rec.Status.Pending() && !removing {
		return nil
	}
	var revisions []Release // with gaps: Helm forgets old revisions, but not the deployed one
	isDeployed := func(r Release) bool { return r.Status == StatusDeployed }
	err := h.retry(ctx, func(ctx context.Context) (err error) {
		revisions, err = h.history(ctx, t, rec.Name, 0)
		return err
	})
	if err != nil || removing && !slices.ContainsFunc(revisions, isDeployed) {
		return nil
	}
	known := map[ObjectRef]bool{}
	isNew := func(ref ObjectRef) bool {
		ref.Version = ""
		defer func() { known[ref] = true }()
		return !known[ref]
	}
	for _, object := range rec.inventory().objects("") {
		isNew(object.ObjectRef)
	}
	var all []Remain
	for _, before := range slices.Backward(revisions) {
		if before.Revision >= rec.Revision {
			continue
		}
		var made *record
		err := h.retry(ctx, func(ctx context.Context) (err error) {
			made, err = h.record(ctx, t, rec.Name, before.Revision)
			return err
		})
		if err != nil {
			continue
		}
		why := fmt.Sprintf("made by revision %d; revision %d, which failed, does not have it", before.Revision, rec.Revision)
		for _, object := range made.inventory().objectsToGo(why) {
			if object.Cause = RemainRevision; isNew(object.ObjectRef) {
				all = append(all, object)
			}
		}
		if isDeployed(before) {
			break
		}
	}
	return all
}
