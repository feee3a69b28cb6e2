package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/plan"
)

// action is what a runner does with its release.
type action string

const (
	install   action = "install"
	upgrade   action = "upgrade"
	uninstall action = "uninstall"
	removeJob action = "remove job" // by UninstallJob
	removeOld action = "remove old" // by UninstallOverdue
)

// job is what a job runner does: one action.
type job struct {
	Action                   action
	Binary, Home, Kubeconfig string
	Chart                    string
	PlanFile                 string // where an install that is planned keeps its plan, "" for one that is not
	Namespace, Release       string
	CreateNamespace          bool
	OperationID, JobID       string
	Values                   helmexec.Values
	IgnoreNotFound           bool
	Tries                    int
	Timeout                  time.Duration // of helm's waiting
	Deadline                 time.Time     // of the release
	Grace, Limit             time.Duration
}

// outcome is how it ended, as a runner reports it.
type outcome struct {
	OK, Recovered bool
	Removed       int    // releases that were removed
	Tries         int    // helm processes that installed, upgraded or uninstalled
	Struck        int    // helm processes of any kind that failed
	Swept         int    // how often objects were removed that an uninstall had skipped
	Error         string // "" when OK
	Typed         bool   // the error has a cause that a program can act on
	Refused       bool   // it is helm's own, which failed for good
	Transient     bool
	Status        string // in which the error says that the release is
	LeftBehind    bool
	NotGone       bool
	Remains       []string // named as in a sight
	Unsure        []string // those of them that may be gone: they could not be checked, or were being deleted
	Log           string   // a line for each helm process
}

// sutChart is the chart of every run, see oddChart.
const sutChart = "../testdata/sut"

// do is the program of a job runner; it uses only the public API.
func (j job) do(ctx context.Context) outcome {
	ctx, cancel := context.WithTimeout(ctx, j.Limit)
	defer cancel()
	log := &processLog{}
	h, err := helmexec.New(helmexec.Config{
		Binary: j.Binary, Home: j.Home, Kubeconfig: j.Kubeconfig, Namespace: j.Namespace, GracePeriod: j.Grace,
		Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{ReplaceAttr: withoutTemplate})),
		Retry: helmexec.Retry{Tries: j.Tries, BackOff: func() backoff.BackOff {
			return backoff.NewExponentialBackOff(backoff.WithInitialInterval(200*time.Millisecond), backoff.WithMaxInterval(2*time.Second), backoff.WithMaxElapsedTime(0))
		}},
	})
	if err != nil {
		return outcome{Error: err.Error()}
	}
	o, remains, err := j.act(ctx, h)
	if err != nil {
		o.OK, o.Error, o.Typed, o.Transient = false, err.Error(), typed(err), helmexec.IsTransient(err)
		var helms *helmexec.Error
		o.Refused = errors.As(err, &helms)
		o.LeftBehind, o.NotGone = errors.Is(err, helmexec.ErrLeftBehind), errors.Is(err, helmexec.ErrNotGone)
		var failed *helmexec.ReleaseError
		if errors.As(err, &failed) {
			remains, o.Status = failed.Remains, string(failed.Status)
		}
	}
	for _, r := range remains {
		name := called(r.Kind, r.Namespace, r.Name, j.Namespace)
		o.Remains = append(o.Remains, name)
		if r.State != helmexec.RemainThere {
			o.Unsure = append(o.Unsure, name)
		}
	}
	o.Log, o.Struck = log.String(), strings.Count(log.String(), "level=WARN")
	o.Swept = strings.Count(o.Log, "/tmp/sweep-")
	command := string(j.Action)
	if j.Action == removeJob || j.Action == removeOld {
		command = "uninstall"
	}
	for line := range strings.Lines(o.Log) {
		// A helm that was ended when its objects were gone counts as one try with the helm that removes the record.
		if strings.Contains(line, `args="[`+command+" ") && !strings.Contains(line, " ended=") {
			o.Tries++
		}
	}
	return o
}

