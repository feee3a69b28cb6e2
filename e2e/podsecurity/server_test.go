package podsecurity

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"

	"github.com/sut-bench/helmexec/e2e/cluster"
	"github.com/sut-bench/helmexec/e2e/internal/guarded"
	"github.com/sut-bench/helmexec/internal/tools"
	"github.com/sut-bench/helmexec/manifest"
)

// bench is the cluster of all tests here; nil if there is none.
var (
	bench       *cluster.Cluster
	interrupted context.Context
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	ctx, stop := guarded.UntilInterrupted()
	defer stop()
	interrupted = ctx
	var err error
	bench, err = cluster.Start(ctx, cluster.Options{})
	switch {
	case errors.Is(err, tools.ErrNotBuilt):
		fmt.Fprintln(os.Stderr, "tests with an API server are skipped:", err)
	case err != nil:
		fmt.Fprintln(os.Stderr, "the API server cannot start:", err)
		return 1
	default:
		defer bench.Stop()
	}
	return m.Run()
}

// namespace makes a namespace with labels of Pod Security admission.
func namespace(t *testing.T, name string, labels map[string]string) string {
	t.Helper()
	if bench == nil {
		t.Skip("no cluster: see the first line")
	}
	if err := bench.CreateNamespace(interrupted, name); err != nil {
		t.Fatal(err)
	}
	patch := map[string]any{"metadata": map[string]any{"labels": labels}}
	if err := bench.Request(interrupted, http.MethodPatch, "/api/v1/namespaces/"+name, patch, nil); err != nil {
		t.Fatal(err)
	}
	return name
}

// tally counts verdicts, and the objects that the server refuses for other reasons before it comes to admission.
type tally struct{ admitted, refused, invalid int }

// put creates an object for a trial and gives the answer: its warnings, and what admission refuses.
func put(t *testing.T, method, path, object string) (header http.Header, violates, invalid bool) {
	t.Helper()
	err := bench.Request(interrupted, method, path+"?dryRun=All", object, &header)
	var refusal *cluster.APIError
	switch {
	case err == nil:
	case errors.As(err, &refusal) && refusal.Code == http.StatusForbidden && strings.Contains(refusal.Message, "violates PodSecurity"):
		violates = true
	case errors.As(err, &refusal) && refusal.Code == http.StatusUnprocessableEntity:
		invalid = true
	default:
		t.Fatal(err)
	}
	return header, violates, invalid
}

// judge compares a verdict of the server with that of the rule.
func (c *tally) judge(t *testing.T, level api.Level, object string, violates, invalid bool) {
	t.Helper()
	switch {
	case invalid:
		c.invalid++
		return
	case violates:
		c.refused++
	default:
		c.admitted++
	}
	if got := refused(t, levels[level], object); violates != (len(got) > 0) {
		t.Errorf("%s: the server refuses: %v; policy refuses %q:\n%s", level, violates, got, object)
	}
}

// enough checks that a number of objects were judged, both ways.
func (c *tally) enough(t *testing.T, want int) {
	t.Helper()
	if judged := c.admitted + c.refused; judged < want || c.admitted == 0 || c.refused == 0 {
		t.Errorf("%d objects were judged, want %d, both ways", judged, want)
	}
	t.Logf("admitted %d, refused %d, invalid for other reasons %d", c.admitted, c.refused, c.invalid)
}

// TestServerPods: pods are admitted and refused where the namespace enforces the level.
func TestServerPods(t *testing.T) {
	for level := range levels {
		t.Run(string(level), func(t *testing.T) {
			name := namespace(t, "pods-"+string(level), map[string]string{api.EnforceLevelLabel: string(level)})
			var c tally
			for i, pod := range fixtures(t) {
				object := podText(t, pod, fmt.Sprintf("p%d", i))
				_, violates, invalid := put(t, http.MethodPost, "/api/v1/namespaces/"+name+"/pods", object)
				c.judge(t, level, object, violates, invalid)
			}
			c.enough(t, 100)
		})
	}
}

