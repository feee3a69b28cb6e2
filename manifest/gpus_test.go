package manifest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Every vendor's resources, as one container asks for them.
func TestGPUResources(t *testing.T) {
	for _, test := range []struct {
		resource, vendor string
		kind             GPUKind
	}{
		{"nvidia.com/gpu", "NVIDIA", GPUDevice},
		{"nvidia.com/gpu.shared", "NVIDIA", GPUShare},
		{"tke.cloud.tencent.com/qgpu-core", "Tencent Cloud", GPUCores},
		{"baidu.com/a10_24g_cgpu", "Baidu", GPUShare},
		{"baidu.com/a10_24g_cgpu_memory", "Baidu", GPUMemory},
		{"vke.volcengine.com/mgpu-memory", "Volcano Engine", GPUMemory},
		{"elasticgpu.io/qgpu-core", "Elastic GPU", GPUCores},
		{"k8s.amazonaws.com/vgpu", "AWS", GPUShare},
		{"nvidia.com/mig-1g.10gb", "NVIDIA", GPUPartition},
		{"nvidia.com/mig-1g.5gb.me", "NVIDIA", GPUPartition},
		{"nvidia.com/gpumem", "NVIDIA", GPUMemory},
		{"nvidia.com/gpumem-percentage", "NVIDIA", GPUMemory},
		{"nvidia.com/gpucores", "NVIDIA", GPUCores},
		{"nvidia.com/priority", "NVIDIA", GPUOther},
		{"nvidia.com/GA102GL_A10", "NVIDIA", GPUDevice},
		{"alpha.kubernetes.io/nvidia-gpu", "NVIDIA", GPUDevice},
		{"amd.com/gpu", "AMD", GPUDevice},
		{"amd.com/cpx_nps4", "AMD", GPUPartition},
		{"gpu.intel.com/i915", "Intel", GPUDevice},
		{"gpu.intel.com/xe", "Intel", GPUDevice},
		{"gpu.intel.com/dxg", "Intel", GPUDevice},
		{"gpu.intel.com/i915_monitoring", "Intel", GPUOther},
		{"npu.intel.com/accel", "Intel", GPUDevice},
		{"habana.ai/gaudi", "Intel", GPUDevice},
		{"aws.amazon.com/neuron", "AWS", GPUDevice},
		{"aws.amazon.com/neurondevice", "AWS", GPUDevice},
		{"aws.amazon.com/neuroncore", "AWS", GPUCores},
		{"google.com/tpu", "Google", GPUDevice},
		{"huawei.com/Ascend910", "Huawei", GPUDevice},
		{"huawei.com/Ascend910B3", "Huawei", GPUDevice},
		{"huawei.com/Ascend910B3-memory", "Huawei", GPUMemory},
		{"huawei.com/Ascend910B-core", "Huawei", GPUCores},
		{"huawei.com/Ascend310P-2c", "Huawei", GPUPartition},
		{"huawei.com/ascend-1980", "Huawei", GPUDevice},
		{"cambricon.com/mlu", "Cambricon", GPUDevice},
		{"cambricon.com/vmlu", "Cambricon", GPUShare},
		{"cambricon.com/mlu370", "Cambricon", GPUDevice},
		{"cambricon.com/mlu370.smlu.vcore", "Cambricon", GPUCores},
		{"cambricon.com/mlu370.smlu.vmemory", "Cambricon", GPUMemory},
		{"cambricon.com/mlunum", "Cambricon", GPUDevice},
		{"cambricon.com/mlumem", "Cambricon", GPUMemory},
		{"hygon.com/dcu", "Hygon", GPUDevice},
		{"hygon.com/dcunum", "Hygon", GPUDevice},
		{"hygon.com/dcumem", "Hygon", GPUMemory},
		{"hygon.com/dcucores", "Hygon", GPUCores},
		{"metax-tech.com/gpu", "MetaX", GPUDevice},
		{"metax-tech.com/sgpu", "MetaX", GPUShare},
		{"metax-tech.com/vcore", "MetaX", GPUCores},
		{"metax-tech.com/vmemory", "MetaX", GPUMemory},
		{"enflame.com/gcu", "Enflame", GPUDevice},
		{"enflame.com/drs-gcu", "Enflame", GPUShare},
		{"enflame.com/gcu-memory", "Enflame", GPUMemory},
		{"iluvatar.ai/BI-V150-vgpu", "Iluvatar", GPUShare},
		{"iluvatar.ai/BI-V150.vCore", "Iluvatar", GPUCores},
		{"iluvatar.ai/BI-V150.vMem", "Iluvatar", GPUMemory},
		{"mthreads.com/vgpu", "Moore Threads", GPUShare},
		{"kunlunxin.com/vxpu", "Kunlunxin", GPUShare},
		{"kunlunxin.com/xpu", "Kunlunxin", GPUDevice},
		{"birentech.com/gpu", "Biren", GPUDevice},
		{"vastaitech.com/va", "Vastai", GPUDevice},
		{"rebellions.ai/ATOM", "Rebellions", GPUDevice},
		{"aliyun.com/gpu-mem", "Alibaba Cloud", GPUMemory},
	} {
		t.Run(test.resource, func(t *testing.T) {
			m := Manifest(fmt.Sprintf("apiVersion: v1\nkind: Pod\nspec: {containers: [{name: c, resources: {limits: {%q: 3}}}]}", test.resource))
			report, err := m.GPUs(GPUOptions{})
			require.NoError(t, err)
			require.Len(t, report.Workloads, 1)
			assert.Equal(t, []GPURequest{{Container: "c", Resource: test.resource, Vendor: test.vendor, Kind: test.kind, Amount: 3}}, report.Workloads[0].Requests)
			assert.Equal(t, map[string]int64{test.resource: 3}, report.Totals)
			assert.Empty(t, report.Warnings)
		})
	}
}

