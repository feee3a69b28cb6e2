package setvalues

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type (
	object = map[string]any
	list   = []any
)

func TestSet(t *testing.T) {
	for _, test := range []struct {
		text string
		want object
	}{
		{"", object{}},
		{"a=1", object{"a": int64(1)}},
		{"a=1,b=two,", object{"a": int64(1), "b": "two"}},
		{"a=", object{"a": ""}},
		{"a=,b=1", object{"a": "", "b": int64(1)}},
		{"a=TRUE,b=False,c=null,d=0,e=007,f=-3,g=1.5,h=+4", object{"a": true, "b": false, "c": nil, "d": int64(0), "e": "007", "f": int64(-3), "g": "1.5", "h": int64(4)}},
		{"a.b.c=x,a.d=y", object{"a": object{"b": object{"c": "x"}, "d": "y"}}},
		{`a\.b=x\,y,c=\{`, object{"a.b": "x,y", "c": "{"}},
		{"a=b=c", object{"a": "b=c"}},
		{"a={x,1,true},b=2", object{"a": list{"x", int64(1), true}, "b": int64(2)}},
		{"a={}", object{"a": list{""}}},
		{"a={x}b=2", object{"a": list{"x"}, "b": int64(2)}},
		{"a[0]=x,a[2]=z", object{"a": list{"x", nil, "z"}}},
		{"a[0].b=1,a[0].c=2,a[1].b=3", object{"a": list{object{"b": int64(1), "c": int64(2)}, object{"b": int64(3)}}}},
		{"a[1][0]=x,a[1][1]={y,z}", object{"a": list{nil, list{"x", list{"y", "z"}}}}},
		{"a[0]=x,a[0].b=1", object{"a": list{object{"b": int64(1)}}}},
		{"a=1,a=2", object{"a": int64(2)}},
		{" a = b ", object{" a ": " b "}},
	} {
		values := object{}
		require.NoError(t, Set(values, test.text, Typed), test.text)
		assert.Equal(t, test.want, values, test.text)
	}
}

func TestSetOverFiles(t *testing.T) {
	values := object{"list": list{"a", "b"}, "map": object{"kept": 1, "changed": 2}}
	require.NoError(t, Set(values, "list[1]=x,list[3]=y,map.changed=3", Typed))
	assert.Equal(t, object{"list": list{"a", "x", nil, "y"}, "map": object{"kept": 1, "changed": int64(3)}}, values)
	require.NoError(t, Set(values, "list=1", Text))
	assert.Equal(t, "1", values["list"])
}

func TestRefused(t *testing.T) {
	for text, want := range map[string]string{
		"a":                              "no value",
		"a,b=1":                          "no value",
		"=1":                             "empty key",
		"a..b=1":                         "empty key",
		"a[x]=1":                         "an index is a number",
		"a[-1]=1":                        "an index is a number",
		"a[70000]=1":                     "an index is a number",
		"a[0":                            "an index is a number",
		"a[0]b=1":                        "follows the index",
		"a[0]":                           "no value",
		"a={x":                           "ends with }",
		"a=1,a.b=2":                      "not a mapping",
		"a=null,a.b=2":                   "not a mapping",
		"a=1,a[0]=2":                     "not a list",
		"a[0]=1,a[0][0]=2":               "not a list",
		strings.Repeat("a.", 40) + "a=1": "nested deeper",
	} {
		assert.ErrorContains(t, Set(object{}, text, Typed), want, text)
	}
	unreadable := func(string) (any, error) { return nil, errors.New("no such file") }
	assert.ErrorContains(t, Set(object{}, "a.b={f}", unreadable), "a.b: no such file")
}

func TestInexact(t *testing.T) {
	assert.Equal(t, []int64{-1000000, 12345678}, Inexact(object{"a": list{int64(12345678), int64(999999), "1000000"}, "b": object{"c": int64(-1000000)}}))
}

func FuzzSet(f *testing.F) {
	f.Add("a.b[0].c={x,y},d=1")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) < 200 && !strings.Contains(text, "[") {
			_ = Set(object{}, text, Typed)
		}
	})
}
