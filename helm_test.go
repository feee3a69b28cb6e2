package helmexec

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
)

func TestNewFindsTheBinary(t *testing.T) {
	fake := helmtest.New(t)
	dir := filepath.Dir(fake.Binary)
	notExecutable := filepath.Join(t.TempDir(), "helm")
	require.NoError(t, os.WriteFile(notExecutable, nil, 0o600))
	empty := t.TempDir()

	for _, test := range []struct {
		name, binary, path string
		says               []string // "" when it is found
	}{
		{"on PATH by default", "", dir, nil},
		{"on PATH by its name", "helm", empty + string(os.PathListSeparator) + dir, nil},
		{"at a path", fake.Binary, empty, nil},
		{"nowhere on PATH", "", empty, []string{`"helm"`, "on PATH=" + empty}},
		{"another name nowhere on PATH", "helm-9", dir, []string{`"helm-9"`, "on PATH=" + dir}},
		{"nothing at the path", empty + "/helm", dir, []string{empty + "/helm", "at that path"}},
		{"a file that cannot be executed", notExecutable, dir, []string{notExecutable + `" is not executable: permission denied`}},
		{"a folder", empty, dir, []string{empty + `" is not executable: is a directory`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("PATH", test.path)
			h, err := New(Config{Binary: test.binary, Home: t.TempDir()})
			if test.says == nil {
				require.NoError(t, err)
				assert.Equal(t, fake.Binary, h.binary)
				return
			}
			require.ErrorIs(t, err, ErrHelmNotFound)
			for _, part := range test.says {
				assert.ErrorContains(t, err, part)
			}
		})
	}
}

// A folder of the working directory's must not decide which helm runs later.
func TestNewKeepsTheBinaryItFound(t *testing.T) {
	fake := helmtest.New(t)
	t.Chdir(filepath.Dir(fake.Binary))
	h, err := New(Config{Binary: "./helm", Home: t.TempDir()})
	require.NoError(t, err)
	t.Chdir(t.TempDir())
	_, err = h.Version(t.Context())
	require.NoError(t, err)
}

func TestNewRefuses(t *testing.T) {
	fake := helmtest.New(t)
	for _, test := range []struct {
		name string
		cfg  Config
		says string
	}{
		{"negative MaxProcesses", Config{MaxProcesses: -1}, "MaxProcesses"},
		{"negative GracePeriod", Config{GracePeriod: -1}, "GracePeriod"},
		{"GracePeriod without a unit", Config{GracePeriod: 30}, "GracePeriod is 30ns: the least is 1ms; a number without a unit counts nanoseconds"},
		{"negative limit", Config{Limits: Limits{Cache: -1}}, "Limits"},
		{"limit without a unit", Config{Limits: Limits{RenderTime: 60}}, "Limits.RenderTime is 60ns"},
		{"a variable without a name", Config{PassEnv: []string{""}}, "PassEnv"},
		{"negative Tries", Config{Retry: Retry{Tries: -1}}, "Tries"},
		{"a namespace that is none", Config{Namespace: "Team_A"}, `"Team_A"`},
		{"a namespace that is a flag", Config{Namespace: "--debug"}, `"--debug"`},
		{"a kubeconfig that is not there", Config{Kubeconfig: "/no/such/file"}, "/no/such/file"},
		{"a context with a newline", Config{KubeContext: "a\nb"}, "control character"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.cfg.Binary, test.cfg.Home = fake.Binary, t.TempDir()
			_, err := New(test.cfg)
			require.ErrorIs(t, err, ErrInvalidArgument)
			assert.ErrorContains(t, err, test.says)
		})
	}
	assert.Empty(t, fake.Calls())
}

func TestDefaults(t *testing.T) {
	fake := helmtest.New(t)
	h, err := New(Config{Binary: fake.Binary, Home: t.TempDir()})
	require.NoError(t, err)
	assert.Equal(t, 30*time.Second, h.cfg.GracePeriod)
	assert.GreaterOrEqual(t, cap(h.slots), 64)
	assert.Equal(t, 3, h.cfg.Retry.Tries)
	assert.Equal(t, time.Second, h.cfg.Retry.BackOff().NextBackOff())
	assert.Empty(t, fake.Calls(), "New starts no process")
}

func TestHomeIsPrivate(t *testing.T) {
	home := filepath.Join(t.TempDir(), "a", "home")
	withFake(t, Config{Home: home})
	folders := 0
	require.NoError(t, filepath.WalkDir(home, func(path string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := d.Info()
		require.NoError(t, err)
		assert.Zero(t, info.Mode().Perm()&0o077, path)
		folders++
		return nil
	}))
	assert.Greater(t, folders, 1)
}

func TestHomeDefaultsToTheUsersCache(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	for _, home := range []string{"", UserHome} {
		h, err := New(Config{Binary: helmtest.New(t).Binary, Home: home})
		require.NoError(t, err)
		userCache, err := os.UserCacheDir()
		require.NoError(t, err)
		assert.Equal(t, filepath.Join(userCache, "helmexec"), h.home.Path())
	}
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("HOME", "")
	_, err := New(Config{Binary: helmtest.New(t).Binary})
	require.ErrorIs(t, err, ErrInvalidArgument)
	assert.ErrorContains(t, err, "set Home")
}

