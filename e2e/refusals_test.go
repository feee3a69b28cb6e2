package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/e2e/cluster"
)

// mayOnly makes a user who may do in the namespace what the rules say, and a Helm for them.
func (b *bed) mayOnly(rules string) *helmexec.Helm {
	b.Helper()
	user := b.namespace
	path := "/apis/rbac.authorization.k8s.io/v1/namespaces/" + b.namespace
	b.must(b.cluster.Request(b.ctx, http.MethodPost, path+"/roles", "metadata: {name: limited}\nrules:\n"+rules, nil))
	b.must(b.cluster.Request(b.ctx, http.MethodPost, path+"/rolebindings", fmt.Sprintf(
		"metadata: {name: limited}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: limited}\n"+
			"subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: %s}]\n", user), nil))
	kubeconfig, err := b.cluster.KubeconfigAs(user)
	b.must(err)
	return b.newHelm(func(cfg *helmexec.Config) { cfg.Kubeconfig = kubeconfig })
}

// beside are objects, "Kind name", that the test itself made.
func (b *bed) beside(names ...string) []helmexec.Remain {
	var own []helmexec.Remain
	for _, name := range names {
		kind, name, _ := strings.Cut(name, " ")
		own = append(own, helmexec.Remain{ObjectRef: helmexec.ObjectRef{Kind: kind, Name: name}})
	}
	return own
}

// failed is an error with what it says of a release.
func (b *bed) failed(err error) *helmexec.ReleaseError {
	b.Helper()
	var failed *helmexec.ReleaseError
	if !errors.As(err, &failed) {
		b.Fatalf("%v is no ReleaseError", err)
	}
	return failed
}

func names(remains []helmexec.Remain) []string {
	all := []string{}
	for _, r := range remains {
		all = append(all, r.ObjectRef.String())
	}
	slices.Sort(all)
	return all
}

func (b *bed) wantNames(remains []helmexec.Remain, want ...string) {
	b.Helper()
	slices.Sort(want)
	if got := names(remains); !slices.Equal(got, want) {
		b.Errorf("reported is %q, want %q", got, want)
	}
}

// uninstallThatIsRefused: helm itself only says that it failed.
func uninstallThatIsRefused(b *bed) {
	limited := b.mayOnly("- {apiGroups: ['', apps], resources: ['*'], verbs: [get, list, watch, create, update, patch]}\n")
	_, err := limited.Install(b.ctx, "web", sutChart, helmexec.InstallOptions{JobID: "7"})
	b.must(err)
	for name, uninstall := range map[string]func() error{
		"by name": func() error { _, err := limited.Uninstall(b.ctx, "web", helmexec.UninstallOptions{}); return err },
		"by job":  func() error { _, err := limited.UninstallJob(b.ctx, "7", helmexec.JobOptions{}); return err },
	} {
		err := uninstall()
		b.wantErr(err, nil, "status uninstalling", `deployments.apps "web" is forbidden`)
		if helmexec.IsTransient(err) {
			b.Errorf("%s: %v is called transient", name, err)
		}
		b.wantNames(b.failed(err).Remains, "apps/Deployment "+b.namespace+"/web", "ConfigMap "+b.namespace+"/web-0", "Service "+b.namespace+"/web")
	}
	results, err := b.h.UninstallJob(b.ctx, "7", helmexec.JobOptions{Wait: true, Timeout: patient})
	b.must(err)
	if len(results) != 1 {
		b.Errorf("results are %v", results)
	}
	b.wantLeft(b.beside("Role limited", "RoleBinding limited"))
}

