package helmexec

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sut-bench/helmexec/internal/argument"
	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/redact"
)

// JobOptions is for UninstallJob, Overdue and UninstallOverdue.
type JobOptions struct {
	Namespace     string // the one that is searched; "" is Config's
	AllNamespaces bool   // search every namespace
	// Wait until the objects are gone, Timeout for each release. 0 is Helm's 5 minutes.
	Wait    bool
	Timeout time.Duration
	// Parallel is how many releases are uninstalled at once; 0 is 8.
	Parallel int

	Kubeconfig, KubeContext string
}

// check refuses what would otherwise show only on the day on which there is something to remove.
func (o JobOptions) check() error {
	return cmp.Or(argument.Duration("Timeout", o.Timeout), argument.Count("Parallel", o.Parallel))
}

// UninstallJob removes every release of a job in one namespace, or in all with AllNamespaces: releases that
// were installed with the JobID, and those installed without any JobID whose name is one that SUTHelmName makes
// for the job. A release of another job stays, whatever its name. It continues after failures, skips the delete
// hooks of a chart if one blocks, and waits until a running install of the job ends; in this home, also one
// that has recorded nothing yet. Starts two helm processes to find the releases, then those of Uninstall for each. It returns
// what it has removed. Nothing to remove is a success, also in a namespace that does not exist. What somebody else removes at
// the same time, such as the helm of a killed runner, is among them if Helm may leave something of it, so it can be in the results of both.
//
// Errors: as List, and nothing was removed; or a *ReleaseError for each release that could not be removed, joined:
// ErrNotGone and ErrReleaseBusy, as for a single one. An empty id, or one of blanks, is no job (ErrInvalidArgument), although
// an install accepts an empty JobID.
func (h *Helm) UninstallJob(ctx context.Context, jobID string, opts JobOptions) (_ []*UninstallResult, err error) {
	ctx, end := h.enter(ctx, Span{Operation: "UninstallJob", JobID: jobID, Namespace: opts.Namespace})
	defer end(&err)
	if strings.TrimSpace(jobID) == "" {
		return nil, errdef.Invalidf("uninstall job: the job id %q is empty", jobID)
	}
	if err := opts.check(); err != nil {
		return nil, err
	}
	where, err := h.target(opts.Namespace, opts.Kubeconfig, opts.KubeContext)
	if err != nil {
		return nil, err
	}
	// In this order no release is missed that is recorded, or gets its label, in between.
	releases := h.inProgress(jobID, where, opts.AllNamespaces)
	named, labelled := jobQueries(jobID)
	for _, which := range []ListOptions{named, labelled} {
		more, err := h.list(ctx, opts, which)
		if err != nil {
			return nil, fmt.Errorf("looking for the releases of job %s: %w", redact.Abridged(jobID), err)
		}
		for _, r := range more {
			if !slices.ContainsFunc(releases, func(have Release) bool { return have.Name == r.Name && have.Namespace == r.Namespace }) {
				releases = append(releases, r)
			}
		}
	}
	return h.uninstallAll(ctx, releases, opts, removal{skipHooks: true, job: jobID})
}

// jobQueries find the releases of a job: by name those without a job label, the others by the label.
func jobQueries(jobID string) (named, labelled ListOptions) {
	prefix := strings.TrimSuffix(SUTHelmName(jobID, "x"), "x")
	named = ListOptions{Filter: "^" + prefix + argument.DNSLabel + "$", Selector: "!" + labelJob}
	return named, ListOptions{Selector: labelJob + "=" + labelValueOf(jobID)}
}

// Overdue lists the releases whose InstallOptions.Deadline has passed. Starts one helm process.
//
// Errors: as List.
func (h *Helm) Overdue(ctx context.Context, opts JobOptions) (_ []Release, err error) {
	ctx, end := h.enter(ctx, Span{Operation: "Overdue", Namespace: opts.Namespace})
	defer end(&err)
	if err := opts.check(); err != nil {
		return nil, err
	}
	return h.list(ctx, opts, ListOptions{Selector: labelDeadline + "<" + unixLabel(h.host.now())})
}

// isOverdue reports whether the deadline of a record has passed.
func (h *Helm) isOverdue(rec *record) bool {
	deadline, err := strconv.ParseInt(rec.labels()[labelDeadline], 10, 64)
	return err == nil && deadline < h.host.now().Unix()
}

// list is List with retries, because the clean-up must not end at the first lost connection.
func (h *Helm) list(ctx context.Context, opts JobOptions, which ListOptions) (releases []Release, err error) {
	which.Namespace, which.AllNamespaces = opts.Namespace, opts.AllNamespaces
	which.Kubeconfig, which.KubeContext = opts.Kubeconfig, opts.KubeContext
	err = h.retry(ctx, func(ctx context.Context) (err error) {
		releases, err = h.List(ctx, which)
		return err
	})
	return releases, err
}

// UninstallOverdue removes the releases that Overdue lists, as UninstallJob does.
//
// Errors: as UninstallJob.
func (h *Helm) UninstallOverdue(ctx context.Context, opts JobOptions) (_ []*UninstallResult, err error) {
	ctx, end := h.enter(ctx, Span{Operation: "UninstallOverdue", Namespace: opts.Namespace})
	defer end(&err)
	releases, err := h.Overdue(ctx, opts)
	if err != nil {
		return nil, err
	}
	return h.uninstallAll(ctx, releases, opts, removal{skipHooks: true, overdue: true})
}

// uninstallAll removes releases with the settings of each.
func (h *Helm) uninstallAll(ctx context.Context, releases []Release, opts JobOptions, each removal) ([]*UninstallResult, error) {
	results := make([]*UninstallResult, len(releases))
	failures := make([]error, len(releases))
	var all errgroup.Group
	all.SetLimit(cmp.Or(opts.Parallel, 8))
	for i, r := range releases {
		all.Go(func() error {
			results[i], failures[i] = h.uninstall(ctx, r.Name, UninstallOptions{
				Namespace: r.Namespace, Kubeconfig: opts.Kubeconfig, KubeContext: opts.KubeContext,
				Wait: opts.Wait, Timeout: opts.Timeout, IgnoreNotFound: true,
			}, each)
			return nil
		})
	}
	_ = all.Wait()
	type removed struct {
		name, namespace string
		revision        int
		updated         time.Time
	}
	seen := map[removed]bool{} // one that was in progress may have been listed, too, and with the namespace of the kubeconfig
	return slices.DeleteFunc(results, func(r *UninstallResult) bool {
		if r == nil || r.Release == nil {
			return true
		}
		key := removed{r.Release.Name, r.Release.Namespace, r.Release.Revision, r.Release.Updated}
		twice := seen[key]
		seen[key] = true
		return twice
	}), errors.Join(failures...)
}

// maxPause is the longest pause between two looks at a release that another host is changing.
const maxPause = 10 * time.Second

// belongsToJob reports whether a release belongs to a job: by the label of its record, or without a label by its
// name.
func belongsToJob(jobID, release, label string) bool {
	if label != "" {
		return label == labelValueOf(jobID)
	}
	id, _, ok := ParseSUTHelmName(release)
	return ok && id == cleanJobID(jobID)
}
