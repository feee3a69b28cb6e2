package helmexec

import (
	"cmp"
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/helmtext"
)

// UninstallOptions is for Uninstall.
type UninstallOptions struct {
	Namespace string
	// Wait until the objects of the release, and what they own (pods of a Deployment), are gone.
	Wait bool
	// Timeout is how long helm waits for each hook, and for the objects. 0 is Helm's 5 minutes.
	Timeout time.Duration
	// NoHooks skips the chart's delete hooks. It finishes an uninstall that a failing pre-delete
	// hook blocks.
	NoHooks bool
	// KeepHistory keeps the record as uninstalled, and the name taken.
	KeepHistory bool
	// IgnoreNotFound makes "no such release" a success.
	IgnoreNotFound bool
	Description    string

	Kubeconfig, KubeContext string

	ofJob            string // this job's release alone
	noHooksOnFailure bool
	explain          bool       // why objects were not deleted, which helm tells with --debug alone
	queued           bool       // it may wait for long, and is no clean-up
	recheck          bool       // the record was read a while ago
	cutShort         bool       // the helm that wrote the record was stopped, or lost its connection
	strict           bool       // this revision only: it is an operation's own clean-up
	inherit          []*os.File // the lock that lives as long as this helm
}

// UninstallResult tells what an uninstall did.
type UninstallResult struct {
	// Release is what was removed, as it was recorded before; nil when there was none.
	Release *Release
	// Remains are objects that Helm leaves by design: hook objects without a fitting delete policy,
	// volume claims of StatefulSets, what the chart says to keep, CRDs, a namespace made for the
	// release.
	Remains []Remain
}

// Uninstall removes a release. Starts two helm processes: one reads the record, to know what the
// release had made, one removes it; and one more to look, where the chart leaves objects by design.
// A connection lost on the way is settled by another try, for
// which "not found" is a success. A release that an earlier, killed uninstall left half removed
// is finished. An install or upgrade of this package that is under way is waited for, also when its
// runner was killed and helm lives on.
//
// Errors, each a *ReleaseError: ErrReleaseNotFound when there was none at first; ErrNotGone when the
// record is removed and objects were still there when waiting for them ended, or a post-delete
// hook failed, with the objects; the error of ctx; or helm's own, as when a pre-delete hook fails,
// with the status in which the release is left.
func (h *Helm) Uninstall(ctx context.Context, release string, opts UninstallOptions) (*UninstallResult, error) {
	t, err := h.releaseTarget(release, opts.Namespace, opts.Kubeconfig, opts.KubeContext)
	if err != nil {
		return nil, err
	}
	if opts.Timeout < 0 {
		return nil, errdef.Invalidf("uninstall: Timeout %v is negative", opts.Timeout)
	}
	files, free, err := h.lockRelease(ctx, t, release, false)
	if err != nil {
		return nil, err
	}
	defer free()
	opts.inherit, opts.queued = files, opts.Wait
	var rec *record
	err = h.retry(ctx, func() (err error) {
		if rec, err = h.record(ctx, t, release, 0); err == nil {
			rec, err = h.awaitHelm(ctx, t, rec)
		}
		return err
	})
	switch {
	case errors.Is(err, ErrReleaseNotFound) && opts.IgnoreNotFound:
		return &UninstallResult{}, nil
	case err != nil:
		e := &ReleaseError{Release: release, Namespace: t.namespace, Err: err}
		if errors.Is(err, ErrReleaseNotFound) {
			e.Kind = ErrReleaseNotFound
		}
		return nil, e
	case opts.ofJob != "" && !ofJob(opts.ofJob, release, rec.labels()[labelJob]):
		return &UninstallResult{}, nil
	}
	return h.remove(ctx, t, release, rec, opts)
}

// removal carries one uninstall through its tries.
type removal struct {
	h       *Helm
	target  target
	release string
	rec     *record // what is to be removed
	opts    UninstallOptions
	result  *UninstallResult
	until   time.Time // when waiting for the objects ends
	touched bool      // an earlier try may have removed something
	failing bool      // an earlier try failed, which may have run the delete hooks
	fresh   bool      // the record was read a moment ago
	late    []Remain  // what a dead helm may have asked for, and was not there yet
	last    error     // of the last try
}

