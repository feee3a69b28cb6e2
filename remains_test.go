package helmexec

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
	"github.com/sut-bench/helmexec/internal/argument"
)

func remainNames(all []Remain) []string {
	var names []string
	for _, r := range all {
		r.State = RemainThere
		names = append(names, r.String())
	}
	slices.Sort(names)
	return names
}

// Whether a hook's object stays depends on its delete policy and on how it ended.
func TestHooksThatStay(t *testing.T) {
	const untracked, crd = "a hook, and Helm does not track hooks", "a hook, and Helm never removes CRDs"
	for _, test := range []struct {
		name                    string
		kind                    string
		events, policies, phase string
		noHooks, failed         bool
		want                    string
	}{
		{"succeeded, no policy", "Job", "[pre-install]", "[]", "Succeeded", false, false, untracked},
		{"succeeded, goes at the next run", "Job", "[pre-install]", "[before-hook-creation]", "Succeeded", false, false, untracked},
		{"succeeded, and so it goes", "Job", "[pre-install]", "[before-hook-creation hook-succeeded]", "Succeeded", false, false, ""},
		{"failed, would go when it succeeds", "Job", "[pre-install]", "[hook-succeeded]", "Failed", false, false, untracked},
		{"failed, and so it goes", "Job", "[pre-install]", "[hook-failed]", "Failed", false, false, ""},
		{"was running when helm was killed", "Job", "[pre-install]", "[hook-succeeded hook-failed]", "Running", false, false, untracked},
		{"never ran", "Job", "[pre-upgrade]", "[]", "", false, false, ""},
		{"runs with the uninstall", "Job", "[post-delete]", "[]", "", false, false, untracked},
		{"runs with the uninstall and goes", "Job", "[pre-delete]", "[hook-succeeded]", "", false, false, ""},
		{"runs with the uninstall, which skips it", "Job", "[pre-delete]", "[]", "", true, false, ""},
		{"failed before, and was skipped then", "Job", "[pre-delete]", "[hook-succeeded]", "", true, true, untracked},
		{"runs after what failed", "Job", "[post-delete]", "[hook-succeeded]", "", true, true, untracked},
		{"succeeded, and what came after it failed", "Job", "[pre-install]", "[hook-succeeded]", "Succeeded", false, true, untracked},
		{"failed, and deleting it can be what did", "Job", "[pre-install]", "[hook-failed]", "Failed", false, true, untracked},
		{"that it ran is not recorded, and something failed", "Job", "[post-install]", "[]", "", false, true, untracked},
		{"a test, which an install does not run", "Job", "[test]", "[]", "", false, true, ""},
		{"a CRD", "CustomResourceDefinition", "[pre-install]", "[]", "Succeeded", false, false, crd},
	} {
		t.Run(test.name, func(t *testing.T) {
			hk := &hook{Kind: hexText(test.kind), Events: hexText(test.events), DeletePolicies: hexText(test.policies), Phase: test.phase}
			assert.Equal(t, test.want, hk.stays(test.noHooks, test.failed, false))
		})
	}
}

// labelled are labels as a record has them.
func labelled(labels map[string]string) []*struct{ Key, Value string } {
	var all []*struct{ Key, Value string }
	for _, k := range sortedKeys(labels) {
		all = append(all, &struct{ Key, Value string }{k, labels[k]})
	}
	return all
}

func packedNames(names ...string) map[string]string {
	labels := map[string]string{}
	packNames(labels, names)
	return labels
}

