package manifest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	yamlnode "go.yaml.in/yaml/v3"
)

// Kubernetes takes every object with a field items for a list of objects, whatever its kind. An item that has neither
// kind nor apiVersion gets the list's, without List at the end of the kind.

var (
	errNoKind = errors.New("it has no kind, so it is not an object for Kubernetes")
	errItems  = errors.New("its field items is not a list of objects")
)

// objectsOf gives an object, or the objects of a list.
func objectsOf(node *yamlnode.Node) ([]*yamlnode.Node, error) {
	return appendObjectNodes(nil, node, 0)
}

func appendObjectNodes(objects []*yamlnode.Node, node *yamlnode.Node, depth int) ([]*yamlnode.Node, error) {
	if depth > maxDepth {
		return nil, errTooDeep
	}
	kind, items := get(node, "kind"), resolve(get(node, "items"))
	switch {
	case text(kind) == "":
		return nil, errNoKind
	case items == nil, depth > 0 && items.Kind != yamlnode.SequenceNode:
		return append(objects, node), nil
	case items.Tag == "!!null":
		return []*yamlnode.Node{}, nil
	case items.Kind != yamlnode.SequenceNode:
		return nil, errItems
	}
	for i, item := range items.Content {
		var err error
		switch item = resolve(item); {
		case item.Kind != yamlnode.MappingNode:
			err = errItems
		case text(get(item, "kind")) == "" && text(get(item, "apiVersion")) == "":
			item = withKind(item, get(node, "apiVersion"), kind)
			fallthrough
		default:
			objects, err = appendObjectNodes(objects, item, depth+1)
		}
		if err != nil && depth == 0 {
			err = fmt.Errorf("items[%d]: %w", i, err)
		}
		if err != nil {
			return nil, err
		}
	}
	if objects == nil {
		objects = []*yamlnode.Node{}
	}
	return objects, nil
}

// text gives the text of a string; "" for anything else.
func text(node *yamlnode.Node) string {
	if node = resolve(node); node == nil || node.Kind != yamlnode.ScalarNode || node.Tag != "!!str" {
		return ""
	}
	return node.Value
}

// withKind gives an item of a list with the kind that it gets from the list.
func withKind(item, apiVersion, listKind *yamlnode.Node) *yamlnode.Node {
	kind := *resolve(listKind)
	kind.Value = strings.TrimSuffix(kind.Value, "List")
	of := *item
	of.Content = append(slices.Clip(of.Content), key("kind"), &kind)
	if text(apiVersion) != "" {
		of.Content = append(of.Content, key("apiVersion"), apiVersion)
	}
	return &of
}

func key(name string) *yamlnode.Node {
	return &yamlnode.Node{Kind: yamlnode.ScalarNode, Tag: "!!str", Value: name}
}

// decodedObjects is objectsOf for a decoded object that objectsOf could read.
func decodedObjects(object map[string]any) []map[string]any {
	if items, has := object["items"]; has && items == nil {
		return nil
	}
	return appendDecoded(nil, object)
}

func appendDecoded(objects []map[string]any, object map[string]any) []map[string]any {
	items, isList := object["items"].([]any)
	if !isList {
		return append(objects, object)
	}
	for _, item := range items {
		item, ok := item.(map[string]any)
		if !ok {
			continue
		}
		kind, _ := item["kind"].(string)
		if apiVersion, _ := item["apiVersion"].(string); kind == "" && apiVersion == "" {
			kind, _ = object["kind"].(string)
			item["kind"] = strings.TrimSuffix(kind, "List")
			item["apiVersion"], _ = object["apiVersion"].(string)
		}
		objects = appendDecoded(objects, item)
	}
	return objects
}
