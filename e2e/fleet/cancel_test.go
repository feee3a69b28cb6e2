package fleet

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/sut-bench/helmexec/internal/chartrepo"
)

// A job is cancelled at each moment: while its chart is fetched, while it waits for accelerators, while helm waits for its
// pods, and while it measures. Each of the jobs with accelerators needs all of them, so the next one gets them only if the
// one before it gave them back. A cancelled job can be started again.
func TestCancel(t *testing.T) {
	t.Parallel()
	ctx, l := testLab(t)
	addWorker(t, l, "a", "", "")
	times := map[string]string{"ready": "40s", "apply": "50s", "measure": "5m"} // for a busy machine
	start := func(job Job) {
		t.Helper()
		job.ID, job.Times = "7", times
		if err := l.Submit(ctx, job); err != nil {
			t.Fatal(err)
		}
	}
	chart, all := l.Charts.URL+"/sut", map[string]any{"gpus": 8}

	start(Job{SUT: "measures", Chart: chart, Values: all, Measure: "5m"})
	atWork(ctx, t, l, "measures", "Measure at a")

	endless := make(chan struct{})
	defer close(endless)
	silent, err := chartrepo.Start("", chartrepo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	silent.Inject(chartrepo.Fault{Hold: endless})
	start(Job{SUT: "fetched", Chart: silent.URL + "/sut"})
	atWork(ctx, t, l, "fetched", "Plan at a")
	cancelled(ctx, t, l, "fetched")

	start(Job{SUT: "waits", Chart: chart, Values: all})
	atWork(ctx, t, l, "waits", "waits for accelerators")
	cancelled(ctx, t, l, "waits")
	atWork(ctx, t, l, "measures", "Measure at a")

	start(Job{SUT: "starts", Chart: chart, Values: map[string]any{"gpus": 8, "readyAfter": "10m"}})
	atWork(ctx, t, l, "starts", "waits for accelerators")
	cancelled(ctx, t, l, "measures")
	atWork(ctx, t, l, "starts", "0 of 1 pods ready")
	cancelled(ctx, t, l, "starts")

	start(Job{SUT: "starts", Attempt: 2, Chart: chart, Values: all})
	if _, err := l.Await(ctx, func(all []State) bool { return stateOf(all, "starts").Outcome() == "measured" }); err != nil {
		t.Fatal(err)
	}
	left, err := l.Left(ctx)
	if err != nil || len(left) > 0 {
		t.Errorf("left in the cluster: %q %v", left, err)
	}

	for args, says := range map[string]string{
		"cancel 7":        `fleet: job 7 has ended; "fleet status 7" shows how`,
		"cancel 7 waits":  `fleet: SUT waits of job 7 has ended; "fleet status 7" shows how`,
		"cancel 7 nosuch": "fleet: there is no SUT nosuch of job 7",
		"cancel 8":        "fleet: there is no job 8",
		"status 8":        "fleet: there is no job 8",
	} {
		if out, code := l.try(ctx, strings.Fields(args)...); code != 1 || out != says+"\n" {
			t.Errorf("fleet %s: exit code %d: %s", args, code, out)
		}
	}
	if out, code := l.try(ctx, "status", "7"); code != 0 || strings.Count(out, " canceled ") != 3 {
		t.Errorf("fleet status: exit code %d:\n%s", code, out)
	}
}

// cancelled cancels a job, and waits for its end.
func cancelled(ctx context.Context, t *testing.T, l *Lab, sut string) {
	t.Helper()
	name := "job-7-sut-" + sut
	if out, code := l.try(ctx, "cancel", "7", sut); code != 0 || out != name+": cancelled; what it installed will be removed\n" {
		t.Fatalf("fleet cancel: exit code %d: %s", code, out)
	}
	// A queue may say so twice.
	if out, code := l.try(ctx, "cancel", "7", sut); code != 0 && !strings.Contains(out, " has ended;") || code == 0 && !strings.Contains(out, ": was cancelled before;") {
		t.Errorf("fleet cancel: exit code %d: %s", code, out)
	}
	states, err := l.Await(ctx, func(all []State) bool { return stateOf(all, sut).Outcome() != "" })
	if err != nil {
		t.Fatal(err)
	}
	if s := stateOf(states, sut); s.Status != "canceled" {
		t.Errorf("%+v", s)
	}
	left, err := l.Left(ctx)
	if err != nil || slices.ContainsFunc(left, func(object string) bool { return strings.Contains(object, name) }) {
		t.Errorf("left in the cluster: %q %v", left, err)
	}
}

// atWork waits until the status of a job says what it does.
func atWork(ctx context.Context, t *testing.T, l *Lab, sut, says string) {
	t.Helper()
	await(ctx, t, sut+" is at "+says, func() error {
		states, err := l.Status(ctx)
		if s := stateOf(states, sut); err != nil || !strings.Contains(s.Text, says) {
			return fmt.Errorf("%+v %v", s, err)
		}
		return nil
	})
}

func stateOf(all []State, sut string) State {
	if i := slices.IndexFunc(all, func(s State) bool { return s.SUT == sut }); i >= 0 {
		return all[i]
	}
	return State{Status: "running"}
}

// try runs a command of fleet as a user does, and gives what the user sees.
func (l *Lab) try(ctx context.Context, args ...string) (out string, code int) {
	cmd := exec.CommandContext(ctx, l.Fleet, append([]string{"-server", l.Address()}, args...)...)
	text, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		code = -1
	}
	return string(text), code
}
