package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/sut-bench/helmexec/e2e/fleet"
)

// trial is one run.
type trial struct {
	lab     *fleet.Lab
	workers []*fleet.Worker
	rng     *rand.Rand
	seed    uint64
	begin   time.Time

	all    []fleet.Job
	want   map[string]string // the outcome of each job, by its SUT
	twice  int               // jobs that the queue delivered twice
	mu     sync.Mutex
	kills  map[string]int // by what was killed
	submit int            // jobs that were submitted so far
}

// draw chooses the jobs: of five, about one fails for a reason of its own.
func (t *trial) draw(n int) {
	url := t.lab.Charts.URL
	kinds := []struct {
		name, chart, outcome string
		values               map[string]any
	}{
		{"web", "webapp", "measured", nil},
		{"gpu", "gpu-inference", "measured", nil},
		{"bad-image", "webapp", "NotReady", map[string]any{"image": map[string]any{"repository": "library/nosuchimage"}}},
		{"open-port", "webapp", "Refused", map[string]any{"service": map[string]any{"type": "LoadBalancer"}}},
		{"broken", "broken-template", "RenderFailed", nil},
		{"many-gpus", "gpu-inference", "NoRoom", map[string]any{"gpu": map[string]any{"count": 16}}},
	}
	t.want, t.kills = map[string]string{}, map[string]int{}
	for i := range n {
		kind := kinds[t.rng.IntN(2)]
		if i%5 == 4 {
			kind = kinds[2+i/5%4]
		}
		values := kind.values
		if kind.name == "gpu" {
			values = map[string]any{"gpu": map[string]any{"count": 1 + t.rng.IntN(6)}}
		}
		sut := fmt.Sprintf("%s-%d", kind.name, i)
		t.all = append(t.all, fleet.Job{ID: "trial", SUT: sut, Chart: url + "/" + kind.chart, Values: values, Measure: fmt.Sprintf("%dms", 500+t.rng.IntN(2500))})
		t.want[sut] = kind.outcome
	}
}

// atOnce is how many jobs are at work at once; those that only wait do not count.
const atOnce = 7

// jobs submits all jobs, some of them twice, and waits until they have ended.
func (t *trial) jobs(ctx context.Context) ([]fleet.State, error) {
	shown := time.Now()
	for {
		states, err := t.lab.Status(ctx)
		if err != nil {
			return nil, err
		}
		ended, busy := 0, 0
		for _, s := range states {
			switch {
			case s.Outcome() != "":
				ended++
			case s.Text != "" && !s.Waits:
				busy++
			}
		}
		if ended == len(t.all) {
			return states, nil
		}
		if time.Since(shown) > 15*time.Second {
			shown = time.Now()
			fmt.Printf("%5.0f s  %d of %d jobs have ended, %d are at work\n", time.Since(t.begin).Seconds(), ended, len(t.all), busy)
		}
		for ; busy < atOnce && t.submit < len(t.all); busy++ {
			job := t.all[t.submit]
			if err := t.lab.Submit(ctx, job); err != nil {
				return nil, err
			}
			if t.submit%4 == 0 { // a queue may deliver a job twice
				t.twice++
				if err := t.lab.Submit(ctx, job); err != nil {
					return nil, err
				}
			}
			t.mu.Lock()
			t.submit++
			t.mu.Unlock()
		}
		if !sleep(ctx, 2*time.Second) {
			return states, context.Cause(ctx)
		}
	}
}

// faults kills workers every few seconds until ctx ends, and the server of Temporal when a third and two thirds of the jobs
// were submitted: for less than a heartbeat may be late, and for more, which cancels what runs.
func (t *trial) faults(ctx context.Context) error {
	// Not with t.rng, which draws jobs: two goroutines.
	rng := rand.New(rand.NewPCG(uint64(len(t.all)), t.seed))
	outages := []time.Duration{fleet.Heartbeat / 3, 2*fleet.Heartbeat + 3*time.Second}
	back := map[*fleet.Worker]time.Time{} // when a killed worker is started again
	spare := map[*fleet.Worker]time.Time{}
	killed := 0
	// A worker lives for a while, or the slowest step would never come to its end.
	live := func(w *fleet.Worker) {
		life := between(rng, 5*time.Second, 20*time.Second)
		switch {
		case t.submittedSoFar() == len(t.all):
			life *= 2 // the last jobs would get all of it
		case killed < len(t.all):
			life /= 3 // on a quick machine jobs take no longer than that
		}
		spare[w] = time.Now().Add(life)
	}
	for _, w := range t.workers {
		live(w)
	}
	for sleep(ctx, 100*time.Millisecond) {
		for _, w := range t.workers {
			if at, dead := back[w]; dead && time.Now().After(at) {
				delete(back, w)
				live(w)
				if err := w.Start(); err != nil {
					return err
				}
			}
		}
		if done := 2 - len(outages); len(outages) > 0 && t.submittedSoFar() > (done+1)*len(t.all)/3 {
			t.note(fmt.Sprintf("Temporal, away for %v", outages[0]))
			t.lab.KillServer()
			sleep(ctx, outages[0])
			if err := t.lab.StartServer(context.WithoutCancel(ctx)); err != nil {
				return err
			}
			outages = outages[1:]
			continue
		}
		if len(back) == len(t.workers)-1 {
			continue
		}
		// Most are killed at a moment when a release changes, if that comes soon.
		at := slices.IndexFunc(t.workers, func(w *fleet.Worker) bool {
			over := time.Since(spare[w])
			return w.Runs() && over > 0 && (over > 4*time.Second || len(w.Helms()) > 0)
		})
		if at < 0 {
			continue
		}
		w := t.workers[at]
		withHelms := rng.IntN(2) == 0
		if withHelms {
			t.note("workers with their helms")
		} else {
			t.note("workers without their helms")
		}
		w.Kill(withHelms)
		killed++
		away := between(rng, 200*time.Millisecond, 2*time.Second)
		if rng.IntN(4) == 0 {
			away = between(rng, 8*time.Second, 14*time.Second) // another home gets its work
		}
		back[w] = time.Now().Add(away)
	}
	return nil
}

func (t *trial) submittedSoFar() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.submit
}

func (t *trial) note(killed string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kills[killed]++
}

func between(rng *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(rng.Int64N(int64(most-least)))
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
