package main

import (
	"fmt"
	"time"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/bench/internal/job"
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
				_, err := h.Chart2Info(b.ctx, b.repo.URL+job.ChartAt(i), helmexec.ChartOptions{})
				return err
			})
			return err
		})
		if err != nil {
			return err
		}
		ours = append(ours, c)
		if c, err = measure(func() error { _, _, _, err := s.chart2info(b.ctx, b.repo.URL+job.ChartAt(i)); return err }); err != nil {
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
	address := b.repo.URL + job.ChartAt(0) + ":1.0.0"
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
				return job.AtOnce(goroutines, func(i int) error { return job.InfoAndImages(b.ctx, h, b.repo.URL, i) })
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
			return job.AtOnce(seedCalls, func(i int) error {
				name, version, _, err := s.chart2info(b.ctx, b.repo.URL+job.ChartAt(i))
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
