package helmexec

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/sut-bench/helmexec/helmtest"
	"github.com/sut-bench/helmexec/internal/binary"
	"github.com/sut-bench/helmexec/internal/home"
)

// ofFile makes a fake whose file can be remembered.
func ofFile(t *testing.T) *helmtest.Fake {
	t.Helper()
	fake := helmtest.New(t)
	if binary.Identity(fake.Binary) == "" {
		t.Skip("no helm is remembered on " + runtime.GOOS)
	}
	return fake
}

// asks reports how many helms a new process starts that wants to know the version, and the version.
func asks(t *testing.T, fake *helmtest.Fake, cfg Config) (processes int, version string) {
	t.Helper()
	before := len(fake.Calls("version"))
	v, err := drive(t, fake, cfg).Version(t.Context())
	require.NoError(t, err)
	return len(fake.Calls("version")) - before, v.Text
}

func TestVersionIsRemembered(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(fake *helmtest.Fake, home string) error
		again  int
	}{
		{"nothing", func(*helmtest.Fake, string) error { return nil }, 0},
		{"another version in place", func(fake *helmtest.Fake, _ string) error { fake.SetVersion("v4.4.0"); return nil }, 1},
		{"another file under the name", func(fake *helmtest.Fake, _ string) error { return replaced(fake.Binary) }, 1},
		{"a spoilt entry", func(_ *helmtest.Fake, home string) error {
			return spoilt(filepath.Join(home, "versions"), []byte("v9.9.9"))
		}, 1},
		{"a cut entry", func(_ *helmtest.Fake, home string) error { return spoilt(filepath.Join(home, "versions"), nil) }, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			fake, home := ofFile(t), t.TempDir()
			fake.SetVersion("v4.3.2")
			n, version := asks(t, fake, Config{Home: home})
			assert.Equal(t, "1 v4.3.2", fmt.Sprint(n, " ", version))
			require.NoError(t, test.change(fake, home))
			n, version = asks(t, fake, Config{Home: home})
			assert.Equal(t, test.again, n)
			assert.Equal(t, map[bool]string{false: "v4.3.2", true: "v4.4.0"}[test.name == "another version in place"], version)
			n, _ = asks(t, fake, Config{Home: home})
			assert.Zero(t, n, "it is remembered again")
		})
	}
}

// replaced puts a copy of a file in its place.
func replaced(file string) error {
	return errors.Join(home.CopyFile(file, file+".new"), os.Chmod(file+".new", 0o700), os.Rename(file+".new", file))
}

