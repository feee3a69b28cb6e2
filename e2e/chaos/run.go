// Package chaos installs and uninstalls charts while things go wrong, and then checks, without
// helmexec, what the cluster really contains.
package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/e2e/cluster"
)

// bench is where runs take place.
type bench struct {
	cluster  *cluster.Cluster
	binaries [2]string // Helm 3 and Helm 4
	dir      string
	seed     uint64

	places     chan struct{} // runs share two cores, and wait most of the time
	restarting *sync.Mutex   // held while the cluster's API server is away
}

// run is one release from its install to its uninstall. Everything random in it comes from the
// seed, the family and the number.
type run struct {
	*bench
	family             family
	number             int
	helm               int // 3 or 4
	namespace, release string
	createNamespace    bool // by the install
	chart              string
	values             helmexec.Values
	timeout            time.Duration // of helm's waiting
	during             trouble       // of the family, or drawn
	want               []string      // objects of the release except its record, as "Kind name", sorted
	stays              []string      // those of them that an uninstall leaves by design
	maybe              []string      // objects outside the release that an earlier try may have left
	rng                *rand.Rand
	link               *link
	kubeconfig         string
	faults             atomic.Int64
}

// begun is set when a run has begun.
var begun atomic.Bool

// newRun draws a run and makes its namespace and link.
func (b *bench) newRun(ctx context.Context, f family, number int) (*run, error) {
	begun.Store(true)
	hash := fnv.New64a()
	fmt.Fprintf(hash, "%s/%d", f.name, number)
	rng := rand.New(rand.NewPCG(b.seed, hash.Sum64()))
	r := &run{
		bench: b, family: f, number: number, helm: 3 + number%2, rng: rng,
		namespace: fmt.Sprintf("%s-%d", f.name, number), release: fmt.Sprintf("job-%d-sut-%s", number, f.name),
		chart: sutChart, timeout: 2 * time.Minute, during: f.during,
	}
	r.draw()
	if f.draw != nil {
		if err := f.draw(r); err != nil {
			return nil, err
		}
	}
	if !r.createNamespace {
		if err := b.cluster.CreateNamespace(ctx, r.namespace); err != nil {
			return nil, err
		}
	}
	var err error
	if r.link, err = newLink(r.namespace, strings.TrimPrefix(b.cluster.URL, "https://")); err != nil {
		return nil, err
	}
	r.kubeconfig, err = b.cluster.KubeconfigFor(r.link.url())
	return r, err
}

// draw chooses the chart's values: a Deployment or a StatefulSet with a claim, which stays; with a
// hook that removes itself, one that stays, or none; ready after up to a second, and gone at once or after up to three.
func (r *run) draw() {
	kind := []string{"Deployment", "StatefulSet"}[r.rng.IntN(2)]
	configMaps := 1 + r.rng.IntN(5)
	hook := map[string]any{}
	r.want = []string{kind + " " + r.release, "Service " + r.release}
	switch r.rng.IntN(3) {
	case 0:
		hook = map[string]any{"event": "pre-install"}
	case 1:
		hook = map[string]any{"event": "post-install", "policy": "before-hook-creation"}
		r.stay("Job " + r.release + "-hook")
	}
	if kind == "StatefulSet" {
		r.stay("PersistentVolumeClaim data-" + r.release + "-0")
	}
	for i := range configMaps {
		r.want = append(r.want, fmt.Sprintf("ConfigMap %s-%d", r.release, i))
	}
	slices.Sort(r.want)
	r.values = helmexec.Values{
		"kind": kind, "hook": hook, "configMaps": configMaps, "readyAfter": between(r.rng, 0, time.Second).Truncate(time.Millisecond).String(),
		"greeting": fmt.Sprintf("%x", r.rng.Uint64()),
	}
	if r.rng.IntN(2) == 0 {
		r.values["goneAfter"] = between(r.rng, 0, 3*time.Second).Truncate(time.Millisecond).String()
	}
}

func (r *run) String() string {
	return fmt.Sprintf("%s/%d on Helm %d (seed %d)", r.family.name, r.number, r.helm, r.seed)
}

// job is what the runner of this run does.
func (r *run) job(a action) job {
	plan := ""
	if r.family.plans {
		plan = filepath.Join(r.dir, "plan-"+r.namespace)
	}
	return job{
		PlanFile: plan,
		Action:   a, Chart: r.chart, CreateNamespace: r.createNamespace, JobID: strconv.Itoa(r.number),
		Binary: r.binaries[r.helm-3], Home: filepath.Join(r.dir, fmt.Sprintf("helm%d", r.helm)), Kubeconfig: r.kubeconfig,
		Namespace: r.namespace, Release: r.release, OperationID: fmt.Sprintf("job %d, attempt 1", r.number), Values: r.values,
		Tries: 10, Timeout: r.timeout, Grace: 10 * time.Second, Limit: 5 * time.Minute,
	}
}

// under does a job while the family makes its faults.
func (r *run) under(ctx context.Context, j job) (outcome, error) {
	if r.family.byRunner {
		return r.killedRunners(ctx, j)
	}
	if r.during == nil {
		return j.do(ctx), nil
	}
	ctx, done := context.WithCancel(ctx)
	var failed error
	var faults sync.WaitGroup
	faults.Go(func() { failed = r.during(ctx, r.rng, r) })
	o := j.do(ctx)
	done()
	faults.Wait()
	return o, failed
}

// killedRunners starts a runner and kills it at some moment, one to three times, and lets the last
// one end.
func (r *run) killedRunners(ctx context.Context, j job) (outcome, error) {
	for range 1 + r.rng.IntN(3) {
		after := between(r.rng, 20*time.Millisecond, 3*time.Second)
		limited, cancel := context.WithTimeout(ctx, after)
		o, err := j.inProcess(limited)
		killed := limited.Err() != nil && err != nil
		cancel()
		if !killed {
			return o, err
		}
		r.faults.Add(1)
		// The first may have removed everything, and its list of what stays was lost.
		j.IgnoreNotFound = true
	}
	return j.inProcess(ctx)
}

// inProcess does a job in a separate process, which is killed when ctx ends.
func (j job) inProcess(ctx context.Context) (outcome, error) {
	text, err := json.Marshal(j)
	if err != nil {
		return outcome{}, err
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), runnerVariable+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(text), &stdout, &stderr
	// The helm that a killed runner leaves must not block us.
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		return outcome{}, fmt.Errorf("runner: %w: %s", err, stderr.String())
	}
	var o outcome
	return o, json.Unmarshal(stdout.Bytes(), &o)
}

// begin starts a job in a separate process; wait waits for it.
func (j job) begin(ctx context.Context) (wait func() (outcome, error)) {
	var o outcome
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		o, err = j.inProcess(ctx)
	}()
	return func() (outcome, error) { <-done; return o, err }
}
