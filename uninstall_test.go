package helmexec

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
)

// sees answers the look at what exists: the objects with these numbers, in the format of the
// template.
func sees(fake *helmtest.Fake, there ...string) { fake.Handle("template", looks(there...)) }

func looks(there ...string) func(helmtest.Call) helmtest.Reply {
	return func(c helmtest.Call) helmtest.Reply {
		text := strings.Join(there, " ")
		if len(there) > 1 {
			there = there[1:]
			text, _, _ = strings.Cut(text, ";")
		}
		var there []string
		for said := range slices.Chunk(strings.Fields(text), 3) {
			i, _ := strconv.Atoi(said[0])
			asked := strings.Split(c.Stdin, `"kind":`)[i+1] // the names of an object come behind its kind
			name, _, _ := strings.Cut(strings.SplitN(asked, `"name":"`, 2)[1], `"`)
			there = append(there, strings.Join(said, " ")+" default "+name)
		}
		return helmtest.Reply{Stdout: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: look}\ndata: {there: " + strconv.Quote(strings.Join(there, " ")) + "}\n"}
	}
}

var (
	notGone    = helmtest.Reply{Stderr: "Error: uninstallation completed with 1 error(s): context deadline exceeded\n", Exit: 1}
	lostOnWay  = helmtest.Reply{Stderr: "Error: uninstallation completed with 1 error(s): read tcp: connection reset by peer\n", Exit: 1}
	purged     = helmtest.Reply{Stderr: "Error: uninstallation completed with 1 error(s): uninstall: Failed to purge the release: release: not found\n", Exit: 1}
	noRecord   = helmtest.Reply{Stderr: "Error: uninstall: Release not loaded: web: release: not found\n", Exit: 1}
	isDenied   = helmtest.Reply{Stderr: "Error: failed to delete release: deployments.apps is forbidden\n", Exit: 1}
	webRelease = helmtest.Release{Name: "web", Chart: "web", ChartVersion: "1.2.3", Manifest: objects}
)

// removed answers an uninstall that succeeds but says something else.
func removed(fake *helmtest.Fake, reply helmtest.Reply) func(helmtest.Call) helmtest.Reply {
	return func(c helmtest.Call) helmtest.Reply { fake.Perform(c); return reply }
}

