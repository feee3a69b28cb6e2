package home

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/sut-bench/helmexec/internal/filelock"
)

// betweenTries is how long the first in the queue waits before it tries all places again.
const betweenTries = 5 * time.Millisecond

// Place waits for one of some places on this host, which all programs with this home share. They are for what takes only
// processor time: a hundred such processes at once on two cores take almost twice the time of four at once. Nobody waits
// longer than patience, because whoever has a place may be stopped, or need it for long. After that, or where there can be
// no places, the caller goes on without one.
func (h *Home) Place(ctx context.Context, places int, patience time.Duration) (leave func()) {
	if ctx.Err() != nil {
		return func() {}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	got := make(chan *filelock.Lock)
	go func() {
		// The queue cannot be left before it is over: the one goroutine of this process in it does so.
		place := h.queue(ctx, places)
		select {
		case got <- place:
		case <-ctx.Done():
			if place != nil {
				place.Release()
			}
		}
	}()
	select {
	case place := <-got:
		if place != nil {
			return place.Release
		}
	case <-ctx.Done():
	}
	return func() {}
}

// queues are the homes in whose queue a caller of this process is: waiting there takes a thread, and a program can have any
// number of Homes of one folder.
var queues gates

// queue waits behind all others on this host; the first in the queue tries the places.
func (h *Home) queue(ctx context.Context, places int) *filelock.Lock {
	leave, err := queues.pass(ctx, h.dir)
	if err != nil {
		return nil
	}
	defer leave()
	if ctx.Err() != nil {
		return nil // the caller is gone, and perhaps the home
	}
	first, err := h.place("queue", filelock.Block)
	if err != nil {
		return nil
	}
	defer first.Release()
	try := func(path string) (*filelock.Lock, error) {
		return filelock.Try(path, filelock.Exclusive|filelock.Existing)
	}
	for ctx.Err() == nil {
		begin := rand.IntN(places)
		for i := range places {
			place, err := h.place(strconv.Itoa((begin+i)%places), try)
			if err == nil {
				return place
			}
			if !errors.Is(err, filelock.ErrHeld) {
				return nil
			}
		}
		select {
		case <-time.After(betweenTries):
		case <-ctx.Done():
		}
	}
	return nil
}

// place takes the lock of a file that stays, so that no file is made and removed for each caller.
func (h *Home) place(name string, take func(path string) (*filelock.Lock, error)) (*filelock.Lock, error) {
	path := h.Path("places", name)
	lock, err := take(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return lock, err
	}
	_ = os.Mkdir(filepath.Dir(path), 0o700)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	_ = f.Close()
	return take(path)
}