// What runs how often: the totals of whole manifests.
func TestGPUTotals(t *testing.T) {
	const gpu = "{resources: {limits: {nvidia.com/gpu: 1}}}"
	const pod = "{spec: {containers: [" + gpu + "]}}"
	for _, test := range []struct {
		name, manifest string
		want           map[string]int64
	}{
		{"Deployment", "apiVersion: apps/v1\nkind: Deployment\nspec: {replicas: 3, template: " + pod + "}", gpus(3)},
		{"Deployment without a number", "apiVersion: apps/v1\nkind: Deployment\nspec: {template: " + pod + "}", gpus(1)},
		{"Deployment at rest", "apiVersion: apps/v1\nkind: Deployment\nspec: {replicas: 0, template: " + pod + "}", gpus(0)},
		{"StatefulSet", "apiVersion: apps/v1\nkind: StatefulSet\nspec: {replicas: 2, template: " + pod + "}", gpus(2)},
		{"DaemonSet: the number of nodes is not known", "apiVersion: apps/v1\nkind: DaemonSet\nspec: {template: " + pod + "}", gpus()},
		{"Job", "apiVersion: batch/v1\nkind: Job\nspec: {parallelism: 4, template: " + pod + "}", gpus(4)},
		{"Job with fewer completions than it could run at once", "apiVersion: batch/v1\nkind: Job\nspec: {parallelism: 4, completions: 2, template: " + pod + "}", gpus(2)},
		{"CronJob", "apiVersion: batch/v1\nkind: CronJob\nspec: {jobTemplate: {spec: {parallelism: 2, template: " + pod + "}}}", gpus(2)},
		{"hook", "apiVersion: batch/v1\nkind: Job\nmetadata: {annotations: {helm.sh/hook: pre-install}}\nspec: {template: " + pod + "}", gpus()},
		{"PodTemplate", "apiVersion: v1\nkind: PodTemplate\ntemplate: " + pod, gpus()},
		{"JobSet", "apiVersion: jobset.x-k8s.io/v1alpha2\nkind: JobSet\nspec: {replicatedJobs: [{replicas: 2, template: {spec: {parallelism: 3, template: " + pod + "}}}]}", gpus(6)},
		{"LeaderWorkerSet", "apiVersion: leaderworkerset.x-k8s.io/v1\nkind: LeaderWorkerSet\nspec: {replicas: 2, leaderWorkerTemplate: {size: 4, leaderTemplate: " + pod + ", workerTemplate: " + pod + "}}", gpus(8)},
		{"LeaderWorkerSet whose leader is a worker", "apiVersion: leaderworkerset.x-k8s.io/v1\nkind: LeaderWorkerSet\nspec: {replicas: 2, leaderWorkerTemplate: {size: 4, workerTemplate: " + pod + "}}", gpus(8)},
		{"RayCluster", "apiVersion: ray.io/v1\nkind: RayCluster\nspec: {headGroupSpec: {template: " + pod + "}, workerGroupSpecs: [{replicas: 2, numOfHosts: 4, minReplicas: 1, template: " + pod + "}]}", gpus(9)},
		{"RayService", "apiVersion: ray.io/v1\nkind: RayService\nspec: {rayClusterConfig: {workerGroupSpecs: [{minReplicas: 0, maxReplicas: 5, template: " + pod + "}]}}", gpus(1)},
		{"PyTorchJob", "apiVersion: kubeflow.org/v1\nkind: PyTorchJob\nspec: {pytorchReplicaSpecs: {Master: {replicas: 1, template: " + pod + "}, Worker: {replicas: 3, template: " + pod + "}}}", gpus(4)},
		{"MPIJob", "apiVersion: kubeflow.org/v2beta1\nkind: MPIJob\nspec: {mpiReplicaSpecs: {Launcher: {replicas: 1, template: {spec: {containers: [{name: l}]}}}, Worker: {replicas: 2, template: " + pod + "}}}", gpus(2)},
		{"TrainJob", "apiVersion: trainer.kubeflow.org/v1alpha1\nkind: TrainJob\nmetadata: {name: t}\nspec: {trainer: {numNodes: 4, resourcesPerNode: {limits: {nvidia.com/gpu: 2}}}}", gpus(8)},
		{"Volcano Job", "apiVersion: batch.volcano.sh/v1alpha1\nkind: Job\nspec: {minAvailable: 1, tasks: [{replicas: 2, template: " + pod + "}, {replicas: 1, template: " + pod + "}]}", gpus(3)},
		{"SparkApplication", "apiVersion: sparkoperator.k8s.io/v1beta2\nkind: SparkApplication\nmetadata: {name: s}\nspec: {executor: {instances: 3, gpu: {name: nvidia.com/gpu, quantity: 2}}}", gpus(6)},
		{"Dynamo", "apiVersion: nvidia.com/v1alpha1\nkind: DynamoGraphDeployment\nmetadata: {name: d}\nspec: {services: {w: {replicas: 2, multinode: {nodeCount: 3}, resources: {limits: {gpu: 2}}}}}", gpus(12)},
		{"NIM on several nodes", "apiVersion: apps.nvidia.com/v1alpha1\nkind: NIMService\nmetadata: {name: n}\nspec: {replicas: 2, multiNode: {parallelism: {pipeline: 3, tensor: 2}}, resources: {limits: {nvidia.com/gpu: 2}}}", gpus(12)},
		{"resources without limits and requests", "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: t}\nspec: {replicas: 2, resources: {cpu: 1, gpu: 2}, other: {resources: {nvidia.com/gpu: 1}}}", gpus(6)},
		{"virtual machine", "apiVersion: kubevirt.io/v1\nkind: VirtualMachine\nmetadata: {name: v}\nspec: {template: {spec: {domain: {devices: {gpus: [{name: a, deviceName: nvidia.com/gpu}], hostDevices: [{name: b, deviceName: nvidia.com/gpu}, {name: c, deviceName: rdma/x}]}}}}}", gpus(2)},
		{"KServe", "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: s}\nspec: {predictor: {minReplicas: 2, model: {resources: {limits: {nvidia.com/gpu: 2}}}}}", gpus(4)},
		{"Rollout of Argo", "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: r}\nspec: {replicas: 2, template: " + pod + "}", gpus(2)},
		{"Workflow of Argo", "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec: {parallelism: 9, templates: [{container: " + gpu + ", sidecars: [" + gpu + "]}, {script: " + gpu + "}, {containerSet: {containers: [" + gpu + ", " + gpu + "]}}]}", gpus(5)},
		{"WorkflowTemplate of Argo", "apiVersion: argoproj.io/v1alpha1\nkind: WorkflowTemplate\nspec: {templates: [{container: " + gpu + "}]}", gpus()},
		{"Deployment in an AppWrapper", "apiVersion: workload.codeflare.dev/v1beta2\nkind: AppWrapper\nmetadata: {name: a}\nspec: {components: [{template: {apiVersion: apps/v1, kind: Deployment, spec: {replicas: 2, template: " + pod + "}}}]}", gpus(2)},
		{"List", "apiVersion: v1\nkind: List\nitems: [{apiVersion: apps/v1, kind: Deployment, spec: {replicas: 2, template: " + pod + "}}]", gpus(2)},
		{"containers add up", "apiVersion: v1\nkind: Pod\nspec: {containers: [" + gpu + ", " + gpu + "]}", gpus(2)},
		{"init containers run one after the other", "apiVersion: v1\nkind: Pod\nspec: {initContainers: [{resources: {limits: {nvidia.com/gpu: 4}}}, " + gpu + "], containers: [" + gpu + ", " + gpu + "]}", gpus(4)},
		{"smaller init containers", "apiVersion: v1\nkind: Pod\nspec: {initContainers: [" + gpu + ", " + gpu + "], containers: [" + gpu + "]}", gpus(1)},
		{"a sidecar stays", "apiVersion: v1\nkind: Pod\nspec: {initContainers: [{restartPolicy: Always, resources: {limits: {nvidia.com/gpu: 1}}}], containers: [" + gpu + "]}", gpus(2)},
		{"an init container beside the sidecar before it", "apiVersion: v1\nkind: Pod\nspec: {initContainers: [{restartPolicy: Always, resources: {limits: {nvidia.com/gpu: 1}}}, {resources: {limits: {nvidia.com/gpu: 3}}}], containers: [" + gpu + "]}", gpus(4)},
		{"an init container before the sidecar", "apiVersion: v1\nkind: Pod\nspec: {initContainers: [{resources: {limits: {nvidia.com/gpu: 3}}}, {restartPolicy: Always, resources: {limits: {nvidia.com/gpu: 1}}}], containers: [" + gpu + "]}", gpus(3)},
		{"quota, toleration, selector and Kueue are no requests", "apiVersion: v1\nkind: ResourceQuota\nspec: {hard: {requests.nvidia.com/gpu: 4}}\n---\napiVersion: v1\nkind: Pod\nspec: {tolerations: [{key: nvidia.com/gpu}], nodeSelector: {nvidia.com/gpu.present: 'true'}, containers: [{name: c}]}\n---\napiVersion: kueue.x-k8s.io/v1beta1\nkind: ClusterQueue\nmetadata: {name: q}\nspec: {resourceGroups: [{coveredResources: [nvidia.com/gpu], flavors: [{resources: [{name: nvidia.com/gpu, nominalQuota: 9}]}]}]}", gpus()},
		{"status and zero", "apiVersion: v1\nkind: Pod\nspec: {containers: [{resources: {limits: {nvidia.com/gpu: 0}}}]}\nstatus: {containerStatuses: [" + gpu + "]}", gpus()},
	} {
		t.Run(test.name, func(t *testing.T) {
			report, err := Manifest(test.manifest).GPUs(GPUOptions{})
			require.NoError(t, err)
			assert.Equal(t, test.want, report.Totals)
			assert.Empty(t, report.Warnings)
		})
	}
}

