package helmexec

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

func TestWatch(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no /proc to read")
	}
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "x"), make([]byte, writtenOtherwise+2000), 0o600); err != nil {
		t.Fatal(err)
	}
	if n := folderSize(full); n != writtenOtherwise+2000 {
		t.Errorf("the folder has %d bytes", n)
	}
	self := os.Getpid()
	if residentMemory(self) < 1<<20 || bytesRead(self) == 0 || residentMemory(-1) != 0 || bytesRead(-1) != 0 {
		t.Errorf("this process has %d bytes of memory and has read %d", residentMemory(self), bytesRead(self))
	}
	tests := []struct {
		name   string
		limits fetchLimits
		over   bool
	}{
		{"within", fetchLimits{dir: full, bytes: 1 << 40, memory: 1 << 40}, false},
		{"folder", fetchLimits{dir: full, bytes: 999, memory: 1 << 40}, true},
		{"memory", fetchLimits{dir: full, bytes: 1 << 40, memory: 1 << 10}, true},
		{"read", fetchLimits{dir: t.TempDir(), bytes: -readOtherwise, memory: 1 << 40}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var stopped []error
				done := test.limits.watch(self, func(err error) { stopped = append(stopped, err) })
				time.Sleep(time.Second) // ends when the watch has looked as often as it does in that time
				done()
				synctest.Wait()
				if !test.over && len(stopped) > 0 || test.over && (len(stopped) != 1 || !errors.Is(stopped[0], ErrOutputTooLarge)) {
					t.Errorf("stopped: %v", stopped)
				}
			})
		})
	}
}
