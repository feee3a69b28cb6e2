package helmexec

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sut-bench/helmexec/internal/argument"
	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/manifest"
)

// Progress says how many pods of a release are ready.
type Progress struct {
	Ready, Total int           // pods
	Blocker      *Blocker      // the first thing in the way, nil if unknown
	Elapsed      time.Duration // since helm started
}

const (
	// progressInterval is the default pause between two looks. Each look is one helm process.
	progressInterval = 5 * time.Second
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
	w := &wait{change: c, begun: c.h.host.now(), since: map[symptom]time.Time{}}
	if c.op.label == labelUpgrade && len(c.opts.FailFast) > 0 {
		w.remember(ctx)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		now := c.h.host.now()
		report.next, judge.next = now.Add(report.every), now.Add(judge.every)
		for sleep(ctx, min(report.left(now), judge.left(now))) {
			seen, err := c.h.liveObjects(ctx, c.op.target, c.op.release)
			now = c.h.host.now()
			reports, judges := report.due(now), judge.due(now)
			if err != nil || ctx.Err() != nil {
				continue // not recorded yet, or the network is down: the next look may succeed
			}
			if reports {
				p := progressOf(seen.objects)
				p.Elapsed = c.h.host.now().Sub(w.begun)
				w.report(p, giveUp)
			}
			if !judges {
				continue
			}
			if err := w.judge(ctx, seen); err != nil && ctx.Err() == nil {
				giveUp(err)
				return
			}
		}
	}()
	return func() { cancel(); <-done }
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
	seen, _ := w.h.liveObjects(ctx, w.op.target, w.op.release)
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
		ofJob := o.Kind == "Job" || slices.ContainsFunc(o.Metadata.OwnerReferences, func(r ownerReference) bool { return r.Kind == "Job" })
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

// dispensable is how many pods of a maker may be missing: helm of version 3 does not wait for them.
func (l live) dispensable(maker string) int {
	for _, o := range l.objects {
		if o.Kind+"/"+o.Metadata.Name != maker {
			continue
		}
		switch o.Kind {
		case "Deployment":
			replicas := 1
			if o.Spec.Replicas != nil {
				replicas = *o.Spec.Replicas
			}
			return share(o.Spec.Strategy.RollingUpdate.MaxUnavailable, replicas)
		case "DaemonSet":
			return share(o.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable, o.Status.DesiredNumberScheduled)
		}
	}
	return 0
}

// share reads a number, or a part of all as "25%", as Kubernetes does; rounded down.
func share(v any, all int) int {
	switch v := v.(type) {
	case float64:
		return int(v)
	case string:
		if percent, err := strconv.Atoi(strings.TrimSuffix(v, "%")); err == nil {
			return all * percent / 100
		}
	}
	return 0
}

// whyFailed is the failure of a change that has a record, with what keeps the release from being
// ready.
func (c *change) whyFailed(ctx context.Context, how tried, rec *record, err error) *ReleaseError {
	failed := c.failure(nil, rec, err)
	switch how {
	case triedNotReady:
		failed.Kind = ErrNotReady
		failed.Blockers = c.h.blockers(ctx, c.op.target, rec)
		var hopeless *hopelessError
		if errors.As(err, &hopeless) {
			failed.Blockers = hopeless.first(failed.Blockers)
		}
	case triedStopped:
		if c.opts.Wait || c.opts.WaitForJobs {
			// Most of the grace period is for the clean-up.
			brief, cancel := context.WithTimeout(ctx, c.h.cfg.GracePeriod/5)
			defer cancel()
			failed.Blockers = c.h.blockers(brief, c.op.target, rec)
		}
	}
	return failed
}

func progressOf(objects []liveObject) Progress {
	var p Progress
	for _, o := range objects {
		if o.Kind != "Pod" {
			continue
		}
		p.Total++
		ready := o.Status.Phase == "Succeeded"
		for _, c := range o.Status.Conditions {
			ready = ready || c.Type == "Ready" && c.Status == "True"
		}
		if ready {
			p.Ready++
		}
	}
	if all := blockersOf(objects); len(all) > 0 {
		p.Blocker = &all[0]
	}
	return p
}

// live is what the cluster shows of a release.
type live struct {
	objects []liveObject // of the manifest, and their pods
	hooks   []*hook      // by name, kind, phase and events
}

// withoutPods are the controllers without a pod, except those of a Deployment, which says itself why.
func (l live) withoutPods() Blockers {
	makes := map[string]bool{}
	for _, o := range l.objects {
		makes[o.maker()] = o.Kind == "Pod" || makes[o.maker()]
	}
	var all Blockers
	for _, o := range l.objects {
		switch o.Kind {
		case "StatefulSet", "DaemonSet", "Job":
			if !makes[o.Kind+"/"+o.Metadata.Name] {
				all = append(all, Blocker{ObjectRef: o.ref(), maker: o.Kind + "/" + o.Metadata.Name})
			}
		}
	}
	return all
}

// liveObjects reads the objects of a release and their pods as they are in the cluster.
func (h *Helm) liveObjects(ctx context.Context, t target, release string) (live, error) {
	d, err := h.dialect(ctx)
	if err != nil {
		return live{}, err
	}
	a := args{"status", "--output=json"}
	a.add(d.StatusResources...)
	a.add(t.flags()...)
	a.add("--", release)
	out, err := h.run(ctx, invocation{args: a, cluster: true})
	if err != nil {
		return live{}, err
	}
	var status struct {
		Info  struct{ Resources map[string][]liveObject }
		Hooks []struct {
			Name, Kind string
			Events     []string
			LastRun    struct{ Phase string } `json:"last_run"`
		}
	}
	if err := json.Unmarshal(out, &status); err != nil {
		return live{}, badOutput("status", err)
	}
	var all live
	for _, hk := range status.Hooks {
		all.hooks = append(all.hooks, &hook{Name: hexText(hk.Name), Kind: hexText(hk.Kind), Phase: hk.LastRun.Phase, Events: hexText(strings.Join(hk.Events, " "))})
	}
	for _, kind := range sortedKeys(status.Info.Resources) {
		for _, o := range status.Info.Resources[kind] {
			// A selector's pods come as one list on some versions.
			if len(o.Items) > 0 {
				all.objects = append(all.objects, o.Items...)
			} else {
				all.objects = append(all.objects, o)
			}
		}
	}
	all.withoutOthers()
	return all, nil
}

// withoutOthers leaves out the pods that were made by something outside the release: its selectors may find those as well.
func (l *live) withoutOthers() {
	makers := map[string]bool{}
	for _, o := range l.objects {
		makers[o.Metadata.Namespace+"/"+o.Kind+"/"+o.Metadata.Name] = true
		makers[o.Metadata.Namespace+"//"+o.Metadata.Name] = true
	}
	l.objects = slices.DeleteFunc(l.objects, func(o liveObject) bool {
		if o.Kind != "Pod" || len(o.Metadata.OwnerReferences) == 0 {
			return false
		}
		namespace, owner := o.Metadata.Namespace+"/", o.Metadata.OwnerReferences[0]
		// What makes a ReplicaSet, a Deployment as a rule, gives it its own name and a hash.
		at := strings.LastIndexByte(owner.Name, '-')
		made := makers[namespace+owner.Kind+"/"+owner.Name] || owner.Kind == "ReplicaSet" && at > 0 && makers[namespace+"/"+owner.Name[:at]]
		return !made
	})
}

// liveObject is the part of an object's status that matters for its readiness.
type liveObject struct {
	APIVersion, Kind string
	Metadata         struct {
		Name, Namespace, UID, DeletionTimestamp string
		OwnerReferences                         []ownerReference
	}
	Items []liveObject
	Spec  struct {
		Replicas                 *int
		Strategy, UpdateStrategy updateStrategy
	}
	Status struct {
		DesiredNumberScheduled                   int
		Phase, Reason, Message                   string
		Conditions                               []condition
		InitContainerStatuses, ContainerStatuses []containerStatus
	}
}

func (o liveObject) ref() ObjectRef {
	ref := ObjectRef{Kind: o.Kind, Namespace: o.Metadata.Namespace, Name: o.Metadata.Name}
	ref.Group, ref.Version = manifest.SplitAPIVersion(o.APIVersion)
	return ref
}

// maker is what makes a pod, "Kind/name"; for a pod that nothing makes, the pod.
func (o liveObject) maker() string {
	if len(o.Metadata.OwnerReferences) > 0 {
		owner := o.Metadata.OwnerReferences[0]
		if at := strings.LastIndexByte(owner.Name, '-'); owner.Kind == "ReplicaSet" && at > 0 {
			return "Deployment/" + owner.Name[:at]
		}
		return owner.Kind + "/" + owner.Name
	}
	return o.Kind + "/" + o.Metadata.Name
}

type ownerReference struct{ Kind, Name string }

type updateStrategy struct {
	RollingUpdate struct{ MaxUnavailable any } // a number or a part of all
}

type condition struct{ Type, Status, Reason, Message string }

type containerStatus struct {
	Name  string
	Ready bool
	State struct {
		Waiting    *struct{ Reason, Message string }
		Terminated *struct {
			Reason, Message string
			ExitCode        int
		}
		Running *struct{}
	}
	LastState struct {
		Terminated *struct {
			Reason   string
			ExitCode int
		}
	}
	RestartCount int
}
