package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"
)

// stage is a job in the SDK's test environment: no activity is real, and all are noted.
type stage struct {
	*testsuite.TestWorkflowEnvironment
	mu    sync.Mutex
	steps []string
	at    map[string][]time.Time
	queue map[string][]string
	said  []Message // to the workflow of the accelerators
	apply []ApplyInput
}

var testJob = Job{ID: "42", SUT: "web", Attempt: 3, Chart: "./web"}

const testRelease = "job-42-sut-web"

// errLost is what Temporal says of an activity whose worker fell silent.
var errLost = temporal.NewTimeoutError(enums.TIMEOUT_TYPE_HEARTBEAT, nil)

// newStage answers each delivery of an activity with the next error of a script, and with success when that is at its end.
func newStage(t *testing.T, planned Planned, script map[string][]error) *stage {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	s := &stage{TestWorkflowEnvironment: suite.NewTestWorkflowEnvironment(), at: map[string][]time.Time{}, queue: map[string][]string{}}
	s.SetTestTimeout(time.Minute)
	s.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: testRelease, TaskQueue: queueWorkflows})
	s.RegisterActivity(&Activities{})
	s.RegisterActivity(&Dispatch{})
	planned.Digest, planned.Release, planned.Home = "sha256:1", testRelease, "a"
	next := func(ctx context.Context) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		info := activity.GetInfo(ctx)
		name := info.ActivityType.Name
		s.steps = append(s.steps, name)
		s.at[name] = append(s.at[name], s.Now())
		s.queue[name] = append(s.queue[name], info.TaskQueue)
		if all := script[name]; len(all) > 0 {
			script[name] = all[1:]
			return all[0]
		}
		return nil
	}
	s.OnActivity(activities.Plan, mock.Anything, mock.Anything).Maybe().Return(func(ctx context.Context, _ Job) (Planned, error) { return planned, next(ctx) })
	s.OnActivity(activities.Check, mock.Anything, mock.Anything).Maybe().Return(func(ctx context.Context, _ Planned) error { return next(ctx) })
	s.OnActivity(activities.Apply, mock.Anything, mock.Anything).Maybe().Return(func(ctx context.Context, in ApplyInput) (Applied, error) {
		s.mu.Lock()
		s.apply = append(s.apply, in)
		s.mu.Unlock()
		return Applied{}, next(ctx)
	})
	s.OnActivity(activities.Measure, mock.Anything, mock.Anything).Maybe().Return(func(ctx context.Context, _ MeasureInput) (Measurement, error) {
		return Measurement{Home: "a", Status: "deployed"}, next(ctx)
	})
	s.OnActivity(activities.Uninstall, mock.Anything, mock.Anything).Maybe().Return(func(ctx context.Context, _ UninstallInput) (Removed, error) {
		return Removed{Attempt: activity.GetInfo(ctx).Attempt}, next(ctx)
	})
	s.OnActivity(activities.HomeName, mock.Anything).Maybe().Return(func(ctx context.Context) (string, error) { return "b", next(ctx) })
	s.OnActivity(activities.Forget, mock.Anything, mock.Anything).Maybe().Return(func(ctx context.Context, _ Planned) error { return next(ctx) })
	s.OnActivity(dispatch.Tell, mock.Anything, mock.Anything, mock.Anything).Maybe().Return(func(ctx context.Context, _ string, m Message) error {
		s.mu.Lock()
		s.said = append(s.said, m)
		s.mu.Unlock()
		return next(ctx)
	})
	return s
}

func (s *stage) run(t *testing.T) (Result, error) {
	t.Helper()
	s.ExecuteWorkflow(RunJob, testJob)
	require.True(t, s.IsWorkflowCompleted())
	var result Result
	if err := s.GetWorkflowError(); err != nil {
		return result, err
	}
	return result, s.GetWorkflowResult(&result)
}

func refusal(kind string) error {
	return temporal.NewNonRetryableApplicationError("for good", kind, nil)
}

