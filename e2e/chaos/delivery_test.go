package chaos

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sut-bench/helmexec/e2e/cluster"
)

// TestDoubleDelivery: a queue gives the same job to two runners, on one host or on two. Both
// succeed, with one release.
func TestDoubleDelivery(t *testing.T) {
	t.Parallel()
	ctx, b := needBench(t)
	for _, n := range wanted("twice", max(5, int(setting("CHAOS_RUNS", shortRuns))/2)) {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			t.Parallel()
			r := newTestRun(ctx, t, b, family{name: "twice"}, n)
			first, second := r.job(install), r.job(install)
			if r.rng.IntN(2) == 0 {
				second.Home = filepath.Join(b.dir, "other-host")
			}
			delay := between(r.rng, 0, 1500*time.Millisecond)
			var both sync.WaitGroup
			outcomes := make([]outcome, 2)
			for i, j := range []job{first, second} {
				both.Go(func() {
					if i == 1 {
						pause(ctx, delay)
					}
					var err error
					if outcomes[i], err = j.inProcess(ctx); err != nil {
						t.Error(err)
					}
				})
			}
			both.Wait()
			s, err := r.look(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for i, o := range outcomes {
				if wrongs := r.afterInstall(o, s); !o.OK || len(wrongs) > 0 {
					t.Errorf("%s, runner %d, homes %q %q: ok %v, %v, error %s\n%s\n%s", r, i, first.Home, second.Home, o.OK, wrongs, o.Error, s, o.Log)
				}
			}
			if outcomes[0].Recovered && outcomes[1].Recovered {
				t.Error("both runners say that the other installed it")
			}
		})
	}
}

// TestDeadHost: the host of an install is lost. Another one takes over, but not before the install
// must have ended by the time on its record.
func TestDeadHost(t *testing.T) {
	t.Parallel()
	ctx, b := needBench(t)
	for _, n := range wanted("dead-host", 2) {
		t.Run(fmt.Sprintf("helm%d", 3+n%2), func(t *testing.T) {
			t.Parallel()
			r := newTestRun(ctx, t, b, family{name: "dead-host"}, n)
			lost := r.job(install)
			lost.Limit, lost.Grace = 15*time.Second, time.Second
			lost.Values = maps.Clone(r.values)
			lost.Values["readyAfter"] = "1h" // so that it is still at work when its host goes
			begin := time.Now()
			for ; !lost.dies(ctx, r); begin = time.Now() {
				// On a busy machine its time was over before it recorded anything. The longer it has, the
				// longer the other host will wait.
				if lost.Limit *= 2; lost.Limit > 5*time.Minute {
					t.Fatal("the runner was not killed")
				}
			}
			for _, pid := range processesWith(func(arg string) bool { return arg == "--namespace="+r.namespace }) {
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
					t.Fatal(err)
				}
			}
			other := r.job(install)
			other.Home = filepath.Join(b.dir, "other-host")
			o, err := other.inProcess(ctx)
			if err != nil {
				t.Fatal(err)
			}
			s, err := r.look(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if wrongs := r.afterInstall(o, s); !o.OK || len(wrongs) > 0 {
				t.Errorf("%s: ok %v, %v, error %s\n%s\n%s", r, o.OK, wrongs, o.Error, s, o.Log)
			}
			if took := time.Since(begin); o.Recovered || took < lost.Limit+4*lost.Grace {
				t.Errorf("the other host took over after %s (recovered: %v), when the first could have been alive\n%s", took, o.Recovered, o.Log)
			}
		})
	}
}

// dies does the job in a process that is killed once it is seen working, and reports whether it
// was.
func (j job) dies(ctx context.Context, r *run) bool {
	ctx, die := context.WithCancel(ctx)
	defer die()
	ended := make(chan error, 1)
	go func() {
		_, err := j.inProcess(ctx)
		ended <- err
		die()
	}()
	_ = cluster.Eventually(ctx, func(ctx context.Context) error {
		s, err := r.lookOnce(ctx)
		if err == nil && !slices.Contains(s.records, "pending-install") {
			err = errors.New("not working yet")
		}
		return err
	})
	die()
	return <-ended != nil
}

