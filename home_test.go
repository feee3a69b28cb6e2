package helmexec

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What is run or trusted is what this package put there, whatever has become of that.
func TestOwnFiles(t *testing.T) {
	h := cacheOf(t, Limits{})
	files := map[string]string{"a": "#!/bin/sh\n", "b/c.yaml": "c: 1\n"}
	dir, err := h.ownFiles(t.Context(), "x", files)
	require.NoError(t, err)
	in := func(name string) string { return filepath.Join(dir, filepath.FromSlash(name)) }
	for _, test := range []struct {
		name  string
		spoil func() error
	}{
		{"nothing", func() error { return nil }},
		{"other content", func() error { return os.WriteFile(in("a"), []byte("#!/bin/su\n"), 0o700) }},
		{"more content", func() error { return os.WriteFile(in("b/c.yaml"), []byte("c: 1\nd: 2\n"), 0o600) }},
		{"another file", func() error { return os.WriteFile(in("b/plugin.yaml"), nil, 0o600) }},
		{"a file less", func() error { return os.Remove(in("a")) }},
		{"a link in its place", func() error {
			target := filepath.Join(t.TempDir(), "a")
			return errors.Join(os.Remove(in("a")), os.WriteFile(target, []byte(files["a"]), 0o700), os.Symlink(target, in("a")))
		}},
		{"a link to another folder", func() error { return os.Symlink(t.TempDir(), in("d")) }},
		{"a file for the folder", func() error { return errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)) }},
	} {
		require.NoError(t, test.spoil(), test.name)
		again, err := h.ownFiles(t.Context(), "x", files)
		require.NoError(t, err, test.name)
		assert.Equal(t, dir, again, test.name)
		assert.True(t, hasJust(dir, files), test.name)
	}
	made, err := os.Stat(in("a"))
	require.NoError(t, err)
	_, err = h.ownFiles(t.Context(), "x", files)
	require.NoError(t, err)
	now, err := os.Stat(in("a"))
	require.NoError(t, err)
	assert.True(t, os.SameFile(made, now), "they are made once")

	other, err := h.ownFiles(t.Context(), "x", map[string]string{"a": "#!/bin/sh -e\n"})
	require.NoError(t, err)
	assert.NotEqual(t, dir, other, "another version has its own")
	left, err := os.ReadDir(filepath.Join(h.state, "tmp"))
	require.NoError(t, err)
	assert.Empty(t, left)
}
