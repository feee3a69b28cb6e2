package manifest

import (
	"fmt"

	yamlnode "go.yaml.in/yaml/v3"
)

// givers are objects that give accelerators to pods which only refer to them, or are in their namespace.
type givers struct {
	claims   gifts[deviceRequest] // ResourceClaims and their templates, by kind and name
	overhead gifts[GPURequest]    // of RuntimeClasses, by name
	defaults gifts[GPURequest]    // of LimitRanges, all by ""
}

func newGivers() *givers {
	return &givers{make(gifts[deviceRequest]), make(gifts[GPURequest]), make(gifts[GPURequest])}
}

func (g *givers) any() bool { return len(g.claims)+len(g.overhead)+len(g.defaults) > 0 }

// gift is an amount of a resource or a device class.
type gift interface{ amount() (name string, n int64) }

func (r GPURequest) amount() (name string, n int64) { return r.Resource, r.Amount }

func (r deviceRequest) amount() (name string, n int64) {
	if r[0].All { // neither more nor less than a number
		return r[0].DeviceClass + " (all)", r[0].Count
	}
	return r[0].DeviceClass, r[0].Count
}

// gifts are lists of gifts by the name of the object, then by its namespace.
type gifts[T gift] map[string]map[string][]T

// anyNamespace has what the objects of a name give in all namespaces together. No namespace is called so.
const anyNamespace = "*"

// What a giver gives is multiplied by the pods that get it, so its length is bounded.
const (
	maxDeviceRequests = 32 // as many as Kubernetes takes in one claim
	maxGiven          = 8  // resources
)

// add adds what an object gives. It refuses more than most gifts in one namespace.
func (g gifts[T]) add(name, namespace string, given []T, most int) bool {
	if g[name] == nil {
		g[name] = make(map[string][]T)
	}
	fits := true
	for _, at := range []string{namespace, anyNamespace} {
		all := larger(g[name][at], given)
		if len(all) > most {
			fits, all = false, all[:most]
		}
		g[name][at] = all
	}
	return fits
}

// of gives what pods in a namespace get from the objects of a name. A pod and an object without a namespace may be in
// the same one as any other.
func (g gifts[T]) of(name, namespace string) (given []T, known bool) {
	if namespace == "" {
		namespace = anyNamespace
	}
	own, known := g[name][namespace]
	unplaced, also := g[name][""]
	return larger(own, unplaced), known || also
}

// larger joins two lists: for each name it takes the gifts of the list that has more of it.
func larger[T gift](a, b []T) []T {
	switch {
	case len(b) == 0:
		return a
	case len(a) == 0:
		return b
	}
	var all []T
	inA, inB := sums(a), sums(b)
	for _, gift := range a {
		if name, _ := gift.amount(); inA[name] >= inB[name] {
			all = append(all, gift)
		}
	}
	for _, gift := range b {
		if name, _ := gift.amount(); inA[name] < inB[name] {
			all = append(all, gift)
		}
	}
	return all
}

func sums[T gift](gifts []T) map[string]int64 {
	sums := make(map[string]int64)
	for _, gift := range gifts {
		name, n := gift.amount()
		sums[name] = plus(sums[name], n)
	}
	return sums
}

// gives reports the kinds of givers.
func (o *object) gives() bool {
	return o.Group == "resource.k8s.io" || o.Group == "node.k8s.io" || o.Group == "" && o.Kind == "LimitRange"
}

// readGiver remembers what an object gives to pods.
func (r *gpuReader) readGiver(c *cursor) {
	fits, most := true, maxGiven
	switch o := c.object; o.Kind {
	case "LimitRange":
		if given := r.limitRange(c); len(given) > 0 {
			fits = r.found.defaults.add("", o.Namespace, given, most)
		}
	case "RuntimeClass":
		if given := r.podAmounts(c, get(get(c.node, "overhead"), "podFixed")); len(given) > 0 {
			fits = r.found.overhead.add(o.Name, "", given, most)
		}
	case "ResourceClaim", "ResourceClaimTemplate":
		spec := get(c.node, "spec")
		if o.Kind == "ResourceClaimTemplate" {
			spec = get(spec, "spec")
		}
		most = maxDeviceRequests
		fits = r.found.claims.add(o.Kind+"/"+o.Name, o.Namespace, deviceRequests(resolve(spec)), most)
	case "DeviceClass":
		name := scalar(get(get(c.node, "spec"), "extendedResourceName"))
		if rule, known := findGPURule(r.rules, name); known && rule.Kind == GPUNone {
			r.warn(c, GPUOtherMeans, "whatever asks for %s gets a device of this class", name)
		}
	}
	if !fits {
		r.refused = c.src.doc.fail(fmt.Errorf("it asks for more than %d accelerators on behalf of others, alone or with the objects of its name: %w", most, ErrOutputTooLarge))
	}
}

// limitRange reads what a LimitRange gives to every container that does not name it. As in Kubernetes, max stands in for
// a missing default, and min for a missing defaultRequest.
func (r *gpuReader) limitRange(c *cursor) (given []GPURequest) {
	spec := c.below("spec", -1, resolve(get(c.node, "spec")))
	for _, limits := range spec.list("limits") {
		if scalar(get(limits.node, "type")) != "Container" {
			continue
		}
		var requests []GPURequest
		seen := make(map[string]bool)
		for _, field := range []string{"default", "max", "defaultRequest", "min"} {
			at := limits.below(field, -1, resolve(get(limits.node, field)))
			names, amounts := extended(at.node)
			for _, name := range names {
				if seen[name] {
					continue
				}
				seen[name] = true
				found := r.request(at, name, amounts[name])
				if len(found) > 0 {
					r.warn(at, GPUByDefault, "every container of its namespace that does not name %s gets %s of it", name, amounts[name])
				}
				requests = append(requests, found...)
			}
		}
		given = larger(given, requests)
	}
	return given
}

// overhead is what a pod takes beside its containers: by its own field, or by its RuntimeClass.
func (r *gpuReader) overhead(c *cursor) []GPURequest {
	given, _ := r.given.overhead.of(scalar(get(c.node, "runtimeClassName")), "")
	return larger(r.podAmounts(c, get(c.node, "overhead")), given)
}

// podAmounts reads amounts of resources that no container asks for.
func (r *gpuReader) podAmounts(c *cursor, resources *yamlnode.Node) (requests []GPURequest) {
	names, amounts := extended(resources)
	for _, name := range names {
		requests = append(requests, r.request(c, name, amounts[name])...)
	}
	for i := range requests {
		requests[i].Container = ""
	}
	return requests
}
