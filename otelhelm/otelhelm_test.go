package otelhelm

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/helmtest"
	"github.com/sut-bench/helmexec/internal/chartrepo"
)

// watched is a Helm on a fake, and what OpenTelemetry gets of it.
type watched struct {
	*helmexec.Helm
	fake   *helmtest.Fake
	tracer trace.Tracer
	spans  *tracetest.InMemoryExporter
	reader *sdkmetric.ManualReader
	chart  string
}

func watch(t *testing.T, cfg helmexec.Config) *watched {
	t.Helper()
	w := &watched{fake: helmtest.New(t), spans: tracetest.NewInMemoryExporter(), reader: sdkmetric.NewManualReader()}
	traces := sdktrace.NewTracerProvider(sdktrace.WithSyncer(w.spans))
	observer, err := New(Options{TracerProvider: traces, MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(w.reader))})
	require.NoError(t, err)
	w.tracer = traces.Tracer("test")
	cfg.Binary, cfg.Home, cfg.Namespace, cfg.Observer = w.fake.Binary, t.TempDir(), "bench", observer
	cfg.Retry.BackOff = func() backoff.BackOff { return &backoff.ZeroBackOff{} }
	w.Helm, err = helmexec.New(cfg)
	require.NoError(t, err)
	_, err = w.Version(t.Context())
	require.NoError(t, err)
	w.spans.Reset()
	w.chart = filepath.Join(t.TempDir(), "web")
	require.NoError(t, os.MkdirAll(w.chart, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(w.chart, "Chart.yaml"), []byte("apiVersion: v2\nname: web\nversion: 1.2.3\n"), 0o600))
	return w
}

// span is the one span of a name.
func (w *watched) span(t *testing.T, name string) tracetest.SpanStub {
	t.Helper()
	all := slices.DeleteFunc(w.spans.GetSpans(), func(s tracetest.SpanStub) bool { return s.Name != name })
	require.Len(t, all, 1, name)
	return all[0]
}

// tree has the spans below a span, sorted by when they began.
func (w *watched) tree(id trace.SpanID, indent string) string {
	all := slices.DeleteFunc(w.spans.GetSpans(), func(s tracetest.SpanStub) bool { return s.Parent.SpanID() != id })
	slices.SortStableFunc(all, func(a, b tracetest.SpanStub) int { return a.StartTime.Compare(b.StartTime) })
	var text strings.Builder
	for _, s := range all {
		text.WriteString(indent + s.Name)
		if s.Status.Code == codes.Error {
			text.WriteString(" failed")
		}
		text.WriteString("\n" + w.tree(s.SpanContext.SpanID(), indent+"  "))
	}
	return text.String()
}

// attributes are those of a span, without some that are different each time.
func attributes(all []attribute.KeyValue, without ...attribute.Key) map[attribute.Key]any {
	values := map[attribute.Key]any{}
	for _, a := range all {
		if !slices.Contains(without, a.Key) {
			values[a.Key] = a.Value.AsInterface()
		}
	}
	return values
}

var unreachable = helmtest.Reply{Stderr: "Error: kubernetes cluster unreachable: connection refused\n", Exit: 1}

