package helmexec

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Blocker is one thing that keeps a release from being ready.
type Blocker struct {
	ObjectRef
	Container string // "" when the object as a whole is meant
	Reason    string // as Kubernetes words it: ImagePullBackOff, CrashLoopBackOff, Unschedulable
	Message   string // one line, shortened
}

func (b Blocker) String() string {
	s := b.Kind + " " + b.Name
	if b.Container != "" {
		s += ", container " + b.Container
	}
	s += ": " + b.Reason
	if b.Message != "" {
		s += ": " + b.Message
	}
	return s
}

// ReleaseError is an install, upgrade or uninstall that failed, with what is known of the release.
type ReleaseError struct {
	Release, Namespace string
	Kind               error     // a sentinel of this package, or nil
	Status             Status    // in which the release is now, or which is in the way; "" when there is none
	Blockers           []Blocker // with ErrNotReady: why
	Remains            []Remain  // what stays in the cluster
	Err                error     // what helm, or the context, said

	also error // the kind that ErrLeftBehind stands beside
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
	if e.Status != "" {
		fmt.Fprintf(&b, " (status %s)", e.Status)
	}
	b.WriteString(folded(": ", e.Blockers))
	if e.Kind == ErrLeftBehind || e.Kind == ErrNotGone {
		b.WriteString(folded(": ", e.Remains))
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// folded lists the first few of many.
func folded[T fmt.Stringer](before string, all []T) string {
	const most = 5
	if len(all) == 0 {
		return ""
	}
	var lines []string
	for _, one := range all[:min(len(all), most)] {
		lines = append(lines, one.String())
	}
	if len(all) > most {
		lines = append(lines, fmt.Sprintf("and %d more", len(all)-most))
	}
	return before + strings.Join(lines, "; ")
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

// blockers finds why a release is not ready, from the objects that "helm status" shows. It is
// empty when the cluster does not answer.
func (h *Helm) blockers(ctx context.Context, t target, rec *record) []Blocker {
	var all []Blocker
	for _, hk := range rec.Hooks {
		if hk.Phase == "Running" || hk.Phase == "Failed" {
			ref := ObjectRef{Kind: string(hk.Kind), Namespace: rec.Namespace, Name: string(hk.Name)}
			message := "did not complete in time"
			if hk.Phase == "Failed" {
				message = "failed, or did not complete in time" // Helm records both as the same
			}
			all = append(all, Blocker{ObjectRef: ref, Reason: "hook " + strings.Trim(string(hk.Events), "[]"), Message: message})
		}
	}
	objects, err := h.liveObjects(ctx, t, rec.Name)
	if err != nil {
		return all
	}
	return append(all, blockersOf(objects)...)
}

// liveObjects reads the objects of a release and their pods as they are in the cluster.
func (h *Helm) liveObjects(ctx context.Context, t target, release string) ([]liveObject, error) {
	d, err := h.dialect(ctx)
	if err != nil {
		return nil, err
	}
	a := args{"status", "--output=json"}
	a.add(d.statusResources...)
	a.add(t.flags()...)
	a.add("--", release)
	out, err := h.run(ctx, invocation{args: a})
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

// liveObject is what matters of an object's status for its readiness.
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

// blockersOf reads why objects are not ready, pods first: they say it most exactly.
func blockersOf(objects []liveObject) []Blocker {
	var pods, others []Blocker
	for _, o := range objects {
		add := func(container, reason, message string) {
			ref := ObjectRef{Kind: o.Kind, Namespace: o.Metadata.Namespace, Name: o.Metadata.Name}
			ref.Group, ref.Version = splitAPIVersion(o.APIVersion)
			b := Blocker{ObjectRef: ref, Container: container, Reason: reason, Message: oneLine(message)}
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
	all := slices.Concat(pods, others)
	return all[:min(len(all), 20)]
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
	for _, c := range slices.Concat(o.Status.InitContainerStatuses, o.Status.ContainerStatuses) {
		switch {
		case c.Ready:
		case c.State.Waiting != nil && c.State.Waiting.Reason != "" && c.State.Waiting.Reason != "PodInitializing":
			message := c.State.Waiting.Message
			if last := c.LastState.Terminated; last != nil {
				message = strings.TrimSpace(fmt.Sprintf("%s (exit code %d, %d restarts)", message, last.ExitCode, c.RestartCount))
			}
			add(c.Name, c.State.Waiting.Reason, message)
			found = true
		case c.State.Terminated != nil && c.State.Terminated.ExitCode != 0:
			add(c.Name, cmp.Or(c.State.Terminated.Reason, "Error"), fmt.Sprintf("%s (exit code %d)", c.State.Terminated.Message, c.State.Terminated.ExitCode))
			found = true
		case c.State.Running != nil:
			add(c.Name, "NotReady", "running and not ready: its readiness or startup probe does not pass")
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

// oneLine makes a message fit a line.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 200 {
		return string(r[:200]) + "…"
	}
	return s
}
