package fleet

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"github.com/sut-bench/helmexec/e2e/cluster"
	"github.com/sut-bench/helmexec/e2e/internal/guarded"
	"github.com/sut-bench/helmexec/internal/tools"
)

// testLab starts a lab for one test. Its only chart is that of e2e/testdata/sut.
func testLab(t *testing.T) (context.Context, *Lab) {
	t.Helper()
	if err := cluster.Available(); err != nil {
		t.Skip(err)
	}
	helm, err := tools.Path("helm4")
	if err != nil {
		t.Skip(err)
	}
	if _, err := tools.Path("temporal"); err != nil {
		t.Skip(err)
	}
	ctx, cancel := guarded.UntilInterrupted()
	t.Cleanup(cancel)
	ctx, cancelLate := context.WithTimeout(ctx, 5*time.Minute)
	t.Cleanup(cancelLate)
	dir := t.TempDir()
	command := filepath.Join(dir, "fleet")
	build := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", command, ".")
	build.Dir = "../../examples/fleet"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	l, err := Start(ctx, Options{Fleet: command, Helm: helm, ChartFolder: "../testdata/sut", Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.Stop()
		if t.Failed() {
			for _, w := range l.workers {
				text, _ := os.ReadFile(w.log())
				t.Logf("worker %s:\n%s", w.name, text)
			}
		}
	})
	return ctx, l
}

// link is the network between a worker and Temporal.
type link struct{ *toxiproxy.Proxy }

func newLink(t *testing.T, l *Lab) link {
	t.Helper()
	port, err := guarded.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	proxy := toxiproxy.NewProxy(server, "temporal", fmt.Sprintf("127.0.0.1:%d", port), l.Address())
	if err := proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Stop)
	return link{proxy}
}

