package helmexec

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
)

// twoRevisions of web are recorded, the second one deployed.
func twoRevisions(fake *helmtest.Fake) {
	fake.SetRelease(helmtest.Release{Name: "web", Chart: "web", ChartVersion: "1.0.0", Revision: 1, Status: "superseded"})
	fake.SetRelease(helmtest.Release{Name: "web", Chart: "web", ChartVersion: "2.0.0", Revision: 2, Status: "deployed"})
}

// Helm rolled back, and somebody else upgrades before the history is read: theirs stays.
func TestRollbackLeavesALaterUpgrade(t *testing.T) {
	for _, status := range []string{"deployed", "pending-upgrade", "failed"} {
		t.Run(status, func(t *testing.T) {
			h, fake := withFake(t, Config{})
			twoRevisions(fake)
			inTurn(fake, "rollback", func(c helmtest.Call) helmtest.Reply {
				reply := fake.Perform(c) // revision 3, deployed: "Rollback to 1"
				fake.SetRelease(helmtest.Release{Name: "web", Chart: "web", ChartVersion: "9.9.9", Revision: 4, Status: status, Description: "Upgrade complete"})
				return reply
			})
			rel, err := h.Rollback(t.Context(), "web", RollbackOptions{Revision: 1})
			t.Logf("rel=%+v err=%v", rel, err)
			latest, _ := fake.Release("", "web")
			t.Logf("latest: revision %d, chart %s, %s, %q; helms: %s", latest.Revision, latest.ChartVersion, latest.Status, latest.Description, strings.Join(fake.Commands(), ", "))
			assert.NoError(t, err)
			assert.Len(t, fake.Calls("rollback"), 1, "the rollback was made, and is made once")
			assert.Equal(t, "9.9.9", latest.ChartVersion, "the other's upgrade stands")
		})
	}
}

// A record too large to read whole is rolled back once.
func TestRollbackOfALargeRelease(t *testing.T) {
	h, fake := withFake(t, Config{})
	h.maxStdout = 64 << 10
	for i, status := range []string{"superseded", "deployed"} {
		fake.SetRelease(helmtest.Release{Name: "web", Chart: "web", ChartVersion: "1.0.0", Revision: i + 1, Status: status, Manifest: strings.Repeat("# x\n", 64<<10)})
	}
	_, err := h.Rollback(t.Context(), "web", RollbackOptions{Revision: 1})
	assert.NoError(t, err)
	assert.Len(t, fake.Calls("rollback"), 1)
}

// Helm succeeded, and nobody can look: that is not a record that says otherwise.
func TestRollbackThatNobodyCanLookAt(t *testing.T) {
	h, fake := withFake(t, Config{})
	twoRevisions(fake)
	looks := 0
	fake.Handle("history", func(c helmtest.Call) helmtest.Reply {
		if looks++; looks > 1 {
			return unreachable
		}
		return fake.Perform(c)
	})
	_, err := h.Rollback(t.Context(), "web", RollbackOptions{Revision: 1})
	require.ErrorIs(t, err, ErrLeftBehind)
	assert.NotErrorIs(t, err, ErrNotRecorded)
}

// The context ends while somebody else's rollback is under way.
func TestStoppedRollbackLeavesAnotherAlone(t *testing.T) {
	h, fake := withFake(t, Config{})
	fake.SetRelease(helmtest.Release{Name: "web", Revision: 1, Status: "superseded"})
	fake.SetRelease(helmtest.Release{Name: "web", Revision: 2})
	ctx, cancel := context.WithCancel(t.Context())
	inTurn(fake, "rollback", func(c helmtest.Call) helmtest.Reply {
		fake.SetRelease(helmtest.Release{Name: "web", Revision: 3, Status: "pending-rollback", Description: "Rollback to 2"})
		return helmtest.Reply{Then: cancel, Until: helmtest.Forever}
	})
	_, err := h.Rollback(ctx, "web", RollbackOptions{Revision: 1})
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, 1, len(fake.Calls("rollback")), "no rollback over a live one")
}
