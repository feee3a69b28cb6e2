package yamlfast

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	k8syaml "sigs.k8s.io/yaml"
)

// manifestFiles lists manifests of every sort: ours, and those of the folder that HELMEXEC_CORPUS names.
func manifestFiles(t testing.TB) []string {
	files, err := filepath.Glob("../../manifest/testdata/manifests/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	if folder := os.Getenv("HELMEXEC_CORPUS"); folder != "" {
		more, err := filepath.Glob(folder + "/*/*.yaml")
		require.NoError(t, err)
		files = append(files, more...)
	}
	return files
}

var marker = regexp.MustCompile(`(?m)^(?:---|\.\.\.)(?:[ \t\r]|$)`)

// documentsOf splits a stream at its marker lines.
func documentsOf(stream []byte) [][]byte {
	var documents [][]byte
	start := 0
	for _, at := range marker.FindAllIndex(stream, -1) {
		documents = append(documents, stream[start:at[0]])
		start = at[0] + 3
	}
	return append(documents, stream[start:])
}

// What Parse accepts it must read as the general parser does, and it must accept most of what there is.
func TestParseReadsAsTheGeneralParser(t *testing.T) {
	accepted, all := 0, 0
	for _, file := range manifestFiles(t) {
		stream, err := os.ReadFile(file)
		require.NoError(t, err)
		for n, text := range documentsOf(stream) {
			all += len(text)
			if difference := compareParsers(text); difference != "" {
				t.Errorf("%s, document %d: %s", file, n, difference)
			}
			if _, ok := Parse(t.Context(), text); ok {
				accepted += len(text)
			}
		}
	}
	t.Logf("%d%% of the bytes read by Parse", 100*accepted/all)
	assert.Greater(t, accepted, all/2)
}

// Scalars that go over several lines read as the general parser folds them.
func TestParseFoldsLines(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"no quotes", "a: b  \n  c\n", "b c"},
		{"no quotes, blank lines", "a: b\n\n \n  c\n", "b\n\nc"},
		{"no quotes, on the next line", "a:\n  b\n c\n", "b c"},
		{"no quotes, in a list", "a:\n- b\n  c\n- d\n", "b c"},
		{"no quotes, what would begin something else", "a: b\n  - c\n  \"d\n  [e\n  &f\n", `b - c "d [e &f`},
		{"no quotes, a comment behind", "a: b\n  c#d # e\n", "b c#d"},
		{"no quotes, a comment below", "a: b\n  c\n  # d\n", "b c"},
		{"no quotes, lines of numbers", "a: 1\n  2\n", "1 2"},
		{"no quotes, the end of the text", "a: b\n  c", "b c"},
		{"no quotes, lines of Windows", "a: b\r\n\r\n  c\r\n", "b\nc"},
		{"double quotes", "a: \"b \t\n \t c\" # d\n", "b c"},
		{"double quotes, blank lines", "a: \"b\n\n \t\n  c\"\n", "b\n\nc"},
		{"double quotes, lines of Windows", "a: \"b\r\n\r\n  c\\\r\n  d\"\r\n", "b\ncd"},
		{"double quotes, breaks at both ends", "a: \"\n  b\n  \"\n", " b "},
		{"double quotes, escapes at the ends of lines", "a: \"b\\n\n  \\ c\\t\n  d\\ \n  e\"\n", "b\n  c\t d  e"},
		{"double quotes, escaped breaks", "a: \"b \\\n  c\\\n\n  d\\\n  \\\n  e\\\n  \"\n", "b c\nde"},
		{"double quotes, less deep than the key", "a:\n    b: \"c\n d\"\n", "c d"},
		{"double quotes, in a flow collection", "a: {b: [\"c\n  d\", e]}\n", "c d"},
		{"double quotes, what is no comment", "a: \"b # c\n  # d\n  e: f\"\n", "b # c # d e: f"},
		{"single quotes", "a: 'b\\\n  c''\n\n  d'\n", "b\\ c'\nd"},

		{"no quotes, a key on the next line", "a: b\n  c: d\n", ""},
		{"no quotes, a key", "a\n  b: c\n", ""},
		{"no quotes, a comment in between", "a: b # c\n  d\n", ""},
		{"no quotes, a line of comment in between", "a: b\n  # c\n  d\n", ""},
		{"no quotes, a tab", "a: b\n  \tc\n", ""},
		{"no quotes, in a flow collection", "a: [b\n  c]\n", ""},
		{"quotes, a key", "'a\n  b': c\n", ""},
		{"quotes, a key in a flow collection", "a: {\"b\n  c\": d}\n", ""},
		{"quotes, the first column", "a: 'b\nc'\n", ""},
		{"quotes, text behind", "a: 'b\n  c' d\n", ""},
		{"quotes that nothing ends", "a: \"b\n  c\\", ""},
		{"quotes, another escape", "a: \"b\n  \\x41\"\n", ""},
		{"quotes, another line break", "a: 'b\u0085  c'\n", ""},
		{"quotes, a byte order mark", "a: 'b\n  \ufeffc'\n", ""},
		{"quotes, a carriage return alone", "a: 'b\r  c'\n", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			root, ok := Parse(t.Context(), []byte(test.text))
			require.Equal(t, test.want != "", ok)
			assert.Empty(t, compareParsers([]byte(test.text)))
			if ok {
				assert.Equal(t, test.want, firstScalar(root).Value)
			}
		})
	}
}

