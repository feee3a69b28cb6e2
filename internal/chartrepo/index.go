package chartrepo

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"
)

// indexEntry is one chart version in an index.
type indexEntry struct {
	name, version, digest string
	metadata              string // the lines that do not depend on the place of the archive
}

func newIndexEntry(a Archive) (*indexEntry, error) {
	text, err := yaml.Marshal(a.Metadata)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a.Filename(), err)
	}
	const indent = "\n    "
	return &indexEntry{name: a.Name, version: a.Version, digest: a.Digest,
		metadata: strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", indent)}, nil
}

// writeIndex writes an index.yaml. The archives are named relative to it unless url is the repository's.
func writeIndex(entries []*indexEntry, url string) []byte {
	if url != "" {
		url += "/"
	}
	entries = slices.Clone(entries)
	slices.SortStableFunc(entries, func(a, b *indexEntry) int { return strings.Compare(a.name, b.name) })
	when := epoch.Format(time.RFC3339)
	var b bytes.Buffer
	fmt.Fprintf(&b, "apiVersion: v1\ngenerated: %q\nentries:", when)
	if len(entries) == 0 {
		b.WriteString(" {}")
	}
	b.WriteByte('\n')
	for i, e := range entries {
		if i == 0 || entries[i-1].name != e.name {
			fmt.Fprintf(&b, "  %s:\n", e.name)
		}
		fmt.Fprintf(&b, "  - %s\n    created: %q\n    digest: %q\n    urls:\n    - %q\n",
			e.metadata, when, e.digest, url+Archive{Name: e.name, Version: e.version}.Filename())
	}
	return b.Bytes()
}

// AddGenerated puts many chart versions in the index, without archives: app-000 and so on, each in versions 1.0.0 to
// 1.<versions-1>.0. 400 charts of 30 versions make 7 MB, the size of a large public index.
func (r *Repo) AddGenerated(charts, versions int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range charts {
		name := fmt.Sprintf("app-%03d", c)
		for v := range versions {
			version := fmt.Sprintf("1.%d.0", v)
			r.entries = append(r.entries, &indexEntry{name: name, version: version,
				digest: fmt.Sprintf("%x", sha256.Sum256([]byte(name+version))), metadata: generatedMetadata(name, version)})
		}
	}
	r.index = nil
}

func generatedMetadata(name, version string) string {
	lines := []string{
		"apiVersion: v2",
		"appVersion: " + version,
		"description: " + name + " is an application that is here to make the index as long as a public one is",
		"home: https://charts.example/" + name,
		"keywords:", "- generated", "- benchmark", "- " + name,
		"maintainers:", "- email: " + name + "@charts.example", "  name: The Authors of " + name,
		"name: " + name,
		"sources:", "- https://code.example/charts/" + name,
		"type: application",
		"version: " + version,
	}
	return strings.Join(lines, "\n    ")
}
