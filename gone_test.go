package helmexec

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
	"github.com/sut-bench/helmexec/internal/process"
)

// What helm logs when it has deleted the objects and waits for them.
var awaits = map[string]string{
	"Helm 3": "wait.go:114: 2026-11-27 12:29:17.00 +0000 UTC m=+0.11 [debug] beginning wait for 2 resources to be deleted with timeout of 5m0s\n",
	"Helm 4": `level=DEBUG msg="beginning wait for resources to be deleted" count=2 timeout=5m0s` + "\n",
}

// waitsForObjects answers an uninstall whose objects take their time: helm stays until it is ended.
func waitsForObjects(fake *helmtest.Fake, log string) func(helmtest.Call) helmtest.Reply {
	return func(helmtest.Call) helmtest.Reply {
		setRecord(fake, func(r *helmtest.Release) { r.Status = "uninstalling" })
		return helmtest.Reply{Stderr: log, Until: helmtest.Forever}
	}
}

// hooks are Jobs of these events.
func hooks(events ...string) (all []helmtest.Hook) {
	for _, event := range events {
		all = append(all, helmtest.Hook{Kind: "Job", Name: event, Events: []string{event}})
	}
	return all
}

// When the objects are seen gone, a second helm removes the record, and the first, which waits, is ended.
func TestUninstallEndsWithItsObjects(t *testing.T) {
	const looked = "get all, uninstall, template, template, get all, uninstall"
	for _, test := range []struct {
		name     string
		hooks    []helmtest.Hook
		opts     UninstallOptions
		commands string
		last     []string // flags of the last uninstall
		not      []string // flags that it does not have
		left     string
	}{
		{name: "usual", commands: looked, last: []string{"--cascade=foreground"}, not: []string{"--keep-history"}},
		{
			name: "the history is kept", opts: UninstallOptions{KeepHistory: true, Description: "mine"},
			commands: looked, last: []string{"--keep-history", "--description=mine"}, left: "uninstalled",
		},
		{name: "hooks before it have run", hooks: hooks("pre-delete"), commands: looked, last: []string{"--no-hooks"}},
		{
			name: "no hooks are wanted", hooks: hooks("pre-delete", "post-delete"), opts: UninstallOptions{NoHooks: true},
			commands: looked, last: []string{"--no-hooks"},
		},
	} {
		for helm, log := range awaits {
			t.Run(test.name+", "+helm, func(t *testing.T) {
				var logged bytes.Buffer
				h, fake := withFake(t, Config{Logger: slog.New(slog.NewTextHandler(&logged, nil))})
				release := webRelease
				release.Hooks = test.hooks
				fake.SetRelease(release)
				sees(fake, "1 going owned;", "")
				inTurn(fake, "uninstall", waitsForObjects(fake, log))
				test.opts.Wait = true
				result, err := h.Uninstall(t.Context(), "web", test.opts)
				require.NoError(t, err)
				assert.Equal(t, "1.2.3", result.Release.ChartVersion)
				assert.Equal(t, test.commands, strings.Join(fake.Commands(), ", "))
				looked := fake.Calls("template")
				assert.Contains(t, looked[0].Stdin, `"first":2`)
				assert.Contains(t, looked[1].Stdin, `"first":1`, "and all others only if that is gone")
				assert.Less(t, strings.Index(looked[1].Stdin, "Deployment"), strings.Index(looked[1].Stdin, "ConfigMap"))
				calls := fake.Calls("uninstall")
				assert.Contains(t, calls[0].Args, "--debug")
				for _, flag := range test.last {
					assert.Contains(t, calls[1].Args, flag)
				}
				for _, flag := range test.not {
					assert.NotContains(t, calls[1].Args, flag)
				}
				left, _ := fake.Release("", "web")
				assert.Equal(t, test.left, left.Status)
				assert.Equal(t, test.opts.Description, left.Description)
				assert.NotContains(t, logged.String(), "level=WARN", "nothing failed")
			})
		}
	}
}

