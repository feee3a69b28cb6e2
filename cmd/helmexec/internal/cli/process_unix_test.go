//go:build unix

package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/cmd/helmexec/internal/job"
	"github.com/sut-bench/helmexec/helmtest"
)

// process is the command in a process of its own.
func (b *bench) process(args ...string) (*exec.Cmd, *bytes.Buffer) {
	self, err := os.Executable()
	require.NoError(b, err)
	cmd := exec.Command(self, append(args, "--helm="+b.fake.Binary, "--home="+b.home)...)
	cmd.Env = append(os.Environ(), runsMain+"=1")
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	return cmd, &output
}

// An interrupt ends an install as the end of a context does: what was made is removed.
func TestInterrupt(t *testing.T) {
	b := newBench(t)
	waiting := make(chan struct{})
	b.fake.Handle("install", func(c helmtest.Call) helmtest.Reply {
		reply := b.fake.Perform(c)
		reply.Then = func() { close(waiting) }
		reply.Until = helmtest.Forever
		reply.Term = &helmtest.Reply{Stdout: "Release web has been cancelled.\n", Exit: 1}
		r, _ := b.fake.Release("", "web")
		r.Status = "failed"
		b.fake.SetRelease(r)
		return reply
	})
	cmd, output := b.process("install", "web", plain, "--wait")
	require.NoError(t, cmd.Start())
	<-waiting
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	var failed *exec.ExitError
	require.ErrorAs(t, cmd.Wait(), &failed)
	assert.Equal(t, 130, failed.ExitCode(), "%s", output)
	assert.Contains(t, output.String(), "stopping, and removing what is half made")
	_, there := b.fake.Release("", "web")
	assert.False(t, there)
}

// A job whose command was killed while a SUT was installed is continued: the SUT is installed once, and the plan is the one
// that the killed command made.
func TestJobContinuesAfterKill(t *testing.T) {
	b := newBench(t)
	jobs := b.write("jobs.yaml", "job: '42'\nsuts: [{name: web, chart: "+filepath.ToSlash(testdata(t))+"/plain}, {name: bad, chart: ./nothing}]\n")
	results := strings.TrimSuffix(jobs, ".yaml") + ".results.json"
	made := make(chan struct{}, 9)
	first := true
	b.fake.Handle("install", func(c helmtest.Call) helmtest.Reply {
		reply := b.fake.Perform(c)
		if first {
			first = false
			reply.Then = func() { made <- struct{}{} }
			reply.Until = helmtest.Forever
		}
		return reply
	})
	cmd, output := b.process("job", "run", jobs)
	require.NoError(t, cmd.Start())
	<-made
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	assert.Equal(t, job.Installing, stateOf(t, results, "web"), "%s", output)
	for _, c := range b.fake.Calls("install") {
		_ = syscall.Kill(c.Pid, syscall.SIGKILL)
	}

	got := b.run("job", "run", jobs)
	assert.Equal(t, 14, got.code, got.stderr)
	assert.Equal(t, job.Done, stateOf(t, results, "web"), got.stderr)
	assert.Equal(t, job.Failed, stateOf(t, results, "bad"))
	assert.Contains(t, got.stderr, "had succeeded")
	assert.Len(t, b.fake.Calls("dry-run install"), 1)
	plans := map[string]bool{}
	for _, c := range b.fake.Calls("install") {
		_, plan, _ := strings.Cut(c.Flag("--labels"), "helmexec/plan=")
		plan, _, _ = strings.Cut(plan, ",")
		plans[plan] = true
	}
	assert.Len(t, plans, 1, "the plan is that of the killed command")
	_, there := b.fake.Release("", "job-42-sut-web")
	assert.False(t, there)

	before := len(b.fake.Calls())
	again := b.run("job", "run", jobs)
	assert.Equal(t, 14, again.code)
	assert.Len(t, b.fake.Calls(), before, "what has ended stays ended")
}