func gpus(n ...int64) map[string]int64 {
	if len(n) == 0 {
		return map[string]int64{}
	}
	return map[string]int64{"nvidia.com/gpu": n[0]}
}

func TestGPUWarnings(t *testing.T) {
	pod := func(spec string) string { return "apiVersion: v1\nkind: Pod\nspec: {" + spec + "}" }
	for _, test := range []struct {
		name, manifest string
		want           []GPUProblem
	}{
		{"limits and requests alike", pod("containers: [{resources: {limits: {nvidia.com/gpu: 1}, requests: {nvidia.com/gpu: '1'}}}]"), nil},
		{"limits and requests differ", pod("containers: [{resources: {limits: {nvidia.com/gpu: 2}, requests: {nvidia.com/gpu: 1}}}]"), []GPUProblem{GPULimitsDiffer}},
		{"only a request", pod("containers: [{resources: {requests: {nvidia.com/gpu: 1}}}]"), []GPUProblem{GPUNoLimit}},
		{"a fraction", pod("containers: [{resources: {limits: {nvidia.com/gpu: 500m}}}]"), []GPUProblem{GPUBadAmount}},
		{"no number", pod("containers: [{resources: {limits: {nvidia.com/gpu: many}}}]"), []GPUProblem{GPUBadAmount}},
		{"an unknown resource", pod("containers: [{resources: {limits: {acme.io/npu: 1}}}]"), []GPUProblem{GPUUnknownResource}},
		{"extended resources that are no accelerators", pod("containers: [{resources: {limits: {rdma/hca: 1, vpc.amazonaws.com/efa: 1, hugepages-2Mi: 1Gi, qat.intel.com/generic: 1}}}]"), nil},
		{"runtime class", pod("runtimeClassName: nvidia, containers: [{name: c}]"), []GPUProblem{GPUNotAsked}},
		{"runtime class of a pod that asks", pod("runtimeClassName: nvidia, containers: [{resources: {limits: {nvidia.com/gpu: 1}}}]"), nil},
		{"another runtime class", pod("runtimeClassName: kata, containers: [{name: c}]"), nil},
		{"visible devices", pod("containers: [{env: [{name: NVIDIA_VISIBLE_DEVICES, value: all}]}]"), []GPUProblem{GPUNotAsked}},
		{"no visible devices", pod("containers: [{env: [{name: NVIDIA_VISIBLE_DEVICES, value: void}]}]"), nil},
		{"device of the host", pod("containers: [{name: c}], volumes: [{hostPath: {path: /dev/nvidia0}}]"), []GPUProblem{GPUNotAsked}},
		{"privileged", pod("containers: [{securityContext: {privileged: true}}]"), []GPUProblem{GPUPrivileged}},
		{"annotation", "apiVersion: v1\nkind: Pod\nmetadata: {annotations: {gpu-fraction: '0.5'}}\nspec: {containers: [{name: c}]}", []GPUProblem{GPUOtherMeans}},
		{"node type", "apiVersion: kaito.sh/v1beta1\nkind: Workspace\nmetadata: {name: w}\nresource: {instanceType: Standard_NC24}", []GPUProblem{GPUOtherMeans}},
		{"Ray's own count", "apiVersion: ray.io/v1\nkind: RayCluster\nmetadata: {name: r}\nspec: {headGroupSpec: {rayStartParams: {num-gpus: '2'}, template: {spec: {containers: [{name: c}]}}}}", []GPUProblem{GPUOtherMeans}},
		{"a claim that is nowhere", pod("resourceClaims: [{name: g, resourceClaimTemplateName: t}], containers: [{name: c}]"), []GPUProblem{GPUUnknownClaim}},
	} {
		t.Run(test.name, func(t *testing.T) {
			report, err := Manifest(test.manifest).GPUs(GPUOptions{})
			require.NoError(t, err)
			var problems []GPUProblem
			for _, warning := range report.Warnings {
				problems = append(problems, warning.Problem)
			}
			assert.Equal(t, test.want, problems)
		})
	}
}

