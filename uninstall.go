package helmexec

import (
	"cmp"
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"github.com/sut-bench/helmexec/internal/argument"
	"github.com/sut-bench/helmexec/internal/filelock"
	"github.com/sut-bench/helmexec/internal/helmtext"
)

// UninstallOptions is for Uninstall.
type UninstallOptions struct {
	Namespace string
	// Wait until the objects of the release, and what they own (pods of a Deployment), are gone. Until then the release
	// stays recorded, as uninstalling.
	Wait bool
	// Timeout is how long helm waits for each hook, and how long the wait for the objects may take. 0 is Helm's 5
	// minutes.
	Timeout time.Duration
	// NoHooks skips the chart's delete hooks. It finishes an uninstall that a failing pre-delete
	// hook blocks.
	NoHooks bool
	// KeepHistory keeps the record as uninstalled, and the name taken.
	KeepHistory bool
	// IgnoreNotFound makes "no such release" a success.
	IgnoreNotFound bool
	Description    string
	ExtraArgs      []string // as in InstallOptions

	Kubeconfig, KubeContext string
}

// UninstallResult is what an uninstall did.
type UninstallResult struct {
	// Release is what was removed, as it was recorded before; nil if there was none, or if somebody else removed it and
	// Helm leaves nothing of it.
	Release *Release
	// Remains are objects that Helm leaves by design: hook objects whose delete policy does not
	// cover how they ended, volume claims of StatefulSets, what the chart says to keep, CRDs, a
	// namespace made for the release, and what earlier revisions made and a last one that failed does not have.
	Remains []Remain
}

// Uninstall removes a release. Starts two helm processes: one reads the record, to know the objects
// of the release, one removes it; and one more to look, if the chart leaves objects by design. One more reads the record
// before if another process is working on the release. After a failed upgrade
// further ones read the history, and each revision back to the last deployed one. With Wait it also
// starts one for each look at objects that take a while to go, at growing pauses, and when they are gone one to remove
// the record; if records are not in Secrets, one more reads it before. Where Config.MaxProcesses leaves no place for a look,
// helm waits alone.
//
// After a lost connection it tries again, and then "not found" is a success. It finishes what an
// earlier, killed uninstall left half removed. It waits for a running install or upgrade of this
// package, even if its runner was killed and only helm lives on.
//
// Errors, each a *ReleaseError: ErrReleaseNotFound if there was none at first, or if another process that was waited for has
// removed it and left nothing; ErrReleaseBusy if ctx ended
// while another operation was under way; ErrNotGone, with the objects, if some still existed when the wait for them
// ended, or a post-delete hook failed: if its Status is uninstalling, the release is still recorded and a further call
// goes on; ErrClusterUnreachable; the error of ctx; or helm's own, for example if a pre-delete hook fails, with the status in which the
// release is left.
func (h *Helm) Uninstall(ctx context.Context, release string, opts UninstallOptions) (*UninstallResult, error) {
	return h.uninstall(ctx, release, opts, removal{})
}

// uninstall is Uninstall with the settings of r.
func (h *Helm) uninstall(ctx context.Context, release string, opts UninstallOptions, r removal) (_ *UninstallResult, err error) {
	ctx, end := h.enter(ctx, Span{Operation: "Uninstall", Release: release, Namespace: opts.Namespace})
	defer end(&err)
	t, err := h.releaseTarget(release, opts.Namespace, opts.Kubeconfig, opts.KubeContext)
	if err != nil {
		return nil, err
	}
	if err := cmp.Or(argument.Duration("Timeout", opts.Timeout), argument.Text("Description", opts.Description), argument.Extra(opts.ExtraArgs)); err != nil {
		return nil, err
	}
	var before *record // while another process, perhaps the helm of a killed runner, is working on it
	files, free, err := h.lockRelease(ctx, t, release, filelock.Exclusive, func() { before = h.recordMeanwhile(ctx, t, release) })
	if err != nil {
		return nil, err
	}
	defer free()
	r.target, r.release, r.opts, r.inherit, r.waits = t, release, opts, files, opts.Wait
	var rec *record
	err = h.retry(ctx, func(ctx context.Context) (err error) {
		if rec, err = h.record(ctx, t, release, 0); errors.Is(err, errSilent) {
			rec, err = unseen(t, release, nil), nil
		}
		if err == nil {
			rec, err = h.awaitHelm(ctx, t, rec)
		}
		return err
	})
	if errors.Is(err, ErrReleaseNotFound) && before != nil && (r.job == "" || belongsToJob(r.job, release, before.labels()[labelJob])) {
		r.h, r.until, r.another = h, h.host.now().Add(cmp.Or(opts.Timeout, helmTimeout)), true
		r.of(before)
		if result, err := r.finish(ctx); err != nil || result.Release != nil {
			return result, err
		}
	}
	switch {
	case errors.Is(err, ErrReleaseNotFound) && opts.IgnoreNotFound:
		return &UninstallResult{}, nil
	case err != nil:
		e := r.error(nil, err)
		if errors.Is(err, ErrReleaseNotFound) {
			e.Kind = ErrReleaseNotFound
		}
		return nil, e
	case r.job != "" && !belongsToJob(r.job, release, rec.labels()[labelJob]):
		return &UninstallResult{}, nil
	case r.overdue && !h.isOverdue(rec):
		return &UninstallResult{}, nil // its deadline was moved
	}
	r.earlier = h.leftByFailures(ctx, t, rec)
	return r.carryOut(ctx, h, rec)
}

