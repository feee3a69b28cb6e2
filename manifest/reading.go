package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	yamlnode "go.yaml.in/yaml/v3"

	"github.com/sut-bench/helmexec/internal/safeyaml"
	"github.com/sut-bench/helmexec/internal/yamlfast"
)

// A document is what Kubernetes decodes it to (sigs.k8s.io/yaml). Its nodes, which have the places that rewriting needs,
// come from another parser, and count only if they say the same. For those of the fast reader the tests of yamlfast show
// that they do; all others are compared with the decoded value, and a document in which they differ is refused.

// read gives the objects of a document as nodes; none for a document without content.
func (d *document) read() ([]*yamlnode.Node, error) {
	node, err := d.node()
	if err != nil || node == nil {
		return nil, err
	}
	objects, err := objectsOf(node)
	if err != nil {
		return nil, d.fail(err)
	}
	d.readAnnotations(node)
	return objects, nil
}

// node gives the mapping that the document is; nil for a document without content.
func (d *document) node() (*yamlnode.Node, error) {
	if d.Refused != nil {
		return nil, d.fail(d.Refused)
	}
	if len(d.Text) > maxDocument {
		return nil, d.fail(errTooLong)
	}
	if node, ok := yamlfast.Parse(d.pass.Context(), d.Text); ok {
		return d.asMapping(node)
	}
	node, value, err := d.pass.Read(d.Text)
	switch {
	case err != nil:
		return nil, d.fail(err)
	case node == nil && value == nil:
		return nil, nil
	case node == nil:
		return nil, d.fail(errReadTwice)
	}
	node = content(node)
	var f folder
	f.fold(node)
	if d.keys = f.keys; f.unclear != "" {
		return nil, d.fail(fmt.Errorf("key %.80q stands twice in a mapping, and may be a text and something else: write it once", f.unclear))
	}
	if path, err := d.compare(node, value, 0); err != nil {
		if path != "" {
			err = fmt.Errorf("at %s: %w", path, err)
		}
		return nil, d.fail(err)
	}
	return d.asMapping(node)
}

func (d *document) asMapping(node *yamlnode.Node) (*yamlnode.Node, error) {
	switch {
	case node.Kind == yamlnode.MappingNode:
		return node, nil
	case node.Tag == "!!null":
		return nil, nil
	}
	return nil, d.fail(errors.New("not a mapping, so not an object"))
}

var errReadTwice = errors.New("here Kubernetes reads something else than other readers of YAML: write it without tags, unusual line breaks and merges that repeat keys")

// compare compares a folded node with what Kubernetes reads, and gives the node the value and the tag of that: a tag in the
// text says nothing. The path leads to where they differ.
func (d *document) compare(node *yamlnode.Node, value any, depth int) (path string, err error) {
	if depth > maxDepth {
		return "", errTooDeep
	}
	if err := d.pass.Context().Err(); err != nil {
		return "", err
	}
	node = resolve(node)
	same := node.Kind == yamlnode.ScalarNode
	switch value := value.(type) {
	case nil:
		node.Tag = "!!null"
	case bool:
		node.Value, node.Tag = fmt.Sprint(value), "!!bool"
	case json.Number:
		node.Value, node.Tag = value.String(), "!!float"
		if !strings.ContainsAny(node.Value, ".eE") {
			node.Tag = "!!int"
		}
	case string:
		same = same && node.Value == value && node.Tag != "!!null"
		node.Tag = "!!str"
	case []any:
		node.Tag = "!!seq"
		if same = node.Kind == yamlnode.SequenceNode && len(node.Content) == len(value); same {
			for i, item := range node.Content {
				if path, err := d.compare(item, value[i], depth+1); err != nil {
					return joinPath(fmt.Sprintf("[%d]", i), path), err
				}
			}
		}
	case map[string]any:
		node.Tag = "!!map"
		if same = node.Kind == yamlnode.MappingNode && len(node.Content) == 2*len(value); same {
			for i := 0; i+1 < len(node.Content); i += 2 {
				key := keyOf(node.Content[i])
				below, found := value[key]
				if !found {
					return shortened(key, maxPathPart), errReadTwice
				}
				if path, err := d.compare(node.Content[i+1], below, depth+1); err != nil {
					return joinPath(shortened(key, maxPathPart), path), err
				}
			}
		}
	}
	if !same {
		return "", errReadTwice
	}
	return "", nil
}

// decode gives the objects of a document as Kubernetes reads them, with numbers as json.Number. The document itself is
// nil if it has no content.
func (d *document) decode() (whole map[string]any, objects []map[string]any, err error) {
	nodes, err := d.read()
	if err != nil || nodes == nil {
		return nil, nil, err
	}
	if err := d.pass.Decode(safeyaml.AsLines(d.Text), &whole, safeyaml.UseNumber); err != nil {
		return nil, nil, d.fail(err)
	}
	return whole, decodedObjects(whole), nil
}

// nodes gives the nodes of a document in a text, which somebody else reads than Kubernetes, and perhaps not yet as it is.
func (d *document) nodes() ([]*yamlnode.Node, error) {
	if node, ok := yamlfast.Parse(d.pass.Context(), d.Text); ok {
		return []*yamlnode.Node{node}, nil
	}
	nodes, err := d.pass.Parse(d.Text)
	if err != nil {
		err = d.fail(err)
	}
	var f folder
	for _, node := range nodes {
		f.fold(node)
	}
	d.keys = f.keys
	return nodes, err
}
