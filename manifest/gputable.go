package manifest

import "strings"

// GPUKind says what one unit of a resource is.
type GPUKind string

const (
	GPUDevice    GPUKind = "device"    // a whole accelerator
	GPUShare     GPUKind = "share"     // a part of an accelerator that others use too
	GPUPartition GPUKind = "partition" // a part of an accelerator that the hardware keeps apart
	GPUMemory    GPUKind = "memory"    // accelerator memory, in the unit of the device plugin
	GPUCores     GPUKind = "cores"     // accelerator cores, or a percentage of them
	GPUOther     GPUKind = "other"     // belongs to an accelerator but uses none of it, such as monitoring
	GPUNone      GPUKind = "none"      // not an accelerator
	GPUUnknown   GPUKind = "unknown"   // may be an accelerator: not counted, but there is a warning
)

// GPURule says what an extended resource is.
type GPURule struct {
	Resource string // its name; a * stands for any text, and case does not count
	Vendor   string
	Kind     GPUKind
}

// gpuRules is what is known of extended resources. The first rule that fits counts.
var gpuRules = []GPURule{
	{"nvidia.com/gpu", "NVIDIA", GPUDevice},
	{"nvidia.com/pgpu", "NVIDIA", GPUDevice},
	{"nvidia.com/vgpu", "NVIDIA", GPUShare},
	{"nvidia.com/*.shared", "NVIDIA", GPUShare},
	{"nvidia.com/mig-*", "NVIDIA", GPUPartition},
	{"nvidia.com/gpumem*", "NVIDIA", GPUMemory}, // HAMi
	{"nvidia.com/gpucores", "NVIDIA", GPUCores},
	{"nvidia.com/priority", "NVIDIA", GPUOther},
	{"nvidia.com/hostdev*", "NVIDIA", GPUNone}, // network cards
	{"nvidia.com/rdma*", "NVIDIA", GPUNone},
	{"nvidia.com/*vf*", "NVIDIA", GPUUnknown}, // virtual functions of a network card, or of a GPU
	{"nvidia.com/*", "NVIDIA", GPUDevice},     // passed through by model, such as nvidia.com/GA102GL_A10
	{"alpha.kubernetes.io/nvidia-gpu", "NVIDIA", GPUDevice},

	{"amd.com/gpu", "AMD", GPUDevice},
	{"amd.com/*_nps*", "AMD", GPUPartition},
	{"amd.com/gpumem*", "AMD", GPUMemory},
	{"amd.com/gpucores", "AMD", GPUCores},
	{"amd.com/*gpu*", "AMD", GPUDevice},

	{"gpu.intel.com/*_monitoring", "Intel", GPUOther},
	{"gpu.intel.com/memory.max", "Intel", GPUMemory},
	{"gpu.intel.com/millicores", "Intel", GPUCores},
	{"gpu.intel.com/tiles", "Intel", GPUPartition},
	{"gpu.intel.com/*", "Intel", GPUDevice},
	{"npu.intel.com/*", "Intel", GPUDevice},
	{"fpga.intel.com/*", "Intel", GPUDevice},
	{"vpu.intel.com/*", "Intel", GPUDevice},
	{"intel.com/gpu*", "Intel", GPUUnknown},
	{"habana.ai/*", "Intel", GPUDevice},

	{"aws.amazon.com/neuroncore", "AWS", GPUCores},
	{"aws.amazon.com/neuron*", "AWS", GPUDevice},
	{"google.com/tpu", "Google", GPUDevice},
	{"cloud-tpus.google.com/*", "Google", GPUDevice},

	{"huawei.com/*-memory", "Huawei", GPUMemory},
	{"huawei.com/*-core", "Huawei", GPUCores},
	{"huawei.com/npu-core", "Huawei", GPUCores},
	{"huawei.com/ascend-1980", "Huawei", GPUDevice},
	{"huawei.com/ascend*-*", "Huawei", GPUPartition}, // such as Ascend310P-2c
	{"huawei.com/ascend*", "Huawei", GPUDevice},
	{"huawei.com/npu", "Huawei", GPUDevice},

	{"cambricon.com/*.smlu.vcore", "Cambricon", GPUCores},
	{"cambricon.com/*.smlu.vmemory", "Cambricon", GPUMemory},
	{"cambricon.com/mlumem", "Cambricon", GPUMemory},
	{"cambricon.com/mlucores", "Cambricon", GPUCores},
	{"cambricon.com/real-mlu-counts", "Cambricon", GPUOther},
	{"cambricon.com/*.mim-*", "Cambricon", GPUPartition},
	{"cambricon.com/*smlu*", "Cambricon", GPUShare},
	{"cambricon.com/vmlu", "Cambricon", GPUShare},
	{"cambricon.com/*.share", "Cambricon", GPUShare},
	{"cambricon.com/mlu*", "Cambricon", GPUDevice},

	{"hygon.com/dcumem", "Hygon", GPUMemory},
	{"hygon.com/dcucores", "Hygon", GPUCores},
	{"hygon.com/vdcu*", "Hygon", GPUShare},
	{"hygon.com/dcu*", "Hygon", GPUDevice},

	{"metax-tech.com/gpu", "MetaX", GPUDevice},
	{"metax-tech.com/sgpu", "MetaX", GPUShare},
	{"metax-tech.com/vgpu", "MetaX", GPUShare},
	{"metax-tech.com/vcore", "MetaX", GPUCores},
	{"metax-tech.com/vmemory", "MetaX", GPUMemory},

	{"enflame.com/gcu-memory", "Enflame", GPUMemory},
	{"enflame.com/drs-gcu*", "Enflame", GPUShare},
	{"enflame.com/vgcu-percentage", "Enflame", GPUCores},
	{"enflame.com/*vgcu*", "Enflame", GPUShare},
	{"enflame.com/*gcu*", "Enflame", GPUDevice},

	{"iluvatar.ai/*-vgpu", "Iluvatar", GPUShare},
	{"iluvatar.ai/*vcore", "Iluvatar", GPUCores},
	{"iluvatar.ai/vcuda-core", "Iluvatar", GPUCores},
	{"iluvatar.ai/*vmem", "Iluvatar", GPUMemory},
	{"iluvatar.ai/vcuda-memory", "Iluvatar", GPUMemory},
	{"iluvatar.*/*gpu", "Iluvatar", GPUDevice},

	{"mthreads.com/sgpu-core", "Moore Threads", GPUCores},
	{"mthreads.com/sgpu-memory", "Moore Threads", GPUMemory},
	{"mthreads.com/vgpu", "Moore Threads", GPUShare},
	{"mthreads.com/*gpu", "Moore Threads", GPUDevice},

	{"kunlunxin.com/vxpu-memory", "Kunlunxin", GPUMemory},
	{"kunlunxin.com/vxpu", "Kunlunxin", GPUShare},
	{"kunlunxin.com/*xpu", "Kunlunxin", GPUDevice},
	{"baidu.com/*xpu*", "Kunlunxin", GPUDevice},

	{"birentech.com/gpu", "Biren", GPUDevice},
	{"birentech.com/*-gpu", "Biren", GPUPartition},
	{"vastaitech.com/va*", "Vastai", GPUDevice},
	{"rebellions.ai/*", "Rebellions", GPUDevice},
	{"furiosa.ai/*", "FuriosaAI", GPUDevice},
	{"qualcomm.com/qaic*", "Qualcomm", GPUDevice},
	{"tenstorrent.com/*", "Tenstorrent", GPUDevice},
	{"hailo.ai/*", "Hailo", GPUDevice},
	{"amd.com/xilinx*", "AMD", GPUDevice},
	{"xilinx.com/fpga*", "AMD", GPUDevice},

	// Schedulers that share accelerators of any vendor, mostly NVIDIA's.
	{"aliyun.com/gpu-mem", "Alibaba Cloud", GPUMemory},
	{"aliyun.com/gpu-core*", "Alibaba Cloud", GPUCores},
	{"aliyun.com/gpu*", "Alibaba Cloud", GPUDevice},
	{"aliyun.com/ppu", "Alibaba Cloud", GPUDevice},
	{"tencent.com/vcuda-core", "Tencent Cloud", GPUCores},
	{"tencent.com/vcuda-memory", "Tencent Cloud", GPUMemory},
	{"volcano.sh/*gpu-memory*", "Volcano", GPUMemory},
	{"volcano.sh/*gpu-cores", "Volcano", GPUCores},
	{"volcano.sh/*gpu-number", "Volcano", GPUShare},
	{"tke.cloud.tencent.com/qgpu-core", "Tencent Cloud", GPUCores},
	{"tke.cloud.tencent.com/qgpu-memory", "Tencent Cloud", GPUMemory},
	{"baidu.com/*cgpu_memory*", "Baidu", GPUMemory},
	{"baidu.com/*cgpu_core*", "Baidu", GPUCores},
	{"baidu.com/*cgpu*", "Baidu", GPUShare},
	{"vke.volcengine.com/mgpu-core", "Volcano Engine", GPUCores},
	{"vke.volcengine.com/mgpu-memory", "Volcano Engine", GPUMemory},
	{"elasticgpu.io/*gpu-core", "Elastic GPU", GPUCores},
	{"elasticgpu.io/*gpu-memory", "Elastic GPU", GPUMemory},
	{"k8s.amazonaws.com/vgpu", "AWS", GPUShare},
	{"microsoft.com/directx", "Microsoft", GPUShare},
	{"koordinator.sh/gpu-memory*", "Koordinator", GPUMemory},
	{"koordinator.sh/gpu-core", "Koordinator", GPUCores},
	{"koordinator.sh/gpu*", "Koordinator", GPUShare},

	// Extended resources that are no accelerators.
	{"hugepages-*", "", GPUNone},
	{"deviceclass.resource.kubernetes.io/*", "", GPUDevice}, // a device of that class, as a claim would ask for it
	{"*kubernetes.io/*", "", GPUNone},
	{"rdma/*", "", GPUNone},
	{"mellanox.com/*", "", GPUNone},
	{"vpc.amazonaws.com/*", "", GPUNone},
	{"networking.gke.io*/*", "", GPUNone},
	{"*.intel.com/*", "", GPUNone},
	{"intel.com/*", "", GPUNone},
	{"smarter-devices/fuse", "", GPUNone},
	{"devices.kubevirt.io/*", "", GPUNone},
	{"github.com/fuse", "", GPUNone},
	{"k8s.v1.cni.cncf.io/*", "", GPUNone},
	{"aliyun*/eni*", "", GPUNone},
	{"aliyun.com/erdma", "", GPUNone},
	{"tke.cloud.tencent.com/*", "", GPUNone},
}

