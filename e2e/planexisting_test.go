package e2e

import (
	"errors"
	"net/http"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/sut-bench/helmexec"
)

// plannedOverWhatExists: no object is taken over that another chart has made and marked as this release's. Helm would leave
// the containers in it that the plan does not show.
func plannedOverWhatExists(b *bed) {
	const (
		deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: NAME}\n" +
			"spec: {selector: {matchLabels: {a: NAME}}, template: {metadata: {labels: {a: NAME}}, spec: {containers: [{name: c, image: good}]}}}\n"
		pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: NAME}\nspec: {containers: [{name: c, image: good}]}\n"
	)
	// plant makes an object as anybody can who may write into the namespace, such as a chart of before by a hook.
	plant := func(collection, text, name, owner string) {
		var object map[string]any
		b.must(yaml.Unmarshal([]byte(strings.NewReplacer("NAME", name, "image: good}", "image: good}, {name: evil, image: evil}").Replace(text)), &object))
		metadata := object["metadata"].(map[string]any)
		metadata["labels"] = map[string]any{"app.kubernetes.io/managed-by": "Helm"}
		metadata["annotations"] = map[string]any{"meta.helm.sh/release-name": owner, "meta.helm.sh/release-namespace": b.namespace}
		b.must(b.cluster.Request(b.ctx, http.MethodPost, strings.Replace(collection, "/namespaces/", "/namespaces/"+b.namespace+"/", 1), object, nil))
	}
	refused := func(err error, object string) {
		b.Helper()
		b.wantErr(err, helmexec.ErrPlanStale, object+" exists already")
	}

	plant("/apis/apps/v1/namespaces/deployments", deployment, "web", "web")
	chart := b.folder(map[string]string{"a.yaml": strings.ReplaceAll(deployment, "NAME", "web")})
	_, err := b.h.Apply(b.ctx, b.plan("web", chart, helmexec.PlanOptions{}), helmexec.ApplyOptions{})
	refused(err, "apps/Deployment web")
	_, err = b.h.Install(b.ctx, "web", chart, helmexec.InstallOptions{Transform: helmexec.AddLabels(map[string]string{"a": "b"})})
	refused(err, "apps/Deployment web")
	_, err = b.h.Status(b.ctx, "web", helmexec.StatusOptions{})
	b.wantErr(err, helmexec.ErrReleaseNotFound)

	// What an upgrade is going to make is not taken over either, and what the revision before made is changed.
	mine := strings.ReplaceAll(deployment, "NAME", "mine")
	upgraded := b.folder(map[string]string{"a.yaml": mine})
	_, err = b.h.Apply(b.ctx, b.plan("mine", upgraded, helmexec.PlanOptions{}), helmexec.ApplyOptions{})
	b.must(err)
	_, err = b.h.Apply(b.ctx, b.plan("mine", upgraded, helmexec.PlanOptions{Upgrade: true}), helmexec.ApplyOptions{})
	b.must(err)
	plant("/api/v1/namespaces/pods", pod, "next", "mine")
	upgraded = b.folder(map[string]string{"a.yaml": mine, "b.yaml": strings.ReplaceAll(pod, "NAME", "next")})
	_, err = b.h.Apply(b.ctx, b.plan("mine", upgraded, helmexec.PlanOptions{Upgrade: true}), helmexec.ApplyOptions{})
	refused(err, "Pod next")
	_, err = b.h.Upgrade(b.ctx, "mine", upgraded, helmexec.UpgradeOptions{Transform: helmexec.AddLabels(map[string]string{"a": "b"})})
	refused(err, "Pod next")

	// A hook that Helm does not delete before it runs it. Helm 4 takes over even one without marks.
	const template = "apiVersion: v1\nkind: PodTemplate\nmetadata: {name: NAME}\ntemplate: {spec: {containers: [{name: c, image: good}]}}\n"
	plant("/api/v1/namespaces/podtemplates", template, "hook", "nobody")
	hooked := func(annotations string) string {
		return b.folder(map[string]string{"a.yaml": strings.ReplaceAll(template, "NAME}", "hook, annotations: {helm.sh/hook: post-install"+annotations+"}}")})
	}
	const notDeleted = ", helm.sh/hook-delete-policy: hook-failed"
	_, err = b.h.Apply(b.ctx, b.plan("hooked", hooked(notDeleted), helmexec.PlanOptions{}), helmexec.ApplyOptions{})
	refused(err, "PodTemplate hook")
	_, err = b.h.Apply(b.ctx, b.plan("hooked", hooked(notDeleted), helmexec.PlanOptions{}), helmexec.ApplyOptions{NoHooks: true})
	b.must(err)
	_, err = b.h.Apply(b.ctx, b.plan("hooks", hooked(""), helmexec.PlanOptions{}), helmexec.ApplyOptions{})
	b.must(err)

	// A client of Helm finds Deployments under this kind.
	_, err = b.h.Plan(b.ctx, "web", b.folder(map[string]string{"a.yaml": strings.ReplaceAll(strings.Replace(deployment, "kind: D", "kind: d", 1), "NAME", "web")}), helmexec.PlanOptions{})
	b.wantErr(err, nil, "deployment")

	// What an earlier try of the operation has made is not somebody else's.
	failing := b.folder(map[string]string{
		"a.yaml": mine, "b.yaml": strings.ReplaceAll(template, "NAME", "made"),
		"c.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: fails, annotations: {helm.sh/hook: post-upgrade}}\nspec: {containers: []}\n",
	})
	p := b.plan("mine", failing, helmexec.PlanOptions{Upgrade: true})
	for range 2 {
		_, err = b.h.Apply(b.ctx, p, helmexec.ApplyOptions{OperationID: "failing"})
		b.wantErr(err, nil, "post-upgrade hooks failed")
		if errors.Is(err, helmexec.ErrPlanStale) {
			b.Error(err)
		}
	}

	// A release finds what an earlier one of its name has kept.
	plural := "kepts." + b.helm + ".existing.example"
	kept := b.folder(map[string]string{
		"a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kept, annotations: {helm.sh/resource-policy: keep}}\n",
		"b.yaml": "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: " + plural + ", annotations: {helm.sh/resource-policy: keep}}\n" +
			"spec: {group: " + b.helm + ".existing.example, scope: Namespaced, names: {kind: Kept, plural: kepts, singular: kept}, versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]}\n",
	})
	for range 2 {
		_, err = b.h.Apply(b.ctx, b.plan("kept", kept, helmexec.PlanOptions{}), helmexec.ApplyOptions{})
		b.must(err)
		_, err = b.h.Uninstall(b.ctx, "kept", helmexec.UninstallOptions{})
		b.must(err)
	}
}
