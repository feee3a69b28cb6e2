package helmexec

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sut-bench/helmexec/chart"
	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/helmtext"
	"github.com/sut-bench/helmexec/plan"
)

// Plan is what an install or upgrade is going to apply; package plan says more.
type Plan = plan.Plan

// PlanOptions is for Plan. Fields that InstallOptions also has mean the same.
type PlanOptions struct {
	// Upgrade plans an upgrade of a release that exists. By default the plan is for an install.
	Upgrade bool

	Version     string
	Source      SourceOptions
	Namespace   string
	ValuesFiles []string
	Values      Values
	// ReuseValues and ResetThenReuseValues are for Upgrade, as in UpgradeOptions.
	ReuseValues, ResetThenReuseValues bool
	SkipCRDs, SkipSchema              bool
	// Lookups lets the chart's look-ups read what this caller may read in the cluster, all Secrets among it, and put
	// it into its objects. By default a look-up finds nothing, as in a cluster without objects. Helm refuses objects
	// of kinds that do not exist yet then, such as those of the CRDs that a chart brings.
	Lookups bool
	// Cluster is what an install is rendered for, from Helm.Cluster or written by hand. Such a plan is made without a
	// cluster. By default the cluster is asked.
	Cluster *Cluster
	// ExtraArgs are as in InstallOptions, for the helms that render. What they need when the plan is applied stands in
	// ApplyOptions.
	ExtraArgs []string

	Kubeconfig, KubeContext string
}

// Plan resolves a chart and renders it once, for the version and APIs of the cluster. Nothing in the cluster changes.
// What the plan shows is what Apply applies, whatever the chart's author does: Apply renders nothing of the author's. A plan
// of an install does not look whether the namespace exists and the name is free: Apply does.
//
// It starts two helm processes in addition to those of Fetch, which run at the same time where they can: one asks for
// the cluster's version and APIs, one renders. A third one finds the CRDs of a chart that brings some, or renders again
// for a cluster that has changed since this Helm asked it last; a fourth one, once for a cluster, asks again without the
// right to read its namespace kube-system.
//
// Errors: as Template; ErrBadManifest for what cannot be applied as it reads, and for an object twice or one in the
// chart's crds that is no CustomResourceDefinition; ErrOutputTooLarge if the release record would not fit into the
// cluster; for an upgrade ErrReleaseNotFound, and ErrReleaseBusy while something changes the release.
func (h *Helm) Plan(ctx context.Context, release, address string, opts PlanOptions) (_ *Plan, err error) {
	ctx, end := h.enter(ctx, Span{Operation: "Plan", Release: release, Namespace: opts.Namespace, Address: address})
	defer end(&err)
	switch {
	case !opts.Upgrade && (opts.ReuseValues || opts.ResetThenReuseValues) || opts.ReuseValues && opts.ResetThenReuseValues:
		return nil, errdef.Invalidf("plan: ReuseValues and ResetThenReuseValues are for an Upgrade, and exclude each other")
	case opts.Cluster != nil && (opts.Upgrade || opts.Lookups):
		return nil, errdef.Invalidf("plan: Cluster is for an install without Lookups: an upgrade and look-ups need the real cluster")
	}
	if opts.Cluster != nil {
		given := *opts.Cluster
		given.APIVersions = slices.Clone(given.APIVersions)
		if err := given.Validate(); err != nil {
			return nil, err
		}
		opts.Cluster = &given
	}
	t, stdin, err := h.releaseInput(release, InstallOptions{
		Namespace: opts.Namespace, ValuesFiles: opts.ValuesFiles, Values: opts.Values, ExtraArgs: opts.ExtraArgs, Kubeconfig: opts.Kubeconfig, KubeContext: opts.KubeContext,
	})
	if err != nil {
		return nil, err
	}
	ch, err := h.Fetch(ctx, address, ChartOptions{Version: opts.Version, Source: opts.Source})
	if err != nil {
		return nil, err
	}
	return h.planOf(ctx, t, release, ch, stdin, opts)
}

