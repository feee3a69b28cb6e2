// Command bench measures helmexec against what it replaces, in one run on one machine, and writes a table and a chart.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/bench/internal/job"
	"github.com/sut-bench/helmexec/internal/chartrepo"
	"github.com/sut-bench/helmexec/internal/tools"
)

// bench is what the benchmarks share.
type bench struct {
	ctx        context.Context
	binary     string
	sdkProgram string // "" leaves out the comparison with the Helm SDK
	dir        string
	rounds     int
	repo       *chartrepo.Server
	processes  *counter
	rows       []row
}

func main() {
	helm := flag.String("helm", "helm4", "helm3 or helm4")
	rounds := flag.Int("rounds", 5, "rounds of the short benchmarks")
	only := flag.String("only", "", "a part of the name of the benchmarks to run; empty = all")
	page := flag.String("page", "", "the Markdown file whose table is replaced")
	image := flag.String("image", "", "the SVG file to write")
	sdk := flag.String("sdk", "", "the program of bench/sdk; empty leaves out what it is for")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *helm, *sdk, *rounds, *only, *page, *image); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, helm, sdk string, rounds int, only, page, image string) error {
	b := &bench{ctx: ctx, rounds: rounds, processes: &counter{}, sdkProgram: sdk}
	var err error
	if b.binary, err = tools.Path(helm); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "helmexec-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if err := b.buildPrograms(); err != nil {
		return err
	}
	if b.repo, err = newRepo(); err != nil {
		return err
	}
	defer b.repo.Close()
	started := resident()
	for _, part := range []struct {
		name string
		run  func() error
	}{
		{"status", b.status}, {"cold", b.cold}, {"warm", b.warm}, {"many", b.many}, {"eight", b.eight}, {"crowd", b.crowd},
		{"process", b.newProcess}, {"unchanged", b.unchanged}, {"job", b.wholeJob}, {"removal", b.removal}, {"installs", b.installs}, {"plans", b.plans}, {"sdk", b.sdk},
	} {
		if !strings.Contains(part.name, only) {
			continue
		}
		log.Print(part.name)
		if err := part.run(); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
		for _, r := range b.rows[max(0, len(b.rows)-2):] {
			log.Printf("  %s: %s (%s) %s", r.benchmark, r.got, r.must, r.notes)
		}
	}
	log.Printf("memory of this process: %d MiB at the start, %d MiB at the end", started>>20, resident()>>20)
	header := fmt.Sprintf("Helm %s, %s, %d cores, %s.", helm, runtime.Version(), runtime.NumCPU(), cpuModel())
	text := table(b.rows, header)
	fmt.Print(text)
	if page != "" {
		if err := writeTable(page, text); err != nil {
			return err
		}
	}
	if image != "" {
		return os.WriteFile(image, []byte(svg(b.rows)), 0o644)
	}
	return nil
}

// newRepo is a repository with the index of a large public one, and charts that can be pulled.
func newRepo() (*chartrepo.Server, error) {
	repo, err := chartrepo.Start("", chartrepo.Options{})
	if err != nil {
		return nil, err
	}
	repo.AddGenerated(400, 30)
	for i := range job.Charts {
		a, err := chartrepo.Package(chartFiles(strings.TrimPrefix(job.ChartAt(i), "/")))
		if err != nil {
			return nil, err
		}
		if err := repo.Add(a); err != nil {
			return nil, err
		}
	}
	return repo, nil
}

// chartFiles is a chart with one Deployment, whose pods are ready after 3 s on the local cluster, and gone at once.
func chartFiles(name string) map[string]string {
	return map[string]string{
		"Chart.yaml":  "apiVersion: v2\nname: " + name + "\nversion: 1.0.0\ndescription: A service\n",
		"values.yaml": "image: registry.example/" + name + ":1.0.0\nreplicas: 1\ngoneAfter: 0s\n",
		"templates/deployment.yaml": `apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
spec:
  replicas: {{ .Values.replicas }}
  selector:
    matchLabels:
      app: {{ .Release.Name }}
  template:
    metadata:
      labels:
        app: {{ .Release.Name }}
        helmexec-e2e/ready-after: 3s
        helmexec-e2e/gone-after: {{ .Values.goneAfter }}
    spec:
      containers:
      - name: main
        image: {{ .Values.image }}
`,
	}
}

// newHelm is a Helm in a new home.
func (b *bench) newHelm(home string) (*helmexec.Helm, error) {
	return helmexec.New(helmexec.Config{Binary: b.binary, Home: filepath.Join(b.dir, home), Logger: slog.New(b.processes)})
}

func (b *bench) newSeed(home string, more ...string) *seed {
	return &seed{binary: b.binary, env: plainEnv(filepath.Join(b.dir, home), more...)}
}

func cpuModel() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for _, line := range strings.Split(string(text), "\n") {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
