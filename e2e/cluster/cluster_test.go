package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sut-bench/helmexec/e2e/internal/guarded"
)

// shared is one cluster for all tests that do not harm it.
var shared struct {
	sync.Once
	cluster *Cluster
	err     error
}

func TestMain(m *testing.M) {
	if os.Getenv(parentVariable) != "" {
		parent()
		return
	}
	ctx, _ := guarded.UntilInterrupted()
	context.AfterFunc(ctx, func() { os.Exit(1) }) // the clusters end with this program
	code := m.Run()
	if shared.cluster != nil {
		shared.cluster.Stop()
	}
	os.Exit(code)
}

func testCluster(t *testing.T) (context.Context, *Cluster) {
	t.Helper()
	ctx := testContext(t)
	shared.Do(func() { shared.cluster, shared.err = Start(context.Background(), Options{}) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return ctx, shared.cluster
}

// testContext skips the test where no cluster can be started.
func testContext(t *testing.T) context.Context {
	t.Helper()
	if err := Available(); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute) // ends what hangs
	t.Cleanup(cancel)
	return ctx
}

// newNamespace makes a namespace named after the test.
func newNamespace(ctx context.Context, t *testing.T, c *Cluster) string {
	t.Helper()
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))
	if err := c.CreateNamespace(ctx, name); err != nil {
		t.Fatal(err)
	}
	return name
}

func create(ctx context.Context, t *testing.T, c *Cluster, path, yaml string) {
	t.Helper()
	if err := c.Request(ctx, http.MethodPost, path, yaml, nil); err != nil {
		t.Fatal(err)
	}
}

// pod is what tests look at in a pod.
type pod struct {
	Metadata struct{ Name string }
	Spec     struct{ NodeName string }
	Status   struct {
		Phase             string
		Conditions        []struct{ Type, Status, Reason string }
		ContainerStatuses []struct {
			Ready bool
			State struct {
				Waiting    struct{ Reason, Message string }
				Terminated struct{ ExitCode int }
			}
		}
	}
}

func (p pod) condition(kind string) string {
	for _, condition := range p.Status.Conditions {
		if condition.Type == kind {
			return strings.TrimSuffix(condition.Status+" "+condition.Reason, " ")
		}
	}
	return ""
}

func (p pod) waiting() string {
	if len(p.Status.ContainerStatuses) == 0 {
		return ""
	}
	return p.Status.ContainerStatuses[0].State.Waiting.Reason
}