// planOf plans with a chart that is on this machine.
func (h *Helm) planOf(ctx context.Context, t target, release string, ch *Chart, stdin []byte, opts PlanOptions) (*Plan, error) {
	defer h.store.Hold(ctx, ch.Path)()
	if err := h.checkSchemaReferences(ch, opts.SkipSchema); err != nil {
		return nil, err
	}
	d, err := h.dialect(ctx)
	if err != nil {
		return nil, err
	}
	p := planner{h: h, dialect: d, target: t, release: release, chart: ch, stdin: stdin, opts: opts}
	p.in = plan.Input{Release: release, Upgrade: opts.Upgrade, Chart: *ch.Metadata, ChartDigest: ch.Digest}
	if ch.Signature != nil {
		p.in.SigningKey = ch.Signature.Fingerprint
	}
	if stdin != nil {
		if err := decodeJSON(stdin, &p.in.Values); err != nil {
			return nil, err
		}
	}
	asks, err := chart.ReadCapabilities(ch.Path, chart.Options{Name: ch.Ref, Limits: chart.Limits{Archive: h.cfg.Limits.Archive}}, stdin)
	if err != nil {
		return nil, err
	}
	render := p.install
	if opts.Upgrade {
		render = p.upgrade
	}
	cluster, err := render(ctx)
	if err != nil {
		return nil, err
	}
	p.in.Cluster = cluster.ID
	if asks.Read && cluster.KubeVersion != "" {
		p.in.KubeVersion, p.in.APIs = cluster.KubeVersion, map[string]bool{}
		for _, api := range asks.APIs {
			_, p.in.APIs[api] = slices.BinarySearch(cluster.APIVersions, api)
		}
	}
	return plan.New(ctx, p.in)
}

// planner renders a chart for a plan.
type planner struct {
	h       *Helm
	dialect helmtext.Dialect
	target  target
	release string
	chart   *Chart
	stdin   []byte
	opts    PlanOptions
	in      plan.Input
}

// install renders an install, and returns the cluster as the chart saw it.
func (p *planner) install(ctx context.Context) (*Cluster, error) {
	bringsCRDs := p.chart.bringsCRDs && !p.opts.SkipCRDs
	if p.opts.Cluster == nil && !p.opts.Lookups && !bringsCRDs && p.target.namespace != "" {
		if cluster, asked, err := p.installMeanwhile(ctx); asked {
			return cluster, err
		}
	}
	cluster, err := p.askCluster(ctx)
	if err != nil {
		return nil, err
	}
	if bringsCRDs || p.opts.Cluster != nil && cluster.LacksKinds() {
		if err := p.prepare(ctx, cluster); err != nil {
			return nil, err
		}
	}
	if p.opts.Lookups {
		return cluster, p.dryInstall(ctx, site{target: p.target, cluster: true})
	}
	return cluster, p.h.onEmpty(ctx, p.target.namespace, func() (*Cluster, error) { return cluster, nil }, p.dryInstall)
}

// installMeanwhile renders while another helm asks the cluster: for the cluster as it was when it was last asked, and
// again if it is not the same now. The first time, helm starts and reads the chart meanwhile. asked is false if the
// question failed, which may pass.
func (p *planner) installMeanwhile(ctx context.Context) (cluster *Cluster, asked bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	starts, answered := make(chan struct{}), make(chan struct{})
	var now *Cluster
	var failed error
	go func() {
		defer close(answered)
		// Only when it has its turn does the other one queue for one: with the last it would wait for ever.
		if now, _, failed = p.h.askCluster(ctx, p.target, p.release, func() { close(starts) }); failed != nil {
			cancel()
		}
	}()
	answer := func() (*Cluster, error) { <-answered; return now, failed }
	known := p.h.clusters.of(p.target)
	describe := answer
	if known.cluster != nil {
		describe = func() (*Cluster, error) { return known.cluster, nil }
	}
	select {
	case <-starts:
		err = p.h.onEmpty(ctx, p.target.namespace, describe, p.dryInstall)
	case <-answered:
	}
	if cluster, failed := answer(); failed != nil {
		return nil, false, failed
	} else if known.cluster != nil && !reflect.DeepEqual(known.cluster, cluster) {
		err = p.h.onEmpty(ctx, p.target.namespace, answer, p.dryInstall)
	}
	p.h.clusters.note(p.target, knownCluster{nameless: now.ID == "", cluster: now})
	return now, true, err
}

