package policy

import (
	"strings"
	"testing"
)

func TestHostPaths(t *testing.T) {
	checkRule(t, HostPaths(), []ruleCase{
		{"none", podWith("volumes: [{name: a, emptyDir: {}}, {name: b, hostPath: null}]"), nil},
		{"a volume", podWith("volumes: [{name: a, hostPath: {path: /}}]"), []string{"hostpaths spec.volumes[0].hostPath ="}},
		{"under a projection", podWith("volumes: [{name: a, projected: {sources: [{hostPath: {path: /}}]}}]"), []string{"hostpaths spec.volumes[0].projected.sources[0].hostPath ="}},
		{"in a claim of its own", podWith("volumes: [{name: a, ephemeral: {volumeClaimTemplate: {spec: {hostPath: /}}}}]"), []string{"hostpaths spec.volumes[0].ephemeral.volumeClaimTemplate.spec.hostPath = /"}},
		{"for a driver", podWith("volumes: [{name: a, csi: {driver: d, volumeAttributes: {hostPath: /etc}}}]"), []string{"hostpaths spec.volumes[0].csi.volumeAttributes.hostPath = /etc"}},
		{"a volume of the cluster", object("v1", "PersistentVolume", "spec: {hostPath: {path: /}}"), []string{"hostpaths spec.hostPath ="}},
		{"a disk of a node", object("v1", "PersistentVolume", "spec: {local: {path: /}}"), []string{"hostpaths spec.local ="}},
		{"a custom resource", object("acme.io/v1", "A", "spec: {storage: {hostPath: /data}}"), []string{"hostpaths spec.storage.hostPath = /data"}},
	})
}

func TestVolumes(t *testing.T) {
	checkRule(t, Volumes("emptyDir", "secret"), []ruleCase{
		{"allowed", podWith("volumes: [{name: a, emptyDir: {}}, {name: b, secret: {secretName: s}}, {name: c}]"), nil},
		{"another type", podWith("volumes: [{name: a, gitRepo: {repository: r}}]"), []string{"volumes spec.volumes[0].gitRepo ="}},
		{"two types", podWith("volumes: [{name: a, emptyDir: {}, nfs: {server: s}}]"), []string{"volumes spec.volumes[0].nfs ="}},
		{"no mapping", podWith("volumes: [a]"), []string{"volumes spec.volumes[0] = a"}},
		{"no list", podWith("volumes: {a: b}"), []string{"volumes spec.volumes ="}},
	})
}

