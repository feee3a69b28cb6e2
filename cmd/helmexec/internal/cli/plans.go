package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/cmd/helmexec/internal/out"
	"github.com/sut-bench/helmexec/cmd/helmexec/internal/page"
	"github.com/sut-bench/helmexec/cmd/helmexec/internal/view"
	"github.com/sut-bench/helmexec/plan"
)

func (a *app) planCommands() []*cobra.Command {
	all := []*cobra.Command{a.planCommand(), a.checkCommand(), a.diffCommand(), a.applyCommand()}
	for _, cmd := range all {
		cmd.GroupID = "plan"
	}
	return all
}

func (a *app) planCommand() *cobra.Command {
	var flags planFlags
	var rules policyFlags
	var save string
	var force bool
	cmd := &cobra.Command{
		Use:   "plan RELEASE CHART",
		Short: "Show exactly what an install would apply",
		Long: `Render a chart once and show all that would run: images, accelerators, objects, hooks, CRDs, and what the rules for
charts of strangers have against it. --save keeps the plan for apply, with every Secret of the chart; it replaces another
plan, or a file that is none, only with --force. -o html writes one page for a reviewer. The exit code is 0 also if the rules have something against it; check is the gate.`,
		Example: `  helmexec plan job-42-sut-web ./web --save plan.json
  helmexec plan job-42-sut-web oci://registry.example/suts/web:1.2.3 --offline --registry registry.example -o html > review.html
  helmexec plan --from plan.json -o json`,
		Args:              flags.args(2),
		ValidArgsFunction: a.completeReleaseAndChart,
		RunE: func(cmd *cobra.Command, args []string) error {
			if force && save == "" {
				return fmt.Errorf("%w: --force is for the file of --save, which is not given", helmexec.ErrInvalidArgument)
			}
			policy, err := rules.policy(cmd.Context(), a)
			if err != nil {
				return err
			}
			p, err := flags.plan(cmd.Context(), a, cmd, at(args, 0), at(args, 1))
			if err != nil {
				return err
			}
			if save != "" {
				if err := savePlan(cmd.Context(), p, save, force); err != nil {
					return fmt.Errorf("--save %s: %w", save, err)
				}
			}
			shown := view.PlanOf(p, rules.verdict(p, policy))
			if a.out.Format == "html" {
				text, err := page.Plan(shown)
				if err != nil {
					return err
				}
				return a.out.Write(text)
			}
			return a.out.Print(shown, func(p *out.Page) { planPage(p, shown) })
		},
	}
	flags.add(a, cmd)
	flags.addUpgrade(cmd)
	cmd.Flags().BoolVar(&flags.upgrade, "upgrade", false, "plan an upgrade of a release that exists")
	flags.replacedByFrom(cmd)
	rules.add(cmd)
	cmd.Flags().StringVar(&save, "save", "", "write the plan to this `file`, which only you can read")
	cmd.Flags().BoolVar(&force, "force", false, "with --save: replace a file that has another plan, or something else")
	return cmd
}

// savePlan keeps a plan in a file. It does not replace another one, which somebody may have reviewed, unless force is set.
func savePlan(ctx context.Context, p *helmexec.Plan, path string, force bool) error {
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Size() > 0 && !force {
		before, err := plan.Load(ctx, path)
		if err != nil {
			return fmt.Errorf("%w: the file exists and cannot be read as a plan; --force replaces it: %v", helmexec.ErrInvalidArgument, err)
		}
		if before.Digest() != p.Digest() {
			return fmt.Errorf("%w: the file has another plan, %s, and this one is %s; --force replaces it", helmexec.ErrInvalidArgument, before.Digest(), p.Digest())
		}
	}
	return p.Save(path)
}

func at(args []string, i int) string {
	if i < len(args) {
		return args[i]
	}
	return ""
}

func planPage(p *out.Page, shown view.Plan) {
	what := "install"
	if shown.Upgrade {
		what = fmt.Sprintf("upgrade of revision %d", shown.Base)
	}
	fields(p, "release", shown.Release, "namespace", shown.Namespace, "plan", what, "chart", shown.Chart.Name+" "+shown.Chart.Version,
		"archive", shown.Chart.Digest, "signing key", shown.Chart.SigningKey, "digest", shown.Digest, "accelerators", amounts(shown.GPUs.Totals))
	if len(shown.Images.Uses) > 0 {
		p.Head("REGISTRY", "IMAGE")
		for _, registry := range shown.Images.ByRegistry() {
			for _, image := range registry.Images {
				p.Row(registry.Name, image)
			}
		}
	}
	if doubts := append(shown.Images.Invalid, shown.Images.Unresolved...); len(doubts) > 0 {
		usesTable(p, "NOT KNOWN", doubts)
	}
	if len(shown.Images.Hints) > 0 {
		usesTable(p, "A PROGRAM MAY PULL", shown.Images.Hints)
	}
	p.Head("OBJECT", "RUNS")
	for _, o := range shown.CRDs {
		p.Row(o.Object, "before everything else")
	}
	for _, o := range shown.Objects {
		p.Row(o.Object, "")
	}
	for _, o := range shown.Hooks {
		p.Row(o.Object, strings.Join(o.Hooks, ", "))
	}
	verdictPage(p, shown.Verdict)
}

