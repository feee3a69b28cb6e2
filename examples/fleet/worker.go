package main

import (
	"context"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"

	"github.com/sut-bench/helmexec"
)

// workerOptions are the flags of a worker.
type workerOptions struct {
	helm     helmexec.Config
	home     string // its name
	plans    string
	clusters []string
	parallel int
	sweep    time.Duration
	rules    Rules
}

func (o *workerOptions) flags(f *flag.FlagSet) {
	list := func(into *[]string) func(string) error {
		return func(text string) error { *into = strings.Split(text, ","); return nil }
	}
	host, _ := os.Hostname()
	f.StringVar(&o.helm.Binary, "helm", "", "`path` of helm; the one on PATH if empty")
	f.StringVar(&o.helm.Kubeconfig, "kubeconfig", "", "kubeconfig `file`; helm's own choice if empty")
	f.StringVar(&o.helm.Home, "home", "", "`folder` of helm's home, of this host alone; one in the user's cache if empty")
	f.DurationVar(&o.helm.GracePeriod, "grace", 30*time.Second, "grace period of helms")
	f.StringVar(&o.home, "name", host, "`name` of the home, for its task queue")
	f.StringVar(&o.plans, "plans", "", "`folder` of plans, the same one for all workers")
	f.Func("clusters", "`contexts` of the kubeconfig, joined by commas; the current one if empty", list(&o.clusters))
	f.IntVar(&o.parallel, "parallel", 20, "how many activities for a cluster run at once")
	f.DurationVar(&o.sweep, "sweep", 5*time.Minute, "how often releases are swept whose deadline has passed")
	f.BoolVar(&o.rules.Trusted, "trusted", false, "apply charts that the rules for strangers refuse")
	f.Func("registries", "where images may come from, joined by commas; anywhere if empty", list(&o.rules.Registries))
	o.rules.Devices = []string{"nvidia.com/gpu"}
	f.Func("devices", "the `accelerators` that charts may ask for, joined by commas (default nvidia.com/gpu)", list(&o.rules.Devices))
}

// work runs a worker until ctx ends.
func work(ctx context.Context, server string, o workerOptions) error {
	if o.plans == "" {
		return usageError("-plans is missing: a folder that the workers of all hosts share")
	}
	if err := os.MkdirAll(o.plans, 0o700); err != nil {
		return err
	}
	if len(o.clusters) == 0 {
		o.clusters = []string{""}
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil)).With("home", o.home)
	c, err := await(ctx, server, log)
	if err != nil {
		return err
	}
	defer c.Close()

	// A worker that is told to stop lets its helms end for a while, and then ends them.
	options := worker.Options{WorkerStopTimeout: 2 * o.helm.GracePeriod, Interceptors: []interceptor.WorkerInterceptor{&deliveries{log: log}}}
	fleet := worker.New(c, queueWorkflows, options)
	fleet.RegisterWorkflow(RunJob)
	fleet.RegisterWorkflow(Accelerators)
	fleet.RegisterWorkflow(SweepCluster)
	fleet.RegisterActivity(&Dispatch{Temporal: c})
	workers := []worker.Worker{fleet}
	options.DisableWorkflowWorker, options.MaxConcurrentActivityExecutionSize = true, o.parallel
	for _, cluster := range o.clusters {
		cfg := o.helm
		cfg.KubeContext, cfg.Observer = cluster, helms{log}
		h, err := helmexec.New(cfg)
		if err != nil {
			return err
		}
		done := &Activities{Helm: h, Home: o.home, Grace: cfg.GracePeriod, Plans: Folder(o.plans), Rules: o.rules}
		for _, queue := range []string{queueOf(cluster), queueAt(cluster, o.home)} {
			w := worker.New(c, queue, options)
			w.RegisterActivity(done)
			workers = append(workers, w)
		}
		in := SweepInput{Cluster: cluster, Timeout: Duration{5 * time.Minute}, KeepPlans: Duration{7 * 24 * time.Hour}}
		if err := schedule(ctx, c, o.sweep, in); err != nil {
			return err
		}
	}
	for i, w := range workers {
		if err := w.Start(); err != nil {
			stop(workers[:i])
			return err
		}
	}
	log.Info("ready", "clusters", o.clusters, "plans", filepath.Clean(o.plans))
	<-ctx.Done()
	stop(workers)
	return nil
}

// stop stops workers, all at once: each waits for its activities.
func stop(workers []worker.Worker) {
	done := make(chan struct{})
	for _, w := range workers {
		go func() {
			w.Stop()
			done <- struct{}{}
		}()
	}
	for range workers {
		<-done
	}
}

// await connects to Temporal, also if its server is away for a while.
func await(ctx context.Context, server string, log *slog.Logger) (client.Client, error) {
	for {
		c, err := client.DialContext(ctx, client.Options{HostPort: server, Logger: sdklog.NewStructuredLogger(log)})
		if err == nil {
			return c, nil
		}
		log.Warn("Temporal does not answer", "server", server, "error", err.Error())
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(time.Second):
		}
	}
}
