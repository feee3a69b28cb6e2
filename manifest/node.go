package manifest

import (
	"slices"

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

// get finds the value of a key in a mapping, as it counts where the key repeats or is merged in: what stands last. It
// gives nil for what is no mapping.
func get(node *yamlnode.Node, key string) *yamlnode.Node {
	node = resolve(node)
	if node == nil || node.Kind != yamlnode.MappingNode {
		return nil
	}
	for i := len(node.Content) - 2; i >= 0; i -= 2 {
		if node.Content[i].Tag != mergeTag {
			if keyOf(node.Content[i]) == key {
				return node.Content[i+1]
			}
			continue
		}
		for _, source := range mergeSources(node.Content[i+1]) {
			if value := get(source, key); value != nil {
				return value
			}
		}
	}
	return nil
}

const mergeTag = "!!merge"

// merges reports a mapping that others are merged into.
func merges(m *yamlnode.Node) bool {
	for i := 0; i < len(m.Content); i += 2 {
		if m.Content[i].Tag == mergeTag {
			return true
		}
	}
	return false
}

// mergeSources lists the mappings that the value of a merge key names: one, or a list of them, of which the first counts
// most.
func mergeSources(value *yamlnode.Node) []*yamlnode.Node {
	if value = resolve(value); value.Kind == yamlnode.SequenceNode {
		return value.Content
	}
	return []*yamlnode.Node{value}
}

// scalar gives the text of a scalar; "" for anything else, and for null.
func scalar(node *yamlnode.Node) string {
	node = resolve(node)
	if node == nil || node.Kind != yamlnode.ScalarNode || node.Tag == "!!null" {
		return ""
	}
	return node.Value
}

// effective gives the mapping as it counts: with the fields of merge keys (`<<`), and each key once. Of equal keys the
// last one counts, also where a merge stands behind a key. A mapping without either is returned as it is.
func effective(m *yamlnode.Node) *yamlnode.Node {
	if !needsFolding(m) {
		return m
	}
	folded := *m
	folded.Content = nil
	at := make(map[string]int, len(m.Content)/2)
	var fold func(m *yamlnode.Node)
	fold = func(m *yamlnode.Node) {
		if m = resolve(m); m.Kind != yamlnode.MappingNode {
			return
		}
		for i := 0; i+1 < len(m.Content); i += 2 {
			key, value := m.Content[i], m.Content[i+1]
			if key.Tag == mergeTag {
				for _, source := range slices.Backward(mergeSources(value)) {
					fold(source)
				}
			} else if i, found := at[keyOf(key)]; found {
				folded.Content[i], folded.Content[i+1] = key, value
			} else {
				at[keyOf(key)] = len(folded.Content)
				folded.Content = append(folded.Content, key, value)
			}
		}
	}
	fold(m)
	return &folded
}

func needsFolding(m *yamlnode.Node) bool {
	n := len(m.Content)
	var seen map[string]bool
	if n > 32 {
		seen = make(map[string]bool, n/2)
	}
	for i := 0; i+1 < n; i += 2 {
		if m.Content[i].Tag == mergeTag {
			return true
		}
		key := keyOf(m.Content[i])
		if seen != nil {
			if seen[key] {
				return true
			}
			seen[key] = true
			continue
		}
		for j := 0; j < i; j += 2 {
			if keyOf(m.Content[j]) == key {
				return true
			}
		}
	}
	return false
}
