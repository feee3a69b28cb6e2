package cli

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/cmd/helmexec/internal/job"
	"github.com/sut-bench/helmexec/cmd/helmexec/internal/view"
)

// errNo is the answer no, which the command has printed already.
var errNo = errors.New("the answer is no")

// answered is an error of a command that has printed its result all the same.
type answered struct{ error }

func (e answered) Unwrap() error { return e.error }

// kinds say which exit code an error has, and what it is called in JSON. The first that matches counts: what is left in the
// cluster comes before why.
var kinds = []struct {
	is   error
	name string
	code int
}{
	{errNo, "no", 3},
	{job.ErrFailed, "job-failed", 14},
	{job.ErrRunning, "job-running", 6},
	{helmexec.ErrLeftBehind, "left-behind", 8},
	{helmexec.ErrNotGone, "not-gone", 8},
	{context.Canceled, "interrupted", 130},
	{context.DeadlineExceeded, "timeout", 9},
	{helmexec.ErrNotReady, "not-ready", 7},
	{helmexec.ErrTestFailed, "test-failed", 7},
	{helmexec.ErrHelmNotFound, "helm-not-found", 11},
	{helmexec.ErrUnsupportedVersion, "unsupported-helm", 11},
	{helmexec.ErrPlanStale, "plan-stale", 12},
	{helmexec.ErrBadPlan, "bad-plan", 12},
	{helmexec.ErrReleaseExists, "release-exists", 6},
	{helmexec.ErrReleaseBusy, "release-busy", 6},
	{helmexec.ErrReleaseNotFound, "release-not-found", 4},
	{helmexec.ErrNamespaceNotFound, "namespace-not-found", 4},
	{helmexec.ErrChartNotFound, "chart-not-found", 4},
	{helmexec.ErrRepoNotFound, "repo-not-found", 4},
	{helmexec.ErrUnauthorized, "unauthorized", 10},
	{helmexec.ErrForbidden, "forbidden", 10},
	{helmexec.ErrRenderTooLarge, "render-too-large", 5},
	{helmexec.ErrRenderTimeout, "render-timeout", 5},
	{helmexec.ErrRenderFailed, "render-failed", 5},
	{helmexec.ErrBadChart, "bad-chart", 5},
	{helmexec.ErrBadManifest, "bad-manifest", 5},
	{helmexec.ErrLintFailed, "lint-failed", 5},
	{helmexec.ErrDigestMismatch, "digest-mismatch", 5},
	{helmexec.ErrOutputTooLarge, "too-large", 5},
	{helmexec.ErrUnverified, "unverified", 5},
	{helmexec.ErrFetchTimeout, "fetch-timeout", 9},
	{helmexec.ErrClusterUnreachable, "cluster-unreachable", 9},
	{helmexec.ErrNotRecorded, "not-recorded", 13},
	{fs.ErrNotExist, "file-not-found", 4}, // also of values, a policy or a job
	{helmexec.ErrInvalidArgument, "invalid-argument", 2},
}

// kindOf is the name and the exit code of an error.
func kindOf(err error) (name string, code int) {
	if errors.As(err, new(usageError)) {
		return "usage", 2
	}
	for _, k := range kinds {
		if !errors.Is(err, k.is) {
			continue
		}
		switch {
		case k.is == helmexec.ErrRepoNotFound && helmexec.IsTransient(err):
			return "repo-unreachable", 9
		case k.is == helmexec.ErrClusterUnreachable && errors.As(err, new(*helmexec.Error)) && !helmexec.IsTransient(err):
			return "cluster-not-found", 4 // a wrong context, for example: a script need not try again
		}
		return k.name, k.code
	}
	return "other", 1
}

// fail prints an error, for people and, if they asked, for programs, and returns the exit code.
func (a *app) fail(err error) int {
	name, code := kindOf(err)
	said := errors.Is(err, errNo) || errors.Is(err, job.ErrFailed)
	if !said {
		a.say("%s", view.TextOf(err, name))
	}
	if errors.Is(err, helmexec.ErrClusterUnreachable) && a.cfg.Kubeconfig == "" {
		for _, missing := range missingOf(os.Getenv("KUBECONFIG")) {
			a.say("a file %s", missing)
		}
	}
	if said {
		return code
	}
	if failed := (*helmexec.ReleaseError)(nil); errors.As(err, &failed) && failed.Kind == helmexec.ErrReleaseExists && failed.Status.Pending() {
		a.say("if it is yours: a command that was killed may have begun it, and its helm may still work; uninstall waits for that helm, and removes it")
	}
	if name == "usage" {
		a.say("--help shows how it is used")
	}
	if !errors.As(err, new(answered)) && (a.out.Format == "json" || a.out.Format == "yaml") {
		if err := a.out.Print(view.Failure{Error: view.ErrorOf(err, name, code)}, nil); err != nil {
			a.say("%s", err)
		}
	}
	return code
}
