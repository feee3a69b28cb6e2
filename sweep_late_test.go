package helmexec

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
)

// An object that a stopped helm had requested may be made after its release is removed.
func TestInstallStoppedWhileItMakesObjects(t *testing.T) {
	for _, test := range []struct {
		name     string
		there    []string // what the looks find: the first before the removal, the others after it
		commands string
		left     bool
		remains  []string
	}{
		{"all is made", []string{"0 staying owned 1 staying owned;"}, "install, get all, status, template, get all, uninstall", false, nil},
		{
			"one comes late", []string{"0 staying owned;", "0 staying owned;", ";"},
			"install, get all, status, template, get all, uninstall, template, install, uninstall", false, nil,
		},
		{
			"one does not come", []string{"0 staying owned;", ";"}, "", true,
			[]string{"apps/Deployment default/web (may still be on its way)"},
		},
		{
			"helm asks for one kind after the other", []string{";"}, "", true,
			[]string{"ConfigMap default/web-config (may still be on its way)"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, fake := withFake(t, Config{GracePeriod: 4 * time.Second})
			sees(fake, test.there...)
			ctx, cancel := context.WithCancel(t.Context())
			stopped := helmtest.Reply{Stderr: "Error: INSTALLATION FAILED: context canceled\n", Exit: 1}
			inTurn(fake, "install", installed(fake, "failed", helmtest.Reply{Then: cancel, Until: helmtest.Forever, Term: &stopped}))
			_, err := h.Install(ctx, "web", chartFolder(t, "web", "1.2.3"), InstallOptions{Wait: true})
			require.ErrorIs(t, err, context.Canceled)
			var failed *ReleaseError
			require.ErrorAs(t, err, &failed)
			if test.left {
				require.ErrorIs(t, err, ErrLeftBehind)
			} else {
				assert.NotErrorIs(t, err, ErrLeftBehind)
				assert.Equal(t, test.commands, strings.Join(fake.Commands(), ", "))
			}
			assert.Equal(t, test.remains, remainNames(failed.Remains))
			_, there := fake.Release("", "web")
			assert.False(t, there)
		})
	}
}

// A killed helm may have sent its record already.
func TestInstallKilledWhileItWritesItsRecord(t *testing.T) {
	for _, test := range []struct {
		name   string
		arrive int // at which look the record is there; 0 is never
		left   bool
	}{{"it comes", 3, false}, {"it does not come", 0, true}} {
		t.Run(test.name, func(t *testing.T) {
			h, fake := withFake(t, Config{GracePeriod: 3 * time.Second})
			ctx, cancel := context.WithCancel(t.Context())
			var sent helmtest.Call
			inTurn(fake, "install", func(c helmtest.Call) helmtest.Reply {
				sent = c
				return helmtest.Reply{Then: cancel, Until: helmtest.Forever, Term: &helmtest.Reply{Until: helmtest.Forever}}
			})
			looks := 0
			fake.Handle("get all", func(c helmtest.Call) helmtest.Reply {
				if looks++; looks == test.arrive {
					fake.Perform(sent)
					setRecord(fake, func(r *helmtest.Release) { r.Status = "pending-install" })
				}
				return fake.Perform(c)
			})
			sees(fake, "0 staying owned 1 staying owned;")
			_, err := h.Install(ctx, "web", chartFolder(t, "web", "1.2.3"), InstallOptions{Namespace: "default"})
			require.ErrorIs(t, err, context.Canceled)
			var failed *ReleaseError
			require.ErrorAs(t, err, &failed)
			if test.left {
				require.ErrorIs(t, err, ErrLeftBehind)
				assert.Equal(t, []string{"Secret default/sh.helm.release.v1.web.v1 (the release record, may still be on its way)"}, remainNames(failed.Remains))
				return
			}
			assert.NotErrorIs(t, err, ErrLeftBehind)
			_, there := fake.Release("", "web")
			assert.False(t, there)
		})
	}
}
