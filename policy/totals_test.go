package policy

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/chart"
	"github.com/sut-bench/helmexec/manifest"
	"github.com/sut-bench/helmexec/plan"
)

func TestParseQuantity(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0", "1": "1", "100m": "0.1", "0.5": "0.5", ".5": "0.5", "5.": "5", "+1": "1", "1e3": "1000", "1E3": "1000", "1e+3": "1000", "1e-3": "0.001",
		"1k": "1000", "1M": "1000000", "1E": "1000000000000000000", "1Ki": "1024", "0.5Ki": "512", "1.5Gi": "1610612736", "1Ei": "1152921504606846976",
		"1n": "0.000000001", "1u": "0.000001", "0.0000000001": "0.000000001", "1e-60": "0.000000001", "1e30": "1" + strings.Repeat("0", 30),
		"9223372036854775808": "9223372036854775808", "007": "7",
	} {
		for _, value := range []any{text, json.Number(text)} {
			n, ok := parseQuantity(value)
			if assert.True(t, ok, text) {
				assert.Equal(t, want, quantityText(n), text)
			}
		}
	}
	for _, value := range []any{
		"", "-1", "-0.5", "1 ", " 1", "1e", "1e4294967299", "1e65", "1e99999999999999999999", "1KI", "1ki", "1mm", "1.2.3", ".", "+", "e3", "++1", "0x10", "1_0",
		strings.Repeat("9", 65), "\uff11", "NaN", "Inf", true, nil, []any{}, map[string]any{}, 1.5,
	} {
		_, ok := parseQuantity(value)
		assert.False(t, ok, "%v", value)
	}
}

// A workload without a number of replicas has 1 when it is installed; an upgrade leaves as many as an autoscaler has made.
func TestTotalsOfAnUpgrade(t *testing.T) {
	scaler := "---\n" + object("autoscaling/v2", "HorizontalPodAutoscaler", "spec: {maxReplicas: 5, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: x}}")
	workload := func(kind, spec string) string {
		return object("apps/v1", kind, "spec: {"+spec+"template: {spec: {containers: [{name: c, image: a}]}}}")
	}
	for _, test := range []struct {
		name, manifest string
		want           []string
	}{
		{"a number", workload("Deployment", "replicas: 1, "), nil},
		{"none", workload("Deployment", ""), []string{"spec.replicas"}},
		{"an autoscaler", workload("Deployment", "") + scaler, nil},
		{"an autoscaler for a kind that is none", workload("Deployment", "") + strings.ReplaceAll(scaler, "apiVersion: apps/v1,", ""), []string{"spec.replicas"}},
		{"an autoscaler for another kind", workload("StatefulSet", "") + scaler, []string{"spec.replicas"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, upgrade := range []bool{true, false} {
				p, err := plan.New(t.Context(), plan.Input{
					Release: "web", Namespace: "bench", Upgrade: upgrade, Base: 1, Chart: chart.Metadata{Name: "web", Version: "1.2.3"}, Rendered: manifest.Manifest(test.manifest),
				})
				require.NoError(t, err)
				var got []string
				for _, f := range p.Check(Totals(Limits{Pods: 9})) {
					got = append(got, f.Path)
				}
				if upgrade {
					assert.Equal(t, test.want, got)
				} else {
					assert.Empty(t, got, "of an install")
				}
				assert.Empty(t, p.Check(Totals(Limits{})), "nothing is limited")
			}
		})
	}
}

