package helmexec

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
	"github.com/sut-bench/helmexec/internal/process"
)

// marked answers a look that sees nothing but the record, as helm has marked it.
func marked(fake *helmtest.Fake) helmtest.Reply {
	r, _ := fake.Release("", "web")
	labels := map[string]string{"status": r.Status, "version": itoa(r.Revision)}
	maps.Copy(labels, r.Labels)
	text, _ := json.Marshal(labels)
	record := base64.StdEncoding.EncodeToString(text)
	return helmtest.Reply{Stdout: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: look}\ndata: {there: \"\", record: \"" + record + "\"}\n"}
}

// The look also sees the record. It is read again only if it may be another than the first helm has marked.
func TestUninstallSeesTheRecordInALook(t *testing.T) {
	const short, long = "get all, uninstall, template, uninstall", "get all, uninstall, template, get all, uninstall"
	for name, test := range map[string]struct {
		driver   string
		nobodys  bool
		change   func(*helmtest.Release) // of the record that the look sees, which reading it does not see
		commands string
	}{
		"usual":                      {commands: short},
		"records are in ConfigMaps":  {driver: "configmap", commands: long},
		"of somebody else":           {nobodys: true, commands: long},
		"of another install":         {change: func(r *helmtest.Release) { r.Labels = map[string]string{labelInstall: "x"} }, commands: long},
		"another revision":           {change: func(r *helmtest.Release) { r.Revision = 2 }, commands: long},
		"installed by somebody else": {change: func(r *helmtest.Release) { r.Status = "deployed" }, commands: long},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := Config{}
			if test.driver != "" {
				cfg.Env = map[string]string{"HELM_DRIVER": test.driver}
			}
			h, fake := withFake(t, cfg)
			release := webRelease
			if !test.nobodys {
				release.Labels = map[string]string{labelInstall: "mine"}
			}
			fake.SetRelease(release)
			inTurn(fake, "uninstall", waitsForObjects(fake, awaits["Helm 4"]))
			var asked string
			fake.Handle("template", func(c helmtest.Call) helmtest.Reply {
				asked = c.Stdin
				recorded, _ := fake.Release("", "web")
				if seen := recorded; test.change != nil {
					test.change(&seen)
					fake.SetRelease(seen)
					defer func() { fake.RemoveRelease("", "web"); fake.SetRelease(recorded) }()
				}
				if test.driver != "" {
					return looks("")(c)
				}
				return marked(fake)
			})
			_, err := h.Uninstall(t.Context(), "web", UninstallOptions{Wait: true})
			require.NoError(t, err)
			assert.Equal(t, test.commands, strings.Join(fake.Commands(), ", "))
			assert.Equal(t, test.driver == "", strings.Contains(asked, `"record":{"later":"sh.helm.release.v1.web.v2","name":"sh.helm.release.v1.web.v1","namespace":"default"}`), asked)
		})
	}
}

// Helm also waits for hooks that it deletes. As long as the record is not marked, the hooks before the removal run: no
// second helm removes the record of objects that are gone already.
func TestUninstallLetsHooksEnd(t *testing.T) {
	for name, status := range map[string]string{"the hook runs": "deployed", "the hook runs in a second removal": "uninstalling"} {
		t.Run(name, func(t *testing.T) {
			fake := helmtest.New(t)
			release := webRelease
			release.Status, release.Hooks = status, hooks("pre-delete")
			fake.SetRelease(release)
			synctest.Test(t, func(t *testing.T) {
				h, commands := acting(t, fake, acts{"template": func(_ context.Context, c helmtest.Call) *helmtest.Reply {
					answer := looks("")(c)
					return &answer
				}})
				others := h.host.run
				h.host.run = func(ctx context.Context, c process.Command) process.Result {
					if c.Args[0] == "uninstall" && c.Hear != nil {
						c.Hear([]byte(awaits["Helm 4"]))
						if time.Sleep(10 * time.Second); ctx.Err() != nil {
							t.Error("the hook is ended")
						}
					}
					return others(ctx, c)
				}
				_, err := h.Uninstall(t.Context(), "web", UninstallOptions{Wait: true})
				require.NoError(t, err)
				assert.Equal(t, 1, strings.Count(strings.Join(*commands, " "), "uninstall"), *commands)
			})
		})
	}
}

