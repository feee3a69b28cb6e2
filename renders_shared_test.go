package helmexec

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
	"github.com/sut-bench/helmexec/internal/binary"
)

// rendering is a fake whose renders can be shared, as withRenderer has it.
func rendering(t *testing.T) *helmtest.Fake {
	t.Helper()
	_, fake := withRenderer(t, Config{}, inspected)
	if binary.Identity(fake.Binary) == "" {
		t.Skip("no helm is remembered on " + runtime.GOOS)
	}
	return fake
}

// renders counts the renders of a new process that calls f.
func renders(t *testing.T, fake *helmtest.Fake, cfg Config, f func(h *Helm) error) int {
	t.Helper()
	before := len(fake.Calls("template"))
	require.NoError(t, f(drive(t, fake, cfg)))
	return len(fake.Calls("template")) - before
}

// readsImages reads the images of inspected.
func readsImages(t *testing.T, address string, opts TemplateOptions) func(h *Helm) error {
	return func(h *Helm) error {
		images, err := h.Chart2Images(t.Context(), address, opts, ImageOptions{})
		if err == nil && !slices.Equal(images, []string{"curlimages/curl:8.1.0", "nginx:1.27", "quay.io/example/log:v2"}) {
			err = fmt.Errorf("images %q", images)
		}
		return err
	}
}

