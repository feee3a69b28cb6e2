package helmexec

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
)

// What charts say, and what other runners do at the same time.

// A chart whose pre-delete hook fails with helm's own words is still removed.
func TestUninstallJobIsNotFooled(t *testing.T) {
	for name, stderr := range map[string]string{
		"not found":         "Error: warning: Hook pre-delete web/templates/h.yaml failed: restartPolicy: Unsupported value: \"release: not found\"\n",
		"in a log":          "Error: uninstall: Release not loaded: web: release: not foundError: 1 error occurred:\n\t* job x failed\n",
		"completed":         "uninstallation completed with 1 error(s)\nError: 1 error occurred:\n\t* job x failed\n",
		"a webhook is down": "Error: warning: Hook pre-delete web/templates/h.yaml failed: failed calling webhook: dial tcp 10.0.0.7:443: connect: connection refused\n",
	} {
		t.Run(name, func(t *testing.T) {
			h, fake := withFake(t, Config{})
			fake.SetRelease(helmtest.Release{
				Name: "web", Manifest: objects, Labels: map[string]string{labelJob: "42"},
				Hooks: []helmtest.Hook{{Kind: "Job", Name: "x", Events: []string{"pre-delete"}}},
			})
			sees(fake)
			fake.Handle("uninstall", func(c helmtest.Call) helmtest.Reply {
				if c.Flag("--no-hooks") != "" {
					return fake.Perform(c)
				}
				return helmtest.Reply{Stderr: stderr, Exit: 1}
			})
			done, err := h.UninstallJob(t.Context(), "42", JobOptions{Wait: true})
			require.NoError(t, err)
			assert.Len(t, done, 1)
			_, there := fake.Release("", "web")
			assert.False(t, there)
		})
	}
}

// An API server that refuses an object quotes it. What was made before is removed.
func TestInstallIsNotFooled(t *testing.T) {
	for _, quote := range []string{"kubernetes cluster unreachable: connection refused", "cannot re-use a name that is still in use", "release: not found"} {
		t.Run(quote, func(t *testing.T) {
			h, fake := withFake(t, Config{})
			fake.Handle("install", installed(fake, "failed", helmtest.Reply{
				Stderr: "Error: INSTALLATION FAILED: Ingress is invalid: pathType: Unsupported value: \"" + quote + "\"\n", Exit: 1,
			}))
			_, err := h.Install(t.Context(), "web", chartFolder(t, "web", "1.2.3"), InstallOptions{})
			require.ErrorContains(t, err, "Unsupported value")
			for _, kind := range []error{ErrClusterUnreachable, ErrReleaseExists, ErrReleaseNotFound, ErrLeftBehind} {
				assert.NotErrorIs(t, err, kind)
			}
			_, there := fake.Release("", "web")
			assert.False(t, there)
		})
	}
}

// Between the tries of an uninstall another operation uses the free name.
func TestUninstallLeavesTheNextRelease(t *testing.T) {
	next := helmtest.Release{Name: "web", Manifest: objects, Labels: map[string]string{labelInstall: "next"}}
	for name, reply := range map[string]helmtest.Reply{
		"lost":              reset,
		"helm left objects": {Stdout: "2 resource(s) were not deleted because their ownership could not be verified:\n"},
	} {
		t.Run(name, func(t *testing.T) {
			h, fake := withFake(t, Config{})
			fake.SetRelease(webRelease)
			sees(fake, "0 staying owned 1 staying owned;", "")
			inTurn(fake, "uninstall", func(c helmtest.Call) helmtest.Reply {
				fake.Perform(c)
				fake.SetRelease(next)
				return reply
			})
			_, _ = h.Uninstall(t.Context(), "web", UninstallOptions{})
			left, there := fake.Release("", "web")
			require.True(t, there)
			assert.Equal(t, "next", left.Labels[labelInstall])
			assert.Len(t, fake.Calls("uninstall"), 1)
		})
	}
}

