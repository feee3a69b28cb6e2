package k8s

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/sut-bench/helmexec/e2e/cluster"
)

// rule is one of a Role.
type rule struct {
	APIGroups []string `json:"apiGroups"`
	Resources []string `json:"resources"`
	Verbs     []string `json:"verbs"`
}

// role is that of rights.yaml, and its binding.
func role(t *testing.T) (rules []rule) {
	for _, text := range objects("rights.yaml") {
		var object struct {
			Kind  string
			Rules []rule
		}
		if err := yaml.Unmarshal(text, &object); err != nil {
			t.Fatal(err)
		}
		if object.Kind == "Role" {
			rules = append(rules, object.Rules...)
		}
	}
	if len(rules) == 0 {
		t.Fatal("there is no Role in rights.yaml")
	}
	return rules
}

// rights are the rules of one verb for one resource each.
func rights(rules []rule) (all []rule) {
	for _, r := range rules {
		for _, group := range r.APIGroups {
			for _, resource := range r.Resources {
				for _, verb := range r.Verbs {
					all = append(all, rule{[]string{group}, []string{resource}, []string{verb}})
				}
			}
		}
	}
	return all
}

func (r rule) String() string {
	return r.Verbs[0] + " " + strings.TrimSuffix(r.Resources[0]+"."+r.APIGroups[0], ".")
}

// allow makes a namespace in which the runner has some rights.
func (w *world) allow(t *testing.T, namespace string, rules []rule) {
	t.Helper()
	path := "/apis/rbac.authorization.k8s.io/v1/namespaces/" + namespace
	name := map[string]any{"name": "runner"}
	for _, err := range []error{
		w.cluster.CreateNamespace(w.ctx, namespace),
		w.cluster.Request(w.ctx, http.MethodPost, path+"/roles", map[string]any{"metadata": name, "rules": rules}, nil),
		w.cluster.Request(w.ctx, http.MethodPost, path+"/rolebindings", map[string]any{
			"metadata": name,
			"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "runner"},
			"subjects": []any{map[string]any{"kind": "ServiceAccount", "namespace": "fleet", "name": "runner"}},
		}, nil),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// wholeJob runs a job of a SUT that gets ready, and of one that does not if that is asked for. It says why it did not work: the
// first is not installed, measured and removed, or of the second it is not told what the events say.
func (w *world) wholeJob(t *testing.T, helm, namespace string, bad bool) error {
	t.Helper()
	jobs := filepath.Join(t.TempDir(), "jobs.yaml")
	text := fmt.Sprintf("namespace: %s\ntimeout: 30s\nfailFast: true\ntrusted: true\nsuts:\n- {name: good, chart: %s}\n", namespace, absolute(t, every))
	if bad {
		text += fmt.Sprintf("- {name: bad, chart: %s, values: {fault: %s}}\n", absolute(t, sut), cluster.FaultImagePull)
	}
	if err := os.WriteFile(jobs, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stdout, stderr := w.helmexec(t, helm, w.runner, "job", "run", jobs, "--job", "j", "--home", filepath.Join(w.dir, helm), "-o", "json")
	var result struct {
		SUTs []struct {
			Name, State string
			Error       struct{ Kind, Message string }
		}
	}
	if err := json.Unmarshal([]byte(stdout), &result); err != nil {
		t.Fatalf("%v: %s%s", err, stdout, stderr)
	}
	for _, s := range result.SUTs {
		why := fmt.Errorf("%s is %s: %s %s", s.Name, s.State, s.Error.Kind, s.Error.Message)
		if s.Name == "good" && s.State != "done" || s.Name == "bad" && !strings.Contains(s.Error.Message, "Failed to pull image") {
			return why
		}
	}
	return nil
}

const runner = "system:serviceaccount:fleet:runner"

// used are the rights that the runner made use of in a namespace, and denied is what else it asked for there.
func (w *world) used(t *testing.T, namespace string) (used, denied []string) {
	t.Helper()
	requests, err := w.cluster.Requests()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range requests {
		switch asked := r.Verb + " " + r.Resource; {
		case r.User != runner || r.Namespace != namespace:
		case r.Code == http.StatusForbidden:
			denied = append(denied, asked)
		default:
			used = append(used, asked)
		}
	}
	slices.Sort(used)
	slices.Sort(denied)
	return slices.Compact(used), slices.Compact(denied)
}

// With the rights of rights.yaml a whole job works, and it makes use of each.
func TestRightsAreEnough(t *testing.T) {
	w := withCluster(t)
	all := rights(role(t))
	var asked []string
	for _, helm := range []string{"helm3", "helm4"} {
		w.allow(t, helm+"-all", all)
		if err := w.wholeJob(t, helm, helm+"-all", true); err != nil {
			t.Error(err)
		}
		used, denied := w.used(t, helm+"-all")
		if want := []string{"get namespaces"}; !slices.Equal(denied, want) { // helm asks for its namespace, and can do without
			t.Errorf("%s was denied %q, want %q", helm, denied, want)
		}
		asked = append(asked, used...)
	}
	for _, right := range all {
		if !slices.Contains(asked, right.String()) {
			t.Errorf("nobody asks to %s", right)
		}
	}
}

// Without any of them it does not work, on Helm 3 or on Helm 4.
func TestRightsAreNeeded(t *testing.T) {
	w := withCluster(t)
	all := rights(role(t))
	for i, right := range all {
		t.Run(right.String(), func(t *testing.T) {
			t.Parallel()
			less := slices.Delete(slices.Clone(all), i, i+1)
			for _, helm := range []string{"helm4", "helm3"} {
				namespace := fmt.Sprintf("%s-without-%d", helm, i)
				w.allow(t, namespace, less)
				err := w.wholeJob(t, helm, namespace, right.Resources[0] == "events")
				if err == nil {
					continue
				}
				t.Logf("%s: %s", helm, inLine(err.Error()))
				if _, denied := w.used(t, namespace); !slices.ContainsFunc(denied, func(asked string) bool { return asked != "get namespaces" }) {
					t.Error("it failed for another reason")
				}
				return
			}
			t.Error("it works without")
		})
	}
}
