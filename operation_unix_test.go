//go:build unix

package helmexec

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
)

// A queue delivers a job twice: one install, two successes.
func TestDoubleDelivery(t *testing.T) {
	for _, test := range []struct {
		name  string
		helms int
	}{
		{"to one process", 1},
		{"to two processes of one home", 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			home := t.TempDir()
			first, fake := withFake(t, Config{Home: home})
			runners := []*Helm{first, first}
			if test.helms == 2 {
				runners[1] = drive(t, fake, Config{Home: home})
			}
			running, most := 0, 0
			var mu sync.Mutex
			fake.Handle("install", func(c helmtest.Call) helmtest.Reply {
				mu.Lock()
				running++
				most = max(most, running)
				mu.Unlock()
				reply := fake.Perform(c)
				reply.Then = func() { mu.Lock(); running--; mu.Unlock() }
				return reply
			})
			chart := chartFolder(t, "web", "1.2.3")
			recovered := make(chan bool, 2)
			for _, h := range runners {
				go func() {
					rel, err := h.Install(t.Context(), "web", chart, InstallOptions{OperationID: "job-7"})
					assert.NoError(t, err)
					recovered <- err == nil && rel.Recovered
				}()
			}
			assert.NotEqual(t, <-recovered, <-recovered, "one made it, the other found it")
			assert.Equal(t, 1, most, "installs at once")
			assert.Len(t, fake.Calls("install"), 2)
			assert.Empty(t, fake.Calls("uninstall"))
			r, _ := fake.Release("", "web")
			assert.Equal(t, 1, r.Revision)
		})
	}
}

