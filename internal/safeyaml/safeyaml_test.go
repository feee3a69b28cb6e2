package safeyaml

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/internal/errdef"
)

// inUTF16 gives a text with two bytes a character.
func inUTF16(text string) string {
	out := []byte{0xff, 0xfe}
	for _, unit := range utf16.Encode([]rune(text)) {
		out = append(out, byte(unit), byte(unit>>8))
	}
	return string(out)
}

func TestTextsThatExpand(t *testing.T) {
	bomb := "a: &a [" + strings.Repeat("x, ", 50) + "]\nb: &b [" + strings.Repeat("*a, ", 50) + "]\nc: [" + strings.Repeat("*b, ", 50) + "]\n"
	tags := ""
	for i := range 2 * maxDirectives {
		tags += fmt.Sprintf("%%TAG !%d! tag:x%d\n", i, i)
	}
	for _, test := range []struct {
		name, text string
		tooLarge   bool
	}{
		{"aliases of aliases", bomb, true},
		{"in UTF-16", inUTF16(bomb), true},
		{"behind a byte order mark", "\ufeff" + bomb, true},
		{"marks of aliases in texts", "a: R&D *b* & *c\n", false},
		{"some aliases", "a: &a {b: c}\nd: [*a, *a, *a]\n", false},
		{"UTF-16", inUTF16("a: ä\n"), false},
		{"directives", "%YAML 1.1\n%TAG ! tag:x\n---\na: b\n", false},
		{"very many directives", tags + "---\na: b\n", true},
		{"very many directives in UTF-16", inUTF16(tags + "---\na: b\n"), true},
		{"very many directives on lines of their own break", strings.ReplaceAll(tags, "\n", "\r") + "---\na: b\n", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var value any
			_, parseErr := NewReading(t.Context(), len(test.text)).Parse([]byte(test.text))
			for _, err := range []error{Unmarshal("a text", []byte(test.text), &value), parseErr} {
				if test.tooLarge {
					assert.ErrorIs(t, err, errdef.ErrOutputTooLarge)
				} else {
					assert.NoError(t, err)
				}
			}
		})
	}
}

func TestUnmarshal(t *testing.T) {
	var value any
	require.NoError(t, Unmarshal("a text", []byte("a: 12345678901234567\nb: yes\na: 2\n"), &value))
	assert.Equal(t, map[string]any{"a": json.Number("2"), "b": true}, value)

	err := Unmarshal("a text", []byte("a: "+strings.Repeat("x", MaxFileSize)), &value)
	require.ErrorIs(t, err, errdef.ErrOutputTooLarge)
	assert.ErrorContains(t, err, "a text has 1048579 bytes")
	assert.ErrorContains(t, Unmarshal("a text", []byte("a: ["), &value), "a text: ")
}

func TestSplit(t *testing.T) {
	for _, test := range []struct {
		name, stream string
		want         []string
	}{
		{"one", "a: 1\n", []string{"a: 1\n"}},
		{"two", "a: 1\n---\nb: 2\n", []string{"a: 1\n", "---\nb: 2\n"}},
		{"beside the marker", "--- a: 1\n--- {b: 2}", []string{"--- a: 1\n", "--- {b: 2}"}},
		{"nothing between", "a: 1\n---\n# no\n---\nb: 2\n", []string{"a: 1\n", "---\nb: 2\n"}},
		{"no marker without white space", "a: 1\n---b\n", []string{"a: 1\n---b\n"}},
		{"nothing", "---\n# no\n", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, document := range Split([]byte(test.stream)) {
				got = append(got, string(document))
			}
			assert.Equal(t, test.want, got)
		})
	}
}