// Helm is left to itself.
func TestUninstallLeavesHelmToItself(t *testing.T) {
	for name, prepare := range map[string]func(*helmtest.Fake, *helmtest.Release){
		"it does not wait yet":                  func(f *helmtest.Fake, _ *helmtest.Release) {},
		"hooks before and behind":               func(_ *helmtest.Fake, r *helmtest.Release) { r.Hooks = hooks("pre-delete", "post-delete") },
		"another's object has one of the names": func(f *helmtest.Fake, _ *helmtest.Release) { sees(f, "1 staying foreign;") },
		"looking fails": func(f *helmtest.Fake, _ *helmtest.Release) {
			f.Handle("template", func(helmtest.Call) helmtest.Reply { return noReadRight })
		},
	} {
		t.Run(name, func(t *testing.T) {
			h, fake := withFake(t, Config{})
			log, release, looked := awaits["Helm 4"], webRelease, make(chan struct{})
			if name == "it does not wait yet" {
				log = "level=DEBUG msg=\"starting delete resource\"\n"
			}
			sees(fake)
			prepare(fake, &release)
			fake.SetRelease(release)
			if strings.Contains(name, "look") || strings.Contains(name, "another") {
				n := 0
				answer := looks("1 staying foreign;")
				fake.Handle("template", func(c helmtest.Call) helmtest.Reply {
					if n++; n == 3 {
						close(looked)
					}
					if name == "looking fails" {
						return noReadRight
					}
					return answer(c)
				})
			} else {
				close(looked)
			}
			fake.Handle("uninstall", func(c helmtest.Call) helmtest.Reply {
				return helmtest.Reply{Stderr: log, Until: looked, Then: func() { fake.Perform(c) }}
			})
			_, err := h.Uninstall(t.Context(), "web", UninstallOptions{Wait: true})
			require.NoError(t, err)
			assert.Len(t, fake.Calls("uninstall"), 1)
		})
	}
}

// robots is a release with a custom resource.
var robots = helmtest.Release{Name: "web", Chart: "web", ChartVersion: "1.2.3", Manifest: "apiVersion: example.com/v1\nkind: Robot\nmetadata: {name: web}\n"}

// heldBy answers a look at robots: the garbage collector holds it.
func heldBy(counted string) helmtest.Reply {
	return helmtest.Reply{Stdout: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: look}\ndata: {there: \" 0 held owned default web \", counted: \"" + counted + "\"}\n"}
}

// A custom resource that only the garbage collector holds is freed, unless it owns pods.
func TestUninstallFreesWhatTheGarbageCollectorHolds(t *testing.T) {
	for name, looks := range map[string][]helmtest.Reply{
		"held":                   {heldBy("all")},
		"it owned pods at first": {heldBy("owned owned all"), heldBy("all")},
	} {
		t.Run(name, func(t *testing.T) {
			h, fake := withFake(t, Config{})
			fake.SetRelease(robots)
			inTurn(fake, "uninstall", waitsForObjects(fake, awaits["Helm 4"]))
			sees(fake)
			fake.On("template", looks...)
			_, err := h.Uninstall(t.Context(), "web", UninstallOptions{Wait: true})
			require.NoError(t, err)
			calls := fake.Calls("uninstall")
			require.Len(t, calls, 2)
			assert.Equal(t, "foreground", calls[0].Flag("--cascade"))
			assert.Equal(t, "background", calls[1].Flag("--cascade"))
			assert.Contains(t, fake.Calls("template")[0].Stdin, `"custom":true`)
		})
	}
}

// The second helm fails, for example because somebody has removed the definition of a custom resource: the first goes on.
func TestUninstallWhoseSecondHelmFails(t *testing.T) {
	h, fake := withFake(t, Config{})
	fake.SetRelease(robots)
	sees(fake)
	failed := make(chan struct{})
	inTurn(fake, "uninstall", func(c helmtest.Call) helmtest.Reply {
		setRecord(fake, func(r *helmtest.Release) { r.Status, r.Manifest = "uninstalling", robots.Manifest })
		return helmtest.Reply{Stderr: awaits["Helm 3"], Until: failed, Then: func() { <-failed; fake.Perform(c) }}
	}, func(helmtest.Call) helmtest.Reply {
		return helmtest.Reply{Stderr: "Error: failed to delete release: web\n", Exit: 1, Then: func() { close(failed) }}
	})
	result, err := h.Uninstall(t.Context(), "web", UninstallOptions{Wait: true})
	require.NoError(t, err)
	assert.NotNil(t, result.Release)
	assert.Len(t, fake.Calls("uninstall"), 2)
	_, there := fake.Release("", "web")
	assert.False(t, there)
}

