package manifest

import (
	"cmp"
	"fmt"
	"strings"

	yamlnode "go.yaml.in/yaml/v3"
)

// bounds on what one document may cost, beside those on its aliases
const (
	maxDepth    = 500
	maxEmbedded = 4 // YAML in a string in YAML
)

var errTooDeep = fmt.Errorf("nested more than %d levels deep: %w", maxDepth, ErrOutputTooLarge)

// source is the text that the positions of nodes refer to: a document, or a string inside it that holds YAML.
type source struct {
	doc    *document
	text   []byte
	start  int                     // of text in the stream, or in the string that holds it
	first  int                     // line of the stream, or of that string, on which text starts
	parent *source                 // of an embedded text
	node   *yamlnode.Node          // the scalar of parent that holds it
	keys   map[*yamlnode.Node]bool // of text, whose text is that of something else too
	depth  int

	lines   []int                          // where its lines start, once something was located
	columns map[int][]int                  // by line, where columns 257, 513 and so on are, as far as looked up
	located map[*yamlnode.Node]*scalarText // what was located
}

// line gives a node's line in the stream; in an embedded text that of the string which holds it.
func (s *source) line(node *yamlnode.Node) int {
	line := s.first + node.Line - 1
	switch {
	case s.parent == nil:
		return line
	case s.node.Style&yamlnode.LiteralStyle != 0:
		return s.parent.line(s.node) + line
	}
	return s.parent.line(s.node)
}

// object is an object under walk.
type object struct {
	ObjectRef
	scope  scope
	config bool // data for programs: any of its text may be a hint
	root   *cursor

	carried bool // by another object, which alone says what kind it is
}

// visitor is called with each mapping of an object, the outer ones first. It returns false to leave out what is below.
type visitor func(*cursor) bool

// walker visits the mappings of one document that can matter to images and accelerators.
type walker struct {
	visit visitor
}

// walk reads a document and visits it.
func walk(doc *document, visit visitor) error {
	objects, err := doc.read()
	if err != nil {
		return err
	}
	src := &source{doc: doc, text: doc.Text, start: doc.Offset, first: doc.Line, keys: doc.keys}
	for _, node := range objects {
		if err := (&walker{visit: visit}).mapping(&cursor{index: -1, node: node, src: src}, 0); err != nil {
			return doc.fail(err)
		}
	}
	return nil
}

