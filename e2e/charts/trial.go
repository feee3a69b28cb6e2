package charts

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/e2e/cluster"
)

// bed is a cluster for one trial at a time.
type bed struct {
	dir     string
	cluster *cluster.Cluster
}

// everything is what the cluster contains. A changing custom resource definition or a busy machine
// can keep the API server from answering for a while.
func (b *bed) everything(ctx context.Context) (all []cluster.Object, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	err = cluster.Eventually(ctx, func(ctx context.Context) error {
		all, err = b.cluster.Everything(ctx)
		return err
	})
	return all, err
}

// trial is one chart on one Helm.
type trial struct {
	chart  chart
	helm   string // "helm3" or "helm4"
	binary string
	apply  bool // a plan, instead of the chart
	noPlan bool // the chart can be installed, but not planned
	times

	outcome string
	left    []cluster.Object
	faults  []fault
	log     strings.Builder
	took    time.Duration
}

// times are how long helm waits in an install and in a removal, and the grace period.
type times struct{ install, removal, grace time.Duration }

const (
	// limit is the time of one install or removal. Each hook and each wait takes its timeout at most.
	limit = 20 * time.Minute
	// settling is the time for objects that are deleted in the background.
	settling = 2 * time.Minute
)

// try installs the chart, removes it if that succeeded, and checks what is left, which is then
// removed. An error means that the bed failed.
func (t *trial) try(ctx context.Context, b *bed) error {
	begin := time.Now()
	defer func() { t.took = time.Since(begin) }()
	before, err := b.everything(ctx)
	if err != nil {
		return err
	}
	h, err := helmexec.New(helmexec.Config{
		Binary: t.binary, Home: filepath.Join(b.dir, t.helm), Kubeconfig: b.cluster.Kubeconfig, GracePeriod: t.grace,
	})
	if err != nil {
		return err
	}
	if err := t.look(ctx, b, before, t.installAndRemove(ctx, h)); err != nil {
		return err
	}
	clean, cancel := context.WithTimeoutCause(ctx, 2*time.Minute, errors.New("the cluster could not be cleaned"))
	defer cancel()
	return b.cluster.Restore(clean, before)
}

// installAndRemove is what a job runner does. It returns what is reported to stay.
func (t *trial) installAndRemove(ctx context.Context, h *helmexec.Helm) report {
	job := strings.ToLower(rand.Text()[:8])
	namespace, release := "job-"+job, helmexec.SUTHelmName(job, filepath.Base(t.chart.name))
	p := t.planOf(ctx, h, release, namespace)
	err := t.bounded(ctx, "install", func(ctx context.Context) error {
		if t.apply && p.err == nil {
			_, err := h.Apply(ctx, p.plan, helmexec.ApplyOptions{
				CreateNamespace: true, Wait: true, Timeout: t.install, OperationID: job, JobID: job, Digest: p.plan.Digest(),
			})
			return err
		}
		_, err := h.Install(ctx, release, t.chart.path, helmexec.InstallOptions{
			Namespace: namespace, CreateNamespace: true, ValuesFiles: t.chart.values,
			Wait: true, Timeout: t.install, OperationID: job, JobID: job,
		})
		return err
	})
	if err != nil {
		t.outcome = t.kindOf("install", err)
		return reportOf(err)
	}
	if !t.noPlan {
		t.checkPlan(ctx, h, p, release, namespace)
	}
	var removed []*helmexec.UninstallResult
	err = t.bounded(ctx, "removal", func(ctx context.Context) (err error) {
		removed, err = h.UninstallJob(ctx, job, helmexec.JobOptions{Namespace: namespace, Wait: true, Timeout: t.removal})
		return err
	})
	switch {
	case err != nil:
		t.outcome = "removal: " + t.kindOf("removal", err)
		return reportOf(err)
	case len(removed) != 1:
		t.fault(lost, fmt.Sprintf("%d releases of the job were removed", len(removed)))
		return report{}
	}
	t.outcome = installed
	return report{remains: removed[0].Remains}
}

const installed = "installed and removed"

// bounded calls a function that must end when its context does.
func (t *trial) bounded(ctx context.Context, what string, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- call(ctx) }()
	var err error
	select {
	case err = <-done:
	case <-time.After(limit + 3*t.grace):
		err = errors.New("it runs on after its context has ended")
	}
	if ctx.Err() != nil {
		t.fault(hung, fmt.Sprintf("the %s: %v", what, err))
	}
	if err != nil {
		fmt.Fprintf(&t.log, "%s: %v\n", what, err)
	}
	return err
}

func (t *trial) fault(kind, what string) { t.faults = append(t.faults, fault{kind, what}) }

// look compares the cluster with what was reported: at once, and again while something is left that
// may disappear by itself.
func (t *trial) look(ctx context.Context, b *bed, before []cluster.Object, told report) error {
	soon, cancel := context.WithTimeout(ctx, settling)
	defer cancel()
	reported, err := b.everything(ctx)
	after := reported
	for {
		if err != nil {
			return err
		}
		faults := compare(before, reported, after, told)
		if len(faults) == 0 || soon.Err() != nil {
			t.faults, t.left = append(t.faults, faults...), left(before, after)
			return ctx.Err()
		}
		select {
		case <-soon.Done():
		case <-time.After(500 * time.Millisecond):
		}
		after, err = b.everything(ctx)
	}
}

func reportOf(err error) report {
	var failed *helmexec.ReleaseError
	if errors.As(err, &failed) {
		return report{failed.Remains, failed.Release, string(failed.Status)}
	}
	return report{}
}

// kinds of errors that README.md lists, the more specific ones first.
var kinds = []error{
	helmexec.ErrLeftBehind, helmexec.ErrNotGone, helmexec.ErrNotReady, helmexec.ErrNotRecorded, helmexec.ErrRenderFailed, helmexec.ErrBadChart,
	helmexec.ErrReleaseExists, helmexec.ErrReleaseBusy, helmexec.ErrReleaseNotFound, helmexec.ErrNamespaceNotFound,
	helmexec.ErrChartNotFound, helmexec.ErrBadManifest, helmexec.ErrOutputTooLarge, helmexec.ErrClusterUnreachable,
	helmexec.ErrInvalidArgument, context.DeadlineExceeded,
}

// refused is an error in helm's own words: it failed for good.
const refused = "refused"

// kindOf names an error by its kinds.
func (t *trial) kindOf(what string, err error) string {
	var names []string
	for _, kind := range kinds {
		if errors.Is(err, kind) {
			names = append(names, kind.Error())
		}
	}
	var e *helmexec.Error
	switch {
	case len(names) > 0:
		return strings.Join(slices.Compact(names), ", ")
	case errors.As(err, &e):
		return refused
	}
	t.fault(untyped, fmt.Sprintf("the %s: %v", what, err))
	return "untyped"
}