// A webhook of the chart itself can refuse a deletion that comes before its own: the next try has no webhook.
func TestUninstallIsRefusedAtFirst(t *testing.T) {
	const denied = "Error: failed to delete release: Internal error occurred: failed calling webhook \"a.example\": service \"a\" not found\n"
	h, fake := withFake(t, Config{})
	fake.SetRelease(webRelease)
	sees(fake)
	fake.On("uninstall", helmtest.Reply{Stderr: denied, Exit: 1})
	_, err := h.Uninstall(t.Context(), "web", UninstallOptions{Wait: true})
	require.NoError(t, err)
	assert.Len(t, fake.Calls("uninstall"), 2)

	fake.SetRelease(webRelease)
	fake.Handle("uninstall", func(helmtest.Call) helmtest.Reply { return helmtest.Reply{Stderr: denied, Exit: 1} })
	_, err = h.Uninstall(t.Context(), "web", UninstallOptions{Wait: true})
	require.ErrorContains(t, err, "failed calling webhook")
	assert.Len(t, fake.Calls("uninstall"), 4, "once more, and not again")
}

// Both helms remove the record, and who comes second finds none: that is no fault.
func TestUninstallWhoseSecondHelmIsSlower(t *testing.T) {
	for _, stderr := range []string{
		"Error: uninstall: Release not loaded: web: release: not found\n",
		"Error: uninstallation completed with 1 error(s): uninstall: Failed to purge the release: release: not found\n",
	} {
		h, fake, seen := observed(t, Config{})
		fake.SetRelease(webRelease)
		sees(fake)
		failed := make(chan struct{})
		inTurn(fake, "uninstall", func(c helmtest.Call) helmtest.Reply {
			setRecord(fake, func(r *helmtest.Release) { r.Status, r.Manifest = "uninstalling", webRelease.Manifest })
			return helmtest.Reply{Stderr: awaits["Helm 3"], Until: failed, Then: func() { <-failed; fake.Perform(c) }}
		}, func(helmtest.Call) helmtest.Reply {
			return helmtest.Reply{Stderr: stderr, Exit: 1, Then: func() { close(failed) }}
		})
		result, err := h.Uninstall(t.Context(), "web", UninstallOptions{Wait: true})
		require.NoError(t, err)
		assert.NotNil(t, result.Release)
		for _, s := range seen.all(t) {
			if s.Process != nil && s.Err != nil {
				assert.True(t, s.Process.Expected, s.Err)
			}
		}
	}
}

func TestCustomGroups(t *testing.T) {
	for group, custom := range map[string]bool{
		"": false, "apps": false, "batch": false, "networking.k8s.io": false, "rbac.authorization.k8s.io": false,
		"gateway.networking.k8s.io": true, "snapshot.storage.k8s.io": true, "monitoring.coreos.com": true, "cluster.x-k8s.io": true,
	} {
		assert.Equal(t, custom, isCustom(group), group)
	}
}

// The time to wait is over: the record stays, and the next call finishes the removal.
func TestUninstallKeepsTheRecordOfWhatIsNotGone(t *testing.T) {
	h, fake := withFake(t, Config{})
	fake.SetRelease(webRelease)
	sees(fake, "1 going owned")
	inTurn(fake, "uninstall", waitsForObjects(fake, awaits["Helm 3"]))
	_, err := h.Uninstall(t.Context(), "web", UninstallOptions{Wait: true, Timeout: time.Second})
	require.ErrorIs(t, err, ErrNotGone)
	assert.NotErrorIs(t, err, context.Canceled, "the caller has not ended it")
	assert.False(t, IsTransient(err))
	assert.ErrorContains(t, err, "apps/Deployment default/web")
	assert.ErrorContains(t, err, "status uninstalling")
	left, _ := fake.Release("", "web")
	assert.Equal(t, "uninstalling", left.Status)

	result, err := drive(t, fake, Config{}).Uninstall(t.Context(), "web", UninstallOptions{Wait: true})
	require.NoError(t, err)
	assert.Equal(t, StatusUninstalling, result.Release.Status)
	_, there := fake.Release("", "web")
	assert.False(t, there)
}

