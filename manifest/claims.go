package manifest

import (
	yamlnode "go.yaml.in/yaml/v3"
)

// deviceRequest is one request of a ResourceClaim or ResourceClaimTemplate: its choices, the preferred one first.
type deviceRequest []DeviceChoice

// deviceRequests reads the spec of a claim. The fields of a request are at its key exactly since v1beta2, before that
// in the request itself; v1alpha2 had one class for the whole claim. Each version of the API drops the fields of the others, so
// what stands in several places is a request in each.
func deviceRequests(spec *yamlnode.Node) []deviceRequest {
	var requests []deviceRequest
	add := func(choices ...*yamlnode.Node) {
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
	if class := scalar(get(spec, "resourceClassName")); class != "" {
		requests = append(requests, deviceRequest{{DeviceClass: class, Count: 1}})
	}
	list := resolve(get(get(spec, "devices"), "requests"))
	if !isList(list) {
		return requests
	}
	for _, item := range list.Content {
		if first := resolve(get(item, "firstAvailable")); isList(first) {
			add(first.Content...)
		}
		add(get(item, "exactly"))
		add(item)
	}
	return requests
}

// claimsOf lists the claims of a pod, not resolved yet. Before v1.31 the names stood in a field source; since then the API
// drops that.
func claimsOf(list *yamlnode.Node) []DeviceClaim {
	if list == nil || list.Kind != yamlnode.SequenceNode {
		return nil
	}
	var claims []DeviceClaim
	for _, item := range list.Content {
		for _, at := range []*yamlnode.Node{resolve(item), resolve(get(item, "source"))} {
			if name := scalar(get(at, "resourceClaimTemplateName")); name != "" {
				claims = append(claims, DeviceClaim{Name: scalar(get(item, "name")), Object: name})
			}
			if name := scalar(get(at, "resourceClaimName")); name != "" {
				claims = append(claims, DeviceClaim{Name: scalar(get(item, "name")), Object: name, Shared: true})
			}
		}
	}
	return claims
}

// addClaims adds one claim for each request of the objects that the claims of a pod refer to.
func (r *gpuReader) addClaims(w *GPUWorkload, claims []DeviceClaim) {
	for _, claim := range claims {
		object := "ResourceClaimTemplate/" + claim.Object
		if claim.Shared {
			object = "ResourceClaim/" + claim.Object
		}
		requests, known := r.given.claims.of(object, w.Object.Namespace)
		if !known {
			r.report.Warnings = append(r.report.Warnings, GPUWarning{
				Place: w.Place, Problem: GPUUnknownClaim, Message: object + " is not in the manifest",
			})
			w.Claims = append(w.Claims, claim)
			continue
		}
		for _, request := range requests {
			claim.DeviceChoice, claim.Alternatives = request[0], nil
			if len(request) > 1 {
				claim.Alternatives = request[1:]
			}
			w.Claims = append(w.Claims, claim)
			if !claim.Shared {
				w.PerPod[claim.DeviceClass] = plus(w.PerPod[claim.DeviceClass], claim.Count)
			}
		}
	}
}

// addUp makes the totals.
func (r *gpuReader) addUp() {
	counted := make(map[string]bool)
	for i := range r.report.Workloads {
		w := &r.report.Workloads[i]
		if w.PerNode || w.Template || w.IsHook() {
			continue
		}
		for name, amount := range w.PerPod {
			r.report.Totals[name] = plus(r.report.Totals[name], multiply(amount, w.Replicas))
		}
		for _, claim := range w.Claims {
			if claim.Shared && claim.DeviceClass != "" && !counted[w.sharedKey(claim)] {
				r.report.Totals[claim.DeviceClass] = plus(r.report.Totals[claim.DeviceClass], claim.Count)
			}
		}
		for _, claim := range w.Claims {
			counted[w.sharedKey(claim)] = true
		}
	}
}

// sharedKey names the object that a shared claim of the workload refers to, which is in the same namespace; "" for a
// claim that each pod has to itself.
func (w *GPUWorkload) sharedKey(claim DeviceClaim) string {
	if !claim.Shared {
		return ""
	}
	return w.Object.Namespace + "/" + claim.Object
}
