package helmexec

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
)

// What helm prints is the release as Status reads it. Only an install of Helm 3 does not say whether it was recorded.
func TestReleaseAsPrinted(t *testing.T) {
	for version, started := range map[string]string{
		"v3.22.0": "install, get all, get all, upgrade, get all, upgrade",
		"v4.3.1":  "install, get all, upgrade, get all, upgrade",
	} {
		t.Run(version, func(t *testing.T) {
			h, fake := withFake(t, Config{Namespace: "bench"})
			fake.SetVersion(version)
			chart := chartFolder(t, "web", "1.2.3")
			writeFiles(t, chart, map[string]string{"templates/NOTES.txt": strings.Repeat("ü <&> \"\\", 8<<10)})
			var got []*Release
			keep := func(rel *Release, err error) {
				t.Helper()
				require.NoError(t, err)
				got = append(got, rel)
			}
			keep(h.Install(t.Context(), "web", chart, InstallOptions{
				Labels: map[string]string{"app": "null", "zone": "b", "gone": "x"}, JobID: "42", Deadline: time.Unix(2e9, 0), Description: "as <b>",
			}))
			keep(h.Upgrade(t.Context(), "web", chart, UpgradeOptions{Labels: map[string]string{"gone": "null", "tier": "c"}}))
			keep(h.Upgrade(t.Context(), "web", chart, UpgradeOptions{}))
			assert.Equal(t, started, strings.Join(fake.Commands(), ", "))
			for i, rel := range got {
				recorded, err := h.Status(t.Context(), "web", StatusOptions{Revision: i + 1})
				require.NoError(t, err)
				if i < 2 {
					recorded.Status = StatusDeployed // it was, before the next revision
				}
				assert.Equal(t, recorded, rel, "revision %d", i+1)
			}
			assert.NotContains(t, got[1].Labels, "gone")
		})
	}
}

// Where what is printed is not certain to be what is recorded, the record is read.
func TestReleaseNotAsPrinted(t *testing.T) {
	change := func(field string, value any) func(map[string]any) {
		return func(rel map[string]any) {
			at := strings.Split(field, ".")
			for _, key := range at[:len(at)-1] {
				rel = rel[key].(map[string]any)
			}
			rel[at[len(at)-1]] = value
		}
	}
	for name, test := range map[string]struct {
		change func(map[string]any)
		reply  func(*helmtest.Reply)
	}{
		"another name":        {change: change("name", "other")},
		"another namespace":   {change: change("namespace", "other")},
		"not deployed":        {change: change("info.status", "failed")},
		"no status":           {change: change("info", map[string]any{})},
		"another revision":    {change: change("version", 7)},
		"no revision":         {change: change("version", 0)},
		"no number":           {change: change("version", "1")},
		"too large":           {change: change("info.notes", strings.Repeat("x", maxFiltered))},
		"a signal":            {reply: func(r *helmtest.Reply) { r.Stdout = "Release web has been cancelled.\n" + r.Stdout }},
		"a signal at its end": {reply: func(r *helmtest.Reply) { r.Stdout += "Release web has been cancelled.\n" }},
		"for people":          {reply: func(r *helmtest.Reply) { r.Stdout = "NAME: web\nSTATUS: deployed\n" }},
	} {
		for _, command := range []string{"install", "upgrade"} {
			t.Run(command+"/"+name, func(t *testing.T) {
				h, fake := withFake(t, Config{Namespace: "bench"})
				chart := chartFolder(t, "web", "1.2.3")
				if command == "upgrade" {
					fake.SetRelease(helmtest.Release{Name: "web", Namespace: "bench", Chart: "web", ChartVersion: "1.0.0"})
				}
				inTurn(fake, command, func(c helmtest.Call) helmtest.Reply {
					reply := fake.Perform(c)
					var printed map[string]any
					if test.change != nil && assert.NoError(t, json.Unmarshal([]byte(reply.Stdout), &printed)) {
						test.change(printed)
						text, err := json.Marshal(printed)
						assert.NoError(t, err)
						reply.Stdout = string(text)
					}
					if test.reply != nil {
						test.reply(&reply)
					}
					return reply
				})
				var rel *Release
				var err error
				if command == "install" {
					rel, err = h.Install(t.Context(), "web", chart, InstallOptions{})
				} else {
					rel, err = h.Upgrade(t.Context(), "web", chart, UpgradeOptions{})
				}
				require.NoError(t, err)
				commands := fake.Commands()
				assert.Equal(t, []string{command, "get all"}, commands[len(commands)-2:])
				recorded, err := h.Status(t.Context(), "web", StatusOptions{})
				require.NoError(t, err)
				assert.Equal(t, recorded, rel)
			})
		}
	}
}

