package manifest

import (
	"bytes"
	"context"

	yamlnode "go.yaml.in/yaml/v3"
)

// Index lists the objects of the manifest in their order, with the items of a List in its place. It is much faster
// than Objects, because it reads only what names an object. Path and Container of the places are empty.
//
// Documents that cannot be read are reported in the error.
func (m Manifest) Index() ([]Place, error) { return m.IndexContext(context.Background()) }

// IndexContext is Index, but stops with the context's error when the context ends.
func (m Manifest) IndexContext(ctx context.Context) ([]Place, error) {
	var places []Place
	err := m.read(ctx, func(doc *document) error {
		objects, err := doc.headers()
		for _, node := range objects {
			places = append(places, Place{Object: identify(node), Document: doc.number, Line: doc.Line + max(node.Line, 1) - 1, Hooks: doc.hooks, Annotations: doc.helm})
		}
		return err
	})
	return places, err
}

// headers reads as much of the document as names its objects: apiVersion, kind and metadata. Where these cannot be
// told from the lines it reads the document as a whole.
func (d *document) headers() ([]*yamlnode.Node, error) {
	if apiVersion, kind := d.scanIdentity(); kind != "" && d.searchable() {
		if text, line, ok := d.metadata(); ok {
			part := document{pass: d.pass}
			part.Text = append([]byte("apiVersion: "+apiVersion+"\nkind: "+kind+"\n"), text...)
			if node, err := part.node(); err == nil && node != nil {
				node.Line = line
				d.readAnnotations(node)
				return []*yamlnode.Node{node}, nil
			}
		}
	}
	return d.read()
}

// metadata finds the lines of the field metadata, for a document that scanIdentity could read. Line is that of the
// document's first content.
func (d *document) metadata() (text []byte, line int, ok bool) {
	number, start, end, seen := 0, -1, len(d.Text), 0
	at := 0
	for content := range bytes.Lines(d.Text) {
		number++
		switch c := content[0]; {
		case c == ' ' || c == '#' || c == '\n' || c == '\r' || c == '\t':
		case bytes.HasPrefix(content, []byte("metadata:")):
			start, end = at, len(d.Text)
			seen++
			fallthrough
		default:
			if line == 0 {
				line = number
			}
			if start >= 0 && start < at && end == len(d.Text) {
				end = at
			}
		}
		at += len(content)
	}
	if seen > 1 {
		return nil, 0, false
	}
	if seen == 0 {
		start = end
	}
	return d.Text[start:end], line, true
}
