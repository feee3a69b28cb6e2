// Package decoding compares what the library reads in a manifest with what Kubernetes' own code reads.
package decoding

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sut-bench/helmexec/internal/hostile"
	"github.com/sut-bench/helmexec/manifest"
)

const cases = 20_000

// What the library shows of a stream is what Kubernetes makes of it, or there is an error.
func TestManifestIsReadAsKubernetesDoes(t *testing.T) {
	accepted, both := 0, 0
	hostile.Cases(t, cases, func(stream string) {
		m := manifest.Manifest(stream)
		objects, objectsErr := m.Objects()
		index, indexErr := m.IndexContext(t.Context())
		report, imagesErr := m.ImageReport(manifest.ImageOptions{Exclude: []string{}})
		if objectsErr != nil || indexErr != nil || imagesErr != nil {
			return
		}
		accepted++
		truth, err := kubernetesReads(stream)
		if err != nil {
			return // Kubernetes runs nothing of it
		}
		both++
		for _, err := range []error{compareObjects(objects, truth), compareIndex(index, truth), compareImages(report, truth)} {
			if err != nil {
				t.Fatalf("%v\n%q", err, stream)
			}
		}
	})
	t.Logf("%d streams accepted, of which Kubernetes reads %d", accepted, both)
	if both == 0 {
		t.Error("nothing was compared")
	}
}

// The tests of manifest compare with a reading of Kubernetes that runs without its code, and is the same.
func TestModelOfKubernetes(t *testing.T) {
	read := 0
	hostile.Cases(t, cases, func(stream string) {
		model, modelErr := hostile.Objects(stream)
		var err error
		for range 50 { // which of two keys that are the same in JSON counts is up to chance
			var truth []*unstructured.Unstructured
			truth, err = kubernetesReads(stream)
			if (err == nil) != (modelErr == nil) {
				t.Fatalf("Kubernetes' error is %v, the model's %v\n%q", err, modelErr, stream)
			}
			if err = compareObjects(model, truth); err == nil {
				break
			}
		}
		if err != nil {
			t.Fatalf("%v\n%q", err, stream)
		}
		if modelErr == nil {
			read++
		}
	})
	t.Logf("Kubernetes reads %d streams", read)
	if read == 0 {
		t.Error("nothing was compared")
	}
}

func compareObjects(objects []map[string]any, truth []*unstructured.Unstructured) error {
	var want []map[string]any
	for _, object := range truth {
		want = append(want, object.Object)
	}
	if got, want := asJSON(objects), asJSON(want); got != want {
		return fmt.Errorf("objects %s, Kubernetes has %s", got, want)
	}
	return nil
}

// asJSON writes decoded values so that the same numbers are the same text, be they float64 or int64.
func asJSON(value any) string {
	text, err := json.Marshal(value)
	if err == nil {
		var floats any
		err = json.Unmarshal(text, &floats)
		text, _ = json.Marshal(floats)
	}
	return fmt.Sprint(string(text), errors.Unwrap(err))
}

// compareIndex compares what names the objects. What is no text there, Kubernetes refuses.
func compareIndex(index []manifest.Place, truth []*unstructured.Unstructured) error {
	if len(index) != len(truth) {
		return fmt.Errorf("an index of %d objects, Kubernetes has %d", len(index), len(truth))
	}
	for i, object := range truth {
		got, gvk := index[i].Object, object.GroupVersionKind()
		want := manifest.ObjectRef{
			Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind,
			Namespace: object.GetNamespace(), Name: cmp.Or(object.GetName(), object.GetGenerateName()),
		}
		if got != want && namedByTexts(object.Object) {
			return fmt.Errorf("object %d is %#v in the index, Kubernetes has %#v", i, got, want)
		}
	}
	return nil
}

func namedByTexts(object map[string]any) bool {
	metadata, _ := object["metadata"].(map[string]any)
	for _, value := range []any{object["apiVersion"], metadata["namespace"], metadata["name"], metadata["generateName"]} {
		if _, isText := value.(string); value != nil && !isText {
			return false
		}
	}
	return true
}

func compareImages(report *manifest.ImageReport, truth []*unstructured.Unstructured) error {
	shown := make(map[string]bool)
	for _, use := range slices.Concat(report.Images, report.Invalid, report.Unresolved) {
		shown[use.Image] = true
	}
	named := make(map[string]bool)
	for _, object := range truth {
		for _, image := range imagesOf(object) {
			if !shown[image] {
				return fmt.Errorf("%s of %s is not in the report %+v", image, object.GroupVersionKind(), *report)
			}
		}
		addScalars(object.Object, named)
	}
	for _, use := range report.Images {
		if builtIn[use.Object.Group+"/"+use.Object.Version+"/"+use.Object.Kind] != nil && !named[use.Image] {
			return fmt.Errorf("no container of Kubernetes has the image of %+v", use)
		}
	}
	return nil
}
