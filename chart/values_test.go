package chart

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/sut-bench/helmexec/internal/safeyaml"
)

func ExampleValues_Merge() {
	defaults := Values{
		"image":    map[string]any{"repository": "demo", "tag": "1.0"},
		"args":     []any{"--verbose"},
		"affinity": map[string]any{"zone": "a"},
	}
	merged := defaults.Merge(Values{
		"image":    map[string]any{"tag": "2.0"},  // maps merge
		"args":     []string{"--quiet", "--once"}, // lists replace
		"affinity": nil,                           // null deletes
	})
	fmt.Println(merged)
	// Output: map[args:[--quiet --once] image:map[repository:demo tag:2.0]]
}

// The expected results are those of Helm 4.3's CoalesceValues.
func TestValuesMerge(t *testing.T) {
	tests := []struct{ name, defaults, over, want string }{
		{"nothing", `{}`, `{}`, `{}`},
		{"defaults alone", `{a: 1, b: {c: [1]}}`, `{}`, `{a: 1, b: {c: [1]}}`},
		{"over alone", `{}`, `{a: 1, b: {c: [1]}}`, `{a: 1, b: {c: [1]}}`},
		{"maps merge deeply", `{a: {b: {c: 1, d: 2}}}`, `{a: {b: {d: 3, e: 4}}}`, `{a: {b: {c: 1, d: 3, e: 4}}}`},
		{"lists replace", `{a: [1, 2, 3]}`, `{a: [4]}`, `{a: [4]}`},
		{"an empty list replaces", `{a: [1]}`, `{a: []}`, `{a: []}`},
		{"an empty map changes nothing", `{a: {b: 1}}`, `{a: {}}`, `{a: {b: 1}}`},
		{"scalar over map", `{a: {b: 1}}`, `{a: x}`, `{a: x}`},
		{"map over scalar", `{a: x}`, `{a: {b: 1}}`, `{a: {b: 1}}`},
		{"list over map", `{a: {b: 1}}`, `{a: [1]}`, `{a: [1]}`},
		{"map over list", `{a: [1]}`, `{a: {b: 1}}`, `{a: {b: 1}}`},
		{"false and zero replace", `{a: true, b: 3, c: x}`, `{a: false, b: 0, c: ""}`, `{a: false, b: 0, c: ""}`},
		{"null deletes", `{a: 1, b: 2}`, `{a: null}`, `{b: 2}`},
		{"null deletes a map", `{a: {b: 1}}`, `{a: null}`, `{}`},
		{"null deletes at depth", `{a: {b: {c: 1, d: 2}}}`, `{a: {b: {c: null}}}`, `{a: {b: {d: 2}}}`},
		{"null for no default stays", `{}`, `{a: null}`, `{a: null}`},
		{"null for no default stays at depth", `{a: {b: 1}}`, `{a: {c: null}}`, `{a: {b: 1, c: null}}`},
		{"null in a map without a default stays", `{}`, `{a: {b: null}}`, `{a: {b: null}}`},
		{"null in a map over a scalar stays", `{a: 1}`, `{a: {b: null}}`, `{a: {b: null}}`},
		{"null of the defaults goes", `{a: null, b: {c: null, d: {e: null}}}`, `{}`, `{b: {d: {}}}`},
		{"null of the defaults goes from a merged map", `{a: {b: null, c: 1}}`, `{a: {d: 2}}`, `{a: {c: 1, d: 2}}`},
		{"null of the defaults is replaced", `{a: null, b: {c: null}}`, `{a: 1, b: {c: 2}}`, `{a: 1, b: {c: 2}}`},
		{"null on both sides", `{a: null, b: {c: null}}`, `{a: null, b: {c: null}}`, `{b: {c: null}}`},
		{"null in a list is kept", `{a: [null, {b: null}]}`, `{}`, `{a: [null, {b: null}]}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			defaults, over := mustParse(t, tt.defaults), mustParse(t, tt.over)
			got := defaults.Merge(over)
			assert.Equal(t, mustParse(t, tt.want), got)
			assert.Equal(t, mustParse(t, tt.defaults), defaults, "the defaults are not modified")
			assert.Equal(t, mustParse(t, tt.over), over, "over is not modified")
		})
	}
}

func mustParse(t *testing.T, text string) Values {
	t.Helper()
	values, err := parseValues("test", []byte(text))
	require.NoError(t, err)
	return values
}

func TestValuesMergeSharesNothing(t *testing.T) {
	defaults := Values{"map": map[string]any{"list": []any{map[string]any{"a": "1"}}}}
	over := Values{"typed": map[string][]string{"x": {"y"}}, "nested": Values{"a": []any{"b"}}}
	got := defaults.Merge(over)
	got["map"].(map[string]any)["list"].([]any)[0].(map[string]any)["a"] = "changed"
	got["typed"].(map[string]any)["x"].([]any)[0] = "changed"
	got["nested"].(map[string]any)["a"].([]any)[0] = "changed"

	assert.Equal(t, Values{"map": map[string]any{"list": []any{map[string]any{"a": "1"}}}}, defaults)
	assert.Equal(t, Values{"typed": map[string][]string{"x": {"y"}}, "nested": Values{"a": []any{"b"}}}, over)
}

func TestValuesMergeOfGoTypes(t *testing.T) {
	type resources struct {
		CPU string `json:"cpu"`
	}
	defaults := Values{"image": map[string]any{"tag": "1", "repository": "demo"}, "labels": map[string]any{"a": "b"}, "args": []any{"x"}}
	got := defaults.Merge(Values{
		"image":     map[string]string{"tag": "2"},
		"resources": &resources{CPU: "1"},
		"labels":    map[string]string(nil),
		"args":      []string(nil),
		"until":     time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC),
		"wait":      time.Second,
		"small":     int8(3),
	})
	assert.Equal(t, Values{
		"image":     map[string]any{"tag": "2", "repository": "demo"},
		"resources": map[string]any{"cpu": "1"},
		"labels":    map[string]any{"a": "b"},
		"args":      []any{},
		"until":     "2025-01-02T03:04:05Z",
		"wait":      int64(1e9),
		"small":     int64(3),
	}, got)
}

func TestValuesOverlay(t *testing.T) {
	got := mustParse(t, `{a: {b: 1, c: 2}, d: 3, e: {f: 1}}`)
	got.overlay(mustParse(t, `{a: {b: null}, d: null, e: 4, g: {h: null}}`))
	assert.Equal(t, mustParse(t, `{a: {b: null, c: 2}, d: null, e: 4, g: {h: null}}`), got, "nulls stay: they are meant for the chart")
}

func TestParseValues(t *testing.T) {
	tests := []struct {
		name, text string
		want       Values
	}{
		{"empty", "", Values{}},
		{"comments", "# nothing\n\n# here\n", Values{}},
		{"null", "null\n", Values{}},
		{"byte order mark", "\xef\xbb\xbfa: 1\n", Values{"a": int64(1)}},
		{"line ends of Windows", "a: 1\r\nb: 2\r\n", Values{"a": int64(1), "b": int64(2)}},
		{"yaml 1.1", "a: yes\nb: 0777\nc: 1_000\n", Values{"a": true, "b": int64(511), "c": int64(1000)}},
		{"numbers", "a: 12345678901234567\nb: 1000000\nc: 1e6\nd: 1.5\ne: 18446744073709551615\nf: -9223372036854775808\n",
			Values{"a": int64(12345678901234567), "b": int64(1000000), "c": int64(1000000), "d": 1.5,
				"e": uint64(math.MaxUint64), "f": int64(math.MinInt64)}},
		{"number as text", `a: "12345678901234567890123"`, Values{"a": "12345678901234567890123"}},
		{"the last of two keys wins", "a: 1\nb: 2\na: 3\n", Values{"a": int64(3), "b": int64(2)}},
		{"keys that are no text", "1: a\ntrue: b\n", Values{"1": "a", "true": "b"}},
		{"anchors", "a: &x {b: 1}\nc: *x\nd: {<<: *x, e: 2}\n", Values{"a": map[string]any{"b": int64(1)},
			"c": map[string]any{"b": int64(1)}, "d": map[string]any{"b": int64(1), "e": int64(2)}}},
		{"documents", "--- # one\na: {b: 1}\n---\n---\n\n---\n{a: {c: 2}}\n...\n", Values{"a": map[string]any{"b": int64(1), "c": int64(2)}}},
		{"no separators", "a: |\n  ---\n  x\nb: 1\n", Values{"a": "---\nx\n", "b": int64(1)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseValues("values", []byte(tt.text))
			require.NoError(t, err)
			assert.Equal(t, tt.want, got)
		})
	}
}

func TestParseValuesRefuses(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	tests := []struct {
		name, text string
		kind       error
		says       string
	}{
		{"not a mapping", "- a\n", ErrInvalid, "values.yaml: it is a list: want a mapping"},
		{"text", "hello\n", ErrInvalid, "values.yaml: it is a text: want a mapping, such as key: value"},
		{"not yaml", "a: [1\n", ErrInvalid, "line"},
		{"text behind a marker", "a: 1\n--- {b: 2}\n", ErrInvalid, "line 2: text behind ---"},
		{"a key that begins like a marker", "a: 1\n---b: 2\n", ErrInvalid, "text behind ---"},
		{"text behind the end", "a: 1\n...\nb: 2\n", ErrInvalid, "text behind the end"},
		{"a directive", "%YAML 1.1\n---\na: 1\n", ErrInvalid, "document start"},
		{"infinity", "a: .inf\n", ErrInvalid, "unsupported value"},
		{"an anchor in itself", "a: &x [*x]\n", ErrInvalid, "contains itself"},
		{"too large", "a: " + strings.Repeat("x", safeyaml.MaxSize), ErrTooLarge, "1048576"},
		{"billion laughs", "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + laughs(9), ErrTooLarge, "aliases expand"},
		// 100 KB of text repeated 100,000 times: few nodes, ten gigabytes
		{"a long text repeated", "a: &a " + long + "\nb: [" + strings.Repeat("*a,", 100_000) + "]\n", ErrTooLarge, "aliases expand"},
		{"in the second document", "a: 1\n---\na: &a " + long + "\nb: [" + strings.Repeat("*a,", 1000) + "]\n", ErrTooLarge, "aliases expand"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "values.yaml")
			require.NoError(t, os.WriteFile(file, []byte(tt.text), 0o600))
			_, err := readFile(file)
			require.ErrorIs(t, err, tt.kind)
			assert.ErrorContains(t, err, tt.says)
		})
	}
}

// laughs continues the list a with lists b, c, … that each contain the one before ten times.
func laughs(depth int) string {
	var b strings.Builder
	for c := 'b'; c < 'b'+rune(depth); c++ {
		fmt.Fprintf(&b, "%c: &%c [%s]\n", c, c, strings.Repeat(fmt.Sprintf("*%c,", c-1), 10))
	}
	return b.String()
}

// Helm reads the values as they were meant (with yaml.Unmarshal, in Helm 3 and 4).
func TestValuesEncode(t *testing.T) {
	odd := Values{
		"text": []any{"no", "1e3", "0x10", "~", "", " a ", "---", "a\n---\nb", "\x00\x01\x7f\u0080\u0085\u2028\ufeff\uffff", "<&>", "名字", "😀", "{{ .Values }}", "*a", "2001-01-01", "1:30"},
		"yes":  true,
		"<<":   map[string]any{"a": "b"},
		"null": nil,
		"num":  []any{int64(12345678901234567), int64(math.MinInt64), uint64(math.MaxUint64), 1.5, 1e300, 1e-7},
	}
	text, err := odd.JSON()
	require.NoError(t, err)
	assert.Equal(t, 1, strings.Count(string(text), "\n"))
	assert.True(t, strings.HasSuffix(string(text), "\n"))

	var helms map[string]any
	require.NoError(t, yaml.Unmarshal(text, &helms))
	assert.Equal(t, odd["text"], helms["text"])
	assert.Equal(t, odd["<<"], helms["<<"])
	assert.Contains(t, helms, "null")

	ours, err := parseValues("encoded", text)
	require.NoError(t, err)
	assert.Equal(t, odd, ours)

	again, err := odd.JSON()
	require.NoError(t, err)
	assert.Equal(t, text, again, "deterministic")
}

// Numbers stay exact from a chart's values through Merge to helm's stdin.
func TestValuesKeepNumbers(t *testing.T) {
	chart := mustParse(t, "id: 12345678901234567\nport: 1000000\nbig: 18446744073709551615\nratio: 0.1\nzip: \"01234\"\n")
	text, err := chart.Merge(Values{"mine": int64(9007199254740993), "count": 1000000, "f": 1e6}).JSON()
	require.NoError(t, err)
	assert.Equal(t, `{"big":18446744073709551615,"count":1000000,"f":1000000,"id":12345678901234567,`+
		`"mine":9007199254740993,"port":1000000,"ratio":0.1,"zip":"01234"}`+"\n", string(text))
}

func TestValuesEncodeRefuses(t *testing.T) {
	for _, value := range []any{math.NaN(), math.Inf(1), make(chan int), func() {}, map[any]any{1: 2}} {
		_, err := Values{"a": []any{value}}.JSON()
		assert.ErrorIs(t, err, ErrInvalid, "%T", value)
	}
	text, err := Values(nil).JSON()
	require.NoError(t, err)
	assert.Equal(t, "{}\n", string(text))
}

func FuzzParseValues(f *testing.F) {
	for _, seed := range []string{"a: 1", "a: &x {b: *x}", "---\n--- {}\n", "a: &a [x]\nb: [*a,*a]\n", "<<: {a: 1}", "? a\n: b\n", "a: 1e309"} {
		f.Add(seed, "a: {b: null}")
	}
	f.Fuzz(func(t *testing.T, text, over string) {
		if len(text) > 1000 {
			return // YAML has no key of more than 1024 characters in a flow mapping, and encode writes them so
		}
		values, err := parseValues("fuzz", []byte(text))
		if err != nil {
			return
		}
		encoded, err := values.JSON()
		require.NoError(t, err)
		again, err := parseValues("fuzz", encoded)
		require.NoError(t, err)
		require.Equal(t, values, again, "what is read survives encode")
		other, err := parseValues("over", []byte(over))
		if err != nil {
			return
		}
		for key, value := range values.Merge(other) {
			if wanted, given := other[key]; given {
				require.Equal(t, value == nil, wanted == nil, "what is given is there")
			} else {
				require.NotNil(t, value, "no null comes from the defaults")
			}
		}
		after, err := values.JSON()
		require.NoError(t, err)
		require.Equal(t, encoded, after, "the defaults are not modified")
	})
}
