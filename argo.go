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
		value := workflowArgument(c.object.root.node, workflowParameter.FindStringSubmatch(expression)[1])
		if expression == text {
			argument = value
		}
		ok = ok && scalar(value) != ""
		return scalar(value)
	})
	if ok = ok && !isTemplate(filled); !ok {
		argument = nil
	}
	return filled, argument, ok
}

// workflowArgument finds the value of an argument. What a workflow says itself comes before the template it was made
// of, as in Argo.
func workflowArgument(workflow *yamlnode.Node, name string) *yamlnode.Node {
	for _, path := range []string{"spec", "spec.workflowSpec", "status.storedWorkflowTemplateSpec"} {
		node := workflow
		for _, key := range strings.Split(path+".arguments.parameters", ".") {
			node = resolve(get(node, key))
		}
		if node == nil || node.Kind != yamlnode.SequenceNode {
			continue
		}
		for _, parameter := range node.Content {
			if scalar(get(parameter, "name")) == name {
				return resolve(get(parameter, "value"))
			}
		}
	}
	return nil
}
