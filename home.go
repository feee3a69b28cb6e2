package helmexec

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// stateDir makes the private folder that holds all this package writes. A link to it is followed here,
// and not again: what it leads to by now is the home.
func stateDir(home string) (string, error) {
	dir := home
	if home == "" || home == UserHome {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", invalidf("config: Home is empty and there is no user cache folder (%v): set Home", err)
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
		return "", invalidf("config: Home %q: %v", home, err)
	}
	if err := checkHome(dir); err != nil {
		return "", err
	}
	for _, sub := range []string{"archives", "locks", "operations", "pins", "plugins", "repositories", "tmp"} {
		path := filepath.Join(dir, sub)
		if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", invalidf("config: Home: %v", err)
		}
		if info, err := os.Lstat(path); err != nil || !info.IsDir() {
			return "", invalidf("config: Home: %s is not a folder: remove it", path)
		}
	}
	// What others put there stays when they may not write any more.
	var entries []string
	for _, sub := range []string{dir, filepath.Join(dir, "plugins")} {
		there, err := os.ReadDir(sub)
		if err != nil {
			return "", invalidf("config: Home: %v", err)
		}
		for _, e := range there {
			entries = append(entries, filepath.Join(sub, e.Name()))
		}
	}
	return dir, checkHome(dir, entries...)
}

// checkPlugins refuses a home whose plugins, which each helm looks for, others can change by now.
func (h *Helm) checkPlugins() error { return checkHome(h.state, filepath.Join(h.state, "plugins")) }

// ownFiles puts files of this package's making into the home, once, and gives the folder that has them
// and nothing else. Helm runs or trusts them, so they are read each time: where anything differs they
// are made anew.
func (h *Helm) ownFiles(ctx context.Context, name string, files map[string]string) (dir string, err error) {
	sum := sha256.New()
	for _, file := range sortedKeys(files) {
		fmt.Fprintf(sum, "%q %q\n", file, files[file])
	}
	// Another version of this package may share the home, and have files of its own.
	dir = filepath.Join(h.state, name+"-"+hex.EncodeToString(sum.Sum(nil)[:6]))
	if hasJust(dir, files) {
		return dir, nil
	}
	unlock, err := h.lock(ctx, "the files of "+name)
	if err != nil {
		return "", err
	}
	defer unlock()
	if hasJust(dir, files) {
		return dir, nil
	}
	tmp, err := os.MkdirTemp(filepath.Join(h.state, "tmp"), name+"-")
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

// hasJust tells whether a folder has some files, as they are to be, and no others.
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

var errOtherFiles = errors.New("not the files that are to be there")
