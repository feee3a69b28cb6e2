package helmexec

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/sut-bench/helmexec/helmtest"
	"github.com/sut-bench/helmexec/internal/binary"
	"github.com/sut-bench/helmexec/internal/home"
)

// ofFile makes a fake whose file can be remembered.
func ofFile(t *testing.T) *helmtest.Fake {
	t.Helper()
	fake := helmtest.New(t)
	if binary.Identity(fake.Binary) == "" {
		t.Skip("no helm is remembered on " + runtime.GOOS)
	}
	return fake
}

// asks reports how many helms a new process starts that wants to know the version, and the version.
func asks(t *testing.T, fake *helmtest.Fake, cfg Config) (processes int, version string) {
	t.Helper()
	before := len(fake.Calls("version"))
	v, err := drive(t, fake, cfg).Version(t.Context())
	require.NoError(t, err)
	return len(fake.Calls("version")) - before, v.Text
}

func TestVersionIsRemembered(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(fake *helmtest.Fake, home string) error
		again  int
	}{
		{"nothing", func(*helmtest.Fake, string) error { return nil }, 0},
		{"another version in place", func(fake *helmtest.Fake, _ string) error { fake.SetVersion("v4.4.0"); return nil }, 1},
		{"another file under the name", func(fake *helmtest.Fake, _ string) error { return replaced(fake.Binary) }, 1},
		{"a spoilt entry", func(_ *helmtest.Fake, home string) error {
			return spoilt(filepath.Join(home, "versions"), []byte("v9.9.9"))
		}, 1},
		{"a cut entry", func(_ *helmtest.Fake, home string) error { return spoilt(filepath.Join(home, "versions"), nil) }, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			fake, home := ofFile(t), t.TempDir()
			fake.SetVersion("v4.3.2")
			n, version := asks(t, fake, Config{Home: home})
			assert.Equal(t, "1 v4.3.2", fmt.Sprint(n, " ", version))
			require.NoError(t, test.change(fake, home))
			n, version = asks(t, fake, Config{Home: home})
			assert.Equal(t, test.again, n)
			assert.Equal(t, map[bool]string{false: "v4.3.2", true: "v4.4.0"}[test.name == "another version in place"], version)
			n, _ = asks(t, fake, Config{Home: home})
			assert.Zero(t, n, "it is remembered again")
		})
	}
}

// Many processes that start at once on an empty home ask once for all.
func TestVersionIsAskedOnce(t *testing.T) {
	fake, home := ofFile(t), t.TempDir()
	var all errgroup.Group
	for range 20 {
		h := drive(t, fake, Config{Home: home})
		all.Go(func() error {
			_, err := h.Version(t.Context())
			return err
		})
	}
	require.NoError(t, all.Wait())
	assert.Len(t, fake.Calls("version"), 1)
}

// Who waits for the answer to another process asks too, if that one fails.
func TestVersionThatFailsIsAskedAgain(t *testing.T) {
	fake, home := ofFile(t), t.TempDir()
	broken := helmtest.Reply{Stderr: "Error: out of memory\n", Exit: 1}
	fake.On("version", broken, broken)
	var all errgroup.Group
	var failed atomic.Int32
	for range 5 {
		h := drive(t, fake, Config{Home: home})
		all.Go(func() error {
			if _, err := h.Version(t.Context()); err != nil {
				failed.Add(1)
			}
			return nil
		})
	}
	require.NoError(t, all.Wait())
	assert.EqualValues(t, 2, failed.Load())
	assert.Len(t, fake.Calls("version"), 3)
}

// A binary that is replaced while its caller waits for the answer to another process is asked itself.
func TestVersionOfABinaryThatIsReplacedMeanwhile(t *testing.T) {
	fake := ofFile(t)
	h := drive(t, fake, Config{})
	was := binary.Identity(fake.Binary)
	leave, err := h.home.Turn(t.Context(), "version "+was)
	require.NoError(t, err)
	got := make(chan Version, 1)
	go func() {
		v, err := h.Version(t.Context())
		assert.NoError(t, err)
		got <- v
	}()
	require.Eventually(t, func() bool { return h.home.Waiting() == 1 }, tooLong, time.Millisecond)
	h.versions.Put(was, []byte("v3.14.0"))
	require.NoError(t, replaced(fake.Binary))
	leave()
	assert.NotEqual(t, "v3.14.0", (<-got).Text)
	assert.Len(t, fake.Calls("version"), 1)
}

