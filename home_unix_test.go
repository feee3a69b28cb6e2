//go:build unix

package helmexec

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
)

// in makes folders with their modes, one in the other, and returns the last.
func in(t *testing.T, dir string, modes ...fs.FileMode) string {
	t.Helper()
	for _, mode := range modes {
		dir = filepath.Join(dir, "d")
		require.NoError(t, errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, mode)))
	}
	return dir
}

func TestHomesThatOthersCanChange(t *testing.T) {
	fake := helmtest.New(t)
	base := t.TempDir()
	// Others get to what is tested, whatever the umask is and the folder for temporary ones.
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
			_, err := New(Config{Binary: fake.Binary, Home: home})
			if !test.refused {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, ErrInvalidArgument)
			assert.ErrorContains(t, err, "chmod go-w "+top)
			names, err := dirNames(home)
			require.NoError(t, err)
			assert.Empty(t, names, "nothing is made in it")
		})
	}
	assert.Empty(t, fake.Calls())
}

// A home that others could once write to has what they put there.
func TestPlantedInAHome(t *testing.T) {
	fake := helmtest.New(t)
	elsewhere := t.TempDir()
	for _, test := range []struct {
		name  string
		plant func(home string) error
		says  string // "" where it is accepted
	}{
		{"a plugin that others may change", func(home string) error {
			path := filepath.Join(home, "plugins", "p")
			return errors.Join(os.MkdirAll(path, 0o700), os.Chmod(path, 0o777))
		}, "plugins/p"},
		{"a plugin of the user", func(home string) error {
			return os.MkdirAll(filepath.Join(home, "plugins", "p"), 0o700)
		}, ""},
		{"log-ins that others may change", func(home string) error {
			path := filepath.Join(home, "registry.json")
			return errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(path, 0o666))
		}, "registry.json"},
		{"a link to a folder", func(home string) error {
			return os.Symlink(elsewhere, filepath.Join(home, "repositories"))
		}, "not a folder"},
		{"a plugin of another user", func(home string) error {
			path := filepath.Join(home, "plugins", "p")
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
			if err := test.plant(home); errors.Is(err, fs.ErrPermission) {
				t.Skip("only root gives files away")
			} else {
				require.NoError(t, err)
			}
			_, err := New(Config{Binary: fake.Binary, Home: home})
			if test.says == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, ErrInvalidArgument)
			assert.ErrorContains(t, err, test.says)
		})
	}
	assert.Empty(t, fake.Calls())
}

// The state of a UserHome is looked at as any other home.
func TestStateOfAUserHome(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv("HOME", cache)
	require.NoError(t, errors.Join(os.Chmod(cache, 0o755), os.Chmod(filepath.Dir(cache), 0o755)))
	h, err := New(Config{Binary: helmtest.New(t).Binary, Home: UserHome})
	require.NoError(t, err)
	require.NoError(t, os.Chmod(h.state, 0o777))
	_, err = New(h.cfg)
	require.ErrorIs(t, err, ErrInvalidArgument)
	assert.ErrorContains(t, err, h.state)
}

// What is opened to others after New is refused before the next helm starts.
func TestHomeThatIsOpenedLater(t *testing.T) {
	for _, sub := range []string{"", "plugins"} {
		base := t.TempDir()
		require.NoError(t, errors.Join(os.Chmod(base, 0o755), os.Chmod(filepath.Dir(base), 0o755)))
		h, fake := withFake(t, Config{Home: in(t, base, 0o755)})
		require.NoError(t, os.Chmod(filepath.Join(h.state, sub), 0o777))
		_, err := h.Version(t.Context())
		require.ErrorIs(t, err, ErrInvalidArgument)
		assert.Empty(t, fake.Calls())
	}
}

// A link to the home is followed by New, and by nothing later.
func TestLinkToAHome(t *testing.T) {
	home, other := t.TempDir(), t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(home, link))
	h, _ := withFake(t, Config{Home: link})
	require.NoError(t, errors.Join(os.Remove(link), os.Symlink(other, link)))
	_, err := h.transformer(t.Context())
	require.NoError(t, err)
	names, err := dirNames(other)
	require.NoError(t, err)
	assert.Empty(t, names)

	require.NoError(t, errors.Join(os.Chmod(other, 0o777), os.Chmod(filepath.Dir(other), 0o755)))
	_, err = New(Config{Binary: h.binary, Home: link})
	require.ErrorIs(t, err, ErrInvalidArgument)
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
