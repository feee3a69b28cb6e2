package helmexec

import (
	"context"
	"time"
)

// Progress is how far a release is on its way to be ready.
type Progress struct {
	Ready, Total int           // pods
	Blocker      *Blocker      // the first thing in the way, nil when nothing is known
	Elapsed      time.Duration // since helm started
}

// progressInterval is the pause between two looks, when InstallOptions name none. Each look is one
// helm process.
const progressInterval = 5 * time.Second

// watch calls opts.Progress while helm runs. The function it returns ends that; after it, no
// further call is made.
func (h *Helm) watch(ctx context.Context, op *operation, opts InstallOptions) (stop func()) {
	if opts.Progress == nil || !opts.Wait && !opts.WaitForJobs {
		return func() {}
	}
	interval := opts.ProgressInterval
	if interval == 0 {
		interval = progressInterval
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	start := h.host.now()
	go func() {
		defer close(done)
		for sleep(ctx, interval) {
			objects, err := h.liveObjects(ctx, op.target, op.release)
			if err != nil || ctx.Err() != nil {
				continue // not recorded yet, or the network is down: the next look may tell
			}
			p := progressOf(objects)
			p.Elapsed = h.host.now().Sub(start)
			opts.Progress(p)
		}
	}()
	return func() { cancel(); <-done }
}

func progressOf(objects []liveObject) Progress {
	var p Progress
	for _, o := range objects {
		if o.Kind != "Pod" {
			continue
		}
		p.Total++
		ready := o.Status.Phase == "Succeeded"
		for _, c := range o.Status.Conditions {
			ready = ready || c.Type == "Ready" && c.Status == "True"
		}
		if ready {
			p.Ready++
		}
	}
	if all := blockersOf(objects); len(all) > 0 {
		p.Blocker = &all[0]
	}
	return p
}
