package home

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

var roomy = Bound{Bytes: 1 << 20, Entries: 100}

func kept(t *testing.T, k *Kept, key string) string {
	t.Helper()
	content, ok := k.Get(key)
	if !ok {
		return "nothing"
	}
	return string(content)
}

func TestKept(t *testing.T) {
	h := open(t, t.TempDir())
	k := h.Kept("x", roomy)
	assert.Equal(t, "nothing", kept(t, k, "a"))
	assert.False(t, there(h.Path("x")), "a look makes no folder")
	k.Put("a", []byte("1"))
	k.Put("b", nil)
	other := open(t, h.Path()).Kept("x", roomy)
	assert.Equal(t, "1", kept(t, other, "a"))
	assert.Equal(t, "", kept(t, other, "b"))
	assert.Equal(t, "nothing", kept(t, other, "c"))
	other.Put("a", []byte("22"))
	assert.Equal(t, "22", kept(t, k, "a"))
	assert.Equal(t, "nothing", kept(t, h.Kept("y", roomy), "a"))

	folder, err := os.Stat(h.Path("x"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o700), folder.Mode().Perm())
	for _, name := range names(t, h.Path("x")) {
		info, err := os.Stat(h.Path("x", name))
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
	k.Put("large", make([]byte, roomy.Bytes))
	assert.Equal(t, "nothing", kept(t, k, "large"))
	assert.Len(t, names(t, h.Path("x")), 2)
}

// Whatever became of an entry, it is not taken for what was put there, and it is removed.
func TestSpoiltEntries(t *testing.T) {
	content := strings.Repeat("content\n", 100)
	change := func(f func(text []byte) []byte) func(file, other string) error {
		return func(file, _ string) error {
			text, err := os.ReadFile(file)
			return errors.Join(err, os.WriteFile(file, f(text), 0o600))
		}
	}
	for _, test := range []struct {
		name  string
		spoil func(file, other string) error
	}{
		{"empty", change(func([]byte) []byte { return nil })},
		{"cut in the checksum", change(func(text []byte) []byte { return text[:10] })},
		{"cut behind the checksum", change(func(text []byte) []byte { return text[:sumSize] })},
		{"cut in the middle", change(func(text []byte) []byte { return text[:len(text)/2] })},
		{"a byte less", change(func(text []byte) []byte { return text[:len(text)-1] })},
		{"a byte more", change(func(text []byte) []byte { return append(text, 'x') })},
		{"another byte", change(func(text []byte) []byte { text[len(text)-2] ^= 1; return text })},
		{"a hole", change(func(text []byte) []byte { clear(text[len(text)/2:]); return text })},
		{"larger than anything kept", change(func([]byte) []byte { return make([]byte, roomy.Bytes+1) })},
		{"another program's", change(func([]byte) []byte { return []byte("v9.9.9\n") })},
		{"under another's name", func(file, other string) error { return os.Rename(other, file) }},
		{"a folder", func(file, _ string) error {
			return errors.Join(os.Remove(file), os.MkdirAll(filepath.Join(file, "x"), 0o700))
		}},
		{"a link", func(file, other string) error { return errors.Join(os.Remove(file), os.Symlink(other, file)) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := open(t, t.TempDir()).Kept("x", roomy)
			k.Put("a", []byte(content))
			k.Put("other", []byte("other"))
			require.NoError(t, test.spoil(k.file("a"), k.file("other")))
			assert.Equal(t, "nothing", kept(t, k, "a"))
			_, err := os.Lstat(k.file("a"))
			require.ErrorIs(t, err, os.ErrNotExist)
			k.Put("a", []byte(content))
			assert.Equal(t, content, kept(t, k, "a"))
		})
	}
}

// touched marks an entry as used at a time.
func touched(t *testing.T, k *Kept, key string, when time.Time) {
	t.Helper()
	require.NoError(t, os.Chtimes(k.file(key), when, when))
}

func TestKeptIsBounded(t *testing.T) {
	now := time.Now()
	for name, bound := range map[string]Bound{
		"bytes":   {Bytes: int64(3 * (sumSize + 100)), Entries: 1000},
		"entries": {Bytes: 1 << 20, Entries: 3},
	} {
		t.Run(name, func(t *testing.T) {
			k := open(t, t.TempDir()).Kept("x", bound)
			put := func(key string) { k.Put(key, make([]byte, 100)) }
			for i, key := range []string{"a", "b", "c"} {
				put(key)
				touched(t, k, key, now.Add(time.Duration(i-10)*time.Minute))
			}
			assert.NotEqual(t, "nothing", kept(t, k, "a"), "which marks it as used")
			put("d")
			for key, stays := range map[string]bool{"a": true, "b": false, "c": true, "d": true} {
				assert.Equal(t, stays, there(k.file(key)), key)
			}
			// What a killed process left counts too.
			left := filepath.Join(k.dir, ".new-1")
			require.NoError(t, errors.Join(os.WriteFile(left, make([]byte, sumSize+100), 0o600), os.Chtimes(left, now.Add(-time.Hour), now.Add(-time.Hour))))
			put("d")
			assert.False(t, there(left))
			assert.Len(t, names(t, k.dir), 3)
		})
	}
}

// Most entries are added without a look at the others: hundreds of processes add one each.
func TestKeptIsSeldomCounted(t *testing.T) {
	k := open(t, t.TempDir()).Kept("x", Bound{Bytes: 1 << 20, Entries: 160})
	most := 0
	for i := range 1000 {
		k.Put(fmt.Sprint(i), []byte("content"))
		if i%10 == 9 {
			most = max(most, len(names(t, k.dir)))
		}
	}
	assert.Greater(t, most, 160, "it is not counted each time")
	assert.Less(t, most, 2*160, "but often enough")
}

func BenchmarkPutAmongMany(b *testing.B) {
	for _, there := range []int{0, 4000} {
		b.Run(fmt.Sprint(there), func(b *testing.B) {
			k := open(b, b.TempDir()).Kept("x", Bound{Bytes: 256 << 20, Entries: 4000})
			for i := range there {
				k.Put(fmt.Sprint("old", i), []byte("content"))
			}
			b.ResetTimer()
			for i := range b.N {
				k.Put(fmt.Sprint(i%100), []byte("content"))
			}
		})
	}
}

// A clock that jumps, forth or back, evicts nothing that fits, and keeps nothing for ever.
func TestClockThatJumps(t *testing.T) {
	now := time.Now()
	k := open(t, t.TempDir()).Kept("x", Bound{Bytes: 1 << 20, Entries: 4})
	at := map[string]time.Time{
		"ahead": now.Add(20 * 365 * 24 * time.Hour), "long ago": time.Unix(0, 0), "lately": now.Add(-time.Hour),
	}
	for key, when := range at {
		k.Put(key, []byte(key))
		touched(t, k, key, when)
	}
	k.Put("now", nil)
	for key := range at {
		assert.True(t, there(k.file(key)), key)
	}
	k.Put("one more", nil)
	assert.False(t, there(k.file("ahead")), "whatever its time says, it is not the newest")
	k.Put("and another", nil)
	assert.False(t, there(k.file("long ago")))
	assert.True(t, there(k.file("lately")))

	touched(t, k, "lately", at["ahead"])
	assert.Equal(t, "lately", kept(t, k, "lately"))
	k.Put("and one more", nil)
	assert.True(t, there(k.file("lately")), "it was used")
}

// Without a place for it nothing is kept, and nothing fails.
func TestKeptNowhere(t *testing.T) {
	for name, occupy := range map[string]func(dir string) error{
		"a file in place of the folder": func(dir string) error { return os.WriteFile(dir, nil, 0o600) },
		"a link in place of the folder": func(dir string) error { return os.Symlink(t.TempDir(), dir) },
		"a folder that others may change": func(dir string) error {
			return errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o777), os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(filepath.Dir(filepath.Dir(dir)), 0o755), os.Chmod(filepath.Dir(filepath.Dir(filepath.Dir(dir))), 0o755))
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, t.TempDir())
			k := h.Kept("x", roomy)
			require.NoError(t, occupy(h.Path("x")))
			k.Put("a", []byte("1"))
			assert.Equal(t, "nothing", kept(t, k, "a"))
			_ = os.Remove(h.Path("x"))
			k.Put("a", []byte("1"))
			assert.Equal(t, "1", kept(t, k, "a"))
		})
	}
}

// Whoever reads while others write and evict finds an entry whole, or none.
func TestKeptIsShared(t *testing.T) {
	dir := t.TempDir()
	content := func(n int) []byte { return bytes.Repeat([]byte{byte('a' + n)}, 10_000) }
	var all errgroup.Group
	for i := range 8 {
		k := open(t, dir).Kept("x", Bound{Bytes: 1 << 20, Entries: 3})
		all.Go(func() error {
			for j := range 100 {
				n := (i + j) % 5
				if got, ok := k.Get(fmt.Sprint(n)); ok && !bytes.Equal(got, content(n)) {
					return fmt.Errorf("entry %d is %.10q", n, got)
				}
				k.Put(fmt.Sprint(n), content(n))
			}
			return nil
		})
	}
	require.NoError(t, all.Wait())
	assert.LessOrEqual(t, len(names(t, filepath.Join(dir, "x"))), 3)
}
