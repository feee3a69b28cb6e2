package helmexec

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/sut-bench/helmexec/internal/filelock"
)

// lock makes the caller the only one at work on a thing, in all processes with this home; what names
// it in errors. The system frees a lock whose holder was killed. Within the process a channel comes
// first, so that one goroutine at most looks for the file to be free.
func (h *Helm) lock(ctx context.Context, what string) (unlock func(), err error) {
	leave, err := h.turn(ctx, what)
	if err != nil {
		return nil, err
	}
	lock, err := filelock.Take(ctx, lockPath(filepath.Join(h.state, "locks"), what), filelock.Exclusive)
	switch {
	case errors.Is(err, filelock.ErrHeld):
		err = fmt.Errorf("waiting for another process at work on %s: %w", abridged(what), contextError(ctx))
	case err != nil:
		err = fmt.Errorf("the lock of %s cannot be taken: %w", abridged(what), err)
	}
	if err != nil {
		leave()
		return nil, err
	}
	return func() { lock.Release(); leave() }, nil
}

// turn is lock within this process.
func (h *Helm) turn(ctx context.Context, what string) (leave func(), err error) {
	h.gates.Lock()
	g := h.gates.of[what]
	if g == nil {
		g = &gate{turn: make(chan struct{}, 1)}
		if h.gates.of == nil {
			h.gates.of = map[string]*gate{}
		}
		h.gates.of[what] = g
	}
	g.callers++
	h.gates.Unlock()
	gone := func() {
		h.gates.Lock()
		defer h.gates.Unlock()
		if g.callers--; g.callers == 0 {
			delete(h.gates.of, what)
		}
	}
	select {
	case g.turn <- struct{}{}:
		return func() { <-g.turn; gone() }, nil
	case <-ctx.Done():
		gone()
		return nil, fmt.Errorf("waiting for another caller at work on %s: %w", abridged(what), contextError(ctx))
	}
}

// gates are the things that callers in this process are at work on, or wait for.
type gates struct {
	sync.Mutex
	of map[string]*gate
}

type gate struct {
	turn    chan struct{}
	callers int
}

// lockPath is the file that is locked for a name.
func lockPath(folder, name string) string {
	sum := sha256.Sum256([]byte(name))
	return filepath.Join(folder, hex.EncodeToString(sum[:16])+".lock")
}