// The last object goes when the time to wait is over: nothing is left to wait for, so the record goes as well.
func TestUninstallWhoseObjectsAreGoneAtTheEnd(t *testing.T) {
	h, fake := withFake(t, Config{})
	fake.SetRelease(webRelease)
	there, gone := looks("1 going owned"), looks("")
	fake.Handle("template", func(c helmtest.Call) helmtest.Reply {
		if len(fake.Calls("get")) > 1 { // the record is read when the wait has ended
			return gone(c)
		}
		return there(c)
	})
	inTurn(fake, "uninstall", waitsForObjects(fake, awaits["Helm 3"]))
	result, err := h.Uninstall(t.Context(), "web", UninstallOptions{Wait: true, Timeout: time.Second})
	require.NoError(t, err)
	assert.NotNil(t, result.Release)
	_, recorded := fake.Release("", "web")
	assert.False(t, recorded)
	assert.Len(t, fake.Calls("uninstall"), 2)
}

// A runner and its helm are killed while they wait: others find the release half removed.
func TestReleaseThatIsHalfRemoved(t *testing.T) {
	half := webRelease
	half.Status, half.Labels = "uninstalling", map[string]string{labelInstall: "op", labelJob: "42", labelDeadline: "1", labelUntil: "1"}
	h, fake := withFake(t, Config{})
	sees(fake)
	chart := chartFolder(t, "web", "1.2.3")
	for name, act := range map[string]func() error{
		"uninstall": func() error {
			_, err := h.Uninstall(t.Context(), "web", UninstallOptions{Wait: true})
			return err
		},
		"uninstall of the job": func() error {
			results, err := h.UninstallJob(t.Context(), "42", JobOptions{Wait: true})
			assert.Len(t, results, 1)
			return err
		},
		"uninstall of what is overdue": func() error {
			results, err := h.UninstallOverdue(t.Context(), JobOptions{Wait: true})
			assert.Len(t, results, 1)
			return err
		},
		"the same install": func() error {
			_, err := h.Install(t.Context(), "web", chart, InstallOptions{OperationID: "op"})
			fake.RemoveRelease("", "web")
			return err
		},
	} {
		fake.SetRelease(half)
		require.NoError(t, act(), name)
		_, there := fake.Release("", "web")
		assert.False(t, there, name)
	}
	fake.SetRelease(half)
	_, err := h.Install(t.Context(), "web", chart, InstallOptions{OperationID: "another"})
	require.ErrorIs(t, err, ErrReleaseExists)
	list, err := h.List(t.Context(), ListOptions{})
	require.NoError(t, err)
	require.Len(t, list, 1)
	assert.Equal(t, StatusUninstalling, list[0].Status)
}

// Somebody else removes the record, or takes the name, when the objects are gone.
func TestUninstallMeetsAnotherAtTheEnd(t *testing.T) {
	for name, next := range map[string]*helmtest.Release{"removed": nil, "another's": &others} {
		t.Run(name, func(t *testing.T) {
			h, fake := withFake(t, Config{})
			fake.SetRelease(webRelease)
			inTurn(fake, "uninstall", waitsForObjects(fake, awaits["Helm 4"]))
			gone := looks("")
			fake.Handle("template", func(c helmtest.Call) helmtest.Reply {
				fake.RemoveRelease("", "web")
				if next != nil {
					fake.SetRelease(*next)
				}
				return gone(c)
			})
			result, err := h.Uninstall(t.Context(), "web", UninstallOptions{Wait: true})
			require.NoError(t, err)
			assert.Nil(t, result.Release, "another has removed it")
			assert.Len(t, fake.Calls("uninstall"), 1)
			_, there := fake.Release("", "web")
			assert.Equal(t, next != nil, there)
		})
	}
}

