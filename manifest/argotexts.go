package manifest

import (
	"strconv"
	"strings"

	yamlnode "go.yaml.in/yaml/v3"

	"github.com/sut-bench/helmexec/internal/pattern"
)

// What Argo Workflows makes objects or patches of is text in which the running workflow replaces expressions before it
// reads it. An expression may stand for anything there: for a name, for a list of containers, for all of the text.

const (
	lateText = "only the running workflow knows what this text is, and which images it names"
	lateKey  = "only the running workflow knows the name of this field, which may be that of an image"
)

// oneExpression is a text that is nothing but an expression.
var oneExpression = pattern.New(`^\s*\{\{[^{}]*\}\}\s*$`)

// imageField is a field image in a text that cannot be read, or in a text in such a text.
var imageField = pattern.New(`\bimage\\*["']?[ \t]*:[ \t]*((?:\{\{[^{}\n]*\}\}|[^\s,}\]{])+)`)

// readUnreadable reads the images of a text that is no YAML before the workflow fills it in, or that is nested too
// deeply. One that says nothing of images is unresolved as a whole where the workflow makes something of it.
func (f *imageFinder) readUnreadable(c *cursor) {
	images := imageField().FindAllStringSubmatch(c.node.Value, -1)
	for _, image := range images {
		f.addUnresolved(c.parent, c.key, c.node, unquoted(image[1]), "the text around it is no YAML before the workflow fills it in, or is nested too deeply")
	}
	tooDeep := c.src.depth >= maxEmbedded && strings.Contains(c.node.Value, "mage")
	if len(images) == 0 && (tooDeep || isMade(c) && !f.isKnownText(c.parent, c.node.Value)) {
		f.addUnresolved(c.parent, c.key, c.node, shortened(c.node.Value, maxReference), lateText)
	}
}

