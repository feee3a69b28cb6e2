package helmexec

import (
	"io/fs"
	"os"

	"github.com/gofrs/flock"
)

// fileLock is an exclusive lock on a file. Windows passes no files on to helm: the lock ends with
// the process that took it.
type fileLock struct{ f *flock.Flock }

func tryFileLock(path string, shared bool) (l fileLock, ok bool, err error) {
	l.f = flock.New(path)
	if shared {
		ok, err = l.f.TryRLock()
	} else {
		ok, err = l.f.TryLock()
	}
	return l, ok, err
}

func (l fileLock) stat() (fs.FileInfo, error) { return l.f.Stat() }

func (l fileLock) close() { _ = l.f.Close() }

func (l fileLock) inherited() []*os.File { return nil }
