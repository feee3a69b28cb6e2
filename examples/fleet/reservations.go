package main

import (
	"maps"
	"slices"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/manifest"
)

// Need is what some alike pods of a job take.
type Need struct {
	PerPod  map[string]int64
	Pods    int64 `json:",omitempty"`
	PerNode bool  `json:",omitempty"` // one pod on each node
	Once    bool  `json:",omitempty"` // one pod at another time, as of a hook
}

// needsOf are the accelerators of a plan.
func needsOf(report *helmexec.GPUReport) []Need {
	var needs []Need
	for _, w := range report.Workloads {
		each := maps.Clone(w.PerPod)
		for _, request := range w.Requests {
			if request.Kind == helmexec.GPUOther {
				delete(each, request.Resource)
			}
		}
		if len(each) > 0 {
			needs = append(needs, Need{PerPod: each, Pods: w.Replicas, PerNode: w.PerNode, Once: w.Template || w.IsHook()})
		}
	}
	return needs
}

// fit reports whether nodes have room for all of some needs at once.
func fit(needs []Need, nodes []map[string]int64) bool {
	var report manifest.GPUReport
	for _, n := range needs {
		report.Workloads = append(report.Workloads, manifest.GPUWorkload{PerPod: n.PerPod, Replicas: n.Pods, PerNode: n.PerNode, Template: n.Once})
	}
	fits, _ := report.Fits(nodes)
	return fits
}

// addTotals adds what needs take on nodes that have some.
func addTotals(sum map[string]int64, needs []Need) {
	for _, n := range needs {
		for name, amount := range n.PerPod {
			sum[name] += amount * max(n.Pods, 1)
		}
	}
}

// JobRef is a run of a job's workflow.
type JobRef struct{ ID, Run string }

// Request is what a job asked for.
type Request struct {
	Job   JobRef
	Needs []Need
}

// Grant is what a job got.
type Grant struct {
	Request
	Running bool `json:",omitempty"` // its pods are there, and the nodes have that much less free
}

// Reservations is the state of the workflow that hands out the accelerators of a cluster.
type Reservations struct {
	Cluster string
	Waiting []Request `json:",omitempty"` // by arrival
	Granted []Grant   `json:",omitempty"`
}

// The kinds of messages of jobs.
const (
	messageAsk     = "ask"
	messageRunning = "running"
	messageDone    = "done"
)

// Message is what a job tells about its accelerators.
type Message struct {
	Kind string
	Request
}

// Decision is what a job is told.
type Decision struct {
	Granted bool
	Reason  string `json:",omitempty"` // why not
}

// Signals, of jobs and to them.
const (
	signalMessage  = "accelerators"
	signalDecision = "accelerators-decision"
)

// take applies a message. Messages may come twice, and for a job that was forgotten.
func (s *Reservations) take(m Message) {
	held := slices.IndexFunc(s.Granted, func(g Grant) bool { return g.Job == m.Job })
	waits := slices.ContainsFunc(s.Waiting, func(r Request) bool { return r.Job == m.Job })
	switch {
	case m.Kind == messageDone:
		s.drop(m.Job)
	case m.Kind == messageRunning && held >= 0:
		s.Granted[held].Running = true
	case m.Kind == messageRunning:
		s.Granted = append(s.Granted, Grant{Request: m.Request, Running: true})
	case held < 0 && !waits:
		s.Waiting = append(s.Waiting, m.Request)
	}
}

// drop takes back what a job held, and what it waited for.
func (s *Reservations) drop(job JobRef) {
	s.Waiting = slices.DeleteFunc(s.Waiting, func(r Request) bool { return r.Job == job })
	s.Granted = slices.DeleteFunc(s.Granted, func(g Grant) bool { return g.Job == job })
}

// decide grants what fits on nodes with this much free, in the order of arrival: nobody passes an earlier request for the
// same resource. It refuses what could not fit if every job gave back what it has. running are the jobs whose pods were
// there before the nodes were asked: these count already.
func (s *Reservations) decide(free []map[string]int64, running map[JobRef]bool) (granted, refused []JobRef) {
	var reserved []Need
	held := map[string]int64{}
	for _, g := range s.Granted {
		addTotals(held, g.Needs)
		if !running[g.Job] {
			reserved = append(reserved, g.Needs...)
		}
	}
	most, all := make([]map[string]int64, 0, len(free)), map[string]int64{}
	for _, node := range free {
		bound := map[string]int64{}
		for name, amount := range node {
			bound[name] = amount + held[name] // at most all of it is on this node
			all[name] += amount
		}
		most = append(most, bound)
	}
	blocked := map[string]bool{}
	for _, r := range slices.Clone(s.Waiting) {
		takes := map[string]int64{}
		addTotals(takes, r.Needs)
		over := func(name string) bool { return takes[name] > all[name]+held[name] }
		names := slices.Sorted(maps.Keys(takes))
		switch {
		case !fit(r.Needs, most) || slices.ContainsFunc(names, over):
			s.drop(r.Job)
			refused = append(refused, r.Job)
		case slices.ContainsFunc(names, func(name string) bool { return blocked[name] }) || !fit(slices.Concat(reserved, r.Needs), free):
			for _, name := range names {
				blocked[name] = true
			}
		default:
			s.drop(r.Job)
			s.Granted = append(s.Granted, Grant{Request: r})
			reserved = append(reserved, r.Needs...)
			granted = append(granted, r.Job)
		}
	}
	return granted, refused
}
