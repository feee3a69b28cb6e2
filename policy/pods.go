package policy

import (
	"slices"
	"strings"
)

// pod is a pod or the template of one, or a mapping of a custom resource that may be a part of one.
type pod struct {
	of             *subject
	metadata, spec *field
	containers     []*field
	// contexts are the security contexts: those of the pod, and of each container.
	podContexts, contexts []*field
}

// templates are the ways to the pod template of Kubernetes' own kinds.
var templates = map[string][]string{
	"/Pod":                   {},
	"/PodTemplate":           {"template"},
	"/ReplicationController": {"spec", "template"},
	"apps/DaemonSet":         {"spec", "template"},
	"apps/Deployment":        {"spec", "template"},
	"apps/ReplicaSet":        {"spec", "template"},
	"apps/StatefulSet":       {"spec", "template"},
	"batch/CronJob":          {"spec", "jobTemplate", "spec", "template"},
	"batch/Job":              {"spec", "template"},
	"extensions/DaemonSet":   {"spec", "template"},
	"extensions/Deployment":  {"spec", "template"},
	"extensions/ReplicaSet":  {"spec", "template"},
}

// podOf is the pod of an object of one of these kinds.
func podOf(s *subject, way []string) *pod {
	template := s.root.at(way...)
	p := &pod{of: s, metadata: template.get("metadata"), spec: template.get("spec")}
	p.addContainers("initContainers", "containers", "ephemeralContainers")
	p.podContexts = []*field{p.spec.get("securityContext")}
	return p
}

func (p *pod) addContainers(lists ...string) {
	for _, list := range lists {
		for _, container := range p.spec.get(list).items() {
			p.containers = append(p.containers, container)
			p.contexts = append(p.contexts, container.get("securityContext"))
		}
	}
}

// podIn is the pod spec that a mapping of a custom resource is; nil if it is none. A template of an Argo workflow, with
// its container or script, is one.
func podIn(f *field) *pod {
	fields := f.keys()
	if !slices.ContainsFunc([]string{"containers", "initContainers", "ephemeralContainers", "sidecars", "container", "script"}, func(key string) bool { return fields[key] != nil }) {
		return nil
	}
	p := &pod{of: f.of, spec: f}
	p.addContainers("initContainers", "containers", "ephemeralContainers", "sidecars")
	for _, key := range []string{"container", "script"} {
		if container := f.get(key); container.get("image").value != nil {
			p.containers = append(p.containers, container)
			p.contexts = append(p.contexts, container.get("securityContext"))
		}
	}
	are := 0
	for _, container := range p.containers {
		if container.get("name").value != nil || container.get("image").value != nil {
			are++
		}
	}
	if are == 0 {
		return nil
	}
	p.metadata = &field{of: f.of, up: f.up, key: "metadata"}
	if f.key == "spec" && f.up != nil {
		p.metadata = f.up.get("metadata")
	}
	p.podContexts = []*field{f.get("securityContext")}
	return p
}

// podFields are what the controls read in a pod spec or a container, beside the security contexts.
var podFields = map[string]bool{
	"hostNetwork": true, "hostPID": true, "hostIPC": true, "volumes": true, "ports": true,
	"livenessProbe": true, "readinessProbe": true, "startupProbe": true, "lifecycle": true,
}

// anyPods gives every mapping of the custom resources as what it would be in a pod: the spec, a container, or something
// with a security context. Whatever an operator makes of it, it does not ask for what these fields ask for in a pod.
func (v *view) anyPods(visit func(*pod)) {
	for _, s := range v.subjects {
		if !s.custom {
			continue
		}
		s.walk(func(f *field) bool {
			fields, isMapping := f.value.(map[string]any)
			if !isMapping {
				return true
			}
			if f != s.root && isObject(fields) {
				return false
			}
			p := &pod{of: s, metadata: &field{of: s, up: f, key: "metadata"}, spec: f, containers: []*field{f}}
			matters := false
			for key := range fields {
				matters = matters || podFields[key]
				if strings.HasSuffix(key, "ecurityContext") {
					p.contexts = append(p.contexts, f.get(key))
				}
			}
			p.podContexts = p.contexts
			if matters || len(p.contexts) > 0 {
				visit(p)
			}
			return true
		})
	}
}

// volumeClaims gives the volume claims of the plan and the templates of such, each with metadata and spec.
func (v *view) volumeClaims() []*field {
	var all []*field
	for _, s := range v.subjects {
		switch {
		case s.is("", "PersistentVolumeClaim"):
			all = append(all, s.root)
		case s.is("apps", "StatefulSet"):
			all = append(all, s.root.at("spec", "volumeClaimTemplates").items()...)
		}
	}
	for _, p := range v.pods {
		for _, volume := range p.volumes() {
			all = append(all, volume.at("ephemeral", "volumeClaimTemplate"))
		}
	}
	return all
}

// volumes gives the volumes of the pod.
func (p *pod) volumes() []*field { return p.spec.get("volumes").items() }

// isWindows reports a pod that says that it is for Windows. The API server refuses it with settings of Linux.
func (p *pod) isWindows() bool { return p.spec.at("os", "name").value == "windows" }
