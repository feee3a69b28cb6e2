//go:build unix

package filelock

import (
	"errors"
	"os"
	"syscall"
)

// file holds the lock: the lock belongs to the open file, whichever process has it.
type file struct{ *os.File }

func tryLock(path string, mode Mode) (f file, ok bool, err error) {
	flags, how := os.O_RDWR|os.O_CREATE, syscall.LOCK_EX
	if mode&Existing != 0 {
		flags = os.O_RDONLY
	}
	if mode&Shared != 0 {
		how = syscall.LOCK_SH
	}
	if f.File, err = open(path, flags); err != nil {
		return f, false, err
	}
	afterOpen(path)
	err = flock(f.File, how|syscall.LOCK_NB)
	switch {
	case err == nil:
		return f, true, nil
	case errors.Is(err, syscall.EWOULDBLOCK):
		return f, false, f.Close()
	}
	_ = f.Close()
	return f, false, &os.PathError{Op: "flock", Path: path, Err: err}
}

// open is os.OpenFile without the attempts to have Go's poller wait for the file, which take five more system calls: nobody
// reads a lock file.
func open(path string, flags int) (*os.File, error) {
	fd := -1
	err := uninterrupted(func() (err error) {
		fd, err = syscall.Open(path, flags|syscall.O_CLOEXEC, 0o600)
		return err
	})
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

func flock(f *os.File, how int) error {
	return uninterrupted(func() error { return syscall.Flock(int(f.Fd()), how) })
}

// uninterrupted repeats a system call that a signal has interrupted.
func uninterrupted(call func() error) (err error) {
	for err = syscall.EINTR; errors.Is(err, syscall.EINTR); {
		err = call()
	}
	return err
}

func lockBlocking(path string, mode Mode) (f file, err error) {
	if f.File, err = open(path, os.O_RDONLY); err != nil {
		return f, err
	}
	if err = flock(f.File, map[Mode]int{Exclusive: syscall.LOCK_EX, Shared: syscall.LOCK_SH}[mode]); err != nil {
		_ = f.Close()
		err = &os.PathError{Op: "flock", Path: path, Err: err}
	}
	return f, err
}

func (f file) unlock() { _ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }

func (f file) files() []*os.File { return []*os.File{f.File} }

// Remove removes the file, whose lock must be exclusive, and releases it.
func (l *Lock) Remove() error {
	defer l.close()
	// A file that was renamed to the path meanwhile is not locked by this lock.
	named, err := l.named()
	if err == nil && named {
		err = os.Remove(l.path)
	}
	return err
}
