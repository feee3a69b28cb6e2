package gate

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Text is the limits in one line.
func (l Limits) Text() string {
	var all []string
	for _, limit := range []struct{ name, most string }{{"CPU", l.CPU}, {"memory", l.Memory}, {"storage", l.Storage}} {
		if limit.most != "" {
			all = append(all, limit.most+" "+limit.name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.GPUs)) {
		all = append(all, fmt.Sprintf("%d %s", l.GPUs[name], name))
	}
	if l.Pods > 0 {
		all = append(all, fmt.Sprintf("%d pods", l.Pods))
	}
	if l.Nodes > 0 {
		all = append(all, fmt.Sprintf("%d pods of a DaemonSet", l.Nodes))
	}
	return strings.Join(all, ", ")
}

// Text is what a policy checks, in one line.
func (p Policy) Text() string {
	images := "images from any registry"
	switch {
	case len(p.Registries) > 0:
		images = "images from " + strings.Join(p.Registries, ", ")
	case p.Registries != nil:
		images = "images from no registry"
	}
	if p.Pinned {
		images += ", by digest only"
	}
	pods := "pods of the level baseline"
	if p.Restricted {
		pods = "pods of the level restricted"
	}
	if p.NoTokens {
		pods += ", without tokens"
	}
	all := []string{images, pods}
	for _, list := range []struct {
		what  string
		names []string
	}{{"also kinds ", p.Kinds}, {"may use ", p.References}} {
		if len(list.names) > 0 {
			all = append(all, list.what+strings.Join(list.names, ", "))
		}
	}
	if limits := p.Limits.Text(); limits != "" {
		all = append(all, "at most "+limits)
	}
	switch {
	case len(p.Nodes) > 0:
		all = append(all, fmt.Sprintf("nodes: %d", len(p.Nodes)))
	case p.Nodes != nil:
		all = append(all, "no nodes")
	case p.Limits.GPUs == nil:
		all = append(all, "no accelerators, since no nodes are named")
	}
	return strings.Join(all, "; ")
}