// While a failed install finds out why, another host considers its release abandoned and installs
// again.
func TestInstallLeavesTheNextRelease(t *testing.T) {
	h, fake := withFake(t, Config{})
	inTurn(fake, "install", installed(fake, "failed", tooLate))
	fake.Handle("status", func(c helmtest.Call) helmtest.Reply {
		setRecord(fake, func(r *helmtest.Release) { r.Status, r.Labels[labelHome] = "deployed", "elsewhere" })
		return fake.Perform(c)
	})
	_, err := h.Install(t.Context(), "web", chartFolder(t, "web", "1.2.3"), InstallOptions{Wait: true})
	require.ErrorIs(t, err, ErrNotReady)
	assert.NotContains(t, err.Error(), "removed again", "which it did not")
	left, _ := fake.Release("", "web")
	assert.Equal(t, "deployed", left.Status)
}

// The clean-up of a cancelled install does not queue behind waiting installs.
func TestCleanUpHasAPlace(t *testing.T) {
	h, fake := withFake(t, Config{MaxProcesses: 4})
	chart := chartFolder(t, "web", "1.2.3")
	started := make(chan string, 10)
	fake.Handle("install", func(c helmtest.Call) helmtest.Reply {
		fake.Perform(c)
		r, _ := fake.Release("", c.Arg(0))
		r.Status = "pending-install"
		fake.SetRelease(r)
		return helmtest.Reply{Then: func() { started <- c.Arg(0) }, Until: helmtest.Forever, Term: &helmtest.Reply{Stderr: "Error: context canceled\n", Exit: 1}}
	})
	install := func(ctx context.Context, name string) chan error {
		done := make(chan error, 1)
		go func() {
			_, err := h.Install(ctx, name, chart, InstallOptions{Wait: true})
			done <- err
		}()
		return done
	}
	one, cancel := context.WithCancel(t.Context())
	victim := install(one, "victim")
	<-started
	others, stop := context.WithCancel(t.Context())
	var rest []chan error
	for i := range 6 {
		rest = append(rest, install(others, fmt.Sprint("other-", i)))
	}
	<-started
	<-started
	cancel()
	err := <-victim
	require.ErrorIs(t, err, context.Canceled)
	assert.NotErrorIs(t, err, ErrLeftBehind)
	_, there := fake.Release("", "victim")
	assert.False(t, there)
	stop()
	for _, done := range rest {
		<-done
	}
}

// Two callers name the same namespace differently, so they hold different locks. The uninstall finds
// the lock of the running helm by its name on the record.
func TestUninstallWaitsForAHelmOfThisHome(t *testing.T) {
	h, fake := withFake(t, Config{})
	op, err := h.begin(t.Context(), "web", target{}, labelInstall, "42", "")
	require.NoError(t, err)
	fake.SetRelease(helmtest.Release{
		Name: "web", Namespace: "default", Status: "pending-install",
		Labels: map[string]string{labelHome: op.home, labelLock: op.lock, labelUntil: "1"},
	})
	kubeconfig := filepath.Join(t.TempDir(), "config")
	require.NoError(t, os.WriteFile(kubeconfig, nil, 0o600))
	other := UninstallOptions{Namespace: "default", Kubeconfig: kubeconfig}
	onceItWaits(t, func(ctx context.Context, t *testing.T) {
		_, err := h.Uninstall(ctx, "web", other)
		require.ErrorIs(t, err, ErrReleaseBusy)
	})
	assert.Empty(t, fake.Calls("uninstall"))
	op.end()
	_, err = h.Uninstall(t.Context(), "web", other)
	require.NoError(t, err)
}

// The same id in two namespaces is two operations.
func TestOperationIDsOfTwoNamespaces(t *testing.T) {
	h, _ := withFake(t, Config{})
	one, err := h.begin(t.Context(), "web", target{namespace: "a"}, labelInstall, "42", "")
	require.NoError(t, err)
	defer one.end()
	onceItWaits(t, func(ctx context.Context, t *testing.T) {
		two, err := h.begin(ctx, "web", target{namespace: "b"}, labelInstall, "42", "")
		require.NoError(t, err)
		two.end()
	})
}

