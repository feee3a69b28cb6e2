package plan

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/sut-bench/helmexec/manifest"
)

// ChartOptions is for WriteChart.
type ChartOptions struct {
	// Before is what the revisions made that an upgrade is compared with. Of other objects that the plan makes, the chart
	// expects that they do not exist.
	Before manifest.Manifest
	// NoHooks says that no hook is going to run.
	NoHooks bool
	// MayExist says that earlier tries may have made any object of the plan.
	MayExist bool
}

// WriteChart writes the plan as a chart archive (.tgz) that renders to exactly the plan's documents: one template a
// document, which prints its file and a comment. It has no dependencies, no schema and nothing of the author's templates. Two
// archives of one plan, written with the same options, have the same bytes.
//
// Its first template fails, with the text StaleMark, on another cluster than the plan is for, where the chart asked
// the cluster for something that has changed, and where an object exists that Helm would take over.
//
// Errors: ErrBadManifest and ErrTooLarge for Before; ErrBadPlan for a plan that nobody made; of w.
func (p *Plan) WriteChart(ctx context.Context, w io.Writer, opts ChartOptions) error {
	if err := p.checkMade(); err != nil {
		return err
	}
	made, err := p.made(ctx, opts)
	if err != nil {
		return err
	}
	files, err := p.files(made)
	if err != nil {
		return err
	}
	zipped, err := gzip.NewWriterLevel(w, gzip.BestSpeed) // helm reads it once
	if err != nil {
		return err
	}
	archive := tar.NewWriter(zipped)
	for _, file := range files {
		header := &tar.Header{Name: path.Join("plan", file.name), Mode: 0o600, Size: int64(len(file.text))}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := archive.Write(file.text); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return zipped.Close()
}

// StaleMark is in the error of a helm that applies a plan to a cluster for which it was not rendered.
const StaleMark = "helmexec: the plan is stale"

// end stands behind each document, because Helm 3 removes the line ends there, which may be those of a text.
const end = "# end\n"

type file struct {
	name string
	text []byte
}

// files are those of the chart, which expects some objects not to exist: indexes of places.
func (p *Plan) files(made []int) ([]file, error) {
	metadata := p.Chart
	metadata.Annotations = map[string]string{"helmexec/plan": p.Digest()}
	if p.ChartDigest != "" {
		metadata.Annotations["helmexec/chart"] = p.ChartDigest
	}
	chartYAML, err := yaml.Marshal(metadata)
	if err != nil {
		return nil, err
	}
	defaults, err := p.defaults.JSON()
	if err != nil {
		return nil, err
	}
	files := []file{{"Chart.yaml", chartYAML}, {"values.yaml", defaults}}
	if guard := slices.Concat(p.guard(), p.refuseExisting(made)); len(guard) > 0 {
		files = append(files, file{"templates/0000.yaml", guard})
	}
	if p.Notes != "" {
		files = append(files, file{"notes.txt", []byte(p.Notes)}, file{"templates/NOTES.txt", []byte(`{{ .Files.Get "notes.txt" }}`)})
	}
	for i, text := range p.documents {
		name := fmt.Sprintf("objects/%06d.yaml", i+1)
		files = append(files, file{name, text}, file{fmt.Sprintf("templates/%06d.yaml", i+1), fmt.Appendf(nil, "{{ .Files.Get %q }}%s", name, end)})
	}
	for i, text := range p.crds {
		files = append(files, file{fmt.Sprintf("crds/%06d.yaml", i+1), text})
	}
	return files, nil
}

// guard is a template that fails where the plan is stale.
func (p *Plan) guard() []byte {
	var text []byte
	add := func(format string, args ...any) { text = fmt.Appendf(text, format+"\n", args...) }
	if p.Cluster != "" {
		add(`{{ if ne (dig "metadata" "uid" "" (lookup "v1" "Namespace" "" "kube-system")) %q }}{{ fail %q }}{{ end }}`, p.Cluster, StaleMark+": it is for another cluster")
	}
	if p.KubeVersion != "" {
		add(`{{ if ne .Capabilities.KubeVersion.Version %q }}{{ fail (printf %q .Capabilities.KubeVersion.Version) }}{{ end }}`,
			p.KubeVersion, StaleMark+": the chart asks for the version of Kubernetes, and it is for "+p.KubeVersion+", the cluster has %s")
	}
	for _, api := range slices.Sorted(maps.Keys(p.APIs)) {
		now := map[bool]string{true: "no longer serves", false: "serves now"}[p.APIs[api]]
		add(`{{ if ne (.Capabilities.APIVersions.Has %q) %t }}{{ fail %q }}{{ end }}`, api, p.APIs[api], StaleMark+": the chart asks for "+api+", which the cluster "+now)
	}
	return text
}

// maxRecord is how large Kubernetes lets a Secret be, which a release record is.
const maxRecord = 1 << 20

// RecordSize is about how many bytes the release record takes in the cluster, where Kubernetes stores no more than
// 1 MiB. Helm compresses it and writes it in base64.
func (p *Plan) RecordSize() int {
	type record struct {
		Name     string `json:"name"`
		Info     any    `json:"info"`
		Chart    any    `json:"chart"`
		Config   any    `json:"config,omitempty"`
		Manifest string `json:"manifest"`
		Hooks    any    `json:"hooks,omitempty"`
		Version  int    `json:"version"`
	}
	type entry struct {
		Name string `json:"name"`
		Data []byte `json:"data"`
	}
	made, err := p.made(context.Background(), ChartOptions{})
	if err != nil {
		panic(err) // there is nothing to read
	}
	files, err := p.files(made)
	if err != nil {
		panic(err) // everything in it was normal
	}
	templates, others := []entry{}, []entry{}
	for _, f := range files {
		switch {
		case strings.HasPrefix(f.name, "templates/"):
			templates = append(templates, entry{f.name, f.text})
		case f.name != "Chart.yaml" && f.name != "values.yaml":
			others = append(others, entry{f.name, f.text})
		}
	}
	var manifest bytes.Buffer
	for i, text := range p.documents {
		fmt.Fprintf(&manifest, "---\n# Source: %s/templates/%06d.yaml\n%s%s", p.Chart.Name, i+1, text, end)
	}
	var out counter
	// Helm compresses as much as gzip can.
	encoder, _ := gzip.NewWriterLevel(base64.NewEncoder(base64.StdEncoding, &out), gzip.BestCompression)
	err = json.NewEncoder(encoder).Encode(record{
		Name: p.Release, Info: map[string]string{"notes": p.Notes, "description": "Install complete", "status": "deployed", "first_deployed": "2006-01-02T15:04:05.999999999Z"},
		Chart:  map[string]any{"metadata": p.Chart, "templates": templates, "values": p.defaults, "files": others},
		Config: p.Values, Manifest: manifest.String(), Version: 1,
	})
	if err != nil {
		panic(err)
	}
	encoder.Close()
	return int(out)
}

type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
