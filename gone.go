package helmexec

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
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
		cluster: true, mutates: true, waits: r.waits, inherit: r.inherit, races: beside,
	}
	if r.explain {
		inv.hears = func(string) {}
	}
	if !beside {
		return r.h.run(ctx, inv)
	}
	first, endFirst := context.WithCancelCause(ctx)
	defer endFirst(nil)
	looks, endLooks := context.WithCancelCause(polling(first))
	w := &vigil{removal: r, dialect: d, first: first, looks: looks}
	var looking sync.WaitGroup
	var overdue *time.Timer
	begun := false
	end := func(why error) {
		// Who has begun to remove the record ends that, so that one of two callers has the release in its result.
		if !w.purges.Load() || why == errRemoved {
			endFirst(why)
		}
	}
	inv.hears = func(line string) {
		switch {
		case helmtext.AwaitsDeletion(line):
			if begun {
				return
			}
			begun = true
			if limit, known := r.timeToWait(); known {
				overdue = time.AfterFunc(limit, func() { end(errTimeIsUp) })
			}
			looking.Go(func() {
				if why := w.keep(); why != nil {
					w.removed = why == errRemoved
					end(why)
				}
			})
		case helmtext.PurgesRecord(line):
			w.purges.Store(true)
			endLooks(errEnough)
		}
	}
	out, err := r.h.run(first, inv)
	if overdue != nil {
		overdue.Stop()
	}
	endLooks(errEnough)
	looking.Wait()
	// A helm that was ended because there was no record can have removed it itself: its log is read a moment later.
	if w.removed || w.purges.Load() && errors.Is(err, errOvertaken) {
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
// behind its wait, which two helms must not run at once. If hooks run before it, the record says when they are over,
// unless an earlier removal has left it so.
func (r *removal) looksBeside() bool {
	late := r.rec.hasHook("post-delete") || r.rec.hasHook("pre-delete") && r.rec.Status == StatusUninstalling
	return r.opts.Wait && !r.rec.Partial && (r.opts.NoHooks || !late)
}

// vigil looks at the objects of a release beside a first helm, which waits until they are gone.
type vigil struct {
	*removal
	dialect helmtext.Dialect
	first   context.Context // of the first helm, and of the second
	looks   context.Context // ends before the first helm removes the record
	purges  atomic.Bool     // the first helm removes the record
	removed bool            // the second helm has done it
}

// keep looks at the objects until they are gone and the record is removed. It says why the first helm need not go on; nil
// if it has to.
func (w *vigil) keep() (why error) {
	q := question{objects: w.rec.inventory().objectsToGo("")}
	q.first = len(q.objects)
	if w.h.env.recordKind() == "Secret" {
		q.record = w.rec
	}
	began := w.h.host.now()
	var nextCount time.Duration
	for pause := pauseAfter(0); sleep(w.looks, pause); {
		waited := w.h.host.now().Sub(began)
		q.count = nextCount >= 0 && waited >= nextCount
		seen, err := w.h.sight(w.looks, w.target, w.release, q)
		cascade := ""
		switch {
		case errors.Is(err, errTooMany):
			nextCount = -1
		case err != nil:
		case len(seen.there) == 0:
			cascade = "foreground"
		case !slices.ContainsFunc(seen.there, func(s sighting) bool { return !s.held || !s.owned }):
			if seen.idle {
				// Deleted in the background, what only the garbage collector holds is gone at once.
				cascade = "background"
			}
			nextCount = 2 * waited // what they own takes its time
		}
		if cascade != "" {
			if why, settled := w.removeRecord(cascade, seen.record); settled {
				return why
			}
		}
		if err == nil {
			// Most are gone at once, so the next look begins with those that were still there.
			slices.SortStableFunc(q.objects, func(a, b Remain) int { return cmp.Compare(seen.missing(a), seen.missing(b)) })
			q.first = len(seen.there)
		}
		pause = pauseAfter(waited)
	}
	return nil
}

// removeRecord lets a second helm remove the record, and looks meanwhile at what stays by design. labels are those of the
// record, as far as they are known. It says why the first helm need not go on, nil if it has to; settled is false if
// there is to be another look.
func (w *vigil) removeRecord(cascade string, labels map[string]string) (why error, settled bool) {
	if !w.isMarked(labels) {
		now, err := w.h.record(w.looks, w.target, w.release, 0)
		switch {
		case errors.Is(err, ErrReleaseNotFound), err == nil && !now.same(w.rec) && !now.follows(w.rec):
			return errOvertaken, true // the first helm could remove what is not its own
		case err == nil && !now.same(w.rec):
			return nil, true
		case err != nil, now.Status != StatusUninstalling:
			return nil, false // it is not known, or hooks that run before the objects are deleted
		}
	}
	if w.purges.Load() {
		return nil, true
	}
	var looking sync.WaitGroup
	defer looking.Wait()
	looking.Go(func() { w.result.Remains = w.h.present(w.first, w.target, w.result.Remains) })
	opts := w.opts
	opts.NoHooks = true // those before the removal have run
	limit, _ := w.timeToWait()
	ctx, cancel := context.WithTimeoutCause(w.first, limit, errTimeIsUp) // if it has to wait after all
	defer cancel()
	_, err := w.h.run(ctx, invocation{
		args:    uninstallArgs(w.dialect, w.target, w.release, opts, cascade, false),
		cluster: true, mutates: true, inherit: w.inherit, races: true,
		// The first helm occupies a place. And what was seen may not be true for long.
		patience: time.Second,
	})
	if err != nil {
		return nil, !errors.Is(err, errNoPlace)
	}
	w.checked = true
	return errRemoved, true
}

// isMarked reports whether the record with these labels is still the one to remove, and is marked as being removed, which
// helm does after the hooks and before it deletes objects. The labels of a release that somebody else installed do not
// tell it from another one.
func (w *vigil) isMarked(labels map[string]string) bool {
	ours := labels[labelInstall] != "" || labels[labelUpgrade] != ""
	return ours && labels["status"] == string(StatusUninstalling) && labels["version"] == strconv.Itoa(w.rec.Revision) && sameTry(labels, w.rec.labels())
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
