package manifest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"sigs.k8s.io/yaml"
)

// kubernetesObjects reads a stream as Kubernetes' clients do (k8s.io/apimachinery): values of JSON one after the other
// while there are any, then documents of YAML, of which each may be a list.
func kubernetesObjects(stream string) ([]map[string]any, error) {
	var objects []map[string]any
	if strings.HasPrefix(strings.TrimLeftFunc(stream, unicode.IsSpace), "{") {
		decoder := json.NewDecoder(strings.NewReader(stream))
		decoder.UseNumber()
		for read := 0; ; read++ {
			before := decoder.InputOffset()
			var value any
			err := decoder.Decode(&value)
			if err == io.EOF {
				return objects, nil
			}
			if err != nil && read > 1 {
				return nil, err
			}
			if err != nil {
				stream = stream[before:]
				break
			}
			if objects, err = addObjects(objects, value); err != nil {
				return nil, err
			}
		}
		space := len(stream) - len(strings.TrimLeftFunc(stream, unicode.IsSpace))
		if i := strings.IndexByte(stream[:space], '\n'); i >= 0 {
			space = i + 1
		}
		stream = stream[space:]
	}
	chunks, err := yamlChunks(stream)
	if err != nil {
		return nil, err
	}
	for _, chunk := range chunks {
		var value any
		if err := yaml.Unmarshal([]byte(chunk), &value, func(d *json.Decoder) *json.Decoder { d.UseNumber(); return d }); err != nil {
			return nil, err
		}
		if objects, err = addObjects(objects, value); err != nil {
			return nil, err
		}
	}
	return objects, nil
}

// yamlChunks splits a stream line by line, as YAMLReader does.
func yamlChunks(stream string) ([]string, error) {
	var chunks []string
	chunk := ""
	for line := range strings.Lines(stream) {
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if rest, found := strings.CutPrefix(line, "---"); found {
			if rest = strings.TrimSpace(rest); rest != "" && rest[0] != '#' {
				return nil, errors.New("text behind ---")
			}
			chunks = append(chunks, chunk)
			chunk = ""
			continue
		}
		chunk += line + "\n"
	}
	return append(chunks, chunk), nil
}

// addObjects adds a decoded object, or the items of a list.
func addObjects(objects []map[string]any, value any) ([]map[string]any, error) {
	if value == nil {
		return objects, nil
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, errors.New("no object")
	}
	kind, _ := object["kind"].(string)
	if kind == "" {
		return nil, errors.New("no kind")
	}
	apiVersion, _ := object["apiVersion"].(string)
	items, isList := object["items"]
	if !isList {
		return append(objects, object), nil
	}
	list, ok := items.([]any)
	if !ok && items != nil {
		return nil, errors.New("items is no list")
	}
	for _, item := range list {
		item, ok := item.(map[string]any)
		if !ok {
			return nil, errors.New("an item is no object")
		}
		itemKind, _ := item["kind"].(string)
		if itemVersion, _ := item["apiVersion"].(string); itemKind == "" && itemVersion == "" {
			itemKind = strings.TrimSuffix(kind, "List")
			item["kind"], item["apiVersion"] = itemKind, apiVersion
		}
		if itemKind == "" {
			return nil, errors.New("no kind")
		}
		if _, ok := item["items"].([]any); ok {
			return nil, errors.New("a list in a list")
		}
		objects = append(objects, item)
	}
	return objects, nil
}

// podPaths lead to the pod spec of the kinds that the tests use.
var podPaths = map[string][]string{
	"v1/Pod": {"spec"}, "v1/PodTemplate": {"template", "spec"}, "apps/v1/Deployment": {"spec", "template", "spec"},
	"apps/v1/StatefulSet": {"spec", "template", "spec"}, "batch/v1/Job": {"spec", "template", "spec"},
}

// kubernetesRuns gives the images and the number of GPUs of the pods of some objects. Odd reports fields that matter to
// these in places where Kubernetes looks for none, or with values that it refuses.
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
			odd = odd || countFields(object) > 0
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
				if image, ok := container["image"].(string); ok && image != "" {
					images = append(images, image)
				}
				resources, _ := container["resources"].(map[string]any)
				limits, ok := resources["limits"].(map[string]any)
				if !ok {
					continue
				}
				fields += 2
				n, ok := wholeNumber(limits["nvidia.com/gpu"])
				odd = odd || !ok && limits["nvidia.com/gpu"] != nil || list == "initContainers"
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
	number, _ := value.(json.Number)
	n, err := strconv.ParseInt(number.String(), 10, 64)
	return n, err == nil && n >= 0 && n < 1000
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
