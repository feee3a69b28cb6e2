package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/e2e/cluster"
)

// apply applies a plan through a recorder and checks that what the API server has is what the plan shows.
func (b *bed) apply(p *helmexec.Plan, opts helmexec.ApplyOptions) (*helmexec.Release, error) {
	b.Helper()
	r := b.newRecorder()
	opts.Kubeconfig = r.kubeconfig
	rel, err := b.h.Apply(b.ctx, p, opts)
	for _, fault := range b.differences(p, r, err == nil) {
		b.Error(fault)
	}
	return rel, err
}

// builtIn reports a kind of Kubernetes.
func builtIn(object helmexec.ObjectRef) bool {
	return !strings.Contains(object.Group, ".") || strings.HasSuffix(object.Group, ".k8s.io")
}

// differences lists where the API server has something else than a plan shows. complete means that all of it was
// applied.
func (b *bed) differences(p *helmexec.Plan, r *recorder, complete bool) (all []string) {
	made, looked := r.seen()
	var shown, wanted, running []string
	for _, use := range p.Images.Images {
		if !builtIn(use.Object) || use.Object.Kind == "ControllerRevision" {
			continue
		}
		shown = append(shown, use.Image)
		if runsAt(p, use.Hooks) {
			wanted = append(wanted, use.Image)
		}
	}
	for _, object := range slices.Concat(made, b.workloadsNow()) {
		if p.Upgrade && isOwned(object) {
			continue // it may be of the revision before
		}
		running = append(running, object.images()...)
	}
	for _, image := range unique(running) {
		if !slices.Contains(shown, image) {
			all = append(all, image+" runs and is not shown")
		}
	}
	if !complete {
		return all
	}
	for _, image := range unique(wanted) {
		if !slices.Contains(running, image) {
			all = append(all, image+" is shown and does not run")
		}
	}
	// A run of a hook deletes what one before has made, so any of the answers may be the one.
	for _, m := range []helmexec.Manifest{p.CRDManifest(), p.Manifest()} {
		objects, err := m.Objects()
		b.must(err)
		for _, object := range objects {
			if !isApplied(p, object) {
				continue
			}
			var least []string
			found := false
			for _, answer := range slices.Concat(made, looked) {
				if answers(object, answer, b.namespace) {
					if faults := missingIn(object, answer); !found || len(faults) < len(least) {
						least, found = faults, true
					}
				}
			}
			name := fmt.Sprint(object["kind"], " ", liveObject(object).name())
			if !found {
				all = append(all, name+" was not made")
			}
			for _, fault := range least {
				all = append(all, name+fault)
			}
		}
	}
	return all
}

// isOwned reports an object that another one made.
func isOwned(object liveObject) bool {
	metadata, _ := object["metadata"].(map[string]any)
	owners, _ := metadata["ownerReferences"].([]any)
	return len(owners) > 0
}

// runsAt reports whether what has these hook events runs when the plan is applied.
func runsAt(p *helmexec.Plan, events []string) bool {
	if len(events) == 0 {
		return true
	}
	change := "install"
	if p.Upgrade {
		change = "upgrade"
	}
	return slices.ContainsFunc(events, func(event string) bool { return event == "pre-"+change || event == "post-"+change })
}

// isApplied reports whether an object of a plan is made by Apply.
func isApplied(p *helmexec.Plan, object map[string]any) bool {
	var events []string
	for event := range strings.SplitSeq(liveObject(object).text("metadata", "annotations", "helm.sh/hook"), ",") {
		if event = strings.TrimSpace(event); event != "" {
			events = append(events, event)
		}
	}
	return runsAt(p, events)
}

// answers reports whether an object of the cluster is one that was planned.
func answers(planned, live liveObject, namespace string) bool {
	if kind := planned.kind(); kind != "" && kind != live.kind() { // an item of a list may leave it out
		return false
	}
	if in := live.text("metadata", "namespace"); in != "" {
		if wanted := planned.text("metadata", "namespace"); in != wanted && (wanted != "" || in != namespace) {
			return false
		}
	}
	if name := planned.name(); name != "" {
		return name == live.name()
	}
	return strings.HasPrefix(live.name(), planned.text("metadata", "generateName"))
}

func (b *bed) plan(release, chart string, opts helmexec.PlanOptions) *helmexec.Plan {
	b.Helper()
	p, err := b.h.Plan(b.ctx, release, chart, opts)
	b.must(err)
	return p
}

