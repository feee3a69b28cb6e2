package helmexec

import (
	"cmp"
	"fmt"
	"time"

	"github.com/sut-bench/helmexec/internal/process"
)

// Limits say how much of this machine a source of charts, or a chart, can use: neither is trusted.
// Zero fields take the defaults. A helm that exceeds a limit is killed.
type Limits struct {
	Index   int64         // bytes of a repository's index; 128 MiB
	Archive int64         // bytes of a chart archive; 32 MiB
	Memory  int64         // bytes of memory of a helm process that fetches, on Linux; 1.5 GiB
	Time    time.Duration // for one fetch; 2 minutes
	Cache   int64         // bytes of archives kept; 4 GiB

	// These are for a helm that renders a chart: Template and what builds on it, Lint, Install,
	// Upgrade and their dry runs. ErrRenderTooLarge, ErrRenderTimeout.
	RenderMemory int64 // bytes of memory of the helm process, on Linux; 1 GiB
	RenderOutput int64 // bytes of the manifest that helm prints; 64 MiB
	// RenderTime is processor time, on Linux; 1 minute. In an install or upgrade it counts until the
	// release is recorded: waiting for hooks and pods comes after that.
	RenderTime time.Duration
}

func (l Limits) withDefaults() Limits {
	return Limits{
		Index: cmp.Or(l.Index, 128<<20), Archive: cmp.Or(l.Archive, 32<<20),
		Memory: cmp.Or(l.Memory, 1536<<20), Time: cmp.Or(l.Time, 2*time.Minute), Cache: cmp.Or(l.Cache, 4<<30),
		RenderMemory: cmp.Or(l.RenderMemory, 1<<30), RenderOutput: cmp.Or(l.RenderOutput, maxStdout), RenderTime: cmp.Or(l.RenderTime, time.Minute),
	}
}

// negative reports whether a limit is below zero.
func (l Limits) negative() bool {
	return min(l.Index, l.Archive, l.Memory, l.Cache, l.RenderMemory, l.RenderOutput) < 0 || min(l.Time, l.RenderTime) < 0
}

// processLimits are the limits on one helm process. Helm itself has none: it reads an answer of any
// size into memory before it writes a file, an answer may be decompressed on the way, and a template
// can loop for ever. Only the process itself is measured, because neither a chart nor a source can
// start another.
type processLimits struct {
	process.Limits
	output int64 // bytes of a manifest on stdout, 0 if none is printed
}

// rendering are the limits on a helm that renders a chart.
func (h *Helm) rendering() *processLimits {
	l := h.cfg.Limits
	return &processLimits{
		Limits: process.Limits{
			Memory:      l.RenderMemory,
			OverMemory:  fmt.Errorf("%w: helm took more than %d MiB of memory (Limits.RenderMemory)", ErrRenderTooLarge, l.RenderMemory>>20),
			CPUTime:     l.RenderTime,
			OverCPUTime: fmt.Errorf("%w: helm used more than %v of processor time (Limits.RenderTime)", ErrRenderTimeout, l.RenderTime),
		},
		output: l.RenderOutput,
	}
}

const (
	// readOtherwise is an allowance for helm's own files, which it reads in addition to what it
	// fetches.
	readOtherwise = 16 << 20
	// writtenOtherwise is an allowance for files that we put into the folder ourselves.
	writtenOtherwise = 1 << 20
)

// fetchingInto are the limits on a helm that fetches a number of bytes into the folder dir. It reads
// them from a socket and again from the file, and Helm 4 keeps a second copy of an archive in its
// cache. So this limit is rough; the exact size is checked when the result is read.
func (h *Helm) fetchingInto(dir string, bytes int64) *processLimits {
	memory := h.cfg.Limits.Memory
	return &processLimits{Limits: process.Limits{
		Memory:     memory,
		OverMemory: fmt.Errorf("%w: helm took more than %d MiB of memory for what it fetched (Limits.Memory)", ErrOutputTooLarge, memory>>20),
		Read:       2*bytes + readOtherwise, Written: 2*bytes + writtenOtherwise, Dir: dir,
		OverFetch: fmt.Errorf("%w: what helm fetched is over %d MiB", ErrOutputTooLarge, bytes>>20),
	}}
}