// installWithoutRightsOnRecords makes nothing, and says so.
func installWithoutRightsOnRecords(b *bed) {
	for _, verbs := range []string{"[get]", "[get, list]"} {
		limited := b.mayOnly("- {apiGroups: ['', apps], resources: [configmaps, services, deployments], verbs: ['*']}\n- {apiGroups: [''], resources: [secrets], verbs: " + verbs + "}\n")
		_, err := limited.Install(b.ctx, "web", sutChart, helmexec.InstallOptions{})
		b.wantErr(err, nil, "secrets is forbidden")
		if errors.Is(err, helmexec.ErrLeftBehind) || helmexec.IsTransient(err) {
			b.Errorf("%v is left behind, or transient", err)
		}
		b.wantNames(b.failed(err).Remains)
		b.wantLeft(b.beside("Role limited", "RoleBinding limited"))
		path := "/apis/rbac.authorization.k8s.io/v1/namespaces/" + b.namespace
		b.must(b.cluster.Request(b.ctx, http.MethodDelete, path+"/roles/limited", nil, nil))
		b.must(b.cluster.Request(b.ctx, http.MethodDelete, path+"/rolebindings/limited", nil, nil))
	}
}

// crd is a custom resource definition; each test has its own group, because all share the cluster.
func (b *bed) crd(plural, scope string) string {
	group := b.namespace + ".example.com"
	kind := strings.ToUpper(plural[:1]) + strings.TrimSuffix(plural[1:], "s")
	return fmt.Sprintf(`apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %[1]s.%[2]s}
spec:
  group: %[2]s
  scope: %[3]s
  names: {plural: %[1]s, singular: %[4]s, kind: %[5]s}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
`, plural, group, scope, strings.TrimSuffix(plural, "s"), kind)
}

