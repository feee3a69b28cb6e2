package manifest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Misfit is a workload that the given nodes cannot run.
type Misfit struct {
	Place
	Unplaced int64 // pods without a node
	Reason   string
}

// Fits says whether nodes can run what the report lists, considering only accelerators. A node maps the names of
// GPUReport (extended resources, and device classes for claims) to the amounts that it has; it has nothing else.
//
// It is true if there is a way to put all pods of all workloads on the nodes at the same time. Every pod is on one
// node, and so are all pods that share a claim. A claim to all devices of a node needs a node where none is used; of
// a claim's alternatives the first one that any node has counts. A DaemonSet takes its share of every node that can
// hold it and must have at least one. Of a hook or a template (GPUWorkload.Template), one pod must fit on the empty
// nodes, since it runs at another time or only on request. Resources of the kind GPUOther do not count.
//
// The scheduler may still leave a pod pending that fits: it places pods one by one, and considers labels, taints,
// processors and memory, which Fits does not know. If there are too many pods to try every way, Fits only tries
// them in order of size, and may miss a way.
func (r *GPUReport) Fits(nodes []map[string]int64) (bool, []Misfit) {
	p := &packer{}
	for _, node := range nodes {
		p.nodes = append(p.nodes, room{has: node, free: maps.Clone(node)})
	}
	var misfits []Misfit
	misfit := func(w *GPUWorkload, unplaced int64, need map[string]int64) {
		misfits = append(misfits, Misfit{Place: w.Place, Unplaced: unplaced, Reason: whyNot(nodes, need)})
	}
	shared := make(map[string]*podGroup)
	for i := range r.Workloads {
		w := &r.Workloads[i]
		need := w.need(nodes)
		switch {
		case w.PerNode:
			if !p.onEachNode(need) {
				misfit(w, 1, need)
			}
		case w.Template || w.IsHook():
			addAll(need, w.sharedNeed(nodes))
			if !slices.ContainsFunc(nodes, func(node map[string]int64) bool { return room{node, node}.fitting(need) > 0 }) {
				misfit(w, 1, need)
			}
		case w.Replicas == 0:
		default:
			p.addPods(w, need, shared, nodes)
		}
	}
	for _, group := range p.pack() {
		misfit(group.workload, group.left, group.need)
	}
	return len(misfits) == 0, misfits
}

// whole is the amount of a claim to all devices of a node.
const whole = -1

// need is what one pod takes, with each claim settled on the first of its device classes that a node has.
func (w *GPUWorkload) need(nodes []map[string]int64) map[string]int64 {
	need := maps.Clone(w.PerPod)
	for _, request := range w.Requests {
		if request.Kind == GPUOther {
			delete(need, request.Resource)
		}
	}
	taken := make(map[string]int64)
	for _, claim := range w.Claims {
		if claim.Shared {
			continue
		}
		if need[claim.DeviceClass] -= claim.Count; need[claim.DeviceClass] == 0 {
			delete(need, claim.DeviceClass)
		}
		addAll(taken, claim.need(nodes))
	}
	addAll(need, taken)
	return need
}

func (w *GPUWorkload) sharedNeed(nodes []map[string]int64) map[string]int64 {
	need := make(map[string]int64)
	for _, claim := range w.Claims {
		if claim.Shared && claim.DeviceClass != "" {
			addAll(need, claim.need(nodes))
		}
	}
	return need
}

// need is what a claim takes, of the first choice that any node has enough of.
func (c DeviceClaim) need(nodes []map[string]int64) map[string]int64 {
	chosen := c.DeviceChoice
	for _, choice := range append([]DeviceChoice{c.DeviceChoice}, c.Alternatives...) {
		if slices.ContainsFunc(nodes, func(node map[string]int64) bool { return node[choice.DeviceClass] >= choice.Count }) {
			chosen = choice
			break
		}
	}
	if chosen.All {
		return map[string]int64{chosen.DeviceClass: whole}
	}
	return map[string]int64{chosen.DeviceClass: chosen.Count}
}

// podGroup is pods of a kind that take the same, each on a node of its choice.
type podGroup struct {
	workload *GPUWorkload
	need     map[string]int64
	left     int64 // pods not placed yet
}

type packer struct {
	nodes  []room
	groups []*podGroup
	tries  int
}

