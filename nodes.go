package helmexec

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sut-bench/helmexec/internal/helmtext"
)

// nodesChart prints the extended resources of the nodes that take pods, and of the pods on them that have not ended. Only
// these have a "/" in their names. What it prints is a hook, because helm asks the cluster about everything else.
var nodesChart = map[string]string{
	"Chart.yaml": "apiVersion: v2\nname: nodes\nversion: 1.0.0\n",
	"templates/nodes.yaml": `{{- define "extended" }}
  {{- $all := dict }}
  {{- range $name, $amount := . }}{{ if contains "/" $name }}{{ $_ := set $all $name $amount }}{{ end }}{{ end }}
  {{- toJson $all }}
{{- end }}
{{- define "containers" }}
  {{- $all := list }}
  {{- range . }}
    {{- $asks := dig "resources" "requests" (dict) . }}
    {{- $all = append $all (dict "restartPolicy" (.restartPolicy | default "") "resources" (dict "requests" (include "extended" $asks | fromJson))) }}
  {{- end }}
  {{- toJson (dict "all" $all) }}
{{- end -}}
apiVersion: v1
kind: ConfigMap
metadata: {name: nodes, annotations: {helm.sh/hook: pre-install}}
data:
  nodes: "
  {{- range (lookup "v1" "Node" "" "").items }}
    {{- $ready := false }}
    {{- range .status.conditions }}{{ if and (eq .type "Ready") (eq .status "True") }}{{ $ready = true }}{{ end }}{{ end }}
    {{- if and $ready (not .spec.unschedulable) (not .metadata.deletionTimestamp) }}
      {{- dict "name" .metadata.name "has" (include "extended" .status.allocatable | fromJson) | toJson | b64enc }} {{ end }}
  {{- end }}"
  pods: "
  {{- range (lookup "v1" "Pod" "" "").items }}
    {{- $ended := has (dig "status" "phase" "" .) (list "Succeeded" "Failed") }}
    {{- if and .spec.nodeName (not $ended) }}
      {{- $containers := (include "containers" .spec.containers | fromJson).all }}
      {{- $init := (include "containers" (.spec.initContainers | default list) | fromJson).all }}
      {{- $overhead := include "extended" (.spec.overhead | default dict) | fromJson }}
      {{- if contains "/" (toJson (list $containers $init $overhead)) }}
        {{- dict "node" .spec.nodeName "spec" (dict "containers" $containers "initContainers" $init "overhead" $overhead) | toJson | b64enc }} {{ end }}
    {{- end }}
  {{- end }}"
`,
}

// Nodes returns what each node of the cluster has free of its extended resources, such as nvidia.com/gpu, which is what
// GPUReport.Fits takes: what is allocatable, less what the pods on the node hold, counted as the scheduler counts. A pod
// that has ended holds nothing, nor does one that has no node yet; one that is being deleted holds what it has until it is
// gone. Left out are nodes that are cordoned, not ready or being deleted: no pod of a benchmark would start there. Devices
// that are requested by claims (Dynamic Resource Allocation) are not counted.
//
// Others may take what is free before an install does: Nodes tells when an install makes no sense, and reserves nothing.
//
// It starts one helm process, which reads all nodes and all pods of the cluster into memory, within Config.Limits.
//
// Errors: ErrForbidden, which names the right, if the user may not list nodes, or pods in all namespaces;
// ErrOutputTooLarge, with ErrRenderTooLarge or ErrRenderTimeout, for a cluster with more pods than fit into
// Limits.RenderMemory (1 GiB), RenderTime or RenderOutput; ErrClusterUnreachable.
func (h *Helm) Nodes(ctx context.Context, opts ClusterOptions) (_ []map[string]int64, err error) {
	ctx, end := h.enter(ctx, Span{Operation: "Nodes"})
	defer end(&err)
	t, err := h.target("", opts.Kubeconfig, opts.KubeContext)
	if err != nil {
		return nil, err
	}
	answers, err := h.answers(ctx, t, "nodes", nodesChart, invocation{
		args: args{"--disable-openapi-validation"}, limits: h.rendering(), task: "count the accelerators" + t.where(),
	})
	var e *Error
	switch {
	case errors.Is(err, ErrRenderTooLarge), errors.Is(err, ErrRenderTimeout):
		return nil, fmt.Errorf("%w: too many nodes and pods for Config.Limits: %w", ErrOutputTooLarge, err)
	case errors.As(err, &e) && helmtext.MissingRight(e.Stderr) != "":
		return nil, fmt.Errorf("%w: it needs the right to %s: %w", ErrForbidden, helmtext.MissingRight(e.Stderr), err)
	case err != nil:
		return nil, err
	}
	nodes, err := decodedWords[struct {
		Name string
		Has  map[string]string
	}](answers["nodes"])
	if err != nil {
		return nil, err
	}
	pods, err := decodedWords[struct {
		Node string
		Spec json.RawMessage
	}](answers["pods"])
	if err != nil {
		return nil, err
	}
	all := make([]map[string]int64, 0, len(nodes))
	byName := map[string]map[string]int64{}
	for _, node := range nodes {
		spec, err := json.Marshal(map[string]any{"containers": []any{map[string]any{"resources": map[string]any{"requests": node.Has}}}})
		if err != nil {
			return nil, err
		}
		free, err := h.extended(ctx, spec)
		if err != nil {
			return nil, err
		}
		byName[node.Name] = free
		all = append(all, free)
	}
	for _, pod := range pods {
		free, counts := byName[pod.Node]
		if !counts {
			continue
		}
		held, err := h.extended(ctx, pod.Spec)
		if err != nil {
			return nil, err
		}
		for name, amount := range held {
			if _, has := free[name]; has {
				free[name] = max(0, free[name]-amount)
			}
		}
	}
	return all, nil
}

// everyResource makes an accelerator of each extended resource: the rules of a later report may make it one.
var everyResource = GPUOptions{Rules: []GPURule{{Resource: "*/*", Kind: GPUDevice}}}

// extended is what a pod takes of extended resources.
func (h *Helm) extended(ctx context.Context, spec json.RawMessage) (map[string]int64, error) {
	pod := fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":%s}`, spec)
	report, err := Manifest(pod).GPUsContext(ctx, everyResource)
	if err != nil {
		return nil, badOutput("template", err)
	}
	sum := map[string]int64{}
	for _, w := range report.Workloads {
		for name, amount := range w.PerPod {
			sum[name] += amount
		}
	}
	return sum, nil
}
