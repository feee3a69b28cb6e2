package chart

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Helm reads the folders crds of the chart, of subcharts in folders, of packed ones, and of charts packed in
// those.
func TestReadCRDs(t *testing.T) {
	inner := archiveOf(t, demo(file("demo/crds/a.json", "inner"))...)
	middle := archiveOf(t, demo(file("demo/crds/a.yml", "middle"), file("demo/charts/inner-1.0.0.tgz", string(inner)))...)
	files := map[string]string{
		"Chart.yaml": demoChart, "crds/own.yaml": "own", "crds/README.md": "readme", "crds/deep/a.yaml": "deep",
		"charts/folder/Chart.yaml": demoChart, "charts/folder/crds/deep/a.yaml": "folder",
		"charts/folder/templates/crds/a.yaml": "template", "charts/_skipped/crds/a.yaml": "skipped", "charts/.skipped/crds/a.yaml": "skipped",
		"charts/middle-1.0.0.tgz": string(middle), "charts/_skipped.tgz": "no archive", "other/charts/x.tgz": "no archive",
	}
	var entries []entry
	for name, text := range files {
		entries = append(entries, file("demo/"+name, text))
	}
	archive := filepath.Join(t.TempDir(), "demo.tgz")
	require.NoError(t, os.WriteFile(archive, archiveOf(t, entries...), 0o600))
	for _, path := range []string{archive, folderOf(t, files)} {
		c, err := Read(path, Options{})
		require.NoError(t, err)
		assert.True(t, c.HasCRDs())
		crds, err := ReadCRDs(path, Options{})
		require.NoError(t, err)
		assert.Equal(t, CRDs{
			Own: [][]byte{[]byte("deep"), []byte("own")}, Sub: [][]byte{[]byte("folder"), []byte("inner"), []byte("middle")},
		}, crds)
	}

	plain, err := Read(folderOf(t, map[string]string{"Chart.yaml": demoChart, "templates/a.yaml": ""}), Options{})
	require.NoError(t, err)
	assert.False(t, plain.HasCRDs(), "which spares one more read")
}

func TestReadCRDsRefuses(t *testing.T) {
	deep := archiveOf(t, demo()...)
	for range maxSubcharts + 1 {
		deep = archiveOf(t, demo(file("demo/charts/x.tgz", string(deep)))...)
	}
	for name, test := range map[string]struct {
		packed string
		limits Limits
		want   error
	}{
		"no archive":       {"no archive", Limits{}, ErrBad},
		"packed too deep":  {string(deep), Limits{}, ErrBad},
		"larger than told": {string(archiveOf(t, demo()...)), Limits{Files: 2}, ErrTooLarge},
	} {
		_, err := ReadCRDs(folderOf(t, map[string]string{"Chart.yaml": demoChart, "charts/x.tgz": test.packed}), Options{Limits: test.limits})
		assert.ErrorIs(t, err, test.want, name)
	}
	_, err := ReadCRDs(filepath.Join(t.TempDir(), "none"), Options{})
	require.ErrorIs(t, err, ErrNotFound)
}

// Charts that are packed in each other have one limit together.
func TestPackedChartsHaveOneLimit(t *testing.T) {
	leaf := string(archiveOf(t, file("c/Chart.yaml", "name: c\nversion: 1.0.0\n"), file("c/x", strings.Repeat("\x00", 1_000_000))))
	branch := []entry{file("b/Chart.yaml", "name: b\nversion: 1.0.0\n")}
	for i := range 30 {
		branch = append(branch, file(fmt.Sprintf("b/charts/%02d.tgz", i), leaf))
	}
	packed := string(archiveOf(t, branch...))
	root := demo()
	for i := range 5 {
		root = append(root, file(fmt.Sprintf("demo/charts/%02d.tgz", i), packed))
	}
	path := filepath.Join(t.TempDir(), "demo.tgz")
	require.NoError(t, os.WriteFile(path, archiveOf(t, root...), 0o600))
	_, err := ReadCRDs(path, Options{})
	require.ErrorIs(t, err, ErrTooLarge)
	_, err = ReadCapabilities(path, Options{})
	require.ErrorIs(t, err, ErrTooLarge)
	require.ErrorIs(t, CheckSchemaReferences(path, Options{}), ErrTooLarge)
}
