package manifest_test

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	yamlnode "go.yaml.in/yaml/v3"

	"github.com/sut-bench/helmexec/internal/corpus"
	"github.com/sut-bench/helmexec/manifest"
)

// loadCorpus reads the folder that HELMEXEC_CORPUS names.
func loadCorpus(t *testing.T) *corpus.Corpus {
	folder := os.Getenv("HELMEXEC_CORPUS")
	if folder == "" {
		t.Skip("HELMEXEC_CORPUS names no folder of manifests with their expected images")
	}
	c, err := corpus.Load(folder)
	require.NoError(t, err)
	return c
}

func TestCorpusImages(t *testing.T) {
	required := map[string]struct{ recall, precision float64 }{
		"charts": {0.998, 0.998},
		"crs":    {0.995, 0.995},
	}
	results := loadCorpus(t).Measure(1)
	var table bytes.Buffer
	corpus.Print(&table, results)
	t.Logf("\n%s", table.String())
	for _, r := range results {
		want := required[r.Group]
		assert.GreaterOrEqual(t, r.Recall(), want.recall, "%s: %s", r.Group, r.Differences)
		assert.GreaterOrEqual(t, r.Precision(), want.precision, "%s: %s", r.Group, r.Differences)
		assert.GreaterOrEqual(t, r.HintRecall(), 0.9, "%s: %s", r.Group, r.Differences)
		assert.Zero(t, r.Crashes)
	}
}

// A retagged manifest parses to what it was, but for the scalars that name images, and a second run changes nothing.
func TestCorpusRetag(t *testing.T) {
	c := loadCorpus(t)
	rewrite := func(r manifest.Reference) manifest.Reference {
		if r.Registry != "mirror.lab" {
			r.Registry, r.Repository = "mirror.lab", r.Registry+"/"+r.Repository
		}
		return r
	}
	for _, hints := range []bool{false, true} {
		opts := manifest.RetagOptions{ImageOptions: manifest.ImageOptions{Exclude: []string{}}, Hints: hints}
		changed, failed := 0, 0
		for _, name := range c.Names {
			before := c.Manifests[name]
			after, report, err := before.Retag(rewrite, opts)
			require.NoError(t, err, name)
			changed += len(report.Changed)
			failed += len(report.Failed)
			compareStreams(t, name, before, after)

			again, _, err := after.Retag(rewrite, opts)
			require.NoError(t, err, name)
			require.Equal(t, string(after), string(again), "%s: a second run", name)

			compareImages(t, name, before, after, report, rewrite)
		}
		t.Logf("hints %v: %d changed, %d could not", hints, changed, failed)
		assert.Less(t, failed, changed/10)
	}
}

// compareImages checks that the images afterwards are those before, rewritten, but for those reported.
func compareImages(t *testing.T, name string, before, after manifest.Manifest, report *manifest.RetagReport, rewrite func(manifest.Reference) manifest.Reference) {
	all := manifest.ImageOptions{Exclude: []string{}}
	images, err := before.Images(all)
	require.NoError(t, err)
	var want []string
	for _, image := range images {
		if slices.ContainsFunc(report.Failed, func(f manifest.Retagged) bool { return f.From == image }) {
			return // may be there twice
		}
		ref, err := manifest.ParseReference(image)
		require.NoError(t, err)
		want = append(want, rewrite(ref).String())
	}
	slices.Sort(want)
	got, err := after.Images(all)
	require.NoError(t, err)
	assert.Equal(t, slices.Compact(want), append([]string(nil), got...), name)
}

func compareStreams(t *testing.T, name string, before, after []byte) {
	was, is := nodes(t, before), nodes(t, after)
	require.Len(t, is, len(was), name)
	for i := range was {
		compareNodes(t, name, was[i], is[i])
	}
}

func nodes(t *testing.T, m []byte) (all []*yamlnode.Node) {
	for decoder := yamlnode.NewDecoder(bytes.NewReader(m)); ; {
		node := new(yamlnode.Node)
		if err := decoder.Decode(node); err != nil {
			require.ErrorContains(t, err, "EOF")
			return all
		}
		all = append(all, node)
	}
}

// plain takes away what the rewrite adds to references: the mirror, and what short names leave out.
var plain = strings.NewReplacer("mirror.lab/", "", "docker.io/library/", "", "docker.io/", "")

func compareNodes(t *testing.T, name string, was, is *yamlnode.Node) {
	if was.Value != is.Value {
		require.True(t, plain.Replace(was.Value) == plain.Replace(is.Value), "%s: line %d", name, was.Line)
	}
	require.Equal(t, was.Kind, is.Kind, name)
	require.Equal(t, was.Tag, is.Tag, name)
	require.Equal(t, was.Style, is.Style, name)
	require.Equal(t, was.Anchor, is.Anchor, name)
	require.Equal(t, was.LineComment, is.LineComment, name)
	require.Len(t, is.Content, len(was.Content), name)
	for i := range was.Content {
		compareNodes(t, name, was.Content[i], is.Content[i])
	}
}

// The index lists the objects that a full decode finds.
func TestCorpusIndex(t *testing.T) {
	c := loadCorpus(t)
	for _, name := range c.Names {
		objects, err := c.Manifests[name].Objects()
		require.NoError(t, err, name)
		places, err := c.Manifests[name].Index()
		require.NoError(t, err, name)
		var want, got []string
		for _, object := range objects {
			if kind, ok := object["kind"].(string); ok {
				metadata, _ := object["metadata"].(map[string]any)
				name, ok := metadata["name"].(string)
				if !ok {
					name, _ = metadata["generateName"].(string)
				}
				want = append(want, kind+" "+name)
			}
		}
		for _, place := range places {
			if place.Object.Kind != "" {
				got = append(got, place.Object.Kind+" "+place.Object.Name)
			}
		}
		assert.Equal(t, want, got, name)
	}
}
