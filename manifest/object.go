package manifest

import (
	"slices"
	"strings"

	"github.com/sut-bench/helmexec/internal/redact"
)

// ObjectRef names an object of a cluster.
type ObjectRef struct {
	Group, Version, Kind string
	Namespace, Name      string // Name is the generateName if an object has no name
}

// String returns "group/Kind namespace/name" without empty parts, printable.
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

// In fills in the namespace in which an object without one is created. Kubernetes' own kinds without a namespace stay
// without; for a custom resource the manifest does not say, so it gets the namespace.
func (r ObjectRef) In(namespace string) ObjectRef {
	if r.Namespace == "" && r.Scope() != ClusterScope {
		r.Namespace = namespace
	}
	return r
}

// SplitAPIVersion splits an apiVersion into the group, "" for the core group, and the version.
func SplitAPIVersion(apiVersion string) (group, version string) {
	if slash := strings.IndexByte(apiVersion, '/'); slash >= 0 {
		return apiVersion[:slash], apiVersion[slash+1:]
	}
	return "", apiVersion
}

// Place is where in a manifest something was found.
type Place struct {
	Object    ObjectRef
	Document  int    // number of the document in the stream, from 1
	Line      int    // line of the stream, from 1
	Path      string // from the object, such as spec.template.spec.containers[0].image
	Container string // name of the container, if there is one
	// Hooks are the events of helm.sh/hook, such as pre-install; empty for what is not a hook. Helm takes a List for one
	// hook or for none: annotations of its items do not count.
	Hooks []string
	// Annotations are those of Helm ("helm.sh/…"), read as the hooks are. Only Index sets them.
	Annotations map[string]string
}

// IsHook reports whether the object is a hook of the chart.
func (p Place) IsHook() bool { return len(p.Hooks) > 0 }

// MadeAnew reports a hook before which Helm deletes what has its name, as it does by default. It needs Annotations.
func (p Place) MadeAnew() bool {
	policies, given := p.Annotations["helm.sh/hook-delete-policy"]
	return p.IsHook() && (!given || slices.ContainsFunc(strings.Split(policies, ","), func(policy string) bool {
		return strings.EqualFold(strings.TrimSpace(policy), "before-hook-creation")
	}))
}

// IsTest reports whether the object only runs in helm test.
func (p Place) IsTest() bool {
	for _, hook := range p.Hooks {
		if hook != "test" && hook != "test-success" && hook != "test-failure" {
			return false
		}
	}
	return len(p.Hooks) > 0
}
