package manifest

import (
	yamlnode "go.yaml.in/yaml/v3"
)

// resolve follows an alias to its target. The parser lets an alias name nothing but an earlier node.
func resolve(node *yamlnode.Node) *yamlnode.Node {
	for node != nil && node.Kind == yamlnode.AliasNode {
		node = node.Alias
	}
	return node
}

// content goes from a document to what is in it.
func content(node *yamlnode.Node) *yamlnode.Node {
	for node.Kind == yamlnode.DocumentNode && len(node.Content) > 0 {
		node = node.Content[0]
	}
	return resolve(node)
}

// keyOf gives the text of a mapping's key.
func keyOf(key *yamlnode.Node) string {
	if key.Kind == yamlnode.AliasNode {
		key = resolve(key)
	}
	return key.Value
}

// get finds the value of a key in a mapping in which none repeats. It gives nil for what is no mapping.
func get(node *yamlnode.Node, key string) *yamlnode.Node {
	node = resolve(node)
	if node == nil || node.Kind != yamlnode.MappingNode {
		return nil
	}
	for i := len(node.Content) - 2; i >= 0; i -= 2 {
		if keyOf(node.Content[i]) == key {
			return node.Content[i+1]
		}
	}
	return nil
}

// scalar gives the text of a scalar; "" for anything else, and for null.
func scalar(node *yamlnode.Node) string {
	node = resolve(node)
	if node == nil || node.Kind != yamlnode.ScalarNode || node.Tag == "!!null" {
		return ""
	}
	return node.Value
}
