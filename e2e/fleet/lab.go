// Package fleet runs examples/fleet on one machine as if it were several hosts: a development server of Temporal, a local
// cluster, and worker processes with homes of their own, all of which can be killed.
package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/sut-bench/helmexec/e2e/cluster"
	"github.com/sut-bench/helmexec/e2e/internal/guarded"
	"github.com/sut-bench/helmexec/internal/chartrepo"
	"github.com/sut-bench/helmexec/internal/tools"
)

// Times are those of all jobs here. They keep the wait of another host at 30 s: by then the helm of a lost one has ended
// (the end of its context after Apply - 2 × Grace, and 4 × Grace).
var Times = map[string]string{
	"heartbeat": "6s", "move": "5s", "ready": "5s", "grace": "2s", "plan": "2m", "apply": "26s", "measure": "1m", "uninstall": "40s",
}

const grace = "2s"

// Heartbeat is how long a worker may be silent.
const Heartbeat = 6 * time.Second

// Settled is how long after a lost answer the second compensation comes, with some time for it.
const Settled = 30 * time.Second

// Options say what a lab is made of.
type Options struct {
	Fleet       string // path of the command of examples/fleet
	Helm        string // path of helm
	ChartFolder string
	Dir         string // for everything
}

// Lab is a running one.
type Lab struct {
	Options
	Cluster *cluster.Cluster
	Charts  *chartrepo.Server

	temporal string // path of the server
	port     int
	server   *guarded.Process
	workers  []*Worker
}

// Start starts a lab without workers. Its tools are there.
func Start(ctx context.Context, o Options) (_ *Lab, err error) {
	l := &Lab{Options: o}
	defer func() {
		if err != nil {
			l.Stop()
		}
	}()
	if l.temporal, err = tools.Path("temporal"); err != nil {
		return nil, err
	}
	if l.Charts, err = chartrepo.Start("", chartrepo.Options{}); err != nil {
		return nil, err
	}
	if err := l.Charts.AddDir(o.ChartFolder); err != nil {
		return nil, err
	}
	if l.Cluster, err = cluster.Start(ctx, cluster.Options{Audit: true, TempDir: o.Dir}); err != nil {
		return nil, err
	}
	if l.port, err = freePorts(8); err != nil {
		return nil, err
	}
	return l, l.StartServer(ctx)
}

// freePorts finds the first of some ports that nobody listens on.
func freePorts(n int) (first int, err error) {
	for range 100 {
		if first, err = guarded.FreePort(); err != nil {
			return 0, err
		}
		free := 0
		for free < n && guarded.IsFree(first+free) {
			free++
		}
		if free == n {
			return first, nil
		}
	}
	return 0, fmt.Errorf("there are no %d free ports in a row", n)
}

// Stop ends everything.
func (l *Lab) Stop() {
	for _, w := range l.workers {
		w.Kill(true)
	}
	l.KillServer()
	if l.Cluster != nil {
		l.Cluster.Stop()
	}
	if l.Charts != nil {
		_ = l.Charts.Close()
	}
}

// Address is where the server of Temporal listens.
func (l *Lab) Address() string { return fmt.Sprintf("127.0.0.1:%d", l.port) }

// StartServer starts the server of Temporal, on the database of the one before, and returns when it answers.
func (l *Lab) StartServer(ctx context.Context) (err error) {
	l.server, err = guarded.Start(guarded.Server{
		Name: "temporal", Dir: l.Dir, Log: l.file("temporal.log"),
		Command: []string{l.temporal, "-db", l.file("temporal.db"), "-port", fmt.Sprint(l.port), "-attributes", "Job,SUT,ChartDigest"},
	})
	if err != nil {
		return err
	}
	return l.server.Await(ctx, func(ctx context.Context) error {
		_, err := l.status(ctx)
		return err
	})
}

// KillServer kills the server of Temporal.
func (l *Lab) KillServer() {
	if l.server != nil {
		l.server.Stop()
		l.server = nil
	}
}

func (l *Lab) file(name string) string { return filepath.Join(l.Dir, name) }

// Job is a job to submit, as jobs.yaml has it.
type Job struct {
	ID      string         `json:"job"`
	SUT     string         `json:"sut"`
	Attempt int            `json:"attempt,omitempty"`
	Chart   string         `json:"chart"`
	Values  map[string]any `json:"values,omitempty"`
	Measure string         `json:"measure,omitempty"`
	// Times are the ones of this package, but for those given here.
	Times map[string]string `json:"times"`
}

// Submit submits jobs, also if the server is away for a while.
func (l *Lab) Submit(ctx context.Context, jobs ...Job) error {
	for i := range jobs {
		times := maps.Clone(Times)
		maps.Copy(times, jobs[i].Times)
		jobs[i].Times = times
	}
	text, err := yaml.Marshal(map[string]any{"jobs": jobs})
	if err != nil {
		return err
	}
	file := l.file("jobs.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return err
	}
	return eventually(ctx, func(ctx context.Context) error {
		_, err := l.run(ctx, "submit", file)
		return err
	})
}

// State is what "fleet status -json" says of a job.
type State struct {
	Job, SUT, Release string
	Status            string
	Kind, Text        string
	Waits             bool // for accelerators
	Result            *struct {
		Applies, Lost int
		Recovered     bool
		Remains       []string
	}
}

// Outcome is the word for how a job ended, "" while it runs.
func (s State) Outcome() string {
	switch s.Status {
	case "running":
		return ""
	case "completed":
		return "measured"
	case "failed":
		return s.Kind
	}
	return s.Status
}

// Status asks for the state of all jobs, also if the server is away for a while.
func (l *Lab) Status(ctx context.Context) (all []State, err error) {
	err = eventually(ctx, func(ctx context.Context) error {
		all, err = l.status(ctx)
		return err
	})
	return all, err
}

func (l *Lab) status(ctx context.Context) (all []State, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := l.run(ctx, "status", "-json")
	for lines := json.NewDecoder(bytes.NewReader(out)); err == nil; {
		var s State
		if err = lines.Decode(&s); err == nil {
			all = append(all, s)
		}
	}
	if err == io.EOF {
		err = nil
	}
	return all, err
}

// Await waits until the states of the jobs are as wanted.
func (l *Lab) Await(ctx context.Context, wanted func([]State) bool) ([]State, error) {
	for {
		all, err := l.Status(ctx)
		if err != nil || wanted(all) {
			return all, err
		}
		if !sleep(ctx, 500*time.Millisecond) {
			return all, context.Cause(ctx)
		}
	}
}

// run runs a command of fleet.
func (l *Lab) run(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, l.Fleet, append([]string{"-server", l.Address()}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("fleet %s: %w: %s", args[0], err, stderr.String())
	}
	return out, nil
}

// eventually repeats what fails while a server is away.
func eventually(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, fmt.Errorf("gave up after a minute"))
	defer cancel()
	return guarded.Poll(ctx, do)
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
