package helmexec

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sut-bench/helmexec/internal/argument"
	"github.com/sut-bench/helmexec/internal/callback"
	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/plan"
)

// InstallOptions is for Install. The zero value installs the chart's latest version with its own
// values, does not wait for readiness, and removes what a failed install made.
type InstallOptions struct {
	Version   string // a version or a constraint of the chart
	Source    SourceOptions
	Namespace string
	// CreateNamespace makes the namespace if it is missing. Helm never removes it again.
	CreateNamespace bool
	// ValuesFiles are local YAML files, later ones over earlier ones; Values is merged last. Helm gets
	// neither their paths nor their content as arguments.
	ValuesFiles []string
	Values      Values
	// Wait for the objects to be ready, and with WaitForJobs for Jobs to complete.
	Wait, WaitForJobs bool
	// Timeout is how long helm waits for each hook, and for readiness as a whole. 0 is Helm's
	// default, 5 minutes. It does not bound the call: waits add up, and requests to a cluster that falls silent are
	// not in it. The deadline of ctx does that; without one, a try ends after an hour and four times Timeout. The removal of a release that did not get ready has the same time, and at
	// least Config.GracePeriod.
	Timeout time.Duration
	// KeepFailed leaves a release that failed or did not become ready in the cluster, for
	// inspection. By default it is removed, so that the name is free and no GPU is held.
	KeepFailed bool
	// RollbackOnFailure exists because Helm users look for it; removing a failed release is the
	// default here. It sets Wait, and excludes KeepFailed. Helm's own --atomic is never used,
	// because it removes the evidence of why objects are not ready.
	RollbackOnFailure bool
	// DryRun asks helm and the cluster what would happen, and changes nothing. The release returned
	// has no revision and the status unknown.
	DryRun   bool
	NoHooks  bool
	SkipCRDs bool
	// SkipSchema is as in TemplateOptions.
	SkipSchema bool
	// Transform changes what is installed: objects and hooks in one call, CRDs in one of their own. The chart is
	// planned, and the transformed plan applied, as by Plan with Lookups (if Helm can give them) and Apply; that
	// starts two more helm processes.
	Transform   Transform
	Labels      map[string]string // on the release record, not on its objects
	Description string
	// OperationID makes the install one operation through kills and restarts of its runner: an
	// Install with the same id, release and namespace finds the release that an earlier one made
	// and returns it, or removes the rest of an earlier one and continues. A job runner uses its
	// job and attempt. The chart and the values of the first call win, since nobody can tell a changed chart from an
	// unchanged one after a restart: use another id for other values, or Plan and Apply, which compare. Another JobID makes
	// it another operation. "" is a random id, valid only for this call.
	OperationID string
	// JobID marks the release as part of a job, for UninstallJob. "" is no job: UninstallJob then finds the release only
	// by a name that SUTHelmName made.
	JobID string
	// Deadline is when the job is over. Overdue finds a release that outlives it.
	Deadline time.Time
	// Progress is called while Wait waits, every ProgressInterval (default 5 s, at least 1 ms). Each call starts
	// one helm process that looks at the release, and is made also if that fails. It is not called after Install has returned. If it panics, the
	// install ends as at the end of ctx, and then Install panics.
	Progress         func(Progress)
	ProgressInterval time.Duration
	// FailFast ends the wait as soon as something is in the way that no waiting removes, by these rules: ErrNotReady with
	// the Blockers, and the usual clean-up. FailFastRules has some that are right for most charts. Each look is one helm
	// process, or two if events or the pods of a hook are needed; without Wait it looks only at hooks. Nil is none: the
	// wait takes Timeout.
	FailFast []FailFastRule
	// FailFastInterval is the pause between two looks for FailFast, at least 100 ms. 0 is ProgressInterval; then one look
	// serves both.
	FailFastInterval time.Duration

	// ExtraArgs are flags of helm for which there is no option, each as one word "--flag=value", a switch as
	// "--flag=true". They are trusted: they may change what helm does, and everybody on this host can read them.
	// What this library sets itself, and anything that is no flag, is refused.
	ExtraArgs []string

	Kubeconfig, KubeContext string // over Config's
}

