package main

import (
	"cmp"
	"context"
	"errors"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

const (
	// look is how often the workflow of the accelerators looks at nodes and jobs when nobody tells it anything.
	look = 15 * time.Second
	// soon is how long its activities may be silent: all jobs wait for them.
	soon = 10 * time.Second
)

// Accelerators hands out the accelerators of a cluster to jobs, by arrival. There is one such workflow for each cluster; it
// has no end and continues as new. Jobs tell it what they want; it looks at the nodes only while one waits.
func Accelerators(ctx workflow.Context, s Reservations) error {
	messages := workflow.GetSignalChannel(ctx, signalMessage)
	var timer workflow.Future
	for {
		var m Message
		for messages.ReceiveAsync(&m) {
			s.take(m)
			m = Message{}
		}
		if workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			return workflow.NewContinueAsNewError(ctx, Accelerators, s)
		}
		if err := s.grant(ctx); err != nil {
			return err
		}
		selector := workflow.NewSelector(ctx)
		selector.AddReceive(messages, func(workflow.ReceiveChannel, bool) {}) // taken above
		if timer == nil && len(s.Waiting)+len(s.Granted) > 0 {
			timer = workflow.NewTimer(ctx, look)
		}
		late := false
		if timer != nil {
			selector.AddFuture(timer, func(workflow.Future) { timer, late = nil, true })
		}
		selector.Select(ctx)
		if late {
			if err := s.takeBack(ctx); err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// grant gives the waiting jobs what is free.
func (s *Reservations) grant(ctx workflow.Context) error {
	if len(s.Waiting) == 0 {
		return nil
	}
	running := map[JobRef]bool{} // before the nodes are asked
	for _, g := range s.Granted {
		running[g.Job] = g.Running
	}
	var free []map[string]int64
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue: queueOf(s.Cluster), StartToCloseTimeout: 2 * time.Minute, HeartbeatTimeout: soon,
		RetryPolicy: &temporal.RetryPolicy{MaximumInterval: look},
	}), activities.Free).Get(ctx, &free)
	switch {
	case temporal.IsCanceledError(err):
		return err
	case err != nil: // for good: a right is missing, say
		for len(s.Waiting) > 0 {
			job := s.Waiting[0].Job
			s.drop(job)
			s.tell(ctx, job, Decision{Reason: "what is free is not known: " + err.Error()})
		}
		return nil
	}
	granted, refused := s.decide(free, running)
	for _, job := range refused {
		s.tell(ctx, job, Decision{Reason: "the cluster can never have room for its accelerators"})
	}
	for _, job := range granted {
		s.tell(ctx, job, Decision{Granted: true})
	}
	return nil
}

// tell tells a job what was decided. A job that has ended holds nothing.
func (s *Reservations) tell(ctx workflow.Context, job JobRef, d Decision) {
	if workflow.SignalExternalWorkflow(ctx, job.ID, job.Run, signalDecision, d).Get(ctx, nil) != nil {
		s.drop(job)
	}
}

// takeBack forgets the jobs that have ended without a word, as terminated ones do.
func (s *Reservations) takeBack(ctx workflow.Context) error {
	var jobs, ended []JobRef
	for _, g := range s.Granted {
		jobs = append(jobs, g.Job)
	}
	for _, r := range s.Waiting {
		jobs = append(jobs, r.Job)
	}
	if err := workflow.ExecuteActivity(onFleet(ctx), dispatch.Ended, jobs).Get(ctx, &ended); err != nil {
		return err
	}
	for _, job := range ended {
		s.drop(job)
	}
	return nil
}

// reserve waits until the job has its accelerators.
func (r *jobRun) reserve(ctx workflow.Context) error {
	if len(r.plan.Needs) == 0 {
		return nil
	}
	r.asked = true
	if err := workflow.UpsertMemo(ctx, map[string]any{memoWaits: true}); err != nil {
		return err
	}
	decisions := workflow.GetSignalChannel(ctx, signalDecision)
	for {
		// Again now and then: somebody may have ended the workflow that has the list.
		if err := r.tell(ctx, messageAsk); err != nil {
			return err
		}
		var d Decision
		switch decided, _ := decisions.ReceiveWithTimeout(ctx, time.Minute, &d); {
		case ctx.Err() != nil:
			return ctx.Err()
		case decided && !d.Granted:
			return temporal.NewNonRetryableApplicationError(d.Reason, kindNoRoom, nil)
		case decided:
			return workflow.UpsertMemo(ctx, map[string]any{memoWaits: false})
		}
	}
}

// tell tells the workflow that hands out the accelerators.
func (r *jobRun) tell(ctx workflow.Context, kind string) error {
	me := workflow.GetInfo(ctx).WorkflowExecution
	m := Message{Kind: kind, Request: Request{Job: JobRef{ID: me.ID, Run: me.RunID}, Needs: r.plan.Needs}}
	return workflow.ExecuteActivity(onFleet(ctx), dispatch.Tell, r.job.Cluster, m).Get(ctx, nil)
}

// Dispatch are the activities that talk to Temporal and to no cluster.
type Dispatch struct{ Temporal client.Client }

// dispatch names them in workflows.
var dispatch *Dispatch

// onFleet is for an activity that every worker can do.
func onFleet(ctx workflow.Context) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue: queueWorkflows, StartToCloseTimeout: soon, RetryPolicy: &temporal.RetryPolicy{MaximumInterval: look},
	})
}

// Tell gives a message to the workflow that hands out the accelerators of a cluster, and starts it if there is none.
func (d *Dispatch) Tell(ctx context.Context, cluster string, m Message) error {
	id := "accelerators " + cmp.Or(cluster, "default")
	_, err := d.Temporal.SignalWithStartWorkflow(ctx, id, signalMessage, m, client.StartWorkflowOptions{ID: id, TaskQueue: queueWorkflows},
		Accelerators, Reservations{Cluster: cluster})
	return err
}

// Ended says which of some jobs are over.
func (d *Dispatch) Ended(ctx context.Context, jobs []JobRef) ([]JobRef, error) {
	var ended []JobRef
	for _, job := range jobs {
		found, err := d.Temporal.DescribeWorkflow(ctx, job.ID, job.Run)
		var gone *serviceerror.NotFound
		switch {
		case errors.As(err, &gone):
			ended = append(ended, job)
		case err != nil:
			return nil, err
		case found.Status != enums.WORKFLOW_EXECUTION_STATUS_RUNNING:
			ended = append(ended, job)
		}
	}
	return ended, nil
}
