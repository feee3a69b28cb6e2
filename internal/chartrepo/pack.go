// Package chartrepo is a chart repository in memory, for tests, benchmarks and the demo: it packages chart folders,
// serves them with an index, counts the requests, and misbehaves when told to.
package chartrepo

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"sigs.k8s.io/yaml"
)

// epoch is the time of everything here, so that the same chart gives the same bytes.
var epoch = time.Date(2025, time.January, 1, 0, 0, 0, 0, time.UTC)

// Archive is a packaged chart.
type Archive struct {
	Name, Version string
	Metadata      map[string]any // the content of Chart.yaml
	Data          []byte         // the .tgz
	Digest        string         // SHA-256 of Data in hex
}

// Filename is the name of the archive in the repository, as "helm package" gives it.
func (a Archive) Filename() string { return a.Name + "-" + a.Version + ".tgz" }

// PackageDir packages the chart folder dir; version, unless empty, replaces the one in Chart.yaml.
func PackageDir(dir, version string) (Archive, error) {
	files := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		files[name] = string(text)
		return err
	})
	if err != nil {
		return Archive{}, err
	}
	if version != "" {
		var metadata map[string]any
		if err := yaml.Unmarshal([]byte(files["Chart.yaml"]), &metadata); err != nil {
			return Archive{}, fmt.Errorf("%s: %w", dir, err)
		}
		metadata["version"] = version
		text, err := yaml.Marshal(metadata)
		if err != nil {
			return Archive{}, fmt.Errorf("%s: %w", dir, err)
		}
		files["Chart.yaml"] = string(text)
	}
	archive, err := Package(files)
	if err != nil {
		return Archive{}, fmt.Errorf("%s: %w", dir, err)
	}
	return archive, nil
}

// Package packages a chart given as its files by their path within the chart's folder. The same files always give the
// same bytes.
func Package(files map[string]string) (Archive, error) {
	a := Archive{}
	if err := yaml.Unmarshal([]byte(files["Chart.yaml"]), &a.Metadata); err != nil {
		return a, fmt.Errorf("in Chart.yaml: %w", err)
	}
	a.Name, _ = a.Metadata["name"].(string)
	a.Version, _ = a.Metadata["version"].(string)
	if a.Name == "" || a.Version == "" {
		return a, errors.New("in Chart.yaml: name and version must be text, and not empty")
	}

	var b bytes.Buffer
	zipped := gzip.NewWriter(&b)
	entries := tar.NewWriter(zipped)
	for _, name := range slices.SortedFunc(maps.Keys(files), byHelmsOrder) {
		header := &tar.Header{Name: path.Join(a.Name, name), Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(files[name])), ModTime: epoch}
		if err := entries.WriteHeader(header); err != nil {
			return a, err
		}
		if _, err := entries.Write([]byte(files[name])); err != nil {
			return a, err
		}
	}
	if err := entries.Close(); err != nil {
		return a, err
	}
	if err := zipped.Close(); err != nil {
		return a, err
	}
	a.Data = b.Bytes()
	sum := sha256.Sum256(a.Data)
	a.Digest = hex.EncodeToString(sum[:])
	return a, nil
}

// byHelmsOrder sorts files in the order of "helm package".
func byHelmsOrder(a, b string) int {
	first := []string{"values.schema.json", "values.yaml", "Chart.lock", "Chart.yaml"}
	return cmp.Or(slices.Index(first, b)-slices.Index(first, a), cmp.Compare(a, b))
}
