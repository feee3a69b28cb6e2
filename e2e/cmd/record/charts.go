package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sut-bench/helmexec/e2e/cluster"
	"github.com/sut-bench/helmexec/internal/chartrepo"
)

const configMap = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: %s\n"

// deployment of one pod with labels.
func deployment(image, labels, resources string) string {
	return `apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web` + labels + `}}
    spec:
      containers:
      - {name: main, image: "` + image + `", resources: {` + resources + `}}
`
}

// job of one pod with a label that says what is simulated.
func job(annotations, fault string) string {
	return `apiVersion: batch/v1
kind: Job
metadata:
  name: job
  annotations: {` + annotations + `}
spec:
  backoffLimit: 0
  template:
    metadata: {labels: {` + cluster.LabelFault + `: ` + fault + `}}
    spec:
      restartPolicy: Never
      containers: [{name: main, image: job}]
`
}

func hook(event, fault string) string { return job("helm.sh/hook: "+event, fault) }

func fault(f string) string { return ", " + cluster.LabelFault + ": " + f }

// role lets a user do what the rules say.
func role(user, rules string) string {
	return `---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: ` + user + `}
rules: ` + rules + `
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: ` + user + `}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: ` + user + `}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: ` + user + `}]
`
}

// charts are the templates of the charts by their names.
var charts = map[string]string{
	"plain": fmt.Sprintf(configMap, "plain"),
	"roles": role("no-delete", `[{apiGroups: ["", batch], resources: ["*"], verbs: [get, list, watch, create, patch, update]}]`) +
		role("no-secrets", `[{apiGroups: [""], resources: [configmaps], verbs: ["*"]}]`) +
		role("no-update", `[{apiGroups: [""], resources: ["*"], verbs: [get, list, create, patch]}]`) +
		role("no-jobs", `[{apiGroups: [""], resources: ["*"], verbs: ["*"]}, {apiGroups: [batch], resources: [jobs], verbs: [get, list, watch, delete]}]`),
	"ready":      deployment("nginx:1", "", ""),
	"notready":   deployment("nginx:1", fault(cluster.FaultNotReady), ""),
	"badimage":   deployment("registry.example/nosuchimage:1", "", ""),
	"crashes":    deployment("nginx:1", fault(cluster.FaultCrashLoop), ""),
	"greedy":     deployment("nginx:1", "", "limits: {nvidia.com/gpu: 99}"),
	"lingers":    deployment("nginx:1", ", "+cluster.LabelGoneAfter+": 20s", ""),
	"hangingjob": job("", cluster.FaultNeverFinish),
	"failingjob": job("", cluster.FaultFail),

	"pre-install-fails":  hook("pre-install", cluster.FaultFail),
	"pre-install-hangs":  hook("pre-install", cluster.FaultNeverFinish),
	"post-install-fails": hook("post-install", cluster.FaultFail),
	"pre-upgrade-fails":  hook("pre-upgrade", cluster.FaultFail),
	"post-upgrade-fails": hook("post-upgrade", cluster.FaultFail),
	"pre-delete-fails":   hook("pre-delete", cluster.FaultFail),
	"post-delete-fails":  hook("post-delete", cluster.FaultFail),
	"test-fails":         hook("test", cluster.FaultFail),

	"fails":           `{{ fail "the chart says no" }}`,
	"parse-error":     "{{ if }}",
	"no-yaml":         "a: b: c\n",
	"schema":          fmt.Sprintf(configMap, "schema"),
	"kube-version":    fmt.Sprintf(configMap, "v"),
	"dependency":      fmt.Sprintf(configMap, "d"),
	"unknown-kind":    "apiVersion: nosuch.example/v1\nkind: Nonsense\nmetadata: {name: x}\n",
	"illegal-object":  fmt.Sprintf(configMap, "Not_Legal"),
	"long-annotation": fmt.Sprintf(configMap, "long") + "  annotations: {a: " + strings.Repeat("x", 300<<10) + "}\n",
	"huge":            fmt.Sprintf(configMap, "huge"),
	"webhook": `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: "{{ .Release.Namespace }}"}
webhooks:
- name: hook.example.com
  clientConfig: {url: "https://{{ .Values.address }}/validate"}
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: "{{ .Release.Namespace }}"}}
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]
  sideEffects: None
  admissionReviewVersions: [v1]
`,
}

// more files of some charts.
var moreFiles = map[string]map[string]string{
	"schema":       {"values.schema.json": `{"type":"object","required":["replicas"]}`},
	"kube-version": {"Chart.yaml": "kubeVersion: \">=9.0.0\"\n"},
	"dependency":   {"Chart.yaml": "dependencies: [{name: cache, version: 1.0.0, repository: \"https://charts.example\"}]\n"},
	"huge":         {"files/noise.txt": noise(3 << 20)},
}

// noise is text that does not compress to less than half.
func noise(size int) string {
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		sum := sha256.Sum256(fmt.Append(nil, i))
		b.WriteString(hex.EncodeToString(sum[:]) + "\n")
	}
	return b.String()
}

// writeCharts puts the charts into a folder, and beside them the archive of one.
func writeCharts(dir, closed string) error {
	for name, template := range charts {
		files := map[string]string{
			"Chart.yaml":         "apiVersion: v2\nname: " + name + "\nversion: 1.0.0\n" + moreFiles[name]["Chart.yaml"],
			"templates/all.yaml": template,
			"values.yaml":        "address: " + closed + "\n",
			"values.schema.json": moreFiles[name]["values.schema.json"],
			"files/noise.txt":    moreFiles[name]["files/noise.txt"],
		}
		for file, text := range files {
			if text == "" {
				continue
			}
			path := filepath.Join(dir, name, filepath.FromSlash(file))
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				return err
			}
		}
	}
	web, err := webArchive("1.0.0")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, web.Filename()), web.Data, 0o644)
}

func webArchive(version string) (chartrepo.Archive, error) {
	return chartrepo.Package(map[string]string{
		"Chart.yaml": "apiVersion: v2\nname: web\nversion: " + version + "\n", "templates/all.yaml": charts["plain"],
	})
}
