package yamlfast

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/sut-bench/helmexec/internal/hostile"
)

func TestSearchable(t *testing.T) {
	for _, test := range []struct {
		name, text string
		searchable bool
	}{
		{"a mapping", "a: 1\nb:\n  c: 'x' # y\n  \"d\": \"e\\n\"\n", true},
		{"a list that is not indented", "a:\n- 1\n- b: 2\n  c:\n  - 3\nd: 4\n", true},
		{"nothing below a key", "a:\nb:\n  c:\nd: 1\n", true},
		{"text over lines", "a: b c\n  d 'e' - f\n\n  g\nh: 'i\n  j ''k\n  '\nl: \"m\n\n n\"\n", true},
		{"text on the next line", "a:\n  b\nc:\n  'd'\ne:\n- f\n", true},
		{"block scalars", "a: |+\n\n  b: [\n   c\n\nd: >-\n  e\nf: |\ng: |-\n    \n", true},
		{"flow collections", "a: {b: [c, {d: e}],\n  f: g}\nh: []\ni: {}\n", true},
		{"lines of Windows", "a: 1\r\nb: |\r\n  c\r\n", true},
		{"comments", "# a\n\nb: # c\n  # d\n  e: f\n# g\n", true},

		{"nothing", "\n# a\n", false},
		{"a list", "- a\n", false},
		{"a value that goes on in the first column", "a: 'b\nc: d'\n", false},
		{"a flow mapping that goes on in the first column", "a: {b: c,\nd: e}\n", false},
		{"an infinite number", "a: .inf\n", false},
		{"an infinite number before the end of a line of Windows", "a: [.inf\r\n  ]\n", false},
		{"no infinite number", "a: .5\nb: -.5 # c\n", true},
		{"a key of null", "a: {b: c}\n~: d\n", false},
		{"a number for a key", "a: {b: c}\n1: d\n", false},
		{"a word for true for a key", "a:\n  yes : d\n", false},
		{"a word and a number in quotes for keys", "'yes': a\n\"1\": b\nyesno: c\n", true},
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
		{"an escape that hides letters", "a: \"\\x62\"\n", false},
		{"a space that an escape keeps", "a: \"b\\n\n  \\ c\"\n", true},
		{"a line break in the midst of a word", "a: \"b\\\n  c\"\n", false},
		{"a line break in the midst of a word in a list", "a: [\"b\\\n  c\"]\n", false},
		{"a text over lines in a list", "a: [\"b\n  c\", 'd\n\n  e']\n", true},
		{"a key with an escape", "\"\\x61\": b\n", false},
		{"a key with an escape in a flow collection", "a: {\"\\nb\": c}\n", false},
		{"a block scalar less deep than a line before", "a: |\n    \n  b\n", false},
		{"a control character", "a: \x01\n", false},
		{"another line break", "a: b\u2028c: d\n", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, test.searchable, Searchable(t.Context(), []byte(test.text)))
			assert.Empty(t, compareSearch([]byte(test.text)))
		})
	}
}

// Nearly every document of a chart can be searched.
func TestManifestsAreSearchable(t *testing.T) {
	searched, all := 0, 0
	for _, file := range manifestFiles(t) {
		stream, err := os.ReadFile(file)
		require.NoError(t, err)
		for n, text := range documentsOf(stream) {
			all += len(text)
			if Searchable(t.Context(), text) {
				searched += len(text)
			}
			if difference := compareSearch(text); difference != "" {
				t.Errorf("%s, document %d: %s", file, n, difference)
			}
		}
	}
	t.Logf("%d%% of the bytes can be searched", 100*searched/all)
	assert.Greater(t, searched, all/2)
}

// The fuzz tests look for texts that reach new code; these are made at random, several times as many in the same time.
func TestHostileStreams(t *testing.T) {
	t.Run("streams", func(t *testing.T) { checkAtRandom(t, hostile.Cases) })
	t.Run("scalars", func(t *testing.T) { checkAtRandom(t, hostile.Scalars) })
}

