// Package e2e tests the public API with real Helm 3 and 4, a real API server, a chart repository
// and an OCI registry.
package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/e2e/cluster"
	"github.com/sut-bench/helmexec/e2e/internal/guarded"
	"github.com/sut-bench/helmexec/e2e/registry"
	"github.com/sut-bench/helmexec/internal/chartrepo"
	"github.com/sut-bench/helmexec/internal/tools"
)

const (
	chartsDir = "../testdata/charts"
	sutChart  = "./testdata/sut"
)

// world is what all behaviours share: each works in its own namespace of the one cluster.
type world struct {
	ctx      context.Context // ends with the test run, also when it is interrupted
	dir      string
	binaries map[string]string // by "helm3", "helm4"
	cluster  *cluster.Cluster
	repo     *chartrepo.Server // http://127.0.0.1:<port>/charts
	registry *registry.Registry
	oci      string // oci://127.0.0.1:<port>/charts
	archive  string // a chart on disk, packaged
}

var shared *world

func TestMain(m *testing.M) {
	flag.Parse()
	// Most tests wait for the cluster most of the time.
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = flag.Set("test.parallel", "8")
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	ctx, stop := guarded.UntilInterrupted()
	defer stop()
	w, err := newWorld(ctx)
	defer w.close()
	switch {
	case errors.Is(err, tools.ErrNotBuilt):
		fmt.Fprintln(os.Stderr, "end-to-end tests are skipped:", err)
	case err != nil:
		fmt.Fprintln(os.Stderr, "end-to-end tests cannot start:", err)
		return 1
	default:
		shared = w
	}
	return m.Run()
}

func newWorld(ctx context.Context) (*world, error) {
	w := &world{ctx: ctx, binaries: map[string]string{}}
	for _, name := range []string{"helm3", "helm4"} {
		path, err := tools.Path(name)
		if err != nil {
			return w, err
		}
		w.binaries[name] = path
	}
	if err := errors.Join(cluster.Available(), registry.Available()); err != nil {
		return w, err
	}
	var err error
	if w.dir, err = os.MkdirTemp("", "helmexec-e2e-"); err != nil {
		return w, err
	}
	if w.repo, err = chartrepo.Start("", chartrepo.Options{}); err != nil {
		return w, err
	}
	for _, dir := range []string{chartsDir, sutChart} {
		if err := w.repo.AddDir(dir); err != nil {
			return w, err
		}
	}
	if err := w.startRegistry(ctx); err != nil {
		return w, err
	}
	w.cluster, err = cluster.Start(ctx, cluster.Options{})
	return w, err
}

// startRegistry starts a registry that has the charts webapp and sut.
func (w *world) startRegistry(ctx context.Context) error {
	var err error
	if w.registry, err = registry.Start(ctx, registry.Options{}); err != nil {
		return err
	}
	w.oci = "oci://" + w.registry.Address + "/charts"
	for _, dir := range []string{chartsDir + "/webapp", sutChart} {
		packed, err := chartrepo.PackageDir(dir, "")
		if err != nil {
			return err
		}
		w.archive = filepath.Join(w.dir, packed.Filename())
		if err := os.WriteFile(w.archive, packed.Data, 0o600); err != nil {
			return err
		}
		push := exec.CommandContext(ctx, w.binaries["helm4"], "push", "--plain-http", w.archive, w.oci)
		push.Env = []string{"HOME=" + w.dir}
		if out, err := push.CombinedOutput(); err != nil {
			return fmt.Errorf("helm push: %w\n%s", err, out)
		}
	}
	return nil
}

func (w *world) close() {
	if w.cluster != nil {
		w.cluster.Stop()
	}
	if w.registry != nil {
		w.registry.Stop()
	}
	if w.repo != nil {
		_ = w.repo.Close()
	}
	_ = os.RemoveAll(w.dir)
}

// bed is what one behaviour of one Helm works with.
type bed struct {
	*testing.T
	*world
	ctx       context.Context
	helm      string // "helm3" or "helm4"
	cfg       helmexec.Config
	h         *helmexec.Helm
	namespace string
}

// How long something takes depends on the machine. These only end what hangs: a behaviour, and a helm that waits for
// what will happen.
const (
	tooLong = 10 * time.Minute
	patient = 5 * time.Minute
)

// newBed makes a namespace and a Helm for it.
func newBed(t *testing.T, helm string) *bed {
	ctx, cancel := context.WithTimeout(shared.ctx, tooLong)
	t.Cleanup(cancel)
	b := &bed{T: t, world: shared, ctx: ctx, helm: helm}
	name := t.Name()[strings.LastIndex(t.Name(), "/")+1:]
	b.namespace = helm + "-" + strings.ToLower(strings.NewReplacer("_", "-", ",", "", ":", "").Replace(name))
	b.cfg = helmexec.Config{
		Binary:     shared.binaries[helm],
		Home:       filepath.Join(shared.dir, helm),
		Kubeconfig: shared.cluster.Kubeconfig,
		Namespace:  b.namespace, GracePeriod: patient,
	}
	if testing.Verbose() {
		b.cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	b.h = b.newHelm(nil)
	b.must(shared.cluster.CreateNamespace(ctx, b.namespace))
	return b
}

// newHelm makes another Helm of the same version, with a changed configuration.
func (b *bed) newHelm(change func(*helmexec.Config)) *helmexec.Helm {
	b.Helper()
	cfg := b.cfg
	if change != nil {
		change(&cfg)
	}
	h, err := helmexec.New(cfg)
	b.must(err)
	return h
}

// other is the other Helm, on the same namespace.
func (b *bed) other() *helmexec.Helm {
	b.Helper()
	name := map[string]string{"helm3": "helm4", "helm4": "helm3"}[b.helm]
	return b.newHelm(func(cfg *helmexec.Config) {
		cfg.Binary, cfg.Home = b.binaries[name], filepath.Join(b.dir, name)
	})
}

func (b *bed) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// wantErr ends the test unless err is as wanted and says all of the texts.
func (b *bed) wantErr(err, want error, texts ...string) {
	b.Helper()
	if err == nil {
		b.Fatalf("got no error, want %v", want)
	}
	if want != nil && !errors.Is(err, want) {
		b.Errorf("got %v, want %v", err, want)
	}
	if missing := says(err, texts...); missing != nil {
		b.Error(missing)
	}
}

// says reports which of the texts is not in an error.
func says(err error, texts ...string) error {
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			return fmt.Errorf("the error does not say %q:\n%w", text, err)
		}
	}
	return nil
}

// growing tries with a longer timeout each time, until it was long enough: a cluster on a busy machine takes longer to
// show what is wrong with a release, and helm waits for all of its timeout.
func (b *bed) growing(timeout time.Duration, try func(timeout time.Duration) error) {
	b.Helper()
	for ; ; timeout *= 2 {
		switch err := try(timeout); {
		case err == nil:
			return
		case timeout > time.Minute:
			b.Fatal(err)
		}
	}
}
