package policy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/chart"
	"github.com/sut-bench/helmexec/manifest"
	"github.com/sut-bench/helmexec/plan"
)

func planOf(t testing.TB, rendered, crds string) *plan.Plan {
	t.Helper()
	p, err := plan.New(t.Context(), plan.Input{
		Release: "web", Namespace: "bench", Chart: chart.Metadata{Name: "web", Version: "1.2.3"},
		Rendered: manifest.Manifest(rendered), CRDs: manifest.Manifest(crds),
	})
	require.NoError(t, err)
	return p
}

// ruleCase is a manifest and what a rule finds in it: "rule path = value", each once.
type ruleCase struct {
	name, manifest string
	want           []string
}

func checkRule(t *testing.T, rule plan.Rule, cases []ruleCase) {
	t.Helper()
	good, bad := 0, 0
	for _, test := range cases {
		if len(test.want) == 0 {
			good++
		} else {
			bad++
		}
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, f := range planOf(t, test.manifest, "").Check(rule) {
				got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s = %s", f.Rule, f.Path, f.Value)))
				assert.NotEmpty(t, f.Text)
				assert.NotEmpty(t, f.Object.Kind)
			}
			assert.Equal(t, test.want, got)
		})
	}
	assert.NotZero(t, good, "no manifest is without a finding")
	assert.NotZero(t, bad, "no manifest has a finding")
}

// podWith is a pod with these fields in its spec.
func podWith(spec string) string {
	return "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {" + spec + "}\n"
}

// container is a pod with a container that has these fields.
func container(fields string) string {
	return podWith("containers: [{name: c, image: a, " + fields + "}]")
}

func object(apiVersion, kind, fields string) string {
	return fmt.Sprintf("---\napiVersion: %s\nkind: %s\nmetadata: {name: x}\n%s\n", apiVersion, kind, fields)
}

// A pod is found in every kind that has one, and in custom resources, each at its own place.
func TestPodsOfEveryKind(t *testing.T) {
	for kind, way := range map[string]string{
		"v1 Pod": "", "v1 PodTemplate": "template", "v1 ReplicationController": "spec.template", "apps/v1 Deployment": "spec.template",
		"apps/v1 DaemonSet": "spec.template", "apps/v1 ReplicaSet": "spec.template", "apps/v1 StatefulSet": "spec.template",
		"batch/v1 Job": "spec.template", "batch/v1 CronJob": "spec.jobTemplate.spec.template", "extensions/v1beta1 Deployment": "spec.template",
		"argoproj.io/v1alpha1 Rollout": "spec.template", "acme.io/v1 Thing": "spec.deep.pods[0].template", "v1 Unknown": "spec",
		"argoproj.io/v1alpha1 Workflow": "spec.templates[1]",
	} {
		for _, list := range []string{"containers", "initContainers", "ephemeralContainers"} {
			apiVersion, name, _ := strings.Cut(kind, " ")
			spec := "{" + list + ": [{name: c, image: a, securityContext: {privileged: true}}]}"
			path := strings.Trim(way+".spec."+list+"[0].securityContext.privileged", ".")
			text := "{spec: " + spec + "}"
			for _, key := range reversed(strings.Split(way, ".")) {
				key, item, isItem := strings.Cut(key, "[")
				switch {
				case key == "":
				case isItem && item == "1]":
					text = "{" + key + ": [{}, " + text + "]}"
				case isItem:
					text = "{" + key + ": [" + text + "]}"
				default:
					text = "{" + key + ": " + text + "}"
				}
			}
			text = "{apiVersion: " + apiVersion + ", kind: " + name + ", metadata: {name: a}, " + text[1:]
			findings := planOf(t, text, "").Check(Baseline())
			if assert.Len(t, findings, 1, text) {
				assert.Equal(t, path, findings[0].Path)
				assert.Equal(t, "true", findings[0].Value)
				assert.Equal(t, "baseline/privileged", findings[0].Rule)
			}
		}
	}
}

func reversed(list []string) []string {
	var back []string
	for i := len(list) - 1; i >= 0; i-- {
		back = append(back, list[i])
	}
	return back
}

