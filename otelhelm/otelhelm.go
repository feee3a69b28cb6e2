// Package otelhelm makes OpenTelemetry spans and metrics of what helmexec does:
//
//	observer, err := otelhelm.New(otelhelm.Options{})
//	helm, err := helmexec.New(helmexec.Config{Observer: observer})
//
// Each operation is a span, as "helmexec Install", with the helm processes and other operations that work for it below, as
// "helm upgrade". The file docs/observability.md of the source lists their attributes and the metrics.
package otelhelm

import (
	"context"
	"errors"
	"path/filepath"
	"sync"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/sut-bench/helmexec"
)

// scope is the name of the tracer and of the meter.
const scope = "github.com/sut-bench/helmexec/otelhelm"

// Options is for New. What is nil is the global provider of package otel.
type Options struct {
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
}

// Keys of attributes that the semantic conventions do not have.
const (
	keyOperation    = attribute.Key("helmexec.operation.name")
	keyOperationID  = attribute.Key("helmexec.operation.id")
	keyRelease      = attribute.Key("helmexec.release.name")
	keyJob          = attribute.Key("helmexec.job.id")
	keyAddress      = attribute.Key("helmexec.address")
	keyChart        = attribute.Key("helmexec.chart.name")
	keyChartVersion = attribute.Key("helmexec.chart.version")
	keyChartDigest  = attribute.Key("helmexec.chart.digest")
	keyRecovered    = attribute.Key("helmexec.recovered")
	keyCache        = attribute.Key("helmexec.cache.result")
	keyFetched      = attribute.Key("helmexec.fetched.size")
	keyCommand      = attribute.Key("helmexec.command")
	keyTry          = attribute.Key("helmexec.try")
	keyPoll         = attribute.Key("helmexec.poll")
	keyQueued       = attribute.Key("helmexec.queue.duration")
	keySignal       = attribute.Key("helmexec.signal")
	keyExpected     = attribute.Key("helmexec.expected")
)

// observer is a helmexec.Observer.
type observer struct {
	tracer trace.Tracer

	operations, processes, queue metric.Float64Histogram
	operating, processing        metric.Int64UpDownCounter
	fetched, lookups             metric.Int64Counter

	mu    sync.RWMutex
	known map[series]*measured // guarded by mu; to make one takes longer than to measure
}

// series are the attributes of the metrics. None grows with the number of releases or charts.
type series struct {
	operation, command, failure, cache string
	recovered                          bool
}

// measured are series as the instruments take them.
type measured struct {
	add    []metric.AddOption
	record []metric.RecordOption
	span   string // the name of the spans
}

// client is the kind of a span that starts another program.
var client = trace.WithSpanKind(trace.SpanKindClient)

