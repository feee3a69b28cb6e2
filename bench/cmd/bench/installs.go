package main

import (
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/bench/internal/job"
	"github.com/sut-bench/helmexec/e2e/cluster"
	"github.com/sut-bench/helmexec/internal/chartrepo"
)

// onCluster gives f a cluster, a chart archive on disk, and a Helm for them.
func (b *bench) onCluster(f func(c *cluster.Cluster, chart string, h *helmexec.Helm) error) error {
	archive, err := chartrepo.Package(chartFiles("slow"))
	if err != nil {
		return err
	}
	chart := filepath.Join(b.dir, archive.Filename())
	if err := os.WriteFile(chart, archive.Data, 0o600); err != nil {
		return err
	}
	c, err := cluster.Start(b.ctx, cluster.Options{})
	if err != nil {
		return err
	}
	defer c.Stop()
	h, err := helmexec.New(helmexec.Config{
		Binary: b.binary, Home: filepath.Join(b.dir, "cluster"), Kubeconfig: c.Kubeconfig, Namespace: "default", Logger: slog.New(b.processes),
	})
	if err != nil {
		return err
	}
	if _, err := h.Version(b.ctx); err != nil {
		return err
	}
	return f(c, chart, h)
}

// tuned is what helmexec sets for helm, so that a bare helm does the same work.
var tuned = []string{"GOGC=400", "GOMEMLIMIT=768MiB"}

// status: the wrapper's own cost.
func (b *bench) status() error {
	return b.onCluster(func(c *cluster.Cluster, chart string, h *helmexec.Helm) error {
		if _, err := h.Install(b.ctx, "there", chart, helmexec.InstallOptions{}); err != nil {
			return err
		}
		argv, err := b.argvOfStatus(c)
		if err != nil {
			return err
		}
		env := plainEnv(b.dir, tuned...)
		var ours, bare []cost
		var processes int64
		for round := range 40 * b.rounds {
			both := []func() error{
				func() error {
					c, err := measure(func() (err error) {
						processes, err = b.processes.during(func() error {
							_, err := h.Status(b.ctx, "there", helmexec.StatusOptions{})
							return err
						})
						return err
					})
					ours = append(ours, c)
					return err
				},
				func() error {
					c, err := measure(func() error {
						cmd := exec.CommandContext(b.ctx, b.binary, argv...)
						cmd.Env = env
						out, err := cmd.CombinedOutput()
						if err != nil {
							err = fmt.Errorf("helm %q: %w: %s", argv, err, out)
						}
						return err
					})
					bare = append(bare, c)
					return err
				},
			}
			for i := range both {
				if err := both[(i+round)%2](); err != nil {
					return err
				}
			}
		}
		time, goSide := ratio(ours, bare, wall), median(of(ours, self))
		b.rows = append(b.rows, row{
			benchmark: "wrapper's own cost: `Status` against a bare `exec` of the same argv", must: "wall ≤ 1.03, CPU of the Go side ≤ 2 ms a call",
			got:     fmt.Sprintf("wall %.3f, CPU %s", time, ms(goSide)),
			reached: time <= 1.03 && goSide <= 2_000_000,
			notes: fmt.Sprintf("%d helm process, `helm %s`; bare exec: wall %s, CPU of the Go side %s", processes, strings.Join(argv[:1], " "),
				ms(median(of(bare, wall))), ms(median(of(bare, self)))),
			bar: time, barLabel: "Status (bare exec = 1)",
		})
		return nil
	})
}

// argvOfStatus records, with a script, how Status calls helm.
func (b *bench) argvOfStatus(c *cluster.Cluster) ([]string, error) {
	script, said := filepath.Join(b.dir, "spy"), filepath.Join(b.dir, "argv")
	text := fmt.Sprintf("#!/bin/sh\nprintf '%%s\\0' \"$@\" > %s\nexec %s \"$@\"\n", said, b.binary)
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		return nil, err
	}
	spied, err := helmexec.New(helmexec.Config{Binary: script, Home: filepath.Join(b.dir, "cluster"), Kubeconfig: c.Kubeconfig, Namespace: "default"})
	if err != nil {
		return nil, err
	}
	if _, err := spied.Status(b.ctx, "there", helmexec.StatusOptions{}); err != nil {
		return nil, err
	}
	argv, err := os.ReadFile(said)
	return strings.Split(strings.TrimSuffix(string(argv), "\x00"), "\x00"), err
}

const installs, seedInstalls = 50, 5