// mapping visits a mapping and what is below.
func (w *walker) mapping(c *cursor, depth int) error {
	if depth > maxDepth {
		return errTooDeep
	}
	if err := c.src.doc.pass.Context().Err(); err != nil {
		return err
	}
	if outer := c.parent; outer != nil && outer.object != nil {
		c.bare = outer.bare || describesNothing(c)
	}
	if describesObject(c) && !w.enter(c) {
		return nil
	}
	if c.object == nil || !w.visit(c) {
		return nil
	}
	for i := 0; i+1 < len(c.node.Content); i += 2 {
		key, value := keyOf(c.node.Content[i]), resolve(c.node.Content[i+1])
		if err := w.child(c, key, value, depth); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) child(c *cursor, key string, value *yamlnode.Node, depth int) error {
	switch value.Kind {
	case yamlnode.ScalarNode:
		if holdsYAML(c, key, value.Value) && value.Value != "" {
			return w.embedded(c, key, value, depth)
		}
	case yamlnode.MappingNode:
		if skipped(c, key) {
			return nil
		}
		return w.mapping(&cursor{parent: c, key: key, index: -1, node: value, object: c.object, src: c.src}, depth+1)
	case yamlnode.SequenceNode:
		if skipped(c, key) {
			return nil
		}
		return w.sequence(c, key, 0, value, depth+1)
	}
	return nil
}

// sequence visits the mappings of a list. Lists in a list (Argo's steps) count their items through.
func (w *walker) sequence(c *cursor, key string, first int, list *yamlnode.Node, depth int) error {
	if depth > maxDepth {
		return errTooDeep
	}
	for i, item := range list.Content {
		var err error
		switch item = resolve(item); item.Kind {
		case yamlnode.MappingNode:
			err = w.mapping(&cursor{parent: c, key: key, index: first + i, node: item, object: c.object, src: c.src}, depth+1)
		case yamlnode.SequenceNode:
			err = w.sequence(c, key, first+i, item, depth+1)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// describesObject reports a mapping that is an object of its own: a document, an item of a list, or an object which
// another one carries to create it, such as the Workflow in a Sensor. Only custom resources, data for programs and texts
// carry objects: in a kind of Kubernetes the fields apiVersion and kind of a mapping below change nothing, and what a
// policy makes is as unsure as all in it.
func describesObject(c *cursor) bool {
	if c.object == nil {
		return true
	}
	switch scope := c.object.scope; {
	case scope == scopeTyped && !c.object.config && c.object.root.src == c.src, scope == scopePolicy, scope == scopeSchema:
		return false
	}
	if get(c.node, "apiVersion") == nil || scalar(get(c.node, "kind")) == "" {
		return false
	}
	if get(c.node, "spec") == nil && get(c.node, "metadata") == nil && get(c.node, "data") == nil {
		return false
	}
	return !poses(c)
}

// poses reports a mapping that is called an object and is a part of the one around it: its spec; a list, whose items
// are objects; a pod template, or the spec of a pod, under the name of a kind that has no containers there.
func poses(c *cursor) bool {
	if c.key == "spec" && c.parent == c.object.root && c.src == c.parent.src {
		return true
	}
	group, _ := SplitAPIVersion(scalar(get(c.node, "apiVersion")))
	kind := scalar(get(c.node, "kind"))
	known := scopeOf(group, kind) != scopeCustom
	if (known || strings.HasSuffix(kind, "List")) && isList(get(c.node, "items")) {
		return true
	}
	isPod := group == "" && kind == "Pod"
	return known && (hasContainers(c.node) || !isPod && hasContainers(get(c.node, "spec")))
}

func hasContainers(node *yamlnode.Node) bool {
	return isList(get(node, "containers")) || isList(get(node, "initContainers"))
}

func isList(node *yamlnode.Node) bool {
	node = resolve(node)
	return node != nil && node.Kind == yamlnode.SequenceNode
}

// enter makes c the root of an object. It reports false for an object that needs no visit. One that another object
// carries is visited always: nobody but its reader knows whether it is what it says.
func (w *walker) enter(c *cursor) bool {
	ref := identify(c.node)
	carried := c.object != nil
	c.object = &object{ObjectRef: ref, scope: scopeOf(ref.Group, ref.Kind), carried: carried, root: c}
	if !carried && get(c.node, "metadata") == nil && c.object.scope == scopeCustom {
		// A document with a kind and no metadata is the configuration file of a program.
		c.object.scope, c.object.config = scopeTyped, true
	}
	c.object.config = c.object.config || c.object.scope == scopeConfig || c.object.scope == scopePolicy
	return carried || c.object.scope != scopeNothing
}

// identify reads what names an object.
func identify(node *yamlnode.Node) (ref ObjectRef) {
	metadata := get(node, "metadata")
	ref.Group, ref.Version = SplitAPIVersion(scalar(get(node, "apiVersion")))
	ref.Kind = scalar(get(node, "kind"))
	ref.Namespace = scalar(get(metadata, "namespace"))
	ref.Name = cmp.Or(scalar(get(metadata, "name")), scalar(get(metadata, "generateName")))
	return ref
}

// skipped reports parts of an object that describe no work to come.
func skipped(c *cursor, key string) bool {
	switch key {
	case "status":
		return c == c.object.root && !isArgoWorkflow(c.object)
	case "managedFields", "ownerReferences":
		return c.key == "metadata"
	}
	return isArgoWorkflow(c.object) && skippedByArgo(c, key)
}

// describesNothing reports a mapping in which only containers, which nothing else has, are work to come: the schema of
// a custom resource, or the status of a part of an object.
func describesNothing(c *cursor) bool {
	switch c.key {
	case "openAPIV3Schema":
		return (c.parent.key == "schema" || c.parent.key == "validation") && looksLikeSchema(c.node)
	case "schema":
		return c.object.Group == "kro.run" && c.parent.parent == c.object.root && c.parent.key == "spec"
	case "status":
		return c.parent.get("spec") != nil && !isArgoWorkflow(c.object)
	}
	return false
}

func looksLikeSchema(node *yamlnode.Node) bool {
	for _, field := range []string{"type", "properties", "$ref", "items", "x-kubernetes-preserve-unknown-fields"} {
		if get(node, field) != nil {
			return true
		}
	}
	return false
}

// isArgoWorkflow reports the kinds of Argo Workflows that carry templates.
func isArgoWorkflow(o *object) bool {
	return o.Group == "argoproj.io" && (strings.HasSuffix(o.Kind, "Workflow") || strings.HasSuffix(o.Kind, "WorkflowTemplate"))
}

// skippedByArgo leaves out the items of loops, which have any shape, and what a workflow's status says other than the
// templates that it will still run.
func skippedByArgo(c *cursor, key string) bool {
	if c.parent != nil && c.parent == c.object.root && c.key == "status" {
		return key != "storedTemplates" && key != "storedWorkflowTemplateSpec"
	}
	return key == "withItems"
}
