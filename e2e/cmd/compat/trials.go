package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/e2e/cluster"
)

// trial makes a call, and fails unless that does what its comment says. Later trials work on what earlier ones made.
type trial struct {
	call string // as the page names it; its first word is the method
	make func(context.Context, *bed) error
}

const patient = 5 * time.Minute // only ends what hangs

var plain = helmexec.SourceOptions{PlainHTTP: true}

var trials = []trial{
	{"Version", func(ctx context.Context, b *bed) error {
		_, err := b.h.Version(ctx)
		return err
	}},
	{"AddRepo", func(ctx context.Context, b *bed) error {
		name, err := b.h.AddRepo(ctx, b.repo.URL, helmexec.RepoOptions{Name: "lab"})
		return want(err, name, "lab")
	}},
	{"Repos", func(ctx context.Context, b *bed) error {
		repos, err := b.h.Repos(ctx)
		return want(err, len(repos), 1)
	}},
	{"UpdateRepos", func(ctx context.Context, b *bed) error { return b.h.UpdateRepos(ctx, helmexec.UpdateReposOptions{}) }},
	{"ChartVersions", func(ctx context.Context, b *bed) error {
		versions, err := b.h.ChartVersions(ctx, "lab/webapp", helmexec.ChartVersionsOptions{Refresh: true})
		return want(err, len(versions), 1)
	}},
	{"Chart2Info", func(ctx context.Context, b *bed) error {
		info, err := b.h.Chart2Info(ctx, "lab/webapp", helmexec.ChartOptions{})
		if err != nil {
			return err
		}
		return want(nil, info.Name, "webapp")
	}},
	{"Fetch", func(ctx context.Context, b *bed) error {
		chart, err := b.h.Fetch(ctx, b.repo.URL+"/stack", helmexec.ChartOptions{Refresh: true})
		if err != nil {
			return err
		}
		_, err = os.Stat(chart.Path)
		return err
	}},
	{"Pull", func(ctx context.Context, b *bed) error {
		path, err := b.h.Pull(ctx, "lab/webapp", b.dir, helmexec.ChartOptions{})
		return want(err, filepath.Dir(path), b.dir)
	}},
	{"ShowChart", func(ctx context.Context, b *bed) error {
		metadata, err := b.h.ShowChart(ctx, "lab/stack", helmexec.ChartOptions{})
		if err != nil {
			return err
		}
		return want(nil, metadata.Name, "stack")
	}},
	{"ShowValues", func(ctx context.Context, b *bed) error {
		values, err := b.h.ShowValues(ctx, "lab/stack", helmexec.ChartOptions{})
		return want(err, values["mode"], any("standard"))
	}},
	{"Lint", func(ctx context.Context, b *bed) error {
		_, err := b.h.Lint(ctx, b.charts+"/webapp", helmexec.LintOptions{})
		return err
	}},
	{"Lint with SkipSchema", func(ctx context.Context, b *bed) error {
		_, err := b.h.Lint(ctx, b.charts+"/stack", helmexec.LintOptions{SkipSchema: true})
		return err
	}},
	{"Package", func(ctx context.Context, b *bed) error {
		path, err := b.h.Package(ctx, b.charts+"/webapp", b.dir, helmexec.PackageOptions{})
		return want(err, filepath.Dir(path), b.dir)
	}},
	{"DependencyBuild", func(ctx context.Context, b *bed) error {
		folder := filepath.Join(b.dir, "parent")
		text := fmt.Sprintf("apiVersion: v2\nname: parent\nversion: 0.1.0\ndependencies:\n- {name: webapp, version: '*', repository: %q}\n", b.repo.URL)
		if err := errors.Join(os.Mkdir(folder, 0o755), os.WriteFile(filepath.Join(folder, "Chart.yaml"), []byte(text), 0o644)); err != nil {
			return err
		}
		err := b.h.DependencyBuild(ctx, folder)
		archives, _ := filepath.Glob(filepath.Join(folder, "charts", "webapp-*.tgz"))
		return want(err, len(archives), 1)
	}},
	{"RegistryLogin with PlainHTTP", func(ctx context.Context, b *bed) error {
		err := b.h.RegistryLogin(ctx, b.locked.Address, helmexec.RegistryOptions{Username: user, Password: password, Source: plain})
		b.loggedIn = err == nil
		return err
	}},
	{"RegistryLogout", func(ctx context.Context, b *bed) error {
		if !b.loggedIn {
			return errNotTried
		}
		return b.h.RegistryLogout(ctx, b.locked.Address)
	}},
	{"Push", func(ctx context.Context, b *bed) error {
		archives, _ := filepath.Glob(filepath.Join(b.dir, "webapp-*.tgz"))
		if len(archives) != 1 {
			return errors.New("no archive to push")
		}
		pushed, err := b.h.Push(ctx, archives[0], "oci://"+b.registry.Address+"/"+b.namespace, plain)
		if err != nil {
			return err
		}
		return want(nil, len(pushed.Digest), len("sha256:")+64)
	}},
	{"Chart2Info of a registry", func(ctx context.Context, b *bed) error {
		info, err := b.h.Chart2Info(ctx, "oci://"+b.registry.Address+"/"+b.namespace+"/webapp", helmexec.ChartOptions{Source: plain})
		if err != nil {
			return err
		}
		return want(nil, info.Name, "webapp")
	}},
	{"Template", func(ctx context.Context, b *bed) error {
		manifest, err := b.h.Template(ctx, "lab/stack", helmexec.TemplateOptions{})
		return want(err, len(manifest) > 0, true)
	}},
	{"Template with FromCluster", func(ctx context.Context, b *bed) error {
		manifest, err := b.h.Template(ctx, "lab/stack", helmexec.TemplateOptions{FromCluster: true})
		return want(err, len(manifest) > 0, true)
	}},
	{"Template with SkipSchema", func(ctx context.Context, b *bed) error {
		manifest, err := b.h.Template(ctx, "lab/stack", helmexec.TemplateOptions{SkipSchema: true, Values: helmexec.Values{"mode": "odd"}})
		return want(err, len(manifest) > 0, true)
	}},
	{"Chart2Images", func(ctx context.Context, b *bed) error {
		images, err := b.h.Chart2Images(ctx, "lab/stack", helmexec.TemplateOptions{}, helmexec.ImageOptions{})
		return want(err, len(images) > 3, true)
	}},
	{"Chart2GPUs", func(ctx context.Context, b *bed) error {
		gpus, err := b.h.Chart2GPUs(ctx, "lab/gpu-inference", helmexec.TemplateOptions{}, helmexec.GPUOptions{})
		if err != nil {
			return err
		}
		return want(nil, gpus.Totals["nvidia.com/gpu"] > 0, true)
	}},
	{"Inspect", func(ctx context.Context, b *bed) error {
		_, err := b.h.Inspect(ctx, "lab/stack", helmexec.InspectOptions{})
		return err
	}},
	{"Cluster", func(ctx context.Context, b *bed) error {
		asked, err := b.h.Cluster(ctx, helmexec.ClusterOptions{})
		if err != nil {
			return err
		}
		return want(nil, asked.ID != "" && len(asked.APIVersions) > 0, true)
	}},
	{"Nodes", func(ctx context.Context, b *bed) error {
		_, err := b.h.Nodes(ctx, helmexec.ClusterOptions{})
		return err
	}},
	{"Plan", func(ctx context.Context, b *bed) error {
		_, err := b.h.Plan(ctx, "planned", "lab/stack", helmexec.PlanOptions{})
		return err
	}},
	{"Plan with Lookups", func(ctx context.Context, b *bed) error {
		_, err := b.h.Plan(ctx, "planned", "lab/stack", helmexec.PlanOptions{Lookups: true})
		return err
	}},
	{"Apply", func(ctx context.Context, b *bed) error {
		plan, err := b.h.Plan(ctx, "planned", "lab/stack", helmexec.PlanOptions{})
		if err != nil {
			return err
		}
		release, err := b.h.Apply(ctx, plan, helmexec.ApplyOptions{Wait: true, Timeout: patient, OperationID: b.namespace + "/1", JobID: b.namespace})
		return deployed(release, err, 1)
	}},
	{"Apply of an upgrade", func(ctx context.Context, b *bed) error {
		plan, err := b.h.Plan(ctx, "planned", "lab/stack", helmexec.PlanOptions{Upgrade: true, Values: helmexec.Values{"replicas": 2}})
		if err != nil {
			return err
		}
		release, err := b.h.Apply(ctx, plan, helmexec.ApplyOptions{Wait: true, Timeout: patient})
		return deployed(release, err, 2)
	}},
	{"Install", func(ctx context.Context, b *bed) error {
		release, err := b.h.Install(ctx, "web", "lab/stack", helmexec.InstallOptions{
			Wait: true, Timeout: patient, Description: "first", Deadline: time.Now().Add(-time.Hour),
		})
		return deployed(release, err, 1)
	}},
	{"Install with Transform", func(ctx context.Context, b *bed) error {
		release, err := b.h.Install(ctx, "labelled", "lab/webapp", helmexec.InstallOptions{
			Transform: helmexec.AddLabels(map[string]string{"lab/job": "7"}), Deadline: time.Now().Add(-time.Hour),
		})
		return deployed(release, err, 1)
	}},
	{"Install that does not get ready", func(ctx context.Context, b *bed) error {
		_, err := b.h.Install(ctx, "never", b.sut, helmexec.InstallOptions{
			Wait: true, Timeout: patient, FailFast: helmexec.FailFastRules(), ProgressInterval: time.Second,
			Values: helmexec.Values{"fault": cluster.FaultImagePull},
		})
		var failed *helmexec.ReleaseError
		if !errors.Is(err, helmexec.ErrNotReady) || !errors.As(err, &failed) || len(failed.Blockers) == 0 {
			return fmt.Errorf("no ErrNotReady with a reason: %w", err)
		}
		return nil
	}},
	{"Install of a name in use", func(ctx context.Context, b *bed) error {
		_, err := b.h.Install(ctx, "web", "lab/stack", helmexec.InstallOptions{})
		return is(err, helmexec.ErrReleaseExists)
	}},
	{"Status", func(ctx context.Context, b *bed) error {
		release, err := b.h.Status(ctx, "web", helmexec.StatusOptions{})
		return deployed(release, err, 1)
	}},
	{"Readiness", func(ctx context.Context, b *bed) error {
		ready, err := b.h.Readiness(ctx, "web", helmexec.ReadinessOptions{})
		if err != nil {
			return err
		}
		return want(nil, len(ready.Blockers), 0)
	}},
	{"List", func(ctx context.Context, b *bed) error {
		releases, err := b.h.List(ctx, helmexec.ListOptions{})
		return want(err, len(releases), 3)
	}},
	{"GetValues", func(ctx context.Context, b *bed) error {
		values, err := b.h.GetValues(ctx, "planned", helmexec.ValuesOptions{})
		return want(err, len(values), 1)
	}},
	{"GetManifest", func(ctx context.Context, b *bed) error {
		manifest, err := b.h.GetManifest(ctx, "web", helmexec.GetOptions{})
		return want(err, len(manifest) > 0, true)
	}},
	{"GetNotes", func(ctx context.Context, b *bed) error {
		notes, err := b.h.GetNotes(ctx, "web", helmexec.GetOptions{})
		return want(err, notes != "", true)
	}},
	{"GetHooks", func(ctx context.Context, b *bed) error {
		hooks, err := b.h.GetHooks(ctx, "web", helmexec.GetOptions{})
		return want(err, len(hooks), 3)
	}},
	{"Test", func(ctx context.Context, b *bed) error {
		tests, err := b.h.Test(ctx, "web", helmexec.TestOptions{Timeout: patient})
		return want(err, len(tests), 1)
	}},
	{"Upgrade", func(ctx context.Context, b *bed) error {
		release, err := b.h.Upgrade(ctx, "web", "lab/stack", helmexec.UpgradeOptions{Wait: true, Timeout: patient, Values: helmexec.Values{"replicas": 2}})
		return deployed(release, err, 2)
	}},
	{"Upgrade with ResetThenReuseValues", func(ctx context.Context, b *bed) error {
		release, err := b.h.Upgrade(ctx, "web", "lab/stack", helmexec.UpgradeOptions{ResetThenReuseValues: true})
		return deployed(release, err, 3)
	}},
	{"Upgrade with SkipSchema", func(ctx context.Context, b *bed) error {
		release, err := b.h.Upgrade(ctx, "web", "lab/stack", helmexec.UpgradeOptions{SkipSchema: true})
		return deployed(release, err, 0)
	}},
	{"Upgrade with Install", func(ctx context.Context, b *bed) error {
		release, err := b.h.Upgrade(ctx, "new", "lab/webapp", helmexec.UpgradeOptions{Install: true, Deadline: time.Now().Add(-time.Hour)})
		return deployed(release, err, 1)
	}},
	{"Rollback", func(ctx context.Context, b *bed) error {
		release, err := b.h.Rollback(ctx, "web", helmexec.RollbackOptions{Revision: 1, Wait: true, Timeout: patient})
		return deployed(release, err, 0)
	}},
	{"History", func(ctx context.Context, b *bed) error {
		revisions, err := b.h.History(ctx, "web", helmexec.HistoryOptions{})
		return want(err, len(revisions) > 3, true)
	}},
	{"Uninstall", func(ctx context.Context, b *bed) error {
		removed, err := b.h.Uninstall(ctx, "labelled", helmexec.UninstallOptions{Wait: true, Timeout: patient})
		if err != nil {
			return err
		}
		return want(nil, len(removed.Remains), 0)
	}},
	{"UninstallJob", func(ctx context.Context, b *bed) error {
		removed, err := b.h.UninstallJob(ctx, b.namespace, helmexec.JobOptions{Wait: true, Timeout: patient})
		return want(err, len(removed), 1)
	}},
	{"Overdue", func(ctx context.Context, b *bed) error {
		overdue, err := b.h.Overdue(ctx, helmexec.JobOptions{})
		return want(err, len(overdue), 2)
	}},
	{"UninstallOverdue", func(ctx context.Context, b *bed) error {
		removed, err := b.h.UninstallOverdue(ctx, helmexec.JobOptions{Wait: true, Timeout: patient})
		return want(err, len(removed), 2)
	}},
	{"RemoveRepo", func(ctx context.Context, b *bed) error { return b.h.RemoveRepo(ctx, "lab") }},
}

// want compares what a call that succeeded gave.
func want[T comparable](err error, got, wanted T) error {
	if err == nil && got != wanted {
		err = fmt.Errorf("got %v, want %v", got, wanted)
	}
	return err
}

// deployed is what a release has to be; revision 0 is any.
func deployed(release *helmexec.Release, err error, revision int) error {
	switch {
	case err != nil:
		return err
	case release.Status != helmexec.StatusDeployed:
		return fmt.Errorf("the release is %s", release.Status)
	case revision != 0:
		return want(nil, release.Revision, revision)
	}
	return nil
}

func is(err, kind error) error {
	if !errors.Is(err, kind) {
		return fmt.Errorf("no %w, but %v", kind, err)
	}
	return nil
}
