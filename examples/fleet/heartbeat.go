package main

import (
	"context"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/sut-bench/helmexec"
)

// Beat is the detail of a heartbeat.
type Beat struct {
	Home         string
	Ready, Total int    `json:",omitempty"` // pods
	Blocker      string `json:",omitempty"` // the first thing in the way
}

// heartbeats are sent from the first moment of an activity until stop, whatever it waits for: an activity that sends none
// is timed out, and is never told that it was cancelled.
type heartbeats struct {
	mu   sync.Mutex
	last Beat
	end  chan struct{}
	done sync.WaitGroup
}

func (a *Activities) heartbeats(ctx context.Context) *heartbeats {
	h := &heartbeats{last: Beat{Home: a.Home}, end: make(chan struct{})}
	every := activity.GetInfo(ctx).HeartbeatTimeout / 4
	if every <= 0 {
		return h
	}
	h.done.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			h.mu.Lock()
			last := h.last
			h.mu.Unlock()
			activity.RecordHeartbeat(ctx, last)
			select {
			case <-h.end:
				return
			case <-tick.C:
			}
		}
	})
	return h
}

// progress is what further heartbeats tell.
func (h *heartbeats) progress(p helmexec.Progress) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last.Ready, h.last.Total, h.last.Blocker = p.Ready, p.Total, ""
	switch {
	case p.Err != nil:
		h.last.Blocker = p.Err.Error()
	case p.Blocker != nil:
		h.last.Blocker = p.Blocker.String()
	}
}

func (h *heartbeats) stop() {
	close(h.end)
	h.done.Wait()
}
