//go:build unix

// Package bench holds the benchmarks that run helm.
package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/internal/chartrepo"
	"github.com/sut-bench/helmexec/internal/tools"
)

// minRounds is the least number of rounds for a median, whatever -benchtime says.
const minRounds = 15

// BenchmarkChart2Images compares Chart2Images with a helm that is started with the same arguments and nothing else
// around it. The three take turns within a round, so that a busy moment of the machine affects all of them; the
// figures are medians over the rounds:
//
//	ratio           Chart2Images to helm in the environment of the caller
//	ratio-same-env  Chart2Images to helm in the environment that helmexec gives it, which makes it faster
//	cpu-ratio       and cpu-ratio-same-env: the same of processor time, which says more on a machine with other work
func BenchmarkChart2Images(b *testing.B) {
	for _, binary := range []string{"helm4", "helm3"} {
		helm, err := tools.Path(binary)
		if err != nil {
			b.Run(binary, func(b *testing.B) { b.Skip(err) })
			continue
		}
		for _, chart := range charts(b) {
			b.Run(binary+"/"+chart.name, func(b *testing.B) { compare(b, helm, chart.address) })
		}
	}
}

type chart struct{ name, address string }

// charts are those of testdata as folders, and a larger one both as a folder and as a pinned version in the cache.
func charts(b *testing.B) []chart {
	var all []chart
	for _, name := range []string{"argo-benchmark", "gpu-inference", "stack", "webapp"} {
		folder, err := filepath.Abs(filepath.Join("..", "testdata", "charts", name))
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, chart{name, folder})
	}
	folder := filepath.Join(b.TempDir(), "large")
	for name, text := range largeChart() {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	repo, err := chartrepo.Start("", chartrepo.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { repo.Close() })
	if err := repo.AddDir(folder); err != nil {
		b.Fatal(err)
	}
	return append(all, chart{"large", folder}, chart{"large-pinned", repo.URL + "/large:1.0.0"})
}

// largeChart is a chart of 60 templates whose manifest has about 300 KB.
func largeChart() map[string]string {
	files := map[string]string{
		"Chart.yaml":  "apiVersion: v2\nname: large\nversion: 1.0.0\n",
		"values.yaml": "registry: quay.io/large\ntag: v1.2.3\nenv:\n" + strings.Repeat("  - {name: OPTION, value: \"some value of an option\"}\n", 30),
		"templates/_helpers.tpl": `{{- define "labels" }}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.Version | quote }}
{{- end }}
`,
	}
	for i := range 60 {
		files[fmt.Sprintf("templates/part-%02d.yaml", i)] = strings.ReplaceAll(`apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}-part-NUMBER
  labels: {{- include "labels" . | nindent 4 }}
spec:
  selector:
    matchLabels: {{- include "labels" . | nindent 6 }}
  template:
    metadata:
      labels: {{- include "labels" . | nindent 8 }}
    spec:
      containers:
        - name: main
          image: {{ .Values.registry }}/part-NUMBER:{{ .Values.tag }}
          env: {{- range .Values.env }}
            - name: {{ .name }}
              value: {{ .value | quote }}
            {{- end }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-part-NUMBER
  labels: {{- include "labels" . | nindent 4 }}
data:
  settings.yaml: |
    {{- range until 40 }}
    option-{{ . }}: the value that option {{ . }} of part NUMBER has
    {{- end }}
`, "NUMBER", fmt.Sprint(i))
	}
	return files
}

func compare(b *testing.B, helm, address string) {
	ctx := context.Background()
	var log bytes.Buffer
	h, err := helmexec.New(helmexec.Config{
		Binary: helm, Home: b.TempDir(), RememberRenders: -1, Logger: slog.New(slog.NewJSONHandler(&log, nil)),
	})
	if err != nil {
		b.Fatal(err)
	}
	chart2Images := func() {
		log.Reset()
		images, err := h.Chart2Images(ctx, address, helmexec.TemplateOptions{}, helmexec.ImageOptions{})
		if err != nil || len(images) == 0 {
			b.Fatal(images, err)
		}
	}
	chart2Images() // puts the chart into the cache
	chart2Images()
	var ran struct{ Args []string }
	if err := json.Unmarshal(log.Bytes(), &ran); err != nil { // one line: one helm process
		b.Fatalf("want the log of one helm process: %v\n%s", err, log.Bytes())
	}
	var manifest int
	bare := func(env ...string) func() {
		return func() {
			cmd := exec.CommandContext(ctx, helm, ran.Args...)
			cmd.Env = append(os.Environ(), env...)
			out, err := cmd.Output()
			if err != nil {
				b.Fatal(err)
			}
			manifest = len(out)
		}
	}
	home := "HELM_PLUGINS=" + b.TempDir() // none of this machine's plugins
	ways := []func(){chart2Images, bare(home), bare(home, "GOGC=400", "GOMEMLIMIT=768MiB")}
	var wall, cpu [3][]time.Duration
	round := func() {
		first := len(wall[0])
		for i := range ways {
			i = (first + i) % len(ways)
			start, used := time.Now(), cpuTime()
			ways[i]()
			wall[i] = append(wall[i], time.Since(start))
			cpu[i] = append(cpu[i], cpuTime()-used)
		}
	}
	for b.Loop() {
		round()
	}
	for len(wall[0]) < minRounds {
		round()
	}
	b.ReportMetric(0, "ns/op") // of a whole round, so useless
	b.ReportMetric(float64(manifest)/1e3, "KB")
	b.ReportMetric(median(wall[0])*1e3, "ms")
	b.ReportMetric(median(wall[1])*1e3, "helm-ms")
	b.ReportMetric(median(wall[0])/median(wall[1]), "ratio")
	b.ReportMetric(median(wall[0])/median(wall[2]), "ratio-same-env")
	b.ReportMetric(median(cpu[0])/median(cpu[1]), "cpu-ratio")
	b.ReportMetric(median(cpu[0])/median(cpu[2]), "cpu-ratio-same-env")
}

// cpuTime is what this process and its children that ended have used.
func cpuTime() time.Duration {
	var sum time.Duration
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var used syscall.Rusage
		_ = syscall.Getrusage(who, &used)
		sum += time.Duration(used.Utime.Nano() + used.Stime.Nano())
	}
	return sum
}

// median is in seconds.
func median(times []time.Duration) float64 {
	slices.Sort(times)
	return times[len(times)/2].Seconds()
}
