package cli

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/cmd/helmexec/internal/job"
	"github.com/sut-bench/helmexec/cmd/helmexec/internal/out"
	"github.com/sut-bench/helmexec/cmd/helmexec/internal/view"
	"github.com/sut-bench/helmexec/helmtest"
)

// jobOf writes a job, and gives its path and that of its results.
func (b *bench) jobOf(text string) (jobs, results string) {
	jobs = b.write("jobs.yaml", strings.ReplaceAll(text, "CHARTS", filepath.ToSlash(testdata(b.T))))
	return jobs, strings.TrimSuffix(jobs, ".yaml") + ".results.json"
}

func (b *bench) results(path string) job.Result {
	text, err := os.ReadFile(path)
	require.NoError(b, err)
	var r job.Result
	require.NoError(b, json.Unmarshal(text, &r))
	return r
}

// shell skips a test where there is no shell for the benchmark.
func shell(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the benchmark of this test is a shell script")
	}
}

func TestJob(t *testing.T) {
	shell(t)
	b := newBench(t)
	jobs, results := b.jobOf(`
job: "42"
timeout: 3m
deadline: 4h
policy: {registries: [registry.example]}
benchmark: [sh, -c, "echo \"$HELMEXEC_SUT is $HELMEXEC_RELEASE in $HELMEXEC_NAMESPACE\"; printf '\\033[31mred'; [ $HELMEXEC_SUT != slow ]"]
suts:
- {name: good, chart: CHARTS/plain, values: {replicas: 2}}
- {name: slow, chart: CHARTS/plain}
- {name: refused, chart: CHARTS/web}
- {name: missing, chart: CHARTS/nothing}
`)
	got := b.run("job", "run", jobs)
	assert.Equal(t, 14, got.code)
	assert.Contains(t, got.stderr, "good: benchmark: good is job-42-sut-good in default\n")
	assert.Contains(t, got.stderr, `good: benchmark: \x1b[31mred`)
	r := b.results(results)
	states := map[string]string{}
	for _, s := range r.SUTs {
		states[s.Name] = s.State
	}
	assert.Equal(t, map[string]string{"good": job.Done, "slow": job.Failed, "refused": job.Refused, "missing": job.Failed}, states)
	good, slow, refused, missing := r.SUTs[0], r.SUTs[1], r.SUTs[2], r.SUTs[3]
	assert.Equal(t, []string{"registry.example/plain:1"}, good.Images)
	assert.Equal(t, 0, *good.BenchmarkExit)
	assert.Equal(t, "plain 0.1.0", good.Chart.Name+" "+good.Chart.Version)
	assert.Regexp(t, "^sha256:", good.Plan)
	assert.Equal(t, 1, *slow.BenchmarkExit)
	assert.Contains(t, slow.Error.Message, "benchmark: exit status 1")
	assert.NotEmpty(t, refused.Findings)
	assert.Equal(t, "chart-not-found", missing.Error.Kind)
	assert.NotEmpty(t, r.Ended)

	installs := b.fake.Calls("install")
	require.Len(t, installs, 2)
	assert.Equal(t, "3m0s", installs[0].Flag("--timeout"))
	assert.Contains(t, installs[0].Flag("--labels"), "helmexec/deadline=")
	for _, name := range []string{"good", "slow"} {
		_, there := b.fake.Release("", "job-42-sut-"+name)
		assert.False(t, there, name)
	}
	left, err := filepath.Glob(results + ".d/*.json")
	require.NoError(t, err)
	assert.Empty(t, left, "plans have Secrets")

	require.NoError(t, os.WriteFile(jobs, []byte(strings.Replace(read(t, jobs), "timeout:", "attempt: 2\ntimeout:", 1)), 0o600))
	again := b.run("job", "run", jobs, "-o", "json")
	assert.Equal(t, 14, again.code)
	assert.Len(t, b.fake.Calls("install"), 4, "a new attempt begins anew")
	var printed job.Result
	require.NoError(t, json.Unmarshal([]byte(again.stdout), &printed))
	assert.Equal(t, "2", printed.Attempt)
}

