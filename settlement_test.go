package helmexec

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/internal/helmtext"
)

var (
	allTried = []tried{triedOK, triedTaken, triedUnreachable, triedLost, triedNotReady, triedRefused, triedStopped}
	allFound = []found{foundNothing, foundDeployed, foundFailed, foundDead, foundLive, foundForeign, foundUnknown}

	nameOfTried = map[tried]string{
		triedOK: "exit 0", triedTaken: "name taken", triedUnreachable: "cluster unreachable", triedLost: "lost",
		triedNotReady: "not ready", triedRefused: "refused", triedStopped: "stopped",
		triedGone: "no release", triedSkipped: "objects passed over", triedPurged: "the record removed all the same",
		triedOverdue: "ended at its time",
	}
	nameOfFound = map[found]string{
		foundNothing: "nothing", foundDeployed: "deployed", foundFailed: "failed", foundDead: "left by a dead helm",
		foundLive: "a live helm at work", foundForeign: "another's release", foundUnknown: "no answer",
	}
	nameOfNext = map[next]string{
		nextDone: "success", nextAgain: "try again", nextClearAgain: "remove it and try again", nextClearFail: "say why, remove it, fail",
		nextFail: "fail", nextTaken: "fail, the name is taken", nextWait: "wait",
		nextGone: "fail, somebody removed it", nextFinish: "bring the objects to an end", nextNoHooks: "try without hooks, or fail",
	}
)

// The step after a try of Install, for every way in which it ends and everything that is then
// found. Each has its reason; one is enough for a whole line of equal cells.
var installCells = []struct {
	tried tried
	found found
	next  next
	why   string
}{
	{triedOK, foundNothing, nextGone, "somebody has removed it, and an install must not undo that"},
	{triedOK, foundDeployed, nextDone, "the usual success"},
	{triedOK, foundFailed, nextClearAgain, "exit 0 is not believed over the record"},
	{triedOK, foundDead, nextClearAgain, "recording the success failed: the release stays pending"},
	{triedOK, foundLive, nextWait, "another helm of this operation is at work"},
	{triedOK, foundForeign, nextTaken, "another release has replaced it"},
	{triedOK, foundUnknown, nextFail, "nobody can say what there is"},

	{triedTaken, foundNothing, nextAgain, "the name has become free meanwhile"},
	{triedTaken, foundDeployed, nextDone, "an earlier try, or runner, of this operation succeeded unseen"},
	{triedTaken, foundFailed, nextClearAgain, "an earlier try of this operation failed half-way"},
	{triedTaken, foundDead, nextClearAgain, "an earlier runner of this operation was killed"},
	{triedTaken, foundLive, nextWait, "removing the record below a live helm orphans its objects"},
	{triedTaken, foundForeign, nextTaken, "somebody else's release is never touched"},
	{triedTaken, foundUnknown, nextFail, "taken, and nobody can say by whom"},

	{triedUnreachable, foundNothing, nextAgain, "nothing was done"},
	{triedUnreachable, foundDeployed, nextDone, "an earlier try was lost, and had succeeded"},
	{triedUnreachable, foundFailed, nextClearAgain, "an earlier try was lost, and had failed"},
	{triedUnreachable, foundDead, nextClearAgain, "an earlier try was lost half-way"},
	{triedUnreachable, foundLive, nextWait, "another helm of this operation is at work"},
	{triedUnreachable, foundForeign, nextTaken, "the name is another's"},
	{triedUnreachable, foundUnknown, nextAgain, "the outage goes on"},

	{triedLost, foundNothing, nextAgain, "it was lost before anything was recorded"},
	{triedLost, foundDeployed, nextDone, "it was lost after its success"},
	{triedLost, foundFailed, nextClearAgain, "it failed because it was lost"},
	{triedLost, foundDead, nextClearAgain, "it was killed half-way"},
	{triedLost, foundLive, nextWait, "another helm of this operation is at work"},
	{triedLost, foundForeign, nextTaken, "the name is another's"},
	{triedLost, foundUnknown, nextAgain, "the outage goes on"},

	{triedNotReady, foundNothing, nextGone, "somebody has removed it"},
	{triedNotReady, foundDeployed, nextDone, "a second runner of this operation succeeded"},
	{triedNotReady, foundFailed, nextClearFail, "the usual failure"},
	{triedNotReady, foundDead, nextClearFail, "helm could not record the failure"},
	{triedNotReady, foundLive, nextWait, "another helm of this operation is at work"},
	{triedNotReady, foundForeign, nextTaken, "the name is another's"},
	{triedNotReady, foundUnknown, nextFail, "nobody can say what there is"},

	{triedRefused, foundNothing, nextFail, "the usual refusal: nothing was made"},
	{triedRefused, foundDeployed, nextDone, "a second runner of this operation succeeded"},
	{triedRefused, foundFailed, nextClearFail, "refused after objects were made"},
	{triedRefused, foundDead, nextClearFail, "helm could not record the failure"},
	{triedRefused, foundLive, nextWait, "another helm of this operation is at work"},
	{triedRefused, foundForeign, nextFail, "the reason of the refusal says more than that the name is taken"},
	{triedRefused, foundUnknown, nextFail, "nobody can say what there is"},

	{triedStopped, foundNothing, nextFail, "the caller's context ended"},
	{triedStopped, foundDeployed, nextDone, "the end of the context came too late to matter"},
	{triedStopped, foundFailed, nextClearFail, "helm put its record in order"},
	{triedStopped, foundDead, nextClearFail, "helm had to be killed"},
	{triedStopped, foundLive, nextFail, "nobody waits for it any more"},
	{triedStopped, foundForeign, nextFail, "not ours to touch"},
	{triedStopped, foundUnknown, nextFail, "nobody can say what there is"},
}

