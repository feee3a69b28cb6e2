package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
)

// State is what is known of a job.
type State struct {
	Job, SUT, Release string
	ChartDigest       string  `json:",omitempty"`
	Status            string  // running, completed, failed, canceled, terminated
	Kind              string  `json:",omitempty"` // of the failure
	Text              string  `json:",omitempty"` // of the failure, or what is under way
	Waits             bool    `json:",omitempty"` // for accelerators
	Result            *Result `json:",omitempty"`
}

// status shows the jobs, or the SUTs of one.
func status(ctx context.Context, c client.Client, job string, asJSON bool, out io.Writer) error {
	runs, err := list(ctx, c, job, "")
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if !asJSON {
		fmt.Fprintln(table, "JOB\tSUT\tSTATUS\tCHART\t")
	}
	for _, run := range runs {
		s, err := stateOf(ctx, c, run)
		if err != nil {
			return err
		}
		if asJSON {
			if err := json.NewEncoder(out).Encode(s); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%.19s\t%s\n", s.Job, s.SUT, s.Status, s.ChartDigest, line(cmp.Or(strings.Trim(s.Kind+": "+s.Text, ": "))))
	}
	return table.Flush()
}

// line is the beginning of a text, on one line.
func line(text string) string {
	words := []rune(strings.Join(strings.Fields(text), " "))
	if len(words) > 120 {
		words = append(words[:119], '…')
	}
	return string(words)
}

// list finds the workflows of jobs, each job's last run. A job that is named is there.
func list(ctx context.Context, c client.Client, job, sut string) (runs []*workflowpb.WorkflowExecutionInfo, err error) {
	query := "WorkflowType = 'RunJob'"
	for name, value := range map[string]string{"Job": job, "SUT": sut} {
		if value != "" {
			query += fmt.Sprintf(" AND %s = '%s'", name, strings.ReplaceAll(value, "'", "''"))
		}
	}
	seen := map[string]bool{}
	for page := []byte(nil); ; {
		found, err := c.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{Query: query, NextPageToken: page})
		if err != nil {
			return nil, err
		}
		for _, run := range found.GetExecutions() { // the last one first
			if id := run.GetExecution().GetWorkflowId(); !seen[id] {
				seen[id] = true
				runs = append(runs, run)
			}
		}
		if page = found.GetNextPageToken(); len(page) == 0 {
			break
		}
	}
	if len(runs) == 0 && job != "" {
		return nil, fmt.Errorf("there is no %s", called(job, sut))
	}
	slices.SortStableFunc(runs, func(a, b *workflowpb.WorkflowExecutionInfo) int {
		return a.GetStartTime().AsTime().Compare(b.GetStartTime().AsTime())
	})
	return runs, nil
}

func stateOf(ctx context.Context, c client.Client, run *workflowpb.WorkflowExecutionInfo) (State, error) {
	s := State{Release: run.GetExecution().GetWorkflowId(), Status: strings.ToLower(run.GetStatus().String())}
	for name, into := range map[string]*string{"Job": &s.Job, "SUT": &s.SUT, "ChartDigest": &s.ChartDigest} {
		if value := run.GetSearchAttributes().GetIndexedFields()[name]; value != nil {
			if err := converter.GetDefaultDataConverter().FromPayload(value, into); err != nil {
				return s, err
			}
		}
	}
	switch run.GetStatus() {
	case enums.WORKFLOW_EXECUTION_STATUS_RUNNING:
		err := s.underWay(ctx, c, run.GetExecution())
		return s, err
	case enums.WORKFLOW_EXECUTION_STATUS_COMPLETED:
		s.Result = &Result{}
		return s, c.GetWorkflow(ctx, run.GetExecution().GetWorkflowId(), run.GetExecution().GetRunId()).Get(ctx, s.Result)
	case enums.WORKFLOW_EXECUTION_STATUS_FAILED:
		err := c.GetWorkflow(ctx, run.GetExecution().GetWorkflowId(), run.GetExecution().GetRunId()).Get(ctx, nil)
		var failed *temporal.ApplicationError
		if errors.As(err, &failed) {
			s.Kind, s.Text = failed.Type(), failed.Message()
		} else if err != nil {
			s.Text = err.Error()
		}
	}
	return s, nil
}

// underWay adds what a job does, with what its last heartbeat told.
func (s *State) underWay(ctx context.Context, c client.Client, run *common.WorkflowExecution) error {
	found, err := c.DescribeWorkflow(ctx, run.GetWorkflowId(), run.GetRunId())
	if err != nil {
		return err
	}
	if err := noted(found.RawResponse.GetWorkflowExecutionInfo().GetMemo(), memoWaits, &s.Waits); err != nil {
		return err
	}
	var texts []string
	switch {
	case found.RawResponse.GetWorkflowExtendedInfo().GetCancelRequested():
		s.Waits = false
		texts = append(texts, "cancelled")
	case s.Waits:
		texts = append(texts, "waits for accelerators")
	}
	for _, pending := range found.RawResponse.GetPendingActivities() {
		text := pending.GetActivityType().GetName()
		var beat Beat
		if converter.GetDefaultDataConverter().FromPayloads(pending.GetHeartbeatDetails(), &beat) == nil && beat.Home != "" {
			text += " at " + beat.Home
			if beat.Total > 0 {
				text += fmt.Sprintf(", %d of %d pods ready", beat.Ready, beat.Total)
			}
			if beat.Blocker != "" {
				text += ", " + beat.Blocker
			}
		}
		if pending.GetAttempt() > 1 {
			text += fmt.Sprintf(", try %d", pending.GetAttempt())
		}
		texts = append(texts, text)
	}
	s.Text = strings.Join(texts, "; ")
	return nil
}

// cancel cancels the running SUTs of a job, or one of them.
func cancel(ctx context.Context, c client.Client, job, sut string, out io.Writer) error {
	runs, err := list(ctx, c, job, sut)
	if err != nil {
		return err
	}
	n := 0
	for _, run := range runs {
		release := run.GetExecution().GetWorkflowId()
		now, err := c.DescribeWorkflow(ctx, release, "") // the list may be a moment late
		if err != nil {
			return fmt.Errorf("%s: %w", release, err)
		}
		if now.Status != enums.WORKFLOW_EXECUTION_STATUS_RUNNING {
			continue
		}
		n++
		said := "cancelled"
		if now.RawResponse.GetWorkflowExtendedInfo().GetCancelRequested() {
			said = "was cancelled before"
		} else if err := c.CancelWorkflow(ctx, release, ""); err != nil {
			return fmt.Errorf("%s: %w", release, err)
		}
		fmt.Fprintf(out, "%s: %s; what it installed will be removed\n", release, said)
	}
	if n == 0 {
		return fmt.Errorf("%s has ended; \"fleet status %s\" shows how", called(job, sut), job)
	}
	return nil
}

// called is what a user calls a job, or one of its SUTs.
func called(job, sut string) string {
	if sut != "" {
		return fmt.Sprintf("SUT %s of job %s", sut, job)
	}
	return "job " + job
}

// noted reads a note on a job into a value, which stays as it is if there is none.
func noted(memo *common.Memo, name string, into any) error {
	if value := memo.GetFields()[name]; value != nil {
		return converter.GetDefaultDataConverter().FromPayload(value, into)
	}
	return nil
}
