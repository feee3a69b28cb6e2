package scheduler

import (
	"fmt"

	"github.com/sut-bench/helmexec/e2e/cluster"
)

// resources are one or more for every vendor in the table of accelerators.
var resources = []string{
	"nvidia.com/gpu", "nvidia.com/gpu.shared", "nvidia.com/mig-1g.10gb", "nvidia.com/gpumem", "nvidia.com/gpucores", "nvidia.com/GA102GL_A10",
	"amd.com/gpu", "amd.com/cpx_nps4", "xilinx.com/fpga-xilinx_u250",
	"gpu.intel.com/i915", "gpu.intel.com/xe", "gpu.intel.com/millicores", "npu.intel.com/accel", "habana.ai/gaudi",
	"aws.amazon.com/neuron", "aws.amazon.com/neuroncore", "google.com/tpu",
	"huawei.com/Ascend910", "huawei.com/Ascend910B3-memory", "huawei.com/Ascend310P-2c", "huawei.com/npu",
	"cambricon.com/mlu", "cambricon.com/mlu370.smlu.vcore", "cambricon.com/mlu370.smlu.vmemory", "cambricon.com/vmlu",
	"hygon.com/dcunum", "hygon.com/dcumem", "metax-tech.com/gpu", "metax-tech.com/sgpu",
	"enflame.com/gcu", "enflame.com/drs-gcu", "iluvatar.ai/gpu", "iluvatar.ai/BI-V150.vCore",
	"mthreads.com/vgpu", "mthreads.com/gpu", "kunlunxin.com/xpu", "kunlunxin.com/vxpu", "baidu.com/xpu",
	"birentech.com/gpu", "vastaitech.com/va", "rebellions.ai/ATOM", "furiosa.ai/rngd", "qualcomm.com/qaic", "tenstorrent.com/n150", "hailo.ai/h8",
	"aliyun.com/gpu-mem", "aliyun.com/ppu", "tencent.com/vcuda-core", "volcano.sh/vgpu-number", "koordinator.sh/gpu-core",
}

const gpu = "nvidia.com/gpu"

func nodes(amounts ...int64) (all []map[string]int64) {
	for _, n := range amounts {
		all = append(all, map[string]int64{gpu: n})
	}
	return all
}

func classes(amounts ...int64) (all []map[string]int64) {
	for _, n := range amounts {
		all = append(all, map[string]int64{"gpu.example.com": n})
	}
	return all
}

// limits is a container.
func limits(resource string, amount int) string {
	return fmt.Sprintf("{name: main, image: example/main:1, resources: {limits: {%s: %d}}}", resource, amount)
}

func named(name, container string) string { return "{name: " + name + container[len("{name: main"):] }

func template(spec string) string {
	return "{metadata: {labels: {app: NAME, " + cluster.LabelFault + ": " + cluster.FaultNeverFinish + "}}, spec: {" + spec + "}}"
}

func controller(kind, settings, spec string) string {
	return "---\napiVersion: apps/v1\nkind: " + kind + "\nmetadata: {name: NAME}\n" +
		"spec: {" + settings + "selector: {matchLabels: {app: NAME}}, template: " + template(spec) + "}\n"
}

func deployment(replicas int, container string) string {
	return controller("Deployment", fmt.Sprintf("replicas: %d, ", replicas), "containers: ["+container+"]")
}

func pod(name, spec string) string {
	return "---\napiVersion: v1\nkind: Pod\nmetadata: {name: NAME-" + name + "}\nspec: {" + spec + "}\n"
}

// claim is a ResourceClaim, or with template one for each pod.
func claim(kind, requests string) string {
	spec := "{devices: {requests: [" + requests + "]}}"
	if kind == "ResourceClaimTemplate" {
		spec = "{spec: " + spec + "}"
	}
	return "---\napiVersion: resource.k8s.io/v1\nkind: " + kind + "\nmetadata: {name: NAME}\nspec: " + spec + "\n"
}

const (
	own    = "resourceClaims: [{name: g, resourceClaimTemplateName: NAME}], containers: [{name: main, image: example/main:1, resources: {claims: [{name: g}]}}]"
	common = "resourceClaims: [{name: g, resourceClaimName: NAME}], containers: [{name: main, image: example/main:1, resources: {claims: [{name: g}]}}]"
)

