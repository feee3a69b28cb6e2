package manifest

import (
	"slices"

	yamlnode "go.yaml.in/yaml/v3"
)

// deviceRequest is one request of a ResourceClaim or ResourceClaimTemplate: its choices, the preferred one first.
type deviceRequest []DeviceChoice

// readClaim remembers what an object of resource.k8s.io asks for.
func (r *gpuReader) readClaim(c *cursor) {
	if c != c.object.root {
		return
	}
	spec := get(c.node, "spec")
	if c.object.Kind == "ResourceClaimTemplate" {
		spec = get(spec, "spec")
	}
	r.claims[c.object.Kind+"/"+c.object.Name] = deviceRequests(resolve(spec))
}

// maxDeviceRequests is how many requests Kubernetes takes in one claim.
const maxDeviceRequests = 32

// deviceRequests reads the spec of a claim. The fields of a request are at its key exactly since v1beta2, before that
// in the request itself; v1alpha2 had one class for the whole claim.
func deviceRequests(spec *yamlnode.Node) []deviceRequest {
	if class := scalar(get(spec, "resourceClassName")); class != "" {
		return []deviceRequest{{{DeviceClass: class, Count: 1}}}
	}
	list := resolve(get(get(spec, "devices"), "requests"))
	if list == nil || list.Kind != yamlnode.SequenceNode {
		return nil
	}
	var requests []deviceRequest
	for _, item := range list.Content[:min(len(list.Content), maxDeviceRequests)] {
		var choices []*yamlnode.Node
		if first := resolve(get(item, "firstAvailable")); first != nil && first.Kind == yamlnode.SequenceNode {
			choices = first.Content
		} else if exactly := get(item, "exactly"); exactly != nil {
			choices = []*yamlnode.Node{exactly}
		} else {
			choices = []*yamlnode.Node{item}
		}
		var request deviceRequest
		for _, choice := range choices {
			c := DeviceChoice{DeviceClass: scalar(get(choice, "deviceClassName")), Count: 1, All: scalar(get(choice, "allocationMode")) == "All"}
			if n, ok := integer(get(choice, "count")); ok && n > 0 {
				c.Count = n
			}
			if c.DeviceClass != "" {
				request = append(request, c)
			}
		}
		if len(request) > 0 {
			requests = append(requests, request)
		}
	}
	return requests
}

// claimsOf lists the claims of a pod, not resolved yet. Before v1.31 the names stood in a field source.
func claimsOf(list *yamlnode.Node) []DeviceClaim {
	if list == nil || list.Kind != yamlnode.SequenceNode {
		return nil
	}
	var claims []DeviceClaim
	for _, item := range list.Content {
		claim := DeviceClaim{Name: scalar(get(item, "name"))}
		for _, at := range []*yamlnode.Node{resolve(item), resolve(get(item, "source"))} {
			if name := scalar(get(at, "resourceClaimTemplateName")); name != "" {
				claim.Object = name
			}
			if name := scalar(get(at, "resourceClaimName")); name != "" {
				claim.Object, claim.Shared = name, true
			}
		}
		if claim.Object != "" {
			claims = append(claims, claim)
		}
	}
	return claims
}

// finish resolves the claims, which may stand after the pods that use them, and adds up the totals.
func (r *gpuReader) finish() {
	counted := make(map[string]bool)
	for i := range r.report.Workloads {
		w := &r.report.Workloads[i]
		r.resolveClaims(w)
		if w.PerNode || w.Template || w.IsHook() {
			continue
		}
		for name, amount := range w.PerPod {
			r.report.Totals[name] = plus(r.report.Totals[name], multiply(amount, w.Replicas))
		}
		for _, claim := range w.Claims {
			if claim.Shared && claim.DeviceClass != "" && !counted[claim.key()] {
				r.report.Totals[claim.DeviceClass] = plus(r.report.Totals[claim.DeviceClass], claim.Count)
			}
		}
		for _, claim := range w.Claims {
			counted[claim.key()] = claim.Shared
		}
	}
	r.report.Workloads = slices.DeleteFunc(r.report.Workloads, func(w GPUWorkload) bool {
		return len(w.Requests) == 0 && len(w.Claims) == 0
	})
}

func (c DeviceClaim) key() string { return c.Object }

// resolveClaims replaces each claim of a pod by one for each request of the object it refers to.
func (r *gpuReader) resolveClaims(w *GPUWorkload) {
	var claims []DeviceClaim
	for _, claim := range w.Claims {
		kind := "ResourceClaimTemplate/"
		if claim.Shared {
			kind = "ResourceClaim/"
		}
		requests, known := r.claims[kind+claim.Object]
		if !known {
			r.report.Warnings = append(r.report.Warnings, GPUWarning{
				Place: w.Place, Problem: GPUUnknownClaim, Message: kind + claim.Object + " is not in the manifest",
			})
			claims = append(claims, claim)
			continue
		}
		for _, request := range requests {
			claim.DeviceChoice, claim.Alternatives = request[0], request[1:]
			if len(claim.Alternatives) == 0 {
				claim.Alternatives = nil
			}
			claims = append(claims, claim)
			if !claim.Shared {
				w.PerPod[claim.DeviceClass] = plus(w.PerPod[claim.DeviceClass], claim.Count)
			}
		}
	}
	w.Claims = claims
}
