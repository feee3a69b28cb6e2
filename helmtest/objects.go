package helmtest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/sut-bench/helmexec/manifest"
)

// stay lets objects of a release stay in the cluster from now on: some, or all of its manifest.
func (f *Fake) stay(r Release, some []manifest.ObjectRef) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(some) == 0 {
		some = r.objects()
	}
	f.store.left = append(f.store.left, some...)
}

// objects are the objects in the manifest of a release.
func (r Release) objects() []manifest.ObjectRef {
	var refs []manifest.ObjectRef
	all, _ := manifest.Manifest(r.Manifest).Objects()
	for _, o := range all {
		m, _ := o["metadata"].(object)
		ref := manifest.ObjectRef{}
		ref.Kind, _ = o["kind"].(string)
		ref.Name, _ = m["name"].(string)
		if ref.Namespace, _ = m["namespace"].(string); ref.Namespace == "" {
			ref.Namespace = r.Namespace
		}
		refs = append(refs, ref)
	}
	return refs
}

// hook is the number of the first hook of an event, -1 if there is none.
func (r Release) hook(event string) int {
	return slices.IndexFunc(r.Hooks, func(h Hook) bool { return slices.Contains(h.Events, event) })
}

// setHook records how far the first hook of an event is.
func (r *Release) setHook(event, phase string) {
	if at := r.hook(event); at >= 0 {
		r.Hooks = slices.Clone(r.Hooks)
		r.Hooks[at].Phase = phase
	}
}

// runs reports whether a call runs a test.
func (c Call) runs(h Hook) bool {
	isTest := slices.Contains(h.Events, "test") || slices.Contains(h.Events, "test-success")
	return isTest && (c.Flag("--filter") == "" || slices.Contains(c.Args, "--filter=name="+h.Name))
}

// passTests records that the tests which a call runs have passed.
func (r *Release) passTests(c Call) {
	r.Hooks = slices.Clone(r.Hooks)
	for i, h := range r.Hooks {
		if c.runs(h) {
			r.Hooks[i].Phase = "Succeeded"
		}
	}
}

// SetTestLog gives a test of a chart that is a pod a log from now on, for TestOptions.Logs: that of its one container, main.
func (f *Fake) SetTestLog(test, log string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.store.logs == nil {
		f.store.logs = map[string]string{}
	}
	f.store.logs[test] = log
}

// testLogs is what "helm test --logs" prints of the logs. The lock is held.
func (f *Fake) testLogs(c Call, r Release) string {
	var out strings.Builder
	for _, h := range r.Hooks {
		log, has := f.store.logs[h.Name]
		if !has || h.Kind != "Pod" || !c.runs(h) || c.Flag("--logs") == "" {
			continue
		}
		title := h.Name
		if !strings.HasPrefix(f.version, "v3.") {
			title += " (main)"
		}
		fmt.Fprintf(&out, "POD LOGS: %s\n%s\n", title, log)
	}
	return out.String()
}

// isQuestion reports whether a call renders one of the charts in which helmexec asks the cluster for objects. The fake
// knows the answers without rendering them.
func (c Call) isQuestion(name string) bool {
	if c.Flag("--dry-run") != "server" || c.Arg(0) != name {
		return false
	}
	chart, err := chartMetadata(c.Arg(1))
	return err == nil && chart.Name == name
}

// look answers which of the objects that helmexec asks for exist: the records and objects of releases, and what a play has
// left; and what events say of others.
func (f *Fake) look(c Call) Reply {
	var asked struct {
		Objects []struct{ Kind, Namespace, Name string }
		Warned  []string
		Hooks   []string
	}
	if err := yaml.Unmarshal([]byte(c.Stdin), &asked); err != nil {
		return failure("%v", err)
	}
	there := slices.Clone(f.store.left)
	for k := range f.store.releases {
		r, _ := f.store.latest(k)
		there = append(there, r.objects()...)
		there = append(there, manifest.ObjectRef{Kind: "Secret", Namespace: r.Namespace, Name: fmt.Sprintf("sh.helm.release.v1.%s.v%d", r.Name, r.Revision)})
	}
	var seen []string
	for i, o := range asked.Objects {
		namespace := cmp.Or(o.Namespace, c.namespace())
		if slices.ContainsFunc(there, func(t manifest.ObjectRef) bool {
			return t.Kind == o.Kind && t.Name == o.Name && (t.Namespace == "" || t.Namespace == namespace)
		}) {
			seen = append(seen, fmt.Sprint(i, " staying owned ", namespace, " ", o.Name))
		}
	}
	pods, warnings := f.seen(c.namespace(), asked.Hooks, asked.Warned)
	return answered(map[string]string{"there": strings.Join(seen, " "), "pods": pods, "warnings": warnings})
}

// SetNodes gives the cluster nodes, with what of their accelerators is free, for Helm.Nodes. At first there are none.
func (f *Fake) SetNodes(nodes ...map[string]int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.store.nodes = nodes
}

// nodes answers which nodes there are.
func (f *Fake) nodes() Reply {
	var nodes []object
	for i, node := range f.store.nodes {
		has := map[string]string{}
		for name, amount := range node {
			has[name] = fmt.Sprint(amount)
		}
		nodes = append(nodes, object{"name": fmt.Sprintf("node-%d", i+1), "has": has})
	}
	return answered(map[string]string{"nodes": f.encoded(nodes), "pods": ""})
}

// answered is the object in which helmexec gets its answers.
func answered(data map[string]string) Reply {
	text, err := yaml.Marshal(object{"apiVersion": "v1", "kind": "ConfigMap", "metadata": object{"name": "answers"}, "data": data})
	if err != nil {
		return failure("%v", err)
	}
	return Reply{Stdout: "---\n" + string(text)}
}