// TestOutageBeyondTheBudget: the network fails while an install waits, and does not come back
// before the tries are used up. The error lists the objects that exist.
func TestOutageBeyondTheBudget(t *testing.T) {
	t.Parallel()
	ctx, b := needBench(t)
	stages := []struct {
		name   string
		values map[string]any
		group  string // path of the object that is there when the network goes
		object string
	}{
		{"pods start", map[string]any{"readyAfter": "60s", "kind": "Deployment"}, "/apis/apps/v1", "deployments/%s"},
		{"claims", map[string]any{"readyAfter": "60s", "kind": "StatefulSet"}, "/api/v1", "persistentvolumeclaims/data-%s-0"},
		{"after a hook", map[string]any{"readyAfter": "60s", "kind": "Deployment", "hook": map[string]any{"event": "pre-install"}}, "/apis/apps/v1", "deployments/%s"},
		{"pre-install hook", map[string]any{"hook": map[string]any{"event": "pre-install", "fault": cluster.FaultNeverFinish}}, "/apis/batch/v1", "jobs/%s-hook"},
		{"post-install hook", map[string]any{"hook": map[string]any{"event": "post-install", "fault": cluster.FaultNeverFinish}}, "/apis/batch/v1", "jobs/%s-hook"},
	}
	for _, n := range wanted("beyond", 2*len(stages)) {
		stage := stages[n/2]
		t.Run(fmt.Sprintf("helm%d/%s", 3+n%2, stage.name), func(t *testing.T) {
			t.Parallel()
			r := newTestRun(ctx, t, b, family{name: "beyond"}, n)
			r.values["hook"] = map[string]any{}
			for k, v := range stage.values {
				r.values[k] = v
			}
			j := r.job(install)
			j.Tries, j.Timeout = 3, 10*time.Second
			done := make(chan outcome, 1)
			go func() { done <- j.do(ctx) }()
			path := stage.group + "/namespaces/" + r.namespace + "/" + fmt.Sprintf(stage.object, r.release)
			err := cluster.Eventually(ctx, func(ctx context.Context) error {
				return b.cluster.Request(ctx, http.MethodGet, path, nil, nil)
			})
			if err != nil {
				t.Fatal(err)
			}
			r.link.down()
			o := <-done
			s, err := r.look(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if !o.LeftBehind || !o.Typed {
				t.Errorf("%s: got %+v", r, o)
			}
			if !sameNames(s.objects, o.Remains, o.Unsure) || !slices.Contains(o.Remains, "Secret sh.helm.release.v1."+r.release+".v1") {
				t.Errorf("%s: reported %q\nthere are %s\n%s\n%s", r, o.Remains, s, o.Error, o.Log)
			}
			// The network is back: the next runner cleans up.
			if err := r.link.up(ctx); err != nil {
				t.Fatal(err)
			}
			if stage.values["hook"] == nil {
				r.values["readyAfter"] = "0s"
				if o := r.job(install).do(ctx); !o.OK {
					t.Errorf("%s: the next runner got %s\n%s", r, o.Error, o.Log)
				}
			}
			if o := r.job(uninstall).do(ctx); !o.OK {
				t.Errorf("%s: uninstall: %s\n%s", r, o.Error, o.Log)
			}
		})
	}
}

// newTestRun takes a place, and makes a run without faults of its own.
func newTestRun(ctx context.Context, t *testing.T, b *bench, f family, number int) *run {
	t.Helper()
	b.places <- struct{}{}
	t.Cleanup(func() { <-b.places })
	r, err := b.newRun(ctx, f, number)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.link.down)
	return r
}
