package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/e2e/cluster"
)

// plans: what it costs that what was checked is what runs.
func (b *bench) plans() error {
	return b.onCluster(func(c *cluster.Cluster, chart string, h *helmexec.Helm) error {
		if err := b.planAndApply(c, chart, h); err != nil {
			return err
		}
		return b.records(c, h)
	})
}

// planAndApply: one after the other, without pods, and with pods that take 3 s to be ready.
func (b *bench) planAndApply(c *cluster.Cluster, chart string, h *helmexec.Helm) error {
	env := append(plainEnv(b.dir, tuned...), "KUBECONFIG="+c.Kubeconfig)
	n := 0
	release := func() string { n++; return fmt.Sprintf("one-%d", n) }
	plain := func(wait bool, values helmexec.Values) func() error {
		return func() error {
			_, err := h.Install(b.ctx, release(), chart, helmexec.InstallOptions{Values: values, Wait: wait, Timeout: 5 * time.Minute})
			return err
		}
	}
	planned := func(wait bool, values helmexec.Values) func() error {
		return func() error {
			p, err := h.Plan(b.ctx, release(), chart, helmexec.PlanOptions{Values: values})
			if err != nil {
				return err
			}
			_, err = h.Apply(b.ctx, p, helmexec.ApplyOptions{Wait: wait, Timeout: 5 * time.Minute})
			return err
		}
	}
	dryRun := func() error {
		cmd := exec.CommandContext(b.ctx, b.binary, "install", "--dry-run=server", "--set=replicas=0", "--namespace=default", release(), chart)
		cmd.Env = env
		return cmd.Run()
	}
	none := helmexec.Values{"replicas": 0}
	quick, err := b.takeTurns(c, env, 8*b.rounds, plain(false, none), planned(false, none), dryRun)
	if err != nil {
		return err
	}
	long, err := b.takeTurns(c, env, 2*b.rounds, plain(true, nil), planned(true, nil))
	if err != nil {
		return err
	}
	more := float64(quick[1]-quick[0]) / float64(quick[2])
	waiting := float64(long[1]) / float64(long[0])
	b.rows = append(b.rows, row{
		benchmark: "`Plan` and `Apply` against `Install`", must: "at most one bare `helm install --dry-run=server` more; with `Wait`, pods ready after 3 s, wall ≤ 1.1",
		got: fmt.Sprintf("%.2f dry runs more; with `Wait` wall %.3f", more, waiting), reached: more <= 1 && waiting <= 1.1,
		notes: fmt.Sprintf("`Install` %s, `Plan` and `Apply` %s, dry run %s; with `Wait` %s and %s", ms(quick[0]), ms(quick[1]), ms(quick[2]), ms(long[0]), ms(long[1])),
		bar:   waiting, barLabel: "Plan and Apply with Wait (Install = 1)",
	})
	return nil
}

// takeTurns gives the median wall time of each part.
func (b *bench) takeTurns(c *cluster.Cluster, env []string, rounds int, parts ...func() error) ([]time.Duration, error) {
	costs := make([][]cost, len(parts))
	for round := range rounds + 1 {
		for i := range parts {
			at := (i + round) % len(parts)
			// What the part before has started is not at this one's cost.
			if err := cluster.Eventually(b.ctx, ready(c)); err != nil {
				return nil, err
			}
			taken, err := measure(parts[at])
			if err != nil {
				return nil, err
			}
			if round > 0 { // the first round warms the cluster
				costs[at] = append(costs[at], taken)
			}
		}
		if err := b.clear(env); err != nil {
			return nil, err
		}
	}
	medians := make([]time.Duration, len(parts))
	for i := range costs {
		medians[i] = median(of(costs[i], wall))
	}
	return medians, nil
}

// ready fails while a Deployment has not all its pods.
func ready(c *cluster.Cluster) func(context.Context) error {
	return func(ctx context.Context) error {
		var all struct {
			Items []struct {
				Metadata struct{ Name string }
				Spec     struct{ Replicas int }
				Status   struct{ AvailableReplicas int }
			}
		}
		if err := c.Request(ctx, "GET", "/apis/apps/v1/namespaces/default/deployments", nil, &all); err != nil {
			return err
		}
		for _, d := range all.Items {
			if d.Status.AvailableReplicas < d.Spec.Replicas {
				return fmt.Errorf("%s is not ready", d.Metadata.Name)
			}
		}
		return nil
	}
}

// records: the release record of a planned install beside that of a plain one, over our charts and a folder of others.
func (b *bench) records(c *cluster.Cluster, h *helmexec.Helm) error {
	folders := []string{"../testdata/charts"}
	if other := os.Getenv("CHARTS"); other != "" {
		folders = append(folders, other)
	}
	env := append(plainEnv(b.dir, tuned...), "KUBECONFIG="+c.Kubeconfig)
	var ratios []float64
	compared, largest, left := 0, "", 0
	for _, folder := range folders {
		entries, err := os.ReadDir(folder)
		if err != nil {
			return err
		}
		for _, e := range entries {
			chart, release := filepath.Join(folder, e.Name()), fmt.Sprintf("record-%d", compared+left)
			plain, planned, err := b.recordSizes(c, h, release, chart)
			if clearErr := b.clear(env); clearErr != nil {
				return clearErr
			}
			if err != nil {
				left++ // it cannot be installed as it is
				continue
			}
			compared++
			r := float64(planned) / float64(plain)
			if len(ratios) == 0 || r > slices.Max(ratios) {
				largest = e.Name()
			}
			ratios = append(ratios, r)
		}
	}
	if compared == 0 {
		return errors.New("no record could be compared")
	}
	b.rows = append(b.rows, row{
		benchmark: "release record of `Apply` beside that of `Install`",
		got:       fmt.Sprintf("median %.2f, largest %.2f", median(ratios), slices.Max(ratios)), reached: true,
		notes: fmt.Sprintf("%d charts (the largest: %s); %d more cannot be installed and removed with their own values", compared, largest, left),
	})
	return nil
}

// recordSizes installs a chart both ways.
func (b *bench) recordSizes(c *cluster.Cluster, h *helmexec.Helm, release, chart string) (plain, planned int, err error) {
	if _, err := h.Install(b.ctx, release, chart, helmexec.InstallOptions{NoHooks: true}); err != nil {
		return 0, 0, err
	}
	if plain, err = b.recordSize(c, release); err != nil {
		return 0, 0, err
	}
	if _, err := h.Uninstall(b.ctx, release, helmexec.UninstallOptions{Wait: true, NoHooks: true, Timeout: 30 * time.Second}); err != nil {
		return 0, 0, err
	}
	p, err := h.Plan(b.ctx, release, chart, helmexec.PlanOptions{})
	if err != nil {
		return 0, 0, err
	}
	if _, err := h.Apply(b.ctx, p, helmexec.ApplyOptions{NoHooks: true}); err != nil {
		return 0, 0, err
	}
	planned, err = b.recordSize(c, release)
	return plain, planned, err
}

func (b *bench) recordSize(c *cluster.Cluster, release string) (int, error) {
	var secret struct{ Data map[string][]byte }
	err := c.Request(b.ctx, "GET", "/api/v1/namespaces/default/secrets/sh.helm.release.v1."+release+".v1", nil, &secret)
	return len(secret.Data["release"]), err
}
