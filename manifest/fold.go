package manifest

import (
	"slices"
	"strconv"

	yamlnode "go.yaml.in/yaml/v3"

	"github.com/sut-bench/helmexec/internal/yamlfast"
)

// folder gives the nodes of the general parser the form in which they count: mappings have the fields of their merges
// (<<), and each key once, of which the last counts; scalars without quotes and tag have the values of yamlfast.Resolve.
type folder struct {
	done map[*yamlnode.Node]bool
	// keys are the keys that an anchor or an alias shares with something else.
	keys map[*yamlnode.Node]bool
	// unclear is a key of which there are two in one mapping that YAML takes for different ones and JSON for the same.
	// Which of them counts is up to chance. Of two << in quotes one may be a merge, which a node does not tell: ! "<<" is one.
	unclear string
}

const mergeTag = "!!merge"

func (f *folder) fold(node *yamlnode.Node) {
	if node.Kind == yamlnode.AliasNode || f.done[node] {
		return // an alias is to what stands before it
	}
	if node.Kind == yamlnode.ScalarNode {
		if node.Style == 0 && node.Tag != mergeTag {
			node.Value, node.Tag = yamlfast.Resolve(node.Value)
		}
		return
	}
	if f.done == nil {
		f.done = make(map[*yamlnode.Node]bool)
	}
	f.done[node] = true
	for _, child := range node.Content {
		f.fold(child)
	}
	if node.Kind == yamlnode.MappingNode {
		f.foldMapping(node)
	}
}

// foldMapping folds a mapping whose children are folded.
func (f *folder) foldMapping(m *yamlnode.Node) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		key := m.Content[i]
		if key.Anchor != "" || key.Kind == yamlnode.AliasNode {
			if f.keys == nil {
				f.keys = make(map[*yamlnode.Node]bool)
			}
			f.keys[resolve(key)] = true
		}
		if key.Tag == "!!float" {
			m.Content[i] = floatKey(key)
		}
	}
	if !needsFolding(m) {
		return
	}
	var content []*yamlnode.Node
	at := make(map[string]int, len(m.Content)/2)
	add := func(key, value *yamlnode.Node) {
		i, found := at[keyOf(key)]
		if !found {
			at[keyOf(key)] = len(content)
			content = append(content, key, value)
			return
		}
		if was := keyType(content[i]); was != keyType(key) || was == "!!float" || keyOf(key) == "<<" {
			f.unclear = keyOf(key)
		}
		content[i], content[i+1] = key, value
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if !isMerge(m.Content[i]) {
			add(m.Content[i], m.Content[i+1])
			continue
		}
		for _, source := range mergeSources(m.Content[i+1]) {
			if source = resolve(source); source.Kind != yamlnode.MappingNode {
				continue
			}
			for i := 0; i+1 < len(source.Content); i += 2 {
				add(source.Content[i], source.Content[i+1])
			}
		}
	}
	m.Content = content
}

// floatKey is a key with the text that Kubernetes makes of a number, which is not that of a value.
func floatKey(key *yamlnode.Node) *yamlnode.Node {
	number, err := strconv.ParseFloat(key.Value, 64)
	if err != nil {
		return key
	}
	short := *key
	short.Value = strconv.FormatFloat(number, 'g', -1, 32)
	return &short
}

// keyType is the tag of a number or of a word for true or false; "" for a text, whatever its tag.
func keyType(key *yamlnode.Node) string {
	switch tag := resolve(key).Tag; tag {
	case "!!int", "!!float", "!!bool":
		return tag
	}
	return ""
}

func isMerge(key *yamlnode.Node) bool {
	return key.Kind == yamlnode.ScalarNode && key.Value == "<<" && key.Tag == mergeTag
}

// mergeSources lists the mappings that the value of a merge key names, the one that counts most last.
func mergeSources(value *yamlnode.Node) []*yamlnode.Node {
	if value = resolve(value); value.Kind != yamlnode.SequenceNode {
		return []*yamlnode.Node{value}
	}
	sources := slices.Clone(value.Content)
	slices.Reverse(sources)
	return sources
}

func needsFolding(m *yamlnode.Node) bool {
	n := len(m.Content)
	var seen map[string]bool
	if n > 32 {
		seen = make(map[string]bool, n/2)
	}
	for i := 0; i+1 < n; i += 2 {
		if isMerge(m.Content[i]) {
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
