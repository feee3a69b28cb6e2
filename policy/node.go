package policy

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/sut-bench/helmexec/manifest"
	"github.com/sut-bench/helmexec/plan"
)

// HostPaths allows nothing that shows files of the node: a field hostPath at any depth of a volume or of a custom
// resource, and PersistentVolumes of a path or a disk of a node.
func HostPaths() plan.Rule { return hostPaths().rule() }

func hostPaths() check {
	const text = "shows files of the node"
	return check{"hostpaths", func(v *view) {
		find := func(f *field) bool {
			if f.key == "hostPath" && f.value != nil {
				f.fault(text)
			}
			return true
		}
		for _, p := range v.pods {
			below(p.spec.get("volumes"), find)
		}
		for _, s := range v.subjects {
			if s.is("", "PersistentVolume") {
				for _, key := range []string{"hostPath", "local"} {
					if f := s.root.at("spec", key); f.value != nil {
						f.fault(text)
					}
				}
			}
			if s.custom {
				s.walk(find)
			}
		}
	}}
}

// below visits a field and what is below.
func below(f *field, visit func(*field) bool) {
	visit(f)
	switch value := f.value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			below(f.get(key), visit)
		}
	case []any:
		for i := range value {
			below(f.item(i), visit)
		}
	}
}

// Volumes allows only volumes of these types in pods, named as their fields are: "emptyDir", "configMap" and so on.
func Volumes(types ...string) plan.Rule { return volumes(types).rule() }

func volumes(types []string) check {
	return check{"volumes", func(v *view) {
		for _, p := range v.pods {
			p.volumeTypes(types)
		}
	}}
}

// Devices allows only devices of these names: extended resources ("nvidia.com/gpu") and, for claims, device classes
// ("gpu.nvidia.com"). Raw disks, claims with the rights of an administrator, and accelerators that a pod uses
// without a request or in an amount that does not show are not allowed.
func Devices(allowed ...string) plan.Rule { return devices(allowed).rule() }

func devices(allowed []string) check {
	return check{"devices", func(v *view) {
		for _, p := range v.pods {
			for _, container := range p.containers {
				if f := container.get("volumeDevices"); len(f.items()) > 0 {
					f.fault("is a raw disk")
				}
				visible(container)
			}
			for _, resources := range p.resources() {
				for _, list := range []string{"requests", "limits"} {
					amounts := resources.get(list)
					for _, name := range slices.Sorted(maps.Keys(amounts.keys())) {
						if isExtended(name) && !slices.Contains(allowed, name) {
							amounts.get(name).fault("is a device that is not allowed: %s", shortened(name, maxValue))
						}
					}
				}
			}
		}
		for _, s := range v.subjects {
			if s.is("resource.k8s.io", "ResourceClaim", "ResourceClaimTemplate") {
				below(s.root.get("spec"), func(f *field) bool {
					switch f.key {
					case "deviceClassName", "resourceClassName":
						if f.value != nil && !slices.Contains(allowed, f.text()) {
							f.fault("is a class of devices that is not allowed")
						}
					case "adminAccess":
						if f.value != nil && !f.isFalse() {
							f.fault("takes devices from others")
						}
					}
					return true
				})
			}
		}
		for _, w := range v.plan.GPUs.Warnings {
			if w.Problem == manifest.GPUNotAsked || w.Problem == manifest.GPUOtherMeans {
				v.faultPlace(w.Place, "", "uses an accelerator in an amount that the plan does not say: "+w.Message)
			}
		}
	}}
}

// visibleDevices are variables by which container runtimes give accelerators to a container, and devices beside them.
var visibleDevices = []string{
	"AMD_VISIBLE_DEVICES", "ASCEND_VISIBLE_DEVICES", "CAMBRICON_VISIBLE_DEVICES", "HABANA_VISIBLE_DEVICES", "METAX_VISIBLE_DEVICES",
	"MTHREADS_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES",
	"NVIDIA_GDRCOPY", "NVIDIA_GDS", "NVIDIA_IMEX_CHANNELS", "NVIDIA_MIG_CONFIG_DEVICES", "NVIDIA_MIG_MONITOR_DEVICES", "NVIDIA_MOFED", "NVIDIA_NVSWITCH",
}

