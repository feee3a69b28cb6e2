package home

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// On a full disk nothing more is kept, and what is there stays.
func TestKeptOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k,mode=700"); err != nil {
		t.Skip("cannot mount: ", err)
	}
	t.Cleanup(func() { assert.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	k := open(t, filepath.Join(dir, "home")).Kept("x", roomy)
	k.Put("a", []byte("1"))
	full, err := os.Create(filepath.Join(dir, "full"))
	for err == nil {
		_, err = full.Write(make([]byte, 1024))
	}
	require.ErrorIs(t, err, syscall.ENOSPC)
	k.Put("b", make([]byte, 8<<10))
	k.Put("a", make([]byte, 8<<10))
	assert.Equal(t, "1", kept(t, k, "a"))
	assert.Equal(t, "nothing", kept(t, k, "b"))
	assert.Len(t, names(t, k.dir), 1, "nothing half-written")
	require.NoError(t, errors.Join(full.Close(), os.Remove(full.Name())))
	k.Put("b", []byte("2"))
	assert.Equal(t, "2", kept(t, k, "b"))
}
