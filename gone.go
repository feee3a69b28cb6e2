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
	errEnough    = errors.New("need not go on")
	errRemoved   = fmt.Errorf("%w: the objects are gone, and a second helm has removed the record", errEnough)
	errOvertaken = fmt.Errorf("%w: the objects are gone, and somebody else has removed the record", errEnough)
	errTimeIsUp  = fmt.Errorf("%w: objects still exist, and the time to wait for them is over", errEnough)
)

// pauseAfter is the pause before the next look: a twentieth of the time waited so far, so that a removal takes hardly
// longer than its pods, and few looks.
func pauseAfter(waited time.Duration) time.Duration {
	return min(max(waited/20, 50*time.Millisecond), 3*time.Second)
}

// helm runs one uninstall. A helm that waits for the objects looks every two seconds, and waits longer for what is held,
// so we look beside it. When the objects are gone, a second helm removes the record, and the first is ended. If the
// second fails, the first goes on.
func (r *removal) helm(ctx context.Context, d helmtext.Dialect) ([]byte, error) {
	beside := r.looksBeside()
	inv := invocation{
		args:    uninstallArgs(d, r.target, r.release, r.opts, "foreground", beside || r.explain),
		cluster: true, mutates: true, waits: r.waits, inherit: r.inherit,
	}
	if r.explain {
		inv.hears = func(string) {}
	}
	if !beside {
		return r.h.run(ctx, inv)
	}
	first, endFirst := context.WithCancelCause(ctx)
	looks, endLooks := context.WithCancel(ctx)
	defer endLooks()
	var looking sync.WaitGroup
	var overdue *time.Timer
	var purges atomic.Bool
	end := func(why error) {
		// Who has begun to remove the record ends that, so that one of two callers has the release in its result.
		if !purges.Load() || why == errRemoved {
			endFirst(why)
		}
	}
	begun, removed := false, false
	inv.hears = func(line string) {
		switch {
		case helmtext.AwaitsDeletion(line) && !begun:
			begun = true
			if limit, known := r.timeToWait(); known {
				overdue = time.AfterFunc(limit, func() { end(errTimeIsUp) })
			}
			looking.Go(func() {
				cascade := r.lookUntilGone(looks)
				if cascade == "" || purges.Load() {
					return
				}
				if why := r.removeRecord(ctx, d, cascade); why != nil {
					removed = why == errRemoved
					end(why)
				}
			})
		case helmtext.PurgesRecord(line):
			purges.Store(true)
			endLooks()
		}
	}
	out, err := r.h.run(first, inv)
	if overdue != nil {
		overdue.Stop()
	}
	endLooks()
	looking.Wait()
	endFirst(nil)
	if removed {
		return nil, nil
	}
	return out, err
}

// timeToWait is how long helm may wait for the objects. It is shorter than helm's own timeout, at which helm removes the
// record while objects exist. That also counts for each hook before the wait: then it is not known when the wait begins.
func (r *removal) timeToWait() (limit time.Duration, known bool) {
	limit = cmp.Or(r.opts.Timeout, helmTimeout)
	return limit - min(limit/5, 2*time.Second), r.opts.NoHooks || !r.rec.hasHook("pre-delete")
}

// looksBeside reports whether to look beside helm, which is left to itself if the objects are not known, or if hooks run
// behind its wait, which two helms must not run at once.
func (r *removal) looksBeside() bool {
	return r.opts.Wait && !r.rec.Partial && (r.opts.NoHooks || !r.rec.hasHook("post-delete"))
}

// lookUntilGone looks at the objects until they are gone, and says how the second helm deletes: in the background if
// there still are custom resources that only the garbage collector holds, since that frees them. "" says that ctx ended.
func (r *removal) lookUntilGone(ctx context.Context) (cascade string) {
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
				return "foreground"
			case !slices.ContainsFunc(seen.there, func(s sighting) bool { return !s.held || !s.owned }):
				if seen.idle {
					return "background"
				}
				nextCount = 2 * waited // what they own takes its time
			}
			// Most are gone at once, so the next look begins with those that were still there.
			slices.SortStableFunc(objects, func(a, b Remain) int { return cmp.Compare(seen.missing(a), seen.missing(b)) })
			first = len(seen.there)
		}
		pause = pauseAfter(waited)
	}
	return ""
}

// removeRecord lets a second helm remove the record, and looks meanwhile at what stays by design. It says why the first
// helm need not go on; nil if it has to.
func (r *removal) removeRecord(ctx context.Context, d helmtext.Dialect, cascade string) (why error) {
	now, err := r.h.record(ctx, r.target, r.release, 0)
	switch {
	case errors.Is(err, ErrReleaseNotFound), err == nil && !now.same(r.rec) && !now.follows(r.rec):
		return errOvertaken // the first helm could remove what is not its own
	case err != nil, !now.same(r.rec):
		return nil
	}
	var looking sync.WaitGroup
	looking.Go(func() { r.result.Remains = r.h.present(ctx, r.target, r.result.Remains) })
	defer looking.Wait()
	opts := r.opts
	opts.NoHooks = true // those before the removal have run
	_, err = r.h.run(ctx, invocation{
		args:    uninstallArgs(d, r.target, r.release, opts, cascade, false),
		cluster: true, mutates: true, inherit: r.inherit,
	})
	if err != nil {
		return nil
	}
	r.checked = true
	return errRemoved
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
