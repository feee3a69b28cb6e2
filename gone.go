package helmexec

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/sut-bench/helmexec/internal/helmtext"
)

// Why a helm that waits for the objects of a release is ended.
var (
	errRemoved   = errors.New("the objects are gone, and a second helm has removed the record")
	errOvertaken = errors.New("the objects are gone, and somebody else has removed the record")
	errTimeIsUp  = errors.New("objects still exist, and the time to wait for them is over")
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
	looks, endLooks := context.WithCancel(polling(first))
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
			endLooks()
		}
	}
	out, err := r.h.run(first, inv)
	if overdue != nil {
		overdue.Stop()
	}
	endLooks()
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

// settleGone removes the objects that may be left of a release whose record is gone: those that
// nobody deleted are swept, and with Wait those that are being deleted are waited for. It returns
// what is left. early means that helm was interrupted before its time was up.
func (r *removal) settleGone(ctx context.Context, early bool) ([]Remain, error) {
	if r.rec.Partial {
		return nil, errors.New("its record was too large to read, so its objects are not known")
	}
	objects := r.rec.inventory().objectsToGo("was still there")
	for tries := r.h.tries(); ; {
		seen, err := r.h.look(ctx, r.target, r.release, objects)
		if err != nil {
			return objects, err
		}
		var left, staying []Remain
		for _, s := range seen {
			if s.owned || s.State == RemainGoing && !early {
				left = append(left, s.Remain)
			}
			if s.owned && s.State != RemainGoing {
				staying = append(staying, s.Remain)
			}
		}
		switch {
		case len(left) == 0, !early:
			return left, nil
		case len(staying) > 0:
			err := r.sweep(ctx, staying)
			if taken := (*takenError)(nil); errors.As(err, &taken) {
				if left = taken.others(left); len(left) == 0 {
					return nil, nil
				}
				return left, err
			}
			if !tries.another(ctx) {
				return left, err
			}
		case !r.opts.Wait:
			return nil, nil
		case r.h.host.now().After(r.until):
			return left, nil
		case !sleep(ctx, time.Second):
			return left, contextError(ctx)
		}
	}
}

// onItsWay lists what a dead helm may have requested without an answer: a proxy or the network may
// deliver the request later, and then the object belongs to nobody. Helm requests a hook, or the
// objects of one kind, and waits for the answers before it continues.
func (r *removal) onItsWay(ctx context.Context) []Remain {
	const why = "may still be on its way"
	var hooks []Remain
	objects := r.rec.inventory().objects(why)
	for _, hk := range r.rec.Hooks {
		if hk.Phase == "Running" || hk.Phase == "Unknown" {
			hooks = append(hooks, manifestObjects(Manifest(hk.Manifest), r.rec.Namespace, RemainHook, func(map[string]any) (string, bool) { return why, true })...)
		}
		if hk.has(hk.Events, "pre-install") && hk.Phase != "Succeeded" {
			objects = nil // helm did not get that far
		}
	}
	seen, err := r.h.look(ctx, r.target, r.release, slices.Concat(hooks, objects))
	if err != nil {
		return nil
	}
	there := map[ObjectRef]bool{}
	for _, s := range seen {
		there[s.ObjectRef] = true
	}
	missing := func(o Remain) bool { return !there[o.ObjectRef] }
	var late []Remain
	for _, hk := range hooks {
		if missing(hk) {
			late = append(late, hk)
		}
	}
	first := slices.IndexFunc(objects, missing)
	for i := first; i >= 0 && i < len(objects) && objects[i].Kind == objects[first].Kind; i++ {
		if missing(objects[i]) {
			late = append(late, objects[i])
		}
	}
	return late
}

// sweepLate waits for a while for objects that may arrive after their release was removed, and removes
// them. It returns those that did not arrive, or could not be removed.
func (r *removal) sweepLate(ctx context.Context) ([]Remain, error) {
	late := r.late
	if len(late) == 0 {
		return nil, nil
	}
	patience := r.h.cfg.GracePeriod / 2
	if !r.cutShort {
		patience = min(patience, 2*time.Second) // its helm has been dead for a while
	}
	wait, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var failed error
	for pause := 100 * time.Millisecond; len(late) > 0 && sleep(wait, pause); pause = min(2*pause, 2*time.Second) {
		seen, err := r.h.look(wait, r.target, r.release, late)
		if err != nil {
			if wait.Err() == nil {
				failed = err
			}
			continue
		}
		failed = nil
		var came []Remain
		for _, s := range seen {
			if s.owned {
				came = append(came, s.Remain)
			}
		}
		if len(came) == 0 {
			continue
		}
		failed = r.sweep(ctx, came)
		if taken := (*takenError)(nil); errors.As(failed, &taken) {
			if late = taken.others(late); len(taken.others(came)) > 0 {
				break // nobody can sweep them now
			}
			failed = nil
			continue
		}
		if failed == nil {
			late = slices.DeleteFunc(late, func(o Remain) bool {
				return slices.ContainsFunc(came, func(c Remain) bool { return c.ObjectRef == o.ObjectRef })
			})
		}
	}
	if failed == nil && !r.cutShort {
		return nil, nil
	}
	return late, failed
}

