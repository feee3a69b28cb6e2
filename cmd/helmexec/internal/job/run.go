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
	"sync"
	"time"

	"github.com/gofrs/flock"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/cmd/helmexec/internal/view"
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
	failed []error       // of the SUTs that failed
	open   []error       // of those that did not begin, or were not continued
	latest string        // what was said last about a wait
	every  time.Duration // between two looks at a wait; 0 is lookEvery
}

// Run takes all SUTs through the job. The result is nil if nothing was begun.
//
// Errors: ErrFailed, and those of the SUTs; helmexec.ErrClusterUnreachable if that is all that went wrong; the error of ctx,
// after what was installed is removed; helmexec.ErrInvalidArgument for a result file that cannot be continued; ErrRunning.
func (r *Runner) Run(ctx context.Context, spec Spec) (*Result, error) {
	if err := os.Mkdir(r.plans(), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
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
	if err := r.begin(spec); err != nil {
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
	return r.result, r.end(ctx, errors.Join(errs...))
}

// begin continues the results of the attempt, or begins new ones.
func (r *Runner) begin(spec Spec) error {
	result, before, err := loadResult(r.Results, spec)
	if err != nil {
		return err
	}
	// A job that has something in the cluster goes on all the same.
	if !slices.ContainsFunc(result.SUTs, SUTResult.mayBeThere) {
		for i, s := range result.SUTs {
			if s.final() {
				continue
			}
			if err := spec.SUTs[i].isComplete(); err != nil {
				return fmt.Errorf("SUT %q: %w", s.Name, err)
			}
		}
	}
	r.spec, r.result = spec, result
	if before.file != "" {
		r.Say("job "+spec.Job, "attempt %s begins, and the results of attempt %s are kept in %s", spec.Attempt, before.attempt, before.file)
	}
	if !r.isOpen() {
		r.Say("job "+spec.Job, "attempt %s has ended, and its results stay; another attempt in the job file starts anew", spec.Attempt)
	}
	return r.update(func() {})
}

// isOpen reports whether a SUT has not ended.
func (r *Runner) isOpen() bool {
	return slices.ContainsFunc(r.result.SUTs, func(s SUTResult) bool { return !s.final() })
}

// end is the error of a job of which all SUTs came as far as they could. unkept is that of the result file.
func (r *Runner) end(ctx context.Context, unkept error) error {
	open := r.isOpen()
	interrupted := ctx.Err() != nil && open
	err := r.update(func() {
		if !open {
			r.result.Ended = time.Now().UTC().Format(time.RFC3339)
		}
	})
	if err := errors.Join(unkept, err); err != nil {
		return fmt.Errorf("the results cannot be kept: %w", err)
	}
	switch {
	case interrupted:
		return fmt.Errorf("interrupted; start the same command again to continue: %w", context.Cause(ctx))
	case slices.ContainsFunc(r.result.SUTs, func(s SUTResult) bool { return s.State == Failed || s.State == Refused }):
		if open {
			r.Say("job "+r.spec.Job, "not every SUT has ended: %s", r.notBegun())
		}
		return fmt.Errorf("%w: %w", ErrFailed, errors.Join(slices.Concat(r.failed, r.open)...))
	case open:
		return r.notBegun()
	}
	return nil
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
	known := s.mayBeThere() // a command before has installed it, or was about to
	if s.State == Waiting {
		// An attempt before may have left its plan, because its release was not removed.
		if err := ignoreNotExist(os.Remove(r.planOf(sut))); err != nil {
			return err
		}
	}
	r.bring(ctx, sut, s, known, &o)
	there := errors.Is(o.err, helmexec.ErrLeftBehind) || o.stays
	if !o.stays && (known || leftRelease(o.err) || s.State == Ready || s.State == Measured) && !errors.Is(o.err, helmexec.ErrReleaseExists) && !errors.Is(o.err, errReplaced) {
		// It is removed whatever happened, because it holds accelerators; but not if it is somebody else's.
		removal := r.remove(ctx, sut, s)
		if o.notRemoved = removal != nil; o.notRemoved {
			there = true
		}
		// What a command before has measured is not lost because the cluster is away now.
		o.stays = o.before == Measured && errors.Is(removal, helmexec.ErrClusterUnreachable)
		o.away = o.away || o.stays
		o.err = errors.Join(o.err, removal)
	}
	if !there {
		o.err = errors.Join(o.err, ignoreNotExist(os.Remove(r.planOf(sut))))
	}
	return r.ended(ctx, sut, s, o)
}

// bring installs and measures a SUT, as far as that was not done before.
func (r *Runner) bring(ctx context.Context, sut SUT, s *SUTResult, known bool, o *outcome) {
	if s.State == Measured {
		if s.BenchmarkExit != nil && *s.BenchmarkExit != 0 {
			o.err = fmt.Errorf("benchmark: exit code %d", *s.BenchmarkExit)
		}
		return
	}
	installed, err := r.install(ctx, sut, s)
	o.away = (errors.Is(err, helmexec.ErrClusterUnreachable) || !known && noNamespace(err, s.Namespace)) && !errors.Is(err, helmexec.ErrLeftBehind)
	o.stays = o.away && known && ctx.Err() == nil
	o.err = errors.Join(err, r.remains(s, err)) // unless a removal knows better
	if o.err == nil && s.State == Ready {
		o.err = r.measure(ctx, sut, s, installed)
	}
	if o.refused = errors.Is(o.err, errRefused); o.refused {
		o.err = nil
	}
}

// outcome is how far a SUT came.
type outcome struct {
	began      time.Time
	before     string
	err        error
	away       bool // the cluster or the namespace was not there before anything was installed now: the next command can do all of it
	stays      bool // and what a command before has begun stays as it is for that
	refused    bool
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
	case o.err == nil && o.refused:
		state = Refused
	case o.err != nil && ctx.Err() != nil && s.State != Measured:
		if state = Interrupted; o.notRemoved {
			says = "interrupted: " + view.TextOf(o.err, kind)
		}
	case o.stays:
		state, says = o.before, fmt.Sprintf("not continued: %s; start the same command again", view.Advice(o.err.Error()))
	case o.away:
		state, says = o.before, "not begun: "+view.Advice(o.err.Error())
	case o.err != nil:
		state, says = Failed, "failed: "+view.TextOf(o.err, kind)
	}
	r.Say(sut.Name, "%s", cmp.Or(says, state))
	return r.update(func() {
		s.State, s.NotRemoved = state, o.notRemoved || o.stays && s.NotRemoved
		s.Seconds += time.Since(o.began).Seconds()
		switch {
		case state == Failed:
			r.failed = append(r.failed, o.err)
		case o.away:
			r.open = append(r.open, o.err)
		}
		if s.Error = nil; o.err != nil {
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
