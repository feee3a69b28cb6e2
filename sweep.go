package helmexec

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"
)

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
			if err := r.sweep(ctx, staying); !tries.another(ctx) {
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
		if failed = r.sweep(ctx, came); failed == nil {
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