func TestImages(t *testing.T) {
	checkRule(t, Images("registry.example/team/", "docker.io/library/nginx", "mirror.lab:5000"), []ruleCase{
		{"below a path", container("image: registry.example/team/web:1"), nil},
		{"the name itself", container("image: nginx:1"), nil},
		{"a port", container("image: mirror.lab:5000/a"), nil},
		{"beside a path", container("image: registry.example/teams/web"), []string{"images spec.containers[0].image = registry.example/teams/web"}},
		{"another port", container("image: mirror.lab:50000/a"), []string{"images spec.containers[0].image = mirror.lab:50000/a"}},
		{"a longer name", container("image: nginx-evil"), []string{"images spec.containers[0].image = nginx-evil"}},
		{"a prefix as a user", container("image: evil/registry.example/team/web"), []string{"images spec.containers[0].image = evil/registry.example/team/web"}},
		{"no image", container("image: 'a b'"), []string{"images spec.containers[0].image = a b"}},
		{"an image volume", podWith("volumes: [{name: v, image: {reference: evil/x}}]"), []string{"images spec.volumes[0].image.reference = evil/x"}},
		{"a custom resource", object("acme.io/v1", "A", "spec: {image: evil.io/x:1}"), []string{"images spec.image = evil.io/x:1"}},
	})
	assert.Len(t, planOf(t, container("image: nginx"), "").Check(Images()), 1, "without a place no image is allowed")
	assert.Len(t, planOf(t, container("image: nginx"), "").Check(Images("")), 1, "nothing is no place")
	assert.Len(t, planOf(t, container("image: 'sha256:"+strings.Repeat("a", 64)+"'"), "").Check(Images("docker.io/library")), 1, "the id of an image on the node, whatever its name is")
}

func TestDigests(t *testing.T) {
	digest := "@sha256:" + strings.Repeat("a", 64)
	checkRule(t, Digests(), []ruleCase{
		{"pinned", container("image: nginx:1" + digest), nil},
		{"a tag", container("image: nginx:1"), []string{"digests spec.containers[0].image = nginx:1"}},
		{"no digest", container("image: 'nginx@sha256:aa'"), []string{"digests spec.containers[0].image = nginx@sha256:aa"}},
	})
}

func TestKinds(t *testing.T) {
	checkRule(t, Kinds("Pod", "acme.io/A"), []ruleCase{
		{"allowed", podWith(""), nil},
		{"another version", "apiVersion: acme.io/v7\nkind: A\n", nil},
		{"a reference", "apiVersion: acme.io/v1\nkind: A\nspec: {ref: {apiVersion: v1, kind: Secret, name: a}}\n", nil},
		{"another kind", object("v1", "Secret", ""), []string{"kinds kind = Secret"}},
		{"the kind of another group", object("evil.io/v1", "Pod", ""), []string{"kinds kind = Pod"}},
		{"in a List", "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Secret, metadata: {name: a}}]\n", []string{"kinds kind = Secret"}},
		{"in a custom resource", object("acme.io/v1", "A", "spec: {make: [{apiVersion: v1, kind: Secret, metadata: {name: a}}]}"), []string{"kinds spec.make[0].kind = Secret"}},
		{"in a text of a custom resource", object("acme.io/v1", "A", "spec: {make: \"apiVersion: v1\\nkind: Secret\\n\"}"), []string{"kinds spec.make.kind = Secret"}},
		{"in a text that cannot be read", object("acme.io/v1", "A", "spec: {make: \"apiVersion: v1\\nkind: Secret\\na: [\\n\"}"), []string{"kinds spec.make = apiVersion: v1\nkind: Secret\na: ["}},
		{"a patch of pods", object("acme.io/v1", "A", "spec: {podSpecPatch: 'hostNetwork: true'}"), []string{"kinds spec.podSpecPatch = hostNetwork: true"}},
		{"a part of a pod in a text", object("acme.io/v1", "A", "spec: {extra: '{\"containers\": [{\"image\": \"a\"}]}'}"), []string{`kinds spec.extra = {"containers": [{"image": "a"}]}`}},
	})
}

func TestNamespaced(t *testing.T) {
	crd := func(scope string) string {
		return object("apiextensions.k8s.io/v1", "CustomResourceDefinition", "spec: {group: made.io, scope: "+scope+", names: {kind: M}}")
	}
	isCRD := "namespaced kind = CustomResourceDefinition"
	checkRule(t, Namespaced("acme.io/A"), []ruleCase{
		{"none", podWith(""), nil},
		{"its own", strings.ReplaceAll(podWith(""), "name: a", "name: a, namespace: bench"), nil},
		{"an empty one", strings.ReplaceAll(podWith(""), "name: a", "name: a, namespace: ''"), nil},
		{"a custom resource that the caller knows", object("acme.io/v1", "A", ""), nil},
		{"another one", strings.ReplaceAll(podWith(""), "name: a", "name: a, namespace: kube-system"), []string{"namespaced metadata.namespace = kube-system"}},
		{"one that is no text", strings.ReplaceAll(podWith(""), "name: a", "name: a, namespace: [b]"), []string{"namespaced metadata.namespace = b"}},
		{"the cluster's", object("rbac.authorization.k8s.io/v1", "ClusterRole", ""), []string{"namespaced kind = ClusterRole"}},
		{"a webhook", object("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", ""), []string{"namespaced kind = MutatingWebhookConfiguration"}},
		{"a custom resource", object("evil.io/v1", "A", ""), []string{"namespaced kind = A"}},
		{"a kind that Kubernetes does not have", object("v1", "A", ""), []string{"namespaced kind = A"}},
		{"a custom resource of a namespace", crd("Namespaced") + object("made.io/v1", "M", ""), []string{isCRD}},
		{"a custom resource of the cluster", crd("Cluster") + object("made.io/v1", "M", ""), []string{isCRD, "namespaced kind = M"}},
		{"in a custom resource", object("acme.io/v1", "A", "spec: {make: {apiVersion: v1, kind: Namespace, metadata: {name: a}}}"), []string{"namespaced spec.make.kind = Namespace"}},
	})
	findings := planOf(t, podWith(""), crd("Cluster")).Check(Namespaced())
	assert.Len(t, findings, 1, "the folder crds counts")
}

