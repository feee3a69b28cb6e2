package main

import (
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

// planAndApply: one after the other, and with pods that take 3 s to be ready.
func (b *bench) planAndApply(c *cluster.Cluster, chart string, h *helmexec.Helm) error {
	env := append(plainEnv(b.dir, tuned...), "KUBECONFIG="+c.Kubeconfig)
	n := 0
	release := func() string { n++; return fmt.Sprintf("one-%d", n) }
	plain := func(wait bool) func() error {
		return func() error {
			_, err := h.Install(b.ctx, release(), chart, helmexec.InstallOptions{Wait: wait, Timeout: 5 * time.Minute})
			return err
		}
	}
	planned := func(wait bool) func() error {
		return func() error {
			p, err := h.Plan(b.ctx, release(), chart, helmexec.PlanOptions{})
			if err != nil {
				return err
			}
			_, err = h.Apply(b.ctx, p, helmexec.ApplyOptions{Wait: wait, Timeout: 5 * time.Minute})
			return err
		}
	}
	dryRun := func() error {
		cmd := exec.CommandContext(b.ctx, b.binary, "install", "--dry-run=server", "--namespace=default", release(), chart)
		cmd.Env = env
		return cmd.Run()
	}
	parts := []func() error{plain(false), planned(false), dryRun, plain(true), planned(true)}
	costs := make([][]cost, len(parts))
	for round := range 2*b.rounds + 1 {
		for i := range parts {
			at := (i + round) % len(parts)
			c, err := measure(parts[at])
			if err != nil {
				return err
			}
			if round > 0 { // the first round warms the cluster
				costs[at] = append(costs[at], c)
			}
		}
		if err := b.clear(env); err != nil {
			return err
		}
	}
	var middle [5]time.Duration
	for i := range costs {
		middle[i] = median(of(costs[i], wall))
	}
	more := float64(middle[1]-middle[0]) / float64(middle[2])
	waiting := ratio(costs[4], costs[3], wall)
	b.rows = append(b.rows, row{
		benchmark: "`Plan` and `Apply` against `Install`", must: "at most one bare `helm install --dry-run=server` more; with `Wait`, pods ready after 3 s, wall ≤ 1.1",
		got: fmt.Sprintf("%.2f dry runs more; with `Wait` wall %.3f", more, waiting), reached: more <= 1 && waiting <= 1.1,
		notes: fmt.Sprintf("`Install` %s, `Plan` and `Apply` %s, dry run %s; with `Wait` %s and %s", ms(middle[0]), ms(middle[1]), ms(middle[2]), ms(middle[3]), ms(middle[4])),
		bar:   waiting, barLabel: "Plan and Apply with Wait (Install = 1)",
	})
	return nil
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
		got: fmt.Sprintf("median %.2f, largest %.2f", median(ratios), slices.Max(ratios)), reached: true,
		notes: fmt.Sprintf("%d charts (the largest: %s); %d more cannot be installed with their own values", compared, largest, left),
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
	if _, err := h.Uninstall(b.ctx, release, helmexec.UninstallOptions{Wait: true, NoHooks: true}); err != nil {
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
