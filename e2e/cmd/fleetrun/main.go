// Command fleetrun runs benchmark jobs by examples/fleet on three hosts that are killed again and again, and so is the
// server of Temporal; then it checks that every job had its one outcome:
//
//	fleetrun -jobs 60 -seed 1 path-of-fleet folder-of-charts
//
// The exit code is 0 if every job ended as expected, nothing is left in the cluster, enough activities were delivered again,
// and no operation was deployed twice. A seed repeats the jobs and the order of the faults, but not their moments.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/sut-bench/helmexec/e2e/fleet"
	"github.com/sut-bench/helmexec/e2e/internal/guarded"
	"github.com/sut-bench/helmexec/internal/tools"
)

func main() {
	jobs := flag.Int("jobs", 60, "how many jobs")
	seed := flag.Uint64("seed", 0, "of what is random; 0 is a random one")
	keep := flag.String("keep", "", "`folder` for the logs; removed at the end if it is not given")
	flag.Parse()
	if flag.NArg() != 2 || *jobs < 1 {
		fmt.Fprintln(os.Stderr, "usage: fleetrun [-jobs n] [-seed n] path-of-fleet folder-of-charts")
		os.Exit(2)
	}
	if *seed == 0 {
		*seed = uint64(rand.Uint32())
	}
	ctx, stop := guarded.UntilInterrupted()
	defer stop()
	wrong, err := run(ctx, *jobs, *seed, *keep, flag.Arg(0), flag.Arg(1))
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "fleetrun:", err)
		os.Exit(1)
	case len(wrong) > 0:
		for _, w := range wrong {
			fmt.Fprintln(os.Stderr, "wrong:", w)
		}
		os.Exit(1)
	}
}

func run(ctx context.Context, n int, seed uint64, dir, command, charts string) (wrong []string, err error) {
	helm, err := tools.Path("helm4")
	if err != nil {
		return nil, err
	}
	if dir == "" {
		if dir, err = os.MkdirTemp("", "helmexec-fleet-"); err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
	} else if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if command, err = filepath.Abs(command); err != nil {
		return nil, err
	}
	begin := time.Now()
	lab, err := fleet.Start(ctx, fleet.Options{Fleet: command, Helm: helm, ChartFolder: charts, Dir: dir})
	if err != nil {
		return nil, err
	}
	defer lab.Stop()
	fmt.Printf("Kubernetes at %s, Temporal at %s, ready in %.1f s; seed %d\n", lab.Cluster.URL, lab.Address(), time.Since(begin).Seconds(), seed)

	t := &trial{lab: lab, rng: rand.New(rand.NewPCG(seed, 0)), seed: seed, begin: time.Now()}
	t.draw(n)
	for _, name := range []string{"a", "b", "c"} {
		w, err := lab.AddWorker(name, "", "")
		if err != nil {
			return nil, err
		}
		t.workers = append(t.workers, w)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 5*time.Minute+time.Duration(n)*15*time.Second, errors.New("the jobs took too long"))
	defer cancel()
	faults, stopFaults := context.WithCancel(ctx)
	defer stopFaults()
	broken := make(chan error, 1)
	go func() { broken <- t.faults(faults) }()
	states, err := t.jobs(ctx)
	stopFaults()
	if err := errors.Join(err, <-broken); err != nil {
		return nil, err
	}
	return t.report(ctx, states)
}
