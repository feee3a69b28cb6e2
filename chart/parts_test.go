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

func TestReadFolder(t *testing.T) {
	dir := folderOf(t, map[string]string{
		"Chart.yaml": demoChart, "values.yaml": demoValues, "charts/dep/Chart.yaml": "name: dep\nversion: 1.0.0\n",
		"charts/dep/values.yaml": "replicas: 99\n", "templates/a.yaml": "", ".git/HEAD": "", ".helmignore": ".git/\n",
	})
	got, err := Read(dir, Options{})
	require.NoError(t, err)
	assert.Equal(t, "demo", got.Metadata.Name)
	assert.Equal(t, int64(2), got.Values["replicas"])
	assert.Empty(t, got.Digest)
	assert.Nil(t, got.Schema)
	assert.Equal(t, []string{".helmignore", "Chart.yaml", "charts/dep/Chart.yaml", "charts/dep/values.yaml", "templates/a.yaml", "values.yaml"}, got.Files)
}

// linkedFolder makes a chart folder with a link in it. The target may begin with $chart, which is the folder
// itself.
func linkedFolder(t *testing.T, link, target string) string {
	t.Helper()
	dir := folderOf(t, map[string]string{
		"Chart.yaml": demoChart, "files/values.yaml": demoValues, "common/templates/a.yaml": "kind: A\n", "common/Chart.yaml": "name: dep\nversion: 1.0.0\n",
	})
	path := filepath.Join(dir, link)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	if err := os.Symlink(strings.Replace(target, "$chart", dir, 1), path); err != nil {
		t.Skip("no symbolic links here: ", err)
	}
	return dir
}

// A folder that is no chart is not blamed for what no chart may have.
func TestReadFolderWithoutChart(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "large"), make([]byte, 2000), 0o600))
	_, err := Read(dir, Options{Limits: Limits{File: 1000}})
	require.ErrorIs(t, err, ErrNotFound)
	require.ErrorContains(t, err, "has no Chart.yaml")
}

// Helm reads folders of version control systems too, unless a .helmignore says otherwise.
func TestReadFolderRefusesLinksInVersionControl(t *testing.T) {
	for link, target := range map[string]string{
		".svn/h": "/etc/hostname", ".git/objects/h": "/etc", "templates/.hg/h": "../../files/values.yaml", ".bzr/loop": "$chart",
	} {
		_, err := Read(linkedFolder(t, link, target), Options{})
		require.ErrorIs(t, err, ErrBad, link)
		assert.ErrorContains(t, err, link)
	}
}

// Links that stay in the folder are followed, as Helm does.
func TestReadFolderFollowsLinks(t *testing.T) {
	for _, tt := range []struct {
		name, link, target string
		files              []string // that the link adds
	}{
		{"to a file", "values.yaml", "files/values.yaml", []string{"values.yaml"}},
		{"to a file, absolute", "values.yaml", "$chart/files/values.yaml", []string{"values.yaml"}},
		{"to a folder", "charts/dep", "../common", []string{"charts/dep/Chart.yaml", "charts/dep/templates/a.yaml"}},
		{"to a folder, absolute", "charts/dep", "$chart/common", []string{"charts/dep/Chart.yaml", "charts/dep/templates/a.yaml"}},
		{"to a folder further down", "templates", "common/templates", []string{"templates/a.yaml"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := linkedFolder(t, tt.link, tt.target)
			got, err := Read(dir, Options{})
			require.NoError(t, err)
			assert.ElementsMatch(t, append(tt.files, "Chart.yaml", "files/values.yaml", "common/Chart.yaml", "common/templates/a.yaml"), got.Files)
			assert.Equal(t, tt.link == "values.yaml", got.Values["replicas"] == int64(2))
		})
	}
}

func TestReadFolderRefusesLinks(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret.yaml")
	require.NoError(t, os.WriteFile(secret, []byte("password: x\n"), 0o600))
	for _, tt := range []struct{ name, link, target, says string }{
		{"absolute", "values.yaml", secret, "leads out"},
		{"relative", "values.yaml", "../../../" + filepath.Base(secret), "leads out"},
		{"in templates", "templates/x.yaml", secret, "leads out"},
		{"to nothing", "x", "missing", "leads out"},
		{"to nothing, absolute", "x", "$chart/missing", "leads out"},
		{"out and in again", "x", "../demo/files", "leads out"},
		{"absolute, out of the folder", "x", "$chart/../..", "leads out"},
		{"to itself", "x", "x", "leads out"},
		{"to a folder outside", "x", filepath.Dir(secret), "leads out"},
		{"to the folder above", "x", "..", "leads out"},
		{"to the folder it is in", "files/x", ".", "a folder that contains it"},
		{"to the chart", "charts/x", "..", "a folder that contains it"},
		{"to the chart, absolute", "charts/x", "$chart", "a folder that contains it"},
		{"to a device", "values.yaml", "/dev/null", "leads out"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := linkedFolder(t, tt.link, tt.target)
			_, err := Read(dir, Options{})
			require.ErrorIs(t, err, ErrBad)
			assert.ErrorContains(t, err, tt.says)
		})
	}
}

// Each path to a file counts: a few links can make very many.
func TestReadFolderLinksOfLinks(t *testing.T) {
	dir := folderOf(t, map[string]string{"Chart.yaml": demoChart, "f0/x": ""})
	for i := 1; i <= 7; i++ {
		folder := filepath.Join(dir, fmt.Sprint("f", i))
		require.NoError(t, os.Mkdir(folder, 0o700))
		for _, name := range []string{"a", "b", "c", "d"} {
			if err := os.Symlink(fmt.Sprint("../f", i-1), filepath.Join(folder, name)); err != nil {
				t.Skip("no symbolic links here: ", err)
			}
		}
	}
	_, err := Read(dir, Options{})
	require.ErrorIs(t, err, ErrTooLarge)
}

func TestReadFolderLimits(t *testing.T) {
	limits := Limits{Content: 1000, File: 600, Files: 10}
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
			_, err := Read(folderOf(t, tt.files), Options{Name: "demo", Limits: limits})
			require.ErrorIs(t, err, ErrTooLarge)
			assert.ErrorContains(t, err, tt.says)
		})
	}
}

// A chart reads the same as a folder and packaged.
func TestReadOfTestdata(t *testing.T) {
	for _, name := range []string{"webapp", "gpu-inference", "argo-benchmark", "stack", "broken-template"} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join("..", "testdata", "charts", name)
			folder, err := Read(dir, Options{})
			require.NoError(t, err)
			assert.Equal(t, name, folder.Metadata.Name)
			assert.NotEmpty(t, folder.Metadata.AppVersion)
			assert.NotEmpty(t, folder.Metadata.Description)

			packaged, err := chartrepo.PackageDir(dir, "")
			require.NoError(t, err)
			archive, err := readBytes(packaged.Data, Limits{})
			require.NoError(t, err)
			assert.Equal(t, "sha256:"+packaged.Digest, archive.Digest)
			assert.ElementsMatch(t, folder.Files, archive.Files)
			archive.Digest, archive.Files = "", folder.Files
			assert.Equal(t, folder, archive)
		})
	}
}
