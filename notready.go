package helmexec

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sut-bench/helmexec/internal/pattern"
	"github.com/sut-bench/helmexec/internal/redact"
)

// Blocker is one thing that keeps a release from being ready.
type Blocker struct {
	ObjectRef
	Container string // "" if it is about the whole object
	Reason    string // as Kubernetes words it: ImagePullBackOff, CrashLoopBackOff, Unschedulable; HookFailed, HookRunning, TestFailed
	Message   string // one line, shortened, printable
	Restarts  int    // of the container
	// Event is the last warning of Kubernetes about the object, "FailedMount: no such volume", as Message; "" if there is
	// none, or it could not be read.
	Event string

	failedPulls int    // that the kubelet has reported
	maker       string // "Kind/name" of what makes the pod
}

func (b Blocker) String() string { return b.text(b.Name) }

func (b Blocker) text(name string) string {
	s := b.Kind + " " + name
	if b.Container != "" {
		s += ", container " + b.Container
	}
	s += ": " + b.Reason
	if b.Message != "" {
		s += ": " + b.Message
	}
	// An event such as "FailedScheduling: 0/1 nodes are available" may say no more than the message.
	if _, said, _ := strings.Cut(b.Event, ": "); !strings.Contains(b.Message, cmp.Or(said, b.Event)) {
		s += " (" + b.Event + ")"
	}
	return redact.Line(s)
}

// Blockers are the things that keep a release from being ready, pods first.
type Blockers []Blocker

// String lists the first few; a reason that many pods share is listed once.
func (all Blockers) String() string {
	type alike struct{ kind, container, reason, message string }
	groups := map[alike][]Blocker{}
	var order []alike
	for _, b := range all {
		key := alike{b.Kind, b.Container, b.Reason, b.Message}
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], b)
	}
	var lines []string
	for _, key := range order {
		first, others := groups[key][0], len(groups[key])-1
		name := first.Name
		if others > 0 {
			name += fmt.Sprintf(" and %d more", others)
		}
		lines = append(lines, first.text(name))
	}
	return folded(lines)
}

// Readiness is how far a release is, and what keeps it from being ready.
type Readiness struct {
	Release      *Release
	Ready, Total int // pods
	Blockers     Blockers
}

// ReadinessOptions is for Readiness.
type ReadinessOptions struct {
	Namespace               string
	Kubeconfig, KubeContext string
}

// Readiness looks at a release as it is now, whoever installed it. Without Blockers nothing is known to be in the way, which
// is no promise: what a release is ready by is for its chart to say. Starts two helm processes, and a third one if something
// is in the way.
//
// Errors: ErrReleaseNotFound, ErrClusterUnreachable.
func (h *Helm) Readiness(ctx context.Context, release string, opts ReadinessOptions) (_ *Readiness, err error) {
	ctx, end := h.enter(ctx, Span{Operation: "Readiness", Release: release, Namespace: opts.Namespace})
	defer end(&err)
	t, err := h.releaseTarget(release, opts.Namespace, opts.Kubeconfig, opts.KubeContext)
	if err != nil {
		return nil, err
	}
	rec, err := h.record(ctx, t, release, 0)
	if err != nil {
		return nil, err
	}
	seen, err := h.liveObjects(ctx, t, release, 0, nil)
	if err != nil {
		return nil, err
	}
	seen.hooks, t.namespace = rec.Hooks, rec.Namespace
	p := progressOf(seen.objects)
	return &Readiness{rec.release(), p.Ready, p.Total, h.explained(ctx, t, seen, func(Blocker) bool { return true })}, nil
}

// explain finds why a release is not ready, by what "helm status" shows and by the warnings of Kubernetes. If the cluster
// does not answer, only the hooks of the record are known.
func (e *ReleaseError) explain(ctx context.Context, h *Helm, t target, rec *record) {
	seen, err := h.liveObjects(ctx, t, rec.Name, 0, nil)
	if err != nil {
		e.Blockers = hookBlockers(rec.Namespace, rec.Hooks)
		return
	}
	seen.hooks, t.namespace = rec.Hooks, rec.Namespace
	e.Blockers = h.explained(ctx, t, seen, func(Blocker) bool { return true })
	e.late = e.Kind == ErrNotReady && len(e.Blockers) == 0
}

// maxExplained is how many objects get their last event.
const maxExplained = 50

// explained finds the blockers in what is seen: hooks and their pods first. Hooks, controllers without a pod and
// what needsEvents chooses get their last event; only then it starts a helm process.
func (h *Helm) explained(ctx context.Context, t target, seen live, needsEvents func(Blocker) bool) Blockers {
	hooks, others := hookBlockers(t.namespace, seen.hooks), blockersOf(seen.objects)
	makers := seen.withoutPods()
	var about, ofHooks []string
	for _, b := range hooks {
		ofHooks = append(ofHooks, b.Kind+"/"+b.Name)
	}
	for _, b := range slices.Concat(makers, others) {
		if b.Reason == "" || needsEvents(b) {
			about = append(about, b.Kind+"/"+b.Name)
		}
	}
	about = slices.Compact(about)
	about = append(ofHooks, about[:min(len(about), maxExplained)]...)
	said, err := h.events(ctx, t, about, ofHooks)
	if err != nil {
		return append(hooks, others...)
	}
	pods := blockersOf(said.pods)
	for i, b := range hooks {
		w, warned := said.last[b.Kind+"/"+b.Name]
		if warned {
			hooks[i].Message += ": " + w.text()
		}
		made := slices.ContainsFunc(said.pods, func(o liveObject) bool { return o.maker() == b.Kind+"/"+b.Name })
		if warned && !made {
			hooks[i].Event = w.text()
		}
	}
	for _, b := range makers {
		if w, warned := said.last[b.Kind+"/"+b.Name]; warned {
			b.Reason, b.Message = w.Reason, oneLine(w.Message)
			others = append(others, b)
		}
	}
	all := slices.Concat(hooks, pods, others)
	for i, b := range all {
		if w, warned := said.last[b.Kind+"/"+b.Name]; warned && i >= len(hooks) {
			all[i].Event, all[i].failedPulls = w.text(), w.pulls
		}
	}
	return all
}

