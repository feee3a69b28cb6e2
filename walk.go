package helmexec

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"

	yamlnode "go.yaml.in/yaml/v3"

	"github.com/sut-bench/helmexec/internal/redact"
)

// ObjectRef names an object of a cluster.
type ObjectRef struct {
	Group, Version, Kind string
	Namespace, Name      string // Name is the generateName where an object has no name
}

// String gives "group/Kind namespace/name" with what is empty left out, printable.
func (r ObjectRef) String() string {
	kind, name := r.Kind, r.Name
	if r.Group != "" {
		kind = r.Group + "/" + kind
	}
	if r.Namespace != "" {
		name = r.Namespace + "/" + name
	}
	return redact.Line(strings.TrimSpace(kind + " " + name))
}

// Place is where in a manifest something was found.
type Place struct {
	Object    ObjectRef
	Document  int      // number of the document in the stream, from 1
	Line      int      // line of the stream, from 1
	Path      string   // from the object, such as spec.template.spec.containers[0].image
	Container string   // name of the container, where there is one
	Hooks     []string // events of helm.sh/hook, such as pre-install; empty for what is not a hook
}

// IsHook reports whether the object is a hook of the chart.
func (p Place) IsHook() bool { return len(p.Hooks) > 0 }

// IsTest reports whether the object only runs in helm test.
func (p Place) IsTest() bool {
	for _, hook := range p.Hooks {
		if hook != "test" && hook != "test-success" && hook != "test-failure" {
			return false
		}
	}
	return len(p.Hooks) > 0
}

// bounds on what one document may cost. Aliases make a small text describe a huge tree.
const (
	maxDepth         = 500
	maxVisitsPerByte = 8
	minVisits        = 1 << 16
	maxEmbedded      = 4 // YAML in a string in YAML
)

var (
	errTooDeep    = fmt.Errorf("nested more than %d levels deep: %w", maxDepth, ErrOutputTooLarge)
	errTooAliased = fmt.Errorf("aliases expand it too far: %w", ErrOutputTooLarge)
)

// source is the text that the positions of nodes refer to: a document, or a string inside it that holds YAML.
type source struct {
	doc    *document
	text   []byte
	start  int            // of text in the stream, or in the string that holds it
	first  int            // line of the stream, or of that string, on which text starts
	parent *source        // of an embedded text
	node   *yamlnode.Node // the scalar of parent that holds it
	depth  int

	lines   []int                          // where its lines start, once something was located
	last    place                          // the last place that was looked up
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
	hooks  []string
	scope  scope
	config bool // data for programs: any of its text may be a hint
	root   *cursor
	outer  *object // which carries this one; nil for a document's own
}

// cursor is a mapping under walk, with the way to it.
type cursor struct {
	parent *cursor
	key    string // in parent; for an item of a list the key of the list
	index  int    // in the list, -1 where it is no item
	node   *yamlnode.Node
	object *object
	src    *source
}

// path spells the way from the object's root to a field of the mapping.
func (c *cursor) path(field string) string {
	var parts []string
	for ; c != nil && c != c.object.root; c = c.parent {
		part := c.key
		if c.index >= 0 {
			part += "[" + strconv.Itoa(c.index) + "]"
		}
		parts = append(parts, part)
	}
	for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
		parts[i], parts[j] = parts[j], parts[i]
	}
	if field != "" {
		parts = append(parts, field)
	}
	return strings.Join(parts, ".")
}