func addWorker(t *testing.T, l *Lab, name, helm, address string) *Worker {
	t.Helper()
	w, err := l.AddWorker(name, helm, address)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// await waits until done returns nil.
func await(ctx context.Context, t *testing.T, what string, done func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	if err := guarded.Poll(ctx, func(context.Context) error { return done() }); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

const release = "job-7-sut-web"

// patient are times for a busy machine: no other host has to wait for the end of a helm here.
var patient = map[string]string{"ready": "20s"}

func submit(ctx context.Context, t *testing.T, l *Lab, readyAfter string, times map[string]string) {
	t.Helper()
	job := Job{ID: "7", SUT: "web", Chart: l.Charts.URL + "/sut", Values: map[string]any{"readyAfter": readyAfter}, Measure: "1s", Times: times}
	if err := l.Submit(ctx, job); err != nil {
		t.Fatal(err)
	}
}

// recorded waits until the cluster has the record of the release with a status; "" is none.
func recorded(ctx context.Context, t *testing.T, l *Lab, status string) {
	t.Helper()
	await(ctx, t, "the record is "+status, func() error {
		var list struct {
			Items []struct {
				Metadata struct{ Labels map[string]string }
			}
		}
		err := l.Cluster.Request(ctx, http.MethodGet, "/api/v1/namespaces/default/secrets?labelSelector=owner%3Dhelm%2Cname%3D"+release, nil, &list)
		switch {
		case err != nil:
			return err
		case status == "" && len(list.Items) == 0, len(list.Items) == 1 && list.Items[0].Metadata.Labels["status"] == status:
			return nil
		}
		return fmt.Errorf("%d records: %v", len(list.Items), list.Items)
	})
}

// answered waits until a worker has done an activity.
func answered(ctx context.Context, t *testing.T, w *Worker, activity string) {
	t.Helper()
	await(ctx, t, w.name+" has done "+activity, func() error {
		text, err := os.ReadFile(w.log())
		if err != nil {
			return err
		}
		for l := range strings.Lines(string(text)) {
			if strings.Contains(l, `"msg":"answered"`) && strings.Contains(l, `"activity":"`+activity+`"`) && !strings.Contains(l, `"error"`) {
				return nil
			}
		}
		return errors.New("not yet")
	})
}

// measured waits for the end of the job, which was measured, and checks that nothing is left of it.
func measured(ctx context.Context, t *testing.T, l *Lab) State {
	t.Helper()
	states, err := l.Await(ctx, func(all []State) bool { return len(all) == 1 && all[0].Outcome() != "" })
	if err != nil {
		t.Fatal(err)
	}
	if states[0].Outcome() != "measured" {
		t.Fatalf("%+v", states[0])
	}
	left, err := l.Left(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range left {
		t.Error("left in the cluster:", object)
	}
	return states[0]
}

func deployed(t *testing.T, l *Lab, want int) {
	t.Helper()
	got, err := l.Deployed()
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, n := range got {
		total += n
	}
	if len(got) != 1 || total != want {
		t.Errorf("deployed, by operation: %v, want one operation %d times", got, want)
	}
}

// An apply that ran and whose answer was lost is delivered again, on another host: one release, one result.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	ctx, l := testLab(t)
	network := newLink(t, l)
	a := addWorker(t, l, "a", "", network.Listen)
	submit(ctx, t, l, "2s", patient)
	recorded(ctx, t, l, "pending-install")
	network.Stop()
	recorded(ctx, t, l, "deployed")
	await(ctx, t, "the helm of a ends", func() error {
		if n := len(a.Helms()); n > 0 {
			return fmt.Errorf("%d helms", n)
		}
		return nil
	})
	answered(ctx, t, a, "Apply")
	a.Kill(true)
	addWorker(t, l, "b", "", "")
	s := measured(ctx, t, l)
	if s.Result.Lost != 1 || s.Result.Applies != 2 || !s.Result.Recovered {
		t.Errorf("%+v", *s.Result)
	}
	deployed(t, l, 1)
}

// A worker is stopped, or cut off, while its helm lives: the host that gets the work waits for that helm, and a woken worker
// does no harm.
func TestLostHeartbeat(t *testing.T) {
	t.Parallel()
	longer := map[string]string{"ready": "30s", "apply": "50s"}
	t.Run("stopped", func(t *testing.T) {
		t.Parallel()
		ctx, l := testLab(t)
		a := addWorker(t, l, "a", "", "")
		submit(ctx, t, l, "18s", longer)
		recorded(ctx, t, l, "pending-install")
		if err := syscall.Kill(a.PID(), syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		b := addWorker(t, l, "b", "", "")
		answered(ctx, t, b, "Apply")
		if err := syscall.Kill(a.PID(), syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		if s := measured(ctx, t, l); s.Result.Lost == 0 || !s.Result.Recovered {
			t.Errorf("%+v", *s.Result)
		}
		deployed(t, l, 1)
	})
	t.Run("cut off", func(t *testing.T) {
		t.Parallel()
		ctx, l := testLab(t)
		network := newLink(t, l)
		a := addWorker(t, l, "a", "", network.Listen)
		submit(ctx, t, l, "12s", longer)
		recorded(ctx, t, l, "pending-install")
		network.Stop()
		addWorker(t, l, "b", "", "")
		await(ctx, t, "a ends its helm", func() error {
			if n := len(a.Helms()); n > 0 {
				return fmt.Errorf("%d helms", n)
			}
			return nil
		})
		if err := network.Start(); err != nil {
			t.Fatal(err)
		}
		if s := measured(ctx, t, l); s.Result.Lost == 0 {
			t.Errorf("%+v", *s.Result)
		}
		deployed(t, l, 1)
	})
}

// A worker is stopped just before its helm starts, and that helm goes on after the compensation. The second compensation
// removes what it made, whether the worker is woken or dead.
func TestWokenWorker(t *testing.T) {
	t.Parallel()
	for _, dead := range []bool{false, true} {
		t.Run(fmt.Sprintf("dead %v", dead), func(t *testing.T) {
			t.Parallel()
			ctx, l := testLab(t)
			gate, reached, helm := l.file("gate"), l.file("reached"), l.file("gated-helm")
			script := fmt.Sprintf(`#!/bin/sh
case "$*" in *--dry-run*) ;; install*)
	touch %[2]s
	while [ -e %[1]s ]; do sleep 0.05; done
esac
exec %[3]s "$@"
`, gate, reached, l.Helm)
			if err := errors.Join(os.WriteFile(helm, []byte(script), 0o700), os.WriteFile(gate, nil, 0o600)); err != nil {
				t.Fatal(err)
			}
			a := addWorker(t, l, "a", helm, "")
			submit(ctx, t, l, "0s", map[string]string{"ready": "20s", "apply": "50s"})
			await(ctx, t, "helm is about to start", func() error { _, err := os.Stat(reached); return err })
			if err := a.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			b := addWorker(t, l, "b", "", "")
			answered(ctx, t, b, "Uninstall")
			recorded(ctx, t, l, "")
			worker, helms := a.PID(), childrenOf(a.PID())
			if len(helms) == 0 {
				t.Fatal("the helm of a is gone")
			}
			if err := os.Remove(gate); err != nil {
				t.Fatal(err)
			}
			for _, pid := range helms {
				if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
					t.Fatal(err)
				}
			}
			if dead {
				a.Kill(false) // not before: the kernel hangs up on a stopped process whose parent dies
			}
			recorded(ctx, t, l, "deployed") // and nobody knows
			if !dead {
				if err := syscall.Kill(worker, syscall.SIGCONT); err != nil {
					t.Fatal(err)
				}
			}
			states, err := l.Status(ctx)
			if err != nil || slices.ContainsFunc(states, func(s State) bool { return s.Outcome() != "" }) {
				t.Fatalf("the job ended before the second compensation: %v %v", states, err)
			}
			measured(ctx, t, l)
		})
	}
}
