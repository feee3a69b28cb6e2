package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
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
	sut      string // a chart whose pods can fail
	repo     *chartrepo.Server
	registry *registry.Registry // for everybody
	locked   *registry.Registry // for user
	cluster  *cluster.Cluster
}

func newWorld(ctx context.Context, root string) (w *world, err error) {
	w = &world{charts: filepath.Join(root, "testdata", "charts"), sut: filepath.Join(root, "e2e", "testdata", "sut")}
	if w.dir, err = os.MkdirTemp("", "helmexec-compat-"); err != nil {
		return w, err
	}
	if w.repo, err = chartrepo.Start("", chartrepo.Options{}); err != nil {
		return w, err
	}
	if err := w.repo.AddDir(w.charts); err != nil {
		return w, err
	}
	if w.registry, err = registry.Start(ctx, registry.Options{}); err != nil {
		return w, err
	}
	if w.locked, err = registry.Start(ctx, registry.Options{User: user, Password: password}); err != nil {
		return w, err
	}
	w.cluster, err = cluster.Start(ctx, cluster.Options{})
	return w, err
}

func (w *world) close() {
	if w.cluster != nil {
		w.cluster.Stop()
	}
	for _, r := range []*registry.Registry{w.registry, w.locked} {
		if r != nil {
			r.Stop()
		}
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
	loggedIn  bool
}

// outcome is what became of a trial: "" if the call did what its comment says, or what went wrong.
type outcome string

// notTried is the outcome of a trial that an earlier one has made pointless.
const notTried outcome = "not tried"

var errNotTried = errors.New(string(notTried))

var unknownFlag = regexp.MustCompile(`unknown flag: --\S+`)

// outcomeOf says in one line what went wrong, without what belongs to this machine.
func (w *world) outcomeOf(err error) outcome {
	if err == nil {
		return ""
	}
	text := strings.Join(strings.Fields(err.Error()), " ")
	if flag := unknownFlag.FindString(text); flag != "" {
		return outcome(flag)
	}
	return outcome(strings.NewReplacer(
		w.dir, "/home", w.charts, "charts", w.sut, "sut", w.repo.URL, "http://charts.example",
		w.registry.Address, "registry.example", w.locked.Address, "locked.example", w.cluster.URL, "https://cluster.example",
	).Replace(text))
}

// try makes all calls with one Helm, and adds the flags that it got.
func (w *world) try(ctx context.Context, version, binary string, all flags) (map[string]outcome, error) {
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
		Logger: slog.New(seen{slog.DiscardHandler, all, version[:2]}),
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
		outcomes[t.call] = w.outcomeOf(err)
		fmt.Fprintf(os.Stderr, "%s %s: %s\n", version, t.call, cmp.Or(outcomes[t.call], "works"))
	}
	return outcomes, nil
}
