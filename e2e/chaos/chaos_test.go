package chaos

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sut-bench/helmexec/e2e/cluster"
	"github.com/sut-bench/helmexec/e2e/internal/guarded"
	"github.com/sut-bench/helmexec/internal/tools"
)

// The environment says how much chaos there is: CHAOS_RUNS for each family, CHAOS_SEED to repeat,
// CHAOS_ONLY=family or family/number to repeat only a part. Families are those of TestChaos, and
// "twice", "dead-host" and "beyond" of the other tests.
func setting(name string, otherwise uint64) uint64 {
	if n, err := strconv.ParseUint(os.Getenv(name), 10, 64); err == nil {
		return n
	}
	return otherwise
}

// wanted are the numbers of a family's runs that CHAOS_ONLY leaves, of so many.
func wanted(family string, runs int) []int {
	only, number, one := strings.Cut(os.Getenv("CHAOS_ONLY"), "/")
	var numbers []int
	for n := range runs {
		if only == "" || only == family && (!one || number == strconv.Itoa(n)) {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

const (
	shortRuns = 4
	parallel  = 8
)

var (
	shared      *bench
	interrupted context.Context
)

func TestMain(m *testing.M) {
	if os.Getenv(runnerVariable) != "" {
		os.Exit(runner(os.Stdin, os.Stdout))
	}
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = flag.Set("test.parallel", "64") // runs wait for a place
	}
	os.Exit(start(m))
}

func start(m *testing.M) int {
	ctx, stop := guarded.UntilInterrupted()
	defer stop()
	interrupted = ctx
	b, err := newBench(ctx)
	if b != nil {
		defer b.close()
	}
	switch {
	case errors.Is(err, tools.ErrNotBuilt):
		fmt.Fprintln(os.Stderr, "chaos tests are skipped:", err)
	case err != nil:
		fmt.Fprintln(os.Stderr, "chaos tests cannot start:", err)
		return 1
	default:
		shared = b
	}
	code := m.Run()
	if only := os.Getenv("CHAOS_ONLY"); only != "" && shared != nil && !begun.Load() {
		fmt.Fprintf(os.Stderr, "CHAOS_ONLY=%s names no run\n", only)
		return 1
	}
	// Every test has waited for what it started. Only a look of a runner that was killed may still run, and ends by itself.
	if b != nil {
		soon, stop := context.WithTimeout(ctx, time.Minute)
		defer stop()
		err := guarded.Poll(soon, func(context.Context) error {
			if left := b.helms(); len(left) > 0 {
				return fmt.Errorf("helm processes are left: %v", left)
			}
			return nil
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}

func newBench(ctx context.Context) (*bench, error) {
	b := &bench{places: make(chan struct{}, parallel), restarting: &sync.Mutex{}, seed: setting("CHAOS_SEED", rand.Uint64N(1e6))}
	for i, name := range []string{"helm3", "helm4"} {
		var err error
		if b.binaries[i], err = tools.Path(name); err != nil {
			return nil, err
		}
	}
	var err error
	if err = cluster.Available(); err != nil {
		return nil, err
	}
	if b.dir, err = os.MkdirTemp("", "helmexec-chaos-"); err != nil {
		return nil, err
	}
	b.cluster, err = cluster.Start(ctx, cluster.Options{TempDir: b.dir})
	return b, err
}

// withOwnCluster is the same with a cluster that may come to harm.
func (b *bench) withOwnCluster(ctx context.Context, t *testing.T) *bench {
	t.Helper()
	own := *b
	own.restarting = &sync.Mutex{}
	var err error
	if own.cluster, err = cluster.Start(ctx, cluster.Options{TempDir: b.dir}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(own.cluster.Stop)
	return &own
}

func (b *bench) close() {
	if b.cluster != nil {
		b.cluster.Stop()
	}
	_ = os.RemoveAll(b.dir)
}

// helms finds the helm processes of this bench: each has the kubeconfig of a link to one of its
// clusters.
func (b *bench) helms() []int {
	return processesWith(func(arg string) bool {
		return strings.HasPrefix(arg, "--kubeconfig="+b.dir) && strings.Contains(arg, "/kubeconfig-")
	})
}

func needBench(t *testing.T) (context.Context, *bench) {
	t.Helper()
	if shared == nil {
		t.Skip("no cluster: see the first line")
	}
	return interrupted, shared
}

// TestChaos: whatever goes wrong meanwhile, the final report matches the cluster.
func TestChaos(t *testing.T) {
	t.Parallel()
	ctx, b := needBench(t)
	runs := int(setting("CHAOS_RUNS", shortRuns))
	t.Logf("repeat with CHAOS_SEED=%d CHAOS_RUNS=%d", b.seed, runs)
	var tallies []*tally
	t.Run("families", func(t *testing.T) {
		for _, f := range families {
			numbers := wanted(f.name, runs)
			if len(numbers) == 0 {
				continue
			}
			sum := &tally{family: f.name, wrongs: map[wrong]int{}}
			tallies = append(tallies, sum)
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				b := b
				if f.ownCluster {
					b = b.withOwnCluster(ctx, t)
				}
				var all sync.WaitGroup
				for _, n := range numbers {
					all.Go(func() { b.live(ctx, t, f, n, sum) })
				}
				all.Wait()
			})
		}
	})
	if len(tallies) == 0 {
		return
	}
	text := table(tallies)
	t.Log("\n" + text)
	if file := os.Getenv("CHAOS_TABLE"); file != "" {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Error(err)
		}
	}
}

// live lives through one run.
func (b *bench) live(ctx context.Context, t *testing.T, f family, number int, sum *tally) {
	b.places <- struct{}{}
	defer func() { <-b.places }()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Minute) // ends what hangs
	defer cancel()
	begin := time.Now()
	defer func() { sum.add(func(t *tally) { t.took += time.Since(begin) }) }()
	var r *run
	err := cluster.Eventually(ctx, func(ctx context.Context) (err error) {
		if r == nil {
			r, err = b.newRun(ctx, f, number)
		}
		return err
	})
	if err != nil {
		t.Errorf("%s/%d: %v", f.name, number, err)
		return
	}
	defer r.link.down()
	clean := true
	judge := func(what string, o outcome, see func(outcome, sight) []wrong) {
		var s sight
		var wrongs []wrong
		// Objects that are deleted in the background take a moment to disappear.
		soon, stop := context.WithTimeout(ctx, 2*time.Minute)
		defer stop()
		_ = cluster.Eventually(soon, func(ctx context.Context) error {
			seen, err := r.lookOnce(ctx)
			if err != nil {
				return err
			}
			s = seen
			if wrongs = see(o, s); len(wrongs) > 0 {
				return errors.New("wrong")
			}
			return nil
		})
		sum.count(o, wrongs)
		if len(wrongs) > 0 || !o.OK && f.play == nil {
			clean = false
			report := t.Errorf
			if len(wrongs) == 0 {
				report = t.Logf
			}
			report("%s: %s: %v\ntold: ok %v, recovered %v, remains %q, error %s\nthere: %s\nwanted: %q\n%s",
				r, what, wrongs, o.OK, o.Recovered, o.Remains, o.Error, s, r.want, o.Log)
		}
	}

	play := f.play
	if play == nil {
		play = installAndUninstall
	}
	if err := play(ctx, r, judge); err != nil {
		t.Errorf("%s: %v", r, err)
		return
	}
	sum.add(func(t *tally) {
		t.runs++
		t.faults += int(r.faults.Load())
	})
	if clean {
		_ = b.cluster.RemoveAll(ctx, func(o cluster.Object) bool { return o.Labels[runLabel] == r.namespace })
		_ = cluster.Eventually(ctx, func(ctx context.Context) error { return b.cluster.DeleteNamespace(ctx, r.namespace) })
	}
}