func checkAtRandom(t *testing.T, makeCases func(*testing.T, int, func(string))) {
	parsed, searched := 0, 0
	makeCases(t, 5_000, func(stream string) {
		for _, text := range documentsOf([]byte(stream)) {
			if difference := compareParsers(text); difference != "" {
				t.Fatalf("%s\n%q", difference, text)
			}
			if difference := compareSearch(text); difference != "" {
				t.Fatalf("%s\n%q", difference, text)
			}
			if _, ok := Parse(t.Context(), text); ok {
				parsed++
			}
			if Searchable(t.Context(), text) {
				searched++
			}
		}
	})
	t.Logf("%d documents parsed, %d searched", parsed, searched)
	assert.Positive(t, parsed*searched)
}

func FuzzSearchable(f *testing.F) {
	for _, file := range manifestFiles(f) {
		stream, err := os.ReadFile(file)
		require.NoError(f, err)
		for _, text := range documentsOf(stream) {
			f.Add(text)
		}
	}
	for _, seed := range []string{
		"a: b\n  c\n\n  d # e\nf: 'g\n\n  h'\ni: \"j\\\"\n k\"\n",
		"a:\n- b\n- - c\n  -\n    d: e\n    f:\n    - g\n- h: |\n    i\n\n  j: >+\n\n   k\nl:\n  m\n",
		"a: {b: [c, \"d\", 'e'], \"f\":g}\r\nh: []\r\ni: |-\r\n   j\r\n",
		"a: [\"b\n c\", 'd\n\n e']\nf: \"g\\n\n \\ h\\\n i\"\nj: {k: \"l\\\n m/n:1\"}\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		for _, text := range documentsOf(stream) {
			if difference := compareSearch(text); difference != "" {
				t.Fatalf("%s\n%q", difference, text)
			}
		}
	})
}

// compareSearch gives what is wrong with a document that Searchable accepts, by the general parser; "" if it does not accept it.
func compareSearch(text []byte) string {
	if !Searchable(context.Background(), text) {
		return ""
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var node yaml.Node
	if err := decoder.Decode(&node); err != nil {
		return "accepted, but " + err.Error()
	}
	if decoder.Decode(new(yaml.Node)) == nil {
		return "accepted, but there is a second document"
	}
	if node.Content[0].Kind != yaml.MappingNode {
		return "accepted, but it is no mapping"
	}
	decoded, err := decode(text)
	if err != nil {
		return "accepted, but " + err.Error()
	}
	if _, ok := decoded.(map[string]any); !ok {
		return "accepted, but Kubernetes reads no mapping"
	}
	if difference := findHidden(text, &node); difference != "" {
		return difference
	}
	return findHiddenKeys(text, decoded)
}

// findHiddenKeys finds a key that Kubernetes reads and a search of the bytes would miss. Of numbers and words for true
// and false nobody searches any.
func findHiddenKeys(text []byte, value any) string {
	switch value := value.(type) {
	case []any:
		for _, item := range value {
			if found := findHiddenKeys(text, item); found != "" {
				return found
			}
		}
	case map[string]any:
		for key, below := range value {
			isWord := strings.ContainsAny(key, "aeiouAEIOU") && key != "true" && key != "false"
			if isWord && !bytes.Contains(text, []byte(key)) && !strings.Contains(key, "'") && !strings.ContainsAny(key, "0123456789") {
				return fmt.Sprintf("accepted with a key that does not read as it is spelled: %q", key)
			}
			if found := findHiddenKeys(text, below); found != "" {
				return found
			}
		}
	}
	return ""
}

// findHidden finds what a search of the bytes would miss.
func findHidden(text []byte, node *yaml.Node) string {
	if node.Kind == yaml.AliasNode || node.Anchor != "" {
		return fmt.Sprintf("accepted with an alias: %+v", node)
	}
	if isWord(node.Value) && node.Tag == "!!str" && !bytes.Contains(text, []byte(node.Value)) {
		return fmt.Sprintf("accepted with a text that does not read as it is spelled: %q", node.Value)
	}
	for i, child := range node.Content {
		if node.Kind == yaml.MappingNode && i%2 == 0 {
			if child.Tag == "!!merge" {
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

// isWord reports a text like an image, for which somebody may search.
func isWord(text string) bool {
	return strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789./:@_-") == ""
}
