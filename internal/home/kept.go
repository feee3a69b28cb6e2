package home

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// Kept is a folder of the home with results that took a process to find out, and that other processes can use
// instead of finding them out again. Whatever happens to an entry, the worst is that it is missing: the disk may be
// full, the folder unwritable, an entry cut short, changed or somebody else's.
type Kept struct {
	home  *Home
	dir   string
	bound Bound
}

// Bound is what a Kept may contain. The entries that were not used for the longest time leave first.
type Bound struct {
	Bytes   int64 // in all files
	Entries int
}

// Most entries are added without a look at the others, of which there may be thousands: one that takes a share of the
// bound looks with that probability times this. So on average a sixty-fourth more than the bound is there, and seldom a tenth.
const often = 64

// looks says whether whoever adds an entry of a size has to look whether all fit.
func (b Bound) looks(size int) bool {
	share := max(float64(size)/float64(b.Bytes), 1/float64(b.Entries))
	return rand.Float64() < often*share
}

// Kept gives a folder of the home its purpose. It is made with the first entry.
func (h *Home) Kept(name string, bound Bound) *Kept {
	return &Kept{home: h, dir: h.Path(name), bound: bound}
}

// sum begins each file: the checksum of its name and its content.
const sumSize = 2*sha256.Size + len("\n")

func sum(file string, content []byte) []byte {
	hash := sha256.New()
	hash.Write([]byte(filepath.Base(file) + "\n"))
	hash.Write(content)
	return append(hex.AppendEncode(nil, hash.Sum(nil)), '\n')
}

// format is part of every key. Raise it when what is kept means something else, or has to pass more checks.
const format = "1"

// library is the version of this library in the program: another may check more, or find out more.
var library = sync.OnceValue(func() string {
	info, _ := debug.ReadBuildInfo()
	if info == nil {
		return ""
	}
	for _, module := range append(info.Deps, &info.Main) {
		if module.Path == "github.com/sut-bench/helmexec" {
			return module.Version
		}
	}
	return ""
})

// file is the file of a key, which may be secret and of any length.
func (k *Kept) file(key string) string {
	sum := sha256.Sum256([]byte(format + " " + library() + "\n" + key))
	return filepath.Join(k.dir, hex.EncodeToString(sum[:]))
}

// isSafe reports whether the folder is there, and nobody else can change it.
func (k *Kept) isSafe() bool {
	info, err := os.Lstat(k.dir)
	return err == nil && info.IsDir() && checkAccess(k.home.dir, k.dir) == nil
}

// Get returns the content that was put under a key, and marks it as used. What is not exactly that is removed.
func (k *Kept) Get(key string) (content []byte, ok bool) {
	if !k.isSafe() {
		return nil, false
	}
	file := k.file(key)
	info, err := os.Lstat(file)
	if err != nil {
		return nil, false
	}
	if info.Mode().IsRegular() { // anything else could keep a reader waiting
		content, ok = k.read(file)
	}
	if !ok {
		_ = os.RemoveAll(file)
		return nil, false
	}
	now := time.Now()
	_ = os.Chtimes(file, now, now)
	return content, true
}

func (k *Kept) read(file string) (content []byte, ok bool) {
	f, err := os.Open(file)
	if err != nil {
		return nil, false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() < int64(sumSize) || info.Size() > k.bound.Bytes {
		return nil, false
	}
	text := make([]byte, info.Size())
	if _, err := io.ReadFull(f, text); err != nil {
		return nil, false
	}
	content = text[sumSize:]
	return content, bytes.Equal(text[:sumSize], sum(file, content))
}

// Put keeps a content under a key, if it can.
func (k *Kept) Put(key string, content []byte) {
	if int64(sumSize+len(content)) > k.bound.Bytes {
		return
	}
	_ = os.Mkdir(k.dir, 0o700)
	if !k.isSafe() {
		return
	}
	file := k.file(key)
	_ = WriteFile(file, slices.Concat(sum(file, content), content))
	if k.bound.looks(sumSize + len(content)) {
		k.evict()
	}
}

// evict removes the least recently used entries until the rest fits. What killed processes left counts as well.
func (k *Kept) evict() {
	type entry struct {
		path string
		size int64
		used time.Time
	}
	entries, _ := os.ReadDir(k.dir)
	var all []entry
	var total int64
	// The clock was wrong when these were used, or is now. That they look new must not keep them for ever.
	future := time.Now().Add(time.Minute)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			continue
		}
		used := info.ModTime()
		if used.After(future) {
			used = time.Time{}
		}
		all = append(all, entry{filepath.Join(k.dir, e.Name()), info.Size(), used})
		total += info.Size()
	}
	slices.SortFunc(all, func(a, b entry) int { return a.used.Compare(b.used) })
	for count := len(all); len(all) > 0 && (total > k.bound.Bytes || count > k.bound.Entries); count-- {
		if os.RemoveAll(all[0].path) == nil {
			total -= all[0].size
		}
		all = all[1:]
	}
}