// visible reports what makes a runtime give accelerators to a container.
func visible(container *field) {
	const text = "makes the runtime give devices to a container, whoever requested them"
	for _, f := range container.get("env").items() {
		if !slices.Contains(visibleDevices, f.get("name").text()) {
			continue
		}
		if value := f.get("value"); value.value != nil && value.value != "" && value.value != "void" && value.value != "none" {
			value.fault(text)
		}
		if from := f.get("valueFrom"); from.value != nil {
			from.fault(text)
		}
	}
	for _, f := range container.get("envFrom").items() {
		for _, kind := range []string{"ConfigMap", "Secret"} {
			ref := f.get(strings.ToLower(kind[:1]) + kind[1:] + "Ref")
			made := f.of.view.made[kind+"/"+ref.get("name").text()]
			for _, variable := range visibleDevices {
				if key, is := strings.CutPrefix(variable, f.get("prefix").text()); is && made != nil && made.keys[key] {
					ref.get("name").fault(text)
				}
			}
		}
	}
	for _, f := range container.get("volumeMounts").items() {
		at := f.get("mountPath")
		if clean := path.Clean("/" + at.text()); strings.HasPrefix(strings.TrimPrefix(clean, "/var")+"/", "/run/nvidia-container-devices/") {
			at.fault(text)
		}
	}
}

// resources gives what the pod and its containers request.
func (p *pod) resources() []*field {
	all := []*field{p.spec.get("resources")}
	for _, container := range p.containers {
		all = append(all, container.get("resources"))
	}
	return all
}

// isExtended reports the name of a resource that is neither a processor, memory nor storage.
func isExtended(name string) bool {
	domain, _, has := strings.Cut(name, "/")
	return has && domain != "kubernetes.io"
}

// Tokens allows no token of the cluster in a pod: automountServiceAccountToken must be false for it or its
// ServiceAccount, no volume may project a token or certificate, no Secret may hold a token, and no ServiceAccount or pod may
// be an account of AWS, Azure, Google or Alibaba Cloud by its annotations or labels, or one of Windows that its group manages.
func Tokens() plan.Rule { return tokens(true).rule() }

// cloudAccounts are annotations and labels that give pods the rights of an account outside of the cluster.
var cloudAccounts = []string{
	"aadpodidbinding", "azure.workload.identity/client-id", "azure.workload.identity/use", "eks.amazonaws.com/role-arn", "iam.amazonaws.com/role", "iam.gke.io/gcp-service-account",
	"pod-identity.alibabacloud.com/role-name",
}

// cloudAccount reports them.
func cloudAccount(metadata *field) {
	for _, list := range []string{"annotations", "labels"} {
		for _, key := range cloudAccounts {
			if f := metadata.at(list, key); f.value != nil {
				f.fault("gives the rights of an account of a cloud")
			}
		}
	}
}

// tokens allows the token that every pod gets unless it is switched off, if mounted is not set.
func tokens(mounted bool) check {
	return check{"tokens", func(v *view) {
		for _, p := range v.pods {
			cloudAccount(p.metadata)
			for _, context := range slices.Concat(p.podContexts, p.contexts) {
				for _, key := range []string{"gmsaCredentialSpec", "gmsaCredentialSpecName"} {
					if f := context.at("windowsOptions", key); f.value != nil {
						f.fault("gives the rights of an account of a Windows domain")
					}
				}
			}
			for _, volume := range p.volumes() {
				for _, source := range volume.at("projected", "sources").items() {
					for _, key := range []string{"serviceAccountToken", "podCertificate"} {
						if f := source.get(key); f.value != nil {
							f.fault("gives the pod an identity in the cluster")
						}
					}
				}
			}
			switch f := p.spec.get("automountServiceAccountToken"); {
			case !mounted || f.isFalse() || f.value == nil && v.hasNoToken(p):
			case f.value == nil:
				f.fault("must be false here or for the ServiceAccount")
			default:
				f.fault("must be false")
			}
		}
		for _, s := range v.subjects {
			if s.is("", "ServiceAccount") {
				cloudAccount(s.root.get("metadata"))
			}
			if f := s.root.get("type"); s.is("", "Secret") && f.value == "kubernetes.io/service-account-token" {
				f.fault("is a token that does not expire")
			}
		}
	}}
}