func TestKeptByDesign(t *testing.T) {
	const config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n"
	for _, test := range []struct {
		name string
		rec  record
		want []string
	}{
		{"nothing of a plain release", record{Manifest: config}, nil},
		{"what the chart says to keep", record{Manifest: config + `---
apiVersion: v1
kind: Secret
metadata: {name: s, annotations: {helm.sh/resource-policy: " Keep "}}
---
apiVersion: v1
kind: Secret
metadata: {name: other, annotations: {helm.sh/resource-policy: delete}}
---
apiVersion: v1
kind: Secret
metadata: {name: null-policy, annotations: {helm.sh/resource-policy: }}
---
apiVersion: v1
kind: Secret
metadata: {name: no-policy, annotations: {helm.sh/other: keep}}
`}, []string{
			`Secret team/null-policy (helm.sh/resource-policy: "", which Helm takes for keep)`,
			`Secret team/other (helm.sh/resource-policy: "delete", which Helm takes for keep)`, "Secret team/s (helm.sh/resource-policy: keep)",
		}},
		{"a List to keep, and one whose items ask for it", record{Manifest: `
apiVersion: v1
kind: List
metadata: {annotations: {helm.sh/resource-policy: keep}}
items:
- {apiVersion: v1, kind: Secret, metadata: {name: s}}
- {apiVersion: v1, kind: Secret, metadata: {name: t}}
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Secret, metadata: {name: not-kept, annotations: {helm.sh/resource-policy: keep}}}
`}, []string{"Secret team/s (helm.sh/resource-policy: keep)", "Secret team/t (helm.sh/resource-policy: keep)"}},
		{"volume claims of a StatefulSet", record{Manifest: `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec: {replicas: 2, volumeClaimTemplates: [{metadata: {name: data}}, {metadata: {name: log}}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: one}
spec: {volumeClaimTemplates: [{metadata: {name: data}}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: later}
spec: {replicas: 2, ordinals: {start: 3}, volumeClaimTemplates: [{metadata: {name: data}}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: tidy}
spec: {persistentVolumeClaimRetentionPolicy: {whenDeleted: Delete}, volumeClaimTemplates: [{metadata: {name: data}}]}
`}, []string{
			"PersistentVolumeClaim team/data-db-0 (a volume claim of StatefulSet db)", "PersistentVolumeClaim team/data-db-1 (a volume claim of StatefulSet db)",
			"PersistentVolumeClaim team/data-later-3 (a volume claim of StatefulSet later)", "PersistentVolumeClaim team/data-later-4 (a volume claim of StatefulSet later)",
			"PersistentVolumeClaim team/data-one-0 (a volume claim of StatefulSet one)",
			"PersistentVolumeClaim team/log-db-0 (a volume claim of StatefulSet db)", "PersistentVolumeClaim team/log-db-1 (a volume claim of StatefulSet db)",
		}},
		{"volume claims for pods that an autoscaler wanted, and those of a hook", record{Manifest: `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec: {volumeClaimTemplates: [{metadata: {name: data}}]}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: db}
spec: {maxReplicas: 2, scaleTargetRef: {apiVersion: apps/v1, kind: StatefulSet, name: db}}
`, Hooks: []*hook{{Kind: "StatefulSet", Phase: "Succeeded", Events: "[pre-install]", DeletePolicies: "[hook-succeeded]", Manifest: `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: early}
spec: {volumeClaimTemplates: [{metadata: {name: data}}]}
`}}}, []string{
			"PersistentVolumeClaim team/data-db-0 (a volume claim of StatefulSet db)", "PersistentVolumeClaim team/data-db-1 (a volume claim of StatefulSet db)",
			"PersistentVolumeClaim team/data-early-0 (a volume claim of StatefulSet early)",
		}},
		{"the chart's CRDs", record{CRDs: []hexText{"apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: things.example.com}\n"}},
			[]string{"apiextensions.k8s.io/CustomResourceDefinition things.example.com (Helm never removes CRDs)"}},
		{"the CRDs of its subcharts", record{Labels: labelled(packedNames("things.example.com", strings.Repeat("x", 100)+".example.com"))},
			[]string{
				"apiextensions.k8s.io/CustomResourceDefinition things.example.com (Helm never removes CRDs)",
				"apiextensions.k8s.io/CustomResourceDefinition " + strings.Repeat("x", 100) + ".example.com (Helm never removes CRDs)",
			}},
		{"an object that gets its name from the API server", record{Manifest: "apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: run-, annotations: {helm.sh/resource-policy: keep}}\n"},
			[]string{"ConfigMap team/run-* (helm.sh/resource-policy: keep)"}},
		{"a hook", record{Hooks: []*hook{{Kind: "ConfigMap", Phase: "Succeeded", Events: "[pre-install]", DeletePolicies: "[]", Manifest: config}}},
			[]string{"ConfigMap team/c (a hook, and Helm does not track hooks)"}},
		{"a namespace that Kubernetes makes", record{Namespace: "kube-system", Labels: []*struct{ Key, Value string }{{labelNamespace, "true"}, nil}}, nil},
		{"the namespace made for it", record{Labels: []*struct{ Key, Value string }{{labelNamespace, "true"}, nil}},
			[]string{"Namespace team (made by the install if it did not exist; Helm never removes it)"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.rec.Namespace, test.rec.Status = cmp.Or(test.rec.Namespace, "team"), StatusDeployed
			assert.Equal(t, test.want, remainNames(test.rec.inventory().keptByDesign(false, false)))
		})
	}
}

// Objects of the whole cluster have no namespace, and another namespace than the release's is kept.
func TestObjectsOfARecord(t *testing.T) {
	rec := record{Namespace: "team", Manifest: `
apiVersion: v1
kind: Service
metadata: {name: here}
---
apiVersion: v1
kind: Service
metadata: {name: there, namespace: other}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: wide}
---
apiVersion: v1
kind: Secret
metadata: {name: kept, annotations: {helm.sh/resource-policy: keep}}
---
apiVersion: v1
kind: List
metadata: {annotations: {helm.sh/resource-policy: keep}}
items: [{apiVersion: v1, kind: Secret, metadata: {name: kept-too}}]
`}
	assert.Equal(t, []string{"Secret team/kept", "Secret team/kept-too", "Service other/there", "Service team/here", "rbac.authorization.k8s.io/ClusterRole wide"}, remainNames(rec.inventory().objects("")))
	assert.Equal(t, []string{"Service other/there", "Service team/here", "rbac.authorization.k8s.io/ClusterRole wide"}, remainNames(rec.inventory().objectsToGo("")))
}

