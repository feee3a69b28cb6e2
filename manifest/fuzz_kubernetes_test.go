package manifest_test

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sut-bench/helmexec/internal/hostile"
	"github.com/sut-bench/helmexec/manifest"
)

// FuzzAsKubernetes and TestHostileStreams check that what we show is what Kubernetes runs, or there is an error. The one
// looks for streams that reach new code; the other makes them at random, several times as many in the same time.
func FuzzAsKubernetes(f *testing.F) {
	for _, test := range hostileStreams {
		f.Add([]byte("raw:" + test.stream))
	}
	for i := range 200 {
		f.Add([]byte{byte(i), byte(i), 0, byte(31 * i)})
		f.Add([]byte{byte(i / 2), byte(i), 1, byte(17 * i), byte(i + 7), 2, byte(11 * i)})
	}
	f.Fuzz(func(t *testing.T, program []byte) { checkAsKubernetes(t, hostile.Stream(program)) })
}

func TestHostileStreams(t *testing.T) {
	accepted := 0
	hostile.Cases(t, 5_000, func(stream string) {
		if checkAsKubernetes(t, stream) {
			checkRetag(t, []byte(stream))
			accepted++
		}
	})
	t.Logf("%d streams accepted", accepted)
	assert.Positive(t, accepted)
}

// checkAsKubernetes reports whether a stream is accepted, by us and by Kubernetes.
func checkAsKubernetes(t *testing.T, stream string) bool {
	m := manifest.Manifest(stream)
	places, indexErr := m.Index()
	images, imagesErr := m.Images(manifest.ImageOptions{Exclude: []string{}})
	if indexErr != nil && imagesErr != nil {
		return false
	}
	gpus, gpusErr := m.GPUs(manifest.GPUOptions{})
	objects, objectsErr := m.Objects()
	if err := cmp.Or(indexErr, imagesErr, gpusErr, objectsErr); err != nil {
		t.Fatalf("not refused by all: Index %v, Images %v, GPUs %v, Objects %v\n%q", indexErr, imagesErr, gpusErr, objectsErr, stream)
	}
	truth, err := hostile.Objects(stream)
	if err != nil {
		return false // Kubernetes runs nothing
	}
	if !reflect.DeepEqual(objects, truth) && len(objects)+len(truth) > 0 {
		t.Fatalf("objects %s, Kubernetes has %s\n%q", asJSON(objects), asJSON(truth), stream)
	}
	if len(places) != len(truth) {
		t.Fatalf("an index of %d objects, Kubernetes has %s\n%q", len(places), asJSON(truth), stream)
	}
	for i, object := range truth {
		if places[i].Object.Kind != object["kind"] {
			t.Fatalf("the index has %v, Kubernetes has %s\n%q", places, asJSON(truth), stream)
		}
	}
	runs, count, odd := kubernetesRuns(truth)
	runs = slices.DeleteFunc(runs, func(image string) bool { _, err := manifest.ParseReference(image); return err != nil })
	for _, image := range runs {
		if !slices.Contains(images, image) {
			t.Fatalf("images %q, Kubernetes runs %q\n%q", images, runs, stream)
		}
	}
	if odd {
		return true
	}
	if !slices.Equal(images, runs) && len(images)+len(runs) > 0 {
		t.Fatalf("images %q, Kubernetes runs %q\n%q", images, runs, stream)
	}
	if got := gpus.Totals["nvidia.com/gpu"]; got != count {
		t.Fatalf("%d GPUs, Kubernetes needs %d\n%q", got, count, stream)
	}
	return true
}

// checkOnlyImages checks that Kubernetes reads a retagged manifest as before, but for the texts that were changed.
func checkOnlyImages(t *testing.T, before, after manifest.Manifest, report *manifest.RetagReport) {
	was, err := before.Objects()
	if err != nil {
		return
	}
	is, err := after.Objects()
	if err != nil || len(is) != len(was) {
		t.Fatalf("%d objects became %d: %v\n%q\n%q", len(was), len(is), err, before, after)
	}
	changed := 0
	for i := range was {
		changed += compareValues(t, was[i], is[i], after)
	}
	if changed > 0 && len(report.Changed) == 0 {
		t.Fatalf("%d texts changed, and none is reported\n%q\n%q", changed, before, after)
	}
}

// compareValues counts the texts that differ between two values, of which none may have been lost.
func compareValues(t *testing.T, was, is any, after manifest.Manifest) (changed int) {
	switch was := was.(type) {
	case map[string]any:
		is, ok := is.(map[string]any)
		if !ok || len(is) != len(was) {
			t.Fatalf("%v became %v\n%q", was, is, after)
		}
		for key, below := range was {
			changed += compareValues(t, below, is[key], after)
		}
	case []any:
		is, ok := is.([]any)
		if !ok || len(is) != len(was) {
			t.Fatalf("%v became %v\n%q", was, is, after)
		}
		for i, below := range was {
			changed += compareValues(t, below, is[i], after)
		}
	default: // also a number or a word for true may be called an image
		if is != was {
			if text, _ := is.(string); !strings.Contains(text, "mirror.lab") {
				t.Fatalf("%v became %v\n%q", was, is, after)
			}
			changed++
		}
	}
	return changed
}
