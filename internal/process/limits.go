package process

import (
	"context"
	"time"
)

// Limits bound what a process takes of the machine. A limit of 0 is none; each stands with the error
// that is given when it is exceeded. What the system does not tell is not limited: all but Written
// needs Linux. What the process itself starts is not measured.
type Limits struct {
	Memory     int64 // bytes in memory at one time
	OverMemory error

	CPUTime     time.Duration // of all its threads
	OverCPUTime error
	// MoreCPUTime tells whether a process that has used up its CPUTime may use as much again. Nil: it
	// may not. The process goes on while this is found out.
	MoreCPUTime func(context.Context) bool

	Read      int64  // bytes that it reads from files and sockets
	Written   int64  // bytes in the files of Dir
	Dir       string // where it writes
	OverFetch error  // of Read and Written
}

// When a process is looked at. Each look wakes this one up, so most processes end before the first.
const (
	firstLook = 100 * time.Millisecond // after its start
	shortLook = 25 * time.Millisecond  // after the last look, at one that is at work
	longLook  = 100 * time.Millisecond // at one that waits
)

// watch calls stop when a process exceeds a limit, at most once, also when ctx has ended. The
// function it returns ends that.
func (l *Limits) watch(ctx context.Context, pid int, stop func(error)) (end func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	first := time.AfterFunc(firstLook, func() {
		if err := l.awaitExcess(ctx, pid); err != nil && ctx.Err() == nil {
			stop(err)
		}
	})
	return func() { first.Stop(); cancel() }
}

// awaitExcess gives the error of the limit that a process exceeds, nil when ctx ended before.
func (l *Limits) awaitExcess(ctx context.Context, pid int) error {
	var before usage
	budget := l.CPUTime
	answer := make(chan bool, 1)
	asked := false
	for {
		now := usageOf(pid)
		switch {
		case l.Memory != 0 && now.memory > l.Memory:
			return l.OverMemory
		case l.Read != 0 && bytesRead(pid) > l.Read, l.Written != 0 && folderSize(l.Dir) > l.Written:
			return l.OverFetch
		}
		if l.CPUTime != 0 && now.processor > budget && !asked {
			asked = true
			// Its memory is watched meanwhile.
			go func() { answer <- l.MoreCPUTime != nil && l.MoreCPUTime(ctx) }()
		}
		pause := shortLook
		if now.processor == before.processor {
			pause = longLook
		}
		before = now
		select {
		case more := <-answer:
			if !more {
				return l.OverCPUTime
			}
			asked, budget = false, now.processor+l.CPUTime
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
}
