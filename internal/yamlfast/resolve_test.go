package yamlfast

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every short text of the characters that matter is a float exactly if the expression of YAML's float says so.
func TestIsFloat(t *testing.T) {
	float := regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)
	var try func(text string, more int)
	try = func(text string, more int) {
		require.Equal(t, float.MatchString(text), isFloat(text), "%q", text)
		if more > 0 {
			for _, c := range []string{"0", "9", ".", "-", "+", "e", "E", "x"} {
				try(text+c, more-1)
			}
		}
	}
	try("", 6)
}
