package home

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"
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

// Nobody waits for ever: neither for a place, nor where there can be none.
func TestPlacesThatAreNotFree(t *testing.T) {
	h := open(t, t.TempDir())
	other := open(t, h.Path())
	defer h.Place(t.Context(), 1, time.Hour)()
	other.Place(t.Context(), 1, 20*time.Millisecond)()
	ended, end := context.WithCancel(t.Context())
	end()
	other.Place(ended, 1, time.Hour)()

	broken := open(t, t.TempDir())
	if err := os.WriteFile(broken.Path("places"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	broken.Place(t.Context(), 1, time.Hour)()
}
