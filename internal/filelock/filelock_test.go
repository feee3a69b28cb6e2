package filelock

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func take1(t *testing.T, path string, mode Mode) *Lock {
	t.Helper()
	l, err := Try(path, mode)
	require.NoError(t, err)
	return l
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

func isThere(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

func TestWhoExcludesWhom(t *testing.T) {
	for _, existing := range []Mode{0, Existing} {
		for _, test := range []struct {
			first, second Mode
			held          bool
		}{{Exclusive, Exclusive, true}, {Exclusive, Shared, true}, {Shared, Exclusive, true}, {Shared, Shared, false}} {
			path := filepath.Join(t.TempDir(), "a.lock")
			if existing != 0 {
				write(t, path, "x")
			}
			first := take1(t, path, test.first|existing)
			second, err := Try(path, test.second|existing)
			if test.held {
				require.ErrorIs(t, err, ErrHeld, "%v", test)
				first.Release()
				second, err = Try(path, test.second|existing)
			}
			require.NoError(t, err, "%v", test)
			second.Release()
			if !test.held {
				assert.True(t, isThere(path), "one of two has it still")
				first.Release()
			}
			assert.Equal(t, existing != 0, isThere(path), "a lock file goes with its last holder, another one stays")
		}
	}
}

// A waiter gives up when its context ends, and gets the lock when it is released.
func TestTakeWaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.lock")
	first := take1(t, path, Exclusive)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Take(ctx, path, Shared)
	require.ErrorIs(t, err, ErrHeld)

	looked, got := make(chan bool, 1), make(chan error, 1)
	afterOpen = func(string) {
		select {
		case looked <- true:
		default:
		}
	}
	defer func() { afterOpen = func(string) {} }()
	go func() {
		l, err := Take(t.Context(), path, Exclusive)
		if err == nil {
			_, err = Try(path, Shared)
			if errors.Is(err, ErrHeld) {
				err = nil // it locks the file at the path
			}
			l.Release()
		}
		got <- err
	}()
	<-looked
	first.Release()
	require.NoError(t, <-got)
}

// A file system error is not ErrHeld.
func TestFileSystemErrors(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	write(t, file, "")
	for path, mode := range map[string]Mode{
		filepath.Join(file, "a.lock"):           Exclusive,
		filepath.Join(dir, "none", "a.lock"):    Shared,
		filepath.Join(dir, "none.tgz"):          Shared | Existing,
		filepath.Join(dir, "none", "other.tgz"): Exclusive | Existing,
	} {
		_, err := Take(t.Context(), path, mode)
		require.Error(t, err)
		assert.NotErrorIs(t, err, ErrHeld)
		assert.ErrorContains(t, err, path)
	}
	assert.False(t, isThere(filepath.Join(dir, "none.tgz")), "it is not made")
}

// Whoever opened a file before its holder removed it must not remove the new file at its path.
func TestRemovalBetweenOpenAndLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.lock")
	write(t, path, "") // of a killed process
	var taken *Lock
	once := true
	afterOpen = func(string) {
		if once {
			once = false
			take1(t, path, Exclusive).Release()
			taken = take1(t, path, Exclusive)
		}
	}
	defer func() { afterOpen = func(string) {} }()
	Sweep(filepath.Dir(path), 0)
	require.NotNil(t, taken)
	assert.True(t, isThere(path))
	_, err := Try(path, Exclusive)
	require.ErrorIs(t, err, ErrHeld)
	taken.Release()
	assert.False(t, isThere(path))
}

// A file that replaced the locked one is not removed with it.
func TestRemove(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.tgz")
	write(t, path, "old")
	l := take1(t, path, Exclusive|Existing)
	require.NoError(t, l.Remove())
	assert.False(t, isThere(path))

	write(t, path, "old")
	l = take1(t, path, Exclusive|Existing)
	write(t, filepath.Join(dir, "new"), "new")
	if err := os.Rename(filepath.Join(dir, "new"), path); err != nil {
		t.Skip("this system cannot replace an open file: ", err)
	}
	require.NoError(t, l.Remove())
	assert.True(t, isThere(path))
}

func TestSweep(t *testing.T) {
	dir := t.TempDir()
	old := time.Now().Add(-2 * time.Hour)
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"old.lock", "old.txt", "held.lock", "young.lock"} {
		write(t, in(name), "")
	}
	defer take1(t, in("held.lock"), Shared).Release()
	for _, name := range []string{"old.lock", "old.txt", "held.lock"} {
		require.NoError(t, os.Chtimes(in(name), old, old))
	}
	Sweep(dir, time.Hour)
	for name, stays := range map[string]bool{"old.lock": false, "old.txt": true, "held.lock": true, "young.lock": true} {
		assert.Equal(t, stays, isThere(in(name)), name)
	}
	Sweep(in("none"), 0)
}
