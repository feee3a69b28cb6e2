package helmexec

import (
	"cmp"
	"context"
	"errors"
	"os"
	"strings"
	"time"
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

	noHooksOnFailure bool
	queued           bool       // it may wait for long, and is no clean-up
	recheck          bool       // the record was read a while ago
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
		return nil, invalidf("uninstall: Timeout %v is negative", opts.Timeout)
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
	}
	return h.remove(ctx, t, release, rec, opts)
}

// remove uninstalls a release whose record has been read.
func (h *Helm) remove(ctx context.Context, t target, release string, rec *record, opts UninstallOptions) (*UninstallResult, error) {
	d, err := h.dialect(ctx)
	if err != nil {
		return nil, err
	}
	done := &UninstallResult{Release: rec.release(), Remains: rec.keptByDesign(opts.NoHooks)}
	fail := func(kind, err error) *ReleaseError {
		return &ReleaseError{Release: release, Namespace: t.namespace, Kind: kind, Status: rec.Status, Err: err}
	}
	tries := h.tries()
	until := time.Now().Add(cmp.Or(opts.Timeout, 5*time.Minute))
	var last error   // of an earlier try
	touched := false // an earlier try may have removed something
	for {
		var out []byte
		var err error
		if opts.recheck || touched {
			var now *record
			// Meanwhile another may have removed it, and installed a release of its own.
			switch now, err = h.record(ctx, t, release, 0); {
			case err != nil:
			case !opts.strict && now.follows(rec):
				rec = now // upgraded meanwhile, and to go all the same
				done = &UninstallResult{Release: rec.release(), Remains: rec.keptByDesign(opts.NoHooks)}
			case !now.same(rec):
				if !touched {
					done.Release = nil // somebody else has removed it
				}
				done.Remains = h.present(ctx, t, done.Remains)
				return done, nil
			}
		}
		if err == nil {
			out, err = h.run(ctx, invocation{args: uninstallArgs(d, t, release, opts), mutates: true, waits: opts.queued, inherit: opts.inherit})
		}
		opts.recheck = false
		touched = touched || !errors.Is(err, ErrClusterUnreachable)
		said := ""
		if e := (*Error)(nil); errors.As(err, &e) {
			said = e.Stderr
		}
		// With its history kept, a release that is gone already is "already deleted".
		notFound := errors.Is(err, ErrReleaseNotFound) || last != nil && strings.Contains(said, "is already deleted")
		if notFound {
			err = last
		}
		switch {
		case err == nil && !skippedObjects(string(out)):
			done.Remains = h.present(ctx, t, done.Remains)
			return done, nil
		case err == nil, notFound, recordRemoved(said) && !h.stillRecorded(ctx, t, rec):
			// Helm stops waiting at the first lost connection.
			early := err == nil || h.cfg.Retry.Retryable(err)
			left, lookErr := h.settleGone(ctx, t, rec, opts, until, early)
			done.Remains = h.present(ctx, t, done.Remains)
			// Time was up for helm, and not for the objects: all that can be wrong is a hook.
			allWell := early || opts.NoHooks || !rec.hasHook("post-delete")
			if allWell && len(left) == 0 && lookErr == nil {
				return done, nil
			}
			notGone := fail(ErrNotGone, errors.Join(err, lookErr))
			notGone.Status, notGone.Remains = "", append(left, done.Remains...)
			return nil, notGone
		case opts.noHooksOnFailure && !opts.NoHooks && h.howItEnded(err) != triedStopped && !h.cfg.Retry.Retryable(err) && rec.hasHook("pre-delete"):
			opts.NoHooks = true
			done.Remains = rec.keptByDesign(true)
			continue
		case !h.cfg.Retry.Retryable(err):
			return nil, fail(nil, err)
		case !tries.another(ctx):
			if !opts.noHooksOnFailure || opts.NoHooks || !rec.hasHook("pre-delete") || ctx.Err() != nil {
				return nil, fail(nil, err)
			}
			// It may be the hook alone that fails: a webhook of the chart's own can be down.
			opts.NoHooks = true
			done.Remains = rec.keptByDesign(true)
		}
		last = err
	}
}

// stillRecorded tells whether a release is recorded as one that is there. Where nobody can say, it is
// not.
func (h *Helm) stillRecorded(ctx context.Context, t target, rec *record) bool {
	var now *record
	err := h.retry(ctx, func() (err error) {
		now, err = h.record(ctx, t, rec.Name, 0)
		return err
	})
	return err == nil && now.Status != StatusUninstalled && now.same(rec)
}

func uninstallArgs(d dialect, t target, release string, opts UninstallOptions) []string {
	a := args{"uninstall"}
	if opts.Wait {
		// Foreground deletion keeps an owner until what it owns is gone, so that waiting for the
		// one waits for the other: pods hold the GPUs, not Deployments.
		a.add(d.uninstallWait, "--cascade=foreground")
	}
	a.duration("--timeout", opts.Timeout)
	a.is("--no-hooks", opts.NoHooks)
	a.is("--keep-history", opts.KeepHistory)
	a.str("--description", opts.Description)
	a.add(t.flags()...)
	return append(a, "--", release)
}

// recordRemoved tells a failed uninstall that went on to remove the record: helm adds up what
// failed after the objects were deleted, and removes the record all the same, if it can.
func recordRemoved(stderr string) bool {
	text := strings.ToLower(stderr)
	return strings.Contains(text, "uninstallation completed with") && !strings.Contains(text, "failed to purge the release")
}