// A long log may have hidden that the install could not be recorded.
func TestInstallWithALongLog(t *testing.T) {
	h, fake := withFake(t, Config{})
	inTurn(fake, "install", func(c helmtest.Call) helmtest.Reply {
		reply := fake.Perform(c)
		reply.Stderr = strings.Repeat("level=WARN msg=x\n", maxStderr/10)
		return reply
	})
	_, err := h.Install(t.Context(), "web", chartFolder(t, "web", "1.2.3"), InstallOptions{})
	require.NoError(t, err)
	assert.Equal(t, []string{"install", "get all"}, fake.Commands())
}

// An install of Helm 3 that could not record its success says nothing about it.
func TestInstallOfHelm3ThatIsNotRecorded(t *testing.T) {
	h, fake := withFake(t, Config{})
	fake.SetVersion("v3.22.0")
	inTurn(fake, "install", func(c helmtest.Call) helmtest.Reply {
		reply := unrecorded(fake)(c)
		reply.Stderr = ""
		return reply
	})
	rel, err := h.Install(t.Context(), "web", chartFolder(t, "web", "1.2.3"), InstallOptions{})
	require.NoError(t, err)
	assert.Equal(t, StatusDeployed, rel.Status)
	assert.Equal(t, []string{"install", "get all", "uninstall", "install", "get all"}, fake.Commands())
}

// A helm that was stopped at its very end may have recorded a failure after it printed its success.
func TestUpgradeStoppedAtItsEndIsLookedUp(t *testing.T) {
	h, fake := withFake(t, Config{})
	fake.SetRelease(webRelease)
	ctx, cancel := context.WithCancel(t.Context())
	inTurn(fake, "upgrade", func(c helmtest.Call) helmtest.Reply {
		reply := fake.Perform(c)
		reply.Then, reply.Until, reply.Term = cancel, helmtest.Forever, &helmtest.Reply{}
		return reply
	})
	_, err := h.Upgrade(ctx, "web", chartFolder(t, "web", "1.2.4"), UpgradeOptions{})
	require.NoError(t, err)
	assert.Equal(t, []string{"get all", "upgrade", "get all"}, fake.Commands())
}

// The labels of a release that was installed anew meanwhile are not those that were seen.
func TestUpgradeOfAReleaseInstalledAnew(t *testing.T) {
	h, fake := withFake(t, Config{})
	seen := webRelease
	seen.Labels, seen.Updated = map[string]string{"of": "the first"}, time.Now().Add(-time.Hour)
	fake.SetRelease(seen)
	inTurn(fake, "upgrade", func(c helmtest.Call) helmtest.Reply {
		anew := webRelease
		anew.Labels, anew.Updated = map[string]string{"of": "the second"}, time.Now()
		fake.RemoveRelease("", "web")
		fake.SetRelease(anew)
		return fake.Perform(c)
	})
	rel, err := h.Upgrade(t.Context(), "web", chartFolder(t, "web", "1.2.4"), UpgradeOptions{})
	require.NoError(t, err)
	assert.Equal(t, "the second", rel.Labels["of"])
	assert.Equal(t, []string{"get all", "upgrade", "get all"}, fake.Commands())
}

// What helm prints of a release has its Secrets in it.
func TestPrintedReleaseIsNotLogged(t *testing.T) {
	var log strings.Builder
	h, fake := withFake(t, Config{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	const printed = `{"name":"web","manifest":"kind: Secret canary","info":{"notes":"canary"}}`
	fake.On("install", helmtest.Reply{Stdout: printed, Stderr: "Error: no\n", Exit: 1}, helmtest.Reply{Stdout: printed})
	for range 2 {
		_, err := h.Install(t.Context(), "web", chartFolder(t, "web", "1.2.3"), InstallOptions{})
		require.Error(t, err)
		assert.NotContains(t, err.Error()+log.String(), "canary")
	}
}