// firstScalar goes down the first values to one that is a scalar.
func firstScalar(node *yaml.Node) *yaml.Node {
	for len(node.Content) > 0 {
		first := 0
		if node.Kind == yaml.MappingNode {
			first = 1
		}
		node = node.Content[first]
	}
	return node
}

func TestParseKeepsTheLastOfEachKey(t *testing.T) {
	for _, text := range []string{"a: 1\nb: 2\na: 3\n", "{a: 1, 'b': 2, \"a\": 3}\n"} {
		root, ok := Parse(t.Context(), []byte(text))
		require.True(t, ok)
		var content []string
		for _, node := range root.Content {
			content = append(content, node.Value)
		}
		assert.Equal(t, []string{"a", "3", "b", "2"}, content)
		assert.Empty(t, compareParsers([]byte(text)))
	}
	_, ok := Parse(t.Context(), []byte("'<<': {a: 1}\n'<<': {b: 2}\n"))
	assert.False(t, ok, "may be a merge, which is for the general parser to tell")
}

func FuzzParse(f *testing.F) {
	for _, file := range manifestFiles(f) {
		stream, err := os.ReadFile(file)
		require.NoError(f, err)
		for _, text := range documentsOf(stream) {
			f.Add(text)
		}
	}
	for _, seed := range []string{
		"a: |\n\n  x\n   y\n\n  # z\nb:\n- |-\n  c\n- - d\n  -\n    e: f\n- 'g''h'\n- \"i\\\"j\\n\" # k\n",
		"a: {b: [c, \"d\", 'e'], \"f\":g, h: {}, i: a:b}\nj: []\nk: # l\nm:\n  n: ~\n",
		"a: <<\nb: '<<'\nc: [<<]\n",
		"a: b\n  c\n\n  d # e\nf: 'g\n\n  h''\n  '\ni: \"j\\\"\n k \\\n l\\n\n \\ m\"\nn: [\"o\n p\", 'q\n r']\ns:\n- t\n  u\n",
		"a: b\r\n  c\r\nd: \"e \t\r\n\r\n  f\\\r\n  g\"\r\na: |\r\n  h\r\n",
		"a\n b: c\n", "'a\n b': c\n", "{\"a\n b\": c, d: 'e\n f': g}\n", "? a\n  b\n: c\n", "a: b\n  # c\n  d\n", "a: 'b\u0085  c'\n", "a: 'b\n  \ufeffc'\n", "a: \"b\n---\n  c\"\n", "a: \"b\nc\"\n",
		"a: [0x2, 1_0, 0b10, 010, 1e3, .5, -0, 1.0, yes, Off, n, ~, 2001-01-01, 0o7, 0b-1, 18446744073709551615]\ntrue: 1\n",
		"a: 0x2\nb: 1_0\nc: 0644\nd: on\ne: .inf\nf: +.5\ng: 1.10\nh: -.INF\n",
		"a:\n- b\n- c: d\n  e:\n  - f\ng: -1\nh: :8080\ni: ?x\nj: a#b\nk: a #b\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		for _, text := range documentsOf(stream) {
			if difference := compareParsers(text); difference != "" {
				t.Fatalf("%s\n%q", difference, text)
			}
		}
	})
}

