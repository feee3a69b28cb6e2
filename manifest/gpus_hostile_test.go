package manifest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What a cluster gives to pods that do not ask for it themselves, or where they ask in a way that hides it.
func TestHiddenGPUs(t *testing.T) {
	const (
		next   = "\n---\n"
		pod    = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, image: a}]}"
		gpuPod = "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{resources: {limits: {nvidia.com/gpu: 8}}}]}}"
		eight  = "{devices: {requests: [{exactly: {deviceClassName: gpu, count: 8}}]}}"
		none   = "{devices: {requests: []}}"
		limits = "apiVersion: v1\nkind: LimitRange\nmetadata: {name: l}\nspec: {limits: [{type: Container, %s}]}"
		class  = "apiVersion: node.k8s.io/v1\nkind: RuntimeClass\nmetadata: {name: r}\nhandler: h\noverhead: {podFixed: {nvidia.com/gpu: 8}}"
	)
	limitRange := func(fields string) string { return fmt.Sprintf(limits, fields) }
	claim := func(metadata, spec string) string {
		return "apiVersion: resource.k8s.io/v1\nkind: ResourceClaim\nmetadata: {name: t, " + metadata + "}\nspec: " + spec
	}
	template := func(metadata, spec string) string {
		return "apiVersion: resource.k8s.io/v1\nkind: ResourceClaimTemplate\nmetadata: {name: t, " + metadata + "}\nspec: {spec: " + spec + "}"
	}
	claiming := func(metadata, by string) string {
		return "apiVersion: v1\nkind: Pod\nmetadata: {" + metadata + "}\nspec: {resourceClaims: [{name: g, " + by + ": t}], containers: [{name: c}]}"
	}
	ofTemplate := claiming("name: p", "resourceClaimTemplateName")
	counting := func(kind, root, spec string) string {
		return "apiVersion: " + kind + "\nmetadata: {name: d}\n" + root + "\nspec: {" + spec + "template: {spec: {containers: [{resources: {limits: {nvidia.com/gpu: 2}}}]}}}"
	}
	var zeros []string
	for i := range 100 {
		zeros = append(zeros, fmt.Sprintf("intel.com/a%03d: 0", i))
	}
	manyNames := strings.Join(zeros, ", ") + ", nvidia.com/gpu: 8"
	devices := func(n int64) map[string]int64 { return map[string]int64{"gpu": n} }
	byDefault := []GPUProblem{GPUByDefault}
	unknown := []GPUProblem{GPUUnknownResource}

	for _, test := range []struct {
		name, manifest string
		want           map[string]int64
		warnings       []GPUProblem
	}{
		{"a LimitRange", pod + next + limitRange("default: {nvidia.com/gpu: 8}"), gpus(8), byDefault},
		{"a LimitRange that is a hook", pod + next + strings.Replace(limitRange("default: {nvidia.com/gpu: 8}"), "name: l", "name: l, annotations: {helm.sh/hook: pre-install}", 1), gpus(8), byDefault},
		{"a LimitRange with a default of requests", limitRange("defaultRequest: {nvidia.com/gpu: 8}") + next + pod, gpus(8), byDefault},
		{"a LimitRange whose maximum is its default", limitRange("max: {nvidia.com/gpu: 8}") + next + pod, gpus(8), byDefault},
		{"a LimitRange with a default below its maximum", limitRange("max: {nvidia.com/gpu: 8}, default: {nvidia.com/gpu: 1}") + next + pod, gpus(1), byDefault},
		{"a LimitRange for each container", limitRange("default: {nvidia.com/gpu: 2}") + next + "apiVersion: apps/v1\nkind: Deployment\nspec: {replicas: 2, template: {spec: {containers: [{name: a}, {name: b}, {resources: {limits: {nvidia.com/gpu: 0}}}], initContainers: [{name: i}]}}}", gpus(8), byDefault},
		{"a LimitRange of another namespace", strings.Replace(limitRange("default: {nvidia.com/gpu: 8}"), "name: l", "namespace: x", 1) + next + strings.Replace(pod, "name: p", "namespace: y", 1), gpus(), byDefault},
		{"a LimitRange of a namespace that may be the pod's", strings.Replace(limitRange("default: {nvidia.com/gpu: 8}"), "name: l", "namespace: x", 1) + next + pod, gpus(8), byDefault},
		{"a LimitRange for whole pods", strings.Replace(limitRange("max: {nvidia.com/gpu: 8}"), "Container", "Pod", 1) + next + pod, gpus(), nil},

		{"behind a hundred names", "apiVersion: v1\nkind: Pod\nspec: {containers: [{resources: {limits: {" + manyNames + "}}}]}", gpus(8), nil},
		{"behind a hundred names, in requests as well", "apiVersion: v1\nkind: Pod\nspec: {containers: [{resources: {limits: {" + manyNames + "}, requests: {" + manyNames + "}}}]}", gpus(8), nil},

		{"the overhead of a RuntimeClass", strings.Replace(pod, "spec: {", "spec: {runtimeClassName: r, ", 1) + next + class, gpus(8), nil},
		{"the overhead of another RuntimeClass", strings.Replace(pod, "spec: {", "spec: {runtimeClassName: s, ", 1) + next + class, gpus(), nil},
		{"a pod's own overhead", strings.Replace(pod, "spec: {", "spec: {overhead: {nvidia.com/gpu: 8}, ", 1), gpus(8), nil},
		{"an overhead that the RuntimeClass has as well", strings.Replace(pod, "spec: {", "spec: {runtimeClassName: r, overhead: {nvidia.com/gpu: 8}, ", 1) + next + class, gpus(8), nil},

		{"a test with a template of that name", ofTemplate + next + template("", eight) + next + template("annotations: {helm.sh/hook: test}", none), devices(8), nil},
		{"a template of that name in another namespace", ofTemplate + next + template("", eight) + next + template("namespace: other", none), devices(8), nil},
		{"a template in a namespace that may be the pod's", ofTemplate + next + template("", none) + next + template("namespace: release", eight), devices(8), nil},
		{"a template of that name in a namespace that is not the pod's", claiming("namespace: x", "resourceClaimTemplateName") + next + template("namespace: x", "{devices: {requests: [{deviceClassName: gpu}]}}") + next + template("namespace: y", eight), devices(1), nil},
		{"two templates of a name, for other devices", ofTemplate + next + template("", eight) + next + template("annotations: {helm.sh/hook: test}", "{devices: {requests: [{deviceClassName: nic, count: 9}]}}"), map[string]int64{"gpu": 8, "nic": 9}, nil},
		{"the same template twice", ofTemplate + next + template("", eight) + next + template("annotations: {helm.sh/hook: pre-install}", eight), devices(8), nil},
		{"claims of one name in two namespaces", claiming("namespace: x", "resourceClaimName") + next + claiming("namespace: y", "resourceClaimName") + next + claim("namespace: x", eight) + next + claim("namespace: y", eight), devices(16), nil},
		{"a claim of two pods", claiming("name: a, namespace: x", "resourceClaimName") + next + claiming("name: b, namespace: x", "resourceClaimName") + next + claim("namespace: x", eight), devices(8), nil},

		{"a test annotation in an item of a List", "apiVersion: v1\nkind: List\nitems:\n- " + strings.Replace(gpuPod, "name: p", "annotations: {helm.sh/hook: test}", 1), gpus(8), nil},
		{"a test that is a List", "apiVersion: v1\nkind: List\nmetadata: {annotations: {helm.sh/hook: test}}\nitems:\n- " + gpuPod, gpus(), nil},

		{"replicas at the root of a Deployment", counting("apps/v1\nkind: Deployment", "replicas: 0", "replicas: 4, "), gpus(8), nil},
		{"replicas in the template of a Deployment", strings.Replace(counting("apps/v1\nkind: Deployment", "", "replicas: 4, "), "template: {", "template: {replicas: 0, parallelism: 0, ", 1), gpus(8), nil},
		{"replicas in the pod of a Deployment", strings.Replace(counting("apps/v1\nkind: Deployment", "", "replicas: 4, "), "containers:", "replicas: 0, numOfHosts: 0, containers:", 1), gpus(8), nil},
		{"parallelism of a Deployment", counting("apps/v1\nkind: Deployment", "", "parallelism: 0, "), gpus(2), nil},
		{"replicas of a Job", counting("batch/v1\nkind: Job", "", "replicas: 0, parallelism: 4, "), gpus(8), nil},
		{"parallelism of a CronJob itself", "apiVersion: batch/v1\nkind: CronJob\nspec: {parallelism: 0, jobTemplate: {parallelism: 0, spec: {parallelism: 3, template: {spec: {containers: [{resources: {limits: {nvidia.com/gpu: 2}}}]}}}}}", gpus(6), nil},
		{"replicas of a Pod", "apiVersion: v1\nkind: Pod\nspec: {replicas: 0, containers: [{resources: {limits: {nvidia.com/gpu: 2}}}]}", gpus(2), nil},
		{"replicas at the root of a custom resource", counting("example.com/v1\nkind: Thing", "replicas: 0", "replicas: 4, "), gpus(8), nil},
		{"replicas of a custom resource", counting("example.com/v1\nkind: Thing", "", "replicas: 0, "), gpus(0), nil},
		{"no nodes per replica", counting("example.com/v1\nkind: Thing", "", "replicas: 4, numOfHosts: 0, multinode: {nodeCount: 0}, multiNode: {size: 0}, "), gpus(8), nil},

		{"a device class as an extended resource", strings.Replace(pod, "image: a", "resources: {limits: {deviceclass.resource.kubernetes.io/gpu.nvidia.com: 8}}", 1), map[string]int64{"deviceclass.resource.kubernetes.io/gpu.nvidia.com": 8}, nil},
		{"an extended resource by a device class", "apiVersion: resource.k8s.io/v1\nkind: DeviceClass\nmetadata: {name: d}\nspec: {extendedResourceName: rdma/hca}", gpus(), []GPUProblem{GPUOtherMeans}},
		{"a device of the host by a plugin", strings.Replace(pod, "image: a", "resources: {limits: {smarter-devices/nvidia0: 1}}", 1), gpus(), unknown},
		{"a resource of an operator", strings.Replace(pod, "image: a", "resources: {limits: {openshift.io/gpu: 1}}", 1), gpus(), unknown},
		{"a virtual function", strings.Replace(pod, "image: a", "resources: {limits: {nvidia.com/a_vf: 1}}", 1), gpus(), unknown},
		{"Intel's name that no plugin has", strings.Replace(pod, "image: a", "resources: {limits: {intel.com/gpu: 1}}", 1), gpus(), unknown},
	} {
		t.Run(test.name, func(t *testing.T) {
			report, err := Manifest(test.manifest).GPUs(GPUOptions{})
			require.NoError(t, err)
			assert.Equal(t, test.want, report.Totals)
			var warnings []GPUProblem
			for _, warning := range report.Warnings {
				warnings = append(warnings, warning.Problem)
			}
			assert.Equal(t, test.warnings, warnings)
			if total := report.Totals["nvidia.com/gpu"]; total > 0 {
				fits, _ := report.Fits([]map[string]int64{{"nvidia.com/gpu": total - 1}})
				assert.False(t, fits)
				fits, _ = report.Fits([]map[string]int64{{"nvidia.com/gpu": total}})
				assert.True(t, fits)
			}
		})
	}
}

