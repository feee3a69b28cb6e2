package helmexec

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/sut-bench/helmexec/helmtest"
)

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