// A helm that has begun to remove the record is not ended any more: if two callers remove one release, one of them has it
// in its result.
func TestUninstallLetsHelmRemoveTheRecord(t *testing.T) {
	for name, reply := range map[string]helmtest.Reply{"it is removed": {}, "another was quicker": purged} {
		t.Run(name, func(t *testing.T) {
			fake := helmtest.New(t)
			fake.SetRelease(webRelease)
			synctest.Test(t, func(t *testing.T) {
				looking, purging, gone := make(chan struct{}), make(chan struct{}), looks("")
				h, commands := acting(t, fake, acts{"template": func(_ context.Context, c helmtest.Call) *helmtest.Reply {
					if looking != nil {
						close(looking)
						looking = nil
						<-purging
					}
					answer := gone(c)
					return &answer
				}})
				others, began := h.host.run, looking
				h.host.run = func(ctx context.Context, c process.Command) process.Result {
					if c.Args[0] != "uninstall" {
						return others(ctx, c)
					}
					c.Hear([]byte(awaits["Helm 4"]))
					<-began
					c.Hear([]byte(`level=DEBUG msg="purge requested" release=web` + "\n"))
					close(purging)
					select {
					case <-ctx.Done():
						t.Error("helm is ended")
					case <-time.After(time.Hour):
					}
					fake.RemoveRelease("", "web")
					result := process.Result{ExitCode: reply.Exit, Stderr: reply.Stderr}
					if reply.Exit != 0 {
						result.Err = errors.New("it failed")
					}
					return result
				}
				result, err := h.Uninstall(t.Context(), "web", UninstallOptions{Wait: true})
				require.NoError(t, err)
				assert.Equal(t, reply.Exit == 0, result.Release != nil, *commands)
			})
		})
	}
}

func TestUninstallThatWaitsIsCanceled(t *testing.T) {
	h, fake := withFake(t, Config{})
	fake.SetRelease(webRelease)
	ctx, cancel := context.WithCancel(t.Context())
	there := looks("1 going owned")
	fake.Handle("template", func(c helmtest.Call) helmtest.Reply { cancel(); return there(c) })
	inTurn(fake, "uninstall", waitsForObjects(fake, awaits["Helm 3"]))
	_, err := h.Uninstall(ctx, "web", UninstallOptions{Wait: true})
	require.ErrorIs(t, err, context.Canceled)
	assert.NotErrorIs(t, err, ErrNotGone)
	assert.Len(t, fake.Calls("uninstall"), 1)
	left, _ := fake.Release("", "web")
	assert.Equal(t, "uninstalling", left.Status)
}

// The pauses follow the time waited: few looks, and none much later than the end of what was waited for.
func TestPausesBetweenLooks(t *testing.T) {
	for waited, most := range map[time.Duration]int{time.Second: 20, 30 * time.Second: 95, 5 * time.Minute: 190} {
		n := 0
		for at := time.Duration(0); at < waited; n++ {
			pause := pauseAfter(at)
			assert.LessOrEqual(t, pause, max(at/10, 50*time.Millisecond))
			at += pause
		}
		assert.LessOrEqual(t, n, most)
	}
}

// What stays is looked at while the record is removed.
func TestUninstallLooksForWhatStaysMeanwhile(t *testing.T) {
	h, fake := withFake(t, Config{})
	release := webRelease
	release.Hooks = hooks("pre-install")
	release.Hooks[0].Phase, release.Hooks[0].Manifest = "Succeeded", "apiVersion: batch/v1\nkind: Job\nmetadata: {name: stays}\n"
	fake.SetRelease(release)
	looked, answer := make(chan struct{}), looks(";", "0 staying foreign")
	fake.Handle("template", func(c helmtest.Call) helmtest.Reply {
		if strings.Contains(c.Stdin, `"stays"`) {
			close(looked)
		}
		return answer(c)
	})
	inTurn(fake, "uninstall", waitsForObjects(fake, awaits["Helm 4"]), func(c helmtest.Call) helmtest.Reply {
		reply := fake.Perform(c)
		reply.Until = looked
		return reply
	})
	result, err := h.Uninstall(t.Context(), "web", UninstallOptions{Wait: true})
	require.NoError(t, err)
	assert.Equal(t, []string{"batch/Job default/stays (a hook, and Helm does not track hooks)"}, remainNames(result.Remains))
}
