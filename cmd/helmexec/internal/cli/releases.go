package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/cmd/helmexec/internal/out"
	"github.com/sut-bench/helmexec/cmd/helmexec/internal/view"
)

func (a *app) releaseCommands() []*cobra.Command {
	all := []*cobra.Command{a.installCommand(), a.listCommand(), a.whyCommand(), a.uninstallCommand(), a.nameCommand()}
	for _, cmd := range all {
		cmd.GroupID = "release"
	}
	return all
}

func (a *app) installCommand() *cobra.Command {
	var chart chartFlags
	var values valueFlags
	var flags changeFlags
	var dryRun, skipCRDs, skipSchema bool
	cmd := &cobra.Command{
		Use:   "install RELEASE CHART",
		Short: "Install a chart that you trust, exactly once",
		Long: `Install a chart in one step. For a chart of strangers use plan, check and apply. What fails is removed again, unless
--keep-failed is set; Ctrl-C removes it, too.`,
		Example: `  helmexec install web ./web --wait --timeout 10m -f lab.yaml --set replicas=3
  helmexec install "$(helmexec name 42 'My web app')" repo/web --job 42 --deadline 4h --wait --fail-fast`,
		Args:              exactly(2),
		ValidArgsFunction: a.completeCharts(1),
		RunE: a.do(func(ctx context.Context, h *helmexec.Helm, args []string) error {
			given, err := values.values(a)
			if err != nil {
				return err
			}
			a.warnOfJob(args[0], flags.job)
			release, err := h.Install(ctx, args[0], args[1], helmexec.InstallOptions{
				Version: chart.version, Source: chart.source, CreateNamespace: flags.createNamespace, Values: given, Wait: flags.wait,
				WaitForJobs: flags.waitForJobs, Timeout: flags.timeout, KeepFailed: flags.keepFailed, DryRun: dryRun, NoHooks: flags.noHooks,
				SkipCRDs: skipCRDs, SkipSchema: skipSchema, Labels: flags.labels, Description: flags.description, OperationID: flags.operation,
				JobID: flags.job, Deadline: flags.until(), Progress: a.progress(args[0]), ProgressInterval: flags.every, FailFast: flags.rules(),
			})
			if err != nil {
				return err
			}
			return a.printRelease(release)
		}),
	}
	chart.add(a, cmd)
	values.add(cmd)
	flags.add(cmd)
	f := cmd.Flags()
	f.BoolVar(&dryRun, "dry-run", false, "ask helm and the cluster what would happen, and change nothing")
	f.BoolVar(&skipCRDs, "skip-crds", false, "leave out the custom resource definitions that the chart brings")
	f.BoolVar(&skipSchema, "skip-schema", false, "do not check values by the chart's schema")
	return cmd
}

func (a *app) printRelease(release *helmexec.Release) error {
	shown := view.ReleaseOf(*release)
	return a.out.Print(shown, func(p *out.Page) {
		p.Line("%s is %s, revision %d", shown.Name, statusOf(shown.Status), shown.Revision)
		if shown.Recovered {
			p.Line("it was there already: the same operation, or a try that seemed lost, made it; chart and values are those of then")
		}
		fields(p, "deadline", shown.Deadline)
	})
}

func statusOf(status string) out.Styled {
	switch helmexec.Status(status) {
	case helmexec.StatusDeployed:
		return out.Good.In(status)
	case helmexec.StatusFailed:
		return out.Bad.In(status)
	case helmexec.StatusSuperseded, helmexec.StatusUninstalled:
		return out.Styled{Text: status}
	}
	return out.Warn.In(status)
}

