package helmexec

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/sut-bench/helmexec/internal/errdef"
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

	Kubeconfig, KubeContext string
}

// Rollback makes a new revision with the content of an earlier one, and returns it as recorded. If nothing
// goes wrong, it starts three helm processes: one reads the history, so that a further try after a lost one
// goes back to the same revision; one rolls back; and one looks at what is recorded, to find a rollback that
// succeeded unseen. If ctx ends meanwhile, the rollback is completed within Config.GracePeriod, because a
// revision that stays pending would block every later change.
//
// Errors, each a *ReleaseError: ErrReleaseNotFound, also for a revision that is not in the history;
// ErrNotReady with the reasons; ErrLeftBehind if the release stays pending or could not be looked at;
// the error of ctx; or helm's own.
func (h *Helm) Rollback(ctx context.Context, release string, opts RollbackOptions) (*Release, error) {
	t, err := h.releaseTarget(release, opts.Namespace, opts.Kubeconfig, opts.KubeContext)
	if err != nil {
		return nil, err
	}
	if opts.Timeout < 0 || opts.Revision < 0 {
		return nil, errdef.Invalidf("rollback: Timeout and Revision cannot be negative")
	}
	r := &rollback{h: h, target: t, release: release, opts: opts}
	var free func()
	if r.inherit, free, err = h.lockRelease(ctx, t, release, true); err != nil {
		return nil, err
	}
	defer free()
	if err := r.choose(ctx); err != nil {
		return nil, err
	}
	for tries := h.tries(); ; {
		_, err := h.run(ctx, invocation{args: rollbackArgs(t, release, r.to, r.opts), mutates: true, waits: true, inherit: r.inherit})
		later, cancel := graceContext(ctx, h.cfg.GracePeriod)
		defer cancel()
		o := r.observe(later, err)
		next := settleRollback[o.how][o.found]
		if o.err == nil {
			o.err = ErrNotRecorded
		}
		switch {
		case next == nextDone:
			rel := o.rec.release()
			rel.Recovered = err != nil
			return rel, nil
		case next == nextClearFail:
			return nil, r.end(later, o)
		case next != nextAgain || !tries.another(ctx):
			o.err = lastError(ctx, o.err)
			return nil, r.fail(later, o)
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
}

// choose reads the history and chooses the revision to go back to.
func (r *rollback) choose(ctx context.Context) error {
	var before []Release
	err := r.h.retry(ctx, func() (err error) {
		before, err = r.h.history(ctx, r.target, r.release, 0)
		return err
	})
	if err != nil {
		return r.error(nil, err)
	}
	r.from, r.to = before[len(before)-1].Revision, r.opts.Revision
	for _, rel := range before[:len(before)-1] {
		if r.opts.Revision == 0 && (rel.Status == StatusSuperseded || rel.Status == StatusDeployed) {
			r.to = rel.Revision
		}
	}
	switch {
	case r.to == 0:
		return r.error(ErrReleaseNotFound, fmt.Errorf("no revision before revision %d was deployed", r.from))
	case !slices.ContainsFunc(before, func(rel Release) bool { return rel.Revision == r.to }):
		return r.error(ErrReleaseNotFound, fmt.Errorf("no revision %d in its history", r.to))
	}
	return nil
}

// observe reads how a try ended and what is recorded.
func (r *rollback) observe(ctx context.Context, err error) observation {
	o := observation{err: err, how: r.h.howItEnded(err)}
	var now *record
	o.lookErr = r.h.retry(ctx, func() (err error) {
		now, err = r.h.record(ctx, r.target, r.release, 0)
		return err
	})
	made := o.lookErr == nil && now.Revision > r.from &&
		(string(now.Description) == "Rollback to "+strconv.Itoa(r.to) || now.Status == StatusPendingRollback || now.Status == StatusFailed)
	switch {
	case errors.Is(o.lookErr, ErrReleaseNotFound):
		return o
	case o.lookErr != nil:
		o.found = foundUnknown
		return o
	case !made:
		o.found = foundForeign
	case now.Status == StatusDeployed:
		o.found = foundDeployed
	case now.Status == StatusPendingRollback:
		o.found = foundDead
	default:
		o.found = foundFailed
	}
	o.rec = now
	return o
}

// end rolls back once more, without waiting, so that no revision stays pending.
func (r *rollback) end(ctx context.Context, o observation) error {
	opts := r.opts
	opts.Wait, opts.WaitForJobs = false, false
	_, err := r.h.run(ctx, invocation{args: rollbackArgs(r.target, r.release, r.to, opts), mutates: true, inherit: r.inherit})
	if err != nil {
		o.err = errors.Join(o.err, err)
		return r.fail(ctx, o)
	}
	return r.error(nil, o.err)
}

// fail ends a failed rollback.
func (r *rollback) fail(ctx context.Context, o observation) error {
	e := r.error(nil, o.err)
	switch {
	case o.found == foundUnknown:
		e.Kind, e.Err = ErrLeftBehind, errors.Join(o.err, o.lookErr)
	case o.found == foundNothing:
		e.Kind, e.Err = ErrReleaseNotFound, errors.Join(o.err, o.lookErr)
	case o.found == foundDead:
		e.Kind = ErrLeftBehind
	case o.how == triedNotReady && o.found == foundFailed:
		e.Kind, e.Blockers = ErrNotReady, r.h.blockers(ctx, r.target, o.rec)
	}
	if o.rec != nil {
		e.Status = o.rec.Status
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
	a := args{"rollback"}
	a.is("--wait", opts.Wait || opts.WaitForJobs)
	a.is("--wait-for-jobs", opts.WaitForJobs)
	a.duration("--timeout", opts.Timeout)
	a.is("--no-hooks", opts.NoHooks)
	a.add(t.flags()...)
	return append(a, "--", release, strconv.Itoa(revision))
}

// rollBackPending rolls back to the last deployed revision, over a failed or pending one.
func (h *Helm) rollBackPending(ctx context.Context, op *operation, rec *record) error {
	return h.retry(ctx, func() error {
		revisions, err := h.history(ctx, op.target, rec.Name, 0)
		if err != nil {
			return err
		}
		for _, r := range slices.Backward(revisions) {
			if r.Status == StatusDeployed {
				_, err := h.run(ctx, invocation{args: rollbackArgs(op.target, rec.Name, r.Revision, RollbackOptions{}), mutates: true, inherit: op.inherited()})
				return err
			}
		}
		return fmt.Errorf("release %s has no deployed revision to go back to", rec.Name)
	})
}
