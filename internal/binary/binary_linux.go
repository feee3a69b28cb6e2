package binary

import (
	"io/fs"
	"syscall"
)

// formats are how programs begin.
var formats = []string{"\x7fELF"}

func fileOf(info fs.FileInfo) (file, bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return file{}, false
	}
	return file{dev: uint64(stat.Dev), ino: stat.Ino, ctime: stat.Ctim.Nano()}, true
}