// The cells in which Upgrade differs from Install.
var upgradeCells = map[[2]int]next{
	// The release as it was before: the try has recorded nothing.
	{int(triedOK), int(foundForeign)}:          nextAgain,
	{int(triedUnreachable), int(foundForeign)}: nextAgain,
	{int(triedLost), int(foundForeign)}:        nextAgain,
	{int(triedNotReady), int(foundForeign)}:    nextFail,
	// Helm upgrades over a failed revision.
	{int(triedOK), int(foundFailed)}:          nextAgain,
	{int(triedTaken), int(foundFailed)}:       nextAgain,
	{int(triedUnreachable), int(foundFailed)}: nextAgain,
	{int(triedLost), int(foundFailed)}:        nextAgain,
}

func TestSettlement(t *testing.T) {
	require.Len(t, installCells, len(allTried)*len(allFound))
	for i, cell := range installCells {
		require.Equal(t, allTried[i/len(allFound)], cell.tried, "cells in order")
		require.Equal(t, allFound[i%len(allFound)], cell.found, "cells in order")
		t.Run(nameOfTried[cell.tried]+", "+nameOfFound[cell.found], func(t *testing.T) {
			assert.Equal(t, nameOfNext[cell.next], nameOfNext[settleInstall[cell.tried][cell.found]], "install: %s", cell.why)
			want, differs := upgradeCells[[2]int{int(cell.tried), int(cell.found)}]
			if !differs {
				want = cell.next
			}
			assert.Equal(t, nameOfNext[want], nameOfNext[settleUpgrade[cell.tried][cell.found]], "upgrade")
		})
	}
}

// Rules that must hold for every table.
func TestSettlementNeverHarms(t *testing.T) {
	for name, table := range map[string]*settlement{"install": &settleInstall, "upgrade": &settleUpgrade} {
		for _, how := range allTried {
			removes := func(what found) bool {
				n := table[how][what]
				return n == nextClearAgain || n == nextClearFail
			}
			cell := name + ", " + nameOfTried[how]
			assert.False(t, removes(foundForeign), "%s: another's release is removed", cell)
			assert.False(t, removes(foundLive), "%s: a live helm loses its record", cell)
			assert.False(t, removes(foundUnknown), "%s: something unseen is removed", cell)
			assert.Equal(t, nextDone, table[how][foundDeployed], "%s: a success is not taken for one", cell)
			for _, what := range allFound {
				if how == triedStopped || how == triedRefused || how == triedNotReady {
					n := table[how][what]
					assert.False(t, n == nextAgain || n == nextClearAgain, "%s, %s: tried again", cell, nameOfFound[what])
				}
			}
		}
	}
}

