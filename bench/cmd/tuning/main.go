// Command tuning measures what Go's runtime settings in helm's environment save: CPU time, wall time and memory of one
// helm process, as ratios to helm without them. Settings take turns within a round, so that a busy moment of
// the machine affects all of them; the figures are medians over the rounds.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/sut-bench/helmexec/e2e/cluster"
	"github.com/sut-bench/helmexec/internal/chartrepo"
	"github.com/sut-bench/helmexec/internal/tools"
)

// settings are the environments compared; the first is the base.
var settings = []string{
	"",
	"GOGC=200",
	"GOGC=400",
	"GOGC=400 GOMEMLIMIT=768MiB",
	"GOGC=800 GOMEMLIMIT=768MiB",
	"GOMAXPROCS=1",
	"HELM_NO_PLUGINS=1",
}

type cost struct{ cpu, wall, memory float64 }

func main() {
	rounds := flag.Int("rounds", 15, "rounds of each command")
	binary := flag.String("helm", "helm4", "helm3 or helm4")
	flag.Parse()
	if err := run(*binary, *rounds); err != nil {
		log.Fatal(err)
	}
}

func run(binary string, rounds int) error {
	helm, err := tools.Path(binary)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "helmexec-tuning-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	repo, err := chartrepo.Start("", chartrepo.Options{})
	if err != nil {
		return err
	}
	defer repo.Close()
	repo.AddGenerated(400, 30)
	huge, err := chartrepo.Start("", chartrepo.Options{})
	if err != nil {
		return err
	}
	defer huge.Close()
	huge.AddGenerated(1200, 30)
	ctx := context.Background()
	c, err := cluster.Start(ctx, cluster.Options{})
	if err != nil {
		return err
	}
	defer c.Stop()

	base := []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "KUBECONFIG=" + c.Kubeconfig}
	chart, err := filepath.Abs("../testdata/charts/webapp")
	if err != nil {
		return err
	}
	for _, prepare := range [][]string{{"repo", "add", "big", repo.URL}, {"repo", "add", "huge", huge.URL}, {"install", "there", chart}} {
		if _, err := measure(helm, base, prepare); err != nil {
			return err
		}
	}
	n := 0
	commands := []struct {
		name string
		args func() []string
	}{
		{"version", func() []string { return []string{"version", "--short"} }},
		{"template", func() []string { return []string{"template", "--kube-version=v1.34.0", "x", chart} }},
		{"repo update, 7 MB", func() []string { return []string{"repo", "update", "big"} }},
		{"repo update, 21 MB", func() []string { return []string{"repo", "update", "huge"} }},
		{"list", func() []string { return []string{"list", "-o", "json"} }},
		{"status", func() []string { return []string{"status", "there", "-o", "json"} }},
		{"install", func() []string { n++; return []string{"install", fmt.Sprintf("r%d", n), chart} }},
	}
	fmt.Printf("%s: CPU / wall / peak memory; the first row in ms and MiB, the others as ratios to it\n\n", binary)
	header := "| settings |"
	for _, c := range commands {
		header += " " + c.name + " |"
	}
	fmt.Println(header + "\n|---|" + strings.Repeat("---|", len(commands)))
	rows := make([]string, len(settings))
	for _, c := range commands {
		all := make([][]cost, len(settings))
		for round := range rounds {
			for i := range settings {
				i = (i + round) % len(settings)
				got, err := measure(helm, append(slices.Clone(base), strings.Fields(settings[i])...), c.args())
				if err != nil {
					return err
				}
				all[i] = append(all[i], got)
			}
		}
		first := median(all[0])
		for i := range settings {
			m := median(all[i])
			if i == 0 {
				rows[i] += fmt.Sprintf(" %.0f / %.0f / %.0f |", m.cpu, m.wall, m.memory)
			} else {
				rows[i] += fmt.Sprintf(" %.2f / %.2f / %.2f |", m.cpu/first.cpu, m.wall/first.wall, m.memory/first.memory)
			}
		}
	}
	for i, s := range settings {
		if s == "" {
			s = "none"
		}
		fmt.Printf("| %s |%s\n", s, rows[i])
	}
	return nil
}

func measure(helm string, env, args []string) (cost, error) {
	cmd := exec.Command(helm, args...)
	cmd.Env = env
	start := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return cost{}, fmt.Errorf("helm %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	s := cmd.ProcessState
	return cost{
		cpu:    float64(s.UserTime()+s.SystemTime()) / 1e6,
		wall:   float64(time.Since(start)) / 1e6,
		memory: float64(s.SysUsage().(*syscall.Rusage).Maxrss) / 1024,
	}, nil
}

func median(all []cost) cost {
	of := func(f func(cost) float64) float64 {
		var v []float64
		for _, c := range all {
			v = append(v, f(c))
		}
		slices.Sort(v)
		return v[len(v)/2]
	}
	return cost{of(func(c cost) float64 { return c.cpu }), of(func(c cost) float64 { return c.wall }), of(func(c cost) float64 { return c.memory })}
}