// findGPURule gives the rule for a resource; ok is false where there is none.
func findGPURule(rules []GPURule, resource string) (rule GPURule, ok bool) {
	resource = strings.ToLower(resource)
	for _, rule := range rules {
		if matchStar(strings.ToLower(rule.Resource), resource) {
			return rule, true
		}
	}
	return GPURule{}, false
}

// matchStar reports whether the text is the pattern, in which a * stands for any text.
func matchStar(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	first, last := parts[0], parts[len(parts)-1]
	if !strings.HasPrefix(text, first) {
		return false
	}
	text = text[len(first):]
	for _, part := range parts[1 : len(parts)-1] {
		at := strings.Index(text, part)
		if at < 0 {
			return false
		}
		text = text[at+len(part):]
	}
	return strings.HasSuffix(text, last)
}

// gpuSigns are what shows that a container uses an accelerator without asking for one.
var gpuSigns = struct {
	runtimeClasses, variables, devices []string
}{
	runtimeClasses: []string{"nvidia*", "*-nvidia*", "amd*", "habana*", "ascend*", "hami*", "metax*", "mthreads*", "iluvatar*"},
	variables:      []string{"NVIDIA_VISIBLE_DEVICES", "AMD_VISIBLE_DEVICES", "HABANA_VISIBLE_DEVICES", "ASCEND_VISIBLE_DEVICES", "ASCEND_RT_VISIBLE_DEVICES", "CAMBRICON_VISIBLE_DEVICES", "METAX_VISIBLE_DEVICES", "MTHREADS_VISIBLE_DEVICES"},
	devices:        []string{"/dev/nvidia*", "/dev/dri*", "/dev/kfd", "/dev/accel*", "/dev/davinci*", "/dev/cambricon*", "/dev/mxcd", "/dev/neuron*", "/dev/dxg", "/dev/hl*"},
}

