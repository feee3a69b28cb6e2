package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestPods(t *testing.T) {
	tests := map[string]struct {
		labels, restart, image, limits string
		want                           func(pod) bool
	}{
		"ready":      {want: func(p pod) bool { return p.condition("Ready") == "True" && p.Status.Phase == "Running" }},
		"gpus":       {limits: `nvidia.com/gpu: 8`, want: func(p pod) bool { return p.Spec.NodeName == "node-gpu" && p.condition("Ready") == "True" }},
		"no-gpus":    {limits: `nvidia.com/gpu: 9`, want: func(p pod) bool { return p.condition("PodScheduled") == "False Unschedulable" }},
		"image":      {image: "registry.test/nosuchimage:1", want: func(p pod) bool { return p.waiting() == "ImagePullBackOff" && p.Status.Phase == "Pending" }},
		"image-pull": {labels: LabelFault + ": " + FaultImagePull, want: func(p pod) bool { return p.waiting() == "ImagePullBackOff" }},
		"crash-loop": {labels: LabelFault + ": " + FaultCrashLoop, want: func(p pod) bool { return p.waiting() == "CrashLoopBackOff" }},
		"not-ready": {labels: LabelFault + ": " + FaultNotReady, want: func(p pod) bool {
			return p.Status.Phase == "Running" && p.condition("Ready") == "False ContainersNotReady"
		}},
		"succeeded":    {restart: "Never", want: func(p pod) bool { return p.Status.Phase == "Succeeded" }},
		"failed":       {restart: "Never", labels: LabelFault + ": " + FaultFail, want: func(p pod) bool { return p.Status.Phase == "Failed" }},
		"never-finish": {restart: "Never", labels: LabelFault + ": " + FaultNeverFinish, want: func(p pod) bool { return p.condition("Ready") == "True" }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, c := testCluster(t)
			namespace := newNamespace(ctx, t, c)
			if test.restart == "" {
				test.restart = "Always"
			}
			if test.image == "" {
				test.image = "nginx"
			}
			createPod(ctx, t, c, namespace, test.labels, test.restart, test.image, test.limits)
			awaitPod(ctx, t, c, namespace, test.want)
		})
	}
}

// The kubelet tries an image twice, and says so each time.
func TestFailedPulls(t *testing.T) {
	for name, test := range map[string]struct{ labels, image string }{
		"label": {LabelFault + ": " + FaultImagePull, "nginx"},
		"image": {"", "registry.test/nosuchimage:1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, c := testCluster(t)
			namespace := newNamespace(ctx, t, c)
			createPod(ctx, t, c, namespace, test.labels, "Always", test.image, "")
			err := Eventually(ctx, func(ctx context.Context) error {
				var events struct {
					Items []struct {
						Type, Message string
						Count         int
					}
				}
				if err := c.Request(ctx, http.MethodGet, "/api/v1/namespaces/"+namespace+"/events", nil, &events); err != nil {
					return err
				}
				pulls := 0
				for _, e := range events.Items {
					if e.Type == "Warning" && strings.HasPrefix(e.Message, "Failed to pull image") {
						pulls += e.Count
					}
				}
				if pulls != 2 {
					return fmt.Errorf("%d failed pulls in %+v", pulls, events)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			awaitPod(ctx, t, c, namespace, func(p pod) bool { return p.waiting() == "ImagePullBackOff" && p.Status.Phase == "Pending" })
		})
	}
}

func TestDelays(t *testing.T) {
	ready := func(p pod) bool { return p.condition("Ready") == "True" }
	succeeded := func(p pod) bool { return p.Status.Phase == "Succeeded" }
	tests := map[string]struct {
		label, restart string
		want           func(pod) bool
	}{
		"ready":  {label: LabelReadyAfter, restart: "Always", want: ready},
		"finish": {label: LabelFinishAfter, restart: "Never", want: succeeded},
		"gone":   {label: LabelGoneAfter, restart: "Always", want: ready},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, c := testCluster(t)
			namespace := newNamespace(ctx, t, c)
			begin := time.Now()
			createPod(ctx, t, c, namespace, test.label+": 1s", test.restart, "nginx", "")
			awaitPod(ctx, t, c, namespace, test.want)
			if name == "gone" {
				begin = time.Now()
				removePod(ctx, t, c, namespace)
			}
			if took := time.Since(begin); took < time.Second {
				t.Errorf("it took %s, want 1s", took)
			}
		})
	}
}

func removePod(ctx context.Context, t *testing.T, c *Cluster, namespace string) {
	t.Helper()
	path := "/api/v1/namespaces/" + namespace + "/pods/one"
	if err := c.Request(ctx, http.MethodDelete, path, nil, nil); err != nil {
		t.Fatal(err)
	}
	err := Eventually(ctx, func(ctx context.Context) error {
		err := c.Request(ctx, http.MethodGet, path, nil, nil)
		if err == nil {
			return errors.New("the pod is still there")
		}
		return ignoreNotFound(err)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestJobs(t *testing.T) {
	for want, fault := range map[string]string{"Complete": "", "Failed": FaultFail} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			ctx, c := testCluster(t)
			namespace := newNamespace(ctx, t, c)
			create(ctx, t, c, "/apis/batch/v1/namespaces/"+namespace+"/jobs", fmt.Sprintf(`
apiVersion: batch/v1
kind: Job
metadata: {name: one}
spec:
  backoffLimit: 0
  template:
    metadata: {labels: {%s: %q}}
    spec: {restartPolicy: Never, containers: [{name: main, image: busybox}]}
`, LabelFault, fault))
			err := Eventually(ctx, func(ctx context.Context) error {
				var job struct {
					Status struct {
						Conditions []struct{ Type, Status string }
					}
				}
				if err := c.Request(ctx, http.MethodGet, "/apis/batch/v1/namespaces/"+namespace+"/jobs/one", nil, &job); err != nil {
					return err
				}
				for _, condition := range job.Status.Conditions {
					if condition.Type == want && condition.Status == "True" {
						return nil
					}
				}
				return fmt.Errorf("job is %+v", job)
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestClaims(t *testing.T) {
	ctx, c := testCluster(t)
	namespace := newNamespace(ctx, t, c)
	create(ctx, t, c, "/apis/apps/v1/namespaces/"+namespace+"/statefulsets", `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: main, image: postgres, volumeMounts: [{name: data, mountPath: /data}]}]}
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
`)
	awaitPod(ctx, t, c, namespace, func(p pod) bool { return p.condition("Ready") == "True" })
	if err := c.DeleteNamespace(ctx, namespace); err != nil {
		t.Fatal(err)
	}
	err := Eventually(ctx, func(ctx context.Context) error {
		objects, err := c.Objects(ctx)
		if err != nil {
			return err
		}
		for _, object := range objects {
			if object.Kind == "PersistentVolume" {
				return fmt.Errorf("%s is still there", object)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
