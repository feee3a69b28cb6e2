package helmexec

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
)

// writeFiles makes files below a folder.
func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
}

func crdText(name string) string {
	return "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  name: " + name + "\nspec: {}\n"
}

// umbrella is a chart with its own CRDs and those of subcharts: in folders, packed, and packed in packed ones.
func umbrella(t *testing.T) string {
	inner := chartFolder(t, "inner", "1.0.0")
	writeFiles(t, inner, map[string]string{"crds/a.json": `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"inner"}}`})
	middle := chartFolder(t, "middle", "1.0.0")
	writeFiles(t, middle, map[string]string{"crds/a.yml": crdText("middle"), "charts/inner-1.0.0.tgz": string(packed(t, inner))})
	outer := chartFolder(t, "outer", "1.0.0")
	writeFiles(t, outer, map[string]string{
		"crds/own.yaml": crdText("own-1") + "---\n" + crdText("own-2"), "crds/README.md": crdText("readme"),
		"charts/folder/Chart.yaml": "apiVersion: v2\nname: folder\nversion: 1.0.0\n", "charts/folder/crds/deep/a.yaml": crdText("folder"),
		"charts/folder/templates/crds/a.yaml": crdText("template"), "charts/_skipped/crds/a.yaml": crdText("skipped"),
		"charts/middle-1.0.0.tgz": string(packed(t, middle)),
	})
	return outer
}

func namesOf(all []Remain) []string {
	var names []string
	for _, r := range all {
		names = append(names, r.Name)
	}
	return names
}

func TestCRDsOfAChart(t *testing.T) {
	h, _ := withFake(t, Config{})
	folder := umbrella(t)
	archive := filepath.Join(t.TempDir(), "outer.tgz")
	require.NoError(t, os.WriteFile(archive, packed(t, folder), 0o600))
	for _, path := range []string{folder, archive} {
		ch, err := h.Fetch(t.Context(), path, ChartOptions{})
		require.NoError(t, err)
		crds, err := h.crdsOf(ch)
		require.NoError(t, err)
		assert.ElementsMatch(t, []string{"own-1", "own-2"}, namesOf(crds.own))
		assert.Equal(t, []string{"folder", "inner", "middle"}, crds.names())
	}
	plain, err := h.Fetch(t.Context(), chartFolder(t, "web", "1.0.0"), ChartOptions{})
	require.NoError(t, err)
	assert.False(t, plain.bringsCRDs, "which spares one more read of the archive")
}

// The record does not have the CRDs of subcharts, so labels have them.
func TestUninstallNamesTheCRDsOfSubcharts(t *testing.T) {
	h, fake := withFake(t, Config{})
	_, err := h.Install(t.Context(), "web", umbrella(t), InstallOptions{})
	require.NoError(t, err)
	fake.Handle("template", func(helmtest.Call) helmtest.Reply { return unreachable }) // all that may be there is named
	result, err := h.Uninstall(t.Context(), "web", UninstallOptions{})
	require.NoError(t, err)
	assert.Equal(t, []string{"folder", "inner", "middle"}, namesOf(result.Remains))

	_, err = h.Install(t.Context(), "bare", umbrella(t), InstallOptions{SkipCRDs: true})
	require.NoError(t, err)
	result, err = h.Uninstall(t.Context(), "bare", UninstallOptions{})
	require.NoError(t, err)
	assert.Empty(t, result.Remains)
}

// A chart that Helm refuses after it has made the CRDs leaves them.
func TestRefusedInstallNamesWhatStays(t *testing.T) {
	h, fake := withFake(t, Config{})
	fake.Handle("template", func(helmtest.Call) helmtest.Reply { return unreachable })
	fake.Handle("install", func(helmtest.Call) helmtest.Reply { return noSchema })
	_, err := h.Install(t.Context(), "web", umbrella(t), InstallOptions{Namespace: "team", CreateNamespace: true})
	var failed *ReleaseError
	require.ErrorAs(t, err, &failed)
	assert.Equal(t, []string{"own-1", "own-2", "folder", "inner", "middle", "team"}, namesOf(failed.Remains))

	fake.Handle("install", func(helmtest.Call) helmtest.Reply { return unreachable })
	_, err = h.Install(t.Context(), "web", umbrella(t), InstallOptions{Namespace: "team", CreateNamespace: true})
	require.ErrorAs(t, err, &failed)
	assert.Empty(t, failed.Remains, "nothing was done")
}