// recordMeanwhile reads a record before the lock of its release is free; nil if it is not known, or that of a sweep.
func (h *Helm) recordMeanwhile(ctx context.Context, t target, release string) (rec *record) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err := h.retry(ctx, func(ctx context.Context) (err error) {
		rec, err = h.record(ctx, t, release, 0)
		return err
	})
	if err != nil || rec.labels()[labelSweep] != "" {
		return nil
	}
	return rec
}

// removal carries one uninstall through its tries.
type removal struct {
	h       *Helm
	target  target
	release string
	opts    UninstallOptions
	inherit []*os.File // locks that live as long as helm
	waits   bool       // helm may wait for long, and this is not a clean-up

	job       string // remove only a release of this job
	overdue   bool   // remove only a release whose deadline has passed
	skipHooks bool   // skip the delete hooks if one of them may be what fails
	ownOnly   bool   // remove only this revision: it is an operation's own clean-up
	cutShort  bool   // the helm that wrote the record was stopped, or lost its connection
	verify    bool   // the record was read a while ago

	earlier []Remain // what revisions before a failed one made, and Helm does not remove

	rec     *record // what is to be removed
	result  *UninstallResult
	until   time.Time // when waiting for the objects ends
	touched bool      // a try may have removed something
	checked bool      // result.Remains are those that exist
	another bool      // somebody else has removed the record, as far as is known
	failing bool      // a try has failed, which may have run the delete hooks
	again   bool      // a try has waited for the objects until its time was over, and another follows
	explain bool      // ask why objects were not deleted, which helm prints only with --debug
	late    []Remain  // what a dead helm may have requested, and did not exist yet
	last    error     // of the last try
}

// carryOut uninstalls a release whose record has been read.
func (r removal) carryOut(ctx context.Context, h *Helm, rec *record) (*UninstallResult, error) {
	d, err := h.dialect(ctx)
	if err != nil {
		return nil, err
	}
	r.h, r.until = h, h.host.now().Add(cmp.Or(r.opts.Timeout, helmTimeout))
	r.of(rec)
	if r.cutShort || rec.Status.Pending() && !r.ownOnly {
		r.late = r.onItsWay(ctx)
	}
	for tries := h.tries(); ; {
		how, err := r.try(withTry(ctx, tries.nth), d)
		later, cancel := graceContext(ctx, h.cfg.GracePeriod)
		defer cancel()
		o := r.observe(later, how, err)
		next := settleUninstall[o.how][o.found]
		if next == nextAgain && !tries.another(ctx) {
			next, err = nextNoHooks, lastError(ctx, err)
		}
		switch {
		case next == nextDone:
			return r.done(ctx)
		case next == nextFinish && err == nil:
			return r.finish(ctx)
		case next == nextFinish:
			return r.finish(later)
		case next == nextNoHooks && r.skipHooks && !r.opts.NoHooks && r.rec.hasHook("pre-delete") && ctx.Err() == nil:
			// Perhaps only the hook fails: a webhook of the chart itself can be down.
			r.opts.NoHooks, r.verify = true, o.rec == nil
		case o.how == triedOverdue:
			if e := r.waitedOut(later, o.rec, err); e != nil {
				return nil, e
			}
		case next != nextAgain:
			return nil, r.fail(later, o.rec, err)
		}
		r.failing = true
		r.of(r.rec)
	}
}