// compareParsers gives a difference between what both parsers make of a document, "" if Parse gives up.
func compareParsers(text []byte) string {
	fast, ok := Parse(context.Background(), text)
	if !ok {
		return ""
	}
	var general yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&general); err != nil {
		return "accepted, but " + err.Error()
	}
	if decoder.Decode(new(yaml.Node)) == nil {
		return "accepted, but there is a second document"
	}
	if difference := compareTrees(fast, general.Content[0]); difference != "" {
		return difference
	}
	decoded, err := decode(text)
	if err != nil {
		return "accepted, but " + err.Error()
	}
	return compareDecoded(fast, decoded)
}

// decode is how Kubernetes reads a document.
func decode(text []byte) (value any, err error) {
	lines := append(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")), '\n')
	err = k8syaml.Unmarshal(lines, &value, func(d *json.Decoder) *json.Decoder { d.UseNumber(); return d })
	return value, err
}

// compareDecoded gives a difference between a node and the value that Kubernetes reads. Where a mapping repeats a key the
// last one counts; keys are strings.
func compareDecoded(n *yaml.Node, value any) string {
	ok := false
	switch value := value.(type) {
	case nil:
		ok = n.Kind == yaml.ScalarNode && n.Tag == "!!null"
	case string:
		ok = n.Kind == yaml.ScalarNode && n.Tag == "!!str" && n.Value == value
	case bool:
		ok = n.Kind == yaml.ScalarNode && n.Tag == "!!bool" && n.Value == fmt.Sprint(value)
	case json.Number:
		ok = n.Kind == yaml.ScalarNode && (n.Tag == "!!int" || n.Tag == "!!float") && n.Value == value.String()
	case []any:
		ok = n.Kind == yaml.SequenceNode && len(n.Content) == len(value)
		for i := 0; ok && i < len(value); i++ {
			if difference := compareDecoded(n.Content[i], value[i]); difference != "" {
				return difference
			}
		}
	case map[string]any:
		last := make(map[string]*yaml.Node)
		for i := 0; i+1 < len(n.Content); i += 2 {
			last[n.Content[i].Value] = n.Content[i+1]
		}
		ok = n.Kind == yaml.MappingNode && len(last) == len(value)
		for key, below := range last {
			found, has := value[key]
			if !has {
				return fmt.Sprintf("no key %q in %v", key, value)
			}
			if difference := compareDecoded(below, found); difference != "" {
				return difference
			}
		}
	}
	if !ok {
		return fmt.Sprintf("%#v read as %+v", value, *n)
	}
	return ""
}

func compareTrees(fast, general *yaml.Node) string {
	const styles = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	isNull := general.Tag == "!!null"
	if general.Kind == yaml.MappingNode {
		general.Content = keepLast(general.Content)
	}
	switch {
	case fast.Kind != general.Kind, fast.Value != general.Value && (fast.Tag == "!!str" || fast.Style&styles != 0), fast.Style&styles != general.Style&styles,
		(fast.Tag == "!!null") != isNull, general.Anchor != "", len(fast.Content) != len(general.Content),
		(fast.Line != general.Line || fast.Column != general.Column) && !(isNull && fast.Value == ""):
		return fmt.Sprintf("%+v read as %+v", *general, *fast)
	}
	for i := range fast.Content {
		if difference := compareTrees(fast.Content[i], general.Content[i]); difference != "" {
			return difference
		}
	}
	return ""
}

// keepLast gives the entries of a mapping of which each key stands once: the last entry, in the place of the first.
func keepLast(entries []*yaml.Node) (kept []*yaml.Node) {
next:
	for i := 0; i < len(entries); i += 2 {
		for j := 0; j < len(kept); j += 2 {
			if kept[j].Value == entries[i].Value {
				kept[j], kept[j+1] = entries[i], entries[i+1]
				continue next
			}
		}
		kept = append(kept, entries[i], entries[i+1])
	}
	return kept
}