// Paths of the benchmark command begin at the folder of the job file, and a missing one is noticed before anything is installed.
func TestJobBenchmarkInTheFolderOfTheFile(t *testing.T) {
	shell(t)
	b := newBench(t)
	jobs, _ := b.jobOf("job: j\nbenchmark: [./measure.sh]\nsuts: [{name: a, chart: CHARTS/plain}]\n")
	got := b.run("job", "run", jobs)
	assert.Equal(t, 4, got.code)
	assert.Contains(t, got.stderr, "measure.sh")
	assert.Empty(t, b.fake.Commands())

	b.write("result.txt", "measured here")
	require.NoError(t, os.Chmod(b.write("measure.sh", "#!/bin/sh\ncat result.txt\n"), 0o700))
	got = b.run("job", "run", jobs)
	assert.Equal(t, 0, got.code, got.stderr)
	assert.Contains(t, got.stderr, "a: benchmark: measured here")

	got = b.run("job", "run", jobs)
	assert.Equal(t, 0, got.code)
	assert.Contains(t, got.stderr, "job j: attempt 1 has ended, and its results stay")
	assert.Len(t, b.fake.Calls("install"), 1)
}

func read(t *testing.T, path string) string {
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

// A job that is interrupted while it measures removes what it installed, and continues when it is started again.
func TestJobInterrupted(t *testing.T) {
	shell(t)
	b := newBench(t)
	jobs, results := b.jobOf("job: j\nparallel: 1\nbenchmark: [sh, -c, 'test -e " + b.dir + "/go || { echo begun; sleep 600; }']\n" +
		"suts: [{name: a, chart: CHARTS/plain}, {name: b, chart: CHARTS/plain}]\n")
	ctx, cancel := context.WithCancel(t.Context())
	b.hears = func(text string) {
		if strings.Contains(text, "benchmark: begun") {
			cancel()
		}
	}
	got := b.runUntil(ctx, "job", "run", jobs)
	assert.Equal(t, 130, got.code, got.stderr)
	for _, s := range b.results(results).SUTs {
		assert.Contains(t, []string{job.Interrupted, job.Waiting}, s.State)
		_, there := b.fake.Release("", s.Release)
		assert.False(t, there, s.Name)
	}
	b.write("go", "")
	got = b.run("job", "run", jobs)
	assert.Equal(t, 0, got.code, got.stderr)
	for _, s := range b.results(results).SUTs {
		assert.Equal(t, job.Done, s.State)
		assert.Nil(t, s.Error)
	}
}

// A cluster that is away before anything is installed uses up no attempt: of a new job, of one that was interrupted, and of one
// whose command was killed. The result is printed as the one document.
func TestJobWithoutCluster(t *testing.T) {
	for _, before := range []string{job.Waiting, job.Interrupted, job.Installing, job.Ready} {
		t.Run(before, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			away := true
			for _, command := range []string{"template", "install", "status", "list", "get all", "uninstall"} {
				b.fake.Handle(command, func(c helmtest.Call) helmtest.Reply {
					if away {
						return helmtest.Reply{Stderr: "Error: kubernetes cluster unreachable: Get \"https://gone/version\": connection refused\n", Exit: 1}
					}
					return b.fake.Perform(c)
				})
			}
			jobs, results := b.jobOf("job: j\nsuts: [{name: a, chart: CHARTS/plain}]\n")
			require.NoError(t, os.WriteFile(results, []byte(`{"job": "j", "attempt": "1", "suts": [{"name": "a", "release": "job-j-sut-a", "state": "`+before+`"}]}`), 0o600))
			got := b.run("job", "run", jobs, "-o", "json")
			assert.Equal(t, 9, got.code, got.stderr)
			assert.Contains(t, got.stderr, "start the same command again to continue")
			begun := before == job.Installing || before == job.Ready
			assert.Contains(t, got.stderr, map[bool]string{true: "a: not continued: ", false: "a: not begun: "}[begun])
			assert.Empty(t, b.fake.Calls("uninstall"), "what is there stays for the next command")
			var printed job.Result
			require.NoError(t, json.Unmarshal([]byte(got.stdout), &printed))
			assert.Equal(t, before, printed.SUTs[0].State)
			assert.Equal(t, "cluster-unreachable", printed.SUTs[0].Error.Kind)
			assert.Empty(t, printed.Ended)
			assert.Equal(t, before, b.results(results).SUTs[0].State)

			away = false
			got = b.run("job", "run", jobs)
			assert.Equal(t, 0, got.code, got.stderr)
			s := b.results(results).SUTs[0]
			assert.Equal(t, job.Done, s.State)
			assert.Nil(t, s.Error)
		})
	}
}

