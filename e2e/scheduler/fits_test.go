// Package scheduler compares what helmexec says about accelerators with what the scheduler of a
// real control plane does with the same objects and nodes.
package scheduler

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/e2e/cluster"
	"github.com/sut-bench/helmexec/e2e/internal/guarded"
	"github.com/sut-bench/helmexec/internal/tools"
)

// bench is the cluster of all tests here.
var (
	bench       *cluster.Cluster
	interrupted context.Context
)

const namespace = "scheduler"

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	ctx, stop := guarded.UntilInterrupted()
	defer stop()
	interrupted = ctx
	var err error
	if bench, err = cluster.Start(ctx, cluster.Options{Nodes: []cluster.Node{}}); err == nil {
		defer bench.Stop()
		err = errors.Join(bench.CreateNamespace(ctx, namespace), addClasses(ctx, "gpu.example.com", "big.example.com", "nic.example.com"))
	}
	switch {
	case errors.Is(err, tools.ErrNotBuilt):
		fmt.Fprintln(os.Stderr, "tests of the scheduler are skipped:", err)
		return 0
	case err != nil:
		fmt.Fprintln(os.Stderr, "tests of the scheduler cannot start:", err)
		return 1
	}
	return m.Run()
}

// scene is a manifest and the nodes it is put on. A name with a "/" is an extended resource of the
// node, another one a class of devices that a driver offers there.
type scene struct {
	name     string
	nodes    []map[string]int64
	manifest string
	fits     bool
}

// Fits says what the scheduler does.
func TestFits(t *testing.T) {
	for _, s := range scenes {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			label := labelOf(s.name)
			for i, node := range s.nodes {
				addNode(t, fmt.Sprintf("%s-%d", label, i), label, node)
			}
			s.check(t, label)
		})
	}
}

// Fits finds a way for pods of several sizes if there is one. The scheduler, which places one after
// the other, may not; but what it places must fit.
func TestFitsOfManyWorkloads(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 0))
			s := scene{name: fmt.Sprintf("random %d", seed)}
			label := labelOf(s.name)
			for i := range 2 + rng.IntN(2) {
				s.nodes = append(s.nodes, map[string]int64{gpu: 2 + rng.Int64N(7), "amd.com/gpu": rng.Int64N(3)})
				addNode(t, fmt.Sprintf("%s-%d", label, i), label, s.nodes[i])
			}
			for i := range 2 + rng.IntN(3) {
				resource := gpu
				if rng.IntN(4) == 0 {
					resource = "amd.com/gpu"
				}
				one := deployment(1+rng.IntN(3), limits(resource, 1+rng.IntN(4)))
				s.manifest += strings.ReplaceAll(one, "NAME", fmt.Sprintf("NAME-%d", i))
			}
			fits, placed, pods := s.play(t, label)
			if !fits && placed == pods {
				t.Errorf("Fits says no, and the scheduler placed all of %d pods on %v", pods, s.nodes)
			}
			t.Logf("Fits says %v, and the scheduler placed %d of %d pods", fits, placed, pods)
		})
	}
}

// One resource of each kind of every vendor, on nodes that have them all.
func TestFitsOfEveryVendor(t *testing.T) {
	all := func(amount int64) map[string]int64 {
		node := map[string]int64{}
		for _, resource := range resources {
			node[resource] = amount
		}
		return node
	}
	nodes := []map[string]int64{all(3), all(2)}
	for _, fits := range []bool{true, false} {
		label := fmt.Sprintf("all-%v", fits)
		for i, node := range nodes {
			addNode(t, fmt.Sprintf("%s-%d", label, i), label, node)
		}
		pods := map[bool]int{true: 2, false: 3}[fits]
		for _, resource := range resources {
			t.Run(fmt.Sprintf("%d pods of %s", pods, resource), func(t *testing.T) {
				t.Parallel()
				scene{name: label + " " + resource, nodes: nodes, manifest: deployment(pods, limits(resource, 2)), fits: fits}.check(t, label)
			})
		}
	}
}

// check plays a scene in which Fits and the scheduler must agree.
func (s scene) check(t *testing.T, nodeLabel string) {
	t.Helper()
	fits, placed, pods := s.play(t, nodeLabel)
	if fits != s.fits {
		t.Errorf("Fits says %v, want %v", fits, s.fits)
	}
	if fits != (placed == pods) {
		t.Errorf("Fits says %v, and the scheduler placed %d of %d pods", fits, placed, pods)
	}
}

