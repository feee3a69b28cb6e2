package manifest

import (
	"strings"

	yamlnode "go.yaml.in/yaml/v3"

	"github.com/sut-bench/helmexec/internal/pattern"
)

// placeholder is text that something replaces before the image is pulled: {{…}} of Argo and others, $(…) of Tekton,
// ${…} of OpenShift, kro and shells, $NAME.
var placeholder = pattern.New(`\{\{[^{}]*\}\}|\$\{\{[^{}]*\}\}|\$\{[^{}]*\}|\$\([^()]*\)|\$[A-Za-z_][A-Za-z0-9_]*`)

// isTemplate reports text with a placeholder, which no reference holds.
func isTemplate(image string) bool {
	return (strings.IndexByte(image, '$') >= 0 || strings.Contains(image, "{{")) && placeholder().MatchString(image)
}

// filling is a text whose placeholders are being filled in.
type filling struct {
	text string

	node   *yamlnode.Node   // the scalar that holds all of the text; nil where the text is put together
	others []*yamlnode.Node // which hold it as well
	src    *source
	start  int // of the text in the scalar
}

// as gives the image that a filled text is, at the place of the one that it was filled into.
func (x filling) as(found foundImage) foundImage {
	found.Image, found.parts = x.text, nil
	if x.node != nil {
		found.src = x.src
		for _, node := range append([]*yamlnode.Node{x.node}, x.others...) {
			found.parts = append(found.parts, imagePart{role: partWhole, node: node, start: x.start, end: x.start + len(x.text)})
		}
	}
	return found
}

// bounds on filling in: a longer text is no image, and a document has so many steps and one for each 8 bytes
const (
	maxFilled = 1000
	minFills  = 1000
)

// spend takes what it costs to look for expressions in a text from what is left for the document. It reports whether
// there was enough.
func (f *imageFinder) spend(text string) bool {
	f.fills -= 1 + len(text)/100
	return f.fills >= 0
}

// fillIn replaces the placeholders of a text by what the objects around c say of them. It gives each text that comes
// out, and in missing the reason why there may be others that cannot be told.
func (f *imageFinder) fillIn(c *cursor, image string) (filled []filling, missing string) {
	pending := []filling{{text: image}}
	at := c
	for at != nil && at.object != nil && len(image) <= maxFilled && f.fills > 0 {
		o := at.object
		f.fills -= len(pending)
		switch {
		case isArgoWorkflow(o):
			pending = f.fillFromWorkflow(at, pending)
		case o.Kind == "Template" && (o.Group == "" || o.Group == "template.openshift.io"):
			parameters := f.get(o.root.node, "parameters")
			f.substitute(pending, openShiftParameter, func(name string) filling {
				return o.value(f.get(f.named(parameters, name), "value"))
			})
		case o.Group == "kro.run":
			f.hintDefault(o, image)
		default:
			f.substitute(pending, parameter, func(name string) filling { return f.parameterValue(at, name) })
			f.substitute(pending, chartValue, func(name string) filling { return o.value(f.at(o, "spec."+name)) })
		}
		f.substitute(pending, nameOfField, func(name string) filling { return o.value(f.fieldCalled(o, name)) })
		at = o.root.parent
	}
	for _, x := range pending {
		// A value too long for an image may be that of many placeholders: it is not searched again and again.
		left := ""
		if x.node == nil || len(x.text) <= maxFilled {
			left = placeholder().FindString(x.text)
		}
		if left != "" {
			missing = "nothing in the manifest says what " + shortened(left, maxPathPart) + " stands for"
		} else {
			filled = append(filled, x)
		}
	}
	return alike(filled), missing
}

// alike makes one filling of those with the same text. What holds it may be several scalars.
func alike(texts []filling) []filling {
	at := make(map[string]int, len(texts))
	merged := texts[:0]
	for _, x := range texts {
		i, known := at[x.text]
		if !known {
			at[x.text] = len(merged)
			merged = append(merged, x)
			continue
		}
		switch same := &merged[i]; {
		case same.node == nil || x.node == nil || same.src != x.src:
			same.node, same.others = nil, nil
		case same.node != x.node:
			same.others = append(same.others, x.node)
		}
	}
	return merged
}

// value is a scalar of the object as a filling; an empty one for nil.
func (o *object) value(node *yamlnode.Node) filling {
	return filling{text: scalar(node), node: resolve(node), src: o.root.src}
}

// substitute fills in the expressions of a pattern, whose groups hold the name, in each text. What has no value stays.
func (f *imageFinder) substitute(texts []filling, re pattern.Pattern, value func(name string) filling) {
	for i := range texts {
		texts[i], _ = f.replace(texts[i], re, value)
	}
}

// replace fills in the expressions of a pattern in a text. It reports whether all of them have a value.
func (f *imageFinder) replace(x filling, re pattern.Pattern, value func(name string) filling) (filling, bool) {
	if len(x.text) > maxFilled {
		return x, false
	}
	complete := true
	from := x.text
	for _, at := range re().FindAllStringSubmatchIndex(from, -1) {
		expression, name := from[at[0]:at[1]], ""
		for group := 2; group+1 < len(at); group += 2 {
			if at[group] >= 0 {
				name = from[at[group]:at[group+1]]
			}
		}
		if !f.spend(x.text) {
			return x, false
		}
		v := value(name)
		if expression == from && v.text != "" {
			return v, len(v.text) <= maxFilled
		}
		if v.text == "" || len(x.text)+len(v.text) > maxFilled {
			complete = false
			continue
		}
		x = filling{text: strings.ReplaceAll(x.text, expression, v.text)}
	}
	return x, complete
}