// replaced puts a copy of a file in its place.
func replaced(file string) error {
	return errors.Join(home.CopyFile(file, file+".new"), os.Chmod(file+".new", 0o700), os.Rename(file+".new", file))
}

// spoilt writes a text over all files of a folder.
func spoilt(dir string, text []byte) error {
	names, err := dirNames(dir)
	if len(names) == 0 {
		err = errors.Join(err, errors.New("nothing to spoil in "+dir))
	}
	for _, name := range names {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	return err
}

// What is remembered passes the same checks as an answer.
func TestRememberedVersionIsChecked(t *testing.T) {
	fake, home := ofFile(t), t.TempDir()
	fake.SetVersion("v4.0.1")
	n, _ := asks(t, fake, Config{Home: home})
	assert.Equal(t, 1, n)
	_, err := drive(t, fake, Config{Home: home, MinVersion: "v4.1.4"}).Version(t.Context())
	require.ErrorIs(t, err, ErrUnsupportedVersion)
	_, err = drive(t, fake, Config{Home: home, MinVersion: "v4.1.4"}).GetManifest(t.Context(), "web", GetOptions{})
	require.ErrorIs(t, err, ErrUnsupportedVersion)
	assert.Len(t, fake.Calls(), 1)

	fake.SetVersion("v3.13.0")
	for range 2 {
		_, err := drive(t, fake, Config{Home: home}).Version(t.Context())
		require.ErrorIs(t, err, ErrUnsupportedVersion)
	}
	assert.Len(t, fake.Calls(), 2, "that it is too old is remembered as well")
}

func TestTwoHelmsOnOneHome(t *testing.T) {
	home := t.TempDir()
	three, four := ofFile(t), helmtest.New(t)
	require.NoError(t, replaced(three.Binary)) // fakes are one file otherwise
	require.NoError(t, replaced(four.Binary))
	three.SetVersion("v3.22.0")
	link := filepath.Join(t.TempDir(), "helm")
	for i := range 2 {
		for _, fake := range []*helmtest.Fake{three, four} {
			n, version := asks(t, fake, Config{Home: home})
			assert.Equal(t, 1-i, n)
			assert.Equal(t, map[bool]string{true: "v3.22.0", false: "v4.3.1"}[fake == three], version)
			// A link that moves from one to the other.
			_ = os.Remove(link)
			require.NoError(t, os.Symlink(fake.Binary, link))
			h, err := New(Config{Binary: link, Home: home})
			require.NoError(t, err)
			v, err := h.Version(t.Context())
			require.NoError(t, err)
			assert.Equal(t, version, v.Text)
		}
	}
	assert.Len(t, slices.Concat(three.Calls(), four.Calls()), 2)
}

// What may start another helm each time is asked by each process.
func TestScriptIsNotRemembered(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no scripts")
	}
	fake, home := ofFile(t), t.TempDir()
	script := filepath.Join(t.TempDir(), "helm")
	require.NoError(t, os.WriteFile(script, []byte("#!/bin/sh\nexec "+fake.Binary+" \"$@\"\n"), 0o700))
	for range 2 {
		h, err := New(Config{Binary: script, Home: home})
		require.NoError(t, err)
		_, err = h.Version(t.Context())
		require.NoError(t, err)
	}
	assert.Len(t, fake.Calls("version"), 2)
	assert.NoDirExists(t, filepath.Join(home, "versions"))
}

// Nobody knows which file has answered if it was replaced meanwhile.
func TestReplacedWhileItAnswers(t *testing.T) {
	fake, home := ofFile(t), t.TempDir()
	fake.On("version", helmtest.Reply{Stdout: "v4.3.0\n", Then: func() { assert.NoError(t, replaced(fake.Binary)) }})
	n, version := asks(t, fake, Config{Home: home})
	assert.Equal(t, "1 v4.3.0", fmt.Sprint(n, " ", version))
	assert.NoDirExists(t, filepath.Join(home, "versions"))
	n, version = asks(t, fake, Config{Home: home})
	assert.Equal(t, "1 v4.3.1", fmt.Sprint(n, " ", version))
}

// A helm that prints its version and fails is believed, but not for ever.
func TestFailedAnswerIsNotRemembered(t *testing.T) {
	fake, home := ofFile(t), t.TempDir()
	fake.On("version", helmtest.Reply{Stdout: "v4.3.0\n", Exit: 1})
	for range 2 {
		n, _ := asks(t, fake, Config{Home: home})
		assert.Equal(t, 1, n)
	}
}
