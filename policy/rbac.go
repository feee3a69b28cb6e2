package policy

import (
	"maps"
	"slices"
	"strings"

	"github.com/sut-bench/helmexec/plan"
)

// RBAC allows roles and bindings that reach no further than the release: roles may read what is no secret, write
// ConfigMaps, Events and Leases, and read the Secrets of the plan by name. So they have no wildcards, do not escalate, bind or
// impersonate, read no Secrets of others, open no shell in a pod and make no pods that no plan shows. Who writes a Secret
// can make it the record of a release, which Helm then obeys. Bindings are to
// roles of the plan or to the ClusterRole view, for ServiceAccounts of its namespace.
func RBAC() plan.Rule { return rbac().rule() }

func rbac() check {
	return check{"rbac", func(v *view) {
		for _, s := range v.subjects {
			if s.ref.Group != "rbac.authorization.k8s.io" {
				continue
			}
			switch s.ref.Kind {
			case "Role", "ClusterRole":
				for _, rule := range s.root.get("rules").items() {
					roleRule(rule)
				}
				aggregation(s)
			case "RoleBinding", "ClusterRoleBinding":
				binding(s)
			}
		}
	}}
}

// aggregation reports a role that takes the rules of others, or gives its own to them.
func aggregation(s *subject) {
	if f := s.root.get("aggregationRule"); f.value != nil {
		f.fault("takes the rules of other roles")
	}
	labels := s.root.at("metadata", "labels")
	for _, key := range slices.Sorted(maps.Keys(labels.keys())) {
		if strings.HasPrefix(key, "rbac.authorization.k8s.io/aggregate-to-") {
			labels.get(key).fault("gives its rules to a role of the cluster")
		}
	}
}

var (
	readVerbs  = []string{"get", "list", "watch"}
	writeVerbs = []string{"create", "update", "patch", "delete", "deletecollection"}
	// writable are the resources that a release may need to write and that run nothing.
	writable = []string{"/configmaps", "/events", "events.k8s.io/events", "coordination.k8s.io/leases"}
)

func roleRule(rule *field) {
	groups, resources, verbs := rule.get("apiGroups"), rule.get("resources"), rule.get("verbs")
	wild := false
	for _, list := range []*field{groups, resources, verbs} {
		for _, f := range list.items() {
			if strings.Contains(f.text(), "*") {
				f.fault("is a wildcard")
				wild = true
			}
		}
	}
	if f := rule.get("nonResourceURLs"); len(f.items()) > 0 {
		f.fault("gives access to addresses of the API server")
	}
	writes := false
	for _, f := range verbs.items() {
		switch verb := f.text(); {
		case slices.Contains(readVerbs, verb) || strings.Contains(verb, "*"):
		case slices.Contains(writeVerbs, verb):
			writes = true
		default:
			f.fault("is a verb that gives more than its role says")
		}
	}
	if wild {
		return
	}
	in := groups.texts()
	slices.Sort(in)
	in = slices.Compact(in)
	names := rule.get("resourceNames").items()
	secrets := false
	for _, f := range resources.items() {
		resource, part, _ := strings.Cut(f.text(), "/")
		switch {
		case part != "" && part != "status" && part != "log":
			f.fault("is a part of an object that gives more than its role says")
		case resource == "secrets":
			secrets = true
			switch {
			case writes:
				f.fault("can be written: Helm would take one with its labels for the record of a release")
			case len(names) == 0:
				f.fault("are the Secrets of everybody in the namespace")
			}
		case writes && slices.ContainsFunc(in, func(group string) bool { return !slices.Contains(writable, group+"/"+resource) }):
			f.fault("can be written: what comes of it no plan shows")
		}
	}
	for _, name := range names {
		if secrets && !name.of.owns("Secret", name.text()) {
			name.fault("is a Secret that is not in the plan")
		}
	}
}

func binding(s *subject) {
	kind, name := s.root.at("roleRef", "kind"), s.root.at("roleRef", "name")
	switch kind.text() {
	case "Role":
		if !s.owns("Role", name.text()) {
			name.fault("is a role that is not in the plan")
		}
	case "ClusterRole":
		if !s.owns("ClusterRole", name.text()) && (name.text() != "view" || s.ref.Kind != "RoleBinding") {
			name.fault("is a ClusterRole that is not in the plan")
		}
	default:
		kind.fault("is not a kind of role")
	}
	for _, who := range s.root.get("subjects").items() {
		kind, namespace := who.get("kind"), who.get("namespace")
		switch {
		case kind.text() != "ServiceAccount":
			kind.fault("is somebody outside of the release")
		case namespace.text() != s.view.plan.Namespace && namespace.text() != "":
			namespace.fault("is not the namespace of the release")
		}
	}
}
