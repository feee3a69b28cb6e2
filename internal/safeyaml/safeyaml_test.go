package safeyaml

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"

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

func TestYAMLThatExpands(t *testing.T) {
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
			var into map[string]any
			if err := Unmarshal("x.yaml", []byte(test.text), &into); test.tooLarge {
				assert.ErrorIs(t, err, errdef.ErrOutputTooLarge)
			} else {
				assert.NoError(t, err)
			}
		})
	}
}
