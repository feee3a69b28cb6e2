package chaos

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sut-bench/helmexec/e2e/cluster"
)

// oddChart gives a run its own chart: that of all runs with some unusual objects. Files in crds are
// not templates, so each run needs a file with different names.
//
//   - crds/: a definition with a custom resource of a namespace
//   - charts/parts/crds/: one with a custom resource of the whole cluster
//   - a ConfigMap, a ClusterRole and the custom resources with any helm.sh/resource-policy, or none
//   - the namespace is made by CreateNamespace
func oddChart(r *run) error {
	r.createNamespace = r.rng.IntN(2) == 0
	if r.createNamespace {
		r.stay("Namespace /" + r.namespace)
	}
	files := map[string]string{}
	template := "templates/odd.yaml"
	group := r.namespace + ".example"
	if r.rng.IntN(2) == 0 {
		files["crds/gadgets.yaml"] = definition(r.namespace, group, "gadgets", "Gadget", "Namespaced")
		r.stay("CustomResourceDefinition /gadgets." + group)
		files[template] += r.object(group+"/v1", "Gadget", "", "")
	}
	if r.rng.IntN(2) == 0 {
		files["charts/parts/Chart.yaml"] = "apiVersion: v2\nname: parts\nversion: 1.0.0\n"
		files["charts/parts/crds/realms.yaml"] = definition(r.namespace, group, "realms", "Realm", "Cluster")
		r.stay("CustomResourceDefinition /realms." + group)
		files[template] += r.object(group+"/v1", "Realm", "/", "")
	}
	files[template] += r.object("v1", "ConfigMap", "", "-odd")
	files[template] += r.object("rbac.authorization.k8s.io/v1", "ClusterRole", "/", "")
	slices.Sort(r.want)
	slices.Sort(r.stays)

	r.chart = filepath.Join(r.dir, "charts", r.namespace)
	if err := os.RemoveAll(r.chart); err != nil {
		return err
	}
	if err := os.CopyFS(r.chart, os.DirFS(sutChart)); err != nil {
		return err
	}
	for name, text := range files {
		path := filepath.Join(r.chart, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// stay notes an object of the release that stays when the release is removed.
func (r *run) stay(name string) { r.want, r.stays = append(r.want, name), append(r.stays, name) }

// object writes an object with the release's name, with or without a policy. Helm leaves an object
// with any policy.
func (r *run) object(apiVersion, kind, scope, suffix string) string {
	policy, annotation := []string{"", "keep", "delete", "retain", `""`}[r.rng.IntN(5)], ""
	if name := kind + " " + scope + r.release + suffix; policy == "" {
		r.want = append(r.want, name)
	} else {
		r.stay(name)
		annotation = "helm.sh/resource-policy: " + policy
	}
	return fmt.Sprintf(`---
apiVersion: %s
kind: %s
metadata:
  name: %s%s
  labels: {%s: %s}
  annotations: {%s}
`, apiVersion, kind, r.release, suffix, runLabel, r.namespace, annotation)
}

func definition(run, group, plural, kind, scope string) string {
	return fmt.Sprintf(`apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: %s.%s
  labels: {%s: %s}
spec:
  group: %s
  scope: %s
  names: {plural: %s, kind: %s}
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}
`, plural, group, runLabel, run, group, scope, plural, kind)
}

// endlessHook gives a run a hook that never ends, with any policy that may apply to it, and helm a
// short time.
func endlessHook(r *run) error {
	event := []string{"pre-install", "post-install", "pre-delete", "post-delete"}[r.rng.IntN(4)]
	policy := []string{"before-hook-creation", "hook-succeeded", "hook-failed", "before-hook-creation,hook-failed"}[r.rng.IntN(4)]
	r.values["hook"] = map[string]any{"event": event, "policy": policy, "fault": cluster.FaultNeverFinish}
	r.timeout = 5 * time.Second
	if r.rng.IntN(2) == 0 {
		r.during = killHelm
	}
	job := "Job " + r.release + "-hook"
	isHook := func(name string) bool { return name == job } // of the draw for all runs
	r.want, r.stays = slices.DeleteFunc(r.want, isHook), slices.DeleteFunc(r.stays, isHook)
	r.maybe = []string{job}
	return nil
}