func TestJobs(t *testing.T) {
	passing := temporal.NewApplicationError("for now", "ReleaseBusy")
	nobody := temporal.NewTimeoutError(enums.TIMEOUT_TYPE_SCHEDULE_TO_START, nil)
	for _, test := range []struct {
		name   string
		script map[string][]error
		kind   string // of the failure, "" for none
		steps  []string
	}{
		{"all is well", nil, "", []string{"Plan", "Check", "Apply", "Measure", "Uninstall", "Forget"}},
		{"no such chart", map[string][]error{"Plan": {refusal("ChartNotFound")}}, "ChartNotFound", []string{"Plan"}},
		{"against the rules", map[string][]error{"Check": {refusal(kindRefused)}}, kindRefused, []string{"Plan", "Check", "Forget"}},
		{"never ready", map[string][]error{"Apply": {refusal("NotReady")}}, "NotReady", []string{"Plan", "Check", "Apply", "Uninstall", "Forget"}},
		{"the name is another's", map[string][]error{"Apply": {refusal("ReleaseExists")}}, "ReleaseExists", []string{"Plan", "Check", "Apply", "Forget"}},
		{"the name is another's after a lost answer", map[string][]error{"Apply": {errLost, refusal("ReleaseExists")}}, "ReleaseExists",
			[]string{"Plan", "Check", "Apply", "Apply", "Uninstall", "Uninstall", "Forget"}},
		{"a failure that passes", map[string][]error{"Apply": {passing, passing}}, "", []string{"Plan", "Check", "Apply", "Apply", "Apply", "Measure", "Uninstall", "Forget"}},
		{"a lost answer", map[string][]error{"Apply": {errLost}}, "", []string{"Plan", "Check", "Apply", "Apply", "Measure", "Uninstall", "Uninstall", "Forget"}},
		{"a lost host", map[string][]error{"Apply": {errLost, nobody}}, "", []string{"Plan", "Check", "Apply", "Apply", "HomeName", "Apply", "Measure", "Uninstall", "Uninstall", "Forget"}},
		{"the measurement fails", map[string][]error{"Measure": {refusal("ReleaseNotFound")}}, "ReleaseNotFound", []string{"Plan", "Check", "Apply", "Measure", "Uninstall", "Forget"}},
		{"the removal fails at first", map[string][]error{"Uninstall": {errors.New("a hook fails"), errors.New("a hook fails")}}, "",
			[]string{"Plan", "Check", "Apply", "Measure", "Uninstall", "Uninstall", "Uninstall", "Uninstall", "Forget"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStage(t, Planned{}, test.script)
			result, err := s.run(t)
			assert.Equal(t, test.kind, kindOf(err), "%v", err)
			assert.Equal(t, test.steps, s.steps)
			if test.kind == "" {
				assert.NoError(t, err)
				assert.Equal(t, Measurement{Home: "a", Status: "deployed"}, result.Measured)
				assert.Equal(t, len(s.apply), result.Applies+count(s.steps, "HomeName"), "a delivery that nobody took is none")
			}
			for _, in := range s.apply {
				assert.Equal(t, testRelease+"/3", in.OperationID, "of the attempt and not of the try")
			}
		})
	}
}

func count(all []string, one string) (n int) {
	for _, s := range all {
		if s == one {
			n++
		}
	}
	return n
}

// After a lost answer the worker may live on: what it makes after the compensation is removed by a second one.
func TestCompensationComesTwice(t *testing.T) {
	s := newStage(t, Planned{}, map[string][]error{"Apply": {errLost}})
	result, err := s.run(t)
	require.NoError(t, err)
	assert.Equal(t, 1, result.Lost)
	removals := s.at["Uninstall"]
	require.Len(t, removals, 2)
	times := Times{}.withDefaults()
	assert.Less(t, removals[0].Sub(s.at["Apply"][0]), time.Minute, "the first one comes at once")
	assert.GreaterOrEqual(t, removals[1].Sub(s.at["Apply"][0]), times.Apply.Duration+2*times.Grace.Duration)
}

