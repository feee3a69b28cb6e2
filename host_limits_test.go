package helmexec

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
)

// A host that takes over gives the uninstall of what the other left its full time.
func TestTakeOverHasTimeToRemove(t *testing.T) {
	for _, behind := range []time.Duration{0, 30 * time.Second, 5 * time.Minute} {
		t.Run(behind.String(), func(t *testing.T) {
			fake := helmtest.New(t)
			chart := chartFolder(t, "web", "1.2.3")
			synctest.Test(t, func(t *testing.T) {
				var timeout, wait string
				other := simulated(t, fake, "other", 0, func(ctx context.Context, c helmtest.Call) *helmtest.Reply {
					if c.Command() == "uninstall" {
						timeout, wait = c.Flag("--timeout"), strings.Join(c.Args, " ")
					}
					return nil
				})
				opts := InstallOptions{OperationID: "job-7", Timeout: 10 * time.Minute, Wait: true}
				defer installOnAHostThatIsLost(t, fake, chart, opts)()
				time.Sleep(behind)
				_, err := other.Install(t.Context(), "web", chart, opts)
				require.NoError(t, err)
				t.Logf("uninstall --timeout=%s: %s", timeout, wait)
				got, err := time.ParseDuration(timeout)
				require.NoError(t, err)
				assert.GreaterOrEqual(t, got, 30*time.Second, "pods have their own time to end")
			})
		})
	}
}

// Pods that take half a minute to end do not fail a take-over.
func TestTakeOverOfPodsThatTakeTheirTime(t *testing.T) {
	fake := helmtest.New(t)
	chart := chartFolder(t, "web", "1.2.3")
	synctest.Test(t, func(t *testing.T) {
		gone := time.Time{}
		other := simulated(t, fake, "other", 0, func(ctx context.Context, c helmtest.Call) *helmtest.Reply {
			switch c.Command() {
			case "uninstall":
				patience, _ := time.ParseDuration(c.Flag("--timeout"))
				gone = time.Now().Add(30 * time.Second) // terminationGracePeriodSeconds
				fake.Perform(c)
				if patience < 30*time.Second {
					time.Sleep(patience)
					return &notGone
				}
				time.Sleep(30 * time.Second)
				return &helmtest.Reply{}
			case "template":
				there := ""
				if time.Now().Before(gone) && strings.Contains(c.Stdin, `"Deployment"`) {
					there = "1 going owned default web"
				}
				return &helmtest.Reply{Stdout: fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: look}\ndata: {there: %q}\n", there)}
			}
			return nil
		})
		opts := InstallOptions{OperationID: "job-7", Timeout: 10 * time.Minute, Wait: true}
		defer installOnAHostThatIsLost(t, fake, chart, opts)()
		time.Sleep(10 * time.Second)
		_, err := other.Install(t.Context(), "web", chart, opts)
		assert.NoError(t, err)
	})
}

// Waiting for a release that cannot be read any more ends.
func TestWaitForAHostThatCannotBeLookedAtEnds(t *testing.T) {
	fake := helmtest.New(t)
	chart := chartFolder(t, "web", "1.2.3")
	synctest.Test(t, func(t *testing.T) {
		fake.SetRelease(helmtest.Release{Name: "web", Status: "pending-install", Labels: map[string]string{
			labelInstall: "job-7", labelHome: "elsewhere", labelUntil: unixLabel(time.Now().Add(time.Hour)),
		}})
		looks := 0
		h := simulated(t, fake, "other", 0, func(ctx context.Context, c helmtest.Call) *helmtest.Reply {
			if c.Command() == "get all" {
				if looks++; looks > 1 {
					return &noReadRight // the token has expired, or the cluster is gone
				}
			}
			return nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), 48*time.Hour) // for the test to end
		defer cancel()
		begin := time.Now()
		_, err := h.Install(ctx, "web", chart, InstallOptions{OperationID: "job-7", Timeout: time.Minute})
		t.Logf("after %v and %d looks: %v", time.Since(begin), looks, err)
		assert.Less(t, time.Since(begin), 3*time.Hour)
	})
}

// A clean-up that hangs ends by the time on the record.
func TestCleanUpEndsInTime(t *testing.T) {
	fake := helmtest.New(t)
	chart := chartFolder(t, "web", "1.2.3")
	synctest.Test(t, func(t *testing.T) {
		var until string
		h := simulated(t, fake, "one", 0, func(ctx context.Context, c helmtest.Call) *helmtest.Reply {
			switch c.Command() {
			case "install":
				fake.Perform(c)
				setRecord(fake, func(r *helmtest.Release) { r.Status, until = "failed", r.Labels[labelUntil] })
				<-ctx.Done()
				return &helmtest.Reply{Exit: 1}
			case "uninstall":
				select {
				case <-ctx.Done():
					return &helmtest.Reply{Exit: 1}
				case <-time.After(1000 * time.Hour): // a connection that went silent
				}
			}
			return nil
		})
		begin := time.Now()
		_, err := h.Install(t.Context(), "web", chart, InstallOptions{OperationID: "job-7", Timeout: time.Minute})
		t.Logf("ended after %v, until is %s after the begin: %v", time.Since(begin), until, err)
		assert.Less(t, time.Since(begin), 2*time.Hour)
	})
}