// play asks Fits, gives the manifest to the cluster, and counts the pods that get a node. Of a
// DaemonSet, which has a pod for every node also where it cannot run, one is enough.
func (s scene) play(t *testing.T, nodeLabel string) (fits bool, placed, pods int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(interrupted, 10*time.Minute) // ends what hangs
	defer cancel()
	label := labelOf(s.name)
	manifest, err := helmexec.Transforms(
		helmexec.AddNodeSelector(map[string]string{"scene": nodeLabel}),
		helmexec.AddLabels(map[string]string{"scene": label}),
	)(helmexec.Manifest(strings.ReplaceAll(s.manifest, "NAME", label)))
	if err != nil {
		t.Fatal(err)
	}
	report, err := manifest.GPUs(helmexec.GPUOptions{})
	if err != nil {
		t.Fatal(err)
	}
	fits, _ = report.Fits(s.nodes)
	daemons := true
	for _, w := range report.Workloads {
		daemons = daemons && w.PerNode
		pods += int(w.Replicas)
	}
	if daemons {
		pods = len(s.nodes)
	}
	apply(ctx, t, manifest)
	err = cluster.Eventually(ctx, func(ctx context.Context) (err error) {
		placed, err = decided(ctx, label, pods)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if daemons && placed > 0 {
		pods = placed
	}
	return fits, placed, pods
}

// decided counts the pods of a scene that have a node. It fails as long as the scheduler has not
// looked at all of them.
func decided(ctx context.Context, label string, pods int) (placed int, err error) {
	var list struct {
		Items []struct {
			Spec   struct{ NodeName string }
			Status struct {
				Conditions []struct{ Type, Status, Reason, Message string }
			}
		}
	}
	path := "/api/v1/namespaces/" + namespace + "/pods?labelSelector=scene%3D" + label
	if err := bench.Request(ctx, http.MethodGet, path, nil, &list); err != nil {
		return 0, err
	}
	seen := 0
	for _, pod := range list.Items {
		if pod.Spec.NodeName != "" {
			placed++
			seen++
			continue
		}
		for _, c := range pod.Status.Conditions {
			passing := strings.Contains(c.Message, "in the process of being allocated") // to another pod that shares the claim
			if c.Type == "PodScheduled" && c.Status == "False" && c.Reason == "Unschedulable" && !passing {
				seen++
			}
		}
	}
	if seen != pods {
		return 0, fmt.Errorf("the scheduler looked at %d pods, want %d", seen, pods)
	}
	return placed, nil
}

// apply gives the objects of a manifest to the API server.
func apply(ctx context.Context, t *testing.T, manifest helmexec.Manifest) {
	t.Helper()
	objects, err := manifest.Objects()
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		api := "/apis/"
		if o["apiVersion"] == "v1" {
			api = "/api/"
		}
		path := fmt.Sprintf("%s%s/namespaces/%s/%ss", api, o["apiVersion"], namespace, strings.ToLower(o["kind"].(string)))
		if err := bench.Request(ctx, http.MethodPost, path, o, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// addClasses makes classes of the devices that the drivers of the same names offer.
func addClasses(ctx context.Context, names ...string) error {
	for _, name := range names {
		selector := map[string]any{"cel": map[string]any{"expression": fmt.Sprintf("device.driver == %q", name)}}
		class := map[string]any{"metadata": map[string]any{"name": name}, "spec": map[string]any{"selectors": []any{selector}}}
		if err := bench.Request(ctx, http.MethodPost, "/apis/resource.k8s.io/v1/deviceclasses", class, nil); err != nil {
			return err
		}
	}
	return nil
}

// addNode makes a node with extended resources, and offers the devices that it has.
func addNode(t *testing.T, name, label string, has map[string]int64) {
	t.Helper()
	node := cluster.Node{Name: name, Labels: map[string]string{"scene": label}, Resources: map[string]string{}}
	for resource, amount := range has {
		if strings.Contains(resource, "/") {
			node.Resources[resource] = fmt.Sprint(amount)
			continue
		}
		var devices []any
		for i := range amount {
			devices = append(devices, map[string]any{"name": fmt.Sprintf("device-%d", i)})
		}
		slice := map[string]any{
			"metadata": map[string]any{"name": name + "-" + resource},
			"spec": map[string]any{
				"driver": resource, "nodeName": name, "devices": devices,
				"pool": map[string]any{"name": name, "generation": 1, "resourceSliceCount": 1},
			},
		}
		if err := bench.Request(interrupted, http.MethodPost, "/apis/resource.k8s.io/v1/resourceslices", slice, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := bench.AddNode(interrupted, node); err != nil {
		t.Fatal(err)
	}
}

// labelOf makes a name that objects, nodes and labels can have.
func labelOf(name string) string { return helmexec.SUTHelmName("s", name) }