// The same home comes first, because its locks tell at once; another one only if nobody takes the work there.
func TestHomes(t *testing.T) {
	nobody := temporal.NewTimeoutError(enums.TIMEOUT_TYPE_SCHEDULE_TO_START, nil)
	s := newStage(t, Planned{}, map[string][]error{"Apply": {errLost, nobody}})
	_, err := s.run(t)
	require.NoError(t, err)
	assert.Equal(t, []string{"cluster default at a", "cluster default at a", "cluster default at b"}, s.queue["Apply"])
	assert.Equal(t, []string{"cluster default at b"}, s.queue["Measure"], "the job has moved")
	assert.Equal(t, []string{"cluster default"}, s.queue["HomeName"])
}

// Whenever a job is ended, its compensation runs.
func TestEnded(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(*stage)
		kind string
	}{
		{"by its user", func(s *stage) { s.RegisterDelayedCallback(s.CancelWorkflow, time.Hour) }, ""},
		{"by its deadline", func(*stage) {}, kindOverdue},
	} {
		t.Run(test.name, func(t *testing.T) {
			var busy []error
			for range 10000 {
				busy = append(busy, temporal.NewApplicationError("for now", "ReleaseBusy"))
			}
			s := newStage(t, Planned{}, map[string][]error{"Apply": busy})
			test.end(s)
			_, err := s.run(t)
			assert.Equal(t, test.kind, kindOf(err))
			assert.Equal(t, test.kind == "", temporal.IsCanceledError(err), "%v", err)
			assert.Equal(t, []string{"Uninstall", "Forget"}, s.steps[len(s.steps)-2:])
		})
	}
}

// A job that was cancelled ended for that reason, whatever its last activity said.
func TestWhy(t *testing.T) {
	for _, last := range []error{nil, errLost, refusal("NotReady"), temporal.NewApplicationError("context canceled", "Canceled"), temporal.NewCanceledError()} {
		for _, ended := range []string{"", "by its user", "by its deadline"} {
			t.Run(fmt.Sprintf("%v %s", last, ended), func(t *testing.T) {
				env := newStage(t, Planned{}, nil)
				env.ExecuteWorkflow(func(ctx workflow.Context) error {
					work, stop := workflow.WithCancel(ctx)
					if ended != "" {
						stop()
					}
					return (&jobRun{job: testJob, overdue: ended == "by its deadline"}).why(work, last)
				})
				err := env.GetWorkflowError()
				switch {
				case last == nil:
					assert.NoError(t, err, "it was measured before")
				case ended == "by its user":
					assert.True(t, temporal.IsCanceledError(err), "%v", err)
				case ended == "by its deadline":
					assert.Equal(t, kindOverdue, kindOf(err))
				default:
					assert.ErrorContains(t, err, last.Error())
				}
			})
		}
	}
}

func TestJobsWithAccelerators(t *testing.T) {
	needs := []Need{{PerPod: map[string]int64{"nvidia.com/gpu": 4}, Pods: 1}}
	for _, granted := range []bool{true, false} {
		t.Run(fmt.Sprint(granted), func(t *testing.T) {
			s := newStage(t, Planned{Needs: needs}, nil)
			s.RegisterDelayedCallback(func() { s.SignalWorkflow(signalDecision, Decision{Granted: granted, Reason: "too many"}) }, 90*time.Second)
			_, err := s.run(t)
			kinds := []string{messageAsk, messageAsk} // again after a minute: nobody may have the list
			if granted {
				require.NoError(t, err)
				kinds = append(kinds, messageRunning)
			} else {
				assert.Equal(t, kindNoRoom, kindOf(err))
				assert.NotContains(t, s.steps, "Apply")
			}
			var got []string
			for _, m := range s.said {
				got = append(got, m.Kind)
				assert.Equal(t, needs, m.Needs)
			}
			assert.Equal(t, append(kinds, messageDone), got)
		})
	}
}
