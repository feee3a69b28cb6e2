package cli

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/cmd/helmexec/internal/job"
	"github.com/sut-bench/helmexec/helmtest"
)

// away lets a command fail with a text as long as there is a file "away".
func (b *bench) away(command, text string) {
	b.fake.Handle(command, func(c helmtest.Call) helmtest.Reply {
		if _, err := os.Stat(b.dir + "/away"); err == nil {
			return helmtest.Reply{Stderr: "Error: " + text + "\n", Exit: 1}
		}
		return b.fake.Perform(c)
	})
}

// A short outage just when a benchmark ends takes nobody's results, also one that begins in the middle of a call of helm.
func TestJobOutlastsAnOutage(t *testing.T) {
	shell(t)
	for _, text := range []string{
		`Kubernetes cluster unreachable: Get "https://gone/version": connection refused`,
		`query: failed to query with labels: Get "https://gone/api/v1": EOF`,
		`query: failed to query with labels: Get "https://gone/api/v1": dial tcp 10.0.0.1:443: connect: connection refused`,
		`query: failed to query with labels: Get "https://gone/api/v1": net/http: TLS handshake timeout`,
		`query: failed to query with labels: etcdserver: leader changed`,
		`query: failed to query with labels: the server is currently unable to handle the request (get secrets)`,
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.away("get all", text)
			const said = "the cluster does not answer: it is asked again"
			b.hears = hear(said, func() { assert.NoError(t, os.Remove(b.dir+"/away")) })
			jobs, results := b.jobOf("job: j\nbenchmark: [sh, -c, 'touch " + b.dir + "/away']\nsuts: [{name: a, chart: CHARTS/plain}]\n")
			got := b.run("job", "run", jobs)
			assert.Equal(t, 0, got.code, got.stderr)
			assert.Equal(t, 1, strings.Count(got.stderr, said))
			assert.Equal(t, job.Done, b.results(results).SUTs[0].State)
		})
	}
}

// The error of a cluster that does not come back is what the cluster said, and not that the time is over. It is said once.
func TestJobOutlastedByAnOutage(t *testing.T) {
	shell(t)
	t.Parallel()
	b := newBench(t)
	b.away("get all", `query: failed to query with labels: Get "https://gone/api/v1": EOF`)
	b.hears = hear("not removed yet", func() { assert.NoError(t, os.Remove(b.dir+"/away")) })
	jobs, results := b.jobOf("job: j\ntimeout: 5s\nbenchmark: [sh, -c, 'touch " + b.dir + "/away']\nsuts: [{name: a, chart: CHARTS/plain}]\n")
	got := b.run("job", "run", jobs)
	assert.Equal(t, 14, got.code, got.stderr)
	assert.Equal(t, 1, strings.Count(got.stderr, "the cluster does not answer"), got.stderr)
	s := b.results(results).SUTs[0]
	assert.False(t, s.NotRemoved)
	assert.Contains(t, s.Error.Message, "whether it was there until its benchmark ended is not known")
	assert.Contains(t, s.Error.Message, "EOF")
	assert.NotContains(t, s.Error.Message, "deadline exceeded")
}

// An outage while a SUT is removed takes nobody's results either.
func TestJobRemovesAfterAnOutage(t *testing.T) {
	shell(t)
	for _, text := range []string{
		`Kubernetes cluster unreachable: Get "https://gone/version": connection refused`,
		`uninstall: Failed to purge the release: Get "https://gone/api/v1": EOF`,
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.away("uninstall", text)
			b.hears = hear("a: not removed yet, tried again until ", func() { assert.NoError(t, os.Remove(b.dir+"/away")) })
			jobs, results := b.jobOf("job: j\nbenchmark: [sh, -c, 'touch " + b.dir + "/away']\nsuts: [{name: a, chart: CHARTS/plain}]\n")
			got := b.run("job", "run", jobs)
			assert.Equal(t, 0, got.code, got.stderr)
			assert.Equal(t, 1, strings.Count(got.stderr, "not removed yet"))
			s := b.results(results).SUTs[0]
			assert.Equal(t, job.Done, s.State)
			assert.False(t, s.NotRemoved)
			_, there := b.fake.Release("", "job-j-sut-a")
			assert.False(t, there)
		})
	}
}

// What does not go on a cluster that answers is tried once more, and then named.
func TestJobThatDoesNotGo(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.fake.Handle("uninstall", func(c helmtest.Call) helmtest.Reply {
		r, _ := b.fake.Release("", c.Arg(0))
		r.Status = "uninstalling"
		b.fake.SetRelease(r)
		return helmtest.Reply{Stderr: "level=DEBUG msg=\"beginning wait for resources to be deleted\" count=1\n", Until: helmtest.Forever}
	})
	jobs, results := b.jobOf("job: j\ntimeout: 4s\nsuts: [{name: a, chart: CHARTS/plain}]\n")
	began := time.Now()
	got := b.run("job", "run", jobs)
	assert.Equal(t, 14, got.code, got.stderr)
	assert.Less(t, time.Since(began), time.Minute)
	assert.Len(t, b.fake.Calls("uninstall"), 2)
	s := b.results(results).SUTs[0]
	assert.Equal(t, "not-gone", s.Error.Kind, got.stderr)
	assert.True(t, s.NotRemoved)
	assert.NotEmpty(t, s.Remains)
}

// A command that is started again while the cluster is away leaves what it had begun, and the next one goes on with it.
func TestJobStartedAgainInAnOutage(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	jobs, results := b.jobOf("job: j\nsuts: [{name: a, chart: CHARTS/plain}]\n")
	labels := b.measured(jobs)
	b.fake.SetRelease(helmtest.Release{Name: "job-j-sut-a", Chart: "plain", ChartVersion: "0.1.0", Labels: labels})
	b.left(results, `"state": "ready", "readySeconds": 4.28`)
	removed := len(b.fake.Calls("uninstall"))
	b.away("install", `INSTALLATION FAILED: Kubernetes cluster unreachable: Get "https://gone/version": connection refused`)
	b.away("get all", `Kubernetes cluster unreachable: Get "https://gone/version": connection refused`)
	b.write("away", "")
	got := b.run("job", "run", jobs)
	assert.Equal(t, 9, got.code, got.stderr)
	assert.Contains(t, got.stderr, "a: not continued: ")
	s := b.results(results).SUTs[0]
	assert.Equal(t, job.Ready, s.State)
	assert.InDelta(t, 4.28, s.ReadySeconds, 0)
	assert.Len(t, b.fake.Calls("uninstall"), removed)
	plan, err := os.ReadFile(results + ".d/job-j-sut-a.plan.json")
	require.NoError(t, err)
	assert.NotEmpty(t, plan, "the next command applies the same plan")

	require.NoError(t, os.Remove(b.dir+"/away"))
	got = b.run("job", "run", jobs)
	assert.Equal(t, 0, got.code, got.stderr)
	s = b.results(results).SUTs[0]
	assert.Equal(t, job.Done, s.State)
	assert.InDelta(t, 4.28, s.ReadySeconds, 0)
	assert.True(t, s.Recovered)
}
