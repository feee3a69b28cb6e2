package policy

import (
	"maps"
	"slices"
	"strings"

	"github.com/sut-bench/helmexec/plan"
)

// Baseline is the level baseline of the Pod Security Standards of Kubernetes 1.34: pods, and the templates of pods in
// every kind, must not ask for what is known to give them the node. The rule of a finding is the name of the control,
// such as "baseline/hostNamespaces".
//
// In a custom resource every mapping counts as what it would be in a pod, because only its operator knows: what is no
// pod there must not ask for these things either. A text in it that pods may be made from, and that is no manifest, is a
// finding.
func Baseline() plan.Rule { return baseline().rule() }

// Restricted is the level restricted of the Pod Security Standards of Kubernetes 1.34, with all of baseline: pods must
// also ask to run without rights. See Baseline.
func Restricted() plan.Rule { return restricted().rule() }

func baseline() check {
	return check{"baseline", func(v *view) { v.podSecurity(baselineControls, nil) }}
}

func restricted() check {
	return check{"restricted", func(v *view) { v.podSecurity(baselineControls, restrictedControls) }}
}

// control is a control of the Pod Security Standards.
type control struct {
	name  string
	check func(*pod)
}

// podSecurity runs the controls over every pod. The controls of restricted take the place of those of their names.
func (v *view) podSecurity(low, high []control) {
	level := v.rule
	v.faultUnread()
	replaced := map[string]bool{}
	for _, c := range high {
		replaced[c.name] = true
	}
	if replaced["restrictedVolumes"] {
		replaced["hostPathVolumes"] = true
	}
	for _, c := range low {
		v.rule = "baseline/" + c.name
		for _, p := range v.pods {
			if !replaced[c.name] {
				c.check(p)
			}
		}
	}
	for _, c := range high {
		v.rule = "restricted/" + c.name
		for _, p := range v.pods {
			c.check(p)
		}
	}
	v.anyPods(func(p *pod) {
		for _, c := range low {
			v.rule = "baseline/" + c.name
			c.check(p)
		}
	})
	v.rule = level
}

var baselineControls = []control{
	{"hostNamespaces", hostNamespaces},
	{"privileged", privileged},
	{"capabilities", capabilities},
	{"hostPathVolumes", hostPathVolumes},
	{"hostPorts", hostPorts},
	{"hostProbesAndHostLifecycle", hostProbes},
	{"appArmorProfile", appArmorProfile},
	{"seLinuxOptions", seLinuxOptions},
	{"procMount", procMount},
	{"seccompProfile", seccompProfile},
	{"sysctls", sysctls},
	{"windowsHostProcess", windowsHostProcess},
}

var restrictedControls = []control{
	{"restrictedVolumes", restrictedVolumes},
	{"allowPrivilegeEscalation", allowPrivilegeEscalation},
	{"runAsNonRoot", runAsNonRoot},
	{"runAsUser", runAsUser},
	{"seccompProfile", seccompRequired},
	{"capabilities", capabilitiesDropped},
}

func hostNamespaces(p *pod) {
	for _, key := range []string{"hostNetwork", "hostPID", "hostIPC"} {
		if f := p.spec.get(key); f.isTrue() {
			f.fault("shares a namespace of the node")
		}
	}
}

func privileged(p *pod) {
	for _, context := range p.contexts {
		if f := context.get("privileged"); f.isTrue() {
			f.fault("has all rights on the node")
		}
	}
}

var defaultCapabilities = []string{
	"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP",
	"SETUID", "SYS_CHROOT",
}

func capabilities(p *pod) {
	for _, context := range p.contexts {
		for _, f := range context.at("capabilities", "add").items() {
			if !slices.Contains(defaultCapabilities, f.text()) {
				f.fault("is not one of the capabilities that a container has by default")
			}
		}
	}
}

func capabilitiesDropped(p *pod) {
	if p.isWindows() {
		return
	}
	for _, context := range p.contexts {
		drop := context.at("capabilities", "drop")
		if !slices.Contains(drop.texts(), "ALL") {
			drop.fault("must have ALL")
		}
		for _, f := range context.at("capabilities", "add").items() {
			if f.text() != "NET_BIND_SERVICE" {
				f.fault("is not NET_BIND_SERVICE, the only capability that may be added")
			}
		}
	}
}

func hostPathVolumes(p *pod) {
	for _, volume := range p.volumes() {
		if f := volume.get("hostPath"); f.value != nil {
			f.fault("is a volume of the node")
		}
	}
}

func hostPorts(p *pod) {
	for _, container := range p.containers {
		for _, port := range container.get("ports").items() {
			f := port.get("hostPort")
			if n, ok := f.integer(); ok && n != 0 {
				f.fault("is a port of the node")
			}
		}
	}
}

