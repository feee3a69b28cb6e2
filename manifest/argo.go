package manifest

import (
	"strings"

	yamlnode "go.yaml.in/yaml/v3"

	"github.com/sut-bench/helmexec/internal/pattern"
)

// The expressions of Argo whose values a workflow can give. The groups hold the name.
var (
	workflowParameter = pattern.New(`\{\{=?\s*workflow\.parameters(?:\.([A-Za-z0-9_-]+)|\[['"]([^'"\[\]]+)['"]\])\s*\}\}`)
	inputParameter    = pattern.New(`\{\{=?\s*inputs\.parameters(?:\.([A-Za-z0-9_-]+)|\[['"]([^'"\[\]]+)['"]\])\s*\}\}`)
	loopItem          = pattern.New(`\{\{=?\s*item(?:\.([A-Za-z0-9_-]+)|\[['"]([^'"\[\]]+)['"]\])?\s*\}\}`)
)

// workflow is what filling in takes of an Argo workflow.
type workflow struct {
	object      *object
	arguments   []*yamlnode.Node        // lists of parameters; what a workflow says itself comes before what it was made of
	replaced    map[*yamlnode.Node]bool // values in whose place an event puts another
	allReplaced bool                    // or all of them
	entrypoint  string
	templates   map[string]*yamlnode.Node
	patches     []*yamlnode.Node          // of the pods of every template
	calls       map[string][]templateCall // by the name of the template
	parameters  map[*yamlnode.Node]bool   // values and defaults, once one was looked up
}

// templateCall is a step or a task that runs a template.
type templateCall struct {
	node   *yamlnode.Node
	caller string // name of the template that it is in; empty for one without a name
}

// workflowOf reads the templates of a workflow and who calls them. It remembers those of each object.
func (f *imageFinder) workflowOf(o *object) *workflow {
	if w := f.workflows[o]; w != nil {
		return w
	}
	w := &workflow{object: o, templates: make(map[string]*yamlnode.Node), calls: make(map[string][]templateCall)}
	if f.workflows == nil {
		f.workflows = make(map[*object]*workflow)
	}
	f.workflows[o] = w
	status := get(o.root.node, "status")
	spec := get(o.root.node, "spec")
	for _, spec := range []*yamlnode.Node{spec, get(spec, "workflowSpec"), get(status, "storedWorkflowTemplateSpec")} {
		if parameters := get(get(spec, "arguments"), "parameters"); parameters != nil {
			w.arguments = append(w.arguments, parameters)
			w.addReplaced(parameters)
		}
		if w.entrypoint == "" {
			w.entrypoint = scalar(get(spec, "entrypoint"))
		}
		for _, patched := range []*yamlnode.Node{spec, get(spec, "templateDefaults")} {
			if patch := resolve(get(patched, "podSpecPatch")); scalar(patch) != "" {
				w.patches = append(w.patches, patch)
			}
		}
		w.addTemplates(get(spec, "templates"))
	}
	w.addTemplates(get(status, "storedTemplates"))
	return w
}

// addTemplates adds the templates of a list, or of a mapping from names to templates.
func (w *workflow) addTemplates(list *yamlnode.Node) {
	if list = resolve(list); list == nil {
		return
	}
	for _, template := range list.Content {
		name := scalar(get(template, "name"))
		if _, known := w.templates[name]; name == "" || known {
			continue
		}
		w.templates[name] = template
		w.addCalls(name, get(template, "steps"))
		w.addCalls(name, get(get(template, "dag"), "tasks"))
	}
}

func (w *workflow) addCalls(caller string, steps *yamlnode.Node) {
	if steps = resolve(steps); steps == nil || steps.Kind != yamlnode.SequenceNode {
		return
	}
	for _, step := range steps.Content {
		step = resolve(step)
		if name := scalar(get(step, "template")); name != "" {
			w.calls[name] = append(w.calls[name], templateCall{step, caller})
		}
		if step.Kind == yamlnode.SequenceNode { // steps that run side by side
			for _, step := range step.Content {
				if name := scalar(get(step, "template")); name != "" {
					w.calls[name] = append(w.calls[name], templateCall{resolve(step), caller})
				}
			}
		}
	}
}

// fillFromWorkflow fills in the expressions of the workflow around c: with its arguments, and with those that its
// templates are called with, once for each call and each item of a loop that the manifest lists.
func (f *imageFinder) fillFromWorkflow(c *cursor, texts []filling) []filling {
	w := f.workflowOf(c.object)
	expansion := &workflowExpansion{finder: f, workflow: w, seen: make(map[workflowState]bool)}
	template, call := f.templateOf(c)
	for _, x := range texts {
		if call != nil {
			expansion.ofCall(template, *call, x)
		} else {
			expansion.ofTemplate(scalar(f.get(template, "name")), x)
		}
	}
	return expansion.texts
}

// templateOf finds the template of an Argo workflow around c, and the call where it is written into one.
func (f *imageFinder) templateOf(c *cursor) (*yamlnode.Node, *templateCall) {
	for at := c; at != nil && at != c.object.root; at = at.parent {
		switch {
		case at.key == "templates" && at.index >= 0, at.parent.key == "storedTemplates":
			return at.node, nil
		case at.key == "inline" && at.index < 0:
			outer, _ := f.templateOf(at.parent)
			return at.node, &templateCall{at.parent.node, scalar(f.get(outer, "name"))}
		}
	}
	return nil, nil
}