// crdsAndNamespacesStay: Helm makes them before everything else, records those of subcharts nowhere,
// and removes none.
func crdsAndNamespacesStay(b *bed) {
	group := b.namespace + ".example.com"
	crd := func(plural string) string {
		return "apiextensions.k8s.io/CustomResourceDefinition " + plural + "." + group
	}
	b.Cleanup(func() {
		for _, plural := range []string{"gizmos", "widgets", "gadgets"} {
			_ = b.cluster.Request(context.WithoutCancel(b.ctx), http.MethodDelete, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"+plural+"."+group, nil, nil)
		}
	})
	files := map[string]string{
		"crds/gizmos.yaml":             b.crd("gizmos", "Cluster"),
		"charts/sub/Chart.yaml":        "apiVersion: v2\nname: sub\nversion: 1.0.0\n",
		"charts/sub/crds/widgets.yaml": b.crd("widgets", "Namespaced") + "---\n" + b.crd("gadgets", "Namespaced"),
		"gizmo.yaml":                   "apiVersion: " + group + "/v1\nkind: Gizmo\nmetadata: {name: " + b.namespace + ", annotations: {helm.sh/resource-policy: keep}}\n",
	}
	fresh := b.namespace + "-fresh"
	namespace := "Namespace " + fresh
	opts := helmexec.InstallOptions{Namespace: fresh, CreateNamespace: true, JobID: "7"}

	// Refused before anything is recorded.
	files["unknown.yaml"] = "apiVersion: nosuch.example.com/v1\nkind: Nosuch\nmetadata: {name: x}\n"
	_, err := b.h.Install(b.ctx, "web", b.folder(files), opts)
	b.wantErr(err, nil, "Nosuch")
	b.wantNames(b.failed(err).Remains, crd("gizmos"), crd("widgets"), crd("gadgets"))
	delete(files, "unknown.yaml")

	_, err = b.h.Install(b.ctx, "web", b.folder(files), opts)
	b.must(err)
	results, err := b.h.UninstallJob(b.ctx, "7", helmexec.JobOptions{Namespace: fresh, Wait: true, Timeout: patient})
	b.must(err)
	if len(results) != 1 {
		b.Fatalf("results are %v", results)
	}
	b.wantNames(results[0].Remains, group+"/Gizmo "+b.namespace, namespace, crd("gizmos"), crd("widgets"), crd("gadgets"))
	b.must(b.cluster.DeleteNamespace(b.ctx, fresh))

	// The namespace is made before the record is, which does not fit here.
	delete(files, "gizmo.yaml")
	files["map.yaml"] = "{{ range until 30 }}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: m{{ . }}}\ndata: {text: {{ randAlphaNum 60000 }}}\n{{ end }}"
	_, err = b.h.Install(b.ctx, "web", b.folder(files), opts)
	b.wantErr(err, nil, "Too long")
	b.wantNames(b.failed(err).Remains, namespace, crd("gizmos"), crd("widgets"), crd("gadgets"))
	b.must(b.cluster.DeleteNamespace(b.ctx, fresh))
}

// refusePods makes a quota without room for pods.
func (b *bed) refusePods() {
	b.Helper()
	b.must(b.cluster.Request(b.ctx, http.MethodPost, "/api/v1/namespaces/"+b.namespace+"/resourcequotas", "metadata: {name: none}\nspec: {hard: {pods: '0'}}\n", nil))
	// The API server hears of a quota a little later.
	b.must(cluster.Eventually(b.ctx, func(ctx context.Context) error {
		err := b.cluster.Request(ctx, http.MethodPost, "/api/v1/namespaces/"+b.namespace+"/pods?dryRun=All", "metadata: {name: x}\nspec: {containers: [{name: main, image: x:1}]}\n", nil)
		if err == nil || !strings.Contains(err.Error(), "exceeded quota") {
			return fmt.Errorf("the quota does not refuse pods yet: %v", err)
		}
		return nil
	}))
}

// podsThatAQuotaRefuses: the controller that makes pods reports a refusal only in events.
func podsThatAQuotaRefuses(b *bed) {
	b.refusePods()
	pod := "    metadata: {labels: {app: x}}\n    spec: {restartPolicy: %s, containers: [{name: main, image: x:1}]}\n"
	for kind, object := range map[string]string{
		"StatefulSet": "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: x}\nspec:\n  serviceName: x\n  selector: {matchLabels: {app: x}}\n  template:\n" + fmt.Sprintf(pod, "Always"),
		"DaemonSet":   "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: x}\nspec:\n  selector: {matchLabels: {app: x}}\n  template:\n" + fmt.Sprintf(pod, "Always"),
		"Deployment":  "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec:\n  selector: {matchLabels: {app: x}}\n  template:\n" + fmt.Sprintf(pod, "Always"),
		"Job":         "apiVersion: batch/v1\nkind: Job\nmetadata: {name: x, annotations: {helm.sh/hook: post-install}}\nspec:\n  template:\n" + fmt.Sprintf(pod, "Never"),
	} {
		name := "q-" + strings.ToLower(kind)
		_, err := b.h.Install(b.ctx, name, b.folder(map[string]string{"object.yaml": strings.ReplaceAll(object, "name: x", "name: "+name)}),
			helmexec.InstallOptions{Wait: true, Timeout: 5 * time.Second})
		b.wantErr(err, helmexec.ErrNotReady, kind+" "+name, "exceeded quota")
	}
}

// hookThatIsRefused: it made nothing that could get ready.
func hookThatIsRefused(b *bed) {
	limited := b.mayOnly("- {apiGroups: ['', apps], resources: ['*'], verbs: ['*']}\n- {apiGroups: [batch], resources: [jobs], verbs: [get, list, watch, delete]}\n")
	_, err := limited.Install(b.ctx, "web", sutChart, helmexec.InstallOptions{Wait: true, Timeout: patient, Values: hookThat("pre-install", "")})
	b.wantErr(err, nil, "is forbidden", "jobs")
	if errors.Is(err, helmexec.ErrNotReady) || errors.Is(err, helmexec.ErrLeftBehind) {
		b.Errorf("%v is of the wrong kind", err)
	}
	b.wantLeft(append(b.failed(err).Remains, b.beside("Role limited", "RoleBinding limited")...))
}

// namespaceThatTheChartNames is not the one that CreateNamespace makes.
func namespaceThatTheChartNames(b *bed) {
	chart := b.folder(map[string]string{"map.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: nosuch-of-the-chart}\n"})
	for _, create := range []bool{false, true} {
		_, err := b.h.Install(b.ctx, "web", chart, helmexec.InstallOptions{CreateNamespace: create})
		b.wantErr(err, helmexec.ErrNamespaceNotFound, "nosuch-of-the-chart", "the chart puts objects into that namespace")
		if strings.Contains(err.Error(), "CreateNamespace") {
			b.Errorf("%v advises what does not help", err)
		}
	}
	_, err := b.h.Install(b.ctx, "web", sutChart, helmexec.InstallOptions{Namespace: "nosuch-at-all"})
	b.wantErr(err, helmexec.ErrNamespaceNotFound, "set CreateNamespace")
}

// everyResourcePolicy: Helm leaves an object with any value of the annotation.
func everyResourcePolicy(b *bed) {
	text := ""
	for name, policy := range map[string]string{"keep": "keep", "delete": "delete", "retain": "retain", "empty": `""`, "nothing": "null"} {
		text += "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + ", annotations: {helm.sh/resource-policy: " + policy + "}}\n"
	}
	_, err := b.h.Install(b.ctx, "web", b.folder(map[string]string{"maps.yaml": text}), helmexec.InstallOptions{})
	b.must(err)
	result, err := b.h.Uninstall(b.ctx, "web", helmexec.UninstallOptions{})
	b.must(err)
	b.wantLeft(result.Remains)
}

