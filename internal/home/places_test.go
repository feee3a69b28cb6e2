package home

import (
	"context"
	"errors"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sut-bench/helmexec/internal/filelock"
)

// Places are shared by all processes with a home (another Home acts like one).
func TestPlaces(t *testing.T) {
	h := open(t, t.TempDir())
	homes := []*Home{h, open(t, h.Path())}
	var all sync.WaitGroup
	var inside, most atomic.Int32
	for i := range 30 {
		all.Go(func() {
			leave := homes[i%2].Place(t.Context(), 3, time.Hour)
			defer leave()
			now := inside.Add(1)
			for was := most.Load(); now > was && !most.CompareAndSwap(was, now); was = most.Load() {
			}
			time.Sleep(time.Millisecond) // so that others come meanwhile
			inside.Add(-1)
		})
	}
	all.Wait()
	if n := most.Load(); n > 3 {
		t.Errorf("%d had a place at once", n)
	}
	if files, err := os.ReadDir(h.Path("places")); err != nil || len(files) > 4 {
		t.Errorf("%d files, %v", len(files), err)
	}
}

// However many Homes of one folder a process has, one thread of it waits in the queue.
func TestThreadsInTheQueue(t *testing.T) {
	h := open(t, t.TempDir())
	h.Place(t.Context(), 1, time.Hour)()
	first, err := filelock.Try(h.Path("places", "queue"), filelock.Exclusive|filelock.Existing)
	if err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	for range 20 {
		open(t, h.Path()).Place(t.Context(), 1, time.Millisecond)()
	}
	// Two more are of Eventually.
	assert.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+3 }, time.Minute, time.Millisecond)
	time.AfterFunc(10*time.Millisecond, first.Release)
	defer h.Place(t.Context(), 1, time.Hour)()
	if _, err := filelock.Try(h.Path("places", "0"), filelock.Exclusive|filelock.Existing); !errors.Is(err, filelock.ErrHeld) {
		t.Errorf("it has no place: %v", err)
	}
}

// Nobody waits for ever: neither for a place, nor where there can be none.
func TestPlacesThatAreNotFree(t *testing.T) {
	h := open(t, t.TempDir())
	other := open(t, h.Path())
	defer h.Place(t.Context(), 1, time.Hour)()
	other.Place(t.Context(), 1, 20*time.Millisecond)()

	ended, end := context.WithCancel(t.Context())
	end()
	empty := open(t, t.TempDir())
	for range 100 {
		empty.Place(ended, 1, time.Hour)()
	}
	assert.NoDirExists(t, empty.Path("places"), "who has given up leaves the home alone")

	broken := open(t, t.TempDir())
	if err := os.WriteFile(broken.Path("places"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	broken.Place(t.Context(), 1, time.Hour)()
}