const stateful = "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: db}\nspec: {replicas: 1, volumeClaimTemplates: [{metadata: {name: data}}]}\n"

// Objects that earlier clean-ups left are listed when the tries are used up.
func TestInstallTellsWhatEarlierTriesLeft(t *testing.T) {
	h, fake := withFake(t, Config{Retry: Retry{Tries: 1}})
	sees(fake, "0 staying foreign")
	fake.Handle("install", func(c helmtest.Call) helmtest.Reply {
		reply := installed(fake, "failed", reset)(c)
		setRecord(fake, func(r *helmtest.Release) { r.Manifest = stateful })
		return reply
	})
	_, err := h.Install(t.Context(), "web", chartFolder(t, "web", "1.2.3"), InstallOptions{Wait: true})
	var failed *ReleaseError
	require.ErrorAs(t, err, &failed)
	require.Len(t, failed.Remains, 1)
	assert.Equal(t, "data-db-0", failed.Remains[0].Name)
}

// The network stays silent for the whole grace period: the objects of the rendered chart are listed
// without it.
func TestLeftBehindWhenTheGraceIsOver(t *testing.T) {
	h, fake := withFake(t, Config{GracePeriod: time.Second})
	ctx, cancel := context.WithCancel(t.Context())
	inTurn(fake, "install", installed(fake, "pending-install", helmtest.Reply{Then: cancel, Until: helmtest.Forever}))
	fake.Handle("get all", func(helmtest.Call) helmtest.Reply { return helmtest.Reply{Until: helmtest.Forever} })
	fake.Handle("template", func(c helmtest.Call) helmtest.Reply { return helmtest.Reply{Stdout: objects} })
	_, err := h.Install(ctx, "web", chartFolder(t, "web", "1.2.3"), InstallOptions{Namespace: "team"})
	require.ErrorIs(t, err, ErrLeftBehind)
	assert.ErrorContains(t, err, "Deployment team/web (not known whether it exists)")
}

// KeepFailed keeps a failed release, even if helm could not see whether it got ready.
func TestKeepFailedThatHelmCouldNotSee(t *testing.T) {
	h, fake := withFake(t, Config{})
	inTurn(fake, "install", installed(fake, "failed", blind))
	fake.On("status", helmtest.Reply{Stdout: onePod("True")})
	_, err := h.Install(t.Context(), "web", chartFolder(t, "web", "1.2.3"), InstallOptions{Wait: true, KeepFailed: true})
	require.ErrorIs(t, err, ErrNotReady)
	left, _ := fake.Release("", "web")
	assert.Equal(t, "failed", left.Status)
}

// The removal has its own time, and ends before others may consider the release dead.
func TestTimeToRemove(t *testing.T) {
	const minute = 60 * time.Second
	for _, test := range []struct {
		timeout, limit time.Duration // limit is the context's
		least, most    time.Duration
	}{
		{timeout: time.Second, limit: time.Hour, least: 30 * time.Second, most: minute},
		{timeout: 2 * minute, limit: time.Hour, least: 2 * minute, most: 2 * minute},
		{timeout: 10 * minute, limit: 20 * time.Second, least: 30 * time.Second, most: 70 * time.Second},
	} {
		h, fake := withFake(t, Config{GracePeriod: 30 * time.Second})
		inTurn(fake, "install", installed(fake, "failed", helmtest.Reply{Stderr: "Error: INSTALLATION FAILED: context deadline exceeded\n", Exit: 1}))
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), test.limit)
			defer cancel()
			_, err := h.Install(ctx, "web", chartFolder(t, "web", "1.2.3"), InstallOptions{Wait: true, Timeout: test.timeout})
			require.ErrorIs(t, err, ErrNotReady)
			assert.ErrorContains(t, err, "removed again")
		})
		for _, call := range fake.Calls() {
			if call.Args[0] == "uninstall" {
				got, err := time.ParseDuration(call.Flag("--timeout"))
				require.NoError(t, err)
				assert.True(t, test.least <= got && got <= test.most, "%v for a timeout of %v in %v", got, test.timeout, test.limit)
			}
		}
		assert.Contains(t, fake.Commands(), "uninstall")
	}
}

