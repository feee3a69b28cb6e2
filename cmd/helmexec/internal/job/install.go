package job

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/cmd/helmexec/internal/view"
	"github.com/sut-bench/helmexec/plan"
)

// errRefused ends an install that the policy or the nodes do not allow. The state is not final before what a command before has
// installed is removed: a kill meanwhile would leave it there for ever.
var errRefused = errors.New("refused")

// install brings a SUT to Ready.
func (r *Runner) install(ctx context.Context, sut SUT, s *SUTResult) (*helmexec.Release, error) {
	begun := s.mayBeThere()
	p, err := r.plan(ctx, sut)
	if err != nil {
		return nil, err
	}
	verdict := view.VerdictOf(p, r.spec.Policy)
	refused := !verdict.Allowed && !r.spec.Trusted
	err = r.update(func() {
		s.Error = nil
		s.Chart, s.Plan, s.Namespace = view.CheckOf(p, verdict).Chart, p.Digest(), p.Namespace
		s.Images, s.GPUs = view.ImagesOf(p.Images).Images, view.GPUsOf(p.GPUs).Totals
		s.Findings, s.Misfits = verdict.Findings, verdict.Misfits
		if !begun {
			s.ReadySeconds, s.Recovered = 0, false // of an install that was interrupted
		}
		if !refused {
			s.State = Installing
		}
	})
	if refused {
		says := verdict.Against()
		if len(verdict.Findings) > 0 {
			says += ": " + view.FirstOf(verdict.Findings)
		}
		r.Say(sut.Name, "%s", says)
		return nil, cmp.Or(err, errRefused)
	}
	if err = errors.Join(err, p.Save(r.planOf(sut))); err != nil {
		return nil, err
	}
	if begun {
		r.Say(sut.Name, "an earlier command began its install: its helm, if it still works, is waited for")
	} else {
		r.Say(sut.Name, "install of %s %s begins", p.Chart.Name, p.Chart.Version)
	}
	release, err := r.apply(ctx, sut, p, begun)
	if err != nil {
		return nil, err
	}
	took := sinceInstall(release)
	switch {
	case begun && release.Recovered:
		r.Say(sut.Name, "the install that was begun before had succeeded")
	case begun:
		r.Say(sut.Name, "what was begun before was of no use: %s %s was installed anew", p.Chart.Name, p.Chart.Version)
	case release.Recovered:
		r.Say(sut.Name, "an earlier command, or a helm that gave no answer, had installed it already")
	}
	r.Say(sut.Name, "ready")
	return release, r.update(func() {
		if s.State, s.Recovered = Ready, release.Recovered; !release.Recovered {
			s.ReadySeconds = took
		}
	})
}

// sinceInstall is how long ago Helm began to install a release, in seconds; 0 if that is not known. What goes before it is not the
// time of the SUT: a wait for the helm that a killed command left, and the removal of what that had made.
func sinceInstall(release *helmexec.Release) float64 {
	if release.Updated.IsZero() {
		return 0
	}
	return max(0, time.Since(release.Updated).Seconds())
}

// apply installs a plan within four times its timeout, hooks and further tries included. The record says so: after this
// time another home, such as that of the next pod, takes the release over. The helm of another home is waited for before, so
// that all of the time is left. begun says that the release is of this home.
func (r *Runner) apply(ctx context.Context, sut SUT, p *helmexec.Plan, begun bool) (release *helmexec.Release, err error) {
	opts := helmexec.ApplyOptions{
		CreateNamespace: r.spec.CreateNamespace, Wait: true, Timeout: time.Duration(sut.Timeout),
		OperationID: r.spec.operation, JobID: r.spec.Job, ProgressInterval: cmp.Or(r.every, lookEvery),
	}
	if r.spec.Deadline > 0 {
		opts.Deadline = time.Now().Add(time.Duration(r.spec.Deadline))
	}
	if r.spec.FailFast {
		opts.FailFast = helmexec.FailFastRules()
	}
	limit := 4 * timeoutOf(sut)
	for end := time.Now().Add(time.Hour + limit); ; begun = false {
		if !begun {
			r.awaitOthers(ctx, sut, p.Namespace)
		}
		away := outage{every: opts.ProgressInterval}
		opts.Progress = func(p helmexec.Progress) {
			away.see(p.Err, time.Now())
			r.progress(sut, p)
		}
		limited, cancel := context.WithTimeout(ctx, limit)
		release, err = r.Helm.Apply(limited, p, opts)
		if limited.Err() != nil && ctx.Err() == nil && err != nil {
			err = fmt.Errorf("not installed in %s: %w", limit, err)
		}
		cancel()
		if lasted := away.lasted(time.Now()); err != nil && lasted > 0 {
			err = fmt.Errorf("%w; the cluster did not answer for about %s of it", err, lasted)
		}
		if !errors.Is(err, helmexec.ErrReleaseBusy) || ctx.Err() != nil || time.Now().After(end) {
			return release, err
		}
	}
}

// awaitOthers returns when no helm of another home can be installing the release for this job, by its record.
func (r *Runner) awaitOthers(ctx context.Context, sut SUT, namespace string) {
	for {
		release, err := r.Helm.Status(ctx, sut.release, helmexec.StatusOptions{Namespace: namespace})
		if err != nil || !release.Status.Pending() || release.Labels["helmexec/job"] != r.spec.Job {
			return
		}
		until, err := strconv.ParseInt(release.Labels["helmexec/until"], 10, 64)
		left := time.Until(time.Unix(until+1, 0))
		if err != nil || left <= 0 {
			return
		}
		r.Say(sut.Name, "another helm may be installing it until %s", time.Unix(until, 0).UTC().Format(time.RFC3339))
		if !pause(ctx, min(left, 10*time.Second)) {
			return
		}
	}
}

// plan renders the chart once. A command that is started again takes the plan of the one before it: a chart with a random
// password renders to something else each time.
func (r *Runner) plan(ctx context.Context, sut SUT) (*helmexec.Plan, error) {
	p, err := plan.Load(ctx, r.planOf(sut))
	if !errors.Is(err, fs.ErrNotExist) {
		return p, err
	}
	values, err := sut.values()
	if err != nil {
		return nil, err
	}
	return r.Helm.Plan(ctx, sut.release, sut.Chart, helmexec.PlanOptions{Version: sut.Version, Values: values, SkipCRDs: sut.SkipCRDs})
}
