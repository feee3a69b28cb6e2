package e2e

import (
	"encoding/base64"
	"errors"
	"math/rand/v2"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/sut-bench/helmexec"
)

// releaseAsPrinted: what a change returns is what Status reads, also of a record that is as large as Kubernetes allows, and
// there is no look for it, except after an install of Helm 3.
func releaseAsPrinted(b *bed) {
	noise := make([]byte, 520<<10)
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise)
	chart := b.folder(map[string]string{
		"map.yaml":    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {a: '{{ .Values.a }}'}\n",
		"hook.yaml":   "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: hook, annotations: {helm.sh/hook: post-install}}\n",
		"NOTES.txt":   strings.Repeat("ü <&> \"\\\n", 10<<10),
		"files/noise": base64.StdEncoding.EncodeToString(noise),
		"files/zero":  strings.Repeat("0", 4<<20),
	})
	h, count := b.counting()
	check := func(rel *helmexec.Release, err error, look bool, reads int) {
		b.Helper()
		b.must(err)
		if read := count("get"); read-reads != map[bool]int{true: 1}[look] {
			b.Errorf("revision %d: the record is read %d times", rel.Revision, read-reads)
		}
		recorded, err := b.h.Status(b.ctx, "web", helmexec.StatusOptions{})
		b.must(err)
		if !rel.Updated.Equal(recorded.Updated) {
			b.Errorf("revision %d: updated %v, recorded %v", rel.Revision, rel.Updated, recorded.Updated)
		}
		rel.Updated = recorded.Updated
		if rel.Notes == "" || rel.ChartName != "chart" || !reflect.DeepEqual(rel, recorded) {
			rel.Notes, recorded.Notes = rel.Notes[:min(len(rel.Notes), 9)], recorded.Notes[:min(len(recorded.Notes), 9)]
			b.Errorf("got %+v\nrecorded is %+v", rel, recorded)
		}
	}
	labels := map[string]string{"app": "null", "zone": "b", "gone": "x"}
	rel, err := h.Install(b.ctx, "web", chart, helmexec.InstallOptions{
		Labels: labels, JobID: "42", Deadline: time.Unix(4e9, 0), Description: "as <b>", Wait: true, Timeout: patient,
	})
	check(rel, err, b.helm == "helm3", 0)
	reads := count("get")
	rel, err = h.Upgrade(b.ctx, "web", chart, helmexec.UpgradeOptions{Labels: map[string]string{"gone": "null", "tier": "c"}, Values: helmexec.Values{"a": 1}, Wait: true, Timeout: patient})
	check(rel, err, true, reads) // before the upgrade
	p := b.plan("web", chart, helmexec.PlanOptions{Upgrade: true, Values: helmexec.Values{"a": 2}})
	reads = count("get")
	rel, err = h.Apply(b.ctx, p, helmexec.ApplyOptions{})
	check(rel, err, true, reads)
	_, err = h.Rollback(b.ctx, "web", helmexec.RollbackOptions{Revision: 1})
	b.must(err)
	reads = count("get")
	rel, err = h.Upgrade(b.ctx, "web", chart, helmexec.UpgradeOptions{Description: "after a rollback"})
	check(rel, err, true, reads)
}

// successThatIsNotRecorded: helm calls it a success if its last write is refused, which leaves the release pending.
func successThatIsNotRecorded(b *bed) {
	limited := b.mayOnly("- {apiGroups: [''], resources: [configmaps], verbs: ['*']}\n- {apiGroups: [''], resources: [secrets], verbs: [get, list, create, delete, patch]}\n")
	_, err := limited.Install(b.ctx, "web", b.folder(map[string]string{"map.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\n"}), helmexec.InstallOptions{})
	b.wantErr(err, helmexec.ErrNotRecorded)
	if errors.Is(err, helmexec.ErrLeftBehind) {
		b.Error(err)
	}
	path := "/apis/rbac.authorization.k8s.io/v1/namespaces/" + b.namespace
	b.must(b.cluster.Request(b.ctx, http.MethodDelete, path+"/roles/limited", nil, nil))
	b.must(b.cluster.Request(b.ctx, http.MethodDelete, path+"/rolebindings/limited", nil, nil))
	b.wantLeft(nil)
}
