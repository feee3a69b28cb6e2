package helmexec

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

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
			fake, chart := helmtest.New(t), chartFolder(t, "web", "1.2.3")
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				look := looks(test.there...)
				h, commands := acting(t, fake, acts{
					"install":  stoppedInstall(fake, cancel),
					"template": func(_ context.Context, c helmtest.Call) *helmtest.Reply { seen := look(c); return &seen },
				})
				_, err := h.Install(ctx, "web", chart, InstallOptions{Wait: true})
				require.ErrorIs(t, err, context.Canceled)
				var failed *ReleaseError
				require.ErrorAs(t, err, &failed)
				if test.left {
					require.ErrorIs(t, err, ErrLeftBehind)
				} else {
					assert.NotErrorIs(t, err, ErrLeftBehind)
					assert.Equal(t, test.commands, strings.Join(*commands, ", "))
				}
				assert.Equal(t, test.remains, remainNames(failed.Remains))
				_, there := fake.Release("", "web")
				assert.False(t, there)
			})
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
			fake, chart := helmtest.New(t), chartFolder(t, "web", "1.2.3")
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				var sent *helmtest.Call
				gets := 0
				look := looks("0 staying owned 1 staying owned;")
				h, _ := acting(t, fake, acts{
					"install": func(ctx context.Context, c helmtest.Call) *helmtest.Reply {
						if sent != nil {
							return nil
						}
						sent = &c
						cancel()
						<-ctx.Done()
						return &helmtest.Reply{Exit: exitKilled}
					},
					"get all": func(context.Context, helmtest.Call) *helmtest.Reply {
						if gets++; gets == test.arrive {
							fake.Perform(*sent)
							setRecord(fake, func(r *helmtest.Release) { r.Status = "pending-install" })
						}
						return nil
					},
					"template": func(_ context.Context, c helmtest.Call) *helmtest.Reply { seen := look(c); return &seen },
				})
				_, err := h.Install(ctx, "web", chart, InstallOptions{Namespace: "default"})
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
		})
	}
}

// What carries the name of a release that somebody else has installed meanwhile is its own, if it has it. The rest nobody can remove
// by helm.
func TestUninstallMeetsTheNextRelease(t *testing.T) {
	next := others
	for _, test := range []struct {
		name  string
		reply helmtest.Reply
		has   string // the next release
		left  []string
	}{
		{"that has all, after a lost try", lostOnWay, webRelease.Manifest, nil},
		{"that has all, after a removal by another", noRecord, webRelease.Manifest, nil},
		{"that has something else", lostOnWay, "apiVersion: v1\nkind: Secret\nmetadata: {name: unrelated}\n", []string{"ConfigMap web-config", "Deployment web"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, fake := withFake(t, Config{})
			fake.SetRelease(webRelease)
			fake.Handle("template", looks("0 staying owned 1 staying owned"))
			inTurn(fake, "uninstall", func(c helmtest.Call) helmtest.Reply {
				fake.Perform(c)
				next.Manifest = test.has
				fake.SetRelease(next)
				return test.reply
			})
			_, err := h.Uninstall(t.Context(), "web", UninstallOptions{})
			var failed *ReleaseError
			if test.left == nil {
				require.NoError(t, err)
			} else if assert.ErrorAs(t, err, &failed) {
				require.ErrorIs(t, err, ErrNotGone)
				var left []string
				for _, r := range failed.Remains {
					left = append(left, r.Kind+" "+r.Name)
				}
				assert.Equal(t, test.left, left)
				assert.Contains(t, err.Error(), "another release has the name now")
			}
			still, there := fake.Release("", "web")
			assert.True(t, there)
			assert.Equal(t, "other", still.Chart)
		})
	}
}
