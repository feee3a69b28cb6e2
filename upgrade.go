package helmexec

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/sut-bench/helmexec/internal/errdef"
)

// UpgradeOptions is for Upgrade. The fields that InstallOptions has too mean the same.
type UpgradeOptions struct {
	// Install installs the release where there is none.
	Install bool

	Version         string
	Source          SourceOptions
	Namespace       string
	CreateNamespace bool // with Install
	ValuesFiles     []string
	Values          Values
	// ReuseValues keeps the values of the last revision below those given. ResetThenReuseValues
	// does so over the new chart's defaults. By default only the values given count.
	ReuseValues, ResetThenReuseValues bool

	Wait, WaitForJobs bool
	Timeout           time.Duration
	// RollbackOnFailure rolls back to the last deployed revision when the upgrade failed or did not
	// become ready, after the reasons were read. It sets Wait. By default the failed revision stays,
	// as Helm leaves it; the next upgrade works over it.
	RollbackOnFailure bool
	DryRun            bool
	NoHooks           bool
	SkipCRDs          bool
	Transform         Transform
	UntouchedHooks    bool
	Labels            map[string]string
	Description       string

	OperationID      string
	JobID            string
	Deadline         time.Time
	Progress         func(Progress)
	ProgressInterval time.Duration

	Kubeconfig, KubeContext string
}

// install is what the options share with those of Install.
func (o UpgradeOptions) install() InstallOptions {
	return InstallOptions{
		Version: o.Version, Source: o.Source, Namespace: o.Namespace, CreateNamespace: o.CreateNamespace,
		ValuesFiles: o.ValuesFiles, Values: o.Values, Wait: o.Wait || o.RollbackOnFailure, WaitForJobs: o.WaitForJobs,
		Transform: o.Transform, UntouchedHooks: o.UntouchedHooks, Timeout: o.Timeout, DryRun: o.DryRun, NoHooks: o.NoHooks, SkipCRDs: o.SkipCRDs, Labels: o.Labels, Description: o.Description,
		OperationID: o.OperationID, JobID: o.JobID, Deadline: o.Deadline, Progress: o.Progress, ProgressInterval: o.ProgressInterval,
		Kubeconfig: o.Kubeconfig, KubeContext: o.KubeContext,
	}
}

// Upgrade brings a release to a chart and values, exactly once for one OperationID, and returns the
// new revision as recorded. Starts three helm processes beside those of Fetch when nothing goes wrong:
// a look at the release, the upgrade, and a look at what is recorded.
//
// What became of a try that was lost is settled by looking; a pending revision that a dead try of
// this operation left is rolled back to the last deployed one before the next try. With Install it
// is the idempotent form: a release that is not there is installed, as by Install.
//
// Errors, each a *ReleaseError: ErrReleaseNotFound; ErrReleaseBusy when another operation is at work
// on the release; ErrNotReady with the reasons; ErrRenderTooLarge and ErrRenderTimeout; ErrLeftBehind
// when the outcome could not be found out or the release is left pending; the error of ctx; or
// helm's own *Error alone.
func (h *Helm) Upgrade(ctx context.Context, release, chart string, opts UpgradeOptions) (*Release, error) {
	if opts.ReuseValues && opts.ResetThenReuseValues {
		return nil, errdef.Invalidf("upgrade: ReuseValues excludes ResetThenReuseValues")
	}
	common := opts.install()
	t, stdin, err := h.releaseInput(release, common)
	if err != nil {
		return nil, err
	}
	d, err := h.dialect(ctx)
	if err != nil {
		return nil, err
	}
	ch, err := h.Fetch(ctx, chart, ChartOptions{Version: opts.Version, Source: opts.Source})
	if err != nil {
		return nil, err
	}
	common.Version, common.CreateNamespace = "", false
	defer h.store.Hold(ctx, ch.Path)()
	if opts.DryRun {
		a := upgradeArgs(t, opts, stdin != nil)
		a.is("--install", opts.Install)
		a.add(d.DryRun)
		return h.dryRun(ctx, t, a, stdin, release, ch, opts.Transform)
	}

	if opts.Transform != nil && !opts.NoHooks && !opts.UntouchedHooks {
		a := upgradeArgs(t, opts, stdin != nil)
		a.add("--install") // there may be no release yet
		if err := h.refuseHooks(ctx, t, a, stdin, release, ch); err != nil {
			return nil, err
		}
	}
	op, err := h.begin(ctx, release, t, labelUpgrade, opts.OperationID, opts.JobID)
	if err != nil {
		return nil, err
	}
	defer op.end()
	c := &change{h: h, op: op, opts: common, chart: ch, stdin: stdin, settle: &settleUpgrade, taken: ErrReleaseBusy}
	gone := false // its record is there only as history
	c.args = func(now InstallOptions) args {
		again := opts
		again.Timeout = now.Timeout
		a := upgradeArgs(t, again, stdin != nil)
		a.is("--install", gone)
		return a
	}
	c.clear = func(ctx context.Context, rec *record) error { return h.rollBackPending(ctx, op, rec) }
	c.giveUp = func(ctx context.Context, how tried, rec *record, err error) error {
		failed := c.whyFailed(ctx, how, rec, err)
		if !opts.RollbackOnFailure && !rec.Status.Pending() {
			return failed
		}
		if backErr := h.rollBackPending(ctx, op, rec); backErr != nil {
			failed.also, failed.Kind, failed.Err = failed.Kind, ErrLeftBehind, errors.Join(err, backErr)
			return failed
		}
		failed.Status = StatusDeployed
		return failed
	}
	found, rec, err := c.lookUp(ctx)
	switch {
	case err != nil:
		return nil, c.failure(nil, nil, err)
	case found == foundDeployed:
		rel := rec.release()
		rel.Recovered = true
		return rel, nil
	case opts.Install && (found == foundNothing || rec.labels()[labelInstall] == op.id):
		install := opts.install()
		install.OperationID = op.id
		rel, err := h.Install(ctx, release, ch.Path, install.onDisk())
		if !errors.Is(err, ErrReleaseExists) {
			return rel, err
		}
	case found == foundNothing:
		return nil, c.failure(ErrReleaseNotFound, nil, nil)
	}
	gone = opts.Install && rec != nil && rec.Status == StatusUninstalled
	return c.carryOut(ctx)
}

