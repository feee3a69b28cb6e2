package manifest

import (
	"bytes"
	"context"

	yamlnode "go.yaml.in/yaml/v3"
)

// Index lists the objects of the manifest in their order, with the items of a List in its place. It is much faster
// than Objects, because it reads only what names an object. Path and Container of the places are empty.
//
// Documents that cannot be read are reported in the error, as far as what names them cannot be read.
func (m Manifest) Index() ([]Place, error) { return m.IndexContext(context.Background()) }

// IndexContext is Index, but stops with the context's error when the context ends.
func (m Manifest) IndexContext(ctx context.Context) ([]Place, error) {
	var places []Place
	err := m.read(ctx, func(doc *document) error {
		node, err := doc.header()
		if err == nil {
			places = appendPlaces(places, doc, node)
		}
		return err
	})
	return places, err
}

// appendPlaces adds the object that a node describes, or the items of the List.
func appendPlaces(places []Place, doc *document, node *yamlnode.Node) []Place {
	node = resolve(node)
	ref, hooks := identify(node)
	if ref.Kind == "" {
		return places
	}
	items := listItems(node, ref.Kind)
	if items == nil {
		return append(places, Place{Object: ref, Document: doc.number, Line: doc.line + max(node.Line, 1) - 1, Hooks: hooks})
	}
	for _, item := range items.Content {
		places = appendPlaces(places, doc, item)
	}
	return places
}

// header parses as much of the document as names its object: apiVersion, kind and metadata. Where these cannot be
// told from the lines it parses the document as a whole.
func (d *document) header() (*yamlnode.Node, error) {
	apiVersion, kind := d.scanIdentity()
	if kind != "" && !bytes.HasSuffix([]byte(kind), []byte("List")) {
		if text, line, ok := d.metadata(); ok {
			part := &document{pass: d.pass, text: append([]byte("apiVersion: "+apiVersion+"\nkind: "+kind+"\n"), text...)}
			if nodes, err := part.nodes(); err == nil && len(nodes) == 1 {
				node := content(nodes[0])
				node.Line = line
				return node, nil
			}
		}
	}
	nodes, err := d.nodes()
	if err != nil || len(nodes) == 0 {
		return &yamlnode.Node{}, err
	}
	return content(nodes[0]), nil
}

// metadata finds the lines of the field metadata, for a document that scanIdentity could read. Line is that of the
// document's first content.
func (d *document) metadata() (text []byte, line int, ok bool) {
	number, start, end, seen := 0, -1, len(d.text), 0
	at := 0
	for content := range bytes.Lines(d.text) {
		number++
		switch c := content[0]; {
		case c == ' ' || c == '#' || c == '\n' || c == '\r' || c == '\t':
		case bytes.HasPrefix(content, []byte("metadata:")):
			start, end = at, len(d.text)
			seen++
			fallthrough
		default:
			if line == 0 {
				line = number
			}
			if start >= 0 && start < at && end == len(d.text) {
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
	return d.text[start:end], line, true
}
