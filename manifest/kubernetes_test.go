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

// kubernetesRuns gives the images and the number of GPUs of the pods of some objects. Odd reports containers in places
// where Kubernetes looks for none.
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
			odd = odd || countContainers(object) > 0
			continue
		}
		odd = odd || countContainers(object) > countContainers(spec)
		perPod := int64(0)
		for _, list := range []string{"initContainers", "containers"} {
			containers, _ := spec[list].([]any)
			for _, container := range containers {
				container, _ := container.(map[string]any)
				odd = odd || countContainers(container) > 0
				if image, ok := container["image"].(string); ok && image != "" {
					images = append(images, image)
				}
				resources, _ := container["resources"].(map[string]any)
				limits, _ := resources["limits"].(map[string]any)
				switch amount := limits["nvidia.com/gpu"].(type) {
				case json.Number:
					n, err := strconv.ParseInt(amount.String(), 10, 64)
					odd = odd || err != nil
					perPod += n
				case nil:
				default:
					odd = true
				}
			}
		}
		replicas := int64(1)
		above, _ := object["spec"].(map[string]any)
		if number, ok := above["replicas"].(json.Number); ok {
			n, err := strconv.ParseInt(number.String(), 10, 64)
			odd = odd || err != nil || n < 0 || n > 1000
			replicas = n
		}
		odd = odd || perPod < 0 || perPod > 1000
		gpus += perPod * replicas
	}
	slices.Sort(images)
	return slices.Compact(images), gpus, odd
}

// countContainers counts the mappings below a value in which Kubernetes could look for containers.
func countContainers(value any) int {
	n := 0
	switch value := value.(type) {
	case map[string]any:
		for key, below := range value {
			if key == "containers" || key == "initContainers" || key == "ephemeralContainers" {
				n++
			}
			n += countContainers(below)
		}
	case []any:
		for _, item := range value {
			n += countContainers(item)
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