// onDisk leaves out what says where a chart is got from.
func (o InstallOptions) onDisk() InstallOptions {
	o.Version, o.Source = "", SourceOptions{}
	return o
}

func upgradeArgs(t target, opts UpgradeOptions, values bool) args {
	a := args{"upgrade"}
	a.is("--reuse-values", opts.ReuseValues)
	a.is("--reset-then-reuse-values", opts.ResetThenReuseValues)
	common := opts.install()
	common.CreateNamespace = false // a flag of --install alone
	return append(a, changeArgs(t, common, values)...)
}

// rollBackPending puts the last deployed revision back, over a failed or pending one.
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

// RollbackOptions is for Rollback.
type RollbackOptions struct {
	Namespace string
	// Revision to go back to; 0 is the last one before the latest that was deployed. (Helm itself takes
	// the one before the latest, also where that failed or a dead helm left it half made.)
	Revision          int
	Wait, WaitForJobs bool
	Timeout           time.Duration
	NoHooks           bool

	Kubeconfig, KubeContext string
}

// Rollback makes a new revision with the content of an earlier one. Starts two helm processes when
// nothing goes wrong: one reads the history, so that a further try after a lost one goes back to
// the same revision, and a rollback that succeeded unseen is found. When ctx ends on the way, what
// helm was at is brought to an end within Config.GracePeriod, for a revision that stays pending
// would block every later change.
//
// Errors, each a *ReleaseError: ErrReleaseNotFound, also for a revision that is not in the history;
// ErrNotReady with the reasons; ErrLeftBehind when the release stays pending; the error of ctx; or
// helm's own.
func (h *Helm) Rollback(ctx context.Context, release string, opts RollbackOptions) error {
	t, err := h.releaseTarget(release, opts.Namespace, opts.Kubeconfig, opts.KubeContext)
	if err != nil {
		return err
	}
	if opts.Timeout < 0 || opts.Revision < 0 {
		return errdef.Invalidf("rollback: Timeout and Revision cannot be negative")
	}
	fail := func(kind, err error) *ReleaseError {
		return &ReleaseError{Release: release, Namespace: t.namespace, Kind: kind, Err: err}
	}
	files, free, err := h.lockRelease(ctx, t, release, true)
	if err != nil {
		return err
	}
	defer free()
	latest := func(ctx context.Context) (revisions []Release, err error) {
		err = h.retry(ctx, func() (err error) {
			revisions, err = h.history(ctx, t, release, 0)
			return err
		})
		return revisions, err
	}
	before, err := latest(ctx)
	if err != nil {
		kind := error(nil)
		if errors.Is(err, ErrReleaseNotFound) {
			kind = ErrReleaseNotFound
		}
		return fail(kind, err)
	}
	last := before[len(before)-1].Revision
	to := opts.Revision
	for _, r := range before[:len(before)-1] {
		if opts.Revision == 0 && (r.Status == StatusSuperseded || r.Status == StatusDeployed) {
			to = r.Revision
		}
	}
	switch {
	case to == 0:
		return fail(ErrReleaseNotFound, fmt.Errorf("no revision before revision %d was deployed", last))
	case !slices.ContainsFunc(before, func(r Release) bool { return r.Revision == to }):
		return fail(ErrReleaseNotFound, fmt.Errorf("no revision %d in its history", to))
	}
	tries := h.tries()
	for {
		_, err := h.run(ctx, invocation{args: rollbackArgs(t, release, to, opts), mutates: true, waits: true, inherit: files})
		if err == nil {
			return nil
		}
		how := h.howItEnded(err)
		later, cancel := graceContext(ctx, h.cfg.GracePeriod)
		defer cancel()
		now, lookErr := latest(later)
		if lookErr != nil {
			return fail(ErrLeftBehind, errors.Join(err, lookErr))
		}
		head := now[len(now)-1]
		made := head.Revision > last && (head.Description == "Rollback to "+strconv.Itoa(to) || head.Status == StatusPendingRollback)
		switch {
		case made && head.Status == StatusDeployed:
			return nil
		case how == triedNotReady && made:
			e := fail(ErrNotReady, err)
			e.Status = head.Status
			if rec, err := h.record(later, t, release, 0); err == nil {
				e.Blockers = h.blockers(later, t, rec)
			}
			return e
		case how == triedStopped && head.Status == StatusPendingRollback:
			opts.Wait, opts.WaitForJobs = false, false
			if _, endErr := h.run(later, invocation{args: rollbackArgs(t, release, to, opts), mutates: true, inherit: files}); endErr != nil {
				e := fail(ErrLeftBehind, errors.Join(err, endErr))
				e.Status = head.Status
				return e
			}
			return fail(nil, err)
		case how != triedLost && how != triedUnreachable || !tries.another(ctx):
			e := fail(nil, lastError(ctx, err))
			if e.Status = head.Status; head.Status == StatusPendingRollback {
				e.Kind = ErrLeftBehind
			}
			return e
		}
	}
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
