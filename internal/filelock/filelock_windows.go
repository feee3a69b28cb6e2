package filelock

import (
	"os"

	"github.com/gofrs/flock"
)

// file is an open file that no child process inherits: the lock ends with the process that took it.
type file struct{ *flock.Flock }

func tryLock(path string, mode Mode) (f file, ok bool, err error) {
	flags := os.O_RDWR | os.O_CREATE
	if mode&Existing != 0 {
		flags = os.O_RDONLY
	}
	f.Flock = flock.New(path, flock.SetFlag(flags), flock.SetPermissions(0o600))
	afterOpen(path)
	if mode&Shared != 0 {
		ok, err = f.TryRLock()
	} else {
		ok, err = f.TryLock()
	}
	return f, ok, err
}

func lockBlocking(path string, mode Mode) (f file, err error) {
	f.Flock = flock.New(path, flock.SetFlag(os.O_RDONLY))
	if mode == Shared {
		return f, f.RLock()
	}
	return f, f.Lock()
}

func (f file) unlock() {} // Close does

func (f file) files() []*os.File { return nil }

// Remove removes the file, whose lock must be exclusive, and releases it. Windows cannot remove an
// open file: it is released first, and stays if somebody else has opened it since.
func (l *Lock) Remove() error {
	l.close()
	return os.Remove(l.path)
}