func (c *cursor) place(field string, node *yamlnode.Node) Place {
	name := ""
	for at := c; at != nil && name == ""; at = at.parent {
		if at.isContainer() {
			name = scalar(get(at.node, "name"))
			break
		}
	}
	return Place{
		Object: c.object.ObjectRef, Document: c.src.doc.number, Line: c.src.line(node),
		Path: c.path(field), Container: name, Hooks: c.object.hooks,
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

// visitor is called with each mapping of an object, the outer ones first. It returns false to leave out what is below.
type visitor func(*cursor) bool

// walker visits the mappings of one document that can matter to images and accelerators.
type walker struct {
	visit  visitor
	visits int
}

// walk parses a document and visits it.
func walk(doc *document, visit visitor) error {
	nodes, err := doc.nodes()
	errs := []error{err}
	src := &source{doc: doc, text: doc.text, start: doc.offset, first: doc.line}
	for _, node := range nodes {
		w := &walker{visit: visit, visits: max(minVisits, maxVisitsPerByte*len(doc.text))}
		if err := w.root(node, src); err != nil {
			errs = append(errs, doc.fail(err))
		}
	}
	return errors.Join(errs...)
}

func (w *walker) root(node *yamlnode.Node, src *source) error {
	node = content(node)
	switch {
	case node.Kind == yamlnode.MappingNode:
		return w.mapping(&cursor{index: -1, node: node, src: src}, 0)
	case node.Kind == 0, node.Kind == yamlnode.DocumentNode, node.Tag == "!!null":
		return nil
	}
	return errors.New("not a mapping, so not an object")
}

// mapping visits a mapping and what is below.
func (w *walker) mapping(c *cursor, depth int) error {
	if depth > maxDepth {
		return errTooDeep
	}
	c.node = w.effective(c.node, maxMerges)
	if w.visits -= 1 + len(c.node.Content); w.visits < 0 {
		return errTooAliased
	}
	if describesObject(c) {
		if skip, err := w.enter(c, depth); skip || err != nil {
			return err
		}
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
	if w.visits -= 1 + len(list.Content); w.visits < 0 {
		return errTooAliased
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

// describesObject reports a mapping that is an object of its own: a document, an item of a List, or an object which
// another one carries to create it, such as the Workflow in a Sensor.
func describesObject(c *cursor) bool {
	if c.object == nil {
		return true
	}
	if get(c.node, "apiVersion") == nil || scalar(get(c.node, "kind")) == "" {
		return false
	}
	return get(c.node, "spec") != nil || get(c.node, "metadata") != nil || get(c.node, "data") != nil
}

// enter makes c the root of an object. It reports skip for what is no object, and for a List, whose items it visits.
func (w *walker) enter(c *cursor, depth int) (skip bool, err error) {
	ref, hooks := identify(c.node)
	if ref.Kind == "" {
		return true, nil
	}
	if items := listItems(c.node, ref.Kind); items != nil {
		return true, w.sequence(&cursor{index: -1, node: c.node, src: c.src, object: c.object}, "items", 0, items, depth+1)
	}
	outer := c.object
	if outer != nil {
		hooks = outer.hooks
	}
	c.object = &object{ObjectRef: ref, hooks: hooks, scope: scopeOf(ref.Group, ref.Kind), root: c, outer: outer}
	if outer == nil && get(c.node, "metadata") == nil && c.object.scope == scopeCustom {
		// A document with a kind and no metadata is the configuration file of a program.
		c.object.scope, c.object.config = scopeTyped, true
	}
	c.object.config = c.object.config || c.object.scope == scopeConfig
	return c.object.scope == scopeNothing, nil
}

// identify reads what names an object, and the events of helm.sh/hook.
func identify(node *yamlnode.Node) (ref ObjectRef, hooks []string) {
	metadata := get(node, "metadata")
	ref.Group, ref.Version = splitAPIVersion(scalar(get(node, "apiVersion")))
	ref.Kind = scalar(get(node, "kind"))
	ref.Namespace = scalar(get(metadata, "namespace"))
	ref.Name = cmp.Or(scalar(get(metadata, "name")), scalar(get(metadata, "generateName")))
	if events := scalar(get(get(metadata, "annotations"), "helm.sh/hook")); events != "" {
		for _, event := range strings.Split(events, ",") {
			hooks = append(hooks, strings.TrimSpace(event))
		}
	}
	return ref, hooks
}

// listItems gives the items of a List; nil for any other object.
func listItems(node *yamlnode.Node, kind string) *yamlnode.Node {
	items := resolve(get(node, "items"))
	if !strings.HasSuffix(kind, "List") || items == nil || items.Kind != yamlnode.SequenceNode {
		return nil
	}
	return items
}

func splitAPIVersion(apiVersion string) (group, version string) {
	if slash := strings.IndexByte(apiVersion, '/'); slash >= 0 {
		return apiVersion[:slash], apiVersion[slash+1:]
	}
	return "", apiVersion
}

// skipped reports parts of an object that describe no work to come.
func skipped(c *cursor, key string) bool {
	switch key {
	case "status":
		return (c == c.object.root || get(c.node, "spec") != nil) && !isArgoWorkflow(c.object)
	case "openAPIV3Schema", "schema", "managedFields", "ownerReferences":
		return true
	}
	return isArgoWorkflow(c.object) && skippedByArgo(c, key)
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
