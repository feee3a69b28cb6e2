//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package job

import (
	"os"
	"os/exec"
)

// Here a benchmark that outlived its command is not noticed: no lock is handed down to it.
func handDown(*exec.Cmd, *os.File) {}

func tryLock(*os.File) (held bool, err error) { return true, nil }

func unlock(*os.File) error { return nil }
