package helmexec

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
	"github.com/sut-bench/helmexec/internal/chartrepo"
)

// atOnce tries three times without a pause.
var atOnce = Retry{BackOff: func() backoff.BackOff { return &backoff.ZeroBackOff{} }}

// withFake makes a Helm that drives a fake, in a home of its own, and tries again without pauses.
// What cfg says goes before.
func withFake(t *testing.T, cfg Config) (*Helm, *helmtest.Fake) {
	t.Helper()
	fake := helmtest.New(t)
	return drive(t, fake, cfg), fake
}

// drive makes one more Helm on a fake.
func drive(t *testing.T, fake *helmtest.Fake, cfg Config) *Helm {
	t.Helper()
	cfg.Binary = fake.Binary
	if cfg.Home == "" {
		cfg.Home = t.TempDir()
	}
	if cfg.Retry.BackOff == nil {
		cfg.Retry.BackOff = atOnce.BackOff
	}
	h, err := New(cfg)
	require.NoError(t, err)
	return h
}

// chartFolder writes a chart of no templates.
func chartFolder(t *testing.T, name, version string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.MkdirAll(dir, 0o700))
	text := "apiVersion: v2\nname: " + name + "\nversion: " + version + "\nappVersion: \"9\"\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Chart.yaml"), []byte(text), 0o600))
	return dir
}

// answersIn fails the test when f takes longer than a loaded machine ever needs.
func answersIn(t *testing.T, limit time.Duration, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(limit):
		t.Fatalf("no answer in %v", limit)
	}
}

func itoa(n int) string { return strconv.Itoa(n) }

// packed is the archive of a chart folder.
func packed(t *testing.T, folder string) []byte {
	t.Helper()
	archive, err := chartrepo.PackageDir(folder, "")
	require.NoError(t, err)
	return archive.Data
}

// dirNames are the names in a folder.
func dirNames(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}
