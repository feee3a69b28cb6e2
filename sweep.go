package helmexec

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"
)

// skippedObjects tells that a Helm 4 uninstall did not even try to delete some objects, because a
// request failed by which it wanted to know whose they are, or because somebody took off them whose
// they are. It removes the record all the same, and calls that a success.
func skippedObjects(said string) bool {
	said = strings.ToLower(said)
	return strings.Contains(said, "ownership could not be verified") || strings.Contains(said, "not owned by this release")
}

// settleGone brings the objects of a release to an end whose record is gone, when removing it may
// have left some: those that nobody deleted are swept, and with Wait those that are going are waited
// for. It returns what is left. early tells that helm broke off, and had not given up.
func (h *Helm) settleGone(ctx context.Context, t target, rec *record, opts UninstallOptions, until time.Time, early bool) ([]Remain, error) {
	if rec.Partial {
		return nil, errors.New("its record was too large to read: what it was made of is not known")
	}
	tries := h.tries()
	for {
		seen, err := h.look(ctx, t, rec.Name, rec.objectsToGo("was still there"))
		if err != nil {
			return rec.objectsToGo("was still there, or was not looked at"), err
		}
		var left, staying []Remain
		for _, s := range seen {
			if s.owned || s.going && !early {
				left = append(left, s.Remain)
			}
			if s.owned && !s.going {
				staying = append(staying, s.Remain)
			}
		}
		switch {
		case len(left) == 0, !early:
			return left, nil
		case len(staying) > 0:
			if err := h.sweep(ctx, t, rec, staying, opts); !tries.another(ctx) {
				return left, err
			}
		case !opts.Wait:
			return nil, nil
		case time.Now().After(until):
			return left, nil
		case !sleep(ctx, time.Second):
			return left, contextError(ctx)
		}
	}
}

// sweep removes objects of a release that has no record any more. A release of the same name, made
// of these objects alone, adopts them, for they still carry its name, and is uninstalled.
func (h *Helm) sweep(ctx context.Context, t target, rec *record, objects []Remain, opts UninstallOptions) error {
	chart, err := h.sweepChart(rec, objects)
	if err != nil {
		return err
	}
	defer os.RemoveAll(chart)
	d, err := h.dialect(ctx)
	if err != nil {
		return err
	}
	labels := rec.labels()
	labels[labelSweep] = strings.ToLower(rand.Text())
	install := args{"install", "--no-hooks", "--labels=" + joinLabels(labels)}
	install = append(append(install, t.flags()...), "--", rec.Name, chart)
	opts.NoHooks, opts.KeepHistory = true, false
	_, installErr := h.run(ctx, invocation{args: install, mutates: true, inherit: opts.inherit})
	if installErr != nil {
		// It may have been recorded all the same; or the name is another's by now.
		switch found, err := h.record(ctx, t, rec.Name, 0); {
		case err != nil && !errors.Is(err, ErrReleaseNotFound):
			return errors.Join(installErr, err)
		case err != nil, found.labels()[labelSweep] != labels[labelSweep]:
			return installErr
		}
	}
	_, err = h.run(ctx, invocation{args: uninstallArgs(d, t, rec.Name, opts), mutates: true, inherit: opts.inherit})
	if errors.Is(err, ErrReleaseNotFound) {
		return installErr
	}
	return err
}

// sweepChart writes a chart of some objects of a record, as they stand there.
func (h *Helm) sweepChart(rec *record, objects []Remain) (dir string, err error) {
	var text strings.Builder
	docs, _ := Manifest(rec.Manifest).Objects()
	for _, o := range docs {
		ref := refOf(o, rec.Namespace)
		if !slices.ContainsFunc(objects, func(r Remain) bool { return r.ObjectRef == ref }) {
			continue
		}
		doc, err := yaml.Marshal(o)
		if err != nil {
			return "", err
		}
		text.WriteString("---\n" + string(doc))
	}
	if dir, err = os.MkdirTemp(filepath.Join(h.state, "tmp"), "sweep-"); err != nil {
		return "", err
	}
	err = os.Mkdir(filepath.Join(dir, "templates"), 0o700)
	for name, content := range map[string]string{
		"Chart.yaml": "apiVersion: v2\nname: sweep\nversion: 1.0.0\n",
		// The objects are no template: what looks like one in them is text.
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
