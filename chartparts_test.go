package helmexec

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/internal/chartrepo"
)

// folderOf makes a chart folder of files by path.
func folderOf(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "demo")
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	return dir
}

func TestReadChartFolder(t *testing.T) {
	dir := folderOf(t, map[string]string{
		"Chart.yaml": demoChart, "values.yaml": demoValues, "charts/dep/Chart.yaml": "name: dep\nversion: 1.0.0\n",
		"charts/dep/values.yaml": "replicas: 99\n", "templates/a.yaml": "", ".git/HEAD": "", ".helmignore": ".git/\n",
	})
	got, err := readChart(dir, dir, defaultChartLimits)
	require.NoError(t, err)
	assert.Equal(t, "demo", got.Metadata.Name)
	assert.Equal(t, int64(2), got.Values["replicas"])
	assert.Empty(t, got.Digest)
	assert.Nil(t, got.Schema)
	assert.Equal(t, []string{".helmignore", "Chart.yaml", "charts/dep/Chart.yaml", "charts/dep/values.yaml", "templates/a.yaml", "values.yaml"}, got.Files)
}

func TestReadChartFolderLinks(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret.yaml")
	require.NoError(t, os.WriteFile(secret, []byte("password: x\n"), 0o600))
	link := func(target, name string) (string, error) {
		dir := folderOf(t, map[string]string{"Chart.yaml": demoChart, "files/values.yaml": demoValues})
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		if err := os.Symlink(target, path); err != nil {
			t.Skip("no symbolic links here: ", err)
		}
		_, err := readChart(dir, dir, defaultChartLimits)
		return dir, err
	}

	dir, err := link("files/values.yaml", "values.yaml")
	require.NoError(t, err, "a link within the folder is followed, as Helm does")
	values, err := ArchiveValues(dir)
	require.NoError(t, err)
	assert.Equal(t, int64(2), values["replicas"])

	tests := []struct{ name, target, link, says string }{
		{"absolute", secret, "values.yaml", "leads out"},
		{"relative", "../../../" + filepath.Base(secret), "values.yaml", "leads out"},
		{"in templates", secret, "templates/x.yaml", "leads out"},
		{"to nothing", "missing", "x", "leads out"},
		{"to itself", "x", "x", "leads out"},
		{"to a folder", "files", "x", "not a file"},
		{"to the folder above", "..", "x", "leads out"},
		{"to a device", "/dev/null", "values.yaml", "leads out"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := link(tt.target, tt.link)
			require.ErrorIs(t, err, ErrBadChart)
			assert.ErrorContains(t, err, tt.says)
		})
	}
}

func TestReadChartFolderLimits(t *testing.T) {
	limits := chartLimits{total: 1000, file: 600, files: 10}
	tests := []struct {
		name  string
		files map[string]string
		says  string
	}{
		{"one file", map[string]string{"x": fmt.Sprintf("%601d", 1)}, `file "x" has 601 bytes`},
		{"total", map[string]string{"x": fmt.Sprintf("%500d", 1), "y": fmt.Sprintf("%500d", 1)}, "the folder has"},
		{"files and folders", map[string]string{"a/b/c/d/e/f/g/h/i/j/k": ""}, "11 files and folders"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.files["Chart.yaml"] = demoChart
			_, err := readChart(folderOf(t, tt.files), "demo", limits)
			require.ErrorIs(t, err, ErrOutputTooLarge)
			assert.ErrorContains(t, err, tt.says)
		})
	}
}

// A chart says the same of itself as a folder and packaged.
func TestReadChartOfTestdata(t *testing.T) {
	for _, name := range []string{"webapp", "gpu-inference", "argo-benchmark", "stack", "broken-template"} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join("testdata", "charts", name)
			folder, err := readChart(dir, dir, defaultChartLimits)
			require.NoError(t, err)
			assert.Equal(t, name, folder.Metadata.Name)
			assert.NotEmpty(t, folder.Metadata.AppVersion)
			assert.NotEmpty(t, folder.Metadata.Description)

			packaged, err := chartrepo.PackageDir(dir, "")
			require.NoError(t, err)
			archive, err := readBytes(packaged.Data, defaultChartLimits)
			require.NoError(t, err)
			assert.Equal(t, packaged.Digest, archive.Digest)
			assert.ElementsMatch(t, folder.Files, archive.Files)
			archive.Digest, archive.Files = "", folder.Files
			assert.Equal(t, folder, archive)
		})
	}
}
