package gate

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/manifest"
	"github.com/sut-bench/helmexec/plan"
)

func TestParseNode(t *testing.T) {
	node, err := ParseNode("nvidia.com/gpu=8,amd.com/gpu=2")
	require.NoError(t, err)
	assert.Equal(t, map[string]int64{"nvidia.com/gpu": 8, "amd.com/gpu": 2}, node)
	for _, bad := range []string{"", "nvidia.com/gpu", "=8", "nvidia.com/gpu=-1", "nvidia.com/gpu=many"} {
		_, err := ParseNode(bad)
		assert.ErrorIs(t, err, helmexec.ErrInvalidArgument, bad)
	}
}

// The nodes say which accelerators are allowed, unless the limits do.
func TestNodes(t *testing.T) {
	p, err := plan.New(t.Context(), plan.Input{Release: "web", Namespace: "bench", Chart: helmexec.Metadata{Name: "web", Version: "1.0.0"}, Rendered: manifest.Manifest(`
apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {containers: [{name: c, image: registry.example/web, resources: {limits: {nvidia.com/gpu: 4}}}]}
`)})
	require.NoError(t, err)
	two := []map[string]int64{{"nvidia.com/gpu": 2}, {"nvidia.com/gpu": 2}}
	for _, test := range []struct {
		name             string
		policy           Policy
		findings, misfit bool
	}{
		{"no node", Policy{}, true, false},
		{"a node that has it", Policy{Nodes: []map[string]int64{{"nvidia.com/gpu": 8}}}, false, false},
		{"two that have it together", Policy{Nodes: two}, false, true},
		{"less than is allowed", Policy{Limits: Limits{GPUs: map[string]int64{"nvidia.com/gpu": 2}}}, true, false},
		{"allowed, and the cluster has no node", Policy{Limits: Limits{GPUs: map[string]int64{"nvidia.com/gpu": 4}}, Nodes: []map[string]int64{}}, false, true},
		{"as much as is allowed", Policy{Limits: Limits{GPUs: map[string]int64{"nvidia.com/gpu": 4}}}, false, false},
	} {
		findings, misfits := test.policy.Check(p)
		assert.Equal(t, test.findings, len(findings) > 0, "%s: %v", test.name, findings)
		assert.Equal(t, test.misfit, len(misfits) > 0, "%s: %v", test.name, misfits)
	}
}

func TestLoad(t *testing.T) {
	file := filepath.Join(t.TempDir(), "policy.yaml")
	require.NoError(t, os.WriteFile(file, []byte("registries: [a.example]\nlimits: {cpu: '64', gpus: {nvidia.com/gpu: 8}}\nnodes: [{nvidia.com/gpu: 8}]\n"), 0o600))
	p, err := Load(file)
	require.NoError(t, err)
	assert.Equal(t, Policy{
		Registries: []string{"a.example"}, Limits: Limits{CPU: "64", GPUs: map[string]int64{"nvidia.com/gpu": 8}}, Nodes: []map[string]int64{{"nvidia.com/gpu": 8}},
	}, p)
	_, err = Load(file + ".missing")
	assert.ErrorIs(t, err, helmexec.ErrInvalidArgument)
}

// A reader of the errors knows YAML and not Go.
func TestLoadSaysWhatIsWrong(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lab.yaml")
	for text, want := range map[string]string{
		"node: []":                               `there is no field "node"`,
		"limits: {gpus: {nvidia.com/gpu: many}}": "limits.gpus is a text: want a whole number",
		"registries: registry.example":           "registries is a text: want a list",
		"nodes: {nvidia.com/gpu: 8}":             "nodes is a mapping: want a list",
		"limits: [1]":                            "limits is a list: want a mapping",
		"pinned: 3":                              "pinned is a number: want true or false",
		"limits: {memory: [1Gi]}":                "limits.memory is a list: want a text",
		"nothing":                                "the file is a text: want a mapping",
		"":                                       "the file says nothing",
		"# registries: [a.example]\n":            "the file says nothing",
		"registries:\n# - a.example\n":           "registries has no value: give it one, or leave it out",
		"registries: [a.example, null]":          "registries: number 2 has no value",
		"limits: {cpu: }":                        "limits: cpu has no value",
		"limits: {gpus: {a.b/c: null}}":          "limits: gpus: a.b/c has no value",
		"nodes: [null]":                          "nodes: number 1 has no value",
		"nodes: [{a.b/c: null}]":                 "nodes: number 1: a.b/c has no value",
		"nodes: [{a.b/c: -1}]":                   `nodes: "a.b/c": -1 is not what a node can have`,
		"limits: {cpu: 4x}":                      `limit of cpu: "4x" is not a quantity`,
		"registries: [https://a.b]":              "write a.b",
		"pinned: true\n---\npinned: false\n":     "line 2 begins a second document",
		"pinned: true\n...\n---\nkinds: [a]\n":   "line 3 begins a second document",
		"---\n---\npinned: true\n":               "line 2 begins a second document",
		"pinned: true\nPinned: false\n":          "Pinned and pinned are the same key: give only pinned",
		"limits: {cpu: 1, CPU: 2}":               "limits: CPU and cpu are the same key: give only cpu",
		"pinned: true\n---\n[\n":                 "begins a second document",
		"pinned: true\nkinds\n":                  "yaml: near line",
		"nodes: [{1: }]":                         "nodes: number 1: 1 has no value",
		"a: b: c":                                "mapping values are not allowed",
	} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := Load(path)
		require.ErrorIs(t, err, helmexec.ErrInvalidArgument, text)
		assert.ErrorContains(t, err, path+": ", text)
		assert.ErrorContains(t, err, want, text)
		assert.NotContains(t, err.Error(), "JSON", text)
	}
}

// Ends of documents, comments and empty documents behind the first are no second one, and merges stay what they are.
func TestReadOneDocument(t *testing.T) {
	for _, text := range []string{
		"---\npinned: true\n", "pinned: true\n---\n", "pinned: true\n...\n", "pinned: true\n---\n# end\n---\n~\n", "\ufeffpinned: true\r\n---\r\n", `{"pinned": true}`,
		"pinned: true\nlimits:\n  gpus: {a.b/c: 1, A.b/c: 2}\n",
	} {
		file := filepath.Join(t.TempDir(), "lab.yaml")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		var p Policy
		require.NoError(t, Read(file, &p, "x"), text)
		assert.True(t, p.Pinned, text)
	}
	file := filepath.Join(t.TempDir(), "job.yaml")
	require.NoError(t, os.WriteFile(file, []byte("a: &a {x: 1}\nb: &b {y: 2}\nc:\n  <<: *a\n  <<: *b\n"), 0o600))
	var values struct{ A, B, C any }
	require.NoError(t, Read(file, &values, "x"))
}