// hasNoToken reports a pod whose ServiceAccount is in the plan and has its token switched off, before the pod is made.
func (v *view) hasNoToken(p *pod) bool {
	name := p.spec.get("serviceAccountName").text()
	if name == "" {
		name = p.spec.get("serviceAccount").text()
	}
	account := v.made["ServiceAccount/"+name]
	if account != nil && account.plain {
		for _, event := range p.of.outer.Hooks {
			if event = strings.ToLower(event); event == "pre-upgrade" || event == "pre-rollback" {
				return false // the account is then as another revision has made it
			}
		}
	}
	return account != nil && !account.mounted && p.of.owns("ServiceAccount", name)
}

// Scheduling leaves it to the cluster where pods run and in whose place: no node by name, no priority, scheduler or
// runtime of their own, nothing that depends on pods in other namespaces, and tolerations only of taints with these keys
// ("nvidia.com/gpu").
func Scheduling(tolerated ...string) plan.Rule { return scheduling(tolerated).rule() }

// hostname is the label of a node with its name.
const hostname = "kubernetes.io/hostname"

func scheduling(tolerated []string) check {
	return check{"scheduling", func(v *view) {
		for _, p := range v.pods {
			for _, key := range []string{"nodeName", "priorityClassName", "priority", "runtimeClassName", "schedulerName"} {
				f := p.spec.get(key)
				if f.value != nil && f.value != "" && !(key == "schedulerName" && f.value == "default-scheduler") {
					f.fault("chooses what the cluster should choose")
				}
			}
			// The pods of others go nowhere where a pod runs that keeps them away.
			for _, kind := range []string{"podAffinity", "podAntiAffinity"} {
				below(p.spec.at("affinity", kind), func(f *field) bool {
					if f.key == "namespaceSelector" && f.value != nil || f.key == "namespaces" && len(f.items()) > 0 {
						f.fault("depends on pods in other namespaces, and may keep them away")
					}
					return true
				})
			}
			if f := p.spec.at("nodeSelector", hostname); f.value != nil {
				f.fault("chooses a node by name")
			}
			below(p.spec.at("affinity", "nodeAffinity"), func(f *field) bool {
				if f.key == "matchFields" && f.value != nil || f.key == "key" && f.value == hostname {
					f.fault("chooses a node by name")
				}
				return true
			})
			for _, toleration := range p.spec.get("tolerations").items() {
				key := toleration.get("key")
				if !slices.Contains(tolerated, key.text()) || key.text() == "" {
					key.fault("lets the pod run on nodes that are kept for others")
				}
			}
		}
		for _, claim := range v.volumeClaims() {
			if f := claim.at("metadata", "annotations", "volume.kubernetes.io/selected-node"); f.value != nil {
				f.fault("chooses a node by name")
			}
		}
	}}
}

// Services allows only Services that the cluster alone reaches: no ports of nodes, load balancers, external addresses or
// names.
func Services() plan.Rule { return services().rule() }

func services() check {
	return check{"services", func(v *view) {
		for _, s := range v.subjects {
			if !s.is("", "Service") {
				continue
			}
			spec := s.root.get("spec")
			if f := spec.get("type"); f.text() != "" && f.text() != "ClusterIP" {
				f.fault("reaches beyond the cluster")
			}
			for _, key := range []string{"externalIPs", "externalName", "loadBalancerIP", "loadBalancerClass"} {
				if f := spec.get(key); f.value != nil && f.value != "" {
					f.fault("reaches beyond the cluster")
				}
			}
		}
	}}
}
