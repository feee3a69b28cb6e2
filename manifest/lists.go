package manifest

import (
	"errors"
	"fmt"
	"strings"

	yamlnode "go.yaml.in/yaml/v3"
)

// Kubernetes takes every object with a field items for a list of objects, whatever its kind. An item that has neither
// kind nor apiVersion gets the list's, without List at the end of the kind. A list in a list is refused.

var (
	errNoKind     = errors.New("it has no kind, so it is not an object for Kubernetes")
	errItems      = errors.New("its field items is not a list of objects")
	errListInList = errors.New("a list in a list, which helm and kubectl refuse: write its items into the outer list")
)

// objectsOf gives an object, or the objects of a list.
func objectsOf(node *yamlnode.Node) ([]*yamlnode.Node, error) {
	kind, items := get(node, "kind"), resolve(get(node, "items"))
	switch {
	case text(kind) == "":
		return nil, errNoKind
	case items == nil:
		return []*yamlnode.Node{node}, nil
	case items.Tag == "!!null":
		return []*yamlnode.Node{}, nil
	case items.Kind != yamlnode.SequenceNode:
		return nil, errItems
	}
	objects := make([]*yamlnode.Node, len(items.Content))
	for i, item := range items.Content {
		item, err := itemOf(node, resolve(item))
		if err != nil {
			return nil, fmt.Errorf("items[%d]: %w", i, err)
		}
		objects[i] = item
	}
	return objects, nil
}

// itemOf gives an item of a list as an object.
func itemOf(list, item *yamlnode.Node) (*yamlnode.Node, error) {
	if item.Kind != yamlnode.MappingNode {
		return nil, errItems
	}
	if text(get(item, "kind")) == "" && text(get(item, "apiVersion")) == "" {
		item = withKind(item, get(list, "apiVersion"), get(list, "kind"))
	}
	if text(get(item, "kind")) == "" {
		return nil, errNoKind
	}
	if items := resolve(get(item, "items")); items != nil && items.Kind == yamlnode.SequenceNode {
		return nil, errListInList
	}
	return item, nil
}

// text gives the text of a string; "" for anything else.
func text(node *yamlnode.Node) string {
	if node = resolve(node); node == nil || node.Kind != yamlnode.ScalarNode || node.Tag != "!!str" {
		return ""
	}
	return node.Value
}

// withKind gives an item of a list with the kind and apiVersion that it gets from the list.
func withKind(item, apiVersion, listKind *yamlnode.Node) *yamlnode.Node {
	kind := *resolve(listKind)
	kind.Value = strings.TrimSuffix(kind.Value, "List")
	of := *item
	of.Content = []*yamlnode.Node{key("kind"), &kind}
	if text(apiVersion) != "" {
		of.Content = append(of.Content, key("apiVersion"), apiVersion)
	}
	for i := 0; i+1 < len(item.Content); i += 2 {
		if name := keyOf(item.Content[i]); name != "kind" && name != "apiVersion" {
			of.Content = append(of.Content, item.Content[i], item.Content[i+1])
		}
	}
	return &of
}

func key(name string) *yamlnode.Node {
	return &yamlnode.Node{Kind: yamlnode.ScalarNode, Tag: "!!str", Value: name}
}

// decodedObjects is objectsOf for a decoded object that objectsOf could read.
func decodedObjects(object map[string]any) []map[string]any {
	list, isList := object["items"]
	if !isList {
		return []map[string]any{object}
	}
	items, _ := list.([]any)
	objects := make([]map[string]any, len(items))
	for i := range items {
		item := items[i].(map[string]any)
		kind, _ := item["kind"].(string)
		if apiVersion, _ := item["apiVersion"].(string); kind == "" && apiVersion == "" {
			kind, _ = object["kind"].(string)
			item["kind"] = strings.TrimSuffix(kind, "List")
			item["apiVersion"], _ = object["apiVersion"].(string)
		}
		objects[i] = item
	}
	return objects
}
