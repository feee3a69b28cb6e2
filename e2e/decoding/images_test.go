package decoding

import (
	"encoding/json"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sut-bench/helmexec/manifest"
)

var template = []string{"spec", "template", "spec"}

// pods are Kubernetes' own kinds with pods, and where in an object their spec is.
var pods = map[schema.GroupVersionKind][]string{
	{Version: "v1", Kind: "Pod"}:                        {"spec"},
	{Version: "v1", Kind: "PodTemplate"}:                {"template", "spec"},
	{Version: "v1", Kind: "ReplicationController"}:      template,
	{Group: "apps", Version: "v1", Kind: "Deployment"}:  template,
	{Group: "apps", Version: "v1", Kind: "StatefulSet"}: template,
	{Group: "apps", Version: "v1", Kind: "DaemonSet"}:   template,
	{Group: "apps", Version: "v1", Kind: "ReplicaSet"}:  template,
	{Group: "batch", Version: "v1", Kind: "Job"}:        template,
	{Group: "batch", Version: "v1", Kind: "CronJob"}:    {"spec", "jobTemplate", "spec", "template", "spec"},
}

// compareImages checks that a report has every image that pods pull, and for the kinds of pods nothing that is no image.
func compareImages(report *manifest.ImageReport, truth []*unstructured.Unstructured) error {
	shown := make(map[string]bool)
	for _, use := range slices.Concat(report.Images, report.Invalid, report.Unresolved) {
		shown[use.Image] = true
	}
	there := make(map[string]bool)
	for _, object := range truth {
		for _, image := range imagesOf(object) {
			if !shown[image] {
				return fmt.Errorf("%q of a %s is not in the report %+v", image, object.GetKind(), *report)
			}
		}
		addImages(object.Object, there)
	}
	for _, use := range slices.Concat(report.Images, report.Invalid, report.Unresolved) {
		ref := use.Object
		if pods[schema.GroupVersionKind{Group: ref.Group, Version: ref.Version, Kind: ref.Kind}] != nil && !there[use.Image] {
			return fmt.Errorf("no container has the image of %+v", use)
		}
	}
	return nil
}

// imagesOf gives the images that the pods of an object pull.
func imagesOf(object *unstructured.Unstructured) []string {
	path := pods[object.GroupVersionKind()]
	if path == nil {
		return nil
	}
	spec, _, _ := unstructured.NestedMap(object.Object, path...)
	var images []string
	add := func(list string, field ...string) {
		items, _ := spec[list].([]any)
		for _, item := range items {
			item, _ := item.(map[string]any)
			if image, _, _ := unstructured.NestedString(item, field...); image != "" {
				images = append(images, image)
			}
		}
	}
	add("initContainers", "image")
	add("containers", "image")
	add("ephemeralContainers", "image")
	add("volumes", "image", "reference")
	return images
}

// addImages collects the images of the containers and volumes in a value, wherever they are. A number or a word for true
// counts as its text in JSON; Kubernetes refuses it.
func addImages(value any, images map[string]bool) {
	switch value := value.(type) {
	case []any:
		for _, item := range value {
			addImages(item, images)
		}
	case map[string]any:
		for _, key := range []string{"image", "reference"} {
			if image, err := json.Marshal(value[key]); err == nil {
				images[string(image)] = true
			}
			if image, isText := value[key].(string); isText {
				images[image] = true
			}
		}
		for _, below := range value {
			addImages(below, images)
		}
	}
}
