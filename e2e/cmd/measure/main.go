package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/e2e/cluster"
	"github.com/sut-bench/helmexec/internal/tools"
)

const pods = "spec:\n  replicas: 2\n  selector: {matchLabels: {app: web}}\n  serviceName: web\n  template:\n    metadata: {labels: {app: web, helmexec-e2e/gone-after: \"GONE\"}}\n    spec: {containers: [{name: a, image: a}]}\n"

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	ctx := context.Background()
	c, err := cluster.Start(ctx, cluster.Options{})
	must(err)
	defer c.Stop()
	dir, err := os.MkdirTemp("", "measure-")
	must(err)
	defer os.RemoveAll(dir)
	n := 0
	only := os.Getenv("ONLY")
	for _, gone := range []string{"300ms", "5s"} {
		for _, kind := range []string{"Deployment", "StatefulSet", "CR"} {
			for _, helm := range []string{"helm3", "helm4"} {
				if only != "" && !strings.Contains(only, kind+gone) {
					continue
				}
				bin, err := tools.Path(helm)
				must(err)
				var took []time.Duration
				var all []time.Duration
				starts := ""
				for range 5 {
					n++
					ns := fmt.Sprintf("m%d", n)
					must(c.CreateNamespace(ctx, ns))
					chart := filepath.Join(dir, ns)
					must(os.MkdirAll(chart+"/templates", 0o700))
					must(os.WriteFile(chart+"/Chart.yaml", []byte("apiVersion: v2\nname: web\nversion: 1.0.0\n"), 0o600))
					text := "apiVersion: apps/v1\nkind: " + strings.Replace(kind, "CR", "Deployment", 1) + "\nmetadata: {name: web}\n" + strings.Replace(pods, "GONE", gone, 1)
					if kind != "StatefulSet" {
						text = strings.Replace(text, "  serviceName: web\n", "", 1)
					}
					if kind == "CR" {
						group := ns + ".example.com"
						must(os.MkdirAll(chart+"/crds", 0o700))
						must(os.WriteFile(chart+"/crds/a.yaml", []byte("apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: robots."+group+"}\nspec:\n  group: "+group+"\n  scope: Namespaced\n  names: {plural: robots, kind: Robot}\n  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]\n"), 0o600))
						text += "---\napiVersion: " + group + "/v1\nkind: Robot\nmetadata: {name: robby}\n"
					}
					must(os.WriteFile(chart+"/templates/a.yaml", []byte(text), 0o600))
					cfg := helmexec.Config{Binary: bin, Home: filepath.Join(dir, "home"), Kubeconfig: c.Kubeconfig, Namespace: ns}
					if os.Getenv("LOG") != "" {
						cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
							if args, ok := a.Value.Any().([]string); ok {
								return slog.Any(a.Key, slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return strings.HasPrefix(arg, "--template=") || strings.HasPrefix(arg, "--kubeconfig") }))
							}
							return a
						}}))
					}
					h, err := helmexec.New(cfg)
					must(err)
					_, err = h.Install(ctx, "web", chart, helmexec.InstallOptions{Wait: true})
					must(err)
					begin := time.Now()
					var last time.Time
					done, polled := make(chan struct{}), make(chan struct{})
					go func() {
						defer close(polled)
						for {
							var list struct{ Items []any }
							if c.Request(ctx, http.MethodGet, "/api/v1/namespaces/"+ns+"/pods", nil, &list) == nil && len(list.Items) == 0 && last.IsZero() {
								last = time.Now()
								return
							}
							select {
							case <-done:
								return
							case <-time.After(10 * time.Millisecond):
							}
						}
					}()
					_, err = h.Uninstall(ctx, "web", helmexec.UninstallOptions{Wait: true})
					end := time.Now()
					close(done)
					<-polled
					must(err)
					if last.IsZero() {
						starts += "!pods-left "
						last = end
					}
					took = append(took, end.Sub(last))
					all = append(all, end.Sub(begin))
					must(c.DeleteNamespace(ctx, ns))
				}
				slices.Sort(took)
				slices.Sort(all)
				fmt.Printf("%-12s gone after %-6s %s: after the last pod: median %.2fs min %.2f max %.2f; whole: median %.2fs %s\n", kind, gone, helm, took[2].Seconds(), took[0].Seconds(), took[4].Seconds(), all[2].Seconds(), starts)
			}
		}
	}
}
