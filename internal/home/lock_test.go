package home

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"golang.org/x/sync/errgroup"
)

// A lock excludes goroutines and other processes (another Home acts like one: the lock belongs to
// the open file), and waiting for it ends with the context.
func TestLock(t *testing.T) { synctest.Test(t, testLock) }

func testLock(t *testing.T) {
	h := open(t, t.TempDir())
	other := open(t, h.Path()) // as another process would
	unlock, err := h.Lock(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	for _, waiter := range []*Home{h, other} {
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
		_, err := waiter.Lock(ctx, "x")
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "x") {
			t.Errorf("waiting in vain: %v", err)
		}
		unlockOther, err := waiter.Lock(t.Context(), "y")
		if err != nil {
			t.Fatal(err)
		}
		unlockOther()
	}
	unlock()

	var all errgroup.Group
	var inside, had atomic.Int32
	for i := range 20 {
		waiter := []*Home{h, other}[i%2]
		all.Go(func() error {
			unlock, err := waiter.Lock(t.Context(), "x")
			if err != nil {
				return err
			}
			if n := inside.Add(1); n != 1 {
				t.Errorf("%d have the lock at once", n)
			}
			had.Add(1)
			inside.Add(-1)
			unlock()
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		t.Error(err)
	}
	if had.Load() != 20 {
		t.Errorf("%d of 20 had the lock", had.Load())
	}
}

// An error says why a lock cannot be taken, and does not blame another caller.
func TestLockSaysWhatIsWrong(t *testing.T) {
	h := open(t, t.TempDir())
	if err := errors.Join(os.Remove(h.Path("locks")), os.WriteFile(h.Path("locks"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	_, err := h.Lock(t.Context(), "x")
	if err == nil || !strings.Contains(err.Error(), "the lock of x cannot be taken") || strings.Contains(err.Error(), "waiting") {
		t.Error(err)
	}
}

// Errors are readable whatever the name of a lock is.
func TestLockNamesAreReadable(t *testing.T) {
	h := open(t, t.TempDir())
	other := open(t, h.Path()) // as another process would
	name := "the chart \x8a\x00\n" + strings.Repeat("x", 1000)
	unlock, err := h.Lock(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, here := h.Turn(ctx, name)
	_, elsewhere := other.Lock(ctx, name)
	for _, err := range []error{here, elsewhere} {
		if err == nil || !strings.Contains(err.Error(), `the chart \x8a\x00\nxxx`) || len(err.Error()) > 400 {
			t.Error(err)
		}
	}
}

// Work that is done once for all: whoever needs it waits for the lock only until it is done.
func TestLockUnless(t *testing.T) {
	h := open(t, t.TempDir())
	other := open(t, h.Path()) // as another process would
	var done atomic.Bool
	var all errgroup.Group
	var did atomic.Int32
	for i := range 20 {
		all.Go(func() error {
			unlock, err := []*Home{h, other}[i%2].LockUnless(t.Context(), "x", done.Load)
			if err == nil && unlock != nil {
				did.Add(1)
				for h.Waiting() == 0 || other.Waiting() == 0 {
					runtime.Gosched()
				}
				done.Store(true)
				unlock()
			}
			return err
		})
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	if n := did.Load(); n != 1 {
		t.Errorf("%d did the work", n)
	}

	// A worker that fails leaves the work to the next one.
	done.Store(false)
	did.Store(0)
	for i := range 20 {
		all.Go(func() error {
			unlock, err := []*Home{h, other}[i%2].LockUnless(t.Context(), "x", done.Load)
			if err == nil && unlock != nil {
				done.Store(did.Add(1) == 3)
				unlock()
			}
			return err
		})
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	if n := did.Load(); n != 3 {
		t.Errorf("%d did the work", n)
	}
	if files, err := os.ReadDir(h.Path("locks")); err != nil || len(files) > 0 {
		t.Errorf("%v are left, %v", files, err)
	}

	// Nobody waits for a lock whose holder does something else when the work is done, or for longer than its context.
	unlock, err := h.Lock(t.Context(), "y")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	asked := 0
	doneLater := func() bool { asked++; return asked > 2 }
	if unlock, err := other.LockUnless(t.Context(), "y", doneLater); unlock != nil || err != nil {
		t.Errorf("got %v, %v", unlock != nil, err)
	}
	ended, end := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer end()
	never := func() bool { return false }
	third := open(t, h.Path())
	if unlock, err := third.LockUnless(ended, "y", never); unlock != nil || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, %v", unlock != nil, err)
	}
}

// However many callers of a program give up, in whatever Homes of a folder, one thread of it waits for a lock, and none of
// them keeps others from their turn.
func TestCallersWhoGiveUp(t *testing.T) {
	h := open(t, t.TempDir())
	unlock, err := h.Lock(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	never := func() bool { return false }
	before := runtime.NumGoroutine()
	other := open(t, h.Path())
	for _, waiter := range []*Home{other, open(t, h.Path()), open(t, h.Path()), open(t, h.Path()), open(t, h.Path()), other} {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		_, err := waiter.LockUnless(ctx, "x", never)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	}
	// Two more are of Eventually.
	assert.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+3 }, time.Minute, time.Millisecond)
	leave, err := other.Turn(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	leave()
	unlock()
	unlock, err = other.LockUnless(t.Context(), "x", never)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}