// Where a LimitRange is, who gets it, and what is left out with hooks.
func TestLimitRangeReport(t *testing.T) {
	report, err := Manifest(`apiVersion: apps/v1
kind: Deployment
metadata: {name: d}
spec: {template: {spec: {containers: [{name: c}]}}}
---
apiVersion: v1
kind: LimitRange
metadata: {name: l, annotations: {helm.sh/hook: pre-install}}
spec: {limits: [{type: Pod}, {type: Container, default: {nvidia.com/gpu: 8}}]}
`).GPUs(GPUOptions{SkipHooks: true})
	require.NoError(t, err)
	require.Len(t, report.Workloads, 1)
	assert.Equal(t, []GPURequest{{Container: "c", Resource: "nvidia.com/gpu", Vendor: "NVIDIA", Kind: GPUDevice, Amount: 8}}, report.Workloads[0].Requests)
	assert.Equal(t, []GPUWarning{{
		Place: Place{
			Object: ObjectRef{Version: "v1", Kind: "LimitRange", Name: "l"}, Document: 2, Line: 9, Path: "spec.limits[1].default", Hooks: []string{"pre-install"},
		},
		Problem: GPUByDefault, Message: "every container of its namespace that does not name nvidia.com/gpu gets 8 of it",
	}}, report.Warnings)
}

