package helmexec

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
	"github.com/sut-bench/helmexec/internal/chartrepo"
)

// atOnce tries three times without a pause.
var atOnce = Retry{BackOff: func() backoff.BackOff { return &backoff.ZeroBackOff{} }}

// withFake makes a Helm that drives a fake, in a new home, and retries without pauses, unless cfg
// says otherwise.
func withFake(t *testing.T, cfg Config) (*Helm, *helmtest.Fake) {
	t.Helper()
	fake := helmtest.New(t)
	return drive(t, fake, cfg), fake
}

// drive makes one more Helm on a fake.
func drive(t *testing.T, fake *helmtest.Fake, cfg Config) *Helm {
	t.Helper()
	cfg.Binary = fake.Binary
	if cfg.Home == "" {
		cfg.Home = t.TempDir()
	}
	cfg.GracePeriod = cmp.Or(cfg.GracePeriod, tooLong)
	if cfg.Retry.BackOff == nil {
		cfg.Retry.BackOff = atOnce.BackOff
	}
	h, err := New(cfg)
	require.NoError(t, err)
	return h
}

// withoutHelm makes a Helm that has a home and never starts its helm.
func withoutHelm(t *testing.T) *Helm {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	h, err := New(Config{Binary: self, Home: t.TempDir()})
	require.NoError(t, err)
	return h
}

// chartFolder writes a chart of no templates.
func chartFolder(t *testing.T, name, version string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.MkdirAll(dir, 0o700))
	text := "apiVersion: v2\nname: " + name + "\nversion: " + version + "\nappVersion: \"9\"\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Chart.yaml"), []byte(text), 0o600))
	return dir
}

// tooLong is longer than anything takes on a busy machine unless it hangs.
const tooLong = 5 * time.Minute

// answers fails the test when f hangs.
func answers(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(tooLong):
		t.Fatal("no answer in", tooLong)
	}
}

// onceItWaits gives f a context whose deadline passes when everything waits, but not while a helm process
// runs, however long that takes. What f waits for must be outside f.
func onceItWaits(t *testing.T, f func(ctx context.Context, t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		f(ctx, t)
	})
}

func itoa(n int) string { return strconv.Itoa(n) }

// packed is the archive of a chart folder.
func packed(t *testing.T, folder string) []byte {
	t.Helper()
	archive, err := chartrepo.PackageDir(folder, "")
	require.NoError(t, err)
	return archive.Data
}

// dirNames are the names in a folder.
func dirNames(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

// The ways in which helm answers an install. done is what it has recorded, "" for nothing.
func installed(fake *helmtest.Fake, done string, reply helmtest.Reply) func(helmtest.Call) helmtest.Reply {
	return func(c helmtest.Call) helmtest.Reply {
		if done != "" {
			if refusal := fake.Perform(c); refusal.Exit != 0 {
				return refusal
			}
			setRecord(fake, func(r *helmtest.Release) { r.Status = done })
		}
		return reply
	}
}

// unrecorded lets the next helm of an install succeed whose last write is refused.
func unrecorded(fake *helmtest.Fake) func(helmtest.Call) helmtest.Reply {
	return func(c helmtest.Call) helmtest.Reply {
		reply := fake.Perform(c)
		setRecord(fake, func(r *helmtest.Release) { r.Status = "pending-install" })
		if reply.Exit == 0 {
			reply.Stderr = "level=ERROR msg=\"failed to record the release\" error=\"update: failed to update: connection refused\"\n"
		}
		return reply
	}
}

// setRecord changes what is recorded of the release.
func setRecord(fake *helmtest.Fake, change func(*helmtest.Release)) {
	r, _ := fake.Release("", "web")
	r.Manifest = objects
	change(&r)
	fake.SetRelease(r)
}

// inTurn answers the calls of a command one after the other, and then as the fake does.
func inTurn(fake *helmtest.Fake, command string, answers ...func(helmtest.Call) helmtest.Reply) {
	next := make(chan func(helmtest.Call) helmtest.Reply, len(answers))
	for _, a := range answers {
		next <- a
	}
	fake.Handle(command, func(c helmtest.Call) helmtest.Reply {
		select {
		case answer := <-next:
			return answer(c)
		default:
			return fake.Perform(c)
		}
	})
}

var (
	reset         = helmtest.Reply{Stderr: "Error: INSTALLATION FAILED: read tcp: connection reset by peer\n", Exit: 1}
	unreachable   = helmtest.Reply{Stderr: "Error: kubernetes cluster unreachable: connection refused\n", Exit: 1}
	tooLate       = helmtest.Reply{Stderr: "Error: INSTALLATION FAILED: resource Deployment/default/web not ready\ncontext deadline exceeded\n", Exit: 1}
	blind         = helmtest.Reply{Stderr: "Error: INSTALLATION FAILED: resource Deployment/default/web not ready. status: Unknown, message: context deadline exceeded\n", Exit: 1}
	noCluster     = helmtest.Reply{Stderr: "Error: INSTALLATION FAILED: Kubernetes cluster unreachable: context \"nope\" does not exist\n", Exit: 1}
	noNamespace   = helmtest.Reply{Stderr: "Error: INSTALLATION FAILED: create: failed to create: namespaces \"nope\" not found\n", Exit: 1}
	noRecordRight = helmtest.Reply{Stderr: "Error: INSTALLATION FAILED: create: failed to create: secrets is forbidden: User \"x\" cannot create\n", Exit: 1}
	noReadRight   = helmtest.Reply{Stderr: "Error: query: failed to query with labels: secrets is forbidden: User \"x\" cannot list\n", Exit: 1}
	hookIsRefused = helmtest.Reply{Stderr: "Error: INSTALLATION FAILED: failed pre-install: warning: Hook pre-install web/templates/h.yaml failed: pods \"x\" is forbidden: exceeded quota\n", Exit: 1}
	noSchema      = helmtest.Reply{Stderr: "Error: INSTALLATION FAILED: values don't meet the specifications of the schema(s)\n", Exit: 1}
	hookFails     = helmtest.Reply{Stderr: "Error: failed pre-delete: 1 error occurred:\n\t* job failed\n", Exit: 1}
)

// onePod is what "helm status" says of a release with one pod.
func onePod(ready string) string {
	return `{"info":{"resources":{"v1/Pod(related)":[{"kind":"Pod","metadata":{"name":"web-1"},"status":{"phase":"Running",` +
		`"conditions":[{"type":"Ready","status":"` + ready + `","reason":"ContainersNotReady"}]}}]}}}`
}

// others is a release of the same name that this operation did not make.
var others = helmtest.Release{Name: "web", Chart: "other", ChartVersion: "2.0.0", Updated: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC), Labels: map[string]string{labelInstall: "other", labelJob: "41"}}
