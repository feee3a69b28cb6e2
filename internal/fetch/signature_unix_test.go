//go:build unix

package fetch

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/internal/errdef"
)

// Whoever opens a pipe waits until somebody writes to it, whatever the context says.
func TestPipesInPlaceOfFiles(t *testing.T) {
	s := newSigners(t)
	archive := filepath.Join(t.TempDir(), "download.tgz")
	require.NoError(t, os.WriteFile(archive, s.archive.Data, 0o600))
	require.NoError(t, syscall.Mkfifo(archive+".prov", 0o600))
	_, err := s.s.Fetch(t.Context(), archive, Options{Source: Source{Keyring: keyringOf(t, "ann")}})
	require.ErrorIs(t, err, errdef.ErrUnverified)
	require.ErrorContains(t, err, "is not a file")
	_, err = readKeyring(archive + ".prov")
	require.ErrorContains(t, err, "is not a file")
}
