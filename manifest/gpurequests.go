package manifest

import (
	"cmp"
	"slices"
	"strings"

	yamlnode "go.yaml.in/yaml/v3"
)

// requests reads the accelerators of a resources field.
func (r *gpuReader) requests(c *cursor, resources *yamlnode.Node) []GPURequest {
	limits, asked := resolve(get(resources, "limits")), resolve(get(resources, "requests"))
	if limits == nil && asked == nil {
		limits = resolve(resources) // some operators do without the two
	}
	names, limitOf := extended(limits)
	others, requestOf := extended(asked)
	others = slices.DeleteFunc(others, func(name string) bool { _, limited := limitOf[name]; return limited })
	var requests []GPURequest
	for _, name := range append(names, others...) {
		limit, request := limitOf[name], requestOf[name]
		amount := request
		if request == "" {
			amount = limit
		}
		found := r.request(c, resourceName(cmp.Or(limits, asked), name), amount)
		requests = append(requests, found...)
		if len(found) == 0 || found[0].Kind == GPUOther {
			continue
		}
		switch a, _, _ := quantity(limit); {
		case limit == "":
			r.warn(c, GPUNoLimit, "%s is requested without a limit, which Kubernetes refuses", name)
		case request != "" && a != found[0].Amount:
			r.warn(c, GPULimitsDiffer, "%s has request %s and limit %s, which Kubernetes refuses", name, request, limit)
		}
	}
	return requests
}

// extended gives the extended resources of a mapping: their names in order, and the amount of each.
func extended(resources *yamlnode.Node) (names []string, amounts map[string]string) {
	resources = resolve(resources)
	if resources == nil || resources.Kind != yamlnode.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(resources.Content); i += 2 {
		name := keyOf(resources.Content[i])
		if !strings.Contains(name, "/") && name != shortGPU {
			continue
		}
		if amounts == nil {
			amounts = make(map[string]string)
		}
		if _, again := amounts[name]; !again {
			names = append(names, name)
		}
		amounts[name] = scalar(resources.Content[i+1]) // of keys that repeat the last counts
	}
	return names, amounts
}

// shortGPU is how some operators (Dynamo, Yatai) are told of GPUs, and in gpuType of the resource if it is not NVIDIA's.
const shortGPU = "gpu"

func resourceName(resources *yamlnode.Node, name string) string {
	if name == shortGPU {
		return cmp.Or(scalar(get(resources, "gpuType")), "nvidia.com/gpu")
	}
	return name
}

// request reads one amount of one resource; it is empty for what is no accelerator.
func (r *gpuReader) request(c *cursor, name, amount string) []GPURequest {
	rule, known := findGPURule(r.rules, name)
	switch {
	case !known || rule.Kind == GPUUnknown:
		r.warn(c, GPUUnknownResource, "%s: %s is an extended resource of unknown meaning", name, amount)
		return nil
	case rule.Kind == GPUNone:
		return nil
	}
	n, whole, ok := quantity(amount)
	switch {
	case !ok:
		r.warn(c, GPUBadAmount, "%s: %q is no amount", name, amount)
	case !whole:
		r.warn(c, GPUBadAmount, "%s: %s is no whole number, which Kubernetes refuses", name, amount)
	}
	if n == 0 && ok {
		return nil
	}
	return []GPURequest{{
		Container: scalar(get(c.node, "name")), Resource: name, Vendor: rule.Vendor, Kind: rule.Kind, Amount: n,
	}}
}
