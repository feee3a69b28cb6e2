package home

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/sut-bench/helmexec/internal/errdef"
)

func open(t testing.TB, dir string) *Home {
	t.Helper()
	h, err := Open(dir)
	require.NoError(t, err)
	return h
}

func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func there(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// Helm runs and trusts only what this package wrote, even if somebody changed the files.
func TestFiles(t *testing.T) {
	h := open(t, t.TempDir())
	files := map[string]string{"a": "#!/bin/sh\n", "b/c.yaml": "c: 1\n"}
	dir, err := h.Files(t.Context(), "x", files)
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
		again, err := h.Files(t.Context(), "x", files)
		require.NoError(t, err, test.name)
		assert.Equal(t, dir, again, test.name)
		assert.True(t, hasJust(dir, files), test.name)
	}
	made, err := os.Stat(in("a"))
	require.NoError(t, err)
	_, err = h.Files(t.Context(), "x", files)
	require.NoError(t, err)
	now, err := os.Stat(in("a"))
	require.NoError(t, err)
	assert.True(t, os.SameFile(made, now), "they are made once")

	other, err := h.Files(t.Context(), "x", map[string]string{"a": "#!/bin/sh -e\n"})
	require.NoError(t, err)
	assert.NotEqual(t, dir, other, "another version has its own")
	left, err := os.ReadDir(h.Path("tmp"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

// Lock files of killed callers are swept, but no lock that somebody holds.
func TestSweepOfLocks(t *testing.T) {
	h := open(t, t.TempDir())
	unlock, err := h.Lock(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	when := time.Now().Add(-48 * time.Hour)
	left := map[string]string{"locks": "0a.lock", "operations": "0b.lock"}
	for sub, name := range left {
		if err := os.WriteFile(h.Path(sub, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		files, _ := filepath.Glob(h.Path(sub, "*"))
		for _, file := range files {
			if err := os.Chtimes(file, when, when); err != nil {
				t.Fatal(err)
			}
		}
	}
	h.Sweep()
	for sub, name := range left {
		if there(h.Path(sub, name)) {
			t.Errorf("%s/%s is there", sub, name)
		}
	}
	assert.Len(t, names(t, h.Path("locks")), 1, "of the lock that is held")
	unlock()
	assert.Len(t, names(t, h.Path("locks")), 0, "left when it is released")
}

func TestWriteFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x")
	contents := [][]byte{bytes.Repeat([]byte("a"), 1<<16), bytes.Repeat([]byte("b"), 1<<17)}
	if err := WriteFile(file, contents[0]); err != nil {
		t.Fatal(err)
	}
	var all errgroup.Group
	for i := range 8 {
		all.Go(func() error {
			for range 50 {
				if err := WriteFile(file, contents[i%2]); err != nil {
					t.Error(err)
				}
				if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, contents[0]) && !bytes.Equal(got, contents[1]) {
					t.Errorf("read %d bytes, %v", len(got), err)
				}
			}
			return nil
		})
	}
	_ = all.Wait()
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := WriteFile(filepath.Join(file, "none"), nil); err == nil {
		t.Error("no error where the folder is none")
	}
}

// Old files in a home are removed, so a folder of somebody else does not become one.
func TestOpenRefusesFoldersOfOthers(t *testing.T) {
	old := time.Now().Add(-48 * time.Hour)
	for _, test := range []struct {
		name    string
		has     []string // a folder if it ends with a slash
		refused string
	}{
		{"empty", nil, ""},
		{"the root of a file system", []string{"lost+found/"}, ""},
		{"a home from before there were marks", []string{"archives/", "locks/", "operations/", "pins/", "repositories/", "tmp/", "user/", "renders-1/"}, ""},
		{"a home of the first version", []string{"archives/", "locks/", "operations/", "pins/", "plugins/", "repositories/", "tmp/"}, ""},
		{"a home that was not completed", []string{mark, "archives/"}, ""},
		{"a home that was not completed, without a mark", []string{"archives/"}, ""},
		{"a home from which a cleaner has removed what was old", []string{"archives/", "locks/", "repositories/", "renders-1/"}, ""},
		{"what a file system adds", []string{".snapshot/", ".DS_Store"}, ""},
		{"a folder of temporary files", []string{"tmp/", "tmp/thesis.txt"}, `"tmp"`},
		{"a user's home", []string{".bashrc", "tmp/", "tmp/thesis.txt"}, `".bashrc"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, name := range test.has {
				path := filepath.Join(dir, name)
				if strings.HasSuffix(name, "/") {
					require.NoError(t, os.Mkdir(path, 0o700))
				} else {
					require.NoError(t, os.WriteFile(path, nil, 0o600))
					require.NoError(t, os.Chtimes(path, old, old))
				}
			}
			before := names(t, dir)
			h, err := Open(dir)
			if test.refused == "" {
				require.NoError(t, err)
				assert.True(t, there(h.Path(mark)))
				return
			}
			assert.ErrorIs(t, err, errdef.ErrInvalidArgument)
			assert.ErrorContains(t, err, test.refused)
			assert.Equal(t, before, names(t, dir))
			assert.True(t, there(filepath.Join(dir, "tmp/thesis.txt")))
		})
	}
}

// Many processes make one home at once.
func TestOpenAtOnce(t *testing.T) {
	for range 50 {
		dir := filepath.Join(t.TempDir(), "home")
		var all errgroup.Group
		for range 8 {
			all.Go(func() error { _, err := Open(dir); return err })
		}
		require.NoError(t, all.Wait())
	}
}