// unquoted gives what is in quotes, which may be escaped, at the start of a text; the text where there are none.
func unquoted(text string) string {
	bare := strings.TrimLeft(text, `\`)
	if bare == "" || bare[0] != '"' && bare[0] != '\'' {
		return text
	}
	inner, _, _ := strings.Cut(bare[1:], bare[:1])
	return strings.TrimRight(inner, `\`)
}

// isMade reports a text that a workflow makes objects of, or a patch of a pod.
func isMade(c *cursor) bool { return c.key == "manifest" || c.key == "podSpecPatch" }

// readLateKeys reads what expressions in the keys, or in place of containers, keep from being read in an embedded text.
func (f *imageFinder) readLateKeys(c *cursor) {
	isRoot := c.parent.src != c.src
	for i := 0; i+1 < len(c.node.Content); i += 2 {
		key, value := resolve(c.node.Content[i]), resolve(c.node.Content[i+1])
		switch text := scalar(value); {
		case key.Kind != yamlnode.ScalarNode && isRoot: // an expression without quotes reads as a mapping in a mapping
			if text = c.src.node.Value; isMade(c) && !f.isKnownText(c.parent, text) {
				f.addUnresolved(c.parent, c.key, c.src.node, shortened(text, maxReference), lateText)
			}
			return
		case key.Kind != yamlnode.ScalarNode && containerLists[c.key]:
			f.addUnresolved(c.parent, c.key, c.node, "{{"+expressionIn(key)+"}}", lateText)
		case containerLists[key.Value] && strings.Contains(text, "{{"):
			f.addUnresolved(c, key.Value, value, shortened(text, maxReference), lateText)
		case strings.Contains(key.Value, "{{") && text != "" && !c.isLabels() && (c.isContainer() || strings.ContainsAny(text, "/:") && !c.isArgument()):
			if _, err := f.parse(text); err == nil || isTemplate(text) {
				f.addUnresolved(c, key.Value, value, text, lateKey)
			}
		}
	}
	if image := resolve(get(c.node, "image")); strings.Contains(c.key, "{{") && c.object.scope == scopeTyped && scalar(image) != "" {
		f.addUnresolved(c, "image", image, scalar(image), lateKey)
	}
}

// expressionIn gives the text of an expression that reads as a mapping.
func expressionIn(node *yamlnode.Node) string {
	if node.Kind == yamlnode.MappingNode && len(node.Content) > 0 {
		return keyOf(node.Content[0])
	}
	return ""
}

// isKnownText reports a text that is one expression for parameters whose values the manifest gives, where they are read.
func (f *imageFinder) isKnownText(c *cursor, text string) bool {
	if len(text) > maxFilled || !oneExpression().MatchString(text) || !isArgoWorkflow(c.object) {
		return false
	}
	filled, missing := f.fillIn(c, strings.TrimSpace(text))
	for _, x := range filled {
		if !f.spend(x.text) || !f.workflowOf(c.object).isParameter(x.node) || !strings.HasPrefix(strings.TrimSpace(x.text), "{") && !looksLikeManifest(x.text) {
			return false
		}
	}
	return missing == "" && len(filled) > 0
}

// isParameter reports the value or the default of a parameter of the workflow or of its templates.
func (w *workflow) isParameter(node *yamlnode.Node) bool {
	if w.parameters == nil {
		w.parameters = make(map[*yamlnode.Node]bool)
		w.addParameters(w.object.root.node, 0)
	}
	return w.parameters[node]
}

func (w *workflow) addParameters(node *yamlnode.Node, depth int) {
	for _, field := range []string{"arguments", "inputs"} {
		if list := resolve(get(get(node, field), "parameters")); isList(list) {
			for _, parameter := range list.Content {
				w.parameters[resolve(get(parameter, "value"))] = true
				w.parameters[resolve(get(parameter, "default"))] = true
			}
		}
	}
	delete(w.parameters, nil)
	for i := 0; i < len(node.Content) && depth < maxDepth; i++ {
		w.addParameters(node.Content[i], depth+1)
	}
}

// patchedLater reports the main container of a template whose pod is patched by a text that only the running workflow
// knows, as Kubeflow Pipelines does to set the image.
func (f *imageFinder) patchedLater(c *cursor) bool {
	if !isArgoWorkflow(c.object) || c.parent == nil || c.src != c.object.root.src {
		return false
	}
	template := c.parent
	if c.index >= 0 {
		if template.key != "containerSet" {
			return false
		}
		template = template.parent
	}
	if patch := resolve(get(template.node, "podSpecPatch")); scalar(patch) != "" && f.mayReplace(template, patch) {
		return true
	}
	for _, patch := range f.workflowOf(c.object).patches {
		if f.mayReplace(template, patch) {
			return true
		}
	}
	return false
}

// patchKind is what the expressions in the patch of a pod may stand for.
type patchKind int

const (
	patchUnread     patchKind = iota
	patchHarmless             // nothing that has to do with images
	patchExpression           // it is one expression
	patchHarmful              // a container, an image, or nobody knows what
)

// mayReplace reports the patch of a pod that may name other containers and images than can be read in it.
func (f *imageFinder) mayReplace(c *cursor, patch *yamlnode.Node) bool {
	kind := f.patches[patch]
	if kind == patchUnread {
		if f.patches == nil {
			f.patches = make(map[*yamlnode.Node]patchKind)
		}
		kind = kindOfPatch(c, patch.Value)
		f.patches[patch] = kind
	}
	return kind == patchHarmful || kind == patchExpression && !f.isKnownText(c, patch.Value)
}

// lateMark is in what stands for an expression.
const lateMark = "{{"

func kindOfPatch(c *cursor, text string) patchKind {
	switch {
	case !strings.Contains(text, lateMark):
		return patchHarmless
	case len(text) <= maxFilled && oneExpression().MatchString(text):
		return patchExpression
	}
	doc := &document{pass: c.src.doc.pass}
	doc.Text = []byte(text)
	nodes, err := doc.nodes()
	if err != nil {
		doc.Text = templateExpression().ReplaceAll(doc.Text, []byte(`"`+lateMark+`"`))
		nodes, err = doc.nodes()
	}
	if err == nil && len(nodes) == 1 && isHarmless("", content(nodes[0]), 0) {
		return patchHarmless
	}
	return patchHarmful
}

// isHarmless reports a part of a patch whose expressions stand for values of fields that hold neither a container nor
// an image.
func isHarmless(key string, node *yamlnode.Node, depth int) bool {
	node = resolve(node)
	holdsImages := key == "" || key == "image" || containerLists[key]
	if depth > maxDepth {
		return false
	}
	switch node.Kind {
	case yamlnode.ScalarNode:
		return !holdsImages || !strings.Contains(node.Value, lateMark)
	case yamlnode.SequenceNode:
		for _, item := range node.Content {
			if !isHarmless(key, item, depth+1) {
				return false
			}
		}
	case yamlnode.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			field := resolve(node.Content[i])
			if field.Kind != yamlnode.ScalarNode { // an expression without quotes reads as a mapping in a mapping
				return !holdsImages
			}
			if strings.Contains(field.Value, lateMark) || !isHarmless(field.Value, node.Content[i+1], depth+1) {
				return false
			}
		}
	}
	return true
}

// readEventParameter reads where a Sensor of Argo Events puts what an event says. If that is a kind, or a part with
// containers, nobody knows which images the object has.
func (f *imageFinder) readEventParameter(c *cursor) {
	if c.object.Group != "argoproj.io" || c.object.Kind != "Sensor" || c.key != "parameters" || c.index < 0 {
		return
	}
	dest := resolve(get(c.node, "dest"))
	path := strings.TrimRight(scalar(dest), ".0123456789-")
	name := path[strings.LastIndexByte(path, '.')+1:]
	if scalar(dest) != "" && (eventFields[name] || containerLists[name]) {
		f.addUnresolved(c, "dest", dest, shortened(scalar(dest), maxReference), "the event says what stands there, and which images it names")
	}
}

// eventArgument is where an event puts the value of an argument of a workflow.
var eventArgument = pattern.New(`\.arguments\.parameters\.(\d{1,6})(?:\.value)?$`)

// maxEventParameters bounds the parameters of a trigger that are looked through for each workflow in it. With more any
// argument may come from an event.
const maxEventParameters = 100

// addReplaced adds the values among the arguments of a workflow in a Sensor that an event gives.
func (w *workflow) addReplaced(arguments *yamlnode.Node) {
	list := resolve(arguments)
	for at := w.object.root.parent; at != nil && isList(list); at = at.parent {
		parameters := resolve(at.get("parameters"))
		if at.object.Kind != "Sensor" || !isList(parameters) {
			continue
		}
		if len(parameters.Content) > maxEventParameters {
			w.allReplaced = true
			return
		}
		for _, parameter := range parameters.Content {
			match := eventArgument().FindStringSubmatch(scalar(get(parameter, "dest")))
			if match == nil {
				continue
			}
			if n, err := strconv.Atoi(match[1]); err == nil && n < len(list.Content) {
				if w.replaced == nil {
					w.replaced = make(map[*yamlnode.Node]bool)
				}
				w.replaced[resolve(get(list.Content[n], "value"))] = true
			}
		}
	}
}

// eventFields are the fields, beside lists of containers, that decide which images an object has.
var eventFields = map[string]bool{
	"": true, "apiVersion": true, "kind": true, "spec": true, "template": true, "templates": true, "jobTemplate": true, "workflowSpec": true,
	"container": true, "script": true, "containerSet": true, "steps": true, "tasks": true, "dag": true, "inline": true, "image": true,
	"manifest": true, "podSpecPatch": true, "items": true, "source": true, "resource": true, "k8s": true, "argoWorkflow": true,
	"templateDefaults": true, "workflowTemplateRef": true, "templateRef": true,
}