func TestDevices(t *testing.T) {
	claim := func(spec string) string {
		return object("resource.k8s.io/v1", "ResourceClaimTemplate", "spec: {spec: {devices: {requests: [{name: r, "+spec+"}]}}}")
	}
	checkRule(t, Devices("nvidia.com/gpu", "gpu.nvidia.com"), []ruleCase{
		{"none", container("resources: {requests: {cpu: 1, hugepages-2Mi: 1Mi}}"), nil},
		{"allowed", container("resources: {limits: {nvidia.com/gpu: 1}}"), nil},
		{"an allowed class", claim("exactly: {deviceClassName: gpu.nvidia.com, adminAccess: false}"), nil},
		{"another resource", container("resources: {limits: {evil.io/fuse: 1}}"), []string{`devices spec.containers[0].resources.limits["evil.io/fuse"] = 1`}},
		{"of the pod", podWith("resources: {requests: {evil.io/fuse: 1}}"), []string{`devices spec.resources.requests["evil.io/fuse"] = 1`}},
		{"another class", claim("firstAvailable: [{name: a, deviceClassName: nic.io}]"), []string{"devices spec.spec.devices.requests[0].firstAvailable[0].deviceClassName = nic.io"}},
		{"as an administrator", claim("exactly: {deviceClassName: gpu.nvidia.com, adminAccess: true}"), []string{"devices spec.spec.devices.requests[0].exactly.adminAccess = true"}},
		{"a raw disk", container("volumeDevices: [{name: a, devicePath: /dev/a}]"), []string{"devices spec.containers[0].volumeDevices ="}},
		{"not asked for", container("env: [{name: NVIDIA_VISIBLE_DEVICES, value: all}]"), []string{"devices spec.containers[0].env[0].value = all", "devices spec.containers[0] ="}},
		{"not asked for by this container", podWith("containers: [{name: a, image: a, resources: {limits: {nvidia.com/gpu: 1}}}, {name: b, image: b, env: [{name: NVIDIA_VISIBLE_DEVICES, value: all}]}]"), []string{"devices spec.containers[1].env[0].value = all"}},
		{"from elsewhere", container("env: [{name: NVIDIA_VISIBLE_DEVICES, valueFrom: {configMapKeyRef: {name: x, key: k}}}]"), []string{"devices spec.containers[0].env[0].valueFrom ="}},
		{"by a ConfigMap", object("v1", "ConfigMap", "data: {NVIDIA_VISIBLE_DEVICES: all}") + "---\n" + container("envFrom: [{configMapRef: {name: x}}]"), []string{"devices spec.containers[0].envFrom[0].configMapRef.name = x"}},
		{"by a part of the name", object("v1", "Secret", "stringData: {DEVICES: all}") + "---\n" + container("envFrom: [{prefix: NVIDIA_VISIBLE_, secretRef: {name: x}}]"), []string{"devices spec.containers[0].envFrom[0].secretRef.name = x"}},
		{"other variables", object("v1", "ConfigMap", "data: {DEVICES: all}") + "---\n" + container("envFrom: [{configMapRef: {name: x}}], volumeMounts: [{name: a, mountPath: /var/run/nvidia}]"), nil},
		{"by a mount", container("volumeMounts: [{name: a, mountPath: /var/run/../run/nvidia-container-devices/all}]"), []string{"devices spec.containers[0].volumeMounts[0].mountPath = /var/run/../run/nvidia-container-devices/all"}},
		{"another device beside one that it requested", container("resources: {limits: {nvidia.com/gpu: 1}}, env: [{name: NVIDIA_MOFED, value: enabled}]"), []string{"devices spec.containers[0].env[0].value = enabled"}},
		{"no accelerator", container("env: [{name: NVIDIA_VISIBLE_DEVICES, value: void}]"), nil},
		{"a part of one", strings.ReplaceAll(container("resources: {limits: {cpu: 1}}"), "metadata: {name: a}", "metadata: {name: a, annotations: {gpu-fraction: '0.5'}}"), []string{"devices spec ="}},
	})
}

func TestTokens(t *testing.T) {
	account := "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: x}\nautomountServiceAccountToken: false\n---\n"
	off := "automountServiceAccountToken: false"
	checkRule(t, Tokens(), []ruleCase{
		{"off", podWith(off), nil},
		{"off for the account", account + podWith("serviceAccountName: x"), nil},
		{"off for the account, by its older name", account + podWith("serviceAccount: x"), nil},
		{"off for an account that comes later", strings.ReplaceAll(account, "name: x", "name: x, annotations: {helm.sh/hook: post-delete}") + podWith("serviceAccountName: x"), []string{"tokens spec.automountServiceAccountToken ="}},
		{"off for an account that the revision before may have otherwise", account + strings.ReplaceAll(podWith("serviceAccountName: x"), "name: a", "name: a, annotations: {helm.sh/hook: 'post-install,pre-upgrade'}"), []string{"tokens spec.automountServiceAccountToken ="}},
		{"off for the account, after an upgrade", account + strings.ReplaceAll(podWith("serviceAccountName: x"), "name: a", "name: a, annotations: {helm.sh/hook: post-upgrade}"), nil},
		{"by default", podWith(""), []string{"tokens spec.automountServiceAccountToken ="}},
		{"on", account + podWith("serviceAccountName: x, automountServiceAccountToken: true"), []string{"tokens spec.automountServiceAccountToken = true"}},
		{"no boolean", podWith("automountServiceAccountToken: 'false'"), []string{"tokens spec.automountServiceAccountToken = false"}},
		{"projected", podWith(off + ", volumes: [{name: a, projected: {sources: [{serviceAccountToken: {audience: vault, path: t}}]}}]"), []string{"tokens spec.volumes[0].projected.sources[0].serviceAccountToken ="}},
		{"a certificate", podWith(off + ", volumes: [{name: a, projected: {sources: [{podCertificate: {signerName: s}}]}}]"), []string{"tokens spec.volumes[0].projected.sources[0].podCertificate ="}},
		{"an account of a cloud", strings.ReplaceAll(object("v1", "ServiceAccount", ""), "name: x", "name: x, annotations: {eks.amazonaws.com/role-arn: r}"), []string{`tokens metadata.annotations["eks.amazonaws.com/role-arn"] = r`}},
		{"an account of another cloud", strings.ReplaceAll(object("v1", "ServiceAccount", ""), "name: x", "name: x, annotations: {pod-identity.alibabacloud.com/role-name: r}"), []string{`tokens metadata.annotations["pod-identity.alibabacloud.com/role-name"] = r`}},
		{"an account of a cloud for a pod", strings.ReplaceAll(podWith(off), "name: a", "name: a, annotations: {iam.amazonaws.com/role: r}, labels: {aadpodidbinding: b}"), []string{`tokens metadata.annotations["iam.amazonaws.com/role"] = r`, "tokens metadata.labels.aadpodidbinding = b"}},
		{"an account of Windows", podWith(off + ", securityContext: {windowsOptions: {gmsaCredentialSpecName: admin}}, containers: [{name: c, image: a, securityContext: {windowsOptions: {gmsaCredentialSpec: '{}', runAsUserName: ContainerUser}}}]"), []string{"tokens spec.securityContext.windowsOptions.gmsaCredentialSpecName = admin", "tokens spec.containers[0].securityContext.windowsOptions.gmsaCredentialSpec = {}"}},
		{"a Secret", object("v1", "Secret", "type: kubernetes.io/service-account-token"), []string{"tokens type = kubernetes.io/service-account-token"}},
	})
}