func TestDeviceClaims(t *testing.T) {
	const template = "\n---\napiVersion: resource.k8s.io/v1\nkind: ResourceClaimTemplate\nmetadata: {name: t}\nspec: {spec: {devices: {requests: [%s]}}}"
	const shared = "\n---\napiVersion: resource.k8s.io/v1\nkind: ResourceClaim\nmetadata: {name: s}\nspec: {devices: {requests: [%s]}}"
	const own = "apiVersion: apps/v1\nkind: Deployment\nspec: {replicas: 2, template: {spec: {resourceClaims: [{name: g, resourceClaimTemplateName: t}], containers: [{name: c}]}}}"
	const all = "apiVersion: apps/v1\nkind: Deployment\nspec: {replicas: 2, template: {spec: {resourceClaims: [{name: g, resourceClaimName: s}], containers: [{name: c}]}}}"
	for _, test := range []struct {
		name, manifest string
		claims         []DeviceClaim
		total          map[string]int64
	}{
		{"exactly", own + fmt.Sprintf(template, "{exactly: {deviceClassName: gpu.nvidia.com, count: 2}}"),
			[]DeviceClaim{{Name: "g", Object: "t", DeviceChoice: DeviceChoice{DeviceClass: "gpu.nvidia.com", Count: 2}}}, map[string]int64{"gpu.nvidia.com": 4}},
		{"in the request itself", own + fmt.Sprintf(template, "{deviceClassName: gpu.nvidia.com}"),
			[]DeviceClaim{{Name: "g", Object: "t", DeviceChoice: DeviceChoice{DeviceClass: "gpu.nvidia.com", Count: 1}}}, map[string]int64{"gpu.nvidia.com": 2}},
		{"first available", own + fmt.Sprintf(template, "{firstAvailable: [{deviceClassName: big}, {deviceClassName: small, count: 2}]}"),
			[]DeviceClaim{{Name: "g", Object: "t", DeviceChoice: DeviceChoice{DeviceClass: "big", Count: 1}, Alternatives: []DeviceChoice{{DeviceClass: "small", Count: 2}}}}, map[string]int64{"big": 2}},
		{"all devices", own + fmt.Sprintf(template, "{exactly: {deviceClassName: c, allocationMode: All}}"),
			[]DeviceClaim{{Name: "g", Object: "t", DeviceChoice: DeviceChoice{DeviceClass: "c", Count: 1, All: true}}}, map[string]int64{"c": 2}},
		{"two requests", own + fmt.Sprintf(template, "{deviceClassName: a}, {deviceClassName: b}"),
			[]DeviceClaim{{Name: "g", Object: "t", DeviceChoice: DeviceChoice{DeviceClass: "a", Count: 1}}, {Name: "g", Object: "t", DeviceChoice: DeviceChoice{DeviceClass: "b", Count: 1}}}, map[string]int64{"a": 2, "b": 2}},
		{"shared by all pods", all + fmt.Sprintf(shared, "{exactly: {deviceClassName: gpu.nvidia.com}}"),
			[]DeviceClaim{{Name: "g", Object: "s", Shared: true, DeviceChoice: DeviceChoice{DeviceClass: "gpu.nvidia.com", Count: 1}}}, map[string]int64{"gpu.nvidia.com": 1}},
		{"class of the whole claim (v1alpha2), reference in source", "apiVersion: v1\nkind: Pod\nspec: {resourceClaims: [{name: g, source: {resourceClaimName: s}}], containers: [{name: c}]}\n---\napiVersion: resource.k8s.io/v1alpha2\nkind: ResourceClaim\nmetadata: {name: s}\nspec: {resourceClassName: gpu.nvidia.com}",
			[]DeviceClaim{{Name: "g", Object: "s", Shared: true, DeviceChoice: DeviceChoice{DeviceClass: "gpu.nvidia.com", Count: 1}}}, map[string]int64{"gpu.nvidia.com": 1}},
		{"a class of v1alpha2 in front of requests", strings.Replace(own+fmt.Sprintf(template, "{exactly: {deviceClassName: a, count: 8}}"), "{devices:", "{resourceClassName: a, devices:", 1),
			[]DeviceClaim{{Name: "g", Object: "t", DeviceChoice: DeviceChoice{DeviceClass: "a", Count: 1}}, {Name: "g", Object: "t", DeviceChoice: DeviceChoice{DeviceClass: "a", Count: 8}}}, map[string]int64{"a": 18}},
		{"an empty list of choices", own + fmt.Sprintf(template, "{firstAvailable: [], exactly: {deviceClassName: a, count: 8}}"),
			[]DeviceClaim{{Name: "g", Object: "t", DeviceChoice: DeviceChoice{DeviceClass: "a", Count: 8}}}, map[string]int64{"a": 16}},
		{"a request of two versions", own + fmt.Sprintf(template, "{deviceClassName: a, count: 8, exactly: {deviceClassName: a}}"),
			[]DeviceClaim{{Name: "g", Object: "t", DeviceChoice: DeviceChoice{DeviceClass: "a", Count: 1}}, {Name: "g", Object: "t", DeviceChoice: DeviceChoice{DeviceClass: "a", Count: 8}}}, map[string]int64{"a": 18}},
		{"a reference of two versions", strings.Replace(own, "resourceClaimTemplateName: t", "resourceClaimTemplateName: t, source: {resourceClaimName: s}", 1) +
			fmt.Sprintf(template, "{exactly: {deviceClassName: a, count: 8}}") + fmt.Sprintf(shared, "{exactly: {deviceClassName: a}}"),
			[]DeviceClaim{{Name: "g", Object: "t", DeviceChoice: DeviceChoice{DeviceClass: "a", Count: 8}}, {Name: "g", Object: "s", Shared: true, DeviceChoice: DeviceChoice{DeviceClass: "a", Count: 1}}}, map[string]int64{"a": 17}},
	} {
		t.Run(test.name, func(t *testing.T) {
			report, err := Manifest(test.manifest).GPUs(GPUOptions{})
			require.NoError(t, err)
			require.Len(t, report.Workloads, 1)
			assert.Equal(t, test.claims, report.Workloads[0].Claims)
			assert.Equal(t, test.total, report.Totals)
			assert.Empty(t, report.Warnings)
		})
	}
}

