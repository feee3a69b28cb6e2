package charts

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sut-bench/helmexec"
)

// planned is what a chart is planned to be, before it is installed.
type planned struct {
	plan   *helmexec.Plan
	random map[helmexec.ObjectRef]bool // objects that are different in each render
	err    error
}

// planOf plans a chart twice: what differs is random.
func (t *trial) planOf(ctx context.Context, h *helmexec.Helm, release, namespace string) planned {
	opts := helmexec.PlanOptions{Namespace: namespace, ValuesFiles: t.chart.values}
	p := planned{random: map[helmexec.ObjectRef]bool{}}
	if p.plan, p.err = h.Plan(ctx, release, t.chart.path, opts); p.err != nil {
		return p
	}
	again, err := h.Plan(ctx, release, t.chart.path, opts)
	if err != nil {
		p.err = err
		return p
	}
	differences, err := again.Diff(ctx, slices.Concat(p.plan.Manifest(), p.plan.CRDManifest()))
	if err != nil {
		p.err = err
	}
	for _, d := range differences {
		p.random[d.Object] = true
	}
	return p
}

// checkPlan compares what is recorded with what was planned.
func (t *trial) checkPlan(ctx context.Context, h *helmexec.Helm, p planned, release, namespace string) {
	switch {
	case p.err != nil && strings.Contains(p.err.Error(), "twice, of which Helm 3 keeps the last and Helm 4 the first"):
		return // refused by design; a release name that is cut off can make two names equal
	case p.err != nil:
		t.fault(unplanned, p.err.Error())
		return
	}
	recorded, err := h.GetManifest(ctx, release, helmexec.GetOptions{Namespace: namespace})
	hooks, hooksErr := h.GetHooks(ctx, release, helmexec.GetOptions{Namespace: namespace})
	for _, hook := range hooks {
		recorded = fmt.Appendf(recorded, "\n---\n%s", hook.Manifest)
	}
	if err != nil || hooksErr != nil {
		t.fault(unplanned, fmt.Sprint(err, hooksErr))
		return
	}
	differences, err := p.plan.Diff(ctx, append(recorded, "\n"+string(p.plan.CRDManifest())...))
	if err != nil {
		t.fault(unplanned, err.Error())
	}
	for _, d := range differences {
		if t.apply || !p.random[d.Object] {
			t.fault(otherwise, fmt.Sprintf("%s: planned %.300q, recorded %.300q", d.Object, d.After, d.Before))
		}
	}
}
