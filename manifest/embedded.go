package manifest

import (
	"bytes"
	"strings"

	yamlnode "go.yaml.in/yaml/v3"

	"github.com/sut-bench/helmexec/internal/pattern"
)

// templateExpression is what Argo replaces in a text before it reads it as YAML: up to the first braces that end it.
var templateExpression = pattern.New(`\{\{.*?\}\}`)

// embedded visits YAML that a string of c holds. Where template expressions keep it from being read they are blotted
// out for the parser. A text that still cannot be read is visited as the scalar that it is.
func (w *walker) embedded(c *cursor, key string, text *yamlnode.Node, depth int) error {
	if c.src.depth >= maxEmbedded {
		w.unreadable(c, key, text, text.Value)
		return nil
	}
	for doc := range Manifest(text.Value).documents() {
		doc.pass = c.src.doc.pass
		nodes, err := doc.nodes()
		var blotted []byte
		original := doc.Text
		if err != nil {
			blotted = templateExpression().ReplaceAllFunc(doc.Text, func(expression []byte) []byte {
				return bytes.Repeat([]byte{blot}, len(expression))
			})
			doc.Text = blotted
			if nodes, err = doc.nodes(); err != nil {
				nodes = nil // also where objects of JSON follow each other, of which the first can be read
			}
		}
		src := &source{
			doc: c.src.doc, text: doc.Text, start: doc.Offset, first: doc.Line, parent: c.src, node: text, depth: c.src.depth + 1, keys: doc.keys,
		}
		if len(nodes) == 0 && err != nil {
			w.unreadable(c, key, text, string(original))
		}
		for _, node := range nodes {
			if node = content(node); node.Kind != yamlnode.MappingNode {
				if node.Tag != "!!null" {
					w.unreadable(c, key, text, string(original))
				}
				continue
			}
			if blotted != nil {
				src.restore(node, original, depth)
			}
			child := &cursor{parent: c, key: key, index: -1, node: node, object: c.object, src: src}
			if err := w.mapping(child, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// unreadable visits a text, or a document of it, as the scalar that it is.
func (w *walker) unreadable(c *cursor, key string, text *yamlnode.Node, document string) {
	unread := *text
	unread.Value = document
	w.visit(&cursor{parent: c, key: key, index: -1, node: &unread, object: c.object, src: c.src})
}

// blot stands for each byte of a template expression. No registry or repository has this letter.
const blot = 'X'

// restore gives scalars their template expressions back, which were blotted out for the parser. It does so where the
// scalar stands in the text as it reads, so that the expressions are found at the same place.
func (s *source) restore(node *yamlnode.Node, original []byte, depth int) {
	if depth > maxDepth {
		return
	}
	for _, below := range node.Content {
		s.restore(below, original, depth+1)
	}
	if node.Kind != yamlnode.ScalarNode || strings.IndexByte(node.Value, blot) < 0 {
		return
	}
	at, ok := s.offset(node.Line, node.Column)
	if ok && node.Style&(yamlnode.SingleQuotedStyle|yamlnode.DoubleQuotedStyle) != 0 {
		at++
	}
	if end := at + len(node.Value); ok && end <= len(s.text) && string(s.text[at:end]) == node.Value {
		node.Value = string(original[at:end])
	}
}

// holdsYAML reports the strings that hold YAML which a controller makes objects of.
func holdsYAML(c *cursor, key, text string) bool {
	switch key {
	case "manifest":
		return c.key == "resource" && isArgoWorkflow(c.object)
	case "podSpecPatch":
		return isArgoWorkflow(c.object)
	case "value", "default": // Kubeflow Pipelines hands its containers to the workflow as JSON
		return (strings.HasPrefix(strings.TrimSpace(text), "{") || looksLikeManifest(text)) && c.isArgument()
	}
	return false
}

// looksLikeManifest reports the text of an object, or of a part of one with containers.
func looksLikeManifest(text string) bool {
	return strings.Contains(text, "ontainers:") || strings.Contains(text, "apiVersion:") && strings.Contains(text, "kind:")
}

// isArgument reports the value of a parameter that Argo hands to a workflow or a template, or that a template has
// without, or what is in its text.
func (c *cursor) isArgument() bool {
	for ; isArgoWorkflow(c.object) && c != c.object.root; c = c.parent {
		if c.key == "parameters" && c.index >= 0 && c.parent != nil && (c.parent.key == "arguments" || c.parent.key == "inputs") {
			return true
		}
	}
	return false
}