// takenError says that another release has the name now. What carries the name can be its own.
type takenError struct{ by *record }

func (e *takenError) Error() string {
	return "another release has the name now, so helm cannot remove them"
}

// others are the objects that the other release does not have.
func (e *takenError) others(objects []Remain) []Remain {
	if e.by.Partial {
		return objects // it is not known
	}
	made := e.by.inventory()
	own := made.objects("")
	for _, hk := range made.hooks {
		own = append(own, (&inventory{namespace: made.namespace, manifest: Manifest(hk.Manifest)}).objects("")...)
	}
	return slices.DeleteFunc(slices.Clone(objects), func(o Remain) bool {
		return slices.ContainsFunc(own, func(has Remain) bool { return has.ObjectRef == o.ObjectRef })
	})
}

// isTaken reports whether a record is that of another release with the same name.
func (r *removal) isTaken(now *record) bool {
	return now.Installed != r.rec.Installed && !now.same(r.rec) && !now.follows(r.rec) && now.labels()[labelSweep] == ""
}

// sweep removes objects of a release that has no record any more. A release of the same name, made
// only of these objects, adopts them, because they still carry its name, and is uninstalled.
func (r *removal) sweep(ctx context.Context, objects []Remain) error {
	chart, err := r.h.sweepChart(r.rec, objects)
	if err != nil {
		return err
	}
	defer os.RemoveAll(chart)
	d, err := r.h.dialect(ctx)
	if err != nil {
		return err
	}
	labels := r.rec.labels()
	labels[labelSweep] = strings.ToLower(r.h.host.newID())
	install := args{"install", "--no-hooks", "--labels=" + joinLabels(labels)}
	install = append(append(install, r.target.flags()...), "--", r.release, chart)
	opts := r.opts
	opts.NoHooks, opts.KeepHistory = true, false
	_, installErr := r.h.run(ctx, invocation{args: install, cluster: true, mutates: true, inherit: r.inherit})
	if installErr != nil {
		// It may have been recorded after all; or another release has the name now.
		switch found, err := r.h.record(ctx, r.target, r.release, 0); {
		case err != nil && !errors.Is(err, ErrReleaseNotFound):
			return errors.Join(installErr, err)
		case err == nil && r.isTaken(found):
			return &takenError{found}
		case err != nil, found.labels()[labelSweep] != labels[labelSweep]:
			return installErr
		}
	}
	_, err = r.h.run(ctx, invocation{args: uninstallArgs(d, r.target, r.release, opts, "foreground", false), cluster: true, mutates: true, inherit: r.inherit})
	if errors.Is(err, ErrReleaseNotFound) {
		return installErr
	}
	return err
}

// sweepChart writes a chart of some objects of a record, unchanged.
func (h *Helm) sweepChart(rec *record, objects []Remain) (dir string, err error) {
	var text strings.Builder
	docs, _ := Manifest(rec.Manifest).Objects()
	for _, o := range docs {
		ref := refOf(o, rec.Namespace)
		if !slices.ContainsFunc(objects, func(r Remain) bool { return r.ObjectRef == ref }) {
			continue
		}
		// An item of a List is a document now. Helm took no notice of its annotations before, and must not now.
		if annotations, ok := field(o, "metadata", "annotations").(map[string]any); ok {
			maps.DeleteFunc(annotations, func(name string, _ any) bool { return strings.HasPrefix(name, "helm.sh/") })
		}
		doc, err := yaml.Marshal(o)
		if err != nil {
			return "", err
		}
		text.WriteString("---\n" + string(doc))
	}
	if dir, err = h.home.MkdirTemp("sweep-"); err != nil {
		return "", err
	}
	err = os.Mkdir(filepath.Join(dir, "templates"), 0o700)
	for name, content := range map[string]string{
		"Chart.yaml": "apiVersion: v2\nname: sweep\nversion: 1.0.0\n",
		// The objects are not templates: "{{" in them is text.
		"templates/objects.yaml": `{{ .Files.Get "objects.yaml" }}`,
		"objects.yaml":           text.String(),
	} {
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.FromSlash(name)), []byte(content), 0o600)
		}
	}
	if err != nil {
		os.RemoveAll(dir)
	}
	return dir, err
}
