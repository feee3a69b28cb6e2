package main

import (
	"context"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// cost is what something took: wall time, CPU time of this process, and CPU time with its children.
type cost struct{ wall, self, cpu time.Duration }

// measure runs f. Nothing else may run meanwhile.
func measure(f func() error) (cost, error) {
	self, children, start := cpu(syscall.RUSAGE_SELF), cpu(syscall.RUSAGE_CHILDREN), time.Now()
	err := f()
	c := cost{wall: time.Since(start), self: cpu(syscall.RUSAGE_SELF) - self}
	c.cpu = c.self + cpu(syscall.RUSAGE_CHILDREN) - children
	return c, err
}

func cpu(who int) time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(who, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func median[T int64 | float64 | time.Duration](all []T) T {
	sorted := slices.Sorted(slices.Values(all))
	if len(sorted) == 0 {
		return 0
	}
	return sorted[len(sorted)/2]
}

// of gives one figure of each cost.
func of(costs []cost, figure func(cost) time.Duration) []time.Duration {
	var all []time.Duration
	for _, c := range costs {
		all = append(all, figure(c))
	}
	return all
}

func wall(c cost) time.Duration  { return c.wall }
func total(c cost) time.Duration { return c.cpu }
func self(c cost) time.Duration  { return c.self }

// ratio is the median of the first over the median of the second.
func ratio(a, b []cost, figure func(cost) time.Duration) float64 {
	return float64(median(of(a, figure))) / float64(median(of(b, figure)))
}

// pairs is the median of the ratios of pairs that were measured one after the other. What slows the machine for a
// while slows both of a pair.
func pairs(a, b []cost, figure func(cost) time.Duration) float64 {
	var all []float64
	for i := range a {
		all = append(all, float64(figure(a[i]))/float64(figure(b[i])))
	}
	return median(all)
}

// beyond is the median of the differences of such pairs.
func beyond(a, b []cost, figure func(cost) time.Duration) time.Duration {
	var all []time.Duration
	for i := range a {
		all = append(all, figure(a[i])-figure(b[i]))
	}
	return median(all)
}

// counter is a log handler that counts helm processes: each has one line.
type counter struct{ n atomic.Int64 }

func (c *counter) Enabled(context.Context, slog.Level) bool { return true }
func (c *counter) WithAttrs([]slog.Attr) slog.Handler       { return c }
func (c *counter) WithGroup(string) slog.Handler            { return c }

func (c *counter) Handle(context.Context, slog.Record) error {
	c.n.Add(1)
	return nil
}

// during counts the processes that f starts.
func (c *counter) during(f func() error) (n int64, err error) {
	before := c.n.Load()
	err = f()
	return c.n.Load() - before, err
}

// heap is what this process holds on to, in bytes.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// resident is the memory of this process in bytes.
func resident() int64 {
	text, _ := os.ReadFile("/proc/self/statm")
	if f := strings.Fields(string(text)); len(f) > 1 {
		pages, _ := strconv.ParseInt(f[1], 10, 64)
		return pages * int64(os.Getpagesize())
	}
	return 0
}