func TestTotals(t *testing.T) {
	workload := func(kind, spec, requests string) string {
		return fmt.Sprintf("---\napiVersion: apps/v1\nkind: %s\nmetadata: {name: x}\nspec: {%s template: {spec: {containers: [{name: c, image: a, resources: {%s}}]}}}\n", kind, spec, requests)
	}
	job := func(spec string) string {
		return "---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: x}\nspec: {" + spec + ", template: {spec: {containers: [{name: c, image: a, resources: {requests: {cpu: 1}}}]}}}\n"
	}
	scaled := func(target string, most any) string {
		return fmt.Sprintf("---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: x}\nspec: {scaleTargetRef: {kind: Deployment, name: %s}, maxReplicas: %v}\n", target, most)
	}
	claim := "metadata: {name: d}, spec: {resources: {requests: {storage: 4Ti}}}"
	const at = "totals spec.template.spec = "
	for _, set := range []struct {
		limits Limits
		cases  []ruleCase
	}{
		{Limits{CPU: "4", Nodes: 3}, []ruleCase{
			{"as much as allowed", workload("Deployment", "replicas: 4,", "requests: {cpu: 1000m}"), nil},
			{"replicas", workload("Deployment", "replicas: 5,", "requests: {cpu: 1}"), []string{at + "5"}},
			{"a limit without a request", workload("Deployment", "replicas: 5,", "limits: {cpu: 1}"), []string{at + "5"}},
			{"a request counts and not the limit", workload("Deployment", "replicas: 5,", "requests: {cpu: 100m}, limits: {cpu: 100}"), nil},
			{"with an exponent", workload("Deployment", "", "requests: {cpu: 1e3}"), []string{at + "1000"}},
			{"as a text with an exponent", workload("Deployment", "", "requests: {cpu: '5e0'}"), []string{at + "5"}},
			{"thousandths", workload("Deployment", "", "requests: {cpu: 4001m}"), []string{at + "4.001"}},
			{"huge", workload("Deployment", "replicas: 2147483647,", "requests: {cpu: 9223372036854775807}"), []string{at + "19807040619342712359383728129"}},
			{"larger than any number", workload("Deployment", "replicas: 9223372036854775808,", "requests: {cpu: 1}"), []string{"totals spec.replicas = 9223372036854775808"}},
			{"negative", workload("Deployment", "", "requests: {cpu: -8}"), []string{"totals spec.template.spec.containers[0].resources.requests.cpu = -8"}},
			{"negative replicas", workload("Deployment", "replicas: -8,", "requests: {cpu: 1}"), []string{"totals spec.replicas = -8"}},
			{"no quantity", workload("Deployment", "", "requests: {cpu: lots}"), []string{"totals spec.template.spec.containers[0].resources.requests.cpu = lots"}},
			{"replicas as a text", workload("Deployment", "replicas: '9',", "requests: {cpu: 1}"), []string{"totals spec.replicas = 9"}},
			{"by node", workload("DaemonSet", "", "requests: {cpu: 2}"), []string{at + "6"}},
			{"several objects, the largest is named", podWith("containers: [{name: c, image: a, resources: {requests: {cpu: 2}}}]") + workload("Deployment", "", "requests: {cpu: 3}"), []string{at + "5"}},
			{"a hook", strings.ReplaceAll(workload("Deployment", "", "requests: {cpu: 5}"), "name: x", "name: x, annotations: {helm.sh/hook: test}"), []string{at + "5"}},
			{"an autoscaler", workload("Deployment", "", "requests: {cpu: 1}") + scaled("x", 9), []string{at + "9"}},
			{"an autoscaler within limits", workload("Deployment", "", "requests: {cpu: 1}") + scaled("x", 4), nil},
			{"an autoscaler of a custom resource", object("acme.io/v1", "A", "spec: {replicas: 2, pods: {size: 2, containers: [{name: c, image: a, resources: {requests: {cpu: 1}}}]}}") + strings.ReplaceAll(scaled("x", 9), "kind: Deployment", "apiVersion: acme.io/v1, kind: A"), []string{"totals spec.pods = 18"}},
			{"a job", job("parallelism: 9"), []string{at + "9"}},
			{"a job that ends", job("parallelism: 9, completions: 2"), nil},
			{"jobs that pile up", "apiVersion: batch/v1\nkind: CronJob\nspec: {jobTemplate: {spec: {template: {spec: {containers: [{name: c, image: a}]}}}}}\n", []string{"totals spec.concurrencyPolicy ="}},
			{"jobs one after the other", "apiVersion: batch/v1\nkind: CronJob\nspec: {concurrencyPolicy: Forbid, jobTemplate: {spec: {template: {spec: {containers: [{name: c, image: a}]}}}}}\n", nil},
			{"jobs that pile up while they end", "apiVersion: batch/v1\nkind: CronJob\nspec: {schedule: '@every 1s', concurrencyPolicy: Replace, jobTemplate: {spec: {template: {spec: {terminationGracePeriodSeconds: 3600, containers: [{name: c, image: a}]}}}}}\n", []string{"totals spec.concurrencyPolicy = Replace"}},
			{"a container before the others", podWith("initContainers: [{name: i, image: a, resources: {requests: {cpu: 4}}}], containers: [{name: c, image: a, resources: {requests: {cpu: 4}}}]"), nil},
			{"one that stays beside them", podWith("initContainers: [{name: i, image: a, restartPolicy: Always, resources: {requests: {cpu: 4}}}], containers: [{name: c, image: a, resources: {requests: {cpu: 4}}}]"), []string{"totals spec = 8"}},
			{"for the pod", podWith("resources: {requests: {cpu: 5}}, containers: [{name: c, image: a}]"), []string{"totals spec = 5"}},
			{"the overhead", podWith("overhead: {cpu: 2}, containers: [{name: c, image: a, resources: {requests: {cpu: 3}}}]"), []string{"totals spec = 5"}},
			{"a custom resource", object("acme.io/v1", "A", "spec: {groups: [{replicas: 3, pods: {size: 2, containers: [{name: c, image: a, resources: {requests: {cpu: 1}}}]}}]}"), []string{"totals spec.groups[0].pods = 6"}},
			{"a template that nothing uses", object("v1", "PodTemplate", "template: {spec: {containers: [{name: c, image: a, resources: {requests: {cpu: 9}}}]}}"), nil},
		}},
		{Limits{Memory: "1Gi"}, []ruleCase{
			{"as much as allowed", container("resources: {requests: {memory: 1024Mi}}"), nil},
			{"more", container("resources: {requests: {memory: 1073741825}}"), []string{"totals spec = 1073741825"}},
			{"huge pages", container("resources: {requests: {memory: 1Gi}, limits: {hugepages-2Mi: 2Mi}}"), []string{"totals spec = 1075838976"}},
		}},
		{Limits{Storage: "10Ti"}, []ruleCase{
			{"claims", object("v1", "PersistentVolumeClaim", "spec: {resources: {requests: {storage: 10Ti}}}"), nil},
			{"claims of a StatefulSet", workload("StatefulSet", "replicas: 3, volumeClaimTemplates: [{"+claim+"}],", ""), []string{"totals spec.volumeClaimTemplates[0].spec.resources.requests.storage = 13194139533312"}},
			{"claims of pods", strings.ReplaceAll(workload("Deployment", "replicas: 3,", ""), "spec: {containers", "spec: {volumes: [{name: v, ephemeral: {volumeClaimTemplate: {"+claim+"}}}], containers"), []string{"totals spec.template.spec.volumes[0].ephemeral.volumeClaimTemplate.spec.resources.requests.storage = 13194139533312"}},
			{"storage of containers", container("resources: {limits: {ephemeral-storage: 11Ti}}"), []string{"totals spec = 12094627905536"}},
			{"of a custom resource", object("acme.io/v1", "A", "spec: {replicas: 4, volume: {resources: {requests: {storage: 3Ti}}}}"), []string{"totals spec.volume.resources.requests.storage = 13194139533312"}},
		}},
		{Limits{Pods: 10}, []ruleCase{
			{"as many as allowed", workload("ReplicaSet", "replicas: 10,", ""), nil},
			{"more", workload("ReplicaSet", "replicas: 11,", ""), []string{at + "11"}},
		}},
		{Limits{GPUs: map[string]int64{"nvidia.com/gpu": 4, "gpu.nvidia.com": 2}}, []ruleCase{
			{"as many as allowed", workload("Deployment", "replicas: 2,", "limits: {nvidia.com/gpu: 2}"), nil},
			{"more", workload("Deployment", "replicas: 3,", "limits: {nvidia.com/gpu: 2}"), []string{at + "6"}},
			{"others", workload("Deployment", "", "limits: {amd.com/gpu: 1}"), []string{at + "1"}},
			{"claims", deviceClaim("exactly: {deviceClassName: gpu.nvidia.com, count: 1}", 2), nil},
			{"more claims", deviceClaim("exactly: {deviceClassName: gpu.nvidia.com, count: 1}", 3), []string{"totals spec.template.spec.resourceClaims = 3"}},
			{"all of a node", deviceClaim("exactly: {deviceClassName: gpu.nvidia.com, allocationMode: All}", 1), []string{"totals spec.template.spec.resourceClaims ="}},
			{"claims in two fields", deviceClaim("firstAvailable: [], exactly: {deviceClassName: gpu.nvidia.com, count: 3}", 1), []string{"totals spec.template.spec.resourceClaims = 3"}},
			{"a claim of two requests that pods share", strings.NewReplacer("ResourceClaimTemplate\n", "ResourceClaim\n", "spec: {spec: {devices", "spec: {devices", "}]}}}\n---", "}]}}\n---", "}]}}}\n\n---", "}]}}\n---", "resourceClaimTemplateName", "resourceClaimName").Replace(
				deviceClaim("exactly: {deviceClassName: gpu.nvidia.com, count: 1}}, {name: q, exactly: {deviceClassName: gpu.nvidia.com, count: 8}", 2)), []string{"totals spec.template.spec.resourceClaims = 9"}},
			{"claims of others", strings.ReplaceAll(deviceClaim("", 1), "resourceClaimTemplateName: x", "resourceClaimTemplateName: theirs"), []string{"totals spec.template.spec.resourceClaims ="}},
		}},
		{Limits{Pods: 10}, []ruleCase{ // without Nodes
			{"a pod", podWith(""), nil},
			{"a pod for each node, of how many nobody said", workload("DaemonSet", "", ""), []string{"totals kind = DaemonSet"}},
		}},
		{Limits{CPU: "lots"}, []ruleCase{
			{"nothing", object("v1", "ConfigMap", ""), nil},
			{"a limit that is none", container("resources: {requests: {cpu: 1}}"), []string{"totals spec ="}},
		}},
	} {
		checkRule(t, Totals(set.limits), set.cases)
	}
	require.Empty(t, planOf(t, workload("Deployment", "replicas: '9',", "requests: {cpu: lots}"), "").Check(Totals(Limits{})), "without a limit nothing is counted")
}

// deviceClaim is a workload whose pods claim devices.
func deviceClaim(request string, replicas int) string {
	return object("resource.k8s.io/v1", "ResourceClaimTemplate", "spec: {spec: {devices: {requests: [{name: r, "+request+"}]}}}") + fmt.Sprintf(
		"---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {replicas: %d, template: {spec: {resourceClaims: [{name: g, resourceClaimTemplateName: x}], containers: [{name: c, image: a, resources: {claims: [{name: g}]}}]}}}\n", replicas)
}
