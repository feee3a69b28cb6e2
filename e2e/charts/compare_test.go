package charts

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/e2e/cluster"
)

func TestCompare(t *testing.T) {
	object := func(apiVersion, kind, namespace, name, uid string, owners ...string) cluster.Object {
		return cluster.Object{APIVersion: apiVersion, Kind: kind, Namespace: namespace, Name: name, UID: uid, Owners: owners}
	}
	remain := func(group, kind, namespace, name string) helmexec.Remain {
		return helmexec.Remain{ObjectRef: helmexec.ObjectRef{Group: group, Version: "v7", Kind: kind, Namespace: namespace, Name: name}, State: helmexec.RemainThere}
	}
	unknown := remain("", "Namespace", "", "job")
	unknown.State = helmexec.RemainUnknown
	var (
		web   = object("apps/v1", "Deployment", "job", "web", "1")
		pod   = object("v1", "Pod", "job", "web-1", "2", "1")
		claim = object("v1", "PersistentVolumeClaim", "job", "data", "3")
		space = object("v1", "Namespace", "", "job", "5")
	)
	record := object("v1", "Secret", "job", "sh.helm.release.v1.web.v1", "7")
	record.Labels = map[string]string{"owner": "helm", "name": "web", "status": "uninstalling"}
	type all = []cluster.Object
	tests := []struct {
		name                    string
		before, reported, after all // reported nil: the same as after
		remains                 []helmexec.Remain
		told                    report // but for remains
		want                    []fault
	}{
		{name: "nothing"},
		{name: "what was there", before: all{web}, after: all{web}},
		{name: "named", after: all{web}, remains: []helmexec.Remain{remain("apps", "Deployment", "job", "web")}},
		{name: "named, and there before", before: all{web}, after: all{web}, remains: []helmexec.Remain{remain("apps", "Deployment", "job", "web")}},
		{name: "not named", after: all{web}, want: []fault{{unnamed, "apps/Deployment job/web"}}},
		{name: "made anew", before: all{object("apps/v1", "Deployment", "job", "web", "9")}, after: all{web}, want: []fault{{unnamed, "apps/Deployment job/web"}, {taken, "apps/Deployment job/web"}}},
		{name: "another group", after: all{web}, remains: []helmexec.Remain{remain("", "Deployment", "job", "web")}, want: []fault{{ghost, "Deployment job/web"}, {unnamed, "apps/Deployment job/web"}}},
		{name: "a namespace where there is none", after: all{space}, remains: []helmexec.Remain{remain("", "Namespace", "job", "job")}, want: []fault{{ghost, "Namespace job/job"}, {unnamed, "Namespace job"}}},
		{name: "twice", after: all{space}, remains: []helmexec.Remain{remain("", "Namespace", "", "job"), remain("", "Namespace", "", "job")}, want: []fault{{twice, "Namespace job"}}},
		{name: "not there", remains: []helmexec.Remain{remain("", "Namespace", "", "job")}, want: []fault{{ghost, "Namespace job"}}},
		{name: "not there, and nobody could look", remains: []helmexec.Remain{unknown}},
		{name: "gone since", reported: all{space}, remains: []helmexec.Remain{remain("", "Namespace", "", "job")}},
		{name: "gone since, not named", reported: all{space}},
		{name: "goes with its owner", after: all{web, pod}, remains: []helmexec.Remain{remain("apps", "Deployment", "job", "web")}},
		{name: "its owner is gone", after: all{pod}, want: []fault{{unnamed, "Pod job/web-1"}}},
		{name: "a volume of a claim", after: all{claim, object("v1", "PersistentVolume", "", "pvc-3", "4")}, want: []fault{{unnamed, "PersistentVolumeClaim job/data"}}},
		{name: "a volume without a claim", after: all{object("v1", "PersistentVolume", "", "pvc-3", "4")}, want: []fault{{unnamed, "PersistentVolume pvc-3"}}},
		{name: "of the cluster", after: all{object("v1", "ServiceAccount", "job", "default", "6")}},
		{name: "of the cluster, named", after: all{object("v1", "ServiceAccount", "job", "default", "6")}, remains: []helmexec.Remain{remain("", "ServiceAccount", "job", "default")}},
		{name: "a record", after: all{record}, want: []fault{{unnamed, "Secret job/sh.helm.release.v1.web.v1"}}},
		{name: "a record in the status that was told", after: all{record}, told: report{release: "web", status: "uninstalling"}},
		{name: "a record in another status", after: all{record}, told: report{release: "web", status: "deployed"}, want: []fault{{unnamed, "Secret job/sh.helm.release.v1.web.v1"}}},
		{name: "of somebody else, gone", before: all{claim}, want: []fault{{taken, "PersistentVolumeClaim job/data"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.told.remains = tt.remains
			if tt.reported == nil {
				tt.reported = tt.after
			}
			if got := compare(tt.before, tt.reported, tt.after, tt.told); !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	for _, file := range []string{
		"plain/Chart.yaml", "plain/charts/sub/Chart.yaml", "plain/ci/b-values.yaml", "plain/ci/a-values.yaml",
		"repo/deep/Chart.yaml", "repo/deep.values.yaml", "repo/deep/ci/a-values.yaml", "repo/too/deep/Chart.yaml",
		"packed-1.0.tgz", "packed-1.0.values.yaml", "notes.txt",
	} {
		path := filepath.Join(dir, filepath.FromSlash(file))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	found, err := find(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, c := range found {
		for _, path := range append(c.values, "") {
			got[c.name] += " " + filepath.Base(path)
		}
	}
	want := map[string]string{"packed-1.0.tgz": " packed-1.0.values.yaml .", "plain": " a-values.yaml .", "repo/deep": " deep.values.yaml ."}
	if len(got) != len(want) {
		t.Errorf("got %v", got)
	}
	for name, values := range want {
		if got[name] != values {
			t.Errorf("%s: values %q, want %q", name, got[name], values)
		}
	}
	if _, err := find(filepath.Join(dir, "plain", "ci")); err == nil {
		t.Error("a folder without charts is no error")
	}
}
