package helmexec

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
)

// Nobody answers after a try was lost: what may have been made is what the chart renders to.
func TestInstallLeftUnseen(t *testing.T) {
	h, fake := withFake(t, Config{})
	fake.On("install", reset, reset, reset)
	fake.Handle("get all", func(helmtest.Call) helmtest.Reply { return unreachable })
	fake.Handle("template", func(c helmtest.Call) helmtest.Reply {
		if c.Flag("--dry-run") != "" {
			return unreachable // what asks the cluster
		}
		return helmtest.Reply{Stdout: objects + "---\nkind: Job\napiVersion: batch/v1\nmetadata: {name: hook, annotations: {helm.sh/hook: pre-install}}\n"}
	})
	_, err := h.Install(t.Context(), "web", chartFolder(t, "web", "1.2.3"), InstallOptions{Namespace: "team"})
	require.ErrorIs(t, err, ErrLeftBehind)
	require.ErrorIs(t, err, ErrClusterUnreachable)
	var e *ReleaseError
	require.ErrorAs(t, err, &e)
	var names []string
	for _, r := range e.Remains {
		names = append(names, r.ObjectRef.String())
	}
	assert.ElementsMatch(t, []string{"Secret team/sh.helm.release.v1.web.v1", "ConfigMap team/web-config", "apps/Deployment team/web", "batch/Job team/hook"}, names)
	assert.Empty(t, fake.Calls("uninstall"))
}

// The context ends while helm works: helm marks the release as failed, and it is removed.
func TestInstallCanceled(t *testing.T) {
	for _, test := range []struct {
		name string
		term *helmtest.Reply // nil: helm dies of the signal
		left string          // as helm leaves it
		keep bool
		then string
	}{
		{"helm marks it failed", &helmtest.Reply{Stdout: "Release web has been cancelled.\n", Stderr: "Error: context canceled\n", Exit: 1}, "failed", false, ""},
		{"helm dies of it", nil, "pending-install", false, ""},
		{"kept for inspection", &helmtest.Reply{Stderr: "Error: context canceled\n", Exit: 1}, "failed", true, "failed"},
		{"helm had succeeded", &helmtest.Reply{Stderr: "Error: context canceled\n", Exit: 1}, "deployed", false, "deployed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, fake := withFake(t, Config{})
			ctx, cancel := context.WithCancel(t.Context())
			fake.On("status", helmtest.Reply{Stdout: onePod("False")})
			inTurn(fake, "install", installed(fake, test.left, helmtest.Reply{Then: cancel, Until: helmtest.Forever, Term: test.term}))
			_, err := h.Install(ctx, "web", chartFolder(t, "web", "1.2.3"), InstallOptions{Wait: true, KeepFailed: test.keep})
			if test.left == "deployed" {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, context.Canceled)
				assert.NotErrorIs(t, err, ErrLeftBehind)
				assert.NotErrorIs(t, err, context.DeadlineExceeded)
				assert.ErrorContains(t, err, "Pod web-1", "what it was waiting for")
			}
			left, _ := fake.Release("", "web")
			assert.Equal(t, test.then, left.Status)
			assert.Len(t, fake.Calls("install"), 1)
		})
	}
}