// templateKinds are the kinds whose pod specs run only when another object refers to them.
var templateKinds = map[string]bool{
	"/PodTemplate":                                     true,
	"apps/ControllerRevision":                          true,
	"argoproj.io/WorkflowTemplate":                     true,
	"argoproj.io/ClusterWorkflowTemplate":              true,
	"serving.kserve.io/ServingRuntime":                 true,
	"serving.kserve.io/ClusterServingRuntime":          true,
	"serving.kserve.io/LLMInferenceServiceConfig":      true,
	"ome.io/ServingRuntime":                            true,
	"ome.io/ClusterServingRuntime":                     true,
	"trainer.kubeflow.org/TrainingRuntime":             true,
	"trainer.kubeflow.org/ClusterTrainingRuntime":      true,
	"flow.volcano.sh/JobTemplate":                      true,
	"kubeflow.org/PodDefault":                          true,
	"inference.llmaz.io/BackendRuntime":                true,
	"node.kubernetes.io/PodTemplate":                   true,
	"serving.kserve.io/ClusterStorageContainer":        true,
	"resource.k8s.io/ResourceClaimTemplate":            true,
	"workload.serving.volcano.sh/ModelServingTemplate": true,
}

// countedFields are the fields which say how many pods an object of a known kind makes. The other known kinds have none.
var countedFields = map[string]struct{ at, field string }{
	"apps/Deployment":        {"spec", "replicas"},
	"apps/ReplicaSet":        {"spec", "replicas"},
	"apps/StatefulSet":       {"spec", "replicas"},
	"extensions/Deployment":  {"spec", "replicas"},
	"extensions/ReplicaSet":  {"spec", "replicas"},
	"/ReplicationController": {"spec", "replicas"},
	"argoproj.io/Rollout":    {"spec", "replicas"},
	"batch/Job":              {"spec", "parallelism"},
	"batch/CronJob":          {"spec.jobTemplate.spec", "parallelism"},
}

// replicaFields are the fields of custom resources which say how often a part of them runs, the strongest first. One of
// them counts at each level; the levels multiply (a JobSet's replicas by its Job's parallelism).
var replicaFields = []string{"replicas", "parallelism", "numNodes", "instances", "minReplicas"}
