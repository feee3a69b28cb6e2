package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/cmd/helmexec/internal/job"
	"github.com/sut-bench/helmexec/helmtest"
)

// measured runs a job once, and gives the labels that its command puts on the record of the SUT.
func (b *bench) measured(jobs string) map[string]string {
	require.Zero(b, b.run("job", "run", jobs).code)
	first := b.fake.Calls("install")[0]
	labels := map[string]string{}
	for _, pair := range strings.Split(first.Flag("--labels"), ",") {
		name, value, _ := strings.Cut(pair, "=")
		labels[name] = value
	}
	return labels
}

// left writes the results that a killed command has left.
func (b *bench) left(results, sut string) {
	require.NoError(b, os.WriteFile(results, []byte(`{"job": "j", "attempt": "1", "suts": [{"name": "a", "release": "job-j-sut-a", `+sut+`}]}`), 0o600))
}

const (
	takesOver = "a: an earlier command began its install: its helm, if it still works, is waited for\n"
	succeeded = "a: the install that was begun before had succeeded\n"
	anew      = "a: what was begun before was of no use: plain 0.1.0 was installed anew\n"
)

// A number that nobody has measured is not in the results: how long a SUT took that is ready when its command starts again.
func TestJobReadySecondsAfterAKill(t *testing.T) {
	b := newBench(t)
	jobs, results := b.jobOf("job: j\nsuts: [{name: a, chart: CHARTS/plain}]\n")
	labels := b.measured(jobs)
	s := b.results(results).SUTs[0]
	assert.NotZero(t, s.ReadySeconds)
	assert.False(t, s.Recovered)
	for left, want := range map[string]float64{`"state": "ready", "readySeconds": 4.28`: 4.28, `"state": "installing"`: 0} {
		b.fake.SetRelease(helmtest.Release{Name: "job-j-sut-a", Chart: "plain", ChartVersion: "0.1.0", Labels: labels})
		b.left(results, left)
		got := b.run("job", "run", jobs)
		assert.Equal(t, 0, got.code, got.stderr)
		assert.Contains(t, got.stderr, takesOver+succeeded+"a: ready\n")
		s := b.results(results).SUTs[0]
		assert.Equal(t, job.Done, s.State)
		assert.InDelta(t, want, s.ReadySeconds, 0, left)
		assert.Equal(t, want != 0, strings.Contains(read(t, results), "readySeconds"))
		assert.True(t, s.Recovered)
	}
}

// What a killed command has left half installed is installed anew. That takes as long as the new install, without the wait for the
// helm that was left and for what it had made.
func TestJobInstalledAnewAfterAKill(t *testing.T) {
	b := newBench(t)
	jobs, results := b.jobOf("job: j\nsuts: [{name: a, chart: CHARTS/plain}]\n")
	labels := b.measured(jobs)
	labels["helmexec/until"] = "1" // its helm has ended for certain
	var began, ready time.Time
	b.fake.Handle("install", func(c helmtest.Call) helmtest.Reply {
		began = time.Now()
		return b.fake.Perform(c)
	})
	for left, said := range map[string]string{
		`"state": "installing"`:                      takesOver + anew + "a: ready\n",
		`"state": "interrupted", "notRemoved": true`: takesOver + anew + "a: ready\n",
		`"state": "waiting"`:                         "a: install of plain 0.1.0 begins\na: ready\n", // of another pod, whose results are lost
	} {
		b.fake.SetRelease(helmtest.Release{Name: "job-j-sut-a", Status: "pending-install", Chart: "plain", ChartVersion: "0.1.0", Labels: labels})
		b.left(results, left)
		b.hears = hear("a: ready", func() { ready = time.Now() })
		got := b.run("job", "run", jobs)
		assert.Equal(t, 0, got.code, got.stderr)
		assert.Contains(t, got.stderr, said)
		s := b.results(results).SUTs[0]
		assert.False(t, s.Recovered)
		assert.Greater(t, s.ReadySeconds, 0.0)
		assert.LessOrEqual(t, s.ReadySeconds, ready.Sub(began).Seconds())
	}
}

