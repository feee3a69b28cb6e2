//go:build unix

package home

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/sut-bench/helmexec/internal/errdef"
)

// checkAccess refuses a home, and the given entries of it, if others than this user can change what helm
// reads and runs: if they own it, if they may write to it, or if everybody may write to a folder above,
// and so replace it. Root is trusted, and so are the owner and the group of a folder above, and whoever
// mounted a volume that contains it.
func checkAccess(home string, entries ...string) error {
	open := "" // what others may write to
	for _, path := range append([]string{home}, entries...) {
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) && path != home {
			continue // another user of this home has removed it
		}
		if err != nil {
			return errdef.Invalidf("config: Home: %v", err)
		}
		if owner := statOf(info).Uid; int(owner) != os.Geteuid() {
			return errdef.Invalidf("config: Home: %s belongs to user %d, and this program runs as user %d: set Home to a folder that it makes", path, owner, os.Geteuid())
		}
		if open == "" && info.Mode()&fs.ModeSymlink == 0 && info.Mode()&0o022 != 0 {
			open = path
		}
	}
	for path, last := home, ""; path != last; path, last = filepath.Dir(path), path {
		info, err := os.Lstat(path)
		if err != nil {
			return errdef.Invalidf("config: Home: %v", err)
		}
		if open == "" && path != home && info.Mode()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0 && !isMounted(path, info) {
			open = path
		}
		if info.Mode()&0o011 == 0 {
			open = "" // others cannot reach what is in here, whatever its mode
		}
	}
	if open != "" {
		return errdef.Invalidf("config: Home: others may write to %s, and helm would run what they put there: check its content, then chmod go-w %s, or set Home to another folder", open, open)
	}
	return nil
}

// isMounted reports whether a folder is the top of a volume, which in a pod everybody may write to.
func isMounted(path string, info fs.FileInfo) bool {
	above, err := os.Lstat(filepath.Dir(path))
	return err == nil && (statOf(above).Dev != statOf(info).Dev || os.SameFile(above, info))
}

func statOf(info fs.FileInfo) *syscall.Stat_t { return info.Sys().(*syscall.Stat_t) }
