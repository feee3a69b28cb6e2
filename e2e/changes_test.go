package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/e2e/cluster"
)

// hookThat plays a fault in a hook of the chart.
func hookThat(event, fault string) helmexec.Values {
	return helmexec.Values{"hook": map[string]any{"event": event, "fault": fault}}
}

func (b *bed) rollback(opts helmexec.RollbackOptions) error {
	_, err := b.h.Rollback(b.ctx, "web", opts)
	return err
}

func upgradeAndRollBack(b *bed) {
	_, err := b.h.Upgrade(b.ctx, "web", sutChart, helmexec.UpgradeOptions{})
	b.wantErr(err, helmexec.ErrReleaseNotFound, "web")
	b.wantErr(b.rollback(helmexec.RollbackOptions{}), helmexec.ErrReleaseNotFound)

	first := helmexec.UpgradeOptions{Install: true, OperationID: "first", Wait: true, Timeout: patient}
	rel, err := b.h.Upgrade(b.ctx, "web", sutChart, first)
	b.must(err)
	again, err := b.h.Upgrade(b.ctx, "web", sutChart, first)
	b.must(err)
	if rel.Revision != 1 || again.Revision != 1 || !again.Recovered {
		b.Errorf("installed %+v, then %+v", rel, again)
	}
	second := helmexec.UpgradeOptions{OperationID: "second", Wait: true, Timeout: patient, Values: helmexec.Values{"greeting": "hi"}}
	for _, recovered := range []bool{false, true} {
		rel, err = b.h.Upgrade(b.ctx, "web", sutChart, second)
		b.must(err)
		if rel.Revision != 2 || rel.Status != helmexec.StatusDeployed || rel.Recovered != recovered {
			b.Errorf("upgraded to %+v, want Recovered %v", rel, recovered)
		}
	}
	values, err := b.h.GetValues(b.ctx, "web", helmexec.ValuesOptions{})
	b.must(err)
	if values["greeting"] != "hi" || len(values) != 1 {
		b.Errorf("values are %v", values)
	}
	// The earlier install still knows its release.
	rel, err = b.h.Install(b.ctx, "web", sutChart, helmexec.InstallOptions{OperationID: "first"})
	b.must(err)
	if rel.Revision != 2 || !rel.Recovered {
		b.Errorf("the install finds %+v", rel)
	}

	b.must(b.rollback(helmexec.RollbackOptions{Wait: true, Timeout: patient}))
	history, err := b.h.History(b.ctx, "web", helmexec.HistoryOptions{})
	b.must(err)
	if len(history) != 3 || history[2].Description != "Rollback to 1" || history[2].Status != helmexec.StatusDeployed {
		b.Errorf("history is %+v", history)
	}
	b.wantErr(b.rollback(helmexec.RollbackOptions{Revision: 9}), helmexec.ErrReleaseNotFound, "9")
}

// failedUpgrade stays by default, because it does not block the next upgrade, or is rolled back.
func failedUpgrade(b *bed) {
	_, err := b.h.Install(b.ctx, "web", sutChart, helmexec.InstallOptions{Wait: true, Timeout: patient})
	b.must(err)
	for _, back := range []bool{false, true} {
		want := map[bool]helmexec.Status{false: helmexec.StatusFailed, true: helmexec.StatusDeployed}[back]
		b.growing(3*time.Second, func(timeout time.Duration) error {
			_, err := b.h.Upgrade(b.ctx, "web", sutChart, helmexec.UpgradeOptions{
				Wait: true, Timeout: timeout, RollbackOnFailure: back, Values: helmexec.Values{"image": "nosuchimage:1"},
			})
			b.wantErr(err, helmexec.ErrNotReady)
			if now, err := b.h.Status(b.ctx, "web", helmexec.StatusOptions{}); err != nil || now.Status != want {
				b.Errorf("rolled back on failure %v: it is %+v (%v)", back, now, err)
			}
			return says(err, "ImagePullBackOff", "container")
		})
	}
	_, err = b.h.Upgrade(b.ctx, "web", sutChart, helmexec.UpgradeOptions{Wait: true, Timeout: patient})
	b.must(err)
}

// cancelledUpgrade leaves nothing pending, because that would block every later change.
func cancelledUpgrade(b *bed) {
	_, err := b.h.Install(b.ctx, "web", sutChart, helmexec.InstallOptions{Wait: true, Timeout: patient})
	b.must(err)
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := b.h.Upgrade(ctx, "web", sutChart, helmexec.UpgradeOptions{Timeout: patient, Values: hookThat("pre-upgrade", cluster.FaultNeverFinish)})
		ended <- err
	}()
	b.awaitObject("/apis/batch/v1", "jobs/web-hook")
	cancel()
	b.wantErr(<-ended, context.Canceled)
	now, err := b.h.Status(b.ctx, "web", helmexec.StatusOptions{})
	b.must(err)
	if now.Status.Pending() {
		b.Errorf("status is %s", now.Status)
	}
	_, err = b.h.Upgrade(b.ctx, "web", sutChart, helmexec.UpgradeOptions{Wait: true, Timeout: patient})
	b.must(err)
}

// jobsAreKeptApart: ids that contain "-sut-" or are the cleaned form of another's, and a release that has the name of
// one job and the label of another.
func jobsAreKeptApart(b *bed) {
	names := map[string][]string{}
	add := func(job, name, label string) {
		_, err := b.h.Install(b.ctx, name, sutChart, helmexec.InstallOptions{JobID: label})
		b.must(err)
		names[job] = append(names[job], name)
	}
	for _, job := range []string{"sut-5", "sut-6", "Foo", "foo-ds7mon7y"} {
		add(job, helmexec.SUTHelmName(job, "by-name"), "")
	}
	add("Foo", helmexec.SUTHelmName("sut-5", "by-label"), "Foo")

	for _, job := range []string{"sut-5", "Foo"} {
		results, err := b.h.UninstallJob(b.ctx, job, helmexec.JobOptions{Wait: true, Timeout: patient})
		b.must(err)
		var removed []string
		for _, r := range results {
			removed = append(removed, r.Release.Name)
		}
		slices.Sort(removed)
		if !slices.Equal(removed, slices.Sorted(slices.Values(names[job]))) {
			b.Errorf("with job %q went %v, want %v", job, removed, names[job])
		}
	}
	left, err := b.h.List(b.ctx, helmexec.ListOptions{})
	b.must(err)
	if len(left) != 2 || left[0].Name != names["foo-ds7mon7y"][0] || left[1].Name != names["sut-6"][0] {
		b.Errorf("left are %+v", left)
	}
}

func jobIsCleanedUp(b *bed) {
	install := func(name string, opts helmexec.InstallOptions) {
		_, err := b.h.Install(b.ctx, name, sutChart, opts)
		b.must(err)
	}
	install("any-name", helmexec.InstallOptions{JobID: "7"})
	install(helmexec.SUTHelmName("7", "made without the id"), helmexec.InstallOptions{})
	install(helmexec.SUTHelmName("7", "blocked"), helmexec.InstallOptions{JobID: "7", Values: hookThat("pre-delete", cluster.FaultFail)})
	install(helmexec.SUTHelmName("77", "another job"), helmexec.InstallOptions{JobID: "77", Deadline: time.Now().Add(-time.Minute)})
	install("in-time", helmexec.InstallOptions{JobID: "78", Deadline: time.Now().Add(time.Hour)})

	results, err := b.h.UninstallJob(b.ctx, "7", helmexec.JobOptions{Wait: true, Timeout: patient})
	b.must(err)
	if len(results) != 3 {
		b.Errorf("%d releases of the job were removed, want 3", len(results))
	}
	overdue, err := b.h.Overdue(b.ctx, helmexec.JobOptions{})
	b.must(err)
	if len(overdue) != 1 || overdue[0].Name != helmexec.SUTHelmName("77", "another job") {
		b.Errorf("overdue are %+v", overdue)
	}
	_, err = b.h.UninstallOverdue(b.ctx, helmexec.JobOptions{Wait: true, Timeout: patient})
	b.must(err)
	left, err := b.h.List(b.ctx, helmexec.ListOptions{})
	b.must(err)
	if len(left) != 1 || left[0].Name != "in-time" {
		b.Errorf("left are %+v", left)
	}
}

