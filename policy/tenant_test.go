package policy

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/plan"
)

// tenant is what an orchestrator may give to a stranger.
var tenant = TenantOptions{Limits: Limits{CPU: "64", Memory: "256Gi", Storage: "1Ti", Pods: 100, Nodes: 8, GPUs: map[string]int64{"nvidia.com/gpu": 8}}}

// hostile are the charts in testdata/hostile, each with the finding that it is there for: the rule and the path.
var hostile = map[string]string{
	"account-of-others":          "references spec.serviceAccountName",
	"admission-policy":           "namespaced kind",
	"aggregated-role":            `rbac metadata.labels["rbac.authorization.k8s.io/aggregate-to-edit"]`,
	"api-service":                "namespaced kind",
	"claim-of-others":            "references spec.volumes[0].persistentVolumeClaim.claimName",
	"cluster-admin":              "rbac roleRef.name",
	"crd-with-conversion":        "namespaced kind",
	"csi-secret":                 "references spec.volumes[0].csi.nodePublishSecretRef.name",
	"deep-init-container":        "baseline/capabilities spec.jobTemplate.spec.template.spec.initContainers[0].securityContext.capabilities.add[0]",
	"device":                     "devices spec.containers[0].resources.limits.smarter-devices/fuse",
	"endpoints":                  "kinds kind",
	"ephemeral-container":        "baseline/capabilities spec.ephemeralContainers[0].securityContext.capabilities.add[0]",
	"external-ips":               "services spec.externalIPs",
	"finalizer":                  "removable metadata.finalizers",
	"git-repo":                   "volumes spec.volumes[0].gitRepo",
	"hidden-gpu":                 "devices spec.containers[0]",
	"host-path-under-projection": "hostpaths spec.volumes[0].projected.sources[0].hostPath",
	"host-port":                  "baseline/hostPorts spec.containers[0].ports[0].hostPort",
	"ingress":                    "kinds kind",
	"kept":                       `removable metadata.annotations["helm.sh/resource-policy"]`,
	"kube-system":                "namespaced metadata.namespace",
	"list":                       "baseline/hostNamespaces spec.hostPID",
	"load-balancer":              "services spec.type",
	"many-pods":                  "totals spec.template.spec",
	"merge":                      "baseline/hostNamespaces spec.hostIPC",
	"network-policy":             "kinds kind",
	"node-name":                  "scheduling spec.nodeName",
	"persistent-volume":          "hostpaths spec.hostPath",
	"priority":                   "scheduling spec.priorityClassName",
	"priority-class":             "namespaced kind",
	"privileged-hook":            "baseline/privileged spec.template.spec.containers[0].securityContext.privileged",
	"probe":                      "baseline/hostProbesAndHostLifecycle spec.containers[0].livenessProbe.httpGet.host",
	"proc-mount":                 "baseline/procMount spec.containers[0].securityContext.procMount",
	"role-for-everybody":         "rbac subjects[0].kind",
	"scaled":                     "totals spec.scaleTargetRef.name",
	"secret-of-others":           "references spec.containers[0].envFrom[0].secretRef.name",
	"secrets-role":               "rbac rules[0].resources[0]",
	"shell-role":                 "rbac rules[0].resources[0]",
	"storage-class":              "namespaced kind",
	"sysctl":                     "baseline/sysctls spec.securityContext.sysctls[0].name",
	"test-pod":                   "baseline/hostNamespaces spec.hostPID",
	"token-for-a-cloud":          "tokens spec.volumes[0].projected.sources[0].serviceAccountToken",
	"token-secret":               "tokens type",
	"tolerations":                "scheduling spec.tolerations[0].key",
	"two-keys":                   "baseline/hostNamespaces spec.hostNetwork",
	"webhook-in-subchart":        "namespaced kind",
	"windows-host-process":       "baseline/windowsHostProcess spec.securityContext.windowsOptions.hostProcess",
	"workflow":                   "kinds kind",
}

// Tenant refuses every hostile chart for what is hostile in it. Their templates are plain manifests; e2e renders them with
// Helm.
func TestTenantRefuses(t *testing.T) {
	charts, err := os.ReadDir("testdata/hostile")
	require.NoError(t, err)
	assert.Len(t, charts, len(hostile))
	for _, chart := range charts {
		t.Run(chart.Name(), func(t *testing.T) {
			findings := hostilePlan(t, filepath.Join("testdata/hostile", chart.Name())).Check(Tenant(tenant))
			assert.Contains(t, rulesAndPaths(findings), hostile[chart.Name()])
		})
	}
}

func rulesAndPaths(findings []plan.Finding) (all []string) {
	for _, f := range findings {
		all = append(all, f.Rule+" "+f.Path)
	}
	return all
}

// hostilePlan makes a plan of a chart whose templates are plain manifests.
func hostilePlan(t *testing.T, folder string) *plan.Plan {
	t.Helper()
	var rendered, crds strings.Builder
	require.NoError(t, filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Name() == "Chart.yaml" {
			return err
		}
		text, err := os.ReadFile(path)
		into := &rendered
		if strings.Contains(filepath.ToSlash(path), "/crds/") {
			into = &crds
		}
		into.WriteString("---\n" + string(text))
		return err
	}))
	return planOf(t, rendered.String(), crds.String())
}

// Tenant allows honest charts, as helm template renders those of this repository.
func TestTenantAllows(t *testing.T) {
	files, err := filepath.Glob("testdata/honest/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			assert.Empty(t, planOf(t, string(text), "").Check(Tenant(tenant)))
		})
	}
}

func TestTenantOptions(t *testing.T) {
	text, err := os.ReadFile("testdata/honest/stack.yaml")
	require.NoError(t, err)
	rules := func(opts TenantOptions, extra string) []string {
		var rules []string
		for _, f := range planOf(t, string(text)+"---\n"+extra, "").Check(Tenant(opts)) {
			rules = append(rules, f.Rule)
		}
		slices.Sort(rules)
		return slices.Compact(rules)
	}
	workflow := object("argoproj.io/v1alpha1", "Workflow", "spec: {templates: [{name: a, container: {image: acme/a}}]}")
	assert.Empty(t, rules(TenantOptions{}, ""))
	assert.Equal(t, []string{"images"}, rules(TenantOptions{Registries: []string{"registry.example"}}, ""))
	assert.Equal(t, []string{"digests"}, rules(TenantOptions{Pinned: true}, ""))
	assert.Equal(t, []string{"tokens"}, rules(TenantOptions{NoTokens: true}, ""))
	assert.Equal(t, []string{"restricted/allowPrivilegeEscalation", "restricted/capabilities", "restricted/runAsNonRoot", "restricted/seccompProfile"}, rules(TenantOptions{Restricted: true}, ""))
	assert.Equal(t, []string{"totals"}, rules(TenantOptions{Limits: Limits{Pods: 1}}, ""))
	assert.Equal(t, []string{"kinds", "namespaced"}, rules(TenantOptions{}, workflow))
	assert.Empty(t, rules(TenantOptions{Kinds: []string{"argoproj.io/Workflow"}}, workflow))
	login := podWith("imagePullSecrets: [{name: login}]")
	assert.Equal(t, []string{"references"}, rules(TenantOptions{}, login))
	assert.Empty(t, rules(TenantOptions{References: []string{"Secret/login"}}, login))
	gpu := container("resources: {limits: {amd.com/gpu: 1}}")
	assert.Equal(t, []string{"devices"}, rules(TenantOptions{}, gpu))
	assert.Empty(t, rules(TenantOptions{Limits: Limits{GPUs: map[string]int64{"amd.com/gpu": 1}}}, gpu))
}