// What one object gives is multiplied by the pods that get it: there are limits, and nothing is cut in silence.
func TestTooManyGPUs(t *testing.T) {
	names := func(n int, format string) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(format, i))
		}
		return strings.Join(all, ", ")
	}
	limits := func(n int) string {
		return "apiVersion: v1\nkind: LimitRange\nspec: {limits: [{type: Container, default: {" + names(n, "nvidia.com/g%d: 1") + "}}]}"
	}
	claim := func(from, n int) string {
		return "apiVersion: resource.k8s.io/v1\nkind: ResourceClaim\nmetadata: {name: t}\nspec: {devices: {requests: [" + names(n, fmt.Sprintf("{deviceClassName: c%d%%d}", from)) + "]}}"
	}
	for _, test := range []struct {
		name, manifest string
		refused        bool
	}{
		{"resources by default", limits(maxGiven), false},
		{"more resources by default", limits(maxGiven + 1), true},
		{"requests of a claim", claim(1, maxDeviceRequests), false},
		{"more requests of a claim", claim(1, maxDeviceRequests+1), true},
		{"more requests of claims of one name", claim(1, maxDeviceRequests) + "\n---\n" + claim(2, 1), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Manifest(test.manifest).GPUs(GPUOptions{})
			if !test.refused {
				require.NoError(t, err)
				return
			}
			var bad *DocumentError
			require.ErrorAs(t, err, &bad)
			assert.ErrorIs(t, err, ErrOutputTooLarge)
		})
	}
}

