package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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

func TestWhatMayRun(t *testing.T) {
	const gpus = ", resources: {limits: {nvidia.com/gpu: 4}}"
	for _, test := range []struct {
		name     string
		template string
		job      job
		installs bool
	}{
		{"a pod", pod + "}]}", job{}, true},
		{"a privileged pod", pod + ", securityContext: {privileged: true}}]}", job{}, false},
		{"a privileged pod that is trusted", pod + ", securityContext: {privileged: true}}]}", job{trusted: true}, true},
		{"an image from elsewhere", pod + "}]}", job{registries: []string{"other.example"}}, false},
		{"an image from there", pod + "}]}", job{registries: []string{"other.example", "registry.example"}}, true},
		{"GPUs and no node that has some", pod + gpus + "}]}", job{}, false},
		{"GPUs that a node has", pod + gpus + "}]}", job{nodes: []map[string]int64{{"nvidia.com/gpu": 8}}}, true},
		{"GPUs that only two nodes have together", pod + gpus + "}]}", job{nodes: []map[string]int64{{"nvidia.com/gpu": 2}, {"nvidia.com/gpu": 2}}}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			fake := helmtest.New(t)
			j := test.job
			j.stdout, j.id, j.attempt, j.plans = t.Output(), "42", "1", t.TempDir()
			err := run(t.Context(), helmexec.Config{Binary: fake.Binary, Home: t.TempDir()}, &j, []string{chartOf(t, test.template)})
			if test.installs {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, errRefused)
			}
			assert.Equal(t, test.installs, len(fake.Calls("install")) == 1)
			assert.Len(t, fake.Calls("dry-run install"), 1, "what is looked at is what is installed")
			left, err := os.ReadDir(j.plans)
			require.NoError(t, err)
			assert.Empty(t, left)
		})
	}
}

// errAny stands for an error of helm that has no kind.
var errAny = errors.New("an error of helm")

// What goes wrong outside of the runner: the job ends as it should, and nothing of it stays.
func TestWhatGoesWrong(t *testing.T) {
	const sut = "job-42-sut-web"
	for _, test := range []struct {
		name  string
		play  func(*helmtest.Fake)
		want  error    // nil if the job ends well
		steps []string // what is started
		left  bool     // a release of that name
	}{
		{"nothing", func(*helmtest.Fake) {}, nil, []string{"plan", "apply", "uninstall"}, false},
		{"helm's answer is lost", (*helmtest.Fake).LoseAnswer, nil, []string{"plan", "apply", "uninstall"}, false},
		{"helm is killed", (*helmtest.Fake).KilledHalfWay, nil, []string{"plan", "apply", "uninstall", "apply", "uninstall"}, false},
		{"the SUT never gets ready", func(f *helmtest.Fake) { f.Hangs() }, helmexec.ErrNotReady, []string{"plan", "apply", "uninstall"}, false},
		{"the SUT needs time", func(f *helmtest.Fake) { f.Recovers(1) }, nil, []string{"plan", "apply", "uninstall"}, false},
		{"its image cannot be pulled", func(f *helmtest.Fake) { f.Hangs(helmtest.Blocker{Reason: "ImagePullBackOff"}) }, helmexec.ErrNotReady, []string{"plan", "apply", "uninstall"}, false},
		{"its image is pulled at the second try", func(f *helmtest.Fake) { f.Recovers(2, helmtest.Blocker{Reason: "ImagePullBackOff", FailedPulls: 1}) }, nil, []string{"plan", "apply", "uninstall"}, false},
		{"a quota has no room for it", func(f *helmtest.Fake) { f.Refuses(helmtest.Quota) }, errAny, []string{"plan", "apply", "uninstall"}, false},
		{"the name is another job's", func(f *helmtest.Fake) { f.NameTaken("41") }, helmexec.ErrReleaseExists, []string{"plan", "apply"}, true},
		{"the namespace is gone", (*helmtest.Fake).NamespaceMissing, helmexec.ErrNamespaceNotFound, []string{"plan", "apply"}, false},
		{"objects of the SUT stay", func(f *helmtest.Fake) { f.LeavesBehind() }, helmexec.ErrNotGone, []string{"plan", "apply", "uninstall"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			fake := helmtest.New(t)
			test.play(fake)
			j := job{stdout: t.Output(), id: "42", attempt: "1", plans: t.TempDir(), rules: rules(time.Millisecond), interval: time.Millisecond}
			cfg := helmexec.Config{Binary: fake.Binary, Home: t.TempDir(), Retry: helmexec.Retry{BackOff: func() backoff.BackOff { return &backoff.ZeroBackOff{} }}}
			err := run(t.Context(), cfg, &j, []string{chartOf(t, pod+"}]}")})
			if test.want == errAny {
				assert.ErrorAs(t, err, new(*helmexec.Error))
			} else {
				assert.ErrorIs(t, err, test.want)
			}
			var steps []string
			for _, step := range test.steps {
				steps = append(steps, step+" "+sut)
			}
			assert.Equal(t, steps, fake.Steps())
			_, left := fake.Release("", sut)
			assert.Equal(t, test.left, left)
		})
	}
}

