package helmexec

import (
	"bytes"
	"encoding/json"
	"fmt"

	yamlnode "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"
)

const (
	// maxYAMLSize bounds one YAML file of a chart or a user. Hostile YAML takes a few hundred times its size once it is
	// parsed; the values of the largest public charts have some 300 KB.
	maxYAMLSize = 1 << 20
	// maxYAMLExpanded bounds what the aliases of a YAML file expand to.
	maxYAMLExpanded = 8 << 20
)

// unmarshalYAML decodes the first document of data as Helm does (by the same library, sigs.k8s.io/yaml: YAML 1.1, the
// last of two equal keys wins, numbers and booleans become text in a field of type string), for text that is not
// trusted: neither its size nor its aliases can fill the memory. what names the text in errors.
func unmarshalYAML(what string, data []byte, into any) error {
	if len(data) > maxYAMLSize {
		return fmt.Errorf("%w: %s has %d bytes, more than the %d that one YAML file may have",
			ErrOutputTooLarge, what, len(data), maxYAMLSize)
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if err := checkAliases(what, data); err != nil {
		return err
	}
	useNumber := func(d *json.Decoder) *json.Decoder { d.UseNumber(); return d }
	if err := yaml.Unmarshal(data, into, useNumber); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// checkAliases refuses a document whose aliases expand to more than maxYAMLExpanded. The decoder limits how many
// nodes aliases repeat, but not their bytes: a long text repeated by a million aliases passes it and becomes many
// gigabytes of JSON.
func checkAliases(what string, data []byte) error {
	if bytes.IndexByte(data, '&') < 0 || bytes.IndexByte(data, '*') < 0 {
		return nil
	}
	var doc yamlnode.Node
	if err := yamlnode.Unmarshal(data, &doc); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	size, err := expandedSize(&doc, map[*yamlnode.Node]int{})
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if size > maxYAMLExpanded {
		return fmt.Errorf("%w: %s: its aliases expand to more than %d bytes", ErrOutputTooLarge, what, maxYAMLExpanded)
	}
	return nil
}

// expandedSize is the size of a node with every alias written out, at most a little over maxYAMLExpanded. known holds
// the size of each node that an alias can point to, or -1 while it is being measured.
func expandedSize(n *yamlnode.Node, known map[*yamlnode.Node]int) (int, error) {
	if n.Kind == yamlnode.AliasNode {
		n = n.Alias
	}
	if size, ok := known[n]; ok {
		if size < 0 {
			return 0, fmt.Errorf("anchor %q contains itself", n.Anchor)
		}
		return size, nil
	}
	const nodeSize = 16
	if n.Anchor != "" {
		known[n] = -1
	}
	size := nodeSize + len(n.Value)
	for _, child := range n.Content {
		childSize, err := expandedSize(child, known)
		if err != nil {
			return 0, err
		}
		size = min(size+childSize, maxYAMLExpanded+1)
	}
	if n.Anchor != "" {
		known[n] = size
	}
	return size, nil
}

// splitYAML splits a stream into its documents, without those that are empty. A line that starts with "---" separates
// wherever it stands: within a mapping no text can have such a line.
func splitYAML(data []byte) [][]byte {
	var docs [][]byte
	start, pos := 0, 0
	marked, content := false, false // whether a marker began the current document, and whether anything is in it
	for line := range bytes.Lines(data) {
		rest := line
		if after, found := bytes.CutPrefix(line, []byte("---")); found && (len(after) == 0 || isYAMLSpace(after[0])) {
			if content {
				docs = append(docs, data[start:pos])
			}
			if content || marked {
				start = pos
			}
			marked, content = true, false
			rest = after
		}
		rest = bytes.TrimSpace(rest)
		content = content || len(rest) > 0 && rest[0] != '#' && rest[0] != '%'
		pos += len(line)
	}
	if content {
		docs = append(docs, data[start:])
	}
	return docs
}

func isYAMLSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }
