package fetch

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sut-bench/helmexec/chart"
	"github.com/sut-bench/helmexec/internal/argument"
	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/filelock"
	"github.com/sut-bench/helmexec/internal/home"
)

// keptAtLeast is how long an archive stays after it was last requested, so that a caller of Fetch
// can use its path.
const keptAtLeast = 10 * time.Minute

// keptPins is how long we remember which archive a source gave. After that the source is asked
// again.
const keptPins = 30 * 24 * time.Hour

// want is one requested archive of a source: it is in the cache, or has to be pulled.
type want struct {
	source
	opts  Source
	from  repository    // fromRepo: its repository when the call began
	entry chart.Version // fromRepo: what the index says about it, once that was read
	keys  *keyring      // it must be signed with one of these, unless nil
	since time.Time     // if the index has no digest, what the source gave earlier does not count

	described bool // that is enough
}

// key identifies the archive in the cache. It has the URL, because a repository's name can be reused
// for another URL, and the name, because two names can have different credentials.
func (w want) key() string {
	if w.kind == fromRepo {
		return w.from.Name + " " + w.from.URL + "/" + w.chart + " " + w.version
	}
	return w.ref + " " + w.version + w.source.digest
}

// String is its name in errors.
func (w want) String() string {
	return strings.TrimSpace(w.shown + " " + w.version + w.source.digest)
}

// pin remembers which archive a source gave.
type pin struct {
	Digest   string
	At       time.Time // when the pull began
	Manifest string    `json:",omitempty"` // the digest of its manifest in a registry
}

func (s *Store) pinFile(key string) string {
	sum := sha256.Sum256([]byte(key))
	return s.home.Path("pins", hex.EncodeToString(sum[:16])+".json")
}

func (s *Store) readPin(key string) (p pin, ok bool) {
	text, err := os.ReadFile(s.pinFile(key))
	if err != nil || json.Unmarshal(text, &p) != nil || !argument.IsDigest(p.Digest) {
		return pin{}, false
	}
	age := time.Since(p.At) // below zero if the clock was set back
	return p, age >= 0 && age <= keptPins
}

// writePin remembers an archive. Where that fails, the source is asked again.
func (s *Store) writePin(key string, p pin) {
	if text, err := json.Marshal(p); err == nil {
		_ = home.WriteFile(s.pinFile(key), text)
	}
}

// archive is the path of an archive, named by its content.
func (s *Store) archive(digest string) string {
	return s.home.Path("archives", strings.TrimPrefix(digest, "sha256:")+".tgz")
}

// Owns reports whether a path is that of an archive in the cache: its name is its digest, so nothing else will be there.
func (s *Store) Owns(path, digest string) bool { return digest != "" && path == s.archive(digest) }

// IsIntact reports whether an archive of the cache has its digest. Any other chart was read when it was fetched.
func (s *Store) IsIntact(path, digest string) bool {
	return !s.Owns(path, digest) || hasDigest(path, digest)
}

// lookUp finds a wanted archive in the cache. It is nil if the archive has to be pulled.
func (s *Store) lookUp(ctx context.Context, w want) *Chart {
	p, ok := s.readPin(w.key())
	if digest := digestOf(w.entry); digest != "" {
		ok = ok && p.Digest == digest
	} else {
		ok = ok && !p.At.Before(w.since)
	}
	if !ok {
		return nil
	}
	return s.served(ctx, w, p.Digest, p.Manifest)
}

// served is a wanted archive of the cache; nil if it is not there, or has no signature that is wanted.
func (s *Store) served(ctx context.Context, w want, digest, manifest string) *Chart {
	ch := s.cached(ctx, w.source, digest, w.described)
	if ch == nil || !s.vouched(ctx, w, ch) {
		return nil
	}
	ch.Manifest = cmp.Or(w.source.digest, manifest)
	return ch
}

// cached opens an archive of the cache and marks it as used. It is nil if the archive is missing or
// is not what its name says; whether it is does not matter if a description is enough.
func (s *Store) cached(ctx context.Context, src source, digest string, described bool) *Chart {
	path := s.archive(digest)
	lock, err := filelock.Take(ctx, path, filelock.Shared|filelock.Existing)
	if err != nil {
		return nil
	}
	defer lock.Release()
	now := time.Now()
	if os.Chtimes(path, now, now) != nil {
		return nil
	}
	content := s.read(path, digest, described)
	if content == nil {
		return nil
	}
	ch, err := src.fits(path, content)
	if err != nil {
		return nil
	}
	return ch
}