func TestScheduling(t *testing.T) {
	checkRule(t, Scheduling("nvidia.com/gpu"), []ruleCase{
		{"nothing", podWith("schedulerName: default-scheduler, nodeSelector: {a: b}"), nil},
		{"a taint that is allowed", podWith("tolerations: [{key: nvidia.com/gpu, operator: Exists}]"), nil},
		{"every taint", podWith("tolerations: [{operator: Exists}]"), []string{"scheduling spec.tolerations[0].key ="}},
		{"the control plane", podWith("tolerations: [{key: node-role.kubernetes.io/control-plane}]"), []string{"scheduling spec.tolerations[0].key = node-role.kubernetes.io/control-plane"}},
		{"a node", podWith("nodeName: worker"), []string{"scheduling spec.nodeName = worker"}},
		{"some nodes", podWith("nodeSelector: {gpu: a100}, affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: zone, operator: In, values: [b]}]}]}}}"), nil},
		{"a node by its label", podWith("nodeSelector: {kubernetes.io/hostname: worker}"), []string{`scheduling spec.nodeSelector["kubernetes.io/hostname"] = worker`}},
		{"nodes by name", podWith("affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchFields: [{key: metadata.name, operator: In, values: [worker]}]}, {matchExpressions: [{key: kubernetes.io/hostname, operator: Exists}]}]}}}"), []string{
			"scheduling spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchFields =",
			"scheduling spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[1].matchExpressions[0].key = kubernetes.io/hostname",
		}},
		{"the node of a claim", strings.ReplaceAll(object("v1", "PersistentVolumeClaim", ""), "name: x", "name: x, annotations: {volume.kubernetes.io/selected-node: worker}"), []string{`scheduling metadata.annotations["volume.kubernetes.io/selected-node"] = worker`}},
		{"a priority", podWith("priorityClassName: system-node-critical, priority: 2000001000"), []string{"scheduling spec.priorityClassName = system-node-critical", "scheduling spec.priority = 2000001000"}},
		{"pods beside its own", podWith("affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: t, labelSelector: {}}]}}"), nil},
		{"away from the pods of all", podWith("affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: t, labelSelector: {}, namespaceSelector: {}}]}}"), []string{"scheduling spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].namespaceSelector ="}},
		{"away from the pods of some", podWith("affinity: {podAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{podAffinityTerm: {namespaces: [theirs]}}]}}"), []string{"scheduling spec.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.namespaces = theirs"}},
		{"a runtime", podWith("runtimeClassName: r, schedulerName: s"), []string{"scheduling spec.runtimeClassName = r", "scheduling spec.schedulerName = s"}},
	})
}

