package out

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// hostile are texts that a terminal, a browser or a reader of YAML could take for something else.
var hostile = []string{
	"\x1b[31mred", "\x1b]0;title\a", "a\rb", "a\nb", "a\tb", "\u202edrow", "\u2028", "\u0085", "\ufeff", "\u200b", "\U000e0041", "\x7f", "\u009b31m",
	"\x00", "'", `"`, `\`, "#", ": ", "- a", "a: b", "yes", "NO", "on", "~", "null", "0x1f", "1_000", "1:30", "010", ".5", "=", "<<", "", " a", "a ", "|", ">",
	"&a", "*a", "!a", "%a", "@a", "`a", "{a", "[a", "a #b", "a\n\nb\n", "\n", "---", "...", "? a", "\u3164", "\u115f", "\ufe0f", "\U000e0101", "\u034f", "2001-01-01", "+1", "百度", "e\u0301",
}

func TestLine(t *testing.T) {
	for text, want := range map[string]string{
		"\x1b[31mred\n":     `\x1b[31mred\n`,
		"\u202edrow":        `\u202edrow`,
		"\xff":              `\xff`,
		"\ufffd":            "\ufffd",
		"\U000e0041":        `\U000e0041`,
		"百度 e\u0301 \u00a0": "百度 e\u0301 \u00a0",
		"a\u3164b\ufe0f":    `a\u3164b\ufe0f`,
	} {
		assert.Equal(t, want, Line(text))
	}
	assert.Equal(t, "a\n\tb\\r", Lines("a\n\tb\r"))
}

// What a program reads is what was said, and nothing in it can be obeyed by a terminal.
func TestDataIsExactAndSafe(t *testing.T) {
	type document struct {
		Texts []string          `json:"texts"`
		Keys  map[string]string `json:"keys"`
		N     int64             `json:"n"`
		F     float64           `json:"f"`
		Empty []string          `json:"empty"`
	}
	want := document{Texts: hostile, Keys: map[string]string{}, N: 12345678901234567, F: 1.5, Empty: []string{}}
	for _, text := range hostile {
		want.Keys[text] = text
	}
	for name, write := range map[string]func(any) ([]byte, error){"JSON": JSON, "YAML": YAML} {
		text, err := write(want)
		require.NoError(t, err)
		assert.Equal(t, string(text), Lines(string(text)), name)
		var got document
		if name == "JSON" {
			require.NoError(t, json.Unmarshal(text, &got))
		} else {
			require.NoError(t, yaml.Unmarshal(text, &got), "%s", text)
		}
		assert.Equal(t, want, got, name)
	}
}

func FuzzData(f *testing.F) {
	for _, text := range hostile {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.ToValidUTF8(text, "?")
		written, err := YAML(map[string]string{"a": text})
		require.NoError(t, err)
		var got map[string]string
		require.NoError(t, yaml.Unmarshal(written, &got), "%s", written)
		assert.Equal(t, text, got["a"], "%s", written)
		assert.Equal(t, string(written), Lines(string(written)))
	})
}

func TestTable(t *testing.T) {
	var p Page
	p.Line("%s has %d", "a\x1b[2J", 2)
	p.Head("NAME", "IS")
	p.Row("百度", Bad.In("gone\x1b"))
	p.Row("b", "")
	p.Row("longer", 3)
	assert.Equal(t, "a\\x1b[2J has 2\n\nNAME    IS\n百度    gone\\x1b\nb\nlonger  3\n", p.String())

	p = Page{colour: true}
	p.Row("a", Bad.In("gone\x1b[0m"))
	assert.Equal(t, "a  \x1b[31mgone\\x1b[0m\x1b[0m\n", p.String())
}

func TestLive(t *testing.T) {
	var stdout, stderr bytes.Buffer
	p := Printer{Stdout: &stdout, Stderr: &stderr, Terminal: true, Width: 20}
	p.Live(3*time.Second, "%d of %d", 1, 2)
	p.Live(4*time.Second, "2 of 2; much\n more than fits")
	p.Say("a line")
	p.Done()
	assert.Equal(t, "3s  1 of 2"+"\r          \r"+"4s  2 of 2; much\\n…"+"\r                   \r"+"a line\n"+"4s  2 of 2; much\\n…"+"\r                   \r", stderr.String())

	stderr.Reset()
	p = Printer{Stdout: &stdout, Stderr: &stderr}
	for i := range 3 {
		p.Live(time.Duration(i)*time.Second, "1 of 2\x1b")
	}
	p.Live(9*time.Second, "2 of 2")
	p.Done()
	assert.Equal(t, "1 of 2\\x1b\n2 of 2\n", stderr.String(), "one line for each change")
}
