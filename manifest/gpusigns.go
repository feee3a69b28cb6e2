package manifest

import (
	"slices"
	"strings"
)

// checkUse warns of a pod that uses accelerators without asking for any.
func (r *gpuReader) checkUse(c *cursor, p *pod, asks bool) {
	if annotation := r.gpuAnnotation(c); annotation != "" {
		r.warn(c, GPUOtherMeans, "asks for a part of a GPU by the annotation %s", annotation)
	}
	if asks {
		return
	}
	if class := scalar(get(c.node, "runtimeClassName")); class != "" && matchesAny(gpuSigns.runtimeClasses, class) {
		r.warn(c, GPUNotAsked, "runtimeClassName %s gives access to accelerators, and none is asked for", class)
	}
	for _, volume := range c.list("volumes") {
		if path := scalar(get(get(volume.node, "hostPath"), "path")); path != "" && matchesAny(gpuSigns.devices, path) {
			r.warn(c, GPUNotAsked, "the host's %s is mounted, and no accelerator is asked for", path)
		}
	}
	for _, container := range slices.Concat(p.containers, p.initContainers) {
		for _, variable := range container.list("env") {
			name, value := scalar(get(variable.node, "name")), scalar(get(variable.node, "value"))
			if slices.Contains(gpuSigns.variables, name) && value != "" && value != "void" && value != "none" {
				r.warn(container, GPUNotAsked, "%s=%s gives access to accelerators, and none is asked for", name, value)
			}
		}
		if scalar(get(get(container.node, "securityContext"), "privileged")) == "true" {
			r.warn(container, GPUPrivileged, "a privileged container sees every device of its node")
		}
	}
}

// gpuAnnotation finds the annotation of a pod by which schedulers give parts of a GPU (KAI, Run:ai).
func (r *gpuReader) gpuAnnotation(c *cursor) string {
	if c.parent == nil {
		return ""
	}
	found, known := r.annotations[c.parent]
	if !known {
		metadata := c.parent.get("metadata")
		for _, key := range []string{"gpu-fraction-num-devices", "gpu-memory", "gpu-fraction"} {
			if scalar(get(get(metadata, "annotations"), key)) != "" || scalar(get(get(metadata, "labels"), key)) != "" {
				found = key
			}
		}
		r.annotations[c.parent] = found
	}
	return found
}

// checkOtherMeans warns of custom resources that ask for accelerators by something other than a resource.
func (r *gpuReader) checkOtherMeans(c *cursor) {
	if instance := scalar(get(c.node, "instanceType")); instance != "" && strings.HasSuffix(c.object.Group, "kaito.sh") {
		r.warn(c, GPUOtherMeans, "asks for nodes of the type %s", instance)
	}
	if n := scalar(get(get(c.node, "rayStartParams"), "num-gpus")); n != "" && n != "0" {
		r.warn(c, GPUOtherMeans, "tells Ray that it has %s GPUs", n)
	}
}

func matchesAny(patterns []string, text string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return matchStar(pattern, text) })
}
