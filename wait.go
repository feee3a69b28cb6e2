package helmexec

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/sut-bench/helmexec/internal/argument"
	"github.com/sut-bench/helmexec/internal/errdef"
)

// Progress says how many pods of a release are ready.
type Progress struct {
	Ready, Total int           // pods
	Blocker      *Blocker      // the first thing in the way, nil if unknown
	Elapsed      time.Duration // since helm started
	// Err is why this look failed, such as ErrClusterUnreachable; nil if it did not. Then the pods are those of the last
	// look that did not fail, none if there was none. Helm goes on: a wait outlasts a cluster that does not answer for a while.
	Err error `json:"-"`
}

const (
	// progressInterval is the default pause between two looks. Each look is one helm process.
	progressInterval = 5 * time.Second
	// longestLook is how long the first look of a wait may take that does not end. An API server that accepts a connection
	// and says nothing would hold it for ever. On a busy machine each further one may take twice as long.
	longestLook = 30 * time.Second
	// minFailFastInterval is about what one look takes: with less, a wait would be nothing but looks.
	minFailFastInterval = 100 * time.Millisecond
)

// FailFastRule says which blocker no waiting removes. All its conditions have to hold.
type FailFastRule struct {
	Name string // as "crash-loop"; ReleaseError.FailFastRule has it
	// Reasons are those of a Blocker, or of its last event; one of them.
	Reasons []string
	// Restarts is how often the container was restarted, at least.
	Restarts int
	// FailedPulls is how often the kubelet reported, in events, that it could not pull an image of the pod, at least. A
	// container keeps the reason ImagePullBackOff while the kubelet pulls again. Who may not read events never gets there.
	FailedPulls int
	// After is how long the looks of this wait have seen the blocker, without a break.
	After time.Duration
}

// FailFastRules are rules for InstallOptions.FailFast that end no start which is only slow: a new list each time, to
// change or to shorten.
//
//	image          the kubelet failed twice to pull an image
//	image-name     the name of an image is not legal, or it may not be pulled and is not there
//	configuration  a container cannot be made, for example because a Secret is missing, for 30 s
//	crash-loop     a container was restarted 5 times and ended again
//	job            a Job is past its limit of tries or its deadline
//	refused        a quota, an admission policy or missing rights refuse pods, for 10 s
//	unschedulable  no node takes a pod, for 2 minutes
func FailFastRules() []FailFastRule {
	return []FailFastRule{
		{Name: "image", Reasons: []string{"ErrImagePull", "ImagePullBackOff"}, FailedPulls: 2},
		{Name: "image-name", Reasons: []string{"InvalidImageName", "ErrImageNeverPull"}},
		{Name: "configuration", Reasons: []string{"CreateContainerConfigError", "CreateContainerError"}, After: 30 * time.Second},
		{Name: "crash-loop", Reasons: []string{"CrashLoopBackOff"}, Restarts: 5},
		{Name: "job", Reasons: []string{"BackoffLimitExceeded", "DeadlineExceeded", "PodFailurePolicy", "MaxFailedIndexesExceeded"}},
		{Name: "refused", Reasons: []string{"FailedCreate"}, After: 10 * time.Second},
		{Name: "unschedulable", Reasons: []string{"Unschedulable"}, After: 2 * time.Minute},
	}
}

func validateFailFast(rules []FailFastRule, interval time.Duration) error {
	if interval != 0 && interval < minFailFastInterval {
		return errdef.Invalidf("FailFastInterval is %v, and each look is one helm process: give at least %v, or 0 for ProgressInterval", interval, minFailFastInterval)
	}
	for _, r := range rules {
		if r.Name == "" || len(r.Reasons) == 0 || r.Restarts < 0 || r.FailedPulls < 0 {
			return errdef.Invalidf("FailFast: rule %.80q needs a name and reasons, and no number below 0", r.Name)
		}
		if err := argument.Duration("FailFast: After of rule "+r.Name, r.After); err != nil {
			return err
		}
	}
	return nil
}

// hopelessError ends a wait by a rule of FailFast.
type hopelessError struct {
	rule    FailFastRule
	blocker Blocker
}