func (a *app) listCommand() *cobra.Command {
	var opts helmexec.ListOptions
	var statuses []string
	var job string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List releases, in every state",
		Long: `List releases, in every state. A list shows no deadlines, since helm's list does not have them: helmexec why RELEASE shows that
of one release.`,
		Example: `  helmexec list -n bench
  helmexec list -A --job 42 -o json
  helmexec list --status failed,pending-install`,
		Args: cobra.NoArgs,
		RunE: a.do(func(ctx context.Context, h *helmexec.Helm, _ []string) error {
			for _, s := range statuses {
				opts.Statuses = append(opts.Statuses, helmexec.Status(s))
			}
			releases, err := h.List(ctx, opts)
			if err != nil {
				return err
			}
			shown := view.ReleasesOf(releases)
			if job != "" {
				own := jobInNames(job)
				all := shown.Releases
				shown.Releases = []view.Release{}
				for _, r := range all {
					if r.Job == own {
						shown.Releases = append(shown.Releases, r)
					}
				}
			}
			if len(shown.Releases) == 0 {
				what := "no release"
				if job != "" || opts.Filter != "" || opts.Selector != "" || len(statuses) > 0 {
					what = "no such release"
				}
				a.say("%s in %s", what, a.searched(opts.AllNamespaces))
			}
			return a.out.Print(shown, func(p *out.Page) { releasesTable(p, shown.Releases) })
		}),
	}
	f := cmd.Flags()
	f.BoolVarP(&opts.AllNamespaces, "all-namespaces", "A", false, "of every namespace")
	f.StringVar(&opts.Filter, "filter", "", "regular `expression` on the name")
	f.StringVarP(&opts.Selector, "selector", "l", "", "`labels` of the release record, k=v,k2!=v2")
	f.StringSliceVar(&statuses, "status", nil, "only releases in these `states`")
	f.StringVar(&job, "job", "", "only releases whose name says that they are of the job of this `id`; -l helmexec/job=ID: those installed with --job")
	complete(cmd, "status", cobra.FixedCompletions([]string{
		"deployed", "failed", "pending-install", "pending-rollback", "pending-upgrade", "superseded", "uninstalled", "uninstalling", "unknown",
	}, withoutFiles))
	return cmd
}

// jobInNames is how the names of the releases of a job write its id.
func jobInNames(job string) string {
	_, own, _ := strings.Cut(helmexec.SUTHelmName(job, "x"), "job-")
	own, _, _ = strings.Cut(own, "-sut-")
	return own
}

// warnOfJob says if a release gets the name of one job and the label of another, which counts.
func (a *app) warnOfJob(release, job string) {
	if named, _, ok := helmexec.ParseSUTHelmName(release); ok && job != "" && named != jobInNames(job) {
		a.say("warning: %s is a name of job %s, and --job is %s: only job clean %[3]s removes it", release, named, job)
	}
}

func releasesTable(p *out.Page, releases []view.Release) {
	p.Head("NAME", "NAMESPACE", "REVISION", "STATUS", "CHART", "UPDATED")
	for _, r := range releases {
		p.Row(r.Name, r.Namespace, r.Revision, statusOf(r.Status), strings.TrimSpace(r.Chart+" "+r.ChartVersion), r.Updated)
	}
}

func (a *app) whyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "why RELEASE",
		Short: "Show what keeps a release from being ready",
		Long: `Show how many pods of a release are ready, and what is in the way: pods and containers first, with the last warning of
Kubernetes. It also shows the job of the release, and its deadline, if --deadline has set one. A release that failed is there
only if it was installed with --keep-failed.`,
		Example: `  helmexec why job-42-sut-web
  helmexec why job-42-sut-web -o json | jq -r '.blockers[].reason'`,
		Args:              exactly(1),
		ValidArgsFunction: a.completeReleases,
		RunE: a.do(func(ctx context.Context, h *helmexec.Helm, args []string) error {
			now, err := h.Readiness(ctx, args[0], helmexec.ReadinessOptions{})
			if errors.Is(err, helmexec.ErrReleaseNotFound) {
				return fmt.Errorf("no release %s in %s (one that fails is removed again, unless --keep-failed is set): %w", args[0], a.namespace(), err)
			}
			if err != nil {
				return err
			}
			shown := view.Why{Release: view.ReleaseOf(*now.Release), Ready: now.Ready, Total: now.Total, Blockers: view.BlockersOf(now.Blockers)}
			return a.out.Print(shown, func(p *out.Page) {
				p.Line("%s is %s, %d of %d pods ready", shown.Release.Name, statusOf(shown.Release.Status), shown.Ready, shown.Total)
				fields(p, "job", shown.Release.Job, "deadline", shown.Release.Deadline)
				blockersTable(p, shown.Blockers)
			})
		}),
	}
	return cmd
}

func blockersTable(p *out.Page, blockers []view.Blocker) {
	if len(blockers) == 0 {
		return
	}
	p.Head("OBJECT", "CONTAINER", "REASON", "RESTARTS", "WHAT IS IN THE WAY")
	for _, b := range blockers {
		text := b.Message
		if !repeats(b.Event, b.Message) {
			text = strings.TrimPrefix(text+"; "+b.Event, "; ")
		}
		p.Row(b.Object, b.Container, out.Bad.In(b.Reason), b.Restarts, text)
	}
}

// repeats reports whether an event, "FailedScheduling: 0/1 nodes are available", says no more than the message of a blocker.
func repeats(event, message string) bool {
	_, text, _ := strings.Cut(event, ": ")
	return strings.Contains(message, event) || text != "" && strings.Contains(message, text)
}

