package helmexec

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/fetch"
	"github.com/sut-bench/helmexec/plan"
)

// UpgradeOptions is for Upgrade. Fields that InstallOptions also has mean the same.
type UpgradeOptions struct {
	// Install installs the release if there is none.
	Install bool

	Version         string
	Source          SourceOptions
	Namespace       string
	CreateNamespace bool // with Install
	ValuesFiles     []string
	Values          Values
	// ReuseValues keeps the values of the last revision below those given. ResetThenReuseValues
	// does so over the new chart's defaults. By default only the given values count.
	ReuseValues, ResetThenReuseValues bool

	Wait, WaitForJobs bool
	Timeout           time.Duration
	// RollbackOnFailure rolls back to the last deployed revision if the upgrade failed or did not
	// become ready, after the reasons were read. It sets Wait. By default the failed revision stays,
	// as in Helm, and does not block the next upgrade.
	RollbackOnFailure bool
	DryRun            bool
	NoHooks           bool
	SkipCRDs          bool
	SkipSchema        bool
	Transform         Transform
	Labels            map[string]string
	Description       string

	OperationID      string
	JobID            string
	Deadline         time.Time
	Progress         func(Progress)
	ProgressInterval time.Duration
	FailFast         []FailFastRule // pods of the revision before do not count
	FailFastInterval time.Duration
	ExtraArgs        []string // with Install those of both commands

	Kubeconfig, KubeContext string
}

// install returns the options that Install also has.
func (o UpgradeOptions) install() InstallOptions {
	return InstallOptions{
		Version: o.Version, Source: o.Source, Namespace: o.Namespace, CreateNamespace: o.CreateNamespace,
		ValuesFiles: o.ValuesFiles, Values: o.Values, Wait: o.Wait || o.RollbackOnFailure, WaitForJobs: o.WaitForJobs,
		Transform: o.Transform, Timeout: o.Timeout, DryRun: o.DryRun, NoHooks: o.NoHooks, SkipCRDs: o.SkipCRDs, SkipSchema: o.SkipSchema, Labels: o.Labels, Description: o.Description,
		OperationID: o.OperationID, JobID: o.JobID, Deadline: o.Deadline, Progress: o.Progress, ProgressInterval: o.ProgressInterval, FailFast: o.FailFast, FailFastInterval: o.FailFastInterval, ExtraArgs: o.ExtraArgs,
		Kubeconfig: o.Kubeconfig, KubeContext: o.KubeContext,
	}
}

// Upgrade brings a release to a chart and values, exactly once for one OperationID, and returns the
// new revision as recorded. If nothing goes wrong, it starts two helm processes in addition to those
// of Fetch: a look at the release, and the upgrade, which prints the new revision. A third one looks at what is recorded
// if somebody else has changed the release in between.
//
// After a lost try it looks at what is recorded; a pending revision that a dead try of this
// operation left is rolled back to the last deployed one before the next try. With Install it is
// the idempotent form: a release that does not exist is installed, as by Install.
//
// Errors, each a *ReleaseError: ErrReleaseNotFound; ErrReleaseBusy if another operation is working on
// the release; ErrNotReady with the reasons; ErrRenderFailed, ErrRenderTooLarge and ErrRenderTimeout;
// ErrNamespaceNotFound; ErrNotRecorded; ErrLeftBehind if the outcome could not be found out or the release
// is left pending; with Install and Transform those of Install; the error of ctx; or only helm's own *Error.
// Before the upgrade is started, as Install.
func (h *Helm) Upgrade(ctx context.Context, release, chart string, opts UpgradeOptions) (_ *Release, err error) {
	ctx, end := h.enter(ctx, Span{Operation: "Upgrade", Release: release, Namespace: opts.Namespace, JobID: opts.JobID, OperationID: opts.OperationID, Address: chart})
	defer end(&err)
	if _, _, err := h.upgradeInput(release, opts); err != nil {
		return nil, err
	}
	ch, err := h.Fetch(ctx, chart, ChartOptions{Version: opts.Version, Source: opts.Source})
	if err != nil {
		return nil, err
	}
	defer h.store.Hold(ctx, ch.Path)()
	return h.upgrade(ctx, release, ch, opts, applied{})
}

// upgradeInput checks the options of an upgrade before anything starts.
func (h *Helm) upgradeInput(release string, opts UpgradeOptions) (target, []byte, error) {
	if opts.ReuseValues && opts.ResetThenReuseValues {
		return target{}, nil, errdef.Invalidf("upgrade: ReuseValues excludes ResetThenReuseValues")
	}
	return h.releaseInput(release, opts.install())
}

