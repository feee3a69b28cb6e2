package helmexec

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sut-bench/helmexec/internal/helmtext"
)

// Why a helm that waits for the objects of a release is ended.
var (
	errEnough   = errors.New("need not go on")
	errSeenGone = fmt.Errorf("%w: the objects are gone", errEnough)
	errSeenHeld = fmt.Errorf("%w: only the garbage collector holds what is left", errEnough)
	errTimeIsUp = fmt.Errorf("%w: objects still exist, and the time to wait for them is over", errEnough)
)

// pauseAfter is the pause before the next look: a twentieth of the time waited so far, so that a removal takes hardly
// longer than its pods, and few looks.
func pauseAfter(waited time.Duration) time.Duration {
	return min(max(waited/20, 50*time.Millisecond), 3*time.Second)
}

// helm runs one uninstall. A helm that waits for the objects looks every two seconds, so we look beside it. When the
// objects are gone helm is ended, with errEnough: all that is left to do is to remove the record, which is
// "uninstalling".
func (r *removal) helm(ctx context.Context, d helmtext.Dialect) ([]byte, error) {
	beside := r.looksBeside()
	opts, cascade := r.opts, "foreground"
	opts.NoHooks = opts.NoHooks || r.hooksDone
	if r.held {
		cascade = "background" // frees what foreground deletion holds
	}
	inv := invocation{
		args:    uninstallArgs(d, r.target, r.release, opts, cascade, beside || r.explain),
		cluster: true, mutates: true, waits: r.waits, inherit: r.inherit,
	}
	if r.explain {
		inv.hears = func(string) {}
	}
	if !beside {
		return r.h.run(ctx, inv)
	}
	ctx, endHelm := context.WithCancelCause(ctx)
	looks, endLooks := context.WithCancel(ctx)
	var looking sync.WaitGroup
	var overdue *time.Timer
	var purges atomic.Bool
	end := func(why error) {
		// Nobody would know which of two callers has removed the record.
		if why != nil && !purges.Load() {
			endHelm(why)
		}
	}
	begun := false
	inv.hears = func(line string) {
		switch {
		case helmtext.AwaitsDeletion(line) && !begun:
			begun = true
			if limit, known := r.timeToWait(); known {
				overdue = time.AfterFunc(limit, func() { end(errTimeIsUp) })
			}
			looking.Go(func() { end(r.lookUntilGone(looks)) })
		case helmtext.PurgesRecord(line):
			purges.Store(true)
			endLooks()
		}
	}
	out, err := r.h.run(ctx, inv)
	if overdue != nil {
		overdue.Stop()
	}
	endLooks()
	looking.Wait()
	endHelm(nil)
	return out, err
}

// timeToWait is how long helm may wait for the objects. It is shorter than helm's own timeout, at which helm removes the
// record while objects exist. That also counts for each hook before the wait: then it is not known when the wait begins.
func (r *removal) timeToWait() (limit time.Duration, known bool) {
	limit = cmp.Or(r.opts.Timeout, helmTimeout)
	return limit - min(limit/5, 2*time.Second), r.opts.NoHooks || r.hooksDone || !r.rec.hasHook("pre-delete")
}

// looksBeside reports whether we can look beside helm. It is left to itself if the objects are not known; if
// it has hooks to run behind its wait and must not run those before it again; and if the objects were seen
// gone, when its own look is the second.
func (r *removal) looksBeside() bool {
	between := !r.opts.NoHooks && r.rec.hasHook("pre-delete") && r.rec.hasHook("post-delete")
	return r.opts.Wait && !r.closing && !r.rec.Partial && !between
}

// lookUntilGone looks at the objects until helm need not go on, and says why; nil if ctx ended.
func (r *removal) lookUntilGone(ctx context.Context) error {
	objects := r.rec.inventory().objectsToGo("")
	first := len(objects)
	began := r.h.host.now()
	var nextCount time.Duration
	for pause := pauseAfter(0); sleep(ctx, pause); {
		waited := r.h.host.now().Sub(began)
		seen, err := r.h.sight(ctx, r.target, r.release, objects, first, waited >= nextCount)
		if err == nil {
			switch {
			case len(seen.there) == 0:
				return errSeenGone
			case !slices.ContainsFunc(seen.there, func(s sighting) bool { return !s.held || !s.owned }):
				if seen.idle {
					return errSeenHeld
				}
				nextCount = 2 * waited // what they own takes its time
			}
			// Most are gone at once, so the next look begins with those that were still there.
			slices.SortStableFunc(objects, func(a, b Remain) int { return cmp.Compare(seen.missing(a), seen.missing(b)) })
			first = len(seen.there)
		}
		pause = pauseAfter(waited)
	}
	return nil
}

// lookForKept begins to look at what stays by design while helm removes the record, which changes none of it unless hooks
// run. The look has ended when end returns.
func (r *removal) lookForKept(ctx context.Context) (end func()) {
	if !r.opts.NoHooks && !r.hooksDone && r.rec.hasHook("post-delete") || len(r.result.Remains) == 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	kept, ended, objects := make(chan []Remain, 1), make(chan struct{}), r.result.Remains
	go func() {
		defer close(ended)
		kept <- r.h.present(ctx, r.target, objects)
	}()
	r.kept = kept
	return func() { cancel(); <-ended }
}

// byLine passes on whole lines.
func byLine(hear func(line string)) func([]byte) {
	var rest []byte
	return func(text []byte) {
		rest = append(rest, text...)
		for {
			line, more, whole := bytes.Cut(rest, []byte("\n"))
			if !whole {
				break
			}
			hear(string(line))
			rest = more
		}
		if len(rest) > maxStderr {
			rest = nil // no line of helm's log
		}
	}
}
