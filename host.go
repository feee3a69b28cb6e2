package helmexec

import (
	"context"
	"crypto/rand"
	"os"
	"time"

	"github.com/sut-bench/helmexec/internal/filelock"
	"github.com/sut-bench/helmexec/internal/process"
)

// host is the machine that releases are changed from, as far as an outcome depends on it: what runs a
// helm, its clock, its name, ids that nobody else has, and the locks that others on it see. With another
// one for each, a test has several hosts in one process. What is kept in files is in Config.Home.
type host struct {
	run      func(context.Context, process.Command) process.Result
	now      func() time.Time
	name     func() string
	newID    func() string
	takeLock func(ctx context.Context, file string, mode filelock.Mode) (lock, error)
	tryLock  func(file string, mode filelock.Mode) (lock, error)
}

// lock is one that is held.
type lock interface {
	Path() string
	Inherited() []*os.File // as long as a helm has them open the lock is held
	Release()
}

// thisHost is the real one.
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

// held keeps a lock that was not taken from being an interface that is not nil.
func held(l *filelock.Lock, err error) (lock, error) {
	if err != nil {
		return nil, err
	}
	return l, nil
}