// act calls the library.
func (j job) act(ctx context.Context, h *helmexec.Helm) (o outcome, remains []helmexec.Remain, err error) {
	o.OK = true
	switch j.Action {
	case install:
		var rel *helmexec.Release
		if j.PlanFile != "" {
			rel, err = j.apply(ctx, h)
			o.Recovered = err == nil && rel.Recovered
			break
		}
		rel, err = h.Install(ctx, j.Release, j.Chart, helmexec.InstallOptions{
			Wait: true, Timeout: j.Timeout, CreateNamespace: j.CreateNamespace, OperationID: j.OperationID, JobID: j.JobID, Values: j.Values,
			Deadline: j.Deadline,
		})
		o.Recovered = err == nil && rel.Recovered
	case upgrade:
		var rel *helmexec.Release
		rel, err = h.Upgrade(ctx, j.Release, j.Chart, helmexec.UpgradeOptions{
			Wait: true, Timeout: j.Timeout, OperationID: j.OperationID, JobID: j.JobID, Values: j.Values,
		})
		o.Recovered = err == nil && rel.Recovered
	case uninstall:
		var done *helmexec.UninstallResult
		done, err = h.Uninstall(ctx, j.Release, helmexec.UninstallOptions{
			Wait: true, Timeout: j.Timeout, IgnoreNotFound: j.IgnoreNotFound,
		})
		if done != nil {
			remains = done.Remains
			if done.Release != nil {
				o.Removed = 1
			}
		}
	case removeJob, removeOld:
		var all []*helmexec.UninstallResult
		opts := helmexec.JobOptions{Wait: true, Timeout: j.Timeout}
		if j.Action == removeJob {
			all, err = h.UninstallJob(ctx, j.JobID, opts)
		} else {
			all, err = h.UninstallOverdue(ctx, opts)
		}
		for _, done := range all {
			o.Removed, remains = o.Removed+1, append(remains, done.Remains...)
		}
	}
	return o, remains, err
}

// apply installs by a plan, the one that a runner before saved if there is one.
func (j job) apply(ctx context.Context, h *helmexec.Helm) (*helmexec.Release, error) {
	p, err := plan.Load(ctx, j.PlanFile)
	if errors.Is(err, os.ErrNotExist) {
		p, err = h.Plan(ctx, j.Release, j.Chart, helmexec.PlanOptions{Values: j.Values})
		if err == nil {
			err = p.Save(j.PlanFile)
		}
	}
	if err != nil {
		return nil, err
	}
	return h.Apply(ctx, p, helmexec.ApplyOptions{
		Wait: true, Timeout: j.Timeout, CreateNamespace: j.CreateNamespace, OperationID: j.OperationID, JobID: j.JobID, Digest: p.Digest(),
	})
}

// typed reports whether a program can tell from the error what happened.
func typed(err error) bool {
	for _, kind := range []error{
		helmexec.ErrReleaseExists, helmexec.ErrReleaseNotFound, helmexec.ErrReleaseBusy, helmexec.ErrClusterUnreachable,
		helmexec.ErrNotReady, helmexec.ErrNotGone, helmexec.ErrLeftBehind, helmexec.ErrNotRecorded, context.Canceled, context.DeadlineExceeded,
	} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return helmexec.IsTransient(err)
}

// processLog keeps the line of each helm process.
type processLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *processLog) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *processLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// withoutTemplate leaves out the one argument that nobody wants to read.
func withoutTemplate(_ []string, a slog.Attr) slog.Attr {
	if args, ok := a.Value.Any().([]string); ok {
		kept := slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return strings.HasPrefix(arg, "--template=") })
		return slog.Any(a.Key, kept)
	}
	return a
}

// runnerVariable makes the test binary a job runner: it reads a job from stdin, does it, and writes
// the outcome on stdout.
const runnerVariable = "HELMEXEC_CHAOS_RUNNER"

// runner is the main of that program.
func runner(in io.Reader, out io.Writer) int {
	var j job
	if err := json.NewDecoder(in).Decode(&j); err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		return 2
	}
	if err := json.NewEncoder(out).Encode(j.do(context.Background())); err != nil {
		return 2
	}
	return 0
}
