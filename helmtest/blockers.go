package helmtest

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/sut-bench/helmexec/manifest"
)

// Blocker is what keeps a release from being ready. The zero value is a pod whose readiness probe does not pass.
type Blocker struct {
	Pod       string // its name; default is that of the release with a number
	Container string // default "main"
	// Reason is as Kubernetes words it: "ImagePullBackOff", "CrashLoopBackOff", "CreateContainerConfigError"; "Unschedulable" is
	// about the whole pod. Default is a container that runs and is not ready. For those of FailFastRules the default of Message is
	// what Kubernetes says.
	Reason, Message string
	// Restarts is how often the container was restarted. For CrashLoopBackOff 0 means 5, which is enough for FailFastRules.
	Restarts int
	// FailedPulls is how often the kubelet has reported that it could not pull the image. For ErrImagePull 0 means 1, for
	// ImagePullBackOff 2, which is enough for FailFastRules.
	FailedPulls int
	// Object is what is in the way if that is no pod, by kind and name. Default is a Job for a Reason that a Job has, such as
	// BackoffLimitExceeded, and a Deployment for FailedCreate, whose pods are refused. A StatefulSet or DaemonSet
	// says why in an event.
	Object manifest.ObjectRef
}

// causes has the kind of what has a reason, and the message of Kubernetes.
var causes = map[string]struct{ kind, message string }{
	"ErrImagePull":               {"Pod", `failed to pull and unpack image "registry.example/main:1": not found`},
	"ImagePullBackOff":           {"Pod", `Back-off pulling image "registry.example/main:1"`},
	"InvalidImageName":           {"Pod", `Failed to apply default image tag "registry.example/Main:1": couldn't parse image name`},
	"ErrImageNeverPull":          {"Pod", `Container image "registry.example/main:1" is not present with pull policy of Never`},
	"CreateContainerConfigError": {"Pod", `secret "credentials" not found`},
	"CreateContainerError":       {"Pod", `context deadline exceeded`},
	"CrashLoopBackOff":           {"Pod", "back-off 2m40s restarting failed container"},
	"Unschedulable":              {"Pod", "0/2 nodes are available: 2 Insufficient nvidia.com/gpu."},
	"BackoffLimitExceeded":       {"Job", "Job has reached the specified backoff limit"},
	"DeadlineExceeded":           {"Job", "Job was active longer than specified deadline"},
	"PodFailurePolicy":           {"Job", "Container main failed with exit code 1 matching FailJob rule at index 0"},
	"MaxFailedIndexesExceeded":   {"Job", "Job has exceeded the specified maximal number of failed indexes"},
	"FailedCreate":               {"Deployment", `pods "main" is forbidden: exceeded quota: pods, requested: pods=1, used: pods=8, limited: pods=8`},
}

// complete is the blocker number i of a release, with its defaults.
func (b Blocker) complete(i int, release string) Blocker {
	cause := causes[b.Reason]
	b.Message = cmp.Or(b.Message, cause.message)
	b.Object.Kind = cmp.Or(b.Object.Kind, cause.kind, "Pod")
	b.Object.Name = cmp.Or(b.Object.Name, b.Pod, fmt.Sprintf("%s-%d", release, i))
	b.Container = cmp.Or(b.Container, "main")
	b.Restarts = cmp.Or(b.Restarts, map[string]int{"CrashLoopBackOff": 5}[b.Reason])
	b.FailedPulls = cmp.Or(b.FailedPulls, map[string]int{"ErrImagePull": 1, "ImagePullBackOff": 2}[b.Reason])
	return b
}

type object = map[string]any

// object is what is in the way, as "helm status" prints it.
func (b Blocker) object(namespace string) object {
	o := object{"apiVersion": "v1", "kind": b.Object.Kind, "metadata": object{"name": b.Object.Name, "namespace": namespace, "uid": "blocker-" + b.Object.Name}}
	switch b.Object.Kind {
	case "Pod":
		o["status"] = b.podStatus()
	case "Job":
		o["apiVersion"] = "batch/v1"
		o["status"] = object{"conditions": []object{{"type": "Failed", "status": "True", "reason": b.Reason, "message": b.Message}}}
	case "Deployment":
		o["apiVersion"] = "apps/v1"
		o["status"] = object{"conditions": []object{{"type": "ReplicaFailure", "status": "True", "reason": b.Reason, "message": b.Message}}}
	default:
		o["apiVersion"] = "apps/v1"
	}
	return o
}