// uninstallWaitsForALiveInstall: removing the record while its helm runs would orphan its objects.
func uninstallWaitsForALiveInstall(b *bed) {
	installed := make(chan error, 1)
	go func() {
		_, err := b.h.Install(b.ctx, "web", sutChart, helmexec.InstallOptions{Wait: true, Timeout: patient, Values: helmexec.Values{"readyAfter": "3s"}})
		installed <- err
	}()
	b.awaitRecord("web")
	_, err := b.h.Uninstall(b.ctx, "web", helmexec.UninstallOptions{Wait: true, Timeout: patient})
	b.must(err)
	b.must(<-installed)
	b.wantLeft(nil)
}

func testsOfARelease(b *bed) {
	for fault, want := range map[string]error{"": nil, cluster.FaultFail: helmexec.ErrTestFailed} {
		name := "good"
		if want != nil {
			name = "bad"
		}
		_, err := b.h.Install(b.ctx, name, sutChart, helmexec.InstallOptions{Values: hookThat("test", fault)})
		b.must(err)
		tests, err := b.h.Test(b.ctx, name, helmexec.TestOptions{Timeout: patient})
		if !errors.Is(err, want) {
			b.Errorf("%s: got %v, want %v", name, err, want)
		}
		if len(tests) != 1 || tests[0].Kind != "Job" || (tests[0].Phase == "Succeeded") != (want == nil) {
			b.Errorf("%s: tests are %+v", name, tests)
		}
	}
}

func progressIsTold(b *bed) {
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	_, err := b.h.Install(ctx, "web", sutChart, helmexec.InstallOptions{
		Wait: true, Timeout: patient, Values: helmexec.Values{"fault": cluster.FaultNotReady, "replicas": 2}, ProgressInterval: 500 * time.Millisecond,
		Progress: func(p helmexec.Progress) {
			if p.Total == 2 && p.Ready < 2 && p.Blocker != nil && p.Elapsed > 0 {
				cancel()
			}
		},
	})
	b.wantErr(err, context.Canceled)
}

// whatIsInstalledIsTransformed: every image comes from the mirror, every object has the job's
// label, including hooks.
func whatIsInstalledIsTransformed(b *bed) {
	mirror := helmexec.RegistryMap{"docker.io": "mirror.example/docker", "ghcr.io": "mirror.example/ghcr", "quay.io": "mirror.example/quay"}
	transform := helmexec.Transforms(
		helmexec.RetagImages(mirror.Rewrite, helmexec.RetagOptions{ImageOptions: helmexec.ImageOptions{Exclude: []string{}}}),
		helmexec.AddLabels(map[string]string{"bench.example/job": "7"}),
	)
	opts := helmexec.InstallOptions{Wait: true, Timeout: patient, Transform: transform}
	installed := []string{"webapp", "stack"}
	_, err := b.h.Install(b.ctx, "webapp", chartsDir+"/webapp", opts)
	b.must(err)
	_, err = b.h.Install(b.ctx, "stack", chartsDir+"/stack", opts)
	b.must(err)
	for _, release := range installed {
		manifest, err := b.h.GetManifest(b.ctx, release, helmexec.GetOptions{})
		b.must(err)
		hooks, err := b.h.GetHooks(b.ctx, release, helmexec.GetOptions{})
		b.must(err)
		for _, h := range hooks {
			manifest = append(append(manifest, "\n---\n"...), h.Manifest...)
		}
		images, err := manifest.Images(helmexec.ImageOptions{Exclude: []string{}})
		b.must(err)
		for _, image := range images {
			if !strings.HasPrefix(image, "mirror.example/") {
				b.Errorf("%s: image %s", release, image)
			}
		}
	}
	objects, err := b.cluster.Objects(b.ctx, b.namespace)
	b.must(err)
	labelled := 0
	for _, o := range objects {
		switch o.Kind {
		case "Deployment", "Pod", "Service", "CronJob", "ConfigMap", "ServiceAccount":
			if o.Labels["bench.example/job"] != "7" {
				b.Errorf("%s has labels %v", o, o.Labels)
			}
			labelled++
		}
	}
	if labelled < 4 {
		b.Errorf("%d objects were looked at", labelled)
	}

	broken := errors.New("no mirror for this one")
	_, err = b.h.Install(b.ctx, "broken", chartsDir+"/webapp", helmexec.InstallOptions{
		Transform: func(helmexec.Manifest) (helmexec.Manifest, error) { return nil, broken },
	})
	b.wantErr(err, broken)
	_, err = b.h.Status(b.ctx, "broken", helmexec.StatusOptions{})
	b.wantErr(err, helmexec.ErrReleaseNotFound)
}