func verdictPage(p *out.Page, v view.Verdict) {
	if v.Nodes != nil {
		p.Head("NODES", "EACH HAS FREE")
		alike := map[string]int{}
		for _, free := range v.Nodes {
			alike[amounts(free)]++
		}
		for _, free := range slices.Sorted(maps.Keys(alike)) {
			p.Row(alike[free], free)
		}
	}
	if len(v.Findings) > 0 {
		p.Head("RULE", "OBJECT", "FIELD", "WHAT IS WRONG")
		for _, f := range v.Findings {
			text := f.Text
			if f.Value != "" {
				text += ": " + f.Value
			}
			p.Row(out.Bad.In(f.Rule), f.Object, f.Path, text)
		}
	}
	if len(v.Misfits) > 0 {
		p.Head("DOES NOT FIT", "PODS LEFT", "WHY")
		for _, m := range v.Misfits {
			p.Row(out.Bad.In(m.Object.String()), m.Unplaced, m.Reason)
		}
	}
	p.Line("")
	p.Line("checked: %s", v.Policy.Text())
	if v.Allowed {
		p.Line("%s", out.Good.In("allowed: no rule has anything against it"))
		return
	}
	p.Line("%s", out.Bad.In("refused: "+v.Against()))
}

func (a *app) checkCommand() *cobra.Command {
	var flags planFlags
	var rules policyFlags
	release := "check"
	cmd := &cobra.Command{
		Use:   "check CHART",
		Short: "Decide whether a chart may run: a gate for CI",
		Long: `Plan a chart and hold it against the rules for charts of strangers, the registries that images may come from, and the
accelerators of the nodes: those of --policy and --node, or what the nodes of the cluster have free now. The exit code is
0 if it may run, 3 if not, and 5 if the chart cannot be planned at all. Without nodes no accelerator is allowed.

--policy is a YAML file. All of its fields are optional:

  registries: [registry.example, docker.io/library]        # any without it
  pinned: false                                            # true: every image needs a digest
  restricted: false                                        # true: pods of the level restricted, not baseline
  noTokens: false                                          # true: no pod gets the token of its ServiceAccount
  kinds: [argoproj.io/Workflow]                            # beside the usual ones
  references: [Secret/registry-login]                      # what a chart uses and does not make
  limits: {cpu: "64", memory: 256Gi, storage: 1Ti, pods: 100, nodes: 2, gpus: {nvidia.com/gpu: 16}}
  nodes: [{nvidia.com/gpu: 8}, {nvidia.com/gpu: 8}]        # the accelerators of each; {} for a node without`,
		Example: `  helmexec check ./web --offline --registry registry.example
  helmexec check ./inference --policy lab.yaml --node nvidia.com/gpu=8 --node nvidia.com/gpu=8
  helmexec check ./inference --policy lab.yaml --nodes-from-cluster
  helmexec check --from plan.json --policy lab.yaml -o json`,
		Args:              flags.args(1),
		ValidArgsFunction: a.completeCharts(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			policy, err := rules.policy(cmd.Context(), a)
			if err != nil {
				return err
			}
			p, err := flags.plan(cmd.Context(), a, cmd, release, at(args, 0))
			if err != nil {
				return err
			}
			shown := view.CheckOf(p, rules.verdict(p, policy))
			err = a.out.Print(shown, func(page *out.Page) {
				fields(page, "chart", shown.Chart.Name+" "+shown.Chart.Version, "digest", shown.Digest)
				verdictPage(page, shown.Verdict)
			})
			if err == nil && !shown.Allowed {
				err = errNo
			}
			return err
		},
	}
	flags.add(a, cmd)
	cmd.Flags().StringVar(&release, "release", release, "`name` of the release that is planned")
	flags.replacedByFrom(cmd)
	rules.add(cmd)
	return cmd
}

// wholeDigest is the form of the digest of a plan.
var wholeDigest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

