package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"sigs.k8s.io/yaml"
)

// jobsFile is a file of jobs. Fields that a job leaves open are those of defaults.
type jobsFile struct {
	Defaults Job
	Jobs     []Job
}

// readJobs reads a file of jobs and checks them.
func readJobs(path string) ([]Job, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var file jobsFile
	if err := yaml.UnmarshalStrict(text, &file); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	releases := map[string]string{}
	for i := range file.Jobs {
		j := &file.Jobs[i]
		d := file.Defaults
		j.ID, j.Attempt = cmp.Or(j.ID, d.ID), cmp.Or(j.Attempt, d.Attempt, 1)
		j.Cluster, j.Namespace = cmp.Or(j.Cluster, d.Cluster), cmp.Or(j.Namespace, d.Namespace)
		j.Measure, j.Deadline, j.Times = cmp.Or(j.Measure, d.Measure), cmp.Or(j.Deadline, d.Deadline), cmp.Or(j.Times, d.Times)
		switch {
		case j.ID == "" || j.SUT == "" || j.Chart == "":
			return nil, fmt.Errorf("%s: job %d: job, sut and chart are needed", path, i+1)
		case j.Attempt < 1:
			return nil, fmt.Errorf("%s: job %d: attempt %d is below 1", path, i+1, j.Attempt)
		case min(j.Measure.Duration, j.Deadline.Duration) < 0:
			return nil, fmt.Errorf("%s: job %d: a time is negative", path, i+1)
		}
		name := j.ID + ", SUT " + j.SUT
		if other, taken := releases[j.release()]; taken {
			return nil, fmt.Errorf("%s: jobs %q and %q would both be release %s", path, other, name, j.release())
		}
		releases[j.release()] = name
	}
	return file.Jobs, nil
}

// submit starts jobs. A queue may give it the same job twice: it starts once. A later attempt starts when the one before it
// has failed.
func submit(ctx context.Context, c client.Client, jobs []Job, out io.Writer) error {
	for _, j := range jobs {
		started, err := start(ctx, c, j)
		if err != nil {
			return fmt.Errorf("%s: %w", j.release(), err)
		}
		said := "started"
		if !started {
			said = "was submitted before"
		}
		fmt.Fprintf(out, "%s, attempt %d: %s\n", j.release(), j.Attempt, said)
	}
	return nil
}

// What is noted with a job for the other commands.
const (
	memoAttempt = "attempt"
	memoWaits   = "waits" // for accelerators
)

func start(ctx context.Context, c client.Client, j Job) (bool, error) {
	options := client.StartWorkflowOptions{
		ID: j.release(), TaskQueue: queueWorkflows,
		// One attempt at a time, since all make the same release; and never one again.
		WorkflowIDReusePolicy:                    enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		Memo:                                     map[string]any{memoAttempt: j.Attempt},
		TypedSearchAttributes:                    temporal.NewSearchAttributes(attributeJob.ValueSet(j.ID), attributeSUT.ValueSet(j.SUT)),
	}
	if j.Attempt > 1 {
		last, err := lastAttempt(ctx, c, j.release())
		if err != nil || last >= j.Attempt {
			return false, err
		}
		options.WorkflowIDReusePolicy = enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY
	}
	_, err := c.ExecuteWorkflow(ctx, options, RunJob, j)
	var already *serviceerror.WorkflowExecutionAlreadyStarted
	if errors.As(err, &already) {
		if last, err := lastAttempt(ctx, c, j.release()); err != nil || last >= j.Attempt {
			return false, err
		}
		return false, fmt.Errorf("attempt %d cannot start: the one before it is under way, or has succeeded", j.Attempt)
	}
	return err == nil, err
}

// lastAttempt is the last attempt of a job that was started, 0 if there is none.
func lastAttempt(ctx context.Context, c client.Client, release string) (attempt int, err error) {
	found, err := c.DescribeWorkflow(ctx, release, "")
	var none *serviceerror.NotFound
	switch {
	case errors.As(err, &none):
		return 0, nil
	case err != nil:
		return 0, err
	}
	err = noted(found.RawResponse.GetWorkflowExecutionInfo().GetMemo(), memoAttempt, &attempt)
	return attempt, err
}