// awaitPod polls the first pod of a namespace until it is as wanted.
func awaitPod(ctx context.Context, t *testing.T, c *Cluster, namespace string, wanted func(pod) bool) pod {
	t.Helper()
	var found pod
	err := Eventually(ctx, func(ctx context.Context) error {
		var list struct{ Items []pod }
		if err := c.Request(ctx, http.MethodGet, "/api/v1/namespaces/"+namespace+"/pods", nil, &list); err != nil {
			return err
		}
		if len(list.Items) == 0 {
			return errors.New("no pod")
		}
		if found = list.Items[0]; !wanted(found) {
			return fmt.Errorf("pod is %+v", found)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

const podYAML = `
apiVersion: v1
kind: Pod
metadata: {name: one, labels: {%s}}
spec:
  restartPolicy: %s
  containers: [{name: main, image: %q, resources: {limits: {%s}}}]
`

func createPod(ctx context.Context, t *testing.T, c *Cluster, namespace, labels, restart, image, limits string) {
	t.Helper()
	create(ctx, t, c, "/api/v1/namespaces/"+namespace+"/pods", fmt.Sprintf(podYAML, labels, restart, image, limits))
}

func TestSideBySide(t *testing.T) {
	ctx, first := testCluster(t)
	second, err := Start(ctx, Options{Nodes: []Node{{Name: "odd", Resources: map[string]string{"example.com/chip": "3"}}}})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Stop()
	if err := second.CreateNamespace(ctx, "only-here"); err != nil {
		t.Fatal(err)
	}
	if err := first.Request(ctx, http.MethodGet, "/api/v1/namespaces/only-here", nil, nil); !IsNotFound(err) {
		t.Errorf("the first cluster has the namespace of the second: %v", err)
	}
	var node struct {
		Status struct{ Allocatable map[string]string }
	}
	if err := second.Request(ctx, http.MethodGet, "/api/v1/nodes/odd", nil, &node); err != nil {
		t.Fatal(err)
	}
	if got := node.Status.Allocatable["example.com/chip"]; got != "3" {
		t.Errorf("the node offers %q chips, want 3", got)
	}
	info, err := os.Stat(second.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		t.Errorf("kubeconfig has mode %o", mode)
	}
	second.Stop()
	if _, err := os.Stat(second.Dir); !os.IsNotExist(err) {
		t.Errorf("the folder is still there: %v", err)
	}
}

func TestObjects(t *testing.T) {
	ctx, c := testCluster(t)
	namespace := newNamespace(ctx, t, c)
	objects := func() (free, controlled []string) {
		all, err := c.Objects(ctx, namespace)
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range all {
			if object.Controlled {
				controlled = append(controlled, object.Kind)
			} else {
				free = append(free, object.String())
			}
		}
		return free, controlled
	}
	if free, controlled := objects(); len(free)+len(controlled) != 0 {
		t.Errorf("a new namespace has %q %q", free, controlled)
	}
	create(ctx, t, c, "/apis/apps/v1/namespaces/"+namespace+"/deployments", deploymentYAML)
	create(ctx, t, c, "/api/v1/namespaces/"+namespace+"/services", `
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
`)
	awaitPod(ctx, t, c, namespace, func(p pod) bool { return p.condition("Ready") == "True" })
	free, controlled := objects()
	if want := []string{"apps/v1 Deployment testobjects/web", "v1 Service testobjects/web"}; !slices.Equal(free, want) {
		t.Errorf("got %q, want %q", free, want)
	}
	if want := []string{"ReplicaSet", "Pod"}; !slices.Equal(controlled, want) {
		t.Errorf("controlled: got %q, want %q", controlled, want)
	}
	everywhere, err := c.Objects(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(everywhere, func(o Object) bool { return o.String() == "v1 Namespace testobjects" }) {
		t.Errorf("the namespace is not among %v", everywhere)
	}
	if err := c.DeleteNamespace(ctx, namespace); err != nil {
		t.Fatal(err)
	}
	if free, controlled := objects(); len(free)+len(controlled) != 0 {
		t.Errorf("a deleted namespace has %q %q", free, controlled)
	}
}

// TestRestore: whatever hinders the removal of an object.
func TestRestore(t *testing.T) {
	ctx, c := testCluster(t)
	namespace := newNamespace(ctx, t, c)
	before, err := c.Everything(ctx)
	if err != nil {
		t.Fatal(err)
	}
	create(ctx, t, c, "/api/v1/namespaces", `
apiVersion: v1
kind: Namespace
metadata: {name: restored, finalizers: [example.com/never]}
`)
	for _, in := range []string{"restored", namespace} {
		create(ctx, t, c, "/api/v1/namespaces/"+in+"/configmaps", `
apiVersion: v1
kind: ConfigMap
metadata: {name: stuck, finalizers: [example.com/never]}
`)
	}
	create(ctx, t, c, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.com}
spec:
  group: example.com
  scope: Cluster
  names: {plural: things, kind: Thing}
  versions:
    - {name: v2, served: true, storage: false, schema: {openAPIV3Schema: {type: object}}}
    - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}
  conversion:
    strategy: Webhook
    webhook:
      conversionReviewVersions: [v1]
      clientConfig: {service: {name: nobody, namespace: default}}
`)
	err = Eventually(ctx, func(ctx context.Context) error {
		return c.Request(ctx, http.MethodPost, "/apis/example.com/v1/things", `
apiVersion: example.com/v1
kind: Thing
metadata: {name: stuck, finalizers: [example.com/never]}
`, nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	create(ctx, t, c, "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: refuses}
webhooks:
  - name: nobody.example.com
    failurePolicy: Fail
    sideEffects: None
    admissionReviewVersions: [v1]
    clientConfig: {service: {name: nobody, namespace: default}}
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: `+namespace+`}}
    rules: [{apiGroups: [""], apiVersions: [v1], resources: [configmaps], operations: [DELETE]}]
`)
	// The custom resource is visible when discovery has its kind.
	err = Eventually(ctx, func(ctx context.Context) error {
		all, err := c.Objects(ctx)
		if err == nil && !slices.ContainsFunc(all, func(o Object) bool { return o.String() == "example.com/v1 Thing stuck" }) {
			err = fmt.Errorf("the custom resource is not among %v", all)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Restore(ctx, before); err != nil {
		t.Fatal(err)
	}
	after, err := c.Everything(ctx)
	if err != nil {
		t.Fatal(err)
	}
	had := uids(before)
	for _, o := range after {
		if !had[o.UID] && !o.OfCluster() {
			t.Errorf("%s is left", o)
		}
		delete(had, o.UID)
	}
	for _, o := range before {
		if had[o.UID] && !o.OfCluster() {
			t.Errorf("%s is gone", o)
		}
	}
}

// TestWatch: what was there, what comes and goes, and the end.
func TestWatch(t *testing.T) {
	ctx, c := testCluster(t)
	namespace := newNamespace(ctx, t, c)
	createPod(ctx, t, c, namespace, "", "Always", "nginx", "")
	watching, stop := context.WithCancel(ctx)
	defer stop()
	kinds, ended := make(chan string, 100), make(chan error, 1)
	path := "/api/v1/namespaces/" + namespace + "/pods"
	err := c.Watch(watching, path, func(kind string, object json.RawMessage) { kinds <- kind }, func(err error) { ended <- err })
	if err != nil {
		t.Fatal(err)
	}
	await := func(want string) {
		t.Helper()
		for {
			select {
			case kind := <-kinds:
				if kind == want {
					return
				}
			case <-ctx.Done():
				t.Fatalf("no event %s", want)
			}
		}
	}
	await("ADDED")
	if err := c.Request(ctx, http.MethodDelete, path+"/one", nil, nil); err != nil {
		t.Fatal(err)
	}
	await("DELETED")
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the watch ended with %v", err)
	}
	if err := c.Watch(ctx, "/api/v1/nothing", nil, nil); !IsNotFound(err) {
		t.Errorf("a watch of nothing: %v", err)
	}
}

func TestAPIServerRestart(t *testing.T) {
	ctx, c := testCluster(t)
	namespace := newNamespace(ctx, t, c)
	c.StopAPIServer()
	if err := c.Request(ctx, http.MethodGet, "/readyz", nil, nil); err == nil {
		t.Error("the apiserver still answers")
	}
	if err := c.StartAPIServer(ctx); err != nil {
		t.Fatal(err)
	}
	create(ctx, t, c, "/apis/apps/v1/namespaces/"+namespace+"/deployments", deploymentYAML)
	awaitPod(ctx, t, c, namespace, func(p pod) bool { return p.condition("Ready") == "True" })
}

const deploymentYAML = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main, image: nginx}]}
`
