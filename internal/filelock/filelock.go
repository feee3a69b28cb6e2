// Package filelock locks files among goroutines and processes. The system frees a lock whose holder
// has died; on Unix a child process that inherits the open file (Lock.Inherited) holds the lock as well,
// and keeps it when its parent is killed.
//
// Whoever wants the lock makes its file; the last to release it, or Sweep, removes the file. Three
// rules make that safe: a lock is valid only while its path names the locked file, nobody removes a
// file without its exclusive lock, and that lock must be valid.
package filelock

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// ErrHeld: somebody else holds the lock. Every other error is the file system's.
var ErrHeld = errors.New("the lock is held")

// Mode is how a file is locked.
type Mode int

const (
	// Exclusive locks exclude all others.
	Exclusive Mode = 0
	// Shared locks exclude exclusive ones.
	Shared Mode = 1
	// Existing, added to one of them, locks a file that has another purpose: a missing file is not
	// made (fs.ErrNotExist), and Release does not remove it.
	Existing Mode = 2
)

// Waiters try again after a pause, because a waiting system call cannot be cancelled. Whoever has waited for long makes
// longer pauses, because hundreds may wait.
const shortestPause, longPause = time.Millisecond, 50 * time.Millisecond

// Lock is a held lock.
type Lock struct {
	file      file
	path      string
	mode      Mode
	inherited bool
}

// afterOpen lets a test act between opening a file and locking it.
var afterOpen = func(path string) {}

// Try takes the lock of a file, or says ErrHeld.
func Try(path string, mode Mode) (*Lock, error) {
	return take(path, mode, func() bool { return false })
}

// Take waits for the lock of a file. ErrHeld says that ctx ended first.
func Take(ctx context.Context, path string, mode Mode) (*Lock, error) {
	pause, waited := shortestPause, time.Duration(0)
	return take(path, mode, func() bool {
		timer := time.NewTimer(pause)
		defer timer.Stop()
		waited += pause
		pause = max(min(2*pause, longPause), min(waited/10, 10*longPause))
		select {
		case <-timer.C:
			return true
		case <-ctx.Done():
			return false
		}
	})
}

// Released waits until nobody has the exclusive lock of a file. That cannot be given up, costs nothing meanwhile, and holds
// a thread of this process.
func Released(path string) {
	f, err := lockBlocking(path, Shared)
	if err != nil {
		return
	}
	(&Lock{file: f, path: path, mode: Shared}).Release()
}

// Block waits for the exclusive lock of an existing file, which cannot be given up and costs nothing meanwhile. It holds a
// thread of this process.
func Block(path string) (*Lock, error) {
	f, err := lockBlocking(path, Exclusive)
	if err != nil {
		return nil, err
	}
	return &Lock{file: f, path: path, mode: Exclusive | Existing}, nil
}

// take takes the lock; wait reports whether to try again.
func take(path string, mode Mode, wait func() bool) (*Lock, error) {
	for {
		f, ok, err := tryLock(path, mode)
		switch {
		case err != nil:
			return nil, err
		case !ok && !wait():
			return nil, ErrHeld
		case !ok:
			continue
		}
		l := &Lock{file: f, path: path, mode: mode}
		// Between opening the file and locking it somebody else may have removed it.
		named, err := l.named()
		if err == nil && named {
			return l, nil
		}
		l.close()
		if err != nil {
			return nil, err
		}
	}
}

// named reports whether the path still names the locked file.
func (l *Lock) named() (bool, error) {
	held, err := l.file.Stat()
	if err != nil {
		return false, err
	}
	there, err := os.Stat(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(held, there), err
}

// Path of the locked file.
func (l *Lock) Path() string { return l.path }

// Inherited is what a child process inherits (exec.Cmd.ExtraFiles) to hold the lock too, until it ends;
// nothing on Windows.
func (l *Lock) Inherited() []*os.File {
	l.inherited = true
	return l.file.files()
}

// Release ends this process's part in the lock. A lock file that nobody else holds is removed.
func (l *Lock) Release() {
	l.close()
	if l.mode&Existing == 0 {
		removeUnheld(l.path)
	}
}

// close gives up the lock, but not that of a child process.
func (l *Lock) close() {
	if !l.inherited {
		l.file.unlock() // a child between fork and exec may share the open file
	}
	_ = l.file.Close()
}

func removeUnheld(path string) {
	if l, err := Try(path, Exclusive|Existing); err == nil {
		_ = l.Remove()
	}
}

// Sweep removes the lock files (*.lock) of killed processes in a folder: those that nobody holds and
// that are older than age.
func Sweep(dir string, age time.Duration) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && filepath.Ext(e.Name()) == ".lock" && time.Since(info.ModTime()) >= age {
			removeUnheld(filepath.Join(dir, e.Name()))
		}
	}
}