// addPods adds the pods of a workload. Pods that share a claim count as one, because they must share a node as well.
func (p *packer) addPods(w *GPUWorkload, need map[string]int64, shared map[string]*podGroup, nodes []map[string]int64) {
	var group *podGroup
	for _, claim := range w.Claims {
		if claim.Shared && shared[w.sharedKey(claim)] != nil {
			group = shared[w.sharedKey(claim)]
		}
	}
	sharesClaim := slices.ContainsFunc(w.Claims, func(c DeviceClaim) bool { return c.Shared })
	if !sharesClaim {
		p.groups = append(p.groups, &podGroup{workload: w, need: need, left: w.Replicas})
		return
	}
	if group == nil {
		group = &podGroup{workload: w, need: make(map[string]int64), left: 1}
		p.groups = append(p.groups, group)
	}
	for name, amount := range need {
		if amount != whole {
			amount = multiply(amount, w.Replicas)
		}
		addAll(group.need, map[string]int64{name: amount})
	}
	counted := make(map[string]bool)
	for _, claim := range w.Claims {
		if claim.Shared && (shared[w.sharedKey(claim)] == nil || counted[w.sharedKey(claim)]) {
			addAll(group.need, claim.need(nodes))
			counted[w.sharedKey(claim)] = true
			shared[w.sharedKey(claim)] = group
		}
	}
}

// onEachNode takes the share of a DaemonSet from every node that can hold it.
func (p *packer) onEachNode(need map[string]int64) bool {
	placed := false
	for _, node := range p.nodes {
		if node.fitting(need) > 0 {
			node.take(need, 1)
			placed = true
		}
	}
	return placed
}

// maxTries bounds the search. With a handful of nodes and workloads every way is tried.
const maxTries = 20_000

// pack places the groups and returns those with pods left over.
func (p *packer) pack() []*podGroup {
	capacity := make(map[string]int64)
	for _, node := range p.nodes {
		addAll(capacity, node.free)
	}
	share := func(g *podGroup) float64 {
		largest := 0.0
		for name, amount := range g.need {
			if amount == whole {
				amount = capacity[name]
			}
			largest = max(largest, float64(amount)/float64(max(1, capacity[name])))
		}
		return largest
	}
	slices.SortStableFunc(p.groups, func(a, b *podGroup) int { return cmp.Compare(share(b), share(a)) })
	if p.search(0, 0, p.left(0)) {
		return nil
	}
	// No way, or none found: place what can be placed, the large ones first, and name the rest.
	var over []*podGroup
	for _, group := range p.groups {
		for _, node := range p.nodes {
			n := min(group.left, node.fitting(group.need))
			node.take(group.need, n)
			group.left -= n
		}
		if group.left > 0 {
			over = append(over, group)
		}
	}
	return over
}

func (p *packer) left(group int) int64 {
	if group >= len(p.groups) {
		return 0
	}
	return p.groups[group].left
}

// search tries to place what is left of a group on the nodes from the given one on, and then the groups after it.
// It puts as many pods on a node as fit before it tries fewer.
func (p *packer) search(group, node int, left int64) bool {
	if group == len(p.groups) {
		return true
	}
	if left == 0 {
		return p.search(group+1, 0, p.left(group+1))
	}
	if p.tries++; node == len(p.nodes) || p.tries > maxTries {
		return false
	}
	need := p.groups[group].need
	for n := min(left, p.nodes[node].fitting(need)); n >= 0; n-- {
		p.nodes[node].take(need, n)
		if p.search(group, node+1, left-n) {
			return true
		}
		p.nodes[node].take(need, -n)
		if p.tries > maxTries {
			return false
		}
	}
	return false
}

// room is what a node has, and what of it is free.
type room struct{ has, free map[string]int64 }

// fitting is the number of pods of one need that the node can hold beside those it holds.
func (n room) fitting(need map[string]int64) int64 {
	pods := int64(1) << 40
	for name, amount := range need {
		switch {
		case amount == whole && (n.has[name] == 0 || n.free[name] < n.has[name]):
			return 0
		case amount == whole:
			pods = min(pods, 1)
		case amount > 0:
			pods = min(pods, max(0, n.free[name])/amount)
		}
	}
	return pods
}

func (n room) take(need map[string]int64, pods int64) {
	for name, amount := range need {
		if amount == whole {
			amount = n.has[name]
		}
		if pods != 0 && amount > 0 {
			n.free[name] -= amount * pods
		}
	}
}

func addAll(sum, more map[string]int64) {
	for name, amount := range more {
		if amount == whole || sum[name] == whole {
			sum[name] = whole
		} else {
			sum[name] = plus(sum[name], amount)
		}
	}
}

// whyNot says what keeps a pod from the nodes.
func whyNot(nodes []map[string]int64, need map[string]int64) string {
	var reasons []string
	for _, name := range slices.Sorted(maps.Keys(need)) {
		most := int64(0)
		for _, node := range nodes {
			most = max(most, node[name])
		}
		switch {
		case need[name] == 0:
		case most == 0:
			reasons = append(reasons, "no node has "+name)
		case most < need[name]:
			reasons = append(reasons, fmt.Sprintf("a pod needs %d %s and no node has more than %d", need[name], name, most))
		}
	}
	if len(reasons) == 0 {
		return "the nodes have not enough left for it beside the others"
	}
	return strings.Join(reasons, "; ")
}