// The table says what the first finding is about.
func TestJobTableSaysWhy(t *testing.T) {
	b := newBench(t)
	jobs, _ := b.jobOf("job: j\npolicy: {registries: [other.example]}\nsuts: [{name: a, chart: CHARTS/plain}]\n")
	got := b.run("job", "run", jobs)
	assert.Equal(t, 14, got.code)
	assert.Regexp(t, `images: Pod plain spec.containers\[0\].image: is from a place that is not allowed: registry.example/plain:1\n`, got.stdout)
}

// A release that cannot be removed is in the results, and the error is.
func TestJobThatLeavesSomething(t *testing.T) {
	b := newBench(t)
	b.fake.Handle("uninstall", func(helmtest.Call) helmtest.Reply {
		return helmtest.Reply{Stderr: "Error: failed to delete release: job-j-sut-a\n", Exit: 1}
	})
	jobs, results := b.jobOf("job: j\ntimeout: 2s\nsuts: [{name: a, chart: CHARTS/plain}]\n")
	assert.Equal(t, 14, b.run("job", "run", jobs).code)
	s := b.results(results).SUTs[0]
	assert.Equal(t, job.Failed, s.State)
	assert.Contains(t, s.Error.Message, "failed to delete release")
	assert.Equal(t, s.Error.Remains, s.Remains)
}

// What a killed command has installed is removed, also if the job refuses it now, or cannot render it any more.
func TestJobThatRefusesWhatIsThere(t *testing.T) {
	for state, chart := range map[string]string{job.Refused: "CHARTS/web", job.Failed: "CHARTS/nothing"} {
		b := newBench(t)
		b.fake.SetRelease(helmtest.Release{Name: "job-j-sut-a", Chart: "plain", ChartVersion: "0.1.0"})
		jobs, results := b.jobOf("job: j\nsuts: [{name: a, chart: " + chart + "}]\n")
		require.NoError(t, os.WriteFile(results, []byte(`{"job": "j", "attempt": "1", "suts": [{"name": "a", "release": "job-j-sut-a", "state": "ready"}]}`), 0o600))
		assert.Equal(t, 14, b.run("job", "run", jobs).code)
		assert.Equal(t, state, b.results(results).SUTs[0].State)
		_, there := b.fake.Release("", "job-j-sut-a")
		assert.False(t, there, state)
	}
}

// A release of somebody else stays, also if a killed command was about to install one of that name.
func TestJobLeavesOthersAlone(t *testing.T) {
	b := newBench(t)
	b.fake.SetRelease(helmtest.Release{Name: "job-j-sut-a", Chart: "plain", ChartVersion: "0.1.0"})
	jobs, results := b.jobOf("job: j\nsuts: [{name: a, chart: CHARTS/plain}]\n")
	require.NoError(t, os.WriteFile(results, []byte(`{"job": "j", "attempt": "1", "suts": [{"name": "a", "release": "job-j-sut-a", "state": "installing"}]}`), 0o600))
	assert.Equal(t, 14, b.run("job", "run", jobs).code)
	s := b.results(results).SUTs[0]
	assert.Equal(t, job.Failed, s.State)
	assert.Equal(t, "release-exists", s.Error.Kind)
	_, there := b.fake.Release("", "job-j-sut-a")
	assert.True(t, there)
}