func exactly(count int) string {
	return fmt.Sprintf("{name: r, exactly: {deviceClassName: gpu.example.com, count: %d}}", count)
}

func withClaims(pods int, spec string) string {
	return controller("Deployment", fmt.Sprintf("replicas: %d, ", pods), spec)
}

var scenes = []scene{
	{"enough", nodes(8), deployment(2, limits(gpu, 4)), true},
	{"one too many", nodes(8), deployment(9, limits(gpu, 1)), false},
	{"exactly enough on two nodes", nodes(4, 4), deployment(4, limits(gpu, 2)), true},
	{"enough in sum and not for whole pods", nodes(3, 3, 3), deployment(4, limits(gpu, 2)), false},
	{"no node has enough for a pod", nodes(4, 4), deployment(1, limits(gpu, 8)), false},
	{"no node has any", []map[string]int64{{"amd.com/gpu": 8}}, deployment(1, limits(gpu, 1)), false},
	{"two resources that no node has both", []map[string]int64{{gpu: 8}, {"rdma/hca": 8}}, deployment(1, "{name: main, image: example/main:1, resources: {limits: {nvidia.com/gpu: 1, amd.com/gpu: 1}}}"), false},
	{"two resources of one node", []map[string]int64{{gpu: 2, "nvidia.com/gpumem": 10}}, deployment(2, "{name: main, image: example/main:1, resources: {limits: {nvidia.com/gpu: 1, nvidia.com/gpumem: 5}}}"), true},
	{"a request with its limit", nodes(2), deployment(1, "{name: main, image: example/main:1, resources: {requests: {nvidia.com/gpu: 2}, limits: {nvidia.com/gpu: 2}}}"), true},

	{"containers add up", nodes(3), pod("a", "containers: ["+limits(gpu, 2)+", "+named("second", limits(gpu, 2))+"]"), false},
	{"containers add up and fit", nodes(4), pod("a", "containers: ["+limits(gpu, 2)+", "+named("second", limits(gpu, 2))+"]"), true},
	{"init containers do not add up", nodes(4), pod("a", "initContainers: ["+named("first", limits(gpu, 4))+", "+named("second", limits(gpu, 3))+"], containers: ["+limits(gpu, 2)+"]"), true},
	{"a large init container", nodes(4), pod("a", "initContainers: ["+named("first", limits(gpu, 5))+"], containers: ["+limits(gpu, 2)+"]"), false},
	{"a sidecar stays", nodes(3), pod("a", "initContainers: [{restartPolicy: Always, "+named("side", limits(gpu, 2))[1:]+"], containers: ["+limits(gpu, 2)+"]"), false},
	{"a sidecar that fits", nodes(4), pod("a", "initContainers: [{restartPolicy: Always, "+named("side", limits(gpu, 2))[1:]+"], containers: ["+limits(gpu, 2)+"]"), true},
	{"an init container behind a sidecar", nodes(4), pod("a", "initContainers: [{restartPolicy: Always, "+named("side", limits(gpu, 2))[1:]+", "+named("first", limits(gpu, 3))+"], containers: ["+limits(gpu, 1)+"]"), false},
	{"an init container before a sidecar", nodes(4), pod("a", "initContainers: ["+named("first", limits(gpu, 4))+", {restartPolicy: Always, "+named("side", limits(gpu, 2))[1:]+"], containers: ["+limits(gpu, 1)+"]"), true},

	{"StatefulSet", nodes(2, 2), controller("StatefulSet", "replicas: 2, serviceName: NAME, podManagementPolicy: Parallel, ", "containers: ["+limits(gpu, 2)+"]"), true},
	{"StatefulSet with one too many", nodes(2, 2), controller("StatefulSet", "replicas: 3, serviceName: NAME, podManagementPolicy: Parallel, ", "containers: ["+limits(gpu, 2)+"]"), false},
	{"DaemonSet", nodes(2, 0, 4), controller("DaemonSet", "", "containers: ["+limits(gpu, 2)+"]"), true},
	{"DaemonSet that no node can hold", nodes(2, 0, 4), controller("DaemonSet", "", "containers: ["+limits(gpu, 5)+"]"), false},
	{"Job", nodes(4), "apiVersion: batch/v1\nkind: Job\nmetadata: {name: NAME}\nspec: {parallelism: 4, completions: 8, template: " + template("restartPolicy: Never, containers: ["+limits(gpu, 1)+"]") + "}", true},
	{"Job with one too many", nodes(3), "apiVersion: batch/v1\nkind: Job\nmetadata: {name: NAME}\nspec: {parallelism: 4, completions: 8, template: " + template("restartPolicy: Never, containers: ["+limits(gpu, 1)+"]") + "}", false},
	{"Job with few completions", nodes(2), "apiVersion: batch/v1\nkind: Job\nmetadata: {name: NAME}\nspec: {parallelism: 4, completions: 2, template: " + template("restartPolicy: Never, containers: ["+limits(gpu, 1)+"]") + "}", true},

	{"a claim for each pod", classes(2, 1), claim("ResourceClaimTemplate", exactly(1)) + withClaims(3, own), true},
	{"a claim for each pod and one too many", classes(2, 1), claim("ResourceClaimTemplate", exactly(1)) + withClaims(4, own), false},
	{"claims of two devices", classes(3, 3), claim("ResourceClaimTemplate", exactly(2)) + withClaims(3, own), false},
	{"a claim of more devices than a node has", classes(2, 2), claim("ResourceClaimTemplate", exactly(3)) + withClaims(1, own), false},
	{"pods that share a claim", classes(1, 1), claim("ResourceClaim", exactly(1)) + withClaims(3, common), true},
	{"a shared claim that no node can hold", classes(1, 1), claim("ResourceClaim", exactly(2)) + withClaims(3, common), false},
	{"two requests of a claim", []map[string]int64{{"gpu.example.com": 2, "nic.example.com": 1}},
		claim("ResourceClaimTemplate", "{name: a, exactly: {deviceClassName: gpu.example.com}}, {name: b, exactly: {deviceClassName: nic.example.com}}") + withClaims(1, own), true},
	{"two requests of a claim, one too many", []map[string]int64{{"gpu.example.com": 2, "nic.example.com": 1}},
		claim("ResourceClaimTemplate", "{name: a, exactly: {deviceClassName: gpu.example.com}}, {name: b, exactly: {deviceClassName: nic.example.com}}") + withClaims(2, own), false},
	{"the first of alternatives", []map[string]int64{{"big.example.com": 1}},
		claim("ResourceClaimTemplate", "{name: a, firstAvailable: [{name: big, deviceClassName: big.example.com}, {name: small, deviceClassName: gpu.example.com, count: 2}]}") + withClaims(1, own), true},
	{"the second of alternatives", classes(2),
		claim("ResourceClaimTemplate", "{name: a, firstAvailable: [{name: big, deviceClassName: big.example.com}, {name: small, deviceClassName: gpu.example.com}]}") + withClaims(2, own), true},
	{"not enough of the second of alternatives", classes(2),
		claim("ResourceClaimTemplate", "{name: a, firstAvailable: [{name: big, deviceClassName: big.example.com}, {name: small, deviceClassName: gpu.example.com, count: 4}]}") + withClaims(1, own), false},
	{"none of the alternatives", []map[string]int64{{"nic.example.com": 4}},
		claim("ResourceClaimTemplate", "{name: a, firstAvailable: [{name: big, deviceClassName: big.example.com}, {name: small, deviceClassName: gpu.example.com}]}") + withClaims(1, own), false},
	{"all devices of a node", classes(4), claim("ResourceClaimTemplate", "{name: a, exactly: {deviceClassName: gpu.example.com, allocationMode: All}}") + withClaims(1, own), true},
	{"all devices of a node, twice", classes(4), claim("ResourceClaimTemplate", "{name: a, exactly: {deviceClassName: gpu.example.com, allocationMode: All}}") + withClaims(2, own), false},
	{"all devices of a node, once on each", classes(4, 2), claim("ResourceClaimTemplate", "{name: a, exactly: {deviceClassName: gpu.example.com, allocationMode: All}}") + withClaims(2, own), true},
	{"a claim beside an extended resource", []map[string]int64{{"gpu.example.com": 1, gpu: 1}, {gpu: 1}},
		claim("ResourceClaimTemplate", exactly(1)) + withClaims(2, own), false},
}
