package cluster

import (
	"context"
	"fmt"
	"maps"
	"net/http"
)

// Node is a node to make.
type Node struct {
	Name   string
	Labels map[string]string
	// Resources are added to ample cpu, memory and pods, or replace them: {"nvidia.com/gpu": "8"}.
	Resources map[string]string
}

// DefaultNodes are a plain node and one with eight GPUs.
func DefaultNodes() []Node {
	return []Node{
		{Name: "node-plain"},
		{Name: "node-gpu", Resources: map[string]string{"nvidia.com/gpu": "8"}},
	}
}

// AddNode makes a node and returns when it is ready.
func (c *Cluster) AddNode(ctx context.Context, node Node) error {
	labels := map[string]string{
		"kubernetes.io/hostname": node.Name,
		"kubernetes.io/os":       "linux",
		"kubernetes.io/arch":     "amd64",
	}
	maps.Copy(labels, node.Labels)
	resources := map[string]string{"cpu": "1k", "memory": "1Ti", "pods": "10k", "ephemeral-storage": "1Ti"}
	maps.Copy(resources, node.Resources)
	err := c.Request(ctx, http.MethodPost, "/api/v1/nodes", map[string]any{
		"metadata": map[string]any{
			"name":        node.Name,
			"labels":      labels,
			"annotations": map[string]string{"kwok.x-k8s.io/node": "fake"},
		},
		"status": map[string]any{
			"capacity":    resources,
			"allocatable": resources,
			"addresses":   []map[string]string{{"type": "Hostname", "address": node.Name}, {"type": "InternalIP", "address": "10.0.0.1"}},
			"nodeInfo":    map[string]string{"architecture": "amd64", "operatingSystem": "linux", "kubeletVersion": "v1.34.4"},
		},
	}, nil)
	if err != nil {
		return err
	}
	return c.process("kwok").Await(ctx, func(ctx context.Context) error { return c.nodeReady(ctx, node.Name) })
}

func (c *Cluster) nodeReady(ctx context.Context, name string) error {
	var node struct {
		Status struct {
			Conditions []struct{ Type, Status string }
		}
	}
	if err := c.Request(ctx, http.MethodGet, "/api/v1/nodes/"+name, nil, &node); err != nil {
		return err
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == "Ready" && condition.Status == "True" {
			return nil
		}
	}
	return fmt.Errorf("node %s is not ready", name)
}

// addStorageClass makes claims bind: stages.yaml simulates the provisioner.
func (c *Cluster) addStorageClass(ctx context.Context) error {
	return c.Request(ctx, http.MethodPost, "/apis/storage.k8s.io/v1/storageclasses", map[string]any{
		"metadata": map[string]any{
			"name":        "standard",
			"annotations": map[string]string{"storageclass.kubernetes.io/is-default-class": "true"},
		},
		"provisioner": "helmexec-e2e/volumes",
	}, nil)
}