func TestUninstall(t *testing.T) {
	for _, test := range []struct {
		name     string
		prepare  func(*helmtest.Fake)
		opts     UninstallOptions
		commands string
		left     string // the status of the release then
		another  bool   // another has removed it
		lasting  bool   // the same call would fail again
		errs     []error
		not      []error
		says     []string
	}{
		{name: "usual", prepare: func(*helmtest.Fake) {}, commands: "get all, uninstall"},
		{
			name: "there is none", prepare: func(f *helmtest.Fake) { f.RemoveRelease("", "web") },
			commands: "get all", errs: []error{ErrReleaseNotFound}, says: []string{"release web: release not found"},
		},
		{
			name: "there is none, which is fine", prepare: func(f *helmtest.Fake) { f.RemoveRelease("", "web") },
			opts: UninstallOptions{IgnoreNotFound: true}, commands: "get all",
		},
		{
			name: "nobody answers", prepare: func(f *helmtest.Fake) { f.On("get all", unreachable, unreachable, unreachable) },
			opts: UninstallOptions{IgnoreNotFound: true}, commands: "get all, get all, get all", left: "deployed",
			errs: []error{ErrClusterUnreachable}, not: []error{ErrReleaseNotFound},
		},
		{
			name: "the first look is lost", prepare: func(f *helmtest.Fake) { f.On("get all", unreachable) },
			commands: "get all, get all, uninstall",
		},
		{
			name: "unreachable at first", prepare: func(f *helmtest.Fake) { f.On("uninstall", unreachable, unreachable) },
			commands: "get all, uninstall, uninstall, uninstall",
		},
		{
			name: "somebody else was quicker", prepare: func(f *helmtest.Fake) { inTurn(f, "uninstall", removed(f, noRecord)) },
			commands: "get all, uninstall, template", another: true,
		},
		{
			name: "somebody else was at the same time, and a little quicker", prepare: func(f *helmtest.Fake) { inTurn(f, "uninstall", removed(f, purged)) },
			commands: "get all, uninstall, get all, template", another: true,
		},
		{
			name: "somebody else was quicker after a lost try",
			prepare: func(f *helmtest.Fake) {
				inTurn(f, "uninstall", func(helmtest.Call) helmtest.Reply { return helmtest.Reply{Stderr: "Error: EOF\n", Exit: 1} }, removed(f, purged))
			},
			commands: "get all, uninstall, get all, get all, uninstall, get all, template", another: true,
		},
		{
			name: "objects cannot be deleted, and helm says why on demand",
			prepare: func(f *helmtest.Fake) {
				f.Handle("uninstall", func(c helmtest.Call) helmtest.Reply {
					setRecord(f, func(r *helmtest.Release) { r.Status = "uninstalling" })
					reply := helmtest.Reply{Stderr: "Error: failed to delete release: web\n", Exit: 1}
					if c.Flag("--debug") != "" {
						reply.Stderr = `level=DEBUG msg="uninstall: Failed to delete release" error="[deployments.apps \"web\" is forbidden]"` + "\n" + reply.Stderr
					}
					return reply
				})
				sees(f, "1 staying owned")
			},
			commands: "get all, uninstall, get all, get all, uninstall, get all, template", left: "uninstalling", lasting: true,
			says: []string{"status uninstalling", `deployments.apps "web" is forbidden`, "apps/Deployment default/web (not removed)"}, not: []error{ErrNotGone, ErrReleaseNotFound},
		},
		{
			name: "killed after its success",
			prepare: func(f *helmtest.Fake) {
				inTurn(f, "uninstall", removed(f, helmtest.Reply{Stderr: "Error: EOF\n", Exit: 1}))
			},
			commands: "get all, uninstall, get all, template",
		},
		{
			name: "lost after the record, and nothing stands", prepare: func(f *helmtest.Fake) { inTurn(f, "uninstall", removed(f, lostOnWay)) },
			commands: "get all, uninstall, get all, template",
		},
		{
			name: "refused", prepare: func(f *helmtest.Fake) { f.On("uninstall", isDenied) },
			commands: "get all, uninstall, get all, template", left: "deployed",
			says: []string{"(status deployed)", "is forbidden"}, not: []error{ErrNotGone, ErrReleaseNotFound},
		},
		{
			name: "a hook blocks it, which the caller is told", prepare: func(f *helmtest.Fake) { f.On("uninstall", hookFails) },
			commands: "get all, uninstall, get all, template", left: "deployed", says: []string{"job failed"}, not: []error{ErrNotGone},
		},
		{
			name: "the record is gone and an object is not",
			prepare: func(f *helmtest.Fake) {
				inTurn(f, "uninstall", removed(f, notGone))
				sees(f, "1 going owned")
			},
			opts: UninstallOptions{Wait: true}, commands: "get all, uninstall, get all, template",
			errs: []error{ErrNotGone}, says: []string{"apps/Deployment default/web"},
		},
		{
			name: "time was up, and nothing stands", prepare: func(f *helmtest.Fake) { inTurn(f, "uninstall", removed(f, notGone)) },
			opts: UninstallOptions{Wait: true}, commands: "get all, uninstall, get all, template",
		},
		{
			name: "nothing stands, and it may be a hook that failed",
			prepare: func(f *helmtest.Fake) {
				hooked := webRelease
				hooked.Hooks = []helmtest.Hook{{Kind: "Job", Name: "after", Events: []string{"post-delete"}}}
				f.SetRelease(hooked)
				inTurn(f, "uninstall", removed(f, notGone))
			},
			opts: UninstallOptions{Wait: true}, commands: "get all, uninstall, get all, template",
			errs: []error{ErrNotGone},
		},
		{
			name: "a release that was half removed",
			prepare: func(f *helmtest.Fake) {
				half := webRelease
				half.Status = "uninstalling"
				f.SetRelease(half)
			},
			commands: "get all, uninstall",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, fake := withFake(t, Config{})
			fake.SetRelease(webRelease)
			sees(fake)
			test.prepare(fake)
			result, err := h.Uninstall(t.Context(), "web", test.opts)
			assert.Equal(t, test.commands, strings.Join(fake.Commands(), ", "))
			left, _ := fake.Release("", "web")
			assert.Equal(t, test.left, left.Status)
			if test.errs == nil && test.says == nil {
				require.NoError(t, err)
				if test.opts.IgnoreNotFound {
					return
				}
				assert.Equal(t, test.another, result.Release == nil)
				if !test.another {
					assert.Equal(t, "1.2.3", result.Release.ChartVersion)
				}
				return
			}
			var e *ReleaseError
			require.ErrorAs(t, err, &e)
			for _, is := range test.errs {
				assert.ErrorIs(t, err, is)
			}
			for _, not := range test.not {
				assert.NotErrorIs(t, err, not)
			}
			for _, text := range test.says {
				assert.ErrorContains(t, err, text)
			}
			assert.Equal(t, !test.lasting && errors.Is(err, ErrClusterUnreachable), IsTransient(err), "transient")
			assert.NotContains(t, err.Error(), "web-config", "which is gone")
		})
	}
}