// TestServerWorkloads: the server warns of workloads whose pods it would refuse.
func TestServerWorkloads(t *testing.T) {
	for level := range levels {
		t.Run(string(level), func(t *testing.T) {
			name := namespace(t, "workloads-"+string(level), map[string]string{api.WarnLevelLabel: string(level)})
			var c tally
			for i, pod := range fixtures(t) {
				kind := i % len(kinds)
				object := template(t, pod, kind)
				header, _, invalid := put(t, http.MethodPost, fmt.Sprintf(kinds[kind].path, name), object)
				violates := strings.Contains(strings.Join(header.Values("Warning"), " "), "would violate PodSecurity")
				c.judge(t, level, object, violates, invalid)
			}
			c.enough(t, 100)
		})
	}
}

// TestServerEphemeralContainers: they come to a pod that runs, through a resource of their own.
func TestServerEphemeralContainers(t *testing.T) {
	for level := range levels {
		t.Run(string(level), func(t *testing.T) {
			name := namespace(t, "ephemeral-"+string(level), map[string]string{api.EnforceLevelLabel: string(level)})
			path := "/api/v1/namespaces/" + name + "/pods"
			pods := fixtures(t)
			for _, pod := range pods {
				_, violates, invalid := put(t, http.MethodPost, path, podText(t, pod, "target"))
				if pod.Spec.OS != nil || violates || invalid || len(refused(t, levels[api.LevelRestricted], podText(t, pod, "target"))) > 0 {
					continue
				}
				if err := bench.Request(interrupted, http.MethodPost, path, podText(t, pod, "target"), nil); err != nil {
					t.Fatal(err)
				}
				break
			}
			var target core.Pod
			if err := bench.Request(interrupted, http.MethodGet, path+"/target", nil, &target); err != nil {
				t.Fatal(err)
			}
			var c tally
			for _, pod := range pods {
				debugged := target.DeepCopy()
				debugged.ResourceVersion = "" // kubelets change the pod meanwhile
				debugged.Spec.EphemeralContainers = []core.EphemeralContainer{{EphemeralContainerCommon: core.EphemeralContainerCommon{
					Name: "debug", Image: "debug", SecurityContext: pod.Spec.Containers[0].SecurityContext, TerminationMessagePolicy: core.TerminationMessageReadFile,
				}}}
				object := podText(t, *debugged, "target")
				_, violates, invalid := put(t, http.MethodPut, path+"/target/ephemeralcontainers", object)
				c.judge(t, level, object, violates, invalid)
			}
			c.enough(t, 100)
		})
	}
}

// TestServerScopes: package manifest knows the scope of every kind that the server serves.
func TestServerScopes(t *testing.T) {
	if bench == nil {
		t.Skip("no cluster: see the first line")
	}
	var groups struct {
		Groups []struct {
			Versions []struct{ GroupVersion string }
		}
	}
	if err := bench.Request(interrupted, http.MethodGet, "/apis", nil, &groups); err != nil {
		t.Fatal(err)
	}
	paths := map[string]string{"/api/v1": ""}
	for _, group := range groups.Groups {
		for _, version := range group.Versions {
			paths["/apis/"+version.GroupVersion], _ = manifest.SplitAPIVersion(version.GroupVersion)
		}
	}
	count := 0
	for path, group := range paths {
		var list struct {
			Resources []struct {
				Name, Kind string
				Namespaced bool
			}
		}
		if err := bench.Request(interrupted, http.MethodGet, path, nil, &list); err != nil {
			t.Fatal(err)
		}
		for _, resource := range list.Resources {
			if strings.Contains(resource.Name, "/") {
				continue
			}
			count++
			want := manifest.ClusterScope
			if resource.Namespaced {
				want = manifest.NamespaceScope
			}
			if got := (manifest.ObjectRef{Group: group, Kind: resource.Kind}).Scope(); got != want {
				t.Errorf("%s/%s: scope %d, want %d", group, resource.Kind, got, want)
			}
		}
	}
	if count < 50 {
		t.Errorf("the server serves %d kinds", count)
	}
}