// named finds the mapping of a list whose field name has the given value, as in lists of parameters.
func (f *imageFinder) named(list *yamlnode.Node, name string) *yamlnode.Node {
	if list = resolve(list); list == nil || list.Kind != yamlnode.SequenceNode {
		return nil
	}
	index := f.indexes[list]
	if index == nil {
		index = make(map[string]*yamlnode.Node, len(list.Content))
		for _, item := range list.Content {
			index[scalar(get(item, "name"))] = resolve(item)
		}
		f.remember(list, index)
	}
	return index[name]
}

func (f *imageFinder) remember(node *yamlnode.Node, index map[string]*yamlnode.Node) {
	if f.indexes == nil {
		f.indexes = make(map[*yamlnode.Node]map[string]*yamlnode.Node)
	}
	f.indexes[node] = index
}

// The expressions, but for those of Argo, whose values a manifest can give. The groups hold the name.
var (
	parameter          = pattern.New(`\$\((?:inputs\.|tt\.)?params(?:\.([A-Za-z0-9_-]+)|\[["']([^"'\[\]]+)["']\])\)`)
	openShiftParameter = pattern.New(`\$\{\{?([A-Za-z0-9_]+)\}?\}`)
	chartValue         = pattern.New(`\{\{-?\s*\.Values\.([A-Za-z0-9_.]+)\s*-?\}\}`)
	kroField           = pattern.New(`\$\{schema\.spec\.([A-Za-z0-9_.]+)\}`)
	kroDefault         = pattern.New(`\bdefault=(?:"([^"]*)"|([^\s"|]+))`)
	nameOfField        = pattern.New(`\{\{\s*([A-Za-z][A-Za-z0-9]*(?:[_-][A-Za-z0-9]+)+)\s*\}\}|\$[{(]([A-Za-z][A-Za-z0-9]*(?:[_-][A-Za-z0-9]+)+)[})]`)
)

// parameterValue is the value that a run of Tekton, or of a tool like it, gives to a parameter, or that a pipeline gives
// to that of its task, and else its default.
func (f *imageFinder) parameterValue(c *cursor, name string) filling {
	var otherwise filling
	for at := c; at != nil && at.object == c.object && f.fills > 0; at = at.parent {
		f.fills--
		if f.named(f.get(f.get(at.node, "matrix"), "params"), name) != nil {
			return filling{} // several values
		}
		declared := f.named(f.get(at.node, "params"), name)
		if declared == nil {
			declared = f.named(f.get(at.node, "parameters"), name)
		}
		if value := c.object.value(f.get(declared, "value")); value.text != "" {
			if at.parent != nil && at.parent.object == c.object && isTemplate(value.text) {
				value, _ = f.replace(value, parameter, func(name string) filling { return f.parameterValue(at.parent, name) })
			}
			return value
		}
		if value := c.object.value(f.get(declared, "default")); value.text != "" && otherwise.text == "" {
			otherwise = value
		}
	}
	return otherwise
}

// at finds what a path leads to in an object.
func (f *imageFinder) at(o *object, path string) *yamlnode.Node {
	node := o.root.node
	for _, key := range strings.Split(path, ".") {
		node = resolve(f.get(node, key))
	}
	return node
}

// fieldCalled finds the field of an object that is called like a placeholder: sparkVersion for SPARK_VERSION. It gives
// nil where several fields are called so and differ.
func (f *imageFinder) fieldCalled(o *object, name string) *yamlnode.Node {
	fields := f.fields[o]
	if fields == nil {
		fields = make(map[string]*yamlnode.Node)
		if f.fields == nil {
			f.fields = make(map[*object]map[string]*yamlnode.Node)
		}
		f.fields[o] = fields
		f.indexFields(fields, o.root.node, 0)
	}
	return fields[plainName(name)]
}

func (f *imageFinder) indexFields(fields map[string]*yamlnode.Node, node *yamlnode.Node, depth int) {
	for i := 0; i < len(node.Content) && depth < maxDepth && f.fieldVisits > 0; i++ {
		f.fieldVisits--
		value := node.Content[i]
		if node.Kind == yamlnode.MappingNode && i%2 == 1 && scalar(value) != "" {
			name := plainName(keyOf(node.Content[i-1]))
			if other, known := fields[name]; !known {
				fields[name] = value
			} else if scalar(other) != scalar(value) {
				fields[name] = nil
			}
		}
		f.indexFields(fields, value, depth+1)
	}
}

var plainNames = strings.NewReplacer("_", "", "-", "")

func plainName(name string) string { return strings.ToLower(plainNames.Replace(name)) }

// hintDefault gives what an image is if every field of kro's schema that it takes has its default. Instances may name
// another.
func (f *imageFinder) hintDefault(o *object, image string) {
	if !f.hints || f.hinted[image] {
		return
	}
	var place Place
	filled, complete := f.replace(filling{text: image}, kroField, func(field string) filling {
		path := "spec.schema.spec." + field
		node := f.at(o, path)
		if len(scalar(node)) > maxFilled {
			return filling{}
		}
		at := kroDefault().FindStringSubmatchIndex(scalar(node))
		if at == nil {
			return filling{}
		}
		place = o.root.place(path, node)
		from, to := max(at[2], at[4]), max(at[3], at[5])
		return filling{text: node.Value[from:to], node: node, src: o.root.src, start: from}
	})
	if !complete || isTemplate(filled.text) {
		return
	}
	f.add(o.root, filled.as(foundImage{ImageUse: ImageUse{Place: place}, class: classHint}))
	if f.hinted == nil {
		f.hinted = make(map[string]bool)
	}
	f.hinted[image] = true
}
