package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/sut-bench/helmexec"
)

// cold: Chart2Info of a chart that was never requested, without a version, from a known repository.
func (b *bench) cold() error {
	h, err := b.newHelm("cold")
	if err != nil {
		return err
	}
	s := b.newSeed("seed")
	if _, err := h.AddRepo(b.ctx, b.repo.URL, helmexec.RepoOptions{}); err != nil {
		return err
	}
	if _, err := h.Version(b.ctx); err != nil {
		return err
	}
	if _, err := s.addRepo(b.ctx, b.repo.URL); err != nil {
		return err
	}
	var ours, seeds []cost
	var processes int64
	for i := range b.rounds {
		c, err := measure(func() (err error) {
			processes, err = b.processes.during(func() error {
				_, err := h.Chart2Info(b.ctx, b.repo.URL+chartAt(i), helmexec.ChartOptions{})
				return err
			})
			return err
		})
		if err != nil {
			return err
		}
		ours = append(ours, c)
		if c, err = measure(func() error { _, _, _, err := s.chart2info(b.ctx, b.repo.URL+chartAt(i)); return err }); err != nil {
			return err
		}
		seeds = append(seeds, c)
	}
	cpu, time := ratio(ours, seeds, total), ratio(ours, seeds, wall)
	b.rows = append(b.rows, row{
		benchmark: "`Chart2Info` cold, unpinned, repository known", must: "≤ 0.6 of the seed's CPU and wall",
		got: fmt.Sprintf("CPU %.2f, wall %.2f", cpu, time), reached: cpu <= 0.6 && time <= 0.6,
		notes: fmt.Sprintf("%d helm processes, seed 4; CPU %s against %s", processes, ms(median(of(ours, total))), ms(median(of(seeds, total)))),
		bar:   time, barLabel: "Chart2Info cold, unpinned",
	})
	return nil
}

// warm: Chart2Info of a version that is in the cache.
func (b *bench) warm() error {
	h, err := b.newHelm("warm")
	if err != nil {
		return err
	}
	s := b.newSeed("seed-warm")
	address := b.repo.URL + chartAt(0) + ":1.0.0"
	if _, err := h.Chart2Info(b.ctx, address, helmexec.ChartOptions{}); err != nil {
		return err
	}
	if _, _, _, err := s.chart2info(b.ctx, address); err != nil {
		return err
	}
	var ours, seeds []cost
	var processes int64
	for range b.rounds {
		c, err := measure(func() error { _, _, _, err := s.chart2info(b.ctx, address); return err })
		if err != nil {
			return err
		}
		seeds = append(seeds, c)
		const calls = 50
		if c, err = measure(func() (err error) {
			processes, err = b.processes.during(func() error {
				for range calls {
					if _, err := h.Chart2Info(b.ctx, address, helmexec.ChartOptions{}); err != nil {
						return err
					}
				}
				return nil
			})
			return err
		}); err != nil {
			return err
		}
		ours = append(ours, cost{c.wall / calls, c.self / calls, c.cpu / calls})
	}
	cpu, time := ratio(ours, seeds, total), ratio(ours, seeds, wall)
	b.rows = append(b.rows, row{
		benchmark: "`Chart2Info` warm, pinned", must: "0 helm processes, ≤ 0.02 of the seed",
		got: fmt.Sprintf("%d processes, CPU %.5f, wall %.5f", processes, cpu, time), reached: processes == 0 && cpu <= 0.02 && time <= 0.02,
		notes: fmt.Sprintf("%s a call", ms(median(of(ours, wall)))), bar: time, barLabel: "Chart2Info warm, pinned",
	})
	return nil
}

const goroutines = 100

// infoAndImages is what a job needs to know about a chart. Each job has different values, so that
// no render of another job can be remembered.
func infoAndImages(ctx context.Context, h *helmexec.Helm, repo string, job int) error {
	info, err := h.Chart2Info(ctx, repo+chartAt(job), helmexec.ChartOptions{})
	if err != nil {
		return err
	}
	image := fmt.Sprintf("registry.example/job:%d", job)
	values := helmexec.Values{"image": image}
	images, err := h.Chart2Images(ctx, info.Archive, helmexec.TemplateOptions{Values: values}, helmexec.ImageOptions{})
	if err == nil && !slices.Equal(images, []string{image}) {
		err = fmt.Errorf("images %q", images)
	}
	return err
}

