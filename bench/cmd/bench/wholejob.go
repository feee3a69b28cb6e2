package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/bench/internal/job"
	"github.com/sut-bench/helmexec/e2e/cluster"
	"github.com/sut-bench/helmexec/internal/chartrepo"
)

// wholeJob: a job from the start of its process until its pods are gone and the process has ended, against a
// process that runs the plain commands of helm. The home knows the chart and its render, as after an earlier job.
func (b *bench) wholeJob() error {
	return b.onCluster(func(c *cluster.Cluster, _ string, _ *helmexec.Helm) error {
		pods, err := watchPods(b.ctx, c)
		if err != nil {
			return err
		}
		archive, err := chartrepo.Package(chartFiles(strings.TrimPrefix(job.ChartAt(0), "/")))
		if err != nil {
			return err
		}
		path := filepath.Join(b.dir, archive.Filename())
		if err := os.WriteFile(path, archive.Data, 0o600); err != nil {
			return err
		}
		ours := job.Order{
			Task: job.Whole, Home: filepath.Join(b.dir, "whole"), Kubeconfig: c.Kubeconfig, Chart: b.repo.URL + job.ChartAt(0) + ":1.0.0",
			Values: helmexec.Values{"image": "registry.example/job:1", "goneAfter": "2s"},
		}
		bare := ours
		bare.Task, bare.Chart = job.Bare, path
		bare.Env = append(plainEnv(b.dir, tuned...), "KUBECONFIG="+c.Kubeconfig)
		var costs [2][]cost
		var most counted // of our jobs
		var resident int64
		for round := range b.rounds + 1 {
			for i := range 2 {
				which := (i + round) % 2
				order := []job.Order{ours, bare}[which]
				order.Release = fmt.Sprintf("whole-%d-%d", round, which)
				taken, said, err := b.untilGone(c, pods, order)
				if err != nil {
					return err
				}
				if round == 0 {
					continue // the first round fills the home and warms the cluster
				}
				costs[which] = append(costs[which], taken)
				if w := countWhole(said); which == 0 {
					resident = max(resident, said.Resident)
					if len(costs[0]) == 1 || w.helms-w.allowed > most.helms-most.allowed {
						most = w
					}
				}
			}
		}
		longer := pairs(costs[0], costs[1], wall)
		b.rows = append(b.rows, row{
			benchmark: "whole job in a new process: `Chart2Info` (pinned), `Chart2Images`, `Install` and `Uninstall` with `Wait`, `Status` between them",
			must:      "5 helm processes, 6 if the removal takes two, and looks while it waits; wall ≤ 1.05 of bare helm, until the pods are gone",
			got:       fmt.Sprintf("%d processes and %d looks, wall %.3f", most.helms, most.looks, longer), reached: most.helms <= most.allowed && longer <= 1.05,
			notes: fmt.Sprintf("%s; bare: show chart, template, install, status, uninstall; %s; pods ready after 3 s, gone 2 s after their deletion; median of %d pairs",
				most.commands, against(costs[0], costs[1]), len(costs[0])),
			bar: longer, barLabel: "whole job (bare helm = 1)",
		}, row{
			benchmark: "memory of the Go side of such a process", must: "≤ 25 MiB resident", reached: resident <= 25<<20,
			got:   fmt.Sprintf("%.1f MiB", mib(resident)),
			notes: fmt.Sprintf("the most that one of %d had (VmHWM), without its helms", len(costs[0])),
		})
		return nil
	})
}

// untilGone lets a runner do its job on a quiet cluster. The time ends when its pods are gone and it has ended.
func (b *bench) untilGone(c *cluster.Cluster, pods *pods, order job.Order) (cost, job.Report, error) {
	if err := cluster.Eventually(b.ctx, settled(c)); err != nil {
		return cost{}, job.Report{}, err
	}
	begin := time.Now()
	report, taken, err := b.runner(order)
	if err != nil {
		return cost{}, report, err
	}
	gone, err := pods.lastGone(b.ctx, order.Release)
	taken.wall = max(taken.wall, gone.Sub(begin))
	return taken, report, err
}

// counted are the helm processes of a whole job.
type counted struct {
	helms, looks int
	allowed      int    // the helms that such a job may take
	commands     string // each step with its commands
}

// countWhole counts apart what only looks while something waits. Install and Uninstall ask the cluster with the
// commands template and status; whatever else they run is a part of their work.
func countWhole(r job.Report) counted {
	w := counted{allowed: 5}
	var steps []string
	for _, s := range r.Steps {
		var commands []string
		for _, command := range slices.Sorted(maps.Keys(s.Helms)) {
			n := s.Helms[command]
			if waits := s.Name == "install" || s.Name == "uninstall"; waits && (command == "template" || command == "status") {
				w.looks += n
			} else {
				w.helms += n
			}
			if command == "uninstall" && n > 1 {
				w.allowed = 6
			}
			commands = append(commands, fmt.Sprintf("%d `%s`", n, command))
		}
		if commands == nil {
			commands = []string{"none"}
		}
		steps = append(steps, fmt.Sprintf("%s %s", s.Name, strings.Join(commands, " ")))
	}
	w.commands = strings.Join(steps, ", ")
	return w
}
