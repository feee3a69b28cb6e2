package e2e

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/e2e/cluster"
)

// groupSize is how many cases are in one chart, each as a subchart. Each helm process costs more than a case.
const groupSize = 40

// TestHostileCharts: whatever a chart does, the images that the API server has in its pods, and in what makes pods,
// are those that the plan shows.
func TestHostileCharts(t *testing.T) {
	if shared == nil {
		t.Skip("no cluster: see the first line")
	}
	topics := hostileCases(t)
	for _, helm := range []string{"helm3", "helm4"} {
		t.Run(helm, func(t *testing.T) {
			var joined, alone []*hostileCase
			for _, topic := range slices.Sorted(maps.Keys(topics)) {
				for _, c := range topics[topic] {
					if c.isAlone(helm) {
						alone = append(alone, c)
					} else {
						joined = append(joined, c)
					}
				}
			}
			t.Logf("%d cases: %d in groups, %d on their own", len(joined)+len(alone), len(joined), len(alone))
			i := 0
			for group := range slices.Chunk(joined, groupSize) {
				i++
				t.Run(fmt.Sprintf("group %d", i), func(t *testing.T) {
					t.Parallel()
					newBed(t, helm).hostileGroup(group)
				})
			}
			for group := range slices.Chunk(alone, groupSize) {
				i++
				t.Run(fmt.Sprintf("alone %d", i), func(t *testing.T) {
					t.Parallel()
					b := newBed(t, helm)
					for _, c := range group {
						b.hostileAlone(c)
					}
				})
			}
		})
	}
}

// named is what the objects of a case are called: helm's version is in it, because CRDs are of the whole cluster.
func (b *bed) named(c *hostileCase) string { return c.slug + "-" + strings.TrimPrefix(b.helm, "helm") }

// hostileGroup tries cases that make a plan as one chart of many subcharts.
func (b *bed) hostileGroup(cases []*hostileCase) {
	dir := filepath.Join(b.TempDir(), "group")
	b.must(os.MkdirAll(dir, 0o700))
	b.must(os.WriteFile(filepath.Join(dir, "Chart.yaml"), []byte("apiVersion: v2\nname: group\nversion: 1.0.0\n"), 0o600))
	for _, c := range cases {
		b.must(c.write(filepath.Join(dir, "charts", b.named(c)), b.named(c)))
	}
	err := b.tryHostile("group", dir, cases)
	if err == nil {
		return
	}
	b.Error(err)
	_, err = b.h.Uninstall(b.ctx, "group", helmexec.UninstallOptions{Wait: true, Timeout: patient, IgnoreNotFound: true})
	b.must(err)
	for _, c := range cases { // which of them is it?
		b.hostileAlone(c)
	}
}

func (b *bed) hostileAlone(c *hostileCase) {
	name := b.named(c)
	dir := filepath.Join(b.TempDir(), name)
	b.must(c.write(dir, name))
	err := b.tryHostile(name, dir, []*hostileCase{c})
	switch fails := slices.Contains(c.fails, b.helm); {
	case fails && err == nil:
		b.Errorf("%s (%s): it was applied", c.slug, c.name)
	case !fails && err != nil:
		b.Errorf("%s (%s): %v", c.slug, c.name, err)
	}
}

// tryHostile plans a chart of some cases, applies the plan and compares. It returns the error of a plan or of what
// applied it, where the cases do not expect it.
func (b *bed) tryHostile(release, dir string, cases []*hostileCase) error {
	b.Helper()
	p, err := b.h.Plan(b.ctx, release, dir, helmexec.PlanOptions{})
	if first := cases[0]; first.refused != nil {
		if err == nil {
			return fmt.Errorf("it is not refused: the plan has %q\n%s", planImages(p, ""), p.Manifest())
		}
		if first.refused != errAnyRefusal && !errors.Is(err, first.refused) {
			return fmt.Errorf("it is refused by %w, want %w", err, first.refused)
		}
		return says(err, first.text)
	}
	if err != nil {
		if len(cases) == 1 && slices.Contains(cases[0].fails, b.helm) && !errors.Is(err, helmexec.ErrBadManifest) {
			b.Errorf("%s (%s): no plan: %v", cases[0].slug, cases[0].name, err)
		}
		return err
	}
	had := map[string]bool{}
	for _, object := range b.workloadsNow() {
		had[object.text("metadata", "uid")] = true
	}
	r := b.newRecorder()
	b.Cleanup(func() { b.removeDefinitions(cases) })
	_, err = b.h.Apply(b.ctx, p, helmexec.ApplyOptions{Kubeconfig: r.kubeconfig, KeepFailed: true, Timeout: 20 * time.Second})
	made, _ := r.seen()
	live := append(made, b.workloadsNow()...)
	for _, c := range cases {
		name := b.named(c)
		shown, runs := planImages(p, name), liveImages(live, name)
		if !slices.Equal(shown, c.planned()) || !slices.Equal(runs, unique(c.runs)) && err == nil {
			b.Errorf("%s (%s): the plan shows %q and the API server has %q; want %q running and %q shown\n%s",
				c.slug, c.name, shown, runs, c.runs, c.shows, documentsOf(p, name))
		}
		for _, image := range runs {
			if !slices.Contains(shown, image) {
				b.Errorf("%s (%s): %s RUNS AND IS NOT SHOWN", c.slug, c.name, image)
			}
		}
	}
	for _, object := range live {
		ofACase := slices.ContainsFunc(cases, func(c *hostileCase) bool { return isNamed(object.name(), b.named(c)) })
		if len(object.images()) > 0 && !ofACase && !had[object.text("metadata", "uid")] {
			b.Errorf("%s %s is of no case", object.kind(), object.name())
		}
	}
	return err
}

// isNamed reports an object of a case by its name.
func isNamed(object, name string) bool { return object == name || strings.HasPrefix(object, name+"-") }

// planImages are the images that a plan shows for the objects of a name; for all of them if it is empty.
func planImages(p *helmexec.Plan, name string) []string {
	var images []string
	for _, use := range slices.Concat(p.Images.Images, p.Images.Invalid, p.Images.Unresolved) {
		if name == "" || isNamed(use.Object.Name, strings.TrimSuffix(name, "-")) {
			images = append(images, use.Image)
		}
	}
	return unique(images)
}

func liveImages(live []liveObject, name string) []string {
	var images []string
	for _, object := range live {
		if isNamed(object.name(), name) {
			images = append(images, object.images()...)
		}
	}
	return unique(images)
}

// documentsOf are the documents of a plan that mention a name.
func documentsOf(p *helmexec.Plan, name string) string {
	var all strings.Builder
	for document := range strings.SplitSeq("\n"+string(p.CRDManifest())+"\n"+string(p.Manifest()), "\n---\n") {
		if strings.Contains(document, name) {
			all.WriteString("---\n" + document + "\n")
		}
	}
	return all.String()
}

// removeDefinitions removes the CRDs of some cases, which no uninstall does.
func (b *bed) removeDefinitions(cases []*hostileCase) {
	ctx := b.world.ctx
	if err := b.cluster.RemoveAll(ctx, func(o cluster.Object) bool {
		return o.Kind == "CustomResourceDefinition" && slices.ContainsFunc(cases, func(c *hostileCase) bool {
			return strings.HasSuffix(o.Name, "."+b.named(c)+".example")
		})
	}); err != nil {
		b.Error(err)
	}
}
