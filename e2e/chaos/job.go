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
)

// job is what a job runner does: one install or one uninstall.
type job struct {
	Binary, Home, Kubeconfig string
	Namespace, Release       string
	OperationID              string
	Values                   helmexec.Values
	Uninstall                bool
	IgnoreNotFound           bool
	Tries                    int
	Timeout                  time.Duration // of helm's waiting
	Grace, Limit             time.Duration
}

// outcome is how it ended, as a runner tells it.
type outcome struct {
	OK, Recovered bool
	Tries         int    // helm processes that installed or uninstalled
	Struck        int    // helm processes of any kind that failed
	Swept         int    // times that objects were removed which an uninstall had skipped
	Error         string // "" when OK
	Typed         bool   // the error has a cause that a program can act on
	LeftBehind    bool
	NotGone       bool
	Remains       []string // "Kind name"
	Log           string   // a line for each helm process
}

// sutChart is the chart of every run.
const sutChart = "../testdata/sut"

// do is the program of a job runner, on the public API alone.
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
	o := outcome{OK: true}
	var remains []helmexec.Remain
	if j.Uninstall {
		var result *helmexec.UninstallResult
		result, err = h.Uninstall(ctx, j.Release, helmexec.UninstallOptions{
			Wait: true, Timeout: j.Timeout, IgnoreNotFound: j.IgnoreNotFound,
		})
		if result != nil {
			remains = result.Remains
		}
	} else {
		var rel *helmexec.Release
		rel, err = h.Install(ctx, j.Release, sutChart, helmexec.InstallOptions{
			Wait: true, Timeout: j.Timeout, OperationID: j.OperationID, Values: j.Values,
		})
		if rel != nil {
			o.Recovered = rel.Recovered
		}
	}
	if err != nil {
		o.OK, o.Error, o.Typed = false, err.Error(), typed(err)
		o.LeftBehind, o.NotGone = errors.Is(err, helmexec.ErrLeftBehind), errors.Is(err, helmexec.ErrNotGone)
		var failed *helmexec.ReleaseError
		if errors.As(err, &failed) {
			remains = failed.Remains
		}
	}
	for _, r := range remains {
		o.Remains = append(o.Remains, r.Kind+" "+r.Name)
	}
	o.Log, o.Struck = log.String(), strings.Count(log.String(), "level=WARN")
	o.Swept = strings.Count(o.Log, "/tmp/sweep-")
	o.Tries = strings.Count(o.Log, `args="[`+map[bool]string{true: "uninstall", false: "install"}[j.Uninstall]+" ")
	return o
}

// typed tells whether a program can tell from the error what happened.
func typed(err error) bool {
	for _, kind := range []error{
		helmexec.ErrReleaseExists, helmexec.ErrReleaseNotFound, helmexec.ErrReleaseBusy, helmexec.ErrClusterUnreachable,
		helmexec.ErrNotReady, helmexec.ErrNotGone, helmexec.ErrLeftBehind, context.Canceled, context.DeadlineExceeded,
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