func (a *app) uninstallCommand() *cobra.Command {
	var opts helmexec.UninstallOptions
	cmd := &cobra.Command{
		Use:   "uninstall RELEASE",
		Short: "Remove a release, and list what Helm leaves",
		Example: `  helmexec uninstall job-42-sut-web --wait --timeout 5m
  helmexec uninstall web --ignore-not-found -o json | jq '.remains'`,
		Args:              exactly(1),
		ValidArgsFunction: a.completeReleases,
		RunE: a.do(func(ctx context.Context, h *helmexec.Helm, args []string) error {
			removed, err := h.Uninstall(ctx, args[0], opts)
			if errors.Is(err, helmexec.ErrReleaseNotFound) {
				return fmt.Errorf("no release %s in %s; -n names another one: %w", args[0], a.namespace(), err)
			}
			if err != nil {
				return err
			}
			shown := view.RemovedOf(removed)
			return a.out.Print(shown, func(p *out.Page) {
				if shown.Release == nil {
					p.Line("%s: nothing to remove, there is no such release in %s", args[0], a.namespace())
				}
				removedPage(p, shown)
			})
		}),
	}
	f := cmd.Flags()
	f.BoolVar(&opts.Wait, "wait", false, "wait until the objects, and their pods, are gone")
	f.DurationVar(&opts.Timeout, "timeout", 0, "how long to wait for each hook, and for the objects (default 5m)")
	f.BoolVar(&opts.NoHooks, "no-hooks", false, "skip the chart's delete hooks, such as one that blocks")
	f.BoolVar(&opts.KeepHistory, "keep-history", false, "keep the record as uninstalled, and the name taken")
	f.BoolVar(&opts.IgnoreNotFound, "ignore-not-found", false, "no such release is a success")
	return cmd
}

// removedPage lists what was removed, and what Helm leaves of it. A namespace that each of them may have made has one line.
func removedPage(p *out.Page, all ...view.Removed) {
	var namespaces []view.Remain
	left := false
	line := func(r view.Remain) { p.Line("Helm leaves %s (%s, %s) %s", r.Object, r.Cause, r.State, r.Why) }
	for _, removed := range all {
		if removed.Release != nil {
			p.Line("%s is removed", removed.Release.Name)
		}
		for _, r := range removed.Remains {
			if r.Cause == string(helmexec.RemainNamespace) {
				if !slices.Contains(namespaces, r) {
					namespaces = append(namespaces, r)
				}
				continue
			}
			line(r)
			left = true
		}
	}
	if left {
		p.Line("what Helm leaves stays until somebody removes it: kubectl delete KIND NAME -n NAMESPACE")
	}
	for _, r := range namespaces {
		line(r)
	}
}

func (a *app) nameCommand() *cobra.Command {
	var parse bool
	cmd := &cobra.Command{
		Use:   "name [JOB] SUT",
		Short: "Make the name of a release",
		Long:  "Make the release name of a system under test in a job, or prune one name to what Helm accepts. --parse splits such a name.",
		Example: `  helmexec name 42 'My web app'        # job-42-sut-mywebapp
  helmexec name 'My_Model v1.2'        # my-modelv12
  helmexec name --parse job-42-sut-web # 42 web`,
		Args:              between(1, 2),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(_ *cobra.Command, args []string) error {
			var shown view.Name
			switch {
			case parse && len(args) > 1:
				return fmt.Errorf("%w: --parse takes one name", helmexec.ErrInvalidArgument)
			case parse:
				job, sut, ok := helmexec.ParseSUTHelmName(args[0])
				if !ok {
					return fmt.Errorf("%w: %q is not the name of a system under test in a job", helmexec.ErrInvalidArgument, args[0])
				}
				shown = view.Name{Name: args[0], Job: job, SUT: sut}
			case len(args) == 1:
				shown.Name = helmexec.SUTNamePrune(args[0])
			case args[0] == "":
				return fmt.Errorf("%w: the id of the job is empty", helmexec.ErrInvalidArgument)
			default:
				shown.Name = helmexec.SUTHelmName(args[0], args[1])
				shown.Job, shown.SUT, _ = helmexec.ParseSUTHelmName(shown.Name)
			}
			return a.out.Print(shown, func(p *out.Page) {
				if parse {
					p.Line("%s %s", shown.Job, shown.SUT)
				} else {
					p.Line("%s", shown.Name)
				}
			})
		},
	}
	cmd.Flags().BoolVar(&parse, "parse", false, "split the name of a release into job and SUT")
	return cmd
}
