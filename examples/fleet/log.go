package main

import (
	"context"
	"log/slog"
	"slices"
	"strings"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"

	"github.com/sut-bench/helmexec"
)

// deliveries logs each activity when it is delivered and when it answers.
type deliveries struct {
	interceptor.WorkerInterceptorBase
	log *slog.Logger
}

func (d *deliveries) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	logged := &delivery{log: d.log}
	logged.Next = next
	return logged
}

type delivery struct {
	interceptor.ActivityInboundInterceptorBase
	log *slog.Logger
}

func (d *delivery) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	log := ofActivity(ctx, d.log)
	log.Info("delivered")
	out, err := d.Next.ExecuteActivity(ctx, in)
	if err != nil {
		log.Warn("answered", "kind", kindOf(err), "error", err.Error())
	} else {
		log.Info("answered")
	}
	return out, err
}

// ofActivity is a log whose lines say which delivery they are about.
func ofActivity(ctx context.Context, log *slog.Logger) *slog.Logger {
	info := activity.GetInfo(ctx)
	return log.With("workflow", info.WorkflowExecution.ID, "run", info.WorkflowExecution.RunID, "activity", info.ActivityType.Name,
		"id", info.ActivityID, "attempt", info.Attempt)
}

// changes logs the helms that change a release, when they begin and when they end.
type changes struct{ log *slog.Logger }

func changing(s helmexec.Span) bool {
	return s.Process != nil && slices.Contains([]string{"install", "upgrade", "rollback", "uninstall"}, s.Process.Command) &&
		!slices.ContainsFunc(s.Process.Args, func(arg string) bool { return strings.HasPrefix(arg, "--dry-run") })
}

func (c changes) Begin(ctx context.Context, s helmexec.Span) context.Context {
	if changing(s) {
		c.of(ctx, s).Info("helm begins")
	}
	return ctx
}

func (c changes) End(ctx context.Context, s helmexec.Span) {
	if changing(s) {
		c.of(ctx, s).Info("helm ended", "pid", s.Process.PID, "took", s.Process.Took.String(), "kind", helmexec.ErrorKind(s.Err))
	}
}

func (c changes) of(ctx context.Context, s helmexec.Span) *slog.Logger {
	log := c.log
	if activity.IsActivity(ctx) {
		log = ofActivity(ctx, log)
	}
	return log.With("helm", s.Process.Command, "release", s.Release, "operation", s.OperationID)
}