// With KeepHistory, a release whose objects are not gone stays recorded.
func TestUninstallWithHistoryIsNotGone(t *testing.T) {
	h, fake := withFake(t, Config{})
	fake.SetRelease(webRelease)
	sees(fake, "1 going owned")
	fake.Handle("uninstall", func(helmtest.Call) helmtest.Reply {
		setRecord(fake, func(r *helmtest.Release) { r.Status = "uninstalled" })
		return helmtest.Reply{Stderr: "Error: uninstallation completed with 1 error(s): context deadline exceeded\n", Exit: 1}
	})
	_, err := h.Uninstall(t.Context(), "web", UninstallOptions{Wait: true, KeepHistory: true})
	require.ErrorIs(t, err, ErrNotGone)
	assert.ErrorContains(t, err, "apps/Deployment default/web")
}

// The last words of a killed helm are missing.
func TestUninstallWhoseHelmWasKilledIsNotFooled(t *testing.T) {
	h, fake := withFake(t, Config{})
	fake.SetRelease(webRelease)
	sees(fake)
	inTurn(fake, "uninstall", func(helmtest.Call) helmtest.Reply {
		return helmtest.Reply{Stderr: "Error: release: not found\n", Signal: syscall.SIGKILL}
	})
	_, err := h.Uninstall(t.Context(), "web", UninstallOptions{})
	require.NoError(t, err)
	_, there := fake.Release("", "web")
	assert.False(t, there)
}

// A release that is upgraded between two tries of its uninstall is still removed.
func TestUninstallOfAReleaseThatIsUpgraded(t *testing.T) {
	h, fake := withFake(t, Config{})
	web := webRelease
	web.Labels = map[string]string{labelInstall: "me", labelJob: "42"}
	fake.SetRelease(web)
	sees(fake)
	inTurn(fake, "uninstall", func(helmtest.Call) helmtest.Reply {
		setRecord(fake, func(r *helmtest.Release) { r.Revision++ })
		return reset
	})
	_, err := h.UninstallJob(t.Context(), "42", JobOptions{})
	require.NoError(t, err)
	_, there := fake.Release("", "web")
	assert.False(t, there)
}

// The last try of an upgrade ends with a transient error: what it left is rolled back.
func TestUpgradeIsRolledBackWhenTheTriesAreOver(t *testing.T) {
	h, fake := withFake(t, Config{Retry: Retry{Tries: 1}})
	fake.SetRelease(webRelease)
	fake.Handle("upgrade", func(c helmtest.Call) helmtest.Reply {
		fake.Perform(c)
		setRecord(fake, func(r *helmtest.Release) { r.Status = "failed" })
		return helmtest.Reply{Stderr: "Error: UPGRADE FAILED: failed calling webhook: connection refused\n", Exit: 1}
	})
	_, err := h.Upgrade(t.Context(), "web", chartFolder(t, "web", "1.2.4"), UpgradeOptions{RollbackOnFailure: true})
	require.ErrorContains(t, err, "failed calling webhook")
	assert.Contains(t, fake.Commands(), "history", "which tells the revision to go back to")
}

func TestAddressesAreShownWithoutSecrets(t *testing.T) {
	h, fake := withFake(t, Config{})
	_, err := h.Fetch(t.Context(), "https://bob:s3cret@charts.example/a/web:1.0.0", ChartOptions{Version: "2.0.0"})
	require.ErrorIs(t, err, ErrInvalidArgument)
	assert.NotContains(t, err.Error(), "s3cret")
	fake.On("pull", helmtest.Reply{Stderr: "Error: Get \"https://charts.example/a/web-1.0.0.tgz?sig='abc'TOKEN\": no\n", Exit: 1})
	_, err = h.Fetch(t.Context(), "https://charts.example/a/web-1.0.0.tgz?sig='abc'TOKEN", ChartOptions{})
	assert.EqualError(t, err, `helm pull https://charts.example/a/web-1.0.0.tgz?***: Get "https://charts.example/a/web-1.0.0.tgz?***": no`)
}

