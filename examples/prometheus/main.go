// Command prometheus is a canary: once a minute it installs a chart, waits until it is ready and removes it again, and it
// serves what that took to Prometheus.
//
//	prometheus -listen 127.0.0.1:9464 -namespace canary oci://registry.example/charts/web:1.2.0
//
// The metrics are at http://127.0.0.1:9464/metrics; docs/observability.md lists them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/otelhelm"
)

func main() {
	cfg := helmexec.Config{Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	flag.StringVar(&cfg.Binary, "helm", "", "`path` of helm; the one on PATH if empty")
	flag.StringVar(&cfg.Kubeconfig, "kubeconfig", "", "kubeconfig `file`; helm's own choice if empty")
	flag.StringVar(&cfg.Namespace, "namespace", "default", "namespace to install into")
	listen := flag.String("listen", "127.0.0.1:9464", "`address` to serve the metrics at")
	every := flag.Duration("every", time.Minute, "pause between two installs")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: prometheus [flags] chart-address")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, cfg, *listen, *every, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "prometheus:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, cfg helmexec.Config, listen string, every time.Duration, chart string) error {
	helm, metrics, err := newWatched(cfg)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: metrics, ReadHeaderTimeout: 10 * time.Second}
	defer server.Close()
	go func() { _ = server.Serve(listener) }()
	for {
		if err := probe(ctx, helm, chart); err != nil && ctx.Err() == nil {
			cfg.Logger.Error("canary", "error", err)
		}
		select {
		case <-time.After(every):
		case <-ctx.Done():
			return nil
		}
	}
}

// newWatched makes a Helm, and what serves its metrics at /metrics.
func newWatched(cfg helmexec.Config) (*helmexec.Helm, http.Handler, error) {
	registry := prometheus.NewRegistry()
	reader, err := exporter.New(exporter.WithRegisterer(registry))
	if err != nil {
		return nil, nil, err
	}
	if cfg.Observer, err = otelhelm.New(otelhelm.Options{MeterProvider: metric.NewMeterProvider(metric.WithReader(reader))}); err != nil {
		return nil, nil, err
	}
	helm, err := helmexec.New(cfg)
	if err != nil {
		return nil, nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return helm, mux, nil
}

// job is the job of the canary, by which a killed one's release is found.
const job = "canary"

// probe installs a chart and removes it.
func probe(ctx context.Context, helm *helmexec.Helm, chart string) error {
	remove := func(ctx context.Context) error {
		_, err := helm.UninstallJob(ctx, job, helmexec.JobOptions{Wait: true})
		return err
	}
	if err := remove(ctx); err != nil {
		return err
	}
	_, err := helm.Install(ctx, helmexec.SUTHelmName(job, "probe"), chart, helmexec.InstallOptions{
		Wait: true, Timeout: 5 * time.Minute, FailFast: helmexec.FailFastRules(), JobID: job,
	})
	return errors.Join(err, remove(context.WithoutCancel(ctx)))
}
