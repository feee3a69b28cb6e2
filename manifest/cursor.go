package manifest

import (
	"strconv"
	"strings"

	yamlnode "go.yaml.in/yaml/v3"
)

// cursor is a mapping under walk, with the way to it.
type cursor struct {
	parent *cursor
	key    string // in parent; for an item of a list the key of the list
	index  int    // in the list, -1 where it is no item
	node   *yamlnode.Node
	object *object
	src    *source
	bare   bool // below what describesNothing is about

	fields map[string]*yamlnode.Node // the fields of a large mapping, once one was looked up
	way    string                    // path(""), once it was spelled

	counted bool // and so above is replicasAbove
	above   int64
}

// get finds the value of a key as get does. It is for mappings that may be large, in which something is looked up for
// each of many others.
func (c *cursor) get(key string) *yamlnode.Node {
	const large = 64
	if len(c.node.Content) < large {
		return get(c.node, key)
	}
	if c.fields == nil {
		fields := c.node.Content
		c.fields = make(map[string]*yamlnode.Node, len(fields)/2)
		for i := 0; i+1 < len(fields); i += 2 {
			c.fields[keyOf(fields[i])] = fields[i+1]
		}
	}
	return c.fields[key]
}

// maxPath and maxPathPart bound a path and each name in it, which somebody could make as long as the document.
const (
	maxPath     = 1024
	maxPathPart = 256
)

// path spells the way from the object's root to a field of the mapping. What is very long is cut in its middle.
func (c *cursor) path(field string) string {
	if c == c.object.root {
		return joinPath("", field)
	}
	if c.way == "" {
		name := shortened(c.key, maxPathPart)
		if c.index >= 0 {
			name += "[" + strconv.Itoa(c.index) + "]"
		}
		c.way = joinPath(c.parent.path(""), name)
	}
	return joinPath(c.way, field)
}

// joinPath adds a field to a path.
func joinPath(path, field string) string {
	field = shortened(field, maxPathPart)
	if path == "" || field == "" {
		return path + field
	}
	return shortened(path+"."+field, maxPath)
}

// shortened cuts a text that is longer than n bytes in its middle.
func shortened(text string, n int) string {
	if len(text) <= n {
		return text
	}
	const mark = "…"
	half := (n - len(mark)) / 2
	return strings.ToValidUTF8(text[:half], "") + mark + strings.ToValidUTF8(text[len(text)-half:], "")
}

func (c *cursor) place(field string, node *yamlnode.Node) Place {
	name := ""
	for at := c; at != nil && name == ""; at = at.parent {
		if at.isContainer() {
			name = scalar(at.get("name"))
			break
		}
	}
	return Place{
		Object: c.object.ObjectRef, Document: c.src.doc.number, Line: c.src.line(node),
		Path: c.path(field), Container: name, Hooks: c.src.doc.hooks,
	}
}

// containerLists are the lists of containers in pod specs and in Argo's templates.
var containerLists = map[string]bool{
	"containers": true, "initContainers": true, "ephemeralContainers": true, "sidecars": true,
}

// isContainer reports a mapping that Kubernetes or Argo defines as a container.
func (c *cursor) isContainer() bool {
	if c.index >= 0 {
		return containerLists[c.key]
	}
	return (c.key == "container" || c.key == "script") && c.parent != nil
}

// isOfPod reports a container in a list that pod specs have.
func (c *cursor) isOfPod() bool {
	return c.index >= 0 && containerLists[c.key] && c.key != "sidecars" && c.namesImage()
}

// isListedContainer reports an item of a list of containers, by whatever name an operator knows the list.
func (c *cursor) isListedContainer() bool {
	return c.index >= 0 && (containerLists[c.key] || c.key == "steps" || strings.HasSuffix(c.key, "Containers")) && c.namesImage()
}

func (c *cursor) namesImage() bool {
	return scalar(get(c.node, "name")) != "" && scalar(get(c.node, "image")) != ""
}
