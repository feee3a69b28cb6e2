// Package fetch tests how charts are fetched, cached, shared and limited, with real Helm 3 and 4
// and real servers. It needs no cluster.
package fetch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/e2e/internal/guarded"
	"github.com/sut-bench/helmexec/e2e/internal/realhelm"
	"github.com/sut-bench/helmexec/internal/chartrepo"
	"github.com/sut-bench/helmexec/internal/tools"
)

func TestMain(m *testing.M) {
	if os.Getenv(callerVariable) != "" {
		os.Exit(call())
	}
	ctx, _ := guarded.UntilInterrupted()
	context.AfterFunc(ctx, func() { os.Exit(1) })
	code := m.Run()
	if err := realhelm.CheckMemory(800); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// bed is what a test of one Helm works with: its own home, and a count of helm processes.
type bed struct {
	realhelm.Bed
	ctx       context.Context
	h         *helmexec.Helm
	processes *counter
}

// onBothHelms runs a test on Helm 3 and on Helm 4.
func onBothHelms(t *testing.T, test func(b *bed)) {
	for _, name := range []string{"helm3", "helm4"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(newBed(t, name))
		})
	}
}

func newBed(t *testing.T, helm string) *bed {
	t.Helper()
	binary, err := tools.Path(helm)
	if errors.Is(err, tools.ErrNotBuilt) {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute) // ends what hangs
	t.Cleanup(cancel)
	b := &bed{Bed: realhelm.Bed{T: t}, ctx: ctx, processes: &counter{}}
	b.Must(err)
	b.Cfg = helmexec.Config{Binary: binary, Home: filepath.Join(t.TempDir(), "home"), Logger: slog.New(b.processes)}
	b.Cfg.Retry.Tries = 1
	b.h = b.NewHelm(nil)
	return b
}

// wantErr ends the test unless err is as expected.
func (b *bed) wantErr(err, want error) {
	b.Helper()
	if !errors.Is(err, want) {
		b.Fatalf("got %v, want %v", err, want)
	}
}

// wantProcesses checks which helm commands were started since its last call.
func (b *bed) wantProcesses(want ...string) {
	b.Helper()
	got := b.processes.take()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		b.Errorf("helm ran %q, want %q", got, want)
	}
}

// wantClean fails the test when files are left behind in the home's folder of temporary ones, or
// when others than the user can read what is in the home.
func (b *bed) wantClean() {
	b.Helper()
	left, err := os.ReadDir(filepath.Join(b.Cfg.Home, "tmp"))
	b.Must(err)
	for _, entry := range left {
		b.Errorf("left behind: tmp/%s", entry.Name())
	}
	b.Must(filepath.WalkDir(b.Cfg.Home, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			b.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	}))
}

// repository starts a repository with charts.
func (b *bed) repository(opts chartrepo.Options, charts ...chartrepo.Archive) *chartrepo.Server {
	b.Helper()
	repo, err := chartrepo.Start("", opts)
	b.Must(err)
	b.Cleanup(func() { _ = repo.Close() })
	b.Must(repo.Add(charts...))
	return repo
}

// chart is a small chart that says who made it.
func (b *bed) chart(name, version, maker string) chartrepo.Archive {
	b.Helper()
	archive, err := chartrepo.Package(map[string]string{
		"Chart.yaml":          fmt.Sprintf("apiVersion: v2\nname: %s\nversion: %q\ndescription: x\n", name, version),
		"values.yaml":         "maker: " + maker + "\nimage: nginx\n",
		"templates/pod.yaml":  "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {{ .Release.Name }}\nspec:\n  containers:\n  - name: c\n    image: {{ .Values.image }}\n",
		"templates/NOTES.txt": "made by {{ .Values.maker }}\n",
	})
	b.Must(err)
	return archive
}

// wantMaker fetches a chart and checks who made it.
func (b *bed) wantMaker(h *helmexec.Helm, address string, opts helmexec.ChartOptions, maker string) *helmexec.Chart {
	b.Helper()
	ch, err := h.Fetch(b.ctx, address, opts)
	if err != nil {
		b.Fatalf("%s: %v", address, err)
	}
	if ch.Values["maker"] != maker {
		b.Errorf("%s is made by %v, want %s", address, ch.Values["maker"], maker)
	}
	return ch
}

// counter is a log handler that remembers which helm commands ran.
type counter struct {
	mu       sync.Mutex
	commands []string
	total    atomic.Int64
	versions atomic.Int64 // how often helm was asked for its version, which is not in the others
}

func (c *counter) Enabled(context.Context, slog.Level) bool { return true }
func (c *counter) WithAttrs([]slog.Attr) slog.Handler       { return c }
func (c *counter) WithGroup(string) slog.Handler            { return c }

func (c *counter) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		args, ok := a.Value.Any().([]string)
		if a.Key != "args" || !ok {
			return true
		}
		if args[0] == "version" {
			c.versions.Add(1)
			return true
		}
		command := args[0]
		if len(args) > 1 && !strings.HasPrefix(args[1], "-") {
			command += " " + args[1]
		}
		c.mu.Lock()
		c.commands = append(c.commands, command)
		c.mu.Unlock()
		c.total.Add(1)
		return true
	})
	return nil
}

func (c *counter) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	took := c.commands
	c.commands = nil
	return took
}