// spoilt writes a text over all files of a folder.
func spoilt(dir string, text []byte) error {
	names, err := dirNames(dir)
	if len(names) == 0 {
		err = errors.Join(err, errors.New("nothing to spoil in "+dir))
	}
	for _, name := range names {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	return err
}

// What is remembered passes the same checks as an answer.
func TestRememberedVersionIsChecked(t *testing.T) {
	fake, home := ofFile(t), t.TempDir()
	fake.SetVersion("v4.0.1")
	n, _ := asks(t, fake, Config{Home: home})
	assert.Equal(t, 1, n)
	_, err := drive(t, fake, Config{Home: home, MinVersion: "v4.1.4"}).Version(t.Context())
	require.ErrorIs(t, err, ErrUnsupportedVersion)
	_, err = drive(t, fake, Config{Home: home, MinVersion: "v4.1.4"}).GetManifest(t.Context(), "web", GetOptions{})
	require.ErrorIs(t, err, ErrUnsupportedVersion)
	assert.Len(t, fake.Calls(), 1)

	fake.SetVersion("v3.13.0")
	for range 2 {
		_, err := drive(t, fake, Config{Home: home}).Version(t.Context())
		require.ErrorIs(t, err, ErrUnsupportedVersion)
	}
	assert.Len(t, fake.Calls(), 2, "that it is too old is remembered as well")
}

func TestTwoHelmsOnOneHome(t *testing.T) {
	home := t.TempDir()
	three, four := ofFile(t), helmtest.New(t)
	require.NoError(t, replaced(three.Binary)) // fakes are one file otherwise
	require.NoError(t, replaced(four.Binary))
	three.SetVersion("v3.22.0")
	link := filepath.Join(t.TempDir(), "helm")
	for i := range 2 {
		for _, fake := range []*helmtest.Fake{three, four} {
			n, version := asks(t, fake, Config{Home: home})
			assert.Equal(t, 1-i, n)
			assert.Equal(t, map[bool]string{true: "v3.22.0", false: "v4.3.1"}[fake == three], version)
			// A link that moves from one to the other.
			_ = os.Remove(link)
			require.NoError(t, os.Symlink(fake.Binary, link))
			h, err := New(Config{Binary: link, Home: home})
			require.NoError(t, err)
			v, err := h.Version(t.Context())
			require.NoError(t, err)
			assert.Equal(t, version, v.Text)
		}
	}
	assert.Len(t, slices.Concat(three.Calls(), four.Calls()), 2)
}

// What may start another helm each time is asked by each process.
func TestScriptIsNotRemembered(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no scripts")
	}
	fake, home := ofFile(t), t.TempDir()
	script := filepath.Join(t.TempDir(), "helm")
	require.NoError(t, os.WriteFile(script, []byte("#!/bin/sh\nexec "+fake.Binary+" \"$@\"\n"), 0o700))
	for range 2 {
		h, err := New(Config{Binary: script, Home: home})
		require.NoError(t, err)
		_, err = h.Version(t.Context())
		require.NoError(t, err)
	}
	assert.Len(t, fake.Calls("version"), 2)
	assert.NoDirExists(t, filepath.Join(home, "versions"))
}

// Nobody knows which file has answered if it was replaced meanwhile.
func TestReplacedWhileItAnswers(t *testing.T) {
	fake, home := ofFile(t), t.TempDir()
	fake.On("version", helmtest.Reply{Stdout: "v4.3.0\n", Then: func() { assert.NoError(t, replaced(fake.Binary)) }})
	n, version := asks(t, fake, Config{Home: home})
	assert.Equal(t, "1 v4.3.0", fmt.Sprint(n, " ", version))
	assert.NoDirExists(t, filepath.Join(home, "versions"))
	n, version = asks(t, fake, Config{Home: home})
	assert.Equal(t, "1 v4.3.1", fmt.Sprint(n, " ", version))
}

// A helm that prints its version and fails is believed, but not for ever.
func TestFailedAnswerIsNotRemembered(t *testing.T) {
	fake, home := ofFile(t), t.TempDir()
	fake.On("version", helmtest.Reply{Stdout: "v4.3.0\n", Exit: 1})
	for range 2 {
		n, _ := asks(t, fake, Config{Home: home})
		assert.Equal(t, 1, n)
	}
}

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

// jobVariable makes this test binary a process of one job, and has what it needs in JSON.
const jobVariable = "HELMEXEC_TEST_JOB"

type oneJob struct{ Binary, Home string }

