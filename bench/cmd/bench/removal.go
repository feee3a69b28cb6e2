package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/e2e/cluster"
	"github.com/sut-bench/helmexec/internal/chartrepo"
	"github.com/sut-bench/helmexec/internal/tools"
)

// leaving is one way for a release to be removed.
type leaving struct {
	what, kind string // the kind of what has the pods
	custom     bool   // the chart also brings a CRD, and a custom resource of that kind
}

// removal: how long after the last pod Uninstall returns.
func (b *bench) removal() error {
	return b.onCluster(func(c *cluster.Cluster, _ string, _ *helmexec.Helm) error {
		pods, err := watchPods(b.ctx, c)
		if err != nil {
			return err
		}
		var got, notes []string
		reached := true
		for _, helm := range []string{"helm3", "helm4"} {
			binary, err := tools.Path(helm)
			if err != nil {
				return err
			}
			h, err := helmexec.New(helmexec.Config{
				Binary: binary, Home: filepath.Join(b.dir, "removal-"+helm), Kubeconfig: c.Kubeconfig, Namespace: "default", Logger: slog.New(b.processes),
			})
			if err != nil {
				return err
			}
			var late, helms []string
			for _, l := range []leaving{{what: "Deployment", kind: "Deployment"}, {what: "StatefulSet", kind: "StatefulSet"}, {what: "new kind", kind: "Deployment", custom: true}} {
				d, err := b.timesOf(c, pods, h, helm, l)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", helm, l.what, err)
				}
				reached = reached && d.inTime()
				late = append(late, fmt.Sprintf("%s %s", l.what, ms(median(d.late))))
				helms = append(helms, fmt.Sprintf("%d of %d", median(d.helms), len(d.late)))
			}
			got = append(got, helm+": "+strings.Join(late, ", "))
			notes = append(notes, helm+" "+strings.Join(helms, ", "))
		}
		b.rows = append(b.rows, row{
			benchmark: "`Uninstall` with `Wait`: the return after the last pod is gone, on Helm 3 and 4",
			must:      "≤ 0.4 s, or 10 % of the time waited if that is more",
			got:       strings.Join(got, "; "), reached: reached,
			notes: "2 pods, gone 2 s and more after their deletion; new kind: beside a Deployment, a custom resource whose CRD was new at the install; " +
				"helm processes, and rounds of which the medians are: " + strings.Join(notes, "; "),
		})
		return nil
	})
}

// departures are the removals of one kind.
type departures struct {
	late  []time.Duration // after the last pod
	share []float64       // of what is allowed
	helms []int64
}

func (d departures) inTime() bool { return median(d.share) <= 1 && !d.early() }

// early reports whether a call returned before the pods were gone. The news of that takes a moment.
func (d departures) early() bool {
	for _, late := range d.late {
		if late < -100*time.Millisecond {
			return true
		}
	}
	return false
}

// decided reports whether more rounds would hardly change whether the limit is reached.
func (d departures) decided() bool {
	n, figure := len(d.share), median(d.share)
	return n >= 5 || n >= 3 && (figure < 0.9 || figure > 1.1)
}

// timesOf measures the removals of one kind.
func (b *bench) timesOf(c *cluster.Cluster, pods *pods, h *helmexec.Helm, helm string, l leaving) (d departures, err error) {
	for round := 0; !d.decided(); round++ {
		name := strings.ToLower(fmt.Sprintf("%s-%s-%d", helm, strings.ReplaceAll(l.what, " ", "-"), round))
		chart := filepath.Join(b.dir, name+".tgz")
		archive, err := chartrepo.Package(leavingFiles(l, name))
		if err != nil {
			return d, err
		}
		if err := os.WriteFile(chart, archive.Data, 0o600); err != nil {
			return d, err
		}
		// Different times, so that no rhythm in which helm looks is met by chance.
		values := helmexec.Values{"goneAfter": (2*time.Second + time.Duration(round)*700*time.Millisecond).String()}
		if _, err := h.Install(b.ctx, name, chart, helmexec.InstallOptions{Values: values, Wait: true}); err != nil {
			return d, err
		}
		if err := cluster.Eventually(b.ctx, ready(c)); err != nil {
			return d, err
		}
		begin := time.Now()
		helms, err := b.processes.during(func() error {
			_, err := h.Uninstall(b.ctx, name, helmexec.UninstallOptions{Wait: true})
			return err
		})
		returned := time.Now()
		if err != nil {
			return d, err
		}
		gone, err := pods.lastGone(b.ctx, name)
		if err != nil {
			return d, err
		}
		late := returned.Sub(gone)
		d.late, d.helms = append(d.late, late), append(d.helms, helms)
		d.share = append(d.share, float64(late)/float64(max(400*time.Millisecond, gone.Sub(begin)/10)))
		if err := b.forget(c, l, name); err != nil {
			return d, err
		}
	}
	return d, nil
}

// forget removes the CRD of a chart, which helm leaves, and waits until nothing of a release works on.
func (b *bench) forget(c *cluster.Cluster, l leaving, name string) error {
	if l.custom {
		if err := c.Request(b.ctx, "DELETE", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things."+groupOf(name), nil, nil); err != nil {
			return err
		}
	}
	return cluster.Eventually(b.ctx, settled(c))
}

// groupOf is the API group of a chart's own kind. Each chart has another: the cluster remembers the kinds that it had.
func groupOf(name string) string { return name + ".bench.example" }

// leavingFiles is a chart with two pods, and with a kind of its own if that is wanted.
func leavingFiles(l leaving, name string) map[string]string {
	files := map[string]string{
		"Chart.yaml":  "apiVersion: v2\nname: " + name + "\nversion: 1.0.0\n",
		"values.yaml": "goneAfter: 2s\n",
		"templates/pods.yaml": `apiVersion: apps/v1
kind: ` + l.kind + `
metadata:
  name: {{ .Release.Name }}
spec:
  replicas: 2
  selector:
    matchLabels:
      app: {{ .Release.Name }}
  template:
    metadata:
      labels:
        app: {{ .Release.Name }}
        helmexec-e2e/gone-after: {{ .Values.goneAfter }}
    spec:
      containers:
      - name: main
        image: registry.example/main:1.0.0
`,
	}
	if l.kind == "StatefulSet" {
		files["templates/pods.yaml"] = strings.Replace(files["templates/pods.yaml"], "  replicas: 2\n", "  replicas: 2\n  serviceName: {{ .Release.Name }}\n", 1)
	}
	if l.custom {
		files["crds/thing.yaml"] = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: things.` + groupOf(name) + `
spec:
  group: ` + groupOf(name) + `
  scope: Namespaced
  names: {plural: things, singular: thing, kind: Thing, listKind: ThingList}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}
`
		files["templates/thing.yaml"] = "apiVersion: " + groupOf(name) + "/v1\nkind: Thing\nmetadata:\n  name: {{ .Release.Name }}\n"
	}
	return files
}
