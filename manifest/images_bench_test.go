package manifest_test

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sut-bench/helmexec/internal/corpus"
	"github.com/sut-bench/helmexec/manifest"
)

// BenchmarkImages measures the readers of a manifest on streams that each stress something else, and on the corpus
// that HELMEXEC_CORPUS names. The metric x-decode is how many times as fast as a decode of the same bytes into
// yaml.v3 nodes a reader is, which takes turns with it.
func BenchmarkImages(b *testing.B) {
	streams := map[string]string{
		"workloads": workloads(200),
		"CRDs":      workloads(5) + strings.Repeat(crd(), 40),
		"ConfigMap": workloads(5) + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n  image: |\n" + strings.Repeat("    some: text of a dashboard\n", 40_000),
	}
	if folder := os.Getenv("HELMEXEC_CORPUS"); folder != "" {
		c, err := corpus.Load(folder)
		if err != nil {
			b.Fatal(err)
		}
		for _, name := range c.Names {
			group, _, _ := strings.Cut(name, "/")
			streams["corpus "+group] += "\n---\n" + string(c.Manifests[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(streams)) {
		m := manifest.Manifest(streams[name])
		for _, reader := range []struct {
			name string
			read func()
		}{
			{"images", func() { _, _ = m.Images(manifest.ImageOptions{}) }},
			{"report", func() { _, _ = m.ImageReport(manifest.ImageOptions{}) }},
			{"gpus", func() { _, _ = m.GPUs(manifest.GPUOptions{}) }},
			{"index", func() { _, _ = m.Index() }},
		} {
			b.Run(name+"/"+reader.name, func(b *testing.B) {
				b.SetBytes(int64(len(m)))
				var decoding time.Duration
				decodes := 0
				for b.Loop() {
					reader.read()
					if decoding <= b.Elapsed() {
						b.StopTimer()
						start := time.Now()
						corpus.DecodeNodes(m)
						decoding += time.Since(start)
						decodes++
						b.StartTimer()
					}
				}
				decode, own := decoding.Seconds()/float64(decodes), b.Elapsed().Seconds()/float64(b.N)
				b.ReportMetric(decode/own, "x-decode")
				b.ReportMetric(float64(len(m))/1e6/decode, "decode-MB/s")
			})
		}
	}
}

func workloads(n int) string {
	return strings.Repeat(`---
# Source: demo/templates/deployment.yaml
apiVersion: apps/v1
kind: Deployment
metadata:
  name: demo
  labels:
    app.kubernetes.io/name: demo
    app.kubernetes.io/instance: rel
spec:
  replicas: 2
  selector:
    matchLabels:
      app.kubernetes.io/name: demo
  template:
    metadata:
      labels:
        app.kubernetes.io/name: demo
    spec:
      serviceAccountName: demo
      containers:
        - name: demo
          image: "quay.io/demo/demo:v1.2.3"
          imagePullPolicy: IfNotPresent
          args:
            - --listen=:8080
            - --config=/etc/demo/config.yaml
          ports:
            - name: http
              containerPort: 8080
              protocol: TCP
          livenessProbe:
            httpGet:
              path: /healthz
              port: http
          resources:
            limits:
              cpu: 500m
              memory: 128Mi
              nvidia.com/gpu: 1
          volumeMounts:
            - name: config
              mountPath: /etc/demo
      volumes:
        - name: config
          configMap:
            name: demo
`, n)
}

func crd() string {
	return `---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: things.example.com
spec:
  group: example.com
  names:
    kind: Thing
  versions:
    - name: v1
      schema:
        openAPIV3Schema:
          type: object
          properties:
` + strings.Repeat(`            image:
              description: |-
                The image of the thing. It is pulled by the node, so that its
                registry must be reachable from there.
              default: quay.io/example/thing:v1
              type: string
`, 100)
}