// preDeleteHookThatNeverEnds is skipped by the clean-up of a job, and its Job stays.
func preDeleteHookThatNeverEnds(b *bed) {
	_, err := b.h.Install(b.ctx, "web", sutChart, helmexec.InstallOptions{JobID: "7", Values: hookThat("pre-delete", cluster.FaultNeverFinish)})
	b.must(err)
	var results []*helmexec.UninstallResult
	b.growing(3*time.Second, func(timeout time.Duration) (err error) {
		results, err = b.h.UninstallJob(b.ctx, "7", helmexec.JobOptions{Wait: true, Timeout: timeout})
		return err
	})
	if len(results) != 1 {
		b.Fatalf("results are %v", results)
	}
	b.wantNames(results[0].Remains, "batch/Job "+b.namespace+"/web-hook")
	b.wantLeft(results[0].Remains)
}

// twoHomesCleanUpOneJob: each release is in one of the results, and neither fails.
func twoHomesCleanUpOneJob(b *bed) {
	const releases = 4
	for i := range releases {
		_, err := b.h.Install(b.ctx, fmt.Sprint("web-", i), sutChart, helmexec.InstallOptions{JobID: "7"})
		b.must(err)
	}
	runners := []*helmexec.Helm{b.h, b.newHelm(func(cfg *helmexec.Config) { cfg.Home = filepath.Join(b.TempDir(), "other") })}
	removed := make([]int, len(runners))
	var all sync.WaitGroup
	for i, h := range runners {
		all.Go(func() {
			results, err := h.UninstallJob(b.ctx, "7", helmexec.JobOptions{Wait: true, Timeout: patient})
			if err != nil {
				b.Error(err)
			}
			removed[i] = len(results)
		})
	}
	all.Wait()
	if removed[0]+removed[1] != releases {
		b.Errorf("%v releases were removed, of %d", removed, releases)
	}
	b.wantLeft(nil)
}

// namesThatTheAPIServerMakes are in no record, and Helm removes no such object.
func namesThatTheAPIServerMakes(b *bed) {
	_, err := b.h.Install(b.ctx, "web", b.folder(map[string]string{
		"maps.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: run-}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: plain}\n",
	}), helmexec.InstallOptions{})
	if err != nil {
		b.wantErr(err, nil)
		b.wantLeft(b.failed(err).Remains)
		return
	}
	result, err := b.h.Uninstall(b.ctx, "web", helmexec.UninstallOptions{})
	if err != nil {
		b.wantLeft(b.failed(err).Remains)
		return
	}
	b.wantLeft(result.Remains)
}
