package helmexec

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	yamlnode "go.yaml.in/yaml/v3"
)

// What the simple parser accepts it must read as the general parser does, and it must accept most of what there is.
func TestParseSimple(t *testing.T) {
	files, err := filepath.Glob("testdata/manifests/*.yaml")
	require.NoError(t, err)
	if folder := os.Getenv("HELMEXEC_CORPUS"); folder != "" {
		more, err := filepath.Glob(folder + "/*/*.yaml")
		require.NoError(t, err)
		files = append(files, more...)
	}
	accepted, all := 0, 0
	for _, file := range files {
		stream, err := os.ReadFile(file)
		require.NoError(t, err)
		for doc := range Manifest(stream).documents() {
			all += len(doc.text)
			if difference := compareParsers(doc.text); difference != "" {
				t.Errorf("%s, line %d: %s", file, doc.line, difference)
			}
			if _, ok := parseSimple(context.Background(), doc.text); ok {
				accepted += len(doc.text)
			}
		}
	}
	t.Logf("%d%% of the bytes read by the simple parser", 100*accepted/all)
}

func FuzzParseSimple(f *testing.F) {
	files, err := filepath.Glob("testdata/manifests/*.yaml")
	require.NoError(f, err)
	for _, file := range files {
		stream, err := os.ReadFile(file)
		require.NoError(f, err)
		for doc := range Manifest(stream).documents() {
			f.Add(doc.text)
		}
	}
	for _, seed := range []string{
		"a: |\n\n  x\n   y\n\n  # z\nb:\n- |-\n  c\n- - d\n  -\n    e: f\n- 'g''h'\n- \"i\\\"j\\n\" # k\n",
		"a: {b: [c, \"d\", 'e'], \"f\":g, h: {}, i: a:b}\nj: []\nk: # l\nm:\n  n: ~\n",
		"a: <<\nb: '<<'\nc: [<<]\n",
		"a:\n- b\n- c: d\n  e:\n  - f\ng: -1\nh: :8080\ni: ?x\nj: a#b\nk: a #b\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if difference := compareParsers(text); difference != "" {
			t.Fatalf("%s\n%q", difference, text)
		}
	})
}

// compareParsers gives a difference between what both parsers make of a document, "" if the simple one gives up.
func compareParsers(text []byte) string {
	for doc := range Manifest(text).documents() {
		simple, ok := parseSimple(context.Background(), doc.text)
		if !ok {
			continue
		}
		var general yamlnode.Node
		decoder := yamlnode.NewDecoder(bytes.NewReader(doc.text))
		if err := decoder.Decode(&general); err != nil {
			return "accepted, but " + err.Error()
		}
		if decoder.Decode(new(yamlnode.Node)) == nil {
			return "accepted, but there is a second document"
		}
		if difference := compareTrees(simple, general.Content[0]); difference != "" {
			return difference
		}
	}
	return ""
}

func compareTrees(simple, general *yamlnode.Node) string {
	const styles = yamlnode.DoubleQuotedStyle | yamlnode.SingleQuotedStyle | yamlnode.LiteralStyle | yamlnode.FoldedStyle
	isNull := general.Tag == "!!null"
	switch {
	case simple.Kind != general.Kind, simple.Value != general.Value, simple.Style&styles != general.Style&styles,
		(simple.Tag == "!!null") != isNull, (simple.Tag == mergeTag) != (general.Tag == mergeTag), general.Anchor != "", len(simple.Content) != len(general.Content),
		(simple.Line != general.Line || simple.Column != general.Column) && !(isNull && simple.Value == ""):
		return fmt.Sprintf("%+v read as %+v", *general, *simple)
	}
	for i := range simple.Content {
		if difference := compareTrees(simple.Content[i], general.Content[i]); difference != "" {
			return difference
		}
	}
	return ""
}