func hostProbes(p *pod) {
	for _, container := range p.containers {
		for _, way := range [][]string{
			{"livenessProbe"}, {"readinessProbe"}, {"startupProbe"}, {"lifecycle", "postStart"}, {"lifecycle", "preStop"},
		} {
			for _, action := range []string{"httpGet", "tcpSocket"} {
				if f := container.at(way...).at(action, "host"); f.text() != "" {
					f.fault("lets the node contact another host than the pod")
				}
			}
		}
	}
}

func appArmorProfile(p *pod) {
	for _, context := range slices.Concat(p.podContexts, p.contexts) {
		profileType(context.get("appArmorProfile"), "an AppArmor profile that the runtime does not bring")
	}
	annotations := p.metadata.get("annotations")
	for _, key := range slices.Sorted(maps.Keys(annotations.keys())) {
		if !strings.HasPrefix(key, "container.apparmor.security.beta.kubernetes.io/") {
			continue
		}
		f := annotations.get(key)
		if profile := f.text(); profile != "" && profile != "runtime/default" && !strings.HasPrefix(profile, "localhost/") {
			f.fault("is an AppArmor profile that the runtime does not bring")
		}
	}
}

// profileType checks the type of a profile, if there is one.
func profileType(profile *field, what string) {
	if profile.value == nil {
		return
	}
	if f := profile.get("type"); f.value != "RuntimeDefault" && f.value != "Localhost" {
		f.fault("is %s: it must be RuntimeDefault or Localhost", what)
	}
}

func seLinuxOptions(p *pod) {
	for _, context := range slices.Concat(p.podContexts, p.contexts) {
		options := context.get("seLinuxOptions")
		f := options.get("type")
		if !slices.Contains([]string{"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}, f.text()) {
			f.fault("is an SELinux type that is not for containers")
		}
		for _, key := range []string{"user", "role"} {
			if f := options.get(key); f.text() != "" {
				f.fault("sets a user or role of SELinux")
			}
		}
	}
}

func procMount(p *pod) {
	for _, context := range p.contexts {
		if f := context.get("procMount"); f.value != nil && f.value != "Default" {
			f.fault("shows parts of /proc that the runtime hides")
		}
	}
}

func seccompProfile(p *pod) {
	for _, context := range slices.Concat(p.podContexts, p.contexts) {
		profileType(context.get("seccompProfile"), "no seccomp profile")
	}
}

func seccompRequired(p *pod) {
	if p.isWindows() {
		return
	}
	seccompProfile(p)
	for _, context := range p.podContexts {
		if kind := context.at("seccompProfile", "type").value; kind == "RuntimeDefault" || kind == "Localhost" {
			return
		}
	}
	for _, context := range p.contexts {
		if f := context.get("seccompProfile"); f.value == nil {
			f.fault("must be set here or for the pod")
		}
	}
}

var safeSysctls = []string{
	"kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range",
	"net.ipv4.ip_unprivileged_port_start", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout",
	"net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
}

func sysctls(p *pod) {
	for _, context := range p.podContexts {
		for _, sysctl := range context.get("sysctls").items() {
			if f := sysctl.get("name"); !slices.Contains(safeSysctls, f.text()) {
				f.fault("is a sysctl that is not safe for others on the node")
			}
		}
	}
}

func windowsHostProcess(p *pod) {
	for _, context := range slices.Concat(p.podContexts, p.contexts) {
		if f := context.at("windowsOptions", "hostProcess"); f.isTrue() {
			f.fault("runs as a process of the node")
		}
	}
}

// restrictedTypes are the types of volumes that the level restricted allows.
var restrictedTypes = []string{
	"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret",
}

func restrictedVolumes(p *pod) { p.volumeTypes(restrictedTypes) }

// volumeTypes refuses volumes of other types. A volume without a type is an emptyDir.
func (p *pod) volumeTypes(allowed []string) {
	for _, volume := range p.volumes() {
		for _, key := range slices.Sorted(maps.Keys(volume.keys())) {
			if f := volume.get(key); key != "name" && f.value != nil && !slices.Contains(allowed, key) {
				f.fault("is a type of volume that is not allowed: %s", shortened(key, maxValue))
			}
		}
	}
}

func allowPrivilegeEscalation(p *pod) {
	if p.isWindows() {
		return
	}
	for _, context := range p.contexts {
		if f := context.get("allowPrivilegeEscalation"); !f.isFalse() {
			f.fault("must be false")
		}
	}
}

func runAsNonRoot(p *pod) {
	pod := false
	for _, context := range p.podContexts {
		f := context.get("runAsNonRoot")
		if pod = f.isTrue(); f.isFalse() {
			f.fault("must not be false")
		}
	}
	for _, context := range p.contexts {
		switch f := context.get("runAsNonRoot"); {
		case f.isTrue() || f.value == nil && pod:
		default:
			f.fault("must be true here or for the pod")
		}
	}
}

func runAsUser(p *pod) {
	for _, context := range slices.Concat(p.podContexts, p.contexts) {
		f := context.get("runAsUser")
		if n, ok := f.integer(); ok && n == 0 {
			f.fault("is root")
		}
	}
}
