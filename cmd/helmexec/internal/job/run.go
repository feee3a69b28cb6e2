package job

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/cmd/helmexec/internal/view"
	"github.com/sut-bench/helmexec/plan"
)

// ErrFailed: not every system under test was installed, measured and removed.
var ErrFailed = errors.New("systems under test failed")

// ErrRunning: another process runs the job.
var ErrRunning = errors.New("another helmexec is running this job")

// helmTimeout is how long helm waits by default.
const helmTimeout = 5 * time.Minute

// cleanUp is how long the removal of a SUT may take beyond its waiting, also after an interrupt.
const cleanUp = 2 * time.Minute

// Runner runs one job.
type Runner struct {
	Helm       *helmexec.Helm
	Kubeconfig string // what Helm uses, for the benchmark command

	KubeContext string // what Helm uses
	Results     string // the result file; what is under way is in a folder beside it
	// Kind is the name and exit code of an error.
	Kind func(error) (string, int)
	// Say prints what happened to a SUT, Live how far all of them are. Both are called from several goroutines.
	Say  func(sut, format string, args ...any)
	Live func(text string)

	spec   Spec
	mu     sync.Mutex
	result *Result
	why    []error // of the SUTs that failed or did not begin
	latest string  // what was said last about a wait
}

// Run takes all SUTs through the job. The result is nil if nothing was begun.
//
// Errors: ErrFailed, and those of the SUTs; helmexec.ErrClusterUnreachable if that is all that went wrong; the error of ctx,
// after what was installed is removed; helmexec.ErrInvalidArgument for a result file that cannot be continued; ErrRunning.
func (r *Runner) Run(ctx context.Context, spec Spec) (*Result, error) {
	if err := os.MkdirAll(r.plans(), 0o700); err != nil {
		return nil, err
	}
	lock := flock.New(filepath.Join(r.plans(), "lock"))
	held, err := lock.TryLock()
	if err != nil {
		return nil, err
	}
	if !held {
		return nil, fmt.Errorf("%w: it has locked %s", ErrRunning, lock.Path())
	}
	defer lock.Unlock()
	if r.result, err = loadResult(r.Results, spec); err != nil {
		return nil, err
	}
	r.spec = spec
	if !slices.ContainsFunc(r.result.SUTs, func(s SUTResult) bool { return !s.final() }) {
		r.Say("job "+spec.Job, "attempt %s has ended, and its results stay; another attempt in the job file starts anew", spec.Attempt)
	}
	if err := r.update(func() {}); err != nil {
		return nil, err
	}

	turns := make(chan struct{}, spec.Parallel)
	errs := make([]error, len(spec.SUTs))
	var all sync.WaitGroup
	for i, sut := range spec.SUTs {
		if r.result.SUTs[i].final() {
			continue
		}
		select {
		case turns <- struct{}{}: // here and not below, so that they begin in the order of the file
			all.Go(func() {
				defer func() { <-turns }()
				errs[i] = r.take(ctx, sut, &r.result.SUTs[i])
			})
		case <-ctx.Done():
		}
	}
	all.Wait()
	open := slices.ContainsFunc(r.result.SUTs, func(s SUTResult) bool { return !s.final() })
	interrupted := ctx.Err() != nil && open
	err = r.update(func() {
		if !open {
			r.result.Ended = time.Now().UTC().Format(time.RFC3339)
		}
	})
	if err := errors.Join(append(errs, err)...); err != nil {
		return r.result, fmt.Errorf("the results cannot be kept: %w", err)
	}
	switch {
	case interrupted:
		return r.result, fmt.Errorf("interrupted; the same command continues: %w", context.Cause(ctx))
	case slices.ContainsFunc(r.result.SUTs, func(s SUTResult) bool { return s.State == Failed || s.State == Refused }):
		return r.result, fmt.Errorf("%w: %w", ErrFailed, errors.Join(r.why...))
	case open:
		return r.result, r.notBegun()
	}
	return r.result, nil
}

func (r *Runner) plans() string { return r.Results + ".d" }

// planOf is where the plan of a SUT is while its release may be there.
func (r *Runner) planOf(sut SUT) string {
	return filepath.Join(r.plans(), sut.release+".plan.json")
}

// update changes the results and keeps them.
func (r *Runner) update(change func()) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
	return r.result.write(r.Results)
}

