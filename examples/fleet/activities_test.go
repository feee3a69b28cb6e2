package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/helmtest"
)

const pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: {{ .Release.Name }}}\nspec: {containers: [{name: c, image: registry.example/web:1"

// chartOf writes a chart of one template.
func chartOf(t *testing.T, template string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "web")
	for name, text := range map[string]string{"Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.2.3\n", "templates/pod.yaml": template} {
		file := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	}
	return dir
}

// realActivities are those of a worker whose helm is a fake.
func realActivities(t *testing.T, fake *helmtest.Fake) *Activities {
	t.Helper()
	h, err := helmexec.New(helmexec.Config{
		Binary: fake.Binary, Home: t.TempDir(), GracePeriod: time.Second,
		Retry: helmexec.Retry{BackOff: func() backoff.BackOff { return &backoff.ZeroBackOff{} }},
	})
	require.NoError(t, err)
	return &Activities{Helm: h, Home: "a", Grace: time.Second, Plans: Folder(t.TempDir()), Rules: Rules{Devices: []string{gpu}}}
}

// A whole job, with the activities of a worker.
func TestWholeJobs(t *testing.T) {
	for _, test := range []struct {
		name     string
		template string
		play     func(*helmtest.Fake)
		kind     string
		steps    []string
		left     bool
	}{
		{"measured", pod + "}]}", nil, "", []string{"plan", "apply", "uninstall"}, false},
		{"helm's answer is lost", pod + "}]}", (*helmtest.Fake).LoseAnswer, "", []string{"plan", "apply", "uninstall"}, false},
		{"against the rules", pod + ", securityContext: {privileged: true}}]}", nil, kindRefused, []string{"plan"}, false},
		{"another device", pod + ", resources: {limits: {amd.com/gpu: 1}}}]}", nil, kindRefused, []string{"plan"}, false},
		{"never ready", pod + "}]}", func(f *helmtest.Fake) { f.NotReady() }, "NotReady", []string{"plan", "apply", "uninstall"}, false},
		{"the name is another job's", pod + "}]}", func(f *helmtest.Fake) { f.NameTaken("41") }, "ReleaseExists", []string{"plan", "apply"}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			fake := helmtest.New(t)
			if test.play != nil {
				test.play(fake)
			}
			var suite testsuite.WorkflowTestSuite
			suite.SetLogger(sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler)))
			env := suite.NewTestWorkflowEnvironment()
			env.SetTestTimeout(time.Minute)
			env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: testRelease, TaskQueue: queueWorkflows})
			real := realActivities(t, fake)
			env.RegisterActivity(real)
			env.RegisterActivity(&Dispatch{})
			env.OnActivity(dispatch.Tell, mock.Anything, mock.Anything, mock.Anything).Maybe().Return(nil)
			job := testJob
			job.Chart = chartOf(t, test.template)
			job.Times.Ready = Duration{5 * time.Second}
			env.ExecuteWorkflow(RunJob, job)
			require.True(t, env.IsWorkflowCompleted())
			assert.Equal(t, test.kind, kindOf(env.GetWorkflowError()), "%v", env.GetWorkflowError())
			var steps []string
			for _, step := range test.steps {
				steps = append(steps, step+" "+testRelease)
			}
			assert.Equal(t, steps, fake.Steps())
			_, left := fake.Release("", testRelease)
			assert.Equal(t, test.left, left)
			plans, err := os.ReadDir(string(real.Plans.(Folder)))
			require.NoError(t, err)
			assert.Empty(t, plans)
		})
	}
}

// The sweeper removes what outlived its job, and nothing else.
func TestSweep(t *testing.T) {
	fake := helmtest.New(t)
	a := realActivities(t, fake)
	chart := chartOf(t, pod+"}]}")
	for sut, deadline := range map[string]time.Time{"late": time.Now().Add(-time.Minute), "running": time.Now().Add(time.Hour)} {
		_, err := a.Helm.Install(t.Context(), helmexec.SUTHelmName("42", sut), chart, helmexec.InstallOptions{Deadline: deadline})
		require.NoError(t, err)
	}
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestWorkflowEnvironment()
	env.RegisterActivity(a)
	env.ExecuteWorkflow(SweepCluster, SweepInput{Timeout: Duration{time.Minute}, KeepPlans: Duration{time.Hour}})
	var removed []string
	require.NoError(t, env.GetWorkflowResult(&removed))
	assert.Equal(t, []string{"default/job-42-sut-late"}, removed)
	_, left := fake.Release("", "job-42-sut-running")
	assert.True(t, left)
}

// A worker that needs longer to end a helm than the job thinks would still be at work when the job is over.
func TestGrace(t *testing.T) {
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(&Activities{Home: "a", Grace: time.Minute})
	_, err := env.ExecuteActivity(activities.Apply, ApplyInput{Times: Times{}.withDefaults()})
	assert.Equal(t, "InvalidArgument", kindOf(err), "%v", err)
	assert.False(t, isRetryable(err))
}

func TestFolder(t *testing.T) {
	fake := helmtest.New(t)
	a := realActivities(t, fake)
	p, err := a.Helm.Plan(t.Context(), testRelease, chartOf(t, pod+"}]}"), helmexec.PlanOptions{})
	require.NoError(t, err)
	require.NoError(t, a.Plans.Put(t.Context(), p))
	again, err := a.Plans.Get(t.Context(), p.Digest())
	require.NoError(t, err)
	assert.Equal(t, p.Digest(), again.Digest())

	folder := a.Plans.(Folder)
	other := "sha256:0000"
	require.NoError(t, os.Rename(folder.file(p.Digest()), folder.file(other)))
	_, err = a.Plans.Get(t.Context(), other)
	require.ErrorIs(t, err, helmexec.ErrBadPlan)
	_, err = a.Plans.Get(t.Context(), p.Digest())
	assert.Equal(t, kindPlanLost, kindOf(answer(err)))
	assert.False(t, isRetryable(answer(err)))

	require.NoError(t, a.Plans.Prune(t.Context(), time.Now().Add(-time.Hour)))
	require.FileExists(t, folder.file(other))
	require.NoError(t, a.Plans.Prune(t.Context(), time.Now().Add(time.Hour)))
	require.NoFileExists(t, folder.file(other))
	require.NoError(t, a.Plans.Remove(t.Context(), other), "it is gone already")
}
