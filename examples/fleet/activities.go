package main

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/policy"
)

// Activities are what a worker does for a cluster. What they take and give is small and has no secrets.
type Activities struct {
	Helm  *helmexec.Helm
	Home  string        // the name of the home
	Grace time.Duration // of Helm
	Plans Store
	Rules Rules
}

// Rules are what a chart may ask for here.
type Rules struct {
	Trusted    bool     // nothing is refused
	Registries []string // where images may come from; nil is anywhere
	Devices    []string // the accelerators, as "nvidia.com/gpu"
}

// Planned is a plan in the store, and what the workflow needs of it.
type Planned struct {
	Digest             string // names the plan
	ChartDigest        string // "" for a folder
	Release, Namespace string
	Home               string // that made it
	Needs              []Need `json:",omitempty"` // accelerators
}

// Plan resolves a chart and renders it once. A further delivery may make another plan, of which nothing remains but a file.
func (a *Activities) Plan(ctx context.Context, job Job) (Planned, error) {
	defer a.heartbeats(ctx).stop()
	p, err := a.Helm.Plan(ctx, job.release(), job.Chart, helmexec.PlanOptions{Namespace: job.Namespace, Values: job.Values})
	if err != nil {
		return Planned{}, answer(err)
	}
	if err := a.Plans.Put(ctx, p); err != nil {
		return Planned{}, answer(err)
	}
	return Planned{
		Digest: p.Digest(), ChartDigest: p.ChartDigest, Release: p.Release, Namespace: p.Namespace, Home: a.Home, Needs: needsOf(p.GPUs),
	}, nil
}

// Check decides by the rules of the lab whether a plan may run.
func (a *Activities) Check(ctx context.Context, planned Planned) error {
	defer a.heartbeats(ctx).stop()
	p, err := a.Plans.Get(ctx, planned.Digest)
	if err != nil {
		return answer(err)
	}
	limits := policy.Limits{GPUs: map[string]int64{}}
	for _, device := range a.Rules.Devices {
		limits.GPUs[device] = math.MaxInt64 // how many there are is a matter of reservations
	}
	findings := p.Check(policy.Tenant(policy.TenantOptions{Registries: a.Rules.Registries, Limits: limits}))
	if len(findings) == 0 || a.Rules.Trusted {
		return nil
	}
	const most = 20
	var text []string
	for _, f := range findings[:min(most, len(findings))] {
		f.Value = "" // may be a secret
		text = append(text, f.String())
	}
	return temporal.NewNonRetryableApplicationError(shortened(fmt.Sprintf("the rules find %d faults: %q", len(findings), text)), kindRefused, nil)
}

// ApplyInput is what Apply takes.
type ApplyInput struct {
	Plan               Planned
	JobID, OperationID string
	Deadline           time.Time // of the release
	Times              Times
}

// Applied is what Apply gives.
type Applied struct {
	Recovered bool // an earlier delivery had made the release
}

// Apply installs a plan, exactly once for one operation id: a further delivery finds the release, or removes the rest of it
// and goes on. If it is cancelled or loses its heartbeat, helm and what it made are gone within the grace period.
func (a *Activities) Apply(ctx context.Context, in ApplyInput) (Applied, error) {
	beats := a.heartbeats(ctx)
	defer beats.stop()
	// What remains of the delivery's time is for helm to end, and to clean up.
	longest := in.Times.Apply.Duration - 2*in.Times.Grace.Duration
	if a.Grace > in.Times.Grace.Duration || longest <= 0 {
		return Applied{}, temporal.NewNonRetryableApplicationError(fmt.Sprintf("the times of the job do not go with a grace period of %v: grace %v, apply %v",
			a.Grace, in.Times.Grace, in.Times.Apply), "InvalidArgument", nil)
	}
	p, err := a.Plans.Get(ctx, in.Plan.Digest)
	if err != nil {
		return Applied{}, answer(err)
	}
	work, cancel := context.WithDeadline(ctx, activity.GetInfo(ctx).StartedTime.Add(longest))
	defer cancel()
	release, err := a.Helm.Apply(work, p, helmexec.ApplyOptions{
		Digest: in.Plan.Digest, Wait: true, Timeout: in.Times.Ready.Duration, FailFast: helmexec.FailFastRules(),
		OperationID: in.OperationID, JobID: in.JobID, Deadline: in.Deadline, Progress: beats.progress,
	})
	if err != nil {
		return Applied{}, cancelledOr(ctx, err)
	}
	return Applied{Recovered: release.Recovered}, nil
}