func TestServices(t *testing.T) {
	service := func(spec string) string { return object("v1", "Service", "spec: {"+spec+"}") }
	checkRule(t, Services(), []ruleCase{
		{"by default", service("clusterIP: None"), nil},
		{"of the cluster", service("type: ClusterIP"), nil},
		{"a port of the nodes", service("type: NodePort"), []string{"services spec.type = NodePort"}},
		{"a load balancer", service("type: LoadBalancer, loadBalancerIP: 1.2.3.4"), []string{"services spec.type = LoadBalancer", "services spec.loadBalancerIP = 1.2.3.4"}},
		{"a name", service("type: ExternalName, externalName: evil.example"), []string{"services spec.type = ExternalName", "services spec.externalName = evil.example"}},
		{"an address", service("externalIPs: [10.0.0.1]"), []string{"services spec.externalIPs = 10.0.0.1"}},
		{"no text", service("type: 5"), []string{"services spec.type = 5"}},
	})
}

// What a rule cannot read is a finding.
func TestUnreadable(t *testing.T) {
	checkRule(t, Baseline(), []ruleCase{
		{"null", podWith("hostNetwork: null, containers: null, volumes: null, securityContext: null"), nil},
		{"a text for a boolean", podWith("hostNetwork: 'false'"), []string{"baseline/hostNamespaces spec.hostNetwork = false"}},
		{"a number for a boolean", container("securityContext: {privileged: 1}"), []string{"baseline/privileged spec.containers[0].securityContext.privileged = 1"}},
		{"a text for a number", container("ports: [{hostPort: '80'}]"), []string{"baseline/hostPorts spec.containers[0].ports[0].hostPort = 80"}},
		{"a fraction", container("ports: [{hostPort: 80.5}]"), []string{"baseline/hostPorts spec.containers[0].ports[0].hostPort = 80.5"}},
		{"a text for a list", container("securityContext: {capabilities: {add: SYS_ADMIN}}"), []string{"baseline/capabilities spec.containers[0].securityContext.capabilities.add = SYS_ADMIN"}},
		{"an octal number", container("ports: [{hostPort: 010}]"), []string{"baseline/hostPorts spec.containers[0].ports[0].hostPort = 8"}},
		{"the last of two keys", podWith("hostNetwork: false, hostNetwork: true"), []string{"baseline/hostNamespaces spec.hostNetwork = true"}},
		{"the last of two keys that is good", podWith("hostNetwork: true, hostNetwork: false"), nil},
		{"a custom resource", object("acme.io/v1", "A", "spec: {agent: {hostNetwork: 'yes', podSecurityContext: {sysctls: [{name: kernel.evil}]}}}"), []string{"baseline/hostNamespaces spec.agent.hostNetwork = yes", "baseline/sysctls spec.agent.podSecurityContext.sysctls[0].name = kernel.evil"}},
		{"a custom resource that is good", object("acme.io/v1", "A", "spec: {agent: {hostNetwork: false, ports: 80, volumes: {a: b}, securityContext: none, text: 'apiVersion of the kind that it has'}}"), nil},
		{"a text of a custom resource", object("acme.io/v1", "A", "spec: {make: \"apiVersion: v1\\nkind: Pod\\nspec: {hostPID: true}\\n\"}"), []string{"baseline/hostNamespaces spec.make.spec.hostPID = true"}},
		{"a text that is no manifest", object("acme.io/v1", "A", "spec: {patch: 'containers: [{name: c}]'}"), []string{"baseline spec.patch = containers: [{name: c}]"}},
		{"a pod that a custom resource carries", object("acme.io/v1", "A", "spec: {make: {apiVersion: v1, kind: Pod, spec: {hostIPC: true}}}"), []string{"baseline/hostNamespaces spec.make.spec.hostIPC = true"}},
	})
	long := strings.Repeat("x", 5000)
	checkRule(t, Volumes(), []ruleCase{
		{"none", podWith(""), nil},
		{"a long value", podWith("volumes: [" + long + "]"), []string{"volumes spec.volumes[0] = " + long[:maxValue] + "…"}},
	})
}
