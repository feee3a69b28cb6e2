package helmexec

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"sigs.k8s.io/yaml"

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
	// it into its objects. By default a look-up finds nothing, as in helm template. Helm 4 cannot give look-ups to
	// a chart that brings its own CRDs before these exist (ErrInvalidArgument).
	Lookups bool

	Kubeconfig, KubeContext string
}

// Plan resolves a chart and renders it once, for the version and APIs of the cluster. Nothing in the cluster changes.
// What the plan shows is what Apply applies, whatever the chart's author does: Apply renders nothing of the author's.
//
// An install starts two helm processes in addition to those of Fetch: one asks for the cluster's version and APIs, one
// renders. An upgrade starts one.
//
// Errors: as Template; ErrBadManifest for what cannot be applied as it reads, and for an object twice or one in the
// chart's crds that is no CustomResourceDefinition; ErrOutputTooLarge if the release record would not fit into the
// cluster; for an upgrade ErrReleaseNotFound, and ErrReleaseBusy while something changes the release.
func (h *Helm) Plan(ctx context.Context, release, address string, opts PlanOptions) (*Plan, error) {
	if !opts.Upgrade && (opts.ReuseValues || opts.ResetThenReuseValues) || opts.ReuseValues && opts.ResetThenReuseValues {
		return nil, errdef.Invalidf("plan: ReuseValues and ResetThenReuseValues are for an Upgrade, and exclude each other")
	}
	t, stdin, err := h.releaseInput(release, InstallOptions{
		Namespace: opts.Namespace, ValuesFiles: opts.ValuesFiles, Values: opts.Values, Kubeconfig: opts.Kubeconfig, KubeContext: opts.KubeContext,
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
	p.in = plan.Input{Release: release, Namespace: t.namespace, Upgrade: opts.Upgrade, Chart: *ch.Metadata, ChartDigest: ch.Digest}
	if stdin != nil {
		if err := json.Unmarshal(stdin, &p.in.Values); err != nil {
			return nil, err
		}
	}
	if p.in.Defaults, err = chart.Defaults(ch.Path, p.in.Values, chart.Options{Name: ch.Ref, Limits: chart.Limits{Archive: h.cfg.Limits.Archive}}); err != nil {
		return nil, err
	}
	render := p.install
	if opts.Upgrade {
		render = p.upgrade
	}
	if err := render(ctx); err != nil {
		return nil, err
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

// install renders an install.
func (p *planner) install(ctx context.Context) error {
	cluster, err := p.h.clusterOf(ctx, p.target)
	if err != nil {
		return err
	}
	p.in.KubeVersion = cluster.KubeVersion
	a := args{"template", "--kube-version=" + cluster.KubeVersion, "--api-versions=" + strings.Join(cluster.APIVersions, ",")}
	a.is("--include-crds", !p.opts.SkipCRDs)
	if p.opts.Lookups {
		if p.chart.bringsCRDs && p.dialect.LookupsNeedKinds {
			return errdef.Invalidf("plan: chart %s brings CRDs, and Helm 4 gives look-ups to no chart whose kinds may not exist yet: leave out Lookups", p.chart.Ref)
		}
		a.add(p.dialect.DryRun)
	}
	out, err := p.run(ctx, a)
	if err == nil {
		p.in.Rendered, p.in.CRDs = splitCRDs(Manifest(out))
	}
	return err
}

// upgrade renders an upgrade. Helm renders it with the cluster's version and APIs also where it gives it no look-ups.
func (p *planner) upgrade(ctx context.Context) error {
	a := args{"upgrade", "--dry-run=client", "--output=json"}
	if p.opts.Lookups {
		a[1] = p.dialect.DryRun
	}
	a.is("--reuse-values", p.opts.ReuseValues)
	a.is("--reset-then-reuse-values", p.opts.ResetThenReuseValues)
	out, err := p.run(ctx, a)
	if err != nil {
		return err
	}
	var rendered struct {
		Info     struct{ Notes string }
		Chart    struct{ Values Values } // with ReuseValues, those of the chart before
		Config   Values
		Manifest string
		Hooks    []struct{ Path, Manifest string }
		Version  int
	}
	if err := json.Unmarshal(out, &rendered); err != nil || rendered.Version < 2 {
		return badOutput(a[0], cmp.Or(err, fmt.Errorf("revision %d", rendered.Version)))
	}
	var all strings.Builder
	all.WriteString(rendered.Manifest)
	for _, hook := range rendered.Hooks {
		fmt.Fprintf(&all, "\n---\n# Source: %s\n%s", hook.Path, hook.Manifest)
	}
	p.in.Base, p.in.Rendered, p.in.Notes, p.in.Values = rendered.Version-1, Manifest(all.String()), rendered.Info.Notes, rendered.Config
	if p.opts.ReuseValues {
		p.in.Defaults = rendered.Chart.Values
	}
	return nil
}

// run runs a helm that renders the chart.
func (p *planner) run(ctx context.Context, a args) (out []byte, err error) {
	a.is("--values=-", p.stdin != nil)
	a.is("--skip-schema-validation", p.opts.SkipSchema)
	t := p.target
	if a[0] == "template" && !p.opts.Lookups {
		t.kubeconfig, t.context = "", ""
	}
	a.add(t.flags()...)
	a.add("--", p.release, p.chart.Path)
	err = p.h.retry(ctx, func() (err error) {
		out, err = p.h.run(ctx, invocation{args: a, stdin: p.stdin, limits: p.h.rendering()})
		return err
	})
	return out, renderFailure(err, p.chart)
}

// splitCRDs takes the files of crds out of what helm template prints.
func splitCRDs(m Manifest) (rendered, crds Manifest) {
	into := &rendered
	for _, document := range strings.Split("\n"+string(m), "\n---\n") {
		if source, ok := helmtext.SourceOf(document); ok { // helm names it once a file of crds
			if into = &rendered; helmtext.IsCRDFile(source) {
				into = &crds
			}
		}
		*into = append(append(*into, "---\n"+document...), '\n')
	}
	return rendered, crds
}

// clusterFacts are what a chart is told about the cluster.
type clusterFacts struct {
	KubeVersion string
	APIVersions []string
}

// capabilitiesChart prints them; it is ours.
var capabilitiesChart = map[string]string{
	"Chart.yaml": "apiVersion: v2\nname: capabilities\nversion: 1.0.0\n",
	"templates/capabilities.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: helmexec-capabilities}\n" +
		"data: {kubeVersion: {{ .Capabilities.KubeVersion.Version | toJson }}, apiVersions: {{ .Capabilities.APIVersions | toJson | toJson }}}\n",
}

// clusterOf asks a cluster for its version and APIs, by rendering a chart of ours that prints them: helm has no command
// for it.
func (h *Helm) clusterOf(ctx context.Context, t target) (facts clusterFacts, err error) {
	dir, err := h.home.Files(ctx, "capabilities", capabilitiesChart)
	if err != nil {
		return facts, err
	}
	d, err := h.dialect(ctx)
	if err != nil {
		return facts, err
	}
	a := append(args{"template"}, d.TemplateCluster...)
	a.add(t.flags()...)
	a.add("--", "helmexec-capabilities", dir)
	var out []byte
	err = h.retry(ctx, func() (err error) {
		out, err = h.run(ctx, invocation{args: a, limits: h.rendering()})
		return err
	})
	if err != nil {
		return facts, err
	}
	var printed struct {
		Data struct{ KubeVersion, APIVersions string }
	}
	if err := yaml.Unmarshal(out, &printed); err != nil {
		return facts, badOutput("template", err)
	}
	facts.KubeVersion = printed.Data.KubeVersion
	if _, err := semver.NewVersion(facts.KubeVersion); err != nil {
		return facts, badOutput("template", fmt.Errorf("the cluster's version %.80q: %w", facts.KubeVersion, err))
	}
	if err := json.Unmarshal([]byte(printed.Data.APIVersions), &facts.APIVersions); err != nil {
		return facts, badOutput("template", err)
	}
	facts.APIVersions = slices.DeleteFunc(facts.APIVersions, func(v string) bool { return !apiVersion.MatchString(v) })
	return facts, nil
}

// ApplyOptions is for Apply. Its fields mean the same as those of InstallOptions and UpgradeOptions.
type ApplyOptions struct {
	// Digest is that of the plan which was approved. If it is set, another plan is refused (ErrPlanStale).
	Digest string

	CreateNamespace   bool // for an install
	Wait, WaitForJobs bool
	Timeout           time.Duration
	KeepFailed        bool // for an install
	RollbackOnFailure bool
	NoHooks           bool
	Labels            map[string]string
	Description       string
	OperationID       string
	JobID             string
	Deadline          time.Time
	Progress          func(Progress)
	ProgressInterval  time.Duration

	Kubeconfig, KubeContext string
}

// Apply installs or upgrades exactly what a plan shows, exactly once for one OperationID, and returns the release as
// recorded. Helm gets a chart whose templates only print the plan's documents, so a try after a lost one, and a runner
// that takes over from a killed one, apply the same. Otherwise it is Install or Upgrade.
//
// Errors: as Install or Upgrade; ErrPlanStale if Digest is another plan's, if the cluster of an install has another
// version than it was rendered for, or if the release of an upgrade has another revision than it was planned over. An
// operation that applied another plan is somebody else's: ErrReleaseExists for an install, ErrPlanStale for an upgrade.
func (h *Helm) Apply(ctx context.Context, p *Plan, opts ApplyOptions) (*Release, error) {
	if p == nil {
		return nil, errdef.Invalidf("apply: no plan")
	}
	digest := p.Digest()
	if opts.Digest != "" && opts.Digest != digest {
		return nil, fmt.Errorf("%w: %s is approved, this one is %s", ErrPlanStale, opts.Digest, digest)
	}
	ch, done, err := h.literal(ctx, p)
	if err != nil {
		return nil, err
	}
	defer done()
	from := applied{plan: labelValueOf(digest), base: p.Base}
	if p.Upgrade {
		return h.upgrade(ctx, p.Release, ch, UpgradeOptions{
			Namespace: p.Namespace, Values: p.Values, SkipCRDs: true, Wait: opts.Wait, WaitForJobs: opts.WaitForJobs, Timeout: opts.Timeout,
			RollbackOnFailure: opts.RollbackOnFailure, NoHooks: opts.NoHooks, Labels: opts.Labels, Description: opts.Description,
			OperationID: opts.OperationID, JobID: opts.JobID, Deadline: opts.Deadline, Progress: opts.Progress, ProgressInterval: opts.ProgressInterval,
			Kubeconfig: opts.Kubeconfig, KubeContext: opts.KubeContext,
		}, from)
	}
	return h.install(ctx, p.Release, ch, InstallOptions{
		Namespace: p.Namespace, CreateNamespace: opts.CreateNamespace, Values: p.Values, Wait: opts.Wait, WaitForJobs: opts.WaitForJobs, Timeout: opts.Timeout,
		KeepFailed: opts.KeepFailed, RollbackOnFailure: opts.RollbackOnFailure, NoHooks: opts.NoHooks, Labels: opts.Labels, Description: opts.Description,
		OperationID: opts.OperationID, JobID: opts.JobID, Deadline: opts.Deadline, Progress: opts.Progress, ProgressInterval: opts.ProgressInterval,
		Kubeconfig: opts.Kubeconfig, KubeContext: opts.KubeContext,
	}, from)
}

// applied is the plan that a change applies; zero for none.
type applied struct {
	plan string // the label value of its digest
	base int    // the revision that it was planned over
}

// literal writes the chart of a plan for helm. The caller removes it by done.
func (h *Helm) literal(ctx context.Context, p *Plan) (ch *Chart, done func(), err error) {
	dir, err := h.home.MkdirTemp("plan-")
	if err != nil {
		return nil, nil, err
	}
	done = func() { os.RemoveAll(dir) }
	defer func() {
		if err != nil {
			done()
		}
	}()
	path := filepath.Join(dir, "plan.tgz")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, nil, err
	}
	if err := errors.Join(p.WriteChart(f), f.Close()); err != nil {
		return nil, nil, err
	}
	ch, err = h.Fetch(ctx, path, ChartOptions{})
	return ch, done, err
}

// errTransform marks the errors of a transform, as opposed to those of a context.
var errTransform = errors.New("transform")

// transformed plans a change, transforms the plan and writes its chart, for the options that have a Transform. It gives
// the chart its look-ups, as a plain helm does, where it can.
func (h *Helm) transformed(ctx context.Context, t target, release string, ch *Chart, stdin []byte, opts PlanOptions, transform Transform) (*Chart, *Plan, func(), error) {
	d, err := h.dialect(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	opts.Lookups = opts.Upgrade || !ch.bringsCRDs || !d.LookupsNeedKinds
	p, err := h.planOf(ctx, t, release, ch, stdin, opts)
	if err != nil {
		return nil, nil, nil, err
	}
	p, err = p.Transform(ctx, func(m Manifest) (Manifest, error) { return caught(ctx, transform, m) })
	switch {
	case errors.Is(err, errAbandoned):
		return nil, nil, nil, contextError(ctx)
	case err != nil:
		return nil, nil, nil, fmt.Errorf("%w: %w", errTransform, err)
	}
	changed, done, err := h.literal(ctx, p)
	return changed, p, done, err
}