// askCluster returns the cluster that an install is for. The namespace is then known.
func (p *planner) askCluster(ctx context.Context) (*Cluster, error) {
	switch c := p.opts.Cluster; {
	case c == nil:
		cluster, namespace, err := p.h.askCluster(ctx, p.target, p.release, nil)
		p.target.namespace = namespace
		return cluster, err
	case len(c.APIVersions) == 0:
		assumed, _, err := p.h.capabilities(ctx, invocation{args: args{"template", "--kube-version=" + c.KubeVersion}, task: p.task()})
		if err != nil {
			return nil, err
		}
		c.APIVersions = assumed.APIVersions
	}
	p.target.namespace = cmp.Or(p.target.namespace, "default")
	return p.opts.Cluster, nil
}

// prepare finds what only helm knows, by a render before the real one: the CRDs of the chart and its enabled subcharts,
// and the kinds of APIs that were given without kinds. It adds both to the cluster: helm creates the CRDs before it
// asks for the APIs.
func (p *planner) prepare(ctx context.Context, cluster *Cluster) error {
	files, err := chart.ReadCRDs(p.chart.Path, chart.Options{Name: p.chart.Ref, Limits: chart.Limits{Archive: p.h.cfg.Limits.Archive}})
	if err != nil {
		return err
	}
	all := slices.Concat(files.Own, files.Sub)
	var out []byte
	a := args{"template", "--disable-openapi-validation"}
	a.is("--include-crds", !p.opts.SkipCRDs)
	if p.opts.Cluster != nil && cluster.LacksKinds() {
		a.add("--kube-version="+cluster.KubeVersion, "--api-versions="+strings.Join(cluster.APIVersions, ","))
		if out, err = p.run(ctx, a, site{target: target{namespace: p.target.namespace}}); err != nil {
			return err
		}
		objects, err := Manifest(out).Objects()
		if err != nil {
			return err
		}
		var apis []string
		for _, object := range objects {
			version, _ := object["apiVersion"].(string)
			if kind, ok := object["kind"].(string); ok && slices.Contains(cluster.APIVersions, version) {
				apis = append(apis, version+"/"+kind)
			}
		}
		cluster.Serve(apis...)
	} else {
		with := Cluster{KubeVersion: cluster.KubeVersion, Major: cluster.Major, Minor: cluster.Minor, APIVersions: slices.Clone(cluster.APIVersions)}
		with.ServeCRDs(Manifest(bytes.Join(all, []byte("\n---\n"))))
		err := p.h.onEmpty(ctx, p.target.namespace, func() (*Cluster, error) { return &with, nil }, func(ctx context.Context, on site) (err error) {
			a.add(p.dialect.TemplateCluster...)
			out, err = p.run(ctx, a, on)
			return err
		})
		if err != nil {
			return err
		}
	}
	if p.in.CRDs, err = helmtext.CRDsIn(out, all); err != nil {
		return fmt.Errorf("%w: %w", ErrBadManifest, err)
	}
	cluster.ServeCRDs(p.in.CRDs)
	return nil
}

// dryInstall renders an install by a dry run that reads the cluster.
func (p *planner) dryInstall(ctx context.Context, on site) error {
	return p.dryRun(ctx, args{"install", p.dialect.DryRun}, on)
}

