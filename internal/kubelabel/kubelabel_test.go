package kubelabel

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sut-bench/helmexec/internal/errdef"
)

func TestCheck(t *testing.T) {
	long := strings.Repeat("a", 63)
	for _, test := range []struct{ key, value, says string }{
		{"a", "", ""},
		{"example.com/Job_1.x", "7-a", ""},
		{long, long, ""},
		{long + "a", "b", "label key"},
		{"a", long + "b", "value"},
		{"a b", "c", `label key "a b"`},
		{"A_/b", "c", `label key "A_/b"`},
		{"/b", "c", `label key "/b"`},
		{"a/b/c", "d", `label key "a/b/c"`},
		{"", "c", `label key ""`},
		{"a", "-", `value "-" of label a`},
		{"a", "é", "value"},
	} {
		err := Check(map[string]string{test.key: test.value})
		if test.says == "" {
			assert.NoError(t, err, "%q", test)
			continue
		}
		assert.ErrorIs(t, err, errdef.ErrInvalidArgument, "%q", test)
		assert.ErrorContains(t, err, test.says)
	}
}