// A runner was killed and its helm lives on: the restarted runner waits for that helm, and returns
// its release.
func TestInstallWaitsForTheHelmOfADeadRunner(t *testing.T) {
	h, fake := withFake(t, Config{})
	chart := chartFolder(t, "web", "1.2.3")
	working, finish := make(chan struct{}), make(chan struct{})
	inTurn(fake, "install", func(c helmtest.Call) helmtest.Reply {
		fake.Perform(c)
		setRecord(fake, func(r *helmtest.Release) { r.Status = "pending-install" })
		return helmtest.Reply{Then: func() { close(working) }, Until: finish}
	})

	// The dead runner: it started helm, and its own hold of the lock died with it.
	op, err := h.begin(t.Context(), "web", target{}, labelInstall, "job-7", "")
	require.NoError(t, err)
	left := exec.Command(h.binary, "install", "--labels="+joinLabels(op.labels(InstallOptions{}, 1, time.Now())), "--", "web", chart)
	left.Env, left.ExtraFiles = h.env.cluster, op.inherited()
	require.NoError(t, left.Start())
	<-working
	op.end()

	onceItWaits(t, func(ctx context.Context, t *testing.T) {
		_, err := h.Install(ctx, "web", chart, InstallOptions{OperationID: "job-7"})
		require.ErrorIs(t, err, ErrReleaseBusy)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
	assert.Len(t, fake.Calls("install"), 1, "none was started beside the one that lives")

	again := make(chan *Release)
	go func() {
		rel, err := h.Install(t.Context(), "web", chart, InstallOptions{OperationID: "job-7"})
		assert.NoError(t, err)
		again <- rel
	}()
	setRecord(fake, func(r *helmtest.Release) { r.Status = "deployed" })
	close(finish)
	require.NoError(t, left.Wait())
	rel := <-again
	require.NotNil(t, rel)
	assert.True(t, rel.Recovered)
	assert.Empty(t, fake.Calls("uninstall"))
}

// Uninstall does not remove a record under a helm that works on it.
func TestUninstallWaitsForAnInstall(t *testing.T) {
	h, fake := withFake(t, Config{})
	working, finish := make(chan struct{}), make(chan struct{})
	inTurn(fake, "install", func(c helmtest.Call) helmtest.Reply {
		fake.Perform(c)
		setRecord(fake, func(r *helmtest.Release) { r.Status = "pending-install" })
		return helmtest.Reply{Then: func() { close(working) }, Until: finish}
	})
	chart, installed := chartFolder(t, "web", "1.2.3"), make(chan error, 1)
	go func() {
		_, err := h.Install(t.Context(), "web", chart, InstallOptions{})
		installed <- err
	}()
	<-working

	onceItWaits(t, func(ctx context.Context, t *testing.T) {
		_, err := h.Uninstall(ctx, "web", UninstallOptions{})
		require.ErrorIs(t, err, ErrReleaseBusy)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
	assert.Empty(t, fake.Calls("uninstall"))

	setRecord(fake, func(r *helmtest.Release) { r.Status = "deployed" })
	close(finish)
	require.NoError(t, <-installed)
	_, err := h.Uninstall(t.Context(), "web", UninstallOptions{})
	require.NoError(t, err)
}

// Helm holds the lock as an open file, and nothing else does.
func TestHelmInheritsTheLock(t *testing.T) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("no /proc on this system")
	}
	h, fake := withFake(t, Config{})
	var held, using string
	inTurn(fake, "install", func(c helmtest.Call) helmtest.Reply {
		reply := fake.Perform(c)
		reply.Then = func() {
			held, _ = os.Readlink(filepath.Join("/proc", itoa(c.Pid), "fd", "3"))
			using, _ = os.Readlink(filepath.Join("/proc", itoa(c.Pid), "fd", "4"))
		}
		return reply
	})
	_, err := h.Install(t.Context(), "web", chartFolder(t, "web", "1.2.3"), InstallOptions{})
	require.NoError(t, err)
	for _, lock := range []string{held, using} {
		assert.Equal(t, h.home.Path("operations"), filepath.Dir(lock))
		assert.True(t, strings.HasSuffix(lock, ".lock"), lock)
	}
	_, err = os.Stat(held)
	assert.ErrorIs(t, err, os.ErrNotExist, "removed at the end")
}

// Only a lock that somebody else holds makes a release busy.
func TestLockThatCannotBeTaken(t *testing.T) {
	h, fake := withFake(t, Config{})
	require.NoError(t, os.Remove(h.locks()))
	require.NoError(t, os.WriteFile(h.locks(), nil, 0o600)) // not a folder
	chart := chartFolder(t, "web", "1.2.3")
	_, err := h.Install(t.Context(), "web", chart, InstallOptions{})
	_, err2 := h.Uninstall(t.Context(), "web", UninstallOptions{})
	for _, err := range []error{err, err2} {
		var failed *ReleaseError
		require.ErrorAs(t, err, &failed)
		assert.NotErrorIs(t, err, ErrReleaseBusy)
		assert.ErrorContains(t, err, h.locks())
		assert.ErrorContains(t, err, "not a directory")
	}
	assert.Empty(t, fake.Calls("install", "uninstall"))
}

// The lock says whether the helm that wrote a record lives; if it cannot be checked, the time on the
// record decides.
func TestMayLive(t *testing.T) {
	h, _ := withFake(t, Config{})
	begin := func(id string) *operation {
		op, err := h.begin(t.Context(), "web", target{}, labelInstall, id, "")
		require.NoError(t, err)
		return op
	}
	op, other, ended := begin("1"), begin("2"), begin("3")
	ended.end()
	defer op.end()
	defer other.end()
	now := time.Now()
	record := func(home, lock string, until time.Time) *Release {
		return &Release{Labels: map[string]string{labelHome: home, labelLock: lock, labelUntil: unixLabel(until)}}
	}
	later, before := now.Add(time.Hour), now.Add(-time.Hour)
	for _, test := range []struct {
		name string
		rec  *Release
		want bool
	}{
		{"its own", record(op.home, op.lock, later), false},
		{"one whose lock is held", record(op.home, other.lock, before), true},
		{"one whose lock is gone", record(op.home, ended.lock, later), false},
		{"a lock with a name that is none", record(op.home, "../id", later), false},
		{"of another home, in its time", record("elsewhere", other.lock, later), true},
		{"of another home, out of its time", record("elsewhere", other.lock, before), false},
	} {
		assert.Equal(t, test.want, op.mayLive(test.rec, now), test.name)
	}
	assert.FileExists(t, filepath.Join(h.locks(), other.lock), "who only asks removes nothing")

	asker := &operation{host: thisHost(), home: op.home, locks: h.home.Path("id")} // a file, so that the lock cannot be asked
	assert.True(t, asker.mayLive(record(op.home, other.lock, later), now), "the time decides")
	assert.False(t, asker.mayLive(record(op.home, other.lock, before), now), "the time decides")
}

// Operations that have nothing to do with each other do not wait for each other.
func TestOperationsSideBySide(t *testing.T) {
	h, _ := withFake(t, Config{})
	var all []*operation
	for _, op := range []struct{ label, id, release string }{
		{labelInstall, "1", "web"}, {labelInstall, "2", "web"}, {labelUpgrade, "1", "web"}, {labelInstall, "1", "api"},
	} {
		onceItWaits(t, func(ctx context.Context, t *testing.T) {
			begun, err := h.begin(ctx, op.release, target{}, op.label, op.id, "")
			require.NoError(t, err, "%v waits", op)
			all = append(all, begun)
		})
	}
	onceItWaits(t, func(ctx context.Context, t *testing.T) {
		_, err := h.begin(ctx, "web", target{}, labelInstall, "1", "")
		require.ErrorIs(t, err, ErrReleaseBusy, "the same operation again")
	})
	onceItWaits(t, func(ctx context.Context, t *testing.T) {
		_, err := h.Uninstall(ctx, "web", UninstallOptions{})
		require.ErrorIs(t, err, ErrReleaseBusy)
	})
	for _, op := range all {
		op.end()
	}
}

func TestOperationIDs(t *testing.T) {
	assert.Equal(t, "job-7.a_1", labelValueOf("job-7.a_1"))
	for _, text := range []string{"job 7", "作业", "-x", strings.Repeat("x", 64), "a/b", ""} {
		value := labelValueOf(text)
		assert.Regexp(t, `^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`, value, "%q", text)
		assert.Equal(t, value, labelValueOf(text))
	}
	assert.NotEqual(t, labelValueOf("a b"), labelValueOf("a c"))
	assert.NotEqual(t, labelValueOf("a b"), labelValueOf(labelValueOf("a b")), "an id that is the hash of another")
}

func TestHomeID(t *testing.T) {
	home := t.TempDir()
	h, fake := withFake(t, Config{Home: home})
	mine, err := h.homeID()
	require.NoError(t, err)
	same, err := drive(t, fake, Config{Home: home}).homeID()
	require.NoError(t, err)
	assert.Equal(t, mine, same)
	other, err := drive(t, fake, Config{}).homeID()
	require.NoError(t, err)
	assert.NotEqual(t, mine, other)
}