// of sets the record that is to be removed.
func (r *removal) of(rec *record) {
	r.rec, r.checked = rec, false
	r.result = &UninstallResult{Release: rec.release(), Remains: slices.Concat(rec.inventory().keptByDesign(r.opts.NoHooks, r.failing), r.earlier)}
}

// try runs helm once, if the release still exists and is nobody else's.
func (r *removal) try(ctx context.Context, d helmtext.Dialect) (tried, error) {
	if r.verify {
		if how, over, err := r.overtaken(ctx); over {
			return how, err
		}
	}
	out, err := r.helm(ctx, d)
	before := r.touched
	r.touched = before || !errors.Is(err, ErrClusterUnreachable)
	r.verify = r.touched
	var e *Error
	said := ""
	if errors.As(err, &e) {
		said = e.Stderr
	}
	switch {
	case errors.Is(err, errTimeIsUp):
		r.last = errTimeIsUp
		return triedOverdue, r.last
	case errors.Is(err, errOvertaken):
		r.another = true
		return triedGone, nil
	case err == nil && helmtext.SkippedObjects(string(out)):
		r.last = nil
		return triedSkipped, nil
	case err == nil:
		return triedOK, nil
	case errors.Is(err, ErrReleaseNotFound), before && helmtext.AlreadyDeleted(said):
		r.another = r.another || !before
		return triedGone, nil
	}
	again := !r.explain && helmtext.DeletionFailed(said)
	r.last, r.explain = err, r.explain || again
	if helmtext.RecordRemoved(said) && !r.opts.KeepHistory {
		return triedPurged, err
	}
	how := r.h.howItEnded(err)
	if how == triedRefused && again && r.looksBeside() {
		how = triedLost // what refused it may be gone now: a webhook of the chart itself
	}
	return how, err
}

// overtaken reads the record again before a try: somebody else may have removed the release and
// installed another. over means that helm must not run.
func (r *removal) overtaken(ctx context.Context) (how tried, over bool, err error) {
	now, err := r.h.record(ctx, r.target, r.release, 0)
	if err == nil && !r.ownOnly && now.follows(r.rec) {
		now, err = r.h.awaitHelm(ctx, r.target, now)
	}
	switch {
	case err == nil && !r.ownOnly && now.follows(r.rec):
		r.earlier = r.h.leftByFailures(ctx, r.target, now)
		r.of(now) // upgraded, but still to be removed
		return triedOK, false, nil
	case err == nil && now.same(r.rec):
		return triedOK, false, nil
	case errors.Is(err, ErrReleaseNotFound) && r.touched:
		return triedGone, true, nil
	case errors.Is(err, ErrReleaseNotFound):
		r.another = true
		return triedOK, true, nil
	case err == nil:
		r.another = r.another || !r.touched
		return triedOK, true, nil
	}
	r.last = err
	return r.h.howItEnded(err), true, err
}

// observe looks for the record after a try that failed.
func (r *removal) observe(ctx context.Context, how tried, err error) observation {
	o := observation{err: err, how: how}
	switch {
	case err == nil:
		return o
	case errors.Is(err, ErrClusterUnreachable):
		o.found = foundUnknown
		return o
	}
	var now *record
	o.lookErr = r.h.retry(ctx, func(ctx context.Context) (err error) {
		now, err = r.h.record(ctx, r.target, r.release, 0)
		return err
	})
	var e *Error
	switch {
	case o.lookErr == nil && r.ownOnly && now.follows(r.rec):
		o.found, r.result.Release = foundDeployed, nil // somebody has upgraded it: it is theirs now
	case errors.Is(o.lookErr, ErrReleaseNotFound), o.lookErr == nil && r.replacedBy(now):
		if o.lookErr = nil; errors.As(err, &e) && helmtext.PurgedByAnother(e.Stderr) {
			r.last, r.another = nil, true
		}
	case o.lookErr != nil:
		o.found = foundUnknown
	default:
		o.found, o.rec = foundFailed, now
	}
	return o
}

