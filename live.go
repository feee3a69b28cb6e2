package helmexec

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sut-bench/helmexec/manifest"
)

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

// liveObjects reads the objects of a release and their pods as they are in the cluster. late is its error if helm has not
// ended in a time; 0 is no limit.
func (h *Helm) liveObjects(ctx context.Context, t target, release string, atMost time.Duration, late error) (live, error) {
	d, err := h.dialect(ctx)
	if err != nil {
		return live{}, err
	}
	a := args{"status", "--output=json"}
	a.add(d.StatusResources...)
	a.add(t.flags()...)
	a.add("--", release)
	out, err := h.run(ctx, invocation{args: a, cluster: true, atMost: atMost, late: late})
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
		owner, owned := o.owner()
		if o.Kind != "Pod" || !owned {
			return false
		}
		namespace := o.Metadata.Namespace + "/"
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
	if owner, owned := o.owner(); owned {
		if at := strings.LastIndexByte(owner.Name, '-'); owner.Kind == "ReplicaSet" && at > 0 {
			return "Deployment/" + owner.Name[:at]
		}
		return owner.Kind + "/" + owner.Name
	}
	return o.Kind + "/" + o.Metadata.Name
}

// owner is what makes an object: its controller, and if it has none, its first owner.
func (o liveObject) owner() (owner ownerReference, owned bool) {
	all := o.Metadata.OwnerReferences
	if len(all) == 0 {
		return ownerReference{}, false
	}
	return all[max(slices.IndexFunc(all, func(r ownerReference) bool { return r.Controller }), 0)], true
}

type ownerReference struct {
	Kind, Name string
	Controller bool
}

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