// plannedOverAFailedRevision: a plan is not applied where Helm would leave beside it what a failed upgrade made.
func plannedOverAFailedRevision(b *bed) {
	const keeps, more = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: keeps}\n", "apiVersion: v1\nkind: Pod\nmetadata: {name: more}\nspec: {containers: [{name: c, image: evil}]}\n" +
		"---\napiVersion: v1\nkind: Pod\nmetadata: {name: refused, annotations: {helm.sh/hook: post-upgrade}}\nspec: {containers: []}\n"
	first, second := filepath.Join(b.TempDir(), "first"), filepath.Join(b.TempDir(), "second")
	b.must((&hostileCase{files: map[string]string{"templates/a.yaml": keeps}}).write(first, "web"))
	b.must((&hostileCase{files: map[string]string{"templates/a.yaml": keeps, "templates/b.yaml": more}}).write(second, "web"))
	_, err := b.apply(b.plan("web", first, helmexec.PlanOptions{}), helmexec.ApplyOptions{})
	b.must(err)
	_, err = b.h.Apply(b.ctx, b.plan("web", second, helmexec.PlanOptions{Upgrade: true}), helmexec.ApplyOptions{})
	b.wantErr(err, nil, "post-upgrade hooks failed")

	_, err = b.h.Apply(b.ctx, b.plan("web", first, helmexec.PlanOptions{Upgrade: true}), helmexec.ApplyOptions{})
	b.wantErr(err, helmexec.ErrPlanStale, "revision 2 failed", "/more")
	_, err = b.h.Rollback(b.ctx, "web", helmexec.RollbackOptions{})
	b.must(err)
	_, err = b.h.Apply(b.ctx, b.plan("web", first, helmexec.PlanOptions{Upgrade: true}), helmexec.ApplyOptions{})
	b.must(err)
	for _, object := range b.workloadsNow() {
		if object.name() == "more" && object.text("metadata", "deletionTimestamp") == "" {
			b.Errorf("%s %s runs beside the plan", object.kind(), object.name())
		}
	}
}

// uninstallAfterAFailedUpgrade: what Helm leaves of the revision before is reported.
func uninstallAfterAFailedUpgrade(b *bed) {
	const more = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: stays}\n"
	first, second := filepath.Join(b.TempDir(), "first"), filepath.Join(b.TempDir(), "second")
	b.must((&hostileCase{files: map[string]string{"templates/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: goes}\n", "templates/b.yaml": more}}).write(first, "web"))
	b.must((&hostileCase{files: map[string]string{"templates/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: goes, labels: {a: '-'}}\n"}}).write(second, "web"))
	_, err := b.h.Install(b.ctx, "web", first, helmexec.InstallOptions{})
	b.must(err)
	for range 3 { // Helm forgets the second revision, and not the first, which is deployed
		_, err = b.h.Upgrade(b.ctx, "web", second, helmexec.UpgradeOptions{ExtraArgs: []string{"--history-max=3"}})
		b.wantErr(err, nil, "a valid label")
	}
	result, err := b.h.Uninstall(b.ctx, "web", helmexec.UninstallOptions{})
	b.must(err)
	if len(result.Remains) != 1 || result.Remains[0].Cause != helmexec.RemainRevision || result.Remains[0].Name != "stays" || result.Remains[0].State != helmexec.RemainThere {
		b.Errorf("remains %v", result.Remains)
	}
}

// plannedUpgrade: an upgrade applies what was planned, once, and not over another revision.
func plannedUpgrade(b *bed) {
	p := b.plan("web", sutChart, helmexec.PlanOptions{Values: helmexec.Values{"greeting": "hello", "replicas": 1}})
	rel, err := b.apply(p, helmexec.ApplyOptions{Digest: p.Digest(), OperationID: "install"})
	b.must(err)
	if rel.Revision != 1 || rel.ChartName != "sut" || rel.ChartVersion != "0.1.0" {
		b.Errorf("installed %+v", rel)
	}

	stale := b.plan("web", sutChart, helmexec.PlanOptions{Upgrade: true, Values: helmexec.Values{"greeting": "never"}})
	_, err = b.h.Upgrade(b.ctx, "web", sutChart, helmexec.UpgradeOptions{ReuseValues: true, Values: helmexec.Values{"greeting": "between"}})
	b.must(err)
	_, err = b.apply(stale, helmexec.ApplyOptions{OperationID: "stale"})
	b.wantErr(err, helmexec.ErrPlanStale, "revision 1", "revision 2")

	next := b.plan("web", sutChart, helmexec.PlanOptions{Upgrade: true, ReuseValues: true, Values: helmexec.Values{"image": "next:1"}})
	if next.Base != 2 || !slices.Contains(planImages(next, ""), "next:1") {
		b.Errorf("planned over revision %d with %q", next.Base, planImages(next, ""))
	}
	rel, err = b.apply(next, helmexec.ApplyOptions{OperationID: "next"})
	b.must(err)
	again, err := b.h.Apply(b.ctx, next, helmexec.ApplyOptions{OperationID: "next"})
	b.must(err)
	if rel.Revision != 3 || rel.Recovered || again.Revision != 3 || !again.Recovered {
		b.Errorf("upgraded to %+v, and then to %+v", rel, again)
	}
	values, err := b.h.GetValues(b.ctx, "web", helmexec.ValuesOptions{})
	b.must(err)
	if values["greeting"] != "between" || values["image"] != "next:1" || fmt.Sprint(values["replicas"]) != "1" {
		b.Errorf("values are %v", values)
	}
	removed, err := b.h.Uninstall(b.ctx, "web", helmexec.UninstallOptions{Wait: true, Timeout: patient})
	b.must(err)
	b.wantLeft(removed.Remains)
}

