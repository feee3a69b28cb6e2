package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/pattern"
	"github.com/sut-bench/helmexec/manifest"
)

// Validate refuses options that no plan can be held against as they are meant: limits that are no amounts, and places, kinds
// and references that nothing in a cluster has. Tenant itself would refuse every chart for them, or none. A program that
// takes its rules from a file or from flags calls it first.
//
// Errors: helmexec.ErrInvalidArgument.
func (o TenantOptions) Validate() error {
	for _, place := range o.Registries {
		if err := validatePlace(place); err != nil {
			return err
		}
	}
	for _, kind := range o.Kinds {
		if err := validateKind(kind); err != nil {
			return err
		}
		group, name, inGroup := strings.Cut(kind, "/")
		if !inGroup {
			group, name = "", kind
		}
		if (manifest.ObjectRef{Group: group, Kind: name}).Scope() == manifest.ClusterScope {
			return errdef.Invalidf("kind %.100q is one of the whole cluster, which is never allowed in a chart: whoever owns the cluster installs it", kind)
		}
	}
	for _, reference := range o.References {
		kind, name, _ := strings.Cut(reference, "/")
		if strings.Contains(name, "/") {
			var inGroup string
			inGroup, name, _ = strings.Cut(name, "/")
			kind += "/" + inGroup
		}
		if name == "" || strings.Contains(name, "/") || validateKind(kind) != nil {
			return errdef.Invalidf(`reference %.100q: want Kind/name, or group/Kind/name for a custom resource, such as Secret/registry-login`, reference)
		}
	}
	return o.Limits.Validate()
}

// Validate refuses limits that are not amounts: a quantity that Kubernetes does not know, and what is below 0.
//
// Errors: helmexec.ErrInvalidArgument.
func (l Limits) Validate() error {
	for _, limit := range []struct{ name, text, such string }{
		{"cpu", l.CPU, "64 or 500m"}, {"memory", l.Memory, "256Gi"}, {"storage", l.Storage, "1Ti"},
	} {
		if _, ok := parseQuantity(limit.text); !ok && limit.text != "" {
			return errdef.Invalidf("limit of %s: %.100q is not a quantity of Kubernetes, such as %s", limit.name, limit.text, limit.such)
		}
	}
	amounts := map[string]int64{"pods": l.Pods, "nodes": l.Nodes}
	for name, amount := range l.GPUs {
		amounts["GPUs: "+name] = amount
	}
	for _, name := range slices.Sorted(maps.Keys(amounts)) {
		if amounts[name] < 0 {
			return errdef.Invalidf("limit of %s: %d is less than 0", name, amounts[name])
		}
	}
	return nil
}

// place is a registry with its port, and the first parts of a path.
var place = pattern.New(`^(\[[0-9a-fA-F:]+\]|[a-zA-Z0-9.-]+)(:[0-9]+)?(/[a-z0-9._-]+)*/*$`)

// validatePlace refuses what is not the beginning of the name of any image in full.
func validatePlace(text string) error {
	bad := func(format string, args ...any) error {
		return errdef.Invalidf("registry %.100q: %s", text, fmt.Sprintf(format, args...))
	}
	if _, rest, isURL := strings.Cut(text, "://"); isURL {
		return bad("the name of an image has no scheme: write %.100s", strings.TrimRight(rest, "/"))
	}
	registry, path, _ := strings.Cut(strings.TrimRight(text, "/"), "/")
	switch {
	case !place().MatchString(text):
		return bad("want host[:port], or that with the first parts of a path, such as docker.io/library")
	case registry == "index.docker.io":
		return bad("its images have another name: write %s", strings.TrimRight("docker.io/"+path, "/"))
	case registry != "localhost" && !strings.ContainsAny(registry, ".:") && registry == strings.ToLower(registry):
		return bad("a registry has a dot or a port in its name; if it is a user of Docker Hub, write docker.io/%s", strings.TrimRight(text, "/"))
	}
	return nil
}

// dotless are the groups of Kubernetes whose names have no dot. Those of custom resources must have one.
var dotless = []string{"apps", "autoscaling", "batch", "extensions", "policy"}

func validateKind(text string) error {
	group, kind, inGroup := strings.Cut(text, "/")
	if !inGroup {
		group, kind = "", text
	}
	switch {
	case kind == "" || inGroup && group == "" || strings.ContainsFunc(kind, func(r rune) bool { return r == '/' || r <= ' ' }):
		return errdef.Invalidf("kind %.100q: want Kind or group/Kind, without a version, such as argoproj.io/Workflow", text)
	case !inGroup && (kind[0] < 'A' || kind[0] > 'Z'):
		return errdef.Invalidf("kind %.100q: kinds without a group begin with a capital letter, such as Pod; others are group/Kind, such as argoproj.io/Workflow", text)
	case inGroup && !strings.Contains(group, ".") && !slices.Contains(dotless, group):
		return errdef.Invalidf("kind %.100q: there is no API group %q; that of a custom resource has a dot, such as argoproj.io/Workflow", text, group)
	}
	return nil
}
