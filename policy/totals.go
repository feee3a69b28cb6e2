package policy

import (
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"

	"github.com/sut-bench/helmexec/manifest"
	"github.com/sut-bench/helmexec/plan"
)

// Limits bound what a plan requests in all. A field that is empty sets no limit. Validate says whether all others can be
// understood.
type Limits struct {
	// CPU, Memory and Storage are quantities of Kubernetes, such as "8" or "500m", "64Gi" and "1Ti". Memory includes
	// huge pages; Storage is volume claims and ephemeral storage.
	CPU, Memory, Storage string
	// GPUs are extended resources ("nvidia.com/gpu") and classes of devices ("gpu.nvidia.com"). If it is not nil, others
	// count as limited to 0.
	GPUs map[string]int64
	// Pods is how many run.
	Pods int64
	// Nodes is for how many pods a DaemonSet counts: how many nodes the cluster has. Without it no DaemonSet is allowed.
	Nodes int64
}

// Totals allows requests up to these limits: of all objects and hooks together, as if they all ran at once. A container
// counts as in Kubernetes, by its limit if it requests nothing, and for nothing without both; a workload by its replicas, or
// those that its autoscaler may make. What cannot be counted is a finding: an amount that is no quantity, a CronJob whose jobs
// may pile up, and in an upgrade a workload without a number of replicas or an autoscaler, which keeps as many pods as an
// earlier autoscaler has made. The number of pods of a custom resource is an estimate from its fields.
func Totals(most Limits) plan.Rule { return totals(most).rule() }

func totals(most Limits) check {
	return check{"totals", func(v *view) {
		c := &counter{view: v, nodes: most.Nodes, sums: map[string]*sum{}, claimed: map[string]bool{}, workloads: map[specPlace]*manifest.GPUWorkload{}}
		if most.CPU == "" && most.Memory == "" && most.Storage == "" && most.GPUs == nil && most.Pods == 0 {
			return
		}
		for i, w := range v.plan.GPUs.Workloads {
			c.workloads[specPlace{w.Object, w.Document, w.Path}] = &v.plan.GPUs.Workloads[i]
		}
		c.autoscalers()
		for _, p := range v.pods {
			c.pod(p)
		}
		for _, s := range v.subjects {
			c.claims(s)
		}
		for _, limit := range []struct{ name, text string }{{cpu, most.CPU}, {memory, most.Memory}, {storage, most.Storage}} {
			c.holds(limit.name, limit.text)
		}
		if most.Pods != 0 {
			c.holds(pods, fmt.Sprint(most.Pods))
		}
		if most.GPUs != nil {
			for _, name := range slices.Sorted(maps.Keys(c.sums)) {
				if device, is := strings.CutPrefix(name, devicePrefix); is {
					c.holds(name, fmt.Sprint(most.GPUs[device]))
				}
			}
		}
	}}
}

// The names of sums. Those of devices have a prefix, so that nobody can name a device so.
const (
	cpu, memory, storage, pods = "cpu", "memory", "storage", "pods"
	devicePrefix               = "device "
)

// sum is a total, with the place of its largest part.
type sum struct {
	total, largest big.Int
	at             *field
}

type counter struct {
	view    *view
	nodes   int64
	scaled  map[string]*field           // maxReplicas of the autoscalers, by "Kind/name"
	targets map[manifest.ObjectRef]bool // of the autoscalers
	sums    map[string]*sum
	claimed map[string]bool
	// workloads are those with accelerators, by their place.
	workloads map[specPlace]*manifest.GPUWorkload
}

// specPlace is the place of a pod spec.
type specPlace struct {
	object   manifest.ObjectRef
	document int
	path     string
}

func (c *counter) add(name string, amount *big.Int, at *field) {
	s := c.sums[name]
	if s == nil {
		s = &sum{at: at}
		c.sums[name] = s
	}
	s.total.Add(&s.total, amount)
	if amount.Cmp(&s.largest) > 0 {
		s.largest.Set(amount)
		s.at = at
	}
}

// holds reports a sum that is larger than its limit.
func (c *counter) holds(name, limit string) {
	s := c.sums[name]
	if limit == "" || s == nil {
		return
	}
	most, ok := parseQuantity(limit)
	if !ok {
		s.at.fault("cannot be compared with the limit %q, which is not a quantity", limit)
		return
	}
	if s.total.Cmp(most) > 0 {
		at := *s.at
		at.value = quantityText(&s.total)
		what := strings.TrimPrefix(name, devicePrefix)
		if s.largest.Cmp(&s.total) == 0 {
			at.fault("asks for more of %s than the %s that there may be", what, limit)
			return
		}
		at.fault("asks for the largest part of %s, and all together ask for more than the %s that there may be", what, limit)
	}
}

