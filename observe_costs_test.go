package helmexec

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
	"github.com/sut-bench/helmexec/internal/process"
)

// A handler of the logger gets what the Observer put into the context, as a trace id.
func TestLoggerGetsTheContextOfTheObserver(t *testing.T) {
	var spansOfLines []*seenSpan
	seen := &spans{}
	h, _ := withFake(t, Config{Observer: seen, Logger: slog.New(handlerFunc(func(ctx context.Context) {
		s, _ := ctx.Value(spanKey{}).(*seenSpan)
		spansOfLines = append(spansOfLines, s)
	}))})
	_, err := h.Version(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []*seenSpan{seen.one(t, "version")}, spansOfLines)
}

type handlerFunc func(context.Context)

func (handlerFunc) Enabled(context.Context, slog.Level) bool { return true }

func (f handlerFunc) Handle(ctx context.Context, _ slog.Record) error { f(ctx); return nil }

func (f handlerFunc) WithAttrs([]slog.Attr) slog.Handler { return f }

func (f handlerFunc) WithGroup(string) slog.Handler { return f }

// A look that comes before the release is recorded, or is under way when the wait is over, is no fault.
func TestSuccessLogsNoWarning(t *testing.T) {
	var log bytes.Buffer
	h, fake := withFake(t, Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	looks := make(chan chan struct{}, 1)
	var nth atomic.Int32
	fake.Handle("status", func(helmtest.Call) helmtest.Reply {
		if nth.Add(1)%3 != 0 {
			return helmtest.Reply{Stderr: "Error: release: not found\n", Exit: 1}
		}
		looking := <-looks
		return helmtest.Reply{Then: func() { close(looking) }, Until: helmtest.Forever}
	})
	for range 5 {
		looking := make(chan struct{})
		looks <- looking
		inTurn(fake, "install", installed(fake, "deployed", helmtest.Reply{Until: looking}))
		_, err := h.Install(t.Context(), "web", chartFolder(t, "web", "1.2.3"), InstallOptions{
			Wait: true, Progress: func(Progress) {}, ProgressInterval: time.Millisecond,
		})
		require.NoError(t, err)
		_, err = h.Uninstall(t.Context(), "web", UninstallOptions{})
		require.NoError(t, err)
		nth.Store(0)
	}
	_, err := h.Upgrade(t.Context(), "web", chartFolder(t, "web", "1.2.3"), UpgradeOptions{Install: true})
	require.NoError(t, err)
	assert.Zero(t, strings.Count(log.String(), "level=WARN"), log.String())
	assert.Contains(t, log.String(), "not found", "the lines are there")
}

// nothing is an Observer that does as little as one can do.
type nothing struct{}

func (nothing) Begin(ctx context.Context, _ Span) context.Context { return ctx }

func (nothing) End(context.Context, Span) {}

// instant makes a Helm whose helm takes no time.
func instant(t testing.TB, cfg Config) *Helm {
	self, err := os.Executable()
	require.NoError(t, err)
	cfg.Binary, cfg.Home = self, t.TempDir()
	h, err := New(cfg)
	require.NoError(t, err)
	h.host.run = func(context.Context, process.Command) process.Result { return process.Result{PID: 1} }
	return h
}

// uninstallOnce runs the helm of an uninstall below its operation.
func uninstallOnce(ctx context.Context, h *Helm) error {
	_, err := h.run(ctx, invocation{args: uninstallArgsOfBench, cluster: true, mutates: true})
	return err
}

var uninstallArgsOfBench = []string{"uninstall", "--wait", "--timeout=5m0s", "--namespace=bench", "--", "web"}

// maxObserverAllocs is what an Observer may cost for each helm process.
const maxObserverAllocs = 20

func TestObserverCosts(t *testing.T) {
	allocs := func(cfg Config) float64 {
		h := instant(t, cfg)
		ctx, end := h.enter(t.Context(), Span{Operation: "Uninstall", Release: "web"})
		err := error(nil)
		defer end(&err)
		return testing.AllocsPerRun(100, func() { err = errors.Join(err, uninstallOnce(ctx, h)) })
	}
	none, some := allocs(Config{}), allocs(Config{Observer: nothing{}})
	assert.LessOrEqual(t, some-none, float64(maxObserverAllocs))
	t.Logf("%v allocations without an Observer, %v with one", none, some)
}

// BenchmarkObserver measures what one helm process costs without the process itself. Those with and without an Observer
// take turns, so that a busy moment of the machine affects all; the figures are medians in nanoseconds:
//
//	none      nobody observes
//	observer  the difference to that with an Observer that does nothing
//	logger    the difference with a Logger that writes nothing
func BenchmarkObserver(b *testing.B) {
	configs := []Config{{}, {Observer: nothing{}}, {Logger: slog.New(slog.DiscardHandler)}}
	took := make([][]time.Duration, len(configs))
	var turns []func() error
	for _, cfg := range configs {
		h := instant(b, cfg)
		ctx, end := h.enter(b.Context(), Span{Operation: "Uninstall", Release: "web"})
		var err error
		defer end(&err)
		turns = append(turns, func() error { return uninstallOnce(ctx, h) })
	}
	for b.Loop() {
		for i, turn := range turns {
			begin := time.Now()
			if err := turn(); err != nil {
				b.Fatal(err)
			}
			took[i] = append(took[i], time.Since(begin))
		}
	}
	median := func(i int) float64 {
		slices.Sort(took[i])
		return float64(took[i][len(took[i])/2])
	}
	b.ReportMetric(median(0), "none")
	b.ReportMetric(median(1)-median(0), "observer")
	b.ReportMetric(median(2)-median(0), "logger")
}
