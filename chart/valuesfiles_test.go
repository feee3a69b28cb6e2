package chart

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "values:prod.yaml")
	require.NoError(t, os.WriteFile(path, []byte("a: 1\n"), 0o600))
	got, err := readFile(path)
	require.NoError(t, err)
	assert.Equal(t, Values{"a": int64(1)}, got)

	large := filepath.Join(dir, "large.yaml")
	require.NoError(t, os.WriteFile(large, nil, 0o600))
	require.NoError(t, os.Truncate(large, 1<<40))
	_, err = readFile(large)
	require.ErrorIs(t, err, ErrTooLarge)

	for _, path := range []string{"", " ", "-", " - ", "http://127.0.0.1/v.yaml", "HTTPS://x/v", "http:x", "oci://x/y",
		"s3://bucket/v.yaml", "file:///etc/passwd", "git+ssh:x", "values:prod.yaml", " http://x/", dir, filepath.Join(dir, "missing")} {
		_, err := readFile(path)
		assert.ErrorIs(t, err, ErrInvalid, "%q", path)
	}
	for _, path := range []string{`C:\values.yaml`, "./values:prod.yaml", "values.yaml", "/a/b:c"} {
		assert.NoError(t, checkPath(path), path)
	}
}

func TestUserValues(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	a, b, comma := file("a.yaml", "x: {one: a, two: a}\nlist: [1, 2]\n"), file("b.yaml", "x: {two: b}\nlist: [3]\n"), file("c,d.yaml", "z: 1\n")
	for _, test := range []struct {
		name   string
		files  []string
		values Values
		want   string
	}{
		{"nothing", nil, nil, `{}`},
		{"empty values", nil, Values{}, `{}`},
		{"a later file over an earlier one", []string{a, b}, nil, `{"list":[3],"x":{"one":"a","two":"b"}}`},
		{"values over files", []string{a}, Values{"x": map[string]any{"two": "v"}}, `{"list":[1,2],"x":{"one":"a","two":"v"}}`},
		{"a null stays, to delete a default of the chart", []string{a}, Values{"x": nil}, `{"list":[1,2],"x":null}`},
		{"a comma in a path", []string{comma}, nil, `{"z":1}`},
		{"text that YAML takes for something else", nil, Values{"v": "1.10", "on": "yes", "n": "null"}, `{"n":"null","on":"yes","v":"1.10"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := UserValues(test.files, test.values)
			require.NoError(t, err)
			text, err := got.JSON()
			require.NoError(t, err)
			assert.Equal(t, test.want, strings.TrimSpace(string(text)))
		})
	}
	for name, files := range map[string][]string{
		"a URL":     {"https://values.example/x.yaml"},
		"missing":   {filepath.Join(dir, "nosuch.yaml")},
		"a list":    {file("list.yaml", "- a\n")},
		"no YAML":   {file("bad.yaml", "a: b: c")},
		"the stdin": {"-"},
	} {
		_, err := UserValues(files, nil)
		assert.ErrorIs(t, err, ErrInvalid, name)
	}
}