func TestRendersAreShared(t *testing.T) {
	home := t.TempDir()
	fake := rendering(t)
	assert.Equal(t, 1, renders(t, fake, Config{Home: home}, readsImages(t, inspectedChart, TemplateOptions{})))
	before := len(fake.Calls())
	for name, call := range map[string]func(h *Helm) error{
		"Chart2Images": readsImages(t, inspectedChart, TemplateOptions{}),
		"Chart2GPUs": func(h *Helm) error {
			_, err := h.Chart2GPUs(t.Context(), inspectedChart, TemplateOptions{}, GPUOptions{})
			return err
		},
		"Inspect": func(h *Helm) error {
			got, err := h.Inspect(t.Context(), inspectedChart, InspectOptions{})
			assert.Equal(t, inspected, string(got.Manifest))
			assert.Equal(t, Values{"size": int64(1)}, got.Info.Values)
			clear(got.Manifest) // it is the caller's
			got, err2 := h.Inspect(t.Context(), inspectedChart, InspectOptions{})
			assert.Equal(t, inspected, string(got.Manifest))
			return errors.Join(err, err2)
		},
		"by the archive": func(h *Helm) error {
			info, err := h.Chart2Info(t.Context(), inspectedChart, ChartOptions{})
			assert.Equal(t, Values{"size": int64(1)}, info.Values)
			return errors.Join(err, readsImages(t, info.Archive, TemplateOptions{})(h))
		},
	} {
		assert.Zero(t, renders(t, fake, Config{Home: home}, call), name)
	}
	assert.Len(t, fake.Calls(), before, "nothing at all was started")

	files, err := dirNames(filepath.Join(home, "renders"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	info, err := os.Stat(filepath.Join(home, "renders", files[0]))
	require.NoError(t, err)
	if runtime.GOOS != "windows" {
		assert.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	}
}

// Whatever can change what a chart renders to makes another entry.
func TestWhatARenderDependsOn(t *testing.T) {
	keep := func(m Manifest) (Manifest, error) { return m, nil }
	archive := filepath.Join(t.TempDir(), "demo-1.0.0.tgz")
	require.NoError(t, os.WriteFile(archive, packed(t, chartFolder(t, "demo", "1.0.0")), 0o600))
	for _, test := range []struct {
		name    string
		address string
		opts    TemplateOptions
		cfg     Config
		again   int // renders of two new processes
	}{
		{"nothing else", inspectedChart, TemplateOptions{}, Config{}, 0},
		{"the default spelled out", inspectedChart, TemplateOptions{KubeVersion: DefaultKubeVersion}, Config{}, 0},
		{"another version", "oci://registry.example/charts/demo:2.0.0", TemplateOptions{}, Config{}, 1},
		{"a value", inspectedChart, TemplateOptions{Values: Values{"size": 2}}, Config{}, 1},
		{"a release name", inspectedChart, TemplateOptions{ReleaseName: "other"}, Config{}, 1},
		{"a namespace", inspectedChart, TemplateOptions{Namespace: "other"}, Config{}, 1},
		{"a configured namespace", inspectedChart, TemplateOptions{}, Config{Namespace: "other"}, 1},
		{"a Kubernetes version", inspectedChart, TemplateOptions{KubeVersion: "v1.30.0"}, Config{}, 1},
		{"an API", inspectedChart, TemplateOptions{APIVersions: []string{"a.example/v1"}}, Config{}, 1},
		{"with CRDs", inspectedChart, TemplateOptions{IncludeCRDs: true}, Config{}, 1},
		{"without tests", inspectedChart, TemplateOptions{SkipTests: true}, Config{}, 1},
		{"without a schema", inspectedChart, TemplateOptions{SkipSchema: true}, Config{}, 1},
		{"a flag", inspectedChart, TemplateOptions{ExtraArgs: []string{"--show-only=templates/a.yaml"}}, Config{}, 1},
		{"a time zone", inspectedChart, TemplateOptions{}, Config{Env: map[string]string{"TZ": "Asia/Tokyo"}}, 1},
		{"a variable of helm", inspectedChart, TemplateOptions{}, Config{Env: map[string]string{"HELM_NAMESPACE": "other"}}, 1},
		{"a variable of no meaning", inspectedChart, TemplateOptions{}, Config{Env: map[string]string{"TMPDIR": os.TempDir()}}, 0},
		{"limits", inspectedChart, TemplateOptions{}, Config{Limits: Limits{RenderTime: time.Hour, RenderMemory: 1 << 31}}, 0},
		{"a limit that the manifest exceeds", inspectedChart, TemplateOptions{}, Config{Limits: Limits{RenderOutput: int64(len(inspected))}}, 0},

		{"from the cluster", inspectedChart, TemplateOptions{FromCluster: true}, Config{}, 2},
		{"a transform", inspectedChart, TemplateOptions{Transform: keep}, Config{}, 2},
		{"a name server", inspectedChart, TemplateOptions{ExtraArgs: []string{"--enable-dns=true"}}, Config{}, 2},
		{"a kubeconfig that may name the namespace", inspectedChart, TemplateOptions{}, Config{Env: map[string]string{"HOME": t.TempDir()}}, 2},
		{"a folder", chartFolder(t, "demo", "1.0.0"), TemplateOptions{}, Config{}, 2},
		{"an archive of the caller", archive, TemplateOptions{}, Config{}, 2},
		{"switched off", inspectedChart, TemplateOptions{}, Config{KeepRenders: -1}, 2},
		{"nothing remembered at all", inspectedChart, TemplateOptions{}, Config{RememberRenders: -1}, 2},
		{"larger than all that may be kept", inspectedChart, TemplateOptions{}, Config{KeepRenders: 100}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			fake := rendering(t)
			test.cfg.Home = t.TempDir()
			if test.cfg.KeepRenders == 0 && test.cfg.RememberRenders == 0 {
				require.Equal(t, 1, renders(t, fake, Config{Home: test.cfg.Home}, readsImages(t, inspectedChart, TemplateOptions{})))
			}
			again := 0
			for range 2 {
				again += renders(t, fake, test.cfg, readsImages(t, test.address, test.opts))
			}
			assert.Equal(t, test.again, again)
			if test.cfg.KeepRenders < 0 || test.cfg.RememberRenders < 0 {
				assert.NoDirExists(t, filepath.Join(test.cfg.Home, "renders"))
			}
		})
	}
}

// A manifest that is in the home does not get around a limit.
func TestSharedRenderOverTheLimit(t *testing.T) {
	fake, home := rendering(t), t.TempDir()
	require.Equal(t, 1, renders(t, fake, Config{Home: home}, readsImages(t, inspectedChart, TemplateOptions{})))
	h := drive(t, fake, Config{Home: home, Limits: Limits{RenderOutput: int64(len(inspected)) - 1}})
	require.ErrorIs(t, readsImages(t, inspectedChart, TemplateOptions{})(h), ErrRenderTooLarge)
}

// Another helm renders for itself, also if it took the place of the first while a process lives.
func TestRendersOfAnotherHelm(t *testing.T) {
	fake, home := rendering(t), t.TempDir()
	images := readsImages(t, inspectedChart, TemplateOptions{})
	require.Equal(t, 1, renders(t, fake, Config{Home: home}, images))
	fake.SetVersion("v4.4.0")
	assert.Equal(t, 1, renders(t, fake, Config{Home: home}, images))
	assert.Zero(t, renders(t, fake, Config{Home: home}, images))

	h := drive(t, fake, Config{Home: home})
	_, err := h.Version(t.Context())
	require.NoError(t, err)
	fake.SetVersion("v4.5.0")
	other := readsImages(t, inspectedChart, TemplateOptions{ReleaseName: "other"})
	require.NoError(t, other(h))
	fake.SetVersion("v4.4.0")
	assert.Equal(t, 1, renders(t, fake, Config{Home: home}, other), "nothing of v4.5.0 was kept as v4.4.0's")
}

func TestFailedRenderIsNotShared(t *testing.T) {
	fake, home := rendering(t), t.TempDir()
	fake.On("template", helmtest.Reply{Stdout: inspected, Stderr: "Error: no\n", Exit: 1})
	require.Error(t, readsImages(t, inspectedChart, TemplateOptions{})(drive(t, fake, Config{Home: home})))
	assert.Equal(t, 1, renders(t, fake, Config{Home: home}, readsImages(t, inspectedChart, TemplateOptions{})))
}

func TestSpoiltRenders(t *testing.T) {
	for name, text := range map[string]string{"empty": "", "a manifest": inspected, "half": inspected[:100]} {
		t.Run(name, func(t *testing.T) {
			fake, home := rendering(t), t.TempDir()
			images := readsImages(t, inspectedChart, TemplateOptions{})
			require.Equal(t, 1, renders(t, fake, Config{Home: home}, images))
			for _, dir := range []string{"renders", "described"} {
				require.NoError(t, spoilt(filepath.Join(home, dir), []byte(text)))
			}
			assert.Equal(t, 1, renders(t, fake, Config{Home: home}, images))
			assert.Zero(t, renders(t, fake, Config{Home: home}, images))
		})
	}
}

// What is applied is rendered for it: a password that a chart makes up must not be the same for two jobs.
func TestPlansAndTemplatesAreNotShared(t *testing.T) {
	fake, home := rendering(t), t.TempDir()
	fake.Handle("template", func(c helmtest.Call) helmtest.Reply {
		if c.Arg(0) == anyRelease {
			return helmtest.Reply{Stdout: inspected}
		}
		return fake.Perform(c) // a question to the cluster
	})
	_, err := drive(t, fake, Config{Home: home}).Chart2Info(t.Context(), inspectedChart, ChartOptions{})
	require.NoError(t, err)
	for name, call := range map[string]func(h *Helm) error{
		"Template": func(h *Helm) error {
			_, err := h.Template(t.Context(), inspectedChart, TemplateOptions{})
			return err
		},
		"Plan": func(h *Helm) error {
			_, err := h.Plan(t.Context(), "web", inspectedChart, PlanOptions{})
			return err
		},
	} {
		for range 2 { // before there is anything to read, and after
			before := len(fake.Calls())
			require.NoError(t, call(drive(t, fake, Config{Home: home})), name)
			assert.Greater(t, len(fake.Calls()), before, name)
			before = len(fake.Calls())
			require.NoError(t, call(drive(t, fake, Config{Home: home})), name)
			assert.Greater(t, len(fake.Calls()), before, name)
		}
	}
	assert.NoDirExists(t, filepath.Join(home, "renders"), "and they write nothing")
	require.Equal(t, 1, renders(t, fake, Config{Home: home}, readsImages(t, inspectedChart, TemplateOptions{})))
	assert.Equal(t, 1, renders(t, fake, Config{Home: home}, func(h *Helm) error {
		_, err := h.Template(t.Context(), inspectedChart, TemplateOptions{})
		return err
	}))
}

// Where nothing can be kept, and no lock can be taken, everything works as without.
func TestNothingCanBeKept(t *testing.T) {
	fake, home := rendering(t), t.TempDir()
	h := drive(t, fake, Config{Home: home})
	_, err := h.Chart2Info(t.Context(), inspectedChart, ChartOptions{})
	require.NoError(t, err)
	for _, name := range []string{"versions", "renders", "described", "locks"} {
		require.NoError(t, errors.Join(os.RemoveAll(filepath.Join(home, name)), os.WriteFile(filepath.Join(home, name), nil, 0o600)))
	}
	for range 2 {
		require.NoError(t, readsImages(t, inspectedChart, TemplateOptions{})(h))
	}
	assert.Len(t, fake.Calls("template"), 1, "the memory of the process still works")
}

// A home that others can change is not read.
func TestOpenHomeIsNotRead(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes mean nothing")
	}
	fake, dir := rendering(t), t.TempDir()
	require.NoError(t, errors.Join(os.Chmod(dir, 0o755), os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(filepath.Dir(filepath.Dir(dir)), 0o755)))
	home := filepath.Join(dir, "home")
	images := readsImages(t, inspectedChart, TemplateOptions{})
	require.Equal(t, 1, renders(t, fake, Config{Home: home}, images))
	h := drive(t, fake, Config{Home: home})
	require.NoError(t, os.Chmod(home, 0o777))
	require.ErrorIs(t, images(h), ErrInvalidArgument)
	require.NoError(t, os.Chmod(home, 0o700))
}