// workflowExpansion collects the texts that one text stands for.
type workflowExpansion struct {
	finder   *imageFinder
	workflow *workflow
	seen     map[workflowState]bool
	depth    int // of calls
	texts    []filling
}

// workflowState is a text in a template, and the scalar that holds it.
type workflowState struct {
	template, text string
	node           *yamlnode.Node
}

// maxCalls bounds how many calls deep a text is followed.
const maxCalls = 100

// ofTemplate expands a text of the template of a name.
func (e *workflowExpansion) ofTemplate(name string, x filling) {
	w, f := e.workflow, e.finder
	x, _ = f.replace(x, workflowParameter, w.argument(f))
	state := workflowState{name, x.text, x.node}
	if e.seen[state] {
		return
	}
	e.seen[state] = true
	calls := w.calls[name]
	if !f.spend(x.text) {
		e.texts = append(e.texts, x)
		return
	}
	if len(calls) == 0 || e.depth > maxCalls || len(x.text) > maxFilled || !inputParameter().MatchString(x.text) && !loopItem().MatchString(x.text) {
		x, _ = f.replace(x, inputParameter, func(input string) filling {
			if v := w.argument(f)(input); name == w.entrypoint && v.text != "" {
				return v
			}
			return w.input(f, w.templates[name], input)
		})
		x, _ = f.replace(x, workflowParameter, w.argument(f))
		e.texts = append(e.texts, x)
		return
	}
	e.depth++
	for _, call := range calls {
		e.ofCall(w.templates[name], call, x)
		if f.fills < 0 {
			break
		}
	}
	e.depth--
}

// ofCall expands a text of a template for one of the calls of it.
func (e *workflowExpansion) ofCall(template *yamlnode.Node, call templateCall, x filling) {
	w, f := e.workflow, e.finder
	if !f.spend(x.text) {
		e.texts = append(e.texts, x)
		return
	}
	arguments := f.get(f.get(call.node, "arguments"), "parameters")
	x, complete := f.replace(x, inputParameter, func(name string) filling {
		if value := f.get(f.named(arguments, name), "value"); value != nil {
			return w.object.value(value)
		}
		return w.input(f, template, name)
	})
	switch {
	case !complete:
		e.texts = append(e.texts, x)
	case loopItem().MatchString(x.text):
		e.ofItems(call, x)
	default:
		e.ofTemplate(call.caller, x)
	}
}

// ofItems expands a text of a step or task for each item that it loops over.
func (e *workflowExpansion) ofItems(call templateCall, x filling) {
	w, f := e.workflow, e.finder
	items, own := w.items(f, call.node)
	unknown := len(items) == 0
	for _, item := range items {
		text, complete := f.replace(x, loopItem, func(name string) filling {
			value := item
			if name != "" {
				value = f.get(item, name)
			}
			v := w.object.value(value)
			if !own {
				v.node = nil
			}
			return v
		})
		if f.fills < 0 {
			unknown = true
			break
		}
		if unknown = unknown || !complete; complete {
			e.ofTemplate(call.caller, text)
		}
	}
	if unknown {
		e.texts = append(e.texts, x)
	}
}

// argument gives the values of the workflow's parameters.
func (w *workflow) argument(f *imageFinder) func(name string) filling {
	return func(name string) filling {
		for _, parameters := range w.arguments {
			if parameter := f.named(parameters, name); parameter != nil {
				if value := resolve(f.get(parameter, "value")); !w.allReplaced && !w.replaced[value] {
					return w.object.value(value)
				}
				return filling{}
			}
		}
		return filling{}
	}
}

// input gives the value that a template has for one of its inputs, if nobody gives another.
func (w *workflow) input(f *imageFinder, template *yamlnode.Node, name string) filling {
	parameter := f.named(f.get(f.get(template, "inputs"), "parameters"), name)
	if v := w.object.value(f.get(parameter, "value")); v.text != "" {
		return v
	}
	return w.object.value(f.get(parameter, "default"))
}

// items lists what a step or task loops over, if the manifest says it. own tells that they are nodes of the manifest,
// and not read from a text.
func (w *workflow) items(f *imageFinder, step *yamlnode.Node) (items []*yamlnode.Node, own bool) {
	if list := resolve(f.get(step, "withItems")); list != nil && list.Kind == yamlnode.SequenceNode {
		return list.Content, true
	}
	text, _ := f.replace(w.object.value(f.get(step, "withParam")), workflowParameter, w.argument(f))
	if text.node == nil || !strings.HasPrefix(strings.TrimSpace(text.text), "[") {
		return nil, false
	}
	items, known := f.jsonLists[text.node]
	if !known {
		if lists, err := w.object.root.src.doc.pass.Parse([]byte(text.text)); err == nil && len(lists) > 0 {
			new(folder).fold(lists[0])
			items = content(lists[0]).Content
		}
		if f.jsonLists == nil {
			f.jsonLists = make(map[*yamlnode.Node][]*yamlnode.Node)
		}
		f.jsonLists[text.node] = items
	}
	return items, false
}

// readArgument reads a mapping of the JSON that an argument of a workflow holds.
func (f *imageFinder) readArgument(c *cursor) {
	if get(c.node, "command") != nil || get(c.node, "args") != nil {
		f.field(c, "image", ImageSure) // a container of Kubeflow Pipelines
	} else {
		f.field(c, "image", imageNamed)
	}
}
