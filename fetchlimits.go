package helmexec

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// fetchLimits bound a helm that fetches. Helm itself reads an answer of any size into memory before
// it writes a file, and an answer may unpack on the way: what it reads (from sockets too, and once
// more from the file), what it holds and what it writes are watched.
type fetchLimits struct {
	dir           string // where it writes
	bytes, memory int64
}

// readOtherwise is what helm may read beside what it fetches: its own files.
const readOtherwise = 16 << 20

// writtenOtherwise is what may be in the folder beside what helm fetches: what was put there for it.
const writtenOtherwise = 1 << 20

// watch calls stop once when a limit is exceeded. The function it returns ends the watch.
func (l *fetchLimits) watch(pid int, stop func(error)) (done func()) {
	quit := make(chan struct{})
	go func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
			}
			if n := bytesRead(pid); n > 2*l.bytes+readOtherwise {
				stop(fmt.Errorf("%w: what helm fetched is over %d MiB", ErrOutputTooLarge, l.bytes>>20))
				return
			}
			if n := residentMemory(pid); n > l.memory {
				stop(fmt.Errorf("%w: what helm fetched took it over %d MiB of memory", ErrOutputTooLarge, l.memory>>20))
				return
			}
			// Helm 4 keeps a second copy of an archive in its cache. What has come is measured exactly
			// when it is read.
			if n := folderSize(l.dir); n > 2*l.bytes+writtenOtherwise {
				stop(fmt.Errorf("%w: what helm fetched is over %d MiB", ErrOutputTooLarge, l.bytes>>20))
				return
			}
		}
	}()
	return func() { close(quit) }
}

// residentMemory of a process in bytes, 0 where the system does not tell.
func residentMemory(pid int) int64 {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "statm"))
	if err != nil {
		return 0
	}
	if f := strings.Fields(string(text)); len(f) > 1 {
		pages, _ := strconv.ParseInt(f[1], 10, 64)
		return pages * int64(os.Getpagesize())
	}
	return 0
}

// bytesRead is how much a process has read from files and sockets, 0 where the system does not tell.
func bytesRead(pid int) int64 {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "io"))
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), "\n")
	n, _ := strconv.ParseInt(strings.TrimPrefix(first, "rchar: "), 10, 64)
	return n
}

func folderSize(dir string) (total int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if info, err := d.Info(); err == nil {
				total += info.Size()
			}
		}
		return nil
	})
	return total
}