// replacedBy reports whether the record that is found means that the release is gone.
func (r *removal) replacedBy(now *record) bool {
	if now.same(r.rec) {
		return r.opts.KeepHistory && now.Status == StatusUninstalled
	}
	return !now.follows(r.rec)
}

// finish ends a removal whose record is gone. The last error of helm is dropped if another caller has
// finished the removal.
func (r *removal) finish(ctx context.Context) (*UninstallResult, error) {
	// Helm stops waiting at the first lost connection.
	early := r.last == nil || r.h.cfg.Retry.Retryable(r.last)
	left, lookErr := r.settleGone(ctx, early)
	// Helm's time was up, not that of the objects: only a hook can have failed.
	allWell := early || r.opts.NoHooks || !r.rec.hasHook("post-delete")
	if allWell && len(left) == 0 && lookErr == nil {
		return r.done(ctx)
	}
	kept := r.h.present(ctx, r.target, slices.Concat(r.rec.inventory().keptByDesign(r.opts.NoHooks, true), r.earlier))
	e := r.error(ErrNotGone, errors.Join(r.last, lookErr))
	e.Remains = distinct(append(left, kept...))
	return nil, e
}

// done ends a removal that succeeded, with a look for what arrives late.
func (r *removal) done(ctx context.Context) (*UninstallResult, error) {
	late, err := r.sweepLate(ctx)
	if !r.checked {
		r.result.Remains = r.h.present(ctx, r.target, r.result.Remains)
	}
	// Whoever removed the record has the release in its result. If it was the helm of a killed runner, nobody says what Helm
	// leaves, so then both say it. But what is there may be of use to a release that has the name now.
	switch {
	case !r.another:
	case r.ownOnly || len(r.result.Remains) == 0:
		r.result.Release = nil
	case len(late) == 0:
		if now, err := r.h.record(ctx, r.target, r.release, 0); err == nil && r.isTaken(now) {
			r.result = &UninstallResult{}
		}
	}
	if len(late) == 0 {
		return r.result, nil
	}
	e := r.error(ErrNotGone, err)
	e.Remains = distinct(append(late, r.result.Remains...))
	return nil, e
}

// fail ends a removal whose record still exists: now, or unknown if that is nil.
func (r *removal) fail(ctx context.Context, now *record, err error) *ReleaseError {
	e := r.error(nil, err)
	e.Status = r.rec.Status
	if now != nil {
		e.Status = now.Status
		made := r.rec.inventory()
		e.Remains = r.h.present(ctx, r.target, slices.Concat(made.objectsToGo("not removed"), made.keptByDesign(r.opts.NoHooks, true), r.earlier))
	}
	return e
}

// waitedOut ends a removal whose time to wait for the objects is over. It gives nil for one more try if, as can be on a busy
// machine, the last objects have gone since the last look: then helm has only the record to remove.
func (r *removal) waitedOut(ctx context.Context, now *record, err error) *ReleaseError {
	e := r.fail(ctx, now, err)
	e.Kind = ErrNotGone
	stands := slices.ContainsFunc(e.Remains, func(o Remain) bool { return o.Cause == RemainNotRemoved })
	if r.again || now == nil || !now.same(r.rec) || now.Status != StatusUninstalling || stands {
		return e
	}
	r.again = true
	return nil
}

func (r *removal) error(kind, err error) *ReleaseError {
	return &ReleaseError{Release: r.release, Namespace: r.target.namespace, Kind: kind, Err: err}
}

// uninstallArgs are the arguments of one uninstall. If it waits, it cascades: foreground deletion keeps an owner until
// what it owns is gone, so waiting for the owner also waits for its pods, which hold the GPUs.
func uninstallArgs(d helmtext.Dialect, t target, release string, opts UninstallOptions, cascade string, debug bool) []string {
	a := append(args{"uninstall"}, opts.ExtraArgs...)
	if opts.Wait {
		a.add(d.UninstallWait, "--cascade="+cascade)
	}
	a.duration("--timeout", opts.Timeout)
	a.is("--no-hooks", opts.NoHooks)
	a.is("--keep-history", opts.KeepHistory)
	a.str("--description", opts.Description)
	a.is("--debug", debug)
	a.add(t.flags()...)
	return append(a, "--", release)
}
