// Package binary tells whether a file, above all that of a program, is still the one that it was.
package binary

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Identity is the same for as long as a path leads to the same helm; any change of the file, or of a link to it, makes
// another one. It is "" for what may be another helm from one call to the next, whatever its file: a script, a program
// that stands in for many tools and has a link with the name of each, and where the system does not tell enough.
func Identity(path string) string {
	identity, err := identify(path)
	if err != nil {
		return ""
	}
	return identity
}

var errUnknown = errors.New("not known to be helm itself")

func identify(path string) (string, error) {
	path, err := filepath.EvalSymlinks(path)
	if err != nil || !strings.HasPrefix(filepath.Base(path), "helm") {
		return "", errors.Join(err, errUnknown)
	}
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return "", errors.Join(err, errUnknown)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return "", err
	}
	begin := make([]byte, 4)
	if _, err := io.ReadFull(f, begin); err != nil {
		return "", err
	}
	state := State(info)
	if state == "" || !slices.Contains(formats, string(begin)) {
		return "", errUnknown
	}
	return fmt.Sprintf("%q %s", path, state), nil
}

// State is the same for as long as nothing of a file changes, whatever its path; "" where the system does not tell enough.
func State(info fs.FileInfo) string {
	file, ok := fileOf(info)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%d %d %d %d %d", file.dev, file.ino, info.Size(), info.ModTime().UnixNano(), file.ctime)
}

// file is what a system tells about a file besides its size and the time at which its content changed.
type file struct {
	dev, ino uint64
	ctime    int64 // when anything of it changed, in nanoseconds; nobody can set it back
}
