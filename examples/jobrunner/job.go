package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/plan"
	"github.com/sut-bench/helmexec/policy"
)

// sut is a system under test: a team's name for it, and the address of its chart.
type sut struct{ name, address string }

// job is what all SUTs of a job share.
type job struct {
	helm    *helmexec.Helm
	id      string
	attempt string
	plans   string // the folder of what is being installed
	stdout  io.Writer
	out     *lines // on stdout

	// How a SUT is waited for.
	rules    []helmexec.FailFastRule // that end the wait
	interval time.Duration           // between two looks; 0 is 5 s
	timeout  time.Duration           // until it must be ready; longer than the After of every rule

	// What a chart may ask for.
	trusted    bool // the rules only report
	registries []string
	nodes      []map[string]int64 // the accelerators of each node
}

// errRefused is a chart that the rules do not allow, or that fits on no node.
var errRefused = errors.New("refused")

// run takes one SUT through the job, and prints what goes wrong.
func (j *job) run(ctx context.Context, s sut) error {
	say := j.out.of(s)
	err := j.measure(ctx, s, say)
	if err != nil {
		say.step("FAILED", "%v", err)
	}
	return err
}

// measure takes one SUT from its address to a clean cluster.
func (j *job) measure(ctx context.Context, s sut, say *sutLines) error {
	release := helmexec.SUTHelmName(j.id, s.name)
	p, err := j.plan(ctx, release, s.address)
	if err != nil {
		return err
	}
	say.step("chart", "%s %s", p.Chart.Name, p.Chart.Version)
	say.step("images", "%s", imageTable(p.Images))
	say.step("GPUs", "%s", gpuTotals(p.GPUs))
	if err := j.check(p, say); err != nil {
		return err
	}

	say.step("release", "%s", release)
	if err := p.Save(j.file(release)); err != nil {
		return fmt.Errorf("keep the plan: %w", err)
	}
	say.step("install", "started, waiting until it is ready")
	installed, err := j.helm.Apply(ctx, p, helmexec.ApplyOptions{
		Wait:             true,
		Timeout:          j.timeout,
		FailFast:         j.rules,
		OperationID:      j.id + "/" + j.attempt, // a restarted runner continues this install
		JobID:            j.id,
		Progress:         say.progress,
		ProgressInterval: j.interval,
	})
	if err != nil {
		if !errors.Is(err, helmexec.ErrLeftBehind) {
			os.Remove(j.file(release))
		}
		return fmt.Errorf("install: %w", err)
	}
	say.step("ready", "%s, revision %d", installed.Status, installed.Revision)

	benchmarkErr := j.benchmark(ctx, p, say)

	// The SUT is removed even if its benchmark failed or ctx has ended, because it holds GPUs.
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer cancel()
	return errors.Join(benchmarkErr, j.remove(cleanup, p, say))
}

// plan renders the chart once. A restarted runner takes the plan of the runner before it from the file: a chart with a
// random password renders to something else each time, and what is installed is what that runner planned.
func (j *job) plan(ctx context.Context, release, address string) (*helmexec.Plan, error) {
	p, err := plan.Load(ctx, j.file(release))
	if errors.Is(err, fs.ErrNotExist) {
		return j.helm.Plan(ctx, release, address, helmexec.PlanOptions{})
	}
	return p, err
}

// file is where the plan of a release is while the release may be there.
func (j *job) file(release string) string {
	return filepath.Join(j.plans, release+"-"+url.PathEscape(j.attempt)+".json")
}

// check decides whether the plan may run here.
func (j *job) check(p *helmexec.Plan, say *sutLines) error {
	limits := policy.Limits{Nodes: int64(len(j.nodes)), GPUs: map[string]int64{}}
	for _, node := range j.nodes {
		for name, amount := range node {
			limits.GPUs[name] += amount
		}
	}
	findings := p.Check(policy.Tenant(policy.TenantOptions{Registries: j.registries, Limits: limits}))
	for _, f := range findings {
		say.step("policy", "%s", f)
	}
	if len(findings) > 0 && !j.trusted {
		return fmt.Errorf("%w: the rules for charts of strangers object, see above; -trusted installs it all the same", errRefused)
	}
	if len(j.nodes) == 0 {
		return nil
	}
	if fits, misfits := p.GPUs.Fits(j.nodes); !fits {
		var why []string
		for _, m := range misfits {
			why = append(why, fmt.Sprintf("%s: %s", m.Object, m.Reason))
		}
		return fmt.Errorf("%w: it does not fit on the nodes:\n%s", errRefused, strings.Join(why, "\n"))
	}
	return nil
}

// benchmark is where a real job measures the SUT.
func (j *job) benchmark(ctx context.Context, p *helmexec.Plan, say *sutLines) error {
	now, err := j.helm.Status(ctx, p.Release, helmexec.StatusOptions{Namespace: p.Namespace})
	if err != nil {
		return fmt.Errorf("benchmark: %w", err)
	}
	say.step("benchmark", "a real one measures here; the release is still %s", now.Status)
	return nil
}

// remove uninstalls a release and makes sure that nothing of it is left.
func (j *job) remove(ctx context.Context, p *helmexec.Plan, say *sutLines) error {
	removed, err := j.helm.Uninstall(ctx, p.Release, helmexec.UninstallOptions{Namespace: p.Namespace, Wait: true, Timeout: time.Minute})
	if err != nil {
		return fmt.Errorf("uninstall: %w", err)
	}
	os.Remove(j.file(p.Release))
	say.step("uninstalled", "and all its objects are gone")

	found, err := j.helm.List(ctx, helmexec.ListOptions{Namespace: p.Namespace, Filter: "^" + regexp.QuoteMeta(p.Release) + "$"})
	switch {
	case err != nil:
		return fmt.Errorf("look for what is left: %w", err)
	case len(found) > 0:
		return fmt.Errorf("release %s is still there: %s", p.Release, found[0].Status)
	case len(removed.Remains) > 0:
		return fmt.Errorf("what Helm does not remove is left: %v", removed.Remains)
	}
	say.step("clean", "nothing is left")
	return nil
}