// Names go into labels, whatever their number and length, and come back.
func TestNamesInLabels(t *testing.T) {
	for _, count := range []int{0, 1, 2, 3, 50} {
		for _, length := range []int{1, 20, 59, 60, 61, 62, 63, 200} {
			var names []string
			for i := range count {
				names = append(names, strings.Repeat("a-b.", length/4)+fmt.Sprint("x", i))
			}
			labels := packedNames(names...)
			assert.NoError(t, argument.Labels(labels))
			assert.Equal(t, names, append([]string(nil), unpackNames(labels)...), "%d of %d", count, length)
		}
	}
}

// The Job of a pre-install hook, after an upgrade.
func TestRemainsNameHooksOfTheFirstRevision(t *testing.T) {
	h, fake := withFake(t, Config{})
	job := helmtest.Hook{Kind: "Job", Name: "prepare", Events: []string{"pre-install"}, Manifest: "apiVersion: batch/v1\nkind: Job\nmetadata: {name: prepare}\n"}
	one := webRelease
	one.Revision, one.Status = 1, "superseded"
	job.Phase = "Succeeded"
	one.Hooks = []helmtest.Hook{job}
	fake.SetRelease(one)
	two := webRelease
	two.Revision = 2
	job.Phase = ""
	two.Hooks = []helmtest.Hook{job}
	fake.SetRelease(two)
	sees(fake, "0 staying foreign")
	result, err := h.Uninstall(t.Context(), "web", UninstallOptions{})
	require.NoError(t, err)
	assert.NotEmpty(t, result.Remains)
}

// Helm removes what the last revision has. One that failed may not have removed what those before it made.
func TestRemainsOfRevisionsBeforeAFailedOne(t *testing.T) {
	object := func(name string) string {
		return "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\n"
	}
	first := "ConfigMap default/first (made by revision 2; revision 5, which failed, does not have it)"
	third := "ConfigMap default/third (made by revision 4; revision 5, which failed, does not have it)"
	for _, test := range []struct {
		name, status, before string
		want                 []string
		reads                int // processes that read records
	}{
		{"it failed", "failed", "deployed", []string{first, third}, 3},
		{"it is still pending", "pending-upgrade", "deployed", []string{first, third}, 3},
		{"it failed, and is being removed", "uninstalling", "deployed", []string{first, third}, 3},
		{"it was deployed, and is being removed", "uninstalling", "superseded", nil, 1},
		{"it was deployed", "deployed", "superseded", nil, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, fake := withFake(t, Config{})
			for _, revision := range []helmtest.Release{ // Helm has forgotten revision 3
				{Revision: 1, Status: "superseded", Manifest: object("older")}, {Revision: 2, Status: test.before, Manifest: object("first") + object("both")},
				{Revision: 4, Status: "failed", Manifest: object("third") + strings.ReplaceAll(object("both"), "v1", "v2")}, {Revision: 5, Status: test.status, Manifest: object("both")},
			} {
				revision.Name = "web"
				fake.SetRelease(revision)
			}
			fake.Handle("template", func(helmtest.Call) helmtest.Reply { return unreachable }) // so all may be there
			inTurn(fake, "history", func(helmtest.Call) helmtest.Reply { return unreachable })
			result, err := h.Uninstall(t.Context(), "web", UninstallOptions{})
			require.NoError(t, err)
			assert.Equal(t, test.want, remainNames(result.Remains))
			assert.Len(t, fake.Calls("get"), test.reads)
		})
	}
}

// What stays after a failed upgrade is in the error as well, if the release is not removed.
func TestRemainsOfAFailedRevisionThatIsNotRemoved(t *testing.T) {
	h, fake := withFake(t, Config{})
	fake.SetRelease(helmtest.Release{Name: "web", Revision: 1, Manifest: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: first}\n"})
	fake.SetRelease(helmtest.Release{Name: "web", Revision: 2, Status: "failed"})
	fake.Handle("template", func(helmtest.Call) helmtest.Reply { return unreachable })
	fake.Handle("uninstall", func(helmtest.Call) helmtest.Reply { return helmtest.Reply{Exit: 1, Stderr: "Error: forbidden\n"} })
	_, err := h.Uninstall(t.Context(), "web", UninstallOptions{})
	var failed *ReleaseError
	require.ErrorAs(t, err, &failed)
	assert.Contains(t, remainNames(failed.Remains), "ConfigMap default/first (made by revision 1; revision 2, which failed, does not have it)")
}