// autoscalers reads how far the workloads may be scaled.
func (c *counter) autoscalers() {
	c.scaled, c.targets = map[string]*field{}, map[manifest.ObjectRef]bool{}
	for _, s := range c.view.subjects {
		if !s.is("autoscaling", "HorizontalPodAutoscaler") {
			continue
		}
		target := s.root.at("spec", "scaleTargetRef")
		name := target.get("kind").text() + "/" + target.get("name").text()
		group, _ := manifest.SplitAPIVersion(target.get("apiVersion").text()) // with another one it scales nothing
		c.targets[manifest.ObjectRef{Group: group, Kind: target.get("kind").text(), Name: target.get("name").text()}] = true
		most := s.root.at("spec", "maxReplicas")
		if before := c.scaled[name]; before == nil || number(most, 0).Cmp(number(before, 0)) > 0 {
			c.scaled[name] = most
		}
	}
}

// number gives a whole number, or a default.
func number(f *field, otherwise int64) *big.Int {
	n, ok := f.integer()
	switch {
	case !ok:
		n = otherwise
	case n < 0:
		f.fault("is negative")
		n = otherwise
	}
	return big.NewInt(n)
}

// count is how many pods are made of a spec.
func (c *counter) count(p *pod) *big.Int {
	spec := p.of.root.get("spec")
	if p.of.custom {
		return c.customCount(p.spec)
	}
	switch p.of.ref.Kind {
	case "Pod":
		return big.NewInt(1)
	case "PodTemplate":
		return big.NewInt(0)
	case "DaemonSet":
		if c.nodes <= 0 {
			p.of.root.get("kind").fault("makes a pod for each node, and has no total: Limits.Nodes does not say how many there are")
		}
		return big.NewInt(c.nodes)
	case "CronJob":
		if f := spec.get("concurrencyPolicy"); f.value != "Forbid" {
			f.fault("must be Forbid: otherwise jobs may pile up, also those that are replaced while they end, and have no total")
		}
		spec = spec.at("jobTemplate", "spec")
		fallthrough
	case "Job":
		n := number(spec.get("parallelism"), 1)
		if completions := spec.get("completions"); completions.value != nil && number(completions, 1).Cmp(n) < 0 {
			return number(completions, 1)
		}
		return n
	}
	replicas := spec.get("replicas")
	if ref := p.of.ref; replicas.value == nil && c.view.plan.Upgrade && !c.targets[manifest.ObjectRef{Group: ref.Group, Kind: ref.Kind, Name: ref.Name}] {
		replicas.fault("is missing, and so has no total: an upgrade leaves as many pods as there are")
	}
	return c.scaledTo(p.of, number(replicas, 1))
}

// countFields are the fields of custom resources that multiply pods.
var countFields = []string{"replicas", "maxReplicas", "minReplicas", "parallelism", "size", "workerReplicas", "numOfHosts", "workers", "instances"}

// customCount multiplies the largest counts of every level above a place in a custom resource. An autoscaler counts where its
// spec has the replicas.
func (c *counter) customCount(f *field) *big.Int {
	product := big.NewInt(1)
	for ; f != nil; f = f.up {
		fields, isMapping := f.value.(map[string]any)
		if !isMapping {
			continue
		}
		most := big.NewInt(1)
		for _, key := range countFields {
			if fields[key] != nil {
				if n := number(f.get(key), 1); n.Cmp(most) > 0 {
					most = n
				}
			}
		}
		if f.up == f.of.root && f.key == "spec" {
			most = c.scaledTo(f.of, most)
		}
		product.Mul(product, most)
	}
	return product
}

// scaledTo gives how many replicas an object may get: by itself, or by an autoscaler.
func (c *counter) scaledTo(s *subject, replicas *big.Int) *big.Int {
	if most := c.scaled[s.ref.Kind+"/"+s.ref.Name]; most != nil && number(most, 0).Cmp(replicas) > 0 {
		return number(most, 0)
	}
	return replicas
}

// pod adds what the pods of a spec request.
func (c *counter) pod(p *pod) {
	n := c.count(p)
	c.add(pods, new(big.Int).Mul(n, power(9)), p.spec)
	for name, amount := range p.requests() {
		c.add(sumOf(name), amount.Mul(amount, n), p.spec)
	}
	for _, volume := range p.volumes() {
		if f := volume.at("ephemeral", "volumeClaimTemplate", "spec", "resources", "requests", "storage"); f.value != nil {
			amount := amountOf(f)
			c.add(storage, amount.Mul(amount, n), f)
		}
	}
	if list := p.spec.get("resourceClaims"); len(list.items()) > 0 {
		c.devices(p, list, n)
	}
}

