package chart

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/internal/chartrepo"
)

// written writes files of a chart into a folder.
func written(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "top")
	for name, text := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	}
	return dir
}

func describing(name string, dependencies ...string) string {
	text := "apiVersion: v2\nname: " + name + "\nversion: 1.0.0\n"
	if len(dependencies) > 0 {
		text += "dependencies:\n- " + strings.Join(dependencies, "\n- ") + "\n"
	}
	return text
}

func TestDefaults(t *testing.T) {
	folder := written(t, map[string]string{
		"Chart.yaml": describing("top",
			"{name: db, condition: db.enabled}", "{name: db, alias: cache, condition: cache.enabled}", "{name: web, tags: [front]}", "{name: idle, condition: idle.enabled}"),
		"values.yaml":           "a: 1\ndb: {enabled: true, port: 7}\nidle: {enabled: false}\ntags: {front: false}\nplain: {b: 2}\n",
		"charts/db/Chart.yaml":  describing("db"),
		"charts/db/values.yaml": "port: 1\nname: x\n",
		"charts/web/Chart.yaml": describing("web"), "charts/web/values.yaml": "c: 3\n",
		"charts/idle/Chart.yaml": describing("idle"), "charts/idle/values.yaml": "d: 4\n",
		"charts/plain/Chart.yaml": describing("plain"), "charts/plain/values.yaml": "b: 1\ne: 5\n",
		"charts/plain/charts/deep/Chart.yaml": describing("deep"), "charts/plain/charts/deep/values.yaml": "f: 6\n",
		"charts/_hidden/Chart.yaml": describing("hidden"), "charts/_hidden/values.yaml": "g: 7\n",
	})
	db := map[string]any{"enabled": true, "port": int64(7), "name": "x"}
	want := Values{
		"a": int64(1), "db": db, "cache": map[string]any{"port": int64(1), "name": "x"}, "idle": map[string]any{"enabled": false},
		"tags": map[string]any{"front": false}, "plain": map[string]any{"b": int64(2), "e": int64(5), "deep": map[string]any{"f": int64(6)}},
	}
	archive, err := chartrepo.PackageDir(folder, "")
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "top.tgz")
	require.NoError(t, os.WriteFile(file, archive.Data, 0o600))
	for _, path := range []string{folder, file} {
		got, err := Defaults(path, nil, Options{})
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	switched, err := Defaults(folder, Values{"idle": map[string]any{"enabled": true}, "tags": map[string]any{"front": true}, "cache": map[string]any{"enabled": false}}, Options{})
	require.NoError(t, err)
	assert.Equal(t, map[string]any{"enabled": false, "d": int64(4)}, switched["idle"])
	assert.Equal(t, map[string]any{"c": int64(3)}, switched["web"])
	assert.NotContains(t, switched, "cache")
}

// Each alias of a subchart has its values once more, so a small chart can ask for very many.
func TestDefaultsOfVeryManyAliases(t *testing.T) {
	var dependencies []string
	for i := range 5000 {
		dependencies = append(dependencies, fmt.Sprintf("{name: db, alias: a%d}", i))
	}
	folder := written(t, map[string]string{
		"Chart.yaml": describing("top", dependencies...), "charts/db/Chart.yaml": describing("db"), "charts/db/values.yaml": "a: 1\n",
	})
	_, err := Defaults(folder, nil, Options{})
	require.ErrorIs(t, err, ErrTooLarge)
}
