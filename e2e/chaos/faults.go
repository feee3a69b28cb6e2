package chaos

import (
	"context"
	cryptorand "crypto/rand"
	"errors"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sut-bench/helmexec/e2e/cluster"
)

// trouble makes faults while a run does something. It returns when it has repaired what it broke; ctx
// ends when the run is done.
type trouble func(ctx context.Context, rng *rand.Rand, r *run) error

// family is one way for things to go wrong.
type family struct {
	name   string
	during trouble
	// ownCluster: the faults strike the cluster itself.
	ownCluster bool
	// byRunner runs install and uninstall in a program that is killed and started again.
	byRunner bool
	// draw changes what was drawn for a run, before it begins.
	draw func(*run) error
	// play is what a run does, with each outcome judged; without it, it installs and uninstalls.
	play func(ctx context.Context, r *run, judge judge) error
	// plans: what is installed was planned, and the plan saved for the runner that comes next.
	plans bool
	// refuses: something stands in the way until the run clears it away.
	refuses bool
}

var families = []family{
	{name: "reset", during: resets},
	{name: "cut", during: cuts},
	{name: "latency", during: latency},
	{name: "outage", during: outage},
	{name: "apiserver", during: restarts, ownCluster: true},
	{name: "kill-helm", during: killHelm},
	{name: "kill-runner", byRunner: true},
	{name: "odd", draw: oddChart, during: anyTrouble},
	{name: "odd-runner", draw: oddChart, byRunner: true},
	{name: "plan", draw: oddChart, during: anyTrouble, plans: true},
	{name: "plan-runner", draw: oddChart, byRunner: true, plans: true},
	{name: "stop", play: stopped},
	{name: "upgrade", play: upgraded},
	{name: "endless", draw: endlessHook, play: endless, refuses: true},
	{name: "rights", play: refusedBy(rights{}), refuses: true},
	{name: "policy", play: refusedBy(policy{}), refuses: true},
	{name: "webhook", play: refusedBy(webhook{}), refuses: true},
	{name: "quota", play: refusedBy(quota{}), refuses: true},
	{name: "remove", play: removedMeanwhile},
	{name: "remove-twice", play: removedTwice},
	{name: "remove-killed", play: removalKilled},
}

// anyTrouble is a trouble that other runs do not notice.
func anyTrouble(ctx context.Context, rng *rand.Rand, r *run) error {
	return []trouble{resets, cuts, outage, killHelm}[rng.IntN(4)](ctx, rng, r)
}

// between draws a duration.
func between(rng *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(rng.Int64N(int64(to-from)+1))
}

// logUniform draws a number whose order of magnitude is uniform: as many cuts in the first
// kilobytes as in the last hundred of them.
func logUniform(rng *rand.Rand, from, to float64) int {
	return int(from * math.Pow(to/from, rng.Float64()))
}

// pause reports whether d passed before ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// poisonFor poisons the link for a while.
func (r *run) poisonFor(ctx context.Context, d time.Duration, kind, direction string, probability float64, attributes map[string]int) error {
	remove, err := r.link.poison(kind, direction, probability, attributes)
	if err != nil {
		return err
	}
	r.faults.Add(1)
	pause(ctx, d)
	remove()
	return nil
}

func direction(rng *rand.Rand) string {
	if rng.IntN(2) == 0 {
		return "upstream"
	}
	return "downstream"
}

// resets: every connection is reset, several times at random.
func resets(ctx context.Context, rng *rand.Rand, r *run) error {
	// A link with this toxic in it ends its connections by a reset; with probability 0 it does
	// nothing else.
	for _, way := range []string{"upstream", "downstream"} {
		remove, err := r.link.poison("reset_peer", way, 0, nil)
		if err != nil {
			return err
		}
		defer remove()
	}
	for range 4 + rng.IntN(12) {
		if !pause(ctx, between(rng, 10*time.Millisecond, 400*time.Millisecond)) {
			return nil
		}
		if err := r.link.sever(); err != nil {
			return err
		}
		r.faults.Add(1)
	}
	return nil
}

// cuts: for a while each connection is cut after a number of bytes. An install sends some 20 kB and
// receives some hundred, on one connection.
func cuts(ctx context.Context, rng *rand.Rand, r *run) error {
	if !pause(ctx, between(rng, 0, 2500*time.Millisecond)) {
		return nil
	}
	for range 1 + rng.IntN(4) {
		way := direction(rng)
		n := logUniform(rng, 500, 40e3)
		if way == "downstream" {
			n = logUniform(rng, 2e3, 1e6)
		}
		if err := r.poisonFor(ctx, between(rng, 300*time.Millisecond, 1500*time.Millisecond), "limit_data", way, 1, map[string]int{"bytes": n}); err != nil {
			return err
		}
		if !pause(ctx, between(rng, 0, 500*time.Millisecond)) {
			return nil
		}
	}
	return nil
}

