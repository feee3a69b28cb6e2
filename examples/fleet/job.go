package main

import (
	"cmp"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/sut-bench/helmexec"
)

// Job is one system under test (SUT) to be measured. All of it is in the history of its workflow, for everybody to read
// who may read there: no secrets.
type Job struct {
	ID      string `json:"job"`
	SUT     string `json:"sut"`
	Attempt int    `json:"attempt,omitempty"` // 0 is 1
	Chart   string `json:"chart"`             // its address
	Values  map[string]any

	Cluster   string   `json:"cluster,omitempty"` // a context of the kubeconfig; "" is the current one
	Namespace string   `json:"namespace,omitempty"`
	Measure   Duration `json:"measure,omitempty"`  // how long
	Deadline  Duration `json:"deadline,omitempty"` // of the job, from its start; 0 is 2 hours
	Times     Times    `json:"times"`
}

// release is also the id of the job's workflow, so there is one at a time.
func (j Job) release() string { return helmexec.SUTHelmName(j.ID, j.SUT) }

// Result is the one outcome of a job that was measured. Every other outcome is an error.
type Result struct {
	Release     string
	ChartDigest string      `json:",omitempty"`
	Measured    Measurement // the first one that was answered
	Recovered   bool        `json:",omitempty"` // the release was there when its last apply looked: an earlier one had made it
	Applies     int         // deliveries of apply
	Lost        int         `json:",omitempty"` // those that never answered
	Remains     []string    `json:",omitempty"` // what Helm leaves by design
}

// The search attributes of a job.
var (
	attributeJob   = temporal.NewSearchAttributeKeyKeyword("Job")
	attributeSUT   = temporal.NewSearchAttributeKeyKeyword("SUT")
	attributeChart = temporal.NewSearchAttributeKeyKeyword("ChartDigest")
)

// Kinds of failures that are not those of helmexec.
const (
	kindRefused  = "Refused"  // by the rules of the lab
	kindNoRoom   = "NoRoom"   // the cluster can never have room for its accelerators
	kindOverdue  = "Overdue"  // the job's deadline has passed
	kindPlanLost = "PlanLost" // the store has no such plan any more
)

// RunJob takes one SUT from its address to a clean cluster. It has no timeout: Temporal ends a workflow that has one without
// its compensation. The deadline is a timer that cancels the work.
func RunJob(ctx workflow.Context, job Job) (Result, error) {
	job.Attempt = cmp.Or(job.Attempt, 1)
	job.Times = job.Times.withDefaults()
	job.Deadline = cmp.Or(job.Deadline, Duration{2 * time.Hour})
	r := &jobRun{job: job, result: Result{Release: job.release()}}

	work, stop := workflow.WithCancel(ctx)
	workflow.Go(work, func(ctx workflow.Context) {
		if workflow.Sleep(ctx, job.Deadline.Duration) == nil {
			r.overdue = true
			stop()
		}
	})
	err := r.why(work, r.work(work))
	clean, _ := workflow.NewDisconnectedContext(ctx)
	r.compensate(clean)
	return r.result, err
}

// jobRun is one job under way.
type jobRun struct {
	job     Job
	plan    Planned
	home    string // where the job is
	result  Result
	overdue bool

	asked     bool      // for accelerators
	installed bool      // an apply may have made the release, or may do so still
	silent    time.Time // by then every delivery has ended that gave no answer; zero if all did
}

// why is why the work ended. What an activity says that was cut off, or whose host is lost, is not the reason.
func (r *jobRun) why(work workflow.Context, err error) error {
	switch {
	case err == nil || work.Err() == nil:
		return err
	case r.overdue:
		return temporal.NewNonRetryableApplicationError(fmt.Sprintf("its deadline of %v has passed", r.job.Deadline), kindOverdue, nil)
	}
	return work.Err()
}

// work is all but the compensation.
func (r *jobRun) work(ctx workflow.Context) error {
	if err := workflow.ExecuteActivity(r.anyHome(ctx), activities.Plan, r.job).Get(ctx, &r.plan); err != nil {
		return err
	}
	r.home, r.result.ChartDigest = r.plan.Home, r.plan.ChartDigest
	if r.plan.ChartDigest != "" {
		if err := workflow.UpsertTypedSearchAttributes(ctx, attributeChart.ValueSet(r.plan.ChartDigest)); err != nil {
			return err
		}
	}
	if err := workflow.ExecuteActivity(r.anyHome(ctx), activities.Check, r.plan).Get(ctx, nil); err != nil {
		return err
	}
	if err := r.reserve(ctx); err != nil {
		return err
	}
	if err := r.apply(ctx); err != nil {
		return err
	}
	if r.asked {
		// From now on its pods are in what the nodes have free.
		if err := r.tell(ctx, messageRunning); err != nil {
			return err
		}
	}
	return r.atHome(ctx, r.retried(r.job.Times.Measure), activities.Measure, MeasureInput{Plan: r.plan, For: r.job.Measure}, &r.result.Measured)
}

