// Package job is what a runner does: it carries out an order and reports what that took. The benchmark gives the
// orders. The package links nothing but helmexec, so that the process of a runner is that of a real one.
package job

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sut-bench/helmexec"
)

// Task is what a runner does.
type Task string

const (
	Resolve Task = "resolve" // New and Chart2Info
	Images  Task = "images"  // Resolve, and Chart2Images
	Whole   Task = "whole"   // Images, Install, Status and Uninstall; both wait
	Bare    Task = "bare"    // the commands of Whole by plain helm
	Many    Task = "many"    // Chart2Info and Chart2Images for many jobs at once
)

// Order says what a runner is to do.
type Order struct {
	Task                     Task
	Binary, Home, Kubeconfig string
	Chart                    string // its address; for Bare its archive, for Many the URL of the repository
	Options                  helmexec.ChartOptions
	Values                   helmexec.Values
	Release                  string
	First, Jobs              int      // of Many
	Env                      []string // of Bare
}

// Report is what an order took.
type Report struct {
	Steps    []Step
	Resident int64 // the most memory that this process had, in bytes, without that of its helms
}

// Step is one call, with the helm processes that it started by command.
type Step struct {
	Name  string
	Took  time.Duration
	Helms map[string]int
}

// Helms is the number of helm processes of all steps.
func (r Report) Helms() (n int) {
	for _, s := range r.Steps {
		for _, count := range s.Helms {
			n += count
		}
	}
	return n
}

// run carries out one order.
type run struct {
	Order
	helms  counter
	report Report
}

// Run carries out an order.
func Run(ctx context.Context, o Order) (Report, error) {
	r := &run{Order: o}
	do := r.calls
	switch o.Task {
	case Bare:
		do = r.bare
	case Many:
		do = r.many
	}
	err := do(ctx)
	r.report.Resident = peak()
	return r.report, err
}

// step makes one call of the report.
func (r *run) step(name string, call func() error) error {
	begin := time.Now()
	err := call()
	r.report.Steps = append(r.report.Steps, Step{name, time.Since(begin), r.helms.take()})
	if err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return err
}

func (r *run) new() (*helmexec.Helm, error) {
	return helmexec.New(helmexec.Config{
		Binary: r.Binary, Home: r.Home, Kubeconfig: r.Kubeconfig, Namespace: "default", Logger: slog.New(&r.helms),
	})
}

// calls are the calls of one job.
func (r *run) calls(ctx context.Context) error {
	var h *helmexec.Helm
	var info *helmexec.ChartInfo
	steps := []struct {
		name string
		call func() error
	}{
		{"resolve", func() (err error) {
			if h, err = r.new(); err == nil {
				info, err = h.Chart2Info(ctx, r.Chart, r.Options)
			}
			return err
		}},
		{"images", func() error {
			_, err := h.Chart2Images(ctx, info.Archive, helmexec.TemplateOptions{Values: r.Values}, helmexec.ImageOptions{})
			return err
		}},
		{"install", func() error {
			_, err := h.Install(ctx, r.Release, info.Archive, helmexec.InstallOptions{Values: r.Values, Wait: true, Timeout: 5 * time.Minute})
			return err
		}},
		{"status", func() error { _, err := h.Status(ctx, r.Release, helmexec.StatusOptions{}); return err }},
		{"uninstall", func() error {
			_, err := h.Uninstall(ctx, r.Release, helmexec.UninstallOptions{Wait: true})
			return err
		}},
	}
	last := map[Task]int{Resolve: 1, Images: 2, Whole: len(steps)}[r.Task]
	for _, s := range steps[:last] {
		if err := r.step(s.name, s.call); err != nil {
			return err
		}
	}
	return nil
}

// many are the jobs of many runners in one process.
func (r *run) many(ctx context.Context) error {
	return r.step("many", func() error {
		h, err := r.new()
		if err != nil {
			return err
		}
		return AtOnce(r.Jobs, func(i int) error { return InfoAndImages(ctx, h, r.Chart, r.First+i) })
	})
}

// Charts is the number of charts in the repository that the jobs take in turns.
const Charts = 20

// ChartAt is the path of a job's chart below the URL of the repository.
func ChartAt(i int) string { return fmt.Sprintf("/svc-%02d", i%Charts) }

// InfoAndImages is what a job needs to know about a chart. Each job has different values, so that
// no render of another job can be remembered.
func InfoAndImages(ctx context.Context, h *helmexec.Helm, repo string, job int) error {
	info, err := h.Chart2Info(ctx, repo+ChartAt(job), helmexec.ChartOptions{})
	if err != nil {
		return err
	}
	image := fmt.Sprintf("registry.example/job:%d", job)
	values := helmexec.Values{"image": image}
	images, err := h.Chart2Images(ctx, info.Archive, helmexec.TemplateOptions{Values: values}, helmexec.ImageOptions{})
	if err == nil && !slices.Equal(images, []string{image}) {
		err = fmt.Errorf("images %q", images)
	}
	return err
}

// AtOnce runs f n times at once.
func AtOnce(n int, f func(i int) error) error {
	var all sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		all.Go(func() { errs[i] = f(i) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// counter is a log handler that counts helm processes by command: each has one line.
type counter struct {
	mu    sync.Mutex
	helms map[string]int
}

func (c *counter) Enabled(context.Context, slog.Level) bool { return true }
func (c *counter) WithAttrs([]slog.Attr) slog.Handler       { return c }
func (c *counter) WithGroup(string) slog.Handler            { return c }

func (c *counter) Handle(_ context.Context, line slog.Record) error {
	line.Attrs(func(a slog.Attr) bool {
		if args, ok := a.Value.Any().([]string); ok && a.Key == "args" {
			c.add(args[0])
		}
		return true
	})
	return nil
}

func (c *counter) add(command string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.helms == nil {
		c.helms = map[string]int{}
	}
	c.helms[command]++
}

// take returns the counts since it was last called.
func (c *counter) take() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.helms
	c.helms = nil
	return taken
}

// peak is the most memory that this process had. The system's figure for a child that has ended would not do: it is
// that of the largest of its own children too, which are helms.
func peak() int64 {
	text, _ := os.ReadFile("/proc/self/status")
	for _, line := range strings.Split(string(text), "\n") {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kib << 10
		}
	}
	return 0
}
