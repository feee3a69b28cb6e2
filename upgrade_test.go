package helmexec

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
)

// upgradeByAnother makes the revision of somebody who upgrades at the same time.
func upgradeByAnother(fake *helmtest.Fake, labels map[string]string) {
	latest, _ := fake.Release("", "web")
	if latest.Status == "deployed" {
		latest.Status = "superseded"
		fake.SetRelease(latest)
	}
	next := helmtest.Release{Name: "web", Chart: "web", ChartVersion: "9.9.9", Revision: latest.Revision + 1, Labels: map[string]string{}}
	for k, v := range latest.Labels {
		next.Labels[k] = v // Helm lets an upgrade inherit labels
	}
	for k, v := range labels {
		next.Labels[k] = v
	}
	fake.SetRelease(next)
}

// An upgrade finds its own revision if others make one before or after it, and is done once.
func TestUpgradeBesideOthers(t *testing.T) {
	another := map[string]string{labelUpgrade: "another", labelTry: "theirs"}
	for _, test := range []struct {
		name     string
		tries    int
		prepare  func(*helmtest.Fake)
		answer   func(*helmtest.Fake, helmtest.Call) helmtest.Reply // of the first helm upgrade
		opts     UpgradeOptions
		revision int // of the result
		latest   int
		started  int // helm upgrades
	}{
		{
			name: "another is quicker", started: 1, revision: 3, latest: 3,
			answer: func(f *helmtest.Fake, c helmtest.Call) helmtest.Reply {
				upgradeByAnother(f, another)
				return f.Perform(c)
			},
		},
		{
			name: "another is quicker, in one try", tries: 1, started: 1, revision: 3, latest: 3,
			answer: func(f *helmtest.Fake, c helmtest.Call) helmtest.Reply {
				upgradeByAnother(f, another)
				return f.Perform(c)
			},
		},
		{
			name: "another is quicker, and the answer is lost", started: 1, revision: 3, latest: 3,
			answer: func(f *helmtest.Fake, c helmtest.Call) helmtest.Reply {
				upgradeByAnother(f, another)
				f.Perform(c)
				return reset
			},
		},
		{
			name: "another is next before the look", started: 1, revision: 2, latest: 3,
			answer: func(f *helmtest.Fake, c helmtest.Call) helmtest.Reply {
				reply := f.Perform(c)
				upgradeByAnother(f, another)
				return reply
			},
		},
		{
			name: "helm alone is next, which inherits the labels", started: 1, revision: 2, latest: 3,
			answer: func(f *helmtest.Fake, c helmtest.Call) helmtest.Reply {
				reply := f.Perform(c)
				upgradeByAnother(f, nil)
				return reply
			},
		},
		{
			name: "one before and one behind", started: 1, revision: 3, latest: 4,
			answer: func(f *helmtest.Fake, c helmtest.Call) helmtest.Reply {
				upgradeByAnother(f, another)
				reply := f.Perform(c)
				upgradeByAnother(f, another)
				return reply
			},
		},
		{
			name: "another's revision alone", started: 2, revision: 3, latest: 3,
			answer: func(f *helmtest.Fake, c helmtest.Call) helmtest.Reply { upgradeByAnother(f, another); return reset },
		},
		{
			name: "another installs what was not there", opts: UpgradeOptions{Install: true}, started: 1, revision: 2, latest: 2,
			prepare: func(f *helmtest.Fake) {
				f.RemoveRelease("", "web")
				inTurn(f, "install", func(c helmtest.Call) helmtest.Reply { f.SetRelease(others); return f.Perform(c) })
			},
			answer: func(f *helmtest.Fake, c helmtest.Call) helmtest.Reply { return f.Perform(c) },
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, fake := withFake(t, Config{Retry: Retry{Tries: test.tries}})
			fake.SetRelease(webRelease)
			if test.prepare != nil {
				test.prepare(fake)
			}
			inTurn(fake, "upgrade", func(c helmtest.Call) helmtest.Reply { return test.answer(fake, c) })
			test.opts.OperationID = "mine"
			rel, err := h.Upgrade(t.Context(), "web", chartFolder(t, "web", "1.2.4"), test.opts)
			require.NoError(t, err, strings.Join(fake.Commands(), ", "))
			assert.Equal(t, test.revision, rel.Revision)
			assert.Equal(t, "1.2.4", rel.ChartVersion)
			assert.Equal(t, test.started, len(fake.Calls("upgrade")))
			latest, _ := fake.Release("", "web")
			assert.Equal(t, test.latest, latest.Revision)

			// Delivering the operation again gives the same result, unless another has put its own id on the
			// release since.
			if latest.Labels[labelUpgrade] == "mine" {
				again, err := h.Upgrade(t.Context(), "web", chartFolder(t, "web", "1.2.4"), test.opts)
				require.NoError(t, err)
				assert.Equal(t, test.revision, again.Revision)
				assert.True(t, again.Recovered)
				assert.Equal(t, test.started, len(fake.Calls("upgrade")))
			}
		})
	}
}

