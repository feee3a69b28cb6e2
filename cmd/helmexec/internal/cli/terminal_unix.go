//go:build linux || darwin

package cli

import (
	"os"

	"golang.org/x/sys/unix"
)

// terminalOf says whether a file is a terminal, and how wide it is.
func terminalOf(f *os.File) (width int, is bool) {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, false
	}
	if size.Col == 0 {
		return 80, true
	}
	return int(size.Col), true
}
