package helmexec

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestArchiveValues(t *testing.T) {
	folder := chartFolder(t, "web", "1.0.0")
	require.NoError(t, os.WriteFile(filepath.Join(folder, "values.yaml"), []byte("replicas: 2\n"), 0o600))
	archive := filepath.Join(t.TempDir(), "web.tgz")
	require.NoError(t, os.WriteFile(archive, packed(t, folder), 0o600))
	for _, path := range []string{folder, archive} {
		values, err := ArchiveValues(path)
		require.NoError(t, err)
		assert.Equal(t, Values{"replicas": int64(2)}, values)
	}
	_, err := ArchiveValues(t.TempDir())
	require.ErrorIs(t, err, ErrChartNotFound)
}

// If there are no values helm gets no stdin.
func TestValuesInput(t *testing.T) {
	for _, values := range []Values{nil, {}} {
		input, err := valuesInput(nil, values)
		require.NoError(t, err)
		assert.Nil(t, input)
	}
	input, err := valuesInput(nil, Values{"a": nil})
	require.NoError(t, err)
	assert.Equal(t, "{\"a\":null}\n", string(input))
}
