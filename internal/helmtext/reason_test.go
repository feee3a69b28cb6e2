package helmtext

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestReason(t *testing.T) {
	for name, test := range map[string]struct{ stderr, want string }{
		"nothing":            {"", ""},
		"one line":           {"Error: no luck\n", "no luck"},
		"behind log lines":   {"level=WARN msg=x\nError: no\n\tluck\n", "no luck"},
		"the last":           {"Error: first\nError: last\n", "last"},
		"about a repository": {`Error: looks like "https://h" is not a valid chart repository or cannot be reached: no luck`, "no luck"},
		"noise":              {"Error: no luck\n\nUse --debug flag to render out invalid YAML\n", "no luck"},
		"long": {"Error: " + strings.Repeat("a", 400) + strings.Repeat("b", 400),
			strings.Repeat("a", 300) + " … " + strings.Repeat("b", 300)},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, test.want, Reason(test.stderr)) })
	}
}
