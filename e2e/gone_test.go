package e2e

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/e2e/cluster"
)

// pods lists the pods in the namespace, now.
func (b *bed) pods() (names []string) {
	b.Helper()
	var list struct {
		Items []struct{ Metadata struct{ Name string } }
	}
	b.must(b.cluster.Request(b.ctx, http.MethodGet, "/api/v1/namespaces/"+b.namespace+"/pods", nil, &list))
	for _, pod := range list.Items {
		names = append(names, pod.Metadata.Name)
	}
	return names
}

// counting is a Helm that writes down the helm processes it runs.
func (b *bed) counting() (h *helmexec.Helm, commands func(command string) int) {
	var log bytes.Buffer
	h = b.newHelm(func(cfg *helmexec.Config) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	return h, func(command string) int { return strings.Count(log.String(), `args="[`+command+" ") }
}

// slowPods are workloads of every kind whose pods take a while to end.
const slowPods = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web, helmexec-e2e/gone-after: 3s}}
    spec: {containers: [{name: main, image: nginx}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web}
spec:
  serviceName: web
  replicas: 2
  selector: {matchLabels: {app: set}}
  template:
    metadata: {labels: {app: set, helmexec-e2e/gone-after: 2s}}
    spec: {containers: [{name: main, image: nginx}]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: web}
spec:
  selector: {matchLabels: {app: daemon}}
  template:
    metadata: {labels: {app: daemon, helmexec-e2e/gone-after: 3s}}
    spec: {containers: [{name: main, image: nginx}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: web}
spec:
  template:
    metadata: {labels: {app: job, helmexec-e2e/gone-after: 4s, helmexec-e2e/fault: NeverFinish}}
    spec: {restartPolicy: Never, containers: [{name: main, image: nginx}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {helmexec-e2e/gone-after: 3s}}
spec: {containers: [{name: main, image: nginx}]}
`

// uninstallEndsWithItsPods: when it returns, every pod is gone, and the record; and not more helms were needed than two
// that remove and a few that look.
func uninstallEndsWithItsPods(b *bed) {
	_, err := b.h.Install(b.ctx, "web", b.folder(map[string]string{"pods.yaml": slowPods}), helmexec.InstallOptions{JobID: "7"})
	b.must(err)
	b.must(cluster.Eventually(b.ctx, func(context.Context) error {
		if n := len(b.pods()); n < 7 {
			return fmt.Errorf("%d pods", n)
		}
		return nil
	}))
	h, count := b.counting()
	results, err := h.UninstallJob(b.ctx, "7", helmexec.JobOptions{Wait: true, Timeout: patient})
	left := b.pods()
	b.must(err)
	if len(results) != 1 || len(left) > 0 {
		b.Errorf("removed are %v, and pods are left: %q", results, left)
	}
	if n := count("uninstall"); n > 2 {
		b.Errorf("%d helms were started to remove the release", n)
	}
	if n := count("get"); n > 2 { // one more if the helm that waits is quicker than the look
		b.Errorf("%d helms were started to read the record", n)
	}
	if looks := count("template"); looks > 60 {
		b.Errorf("%d helms were started to look", looks)
	}
	b.wantLeft(nil)
}

// newKind is a chart with a definition and a resource of it, which the garbage collector does not know yet.
func (b *bed) newKind(place string) string {
	return b.folder(map[string]string{
		place:        b.crd("robots", "Namespaced"),
		"robot.yaml": "{{ if or .Release.IsUpgrade (eq .Values.robot true) }}\napiVersion: " + b.namespace + ".example.com/v1\nkind: Robot\nmetadata: {name: web}\n{{ end }}",
		"pods.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  selector: {matchLabels: {app: web}}\n" +
			"  template:\n    metadata: {labels: {app: web}}\n    spec: {containers: [{name: main, image: nginx}]}\n",
	})
}

// removesDefinition removes what an uninstall leaves of newKind.
func (b *bed) removesDefinition() {
	b.Cleanup(func() {
		_ = b.cluster.Request(context.WithoutCancel(b.ctx), http.MethodDelete, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/robots."+b.namespace+".example.com", nil, nil)
	})
}

// customResourceOfANewKind: nobody waits for the garbage collector to learn the kind, and the resource is gone all the same.
func customResourceOfANewKind(b *bed) {
	b.removesDefinition()
	_, err := b.h.Install(b.ctx, "web", b.newKind("crds/robots.yaml"), helmexec.InstallOptions{Values: helmexec.Values{"robot": true}, Wait: true, Timeout: patient})
	b.must(err)
	result, err := b.h.Uninstall(b.ctx, "web", helmexec.UninstallOptions{Wait: true, Timeout: patient})
	b.must(err)
	err = b.cluster.Request(b.ctx, http.MethodGet, "/apis/"+b.namespace+".example.com/v1/namespaces/"+b.namespace+"/robots/web", nil, nil)
	if left := b.pods(); len(left) > 0 || !cluster.IsNotFound(err) {
		b.Errorf("left are pods %q; and reading the custom resource says %v", left, err)
	}
	b.wantNames(result.Remains, "apiextensions.k8s.io/CustomResourceDefinition robots."+b.namespace+".example.com")
}

// customResourceThatOwnsPods: they go with it, and only the garbage collector removes them.
func customResourceThatOwnsPods(b *bed) {
	b.removesDefinition()
	_, err := b.h.Install(b.ctx, "web", b.newKind("crds/robots.yaml"), helmexec.InstallOptions{Values: helmexec.Values{"robot": true}})
	b.must(err)
	var robot struct{ Metadata struct{ UID string } }
	api := "/apis/" + b.namespace + ".example.com/v1/namespaces/" + b.namespace + "/robots/web"
	b.must(b.cluster.Request(b.ctx, http.MethodGet, api, nil, &robot))
	b.must(b.cluster.Request(b.ctx, http.MethodPost, "/apis/apps/v1/namespaces/"+b.namespace+"/statefulsets", map[string]any{
		"apiVersion": "apps/v1", "kind": "StatefulSet",
		"metadata": map[string]any{"name": "arms", "ownerReferences": []any{map[string]any{
			"apiVersion": b.namespace + ".example.com/v1", "kind": "Robot", "name": "web", "uid": robot.Metadata.UID, "controller": true, "blockOwnerDeletion": true,
		}}},
		"spec": map[string]any{"serviceName": "arms", "selector": map[string]any{"matchLabels": map[string]any{"app": "arms"}}, "template": map[string]any{
			"metadata": map[string]any{"labels": map[string]any{"app": "arms", cluster.LabelGoneAfter: "2s"}},
			"spec":     map[string]any{"containers": []any{map[string]any{"name": "main", "image": "nginx"}}},
		}},
	}, nil))
	b.awaitObject("/api/v1", "pods/arms-0")
	_, err = b.h.Uninstall(b.ctx, "web", helmexec.UninstallOptions{Wait: true, Timeout: patient})
	left := b.pods()
	b.must(err)
	if err := b.cluster.Request(b.ctx, http.MethodGet, api, nil, nil); len(left) > 0 || !cluster.IsNotFound(err) {
		b.Errorf("left are pods %q; and reading the custom resource says %v", left, err)
	}
}

// definitionAmongTheTemplates goes with the release, and with it the custom resources.
func definitionAmongTheTemplates(b *bed) {
	chart := b.newKind("templates/robots.yaml")
	_, err := b.h.Install(b.ctx, "web", chart, helmexec.InstallOptions{Wait: true, Timeout: patient, Values: helmexec.Values{"robot": false}})
	b.must(err)
	_, err = b.h.Upgrade(b.ctx, "web", chart, helmexec.UpgradeOptions{Values: helmexec.Values{"robot": true}})
	b.must(err)
	_, err = b.h.Uninstall(b.ctx, "web", helmexec.UninstallOptions{Wait: true, Timeout: patient})
	b.must(err)
	err = b.cluster.Request(b.ctx, http.MethodGet, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/robots."+b.namespace+".example.com", nil, nil)
	if !cluster.IsNotFound(err) {
		b.Errorf("reading the definition says %v", err)
	}
	b.wantLeft(nil)
}

// notGoneInTime: the record stays as long as objects do, and the next call finishes the removal.
func notGoneInTime(b *bed) {
	chart := b.folder(map[string]string{
		"map.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Values.name }}\n  finalizers: [example.com/stays]\n",
	})
	var err error
	n := 0
	b.growing(4*time.Second, func(timeout time.Duration) error {
		n++
		_, err = b.h.Install(b.ctx, "web", chart, helmexec.InstallOptions{JobID: "7", Values: helmexec.Values{"name": fmt.Sprint("stays-", n)}})
		b.must(err)
		_, err = b.h.Uninstall(b.ctx, "web", helmexec.UninstallOptions{Wait: true, Timeout: timeout})
		if status, notThere := b.recordedStatus("web"); notThere != nil || status != "uninstalling" {
			return fmt.Errorf("the record is %q, %v, after %w", status, notThere, err)
		}
		return nil
	})
	b.wantErr(err, helmexec.ErrNotGone, "ConfigMap", "stays")
	if status := b.failed(err).Status; status != helmexec.StatusUninstalling {
		b.Errorf("the error says that the release is %s", status)
	}
	if _, err := b.h.Install(b.ctx, "web", sutChart, helmexec.InstallOptions{}); err == nil {
		b.Error("its name is free")
	}
	for ; n > 0; n-- {
		path := "/api/v1/namespaces/" + b.namespace + "/configmaps/" + fmt.Sprint("stays-", n)
		var object map[string]any
		b.must(b.cluster.Request(b.ctx, http.MethodGet, path, nil, &object))
		delete(object["metadata"].(map[string]any), "finalizers")
		b.must(b.cluster.Request(b.ctx, http.MethodPut, path, object, nil))
	}
	results, err := b.other().UninstallJob(b.ctx, "7", helmexec.JobOptions{Wait: true, Timeout: patient})
	b.must(err)
	if len(results) != 1 {
		b.Errorf("removed are %v", results)
	}
	b.wantLeft(nil)
}
