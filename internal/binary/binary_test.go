package binary

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// program writes a file that begins as a program of this system.
func program(t *testing.T, path, content string) string {
	t.Helper()
	if len(formats) == 0 {
		t.Skip("no program has an identity on " + runtime.GOOS)
	}
	require.NoError(t, errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(formats[0]+content), 0o700)))
	return path
}

func TestIdentity(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	helm, other := program(t, in("helm"), "v4.3.1"), program(t, in("next/helm"), "v4.3.2")
	link := in("link")
	require.NoError(t, os.Symlink(helm, link))
	stamp := time.Now().Add(-time.Hour)
	require.NoError(t, os.Chtimes(helm, stamp, stamp))
	was := Identity(helm)
	require.NotEmpty(t, was)
	assert.Equal(t, was, Identity(helm))
	assert.Equal(t, was, Identity(link), "it is the same file")
	assert.NotEqual(t, was, Identity(other))

	for _, test := range []struct {
		name   string
		change func() error
	}{
		{"written in place", func() error { return os.WriteFile(helm, []byte(formats[0]+"v4.5.0-rc.1"), 0o700) }},
		{"its time set back", func() error {
			return errors.Join(os.WriteFile(helm, []byte(formats[0]+"v4.4.0"), 0o700), os.Chtimes(helm, stamp, stamp))
		}},
		{"written in place, with its old size and time", func() error {
			before := Identity(helm)
			for range 10_000 { // the clock of the file system makes steps
				if err := errors.Join(os.WriteFile(helm, []byte(formats[0]+"v4.5.0"), 0o700), os.Chtimes(helm, stamp, stamp)); err != nil || Identity(helm) != before {
					return err
				}
			}
			return nil
		}},
		{"a link that moves", func() error { return errors.Join(os.Remove(link), os.Symlink(other, link)) }},
		{"replaced by a rename", func() error { return os.Rename(other, helm) }},
	} {
		ofFile, ofLink := Identity(helm), Identity(link)
		require.NoError(t, test.change(), test.name)
		if test.name != "a link that moves" {
			assert.NotEqual(t, ofFile, Identity(helm), test.name)
		}
		assert.NotEqual(t, ofLink, Identity(link), test.name)
	}
}

// What may be another helm from one call to the next has no identity.
func TestNoIdentity(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o700)))
		return path
	}
	link := func(name, to string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.Symlink(to, path)))
		return path
	}
	for name, path := range map[string]string{
		"a script":                         write("a/helm", "#!/bin/sh\nexec helm-3 \"$@\"\n"),
		"a link to a script":               link("b/helm", filepath.Join(dir, "a/helm")),
		"a link to a tool of another name": link("c/helm", program(t, filepath.Join(dir, "c/snap"), "")),
		"a program of another name":        program(t, filepath.Join(dir, "mise"), ""),
		"a program of another system":      write("d/helm", "MZ\x90\x00"),
		"a file too short to be a program": write("e/helm", "\x7fE"),
		"an empty file":                    write("f/helm", ""),
		"a folder":                         dir,
		"a link to nothing":                link("g/helm", filepath.Join(dir, "none")),
		"nothing":                          filepath.Join(dir, "helm"),
	} {
		assert.Empty(t, Identity(path), name)
	}
}