// The record is gone because the first helm has removed it, and that is read from its log only after it was ended.
func TestUninstallThatEndsAHelmWhoseWorkIsDone(t *testing.T) {
	fake := helmtest.New(t)
	fake.SetRelease(webRelease)
	synctest.Test(t, func(t *testing.T) {
		h, _ := acting(t, fake, acts{"template": func(_ context.Context, c helmtest.Call) *helmtest.Reply {
			fake.RemoveRelease("", "web")
			answer := looks("")(c)
			return &answer
		}})
		others := h.host.run
		h.host.run = func(ctx context.Context, c process.Command) process.Result {
			if c.Args[0] != "uninstall" {
				return others(ctx, c)
			}
			c.Hear([]byte(awaits["Helm 4"]))
			<-ctx.Done()
			c.Hear([]byte(`level=DEBUG msg="purge requested" release=web` + "\n"))
			return process.Result{ExitCode: -1, Signal: "terminated", Stopped: true, Err: errors.New("it was ended")}
		}
		result, err := h.Uninstall(t.Context(), "web", UninstallOptions{Wait: true})
		require.NoError(t, err)
		assert.NotNil(t, result.Release)
	})
}

// A first helm holds a place: whatever waits for one beside it ends with it.
func TestUninstallWithFewPlaces(t *testing.T) {
	nothing := looks("")(helmtest.Call{}).Stdout
	for places, looked := range map[int]bool{1: false, 2: true} {
		t.Run(itoa(places), func(t *testing.T) {
			fake := helmtest.New(t)
			fake.SetRelease(webRelease)
			synctest.Test(t, func(t *testing.T) {
				h := simulated(t, fake, "one", 0, nil)
				h.slots, h.waiting = make(chan struct{}, places), make(chan struct{}, places)
				others, looks := h.host.run, atomic.Int64{}
				h.host.run = func(ctx context.Context, c process.Command) process.Result {
					switch {
					case c.Args[0] == "template":
						if looks.Add(1) == 1 { // others are waiting for this place, and for that of the first helm
							for range 2 {
								go func() {
									h.slots <- struct{}{}
									time.Sleep(time.Hour)
									<-h.slots
								}()
							}
							synctest.Wait()
						}
						return process.Result{Stdout: []byte(nothing)}
					case c.Hear != nil:
						setRecord(fake, func(r *helmtest.Release) { r.Status = "uninstalling" })
						c.Hear([]byte(awaits["Helm 3"]))
						time.Sleep(10 * time.Second)
						c.Hear([]byte("uninstall.go:180: 2026-11-27 12:29:17.00 +0000 UTC m=+0.11 [debug] purge requested for web\n"))
					}
					return others(ctx, c)
				}
				began := time.Now()
				result, err := h.Uninstall(t.Context(), "web", UninstallOptions{Wait: true})
				require.NoError(t, err)
				assert.NotNil(t, result.Release)
				assert.Less(t, time.Since(began), 20*time.Second)
				assert.Equal(t, looked, looks.Load() > 0)
				time.Sleep(2 * time.Hour)
			})
		})
	}
}

// An object has come back, and the second helm waits for it: at the time limit the record stays.
func TestUninstallWhoseSecondHelmWaits(t *testing.T) {
	h, fake := withFake(t, Config{})
	fake.SetRelease(webRelease)
	sees(fake, ";", "1 going owned")
	inTurn(fake, "uninstall", waitsForObjects(fake, awaits["Helm 4"]), waitsForObjects(fake, ""))
	_, err := h.Uninstall(t.Context(), "web", UninstallOptions{Wait: true, Timeout: time.Second})
	require.ErrorIs(t, err, ErrNotGone)
	left, _ := fake.Release("", "web")
	assert.Equal(t, "uninstalling", left.Status)
}

// Where others have too many objects to count, the first helm waits for the garbage collector, and nobody counts again.
func TestUninstallCountsWithinLimits(t *testing.T) {
	fake := helmtest.New(t)
	fake.SetRelease(robots)
	synctest.Test(t, func(t *testing.T) {
		h, commands := acting(t, fake, nil)
		others, counts, looks := h.host.run, 0, 0
		h.host.run = func(ctx context.Context, c process.Command) process.Result {
			switch {
			case c.Args[0] == "template":
				looks++
				text, err := io.ReadAll(c.Stdin)
				require.NoError(t, err)
				if !strings.Contains(string(text), `"count":true`) {
					return process.Result{Stdout: []byte(strings.ReplaceAll(heldBy("").Stdout, "held", "going"))}
				}
				counts++
				if c.Limits == nil || c.Limits.Memory == 0 || c.Limits.CPUTime == 0 {
					t.Error("without limits")
				} else {
					return process.Result{ExitCode: -1, Exceeded: c.Limits.OverMemory, Err: c.Limits.OverMemory}
				}
				return process.Result{Stdout: []byte(heldBy("owned").Stdout)}
			case c.Hear != nil:
				setRecord(fake, func(r *helmtest.Release) { r.Status, r.Manifest = "uninstalling", robots.Manifest })
				c.Hear([]byte(awaits["Helm 3"]))
				time.Sleep(40 * time.Second)
			}
			return others(ctx, c)
		}
		_, err := h.Uninstall(t.Context(), "web", UninstallOptions{Wait: true})
		require.NoError(t, err, *commands)
		assert.Equal(t, 1, counts)
		assert.Greater(t, looks, 10)
	})
}