// Install installs a chart as a new release, exactly once, and returns it as recorded. If nothing
// goes wrong, it starts one helm process in addition to those of Fetch, which prints the release. Helm can exit 0
// without having recorded its success. Helm 4 says so; Helm 3 does not, so there a second process looks at what is recorded.
//
// A failure that may pass is retried as Config.Retry says. Before each further try the release is
// looked up: if an earlier try succeeded unseen, its release is returned, with Recovered set; the
// rest of a failed try is removed. When ctx ends, helm gets a SIGTERM and what it made is removed
// within Config.GracePeriod.
//
// Errors, each a *ReleaseError: ErrReleaseExists if the name belongs to a release of another
// operation, which is not touched; ErrNotReady if the objects did not become ready in time, with
// the reasons; ErrLeftBehind, beside the cause, if what was made could not be removed, and also ErrNotGone
// if only its record could;
// ErrRenderFailed, ErrRenderTooLarge and ErrRenderTimeout, after which the chart is not tried again;
// ErrNamespaceNotFound; ErrNotRecorded; ErrReleaseBusy; ErrClusterUnreachable; the error of ctx; or only
// helm's own *Error if it failed for good. Before the install is started, and not as a *ReleaseError:
// ErrInvalidArgument, ErrBadChart also for its schema, the errors of Fetch, and with Transform those of Plan,
// and ErrPlanStale if the cluster changes meanwhile.
func (h *Helm) Install(ctx context.Context, release, chart string, opts InstallOptions) (_ *Release, err error) {
	ctx, end := h.enter(ctx, Span{Operation: "Install", Release: release, Namespace: opts.Namespace, JobID: opts.JobID, OperationID: opts.OperationID, Address: chart})
	defer end(&err)
	if _, _, err := h.installInput(release, &opts); err != nil {
		return nil, err
	}
	ch, err := h.Fetch(ctx, chart, ChartOptions{Version: opts.Version, Source: opts.Source})
	if err != nil {
		return nil, err
	}
	defer h.store.Hold(ctx, ch.Path)()
	return h.install(ctx, release, ch, opts, applied{})
}

// installInput checks the options of an install before anything starts.
func (h *Helm) installInput(release string, opts *InstallOptions) (target, []byte, error) {
	if opts.RollbackOnFailure {
		if opts.KeepFailed {
			return target{}, nil, errdef.Invalidf("install: RollbackOnFailure excludes KeepFailed")
		}
		opts.Wait = true
	}
	return h.releaseInput(release, *opts)
}

// install installs a chart that is on this machine; from is the plan that it is made of.
func (h *Helm) install(ctx context.Context, release string, ch *Chart, opts InstallOptions, from applied) (*Release, error) {
	t, stdin, err := h.installInput(release, &opts)
	if err != nil {
		return nil, err
	}
	if opts.Transform != nil {
		p := PlanOptions{SkipCRDs: opts.SkipCRDs, SkipSchema: opts.SkipSchema, ExtraArgs: opts.ExtraArgs}
		planned, err := h.transformed(ctx, t, release, ch, stdin, p, opts.Transform)
		if err != nil {
			return nil, err
		}
		from.charts = &literals{h: h, plan: planned, opts: plan.ChartOptions{NoHooks: opts.NoHooks}}
		defer from.charts.remove()
		if ch, err = from.charts.of(ctx, false); err != nil {
			return nil, err
		}
		opts.Transform = nil
	}
	if err := h.checkSchemaReferences(ch, opts.SkipSchema); err != nil {
		return nil, err
	}
	if opts.DryRun {
		return h.dryRun(ctx, t, installArgs(t, opts, stdin != nil), stdin, release, ch)
	}
	var crds chartCRDs
	if !opts.SkipCRDs {
		if crds, err = h.crdsOf(ch); err != nil {
			return nil, err
		}
	}
	op, err := h.begin(ctx, release, t, labelInstall, opts.OperationID, opts.JobID)
	if err != nil {
		return nil, err
	}
	defer op.end()
	op.crds, op.plan = crds.names(), from.plan
	c := &change{h: h, op: op, opts: opts, chart: ch, charts: from.charts, stdin: stdin, table: &settleInstall, taken: ErrReleaseExists}
	c.beside = slices.Concat(crds.own, crds.sub)
	if opts.CreateNamespace && !madeByKubernetes(t.namespace) {
		c.beside = append(c.beside, namespaceMade(t.namespace))
	}
	c.args = func(opts InstallOptions) args { return installArgs(t, opts, stdin != nil) }
	c.clear = func(ctx context.Context, rec *record) error {
		how := triedOK // what arrives late belongs to the next try
		if c.tries.left == 1 {
			how = triedLost
		}
		done, err := c.uninstallRest(ctx, how, rec)
		if err != nil {
			return err
		}
		c.left = append(c.left, done.Remains...)
		if done.Release == nil {
			return errRemovedByAnother
		}
		return nil
	}
	c.giveUp = c.giveUpInstall
	return c.carryOut(ctx)
}

// releaseInput checks the options of an install or upgrade before anything starts.
func (h *Helm) releaseInput(release string, opts InstallOptions) (target, []byte, error) {
	t, err := h.releaseTarget(release, opts.Namespace, opts.Kubeconfig, opts.KubeContext)
	if err != nil {
		return t, nil, err
	}
	if err := cmp.Or(
		argument.Duration("Timeout", opts.Timeout), argument.Duration("ProgressInterval", opts.ProgressInterval), argument.Duration("FailFastInterval", opts.FailFastInterval),
		validateFailFast(opts.FailFast, opts.FailFastInterval), argument.ID("OperationID", opts.OperationID), argument.ID("JobID", opts.JobID),
		validateLabels(opts.Labels), argument.Text("Description", opts.Description), argument.Extra(opts.ExtraArgs),
	); err != nil {
		return t, nil, err
	}
	stdin, err := valuesInput(opts.ValuesFiles, opts.Values)
	return t, stdin, err
}

