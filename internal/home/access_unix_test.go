//go:build unix

package home

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/internal/errdef"
)

// in makes nested folders with their modes, and returns the innermost.
func in(t *testing.T, dir string, modes ...fs.FileMode) string {
	t.Helper()
	for _, mode := range modes {
		dir = filepath.Join(dir, "d")
		require.NoError(t, errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, mode)))
	}
	return dir
}

func TestHomesThatOthersCanChange(t *testing.T) {
	base := t.TempDir()
	// Others can reach what is tested, whatever the umask and the temporary folder are.
	require.NoError(t, errors.Join(os.Chmod(base, 0o755), os.Chmod(filepath.Dir(base), 0o755)))
	for _, test := range []struct {
		name    string
		folders []fs.FileMode // the last is the home
		refused bool
	}{
		{"private", []fs.FileMode{0o700}, false},
		{"others may read it", []fs.FileMode{0o755}, false},
		{"everybody may write to it", []fs.FileMode{0o777}, true},
		{"everybody may write to it, and remove only what is theirs", []fs.FileMode{0o777 | fs.ModeSticky}, true},
		{"a group may write to it", []fs.FileMode{0o770}, true},
		{"everybody may write to the folder above", []fs.FileMode{0o777, 0o700}, true},
		{"everybody may write to a folder further up", []fs.FileMode{0o777, 0o755, 0o700}, true},
		{"in a folder as /tmp is", []fs.FileMode{0o777 | fs.ModeSticky, 0o700}, false},
		{"a group may write to the folder above", []fs.FileMode{0o775, 0o700}, false},
		{"others do not get to it", []fs.FileMode{0o700, 0o777, 0o777}, false},
		{"others do not get to it, but may replace what keeps them out", []fs.FileMode{0o777, 0o700, 0o777}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			top := filepath.Join(base, "d")
			defer os.RemoveAll(top)
			home := in(t, base, test.folders...)
			_, err := Open(home)
			if !test.refused {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, errdef.ErrInvalidArgument)
			assert.ErrorContains(t, err, "chmod go-w "+top)
			assert.Empty(t, names(t, home), "nothing is made in it")
		})
	}
}

// A home that others could once write to still contains what they put there.
func TestPlantedInAHome(t *testing.T) {
	elsewhere := t.TempDir()
	for _, test := range []struct {
		name  string
		plant func(home string) error
		says  string // "" if it is accepted
	}{
		{"a file for helm that others may change", func(home string) error {
			path := filepath.Join(home, "user", "p")
			return errors.Join(os.MkdirAll(path, 0o700), os.Chmod(path, 0o777))
		}, "user/p"},
		{"a file for helm", func(home string) error {
			return os.MkdirAll(filepath.Join(home, "user", "p"), 0o700)
		}, ""},
		{"log-ins that others may change", func(home string) error {
			path := filepath.Join(home, "registry.json")
			return errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(path, 0o666))
		}, "registry.json"},
		{"a link to a folder", func(home string) error {
			return os.Symlink(elsewhere, filepath.Join(home, "repositories"))
		}, "not a folder"},
		{"a file for helm of another user", func(home string) error {
			path := filepath.Join(home, "user", "p")
			return errors.Join(os.MkdirAll(path, 0o700), os.Chown(path, 12345, 12345))
		}, "belongs to user 12345"},
		{"a folder of another user", func(home string) error {
			path := filepath.Join(home, "transform")
			return errors.Join(os.Mkdir(path, 0o755), os.Chown(path, 12345, 12345))
		}, "belongs to user 12345"},
		{"the home of another user", func(home string) error { return os.Chown(home, 12345, 12345) }, "set Home to a folder that it makes"},
		{"another user's folder above", func(home string) error { return os.Chown(filepath.Dir(home), 12345, 12345) }, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			base := t.TempDir()
			require.NoError(t, errors.Join(os.Chmod(base, 0o755), os.Chmod(filepath.Dir(base), 0o755)))
			home := in(t, base, 0o755, 0o755)
			require.NoError(t, os.WriteFile(filepath.Join(home, mark), nil, 0o600))
			if err := test.plant(home); errors.Is(err, fs.ErrPermission) {
				t.Skip("only root gives files away")
			} else {
				require.NoError(t, err)
			}
			_, err := Open(home)
			if test.says == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, errdef.ErrInvalidArgument)
			assert.ErrorContains(t, err, test.says)
		})
	}
}

// The home in the user's cache folder is checked like any other.
func TestHomeOfTheUser(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv("HOME", cache)
	require.NoError(t, errors.Join(os.Chmod(cache, 0o755), os.Chmod(filepath.Dir(cache), 0o755)))
	h := open(t, "")
	assert.Equal(t, filepath.Join(cache, "helmexec"), h.Path())
	require.NoError(t, os.Chmod(h.Path(), 0o777))
	_, err := Open("")
	require.ErrorIs(t, err, errdef.ErrInvalidArgument)
	assert.ErrorContains(t, err, h.Path())
}

// Open follows a link to the home; nothing does later.
func TestLinkToAHome(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(dir, link))
	h := open(t, link)
	require.NoError(t, errors.Join(os.Remove(link), os.Symlink(other, link)))
	_, err := h.Files(t.Context(), "x", map[string]string{"a": "b"})
	require.NoError(t, err)
	assert.Empty(t, names(t, other))

	require.NoError(t, errors.Join(os.Chmod(other, 0o777), os.Chmod(filepath.Dir(other), 0o755)))
	_, err = Open(link)
	require.ErrorIs(t, err, errdef.ErrInvalidArgument)
}

func TestIsMounted(t *testing.T) {
	for path, want := range map[string]bool{"/": true, "/proc": true, t.TempDir(): false} {
		info, err := os.Lstat(path)
		if err != nil && path == "/proc" {
			continue // it is Linux's
		}
		require.NoError(t, err)
		assert.Equal(t, want, isMounted(path, info), path)
	}
}
