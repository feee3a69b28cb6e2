package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
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

// installs: 50 at once with Wait, on pods that take 3 s to be ready.
func (b *bench) installs() error {
	return b.onCluster(func(c *cluster.Cluster, chart string, h *helmexec.Helm) error {
		env := append(plainEnv(b.dir, tuned...), "KUBECONFIG="+c.Kubeconfig)
		s := b.newSeed("seed-install", "KUBECONFIG="+c.Kubeconfig)
		var ours, bare, seeds []cost
		var processes int64
		const rounds, seedRounds = 5, 2
		for round := range rounds + 1 {
			name := func(kind string, i int) string { return fmt.Sprintf("%s-%d-%d", kind, round, i) }
			parts := []func() error{
				func() error {
					c, err := measure(func() (err error) {
						processes, err = b.processes.during(func() error {
							return job.AtOnce(installs, func(i int) error {
								_, err := h.Install(b.ctx, name("ours", i), chart, helmexec.InstallOptions{Wait: true, Timeout: 5 * time.Minute})
								return err
							})
						})
						return err
					})
					ours = append(ours, c)
					return err
				},
				func() error {
					c, err := measure(func() error {
						return job.AtOnce(installs, func(i int) error {
							cmd := exec.CommandContext(b.ctx, b.binary, "install", "--wait", "--timeout=5m", "--namespace=default", name("bare", i), chart)
							cmd.Env = env
							out, err := cmd.CombinedOutput()
							if err != nil {
								err = fmt.Errorf("%w: %s", err, out)
							}
							return err
						})
					})
					bare = append(bare, c)
					return err
				},
			}
			for i := range parts {
				if err := parts[(i+round)%2](); err != nil {
					return err
				}
				// Existing releases slow the next round down, also when they are removed.
				if err := b.clear(env); err != nil {
					return err
				}
			}
			if round == 0 {
				ours, bare = nil, nil // the first round warms the cluster
				continue
			}
			if round > seedRounds {
				continue
			}
			cost3, err := measure(func() error {
				return job.AtOnce(seedInstalls, func(i int) error {
					return s.install(b.ctx, "--wait", "--namespace=default", name("seed", i), chart)
				})
			})
			if err != nil {
				return err
			}
			cost3.wall *= installs / seedInstalls
			seeds = append(seeds, cost3)
			if err := b.clear(env); err != nil {
				return err
			}
		}
		toBare, toSeed := ratio(ours, bare, wall), ratio(ours, seeds, wall)
		b.rows = append(b.rows, row{
			benchmark: "50 concurrent `Install` with `Wait`, pods ready after 3 s", must: "≤ 1.15 × 50 bare helm processes at once, ≤ 0.2 × the seed",
			got: fmt.Sprintf("%.2f × bare, %.2f × seed", toBare, toSeed), reached: toBare <= 1.15 && toSeed <= 0.2,
			notes: fmt.Sprintf("%d helm processes; wall %s, bare %s, seed %s (%d measured, one after the other)", processes,
				ms(median(of(ours, wall))), ms(median(of(bare, wall))), ms(median(of(seeds, wall))), seedInstalls),
			bar: toSeed, barLabel: "50 × Install with Wait",
		})
		return nil
	})
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
