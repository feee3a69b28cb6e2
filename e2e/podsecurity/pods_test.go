package podsecurity

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// fixtures reads the pods that come with Pod Security admission: those of every version of the standard, each once. The
// policy of today judges them all.
func fixtures(t *testing.T) []core.Pod {
	t.Helper()
	folder, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/pod-security-admission").Output()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(folder)), "test", "testdata", "*", "*", "*", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no fixtures in %s: %v", folder, err)
	}
	slices.Sort(files)
	var pods []core.Pod
	seen := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var pod core.Pod
		if err := yaml.Unmarshal(text, &pod); err != nil {
			t.Fatal(err)
		}
		pod.Name = ""
		if key := textOf(t, pod); !seen[key] {
			seen[key] = true
			pods = append(pods, pod)
		}
	}
	return pods
}

// mutants are pods that mix the parts of two or three fixtures at random, also in ephemeral containers.
func mutants(from []core.Pod, count int, rng *rand.Rand) []core.Pod {
	pods := make([]core.Pod, count)
	for i := range pods {
		pod := from[rng.IntN(len(from))].DeepCopy()
		for range 1 + rng.IntN(2) {
			graft(pod, from[rng.IntN(len(from))].DeepCopy(), rng)
		}
		pods[i] = *pod
	}
	return pods
}

func graft(pod, other *core.Pod, rng *rand.Rand) {
	container := func(of *core.Pod) *core.Container {
		all := &of.Spec.Containers
		if len(of.Spec.InitContainers) > 0 && rng.IntN(2) == 0 {
			all = &of.Spec.InitContainers
		}
		return &(*all)[rng.IntN(len(*all))]
	}
	switch rng.IntN(7) {
	case 0:
		pod.Spec.SecurityContext = other.Spec.SecurityContext
	case 1:
		container(pod).SecurityContext = container(other).SecurityContext
	case 2:
		into, from := container(pod), container(other)
		into.Ports, into.LivenessProbe, into.Lifecycle = from.Ports, from.LivenessProbe, from.Lifecycle
	case 3:
		pod.Spec.Volumes = other.Spec.Volumes
	case 4:
		pod.Spec.HostNetwork, pod.Spec.HostPID, pod.Spec.HostIPC = other.Spec.HostNetwork, other.Spec.HostPID, other.Spec.HostIPC
		pod.Spec.OS = other.Spec.OS
	case 5:
		pod.Annotations = other.Annotations
	case 6:
		c := container(other)
		pod.Spec.EphemeralContainers = append(pod.Spec.EphemeralContainers, core.EphemeralContainer{EphemeralContainerCommon: core.EphemeralContainerCommon{
			Name: fmt.Sprintf("debug%d", len(pod.Spec.EphemeralContainers)), Image: c.Image, SecurityContext: c.SecurityContext,
		}})
	}
}

func textOf(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// kinds are what a pod template is in: each takes the JSON of one.
var kinds = []struct{ path, object string }{
	{"/api/v1/namespaces/%s/podtemplates", `{"apiVersion":"v1","kind":"PodTemplate","metadata":{"name":"a"},"template":%s}`},
	{"/api/v1/namespaces/%s/replicationcontrollers", `{"apiVersion":"v1","kind":"ReplicationController","metadata":{"name":"a"},"spec":{"selector":{"a":"b"},"template":%s}}`},
	{"/apis/apps/v1/namespaces/%s/replicasets", `{"apiVersion":"apps/v1","kind":"ReplicaSet","metadata":{"name":"a"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":%s}}`},
	{"/apis/apps/v1/namespaces/%s/deployments", `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":%s}}`},
	{"/apis/apps/v1/namespaces/%s/daemonsets", `{"apiVersion":"apps/v1","kind":"DaemonSet","metadata":{"name":"a"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":%s}}`},
	{"/apis/apps/v1/namespaces/%s/statefulsets", `{"apiVersion":"apps/v1","kind":"StatefulSet","metadata":{"name":"a"},"spec":{"serviceName":"a","selector":{"matchLabels":{"a":"b"}},"template":%s}}`},
	{"/apis/batch/v1/namespaces/%s/jobs", `{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"a"},"spec":{"template":%s}}`},
	{"/apis/batch/v1/namespaces/%s/cronjobs", `{"apiVersion":"batch/v1","kind":"CronJob","metadata":{"name":"a"},"spec":{"schedule":"* * * * *","jobTemplate":{"spec":{"template":%s}}}}`},
}

// template is the JSON of a pod's template, which the kind at an index takes.
func template(t *testing.T, pod core.Pod, kind int) string {
	t.Helper()
	template := core.PodTemplateSpec{ObjectMeta: pod.ObjectMeta, Spec: pod.Spec}
	template.Name, template.Labels = "", map[string]string{"a": "b"}
	if strings.Contains(kinds[kind].path, "batch") {
		template.Spec.RestartPolicy = core.RestartPolicyNever
	}
	return fmt.Sprintf(kinds[kind].object, textOf(t, template))
}

// podText is the JSON of a pod.
func podText(t *testing.T, pod core.Pod, name string) string {
	t.Helper()
	pod.APIVersion, pod.Kind, pod.Name = "v1", "Pod", name
	return textOf(t, pod)
}
