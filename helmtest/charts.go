package helmtest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// repo writes the files that helm writes for a repository. Every repository has all archives.
func (f *Fake) repo(c Call) Reply {
	type object = map[string]any
	entries := map[string][]object{}
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(f.store.archives))) {
		archive := f.store.archives[name]
		m, err := archivedMetadata(bytes.NewReader(archive))
		if err != nil {
			return failure("%s: %v", name, err)
		}
		entries[m.Name] = append(entries[m.Name], object{
			"name": m.Name, "version": m.Version, "urls": []string{name}, "digest": fmt.Sprintf("%x", sha256.Sum256(archive)),
		})
	}
	index, err := yaml.Marshal(object{"apiVersion": "v1", "entries": entries})
	if err != nil {
		return failure("%v", err)
	}
	files := map[string][]byte{"${HELM_REPOSITORY_CACHE}/${0}-index.yaml": index}
	if c.Command() == "repo add" {
		entry := object{"name": c.Arg(0), "url": c.Arg(1), "username": c.Flag("--username"), "password": c.Stdin}
		config, err := yaml.Marshal(object{"apiVersion": "", "repositories": []object{entry}})
		if err != nil {
			return failure("%v", err)
		}
		files["${HELM_REPOSITORY_CONFIG}"] = config
	}
	return Reply{Files: files}
}

// pull finds the archive of "oci://host/chart" by its name, and that of "repo/chart" in the index.
func (f *Fake) pull(c Call) Reply {
	ref, digest, _ := strings.Cut(c.Arg(0), "@sha256:")
	chart, version := path.Base(ref), c.Flag("--version")
	wanted := chart + "-" + version + ".tgz"
	if !strings.Contains(ref, "://") {
		wanted = indexed(filepath.Join(c.Env["HELM_REPOSITORY_CACHE"], path.Dir(ref)+"-index.yaml"), chart, version)
	}
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(f.store.archives))) {
		archive := f.store.archives[name]
		if name == wanted || digest != "" && digest == fmt.Sprintf("%x", sha256.Sum256(archive)) {
			files := map[string][]byte{"${--destination}/" + name: archive}
			if c.Flag("--prov") != "" {
				files["${--destination}/"+name+".prov"] = []byte("-----BEGIN PGP SIGNED MESSAGE-----\n")
			}
			return Reply{Files: files}
		}
	}
	return failure("chart %q matching %s not found in %s index. (try 'helm repo update'): no chart version found for %s-%s",
		chart, version, path.Dir(ref), chart, version)
}

// indexed is the file name of a chart's archive in an index.
func indexed(file, chart, version string) string {
	var index struct {
		Entries map[string][]struct {
			Version string
			URLs    []string
		}
	}
	text, _ := os.ReadFile(file)
	_ = yaml.Unmarshal(text, &index)
	for _, v := range index.Entries[chart] {
		if (version == "" || v.Version == version) && len(v.URLs) > 0 {
			return path.Base(v.URLs[0])
		}
	}
	return ""
}

type metadata struct{ Name, Version, AppVersion string }

// chartMetadata reads the metadata of a chart, from a folder or an archive.
func chartMetadata(chart string) (m metadata, err error) {
	text, err := os.ReadFile(filepath.Join(chart, "Chart.yaml"))
	if err == nil {
		return m, yaml.Unmarshal(text, &m)
	}
	f, err := os.Open(chart)
	if err != nil {
		return m, fmt.Errorf("path %q not found", chart)
	}
	defer f.Close()
	return archivedMetadata(f)
}

func archivedMetadata(archive io.Reader) (m metadata, err error) {
	unzipped, err := gzip.NewReader(archive)
	if err != nil {
		return m, err
	}
	for files := tar.NewReader(unzipped); ; {
		header, err := files.Next()
		if err != nil {
			return m, fmt.Errorf("no Chart.yaml: %w", err)
		}
		if ok, _ := path.Match("*/Chart.yaml", header.Name); ok {
			text, err := io.ReadAll(files)
			if err != nil {
				return m, err
			}
			return m, yaml.Unmarshal(text, &m)
		}
	}
}