func TestHooks(t *testing.T) {
	hook := func(events string) string {
		return strings.ReplaceAll(podWith(""), "name: a", "name: a, annotations: {helm.sh/hook: '"+events+"'}")
	}
	const path = `hooks metadata.annotations["helm.sh/hook"] = `
	checkRule(t, Hooks("test", "pre-install"), []ruleCase{
		{"no hook", podWith(""), nil},
		{"allowed", hook("pre-install, test"), nil},
		{"an older name", hook("test-success"), nil},
		{"another event", hook("pre-install,post-delete"), []string{path + "post-delete"}},
		{"an event that Helm does not know", hook("crd-install"), []string{path + "crd-install"}},
		{"a List", "apiVersion: v1\nkind: List\nmetadata: {annotations: {helm.sh/hook: pre-delete}}\nitems: [{apiVersion: v1, kind: Pod, metadata: {name: a}}]\n", []string{path + "pre-delete"}},
	})
	assert.Len(t, planOf(t, hook("test"), "").Check(Hooks()), 1)
}

func TestRemovable(t *testing.T) {
	with := func(metadata string) string { return strings.ReplaceAll(podWith(""), "name: a", "name: a, "+metadata) }
	hook := func(kind, annotations string) string {
		return "---\napiVersion: " + strings.ReplaceAll(kind, " ", "\nkind: ") + "\nmetadata: {name: a, annotations: {" + annotations + "}}\n"
	}
	checkRule(t, Removable(), []ruleCase{
		{"hooks that end or do not run", hook("v1 Pod", "helm.sh/hook: test") + hook("batch/v1 Job", "helm.sh/hook: post-delete") + hook("v1 Secret", "helm.sh/hook: pre-install"), nil},
		{"a hook that Helm deletes", hook("v1 Service", "helm.sh/hook: test, helm.sh/hook-delete-policy: 'before-hook-creation, hook-succeeded,hook-failed'"), nil},
		{"a hook that stays", hook("apps/v1 DaemonSet", "helm.sh/hook: pre-install"), []string{"removable kind = DaemonSet"}},
		{"a hook that stays if it fails", hook("apps/v1 Deployment", "helm.sh/hook: post-delete, helm.sh/hook-delete-policy: hook-succeeded"), []string{"removable kind = Deployment"}},
		{"a hook that stays if the next one is refused, whatever its policy", hook("apps/v1 DaemonSet", "helm.sh/hook: pre-install, helm.sh/hook-delete-policy: 'before-hook-creation,hook-succeeded,hook-failed'"), []string{"removable kind = DaemonSet"}},
		{"a claim that stays", hook("v1 PersistentVolumeClaim", "helm.sh/hook: pre-install"), []string{"removable kind = PersistentVolumeClaim"}},
		{"a job that starts others", hook("batch/v1 CronJob", "helm.sh/hook: post-install"), []string{"removable kind = CronJob"}},
		{"plain", podWith(""), nil},
		{"no finalizers", with("finalizers: []"), nil},
		{"finalizers", with("finalizers: [evil.io/keep]"), []string{"removable metadata.finalizers = evil.io/keep"}},
		{"finalizers that are no list", with("finalizers: evil.io/keep"), []string{"removable metadata.finalizers = evil.io/keep"}},
		{"an end in time", podWith("terminationGracePeriodSeconds: 3600"), nil},
		{"no end in time", podWith("terminationGracePeriodSeconds: 3601"), []string{"removable spec.terminationGracePeriodSeconds = 3601"}},
		{"probes that give time", container("livenessProbe: {terminationGracePeriodSeconds: 3600}"), nil},
		{"a probe that gives no end in time", container("startupProbe: {terminationGracePeriodSeconds: 999999999}"), []string{"removable spec.containers[0].startupProbe.terminationGracePeriodSeconds = 999999999"}},
		{"of pods", object("apps/v1", "Deployment", "spec: {template: {metadata: {finalizers: [a.io/b]}}}"), []string{"removable spec.template.metadata.finalizers = a.io/b"}},
		{"of jobs", object("batch/v1", "CronJob", "spec: {jobTemplate: {metadata: {finalizers: [a.io/b]}}}"), []string{"removable spec.jobTemplate.metadata.finalizers = a.io/b"}},
		{"of claims", object("apps/v1", "StatefulSet", "spec: {volumeClaimTemplates: [{metadata: {finalizers: [a.io/b]}}]}"), []string{"removable spec.volumeClaimTemplates[0].metadata.finalizers = a.io/b"}},
		{"of claims of pods", podWith("volumes: [{name: a, ephemeral: {volumeClaimTemplate: {metadata: {finalizers: [a.io/b]}}}}]"), []string{"removable spec.volumes[0].ephemeral.volumeClaimTemplate.metadata.finalizers = a.io/b"}},
		{"an owner", with("ownerReferences: [{kind: Node, name: n}]"), []string{"removable metadata.ownerReferences ="}},
		{"a List that is kept", "apiVersion: v1\nkind: List\nmetadata: {annotations: {helm.sh/resource-policy: keep}}\nitems: [{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}}]\n", []string{`removable metadata.annotations["helm.sh/resource-policy"] = keep`}},
		{"a list of a kind that is kept", "apiVersion: v1\nkind: ConfigMapList\nmetadata: {annotations: {helm.sh/resource-policy: ''}}\nitems: [{metadata: {name: a}}]\n", []string{`removable metadata.annotations["helm.sh/resource-policy"] =`}},
		{"a name that Helm does not know", strings.ReplaceAll(podWith(""), "name: a", "generateName: a-"), []string{"removable metadata.generateName = a-"}},
		{"a hook with a name that Helm does not know", strings.ReplaceAll(hook("v1 Service", "helm.sh/hook: test, helm.sh/hook-delete-policy: 'hook-succeeded,hook-failed'"), "name: a", "generateName: a-"), []string{"removable metadata.generateName = a-"}},
		{"of pods whose names are made, as they are always", object("apps/v1", "Deployment", "spec: {template: {metadata: {generateName: a-}}}"), nil},
		{"kept", with("annotations: {helm.sh/resource-policy: keep}"), []string{`removable metadata.annotations["helm.sh/resource-policy"] = keep`}},
	})
}

