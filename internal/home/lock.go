package home

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"time"

	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/filelock"
	"github.com/sut-bench/helmexec/internal/redact"
)

// Lock makes the caller the only one working on a thing, in all processes with this home; what is
// its name in errors. The system frees a lock whose holder was killed. Within the process a channel
// comes first, so that at most one goroutine polls the file.
func (h *Home) Lock(ctx context.Context, what string) (unlock func(), err error) {
	leave, err := h.Turn(ctx, what)
	if err != nil {
		return nil, err
	}
	lock, err := filelock.Take(ctx, LockFile(h.Path("locks"), what), filelock.Exclusive)
	if err != nil {
		leave()
		return nil, notLocked(ctx, what, err)
	}
	return func() { lock.Release(); leave() }, nil
}

func notLocked(ctx context.Context, what string, err error) error {
	if errors.Is(err, filelock.ErrHeld) {
		return fmt.Errorf("waiting for another process that is working on %s: %w", redact.Abridged(what), errdef.ContextError(ctx))
	}
	return fmt.Errorf("the lock of %s cannot be taken: %w", redact.Abridged(what), err)
}

// LockUnless is Lock for work that is done once for all who need it. Once done reports that it is done, by whomever, nobody
// waits for the lock any more: unlock is nil. A caller who gets the lock has asked while holding it. Hundreds may wait: the
// system wakes them when the holder has finished, and seldom before.
func (h *Home) LockUnless(ctx context.Context, what string, done func() bool) (unlock func(), err error) {
	if done() {
		return nil, nil
	}
	leave, err := h.Turn(ctx, what)
	if err != nil {
		return nil, err
	}
	path := LockFile(h.Path("locks"), what)
	for n := 0; !done(); n++ {
		lock, err := filelock.Try(path, filelock.Exclusive)
		switch {
		case err == nil && done():
			lock.Release()
			leave()
			return nil, nil
		case err == nil:
			return func() { lock.Release(); leave() }, nil
		case !errors.Is(err, filelock.ErrHeld):
			leave()
			return nil, notLocked(ctx, what, err)
		}
		if !awaits(ctx, waits.released(path), done) {
			leave()
			if ctx.Err() != nil {
				return nil, notLocked(ctx, what, filelock.ErrHeld)
			}
			return nil, nil
		}
		if n > 0 {
			time.Sleep(rand.N(5 * time.Millisecond)) // all who waited were woken, and are in each other's way
		}
	}
	leave()
	return nil, nil
}

// waits are the waits of this process for lock files to be released.
var waits waiting

// waiting has a channel for each file, which is closed at its release. A wait takes a thread and cannot be given up: callers
// who need the same file, and those who come when others have given up, share one.
type waiting struct {
	sync.Mutex
	of map[string]chan struct{}
}

func (all *waiting) released(path string) <-chan struct{} {
	all.Lock()
	defer all.Unlock()
	if released := all.of[path]; released != nil {
		return released
	}
	if all.of == nil {
		all.of = map[string]chan struct{}{}
	}
	released := make(chan struct{})
	all.of[path] = released
	go func() {
		filelock.Released(path)
		all.Lock()
		defer all.Unlock()
		delete(all.of, path)
		close(released)
	}()
	return released
}

// betweenLooks is how long a waiting caller sleeps before it looks whether the work is done although its holder still has
// the lock. That is rare, and each look wakes the process up: with hundreds of them, looks take a core from those who work.
const betweenLooks = 2 * time.Second

// awaits reports whether others have released a lock before ctx ended, or the work was done all the same.
func awaits(ctx context.Context, released <-chan struct{}, done func() bool) bool {
	for {
		select {
		case <-released:
			return true
		case <-time.After(betweenLooks):
			if done() {
				return false
			}
		case <-ctx.Done():
			return false
		}
	}
}

// Turn is Lock within this process.
func (h *Home) Turn(ctx context.Context, what string) (leave func(), err error) {
	return h.gates.pass(ctx, what)
}

func (all *gates) pass(ctx context.Context, what string) (leave func(), err error) {
	g := all.enter(what)
	select {
	case g.turn <- struct{}{}:
		return func() { <-g.turn; all.exit(what) }, nil
	case <-ctx.Done():
		all.exit(what)
		return nil, fmt.Errorf("waiting for another caller that is working on %s: %w", redact.Abridged(what), errdef.ContextError(ctx))
	}
}

// Waiting is how many callers of this process wait for another.
func (h *Home) Waiting() (n int) {
	h.gates.Lock()
	defer h.gates.Unlock()
	for _, g := range h.gates.of {
		n += g.callers - 1
	}
	return n
}

// gates are the things that callers in this process are working on, or waiting for.
type gates struct {
	sync.Mutex
	of map[string]*gate
}

type gate struct {
	turn    chan struct{}
	callers int
}

func (all *gates) enter(what string) *gate {
	all.Lock()
	defer all.Unlock()
	if all.of == nil {
		all.of = map[string]*gate{}
	}
	g := all.of[what]
	if g == nil {
		g = &gate{turn: make(chan struct{}, 1)}
		all.of[what] = g
	}
	g.callers++
	return g
}

func (all *gates) exit(what string) {
	all.Lock()
	defer all.Unlock()
	g := all.of[what]
	if g.callers--; g.callers == 0 {
		delete(all.of, what)
	}
}

// LockFile is the file in a folder that is locked for a name.
func LockFile(folder, name string) string {
	sum := sha256.Sum256([]byte(name))
	return filepath.Join(folder, hex.EncodeToString(sum[:16])+".lock")
}
