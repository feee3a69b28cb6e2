package argument

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sut-bench/helmexec/internal/errdef"
)

// The module e2e compares with Kubernetes itself.
func TestSelector(t *testing.T) {
	for _, text := range []string{
		"", " ", "a", "!a", "! a", "a=", "a=,b", "a=b", "a==b", "a != b", "example.com/a_1.x=b", "a in (b)", "a in (b, c),d", "a notin (b)",
		"a in (,)", "a in ()", "a in (b,)", "a in (,b)", "a in (b,,c)", "in in (in)", "notin", "in", "a=in", "a>1", "a<1,b > 20", "a\t=\nb",
	} {
		assert.NoError(t, Selector(text), "%q", text)
	}
	for text, says := range map[string]string{
		"(((":                            `"(" is not the key`,
		"a=b,,c":                         `"," is not the key`,
		"a in (b":                        `"" where a comma or parenthesis`,
		"a in (b,":                       "not closed",
		"a in (b,,)":                     `")" is not the value`,
		"a in b":                         `"b" where a parenthesis`,
		"a in (b c)":                     `"c" where a comma or parenthesis`,
		"a,":                             "nothing follows",
		",a":                             `"," is not the key`,
		"a b":                            `"b" where an operator`,
		"!a=b":                           `"=" where a comma`,
		"!!a":                            `"!" is not the key`,
		"a===b":                          `"=" is not the value`,
		"a<=1":                           `"=" is not a number`,
		"a>x":                            `"x" is not a number`,
		"a>":                             `"" is not a number`,
		"a>-1":                           `"-1" is not the value`,
		"a=b)":                           `")" where a comma`,
		"a=-":                            `"-" is not the value`,
		"a..b/c":                         `"a..b/c" is not the key`,
		"a=" + strings.Repeat("b", 64):   "is not the value",
		strings.Repeat("a", 254) + "/b":  "is not the key",
		"a=é":                            "is not the value",
		"a\x00":                          "NUL",
		"a>99999999999999999999":         "is not a number",
		"--post-renderer=x":              `"--post-renderer" is not the key`,
		strings.Repeat("a", 64) + " = b": "is not the key",
	} {
		err := Selector(text)
		assert.ErrorIs(t, err, errdef.ErrInvalidArgument, "%q", text)
		assert.ErrorContains(t, err, says, "%q", text)
	}
}
