package manifest_test

import (
	"bytes"
	"encoding/json"
	"slices"
)

// podPaths lead to the pod spec of the kinds that the tests use.
var podPaths = map[string][]string{
	"v1/Pod": {"spec"}, "v1/PodTemplate": {"template", "spec"}, "apps/v1/Deployment": {"spec", "template", "spec"},
	"apps/v1/StatefulSet": {"spec", "template", "spec"}, "batch/v1/Job": {"spec", "template", "spec"},
}

// kubernetesRuns gives the images and the number of GPUs of the pods of some objects. Odd reports fields that matter to
// these in places where Kubernetes looks for none, or with values that it refuses, and kinds that it does not know.
func kubernetesRuns(objects []map[string]any) (images []string, gpus int64, odd bool) {
	for _, object := range objects {
		apiVersion, _ := object["apiVersion"].(string)
		kind, _ := object["kind"].(string)
		var pod any = object
		path, known := podPaths[apiVersion+"/"+kind]
		for _, key := range path {
			mapping, _ := pod.(map[string]any)
			pod = mapping[key]
		}
		spec, _ := pod.(map[string]any)
		if !known || spec == nil {
			odd = odd || apiVersion+"/"+kind != "v1/ConfigMap" || countFields(object) > 0
			continue
		}
		fields, perPod := 0, int64(0)
		for _, list := range []string{"initContainers", "containers"} {
			containers, ok := spec[list].([]any)
			if ok {
				fields++
			}
			for _, container := range containers {
				container, _ := container.(map[string]any)
				image, ok := container["image"].(string)
				odd = odd || !ok && container["image"] != nil
				if image != "" {
					images = append(images, image)
				}
				resources, _ := container["resources"].(map[string]any)
				limits, ok := resources["limits"].(map[string]any)
				if !ok {
					continue
				}
				fields += 2
				n, ok := wholeNumber(limits["nvidia.com/gpu"])
				odd = odd || !ok && limits["nvidia.com/gpu"] != nil || limits["gpu"] != nil || list == "initContainers"
				perPod += n
			}
		}
		replicas := int64(1)
		if above, _ := object["spec"].(map[string]any); above["replicas"] != nil && kind != "Pod" && kind != "Job" {
			n, ok := wholeNumber(above["replicas"])
			odd, replicas = odd || !ok, n
			fields++
		}
		odd = odd || countFields(object) != fields
		gpus += perPod * replicas
	}
	slices.Sort(images)
	return slices.Compact(images), gpus, odd
}

func wholeNumber(value any) (int64, bool) {
	number, ok := value.(float64)
	n := int64(number)
	return n, ok && float64(n) == number && n >= 0 && n < 1000
}

// countFields counts the fields below a value that may say something about images and accelerators.
func countFields(value any) int {
	n := 0
	switch value := value.(type) {
	case map[string]any:
		for key, below := range value {
			switch key {
			case "containers", "initContainers", "ephemeralContainers", "volumes", "resources", "limits", "requests", "replicas":
				n++
			}
			n += countFields(below)
		}
	case []any:
		for _, item := range value {
			n += countFields(item)
		}
	}
	return n
}

// asJSON makes decoded values comparable.
func asJSON(value any) string {
	var text bytes.Buffer
	_ = json.NewEncoder(&text).Encode(value)
	return text.String()
}