func TestSpans(t *testing.T) {
	w := watch(t, helmexec.Config{})
	fails := true
	w.fake.Handle("install", func(c helmtest.Call) helmtest.Reply {
		if fails {
			fails = false
			return unreachable
		}
		reply := w.fake.Perform(c)
		reply.Stdout = "NAME: web\n" // no release that could be read, so the record is
		return reply
	})
	ctx, job := w.tracer.Start(t.Context(), "job")
	_, err := w.Install(ctx, "web", w.chart, helmexec.InstallOptions{OperationID: "42/1", JobID: "42"})
	require.NoError(t, err)
	job.End()
	assert.Equal(t, `job
  helmexec Install
    helmexec Fetch
    helm install failed
    helm install
    helm get all
`, w.tree(trace.SpanID{}, ""))
	for _, s := range w.spans.GetSpans() {
		assert.Equal(t, job.SpanContext().TraceID(), s.SpanContext.TraceID())
	}

	install := w.span(t, "helmexec Install")
	assert.Equal(t, trace.SpanKindInternal, install.SpanKind)
	assert.Equal(t, semconv.SchemaURL, install.InstrumentationScope.SchemaURL)
	assert.Equal(t, map[attribute.Key]any{
		keyOperation: "Install", keyRelease: "web", "k8s.namespace.name": "bench", keyJob: "42", keyOperationID: "42/1", keyAddress: w.chart,
		keyChart: "web", keyChartVersion: "1.2.3",
	}, attributes(install.Attributes))
	helm := w.span(t, "helm get all")
	assert.Equal(t, trace.SpanKindClient, helm.SpanKind)
	values := attributes(helm.Attributes)
	assert.Positive(t, values["process.pid"])
	assert.Contains(t, values, keyQueued)
	assert.Contains(t, values["process.command_args"], "--namespace=bench")
	assert.Equal(t, map[attribute.Key]any{
		keyOperation: "Install", keyRelease: "web", "k8s.namespace.name": "bench", keyJob: "42", keyOperationID: "42/1", keyAddress: w.chart,
		keyChart: "web", keyChartVersion: "1.2.3", keyCommand: "get all", keyTry: int64(1),
		"process.executable.name": filepath.Base(w.fake.Binary), "process.executable.path": w.fake.Binary, "process.exit.code": int64(0),
	}, attributes(helm.Attributes, "process.pid", "process.command_args", keyQueued))
	tries := map[any]any{}
	for _, s := range w.spans.GetSpans() {
		if s.Name == "helm install" {
			tries[attributes(s.Attributes)[keyTry]] = attributes(s.Attributes)["error.type"]
		}
	}
	assert.Equal(t, map[any]any{int64(1): "ClusterUnreachable", int64(2): nil}, tries)
}

func TestSpansOfFailures(t *testing.T) {
	w := watch(t, helmexec.Config{})
	_, err := w.Uninstall(t.Context(), "web", helmexec.UninstallOptions{})
	require.ErrorIs(t, err, helmexec.ErrReleaseNotFound)
	failed := w.span(t, "helmexec Uninstall")
	assert.Equal(t, codes.Error, failed.Status.Code)
	assert.Equal(t, err.Error(), failed.Status.Description)
	assert.Equal(t, "ReleaseNotFound", attributes(failed.Attributes)["error.type"])
	look := w.span(t, "helm get all")
	assert.Equal(t, codes.Unset, look.Status.Code, "that is an answer")
	assert.Equal(t, true, attributes(look.Attributes)[keyExpected])
	assert.NotContains(t, attributes(look.Attributes), semconv.ErrorTypeKey)

	w.spans.Reset()
	_, err = w.Fetch(t.Context(), "./nowhere\x00", helmexec.ChartOptions{})
	require.Error(t, err)
	assert.Contains(t, attributes(w.span(t, "helmexec Fetch").Attributes), semconv.ErrorTypeKey)
}

// points are the points of all metrics: the sums, and of histograms the numbers of values.
func points(t *testing.T, w *watched) map[string]float64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(t, w.reader.Collect(context.Background(), &all))
	values := map[string]float64{}
	add := func(name string, set attribute.Set, value float64) {
		values[name+"{"+set.Encoded(attribute.DefaultEncoder())+"}"] = value
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Histogram[float64]:
				assert.Equal(t, "s", m.Unit)
				for _, p := range data.DataPoints {
					assert.GreaterOrEqual(t, p.Sum, 0.0)
					add(m.Name, p.Attributes, float64(p.Count))
				}
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					add(m.Name, p.Attributes, float64(p.Value))
				}
			default:
				t.Errorf("%s: %T", m.Name, data)
			}
		}
	}
	return values
}

