//go:build unix

package filelock

import (
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A child process that inherits a lock holds it as long as it lives, whatever its parent does.
func TestInheritedLock(t *testing.T) {
	for _, mode := range []Mode{Exclusive, Shared} {
		path := filepath.Join(t.TempDir(), "a.lock")
		l := take1(t, path, mode)
		child := exec.Command("cat")
		child.ExtraFiles = l.Inherited()
		end, err := child.StdinPipe()
		require.NoError(t, err)
		require.NoError(t, child.Start())
		l.Release()
		_, err = Try(path, Exclusive)
		require.ErrorIs(t, err, ErrHeld)
		Sweep(filepath.Dir(path), 0)
		assert.True(t, isThere(path), "it is in use")

		require.NoError(t, end.Close())
		require.NoError(t, child.Wait())
		take1(t, path, Exclusive).Release()
		assert.False(t, isThere(path))
	}
}

// A starting process shares all open files for a moment. A lock that was not meant to be shared must
// still be free when it is released.
func TestReleaseBesideAStartingProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.lock")
	l := take1(t, path, Exclusive)
	shared, err := syscall.Dup(int(l.file.Fd()))
	require.NoError(t, err)
	defer syscall.Close(shared)
	l.Release()
	take1(t, path, Exclusive).Release()
}
