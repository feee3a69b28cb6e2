package e2e

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/e2e/cluster"
)

var errStill = errors.New("still working")

// nameIsTaken: Helm 3 and 4 say it in different words.
func nameIsTaken(b *bed) {
	first, err := b.h.Install(b.ctx, "web", sutChart, helmexec.InstallOptions{OperationID: "first"})
	b.must(err)
	for _, id := range []string{"", "second"} {
		_, err = b.h.Install(b.ctx, "web", sutChart, helmexec.InstallOptions{OperationID: id})
		b.wantErr(err, helmexec.ErrReleaseExists, "web", "deployed")
	}
	now, err := b.h.Status(b.ctx, "web", helmexec.StatusOptions{})
	b.must(err)
	if now.Revision != 1 || !now.Updated.Equal(first.Updated) {
		b.Errorf("the release was touched: %+v was %+v", now, first)
	}

	b.killedInstall("dead")
	_, err = b.h.Install(b.ctx, "dead", sutChart, helmexec.InstallOptions{})
	b.wantErr(err, helmexec.ErrReleaseExists, "pending-install")
	if status, err := b.recordedStatus("dead"); err != nil || status != "pending-install" {
		b.Errorf("the other's release is %s now (%v)", status, err)
	}
}

func operationIsKnownAgain(b *bed) {
	opts := helmexec.InstallOptions{OperationID: "job 7, attempt 1: 试"}
	first, err := b.h.Install(b.ctx, "web", sutChart, opts)
	b.must(err)
	again, err := b.h.Install(b.ctx, "web", sutChart, opts)
	b.must(err)
	if first.Recovered || !again.Recovered || !again.Updated.Equal(first.Updated) {
		b.Errorf("got %+v\nthen %+v", first, again)
	}
}

func chartThatHelmRefuses(b *bed) {
	for _, refused := range []struct {
		chart  string
		values helmexec.Values
		says   string
	}{
		{"stack", helmexec.Values{"mode": "wild"}, "mode"},
		{"broken-template", nil, "tag is required"},
	} {
		_, err := b.h.Install(b.ctx, "refused", chartsDir+"/"+refused.chart, helmexec.InstallOptions{Values: refused.values})
		b.wantErr(err, nil, refused.says)
		var e *helmexec.Error
		if !errors.As(err, &e) || e.ExitCode != 1 || helmexec.IsTransient(err) {
			b.Errorf("%s: %#v is no lasting error of helm", refused.chart, err)
		}
	}
	b.wantLeft(nil)
}

func clusterThatDoesNotAnswer(b *bed) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	b.must(err)
	b.must(listener.Close())
	dead, err := b.cluster.KubeconfigFor("https://" + listener.Addr().String())
	b.must(err)
	h := b.newHelm(func(cfg *helmexec.Config) { cfg.Kubeconfig, cfg.Retry.Tries = dead, 2 })
	for call, do := range map[string]func() error{
		"install":   func() error { _, err := h.Install(b.ctx, "web", sutChart, helmexec.InstallOptions{}); return err },
		"uninstall": func() error { _, err := h.Uninstall(b.ctx, "web", helmexec.UninstallOptions{}); return err },
		"list":      func() error { _, err := h.List(b.ctx, helmexec.ListOptions{}); return err },
		"status":    func() error { _, err := h.Status(b.ctx, "web", helmexec.StatusOptions{}); return err },
		"template": func() error {
			_, err := h.Template(b.ctx, sutChart, helmexec.TemplateOptions{FromCluster: true})
			return err
		},
	} {
		err := do()
		b.wantErr(err, helmexec.ErrClusterUnreachable, "connection refused")
		if !helmexec.IsTransient(err) {
			b.Errorf("%s: %v is not called transient", call, err)
		}
	}
}