// With a keyring nothing is installed that nobody has signed.
func TestSignatures(t *testing.T) {
	for _, test := range []struct {
		name     string
		play     func(*helmtest.Fake)
		installs bool
	}{
		{"signed", func(*helmtest.Fake) {}, true},
		{"without a signature", func(f *helmtest.Fake) { f.Unverified(helmtest.NoSignature) }, false},
		{"signed by a stranger", func(f *helmtest.Fake) { f.Unverified(helmtest.UnknownKey) }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			fake := helmtest.New(t)
			fake.AddChart(chartOf(t, pod+"}]}"))
			test.play(fake)
			j := job{stdout: t.Output(), id: "42", attempt: "1", plans: t.TempDir()}
			err := run(t.Context(), helmexec.Config{Binary: fake.Binary, Home: t.TempDir(), Keyring: fake.Keyring()}, &j, []string{"oci://registry.example/suts/web:1.2.3"})
			assert.Equal(t, test.installs, err == nil, "%v", err)
			assert.Equal(t, test.installs, len(fake.Steps()) > 0)
		})
	}
}

// A runner that is started again takes what the one before it installed, also if the chart renders to something else now.
func TestRestart(t *testing.T) {
	for _, test := range []struct {
		name  string
		kill  func(fake *helmtest.Fake, release string)
		steps []string
	}{
		{"when the SUT was ready", func(*helmtest.Fake, string) {}, []string{"plan", "apply", "apply", "uninstall"}},
		{"while helm worked", func(f *helmtest.Fake, release string) { f.KillRunner("", release) }, []string{"plan", "apply", "apply", "uninstall", "apply", "uninstall"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			fake := helmtest.New(t)
			cfg := helmexec.Config{Binary: fake.Binary, Home: t.TempDir(), Retry: helmexec.Retry{BackOff: func() backoff.BackOff { return &backoff.ZeroBackOff{} }}}
			chart, plans := chartOf(t, pod+"}]}"), t.TempDir()
			killed := job{id: "42", attempt: "1", plans: plans}
			var err error
			killed.helm, err = helmexec.New(cfg)
			require.NoError(t, err)
			release := helmexec.SUTHelmName("42", "web")
			p, err := killed.plan(t.Context(), release, chart)
			require.NoError(t, err)
			require.NoError(t, p.Save(killed.file(release)))
			_, err = killed.helm.Apply(context.Background(), p, helmexec.ApplyOptions{OperationID: "42/1", JobID: "42"})
			require.NoError(t, err)
			test.kill(fake, release)

			template := filepath.Join(chart, "templates", "pod.yaml")
			require.NoError(t, os.WriteFile(template, []byte(pod+", args: [other]}]}"), 0o600))
			require.NoError(t, run(t.Context(), cfg, &job{stdout: t.Output(), id: "42", attempt: "1", plans: plans}, []string{chart}))
			var steps []string
			for _, step := range test.steps {
				steps = append(steps, step+" "+release)
			}
			assert.Equal(t, steps, fake.Steps())
			_, there := fake.Release("", release)
			assert.False(t, there)
			left, err := os.ReadDir(plans)
			require.NoError(t, err)
			assert.Empty(t, left)
		})
	}
}

func TestNoHelm(t *testing.T) {
	err := run(t.Context(), helmexec.Config{Binary: filepath.Join(t.TempDir(), "helm"), Home: t.TempDir()}, &job{stdout: t.Output()}, []string{"./web"})
	require.ErrorIs(t, err, helmexec.ErrHelmNotFound)
	assert.ErrorContains(t, err, "the flag -helm")
}

func TestParseNode(t *testing.T) {
	node, err := parseNode("nvidia.com/gpu=8,amd.com/gpu=2")
	require.NoError(t, err)
	assert.Equal(t, map[string]int64{"nvidia.com/gpu": 8, "amd.com/gpu": 2}, node)
	for _, bad := range []string{"", "nvidia.com/gpu", "=8", "nvidia.com/gpu=-1", "nvidia.com/gpu=many"} {
		_, err := parseNode(bad)
		assert.Error(t, err, bad)
	}
}
