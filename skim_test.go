package helmexec

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	yamlnode "go.yaml.in/yaml/v3"

	"github.com/sut-bench/helmexec/internal/safeyaml"
)

// asDocument is a document that belongs to no stream.
func asDocument(text string) *document {
	return &document{number: 1, line: 1, text: []byte(text), pass: safeyaml.NewPass(context.Background(), len(text))}
}

func TestSkim(t *testing.T) {
	for _, test := range []struct {
		name, text string
		skims      bool
	}{
		{"a mapping", "a: 1\nb:\n  c: 'x' # y\n  \"d\": \"e\\n\"\n", true},
		{"a list that is not indented", "a:\n- 1\n- b: 2\n  c:\n  - 3\nd: 4\n", true},
		{"nothing below a key", "a:\nb:\n  c:\nd: 1\n", true},
		{"text over lines", "a: b c\n  d 'e' - f\n\n  g\nh: 'i\n  j ''k\n  '\nl: \"m\n\n n\"\n", true},
		{"escapes", "a: \"b\\ c\\e\\\n  d\\\r\n  \\_\"\ne: 1\n", true},
		{"text on the next line", "a:\n  b\nc:\n  'd'\ne:\n- f\n", true},
		{"block scalars", "a: |+\n\n  b: [\n   c\n\nd: >-\n  e\nf: |\ng: |-\n    \n", true},
		{"flow collections", "a: {b: [c, {d: e}],\n  f: g}\nh: []\ni: {}\n", true},
		{"lines of Windows", "a: 1\r\nb: |\r\n  c\r\n", true},
		{"comments", "# a\n\nb: # c\n  # d\n  e: f\n# g\n", true},

		{"nothing", "\n# a\n", false},
		{"a list", "- a\n", false},
		{"a text", "a\n", false},
		{"a key below a text", "a: b\n  c: d\n", false},
		{"a key below a text in quotes", "a: 'b'\n  c: d\n", false},
		{"a key to the left", "a:\n    b: 1\n  c: 2\n", false},
		{"an item in a mapping", "a: 1\n- b\n", false},
		{"a key in a list", "a:\n  - b\n  c: d\n", false},
		{"a text after a comment", "a: b # c\n  d\n", false},
		{"a text after a line of comment", "a: b\n  # c\n  d\n", false},
		{"two values", "a: b: c\n", false},
		{"an unclosed list", "a: [b\n", false},
		{"an unclosed quote", "a: 'b\n", false},
		{"a text behind a quote", "a: 'b' c\n", false},
		{"a tab", "a:\tb\n", false},
		{"an anchor", "a: &b c\n", false},
		{"an alias", "a: *b\n", false},
		{"a merge", "<<: {a: b}\n", false},
		{"a tag", "a: !b c\n", false},
		{"a directive", "%YAML 1.1\n---\na: b\n", false},
		{"an unknown escape", "a: \"\\c\"\n", false},
		{"an escape at the end", "a: \"\\", false},
		{"an escape that hides letters", "a: \"\\x62\"\n", false},
		{"a key with an escape", "\"\\x61\": b\n", false},
		{"a block scalar less deep than a line before", "a: |\n    \n  b\n", false},
		{"a control character", "a: \x01\n", false},
		{"another line break", "a: b\u2028c: d\n", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, test.skims, asDocument(test.text).skim())
			assert.Empty(t, compareSkim([]byte(test.text)))
		})
	}
}

// Nearly every document of a chart is skimmed.
func TestSkimManifests(t *testing.T) {
	files, err := filepath.Glob("testdata/manifests/*.yaml")
	require.NoError(t, err)
	if folder := os.Getenv("HELMEXEC_CORPUS"); folder != "" {
		more, err := filepath.Glob(folder + "/*/*.yaml")
		require.NoError(t, err)
		files = append(files, more...)
	}
	skimmed, all := 0, 0
	for _, file := range files {
		stream, err := os.ReadFile(file)
		require.NoError(t, err)
		for doc := range Manifest(stream).documents() {
			all += len(doc.text)
			if asDocument(string(doc.text)).skim() {
				skimmed += len(doc.text)
			}
			if difference := compareSkim(doc.text); difference != "" {
				t.Errorf("%s, line %d: %s", file, doc.line, difference)
			}
		}
	}
	t.Logf("%d%% of the bytes skimmed", 100*skimmed/all)
	assert.Greater(t, skimmed, all/2)
}

func FuzzSkim(f *testing.F) {
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
		"a: \"\\ \\0\\a\\b\\t\\n\\v\\f\\r\\e\\N\\_\\L\\P\\'\\\n  \\\r\n \"\n",
		"a: b\n  c\n\n  d # e\nf: 'g\n\n  h'\ni: \"j\\\"\n k\"\n",
		"a:\n- b\n- - c\n  -\n    d: e\n    f:\n    - g\n- h: |\n    i\n\n  j: >+\n\n   k\nl:\n  m\n",
		"a: {b: [c, \"d\", 'e'], \"f\":g}\r\nh: []\r\ni: |-\r\n   j\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for doc := range Manifest(text).documents() {
			if difference := compareSkim(doc.text); difference != "" {
				t.Fatalf("%s\n%q", difference, doc.text)
			}
		}
	})
}

// compareSkim gives what is wrong with a document that skim accepts, by the general parser; "" if it does not accept it.
func compareSkim(text []byte) string {
	if !asDocument(string(text)).skim() {
		return ""
	}
	decoder := yamlnode.NewDecoder(bytes.NewReader(text))
	var node yamlnode.Node
	if err := decoder.Decode(&node); err != nil {
		return "accepted, but " + err.Error()
	}
	if decoder.Decode(new(yamlnode.Node)) == nil {
		return "accepted, but there is a second document"
	}
	if node.Content[0].Kind != yamlnode.MappingNode {
		return "accepted, but it is no mapping"
	}
	return findHidden(text, &node)
}

// findHidden finds what a search of the bytes would miss.
func findHidden(text []byte, node *yamlnode.Node) string {
	if node.Kind == yamlnode.AliasNode || node.Anchor != "" {
		return fmt.Sprintf("accepted with an alias: %+v", node)
	}
	for i, child := range node.Content {
		if node.Kind == yamlnode.MappingNode && i%2 == 0 {
			if child.Tag == mergeTag {
				return "accepted with a merge"
			}
			if !bytes.Contains(text, []byte(child.Value)) && !strings.Contains(child.Value, "'") {
				return fmt.Sprintf("accepted with a key that does not read as it is spelled: %q", child.Value)
			}
		}
		if found := findHidden(text, child); found != "" {
			return found
		}
	}
	return ""
}