// take takes one SUT to a final state. Its error is one of the result file; why the SUT failed is in s.
func (r *Runner) take(ctx context.Context, sut SUT, s *SUTResult) error {
	o := outcome{began: time.Now(), before: s.State}
	known := s.mayBeThere() // a killed command has installed it, or was about to
	if s.State == Waiting {
		// An attempt before may have left its plan, because its release was not removed.
		if err := ignoreNotExist(os.Remove(r.planOf(sut))); err != nil {
			return err
		}
	}
	if s.State != Measured {
		var installed *helmexec.Release
		installed, o.err = r.install(ctx, sut, s)
		o.away = (errors.Is(o.err, helmexec.ErrClusterUnreachable) || !known && noNamespace(o.err, s.Namespace)) && !errors.Is(o.err, helmexec.ErrLeftBehind)
		if o.err == nil && s.State == Ready {
			o.err = r.measure(ctx, sut, s, installed)
		}
	} else if s.BenchmarkExit != nil && *s.BenchmarkExit != 0 {
		o.err = fmt.Errorf("benchmark: exit code %d", *s.BenchmarkExit)
	}
	there := errors.Is(o.err, helmexec.ErrLeftBehind)
	if (known || s.State == Ready || s.State == Measured) && !errors.Is(o.err, helmexec.ErrReleaseExists) && !errors.Is(o.err, errReplaced) {
		// It is removed whatever happened, because it holds accelerators; but not if it is somebody else's.
		removal := r.remove(ctx, sut, s)
		there, o.notRemoved = removal != nil, removal != nil
		o.err = errors.Join(o.err, removal)
	}
	if !there {
		o.err = errors.Join(o.err, ignoreNotExist(os.Remove(r.planOf(sut))))
	}
	return r.ended(ctx, sut, s, o)
}

// outcome is how far a SUT came.
type outcome struct {
	began      time.Time
	before     string
	err        error
	away       bool // the cluster or the namespace was not there before anything was installed now: the next command can do all of it
	notRemoved bool
}

// ended keeps how far a SUT came, and says so.
func (r *Runner) ended(ctx context.Context, sut SUT, s *SUTResult, o outcome) error {
	kind, code := "", 0
	if o.err != nil {
		kind, code = r.Kind(o.err)
	}
	state, says := Done, ""
	switch {
	case o.err == nil && s.State == Refused:
		state = Refused
	case o.err != nil && ctx.Err() != nil && s.State != Measured:
		state = Interrupted
	case o.away:
		state, says = o.before, "not begun: "+view.Advice(o.err.Error())
	case o.err != nil:
		state, says = Failed, "failed: "+view.TextOf(o.err, kind)
	}
	r.Say(sut.Name, "%s", cmp.Or(says, state))
	return r.update(func() {
		s.State, s.NotRemoved = state, o.notRemoved
		s.Seconds += time.Since(o.began).Seconds()
		if state == Failed || o.away {
			r.why = append(r.why, o.err)
		}
		if o.err != nil {
			failed := view.ErrorOf(o.err, kind, code)
			s.Error = &failed
		}
	})
}

func ignoreNotExist(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// install brings a SUT to Ready, or Refused.
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
		if s.State = Installing; refused {
			s.State = Refused
		}
	})
	if refused {
		r.Say(sut.Name, "%s", verdict.Against())
		return nil, err
	}
	if err = errors.Join(err, p.Save(r.planOf(sut))); err != nil {
		return nil, err
	}
	r.Say(sut.Name, "install of %s %s begins", p.Chart.Name, p.Chart.Version)
	began := time.Now()
	opts := helmexec.ApplyOptions{
		CreateNamespace: r.spec.CreateNamespace, Wait: true, Timeout: time.Duration(sut.Timeout),
		OperationID: r.spec.operation, JobID: r.spec.Job,
		Progress: func(p helmexec.Progress) { r.progress(sut, p) },
	}
	if r.spec.Deadline > 0 {
		opts.Deadline = began.Add(time.Duration(r.spec.Deadline))
	}
	if r.spec.FailFast {
		opts.FailFast = helmexec.FailFastRules()
	}
	release, err := r.apply(ctx, sut, p, opts, begun)
	if err != nil {
		return nil, err
	}
	if release.Recovered {
		r.Say(sut.Name, "the install that was begun before had succeeded")
	}
	r.Say(sut.Name, "ready")
	return release, r.update(func() { s.State, s.ReadySeconds = Ready, time.Since(began).Seconds() })
}

// apply installs a plan within four times its timeout, hooks and further tries included. The record says so: after this
// time another home, such as that of the next pod, takes the release over. The helm of another home is waited for before, so
// that all of the time is left. begun says that the release is of this home.
func (r *Runner) apply(ctx context.Context, sut SUT, p *helmexec.Plan, opts helmexec.ApplyOptions, begun bool) (*helmexec.Release, error) {
	limit := 4 * cmp.Or(opts.Timeout, helmTimeout)
	for end := time.Now().Add(time.Hour + limit); ; begun = false {
		if !begun {
			r.awaitOthers(ctx, sut, p.Namespace)
		}
		limited, cancel := context.WithTimeout(ctx, limit)
		release, err := r.Helm.Apply(limited, p, opts)
		if limited.Err() != nil && ctx.Err() == nil && err != nil {
			err = fmt.Errorf("not installed in %s: %w", limit, err)
		}
		cancel()
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

// progress says how far all SUTs are, and what was seen last.
func (r *Runner) progress(sut SUT, p helmexec.Progress) {
	r.mu.Lock()
	count := map[string]int{}
	for _, s := range r.result.SUTs {
		count[s.State]++
	}
	r.latest = sut.Name + ": " + view.Progress(p)
	ended := count[Done] + count[Failed] + count[Refused]
	text := fmt.Sprintf("%d of %d SUTs ended, %d ready, %d getting ready; %s", ended, len(r.result.SUTs), count[Ready]+count[Measured], count[Installing], r.latest)
	r.mu.Unlock()
	r.Live(text)
}
