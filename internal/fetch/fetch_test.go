package fetch

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/chart"
	"github.com/sut-bench/helmexec/internal/chartrepo"
	"github.com/sut-bench/helmexec/internal/home"
)

// newStore makes a Store in a new home, with a helm that is never run.
func newStore(t testing.TB, cfg Config) *Store {
	t.Helper()
	if cfg.Home == nil {
		var err error
		cfg.Home, err = home.Open(t.TempDir())
		require.NoError(t, err)
	}
	cfg.Limits.Cache = cmp.Or(cfg.Limits.Cache, 1<<30)
	return New(cfg)
}

// keep puts a chart into the cache with a given age.
func keep(t *testing.T, s *Store, name string, age time.Duration) *Chart {
	t.Helper()
	archive, err := chartrepo.Package(map[string]string{"Chart.yaml": "apiVersion: v2\nname: " + name + "\nversion: 1.0.0\n"})
	require.NoError(t, err)
	digest := "sha256:" + archive.Digest
	path := s.archive(digest)
	when := time.Now().Add(-age)
	require.NoError(t, errors.Join(os.WriteFile(path, archive.Data, 0o600), os.Chtimes(path, when, when)))
	return &Chart{Path: path, Chart: &chart.Chart{Digest: digest}}
}

// know adds a repository.
func know(t *testing.T, s *Store, r repository) {
	t.Helper()
	require.NoError(t, os.MkdirAll(s.folder(r.Name), 0o700))
	require.NoError(t, writeRepositories(placeIn(s.folder(r.Name), r.Name).config, r))
}

func there(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// A path without "./" is the name of a repository or illegal; if a chart is there, the error says how to write it.
func TestPathsWithoutDot(t *testing.T) {
	s := newStore(t, Config{})
	t.Chdir(t.TempDir())
	for _, folder := range []string{"web", "charts/web", "charts/all/web"} {
		require.NoError(t, os.MkdirAll(folder, 0o700))
		require.NoError(t, os.WriteFile(folder+"/Chart.yaml", []byte("apiVersion: v2\nname: web\nversion: 1.0.0\n"), 0o600))
		_, err := s.Fetch(t.Context(), folder, Options{})
		require.ErrorContains(t, err, `; for the folder here write "./`+folder+`"`)
		_, err = s.Fetch(t.Context(), "./"+folder, Options{})
		require.NoError(t, err)
	}
	require.NoError(t, os.WriteFile("charts/web-1.0.0.tgz", nil, 0o600))
	_, err := s.Fetch(t.Context(), "charts/web-1.0.0.tgz", Options{})
	require.ErrorContains(t, err, `; for the file here write "./charts/web-1.0.0.tgz"`)
	for _, other := range []string{"charts/other", "charts", "charts/web:1.0.0", "http://127.0.0.1:0", "/charts/web"} {
		_, err := s.Fetch(t.Context(), other, Options{Version: "x y"})
		require.Error(t, err, other)
		require.NotContains(t, err.Error(), "for the folder here", other)
	}
}