// installs: 50 at once with Wait, on pods that take 3 s to be ready. Both sides keep all processors busy for most of
// the time, so each pair of measurements is compared by itself, and a pair beside which other programs worked is
// measured again.
func (b *bench) installs() error {
	return b.onCluster(func(c *cluster.Cluster, chart string, h *helmexec.Helm) error {
		env := append(plainEnv(b.dir, tuned...), "KUBECONFIG="+c.Kubeconfig)
		s := b.newSeed("seed-install", "KUBECONFIG="+c.Kubeconfig)
		sides := [2]func(string) error{
			func(name string) error {
				_, err := h.Install(b.ctx, name, chart, helmexec.InstallOptions{Wait: true, Timeout: 5 * time.Minute})
				return err
			},
			func(name string) error {
				cmd := exec.CommandContext(b.ctx, b.binary, "install", "--wait", "--timeout=5m", "--namespace=default", name, chart)
				cmd.Env = env
				out, err := cmd.CombinedOutput()
				if err != nil {
					err = fmt.Errorf("%w: %s", err, out)
				}
				return err
			},
		}
		var costs [2][]cost
		var disturbed []float64 // the share of other programs in each pair
		var processes int64
		const wanted, most, calm = 6, 10, 0.05
		for round := 0; len(costs[0]) < wanted; round++ {
			var pair [2]cost
			var strangers float64
			for i := range 2 {
				side := (i + len(costs[0])) % 2 // as many pairs begin with one side as with the other
				var share float64
				n, err := b.processes.during(func() (err error) {
					pair[side], share, err = b.installAll(c, env, fmt.Sprintf("%d-%d", side, round), installs, sides[side])
					return err
				})
				if err != nil {
					return err
				}
				if strangers = max(strangers, share); side == 0 {
					processes = n
				}
			}
			log.Printf("  pair %d: %.2f s, bare %.2f s, %.0f %% for other programs", round, pair[0].wall.Seconds(), pair[1].wall.Seconds(), 100*strangers)
			if round == 0 || strangers > calm && round < most {
				continue // the first pair warms the cluster
			}
			costs[0], costs[1], disturbed = append(costs[0], pair[0]), append(costs[1], pair[1]), append(disturbed, strangers)
		}
		seed, _, err := b.installAll(c, env, "seed", seedInstalls, func(name string) error {
			return s.install(b.ctx, "--wait", "--namespace=default", name, chart)
		})
		if err != nil {
			return err
		}
		seed.wall *= installs / seedInstalls
		b.rows = append(b.rows, installsRow(costs[0], costs[1], seed, disturbed, processes))
		return nil
	})
}

func installsRow(ours, bare []cost, seed cost, disturbed []float64, processes int64) row {
	toBare, toSeed := pairs(ours, bare, wall), float64(median(of(ours, wall)))/float64(seed.wall)
	var ratios []string
	for i := range ours {
		ratios = append(ratios, fmt.Sprintf("%.2f", float64(ours[i].wall)/float64(bare[i].wall)))
	}
	return row{
		benchmark: "50 concurrent `Install` with `Wait`, pods ready after 3 s", must: "≤ 1.10 × 50 bare helm processes at once, ≤ 0.2 × the seed",
		got: fmt.Sprintf("%.2f × bare, %.2f × seed", toBare, toSeed), reached: toBare <= 1.10 && toSeed <= 0.2,
		notes: fmt.Sprintf("median of %d pairs, %s, with at most %.0f %% of the processors for other programs; %d helm processes; %s; seed %s (%d measured, one after the other)",
			len(ours), strings.Join(ratios, " "), 100*slices.Max(disturbed), processes, against(ours, bare), ms(seed.wall), seedInstalls),
		bar: toSeed, barLabel: "50 × Install with Wait",
	}
}

// installAll measures n installs at once, on a cluster at which nothing works, and removes them.
func (b *bench) installAll(c *cluster.Cluster, env []string, names string, n int, install func(name string) error) (taken cost, share float64, err error) {
	if err := cluster.Eventually(b.ctx, settled(c)); err != nil {
		return taken, 0, err
	}
	share, err = others(c, func() error {
		taken, err = measure(func() error {
			return job.AtOnce(n, func(i int) error { return install(fmt.Sprintf("at-once-%s-%d", names, i)) })
		})
		return err
	})
	if err != nil {
		return taken, share, err
	}
	return taken, share, b.clear(env)
}

// clear removes every release.
func (b *bench) clear(env []string) error {
	run := func(args ...string) (string, error) {
		cmd := exec.CommandContext(b.ctx, b.binary, args...)
		cmd.Env = env
		out, err := cmd.Output()
		if e := (*exec.ExitError)(nil); errors.As(err, &e) {
			err = fmt.Errorf("helm %s: %w: %s", args[0], err, e.Stderr)
		}
		return string(out), err
	}
	out, err := run("list", "--short", "--max=0", "--namespace=default")
	if err != nil || strings.TrimSpace(out) == "" {
		return err
	}
	_, err = run(append([]string{"uninstall", "--wait", "--no-hooks", "--namespace=default"}, strings.Fields(out)...)...)
	return err
}
