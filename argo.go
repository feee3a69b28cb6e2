package helmexec

import (
	"regexp"
	"strings"

	yamlnode "go.yaml.in/yaml/v3"
)

var workflowParameter = regexp.MustCompile(`\{\{\s*workflow\.parameters\.([A-Za-z0-9_-]+)\s*\}\}`)

// fillIn replaces the parameters of the workflow around c by the arguments that its manifest gives. ok is false if any
// is not known before the workflow runs. Where the text is one parameter and nothing else, argument is its value.
func fillIn(c *cursor, text string) (filled string, argument *yamlnode.Node, ok bool) {
	if !isArgoWorkflow(c.object) {
		return "", nil, false
	}
	ok = true
	filled = workflowParameter.ReplaceAllStringFunc(text, func(expression string) string {
		value := c.object.workflowArgument(workflowParameter.FindStringSubmatch(expression)[1])
		if expression == text {
			argument = value
		}
		if ok = ok && scalar(value) != "" && len(scalar(value)) <= maxReference; !ok {
			return ""
		}
		return scalar(value)
	})
	if ok = ok && !isTemplate(filled); !ok {
		argument = nil
	}
	return filled, argument, ok
}

// workflowArgument finds the value of an argument. What a workflow says itself comes before the template it was made
// of, as in Argo.
func (o *object) workflowArgument(name string) *yamlnode.Node {
	if o.arguments == nil {
		o.arguments = make(map[string]*yamlnode.Node)
		for _, path := range []string{"spec", "spec.workflowSpec", "status.storedWorkflowTemplateSpec"} {
			node := o.root.node
			for _, key := range strings.Split(path+".arguments.parameters", ".") {
				node = resolve(get(node, key))
			}
			if node == nil || node.Kind != yamlnode.SequenceNode {
				continue
			}
			for _, parameter := range node.Content {
				name := scalar(get(parameter, "name"))
				if _, found := o.arguments[name]; !found {
					o.arguments[name] = resolve(get(parameter, "value"))
				}
			}
		}
	}
	return o.arguments[name]
}
