package binary

import (
	"io/fs"
	"syscall"
)

// formats are how programs begin: for one kind of processor, and for several.
var formats = []string{"\xcf\xfa\xed\xfe", "\xca\xfe\xba\xbe", "\xca\xfe\xba\xbf"}

func fileOf(info fs.FileInfo) (file, bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return file{}, false
	}
	return file{dev: uint64(stat.Dev), ino: stat.Ino, ctime: stat.Ctimespec.Nano()}, true
}