func TestJobRefused(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"no job":       {"suts: [{name: a, chart: ./a}]", "job is missing"},
		"no suts":      {"job: a", "suts is missing"},
		"no chart":     {"job: a\nsuts: [{name: a}]", "no chart"},
		"same release": {"job: a\nsuts: [{name: My_a, chart: ./a}, {name: my-a, chart: ./a}]", "rename one of them"},
		"unknown":      {"job: a\nsuts: [{name: a, chart: ./a}]\nsut: []", `there is no field "sut"; job run --help shows such a file`},
		"timeout":      {"job: a\ntimeout: 5\nsuts: [{name: a, chart: ./a}]", "not a time such as 10m"},
		"no command":   {"job: a\nbenchmark: [no-such-command]\nsuts: [{name: a, chart: ./a}]", "benchmark: exec: \"no-such-command\""},
		"no deadline":  {"job: a\ndeadline: 0s\nsuts: [{name: a, chart: ./a}]", "not a time such as 10m"},
		"no address":   {"job: a\nsuts: [{name: a, chart: ./a}, {name: b, chart: chart}]", `SUT "b": invalid argument: chart address "chart": no '/' in it`},
		"bad limit":    {"job: a\npolicy: {limits: {cpu: 4x}}\nsuts: [{name: a, chart: ./a}]", `policy: invalid argument: limit of cpu: "4x"`},
		"null":         {"job: a\npolicy:\nsuts: [{name: a, chart: ./a}]", "policy has no value"},
		"null in SUT":  {"job: a\nsuts: [{name: a, chart: ./a, version: }]", "suts: number 1: version has no value"},
		"nothing":      {"# job: a", "the file says nothing"},
		"two jobs":     {"job: a\nsuts: [{name: a, chart: ./a}]\n---\njob: b\nsuts: [{name: a, chart: ./a}]", "line 3 begins a second document"},
		"twice":        {"job: a\nJob: b\nsuts: [{name: a, chart: ./a}]", "Job and job are the same key: give only job"},
		"version":      {"job: a\nsuts: [{name: b, chart: ./a, version: 1.0.0}]", `SUT "b": invalid argument: the version of the chart`},
		"no yaml":      {"\t", "jobs.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			jobs, _ := b.jobOf(test.text)
			got := b.run("job", "run", jobs)
			assert.Equal(t, 2, got.code)
			assert.Contains(t, got.stderr, test.want)
		})
	}
	b := newBench(t)
	jobs, results := b.jobOf("job: j\nsuts: [{name: a, chart: CHARTS/plain}]\n")
	require.NoError(t, os.WriteFile(results, []byte(`{"job": "other"}`), 0o600))
	got := b.run("job", "run", jobs)
	assert.Equal(t, 2, got.code)
	assert.Contains(t, got.stderr, `has the results of job "other"`)
	for _, none := range []string{"", "{", "job: j", `{"helmexecPlan": 1}`} {
		require.NoError(t, os.WriteFile(results, []byte(none), 0o600))
		got = b.run("job", "run", jobs)
		assert.Equal(t, 2, got.code)
		assert.Contains(t, got.stderr, "is no result file of job run", none)
		assert.Equal(t, none, read(t, results))
	}
	got = b.run("job", "run", jobs, "--results", b.dir)
	assert.Contains(t, got.stderr, "is a directory")
	assert.NotContains(t, got.stderr, "remove")
	got = b.run("job", "run", jobs, "--results", filepath.Join(b.dir, "missing", "results.json"))
	assert.Equal(t, 4, got.code, got.stderr)
	assert.NoDirExists(t, filepath.Join(b.dir, "missing"))
	require.NoError(t, os.WriteFile(results, []byte(`{"job": "j", "attempt": "0", "suts": [{"name": "a", "release": "job-j-sut-a", "state": "ready"}]}`), 0o600))
	assert.Contains(t, b.run("job", "run", jobs).stderr, "let that attempt end")

	lock := flock.New(filepath.Join(results+".d", "lock"))
	held, err := lock.TryLock()
	require.NoError(t, err)
	require.True(t, held)
	defer lock.Unlock()
	got = b.run("job", "run", jobs)
	assert.Equal(t, 6, got.code)
	assert.Contains(t, got.stderr, "another helmexec is running this job")
	assert.Empty(t, b.fake.Commands())
}

