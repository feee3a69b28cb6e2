package helmexec

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Limits bound what a source of charts, or a chart, can take of this machine: nobody here controls
// either. Zero fields take the defaults. A helm that goes over a limit is killed.
type Limits struct {
	Index   int64         // bytes of a repository's index; 128 MiB
	Archive int64         // bytes of a chart archive; 32 MiB
	Memory  int64         // bytes of memory of a helm process that fetches, on Linux; 1.5 GiB
	Time    time.Duration // for one fetch; 2 minutes
	Cache   int64         // bytes of archives kept; 4 GiB

	// These are for a helm that renders a chart: Template and what builds on it, Lint, Install,
	// Upgrade and their dry runs. ErrRenderTooLarge, ErrRenderTimeout.
	RenderMemory int64 // bytes of memory of the helm process, on Linux; 1 GiB
	RenderOutput int64 // bytes of the manifest, where helm prints it or a Transform gets it; 64 MiB
	// RenderTime is processor time, on Linux; 1 minute. Of an install or upgrade it counts until the
	// release is recorded: waiting for hooks and pods comes after that.
	RenderTime time.Duration
}

func (l Limits) withDefaults() Limits {
	return Limits{
		Index: cmp.Or(l.Index, 128<<20), Archive: cmp.Or(l.Archive, defaultChartLimits.compressed),
		Memory: cmp.Or(l.Memory, 1536<<20), Time: cmp.Or(l.Time, 2*time.Minute), Cache: cmp.Or(l.Cache, 4<<30),
		RenderMemory: cmp.Or(l.RenderMemory, 1<<30), RenderOutput: cmp.Or(l.RenderOutput, maxStdout), RenderTime: cmp.Or(l.RenderTime, time.Minute),
	}
}

// negative tells whether a limit is below zero.
func (l Limits) negative() bool {
	return min(l.Index, l.Archive, l.Memory, l.Cache, l.RenderMemory, l.RenderOutput) < 0 || min(l.Time, l.RenderTime) < 0
}

// processLimits are the limits on one helm process. Helm itself has none: it reads an answer of any
// size into memory before it writes a file, an answer may unpack on the way, and a template can loop
// for ever. Only the process itself is measured, for neither a chart nor a source can start another.
type processLimits struct {
	memory int64 // bytes
	fetch  *fetchLimits
	render *renderLimits
}

// fetchLimits bound what a helm reads (from sockets too, and once more from the file) and writes.
type fetchLimits struct {
	dir   string // where it writes
	bytes int64
}

// renderLimits bound a helm that renders a chart.
type renderLimits struct {
	output int64         // bytes on stdout
	time   time.Duration // processor time
	// over tells that it renders no longer, or that this cannot be found out now. Nil: all it does is
	// rendering.
	over func(context.Context) bool
}

// rendering are the limits on a helm that renders a chart.
func (h *Helm) rendering() *processLimits {
	l := h.cfg.Limits
	return &processLimits{memory: l.RenderMemory, render: &renderLimits{output: l.RenderOutput, time: l.RenderTime}}
}

const (
	// readOtherwise is what helm may read beside what it fetches: its own files.
	readOtherwise = 16 << 20
	// writtenOtherwise is what may be in the folder beside what helm fetches: what was put there for it.
	writtenOtherwise = 1 << 20
)

// When a process is looked at. Each look wakes this one up, so most helms end before the first.
const (
	firstLook = 100 * time.Millisecond // after its start, for which it needs half of this
	shortLook = 25 * time.Millisecond  // after the last look, at one that is at work
	longLook  = 100 * time.Millisecond // at one that waits
)

// watch calls stop when a process goes over a limit, at most once, also when ctx has ended. The
// function it returns ends that.
func (l *processLimits) watch(ctx context.Context, pid int, stop func(error)) (end func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	first := time.AfterFunc(firstLook, func() {
		if err := l.awaitExcess(ctx, pid); err != nil && ctx.Err() == nil {
			stop(err)
		}
	})
	return func() { first.Stop(); cancel() }
}

// awaitExcess gives the limit that a process goes over, nil when ctx ended before.
func (l *processLimits) awaitExcess(ctx context.Context, pid int) error {
	var before usage
	var budget time.Duration // of processor time
	if l.render != nil {
		budget = l.render.time
	}
	answer := make(chan bool, 1)
	asked := false
	for {
		now := usageOf(pid)
		if err := l.exceeded(pid, now); err != nil {
			return err
		}
		if l.render != nil && now.processor > budget && !asked {
			asked = true
			// Its memory is watched meanwhile.
			go func() { answer <- l.render.over != nil && l.render.over(ctx) }()
		}
		select {
		case over := <-answer:
			if !over {
				return fmt.Errorf("%w: helm used more than %v of processor time (Limits.RenderTime)", ErrRenderTimeout, l.render.time)
			}
			asked, budget = false, now.processor+l.render.time
		default:
		}
		pause := shortLook
		if now.processor == before.processor {
			pause = longLook
		}
		before = now
		if !sleep(ctx, pause) {
			return nil
		}
	}
}

// exceeded is the first limit of size that a process is over, nil when it is within all.
func (l *processLimits) exceeded(pid int, now usage) error {
	switch {
	case now.memory > l.memory && l.render != nil:
		return fmt.Errorf("%w: helm took more than %d MiB of memory (Limits.RenderMemory)", ErrRenderTooLarge, l.memory>>20)
	case now.memory > l.memory:
		return fmt.Errorf("%w: what helm fetched took it over %d MiB of memory", ErrOutputTooLarge, l.memory>>20)
	// Helm 4 keeps a second copy of an archive in its cache. What has come is measured exactly when it
	// is read.
	case l.fetch != nil && (bytesRead(pid) > 2*l.fetch.bytes+readOtherwise || folderSize(l.fetch.dir) > 2*l.fetch.bytes+writtenOtherwise):
		return fmt.Errorf("%w: what helm fetched is over %d MiB", ErrOutputTooLarge, l.fetch.bytes>>20)
	}
	return nil
}

// overLimit is the cause of a context that ended because a helm went over a limit.
type overLimit struct{ error }

// usage is what a process has of the machine.
type usage struct {
	memory    int64         // bytes that are in memory now
	processor time.Duration // used so far, by all its threads
}

// clockTick is the unit of time in /proc/PID/stat, on all of Go's systems.
const clockTick = time.Second / 100

// usageOf a process; zero where the system does not tell.
func usageOf(pid int) (u usage) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return u
	}
	// The second field is the name in brackets, and can hold anything. Behind it, field 3 is the first.
	rest := text[bytes.LastIndexByte(text, ')')+1:]
	if f := strings.Fields(string(rest)); len(f) > 24-3 {
		user, _ := strconv.ParseInt(f[14-3], 10, 64)
		system, _ := strconv.ParseInt(f[15-3], 10, 64)
		pages, _ := strconv.ParseInt(f[24-3], 10, 64)
		u = usage{pages * int64(os.Getpagesize()), time.Duration(user+system) * clockTick}
	}
	return u
}

// bytesRead is how much a process has read from files and sockets, 0 where the system does not tell.
func bytesRead(pid int) int64 {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "io"))
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), "\n")
	n, _ := strconv.ParseInt(strings.TrimPrefix(first, "rchar: "), 10, 64)
	return n
}

func folderSize(dir string) (total int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if info, err := d.Info(); err == nil {
				total += info.Size()
			}
		}
		return nil
	})
	return total
}
