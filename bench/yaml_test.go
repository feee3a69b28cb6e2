package bench

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml/parser"
	yaml3 "go.yaml.in/yaml/v3"
	yaml4 "go.yaml.in/yaml/v4"
	"sigs.k8s.io/yaml"

	"github.com/sut-bench/helmexec/internal/yamlfast"
)

// BenchmarkYAML compares what reads a manifest here, internal/yamlfast, with libraries. Each reads the same documents, one
// by one, to a tree of nodes with their places; sigs.k8s.io/yaml, which Kubernetes decodes by, reads them to maps. All take turns within a
// round; the figures are medians over the rounds of the time beside that of yamlfast. HELMEXEC_CORPUS names a folder of
// manifests; without it the documents are those of testdata/charts as they are written, without templates.
func BenchmarkYAML(b *testing.B) {
	documents, size := yamlDocuments(b)
	readers := []struct {
		name string
		read func(text []byte) error
	}{
		{"yamlfast", func(text []byte) error {
			if _, ok := yamlfast.Parse(context.Background(), text); !ok {
				return errors.New("yamlfast leaves it to yaml.v3")
			}
			return nil
		}},
		{"go.yaml.in/yaml/v3", func(text []byte) error { return yaml3.Unmarshal(text, new(yaml3.Node)) }},
		{"go.yaml.in/yaml/v4", func(text []byte) error { return yaml4.Unmarshal(text, new(yaml4.Node)) }},
		{"goccy/go-yaml", func(text []byte) error { _, err := parser.ParseBytes(text, 0); return err }},
		{"sigs.k8s.io/yaml", func(text []byte) error { return yaml.Unmarshal(text, new(any)) }},
	}
	took := make([][]float64, len(readers))
	for range max(minRounds, b.N) {
		var ours time.Duration
		for i, reader := range readers {
			begin := time.Now()
			for _, text := range documents {
				if err := reader.read(text); err != nil {
					b.Fatalf("%s: %v\n%s", reader.name, err, text)
				}
			}
			duration := time.Since(begin)
			if i == 0 {
				ours = duration
				took[i] = append(took[i], float64(size)/duration.Seconds()/(1<<20))
				continue
			}
			took[i] = append(took[i], float64(duration)/float64(ours))
		}
	}
	for i, reader := range readers {
		slices.Sort(took[i])
		unit := "x-" + reader.name
		if i == 0 {
			unit = "MiB/s-" + reader.name
		}
		b.ReportMetric(took[i][len(took[i])/2], unit)
	}
	b.ReportMetric(0, "ns/op")
}

// yamlDocuments are the documents that all of them read.
func yamlDocuments(b *testing.B) (documents [][]byte, size int) {
	folder := os.Getenv("HELMEXEC_CORPUS")
	if folder == "" {
		folder = filepath.Join("..", "testdata")
	}
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".yaml") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, document := range strings.Split(string(text), "\n---\n") {
			text := []byte(document + "\n")
			_, fast := yamlfast.Parse(context.Background(), text)
			_, bad := parser.ParseBytes(text, 0)
			if fast && bad == nil && yaml3.Unmarshal(text, new(yaml3.Node)) == nil && yaml4.Unmarshal(text, new(yaml4.Node)) == nil && yaml.Unmarshal(text, new(any)) == nil {
				documents, size = append(documents, text), size+len(text)
			}
		}
		return err
	})
	if err != nil || len(documents) == 0 {
		b.Fatalf("%d documents in %s: %v", len(documents), folder, err)
	}
	return documents, size
}