func (o *observer) with(s series) *measured {
	o.mu.RLock()
	known := o.known[s]
	o.mu.RUnlock()
	if known != nil {
		return known
	}
	attrs := text(nil, keyOperation, s.operation)
	attrs = text(attrs, keyCommand, s.command)
	attrs = text(attrs, semconv.ErrorTypeKey, s.failure)
	attrs = text(attrs, keyCache, s.cache)
	if s.recovered {
		attrs = append(attrs, keyRecovered.Bool(true))
	}
	set := metric.WithAttributeSet(attribute.NewSet(attrs...))
	made := &measured{add: []metric.AddOption{set}, record: []metric.RecordOption{set}, span: "helmexec " + s.operation}
	if s.command != "" {
		made.span = "helm " + s.command
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.known[s] = made
	return made
}

// New makes an Observer for helmexec.Config. It fails only if the MeterProvider does.
func New(opts Options) (helmexec.Observer, error) {
	if opts.TracerProvider == nil {
		opts.TracerProvider = otel.GetTracerProvider()
	}
	if opts.MeterProvider == nil {
		opts.MeterProvider = otel.GetMeterProvider()
	}
	meter := opts.MeterProvider.Meter(scope, metric.WithSchemaURL(semconv.SchemaURL))
	o := &observer{known: map[series]*measured{}, tracer: opts.TracerProvider.Tracer(scope, trace.WithSchemaURL(semconv.SchemaURL))}
	// From a version that is printed to a wait for large images.
	buckets := metric.WithExplicitBucketBoundaries(.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
	var errs [7]error
	o.operations, errs[0] = meter.Float64Histogram("helmexec.operation.duration", metric.WithUnit("s"), buckets,
		metric.WithDescription("How long operations took"))
	o.operating, errs[1] = meter.Int64UpDownCounter("helmexec.operation.active", metric.WithUnit("{operation}"),
		metric.WithDescription("Operations under way"))
	o.processes, errs[2] = meter.Float64Histogram("helmexec.process.duration", metric.WithUnit("s"), buckets,
		metric.WithDescription("How long helm processes ran, without their time in the queue"))
	o.processing, errs[3] = meter.Int64UpDownCounter("helmexec.process.active", metric.WithUnit("{process}"),
		metric.WithDescription("Helm processes that run or wait for their turn"))
	o.queue, errs[4] = meter.Float64Histogram("helmexec.queue.duration", metric.WithUnit("s"), buckets,
		metric.WithDescription("How long helm processes waited for their turn"))
	o.fetched, errs[5] = meter.Int64Counter("helmexec.fetched.size", metric.WithUnit("By"),
		metric.WithDescription("Archives and indexes that helm fetched"))
	o.lookups, errs[6] = meter.Int64Counter("helmexec.cache.lookups", metric.WithUnit("{lookup}"),
		metric.WithDescription("Archives and renders that were looked up in a cache"))
	return o, errors.Join(errs[:]...)
}

// Begin implements helmexec.Observer.
func (o *observer) Begin(ctx context.Context, s helmexec.Span) context.Context {
	// Samplers see only what is known now.
	attrs := make([]attribute.KeyValue, 0, 16)
	attrs = text(attrs, keyOperation, s.Operation)
	attrs = text(attrs, keyRelease, s.Release)
	attrs = text(attrs, semconv.K8SNamespaceNameKey, s.Namespace)
	attrs = text(attrs, keyJob, s.JobID)
	attrs = text(attrs, keyOperationID, s.OperationID)
	attrs = text(attrs, keyAddress, s.Address)
	p := s.Process
	if p == nil {
		operation := o.with(series{operation: s.Operation})
		o.operating.Add(ctx, 1, operation.add...)
		ctx, _ = o.tracer.Start(ctx, operation.span, trace.WithAttributes(attrs...))
		return ctx
	}
	command := o.with(series{command: p.Command})
	o.processing.Add(ctx, 1, command.add...)
	attrs = append(attrs,
		semconv.ProcessExecutableName(filepath.Base(p.Path)), semconv.ProcessExecutablePath(p.Path), semconv.ProcessCommandArgs(p.Args...),
		keyCommand.String(p.Command), keyTry.Int(p.Try))
	if p.Poll {
		attrs = append(attrs, keyPoll.Bool(true))
	}
	ctx, _ = o.tracer.Start(ctx, command.span, client, trace.WithAttributes(attrs...))
	return ctx
}

// End implements helmexec.Observer.
func (o *observer) End(ctx context.Context, s helmexec.Span) {
	o.measure(ctx, s)
	span := trace.SpanFromContext(ctx)
	defer span.End()
	if !span.IsRecording() {
		return
	}
	attrs := make([]attribute.KeyValue, 0, 12)
	attrs = text(attrs, keyOperationID, s.OperationID)
	attrs = text(attrs, keyChart, s.ChartName)
	attrs = text(attrs, keyChartVersion, s.ChartVersion)
	attrs = text(attrs, keyChartDigest, s.ChartDigest)
	attrs = text(attrs, keyCache, string(s.Cache))
	if s.FetchedBytes > 0 {
		attrs = append(attrs, keyFetched.Int64(s.FetchedBytes))
	}
	if s.Recovered {
		attrs = append(attrs, keyRecovered.Bool(true))
	}
	expected := false
	if p := s.Process; p != nil {
		expected = p.Expected
		attrs = append(attrs, semconv.ProcessExitCode(p.ExitCode), keyQueued.Float64(p.Queued.Seconds()))
		if p.PID != 0 {
			attrs = append(attrs, semconv.ProcessPID(p.PID))
		}
		attrs = text(attrs, keySignal, p.Signal)
	}
	switch {
	case s.Err == nil:
	case expected:
		span.AddEvent("expected failure", trace.WithAttributes(semconv.ExceptionMessage(s.Err.Error())))
		attrs = append(attrs, keyExpected.Bool(true))
	default:
		attrs = append(attrs, semconv.ErrorTypeKey.String(errorType(s.Err)))
		span.SetStatus(codes.Error, s.Err.Error())
	}
	span.SetAttributes(attrs...)
}

// measure adds to the metrics.
func (o *observer) measure(ctx context.Context, s helmexec.Span) {
	p := s.Process
	failure := ""
	if s.Err != nil && (p == nil || !p.Expected) {
		failure = errorType(s.Err)
	}
	if p == nil {
		o.operating.Add(ctx, -1, o.with(series{operation: s.Operation}).add...)
		o.operations.Record(ctx, s.Duration.Seconds(), o.with(series{operation: s.Operation, failure: failure, recovered: s.Recovered}).record...)
		if s.Cache != "" {
			o.lookups.Add(ctx, 1, o.with(series{operation: s.Operation, cache: string(s.Cache)}).add...)
		}
		return
	}
	command := o.with(series{command: p.Command})
	o.processing.Add(ctx, -1, command.add...)
	o.queue.Record(ctx, p.Queued.Seconds(), command.record...)
	if p.PID != 0 {
		o.processes.Record(ctx, p.Took.Seconds(), o.with(series{operation: s.Operation, command: p.Command, failure: failure}).record...)
	}
	if s.FetchedBytes > 0 {
		o.fetched.Add(ctx, s.FetchedBytes, command.add...)
	}
}

// errorType is the value of error.type.
func errorType(err error) string {
	if kind := helmexec.ErrorKind(err); kind != "Other" {
		return kind
	}
	return semconv.ErrorTypeOther.Value.AsString()
}

// text adds an attribute unless it is empty.
func text(attrs []attribute.KeyValue, key attribute.Key, value string) []attribute.KeyValue {
	if value == "" {
		return attrs
	}
	return append(attrs, key.String(value))
}
