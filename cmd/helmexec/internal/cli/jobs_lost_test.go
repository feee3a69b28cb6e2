package cli

import (
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/cmd/helmexec/internal/job"
	"github.com/sut-bench/helmexec/helmtest"
)

// What happens to a release while it is measured makes the SUT fail, and what is there now of somebody else stays.
func TestJobWhoseReleaseIsLost(t *testing.T) {
	shell(t)
	for name, test := range map[string]struct {
		change func(r helmtest.Release) *helmtest.Release
		said   string
		stays  bool
	}{
		"removed":  {func(helmtest.Release) *helmtest.Release { return nil }, "somebody removed it while it was measured", false},
		"going":    {func(r helmtest.Release) *helmtest.Release { r.Status = "uninstalling"; return &r }, "somebody changed it while it was measured", false},
		"upgraded": {func(r helmtest.Release) *helmtest.Release { r.Revision++; return &r }, "somebody changed it while it was measured", false},
		"replaced": {func(r helmtest.Release) *helmtest.Release { r.Labels = nil; return &r }, "another release has its name now", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			jobs, results := b.jobOf("job: j\nbenchmark: [sh, -c, 'echo begun; until test -e " + b.dir + "/go; do :; done']\nsuts: [{name: a, chart: CHARTS/plain}]\n")
			b.hears = hear("benchmark: begun", func() {
				r, there := b.fake.Release("", "job-j-sut-a")
				assert.True(t, there)
				b.fake.RemoveRelease("", "job-j-sut-a")
				if changed := test.change(r); changed != nil {
					b.fake.SetRelease(*changed)
				}
				b.write("go", "")
			})
			got := b.run("job", "run", jobs)
			assert.Equal(t, 14, got.code, got.stderr)
			assert.Contains(t, got.stderr, "the results are not of this SUT alone")
			s := b.results(results).SUTs[0]
			assert.Equal(t, job.Failed, s.State)
			require.NotNil(t, s.Error)
			assert.Equal(t, "release-not-found", s.Error.Kind)
			assert.Contains(t, s.Error.Message, test.said)
			assert.Equal(t, 0, *s.BenchmarkExit)
			_, there := b.fake.Release("", "job-j-sut-a")
			assert.Equal(t, test.stays, there)
		})
	}
}

// A killed command may have removed what it had measured.
func TestJobMeasuredAndRemovedByAKilledCommand(t *testing.T) {
	b := newBench(t)
	jobs, results := b.jobOf("job: j\nsuts: [{name: a, chart: CHARTS/plain}]\n")
	require.NoError(t, os.WriteFile(results, []byte(`{"job": "j", "attempt": "1", "suts": [{"name": "a", "release": "job-j-sut-a", "state": "measured", "benchmarkExit": 0}]}`), 0o600))
	got := b.run("job", "run", jobs)
	assert.Equal(t, 0, got.code, got.stderr)
	assert.Equal(t, job.Done, b.results(results).SUTs[0].State)
	assert.Empty(t, b.fake.Calls("install"))
}

// A cluster that goes away while a SUT is measured leaves it there, and the job says how to remove it.
func TestJobWhoseClusterIsLost(t *testing.T) {
	shell(t)
	b := newBench(t)
	missing := b.dir + "/no-kubeconfig"
	t.Setenv("KUBECONFIG", missing)
	for _, command := range []string{"get all", "uninstall"} {
		b.fake.Handle(command, func(c helmtest.Call) helmtest.Reply {
			if _, err := os.Stat(b.dir + "/away"); err == nil {
				return helmtest.Reply{Stderr: "Error: Kubernetes cluster unreachable: Get \"https://gone/version\": connection refused\n", Exit: 1}
			}
			return b.fake.Perform(c)
		})
	}
	jobs, results := b.jobOf("job: j\nnamespace: bench\nbenchmark: [sh, -c, 'touch " + b.dir + "/away']\nsuts: [{name: a, chart: CHARTS/plain, timeout: 3s}]\n")
	got := b.run("job", "run", jobs)
	assert.Equal(t, 14, got.code, got.stderr)
	assert.Contains(t, got.stderr, "a file of KUBECONFIG: ")
	s := b.results(results).SUTs[0]
	assert.Equal(t, job.Failed, s.State)
	assert.True(t, s.NotRemoved)
	assert.Equal(t, "cluster-unreachable", s.Error.Kind)
	assert.Contains(t, s.Error.Message, "release job-j-sut-a may still be installed; `helmexec job clean j -n bench` removes it when the cluster answers")

	// Another attempt has nothing of this one: neither its release, after the clean-up, nor its plan.
	require.NoError(t, os.Remove(b.dir+"/away"))
	assert.Equal(t, 0, b.run("job", "clean", "j", "-n", "bench").code)
	text, err := os.ReadFile(jobs)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(jobs, []byte("attempt: '2'\ntrusted: true\n"+strings.NewReplacer("plain", "web", "touch", "true").Replace(string(text))), 0o600))
	got = b.run("job", "run", jobs)
	assert.Equal(t, 0, got.code, got.stderr)
	assert.Contains(t, got.stderr, "install of web ")
}