func TestRBAC(t *testing.T) {
	role := func(rule string) string { return object("rbac.authorization.k8s.io/v1", "Role", "rules: [{"+rule+"}]") }
	bind := func(kind, ref, subject string) string {
		return object("rbac.authorization.k8s.io/v1", kind, "roleRef: {"+ref+"}\nsubjects: [{"+subject+"}]")
	}
	account := "kind: ServiceAccount, name: a, namespace: bench"
	secret := object("v1", "Secret", "")
	checkRule(t, RBAC(), []ruleCase{
		{"reads", role("apiGroups: ['', apps], resources: [pods, pods/log, deployments], verbs: [get, list, watch]"), nil},
		{"election of a leader", role("apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, create, update, patch, delete]"), nil},
		{"its own Secret", secret + role("apiGroups: [''], resources: [secrets], resourceNames: [x], verbs: [get, list, watch]"), nil},
		{"its own Secret to write", secret + role("apiGroups: [''], resources: [secrets], resourceNames: [x], verbs: [get, patch]"), []string{"rbac rules[0].resources[0] = secrets"}},
		{"its own Secret to delete", secret + role("apiGroups: [''], resources: [secrets], resourceNames: [x], verbs: [delete]"), []string{"rbac rules[0].resources[0] = secrets"}},
		{"its own role", role("") + strings.ReplaceAll(bind("RoleBinding", "kind: Role, name: x", account), "name: x}\nrole", "name: b}\nrole"), nil},
		{"the role view", bind("RoleBinding", "kind: ClusterRole, name: view", account), nil},
		{"status", role("apiGroups: [''], resources: [pods/status, services/status], verbs: [get]"), nil},
		{"status to write", role("apiGroups: [''], resources: [services/status, pods/status], verbs: [patch]"), []string{"rbac rules[0].resources[0] = services/status", "rbac rules[0].resources[1] = pods/status"}},
		{"status of a custom resource to write", role("apiGroups: [acme.io], resources: [things/status], verbs: [update]"), []string{"rbac rules[0].resources[0] = things/status"}},
		{"wildcards", role("apiGroups: ['*'], resources: ['*'], verbs: ['*']"), []string{"rbac rules[0].apiGroups[0] = *", "rbac rules[0].resources[0] = *", "rbac rules[0].verbs[0] = *"}},
		{"a wildcard of a part", role("apiGroups: [''], resources: ['*/exec'], verbs: [get]"), []string{"rbac rules[0].resources[0] = */exec"}},
		{"escalate", role("apiGroups: [rbac.authorization.k8s.io], resources: [roles], verbs: [escalate, bind]"), []string{"rbac rules[0].verbs[0] = escalate", "rbac rules[0].verbs[1] = bind"}},
		{"impersonate", role("apiGroups: [''], resources: [users], verbs: [impersonate]"), []string{"rbac rules[0].verbs[0] = impersonate"}},
		{"Secrets of others", role("apiGroups: [''], resources: [secrets], verbs: [list]"), []string{"rbac rules[0].resources[0] = secrets"}},
		{"a Secret of others", secret + role("apiGroups: [''], resources: [secrets], resourceNames: [x, other], verbs: [get]"), []string{"rbac rules[0].resourceNames[1] = other"}},
		{"a shell", role("apiGroups: [''], resources: [pods/exec], verbs: [create]"), []string{"rbac rules[0].resources[0] = pods/exec"}},
		{"tokens", role("apiGroups: [''], resources: [serviceaccounts/token], verbs: [create]"), []string{"rbac rules[0].resources[0] = serviceaccounts/token"}},
		{"pods", role("apiGroups: [''], resources: [configmaps, pods], verbs: [create]"), []string{"rbac rules[0].resources[1] = pods"}},
		{"configmaps of another group", role("apiGroups: ['', evil.io], resources: [configmaps], verbs: [create]"), []string{"rbac rules[0].resources[0] = configmaps"}},
		{"addresses", role("nonResourceURLs: [/metrics], verbs: [get]"), []string{"rbac rules[0].nonResourceURLs = /metrics"}},
		{"verbs that are no list", role("apiGroups: [''], resources: [pods], verbs: get"), []string{"rbac rules[0].verbs = get"}},
		{"aggregated", object("rbac.authorization.k8s.io/v1", "ClusterRole", "aggregationRule: {clusterRoleSelectors: []}"), []string{"rbac aggregationRule ="}},
		{"aggregates to admin", strings.ReplaceAll(object("rbac.authorization.k8s.io/v1", "ClusterRole", ""), "name: x", "name: x, labels: {rbac.authorization.k8s.io/aggregate-to-admin: 'true'}"), []string{`rbac metadata.labels["rbac.authorization.k8s.io/aggregate-to-admin"] = true`}},
		{"cluster-admin", bind("ClusterRoleBinding", "kind: ClusterRole, name: cluster-admin", account), []string{"rbac roleRef.name = cluster-admin"}},
		{"edit", bind("RoleBinding", "kind: ClusterRole, name: edit", account), []string{"rbac roleRef.name = edit"}},
		{"view of the cluster", bind("ClusterRoleBinding", "kind: ClusterRole, name: view", account), []string{"rbac roleRef.name = view"}},
		{"a role of others", bind("RoleBinding", "kind: Role, name: other", account), []string{"rbac roleRef.name = other"}},
		{"no kind of role", bind("RoleBinding", "kind: Thing, name: other", account), []string{"rbac roleRef.kind = Thing"}},
		{"for a group", bind("RoleBinding", "kind: ClusterRole, name: view", "kind: Group, name: 'system:authenticated'"), []string{"rbac subjects[0].kind = Group"}},
		{"for another namespace", bind("RoleBinding", "kind: ClusterRole, name: view", "kind: ServiceAccount, name: a, namespace: other"), []string{"rbac subjects[0].namespace = other"}},
	})
}

