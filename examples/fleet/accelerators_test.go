package main

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/converter"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"
)

const gpu = "nvidia.com/gpu"

func ref(name string) JobRef { return JobRef{ID: name, Run: "1"} }

func asks(name string, each ...int64) Request {
	r := Request{Job: ref(name)}
	for _, amount := range each {
		r.Needs = append(r.Needs, Need{PerPod: map[string]int64{gpu: amount}, Pods: 1})
	}
	return r
}

func nodesWith(free ...int64) (nodes []map[string]int64) {
	for _, amount := range free {
		nodes = append(nodes, map[string]int64{gpu: amount})
	}
	return append(nodes, map[string]int64{}) // one without
}

func names(jobs []JobRef) (all []string) {
	for _, job := range jobs {
		all = append(all, job.ID)
	}
	return all
}

func TestDecide(t *testing.T) {
	starts := func(r Request) Grant { return Grant{Request: r} }
	runs := func(r Request) Grant { return Grant{Request: r, Running: true} }
	other := Request{Job: ref("other"), Needs: []Need{{PerPod: map[string]int64{"amd.com/gpu": 1}, Pods: 1}}}
	for _, test := range []struct {
		name             string
		held             []Grant
		waiting          []Request
		free             []map[string]int64
		granted, refused []string
	}{
		{"there is room", nil, []Request{asks("a", 4), asks("b", 4)}, nodesWith(8), []string{"a", "b"}, nil},
		{"room for one", nil, []Request{asks("a", 5), asks("b", 5)}, nodesWith(8), []string{"a"}, nil},
		{"nobody passes an earlier one", []Grant{runs(asks("x", 4))}, []Request{asks("a", 8), asks("b", 1)}, nodesWith(4), nil, nil},
		{"but for what that one does not want", []Grant{runs(asks("x", 4))}, []Request{asks("a", 8), other}, append(nodesWith(4), map[string]int64{"amd.com/gpu": 1}), []string{"other"}, nil},
		{"pods that come count", []Grant{starts(asks("x", 4))}, []Request{asks("a", 5)}, nodesWith(8), nil, nil},
		{"pods that are there count once", []Grant{runs(asks("x", 4))}, []Request{asks("a", 4)}, nodesWith(4), []string{"a"}, nil},
		{"more than there is", []Grant{runs(asks("x", 8))}, []Request{asks("a", 16), asks("b", 8)}, nodesWith(0), nil, []string{"a"}},
		{"more than a node has", nil, []Request{asks("a", 16)}, nodesWith(8, 8), nil, []string{"a"}},
		{"more than all nodes have", nil, []Request{asks("a", 8, 8, 8)}, nodesWith(8, 8), nil, []string{"a"}},
		{"what is held elsewhere comes back", []Grant{runs(asks("x", 8))}, []Request{asks("a", 8)}, nodesWith(0), nil, nil},
		{"no node has some", nil, []Request{asks("a", 1)}, nodesWith(), nil, []string{"a"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := Reservations{Granted: test.held, Waiting: test.waiting}
			running := map[JobRef]bool{}
			for _, g := range test.held {
				running[g.Job] = g.Running
			}
			granted, refused := s.decide(test.free, running)
			assert.Equal(t, test.granted, names(granted))
			assert.Equal(t, test.refused, names(refused))
			assert.Len(t, s.Granted, len(test.held)+len(granted))
			assert.Len(t, s.Waiting, len(test.waiting)-len(granted)-len(refused))
		})
	}
}

func TestMessages(t *testing.T) {
	var s Reservations
	ask := asks("a", 1)
	s.take(Message{messageAsk, ask})
	s.take(Message{messageAsk, ask})
	assert.Len(t, s.Waiting, 1, "a message may come twice")
	s.decide(nodesWith(8), nil)
	s.take(Message{messageAsk, ask})
	assert.Empty(t, s.Waiting)
	s.take(Message{messageRunning, ask})
	assert.Equal(t, []Grant{{ask, true}}, s.Granted)
	s.take(Message{messageRunning, asks("b", 2)})
	assert.Len(t, s.Granted, 2, "the list was lost, and the job has some")
	s.take(Message{messageDone, ask})
	s.take(Message{messageDone, ask})
	assert.Equal(t, []Grant{{asks("b", 2), true}}, s.Granted)
}

// hall is the workflow of the accelerators in the SDK's test environment.
type hall struct {
	*testsuite.TestWorkflowEnvironment
	free  int64
	ended []JobRef
	told  []string
}

func newHall() *hall {
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	h := &hall{TestWorkflowEnvironment: suite.NewTestWorkflowEnvironment(), free: 8}
	h.SetTestTimeout(time.Minute)
	h.RegisterActivity(&Activities{})
	h.RegisterActivity(&Dispatch{})
	h.OnActivity(activities.Free, mock.Anything).Maybe().Return(func(context.Context) ([]map[string]int64, error) { return nodesWith(h.free), nil })
	h.OnActivity(dispatch.Ended, mock.Anything, mock.Anything).Maybe().Return(func(context.Context, []JobRef) ([]JobRef, error) { return h.ended, nil })
	h.OnSignalExternalWorkflow(mock.Anything, mock.Anything, mock.Anything, signalDecision, mock.Anything).Maybe().Return(
		func(_, id, _, _ string, arg any) error {
			h.told = append(h.told, fmt.Sprint(id, " ", arg.(Decision).Granted))
			return nil
		})
	return h
}

func (h *hall) tell(after time.Duration, kind string, r Request) {
	h.RegisterDelayedCallback(func() { h.SignalWorkflow(signalMessage, Message{kind, r}) }, after)
}

func TestAccelerators(t *testing.T) {
	h := newHall()
	h.tell(time.Second, messageAsk, asks("a", 8))
	h.tell(2*time.Second, messageAsk, asks("b", 8))
	h.tell(3*time.Second, messageAsk, asks("c", 16))
	h.tell(4*time.Second, messageAsk, asks("d", 8))
	h.RegisterDelayedCallback(func() { h.free = 0 }, 5*time.Second)
	h.tell(6*time.Second, messageRunning, asks("a", 8))
	h.RegisterDelayedCallback(func() { h.free = 8 }, 7*time.Second)
	h.tell(8*time.Second, messageDone, asks("a", 8))
	// b is terminated, and says nothing.
	h.RegisterDelayedCallback(func() { h.ended = []JobRef{ref("b")} }, time.Minute)
	h.RegisterDelayedCallback(h.CancelWorkflow, 2*time.Minute)
	h.ExecuteWorkflow(Accelerators, Reservations{})
	assert.Equal(t, []string{"a true", "c false", "b true", "d true"}, h.told)
}

// The list goes from run to run.
func TestAcceleratorsContinue(t *testing.T) {
	h := newHall()
	h.tell(time.Second, messageAsk, asks("a", 8))
	h.tell(2*time.Second, messageAsk, asks("b", 8))
	h.RegisterDelayedCallback(func() { h.SetContinueAsNewSuggested(true) }, 3*time.Second)
	h.tell(4*time.Second, messageAsk, asks("c", 1))
	h.ExecuteWorkflow(Accelerators, Reservations{Cluster: "lab"})
	var again *workflow.ContinueAsNewError
	require.ErrorAs(t, h.GetWorkflowError(), &again)
	var state Reservations
	require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(again.Input, &state))
	assert.Equal(t, Reservations{Cluster: "lab", Granted: []Grant{{Request: asks("a", 8)}}, Waiting: []Request{asks("b", 8), asks("c", 1)}}, state)
}