// MeasureInput is what Measure takes.
type MeasureInput struct {
	Plan Planned
	For  Duration
}

// Measurement is what Measure gives.
type Measurement struct {
	Home   string
	Status helmexec.Status // of the release, when it was measured
}

// Measure is where a real lab measures the SUT. Here it looks at the release, and waits.
func (a *Activities) Measure(ctx context.Context, in MeasureInput) (Measurement, error) {
	defer a.heartbeats(ctx).stop()
	found, err := a.Helm.Status(ctx, in.Plan.Release, helmexec.StatusOptions{Namespace: in.Plan.Namespace})
	if err != nil {
		return Measurement{}, cancelledOr(ctx, err)
	}
	select {
	case <-ctx.Done():
		return Measurement{}, cancelledOr(ctx, ctx.Err())
	case <-time.After(in.For.Duration):
		return Measurement{Home: a.Home, Status: found.Status}, nil
	}
}

// UninstallInput is what Uninstall takes.
type UninstallInput struct {
	Plan  Planned
	Times Times
}

// Removed is what Uninstall gives.
type Removed struct {
	Attempt int32    // of this delivery
	Remains []string `json:",omitempty"` // what Helm leaves by design
}

// Uninstall removes the release, if there is one. It waits for a helm that may live on a lost host.
func (a *Activities) Uninstall(ctx context.Context, in UninstallInput) (Removed, error) {
	defer a.heartbeats(ctx).stop()
	info := activity.GetInfo(ctx)
	work, cancel := context.WithDeadline(ctx, info.Deadline.Add(-2*a.Grace))
	defer cancel()
	removed, err := a.Helm.Uninstall(work, in.Plan.Release, helmexec.UninstallOptions{
		Namespace: in.Plan.Namespace, Wait: true, IgnoreNotFound: true,
		Timeout: in.Times.Uninstall.Duration / 2, // the other half is for hooks and tries
	})
	if err != nil {
		return Removed{}, later(err)
	}
	done := Removed{Attempt: info.Attempt}
	for _, remain := range removed.Remains {
		done.Remains = append(done.Remains, remain.String())
	}
	return done, nil
}

// HomeName names a home that is there.
func (a *Activities) HomeName(context.Context) (string, error) { return a.Home, nil }

// Forget removes a plan that nothing will be made of any more.
func (a *Activities) Forget(ctx context.Context, planned Planned) error {
	return later(a.Plans.Remove(ctx, planned.Digest))
}

// cancelledOr is the answer to an error, unless the workflow has cancelled the activity: then the end of its helm is no
// failure. Without that request Temporal takes no such answer.
func cancelledOr(ctx context.Context, err error) error {
	if ctx.Err() != nil && temporal.IsCanceledError(context.Cause(ctx)) {
		return temporal.NewCanceledError(shortened(err.Error()))
	}
	return answer(err)
}

// Free is what the nodes have free of accelerators: what pods hold is subtracted.
func (a *Activities) Free(ctx context.Context) ([]map[string]int64, error) {
	defer a.heartbeats(ctx).stop()
	nodes, err := a.Helm.Nodes(ctx, helmexec.ClusterOptions{})
	for _, node := range nodes {
		maps.DeleteFunc(node, func(name string, _ int64) bool { return !slices.Contains(a.Rules.Devices, name) })
	}
	return nodes, answer(err)
}

// Sweep removes the releases of the cluster whose job should be over, and the plans that nobody needs.
func (a *Activities) Sweep(ctx context.Context, in SweepInput) ([]string, error) {
	defer a.heartbeats(ctx).stop()
	removed, err := a.Helm.UninstallOverdue(ctx, helmexec.JobOptions{AllNamespaces: true, Wait: true, Timeout: in.Timeout.Duration})
	var names []string
	for _, r := range removed {
		names = append(names, r.Release.Namespace+"/"+r.Release.Name)
	}
	if err != nil {
		return names, later(err)
	}
	return names, later(a.Plans.Prune(ctx, time.Now().Add(-in.KeepPlans.Duration)))
}