// A benchmark that outlived its killed command is waited for: no two measure a SUT at once.
func TestJobWaitsForBenchmarkOfKilled(t *testing.T) {
	b := newBench(t)
	jobs := b.write("jobs.yaml", "job: '42'\nbenchmark: [sh, -c, 'echo begun; while ! test -e "+b.dir+"/go; do sleep 0.1; done']\n"+
		"suts: [{name: web, chart: "+filepath.ToSlash(testdata(t))+"/plain}]\n")
	results := strings.TrimSuffix(jobs, ".yaml") + ".results.json"
	cmd, _ := b.process("job", "run", jobs)
	cmd.Stderr = nil
	said, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(said)
	for lines.Scan() && !strings.Contains(lines.Text(), "begun") {
	}
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	assert.Equal(t, job.Ready, stateOf(t, results, "web"))

	b.hears = func(text string) {
		if strings.Contains(text, "waits for the benchmark that a killed command left") {
			b.write("go", "")
		}
	}
	got := b.run("job", "run", jobs)
	assert.Equal(t, 0, got.code, got.stderr)
	assert.Regexp(t, `(?s)waits for the benchmark that a killed command left(, process group \d+)?\n.*benchmark: begun`, got.stderr)
	left, err := filepath.Glob(results + ".d/*.benchmark")
	require.NoError(t, err)
	assert.Empty(t, left)
}

func stateOf(t *testing.T, results, sut string) string {
	text, err := os.ReadFile(results)
	require.NoError(t, err)
	var r job.Result
	require.NoError(t, json.Unmarshal(text, &r), "%s", text)
	for _, s := range r.SUTs {
		if s.Name == sut {
			return s.State
		}
	}
	return ""
}

// A plugin takes four variables from helm, and no program that it starts gets any other. With --user-home these are where
// helm keeps things, and nothing else.
func TestPluginEnvironment(t *testing.T) {
	b := newBench(t)
	kubeconfig := b.write("kubeconfig", "kind: Config\n")
	jobs := b.write("jobs.yaml", "job: '42'\nbenchmark: [sh, -c, 'env | grep ^HELM_ && exit 1; exit 0']\nsuts: [{name: web, chart: "+filepath.ToSlash(testdata(t))+"/plain}]\n")
	for _, test := range []struct {
		args, canaries []string
	}{
		{[]string{"list"}, nil},
		{[]string{"images", plain}, nil},
		{[]string{"install", "web", plain, "--wait"}, nil},
		{[]string{"job", "run", jobs}, nil},
		{[]string{"list", "--user-home"}, homeVariables},
	} {
		before := len(b.fake.Calls())
		cmd, output := b.process(test.args...)
		cmd.Args[0] = "/plugins/sut/helm-sut"
		cmd.Args = slices.DeleteFunc(cmd.Args, func(a string) bool {
			return strings.HasPrefix(a, "--helm=") || strings.HasPrefix(a, "--home=") && slices.Contains(test.args, "--user-home")
		})
		for _, name := range append(slices.Clone(homeVariables), "HELM_DRIVER", "HELM_DEBUG", "HELM_POST_RENDERER", "HELM_PLUGIN_DIR",
			"HELM_PLUGIN_NAME", "HELM_MAX_HISTORY", "HELM_QPS", "HELM_CANARY") {
			cmd.Env = append(cmd.Env, name+"="+filepath.Join(b.dir, "canary"))
		}
		cmd.Env = append(cmd.Env, "HELM_BIN="+b.fake.Binary, "HELM_NAMESPACE=of-helm", "HELM_KUBECONTEXT=context-of-helm", "KUBECONFIG="+kubeconfig,
			"HELM_KUBETOKEN=", "HELM_KUBEINSECURE_SKIP_TLS_VERIFY=false")
		require.NoError(t, cmd.Run(), "%q: %s", test.args, output)
		calls := b.fake.Calls()[before:]
		require.NotEmpty(t, calls, "%q", test.args)
		for _, c := range calls {
			var canaries []string
			for name, value := range c.Env {
				if strings.HasPrefix(name, "HELM_") && strings.Contains(value, "canary") {
					canaries = append(canaries, name)
				}
			}
			assert.ElementsMatch(t, test.canaries, canaries, "%q: helm %q", test.args, c.Args)
			if c.Command() == "list" || c.Command() == "install" {
				assert.Equal(t, []string{"of-helm", "context-of-helm", kubeconfig}, []string{c.Flag("--namespace"), c.Flag("--kube-context"), c.Flag("--kubeconfig")})
			}
		}
	}
}
