package helmexec

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

// get finds the value of a key in a mapping, the last one if it repeats, or else in what the mapping merges in.
// It gives nil for what is no mapping.
func get(node *yamlnode.Node, key string) *yamlnode.Node {
	mappings := maxMerged
	return getMerged(node, key, &mappings)
}

// maxMerges bounds how many merges deep a mapping is followed, maxMerged how many mappings one look-up reads.
const (
	maxMerges = 8
	maxMerged = 64
)

func getMerged(node *yamlnode.Node, key string, mappings *int) *yamlnode.Node {
	node = resolve(node)
	if *mappings--; node == nil || node.Kind != yamlnode.MappingNode || *mappings < 0 {
		return nil
	}
	merge := -1
	for i := len(node.Content) - 2; i >= 0; i -= 2 {
		if node.Content[i].Tag == mergeTag {
			merge = i
		} else if keyOf(node.Content[i]) == key {
			return node.Content[i+1]
		}
	}
	if merge < 0 {
		return nil
	}
	for _, source := range mergeSources(node.Content[merge+1]) {
		if value := getMerged(source, key, mappings); value != nil || *mappings < 0 {
			return value
		}
	}
	return nil
}

const mergeTag = "!!merge"

// mergeSources lists the mappings that the value of a merge key names: one, or a list of them.
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

// effective gives the mapping as it counts: of repeated keys the last, with the fields of merge keys (`<<`) added.
// A mapping without either is returned as it is.
func (w *walker) effective(m *yamlnode.Node, merges int) *yamlnode.Node {
	if !needsFolding(m) {
		return m
	}
	folded := *m
	folded.Content = nil
	at := make(map[string]int, len(m.Content)/2)
	add := func(key, value *yamlnode.Node, override bool) {
		if i, found := at[keyOf(key)]; !found {
			at[keyOf(key)] = len(folded.Content)
			folded.Content = append(folded.Content, key, value)
		} else if override {
			folded.Content[i], folded.Content[i+1] = key, value
		}
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Tag != mergeTag {
			add(m.Content[i], m.Content[i+1], true)
		}
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Tag != mergeTag || merges == 0 {
			continue
		}
		for _, source := range mergeSources(m.Content[i+1]) {
			if source = resolve(source); source.Kind != yamlnode.MappingNode || w.visits < 0 {
				continue
			}
			source = w.effective(source, merges-1)
			w.visits -= 1 + len(source.Content)
			for j := 0; j+1 < len(source.Content); j += 2 {
				add(source.Content[j], source.Content[j+1], false)
			}
		}
	}
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
