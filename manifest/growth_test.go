package manifest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/internal/growth"
)

// ofManifest makes a reader of a function on a manifest.
func ofManifest(name string, read func(Manifest)) growth.Reader {
	return growth.Reader{Name: name, Read: func(text string) { read(Manifest(text)) }}
}

func transforming(name string, transform Transform) growth.Reader {
	return ofManifest(name, func(m Manifest) { _, _ = transform(m) })
}

func TestGrowthOfManifests(t *testing.T) {
	growth.Check(t, []growth.Reader{
		ofManifest("Objects", func(m Manifest) { _, _ = m.Objects() }),
		ofManifest("Index", func(m Manifest) { _, _ = m.Index() }),
		ofManifest("Images", func(m Manifest) { _, _ = m.Images(ImageOptions{SkipTests: true}) }),
		ofManifest("GPUs", func(m Manifest) { _, _ = m.GPUs(GPUOptions{}) }),
		ofManifest("Retag", func(m Manifest) { _, _, _ = m.Retag(toMirror, RetagOptions{Hints: true}) }),
		transforming("AddLabels", AddLabels(map[string]string{"a": "b"})),
	}, growth.YAML)
}

// The others among the readers of manifests do what those of TestGrowthOfManifests do, and a little more.
func TestGrowthOfMoreManifests(t *testing.T) {
	var pods []growth.Shape
	for _, shape := range growth.YAML {
		if text := shape.Make(2 << 10); strings.Contains(text, "image") {
			pods = append(pods, shape)
		}
	}
	growth.Check(t, []growth.Reader{
		ofManifest("ImageReport", func(m Manifest) { _, _ = m.ImageReport(ImageOptions{FullNames: true}) }),
		transforming("AddTolerations", AddTolerations(Toleration{Key: "a"})),
		transforming("AddNodeSelector", AddNodeSelector(map[string]string{"a": "b"})),
		transforming("RetagImages", RetagImages(toMirror, RetagOptions{})),
	}, pods)
}

func TestGrowthOfReferences(t *testing.T) {
	var shapes []growth.Shape
	for _, piece := range []string{"a", "A", "1", "-", "_", ".", "/", ":", "@", " ", "é", "\xff", "\x00", "a-", "a.", "a/", "a:", "a@"} {
		for _, begin := range []string{"", "a/b:", "a/b@sha256:"} {
			shapes = append(shapes, growth.Repeated(begin+piece, begin, piece, ""))
		}
	}
	growth.Check(t, []growth.Reader{{Name: "ParseReference", Read: func(text string) { _, _ = ParseReference(text) }}}, shapes)
}

// No depth of nesting overflows a stack.
func TestDeepNesting(t *testing.T) {
	for name, text := range growth.DeepYAML() {
		t.Run(name, func(t *testing.T) {
			for name, read := range manifestReaders {
				require.ErrorIs(t, read(Manifest(text)), ErrBadManifest, name)
			}
			_, err := AddLabels(nil)(Manifest(text))
			require.ErrorIs(t, err, ErrBadManifest)
			_, err = Manifest(text).Index()
			require.ErrorIs(t, err, ErrBadManifest)
		})
	}
}
