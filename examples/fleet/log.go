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

// helms logs each helm, when it begins and when it ends, and whether it changes a release.
type helms struct{ log *slog.Logger }

func (h helms) Begin(ctx context.Context, s helmexec.Span) context.Context {
	if s.Process != nil {
		h.of(ctx, s).Info("helm begins")
	}
	return ctx
}

func (h helms) End(ctx context.Context, s helmexec.Span) {
	if p := s.Process; p != nil {
		h.of(ctx, s).Info("helm ended", "pid", p.PID, "took", p.Took.String(), "kind", helmexec.ErrorKind(s.Err))
	}
}

func (h helms) of(ctx context.Context, s helmexec.Span) *slog.Logger {
	log := h.log
	if activity.IsActivity(ctx) {
		log = ofActivity(ctx, log)
	}
	changes := slices.Contains([]string{"install", "upgrade", "rollback", "uninstall"}, s.Process.Command) &&
		!slices.ContainsFunc(s.Process.Args, func(arg string) bool { return strings.HasPrefix(arg, "--dry-run") })
	return log.With("helm", s.Process.Command, "changes", changes, "release", s.Release)
}
