package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/helmtest"
	"github.com/sut-bench/helmexec/internal/chartrepo"
)

// The command uses what every program can use: of the library it imports public packages only.
func TestImports(t *testing.T) {
	const library, own = "github.com/sut-bench/helmexec", "github.com/sut-bench/helmexec/cmd/helmexec/"
	out, err := exec.Command("go", "list", "-f", `{{join .Imports "\n"}}`, "./...").Output()
	require.NoError(t, err)
	imports := strings.Fields(string(out))
	assert.Contains(t, imports, library)
	assert.Contains(t, imports, "github.com/spf13/cobra")
	for _, pkg := range imports {
		if strings.HasPrefix(pkg, library) && !strings.HasPrefix(pkg, own) {
			assert.NotContains(t, pkg+"/", "/internal/")
			assert.NotContains(t, pkg, "/helmtest")
		}
	}
}

// built is the command, with a home that has a cached chart, known/web:1.2.3, and a helm that must not start any more.
func built(b testing.TB) (run func(args ...string) *exec.Cmd, fake *helmtest.Fake) {
	dir := b.TempDir()
	binary := filepath.Join(dir, "helmexec.exe")
	out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput()
	require.NoError(b, err, "%s", out)
	fake = helmtest.New(b)
	home := filepath.Join(dir, "home")
	archive, err := chartrepo.PackageDir("internal/cli/testdata/web", "")
	require.NoError(b, err)
	fake.AddArchive("web-1.2.3.tgz", archive.Data)
	h, err := helmexec.New(helmexec.Config{Binary: fake.Binary, Home: home})
	require.NoError(b, err)
	_, err = h.AddRepo(b.Context(), "https://known.example/charts", helmexec.RepoOptions{Name: "known"})
	require.NoError(b, err)
	run = func(args ...string) *exec.Cmd {
		return exec.Command(binary, append(args, "--helm="+fake.Binary, "--home="+home)...)
	}
	for _, args := range [][]string{{"version"}, {"images", "known/web:1.2.3"}} {
		out, err := run(args...).CombinedOutput()
		require.NoError(b, err, "%s", out)
	}
	return run, fake
}

// What is asked often starts no helm.
func TestStartsNoHelm(t *testing.T) {
	run, fake := built(t)
	before := len(fake.Calls())
	for _, args := range [][]string{{"version"}, {"info", "known/web:1.2.3"}, {"values", "known/web:1.2.3"}, {"images", "known/web:1.2.3"}, {"gpus", "known/web:1.2.3"}} {
		out, err := run(args...).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	assert.Len(t, fake.Calls(), before)
}

// BenchmarkStart measures whole processes, each beside an empty program: the medians of how long it took, and of how much
// longer than the empty one, by the clock and in processor time.
func BenchmarkStart(b *testing.B) {
	run, _ := built(b)
	dir := b.TempDir()
	require.NoError(b, os.WriteFile(filepath.Join(dir, "main.go"), []byte("package main\n\nfunc main() {}\n"), 0o600))
	empty := filepath.Join(dir, "empty.exe")
	out, err := exec.Command("go", "build", "-o", empty, filepath.Join(dir, "main.go")).CombinedOutput()
	require.NoError(b, err, "%s", out)
	for _, args := range [][]string{{"version"}, {"images", "known/web:1.2.3"}} {
		b.Run(args[0], func(b *testing.B) {
			var whole, beyond, busy []time.Duration
			for b.Loop() {
				bare, bareBusy := took(b, exec.Command(empty))
				all, allBusy := took(b, run(args...))
				whole, beyond, busy = append(whole, all), append(beyond, all-bare), append(busy, allBusy-bareBusy)
			}
			for unit, all := range map[string][]time.Duration{"ms": whole, "ms-beyond-empty": beyond, "cpu-ms-beyond-empty": busy} {
				slices.Sort(all)
				b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, unit)
			}
		})
	}
}

func took(b *testing.B, cmd *exec.Cmd) (clock, busy time.Duration) {
	began := time.Now()
	require.NoError(b, cmd.Run())
	clock = time.Since(began)
	return clock, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}
