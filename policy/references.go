package policy

import (
	"maps"
	"slices"
	"strings"

	"github.com/sut-bench/helmexec/manifest"
	"github.com/sut-bench/helmexec/plan"
)

// References allows pods, ServiceAccounts, autoscalers and volume claims to use only what the plan has: Secrets, ConfigMaps,
// ServiceAccounts, workloads, volume claims and resource claims of others stay theirs. The same holds for the templates that
// Argo and Tekton make pods from. What a hook makes is there only for hooks of the same events with a greater weight, and
// only if Helm deletes what had its name before. The ServiceAccount default and the ConfigMap kube-root-ca.crt, which every
// namespace has, are allowed, and what the caller names as "Kind/name", or as "group/Kind/name" for a custom resource:
// "Secret/registry-login", "argoproj.io/WorkflowTemplate/shared".
func References(allowed ...string) plan.Rule { return references(allowed).rule() }

func references(allowed []string) check {
	return check{"references", func(v *view) {
		r := referrer{allowed: slices.Concat(allowed, []string{"ServiceAccount/default", "ConfigMap/kube-root-ca.crt"})}
		for _, p := range v.pods {
			r.pod(p)
		}
		for _, s := range v.subjects {
			switch {
			case s.is("", "ServiceAccount"):
				for _, list := range []string{"secrets", "imagePullSecrets"} {
					for _, f := range s.root.get(list).items() {
						r.uses("Secret", f.get("name"))
					}
				}
			case s.is("autoscaling", "HorizontalPodAutoscaler"):
				target := s.root.at("spec", "scaleTargetRef")
				group, _ := manifest.SplitAPIVersion(target.get("apiVersion").text())
				kind := target.get("kind").text()
				if (manifest.ObjectRef{Group: group, Kind: kind}).Scope() == manifest.UnknownScope && group != "" {
					kind = group + "/" + kind
				}
				r.uses(kind, target.get("name"))
			case s.ref.Group == "argoproj.io", s.ref.Group == "tekton.dev":
				s.walk(func(f *field) bool {
					r.template(f)
					return true
				})
			}
		}
		for _, claim := range v.volumeClaims() {
			r.claim(claim.get("spec"))
		}
	}}
}

type referrer struct{ allowed []string }

// uses reports a name that the plan does not have.
func (r *referrer) uses(kind string, name *field) {
	text := name.text()
	if text == "" || slices.Contains(r.allowed, kind+"/"+text) || name.of.owns(kind, text) {
		return
	}
	name.fault("is a %s that is not in the plan", kind)
}

func (r *referrer) pod(p *pod) {
	r.uses("ServiceAccount", p.spec.get("serviceAccountName"))
	r.uses("ServiceAccount", p.spec.get("serviceAccount"))
	for _, f := range p.spec.get("imagePullSecrets").items() {
		r.uses("Secret", f.get("name"))
	}
	for _, f := range p.spec.get("resourceClaims").items() {
		for _, at := range []*field{f, f.get("source")} { // before v1.31 the names were in source
			r.uses("ResourceClaim", at.get("resourceClaimName"))
			r.uses("ResourceClaimTemplate", at.get("resourceClaimTemplateName"))
		}
	}
	for _, volume := range p.volumes() {
		r.volume(volume)
		for _, source := range volume.at("projected", "sources").items() {
			r.uses("Secret", source.at("secret", "name"))
			r.uses("ConfigMap", source.at("configMap", "name"))
		}
	}
	for _, container := range p.containers {
		for _, f := range container.get("envFrom").items() {
			r.uses("Secret", f.at("secretRef", "name"))
			r.uses("ConfigMap", f.at("configMapRef", "name"))
		}
		for _, f := range container.get("env").items() {
			r.uses("Secret", f.at("valueFrom", "secretKeyRef", "name"))
			r.uses("ConfigMap", f.at("valueFrom", "configMapKeyRef", "name"))
		}
	}
}

// volume reads what a volume refers to. Every type of volume calls a Secret by one of these names.
func (r *referrer) volume(volume *field) {
	r.uses("ConfigMap", volume.at("configMap", "name"))
	r.uses("PersistentVolumeClaim", volume.at("persistentVolumeClaim", "claimName"))
	types := volume.keys()
	for _, key := range slices.Sorted(maps.Keys(types)) {
		fields, isMapping := types[key].(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			f := volume.at(key, name)
			switch {
			case !isMapping:
			case name == "secretName":
				r.uses("Secret", f)
			case strings.HasSuffix(name, "ecretRef"):
				r.uses("Secret", f.get("name"))
			}
		}
	}
}

// template reads a field of Argo or Tekton that names what pods are made from.
func (r *referrer) template(f *field) {
	fields, isMapping := f.value.(map[string]any)
	if !isMapping {
		return
	}
	name := f.get("name")
	switch {
	case f.of.is("argoproj.io", "Rollout", "Experiment", "AnalysisTemplate", "ClusterAnalysisTemplate") && fields["templateName"] != nil:
		kind := "argoproj.io/AnalysisTemplate" // of metrics, which can be Jobs
		if f.get("clusterScope").isTrue() {
			kind = "argoproj.io/ClusterAnalysisTemplate"
		}
		r.needs(kind, f.get("templateName"))
	case f.of.ref.Group == "argoproj.io" && (f.key == "workflowTemplateRef" || f.key == "templateRef"):
		kind := "argoproj.io/WorkflowTemplate"
		if f.get("clusterScope").isTrue() {
			kind = "argoproj.io/ClusterWorkflowTemplate"
		}
		r.needs(kind, name)
	case f.of.ref.Group == "argoproj.io" && f.key == "workloadRef":
		r.needs(f.get("kind").text(), name)
	case f.of.ref.Group == "tekton.dev" && (f.key == "taskRef" || f.key == "pipelineRef" || f.key == "ref" && f.up.up != nil && f.up.up.key == "steps"):
		for _, key := range []string{"resolver", "bundle"} {
			if fields[key] != nil {
				f.get(key).fault("fetches what the plan does not have")
				return
			}
		}
		kind := f.get("kind").text()
		if kind == "" {
			kind = map[string]string{"taskRef": "Task", "pipelineRef": "Pipeline", "ref": "StepAction"}[f.key]
		}
		r.needs("tekton.dev/"+kind, name)
	}
}

// needs is uses for a name that has to be there.
func (r *referrer) needs(kind string, name *field) {
	if name.text() == "" {
		name.fault("is missing: which %s it is the plan does not say", kind)
		return
	}
	r.uses(kind, name)
}

// claim reads the spec of a volume claim.
func (r *referrer) claim(spec *field) {
	if f := spec.get("volumeName"); f.text() != "" {
		f.fault("is a volume that is not in the plan")
	}
	if f := spec.get("selector"); f.value != nil {
		f.fault("chooses among volumes that are there already")
	}
	for _, key := range []string{"dataSource", "dataSourceRef"} {
		source := spec.get(key)
		if source.value == nil {
			continue
		}
		if kind := source.get("kind"); kind.text() != "PersistentVolumeClaim" || source.get("apiGroup").text() != "" {
			kind.fault("is a source of data that is not in the plan")
			continue
		}
		r.uses("PersistentVolumeClaim", source.get("name"))
		if f := source.get("namespace"); f.text() != "" && f.text() != spec.of.view.plan.Namespace {
			f.fault("is not the namespace of the release")
		}
	}
}