const podOf = "apiVersion: v1\nkind: Pod\nmetadata: {name: {{ .Release.Name }}}\nspec: {containers: [{name: c, image: "

// plannedLookups: what a look-up finds when the plan is applied makes no difference.
func plannedLookups(b *bed) {
	ofNamespace := b.folder(map[string]string{
		"a.yaml": podOf + `{{ if lookup "v1" "Namespace" "" .Release.Namespace }}found{{ else }}none{{ end }}` + "}]}\n",
	})
	for _, lookups := range []bool{false, true} {
		want := map[bool]string{false: "none", true: "found"}[lookups]
		p := b.plan("namespace-"+want, ofNamespace, helmexec.PlanOptions{Lookups: lookups})
		if images := planImages(p, ""); !slices.Equal(images, []string{want}) {
			b.Errorf("Lookups %v: planned %q", lookups, images)
		}
		_, err := b.apply(p, helmexec.ApplyOptions{})
		b.must(err)
		_, err = b.h.Uninstall(b.ctx, "namespace-"+want, helmexec.UninstallOptions{Wait: true, Timeout: patient})
		b.must(err)
	}

	// A chart whose crds tell it that it is being installed.
	plural := "markers"
	group := b.helm + ".lookups.example"
	definition := "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: " + plural + "." + group + "}\n" +
		"spec: {group: " + group + ", scope: Namespaced, names: {kind: Marker, plural: markers, singular: marker}, versions: [{name: v1, served: true, storage: true, " +
		"schema: {openAPIV3Schema: {type: object}}}]}\n"
	ofMarker := b.folder(map[string]string{
		"crds/marker.yaml": definition,
		"a.yaml":           podOf + `{{ if lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" "` + plural + "." + group + `" }}found{{ else }}none{{ end }}` + "}]}\n",
	})
	p := b.plan("marker", ofMarker, helmexec.PlanOptions{Lookups: true})
	if images := planImages(p, ""); !slices.Equal(images, []string{"none"}) || len(p.CRDs) != 1 {
		b.Errorf("planned %q with the CRDs %v", images, p.CRDs)
	}
	_, err := b.apply(p, helmexec.ApplyOptions{})
	b.must(err)
	_, err = b.h.Uninstall(b.ctx, "marker", helmexec.UninstallOptions{Wait: true, Timeout: patient})
	b.must(err)
	b.must(b.cluster.Request(b.ctx, http.MethodDelete, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"+plural+"."+group, nil, nil))
	b.must(cluster.Eventually(b.ctx, func(ctx context.Context) error { // a busy API server serves it a little longer
		var served struct{ Groups []struct{ Name string } }
		if err := b.cluster.Request(ctx, http.MethodGet, "/apis", nil, &served); err != nil {
			return err
		}
		for _, g := range served.Groups {
			if g.Name == group {
				return errors.New(group + " is still served")
			}
		}
		return nil
	}))

	withMarker := b.folder(map[string]string{
		"crds/marker.yaml": definition, "a.yaml": "apiVersion: " + group + "/v1\nkind: Marker\nmetadata: {name: {{ .Release.Name }}}\n",
	})
	_, err = b.h.Plan(b.ctx, "marker", withMarker, helmexec.PlanOptions{Lookups: true})
	b.wantErr(err, helmexec.ErrBadManifest, "no matches for kind")
	if p := b.plan("marker", withMarker, helmexec.PlanOptions{}); len(p.Objects) != 1 || p.Objects[0].Object.Kind != "Marker" {
		b.Errorf("planned %v", p.Objects)
	}
}

// plannedPassword: a text that each rendering makes anew is the same in the plan and in the cluster, also if the first
// try is lost.
func plannedPassword(b *bed) {
	chart := b.folder(map[string]string{
		"a.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: password}\nstringData: {password: {{ randAlphaNum 32 | quote }}}\n",
		"b.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: {{ .Release.Name }}}\nspec: {ports: [{port: 80}]}\n",
	})
	p := b.plan("web", chart, helmexec.PlanOptions{})
	var secret struct{ StringData struct{ Password string } }
	objects, err := p.Manifest().Objects()
	b.must(err)
	text, err := json.Marshal(objects[slices.IndexFunc(objects, func(o map[string]any) bool { return o["kind"] == "Secret" })])
	b.must(err)
	b.must(json.Unmarshal(text, &secret))
	if len(secret.StringData.Password) != 32 {
		b.Fatalf("the password is %q", secret.StringData.Password)
	}

	r := b.newRecorder()
	var made, lost atomic.Int64
	r.lose = func(request *http.Request) bool {
		if request.Method != http.MethodPost && request.Method != http.MethodPatch || !strings.Contains(request.URL.Path, "/services") {
			return false
		}
		made.Add(1)
		return lost.CompareAndSwap(0, 1)
	}
	_, err = b.h.Apply(b.ctx, p, helmexec.ApplyOptions{OperationID: "1", Kubeconfig: r.kubeconfig})
	b.must(err)
	if lost.Load() != 1 || made.Load() < 2 {
		b.Errorf("%d tries, %d of them lost", made.Load(), lost.Load())
	}
	var live struct{ Data struct{ Password []byte } }
	b.must(b.cluster.Request(b.ctx, http.MethodGet, "/api/v1/namespaces/"+b.namespace+"/secrets/password", nil, &live))
	if string(live.Data.Password) != secret.StringData.Password {
		b.Errorf("the cluster has %q, the plan %q", live.Data.Password, secret.StringData.Password)
	}
}

// plannedTransform: a transform changes hooks and CRDs too.
func plannedTransform(b *bed) {
	group := b.helm + ".transform.example"
	chart := b.folder(map[string]string{
		"crds/a.yaml": "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: things." + group + "}\n" +
			"spec: {group: " + group + ", scope: Namespaced, names: {kind: Thing, plural: things, singular: thing}, versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]}\n",
		"a.yaml": podOf + "docker.io/acme/web:1}]}\n---\napiVersion: v1\nkind: PodTemplate\nmetadata: {name: hook, annotations: {helm.sh/hook: pre-install, helm.sh/hook-delete-policy: hook-succeeded}}\n" +
			"template: {spec: {containers: [{name: c, image: docker.io/acme/hook:2}]}}\n",
	})
	mirror := helmexec.RegistryMap{"docker.io": "mirror.example/docker"}
	r := b.newRecorder()
	_, err := b.h.Install(b.ctx, "web", chart, helmexec.InstallOptions{
		Kubeconfig: r.kubeconfig,
		Transform: helmexec.Transforms(
			helmexec.RetagImages(mirror.Rewrite, helmexec.RetagOptions{}), helmexec.AddLabels(map[string]string{"bench.example/job": "7"}),
		),
	})
	b.must(err)
	images := map[string]string{"web": "mirror.example/docker/acme/web:1", "hook": "mirror.example/docker/acme/hook:2", "things." + group: ""}
	made, _ := r.seen()
	for _, object := range made {
		image, ours := images[object.name()]
		if !ours || object.kind() == "Secret" {
			continue
		}
		if got := strings.Join(object.images(), " "); got != image || object.text("metadata", "labels", "bench.example/job") != "7" {
			b.Errorf("%s %s has the images %q and is %v", object.kind(), object.name(), got, object["metadata"])
		}
		delete(images, object.name())
	}
	if len(images) != 0 {
		b.Errorf("not made: %v", images)
	}
	removed, err := b.h.Uninstall(b.ctx, "web", helmexec.UninstallOptions{Wait: true, Timeout: patient})
	b.must(err)
	b.wantLeft(slices.DeleteFunc(removed.Remains, func(r helmexec.Remain) bool { return r.Kind == "CustomResourceDefinition" }))
	b.must(b.cluster.Request(context.WithoutCancel(b.ctx), http.MethodDelete, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things."+group, nil, nil))
}