// upgrade renders an upgrade, while another helm asks the cluster. Helm renders it with the cluster's version and APIs
// also where it gives it no look-ups.
func (p *planner) upgrade(ctx context.Context) (*Cluster, error) {
	a := args{"upgrade", "--dry-run=client"}
	if p.opts.Lookups {
		a[1] = p.dialect.DryRun
	}
	a.is("--reuse-values", p.opts.ReuseValues)
	a.is("--reset-then-reuse-values", p.opts.ResetThenReuseValues)
	cluster := p.opts.Cluster
	both, ctx := errgroup.WithContext(ctx)
	if cluster == nil {
		both.Go(func() (err error) {
			cluster, _, err = p.h.askCluster(ctx, p.target, p.release, nil)
			return err
		})
	}
	both.Go(func() error { return p.dryRun(ctx, a, site{target: p.target, cluster: true}) })
	err := both.Wait()
	return cluster, err
}

// dryRun runs an install or upgrade that changes nothing, and reads what it would record.
func (p *planner) dryRun(ctx context.Context, a args, on site) error {
	a.add("--disable-openapi-validation", "--output=json")
	out, err := p.run(ctx, a, on)
	if err != nil {
		return err
	}
	var rendered struct {
		Namespace string
		Info      struct{ Notes string }
		Chart     struct{ Values Values } // with ReuseValues, those of the chart before
		Config    Values
		Manifest  string
		Hooks     []struct{ Manifest string }
		Version   int
	}
	if err := decodeJSON(out, &rendered); err != nil || rendered.Version < 1 {
		return badOutput(a[0], cmp.Or(err, fmt.Errorf("revision %d", rendered.Version)))
	}
	var all strings.Builder
	all.WriteString(rendered.Manifest)
	for _, hook := range rendered.Hooks {
		all.WriteString("\n---\n" + hook.Manifest)
	}
	p.in.Namespace, p.in.Base = rendered.Namespace, rendered.Version-1
	p.in.Rendered, p.in.Notes = Manifest(all.String()), rendered.Info.Notes
	p.in.Defaults = rendered.Chart.Values
	if p.opts.Upgrade { // with those of the revision before; helm has lost the last digits of large numbers
		p.in.Values = rendered.Config
	}
	return nil
}

// run runs a helm that renders the chart.
func (p *planner) run(ctx context.Context, a args, on site) (out []byte, err error) {
	a = slices.Insert(a, 1, p.opts.ExtraArgs...)
	a.is("--values=-", p.stdin != nil)
	a.is("--skip-schema-validation", p.opts.SkipSchema)
	a.add(on.flags()...)
	a.add("--", p.release, p.chart.Path)
	err = p.h.retry(ctx, func(ctx context.Context) (err error) {
		out, err = p.h.run(ctx, invocation{args: a, cluster: on.cluster, env: on.env, stdin: p.stdin, limits: p.h.rendering(), task: p.task()})
		return err
	})
	if e := (*Error)(nil); errors.As(err, &e) && e.kind == nil && e.cause == nil && helmtext.BadObjects(e.Stderr) {
		e.kind = ErrBadManifest
	}
	return out, renderFailure(err, p.chart)
}

func (p *planner) task() string { return "plan " + p.release }

// decodeJSON keeps numbers as they are written.
func decodeJSON(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return decoder.Decode(into)
}

// ApplyOptions is for Apply. Its fields mean the same as those of InstallOptions and UpgradeOptions.
type ApplyOptions struct {
	// Digest is that of the plan which was approved. If it is set, another plan is refused (ErrPlanStale).
	Digest string

	CreateNamespace   bool // for an install; an upgrade ignores it
	Wait, WaitForJobs bool
	Timeout           time.Duration
	KeepFailed        bool // for an install; an upgrade ignores it, and keeps its failed revision unless RollbackOnFailure is set
	RollbackOnFailure bool
	NoHooks           bool
	Labels            map[string]string
	Description       string
	OperationID       string
	JobID             string
	Deadline          time.Time
	Progress          func(Progress)
	ProgressInterval  time.Duration
	FailFast          []FailFastRule
	FailFastInterval  time.Duration
	ExtraArgs         []string

	Kubeconfig, KubeContext string
}