// An install is known to its job before it is recorded: the clean-up waits for it and removes what it made.
func TestUninstallJobWaitsForAnInstallThatIsNotRecorded(t *testing.T) {
	for _, test := range []struct {
		name, release, job string
		of                 string // whose clean-up
		goes               bool
	}{
		{"by its id", "web", "7", "7", true},
		{"by an id that is no label", "web", "7 über", "7 über", true},
		{"by its name", "job-7-sut-web", "", "7", true},
		{"another job's", "web", "8", "7", false},
		{"another job's, whatever its name", "job-7-sut-web", "8", "7", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, fake := withFake(t, Config{})
			started, finish := make(chan struct{}), make(chan struct{})
			inTurn(fake, "install", func(c helmtest.Call) helmtest.Reply {
				return helmtest.Reply{Then: func() { close(started); <-finish; fake.Perform(c) }}
			})
			chart, installed := chartFolder(t, "web", "1.2.3"), make(chan error, 1)
			go func() {
				_, err := h.Install(t.Context(), test.release, chart, InstallOptions{JobID: test.job})
				installed <- err
			}()
			<-started
			other := drive(t, fake, Config{Home: h.cfg.Home}) // another process of this home
			cleaned := make(chan []*UninstallResult, 1)
			go func() {
				results, err := other.UninstallJob(t.Context(), test.of, JobOptions{})
				assert.NoError(t, err)
				cleaned <- results
			}()
			if test.goes {
				require.Eventually(t, func() bool { return len(fake.Calls("list")) == 2 }, time.Minute, time.Millisecond)
			} else {
				assert.Empty(t, <-cleaned, "it waits for nobody")
			}
			close(finish)
			require.NoError(t, <-installed)
			if test.goes {
				assert.Len(t, <-cleaned, 1)
			}
			_, there := fake.Release("", test.release)
			assert.Equal(t, !test.goes, there)
			left, err := filepath.Glob(filepath.Join(h.locks(), "*"))
			require.NoError(t, err)
			assert.Empty(t, left)
		})
	}
}

// The clean-up of a job does not remove a release that another job has since installed under the
// same name.
func TestUninstallJobLooksWhoseItIs(t *testing.T) {
	h, fake := withFake(t, Config{})
	fake.SetRelease(helmtest.Release{Name: "web", Labels: map[string]string{labelJob: "7"}})
	fake.Handle("list", func(c helmtest.Call) helmtest.Reply {
		reply := fake.Perform(c)
		if strings.Contains(reply.Stdout, "web") {
			fake.SetRelease(helmtest.Release{Name: "web", Labels: map[string]string{labelJob: "8"}})
		}
		return reply
	})
	results, err := h.UninstallJob(t.Context(), "7", JobOptions{})
	require.NoError(t, err)
	assert.Empty(t, results)
	_, there := fake.Release("", "web")
	assert.True(t, there)
}

// After a clean-up that removes the record, but not all objects, there is no status.
func TestInstallThatLeavesObjectsWithoutARecordHasNoStatus(t *testing.T) {
	h, fake := withFake(t, Config{Retry: Retry{Tries: 1}})
	inTurn(fake, "install", installed(fake, "failed", helmtest.Reply{Stderr: "Error: INSTALLATION FAILED: context deadline exceeded\n", Exit: 1}))
	inTurn(fake, "uninstall", removed(fake, notGone))
	sees(fake, "0 going owned")
	_, err := h.Install(t.Context(), "web", chartFolder(t, "web", "1.2.3"), InstallOptions{Wait: true})
	var failed *ReleaseError
	require.ErrorAs(t, err, &failed)
	require.ErrorIs(t, err, ErrLeftBehind)
	assert.NotEmpty(t, failed.Remains)
	assert.Empty(t, failed.Status)
}