func TestGPURulesOfTheCaller(t *testing.T) {
	m := Manifest("apiVersion: v1\nkind: Pod\nspec: {containers: [{resources: {limits: {acme.io/npu: 2, nvidia.com/gpu: 1}}}]}")
	report, err := m.GPUs(GPUOptions{Rules: []GPURule{{"acme.io/*", "Acme", GPUDevice}, {"nvidia.com/gpu", "", GPUNone}}})
	require.NoError(t, err)
	assert.Equal(t, map[string]int64{"acme.io/npu": 2}, report.Totals)
	assert.Empty(t, report.Warnings)
}

func TestQuantity(t *testing.T) {
	for _, test := range []struct {
		text      string
		n         int64
		whole, ok bool
	}{
		{"1", 1, true, true}, {"2k", 2000, true, true}, {"1Ki", 1024, true, true}, {"1e3", 1000, true, true}, {"2.0", 2, true, true},
		{"1000m", 1, true, true}, {"1500m", 2, false, true}, {"0.5", 1, false, true},
		{"", 0, false, false}, {"-1", -1, true, false}, {"x", 0, false, false}, {"1x", 0, false, false}, {"{{ .n }}", 0, false, false},
		{"99E", 9223372036854775807, true, true},
	} {
		n, whole, ok := quantity(test.text)
		assert.Equal(t, test, struct {
			text      string
			n         int64
			whole, ok bool
		}{test.text, n, whole, ok})
	}
}

