package helmtext

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestReason(t *testing.T) {
	for name, test := range map[string]struct {
		stderr, want string
		dryRun       bool
	}{
		"nothing":            {"", "", false},
		"one line":           {"Error: no luck\n", "no luck", false},
		"behind log lines":   {"level=WARN msg=x\nError: no\n\tluck\n", "no luck", false},
		"the last":           {"Error: first\nError: last\n", "last", false},
		"about a repository": {`Error: looks like "https://h" is not a valid chart repository or cannot be reached: no luck`, "no luck", false},
		"noise":              {"Error: no luck\n\nUse --debug flag to render out invalid YAML\n", "no luck", false},
		"an install":         {"Error: INSTALLATION FAILED: no luck", "INSTALLATION FAILED: no luck", false},
		"a dry run":          {"Error: INSTALLATION FAILED: no luck", "no luck", true},
		"an upgrade's":       {"Error: UPGRADE FAILED: no luck", "no luck", true},
		"its chart's words":  {"Error: execution error at (a): UPGRADE FAILED: no", "execution error at (a): UPGRADE FAILED: no", true},
		"long": {"Error: " + strings.Repeat("a", 400) + strings.Repeat("b", 400),
			strings.Repeat("a", 300) + " … " + strings.Repeat("b", 300), false},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, test.want, Reason(test.stderr, test.dryRun)) })
	}
}