// What Helm leaves is reported if it exists.
func TestUninstallReportsWhatRemains(t *testing.T) {
	h, fake := withFake(t, Config{})
	release := webRelease
	release.Hooks = []helmtest.Hook{
		{Kind: "Job", Name: "gone", Phase: "Succeeded", Events: []string{"pre-install"}, Manifest: "apiVersion: batch/v1\nkind: Job\nmetadata: {name: gone}\n"},
		{Kind: "Job", Name: "stays", Phase: "Succeeded", Events: []string{"pre-install"}, Manifest: "apiVersion: batch/v1\nkind: Job\nmetadata: {name: stays}\n"},
	}
	fake.SetRelease(release)
	sees(fake, "1 staying foreign")
	result, err := h.Uninstall(t.Context(), "web", UninstallOptions{})
	require.NoError(t, err)
	assert.Equal(t, []string{"batch/Job default/stays (a hook, and Helm does not track hooks)"}, remainNames(result.Remains))

	fake.SetRelease(release)
	fake.Handle("template", func(helmtest.Call) helmtest.Reply { return unreachable })
	result, err = h.Uninstall(t.Context(), "web", UninstallOptions{})
	require.NoError(t, err)
	assert.Len(t, result.Remains, 2, "all that may be there, when nobody can tell")
}

func TestUninstallCanceled(t *testing.T) {
	h, fake := withFake(t, Config{})
	fake.SetRelease(webRelease)
	ctx, cancel := context.WithCancel(t.Context())
	fake.On("uninstall", helmtest.Reply{Then: cancel, Until: helmtest.Forever})
	_, err := h.Uninstall(ctx, "web", UninstallOptions{})
	require.ErrorIs(t, err, context.Canceled)
	assert.NotErrorIs(t, err, ErrNotGone)
	assert.Len(t, fake.Calls("uninstall"), 1)
}

// A job's clean-up continues after failures, skips hooks that block, and finds releases by label and by
// name.
func TestUninstallJob(t *testing.T) {
	h, fake := withFake(t, Config{})
	sees(fake)
	job := map[string]string{labelJob: "7"}
	for _, r := range []helmtest.Release{
		{Name: "labelled", Labels: job}, {Name: "job-7-sut-named"}, {Name: "job-7-sut-both", Labels: job}, {Name: "denied", Labels: job},
		{Name: "blocked", Labels: job, Hooks: []helmtest.Hook{{Kind: "Job", Name: "j", Events: []string{"pre-delete"}}}},
		{Name: "job-77-sut-other"}, {Name: "x-job-7-sut-other"}, {Name: "unrelated", Labels: map[string]string{labelJob: "8"}},
		{Name: "job-7-sut-elsewhere", Namespace: "other"},
	} {
		fake.SetRelease(r)
	}
	fake.Handle("uninstall", func(c helmtest.Call) helmtest.Reply {
		switch {
		case c.Arg(0) == "denied":
			return isDenied
		case c.Arg(0) == "blocked" && c.Flag("--no-hooks") == "":
			return hookFails
		}
		return fake.Perform(c)
	})
	results, err := h.UninstallJob(t.Context(), "7", JobOptions{Namespace: "default"})
	require.Error(t, err)
	assert.ErrorContains(t, err, "release denied")
	assert.NotContains(t, err.Error(), "blocked")
	assert.Len(t, results, 4)
	for name, stays := range map[string]bool{
		"labelled": false, "job-7-sut-named": false, "job-7-sut-both": false, "blocked": false,
		"denied": true, "job-77-sut-other": true, "x-job-7-sut-other": true, "unrelated": true,
	} {
		_, there := fake.Release("", name)
		assert.Equal(t, stays, there, name)
	}
	// What somebody else removed between the look and the uninstall is not a result.
	fake.On("get all", helmtest.Reply{Stderr: "Error: release: not found\n", Exit: 1})
	results, err = h.UninstallJob(t.Context(), "8", JobOptions{Namespace: "default"})
	require.NoError(t, err)
	assert.Empty(t, results)
	_, there := fake.Release("other", "job-7-sut-elsewhere")
	assert.True(t, there)
	_, err = h.UninstallJob(t.Context(), "", JobOptions{})
	require.ErrorIs(t, err, ErrInvalidArgument)
}