// Helm looks for hook annotations in a document as a whole: a List is one hook or none.
func TestHooksOfLists(t *testing.T) {
	const pod = "{apiVersion: v1, kind: Pod, metadata: {name: p%s}, spec: {containers: [{name: c, image: evil}]}}"
	const test = ", annotations: {helm.sh/hook: test}"
	for _, c := range []struct {
		name, manifest string
		hooks          []string
	}{
		{"an item's annotation", "apiVersion: v1\nkind: List\nitems: [" + fmt.Sprintf(pod, test) + "]", nil},
		{"the List's", "apiVersion: v1\nkind: List\nmetadata: {name: l" + test + "}\nitems: [" + fmt.Sprintf(pod, "") + "]", []string{"test"}},
		{"both", "apiVersion: v1\nkind: List\nmetadata: {name: l, annotations: {helm.sh/hook: pre-install}}\nitems: [" + fmt.Sprintf(pod, test) + "]", []string{"pre-install"}},
		{"that of an object with items", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: l" + test + "}\nitems: [" + fmt.Sprintf(pod, "") + "]", []string{"test"}},
		{"an object's", fmt.Sprintf(pod, test), []string{"test"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := Manifest(c.manifest)
			places, err := m.Index()
			require.NoError(t, err)
			require.Len(t, places, 1)
			assert.Equal(t, c.hooks, places[0].Hooks)

			report, err := m.ImageReport(ImageOptions{})
			require.NoError(t, err)
			require.Len(t, report.Images, 1)
			assert.Equal(t, c.hooks, report.Images[0].Hooks)

			images, err := m.Images(ImageOptions{SkipTests: true})
			require.NoError(t, err)
			assert.Equal(t, places[0].IsTest(), len(images) == 0)
		})
	}
}