// What whoever wrote the job file has mistaken is said before anything begins: each SUT has one attempt.
func TestJobWithoutItsValues(t *testing.T) {
	b := newBench(t)
	jobs, results := b.jobOf("job: j\nsuts: [{name: a, chart: CHARTS/plain}, {name: b, chart: CHARTS/plain, valuesFiles: [missing.yaml]}]\n")
	got := b.run("job", "run", jobs)
	assert.Equal(t, 4, got.code)
	assert.Contains(t, got.stderr, `SUT "b": stat DIR/missing.yaml: no such file`)
	assert.Empty(t, b.fake.Commands())

	require.NoError(t, os.WriteFile(results, []byte(`{"job": "j", "attempt": "1", "suts": [{"name": "b", "release": "job-j-sut-b", "state": "interrupted"}]}`), 0o600))
	assert.Equal(t, 4, b.run("job", "run", jobs).code)

	// What is installed does not wait for it.
	b.fake.SetRelease(helmtest.Release{Name: "job-j-sut-a", Chart: "plain", ChartVersion: "0.1.0"})
	require.NoError(t, os.WriteFile(results, []byte(`{"job": "j", "attempt": "1", "suts": [{"name": "a", "release": "job-j-sut-a", "state": "measured"}]}`), 0o600))
	assert.Equal(t, 14, b.run("job", "run", jobs).code)
	assert.Equal(t, job.Done, b.results(results).SUTs[0].State)
	_, there := b.fake.Release("", "job-j-sut-a")
	assert.False(t, there)

	require.NoError(t, os.Mkdir(filepath.Join(b.dir, "web"), 0o700))
	require.NoError(t, os.Remove(results))
	jobs, _ = b.jobOf("job: j\nsuts: [{name: a, chart: web}]\n")
	assert.Contains(t, b.run("job", "run", jobs).stderr, `for the chart beside this file write "./web"`)
}

// A reason that does not fit into the table is in the results, and the table does not repeat what its row says.
func TestJobTableRepeatsNothing(t *testing.T) {
	var page out.Page
	jobPage(&page, job.Result{SUTs: []job.SUTResult{
		{Name: "a", Release: "job-1-sut-a", Namespace: "bench", State: job.Failed, Error: &view.Error{Message: "release job-1-sut-a in namespace bench: release not ready (removed again): Pod x CrashLoopBackOff"}},
		{Name: "b", Release: "job-1-sut-b", State: job.Failed, Error: &view.Error{Message: "release job-1-sut-b: " + strings.Repeat("long ", 40)}},
	}}, "r.json")
	text := page.String()
	assert.Contains(t, text, "  release not ready (removed again): Pod x CrashLoopBackOff\n")
	assert.Contains(t, text, "  long long")
	assert.True(t, strings.HasSuffix(text, "…\nall of it is in r.json\n"), text)
}

// Each pod of an Indexed Job runs one SUT, as an operation of its own.
func TestJobByIndex(t *testing.T) {
	b := newBench(t)
	jobs, _ := b.jobOf("suts: [{name: a, chart: CHARTS/plain}, {name: b, chart: CHARTS/plain}]\n")
	got := b.run("job", "run", jobs, "--job", "nightly", "--index", "1", "-o", "json")
	assert.Equal(t, 0, got.code, got.stderr)
	installs := b.fake.Calls("install")
	require.Len(t, installs, 1)
	assert.Equal(t, "job-nightly-sut-b", installs[0].Args[len(installs[0].Args)-2])
	r := b.results(strings.TrimSuffix(jobs, ".yaml") + ".1.results.json")
	require.Len(t, r.SUTs, 1)
	assert.Equal(t, []string{"nightly", "b", job.Done}, []string{r.Job, r.SUTs[0].Name, r.SUTs[0].State})

	assert.Equal(t, 0, b.run("job", "run", jobs, "--job", "nightly", "--index", "0").code)
	both := b.fake.Calls("install")
	require.Len(t, both, 2)
	assert.NotEqual(t, label(both[0], "helmexec/install"), label(both[1], "helmexec/install"))

	for _, index := range []string{"2", "-1"} {
		got := b.run("job", "run", jobs, "--job", "nightly", "--index", index)
		assert.Equal(t, 2, got.code)
		assert.Contains(t, got.stderr, "no SUT with the index "+index)
	}
	assert.Contains(t, b.run("job", "run", jobs, "--index", "0").stderr, "job is missing")
}