// upgrade upgrades to a chart that is on this machine; from is the plan that it is made of.
func (h *Helm) upgrade(ctx context.Context, release string, ch *Chart, opts UpgradeOptions, from applied) (*Release, error) {
	t, stdin, err := h.upgradeInput(release, opts)
	if err != nil {
		return nil, err
	}
	if err := h.checkSchemaReferences(ch, opts.SkipSchema); err != nil {
		return nil, err
	}
	if opts.DryRun {
		return h.dryUpgrade(ctx, t, release, ch, stdin, opts)
	}
	op, err := h.begin(ctx, release, t, labelUpgrade, opts.OperationID, opts.JobID)
	if err != nil {
		return nil, err
	}
	defer op.end()
	op.plan = from.plan
	c := h.upgradeOf(op, ch, opts, stdin)
	c.base = from.base
	found, rec, err := c.lookUp(ctx)
	switch stale := c.stale(found, rec); {
	case err != nil:
		return nil, c.failure(nil, nil, err)
	case found == foundDeployed:
		rel := rec.release()
		rel.Recovered = true
		note(ctx, func(s *Span) { s.Recovered = true })
		return rel, nil
	case opts.Install && (found == foundNothing || rec.labels()[labelInstall] == op.id):
		install := opts.install()
		install.OperationID = op.id
		rel, err := h.install(ctx, release, ch, install.onDisk(), applied{})
		if !errors.Is(err, ErrReleaseExists) {
			return rel, err
		}
	case found == foundNothing:
		return nil, c.failure(ErrReleaseNotFound, nil, nil)
	case stale != nil:
		return nil, stale
	}
	c.historyOnly = opts.Install && rec != nil && rec.Status == StatusUninstalled
	if c.charts = from.charts; opts.Transform != nil {
		c.charts = &literals{h: h, opts: plan.ChartOptions{NoHooks: opts.NoHooks}}
		defer c.charts.remove()
		c.plan = func(ctx context.Context) error { return c.planTransformed(ctx, opts) }
	}
	switch {
	case c.charts == nil || c.historyOnly:
	case rec != nil && found != foundForeign: // of an earlier try of this operation, which may have made everything
		c.made = true
	default:
		before, err := c.madeBefore(ctx, rec)
		if err != nil {
			return nil, err
		}
		c.charts.over(before)
	}
	return c.carryOut(ctx)
}

// madeBefore is what the revisions made that helm compares an upgrade with: the one that it is made over, and if that failed,
// the last deployed one. What the failed one made helm leaves, so a plan that does not show it is refused.
func (c *change) madeBefore(ctx context.Context, base *record) (_ Manifest, err error) {
	if base == nil {
		if base, err = c.revision(ctx, 0); err != nil {
			return nil, c.failure(nil, nil, err)
		}
	}
	if base.Partial {
		return nil, c.failure(ErrPlanStale, base, fmt.Errorf("revision %d %s, and what it made cannot be compared: %w", base.Revision, base.Status, ErrOutputTooLarge))
	}
	made := Manifest(base.Manifest)
	if base.Status != StatusFailed {
		return made, nil
	}
	var revisions []Release
	err = c.h.retry(ctx, func(ctx context.Context) (err error) {
		revisions, err = c.h.history(ctx, c.op.target, c.op.release, 0)
		return err
	})
	if err != nil {
		return nil, c.failure(nil, nil, err)
	}
	slices.Reverse(revisions)
	i := slices.IndexFunc(revisions, func(rel Release) bool { return rel.Status == StatusDeployed })
	if i < 0 {
		return made, nil // then helm compares with the one that failed
	}
	if p := c.charts.plan; p != nil {
		differences, err := p.Diff(ctx, made)
		if err != nil {
			return nil, c.failure(ErrPlanStale, base, fmt.Errorf("revision %d failed, and what it made cannot be compared with the plan: %w", base.Revision, err))
		}
		for _, d := range differences {
			if d.Before != nil {
				return nil, c.failure(ErrPlanStale, base, fmt.Errorf("revision %d failed, and Helm would leave what it made of %s: roll the release back, and make a new plan", base.Revision, d.Object))
			}
		}
	}
	deployed, err := c.revision(ctx, revisions[i].Revision)
	if err == nil && deployed.Partial {
		err = ErrOutputTooLarge
	}
	if err != nil {
		return nil, c.failure(nil, nil, err)
	}
	return slices.Concat(made, Manifest("\n---\n"), Manifest(deployed.Manifest)), nil
}