func installArgs(t target, opts InstallOptions, values bool) args {
	return slices.Concat(args{"install"}, opts.ExtraArgs, changeArgs(t, opts, values))
}

// changeArgs are the flags that install and upgrade have in common.
func changeArgs(t target, opts InstallOptions, values bool) args {
	var a args
	a.is("--create-namespace", opts.CreateNamespace)
	a.is("--values=-", values)
	a.is("--wait", opts.Wait || opts.WaitForJobs)
	a.is("--wait-for-jobs", opts.WaitForJobs)
	a.duration("--timeout", opts.Timeout)
	a.is("--no-hooks", opts.NoHooks)
	a.is("--skip-crds", opts.SkipCRDs)
	a.is("--skip-schema-validation", opts.SkipSchema)
	a.str("--description", opts.Description)
	return append(a, t.flags()...)
}

// dryRun runs an install or upgrade that changes nothing.
func (h *Helm) dryRun(ctx context.Context, t target, a args, stdin []byte, release string, ch *Chart) (*Release, error) {
	d, err := h.dialect(ctx)
	if err != nil {
		return nil, err
	}
	a.add(d.DryRun, "--", release, ch.Path)
	if _, err := h.run(ctx, invocation{args: a, cluster: true, stdin: stdin, limits: h.rendering()}); err != nil {
		return nil, err
	}
	return dryRelease(t, release, ch), nil
}

// dryRelease is what a dry run returns.
func dryRelease(t target, release string, ch *Chart) *Release {
	return &Release{
		Name: release, Namespace: t.namespace, Status: StatusUnknown,
		ChartName: ch.Metadata.Name, ChartVersion: ch.Metadata.Version, AppVersion: ch.Metadata.AppVersion,
		Description: "dry run",
	}
}

// uninstallRest removes what an earlier try made, so that the name is free. A short timeout for
// becoming ready does not apply to the removal: pods have their own time to end.
func (c *change) uninstallRest(ctx context.Context, how tried, rec *record) (*UninstallResult, error) {
	timeout := max(cmp.Or(c.opts.Timeout, helmTimeout), 2*c.h.cfg.GracePeriod)
	if labels := rec.labels(); labels[labelHome] == c.op.home && labels[labelUntil] == unixLabel(c.until) {
		// A hook, the objects and another hook can each take this long, and the record says when all
		// must be over.
		timeout = min(timeout, max(c.until.Sub(c.h.host.now())/3, time.Second)).Round(time.Second)
	}
	r := removal{
		target: c.op.target, release: c.op.release, opts: UninstallOptions{Wait: !c.ended, Timeout: timeout},
		skipHooks: true, ownOnly: true, inherit: c.op.inherited(),
		// Reading why it is not ready takes time, in which the name can become another's.
		verify: how == triedNotReady || how == triedStopped && (c.opts.Wait || c.opts.WaitForJobs), cutShort: how == triedStopped || how == triedLost,
	}
	return r.carryOut(ctx, c.h, rec)
}

// giveUpInstall ends an install that made something and failed for good: it finds out why, then
// cleans up.
func (c *change) giveUpInstall(ctx context.Context, how tried, rec *record, err error) error {
	failed := c.whyFailed(ctx, how, rec, err)
	if c.opts.KeepFailed && rec.Status == StatusFailed {
		return failed
	}
	kept, clearErr := c.uninstallRest(ctx, how, rec)
	if clearErr != nil {
		left := c.leftBehind(ctx, rec, errors.Join(err, clearErr))
		left.also, left.Blockers = failed.Kind, failed.Blockers
		return left
	}
	failed.Status, failed.Remains, failed.removed = "", kept.Remains, kept.Release != nil
	return c.withRemains(ctx, failed)
}

// errTransform marks the errors of a transform, as opposed to those of a context.
var errTransform = errors.New("transform")

// transformed plans a change and transforms the plan, for the options that have a Transform. It gives the chart its
// look-ups, as a plain helm does, where it can.
func (h *Helm) transformed(ctx context.Context, t target, release string, ch *Chart, stdin []byte, opts PlanOptions, transform Transform) (*Plan, error) {
	opts.Lookups = opts.Upgrade || !ch.bringsCRDs || opts.SkipCRDs
	if opts.Upgrade {
		opts.Cluster = &Cluster{} // it is applied at once, and over its revision only
	}
	p, err := h.planOf(ctx, t, release, ch, stdin, opts)
	if err != nil {
		return nil, err
	}
	p, err = p.Transform(ctx, transform)
	switch {
	case errors.Is(err, callback.ErrAbandoned):
		return nil, contextError(ctx)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errTransform, err)
	}
	return p, nil
}