// apply installs the plan. Each delivery is tried once by Temporal and repeated here, where it can be told which ones gave
// no answer.
func (r *jobRun) apply(ctx workflow.Context) error {
	in := ApplyInput{
		Plan: r.plan, JobID: r.job.ID, Times: r.job.Times,
		// Not from the try: a further delivery is the same operation.
		OperationID: fmt.Sprintf("%s/%d", workflow.GetInfo(ctx).WorkflowExecution.ID, r.job.Attempt),
		// The sweeper comes after the compensation.
		Deadline: workflow.GetInfo(ctx).WorkflowStartTime.Add(r.job.Deadline.Duration + r.job.Times.Uninstall.Duration),
	}
	once := r.options(r.job.Times.Apply)
	once.WaitForCancellation = true
	once.RetryPolicy = &temporal.RetryPolicy{MaximumAttempts: 1}
	for pause := time.Second; ; pause = min(2*pause, 30*time.Second) {
		r.installed = true
		r.result.Applies++
		var applied Applied
		err := r.atHome(ctx, once, activities.Apply, in, &applied)
		switch {
		case err == nil:
			r.result.Recovered = applied.Recovered
			return nil
		case isLost(err):
			r.result.Lost++
			r.mayLive(workflow.Now(ctx), r.job.Times.Apply)
			pause = time.Second // the host is the fault, not the cluster
		case kindOf(err) == "ReleaseExists" && r.result.Lost == 0:
			r.installed = false // somebody else's, who keeps it
			return err
		case !isRetryable(err):
			return err
		}
		if err := workflow.Sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// mayLive notes that a delivery gave no answer, as was noticed at a time: its worker may be stopped or cut off, and go on
// until the delivery's own time and the grace period after it are over.
func (r *jobRun) mayLive(noticed time.Time, longest Duration) {
	if until := noticed.Add(longest.Duration + 2*r.job.Times.Grace.Duration); until.After(r.silent) {
		r.silent = until
	}
}

// compensate removes what the job made. It goes on until it has, whatever happens.
func (r *jobRun) compensate(ctx workflow.Context) {
	if r.installed {
		r.uninstall(ctx)
	}
	if r.asked {
		r.must(ctx, func(ctx workflow.Context) error { return r.tell(ctx, messageDone) })
	}
	// A worker that was stopped just before its helm started may go on after the release was removed.
	for r.installed && workflow.Now(ctx).Before(r.silent) {
		r.must(ctx, func(ctx workflow.Context) error { return workflow.Sleep(ctx, r.silent.Sub(workflow.Now(ctx))) })
		r.uninstall(ctx)
	}
	if r.plan.Digest != "" {
		r.must(ctx, func(ctx workflow.Context) error {
			return workflow.ExecuteActivity(r.anyHome(ctx), activities.Forget, r.plan).Get(ctx, nil)
		})
	}
}

func (r *jobRun) uninstall(ctx workflow.Context) {
	var removed Removed
	r.must(ctx, func(ctx workflow.Context) error {
		return r.atHome(ctx, r.retried(r.job.Times.Uninstall), activities.Uninstall, UninstallInput{Plan: r.plan, Times: r.job.Times}, &removed)
	})
	r.result.Remains = append(r.result.Remains, removed.Remains...)
	if removed.Attempt > 1 {
		// A late one must not find the release of the job's next attempt.
		r.mayLive(workflow.Now(ctx), r.job.Times.Uninstall)
	}
}

// must repeats a step of the compensation. Its activities have retries of their own; what comes through is rare.
func (r *jobRun) must(ctx workflow.Context, step func(workflow.Context) error) {
	for err := step(ctx); err != nil; err = step(ctx) {
		workflow.GetLogger(ctx).Error("compensation", "error", err)
		if workflow.Sleep(ctx, 10*time.Second) != nil {
			return // the workflow itself is being ended
		}
	}
}
