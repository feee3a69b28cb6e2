// Package decoding compares what the library reads in a manifest with what Kubernetes' own code reads.
package decoding

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sut-bench/helmexec/internal/hostile"
	"github.com/sut-bench/helmexec/manifest"
)

const cases = 20_000

// Of what Kubernetes reads the library shows the same, or refuses it. It refuses less than half of it.
func TestManifestIsReadAsKubernetesDoes(t *testing.T) {
	read, accepted := 0, 0
	hostile.Cases(t, cases, func(stream string) {
		truth, err := kubernetesReads(stream)
		if err != nil {
			return // and so it runs nothing
		}
		read++
		m := manifest.Manifest(stream)
		objects, objectsErr := m.Objects()
		index, indexErr := m.IndexContext(t.Context())
		report, reportErr := m.ImageReport(manifest.ImageOptions{Exclude: []string{}})
		if err := cmp.Or(objectsErr, indexErr, reportErr); err != nil {
			if objectsErr == nil || indexErr == nil || reportErr == nil {
				t.Fatalf("not refused by all: Objects %v, Index %v, ImageReport %v\n%q", objectsErr, indexErr, reportErr, stream)
			}
			return
		}
		accepted++
		if err := cmp.Or(compareObjects(objects, truth), compareIndex(index, truth), compareImages(report, truth)); err != nil {
			t.Fatalf("%v\n%q", err, stream)
		}
	})
	t.Logf("Kubernetes reads %d streams, of which %d are accepted", read, accepted)
	if accepted <= read/2 {
		t.Errorf("only %d of %d streams were accepted and compared", accepted, read)
	}
}

// The tests of manifest compare with a reading of Kubernetes that runs without its code, and is the same.
func TestModelOfKubernetes(t *testing.T) {
	read := 0
	hostile.Cases(t, cases, func(stream string) {
		model, modelErr := hostile.Objects(stream)
		var err error
		for range 1000 { // which of two keys counts that are the same in JSON is up to chance, and one may win 7 times of 8
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
	if read == 0 {
		t.Error("Kubernetes reads none of the streams")
	}
}

func compareObjects(objects []map[string]any, truth []*unstructured.Unstructured) error {
	decoded := make([]map[string]any, len(truth))
	for i, object := range truth {
		decoded[i] = object.Object
	}
	text, err := json.Marshal(decoded)
	if err != nil {
		return err
	}
	var want []map[string]any // with float64 in place of int64
	if err := json.Unmarshal(text, &want); err != nil {
		return err
	}
	if len(objects)+len(want) > 0 && !reflect.DeepEqual(objects, want) {
		return fmt.Errorf("objects %v, Kubernetes has %v", objects, want)
	}
	return nil
}

// compareIndex compares what names the objects. Kubernetes refuses names that are no texts.
func compareIndex(index []manifest.Place, truth []*unstructured.Unstructured) error {
	if len(index) != len(truth) {
		return fmt.Errorf("an index of %d objects, Kubernetes has %d", len(index), len(truth))
	}
	for i, object := range truth {
		gvk := object.GroupVersionKind()
		want := manifest.ObjectRef{
			Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind,
			Namespace: object.GetNamespace(), Name: cmp.Or(object.GetName(), object.GetGenerateName()),
		}
		if got := index[i].Object; got != want && namedByTexts(object.Object) {
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
