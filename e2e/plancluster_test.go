package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/sut-bench/helmexec"
)

// told writes what a chart can learn about the cluster into a ConfigMap.
const told = `apiVersion: v1
kind: ConfigMap
metadata: {name: told}
data:
  version: {{ .Capabilities.KubeVersion.Version | quote }}
  git: {{ .Capabilities.KubeVersion.GitVersion | quote }}
  major: {{ .Capabilities.KubeVersion.Major | quote }}
  minor: {{ .Capabilities.KubeVersion.Minor | quote }}
  helm: {{ .Capabilities.HelmVersion | toJson | quote }}
  release: {{ .Release | toJson | quote }}
  namespaces: {{ len (lookup "v1" "Namespace" "" "").items | quote }}
  batch: {{ .Capabilities.APIVersions.Has "batch/v1" | quote }}
`

// plannedForTheClusterAsItIs: a chart learns the same from a plan as from an install, the kinds that it brings itself
// among it. Only its look-ups find nothing.
func plannedForTheClusterAsItIs(b *bed) {
	group := b.helm + ".told.example"
	tells := told + "  apis: {{ .Capabilities.APIVersions | toStrings | sortAlpha | join \" \" | quote }}\n"
	without := b.folder(map[string]string{"a.yaml": tells})
	b.plan("without", without, helmexec.PlanOptions{})
	chart := b.folder(map[string]string{
		"crds/a.yaml": "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: things." + group + "}\n" +
			"spec: {group: " + group + ", scope: Namespaced, names: {kind: Thing, plural: things, singular: thing}, versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]}\n",
		"a.yaml": tells,
	})
	planned := b.toldBy(b.plan("web", chart, helmexec.PlanOptions{}).Manifest())
	b.must(second(b.h.Install(b.ctx, "web", chart, helmexec.InstallOptions{})))
	recorded, err := b.h.GetManifest(b.ctx, "web", helmexec.GetOptions{})
	b.must(err)
	installed := b.toldBy(recorded)
	if planned["namespaces"] != "0" || installed["namespaces"] == "0" {
		b.Errorf("look-ups find %v and %v namespaces", planned["namespaces"], installed["namespaces"])
	}
	for key, text := range installed {
		if key != "namespaces" && planned[key] != text {
			// Other tests make CRDs meanwhile.
			there, here := lasting(text, group), lasting(planned[key], group)
			if !slices.Equal(there, here) {
				b.Errorf("%s: planned with %q, installed with %q", key, here, there)
			}
		}
	}
	// The cluster is another one than at the plan before.
	if apis := b.toldBy(b.plan("without", without, helmexec.PlanOptions{}).Manifest())["apis"]; !strings.Contains(fmt.Sprint(apis), group+"/v1/Thing") {
		b.Errorf("planned with %v", apis)
	}
	b.must(second(b.h.Uninstall(b.ctx, "web", helmexec.UninstallOptions{Wait: true, Timeout: patient})))
	b.must(b.cluster.Request(b.ctx, http.MethodDelete, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things."+group, nil, nil))
}

// lasting are the APIs of a text that are Kubernetes' own or of a group.
func lasting(text any, group string) []string {
	return slices.DeleteFunc(strings.Fields(fmt.Sprint(text)), func(api string) bool {
		in, _, _ := strings.Cut(api, "/")
		return strings.Contains(in, ".") && !strings.HasSuffix(in, ".k8s.io") && in != group
	})
}

func second[T any](_ T, err error) error { return err }

func (b *bed) toldBy(m helmexec.Manifest) map[string]any {
	b.Helper()
	objects, err := m.Objects()
	b.must(err)
	for _, object := range objects {
		if object["kind"] == "ConfigMap" {
			return object["data"].(map[string]any)
		}
	}
	b.Fatal("no ConfigMap")
	return nil
}

// plannedWithoutACluster: a plan for a cluster that was asked before is the plan that the cluster itself gives, and is
// refused on a cluster of which the chart would have learned something else.
func plannedWithoutACluster(b *bed) {
	chart := b.folder(map[string]string{"a.yaml": told})
	cluster, err := b.h.Cluster(b.ctx, helmexec.ClusterOptions{})
	b.must(err)
	var namespace struct{ Metadata struct{ UID string } }
	b.must(b.cluster.Request(b.ctx, http.MethodGet, "/api/v1/namespaces/kube-system", nil, &namespace))
	if cluster.ID == "" || cluster.ID != namespace.Metadata.UID {
		b.Errorf("the cluster is %q, want %q", cluster.ID, namespace.Metadata.UID)
	}
	empty := filepath.Join(b.TempDir(), "kubeconfig")
	b.must(os.WriteFile(empty, []byte("apiVersion: v1\nkind: Config\n"), 0o600))
	away := b.newHelm(func(cfg *helmexec.Config) { cfg.Kubeconfig, cfg.Namespace = empty, b.namespace })
	planAway := func(release string, c helmexec.Cluster) *helmexec.Plan {
		b.Helper()
		p, err := away.Plan(b.ctx, release, chart, helmexec.PlanOptions{Cluster: &c})
		b.must(err)
		return p
	}
	p, here := planAway("same", *cluster), b.plan("same", chart, helmexec.PlanOptions{})
	if p.Digest() != here.Digest() {
		changes, err := p.Diff(b.ctx, here.Manifest())
		b.Errorf("the plans differ: %v %v %v", changes, err, *p)
	}
	b.must(second(b.h.Apply(b.ctx, p, helmexec.ApplyOptions{Digest: here.Digest()})))

	other, older, less := *cluster, *cluster, *cluster
	other.ID = "00000000-0000-0000-0000-000000000000"
	older.KubeVersion, older.ID = "v1.30.0", ""
	less.ID = ""
	less.APIVersions = slices.DeleteFunc(slices.Clone(less.APIVersions), func(api string) bool { return api == "batch/v1" || api == "batch/v1/Job" })
	for says, c := range map[string]helmexec.Cluster{
		"it is for another cluster": other, "it is for v1.30.0": older, "asks for batch/v1, which the cluster serves now": less,
	} {
		_, err := b.h.Apply(b.ctx, planAway("stale", c), helmexec.ApplyOptions{})
		b.wantErr(err, helmexec.ErrPlanStale, says)
	}
	// What helm was built with is enough for a chart of Kubernetes' own kinds that asks for no API.
	p, err = away.Plan(b.ctx, "plain", sutChart, helmexec.PlanOptions{Cluster: &helmexec.Cluster{KubeVersion: cluster.KubeVersion}})
	b.must(err)
	b.must(second(b.h.Apply(b.ctx, p, helmexec.ApplyOptions{})))
}

// plannedWithFewRights: who may not read the namespace kube-system plans and applies all the same.
func plannedWithFewRights(b *bed) {
	limited := b.mayOnly("- {apiGroups: ['', apps, batch], resources: ['*'], verbs: ['*']}\n")
	p, err := limited.Plan(b.ctx, "web", sutChart, helmexec.PlanOptions{})
	b.must(err)
	if p.Cluster != "" {
		b.Errorf("the plan is for the cluster %q", p.Cluster)
	}
	b.must(second(limited.Apply(b.ctx, p, helmexec.ApplyOptions{})))
}

// plannedValuesAndNotes: the record of a planned install has the values and notes of a plain one.
func plannedValuesAndNotes(b *bed) {
	chart := b.folder(map[string]string{
		"./Chart.yaml": "apiVersion: v2\nname: parent\nversion: 1.0.0\ndependencies:\n" +
			"- {name: sub, version: 1.0.0, alias: front, import-values: [data, {child: listen, parent: ports}]}\n- {name: sub, version: 1.0.0, alias: idle, condition: idle.enabled}\n",
		"./values.yaml":                  "own: 1\nlarge: 12345678901234567\nnothing: null\nfront: {color: red}\nidle: {enabled: false}\n",
		"templates/NOTES.txt":            "{{ .Release.Name }} in revision {{ .Release.Revision }} listens on {{ .Values.ports.front }}\n",
		"templates/a.yaml":               "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: parent}\ndata: {port: {{ .Values.ports.front | quote }}, imported: {{ .Values.imported | quote }}}\n",
		"charts/sub/Chart.yaml":          "apiVersion: v2\nname: sub\nversion: 1.0.0\n",
		"charts/sub/values.yaml":         "color: blue\nlisten: {front: 8080}\nexports: {data: {imported: yes}}\n",
		"charts/sub/templates/a.yaml":    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Chart.Name }}}\ndata: {color: {{ .Values.color }}}\n",
		"charts/sub/templates/NOTES.txt": "not shown\n",
	})
	user := helmexec.Values{"own": 2, "front": map[string]any{"size": 3}}
	p := b.plan("web", chart, helmexec.PlanOptions{Values: user})
	b.must(second(b.apply(p, helmexec.ApplyOptions{})))
	read := func() (notes string, all, given helmexec.Values) {
		status, err := b.h.Status(b.ctx, "web", helmexec.StatusOptions{})
		b.must(err)
		all, err = b.h.GetValues(b.ctx, "web", helmexec.ValuesOptions{All: true})
		b.must(err)
		given, err = b.h.GetValues(b.ctx, "web", helmexec.ValuesOptions{})
		b.must(err)
		return status.Notes, all, given
	}
	plannedNotes, plannedAll, plannedGiven := read()
	b.must(second(b.h.Uninstall(b.ctx, "web", helmexec.UninstallOptions{Wait: true, Timeout: patient})))
	b.must(second(b.h.Install(b.ctx, "web", chart, helmexec.InstallOptions{Values: user})))
	notes, all, given := read()
	if plannedNotes != notes || notes == "" {
		b.Errorf("the notes are %q, want %q", plannedNotes, notes)
	}
	if !reflect.DeepEqual(plannedAll, all) || !reflect.DeepEqual(plannedGiven, given) {
		b.Errorf("the values are\n%v %v, want\n%v %v", plannedAll, plannedGiven, all, given)
	}
}