// cancelledWhileItIsTransformed: nobody waits for a transform that hangs.
func cancelledWhileItIsTransformed(b *bed) {
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	goOn := make(chan struct{})
	defer close(goOn)
	_, err := b.h.Install(ctx, "web", sutChart, helmexec.InstallOptions{Transform: func(m helmexec.Manifest) (helmexec.Manifest, error) {
		cancel()
		<-goOn
		return m, nil
	}})
	b.wantErr(err, context.Canceled)
	_, err = b.h.Status(b.ctx, "web", helmexec.StatusOptions{})
	b.wantErr(err, helmexec.ErrReleaseNotFound)
	if left, err := b.objects(b.ctx); err != nil || len(left) != 0 {
		b.Errorf("there are %q (%v)", left, err)
	}
}

// fitsIsWhatTheSchedulerDoes on nodes of 2 and 3 GPUs, which no other behaviour uses.
func fitsIsWhatTheSchedulerDoes(b *bed) {
	const resource = "amd.com/gpu"
	label := map[string]string{"fits": b.helm}
	nodes := []map[string]int64{{resource: 2}, {resource: 3}}
	for i, n := range nodes {
		b.must(b.cluster.AddNode(b.ctx, cluster.Node{
			Name: fmt.Sprintf("fits-%s-%d", b.helm, i), Labels: label, Resources: map[string]string{resource: fmt.Sprint(n[resource])},
		}))
	}
	for i, test := range []struct{ replicas, gpus int }{{1, 3}, {1, 4}, {2, 2}, {3, 2}, {5, 1}, {6, 1}} {
		values := helmexec.Values{"replicaCount": test.replicas, "nodeSelector": label, "gpu": map[string]any{"resource": resource, "count": test.gpus}}
		report, err := b.h.Chart2GPUs(b.ctx, chartsDir+"/gpu-inference", helmexec.TemplateOptions{Values: values}, helmexec.GPUOptions{})
		b.must(err)
		fits, _ := report.Fits(nodes)
		name := fmt.Sprintf("gpu-%d", i)
		b.growing(5*time.Second, func(timeout time.Duration) error {
			_, err := b.h.Install(b.ctx, name, chartsDir+"/gpu-inference", helmexec.InstallOptions{Wait: true, Timeout: timeout, Values: values})
			switch {
			case fits && err != nil:
				return fmt.Errorf("%+v: Fits says yes, and the install %w", test, err)
			case !fits && err == nil:
				b.Errorf("%+v: Fits says no, and it is installed", test)
			case !fits:
				return says(err, "Insufficient "+resource)
			}
			return nil
		})
		_, err = b.h.Uninstall(b.ctx, name, helmexec.UninstallOptions{Wait: true, Timeout: patient, IgnoreNotFound: true})
		b.must(err)
	}
}
