package cli

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/cmd/helmexec/internal/job"
	"github.com/sut-bench/helmexec/helmtest"
)

// A command that is killed while it removes what the job refuses now has not written a final state: the next one removes it.
func TestJobRefusedIsFinalAfterTheRemoval(t *testing.T) {
	b := newBench(t)
	b.fake.SetRelease(helmtest.Release{Name: "job-j-sut-a", Chart: "plain", ChartVersion: "0.1.0"})
	jobs, results := b.jobOf("job: j\nsuts: [{name: a, chart: CHARTS/web}]\n")
	b.left(results, `"state": "ready"`)
	b.fake.Handle("uninstall", func(c helmtest.Call) helmtest.Reply {
		assert.Equal(t, job.Ready, b.results(results).SUTs[0].State)
		return b.fake.Perform(c)
	})
	assert.Equal(t, 14, b.run("job", "run", jobs).code)
	assert.Equal(t, job.Refused, b.results(results).SUTs[0].State)
}

// A removal that finds no release knows nothing of what a failed install has left.
func TestJobRemainsAfterAKill(t *testing.T) {
	b := newBench(t)
	b.fake.NotReady()
	b.fake.LeavesBehind()
	jobs, results := b.jobOf("job: j\nsuts: [{name: a, chart: CHARTS/plain}]\n")
	b.left(results, `"state": "installing"`)
	assert.Equal(t, 14, b.run("job", "run", jobs).code)
	s := b.results(results).SUTs[0]
	assert.NotEmpty(t, s.Remains)
	assert.Equal(t, s.Error.Remains, s.Remains)
	assert.False(t, s.NotRemoved)
}

// What was measured is not lost if the cluster is away when its command is started again.
func TestJobMeasuredInAnOutage(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	jobs, results := b.jobOf("job: j\ntimeout: 2s\nsuts: [{name: a, chart: CHARTS/plain}]\n")
	labels := b.measured(jobs)
	b.fake.SetRelease(helmtest.Release{Name: "job-j-sut-a", Chart: "plain", ChartVersion: "0.1.0", Labels: labels})
	b.left(results, `"state": "measured", "benchmarkExit": 0, "benchmarkSeconds": 3600`)
	for _, command := range []string{"uninstall", "get all"} {
		b.away(command, `Kubernetes cluster unreachable: Get "https://gone/version": connection refused`)
	}
	b.write("away", "")
	got := b.run("job", "run", jobs)
	assert.Equal(t, 9, got.code, got.stderr)
	assert.Contains(t, got.stderr, "a: not continued: ")
	s := b.results(results).SUTs[0]
	assert.Equal(t, job.Measured, s.State)
	assert.True(t, s.NotRemoved)
	assert.NotNil(t, s.Error)

	require.NoError(t, os.Remove(b.dir+"/away"))
	got = b.run("job", "run", jobs)
	assert.Equal(t, 0, got.code, got.stderr)
	s = b.results(results).SUTs[0]
	assert.Equal(t, job.Done, s.State)
	assert.False(t, s.NotRemoved)
	assert.Nil(t, s.Error)
	_, there := b.fake.Release("", "job-j-sut-a")
	assert.False(t, there)
}

// An install that could not remove what it had made leaves a release: it is removed like any other, or said not to be.
func TestJobWhoseInstallLeavesItsRelease(t *testing.T) {
	for _, goes := range []bool{true, false} {
		b := newBench(t)
		b.fake.NotReady()
		removals := 0
		b.fake.Handle("uninstall", func(c helmtest.Call) helmtest.Reply {
			if removals++; goes && removals > 1 {
				return b.fake.Perform(c)
			}
			return helmtest.Reply{Stderr: "Error: it stays\n", Exit: 1}
		})
		jobs, results := b.jobOf("job: j\nsuts: [{name: a, chart: CHARTS/plain}]\n")
		got := b.run("job", "run", jobs)
		assert.Equal(t, 14, got.code)
		s := b.results(results).SUTs[0]
		_, there := b.fake.Release("", "job-j-sut-a")
		assert.Equal(t, !goes, there)
		assert.Equal(t, there, s.NotRemoved)
		assert.Equal(t, there, len(s.Remains) > 0)
		if there {
			assert.Contains(t, s.Error.Message, "`helmexec job clean j -n default` removes it")
		}
	}
}

// An attempt that was interrupted and has left a release is not replaced by another attempt.
func TestJobInterruptedWithARelease(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	b.fake.Handle("install", func(c helmtest.Call) helmtest.Reply {
		reply := b.fake.Perform(c)
		if ctx.Err() != nil {
			return reply
		}
		reply.Then, reply.Until = cancel, helmtest.Forever
		reply.Term = &helmtest.Reply{Stdout: "Release job-j-sut-a has been cancelled.\n", Exit: 1}
		r, _ := b.fake.Release("", "job-j-sut-a")
		r.Status = "failed"
		b.fake.SetRelease(r)
		return reply
	})
	b.fake.Handle("uninstall", func(helmtest.Call) helmtest.Reply {
		return helmtest.Reply{Stderr: "Error: it stays\n", Exit: 1}
	})
	jobs, results := b.jobOf("job: j\nsuts: [{name: a, chart: CHARTS/plain}]\n")
	got := b.runUntil(ctx, "job", "run", jobs)
	assert.Equal(t, 130, got.code)
	assert.Contains(t, got.stderr, "a: interrupted: ")
	assert.Contains(t, got.stderr, "`helmexec job clean j -n default` removes it")
	s := b.results(results).SUTs[0]
	assert.Equal(t, job.Interrupted, s.State)
	assert.True(t, s.NotRemoved)
	require.NoError(t, os.WriteFile(jobs, []byte(read(t, jobs)+"attempt: 2\n"), 0o600))
	got = b.run("job", "run", jobs)
	assert.Equal(t, 2, got.code)
	assert.Contains(t, got.stderr, `SUT "a" of attempt 1 is interrupted`)
}

// A command that was killed while it kept the results of an attempt leaves no half file.
func TestJobKeepsResultsAfterAKill(t *testing.T) {
	b := newBench(t)
	jobs, results := b.jobOf("job: j\nsuts: [{name: a, chart: CHARTS/plain}]\n")
	require.Zero(t, b.run("job", "run", jobs).code)
	first := read(t, results)
	kept := b.write("jobs.results.attempt-1.json", first[:20])
	require.NoError(t, os.WriteFile(jobs, []byte(read(t, jobs)+"attempt: 2\n"), 0o600))
	got := b.run("job", "run", jobs)
	assert.Equal(t, 0, got.code, got.stderr)
	assert.Equal(t, first, read(t, kept))
}
