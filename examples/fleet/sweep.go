package main

import (
	"cmp"
	"context"
	"errors"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// SweepInput is what a sweep takes.
type SweepInput struct {
	Cluster   string
	Timeout   Duration // for each release
	KeepPlans Duration // longer than any job lasts
}

// SweepCluster is the lab's sweeper: what no workflow removes any more, since somebody terminated it, goes when the
// deadline on the release has passed.
func SweepCluster(ctx workflow.Context, in SweepInput) ([]string, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue: queueOf(in.Cluster), StartToCloseTimeout: time.Hour, HeartbeatTimeout: 30 * time.Second,
		RetryPolicy: &temporal.RetryPolicy{MaximumAttempts: 3}, // the next sweep comes
	})
	var removed []string
	err := workflow.ExecuteActivity(ctx, activities.Sweep, in).Get(ctx, &removed)
	return removed, err
}

// schedule makes the schedule of the sweeper of a cluster, unless there is one.
func schedule(ctx context.Context, c client.Client, every time.Duration, in SweepInput) error {
	id := "sweep " + cmp.Or(in.Cluster, "default")
	_, err := c.ScheduleClient().Create(ctx, client.ScheduleOptions{
		ID:      id,
		Spec:    client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: every}}},
		Overlap: enums.SCHEDULE_OVERLAP_POLICY_SKIP,
		Action:  &client.ScheduleWorkflowAction{ID: id, Workflow: SweepCluster, TaskQueue: queueWorkflows, Args: []any{in}},
	})
	if errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		return nil
	}
	return err
}
