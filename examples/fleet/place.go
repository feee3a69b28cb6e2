package main

import (
	"cmp"
	"errors"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// queueWorkflows is the task queue of all workflows, and of the activities that need no cluster.
const queueWorkflows = "fleet"

// queueOf is the task queue of a cluster, which the workers of all homes take from.
func queueOf(cluster string) string { return "cluster " + cmp.Or(cluster, "default") }

// queueAt is the task queue of one home for a cluster. Only there do locks tell at once whether a helm lives.
func queueAt(cluster, home string) string { return queueOf(cluster) + " at " + home }

// activities names the activities in workflows.
var activities *Activities

// options are those of an activity that may take a time.
func (r *jobRun) options(longest Duration) workflow.ActivityOptions {
	return workflow.ActivityOptions{StartToCloseTimeout: longest.Duration, HeartbeatTimeout: r.job.Times.Heartbeat.Duration}
}

// retried are options of an activity that Temporal repeats, at the same home: it has no effect, or always the same.
func (r *jobRun) retried(longest Duration) workflow.ActivityOptions {
	o := r.options(longest)
	o.WaitForCancellation = true
	o.RetryPolicy = &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: 30 * time.Second}
	return o
}

// anyHome is for an activity that any home may do.
func (r *jobRun) anyHome(ctx workflow.Context) workflow.Context {
	o := r.retried(r.job.Times.Plan)
	o.TaskQueue = queueOf(r.job.Cluster)
	return workflow.WithActivityOptions(ctx, o)
}

// atHome runs an activity at the home of the job. If nobody takes it there in time, the job moves to another home.
func (r *jobRun) atHome(ctx workflow.Context, o workflow.ActivityOptions, activity, in, out any) error {
	o.ScheduleToStartTimeout = r.job.Times.Move.Duration
	for {
		o.TaskQueue = queueAt(r.job.Cluster, r.home)
		err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, o), activity, in).Get(ctx, out)
		if !isTimeout(err, enums.TIMEOUT_TYPE_SCHEDULE_TO_START) {
			return err
		}
		if err := workflow.ExecuteActivity(r.anyHome(ctx), activities.HomeName).Get(ctx, &r.home); err != nil {
			return err
		}
	}
}

func isTimeout(err error, kind enums.TimeoutType) bool {
	var timeout *temporal.TimeoutError
	return errors.As(err, &timeout) && timeout.TimeoutType() == kind
}

// isLost reports whether an activity was started and gave no answer. It may still be at work.
func isLost(err error) bool {
	return isTimeout(err, enums.TIMEOUT_TYPE_HEARTBEAT) || isTimeout(err, enums.TIMEOUT_TYPE_START_TO_CLOSE)
}