// What a rollback and an uninstall do after a try, line by line.
func TestSettlementOfRollbackAndUninstall(t *testing.T) {
	for _, test := range []struct {
		name  string
		table *settlement
		how   []tried
		found found
		want  next
		why   string
	}{
		{"rollback", &settleRollback, allTried, foundDeployed, nextDone, "the revision is there, however the try ended"},
		{"rollback", &settleRollback, allTried, foundNothing, nextFail, "the release was removed meanwhile"},
		{"rollback", &settleRollback, allTried, foundLive, nextFail, "never found: the lock keeps others away"},
		{"rollback", &settleRollback, []tried{triedOK, triedUnreachable, triedLost}, foundForeign, nextAgain, "nothing was recorded"},
		{"rollback", &settleRollback, []tried{triedOK, triedUnreachable, triedLost}, foundDead, nextAgain, "a further one works over it"},
		{"rollback", &settleRollback, []tried{triedUnreachable, triedLost}, foundUnknown, nextAgain, "the same one again does no harm"},
		{"rollback", &settleRollback, []tried{triedNotReady, triedRefused, triedTaken}, foundFailed, nextFail, "it would fail again"},
		{"rollback", &settleRollback, []tried{triedStopped}, foundDead, nextClearFail, "a pending revision blocks every change"},

		{"uninstall", &settleUninstall, []tried{triedOK}, foundNothing, nextDone, "helm was content"},
		{"uninstall", &settleUninstall, []tried{triedOverdue}, foundFailed, nextFail, "the next call goes on"},
		{"uninstall", &settleUninstall, []tried{triedOverdue}, foundUnknown, nextFail, "nobody can say what there is"},
		{"uninstall", &settleUninstall, []tried{triedOverdue}, foundNothing, nextFinish, "somebody has removed the record"},
		{"uninstall", &settleUninstall, []tried{triedSkipped, triedGone, triedLost, triedPurged, triedRefused, triedNotReady, triedStopped}, foundNothing, nextFinish, "objects may be left"},
		{"uninstall", &settleUninstall, []tried{triedLost}, foundFailed, nextAgain, "the network may be back"},
		{"uninstall", &settleUninstall, []tried{triedLost, triedUnreachable}, foundUnknown, nextAgain, "the network may be back"},
		{"uninstall", &settleUninstall, []tried{triedRefused, triedNotReady, triedPurged}, foundFailed, nextNoHooks, "a hook may be what fails"},
		{"uninstall", &settleUninstall, []tried{triedPurged}, foundUnknown, nextFinish, "helm said that the record is gone"},
		{"uninstall", &settleUninstall, []tried{triedRefused, triedNotReady, triedStopped}, foundUnknown, nextFail, "nobody can say what there is"},
		{"uninstall", &settleUninstall, []tried{triedStopped}, foundFailed, nextFail, "the caller has had enough"},
	} {
		for _, how := range test.how {
			assert.Equal(t, nameOfNext[test.want], nameOfNext[test.table[how][test.found]],
				"%s, %s, %s: %s", test.name, nameOfTried[how], nameOfFound[test.found], test.why)
		}
	}
}

