package helmexec

import (
	"context"
	"crypto/rand"
	"os"
	"time"

	"github.com/sut-bench/helmexec/internal/filelock"
	"github.com/sut-bench/helmexec/internal/process"
)

// host is the part of the machine that an outcome depends on: what runs helm, the clock, the name,
// unique ids, and the locks that others on the machine see. A test can have several hosts in one
// process. Files are in Config.Home.
type host struct {
	run      func(context.Context, process.Command) process.Result
	now      func() time.Time
	name     func() string
	newID    func() string
	takeLock func(ctx context.Context, file string, mode filelock.Mode) (lock, error)
	tryLock  func(file string, mode filelock.Mode) (lock, error)
}

// lock is a held lock.
type lock interface {
	Path() string
	Inherited() []*os.File // the lock is held as long as a helm has them open
	Release()
}

// thisHost is the real host.
func thisHost() host {
	return host{
		run: process.Run,
		now: time.Now,
		name: func() string {
			name, _ := os.Hostname()
			return name
		},
		newID: rand.Text,
		takeLock: func(ctx context.Context, file string, mode filelock.Mode) (lock, error) {
			return held(filelock.Take(ctx, file, mode))
		},
		tryLock: func(file string, mode filelock.Mode) (lock, error) { return held(filelock.Try(file, mode)) },
	}
}

// held avoids a non-nil interface around a nil lock.
func held(l *filelock.Lock, err error) (lock, error) {
	if err != nil {
		return nil, err
	}
	return l, nil
}