func (b Blocker) podStatus() object {
	container := object{"name": b.Container, "ready": false, "restartCount": b.Restarts, "state": object{"running": object{}}}
	conditions := []object{{"type": "Ready", "status": "False", "reason": "ContainersNotReady"}}
	status := object{"phase": "Pending", "conditions": conditions, "containerStatuses": []object{container}}
	switch b.Reason {
	case "":
		status["phase"] = "Running"
	case "Unschedulable":
		status["conditions"] = []object{{"type": "PodScheduled", "status": "False", "reason": b.Reason, "message": b.Message}}
		delete(status, "containerStatuses")
	default:
		container["state"] = object{"waiting": object{"reason": b.Reason, "message": b.Message}}
	}
	return status
}

// warning is the event about what is in the way, as helmexec's look prints it; nil if there is none.
func (b Blocker) warning() object {
	event := object{"about": b.Object.Kind + "/" + b.Object.Name, "at": "2025-01-01T00:00:00Z", "reason": b.Reason, "message": b.Message, "count": 1}
	switch {
	case b.FailedPulls > 0:
		event["reason"], event["message"], event["count"] = "Failed", `Failed to pull image "registry.example/`+b.Container+`:1": not found`, b.FailedPulls
	case b.Object.Kind == "StatefulSet" || b.Object.Kind == "DaemonSet":
	default:
		return nil
	}
	return event
}

// recovered is the pod when nothing is in the way any more, as "helm status" prints it.
func (b Blocker) recovered(namespace string) object {
	b.Object.Kind, b.Reason = "Pod", ""
	pod := b.object(namespace)
	pod["status"] = object{"phase": "Running", "conditions": []object{{"type": "Ready", "status": "True"}}}
	return pod
}

// waiting is a release that is not ready.
type waiting struct {
	namespace string
	hook      string // "Kind/name" of the hook whose pods these are, "" for those of the release
	blockers  []Blocker
	ready     chan struct{} // closed when the release is ready; nil if it never is
	looks     int           // how many it takes until then
}

// block lets "status" show what is in the way of a release from now on.
func (f *Fake) block(c Call, w *waiting, blockers []Blocker) {
	if len(blockers) == 0 {
		blockers = []Blocker{{}}
	}
	w.namespace = c.namespace()
	for i, b := range blockers {
		w.blockers = append(w.blockers, b.complete(i, c.Arg(0)))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.store.waiting == nil {
		f.store.waiting = map[string]*waiting{}
	}
	f.store.waiting[c.key()] = w
}

// resources are the objects of a release as "helm status" prints them. The lock is held.
func (f *Fake) resources(key string) object {
	w := f.store.waiting[key]
	if w == nil || w.hook != "" {
		return object{}
	}
	ready := false
	if w.ready != nil {
		if w.looks--; w.looks == -1 {
			r, _ := f.store.latest(key)
			r.Status = "deployed"
			f.store.put(r)
			close(w.ready)
		}
		ready = w.looks < 0
	}
	shown := object{}
	for _, b := range w.blockers {
		o := b.object(w.namespace)
		if ready {
			o = b.recovered(w.namespace)
		}
		group := fmt.Sprintf("%v/%v", o["apiVersion"], o["kind"])
		if o["kind"] == "Pod" {
			group += "(related)"
		}
		others, _ := shown[group].([]object)
		shown[group] = append(others, o)
	}
	return shown
}

// seen are the pods of some hooks in a namespace, and the events about these and about other objects, all "Kind/name", as
// helmexec's look prints them. The lock is held.
func (f *Fake) seen(namespace string, hooks, about []string) (pods, warnings string) {
	var shown, events []object
	for _, w := range f.store.waiting {
		if w.namespace != namespace {
			continue
		}
		ofHook := slices.Contains(hooks, w.hook)
		for _, b := range w.blockers {
			if ofHook {
				pod := b.object(w.namespace)
				kind, name, _ := strings.Cut(w.hook, "/")
				pod["metadata"].(object)["ownerReferences"] = []object{{"kind": kind, "name": name}}
				shown = append(shown, pod)
			}
			if event := b.warning(); event != nil && (ofHook || slices.Contains(about, event["about"].(string))) {
				events = append(events, event)
			}
		}
	}
	return f.encoded(shown), f.encoded(events)
}

// encoded prints objects as words in base64.
func (f *Fake) encoded(all []object) string {
	var words []string
	for _, o := range all {
		text, err := json.Marshal(o)
		if err != nil {
			f.t.Errorf("helmtest: %v", err)
		}
		words = append(words, base64.StdEncoding.EncodeToString(text))
	}
	return strings.Join(words, " ")
}