func (a *app) applyCommand() *cobra.Command {
	var flags changeFlags
	var digest string
	cmd := &cobra.Command{
		Use:   "apply PLAN",
		Short: "Install or upgrade exactly what a saved plan shows",
		Long: `Apply the plan that plan --save wrote. Give --digest the digest that was approved: a file proves nothing about who wrote
it. What fails is removed again, unless --keep-failed is set.`,
		Example: `  helmexec apply plan.json --digest sha256:… --wait --timeout 10m --job 42 --operation-id 42/1`,
		Args:    exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if digest != "" && !wholeDigest.MatchString(digest) {
				return fmt.Errorf("%w: --digest %.80q: want sha256: and 64 hexadecimal digits, as plan prints it", helmexec.ErrInvalidArgument, digest)
			}
			h, err := a.helm()
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			p, err := a.load(ctx, cmd, args[0])
			if err != nil {
				return err
			}
			a.warnOfJob(p.Release, flags.job)
			release, err := h.Apply(ctx, p, helmexec.ApplyOptions{
				Digest: digest, CreateNamespace: flags.createNamespace, Wait: flags.wait, WaitForJobs: flags.waitForJobs, Timeout: flags.timeout,
				KeepFailed: flags.keepFailed, NoHooks: flags.noHooks, Labels: flags.labels, Description: flags.description,
				OperationID: flags.operation, JobID: flags.job, Deadline: flags.until(), Progress: a.progress(p.Release),
				ProgressInterval: flags.every, FailFast: flags.rules(),
			})
			if err != nil {
				return err
			}
			return a.printRelease(release)
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&digest, "digest", "", "refuse a plan that has another `digest` than this one")
	return cmd
}

func (a *app) diffCommand() *cobra.Command {
	var flags planFlags
	var full, secrets, asks bool
	cmd := &cobra.Command{
		Use:   "diff RELEASE CHART",
		Short: "Show what a chart would change in a release",
		Long: `Plan a chart as an upgrade of a release, or as an install if there is none, and list the objects that would be added,
changed or dropped. --full shows their lines; the content of Secrets stays hidden.`,
		Example: `  helmexec diff web ./web --reuse-values --set replicas=3
  helmexec diff web ./web --full
  helmexec diff --from plan.json --exit-code`,
		Args:              flags.args(2),
		ValidArgsFunction: a.completeReleaseAndChart,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			h, err := a.helm()
			if err != nil {
				return err
			}
			flags.upgrade = true
			p, err := flags.plan(ctx, a, cmd, at(args, 0), at(args, 1))
			if errors.Is(err, helmexec.ErrReleaseNotFound) {
				flags.upgrade, flags.reuse, flags.reset = false, false, false
				p, err = flags.plan(ctx, a, cmd, at(args, 0), at(args, 1))
			}
			if err != nil {
				return err
			}
			var before helmexec.Manifest
			opts := helmexec.GetOptions{Namespace: p.Namespace}
			before, err = h.GetManifest(ctx, p.Release, opts)
			if err == nil {
				var hooks []helmexec.Hook
				hooks, err = h.GetHooks(ctx, p.Release, opts)
				for _, hook := range hooks {
					before = append(append(before, "\n---\n"...), hook.Manifest...)
				}
			}
			switch {
			case errors.Is(err, helmexec.ErrReleaseNotFound):
				a.say("there is no release %s in %s, so all of the plan is new; -n names another namespace", p.Release, a.namespaceOf(p))
			case err != nil:
				return err
			}
			differences, err := p.Diff(ctx, before)
			if err != nil {
				return err
			}
			shown := view.Diff{Release: p.Release, Digest: p.Digest(), Changes: changesOf(differences, full, secrets)}
			err = a.out.Print(shown, func(page *out.Page) { diffPage(page, shown) })
			if err == nil && asks && len(shown.Changes) > 0 {
				err = errNo
			}
			return err
		},
	}
	flags.add(a, cmd)
	flags.addUpgrade(cmd)
	flags.replacedByFrom(cmd)
	f := cmd.Flags()
	f.BoolVar(&full, "full", false, "show the lines that differ")
	f.BoolVar(&secrets, "show-secrets", false, "with --full: show those of Secrets, too")
	f.BoolVar(&asks, "exit-code", false, "exit with 3 if something differs")
	return cmd
}

func diffPage(p *out.Page, d view.Diff) {
	if len(d.Changes) == 0 {
		p.Line("%s: nothing changes", d.Release)
	}
	for _, c := range d.Changes {
		sign := map[string]out.Styled{"added": out.Good.In("+ "), "dropped": out.Bad.In("- "), "changed": out.Warn.In("~ ")}[c.Change]
		p.Line("%s%s", sign, c.Object)
		for _, line := range c.Lines {
			style := map[byte]out.Style{'+': out.Good, '-': out.Bad}[line[0]]
			p.Line("    %s", style.In(line))
		}
	}
}
