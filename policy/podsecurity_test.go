package policy

import (
	"strings"
	"testing"
)

// The verdicts are held against Kubernetes in e2e/podsecurity. Here every control says where the fault is.
func TestBaseline(t *testing.T) {
	context := func(fields string) string { return container("securityContext: {" + fields + "}") }
	const at = " spec.containers[0]."
	annotated := func(profile string) string {
		return strings.ReplaceAll(podWith(""), "name: a", "name: a, annotations: {container.apparmor.security.beta.kubernetes.io/c: "+profile+"}")
	}
	checkRule(t, Baseline(), []ruleCase{
		{"nothing", container("ports: [{containerPort: 80, hostPort: 0}]"), nil},
		{"what is allowed", podWith("hostNetwork: false, securityContext: {sysctls: [{name: net.ipv4.tcp_rmem, value: a}], seLinuxOptions: {type: container_t, level: s0}, appArmorProfile: {type: Localhost}}, " +
			"containers: [{name: c, image: a, livenessProbe: {httpGet: {port: 80}}, securityContext: {privileged: false, procMount: Default, capabilities: {add: [CHOWN], drop: [KILL]}, " +
			"seccompProfile: {type: RuntimeDefault}, windowsOptions: {hostProcess: false}}}]"), nil},
		{"a good annotation", annotated("localhost/a"), nil},
		{"namespaces of the node", podWith("hostNetwork: true, hostPID: true, hostIPC: true"), []string{"baseline/hostNamespaces spec.hostNetwork = true", "baseline/hostNamespaces spec.hostPID = true", "baseline/hostNamespaces spec.hostIPC = true"}},
		{"privileged", context("privileged: true"), []string{"baseline/privileged" + at + "securityContext.privileged = true"}},
		{"capabilities", context("capabilities: {add: [CHOWN, NET_RAW]}"), []string{"baseline/capabilities" + at + "securityContext.capabilities.add[1] = NET_RAW"}},
		{"a path of the node", podWith("volumes: [{name: a, hostPath: {path: /}}]"), []string{"baseline/hostPathVolumes spec.volumes[0].hostPath ="}},
		{"a port of the node", container("ports: [{hostPort: 80}]"), []string{"baseline/hostPorts" + at + "ports[0].hostPort = 80"}},
		{"a probe", container("startupProbe: {tcpSocket: {host: h}}"), []string{"baseline/hostProbesAndHostLifecycle" + at + "startupProbe.tcpSocket.host = h"}},
		{"a handler", container("lifecycle: {preStop: {httpGet: {host: h}}}"), []string{"baseline/hostProbesAndHostLifecycle" + at + "lifecycle.preStop.httpGet.host = h"}},
		{"AppArmor", podWith("securityContext: {appArmorProfile: {type: Unconfined}}"), []string{"baseline/appArmorProfile spec.securityContext.appArmorProfile.type = Unconfined"}},
		{"AppArmor by an annotation", annotated("unconfined"), []string{`baseline/appArmorProfile metadata.annotations["container.apparmor.security.beta.kubernetes.io/c"] = unconfined`}},
		{"SELinux", context("seLinuxOptions: {type: spc_t, user: u, role: r}"), []string{"baseline/seLinuxOptions" + at + "securityContext.seLinuxOptions.type = spc_t", "baseline/seLinuxOptions" + at + "securityContext.seLinuxOptions.user = u", "baseline/seLinuxOptions" + at + "securityContext.seLinuxOptions.role = r"}},
		{"proc", context("procMount: Unmasked"), []string{"baseline/procMount" + at + "securityContext.procMount = Unmasked"}},
		{"seccomp", context("seccompProfile: {type: Unconfined}"), []string{"baseline/seccompProfile" + at + "securityContext.seccompProfile.type = Unconfined"}},
		{"sysctls", podWith("securityContext: {sysctls: [{name: kernel.shm_rmid_forced}, {name: kernel.msgmax}]}"), []string{"baseline/sysctls spec.securityContext.sysctls[1].name = kernel.msgmax"}},
		{"Windows", context("windowsOptions: {hostProcess: true}"), []string{"baseline/windowsHostProcess" + at + "securityContext.windowsOptions.hostProcess = true"}},
	})
}

func TestRestricted(t *testing.T) {
	const (
		forPod = "securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}"
		good   = "allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}"
		at     = " spec.containers[0].securityContext."
	)
	with := func(pod, context string) string {
		return podWith(pod + ", containers: [{name: c, image: a, securityContext: {" + context + "}}]")
	}
	checkRule(t, Restricted(), []ruleCase{
		{"good", with(forPod, good), nil},
		{"set by the container", with("os: {name: linux}", good+", runAsNonRoot: true, runAsUser: 1, seccompProfile: {type: Localhost}"), nil},
		{"Windows", with("os: {name: windows}, securityContext: {runAsNonRoot: true}", ""), nil},
		{"nothing set", container(""), []string{
			"restricted/allowPrivilegeEscalation" + at + "allowPrivilegeEscalation =", "restricted/runAsNonRoot" + at + "runAsNonRoot =",
			"restricted/seccompProfile" + at + "seccompProfile =", "restricted/capabilities" + at + "capabilities.drop =",
		}},
		{"of baseline", with("hostPID: true, "+forPod, good), []string{"baseline/hostNamespaces spec.hostPID = true"}},
		{"a type of volume", with("volumes: [{name: a, nfs: {server: s}}], "+forPod, good), []string{"restricted/restrictedVolumes spec.volumes[0].nfs ="}},
		{"root for the pod", with("securityContext: {runAsNonRoot: false, runAsUser: 0, seccompProfile: {type: RuntimeDefault}}", good+", runAsNonRoot: true"), []string{"restricted/runAsNonRoot spec.securityContext.runAsNonRoot = false", "restricted/runAsUser spec.securityContext.runAsUser = 0"}},
		{"root for the container", with(forPod, good+", runAsNonRoot: false"), []string{"restricted/runAsNonRoot" + at + "runAsNonRoot = false"}},
		{"escalation", with(forPod, "allowPrivilegeEscalation: true, capabilities: {drop: [ALL]}"), []string{"restricted/allowPrivilegeEscalation" + at + "allowPrivilegeEscalation = true"}},
		{"escalation as a text", with(forPod, "allowPrivilegeEscalation: 'false', capabilities: {drop: [ALL]}"), []string{"restricted/allowPrivilegeEscalation" + at + "allowPrivilegeEscalation = false"}},
		{"no seccomp", with(forPod, good+", seccompProfile: {type: Unconfined}"), []string{"restricted/seccompProfile" + at + "seccompProfile.type = Unconfined"}},
		{"capabilities", with(forPod, "allowPrivilegeEscalation: false, capabilities: {drop: [all], add: [NET_BIND_SERVICE, CHOWN]}"), []string{"restricted/capabilities" + at + "capabilities.drop = all", "restricted/capabilities" + at + "capabilities.add[1] = CHOWN"}},
		{"a custom resource", object("acme.io/v1", "A", "spec: {pod: {containers: [{name: c, securityContext: {"+good+", runAsNonRoot: true}}]}}"), []string{"restricted/seccompProfile spec.pod.containers[0].securityContext.seccompProfile ="}},
	})
}
