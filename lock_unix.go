//go:build unix

package helmexec

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// fileLock is a lock on a file, one's own or shared. It belongs to the open file, so that a helm process that
// inherits the file keeps the lock when the process that took it is killed.
type fileLock struct{ f *os.File }

// tryFileLock takes the lock, or tells by ok that somebody else holds it.
func tryFileLock(path string, shared bool) (l fileLock, ok bool, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fileLock{}, false, err
	}
	how := syscall.LOCK_EX
	if shared {
		how = syscall.LOCK_SH
	}
	switch err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB); {
	case err == nil:
		return fileLock{f}, true, nil
	case errors.Is(err, syscall.EWOULDBLOCK), errors.Is(err, syscall.EINTR):
		return fileLock{}, false, f.Close()
	default:
		f.Close()
		return fileLock{}, false, &os.PathError{Op: "flock", Path: path, Err: err}
	}
}

func (l fileLock) stat() (fs.FileInfo, error) { return l.f.Stat() }

// close ends this process's part in the lock.
func (l fileLock) close() { l.f.Close() }

// inherited is what helm inherits to hold the lock.
func (l fileLock) inherited() []*os.File { return []*os.File{l.f} }