func TestMain(m *testing.M) {
	text := os.Getenv(jobVariable)
	if text == "" {
		os.Exit(m.Run())
	}
	var j oneJob
	err := json.Unmarshal([]byte(text), &j)
	if err == nil {
		var h *Helm
		if h, err = New(Config{Binary: j.Binary, Home: j.Home}); err == nil {
			_, err = h.Chart2Images(context.Background(), inspectedChart, TemplateOptions{}, ImageOptions{})
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// job is a process of its own, which reads images.
func job(t *testing.T, fake *helmtest.Fake, home string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	text, err := json.Marshal(oneJob{fake.Binary, home})
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), jobVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	return cmd
}

// Processes that want the same render at the same time start one helm.
func TestProcessesShareARender(t *testing.T) {
	fake, home := rendering(t), t.TempDir()
	_, err := drive(t, fake, Config{Home: home}).Version(t.Context()) // so that they come to the render together
	require.NoError(t, err)
	fake.On("template", helmtest.Reply{Stdout: inspected, Spin: time.Second})
	var all errgroup.Group
	for range 6 {
		all.Go(job(t, fake, home).Run)
	}
	require.NoError(t, all.Wait())
	assert.Len(t, fake.Calls("template"), 1)
	assert.Len(t, fake.Calls("pull"), 1)
	left, err := dirNames(filepath.Join(home, "locks"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

// A process that is killed while it renders does not keep others from it, and one whose context ends stops waiting.
func TestKilledWhileItRenders(t *testing.T) {
	fake, home := rendering(t), t.TempDir()
	_, err := drive(t, fake, Config{Home: home}).Chart2Info(t.Context(), inspectedChart, ChartOptions{})
	require.NoError(t, err)
	hanging, end := make(chan struct{}), make(chan struct{})
	fake.On("template", helmtest.Reply{Stdout: inspected, Then: func() { close(hanging) }, Until: end})
	first := job(t, fake, home)
	require.NoError(t, first.Start())
	<-hanging

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = drive(t, fake, Config{Home: home}).Chart2Images(ctx, inspectedChart, TemplateOptions{}, ImageOptions{})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Len(t, fake.Calls("template"), 1, "it waits for the other")

	require.NoError(t, first.Process.Kill())
	_ = first.Wait()
	close(end)
	answers(t, func() {
		assert.Equal(t, 1, renders(t, fake, Config{Home: home}, readsImages(t, inspectedChart, TemplateOptions{})))
	})
}

// The values of a chart are the same whether it was read or looked up.
func TestDescribedCharts(t *testing.T) {
	fake := helmtest.New(t)
	folder := chartFolder(t, "odd", "1.0.0")
	values := "a: 1\nb: 1.5\nc: 18446744073709551615\nd: 1e30\ne: {}\nf: []\ng: null\nh: \"1\"\ni: \"<&\u2028>\"\nj: [1, {k: -0.0}]\n"
	require.NoError(t, os.WriteFile(filepath.Join(folder, "values.yaml"), []byte(values), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "values.schema.json"), []byte(`{"type": "object"}`), 0o600))
	fake.AddArchive("odd-1.0.0.tgz", packed(t, folder))
	home := t.TempDir()
	var all []*Chart
	for range 2 {
		ch, err := drive(t, fake, Config{Home: home}).Fetch(t.Context(), "oci://registry.example/charts/odd:1.0.0", ChartOptions{})
		require.NoError(t, err)
		all = append(all, ch)
	}
	assert.Equal(t, all[0], all[1])
	assert.Len(t, fake.Calls("pull"), 1)
	files, err := dirNames(filepath.Join(home, "described"))
	require.NoError(t, err)
	assert.Len(t, files, 1)

	// An archive that changed in the cache is pulled again, whatever is known under its name.
	require.NoError(t, os.WriteFile(all[0].Path, []byte(strings.Repeat("x", 100)), 0o600))
	ch, err := drive(t, fake, Config{Home: home}).Fetch(t.Context(), "oci://registry.example/charts/odd:1.0.0", ChartOptions{})
	require.NoError(t, err)
	assert.Equal(t, all[0], ch)
	assert.Len(t, fake.Calls("pull"), 2)

	// Images of a remembered render need no archive; a new render does.
	images := func(size int) error {
		_, err := drive(t, fake, Config{Home: home}).Chart2Images(t.Context(), "oci://registry.example/charts/odd:1.0.0",
			TemplateOptions{Values: Values{"size": size}}, ImageOptions{})
		return err
	}
	require.NoError(t, images(1))
	require.NoError(t, os.WriteFile(all[0].Path, []byte("x"), 0o600))
	require.NoError(t, images(1))
	assert.Len(t, fake.Calls("pull"), 2)
	require.NoError(t, images(2))
	assert.Len(t, fake.Calls("pull"), 3)
	assert.Len(t, fake.Calls("template"), 2)
}