// obtain looks up a wanted archive. If necessary it asks for it, and pulls it unless the cache has it, once for all who ask at
// the same time.
func (s *Store) obtain(ctx context.Context, w want) (*Chart, error) {
	var have *Chart
	unlock, err := s.home.LockUnless(ctx, "chart "+w.String(), func() bool {
		have = s.lookUp(ctx, w)
		return have != nil
	})
	if err != nil || unlock == nil {
		return have, err
	}
	defer unlock()
	began := time.Now()
	if ch := s.asTagged(ctx, w); ch != nil {
		s.writePin(w.key(), pin{ch.Digest, began, ch.Manifest})
		return ch, nil
	}
	tmp, err := s.home.MkdirTemp("pull-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	got, err := s.pull(ctx, w, tmp)
	if err != nil {
		return nil, err
	}
	ch, err := s.open(w.source, got.archive)
	if err != nil {
		return nil, err
	}
	if digest := digestOf(w.entry); digest != "" && ch.Digest != digest {
		return nil, fmt.Errorf("%w: chart %s: the index says %s but the archive is %s", errdef.ErrDigestMismatch, w, digest, ch.Digest)
	}
	if w.keys != nil {
		if got.provenance == nil {
			return nil, withoutProvenance(w, got.unsigned)
		}
		if err := s.verify(ctx, w, ch, got.provenance); err != nil {
			return nil, err
		}
	}
	signature := ch.Signature
	if ch, err = s.keep(ctx, w.source, ch); err != nil {
		return nil, err
	}
	ch.Signature, ch.Manifest = signature, cmp.Or(w.source.digest, got.manifest)
	s.writePin(w.key(), pin{ch.Digest, began, ch.Manifest})
	if ch.Manifest != "" {
		s.writePin(w.manifestKey(ch.Manifest), pin{ch.Digest, began, ch.Manifest})
	}
	return ch, nil
}

// keep moves a pulled archive into the cache.
func (s *Store) keep(ctx context.Context, src source, ch *Chart) (*Chart, error) {
	if same := s.cached(ctx, src, ch.Digest, false); same != nil {
		return same, nil // another source has the same archive, which somebody may be using
	}
	pulled := ch.Path
	ch.Path = s.archive(ch.Digest)
	if err := errors.Join(os.Chmod(pulled, 0o600), os.Rename(pulled, ch.Path)); err != nil {
		return nil, err
	}
	s.describe(ch.Chart)
	s.evict()
	return ch, nil
}

// evict removes the least recently used archives until the rest fits, but none that is in use. It also
// removes what killed callers left, and old pins.
func (s *Store) evict() {
	s.home.Sweep()
	home.RemoveOlder(s.home.Path("pins"), keptPins)
	type file struct {
		path string
		info fs.FileInfo
	}
	var files []file
	var total int64
	entries, _ := os.ReadDir(s.home.Path("archives"))
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			files = append(files, file{s.home.Path("archives", e.Name()), info})
			total += info.Size()
		}
	}
	slices.SortFunc(files, func(a, b file) int { return a.info.ModTime().Compare(b.info.ModTime()) })
	old := func(info fs.FileInfo) bool { return time.Since(info.ModTime()) > keptAtLeast }
	for _, f := range files {
		if total <= s.limits.Cache || !old(f.info) {
			return
		}
		lock, err := filelock.Try(f.path, filelock.Exclusive|filelock.Existing)
		if err != nil {
			continue // it is in use
		}
		// Somebody may have used it since the folder was read.
		if info, err := os.Stat(f.path); err != nil || !old(info) {
			lock.Release()
		} else if lock.Remove() == nil {
			total -= f.info.Size()
		}
	}
}

// Hold keeps the archive at a path from being evicted until release is called. It does nothing for any
// other file.
func (s *Store) Hold(ctx context.Context, path string) (release func()) {
	if filepath.Dir(path) != s.home.Path("archives") {
		return func() {}
	}
	lock, err := filelock.Take(ctx, path, filelock.Shared|filelock.Existing)
	if err != nil {
		return func() {} // it does not exist
	}
	return lock.Release
}
