package decoding

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

var template = []string{"spec", "template", "spec"}

// builtIn are Kubernetes' own kinds with pods, and where in an object these are.
var builtIn = map[string][]string{
	"/v1/Pod": {"spec"}, "/v1/PodTemplate": {"template", "spec"}, "/v1/ReplicationController": template,
	"apps/v1/Deployment": template, "apps/v1/StatefulSet": template, "apps/v1/DaemonSet": template, "apps/v1/ReplicaSet": template,
	"batch/v1/Job": template, "batch/v1/CronJob": {"spec", "jobTemplate", "spec", "template", "spec"},
}

// imagesOf gives the images that the pods of an object pull.
func imagesOf(object *unstructured.Unstructured) []string {
	gvk := object.GroupVersionKind()
	path := builtIn[gvk.Group+"/"+gvk.Version+"/"+gvk.Kind]
	pod, found, _ := unstructured.NestedMap(object.Object, path...)
	if path == nil || !found {
		return nil
	}
	var images []string
	add := func(list string, field ...string) {
		items, _ := pod[list].([]any)
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

// addScalars collects the texts, numbers and words of a value, as text.
func addScalars(value any, found map[string]bool) {
	switch value := value.(type) {
	case []any:
		for _, item := range value {
			addScalars(item, found)
		}
	case map[string]any:
		for _, below := range value {
			addScalars(below, found)
		}
	default:
		found[fmt.Sprint(value)] = true
	}
}
