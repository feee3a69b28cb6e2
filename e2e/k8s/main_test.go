// Package k8s tries examples/fleet/k8s on a local cluster.
package k8s

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sut-bench/helmexec/e2e/cluster"
	"github.com/sut-bench/helmexec/e2e/internal/guarded"
	"github.com/sut-bench/helmexec/internal/tools"
)

const (
	manifests = "../../examples/fleet/k8s"
	every     = "testdata/every"
	sut       = "../testdata/sut"
)

// world is what all tests share.
type world struct {
	ctx      context.Context // ends with the test run, also when it is interrupted
	dir      string
	binaries map[string]string // by "helm3", "helm4"
	command  string            // the built helmexec
	cluster  *cluster.Cluster
	runner   string // a kubeconfig of the ServiceAccount of the runners
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
		fmt.Fprintln(os.Stderr, "tests of examples/fleet/k8s are skipped:", err)
	case err != nil:
		fmt.Fprintln(os.Stderr, "tests of examples/fleet/k8s cannot start:", err)
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
	if err := cluster.Available(); err != nil {
		return w, err
	}
	var err error
	if w.dir, err = os.MkdirTemp("", "helmexec-k8s-"); err != nil {
		return w, err
	}
	w.command = filepath.Join(w.dir, "helmexec")
	build := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", w.command, "./cmd/helmexec")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		return w, errors.New(string(out))
	}
	if w.cluster, err = cluster.Start(ctx, cluster.Options{Audit: true}); err != nil {
		return w, err
	}
	for _, object := range append(objects("namespaces.yaml"), objects("rights.yaml")...) {
		if err := w.cluster.Apply(ctx, object, false); err != nil {
			return w, err
		}
	}
	token, err := w.cluster.Token(ctx, "fleet", "runner")
	if err != nil {
		return w, err
	}
	w.runner, err = w.cluster.KubeconfigOf("runner", token)
	return w, err
}

func (w *world) close() {
	if w.cluster != nil {
		w.cluster.Stop()
	}
	_ = os.RemoveAll(w.dir)
}

// objects are those of a file of the example, each in YAML.
func objects(file string) [][]byte {
	text, err := os.ReadFile(filepath.Join(manifests, file))
	if err != nil {
		panic(err)
	}
	return bytes.Split(text, []byte("\n---\n"))
}

// withCluster skips a test where there is no cluster.
func withCluster(t *testing.T) *world {
	t.Helper()
	if shared == nil {
		t.Skip("no cluster: see the first line")
	}
	return shared
}

// absolute is the path of a chart, as a job file has it.
func absolute(t *testing.T, chart string) string {
	t.Helper()
	path, err := filepath.Abs(chart)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// helmexec runs the command, and gives its exit code and what it printed.
func (w *world) helmexec(t *testing.T, helm, kubeconfig string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := exec.CommandContext(w.ctx, w.command, append([]string{"--helm=" + w.binaries[helm], "--kubeconfig=" + kubeconfig}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// inLine shortens what is printed in a table.
func inLine(text string) string { return strings.Join(strings.Fields(text), " ") }
