// Package home manages the private folder that contains everything this library writes: what helm
// reads and trusts, archives, pins and locks. Any number of processes may share one.
package home

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/filelock"
)

// Home is a home that was checked when it was opened.
type Home struct {
	dir   string
	gates gates // turns among the callers of this process, by what they are working on
}

// folders are those of a home.
var folders = []string{"archives", "locks", "operations", "pins", "repositories", "tmp", "user"}

// mark is the first file of a home: the folder is ours, and what is in it may be changed and removed.
const mark = "helmexec-home.txt"

// Open makes the home if it is missing, and refuses a folder that others can change, or that has files of somebody else
// (ErrInvalidArgument); "" is the one in the user's cache folder. A link to it is followed only here: the home stays the
// folder that it leads to now.
func Open(dir string) (*Home, error) {
	given := dir
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return nil, errdef.Invalidf("config: Home is empty and there is no user cache folder (%v): set Home", err)
		}
		dir = filepath.Join(cache, "helmexec")
	}
	dir, err := filepath.Abs(dir)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return nil, errdef.Invalidf("config: Home %q: %v", given, err)
	}
	if err := checkAccess(dir); err != nil {
		return nil, err
	}
	if err := claim(dir); err != nil {
		return nil, err
	}
	for _, sub := range folders {
		path := filepath.Join(dir, sub)
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
				return nil, errdef.Invalidf("config: Home: %v", err)
			}
			info, err = os.Lstat(path)
		}
		if err != nil {
			return nil, errdef.Invalidf("config: Home: %v", err)
		}
		if !info.IsDir() {
			return nil, errdef.Invalidf("config: Home: %s is not a folder: remove it", path)
		}
	}
	// What others put there stays even if they may not write any more.
	var entries []string
	for _, sub := range []string{dir, filepath.Join(dir, "user")} {
		there, err := os.ReadDir(sub)
		if err != nil {
			return nil, errdef.Invalidf("config: Home: %v", err)
		}
		for _, e := range there {
			if !system[e.Name()] { // another user's, and of no use to helm
				entries = append(entries, filepath.Join(sub, e.Name()))
			}
		}
	}
	return &Home{dir: dir}, checkAccess(dir, entries...)
}

// system names what file systems and their tools put into folders.
var system = map[string]bool{"lost+found": true, ".snapshot": true, ".DS_Store": true}

// claim marks an empty folder as a home. One without the mark was made before homes had marks, or has lost it to a cleaner,
// if it has nothing else than a home has, or most of the names that hardly any other folder has.
func claim(dir string) error {
	path := filepath.Join(dir, mark)
	marked := func() bool {
		_, err := os.Lstat(path)
		return err == nil
	}
	if marked() {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return errdef.Invalidf("config: Home: %v", err)
	}
	typical, first, foreign := 0, "", ""
	for _, e := range entries {
		name := e.Name()
		switch {
		case system[name]:
			continue
		case e.IsDir() && slices.Contains([]string{"archives", "locks", "operations", "pins", "repositories"}, name):
			typical++
		case !slices.Contains(folders, name):
			foreign = cmp.Or(foreign, name)
		}
		first = cmp.Or(first, name)
	}
	isHome := first == "" || typical >= 3 || typical > 0 && foreign == ""
	if !isHome && !marked() { // another process may just have made it
		return errdef.Invalidf("config: Home: %s is not a home of helmexec, and has files, such as %q: give a folder that is empty or "+
			"missing, since helmexec removes old files in its home", dir, cmp.Or(foreign, first))
	}
	if err := os.WriteFile(path, []byte("This folder is a home of helmexec, which changes and removes what is in it.\n"), 0o600); err != nil {
		return errdef.Invalidf("config: Home: %v", err)
	}
	return nil
}

// Path is the path of something in the home; without elements, of the home itself.
func (h *Home) Path(elem ...string) string {
	return filepath.Join(append([]string{h.dir}, elem...)...)
}

// MkdirTemp makes a folder for one call, on the file system of the home. The caller removes it.
func (h *Home) MkdirTemp(pattern string) (dir string, err error) {
	return os.MkdirTemp(h.Path("tmp"), pattern)
}

// CheckAccess refuses a home if others can now change it, or what helm has as the user's home.
func (h *Home) CheckAccess() error { return checkAccess(h.dir, h.Path("user")) }

// Sweep removes what killed processes left: temporary files and lock files older than a day.
func (h *Home) Sweep() {
	const age = 24 * time.Hour
	RemoveOlder(h.Path("tmp"), age)
	for _, sub := range []string{"locks", "operations"} {
		filelock.Sweep(h.Path(sub), age)
	}
}

// RemoveOlder removes the entries of a folder that have not changed for some time.
func RemoveOlder(dir string, age time.Duration) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > age {
			_ = os.RemoveAll(filepath.Join(dir, e.Name()))
		}
	}
}

// Files puts files of this library into the home, once, and returns the folder that contains only
// them. Helm runs or trusts them, so they are read each time, and written again if anything differs.
func (h *Home) Files(ctx context.Context, name string, files map[string]string) (dir string, err error) {
	sum := sha256.New()
	for _, file := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(sum, "%q %q\n", file, files[file])
	}
	// Another version of this package may share the home, and have different files.
	dir = h.Path(name + "-" + hex.EncodeToString(sum.Sum(nil)[:6]))
	if hasJust(dir, files) {
		return dir, nil
	}
	unlock, err := h.Lock(ctx, "the files of "+name)
	if err != nil {
		return "", err
	}
	defer unlock()
	if hasJust(dir, files) {
		return dir, nil
	}
	tmp, err := h.MkdirTemp(name + "-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	made := filepath.Join(tmp, "made")
	for file, text := range files {
		path, mode := filepath.Join(made, filepath.FromSlash(file)), fs.FileMode(0o600)
		if strings.HasPrefix(text, "#!") {
			mode = 0o700
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), mode)); err != nil {
			return "", err
		}
	}
	if err := os.Rename(dir, filepath.Join(tmp, "old")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	return dir, os.Rename(made, dir)
}

// hasJust reports whether a folder has exactly these files and no others.
func hasJust(dir string, files map[string]string) bool {
	found := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		want, ours := files[filepath.ToSlash(name)]
		info, err := d.Info()
		if err != nil || !ours || !info.Mode().IsRegular() || info.Size() != int64(len(want)) {
			return errors.Join(err, errOtherFiles)
		}
		text, err := os.ReadFile(path)
		if err != nil || string(text) != want {
			return errors.Join(err, errOtherFiles)
		}
		found++
		return nil
	})
	return err == nil && found == len(files)
}

var errOtherFiles = errors.New("not the expected files")

// WriteFile lets a reader see the old content or the new.
func WriteFile(file string, content []byte) error {
	return replace(file, 0o600, func(f *os.File) error {
		_, err := f.Write(content)
		return err
	})
}

// CopyFile is WriteFile with the content of another file, which may be on another file system.
func CopyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	return replace(to, 0o644, func(f *os.File) error {
		_, err := io.Copy(f, in)
		return err
	})
}

// replace writes through a temporary file beside the other, so that the rename stays on one file system.
func replace(file string, mode fs.FileMode, write func(*os.File) error) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := errors.Join(write(f), f.Chmod(mode), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}
