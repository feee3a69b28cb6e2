package helmexec

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/sut-bench/helmexec/internal/redact"
	"github.com/sut-bench/helmexec/manifest"
)

// Blocker is one thing that keeps a release from being ready.
type Blocker struct {
	ObjectRef
	Container string // "" if it is about the whole object
	Reason    string // as Kubernetes words it: ImagePullBackOff, CrashLoopBackOff, Unschedulable; HookFailed, HookRunning, TestFailed
	Message   string // one line, shortened, printable
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

// ReleaseError is a failed install, upgrade, rollback or uninstall, with what is known about the
// release.
type ReleaseError struct {
	Release, Namespace string
	Kind               error    // a sentinel of this package, or nil
	Status             Status   // of the release now, or of the one that is in the way; "" if there is none
	JobID              string   // with ErrReleaseExists: the JobID of the release in the way, or its hash if it is not a legal label value
	Blockers           Blockers // with ErrNotReady, or if ctx ended while Wait waited: why
	Remains            []Remain // what stays in the cluster
	Err                error    // what helm, or the context, said

	also    error // the kind of the first failure, beside ErrLeftBehind
	removed bool  // by the install that failed
}

func (e *ReleaseError) Error() string {
	var b strings.Builder
	b.WriteString("release " + e.Release)
	if e.Namespace != "" {
		b.WriteString(" in namespace " + e.Namespace)
	}
	for _, kind := range []error{e.also, e.Kind} {
		if kind != nil {
			b.WriteString(": " + kind.Error())
		}
	}
	if e.removed {
		b.WriteString(" (removed again)")
	}
	if e.Status != "" {
		fmt.Fprintf(&b, " (status %s", e.Status)
		if e.JobID != "" {
			b.WriteString(", of job " + e.JobID)
		}
		b.WriteString(")")
	}
	if len(e.Blockers) > 0 {
		b.WriteString(": " + e.Blockers.String())
	}
	var remains []string
	for _, r := range e.Remains {
		remains = append(remains, r.String())
	}
	wrong := e.Kind == ErrLeftBehind || e.Kind == ErrNotGone || e.Status == StatusUninstalling // and not by design
	if wrong && len(remains) > 0 {
		b.WriteString(": " + folded(remains))
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	if !wrong && len(remains) > 0 {
		b.WriteString("; what Helm does not remove stays: " + folded(remains))
	}
	return b.String()
}

// folded lists the first few of many.
func folded(lines []string) string {
	const most = 5
	if over := len(lines) - most; over > 0 {
		lines = append(lines[:most:most], fmt.Sprintf("and %d more", over))
	}
	return strings.Join(lines, "; ")
}

// Unwrap gives the kind and the cause.
func (e *ReleaseError) Unwrap() []error {
	var errs []error
	for _, err := range []error{e.Kind, e.also, e.Err} {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// blockers finds why a release is not ready: from the objects that "helm status" shows, which do not
// include the pods of hooks, or else from the warnings of Kubernetes. It is empty if the cluster does
// not answer.
func (h *Helm) blockers(ctx context.Context, t target, rec *record) Blockers {
	var hooks, makers Blockers // makers are controllers without a pod that is not ready
	for _, hk := range rec.Hooks {
		if hk.Phase == "Running" || hk.Phase == "Failed" {
			ref := ObjectRef{Kind: string(hk.Kind), Namespace: rec.Namespace, Name: string(hk.Name)}
			reason, message := "HookRunning", "did not complete in time"
			if hk.Phase == "Failed" {
				reason, message = "HookFailed", "failed, or did not complete in time" // Helm records both as the same
			}
			events := strings.Join(strings.Fields(strings.Trim(string(hk.Events), "[]")), ", ")
			hooks = append(hooks, Blocker{ObjectRef: ref, Reason: reason, Message: "the " + events + " hook " + message})
		}
	}
	objects, err := h.liveObjects(ctx, t, rec.Name)
	if err != nil {
		return hooks
	}
	all := blockersOf(objects)
	if len(all) == 0 {
		for _, o := range objects {
			switch o.Kind {
			case "StatefulSet", "DaemonSet", "Job":
				makers = append(makers, Blocker{ObjectRef: o.ref()})
			}
		}
	}
	var names []string
	for _, b := range slices.Concat(hooks, makers) {
		names = append(names, b.Kind+"/"+b.Name)
	}
	t.namespace = rec.Namespace
	warned, err := h.warnings(ctx, t, names)
	if err != nil {
		return append(hooks, all...)
	}
	for i, b := range hooks {
		if w, ok := warned[b.Kind+"/"+b.Name]; ok {
			hooks[i].Message = b.Message + ": " + w.Reason + ": " + oneLine(w.Message)
		}
	}
	for _, b := range makers {
		if w, ok := warned[b.Kind+"/"+b.Name]; ok {
			b.Reason, b.Message = w.Reason, oneLine(w.Message)
			all = append(all, b)
		}
	}
	return append(hooks, all...)
}

// liveObjects reads the objects of a release and their pods as they are in the cluster.
func (h *Helm) liveObjects(ctx context.Context, t target, release string) ([]liveObject, error) {
	d, err := h.dialect(ctx)
	if err != nil {
		return nil, err
	}
	a := args{"status", "--output=json"}
	a.add(d.StatusResources...)
	a.add(t.flags()...)
	a.add("--", release)
	out, err := h.run(ctx, invocation{args: a, cluster: true})
	if err != nil {
		return nil, err
	}
	var status struct {
		Info struct{ Resources map[string][]liveObject }
	}
	if err := json.Unmarshal(out, &status); err != nil {
		return nil, badOutput("status", err)
	}
	var all []liveObject
	for _, kind := range sortedKeys(status.Info.Resources) {
		for _, o := range status.Info.Resources[kind] {
			// A selector's pods come as one list on some versions.
			if len(o.Items) > 0 {
				all = append(all, o.Items...)
			} else {
				all = append(all, o)
			}
		}
	}
	return all, nil
}

// liveObject is the part of an object's status that matters for its readiness.
type liveObject struct {
	APIVersion, Kind string
	Metadata         struct{ Name, Namespace string }
	Items            []liveObject
	Status           struct {
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

// blockersOf reads why objects are not ready, pods first: their reasons are the most exact.
func blockersOf(objects []liveObject) Blockers {
	var pods, others Blockers
	for _, o := range objects {
		add := func(container, reason, message string) {
			b := Blocker{ObjectRef: o.ref(), Container: container, Reason: reason, Message: oneLine(message)}
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
		message := withoutPod.ReplaceAllString(c.State.Waiting.Message, "")
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
var withoutPod = regexp.MustCompile(` pod=\S+`)

// oneLine makes a message fit a line.
func oneLine(s string) string {
	s = redact.Line(strings.TrimSuffix(strings.Join(strings.Fields(s), " "), "."))
	if r := []rune(s); len(r) > 200 {
		return string(r[:200]) + "…"
	}
	return s
}