// latency: every packet is delayed, sometimes for long.
func latency(ctx context.Context, rng *rand.Rand, r *run) error {
	for range 2 {
		delay := logUniform(rng, 10, 1500)
		if err := r.poisonFor(ctx, between(rng, 1*time.Second, 3*time.Second), "latency", direction(rng), 1, map[string]int{"latency": delay, "jitter": delay / 2}); err != nil {
			return err
		}
	}
	return nil
}

// outage: nothing gets through for some seconds. In one of four, connections stay open but are
// silent.
func outage(ctx context.Context, rng *rand.Rand, r *run) error {
	silent := rng.IntN(4) == 0
	length := between(rng, 500*time.Millisecond, 4*time.Second)
	if !pause(ctx, between(rng, 0, 3*time.Second)) {
		return nil
	}
	if silent {
		var both sync.WaitGroup
		errs := make([]error, 2)
		for i, way := range []string{"upstream", "downstream"} {
			both.Go(func() { errs[i] = r.poisonFor(context.WithoutCancel(ctx), length, "timeout", way, 1, nil) })
		}
		both.Wait()
		return errs[0]
	}
	r.faults.Add(1)
	r.link.down()
	pause(context.WithoutCancel(ctx), length)
	return r.link.up(context.WithoutCancel(ctx))
}

// restarts: the API server ends as in a crash and is started again. It affects all current runs, so
// the runs take turns, and the next may begin when the cluster has recovered.
func restarts(ctx context.Context, rng *rand.Rand, r *run) error {
	after, away := between(rng, 0, time.Second), between(rng, 0, 2*time.Second)
	if !pause(ctx, after) || !r.restarting.TryLock() {
		return nil
	}
	defer r.restarting.Unlock()
	ctx = context.WithoutCancel(ctx)
	r.faults.Add(1)
	r.cluster.StopAPIServer()
	pause(ctx, away)
	if err := r.cluster.StartAPIServer(ctx); err != nil {
		return err
	}
	if err := r.cluster.RestartControllers(); err != nil {
		return err
	}
	return r.awaitPods(ctx)
}

// awaitPods returns when a new pod becomes ready: controllers, scheduler and kubelets take their time
// to notice that the API server is back.
func (b *bench) awaitPods(ctx context.Context) error {
	const pods = "/api/v1/namespaces/default/pods"
	name := "probe-" + strings.ToLower(cryptorand.Text())
	return cluster.Eventually(ctx, func(ctx context.Context) error {
		var pod struct{ Status struct{ Phase string } }
		err := b.cluster.Request(ctx, http.MethodGet, pods+"/"+name, nil, &pod)
		switch {
		case cluster.IsNotFound(err):
			return errors.Join(errors.New("no probe"), b.cluster.Request(ctx, http.MethodPost, pods, map[string]any{
				"metadata": map[string]any{"name": name},
				"spec":     map[string]any{"containers": []any{map[string]any{"name": "main", "image": "nginx"}}},
			}, nil))
		case err != nil:
			return err
		case pod.Status.Phase != "Running":
			return errors.New("the probe is " + pod.Status.Phase)
		}
		return b.cluster.Request(ctx, http.MethodDelete, pods+"/"+name, nil, nil)
	})
}

// killHelm kills helm processes of this run at any moment of their life.
func killHelm(ctx context.Context, rng *rand.Rand, r *run) error {
	for range 1 + rng.IntN(3) {
		after := between(rng, 0, 1500*time.Millisecond)
		pid := 0
		for pid == 0 {
			if !pause(ctx, 10*time.Millisecond) {
				return nil
			}
			pid = childOf(os.Getpid(), "--namespace="+r.namespace)
		}
		if !pause(ctx, after) {
			return nil
		}
		// Between the look and the kill the process is at least a child, so its id is not reused.
		if pid = childOf(os.Getpid(), "--namespace="+r.namespace); pid != 0 && syscall.Kill(pid, syscall.SIGKILL) == nil {
			r.faults.Add(1)
		}
	}
	return nil
}

// childOf finds a child process that has the given argument; 0 when there is none.
func childOf(parent int, argument string) int {
	for _, pid := range processesWith(func(arg string) bool { return arg == argument }) {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil {
			continue
		}
		// "pid (name) state parent …"; the name may contain anything.
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if len(fields) > 1 && fields[1] == strconv.Itoa(parent) && fields[0] != "Z" {
			return pid
		}
	}
	return 0
}

// processesWith finds the processes that have such an argument.
func processesWith(such func(argument string) bool) (pids []int) {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it ended meanwhile
		}
		if slices.ContainsFunc(strings.Split(string(text), "\x00"), such) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			pids = append(pids, pid)
		}
	}
	return pids
}
