package process

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// usage is what a process uses of the machine.
type usage struct {
	memory    int64         // bytes that are in memory now
	processor time.Duration // used so far, by all its threads
}

// clockTick is the unit of time in /proc/PID/stat, on all of Go's systems.
const clockTick = time.Second / 100

// usageOf returns the usage of a process; zero if the system does not report it.
func usageOf(pid int) (u usage) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return u
	}
	// The second field is the name in brackets, and can contain anything. After it, field 3 comes
	// first.
	rest := text[bytes.LastIndexByte(text, ')')+1:]
	if f := strings.Fields(string(rest)); len(f) > 24-3 {
		user, _ := strconv.ParseInt(f[14-3], 10, 64)
		system, _ := strconv.ParseInt(f[15-3], 10, 64)
		pages, _ := strconv.ParseInt(f[24-3], 10, 64)
		u = usage{pages * int64(os.Getpagesize()), time.Duration(user+system) * clockTick}
	}
	return u
}

// bytesRead is how much a process has read from files and sockets, 0 if the system does not report
// it.
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

// AvailableMemory is how many bytes of memory this process and its children may still use, 0 if the
// system does not report it.
func AvailableMemory() (available int64) {
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		for _, line := range strings.Split(string(text), "\n") {
			if f := strings.Fields(line); len(f) == 3 && f[0] == "MemAvailable:" {
				available, _ = strconv.ParseInt(f[1], 10, 64)
				available <<= 10
			}
		}
	}
	if text, err := os.ReadFile("/sys/fs/cgroup/memory.max"); err == nil {
		if limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && (available == 0 || limit < available) {
			available = limit
		}
	}
	return available
}