func (e *hopelessError) Error() string {
	return fmt.Sprintf("no waiting removes what is in the way (FailFast, rule %s)", e.rule.Name) + e.about()
}

// about is the end of the text, which names the blocker.
func (e *hopelessError) about() string { return ": " + e.blocker.String() }

// first puts its blocker before others that were found later: it may be gone by now, with the helm that waited for it.
func (e *hopelessError) first(others Blockers) Blockers {
	same := func(b Blocker) bool { return b.ObjectRef == e.blocker.ObjectRef && b.Container == e.blocker.Container }
	return append(Blockers{e.blocker}, slices.DeleteFunc(others, same)...)
}

func isHopeless(err error) bool { return errors.As(err, new(*hopelessError)) }

// wait looks at a release while helm waits for it.
type wait struct {
	*change
	begun time.Time
	old   map[string]bool       // the pods of the revision before, by UID
	limit time.Duration         // for the next look
	since map[symptom]time.Time // when a blocker was first seen, if it was seen in the last look
}

// symptom is a blocker that a rule is about.
type symptom struct {
	object          ObjectRef
	container, rule string
}

// watch calls opts.Progress while helm runs, and ends helm with the error of giveUp by the rules of opts.FailFast. After
// the function that it returns, nothing more is called.
func (c *change) watch(ctx context.Context, giveUp context.CancelCauseFunc) (stop func()) {
	waits := c.opts.Wait || c.opts.WaitForJobs
	reports := waits && c.opts.Progress != nil
	if !reports && len(c.opts.FailFast) == 0 {
		return func() {}
	}
	interval := cmp.Or(c.opts.ProgressInterval, progressInterval)
	report, judge := pace{on: reports, every: interval}, pace{on: len(c.opts.FailFast) > 0, every: cmp.Or(c.opts.FailFastInterval, interval)}
	ctx, cancel := context.WithCancel(polling(ctx))
	w := &wait{change: c, begun: c.h.host.now(), limit: longestLook, since: map[symptom]time.Time{}}
	if c.op.label == labelUpgrade && len(c.opts.FailFast) > 0 {
		w.remember(ctx)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		now := c.h.host.now()
		report.next, judge.next = now.Add(report.every), now.Add(judge.every)
		var last Progress
		for sleep(ctx, min(report.left(now), judge.left(now))) {
			seen, err := w.look(ctx)
			now = c.h.host.now()
			reports, judges := report.due(now), judge.due(now)
			if ctx.Err() != nil || errors.Is(err, ErrReleaseNotFound) {
				continue // it is not recorded yet, or somebody has removed it, which helm finds out
			}
			if err == nil {
				last = progressOf(seen.objects)
			}
			if reports {
				p := last
				if p.Blocker != nil {
					blocker := *p.Blocker // the caller's
					p.Blocker = &blocker
				}
				p.Err, p.Elapsed = err, c.h.host.now().Sub(w.begun)
				w.report(p, giveUp)
			}
			if err != nil || !judges {
				continue
			}
			brief, cancel := context.WithTimeout(ctx, w.limit) // for events, if they are needed
			err = w.judge(brief, seen)
			cancel()
			if err != nil && ctx.Err() == nil {
				giveUp(err)
				return
			}
		}
	}()
	return func() { cancel(); <-done }
}

// look sees the release, in a limited time.
func (w *wait) look(ctx context.Context) (live, error) {
	late := fmt.Errorf("%w: helm status has not ended in %v", ErrClusterUnreachable, w.limit)
	seen, err := w.h.liveObjects(ctx, w.op.target, w.op.release, w.limit, late)
	if errors.Is(err, late) {
		w.limit *= 2
	}
	return seen, err
}

// report calls the caller's function. If that panics, or ends its goroutine, the change ends as at the end of the context, and
// then panics where its caller can recover.
func (w *wait) report(p Progress, giveUp context.CancelCauseFunc) {
	returned := false
	defer func() {
		if returned {
			return
		}
		v := recover()
		if v == nil {
			v = "it has ended its goroutine"
		}
		w.panicked = fmt.Sprintf("helmexec: Progress: %v\n\n%s", v, debug.Stack())
		giveUp(context.Canceled)
	}()
	w.opts.Progress(p)
	returned = true
}