func TestVersion(t *testing.T) {
	for _, test := range []struct {
		name, printed string
		want          Version // zero when it is refused
		says          string
	}{
		{"the oldest Helm 3", "v3.14.0+g3fc9f4b", Version{3, 14, 0, "v3.14.0+g3fc9f4b"}, ""},
		{"Helm 3", "v3.22.0", Version{3, 22, 0, "v3.22.0"}, ""},
		{"Helm 3 without a patch", "v3.22", Version{3, 22, 0, "v3.22"}, ""},
		{"Helm 4", "v4.3.1", Version{4, 3, 1, "v4.3.1"}, ""},
		{"a warning before it", "WARNING: Kubernetes configuration file is group-readable\nv4.0.0+g99cd196", Version{4, 0, 0, "v4.0.0+g99cd196"}, ""},
		{"a candidate of a later version", "v4.4.0-rc.1", Version{4, 4, 0, "v4.4.0-rc.1"}, ""},
		{"Helm 2", "Client: v2.17.0+ga690bad", Version{}, "helm v2.17.0+ga690bad, but at least v3.14.0 or v4.0.0"},
		{"too old", "v3.13.3+gc8b9489", Version{}, "helm v3.13.3+gc8b9489, but at least v3.14.0 or v4.0.0"},
		{"a candidate of the oldest Helm 4", "v4.0.0-rc.1", Version{}, "helm v4.0.0-rc.1, but at least v3.14.0 or v4.0.0"},
		{"another program", "hello", Version{}, "prints no version"},
		{"nothing", "", Version{}, "prints no version"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, fake := withFake(t, Config{})
			fake.SetVersion(test.printed)
			v, err := h.Version(t.Context())
			if test.says == "" {
				require.NoError(t, err)
				assert.Equal(t, test.want, v)
				return
			}
			require.ErrorIs(t, err, ErrUnsupportedVersion)
			assert.ErrorContains(t, err, test.says)
			assert.ErrorContains(t, err, fake.Binary)
		})
	}
}

// Helm 2 prints its own version, then looks for its server and fails.
func TestVersionOfHelm2WithoutServer(t *testing.T) {
	h, fake := withFake(t, Config{})
	fake.On("version", helmtest.Reply{Stdout: "Client: v2.17.0+ga690bad\n", Stderr: "Error: could not find tiller\n", Exit: 1})
	_, err := h.Version(t.Context())
	require.ErrorIs(t, err, ErrUnsupportedVersion)
}

func TestVersionIsProbedOnce(t *testing.T) {
	h, fake := withFake(t, Config{})
	var all sync.WaitGroup
	for range 20 {
		all.Add(1)
		go func() {
			defer all.Done()
			_, err := h.Version(t.Context())
			assert.NoError(t, err)
		}()
	}
	all.Wait()
	assert.Len(t, fake.Calls("version"), 1)
}

func TestVersionProbeIsTriedAgainAfterAFailure(t *testing.T) {
	h, fake := withFake(t, Config{})
	fake.On("version", helmtest.Reply{Stderr: "cannot allocate memory\n", Exit: 2})
	_, err := h.Version(t.Context())
	require.ErrorContains(t, err, "cannot allocate memory")
	assert.NotErrorIs(t, err, ErrUnsupportedVersion)
	_, err = h.Version(t.Context())
	require.NoError(t, err)
}

// A caller whose context ends stops waiting, whoever else waits for the version.
func TestVersionLeavesWithItsContext(t *testing.T) {
	h, fake := withFake(t, Config{})
	hanging, end := make(chan struct{}), make(chan struct{})
	fake.On("version", helmtest.Reply{Stdout: "v4.3.1\n", Then: func() { close(hanging) }, Until: end})
	first := make(chan error)
	go func() {
		_, err := h.Version(t.Context())
		first <- err
	}()
	<-hanging
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := h.Version(ctx)
	require.ErrorIs(t, err, context.Canceled)
	close(end)
	require.NoError(t, <-first)
}

func TestCallerOptionsGoOverTheConfig(t *testing.T) {
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	other := kubeconfig + "-2"
	require.NoError(t, errors.Join(os.WriteFile(kubeconfig, nil, 0o600), os.WriteFile(other, nil, 0o600)))
	h, _ := withFake(t, Config{Namespace: "a", Kubeconfig: kubeconfig, KubeContext: "here"})

	got, err := h.target("", "", "")
	require.NoError(t, err)
	assert.Equal(t, []string{"--namespace=a", "--kubeconfig=" + kubeconfig, "--kube-context=here"}, got.flags())
	got, err = h.target("b", other, "there")
	require.NoError(t, err)
	assert.Equal(t, []string{"--namespace=b", "--kubeconfig=" + other, "--kube-context=there"}, got.flags())
	_, err = h.target("", "/no/such/file", "")
	require.ErrorIs(t, err, ErrInvalidArgument)
}

func TestZeroHelmPanics(t *testing.T) {
	assert.PanicsWithValue(t, "helmexec: this Helm was not made by New", func() { new(Helm).List(t.Context(), ListOptions{}) })
	assert.PanicsWithValue(t, "helmexec: this Helm was not made by New", func() { new(Helm).Version(t.Context()) })
}
