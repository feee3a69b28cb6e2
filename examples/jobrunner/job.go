package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/sut-bench/helmexec"
)

// sut is a system under test: a team's name for it, and the address of its chart.
type sut struct{ name, address string }

// job is what all SUTs of a job share.
type job struct {
	helm    *helmexec.Helm
	id      string
	attempt string
	out     *lines
}

// run takes one SUT through the job and reports whether all of it worked.
func (j *job) run(ctx context.Context, s sut) bool {
	say := j.out.of(s)
	err := j.measure(ctx, s, say)
	if err != nil {
		say.step("FAILED", "%v", err)
	}
	return err == nil
}

// measure takes one SUT from its address to a clean cluster.
func (j *job) measure(ctx context.Context, s sut, say *sutLines) error {
	chart, err := j.helm.Chart2Info(ctx, s.address, helmexec.ChartOptions{})
	if err != nil {
		return fmt.Errorf("resolve the chart: %w", err)
	}
	say.step("chart", "%s %s", chart.Name, chart.Version)

	// The archive is the resolved chart, whatever the repository serves from now on.
	release := helmexec.SUTHelmName(j.id, s.name)
	render := helmexec.TemplateOptions{ReleaseName: release, FromCluster: true}
	images, err := j.helm.Chart2Images(ctx, chart.Archive, render, helmexec.ImageOptions{})
	if err != nil {
		return fmt.Errorf("list the images: %w", err)
	}
	say.step("images", "%d to pull\n%s", len(images), imageTable(images))

	gpus, err := j.helm.Chart2GPUs(ctx, chart.Archive, render, helmexec.GPUOptions{})
	if err != nil {
		return fmt.Errorf("count the GPUs: %w", err)
	}
	say.step("GPUs", "%s", gpuTotals(gpus))

	say.step("release", "%s", release)
	say.step("install", "started, waiting until it is ready")
	installed, err := j.helm.Install(ctx, release, chart.Archive, helmexec.InstallOptions{
		Wait:        true,
		Timeout:     2 * time.Minute,
		OperationID: j.id + "/" + j.attempt, // a restarted runner continues this install
		JobID:       j.id,
		Progress:    say.progress,
	})
	if err != nil {
		return fmt.Errorf("install: %w", err)
	}
	say.step("ready", "%s, revision %d", installed.Status, installed.Revision)

	benchmarkErr := j.benchmark(ctx, release, say)

	// The SUT is removed even if its benchmark failed or ctx has ended, because it holds GPUs.
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer cancel()
	return errors.Join(benchmarkErr, j.remove(cleanup, release, say))
}

// benchmark is where a real job measures the SUT.
func (j *job) benchmark(ctx context.Context, release string, say *sutLines) error {
	now, err := j.helm.Status(ctx, release, helmexec.StatusOptions{})
	if err != nil {
		return fmt.Errorf("benchmark: %w", err)
	}
	say.step("benchmark", "a real one measures here; the release is still %s", now.Status)
	return nil
}

// remove uninstalls a release and makes sure that nothing of it is left.
func (j *job) remove(ctx context.Context, release string, say *sutLines) error {
	removed, err := j.helm.Uninstall(ctx, release, helmexec.UninstallOptions{Wait: true, Timeout: time.Minute})
	if err != nil {
		return fmt.Errorf("uninstall: %w", err)
	}
	say.step("uninstalled", "and all its objects are gone")

	found, err := j.helm.List(ctx, helmexec.ListOptions{Filter: "^" + regexp.QuoteMeta(release) + "$"})
	switch {
	case err != nil:
		return fmt.Errorf("look for what is left: %w", err)
	case len(found) > 0:
		return fmt.Errorf("release %s is still there: %s", release, found[0].Status)
	case len(removed.Remains) > 0:
		return fmt.Errorf("what Helm does not remove is left: %v", removed.Remains)
	}
	say.step("clean", "nothing is left")
	return nil
}
