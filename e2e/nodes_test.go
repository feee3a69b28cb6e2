package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/e2e/cluster"
)

// freeAccelerators: what nodes have, less what pods hold, of a resource that only this test uses.
func freeAccelerators(b *bed) {
	gpu := b.namespace + ".example/gpu"
	b.node("big", "{taints: [{key: helmexec/test, effect: NoSchedule}]}", gpu+`: "8"`)
	b.node("cordoned", "{unschedulable: true}", gpu+`: "4"`)
	pod := func(name, containers string) {
		b.Helper()
		b.must(b.cluster.Request(b.ctx, http.MethodPost, "/api/v1/namespaces/"+b.namespace+"/pods", "metadata: {name: "+name+"}\nspec: {"+containers+"}\n", nil))
	}
	takes := func(name, amount, more string) string {
		return fmt.Sprintf("{name: %s, image: registry.example/x, resources: {limits: {%s: %s}}%s}", name, gpu, amount, more)
	}
	on := "nodeName: " + b.namespace + "-big, "
	pod("two", on+"containers: ["+takes("a", "2", "")+"]")
	pod("with-init", on+"initContainers: ["+takes("s", "1", ", restartPolicy: Always")+", "+takes("i", "2", "")+"], containers: ["+takes("a", "1", "")+"]")
	pod("waits", "containers: ["+takes("a", "100", "")+"]")
	pod("ended", on+"containers: ["+takes("a", "1", "")+"]")
	b.eventually("/api/v1/namespaces/"+b.namespace+"/pods/ended", "Phase:Running")
	b.must(b.cluster.Request(b.ctx, http.MethodPatch, "/api/v1/namespaces/"+b.namespace+"/pods/ended/status", map[string]any{"status": map[string]any{"phase": "Succeeded"}}, nil))

	free := func(h *helmexec.Helm) (amounts []int64) {
		b.Helper()
		nodes, err := h.Nodes(b.ctx, helmexec.ClusterOptions{})
		b.must(err)
		for _, node := range nodes {
			if amount, has := node[gpu]; has {
				amounts = append(amounts, amount)
			}
		}
		return amounts
	}
	if got := free(b.h); fmt.Sprint(got) != "[3]" {
		b.Errorf("free is %v of the node that takes pods, want 8 less 2 less 3", got)
	}

	kubeconfig, err := b.cluster.KubeconfigAs("system:serviceaccount:" + b.namespace + ":default")
	b.must(err)
	limited := b.newHelm(func(cfg *helmexec.Config) { cfg.Kubeconfig = kubeconfig })
	for _, resource := range []string{"nodes", "pods"} {
		var err error
		b.must(cluster.Eventually(b.ctx, func(ctx context.Context) error { // a new right counts a little later
			_, err = limited.Nodes(ctx, helmexec.ClusterOptions{})
			return says(err, "it needs the right to list "+resource+" at the cluster scope")
		}))
		b.wantErr(err, helmexec.ErrForbidden)
		b.mayEverywhere(resource)
	}
	b.must(cluster.Eventually(b.ctx, func(ctx context.Context) error { _, err := limited.Nodes(ctx, helmexec.ClusterOptions{}); return err }))
	if got := free(limited); fmt.Sprint(got) != "[3]" {
		b.Errorf("free is %v for who may list nodes and pods", got)
	}
}

// node makes a node that ends with the test, and waits until it is ready.
func (b *bed) node(name, spec, resources string) {
	b.Helper()
	name = b.namespace + "-" + name
	b.must(b.cluster.Request(b.ctx, http.MethodPost, "/api/v1/nodes", fmt.Sprintf(
		"metadata: {name: %s, annotations: {kwok.x-k8s.io/node: fake}}\nspec: %s\nstatus: {capacity: {pods: 100, %s}, allocatable: {pods: 100, %s}}\n",
		name, spec, resources, resources), nil))
	b.endsWithTest("/api/v1/nodes/" + name)
	b.eventually("/api/v1/nodes/"+name, "Ready:True")
}

// eventually waits until the conditions and the phase of an object say something.
func (b *bed) eventually(path, says string) {
	b.Helper()
	b.must(cluster.Eventually(b.ctx, func(ctx context.Context) error {
		var object struct {
			Status struct {
				Phase      string
				Conditions []struct{ Type, Status string }
			}
		}
		if err := b.cluster.Request(ctx, http.MethodGet, path, nil, &object); err != nil {
			return err
		}
		seen := "Phase:" + object.Status.Phase
		for _, c := range object.Status.Conditions {
			seen += " " + c.Type + ":" + c.Status
		}
		if !strings.Contains(seen, says) {
			return fmt.Errorf("%s: got %s, want %s", path, seen, says)
		}
		return nil
	}))
}

// mayEverywhere gives the namespace's service account the right to list a resource.
func (b *bed) mayEverywhere(resource string) {
	b.Helper()
	const path = "/apis/rbac.authorization.k8s.io/v1/"
	name := b.namespace + "-" + resource
	b.must(b.cluster.Request(b.ctx, http.MethodPost, path+"clusterroles", fmt.Sprintf("metadata: {name: %s}\nrules: [{apiGroups: [''], resources: [%s], verbs: [list]}]\n", name, resource), nil))
	b.endsWithTest(path + "clusterroles/" + name)
	b.must(b.cluster.Request(b.ctx, http.MethodPost, path+"clusterrolebindings", fmt.Sprintf(
		"metadata: {name: %s}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: %s}\nsubjects: [{kind: ServiceAccount, name: default, namespace: %s}]\n",
		name, name, b.namespace), nil))
	b.endsWithTest(path + "clusterrolebindings/" + name)
}

// endsWithTest removes an object of the cluster after the test.
func (b *bed) endsWithTest(path string) {
	b.T.Cleanup(func() {
		if err := b.cluster.Request(context.WithoutCancel(b.ctx), http.MethodDelete, path, nil, nil); err != nil {
			b.Error(err)
		}
	})
}