func TestFits(t *testing.T) {
	deployment := func(replicas, gpus int) string {
		return fmt.Sprintf("---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d%dx%d}\nspec: {replicas: %d, template: {spec: {containers: [{resources: {limits: {nvidia.com/gpu: %d}}}]}}}\n", replicas, gpus, replicas, gpus)
	}
	nodes := func(amounts ...int64) (nodes []map[string]int64) {
		for _, amount := range amounts {
			nodes = append(nodes, map[string]int64{"nvidia.com/gpu": amount})
		}
		return nodes
	}
	const claim = "\n---\napiVersion: resource.k8s.io/v1\nkind: %s\nmetadata: {name: c}\nspec: %s"
	const daemon = "---\napiVersion: apps/v1\nkind: DaemonSet\nspec: {template: {spec: {containers: [{resources: {limits: {nvidia.com/gpu: 1}}}]}}}\n"
	for _, test := range []struct {
		name, manifest string
		nodes          []map[string]int64
		want           string // reason of the first misfit
	}{
		{"nothing is asked for", "apiVersion: v1\nkind: Pod\nspec: {containers: [{name: c}]}", nil, ""},
		{"enough", deployment(2, 4), nodes(8), ""},
		{"exactly enough on two nodes", deployment(4, 4), nodes(8, 8), ""},
		{"no node has any", deployment(1, 1), []map[string]int64{{"amd.com/gpu": 8}}, "no node has nvidia.com/gpu"},
		{"no nodes", deployment(1, 1), nil, "no node has nvidia.com/gpu"},
		{"no node has enough for one pod", deployment(1, 8), nodes(4, 4), "a pod needs 8 nvidia.com/gpu and no node has more than 4"},
		{"enough in sum, not for whole pods", deployment(2, 5), nodes(8, 2), "the nodes have not enough left for it beside the others"},
		{"large pods have to go first", deployment(4, 1) + deployment(1, 4), nodes(4, 4), ""},
		{"only one way", deployment(2, 3) + deployment(3, 2), nodes(6, 6), ""},
		{"a way that filling by size does not find", deployment(1, 5) + deployment(2, 4) + deployment(1, 3) + deployment(2, 2), nodes(10, 10), ""},
		{"several workloads are too much", deployment(1, 4) + deployment(1, 5), nodes(8), "the nodes have not enough left for it beside the others"},
		{"a Deployment at rest", deployment(0, 100), nodes(1), ""},
		{"a DaemonSet takes of each node", daemon + deployment(1, 8), nodes(8, 8), "the nodes have not enough left for it beside the others"},
		{"a DaemonSet needs a node", daemon, nodes(0), "no node has nvidia.com/gpu"},
		{"a hook runs alone", "apiVersion: batch/v1\nkind: Job\nmetadata: {annotations: {helm.sh/hook: test}}\nspec: {template: {spec: {containers: [{resources: {limits: {nvidia.com/gpu: 4}}}]}}}\n" + deployment(1, 4), nodes(4), ""},
		{"a template must fit once", "apiVersion: v1\nkind: PodTemplate\ntemplate: {spec: {containers: [{resources: {limits: {nvidia.com/gpu: 4}}}]}}", nodes(2), "a pod needs 4 nvidia.com/gpu and no node has more than 2"},
		{"two resources on one node", "apiVersion: v1\nkind: Pod\nspec: {containers: [{resources: {limits: {nvidia.com/gpu: 1, nvidia.com/gpumem: 9}}}]}", []map[string]int64{{"nvidia.com/gpu": 8}, {"nvidia.com/gpumem": 9}}, "the nodes have not enough left for it beside the others"},
		{"what takes nothing", "apiVersion: v1\nkind: Pod\nspec: {containers: [{resources: {limits: {nvidia.com/gpu: 1, nvidia.com/priority: 1}}}]}", nodes(1), ""},
		{"claim for each pod", "apiVersion: apps/v1\nkind: Deployment\nspec: {replicas: 3, template: {spec: {resourceClaims: [{name: g, resourceClaimTemplateName: c}], containers: [{name: c}]}}}" + fmt.Sprintf(claim, "ResourceClaimTemplate", "{spec: {devices: {requests: [{deviceClassName: g}]}}}"), []map[string]int64{{"g": 2}}, "the nodes have not enough left for it beside the others"},
		{"claim of all pods", "apiVersion: apps/v1\nkind: Deployment\nspec: {replicas: 3, template: {spec: {resourceClaims: [{name: g, resourceClaimName: c}], containers: [{name: c}]}}}" + fmt.Sprintf(claim, "ResourceClaim", "{devices: {requests: [{deviceClassName: g}]}}"), []map[string]int64{{"g": 1}}, ""},
		{"all devices of a node", "apiVersion: apps/v1\nkind: Deployment\nspec: {replicas: 2, template: {spec: {resourceClaims: [{name: g, resourceClaimTemplateName: c}], containers: [{name: c}]}}}" + fmt.Sprintf(claim, "ResourceClaimTemplate", "{spec: {devices: {requests: [{deviceClassName: g, allocationMode: All}]}}}"), []map[string]int64{{"g": 4}, {"g": 2}}, ""},
		{"all devices of a node that are not free", "apiVersion: v1\nkind: Pod\nspec: {resourceClaims: [{name: g, resourceClaimTemplateName: c}], containers: [{name: c}]}" + fmt.Sprintf(claim, "ResourceClaimTemplate", "{spec: {devices: {requests: [{deviceClassName: g, allocationMode: All}, {deviceClassName: g}]}}}") + "\n---\napiVersion: v1\nkind: Pod\nspec: {resourceClaims: [{name: g, resourceClaimTemplateName: d}], containers: [{name: c}]}\n---\napiVersion: resource.k8s.io/v1\nkind: ResourceClaimTemplate\nmetadata: {name: d}\nspec: {spec: {devices: {requests: [{deviceClassName: g}]}}}", []map[string]int64{{"g": 4}}, "the nodes have not enough left for it beside the others"},
		{"the next best device class", "apiVersion: v1\nkind: Pod\nspec: {resourceClaims: [{name: g, resourceClaimTemplateName: c}], containers: [{name: c}]}" + fmt.Sprintf(claim, "ResourceClaimTemplate", "{spec: {devices: {requests: [{firstAvailable: [{deviceClassName: big}, {deviceClassName: small}]}]}}}"), []map[string]int64{{"small": 1}}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			report, err := Manifest(test.manifest).GPUs(GPUOptions{})
			require.NoError(t, err)
			fits, misfits := report.Fits(test.nodes)
			assert.Equal(t, test.want == "", fits)
			if test.want != "" {
				require.NotEmpty(t, misfits)
				assert.Equal(t, test.want, misfits[0].Reason)
				assert.Positive(t, misfits[0].Unplaced)
			}
		})
	}
}