// An install that was interrupted, and a helm that gave no answer, leave no number behind.
func TestJobRecoveredInOneCommand(t *testing.T) {
	b := newBench(t)
	jobs, results := b.jobOf("job: j\nsuts: [{name: a, chart: CHARTS/plain}]\n")
	b.left(results, `"state": "interrupted", "readySeconds": 4.28`)
	b.fake.LoseAnswer()
	got := b.run("job", "run", jobs)
	assert.Equal(t, 0, got.code, got.stderr)
	assert.Contains(t, got.stderr, "a: install of plain 0.1.0 begins\na: an earlier command, or a helm that gave no answer, had installed it already\na: ready\n")
	s := b.results(results).SUTs[0]
	assert.True(t, s.Recovered)
	assert.Zero(t, s.ReadySeconds)
}

// A long name of a result file leaves less room for that of the attempt.
func TestJobKeepsResultsOfALongName(t *testing.T) {
	b := newBench(t)
	text := "job: j\nattempt: ATTEMPT\nsuts: [{name: a, chart: CHARTS/plain}]\n"
	results := filepath.Join(b.dir, strings.Repeat("r", 200)+".json")
	for _, attempt := range []string{strings.Repeat("1", 60), strings.Repeat("2", 60), strings.Repeat("3", 60)} {
		jobs, _ := b.jobOf(strings.Replace(text, "ATTEMPT", "'"+attempt+"'", 1))
		got := b.run("job", "run", jobs, "--results", results)
		assert.Equal(t, 0, got.code, got.stderr)
	}
	all, err := filepath.Glob(strings.TrimSuffix(results, ".json") + ".attempt-*")
	require.NoError(t, err)
	assert.Len(t, all, 2)
}

// The results of an attempt stay when another one begins, and no file is written over.
func TestJobKeepsTheResultsOfAnAttempt(t *testing.T) {
	b := newBench(t)
	text := "job: j\nattempt: ATTEMPT\nsuts: [{name: a, chart: CHARTS/plain}]\n"
	jobs, results := b.jobOf(text)
	begin := func(attempt string) outcome {
		b.jobOf(strings.Replace(text, "ATTEMPT", "'"+attempt+"'", 1))
		got := b.run("job", "run", jobs)
		assert.Equal(t, 0, got.code, got.stderr)
		return got
	}
	beside := func() []string {
		all, err := filepath.Glob(strings.TrimSuffix(results, ".json") + ".attempt-*")
		require.NoError(t, err)
		for i := range all {
			all[i] = filepath.Base(all[i])
		}
		return all
	}
	begin("../1 é")
	first := read(t, results)
	assert.Empty(t, beside())
	got := begin("1")
	assert.Contains(t, got.stderr, "job j: attempt 1 begins, and the results of attempt ../1 é are kept in DIR/jobs.results.attempt-..%2F1%20%C3%A9.json\n")
	assert.Equal(t, first, read(t, filepath.Join(b.dir, "jobs.results.attempt-..%2F1%20%C3%A9.json")))

	second := read(t, results)
	b.write("jobs.results.attempt-1.json", "of somebody else")
	begin("2")
	assert.Equal(t, "of somebody else", read(t, filepath.Join(b.dir, "jobs.results.attempt-1.json")))
	assert.Equal(t, second, read(t, filepath.Join(b.dir, "jobs.results.attempt-1.2.json")))

	require.NoError(t, os.WriteFile(results, []byte(second), 0o600)) // killed just after it was kept
	begin("3")
	assert.Len(t, beside(), 3)
	begin(strings.Repeat("long", 100))
	begin("5")
	assert.Len(t, beside(), 5)
}

// What stays after a failed install is named where the results name what stays.
func TestJobRemains(t *testing.T) {
	b := newBench(t)
	b.fake.NotReady()
	b.fake.LeavesBehind()
	jobs, results := b.jobOf("job: j\nsuts: [{name: a, chart: CHARTS/plain}]\n")
	got := b.run("job", "run", jobs)
	assert.Equal(t, 14, got.code)
	s := b.results(results).SUTs[0]
	assert.Equal(t, job.Failed, s.State)
	assert.NotEmpty(t, s.Remains, got.stderr)
	assert.Equal(t, s.Error.Remains, s.Remains)
}