// sumOf names the sum that a resource of a container belongs to.
func sumOf(name string) string {
	switch {
	case name == cpu, name == memory:
		return name
	case name == "ephemeral-storage":
		return storage
	case strings.HasPrefix(name, "hugepages-"):
		return memory
	}
	return devicePrefix + name
}

// devices adds the devices that a pod claims. Package manifest has looked them up.
func (c *counter) devices(p *pod, list *field, n *big.Int) {
	found := c.workloads[specPlace{p.of.outer.Object, p.of.outer.Document, p.spec.path()}]
	if found == nil || len(found.Claims) < len(list.items()) {
		list.fault("claims devices in an amount that the plan does not say")
		return
	}
	var shared []string
	for _, claim := range found.Claims {
		if claim.Shared {
			if c.claimed[claim.Object] {
				continue
			}
			shared = append(shared, claim.Object)
		}
		for _, choice := range append([]manifest.DeviceChoice{claim.DeviceChoice}, claim.Alternatives...) {
			if choice.DeviceClass == "" || choice.All {
				list.fault("claims devices in an amount that the plan does not say")
				continue
			}
			amount := new(big.Int).Mul(big.NewInt(choice.Count), power(9))
			if !claim.Shared {
				amount.Mul(amount, n)
			}
			c.add(devicePrefix+choice.DeviceClass, amount, list)
		}
	}
	for _, object := range shared { // it has a claim for each of its requests
		c.claimed[object] = true
	}
}

// claims adds the volume claims of an object.
func (c *counter) claims(s *subject) {
	way := []string{"spec", "resources", "requests", "storage"}
	switch {
	case s.is("", "PersistentVolumeClaim"):
		f := s.root.at(way...)
		c.add(storage, amountOf(f), f)
	case s.is("apps", "StatefulSet"):
		n := c.count(&pod{of: s})
		for _, claim := range s.root.at("spec", "volumeClaimTemplates").items() {
			f := claim.at(way...)
			amount := amountOf(f)
			c.add(storage, amount.Mul(amount, n), f)
		}
	case s.custom:
		s.walk(func(f *field) bool {
			if fields, isMapping := f.value.(map[string]any); isMapping && f != s.root && isObject(fields) {
				return false
			}
			if f.key == "storage" && f.up.key == "requests" {
				amount := amountOf(f)
				c.add(storage, amount.Mul(amount, c.customCount(f.up)), f)
			}
			return true
		})
	}
}

// amountOf gives a quantity; 0, and a finding, for what is none.
func amountOf(f *field) *big.Int {
	if f.value == nil {
		return new(big.Int)
	}
	amount, ok := parseQuantity(f.value)
	if !ok {
		f.fault("is not an amount that can be counted")
		return new(big.Int)
	}
	return amount
}

// requests is what one pod takes of each resource, counted as the scheduler does or higher: the containers and those that
// stay beside them, or the largest container that runs before them; what the pod as a whole requests, if that is more; and
// the overhead of its runtime.
func (p *pod) requests() map[string]*big.Int {
	together, before := map[string]*big.Int{}, map[string]*big.Int{}
	for _, container := range p.containers {
		if container.up.key != "initContainers" || container.get("restartPolicy").value == "Always" {
			merge(together, amounts(container.get("resources")), (*big.Int).Add)
		} else {
			merge(before, amounts(container.get("resources")), larger)
		}
	}
	for _, container := range p.containers {
		if container.up.key == "initContainers" && container.get("restartPolicy").value == "Always" {
			merge(before, amounts(container.get("resources")), (*big.Int).Add)
		}
	}
	merge(together, before, larger)
	merge(together, amounts(p.spec.get("resources")), larger)
	overhead := map[string]*big.Int{}
	for name := range p.spec.get("overhead").keys() {
		overhead[name] = amountOf(p.spec.at("overhead", name))
	}
	merge(together, overhead, (*big.Int).Add)
	return together
}

func larger(z, a, b *big.Int) *big.Int {
	if a.Cmp(b) < 0 {
		a = b
	}
	return z.Set(a)
}

func merge(into, from map[string]*big.Int, join func(z, a, b *big.Int) *big.Int) {
	for name, amount := range from {
		if into[name] == nil {
			into[name] = new(big.Int)
		}
		join(into[name], into[name], amount)
	}
}

// amounts gives the requests in the resources of a container or a pod: its limit where there is none.
func amounts(resources *field) map[string]*big.Int {
	all := map[string]*big.Int{}
	for _, list := range []string{"limits", "requests"} {
		amounts := resources.get(list)
		for name, value := range amounts.keys() {
			if value != nil {
				all[name] = amountOf(amounts.get(name))
			}
		}
	}
	return all
}
