//go:build unix

package helmexec

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
)

// A script in the place of helm is enough for a simple test. That it prints nothing tells it apart from a helm whose record
// is lost: that one prints notes, and says that there is no release.
func TestScriptAsHelm(t *testing.T) {
	for _, test := range []struct {
		name, install, get string
		kind               error
		says               string
	}{
		{"it prints nothing", "", "", nil, ""},
		{"the record is lost", "echo NAME: web", "echo 'Error: release: not found' >&2; exit 1", ErrNotRecorded, ""},
		{"the record is lost, and the notes are", "", "echo 'Error: release: not found' >&2; exit 1", ErrNotRecorded, ""},
		{"only the record is silent", "echo NAME: web", "", ErrLeftBehind, "helm get all: its output cannot be read: it printed nothing"},
		{"it fails", "echo 'Error: INSTALLATION FAILED: no' >&2; exit 1", "echo 'Error: release: not found' >&2; exit 1", nil, "INSTALLATION FAILED: no"},
		{"it prints half a record", "", "echo {", ErrLeftBehind, "unexpected end of JSON input"},
	} {
		t.Run(test.name, func(t *testing.T) {
			bin := t.TempDir()
			script := "#!/bin/sh\ncase $1 in version) echo v4.3.1;; install) " + test.install + "\n;; get) " + test.get + "\n;; list) echo '[]';; esac\n"
			require.NoError(t, os.WriteFile(filepath.Join(bin, "helm"), []byte(script), 0o700))
			t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
			h, err := New(Config{Home: t.TempDir(), Namespace: "bench", Retry: atOnce})
			require.NoError(t, err)
			rel, err := h.Install(t.Context(), "web", chartFolder(t, "web", "1.2.3"), InstallOptions{Wait: true})
			if test.kind != nil || test.says != "" {
				require.Error(t, err)
				assert.ErrorContains(t, err, test.says)
				if test.kind != nil {
					assert.ErrorIs(t, err, test.kind)
				}
				return
			}
			require.NoError(t, err)
			assert.Equal(t, &Release{
				Name: "web", Namespace: "bench", Revision: 1, Status: StatusDeployed, ChartName: "web", ChartVersion: "1.2.3", AppVersion: "9", Labels: map[string]string{},
			}, rel)
			removed, err := h.Uninstall(t.Context(), "web", UninstallOptions{Wait: true})
			require.NoError(t, err)
			assert.Equal(t, "web", removed.Release.Name)
			all, err := h.List(t.Context(), ListOptions{})
			require.NoError(t, err)
			assert.Empty(t, all)
			_, err = h.Status(t.Context(), "web", StatusOptions{})
			assert.ErrorIs(t, err, errSilent, "nobody knows")
		})
	}
}

// The fake of helmtest prints as helm does, so a silent record is an error there.
func TestSilentRecord(t *testing.T) {
	h, fake := withFake(t, Config{})
	fake.SetVersion("v3.22.0") // whose record is read
	fake.Handle("get all", func(helmtest.Call) helmtest.Reply { return helmtest.Reply{} })
	_, err := h.Install(t.Context(), "web", chartFolder(t, "web", "1.2.3"), InstallOptions{})
	assert.ErrorIs(t, err, ErrLeftBehind)
}
