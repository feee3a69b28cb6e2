package chart

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReadCapabilities(t *testing.T) {
	for _, test := range []struct {
		name  string
		files map[string]string
		user  string
		want  Capabilities
	}{
		{"a chart that asks for nothing", map[string]string{"templates/a.yaml": `apiVersion: "apps/v1"`}, "", Capabilities{}},
		{"APIs in all kinds of quotes", map[string]string{
			"templates/a.yaml":      "{{ if .Capabilities.APIVersions.Has \"policy/v1\" }}",
			"templates/deep/_h.tpl": "{{ .Has `acme.io/v1beta1/Web` }} {{ 'v1/Pod' }} {{ \"policy/v1\" }}",
		}, "", Capabilities{Read: true, APIs: []string{"acme.io/v1beta1/Web", "policy/v1", "v1/Pod"}}},
		{"what is no API", map[string]string{"templates/a.yaml": `{{ .Capabilities.KubeVersion.Version }} "v1" "a/b/v1" "acme/web:v1" "Acme.io/v1" "acme.io/v1/web" apps/v1`}, "",
			Capabilities{Read: true}},
		{"a subchart", map[string]string{"charts/sub/Chart.yaml": "name: sub\nversion: 1.0.0\n", "charts/sub/templates/a.yaml": `{{ $.Capabilities }} "batch/v1"`}, "",
			Capabilities{Read: true, APIs: []string{"batch/v1"}}},
		{"the values of a chart", map[string]string{"values.yaml": `extra: '{{ .Capabilities.APIVersions.Has "batch/v1" }}'`}, "",
			Capabilities{Read: true, APIs: []string{"batch/v1"}}},
		{"the values of the user", nil, `{"extra": "{{ .Capabilities.APIVersions.Has 'batch/v1' }}"}`, Capabilities{Read: true, APIs: []string{"batch/v1"}}},
		{"other files", map[string]string{"README.md": `.Capabilities "batch/v1"`, "files/a.yaml": `.Capabilities "batch/v1"`}, "", Capabilities{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			files := map[string]string{"Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\n"}
			for name, text := range test.files {
				files[name] = text
			}
			for name, text := range files {
				file := filepath.Join(dir, filepath.FromSlash(name))
				require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
				require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
			}
			got, err := ReadCapabilities(dir, Options{}, []byte(test.user))
			require.NoError(t, err)
			assert.Equal(t, test.want, got)
		})
	}
	_, err := ReadCapabilities(filepath.Join(t.TempDir(), "none"), Options{})
	require.ErrorIs(t, err, ErrNotFound)
}