// What Argo and Tekton make pods from has to be in the plan: it has images and more.
func TestReferencesToTemplates(t *testing.T) {
	workflow := func(spec string) string { return object("argoproj.io/v1alpha1", "Workflow", "spec: {"+spec+"}") }
	template := strings.ReplaceAll(object("argoproj.io/v1alpha1", "WorkflowTemplate", "spec: {}"), "name: x", "name: ours")
	run := func(spec string) string { return object("tekton.dev/v1", "PipelineRun", "spec: {"+spec+"}") }
	pipeline := strings.ReplaceAll(object("tekton.dev/v1", "Pipeline", "spec: {}"), "name: x", "name: ours")
	checkRule(t, References("argoproj.io/WorkflowTemplate/shared"), []ruleCase{
		{"a template of the plan", workflow("workflowTemplateRef: {name: ours}") + template, nil},
		{"one that is allowed", workflow("workflowTemplateRef: {name: shared}"), nil},
		{"one of others", workflow("workflowTemplateRef: {name: theirs}") + template, []string{"references spec.workflowTemplateRef.name = theirs"}},
		{"one of the whole cluster", workflow("workflowTemplateRef: {name: ours, clusterScope: true}") + template, []string{"references spec.workflowTemplateRef.name = ours"}},
		{"in a task", workflow("templates: [{dag: {tasks: [{templateRef: {name: theirs, template: a}}]}}]"), []string{"references spec.templates[0].dag.tasks[0].templateRef.name = theirs"}},
		{"in a workflow that another object makes", object("argoproj.io/v1alpha1", "CronWorkflow", "spec: {workflowSpec: {workflowTemplateRef: {name: theirs}}}"), []string{"references spec.workflowSpec.workflowTemplateRef.name = theirs"}},
		{"without a name", workflow("workflowTemplateRef: {}"), []string{"references spec.workflowTemplateRef.name ="}},
		{"a workload of others", object("argoproj.io/v1alpha1", "Rollout", "spec: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: theirs}}"), []string{"references spec.workloadRef.name = theirs"}},
		{"a workload of the plan", object("argoproj.io/v1alpha1", "Rollout", "spec: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: x}}") + object("apps/v1", "Deployment", ""), nil},
		{"an analysis of others", object("argoproj.io/v1alpha1", "Rollout", "spec: {strategy: {canary: {steps: [{analysis: {templates: [{templateName: theirs}]}}]}}}"), []string{"references spec.strategy.canary.steps[0].analysis.templates[0].templateName = theirs"}},
		{"one of the whole cluster", object("argoproj.io/v1alpha1", "Experiment", "spec: {analyses: [{templateName: x, clusterScope: true}]}") + object("argoproj.io/v1alpha1", "AnalysisTemplate", ""), []string{"references spec.analyses[0].templateName = x"}},
		{"an analysis of the plan", object("argoproj.io/v1alpha1", "Rollout", "spec: {strategy: {canary: {analysis: {templates: [{templateName: x}]}}}}") + object("argoproj.io/v1alpha1", "AnalysisTemplate", ""), nil},
		{"a template of the workflow itself", object("argoproj.io/v1alpha1", "Workflow", "spec: {}\nstatus: {nodes: {a: {templateName: main}}}"), nil},
		{"a step of others", object("tekton.dev/v1", "Task", "spec: {steps: [{name: a, ref: {name: theirs}}]}"), []string{"references spec.steps[0].ref.name = theirs"}},
		{"a step of somewhere", object("tekton.dev/v1", "Task", "spec: {steps: [{name: a, ref: {resolver: git}}]}"), []string{"references spec.steps[0].ref.resolver = git"}},
		{"a step of the plan", object("tekton.dev/v1", "Task", "spec: {steps: [{name: a, ref: {name: x}}]}") + object("tekton.dev/v1beta1", "StepAction", ""), nil},
		{"a pipeline of the plan", run("pipelineRef: {name: ours}") + pipeline, nil},
		{"a pipeline of others", run("pipelineRef: {name: theirs}") + pipeline, []string{"references spec.pipelineRef.name = theirs"}},
		{"a pipeline of somewhere", run("pipelineRef: {resolver: git, params: []}"), []string{"references spec.pipelineRef.resolver = git"}},
		{"a task of an image", object("tekton.dev/v1beta1", "TaskRun", "spec: {taskRef: {name: a, bundle: evil.io/a}}"), []string{"references spec.taskRef.bundle = evil.io/a"}},
		{"a field of another operator", object("acme.io/v1", "A", "spec: {templateRef: {name: theirs}}"), nil},
	})
}