// cancelled begins an install, ends its context once the release is recorded, and expects that only
// reported objects are left.
func (b *bed) cancelled(release string, opts helmexec.InstallOptions, begun func()) {
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := b.h.Install(ctx, release, sutChart, opts)
		done <- err
	}()
	begun()
	cancel()
	err := <-done
	b.wantErr(err, context.Canceled)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, helmexec.ErrNotReady) {
		b.Errorf("the error has another cause beside: %v", err)
	}
	var failed *helmexec.ReleaseError
	if !errors.As(err, &failed) {
		b.Fatalf("%v is no ReleaseError", err)
	}
	b.wantLeft(failed.Remains)
}

// deadlineWhilePodsStart: whether the context or helm's own time ends first must not be a matter of chance.
func deadlineWhilePodsStart(b *bed) {
	h := b.newHelm(func(cfg *helmexec.Config) { cfg.GracePeriod = 20 * time.Second })
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(b.ctx, 4*time.Second+time.Duration(i)*250*time.Millisecond)
			defer cancel()
			_, err := h.Install(ctx, fmt.Sprintf("late-%d", i), sutChart, helmexec.InstallOptions{
				Wait: true, Timeout: patient, Values: helmexec.Values{"fault": cluster.FaultImagePull},
			})
			if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, helmexec.ErrNotReady) {
				b.Errorf("late-%d: got %v, want the end of the context, and not ErrNotReady", i, err)
			}
		})
	}
	all.Wait()
}

func cancelledWhileAHookRuns(b *bed) {
	b.cancelled("hooked", helmexec.InstallOptions{Timeout: patient, Values: helmexec.Values{
		"hook": map[string]any{"event": "pre-install", "fault": cluster.FaultNeverFinish},
	}}, func() { b.awaitObject("/apis/batch/v1", "jobs/hooked-hook") })
}

func cancelledWhilePodsStart(b *bed) {
	b.cancelled("slow", helmexec.InstallOptions{Wait: true, Timeout: patient, Values: helmexec.Values{
		"readyAfter": "1h", "kind": "StatefulSet",
	}}, func() { b.awaitObject("/api/v1", "pods/slow-0") })
}

// notReadyCase is an install that cannot become ready, and what its error says.
type notReadyCase struct {
	values    helmexec.Values
	kind      string // of the object that is named
	container string
	reason    string
	says      string
	timeout   time.Duration // of the first try; 0 is 5 s
}

var (
	notReadyImage = notReadyCase{
		values: helmexec.Values{"image": "registry.test/nosuchimage:1"},
		kind:   "Pod", container: "main", reason: "ImagePullBackOff", says: "registry.test/nosuchimage:1",
	}
	// Its pods take longer to terminate than they had for becoming ready.
	notReadyAtOnce = notReadyCase{
		values: helmexec.Values{"fault": cluster.FaultNotReady, "replicas": 3}, timeout: time.Second,
		kind: "Pod", container: "main",
	}
	notReadyGPUs = notReadyCase{
		values: helmexec.Values{"gpus": 9},
		kind:   "Pod", reason: "Unschedulable", says: "Insufficient nvidia.com/gpu",
	}
	notReadyCrashLoop = notReadyCase{
		values: helmexec.Values{"fault": cluster.FaultCrashLoop},
		kind:   "Pod", container: "main", reason: "CrashLoopBackOff", says: "exit code 1, 5 restarts",
	}
	notReadyProbe = notReadyCase{
		values: helmexec.Values{"fault": cluster.FaultNotReady, "kind": "StatefulSet"},
		kind:   "Pod", container: "main", reason: "NotReady", says: "probe",
	}
	notReadyHookFails = notReadyCase{
		values: helmexec.Values{"hook": map[string]any{"event": "pre-install", "fault": cluster.FaultFail}},
		kind:   "Job", reason: "HookFailed", says: "the pre-install hook failed",
	}
	notReadyHookNeverEnds = notReadyCase{
		values: helmexec.Values{"hook": map[string]any{"event": "post-install", "fault": cluster.FaultNeverFinish}},
		kind:   "Job", reason: "HookFailed", says: "the post-install hook failed, or did not complete in time",
	}
)