// atOnce runs f n times at once.
func atOnce(n int, f func(i int) error) error {
	var all sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		all.Go(func() { errs[i] = f(i) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// many: 100 goroutines and 20 charts, in a new home. The seed does one call at a time whatever the
// number of callers, so a few of its calls show its throughput.
func (b *bench) many() error {
	var ours, seeds []cost
	var processes, heaps []int64
	const seedCalls = 2
	rounds := max(3, b.rounds/2)
	for round := range rounds {
		h, err := b.newHelm(fmt.Sprint("many-", round))
		if err != nil {
			return err
		}
		c, err := measure(func() error {
			n, err := b.processes.during(func() error {
				return atOnce(goroutines, func(i int) error { return infoAndImages(b.ctx, h, b.repo.URL, i) })
			})
			processes = append(processes, n)
			return err
		})
		if err != nil {
			return err
		}
		ours = append(ours, c)
		heaps = append(heaps, int64(heap()))
		s := b.newSeed(fmt.Sprint("seed-many-", round))
		if _, err := s.addRepo(b.ctx, b.repo.URL); err != nil {
			return err
		}
		c, err = measure(func() error {
			return atOnce(seedCalls, func(i int) error {
				name, version, _, err := s.chart2info(b.ctx, b.repo.URL+chartAt(i))
				if err != nil {
					return err
				}
				_, err = s.chart2images(b.ctx, name, version)
				return err
			})
		})
		if err != nil {
			return err
		}
		seeds = append(seeds, cost{c.wall * goroutines / seedCalls, c.self * goroutines / seedCalls, c.cpu * goroutines / seedCalls})
	}
	faster := 1 / ratio(ours, seeds, wall)
	b.rows = append(b.rows, row{
		benchmark: "100 goroutines, 20 charts, `Chart2Info` + `Chart2Images`", must: "≥ 3 × the seed's throughput",
		got: fmt.Sprintf("%.1f ×", faster), reached: faster >= 3,
		notes: fmt.Sprintf("%d helm processes for 100 jobs in an empty home, seed 500; %s against %s", median(processes), ms(median(of(ours, wall))), ms(median(of(seeds, wall)))),
		bar:   1 / faster, barLabel: "100 × Chart2Info + Chart2Images",
	}, row{
		benchmark: "memory of the Go process", must: "flat in the number of calls", reached: heaps[len(heaps)-1] < heaps[0]*3/2+1<<20,
		got:   fmt.Sprintf("heap %.1f MiB after %d calls, %.1f MiB after %d", mib(heaps[0]), 2*goroutines, mib(heaps[len(heaps)-1]), 2*goroutines*rounds),
		notes: fmt.Sprintf("%d MiB resident, with the chart repository that the benchmark serves", resident()>>20),
	})
	return nil
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

func ms(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d >= time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	if d >= 10*time.Millisecond {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.2g ms", float64(d)/1e6)
}

const workers, jobs = 8, 104

// The processes of manyProcesses run this program; this variable says what to do.
const workerVariable = "HELMEXEC_BENCH_WORKER"

// order is what a worker must do.
type order struct {
	Binary, Home, URL string
	First, Jobs       int
}

func work(ctx context.Context, text string) error {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	h, err := helmexec.New(helmexec.Config{Binary: o.Binary, Home: o.Home})
	if err != nil {
		return err
	}
	return atOnce(o.Jobs, func(i int) error { return infoAndImages(ctx, h, o.URL, o.First+i) })
}

// manyProcesses: the same from 8 processes on one home, against one process.
func (b *bench) manyProcesses() error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	start := func(home string, n int) (cost, error) {
		b.repo.ResetRequests()
		return measure(func() error {
			return atOnce(n, func(i int) error {
				text, err := json.Marshal(order{b.binary, filepath.Join(b.dir, home), b.repo.URL, i * jobs / n, jobs / n})
				if err != nil {
					return err
				}
				cmd := exec.CommandContext(b.ctx, exe)
				cmd.Env = append(os.Environ(), workerVariable+"="+string(text))
				out, err := cmd.CombinedOutput()
				if err != nil {
					err = fmt.Errorf("%w: %s", err, out)
				}
				return err
			})
		})
	}
	var one, eight []cost
	twice := 0
	for round := range b.rounds {
		c, err := start(fmt.Sprint("one-", round), 1)
		if err != nil {
			return err
		}
		one = append(one, c)
		if c, err = start(fmt.Sprint("eight-", round), workers); err != nil {
			return err
		}
		eight = append(eight, c)
		for i := range charts {
			twice += b.repo.Requests(chartAt(i)[1:]+"-1.0.0.tgz") - 1
		}
	}
	speed := 1 / ratio(eight, one, wall)
	b.rows = append(b.rows, row{
		benchmark: "the same from 8 processes on one home", must: "no error, no archive pulled twice, throughput within 20 % of one process",
		got: fmt.Sprintf("no error, %d pulled twice, %.2f of one process", twice, speed), reached: twice == 0 && speed >= 0.8,
		notes: fmt.Sprintf("%d jobs: %s against %s; CPU %s against %s", jobs, ms(median(of(eight, wall))), ms(median(of(one, wall))), ms(median(of(eight, total))), ms(median(of(one, total)))),
	})
	return nil
}