// remove uninstalls a release whose record has been read.
func (h *Helm) remove(ctx context.Context, t target, release string, rec *record, opts UninstallOptions) (*UninstallResult, error) {
	d, err := h.dialect(ctx)
	if err != nil {
		return nil, err
	}
	r := &removal{h: h, target: t, release: release, opts: opts, until: time.Now().Add(cmp.Or(opts.Timeout, helmTimeout))}
	r.of(rec)
	if opts.cutShort || rec.Status.Pending() && !opts.strict {
		r.late = h.onItsWay(ctx, t, rec)
	}
	for tries := h.tries(); ; {
		var out []byte
		var err error
		if (r.opts.recheck || r.touched) && !r.fresh {
			// Meanwhile another may have removed it, and installed a release of its own.
			var now *record
			switch now, err = h.record(ctx, t, release, 0); {
			case err == nil && !r.opts.strict && now.follows(r.rec):
				r.of(now) // upgraded meanwhile, and to go all the same
			case errors.Is(err, ErrReleaseNotFound) && r.touched:
				return r.gone(ctx, r.last)
			case err == nil && !now.same(r.rec), errors.Is(err, ErrReleaseNotFound):
				if !r.touched {
					r.result.Release = nil // somebody else has removed it
				}
				return r.done(ctx)
			}
		}
		if err == nil {
			r.opts.recheck, r.fresh = false, false
			out, err = h.run(ctx, invocation{args: uninstallArgs(d, t, release, r.opts), mutates: true, waits: r.opts.queued, inherit: r.opts.inherit})
		}
		var e *Error
		said := ""
		if errors.As(err, &e) {
			if r.opts.explain {
				e.explainDeletion()
			}
			said = e.Stderr
		}
		lost := r.touched
		r.touched = r.touched || !errors.Is(err, ErrClusterUnreachable)
		switch {
		case err == nil && !helmtext.SkippedObjects(string(out)):
			return r.done(ctx)
		case err == nil:
			return r.gone(ctx, nil)
		case errors.Is(err, ErrReleaseNotFound), lost && helmtext.AlreadyDeleted(said):
			if !lost {
				r.result.Release = nil
			}
			return r.gone(ctx, r.last)
		}
		r.last = err
		again := h.cfg.Retry.Retryable(err)
		if !errors.Is(err, ErrClusterUnreachable) {
			later, cancel := graceContext(ctx, h.cfg.GracePeriod)
			now, lookErr := r.look(later)
			switch {
			case lookErr != nil && (!again || helmtext.RecordRemoved(said)):
				defer cancel()
				if helmtext.RecordRemoved(said) {
					return r.gone(later, err)
				}
				return nil, r.failed(later, nil, err)
			case lookErr == nil && (now == nil || !now.same(r.rec) && !now.follows(r.rec)):
				defer cancel()
				if helmtext.PurgedByAnother(said) {
					r.result.Release, r.last = nil, nil
				}
				return r.gone(later, r.last)
			case lookErr == nil && !again && (r.opts.NoHooks || !r.opts.noHooksOnFailure || !r.rec.hasHook("pre-delete") || ctx.Err() != nil):
				defer cancel()
				return nil, r.failed(later, now, err)
			}
			cancel()
		}
		r.failing = true
		r.opts.explain = r.opts.explain || helmtext.DeletionFailed(said)
		switch {
		case again && tries.another(ctx):
		case r.opts.noHooksOnFailure && !r.opts.NoHooks && r.rec.hasHook("pre-delete") && ctx.Err() == nil:
			// It may be the hook alone that fails: a webhook of the chart's own can be down.
			r.opts.NoHooks, r.fresh = true, !again
		default:
			return nil, r.failed(ctx, nil, lastError(ctx, err))
		}
		r.of(r.rec)
	}
}

// of says which record is to be removed.
func (r *removal) of(rec *record) {
	r.rec = rec
	r.result = &UninstallResult{Release: rec.release(), Remains: rec.keptByDesign(r.opts.NoHooks, r.failing)}
}

// look reads the record again after a try; nil when it is gone.
func (r *removal) look(ctx context.Context) (now *record, err error) {
	err = r.h.retry(ctx, func() (err error) {
		now, err = r.h.record(ctx, r.target, r.release, 0)
		return err
	})
	switch {
	case errors.Is(err, ErrReleaseNotFound), err == nil && r.opts.KeepHistory && now.Status == StatusUninstalled && now.same(r.rec):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return now, nil
}

// gone ends a removal whose record is gone. err is what helm said last, nil when it ended well or
// another has finished the removal.
func (r *removal) gone(ctx context.Context, err error) (*UninstallResult, error) {
	// Helm stops waiting at the first lost connection.
	early := err == nil || r.h.cfg.Retry.Retryable(err)
	left, lookErr := r.h.settleGone(ctx, r.target, r.rec, r.opts, r.until, early)
	// Time was up for helm, and not for the objects: all that can be wrong is a hook.
	allWell := early || r.opts.NoHooks || !r.rec.hasHook("post-delete")
	if allWell && len(left) == 0 && lookErr == nil {
		return r.done(ctx)
	}
	r.result.Remains = r.h.present(ctx, r.target, r.rec.keptByDesign(r.opts.NoHooks, true))
	e := r.error(ErrNotGone, errors.Join(err, lookErr))
	e.Remains = distinct(append(left, r.result.Remains...))
	return nil, e
}

// done ends a removal that went well, with a look for what arrives late.
func (r *removal) done(ctx context.Context) (*UninstallResult, error) {
	late, err := r.h.sweepLate(ctx, r.target, r.rec, r.late, r.opts)
	r.result.Remains = r.h.present(ctx, r.target, r.result.Remains)
	if len(late) == 0 {
		return r.result, nil
	}
	e := r.error(ErrNotGone, err)
	e.Remains = distinct(append(late, r.result.Remains...))
	return nil, e
}

// failed ends a removal whose record is still there: now, or unknown when that is nil.
func (r *removal) failed(ctx context.Context, now *record, err error) *ReleaseError {
	e := r.error(nil, err)
	e.Status = r.rec.Status
	if now != nil {
		e.Status = now.Status
		e.Remains = r.h.present(ctx, r.target, slices.Concat(r.rec.objectsToGo("not removed"), r.rec.keptByDesign(r.opts.NoHooks, true)))
	}
	return e
}

func (r *removal) error(kind, err error) *ReleaseError {
	return &ReleaseError{Release: r.release, Namespace: r.target.namespace, Kind: kind, Err: err}
}

func uninstallArgs(d helmtext.Dialect, t target, release string, opts UninstallOptions) []string {
	a := args{"uninstall"}
	if opts.Wait {
		// Foreground deletion keeps an owner until what it owns is gone, so that waiting for the
		// one waits for the other: pods hold the GPUs, not Deployments.
		a.add(d.UninstallWait, "--cascade=foreground")
	}
	a.duration("--timeout", opts.Timeout)
	a.is("--no-hooks", opts.NoHooks)
	a.is("--keep-history", opts.KeepHistory)
	a.str("--description", opts.Description)
	a.is("--debug", opts.explain)
	a.add(t.flags()...)
	return append(a, "--", release)
}
