package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/e2e/cluster"
	"github.com/sut-bench/helmexec/e2e/registry"
	"github.com/sut-bench/helmexec/internal/chartrepo"
)

const user, password = "ann", "secret"

// world is what all Helms share; each works in its own namespace and home.
type world struct {
	dir      string
	charts   string // the folder of charts in the source
	repo     *chartrepo.Server
	registry *registry.Registry
	cluster  *cluster.Cluster
}

func newWorld(ctx context.Context, root string) (w *world, err error) {
	w = &world{charts: filepath.Join(root, "testdata", "charts")}
	if w.dir, err = os.MkdirTemp("", "helmexec-compat-"); err != nil {
		return w, err
	}
	if w.repo, err = chartrepo.Start("", chartrepo.Options{}); err != nil {
		return w, err
	}
	if err := w.repo.AddDir(w.charts); err != nil {
		return w, err
	}
	if w.registry, err = registry.Start(ctx, registry.Options{User: user, Password: password}); err != nil {
		return w, err
	}
	w.cluster, err = cluster.Start(ctx, cluster.Options{})
	return w, err
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

// bed is what the calls of one Helm work with.
type bed struct {
	*world
	h         *helmexec.Helm
	namespace string
	dir       string // of this Helm alone
}

// outcome is what became of a trial: nil if the call did what its comment says.
type outcome error

// try makes all calls with one Helm.
func (w *world) try(ctx context.Context, version, binary string) (map[string]outcome, error) {
	namespace := "compat-" + strings.ReplaceAll(version, ".", "-")
	b := &bed{world: w, namespace: namespace, dir: filepath.Join(w.dir, version)}
	if err := os.Mkdir(b.dir, 0o700); err != nil {
		return nil, err
	}
	if err := w.cluster.CreateNamespace(ctx, namespace); err != nil {
		return nil, err
	}
	var err error
	b.h, err = helmexec.New(helmexec.Config{
		Binary: binary, Home: filepath.Join(b.dir, "home"), Kubeconfig: w.cluster.Kubeconfig, Namespace: namespace,
	})
	if err != nil {
		return nil, err
	}
	found, err := b.h.Version(ctx)
	if err != nil {
		return nil, err
	}
	if found.Text != version {
		return nil, fmt.Errorf("%s says that it is %s", binary, found.Text)
	}
	outcomes := map[string]outcome{}
	for _, t := range trials {
		err := t.make(ctx, b)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		outcomes[t.call] = err
		fmt.Fprintln(os.Stderr, version, t.call, said(err))
	}
	return outcomes, nil
}
