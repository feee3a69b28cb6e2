package hostile

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"sigs.k8s.io/yaml"
)

// Objects reads a stream as Kubernetes' clients do, to what encoding/json gives: values of JSON one after the other while
// there are any, then documents of YAML, of which each may be a list. The tests of e2e/decoding compare it with those
// clients' own code.
func Objects(stream string) ([]map[string]any, error) {
	var objects []map[string]any
	if strings.HasPrefix(strings.TrimLeftFunc(stream, unicode.IsSpace), "{") {
		decoder := json.NewDecoder(strings.NewReader(stream))
		for read := 0; ; read++ {
			before := decoder.InputOffset()
			var text json.RawMessage
			err := decoder.Decode(&text)
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
			var value any
			if err := json.Unmarshal(text, &value); err != nil {
				return nil, err
			}
			if objects, err = addObjects(objects, value); err != nil {
				return nil, err
			}
		}
		var err error
		if stream, err = withoutSpace(stream); err != nil {
			return nil, err
		}
	}
	chunks, err := yamlChunks(stream)
	if err != nil {
		return nil, err
	}
	for _, chunk := range chunks {
		var value any
		if err := yaml.Unmarshal([]byte(chunk), &value); err != nil {
			return nil, err
		}
		if objects, err = addObjects(objects, value); err != nil {
			return nil, err
		}
	}
	return objects, nil
}

// withoutSpace drops white space up to the first line feed, for which there have to be four more bytes each time.
func withoutSpace(stream string) (string, error) {
	for len(stream) >= utf8.UTFMax {
		letter, size := utf8.DecodeRuneInString(stream)
		switch {
		case letter == utf8.RuneError:
			return "", errors.New("not in UTF-8")
		case letter == '\n':
			return stream[1:], nil
		case !unicode.IsSpace(letter):
			return stream, nil
		}
		stream = stream[size:]
	}
	return "", io.EOF
}

// yamlChunks splits a stream line by line, as YAMLReader does. A marker with nothing before it stays.
func yamlChunks(stream string) ([]string, error) {
	var chunks []string
	chunk := ""
	for line := range strings.Lines(stream) {
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if rest, found := strings.CutPrefix(line, "---"); found {
			if rest = strings.TrimSpace(rest); rest != "" && rest[0] != '#' {
				return nil, errors.New("text behind ---")
			}
			if chunk != "" {
				chunks = append(chunks, chunk)
				chunk = ""
				continue
			}
		}
		chunk += line + "\n"
	}
	return append(chunks, chunk), nil
}

// addObjects adds a decoded object, or those of a list.
func addObjects(objects []map[string]any, value any) ([]map[string]any, error) {
	if value == nil {
		return objects, nil
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, errors.New("no object")
	}
	kind, apiVersion := textAt(object, "kind"), textAt(object, "apiVersion")
	if kind == "" || strings.Count(apiVersion, "/") > 1 {
		return nil, errors.New("no kind")
	}
	list, isList := object["items"]
	if !isList {
		return append(objects, object), nil
	}
	items, ok := list.([]any)
	if !ok && list != nil {
		return nil, errors.New("items is no list")
	}
	for i, item := range items {
		if item == nil {
			item = map[string]any{}
			items[i] = item
		}
		if item, ok := item.(map[string]any); ok && textAt(item, "kind") == "" && textAt(item, "apiVersion") == "" {
			item["kind"], item["apiVersion"] = strings.TrimSuffix(kind, "List"), apiVersion
		}
	}
	for _, item := range items {
		item, ok := item.(map[string]any)
		if !ok {
			return nil, errors.New("an item is no object")
		}
		if _, isList := item["items"].([]any); isList {
			return nil, errors.New("a list in a list")
		}
		if version := textAt(item, "apiVersion"); textAt(item, "kind") == "" || strings.Count(version, "/") > 1 {
			return nil, errors.New("no kind")
		} else if version == "" || strings.HasSuffix(version, "/") {
			return nil, errors.New("no version")
		}
		objects = append(objects, item)
	}
	return objects, nil
}

func textAt(object map[string]any, key string) string {
	text, _ := object[key].(string)
	return text
}