// Apply installs or upgrades exactly what a plan shows, exactly once for one OperationID, and returns the release as
// recorded. Helm gets a chart whose templates only print the plan's documents, so a try after a lost one, and a runner
// that takes over from a killed one, apply the same. Otherwise it is Install or Upgrade.
//
// Errors, each a *ReleaseError: ErrReleaseExists, ErrReleaseNotFound, ErrReleaseBusy, ErrNamespaceNotFound, ErrNotReady,
// ErrRenderFailed, ErrRenderTooLarge, ErrRenderTimeout, ErrNotRecorded, ErrLeftBehind and ErrNotGone, as of an install or
// upgrade; ErrPlanStale if Digest is another plan's, if this is another cluster than it was planned
// for, if the chart asks for the version or APIs of the cluster and they have changed, if the release of an upgrade
// has another revision than it was planned over, if that revision failed and Helm would leave what it made beside the plan,
// or if an object that the plan makes exists already.
// An operation that applied another plan is somebody else's:
// ErrReleaseExists for an install, ErrPlanStale for an upgrade. ErrInvalidArgument without a plan, and ErrBadPlan for
// an empty one, are no *ReleaseError.
func (h *Helm) Apply(ctx context.Context, p *Plan, opts ApplyOptions) (_ *Release, err error) {
	span := Span{Operation: "Apply", JobID: opts.JobID, OperationID: opts.OperationID}
	if p != nil {
		span.Release, span.Namespace = p.Release, p.Namespace
		span.ChartName, span.ChartVersion, span.ChartDigest = p.Chart.Name, p.Chart.Version, p.ChartDigest
	}
	ctx, end := h.enter(ctx, span)
	defer end(&err)
	if p == nil {
		return nil, errdef.Invalidf("apply: no plan")
	}
	digest := p.Digest()
	if opts.Digest != "" && opts.Digest != digest {
		return nil, fmt.Errorf("%w: %s is approved, this one is %s", ErrPlanStale, opts.Digest, digest)
	}
	charts := &literals{h: h, plan: p, opts: plan.ChartOptions{NoHooks: opts.NoHooks}}
	defer charts.remove()
	ch, err := charts.of(ctx, false)
	if err != nil {
		return nil, err
	}
	from := applied{plan: labelValueOf(digest), base: p.Base, charts: charts}
	if p.Upgrade {
		return h.upgrade(ctx, p.Release, ch, UpgradeOptions{
			Namespace: p.Namespace, Values: p.Values, SkipCRDs: true, Wait: opts.Wait, WaitForJobs: opts.WaitForJobs, Timeout: opts.Timeout,
			RollbackOnFailure: opts.RollbackOnFailure, NoHooks: opts.NoHooks, Labels: opts.Labels, Description: opts.Description,
			OperationID: opts.OperationID, JobID: opts.JobID, Deadline: opts.Deadline, Progress: opts.Progress, ProgressInterval: opts.ProgressInterval, FailFast: opts.FailFast, FailFastInterval: opts.FailFastInterval, ExtraArgs: opts.ExtraArgs,
			Kubeconfig: opts.Kubeconfig, KubeContext: opts.KubeContext,
		}, from)
	}
	return h.install(ctx, p.Release, ch, InstallOptions{
		Namespace: p.Namespace, CreateNamespace: opts.CreateNamespace, Values: p.Values, Wait: opts.Wait, WaitForJobs: opts.WaitForJobs, Timeout: opts.Timeout,
		KeepFailed: opts.KeepFailed, RollbackOnFailure: opts.RollbackOnFailure, NoHooks: opts.NoHooks, Labels: opts.Labels, Description: opts.Description,
		OperationID: opts.OperationID, JobID: opts.JobID, Deadline: opts.Deadline, Progress: opts.Progress, ProgressInterval: opts.ProgressInterval, FailFast: opts.FailFast, FailFastInterval: opts.FailFastInterval, ExtraArgs: opts.ExtraArgs,
		Kubeconfig: opts.Kubeconfig, KubeContext: opts.KubeContext,
	}, from)
}