// A pod that was killed has taken its home with it. The next one continues the same operation when the helm of the first
// has ended for certain, and the record says when that is.
func TestJobInTheNextPod(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	jobs, _ := b.jobOf("timeout: 1s\nsuts: [{name: a, chart: CHARTS/plain}]\n")
	began := time.Now()
	run := func(pod string) outcome {
		b.home = t.TempDir()
		return b.run("job", "run", jobs, "--job", "j", "--index", "0", "--results", filepath.Join(b.dir, pod))
	}
	require.Zero(t, run("first").code)
	first := b.fake.Calls("install")[0]
	until, err := strconv.ParseInt(label(first, "helmexec/until"), 10, 64)
	require.NoError(t, err)
	assert.Less(t, time.Unix(until, 0).Sub(began), 3*time.Minute, "four times the timeout and the grace period")

	labels := map[string]string{}
	for _, name := range []string{"helmexec/install", "helmexec/job", "helmexec/plan", "helmexec/home", "helmexec/lock"} {
		labels[name] = label(first, name)
	}
	ends := time.Now().Add(5 * time.Second) // longer than the four seconds that an install has
	labels["helmexec/until"] = strconv.FormatInt(ends.Unix(), 10)
	b.fake.SetRelease(helmtest.Release{Name: "job-j-sut-a", Status: "pending-install", Chart: "plain", ChartVersion: "0.1.0", Labels: labels})
	got := run("second")
	assert.Equal(t, 0, got.code, got.stderr)
	assert.True(t, time.Now().After(ends.Truncate(time.Second)), "the helm of the first pod may have lived")
	assert.Equal(t, label(first, "helmexec/install"), label(b.fake.Calls("install")[len(b.fake.Calls("install"))-1], "helmexec/install"))
	_, there := b.fake.Release("", "job-j-sut-a")
	assert.False(t, there)

	// A chart that renders otherwise each time gives another plan, and the release is not what that shows.
	labels["helmexec/plan"] = "another"
	b.fake.SetRelease(helmtest.Release{Name: "job-j-sut-a", Chart: "plain", ChartVersion: "0.1.0", Labels: labels})
	assert.Equal(t, 14, run("third").code)
	assert.Equal(t, "release-exists", b.results(filepath.Join(b.dir, "third")).SUTs[0].Error.Kind)
	_, there = b.fake.Release("", "job-j-sut-a")
	assert.True(t, there, "its deadline removes it")
}

// label is one that a call of helm puts on the record.
func label(c helmtest.Call, name string) string {
	for _, label := range strings.Split(c.Flag("--labels"), ",") {
		if value, found := strings.CutPrefix(label, name+"="); found {
			return value
		}
	}
	return ""
}

// A chart with definitions of its own runs without them.
func TestJobSkipsCRDs(t *testing.T) {
	for skips, want := range map[string]bool{"false": true, "true": false} {
		b := newBench(t)
		jobs, results := b.jobOf("job: j\nsuts: [{name: a, chart: CHARTS/web, skipCRDs: " + skips + "}]\n")
		assert.Equal(t, 14, b.run("job", "run", jobs).code)
		found := slices.ContainsFunc(b.results(results).SUTs[0].Findings, func(f view.Finding) bool {
			return f.Object.Kind == "CustomResourceDefinition" && strings.Contains(f.Text, "skipCRDs")
		})
		assert.Equal(t, want, found, skips)
	}
}

// SUTs begin in the order of the file.
func TestJobInOrder(t *testing.T) {
	b := newBench(t)
	text, want := "job: j\nparallel: 1\nsuts:\n", []string{}
	for _, name := range []string{"e", "d", "c", "b", "a"} {
		text += "- {name: " + name + ", chart: CHARTS/plain}\n"
		want = append(want, "job-j-sut-"+name)
	}
	jobs, _ := b.jobOf(text)
	require.Equal(t, 0, b.run("job", "run", jobs).code)
	var got []string
	for _, install := range b.fake.Calls("install") {
		got = append(got, install.Args[len(install.Args)-2])
	}
	assert.Equal(t, want, got)
}