// hookBlockers are the hooks that run, or failed.
func hookBlockers(namespace string, hooks []*hook) Blockers {
	var all Blockers
	for _, hk := range hooks {
		reason, message := "HookRunning", "did not complete in time"
		switch hk.Phase {
		case "Running":
		case "Failed":
			reason, message = "HookFailed", "failed, or did not complete in time" // Helm records both as the same
		default:
			continue
		}
		events := strings.Join(strings.Fields(strings.Trim(string(hk.Events), "[]")), ", ")
		ref := ObjectRef{Kind: string(hk.Kind), Namespace: namespace, Name: string(hk.Name)}
		all = append(all, Blocker{ObjectRef: ref, Reason: reason, Message: "the " + events + " hook " + message})
	}
	return all
}

// blockersOf reads why objects are not ready, pods first: their reasons are the most exact.
func blockersOf(objects []liveObject) Blockers {
	var pods, others Blockers
	for _, o := range objects {
		add := func(container, reason, message string) {
			b := Blocker{ObjectRef: o.ref(), Container: container, Reason: reason, Message: oneLine(message), maker: o.maker()}
			for _, c := range slices.Concat(o.Status.InitContainerStatuses, o.Status.ContainerStatuses) {
				if c.Name == container {
					b.Restarts = c.RestartCount
				}
			}
			if o.Kind == "Pod" {
				pods = append(pods, b)
			} else {
				others = append(others, b)
			}
		}
		switch o.Kind {
		case "Pod":
			podBlockers(o, add)
		case "PersistentVolumeClaim":
			if o.Status.Phase == "Pending" {
				add("", "Pending", "no volume is bound to it")
			}
		default:
			for _, c := range o.Status.Conditions {
				if c.Type == "ReplicaFailure" && c.Status == "True" || c.Type == "Failed" && c.Status == "True" || c.Type == "Progressing" && c.Status == "False" {
					add("", cmp.Or(c.Reason, c.Type), c.Message)
				}
			}
		}
	}
	return slices.Concat(pods, others)
}

func podBlockers(o liveObject, add func(container, reason, message string)) {
	if o.Status.Phase == "Succeeded" {
		return
	}
	for _, c := range o.Status.Conditions {
		if c.Type == "PodScheduled" && c.Status == "False" {
			add("", cmp.Or(c.Reason, "Unschedulable"), c.Message)
			return
		}
	}
	found := false
	for i, c := range slices.Concat(o.Status.InitContainerStatuses, o.Status.ContainerStatuses) {
		if reason, message := c.blocker(i < len(o.Status.InitContainerStatuses)); reason != "" {
			add(c.Name, reason, message)
			found = true
		}
	}
	if found {
		return
	}
	for _, c := range o.Status.Conditions {
		if c.Type == "Ready" && c.Status == "False" {
			add("", cmp.Or(c.Reason, "NotReady"), c.Message)
			return
		}
	}
	if o.Status.Phase == "Failed" || o.Status.Phase == "Pending" {
		add("", cmp.Or(o.Status.Reason, o.Status.Phase), o.Status.Message)
	}
}

// blocker says why a container keeps its pod from being ready, "" if it does not.
func (c containerStatus) blocker(isInit bool) (reason, message string) {
	switch {
	case c.Ready:
	case c.State.Waiting != nil && c.State.Waiting.Reason != "" && c.State.Waiting.Reason != "PodInitializing":
		message := withoutPod().ReplaceAllString(c.State.Waiting.Message, "")
		if last := c.LastState.Terminated; last != nil {
			message = strings.TrimSpace(fmt.Sprintf("%s (exit code %d, %d restarts)", message, last.ExitCode, c.RestartCount))
		}
		return c.State.Waiting.Reason, message
	case c.State.Terminated != nil && c.State.Terminated.ExitCode != 0:
		return cmp.Or(c.State.Terminated.Reason, "Error"), fmt.Sprintf("%s (exit code %d)", c.State.Terminated.Message, c.State.Terminated.ExitCode)
	case c.State.Running != nil && isInit:
		return "NotReady", "an init container that still runs"
	case c.State.Running != nil:
		return "NotReady", "running and not ready: its readiness or startup probe does not pass"
	}
	return "", ""
}

// withoutPod removes the pod's name from the kubelet's message about a container: the pod is known,
// and the same problem of many pods should give the same text.
var withoutPod = pattern.New(` pod=\S+`)

// oneLine makes a message fit a line.
func oneLine(s string) string {
	s = redact.Line(strings.TrimSuffix(strings.Join(strings.Fields(s), " "), "."))
	if r := []rune(s); len(r) > 200 {
		return string(r[:200]) + "…"
	}
	return s
}
