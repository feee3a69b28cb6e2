package safeyaml

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestDocuments(t *testing.T) {
	for _, test := range []struct {
		name, stream string
		want         []string // "start/line: text", with the refusal in front
	}{
		{"one", "a: 1\n", []string{"1/1: a: 1\n"}},
		{"marker first", "---\na: 1\n", []string{"1/2: a: 1\n"}},
		{"two", "a: 1\n---\nb: 2\n", []string{"1/1: a: 1\n", "2/3: b: 2\n"}},
		{"comments alone", "a: 1\n---\n# nothing\n---\nb: 2", []string{"1/1: a: 1\n", "4/5: b: 2"}},
		{"a comment beside the marker", "--- # b\nb: 2\n---#c\nc: 3\n", []string{"1/2: b: 2\n", "3/4: c: 3\n"}},
		{"white space beside the marker", "--- \t\r\nb: 2\n", []string{"1/2: b: 2\n"}},
		{"end marker", "a: 1\n...\n# b\n... # c\n---\nc: 2\n", []string{"1/1: a: 1\n", "5/6: c: 2\n"}},
		{"dots that end nothing", "a: 1\n...x\n", []string{"1/1: a: 1\n...x\n"}},
		{"carriage returns", "a: 1\r\n---\r\nb: 2\r\n...\r\n", []string{"1/1: a: 1\r\n", "2/3: b: 2\r\n"}},
		{"a byte order mark", "\ufeff---\na: 1\n", []string{"1/2: a: 1\n"}},
		{"a byte order mark without a marker", "\ufeffa: 1\n---\n", []string{"1/1: \ufeffa: 1\n"}},
		{"a byte order mark alone", "\ufeff\n---\na: 1\n", []string{"2/3: a: 1\n"}},
		{"a byte order mark before a marker in between", "a: 1\n\ufeff---\nb: 2\n", []string{"1/1: a: 1\n\ufeff---\nb: 2\n"}},
		{"a directive", "%YAML 1.1\n---\na: 1\n", []string{"1/1: %YAML 1.1\n", "2/3: a: 1\n"}},
		{"a marker in a block scalar", "a: |\n  x\n  ---\n  y\n---\nb: 2\n", []string{"1/1: a: |\n  x\n  ---\n  y\n", "5/6: b: 2\n"}},
		{"a marker at the end", "a: 1\n---", []string{"1/1: a: 1\n"}},
		{"empty", "", nil},
		{"markers alone", "---\n---\n...\n", nil},

		{"content beside the marker", "--- {a: 1}\n---\nb: 2\n", []string{"text behind ---/1/1:  {a: 1}\n", "2/3: b: 2\n"}},
		{"no space behind the dashes", "a: 1\n---b: 2\n----\n", []string{"1/1: a: 1\n", "text behind ---/2/2: b: 2\n", "text behind ---/3/3: -\n"}},
		{"a line break in the comment beside a marker", "--- # x\rb: 2\n", []string{"text behind ---/1/1:  # x\rb: 2\n"}},
		{"a line break in a comment", "# x\rb: 2\n", []string{"1/1: # x\rb: 2\n"}},
		{"a byte order mark behind a marker", "---\n\ufeffa: 1\n---\n\ufeff\n", []string{"a byte order ma/1/2: \ufeffa: 1\n", "a byte order ma/3/4: \ufeff\n"}},
		{"a byte order mark before and behind a marker", "\ufeff---\n\ufeffa: 1\n", []string{"a byte order ma/1/2: \ufeffa: 1\n"}},
		{"text behind the end", "a: 1\n...\nb: 2\n---\nc: 3\n", []string{"text behind the/1/1: a: 1\n", "4/5: c: 3\n"}},
		{"text on the line of the end", "a: 1\n... b\n", []string{"text behind the/1/1: a: 1\n"}},
		{"text behind the end of nothing", "...\nb: 2\n", []string{"text behind the/1/1: "}},
		{"other white space beside the marker", "---\u0085\nb: 2\n", []string{"text behind ---/1/1: \u0085\nb: 2\n"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for doc := range Documents([]byte(test.stream)) {
				refused := ""
				if doc.Refused != nil {
					refused = doc.Refused.Error()[:len("text behind ---")] + "/"
				}
				got = append(got, fmt.Sprintf("%s%d/%d: %s", refused, doc.Start, doc.Line, doc.Text))
				assert.Equal(t, string(doc.Text), test.stream[doc.Offset:doc.Offset+len(doc.Text)])
			}
			assert.Equal(t, test.want, got)
		})
	}
}