func TestHowItEnded(t *testing.T) {
	h, _ := withFake(t, Config{})
	said := func(stderr string) error {
		e := &Error{ExitCode: 1, Stderr: stderr}
		e.kind, e.transient = helmtext.KindOf(stderr, false)
		return e
	}
	for _, test := range []struct {
		name string
		err  error
		want tried
	}{
		{"exit 0", nil, triedOK},
		{"name taken, Helm 3", said("Error: INSTALLATION FAILED: cannot re-use a name that is still in use"), triedTaken},
		{"name taken, Helm 4", said("Error: INSTALLATION FAILED: release name check failed: cannot reuse a name that is still in use"), triedTaken},
		{"another operation", said("Error: UPGRADE FAILED: another operation (install/upgrade/rollback) is in progress"), triedTaken},
		{"unreachable", said("Error: Kubernetes cluster unreachable: dial tcp: connection refused"), triedUnreachable},
		{"unreachable for good", said("Error: Kubernetes cluster unreachable: x509: certificate signed by unknown authority"), triedRefused},
		{"connection lost", said("Error: INSTALLATION FAILED: read tcp: connection reset by peer"), triedLost},
		{"killed by somebody", &Error{ExitCode: -1, Signal: "killed", transient: true}, triedLost},
		{"not ready", said("Error: INSTALLATION FAILED: context deadline exceeded"), triedNotReady},
		{"helm was sent a signal by somebody", said("Error: INSTALLATION FAILED: context canceled"), triedLost},
		{"a hook that failed", said("Error: INSTALLATION FAILED: failed pre-install: 1 error occurred:\n\t* job failed: BackoffLimitExceeded"), triedNotReady},
		{"refused", said("Error: INSTALLATION FAILED: values don't meet the specifications of the schema(s)"), triedRefused},
		{"canceled", &Error{ExitCode: 1, cause: context.Canceled}, triedStopped},
		{"out of time", &Error{ExitCode: -1, Signal: "killed", cause: context.DeadlineExceeded}, triedStopped},
		{"canceled before it started", fmt.Errorf("waiting: %w", context.Canceled), triedStopped},
		{"no binary", &Error{ExitCode: -1, cause: errors.New("fork/exec: no such file")}, triedRefused},
		{"an error before it started", errors.New("no space left on device"), triedRefused},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, nameOfTried[test.want], nameOfTried[h.howItEnded(test.err)])
		})
	}
}

func TestWhatARecordMeans(t *testing.T) {
	now := time.Unix(2e9, 0)
	before, after := unixLabel(now.Add(-time.Second)), unixLabel(now.Add(time.Second))
	for _, test := range []struct {
		name     string
		status   Status
		revision int
		id       string // of the operation on the record
		home     string
		until    string
		age      time.Duration // since it was written
		install  found
		upgrade  found
	}{
		{"deployed", StatusDeployed, 1, "me", "here", after, 0, foundDeployed, foundDeployed},
		{"superseded", StatusSuperseded, 1, "me", "here", after, 0, foundDeployed, foundDeployed},
		{"failed here", StatusFailed, 1, "me", "here", after, 0, foundFailed, foundFailed},
		{"pending here, whose lock we hold", StatusPendingInstall, 1, "me", "here", after, 0, foundDead, foundDead},
		{"pending elsewhere, in its time", StatusPendingInstall, 1, "me", "there", after, time.Hour, foundLive, foundLive},
		{"pending elsewhere, to the second", StatusPendingInstall, 1, "me", "there", unixLabel(now), 0, foundLive, foundLive},
		{"pending elsewhere, out of time", StatusPendingInstall, 1, "me", "there", before, 0, foundDead, foundDead},
		{"pending elsewhere, no time known", StatusPendingInstall, 1, "me", "there", "", time.Hour, foundLive, foundLive},
		{"failed elsewhere, and its runner is about to remove it", StatusFailed, 1, "me", "there", after, settlingTime, foundLive, foundLive},
		{"failed elsewhere, and its runner has not removed it", StatusFailed, 1, "me", "there", after, settlingTime + 1, foundFailed, foundFailed},
		{"failed elsewhere, out of time", StatusFailed, 1, "me", "there", before, 0, foundFailed, foundFailed},
		{"half removed", StatusUninstalling, 1, "me", "here", after, 0, foundDead, foundForeign},
		{"removed, history kept", StatusUninstalled, 1, "me", "here", after, 0, foundForeign, foundForeign},
		{"upgraded since, which failed", StatusFailed, 2, "me", "here", after, 0, foundDeployed, foundFailed},
	} {
		t.Run(test.name, func(t *testing.T) {
			for label, want := range map[string]found{labelInstall: test.install, labelUpgrade: test.upgrade} {
				op := &operation{label: label, id: "me", home: "here"}
				r := &Release{Status: test.status, Revision: test.revision, Updated: now.Add(-test.age), Labels: map[string]string{}}
				for k, v := range map[string]string{label: test.id, labelHome: test.home, labelUntil: test.until} {
					if v != "" {
						r.Labels[k] = v
					}
				}
				assert.Equal(t, nameOfFound[want], nameOfFound[op.judge(r, now, now.Add(-test.age))], label)
			}
		})
	}
}
