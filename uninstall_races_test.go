package helmexec

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
)

// A pre-delete hook fails, and the try without hooks passes over objects.
func TestUninstallSweepsAfterAHookFailed(t *testing.T) {
	h, fake := withFake(t, Config{})
	fake.SetRelease(helmtest.Release{
		Name: "web", Manifest: objects, Labels: map[string]string{labelJob: "42"},
		Hooks: []helmtest.Hook{{Kind: "Job", Name: "x", Events: []string{"pre-delete"}}},
	})
	sees(fake, "0 staying owned 1 staying owned;", ";")
	skipped := false
	fake.Handle("uninstall", func(c helmtest.Call) helmtest.Reply {
		if c.Flag("--no-hooks") == "" {
			return hookFails
		}
		reply := fake.Perform(c)
		if !skipped {
			skipped = true
			reply.Stdout = "2 resource(s) were not deleted because their ownership could not be verified:\n"
		}
		return reply
	})
	_, err := h.UninstallJob(t.Context(), "42", JobOptions{Wait: true})
	assert.NoError(t, err)
	assert.Contains(t, fake.Commands(), "install", "the sweep")
}

// With KeepHistory, the answer is lost after the objects, and so is the record's last update.
func TestUninstallKeepingHistoryIsLost(t *testing.T) {
	h, fake := withFake(t, Config{})
	fake.SetRelease(webRelease)
	sees(fake)
	n := 0
	fake.Handle("uninstall", func(c helmtest.Call) helmtest.Reply {
		n++
		if n == 1 {
			setRecord(fake, func(r *helmtest.Release) { r.Status = "uninstalling" })
			return lostOnWay
		}
		setRecord(fake, func(r *helmtest.Release) { r.Status = "uninstalled" })
		return helmtest.Reply{}
	})
	_, err := h.Uninstall(t.Context(), "web", UninstallOptions{Wait: true, KeepHistory: true})
	assert.NoError(t, err)
	assert.Equal(t, 2, n)
}

// Another host begins an upgrade between two tries of an uninstall.
func TestUninstallWaitsForAnUpgradeBetweenItsTries(t *testing.T) {
	h, fake := withFake(t, Config{})
	web := webRelease
	web.Labels = map[string]string{labelInstall: "me", labelJob: "42"}
	fake.SetRelease(web)
	sees(fake)
	inTurn(fake, "uninstall", func(helmtest.Call) helmtest.Reply {
		setRecord(fake, func(r *helmtest.Release) {
			r.Revision++
			r.Status = "pending-upgrade"
			r.Labels = map[string]string{labelInstall: "me", labelJob: "42", labelUpgrade: "u", labelHome: "elsewhere", labelUntil: unixLabel(time.Now().Add(time.Hour))}
		})
		return reset
	})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, _ = h.UninstallJob(ctx, "42", JobOptions{})
	assert.Equal(t, 1, len(fake.Calls("uninstall")))
}

// The clean-up of a failed install is blocked by its hook, while somebody upgrades the release.
func TestCleanUpLeavesAnUpgradedRelease(t *testing.T) {
	for name, reply := range map[string]helmtest.Reply{"the hook fails": hookFails, "the connection is lost": reset} {
		t.Run(name, func(t *testing.T) {
			tries := 3
			if name == "the connection is lost" {
				tries = 1
			}
			h, fake := withFake(t, Config{Retry: Retry{Tries: tries}})
			inTurn(fake, "install", func(c helmtest.Call) helmtest.Reply {
				fake.Perform(c)
				setRecord(fake, func(r *helmtest.Release) {
					r.Status = "failed"
					r.Hooks = []helmtest.Hook{{Kind: "Job", Name: "x", Events: []string{"pre-delete"}}}
				})
				return tooLate
			})
			inTurn(fake, "uninstall", func(c helmtest.Call) helmtest.Reply {
				setRecord(fake, func(r *helmtest.Release) { r.Revision, r.Status, r.ChartVersion = 2, "deployed", "9.9.9" }) // helm upgrade, which inherits the labels
				return reply
			})
			sees(fake)
			_, err := h.Install(t.Context(), "web", chartFolder(t, "web", "1.2.3"), InstallOptions{Wait: true})
			t.Log(err, fake.Commands())
			left, there := fake.Release("", "web")
			assert.True(t, there, "the upgraded release")
			assert.Equal(t, "9.9.9", left.ChartVersion)
		})
	}
}

// An install is stopped, and another's release takes the name while blockers are read.
func TestStoppedInstallLeavesTheNextRelease(t *testing.T) {
	fake, chart := helmtest.New(t), chartFolder(t, "web", "1.2.3")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		look := looks("0 staying owned 1 staying owned;")
		h, _ := acting(t, fake, acts{
			"install":  stoppedInstall(fake, cancel),
			"template": func(_ context.Context, c helmtest.Call) *helmtest.Reply { seen := look(c); return &seen },
			"status": func(context.Context, helmtest.Call) *helmtest.Reply {
				fake.RemoveRelease("", "web")
				fake.SetRelease(others)
				return nil
			},
		})
		_, err := h.Install(ctx, "web", chart, InstallOptions{Wait: true})
		require.ErrorIs(t, err, context.Canceled)
		assert.NotContains(t, err.Error(), "removed again", "somebody else has removed it")
		left, there := fake.Release("", "web")
		assert.True(t, there)
		assert.Equal(t, "other", left.Chart)
	})
}