// notReady: the error says which pod, which container and why, and nothing is left.
func notReady(c notReadyCase) func(*bed) {
	return func(b *bed) {
		b.growing(cmp.Or(c.timeout, 5*time.Second), func(timeout time.Duration) error {
			_, err := b.h.Install(b.ctx, "web", sutChart, helmexec.InstallOptions{Wait: true, Timeout: timeout, Values: c.values})
			b.wantErr(err, helmexec.ErrNotReady, "removed again")
			if errors.Is(err, helmexec.ErrLeftBehind) || helmexec.IsTransient(err) {
				b.Errorf("%v is left behind, or transient", err)
			}
			var failed *helmexec.ReleaseError
			if !errors.As(err, &failed) {
				b.Fatalf("%v is no ReleaseError", err)
			}
			if text := err.Error(); len(text) > 1500 {
				b.Errorf("%d characters are too much to read: %s", len(text), text)
			}
			b.wantLeft(failed.Remains)
			return c.shown(failed)
		})
	}
}

// shown reports what an error does not say.
func (c notReadyCase) shown(err *helmexec.ReleaseError) error {
	if len(err.Blockers) == 0 {
		return fmt.Errorf("no blockers on %w", err)
	}
	first := err.Blockers[0]
	if first.Kind != c.kind || first.Container != c.container || c.reason != "" && first.Reason != c.reason {
		return fmt.Errorf("the first blocker is %+v", first)
	}
	container := ""
	if c.container != "" {
		container = "container " + c.container
	}
	return says(err, c.kind+" web", c.reason, c.says, container)
}

func failedReleaseIsKeptOnRequest(b *bed) {
	opts := helmexec.InstallOptions{
		Wait: true, Timeout: 3 * time.Second, KeepFailed: true, OperationID: "kept", Values: helmexec.Values{"fault": cluster.FaultNotReady},
	}
	_, err := b.h.Install(b.ctx, "web", sutChart, opts)
	b.wantErr(err, helmexec.ErrNotReady, "status failed")
	if status, err := b.recordedStatus("web"); err != nil || status != "failed" {
		b.Errorf("the release is %s (%v), want failed", status, err)
	}
	// The same operation starts again.
	opts.Values = helmexec.Values{"replicas": 2}
	opts.Timeout = patient
	rel, err := b.h.Install(b.ctx, "web", sutChart, opts)
	b.must(err)
	if rel.Status != helmexec.StatusDeployed {
		b.Errorf("the release is %s", rel.Status)
	}
	result, err := b.h.Uninstall(b.ctx, "web", helmexec.UninstallOptions{Wait: true, Timeout: patient})
	b.must(err)
	b.wantLeft(result.Remains)
}

// recordThatNobodyCanRead: what a chart's author can write into the record must not keep the release
// from being removed.
func recordThatNobodyCanRead(b *bed) {
	for name, files := range map[string]map[string]string{
		"quoted": {"templates/hook.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-hook\n" +
			"  annotations:\n    helm.sh/hook: post-install\n    helm.sh/hook-delete-policy: 'hook-succeeded\"]}'\n"},
		"large": {"templates/NOTES.txt": `{{ repeat 36000000 "a" }}`},
	} {
		chart := filepath.Join(b.TempDir(), "hostile")
		files["Chart.yaml"] = "apiVersion: v2\nname: hostile\nversion: 1.0.0\n"
		for file, text := range files {
			b.must(os.MkdirAll(filepath.Dir(filepath.Join(chart, file)), 0o700))
			b.must(os.WriteFile(filepath.Join(chart, file), []byte(text), 0o600))
		}
		_, err := b.h.Install(b.ctx, name, chart, helmexec.InstallOptions{JobID: name})
		if err != nil {
			b.Errorf("%s: %v", name, err)
		}
		_, err = b.h.UninstallJob(b.ctx, name, helmexec.JobOptions{Wait: true, Timeout: patient})
		b.must(err)
		_, err = b.h.Status(b.ctx, name, helmexec.StatusOptions{})
		b.wantErr(err, helmexec.ErrReleaseNotFound)
	}
}
