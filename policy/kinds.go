package policy

import (
	"slices"

	"github.com/sut-bench/helmexec/manifest"
	"github.com/sut-bench/helmexec/plan"
)

// Kinds allows only objects of these kinds, in any version: "Pod", "apps/Deployment", "argoproj.io/Workflow". What a
// custom resource carries counts too, and so does a text in it that objects may be made from.
func Kinds(allowed ...string) plan.Rule { return kinds(allowed).rule() }

func kinds(allowed []string) check {
	return check{"kinds", func(v *view) {
		v.faultUnread()
		for _, s := range v.subjects {
			if !slices.Contains(allowed, s.name()) {
				s.root.get("kind").fault("is not an allowed kind")
			}
		}
	}}
}

// Namespaced allows only objects in the plan's namespace: none of another namespace, and none of the whole cluster, as
// definitions of custom resources, webhooks and ClusterRoles are. For a custom resource the plan's own definitions say
// whether it is in a namespace; for others the caller does, by naming the kind ("monitoring.coreos.com/ServiceMonitor").
func Namespaced(custom ...string) plan.Rule { return namespaced(custom).rule() }

func namespaced(custom []string) check {
	return check{"namespaced", func(v *view) {
		defined := v.definedScopes()
		for _, s := range v.subjects {
			kind, namespace := s.root.get("kind"), s.root.at("metadata", "namespace")
			scope := s.ref.Scope()
			if scope == manifest.UnknownScope {
				scope = defined[s.name()]
			}
			switch {
			case scope == manifest.ClusterScope:
				kind.fault("is a kind of the whole cluster")
			case scope == manifest.UnknownScope && !slices.Contains(custom, s.name()):
				kind.fault("may be a kind of the whole cluster: the plan does not have its definition")
			case namespace.value != nil && namespace.value != v.plan.Namespace && namespace.value != "":
				namespace.fault("is not the namespace of the release")
			}
		}
	}}
}

// definedScopes reads the scopes of custom resources from their definitions in the plan.
func (v *view) definedScopes() map[string]manifest.Scope {
	scopes := map[string]manifest.Scope{}
	for _, s := range v.subjects {
		if !s.is("apiextensions.k8s.io", "CustomResourceDefinition") || s.root.up != nil {
			continue
		}
		name, scope := s.text("spec", "group")+"/"+s.text("spec", "names", "kind"), manifest.ClusterScope
		if s.text("spec", "scope") == "Namespaced" && scopes[name] != manifest.ClusterScope {
			scope = manifest.NamespaceScope
		}
		scopes[name] = scope
	}
	return scopes
}

// hookEvents are the events of Helm; the last two are older names of the first.
var hookEvents = []string{
	"test", "pre-install", "post-install", "pre-delete", "post-delete", "pre-upgrade", "post-upgrade", "pre-rollback", "post-rollback",
	"test-success", "test-failure",
}

// Hooks allows only hooks of these events: "pre-install", "test" and so on. Without one it allows no hook. "test" also
// stands for the older names of a test.
func Hooks(allowed ...string) plan.Rule { return hooks(allowed).rule() }

func hooks(allowed []string) check {
	return check{"hooks", func(v *view) {
		for _, s := range v.subjects {
			if s.root.up != nil {
				continue
			}
			for _, event := range s.outer.Hooks {
				if event == "test-success" || event == "test-failure" {
					event = "test"
				}
				if !slices.Contains(allowed, event) {
					// The annotation may be that of a List.
					f := s.root.at("metadata", "annotations", "helm.sh/hook")
					f.value = event
					f.fault("is an event of which no hook is allowed")
				}
			}
		}
	}}
}

// Removable allows nothing by which what runs outlives the release, or goes with something else: finalizers, owners, the
// annotation helm.sh/resource-policy, names that the API server makes, pods that may take more than an hour to end, and hooks that
// go on: a hook is a pod, a job or something that does not run. Its delete policy promises nothing, since Helm deletes no hook
// if the API server refuses the next one. The claims of a StatefulSet outlive it, and so does a hook that Helm stopped waiting for.
func Removable() plan.Rule { return removable().rule() }

const maxGrace = 3600 // seconds

// passing are the kinds of hooks that end by themselves, and of those that do not run.
var passing = []string{
	"ConfigMap", "Pod", "Secret", "Service", "ServiceAccount", "batch/Job", "rbac.authorization.k8s.io/Role", "rbac.authorization.k8s.io/RoleBinding",
}

// remains reports a hook that goes on, and that Helm may leave behind.
func (s *subject) remains() bool {
	return s.outer.IsHook() && s.root.up == nil && !slices.Contains(passing, s.name())
}

func removable() check {
	return check{"removable", func(v *view) {
		for _, s := range v.subjects {
			lasting(s.root.get("metadata"))
			if f := s.root.at("metadata", "generateName"); s.root.up == nil && s.ref.Name == "" && f.value != nil {
				f.fault("lets the API server make a name, under which Helm does not find the object")
			}
			if s.remains() {
				s.root.get("kind").fault("is a hook that Helm may leave behind: only pods, jobs and what does not run are sure to end")
			}
			f := s.root.at("metadata", "annotations", "helm.sh/resource-policy")
			if policy, kept := s.outer.Annotations["helm.sh/resource-policy"]; kept && s.root.up == nil {
				f.value = policy // of a List, perhaps
			}
			if f.value != nil {
				f.fault("makes Helm leave the object behind")
			}
			if s.is("batch", "CronJob") {
				lasting(s.root.at("spec", "jobTemplate", "metadata"))
			}
		}
		for _, claim := range v.volumeClaims() {
			lasting(claim.get("metadata"))
		}
		for _, p := range v.pods {
			lasting(p.metadata)
			mayEnd := []*field{p.spec}
			for _, container := range p.containers {
				mayEnd = append(mayEnd, container.get("livenessProbe"), container.get("readinessProbe"), container.get("startupProbe"))
			}
			for _, f := range mayEnd {
				f = f.get("terminationGracePeriodSeconds")
				if seconds, ok := f.integer(); ok && seconds > maxGrace {
					f.fault("lets the pod take more than an hour to end")
				}
			}
		}
	}}
}

// lasting reports what keeps an object, or gives it to another one.
func lasting(metadata *field) {
	if f := metadata.get("finalizers"); len(f.items()) > 0 {
		f.fault("keeps the object until somebody removes it")
	}
	if f := metadata.get("ownerReferences"); len(f.items()) > 0 {
		f.fault("makes the object that of another one")
	}
}