func TestMetrics(t *testing.T) {
	w := watch(t, helmexec.Config{})
	address := "oci://registry.example/charts/web:1.2.3"
	archive := packed(t, w.chart)
	w.fake.AddArchive("web-1.2.3.tgz", archive)
	lost := true
	w.fake.Handle("install", func(c helmtest.Call) helmtest.Reply {
		reply := w.fake.Perform(c)
		if lost {
			lost, reply = false, helmtest.Reply{Stderr: "Error: INSTALLATION FAILED: read tcp: connection reset by peer\n", Exit: 1}
		}
		return reply
	})
	for _, name := range []string{"a", "b"} {
		_, err := w.Install(t.Context(), name, address, helmexec.InstallOptions{})
		require.NoError(t, err)
	}
	_, err := w.Uninstall(t.Context(), "c", helmexec.UninstallOptions{})
	require.Error(t, err)
	got := points(t, w)
	for point, want := range map[string]float64{
		`helmexec.operation.duration{helmexec.operation.name=Install,helmexec.recovered=true}`:                      1,
		`helmexec.operation.duration{helmexec.operation.name=Install}`:                                              1,
		`helmexec.operation.duration{error.type=ReleaseNotFound,helmexec.operation.name=Uninstall}`:                 1,
		`helmexec.operation.active{helmexec.operation.name=Install}`:                                                0,
		`helmexec.process.active{helmexec.command=install}`:                                                         0,
		`helmexec.process.duration{error.type=HelmFailed,helmexec.command=install,helmexec.operation.name=Install}`: 1,
		`helmexec.process.duration{helmexec.command=install,helmexec.operation.name=Install}`:                       1,
		`helmexec.process.duration{helmexec.command=get all,helmexec.operation.name=Uninstall}`:                     1,
		`helmexec.queue.duration{helmexec.command=install}`:                                                         2,
		`helmexec.fetched.size{helmexec.command=pull}`:                                                              float64(len(archive)),
		`helmexec.cache.lookups{helmexec.cache.result=miss,helmexec.operation.name=Fetch}`:                          1,
		`helmexec.cache.lookups{helmexec.cache.result=hit,helmexec.operation.name=Fetch}`:                           1,
	} {
		value, there := got[point]
		assert.True(t, there, "%s in %v", point, got)
		assert.Equal(t, want, value, point)
	}
}

// packed is the archive of a chart folder.
func packed(t *testing.T, folder string) []byte {
	t.Helper()
	made, err := chartrepo.PackageDir(folder, "")
	require.NoError(t, err)
	return made.Data
}

// The page lists every attribute and every metric.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../docs/observability.md")
	require.NoError(t, err)
	code, err := os.ReadFile("otelhelm.go")
	require.NoError(t, err)
	names := regexp.MustCompile(`"(helmexec\.[a-z_.]+)"`).FindAllStringSubmatch(string(code), -1)
	assert.Len(t, names, 24)
	for _, name := range names {
		assert.Contains(t, string(page), "`"+name[1]+"`")
	}
}

// Without providers the global ones count, which do nothing at first.
func TestGlobalProviders(t *testing.T) {
	observer, err := New(Options{})
	require.NoError(t, err)
	ctx := observer.Begin(t.Context(), helmexec.Span{Operation: "Install"})
	observer.End(ctx, helmexec.Span{Operation: "Install"})
}

// process is a helm process of an install, with all that a Span can have when nothing fails.
var process = helmexec.Span{
	Operation: "Install", Release: "web", Namespace: "bench", JobID: "42", OperationID: "42/1", Address: "oci://registry.example/charts/web:1.2.3",
	ChartName: "web", ChartVersion: "1.2.3", ChartDigest: "sha256:0a", Duration: time.Second, FetchedBytes: 1 << 20,
	Process: &helmexec.Process{
		Path: "/usr/bin/helm", Args: []string{"install", "--wait", "--timeout=5m0s", "--namespace=bench", "--", "web", "/charts/web.tgz"},
		Command: "install", Try: 1, Poll: true, Queued: time.Millisecond, Took: time.Second, PID: 1,
	},
}

// recorded is an Observer whose spans and metrics are recorded, and then dropped.
func recorded(t testing.TB) helmexec.Observer {
	observer, err := New(Options{
		TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSyncer(tracetest.NewNoopExporter())), MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader())),
	})
	require.NoError(t, err)
	return observer
}

// A helm process may cost 20 allocations, 3 of which are those of helmexec.
func TestCosts(t *testing.T) {
	observer := recorded(t)
	most := 17.0
	if build, ok := debug.ReadBuildInfo(); ok && slices.Contains(build.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		most += 3 // of the race detector
	}
	allocs := testing.AllocsPerRun(100, func() { observer.End(observer.Begin(t.Context(), process), process) })
	assert.LessOrEqual(t, allocs, most)
}

// BenchmarkProcess measures the two calls of one helm process.
func BenchmarkProcess(b *testing.B) {
	observer := recorded(b)
	b.ReportAllocs()
	for b.Loop() {
		observer.End(observer.Begin(b.Context(), process), process)
	}
}
