package helmexec

import (
	"encoding/base64"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
)

// counted answers the question for nodes and pods, each as JSON.
func counted(nodes, pods []string) helmtest.Reply {
	encoded := func(all []string) string {
		var words []string
		for _, text := range all {
			words = append(words, base64.StdEncoding.EncodeToString([]byte(text)))
		}
		return strconv.Quote(strings.Join(words, " "))
	}
	return helmtest.Reply{Stdout: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: nodes}\ndata: {nodes: " + encoded(nodes) + ", pods: " + encoded(pods) + "}\n"}
}

func TestNodes(t *testing.T) {
	container := func(amounts string) string { return `{"restartPolicy":"","resources":{"requests":{` + amounts + `}}}` }
	sidecar := func(amounts string) string {
		return `{"restartPolicy":"Always","resources":{"requests":{` + amounts + `}}}`
	}
	pod := func(node, containers, init, overhead string) string {
		return `{"node":"` + node + `","spec":{"containers":[` + containers + `],"initContainers":[` + init + `],"overhead":{` + overhead + `}}}`
	}
	const two, three = `"nvidia.com/gpu":"2"`, `"nvidia.com/gpu":"3"`
	for _, test := range []struct {
		name  string
		nodes []string
		pods  []string
		want  []map[string]int64
	}{
		{"no nodes", nil, nil, []map[string]int64{}},
		{"a node without accelerators", []string{`{"name":"a","has":{}}`}, nil, []map[string]int64{{}}},
		{"an empty node", []string{`{"name":"a","has":{"nvidia.com/gpu":"8","example.com/fuse":"1k"}}`}, nil, []map[string]int64{{"nvidia.com/gpu": 8, "example.com/fuse": 1000}}},
		{"two pods", []string{`{"name":"a","has":{"nvidia.com/gpu":"8"}}`, `{"name":"b","has":{"nvidia.com/gpu":"4"}}`},
			[]string{pod("a", container(two)+","+container(three), "", ""), pod("a", container(two), "", "")}, []map[string]int64{{"nvidia.com/gpu": 1}, {"nvidia.com/gpu": 4}}},
		{"an init container that takes most", []string{`{"name":"a","has":{"nvidia.com/gpu":"8"}}`},
			[]string{pod("a", container(two), container(three)+","+container(two), "")}, []map[string]int64{{"nvidia.com/gpu": 5}}},
		{"a sidecar before an init container", []string{`{"name":"a","has":{"nvidia.com/gpu":"8"}}`},
			[]string{pod("a", container(two), sidecar(two)+","+container(three), "")}, []map[string]int64{{"nvidia.com/gpu": 3}}},
		{"overhead", []string{`{"name":"a","has":{"nvidia.com/gpu":"8"}}`}, []string{pod("a", container(two), "", two)}, []map[string]int64{{"nvidia.com/gpu": 4}}},
		{"a pod on a node that is left out", []string{`{"name":"a","has":{"nvidia.com/gpu":"8"}}`}, []string{pod("b", container(two), "", "")}, []map[string]int64{{"nvidia.com/gpu": 8}}},
		{"a device plugin that is gone", []string{`{"name":"a","has":{"nvidia.com/gpu":"0"}}`}, []string{pod("a", container(two), "", "")}, []map[string]int64{{}}},
		{"a resource that the node lost", []string{`{"name":"a","has":{}}`}, []string{pod("a", container(two), "", "")}, []map[string]int64{{}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, fake := withFake(t, Config{})
			fake.On("template", counted(test.nodes, test.pods))
			nodes, err := h.Nodes(t.Context(), ClusterOptions{})
			require.NoError(t, err)
			assert.Equal(t, test.want, nodes)
			assert.Len(t, fake.Calls("template"), 1)
		})
	}
}

func TestNodesFails(t *testing.T) {
	forbidden := func(resource string) helmtest.Reply {
		return helmtest.Reply{Exit: 1, Stderr: `Error: template: nodes/templates/nodes.yaml:20:12: executing "nodes/templates/nodes.yaml" at <lookup "v1" "Pod" "" "">: ` +
			`error calling lookup: ` + resource + ` is forbidden: User "runner" cannot list resource "` + resource + `" in API group "" at the cluster scope` + "\n"}
	}
	for _, test := range []struct {
		name  string
		reply helmtest.Reply
		kind  error
		says  string
	}{
		{"no right to list nodes", forbidden("nodes"), ErrForbidden, "a right in the cluster is missing: it needs the right to list nodes at the cluster scope"},
		{"no right to list pods", forbidden("pods"), ErrForbidden, "it needs the right to list pods at the cluster scope"},
		{"more than fits into memory", helmtest.Reply{Memory: 300 << 20, Until: helmtest.Forever}, ErrOutputTooLarge, "too many nodes and pods for Config.Limits"},
		{"more than may be printed", helmtest.Reply{Stdout: strings.Repeat("x", 1<<20), Repeat: 2}, ErrOutputTooLarge, "(Limits.RenderOutput)"},
		{"no cluster", unreachable, ErrClusterUnreachable, "count the accelerators of context lab: "},
		{"another answer", helmtest.Reply{Stdout: "data: {nodes: x}\n"}, nil, "its output cannot be read"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, fake := withFake(t, Config{Limits: Limits{RenderMemory: 250 << 20, RenderOutput: 1 << 20}, Retry: Retry{Tries: 1}})
			fake.On("template", test.reply)
			_, err := h.Nodes(t.Context(), ClusterOptions{KubeContext: "lab"})
			require.ErrorContains(t, err, test.says)
			if test.kind != nil {
				assert.ErrorIs(t, err, test.kind)
			}
		})
	}
	h, _ := withFake(t, Config{})
	_, err := h.Nodes(t.Context(), ClusterOptions{KubeContext: "-x\x00"})
	assert.ErrorIs(t, err, ErrInvalidArgument)
}

// What Nodes returns is what Fits takes, and the fake helm of a test can say what it is.
func TestNodesFit(t *testing.T) {
	h, fake := withFake(t, Config{})
	fake.SetNodes(map[string]int64{"nvidia.com/gpu": 8}, nil, map[string]int64{"nvidia.com/gpu": 2})
	nodes, err := h.Nodes(t.Context(), ClusterOptions{})
	require.NoError(t, err)
	assert.Equal(t, []map[string]int64{{"nvidia.com/gpu": 8}, {}, {"nvidia.com/gpu": 2}}, nodes)
	for gpus, want := range map[string]bool{"8": true, "9": false} {
		report, err := Manifest("apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, resources: {limits: {nvidia.com/gpu: " + gpus + "}}}]}\n").GPUs(GPUOptions{})
		require.NoError(t, err)
		fits, _ := report.Fits(nodes)
		assert.Equal(t, want, fits, gpus)
	}
}