// planTransformed plans the upgrade that all tries apply. It is called when a try can begin: a pending revision that a killed runner
// left keeps helm from rendering.
func (c *change) planTransformed(ctx context.Context, opts UpgradeOptions) error {
	p, err := c.h.transformed(ctx, c.op.target, c.op.release, c.chart, c.stdin, PlanOptions{
		Upgrade: !c.historyOnly, SkipCRDs: true, SkipSchema: opts.SkipSchema,
		ReuseValues: opts.ReuseValues, ResetThenReuseValues: opts.ResetThenReuseValues, ExtraArgs: opts.ExtraArgs,
	}, opts.Transform)
	if err != nil {
		return err
	}
	opts.ReuseValues, opts.ResetThenReuseValues = false, false
	c.charts.plan, c.args = p, c.upgradeArgs(opts)
	c.stdin, err = valuesInput(nil, p.Values)
	return err
}

// dryUpgrade renders an upgrade, transformed if the options say so, and changes nothing.
func (h *Helm) dryUpgrade(ctx context.Context, t target, release string, ch *Chart, stdin []byte, opts UpgradeOptions) (*Release, error) {
	if opts.Transform == nil {
		a := upgradeArgs(t, opts, stdin != nil)
		a.is("--install", opts.Install)
		return h.dryRun(ctx, t, a, stdin, release, ch)
	}
	p := PlanOptions{Upgrade: true, SkipSchema: opts.SkipSchema, ReuseValues: opts.ReuseValues, ResetThenReuseValues: opts.ResetThenReuseValues, ExtraArgs: opts.ExtraArgs}
	_, err := h.transformed(ctx, t, release, ch, stdin, p, opts.Transform)
	if opts.Install && errors.Is(err, ErrReleaseNotFound) {
		p = PlanOptions{SkipCRDs: opts.SkipCRDs, SkipSchema: opts.SkipSchema, ExtraArgs: opts.ExtraArgs}
		_, err = h.transformed(ctx, t, release, ch, stdin, p, opts.Transform)
	}
	if err != nil {
		return nil, err
	}
	return dryRelease(t, release, ch), nil
}

// upgradeOf is the change that an upgrade makes.
func (h *Helm) upgradeOf(op *operation, ch *Chart, opts UpgradeOptions, stdin []byte) *change {
	common := opts.install()
	common.Version, common.CreateNamespace = "", false
	c := &change{h: h, op: op, opts: common, chart: ch, stdin: stdin, table: &settleUpgrade, taken: ErrReleaseBusy}
	c.args = c.upgradeArgs(opts)
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
	return c
}

// upgradeArgs are the arguments of each try.
func (c *change) upgradeArgs(opts UpgradeOptions) func(InstallOptions) args {
	return func(now InstallOptions) args {
		opts.Timeout = now.Timeout
		a := upgradeArgs(c.op.target, opts, c.stdin != nil)
		a.is("--install", c.historyOnly)
		return a
	}
}

// onDisk leaves out the options that say where a chart comes from.
func (o InstallOptions) onDisk() InstallOptions {
	o.Version, o.Source = "", SourceOptions{}
	return o
}

func upgradeArgs(t target, opts UpgradeOptions, values bool) args {
	a := append(args{"upgrade"}, opts.ExtraArgs...)
	a.is("--reuse-values", opts.ReuseValues)
	a.is("--reset-then-reuse-values", opts.ResetThenReuseValues)
	common := opts.install()
	common.CreateNamespace = false // helm takes it only with --install
	return append(a, changeArgs(t, common, values)...)
}

// applied is the plan that a change applies; zero for none.
type applied struct {
	plan   string // the label value of its digest
	base   int    // the revision that it was planned over
	charts *literals
}

// literals are the charts of a plan, written as they are needed: for a try before which the plan's objects must not exist, and
// for one before which an earlier try of the operation may have made them.
type literals struct {
	h     *Helm
	plan  *Plan
	opts  plan.ChartOptions
	dirs  []string
	first *Chart
	later *Chart
}

// over says what the revisions before have made.
func (l *literals) over(before Manifest) { l.opts.Before, l.first = before, nil }

func (l *literals) of(ctx context.Context, mayExist bool) (_ *Chart, err error) {
	ch, opts := &l.first, l.opts
	if mayExist {
		ch, opts = &l.later, plan.ChartOptions{MayExist: true}
	}
	if *ch != nil {
		return *ch, nil
	}
	dir, err := l.h.home.MkdirTemp("plan-")
	if err != nil {
		return nil, err
	}
	l.dirs = append(l.dirs, dir)
	path := filepath.Join(dir, "plan.tgz")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(l.plan.WriteChart(ctx, f, opts), f.Close()); err != nil {
		return nil, err
	}
	*ch, err = l.h.open(ctx, path, fetch.Options{Ours: true})
	return *ch, err
}

func (l *literals) remove() {
	for _, dir := range l.dirs {
		os.RemoveAll(dir)
	}
}