// A failed upgrade with RollbackOnFailure does not undo what others have made since.
func TestFailedUpgradeLeavesTheRevisionsOfOthers(t *testing.T) {
	h, fake := withFake(t, Config{})
	fake.SetRelease(webRelease)
	inTurn(fake, "upgrade", func(c helmtest.Call) helmtest.Reply {
		fake.Perform(c)
		setRecord(fake, func(r *helmtest.Release) { r.Status = "failed" })
		upgradeByAnother(fake, map[string]string{labelUpgrade: "another", labelTry: "theirs"})
		return tooLate
	})
	_, err := h.Upgrade(t.Context(), "web", chartFolder(t, "web", "1.2.4"), UpgradeOptions{RollbackOnFailure: true})
	require.Error(t, err)
	assert.Empty(t, fake.Calls("rollback"))
	latest, _ := fake.Release("", "web")
	assert.Equal(t, 3, latest.Revision)
}

// Helm supersedes the revision before and records the new one as deployed in two steps. Stopped between them, it records
// the new one as failed.
func TestUpgradeThatWasStoppedAtItsEndIsRolledBack(t *testing.T) {
	h, fake := withFake(t, Config{})
	fake.SetRelease(webRelease)
	ctx, cancel := context.WithCancel(t.Context())
	inTurn(fake, "upgrade", func(c helmtest.Call) helmtest.Reply {
		fake.Perform(c)
		made, _ := fake.Release("", "web")
		before := webRelease
		before.Status, made.Status = "superseded", "failed"
		fake.SetRelease(before)
		fake.SetRelease(made)
		cancel()
		return helmtest.Reply{Until: helmtest.Forever, Term: &helmtest.Reply{Stderr: "Error: UPGRADE FAILED: context canceled\n", Exit: 1}}
	})
	_, err := h.Upgrade(ctx, "web", chartFolder(t, "web", "1.2.4"), UpgradeOptions{RollbackOnFailure: true})
	require.ErrorIs(t, err, context.Canceled)
	assert.NotErrorIs(t, err, ErrLeftBehind)
	require.Len(t, fake.Calls("rollback"), 1, "%v", err)
	assert.Equal(t, "1", fake.Calls("rollback")[0].Arg(1))
	latest, _ := fake.Release("", "web")
	assert.Equal(t, "deployed", latest.Status)
}

// Without a revision a rollback goes to one that was deployed, and skips those that failed in
// between.
func TestRollbackPassesOverWhatWasNeverDeployed(t *testing.T) {
	h, fake := withFake(t, Config{})
	for i, status := range []string{"superseded", "pending-upgrade", "failed", "deployed"} {
		fake.SetRelease(helmtest.Release{Name: "web", Revision: i + 1, Status: status})
	}
	back, err := h.Rollback(t.Context(), "web", RollbackOptions{})
	require.NoError(t, err)
	assert.Equal(t, StatusDeployed, back.Status)
	assert.Equal(t, "1", fake.Calls("rollback")[0].Arg(1))

	fake.RemoveRelease("", "web")
	fake.SetRelease(helmtest.Release{Name: "web", Status: "failed"})
	fake.SetRelease(helmtest.Release{Name: "web", Revision: 2})
	_, err = h.Rollback(t.Context(), "web", RollbackOptions{})
	require.ErrorIs(t, err, ErrReleaseNotFound)
	assert.ErrorContains(t, err, "no revision before revision 2 was deployed")
}

// The history that an upgrade found is purged before its helm, which installs revision 1.
func TestUpgradeOfAPurgedHistory(t *testing.T) {
	h, fake := withFake(t, Config{})
	web := webRelease
	web.Revision, web.Status = 3, "uninstalled"
	fake.SetRelease(web)
	inTurn(fake, "upgrade", func(c helmtest.Call) helmtest.Reply {
		fake.RemoveRelease("", "web")
		return fake.Perform(c)
	})
	ctx, cancel := context.WithTimeout(t.Context(), tooLong)
	defer cancel()
	_, err := h.Upgrade(ctx, "web", chartFolder(t, "web", "1.2.4"), UpgradeOptions{Install: true})
	assert.NoError(t, err)
	assert.Less(t, len(fake.Calls("get all")), 20)
}