// What is to be pasted into a shell is one word there, and for the same cluster.
func TestCleanUpToPaste(t *testing.T) {
	b := newBench(t)
	b.fake.Handle("uninstall", func(helmtest.Call) helmtest.Reply {
		return helmtest.Reply{Stderr: "Error: it stays\n", Exit: 1}
	})
	jobs, results := b.jobOf("job: \"it's; x\"\nnamespace: bench\nsuts: [{name: a, chart: CHARTS/plain}]\n")
	assert.Equal(t, 14, b.run("job", "run", jobs, "--kube-context", "lab one").code)
	assert.Contains(t, b.results(results).SUTs[0].Error.Message, "`helmexec job clean 'it'\\''s; x' -n bench --kube-context 'lab one'` removes it")
}

// A wrong context is not a cluster that may answer soon, and uses up no attempt either.
func TestJobWithoutContext(t *testing.T) {
	b := newBench(t)
	b.fake.Handle("template", func(helmtest.Call) helmtest.Reply {
		return helmtest.Reply{Stderr: "Error: Kubernetes cluster unreachable: context \"nosuch\" does not exist\n", Exit: 1}
	})
	jobs, results := b.jobOf("job: j\nsuts: [{name: a, chart: CHARTS/plain}, {name: b, chart: CHARTS/plain}]\n")
	got := b.run("job", "run", jobs, "--kube-context", "nosuch")
	assert.Equal(t, 4, got.code, got.stderr)
	assert.Contains(t, got.stderr, "no way to the cluster: mend the kubeconfig, its context, its certificate or its credentials; then start the same command again to continue")
	for _, s := range b.results(results).SUTs {
		assert.Equal(t, job.Waiting, s.State)
		assert.Equal(t, "cluster-not-found", s.Error.Kind)
	}
}

// Beside a SUT that failed, one that has not begun can still do so in this attempt.
func TestJobFailedInPart(t *testing.T) {
	b := newBench(t)
	b.fake.Handle("template", func(c helmtest.Call) helmtest.Reply {
		return helmtest.Reply{Stderr: "Error: Kubernetes cluster unreachable: Get \"https://127.0.0.1:1/version\": dial tcp 127.0.0.1:1: connect: connection refused\n", Exit: 1}
	})
	jobs, results := b.jobOf("job: j\nsuts: [{name: a, chart: CHARTS/nothing}, {name: b, chart: CHARTS/plain}]\n")
	got := b.run("job", "run", jobs)
	assert.Equal(t, 14, got.code, got.stderr)
	assert.Contains(t, got.stderr, "job j: not every SUT has ended: kubernetes cluster unreachable: start the same command again to continue\n")
	assert.Equal(t, job.Failed, b.results(results).SUTs[0].State)
	assert.Equal(t, job.Waiting, b.results(results).SUTs[1].State)
}

// A namespace that is not there uses up no attempt, since nothing is installed without it. One that a chart has objects for does.
func TestJobWithoutNamespace(t *testing.T) {
	b := newBench(t)
	jobs, results := b.jobOf("job: j\nsuts: [{name: a, chart: CHARTS/plain}]\n")
	b.fake.NamespaceMissing()
	got := b.run("-n", "benchx", "job", "run", jobs)
	assert.Equal(t, 4, got.code, got.stderr)
	assert.Contains(t, got.stderr, "the namespace does not exist: make it, set createNamespace in the job file, or name another one; then start the same command again to continue")
	s := b.results(results).SUTs[0]
	assert.Equal(t, job.Waiting, s.State)
	assert.Equal(t, "namespace-not-found", s.Error.Kind)
	got = b.run("-n", "bench", "job", "run", jobs)
	assert.Equal(t, 0, got.code, got.stderr)
	s = b.results(results).SUTs[0]
	assert.Equal(t, []string{job.Done, "bench"}, []string{s.State, s.Namespace})

	b.fake.Handle("install", func(helmtest.Call) helmtest.Reply {
		return helmtest.Reply{Stderr: "Error: INSTALLATION FAILED: namespaces \"other\" not found\n", Exit: 1}
	})
	require.NoError(t, os.WriteFile(jobs, []byte(read(t, jobs)+"attempt: 2\n"), 0o600))
	assert.Equal(t, 14, b.run("job", "run", jobs).code)
	assert.Equal(t, job.Failed, b.results(results).SUTs[0].State)
}

// hear calls do once, when a text is said.
func hear(text string, do func()) func(string) {
	var once sync.Once
	return func(said string) {
		if strings.Contains(said, text) {
			once.Do(do)
		}
	}
}