// pace is what a look is for, and how often.
type pace struct {
	on    bool
	every time.Duration // from the end of one look to the next
	next  time.Time
}

// left is the time until it is due.
func (p *pace) left(now time.Time) time.Duration {
	if !p.on {
		return math.MaxInt64
	}
	return p.next.Sub(now)
}

// due reports whether it is due now, and then sets the next time.
func (p *pace) due(now time.Time) bool {
	if !p.on || now.Before(p.next) {
		return false
	}
	p.next = now.Add(p.every)
	return true
}

// remember notes the pods of the revision before: that they fail may be why there is an upgrade.
func (w *wait) remember(ctx context.Context) {
	seen, _ := w.look(ctx)
	w.old = map[string]bool{}
	for _, o := range seen.objects {
		w.old[o.Metadata.UID] = true
	}
}

// judge returns a *hopelessError if a rule of FailFast applies to what is seen.
func (w *wait) judge(ctx context.Context, seen live) error {
	if !w.opts.Wait && !w.opts.WaitForJobs {
		seen.objects = nil // helm waits for hooks only
	}
	seen.objects = slices.DeleteFunc(seen.objects, func(o liveObject) bool {
		owner, _ := o.owner()
		ofJob := o.Kind == "Job" || owner.Kind == "Job"
		old := o.Kind == "Pod" && w.old[o.Metadata.UID]
		return ofJob && !w.opts.WaitForJobs || old || o.Metadata.DeletionTimestamp != ""
	})
	seen.hooks = slices.DeleteFunc(seen.hooks, func(hk *hook) bool { return hk.Phase != "Running" })
	now := w.h.host.now()
	since := map[symptom]time.Time{}
	failing := map[string][]*hopelessError{} // by what makes the pod
	for _, b := range w.h.explained(ctx, w.op.target, seen, w.needsEvents) {
		for _, rule := range w.opts.FailFast {
			if !rule.matches(b) {
				continue
			}
			key := symptom{b.ObjectRef, b.Container, rule.Name}
			first, known := w.since[key]
			if !known {
				first = now
			}
			if since[key] = first; now.Sub(first) >= rule.After {
				failing[b.maker] = append(failing[b.maker], &hopelessError{rule, b})
			}
		}
	}
	w.since = since
	for _, maker := range sortedKeys(failing) {
		pods := map[string]bool{}
		for _, e := range failing[maker] {
			pods[e.blocker.Name] = true
		}
		if len(pods) > seen.dispensable(maker) {
			return failing[maker][0]
		}
	}
	return nil
}

func (r FailFastRule) matches(b Blocker) bool {
	event, _, _ := strings.Cut(b.Event, ":")
	return (slices.Contains(r.Reasons, b.Reason) || slices.Contains(r.Reasons, event)) && b.Restarts >= r.Restarts && b.failedPulls >= r.FailedPulls
}

// needsEvents reports whether a rule can only be judged with the events of a blocker.
func (w *wait) needsEvents(b Blocker) bool {
	return slices.ContainsFunc(w.opts.FailFast, func(r FailFastRule) bool { return r.FailedPulls > 0 && slices.Contains(r.Reasons, b.Reason) })
}

// whyFailed is the failure of a change that has a record, with what keeps the release from being
// ready.
func (c *change) whyFailed(ctx context.Context, how tried, rec *record, err error) *ReleaseError {
	failed := c.failure(nil, rec, err)
	switch how {
	case triedNotReady:
		failed.Kind = ErrNotReady
		failed.explain(ctx, c.h, c.op.target, rec)
		var hopeless *hopelessError
		if errors.As(err, &hopeless) {
			failed.Blockers, failed.late = hopeless.first(failed.Blockers), false
		}
	case triedStopped:
		if c.opts.Wait || c.opts.WaitForJobs {
			// Most of the grace period is for the clean-up.
			brief, cancel := context.WithTimeout(ctx, c.h.cfg.GracePeriod/5)
			defer cancel()
			failed.explain(brief, c.h, c.op.target, rec)
		}
	}
	return failed
}
