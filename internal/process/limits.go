package process

import (
	"context"
	"time"
)

// Limits say how much of the machine a process may use. 0 is no limit; each limit has the error for
// exceeding it. What the system does not report is not limited: all except Written need Linux.
// Children of the process are not measured.
type Limits struct {
	Memory     int64 // bytes in memory at one time
	OverMemory error

	CPUTime     time.Duration // of all its threads
	OverCPUTime error
	// MoreCPUTime reports whether a process that has used up its CPUTime may use as much again. Nil
	// means no. The process continues meanwhile.
	MoreCPUTime func(context.Context) bool

	Read      int64  // bytes that it reads from files and sockets
	Written   int64  // bytes in the files of Dir
	Dir       string // where it writes
	OverFetch error  // of Read and Written
}

// When a process is checked. Each look wakes this process up, so most processes end before the
// first.
const (
	firstLook = 100 * time.Millisecond // after its start
	shortLook = 25 * time.Millisecond  // after the last look, if the process works
	longLook  = 200 * time.Millisecond // if it waits, as most do on a busy machine
)

// watch calls stop when a process exceeds a limit, at most once, also after ctx has ended. The
// returned function ends that.
func (l *Limits) watch(ctx context.Context, pid int, stop func(error)) (end func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	first := time.AfterFunc(firstLook, func() {
		if err := l.awaitExcess(ctx, pid); err != nil && ctx.Err() == nil {
			stop(err)
		}
	})
	return func() { first.Stop(); cancel() }
}

// awaitExcess returns the error of the limit that a process exceeds, nil if ctx ended before.
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