func TestReferences(t *testing.T) {
	own := object("v1", "Secret", "") + object("v1", "ConfigMap", "") + object("v1", "ServiceAccount", "") + object("v1", "PersistentVolumeClaim", "") + "---\n"
	hooked := func(text, name, events, weight string) string {
		return strings.ReplaceAll(text, "{name: "+name+"}", "{name: "+name+", annotations: {helm.sh/hook: '"+events+"', helm.sh/hook-weight: '"+weight+"'}}") + "---\n"
	}
	hook := func(events string) string { return hooked(object("v1", "Secret", ""), "x", events, "-1") }
	pulls := podWith("imagePullSecrets: [{name: x}]")
	pulling := func(events, weight string) string { return hooked(pulls, "a", events, weight) }
	refused := []string{"references spec.imagePullSecrets[0].name = x"}
	scaler := func(target string) string {
		return "---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: s}\nspec: {scaleTargetRef: {" + target + "}}\n"
	}
	set := "---\napiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: db}\nspec: {replicas: 3, volumeClaimTemplates: [{metadata: {name: data}, spec: {%s}}]}\n---\n"
	uses := func(name string) string {
		return podWith(strings.ReplaceAll("serviceAccountName: QQ, imagePullSecrets: [{name: QQ}], volumes: [{name: a, secret: {secretName: QQ}}, {name: b, configMap: {name: QQ}}, "+
			"{name: c, persistentVolumeClaim: {claimName: QQ}}, {name: d, projected: {sources: [{secret: {name: QQ}}, {configMap: {name: QQ}}]}}, {name: e, csi: {driver: a, nodePublishSecretRef: {name: QQ}}}], "+
			"initContainers: [{name: c, image: a, envFrom: [{secretRef: {name: QQ}}, {configMapRef: {name: QQ}}], env: [{name: a, valueFrom: {secretKeyRef: {name: QQ, key: k}}}, "+
			"{name: a, valueFrom: {configMapKeyRef: {name: QQ, key: k}}}]}]", "QQ", name))
	}
	checkRule(t, References("Secret/login"), []ruleCase{
		{"its own", own + uses("x"), nil},
		{"what every namespace has", podWith("serviceAccountName: default, volumes: [{name: a, configMap: {name: kube-root-ca.crt}}]"), nil},
		{"what the caller names", podWith("imagePullSecrets: [{name: login}]"), nil},
		{"the claim of a StatefulSet", fmt.Sprintf(set, "") + podWith("volumes: [{name: a, persistentVolumeClaim: {claimName: data-db-2}}]"), nil},
		{"a claim that a StatefulSet does not make", fmt.Sprintf(set, "") + podWith("volumes: [{name: a, persistentVolumeClaim: {claimName: data-db-3}}]"), []string{"references spec.volumes[0].persistentVolumeClaim.claimName = data-db-3"}},
		{"of a StatefulSet without pods", strings.ReplaceAll(fmt.Sprintf(set, ""), "replicas: 3", "replicas: 0") + podWith("volumes: [{name: a, persistentVolumeClaim: {claimName: data-db-0}}]"), []string{"references spec.volumes[0].persistentVolumeClaim.claimName = data-db-0"}},
		{"of a StatefulSet with one pod that starts at 7", strings.ReplaceAll(fmt.Sprintf(set, ""), "replicas: 3", "ordinals: {start: 7}") + podWith("volumes: [{name: a, persistentVolumeClaim: {claimName: data-db-7}}]"), nil},
		{"with another spelling", fmt.Sprintf(set, "") + podWith("volumes: [{name: a, persistentVolumeClaim: {claimName: data-db-00}}]"), []string{"references spec.volumes[0].persistentVolumeClaim.claimName = data-db-00"}},
		{"of a hook for the same events", hook("pre-install,test,post-delete") + pulling("test-success,post-delete", "0"), nil},
		{"of no hook for a hook", object("v1", "Secret", "") + "---\n" + pulling("test,post-install,pre-delete", "0"), nil},
		{"of no hook, or of a hook where that is too late", object("v1", "Secret", "") + hook("pre-install") + pulling("test,pre-install", "0"), nil},
		{"of no hook for a hook before it", object("v1", "Secret", "") + "---\n" + pulling("pre-install", "0"), refused},
		{"of no hook for a hook after it", object("v1", "Secret", "") + "---\n" + pulling("post-delete", "0"), refused},
		{"of a hook before all, which may be left out", hook("pre-install") + pulls, refused},
		{"of a hook with one event in common", hook("test") + pulling("pre-install,test", "0"), refused},
		{"of a hook with a greater weight", hooked(object("v1", "Secret", ""), "x", "pre-install", "5") + pulling("pre-install", "-5"), refused},
		{"of a hook that is made anew", strings.ReplaceAll(hook("pre-install"), "helm.sh/hook-weight", "helm.sh/hook-delete-policy: 'hook-succeeded, Before-Hook-Creation', helm.sh/hook-weight") + pulling("pre-install", "0"), nil},
		{"of a hook that may be there already, which Helm 4 takes over as it is", strings.ReplaceAll(hook("pre-install"), "helm.sh/hook-weight", "helm.sh/hook-delete-policy: hook-succeeded, helm.sh/hook-weight") + pulling("pre-install", "0"), refused},
		{"of a hook without a policy that deletes it first", strings.ReplaceAll(hook("pre-install"), "helm.sh/hook-weight", "helm.sh/hook-delete-policy: '', helm.sh/hook-weight") + pulling("pre-install", "0"), refused},
		{"of a hook whose weight is too large for Helm, which takes it for 0", hooked(object("v1", "Secret", ""), "x", "pre-install", "5") + pulling("pre-install", "99999999999999999999"), refused},
		{"of a hook with the same weight", hook("pre-install") + pulling("pre-install", "-1"), refused},
		{"of a hook that Helm leaves out", hook("pre-install,test-failure") + pulling("pre-install", "0"), refused},
		{"an autoscaler", object("apps/v1", "Deployment", "") + scaler("apiVersion: apps/v1, kind: Deployment, name: x"), nil},
		{"an autoscaler of a custom resource", object("a.io/v1", "A", "") + scaler("apiVersion: a.io/v1, kind: A, name: x"), nil},
		{"an autoscaler of others", object("apps/v1", "Deployment", "") + scaler("apiVersion: apps/v1, kind: Deployment, name: theirs"), []string{"references spec.scaleTargetRef.name = theirs"}},
		{"an autoscaler of another kind", object("a.io/v1", "Deployment", "") + scaler("apiVersion: apps/v1, kind: Deployment, name: x"), []string{"references spec.scaleTargetRef.name = x"}},
		{"of others", own + uses("theirs"), []string{
			"references spec.serviceAccountName = theirs", "references spec.imagePullSecrets[0].name = theirs", "references spec.volumes[0].secret.secretName = theirs",
			"references spec.volumes[1].configMap.name = theirs", "references spec.volumes[2].persistentVolumeClaim.claimName = theirs",
			"references spec.volumes[3].projected.sources[0].secret.name = theirs", "references spec.volumes[3].projected.sources[1].configMap.name = theirs",
			"references spec.volumes[4].csi.nodePublishSecretRef.name = theirs", "references spec.initContainers[0].envFrom[0].secretRef.name = theirs",
			"references spec.initContainers[0].envFrom[1].configMapRef.name = theirs", "references spec.initContainers[0].env[0].valueFrom.secretKeyRef.name = theirs",
			"references spec.initContainers[0].env[1].valueFrom.configMapKeyRef.name = theirs",
		}},
		{"of a hook that comes later", hook("post-delete") + podWith("imagePullSecrets: [{name: x}]"), []string{"references spec.imagePullSecrets[0].name = x"}},
		{"of a hook that Helm never makes", hook("crd-install") + podWith("imagePullSecrets: [{name: x}]"), []string{"references spec.imagePullSecrets[0].name = x"}},
		{"what a custom resource carries", object("a.io/v1", "A", "spec: {apiVersion: v1, kind: Secret, metadata: {name: x}}") + "---\n" + podWith("imagePullSecrets: [{name: x}]"), []string{"references spec.imagePullSecrets[0].name = x"}},
		{"what is in another namespace", strings.ReplaceAll(object("v1", "Secret", ""), "name: x", "name: x, namespace: other") + "---\n" + podWith("imagePullSecrets: [{name: x}]"), []string{"references spec.imagePullSecrets[0].name = x"}},
		{"a claim that only looks so", fmt.Sprintf(set, "") + podWith("volumes: [{name: a, persistentVolumeClaim: {claimName: data-db-x}}]"), []string{"references spec.volumes[0].persistentVolumeClaim.claimName = data-db-x"}},
		{"a volume of others", fmt.Sprintf(set, "volumeName: theirs, dataSource: {kind: PersistentVolumeClaim, name: theirs}"), []string{
			"references spec.volumeClaimTemplates[0].spec.volumeName = theirs", "references spec.volumeClaimTemplates[0].spec.dataSource.name = theirs",
		}},
		{"one of the volumes of others", object("v1", "PersistentVolumeClaim", "spec: {storageClassName: '', selector: {matchLabels: {app: payroll}}}"), []string{"references spec.selector ="}},
		{"one of the volumes of others for a pod", podWith("volumes: [{name: a, ephemeral: {volumeClaimTemplate: {spec: {selector: {}, volumeName: theirs}}}}]"), []string{
			"references spec.volumes[0].ephemeral.volumeClaimTemplate.spec.volumeName = theirs", "references spec.volumes[0].ephemeral.volumeClaimTemplate.spec.selector =",
		}},
		{"a snapshot", object("v1", "PersistentVolumeClaim", "spec: {dataSourceRef: {kind: VolumeSnapshot, name: theirs}}"), []string{"references spec.dataSourceRef.kind = VolumeSnapshot"}},
		{"a source of another group that calls itself a claim", own + "---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: c}\nspec: {dataSourceRef: {apiGroup: evil.io, kind: PersistentVolumeClaim, name: x}}\n", []string{"references spec.dataSourceRef.kind = PersistentVolumeClaim"}},
		{"a claim of another namespace", own + "---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: c}\nspec: {dataSourceRef: {kind: PersistentVolumeClaim, name: x, namespace: other}}\n", []string{"references spec.dataSourceRef.namespace = other"}},
		{"Secrets of an account", object("v1", "ServiceAccount", "secrets: [{name: theirs}]"), []string{"references secrets[0].name = theirs"}},
		{"claims of devices", podWith("resourceClaims: [{name: a, resourceClaimName: theirs}]"), []string{"references spec.resourceClaims[0].resourceClaimName = theirs"}},
		{"a disk with a Secret", podWith("volumes: [{name: a, azureFile: {secretName: theirs}}]"), []string{"references spec.volumes[0].azureFile.secretName = theirs"}},
	})
}
