package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/cmd/helmexec/internal/job"
	"github.com/sut-bench/helmexec/cmd/helmexec/internal/out"
	"github.com/sut-bench/helmexec/cmd/helmexec/internal/view"
)

func (a *app) jobCommands() []*cobra.Command {
	jobs := &cobra.Command{Use: "job", Short: "Run a benchmark job, or clean up after one", GroupID: "job"}
	jobs.AddCommand(a.jobRunCommand(), a.jobCleanCommand())
	overdue := a.overdueCommand()
	overdue.GroupID = "job"
	return []*cobra.Command{jobs, overdue}
}

func (a *app) jobRunCommand() *cobra.Command {
	var results, id string
	var index int
	cmd := &cobra.Command{
		Use:   "run JOBS.yaml",
		Short: "Take systems under test through a job: check, install, measure, remove",
		Long: `Take every system under test of a file through the whole job, several at once: plan, check, install, wait, run the
benchmark command, remove. The results are in a file that is always whole. Started again after a kill, with the same job
and attempt, it continues: what is done or has failed stays so, and what was half installed is taken over. Another attempt
in the file starts everything anew. The benchmark command runs in the folder of the file; what it prints goes to stderr.

The least that a file has is

  job: "42"
  suts: [{name: web, chart: ./web}]

Other fields are attempt, namespace, createNamespace, parallel, timeout, deadline, failFast, trusted, policy (the fields of
a policy file, see check --help), benchmark (a list: a command and its arguments), and of a SUT version, values, valuesFiles,
skipCRDs and timeout.

--index runs one system under test, so that an Indexed Job of Kubernetes runs each in a pod of its own.

Exit code 14 says that a system under test failed; the results say which and why.`,
		Example: `  helmexec job run jobs.yaml
  helmexec job run jobs.yaml --results /data/42.json -o json | jq '.suts[] | select(.state != "done")'
  helmexec job run jobs.yaml --job nightly --index 3 --results /home/results.json -o json`,
		Args: exactly(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return []cobra.Completion{"yaml", "yml", "json"}, cobra.ShellCompDirectiveFilterFileExt
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			opts := job.Options{ID: id}
			if cmd.Flags().Changed("index") {
				opts.Index = &index
			}
			spec, err := job.Load(args[0], opts)
			if err != nil {
				return err
			}
			if spec.Namespace != "" && !cmd.Flags().Changed("namespace") {
				// Helm names a namespace to a plugin in any case.
				if of := a.cfg.Namespace; of != "" && of != spec.Namespace {
					a.say("the namespace is %s, which %s names, and not %s", spec.Namespace, args[0], of)
				}
				a.cfg.Namespace = spec.Namespace
			}
			h, err := a.helm()
			if err != nil {
				return err
			}
			if results == "" {
				results = strings.TrimSuffix(args[0], filepath.Ext(args[0]))
				if opts.Index != nil {
					results += "." + strconv.Itoa(index)
				}
				results += ".results.json"
			}
			began := time.Now()
			runner := job.Runner{
				Helm: h, Kubeconfig: a.cfg.Kubeconfig, KubeContext: a.cfg.KubeContext, Results: results, Kind: kindOf,
				Say:  func(sut, format string, args ...any) { a.out.Say("%s: %s", sut, fmt.Sprintf(format, args...)) },
				Live: func(text string) { a.out.Live(time.Since(began), "%s", text) },
			}
			result, err := runner.Run(cmd.Context(), spec)
			a.out.Done()
			if result == nil {
				return err
			}
			if printErr := a.out.Print(result, func(p *out.Page) { jobPage(p, *result, results) }); printErr != nil {
				return printErr
			}
			if err != nil {
				err = answered{err}
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&results, "results", "", "`file` of the results (default beside JOBS.yaml, with the ending .results.json)")
	f.StringVar(&id, "job", "", "`id` of the job (default that of the file)")
	f.IntVar(&index, "index", 0, "run only the SUT of this `index`; the first of the file has 0 (default all)")
	return cmd
}

// jobPage is the table of a job whose results are in a file.
func jobPage(p *out.Page, r job.Result, file string) {
	more := false // than the table says
	p.Head("SUT", "RELEASE", "STATE", "CHART", "SECONDS", "WHY")
	for _, s := range r.SUTs {
		state := out.Warn.In(s.State)
		switch s.State {
		case job.Done:
			state = out.Good.In(s.State)
		case job.Failed, job.Refused:
			state = out.Bad.In(s.State)
		}
		why := ""
		switch {
		case s.Error != nil:
			why = strings.ReplaceAll(s.Error.Message, "\n", "; ")
			for _, row := range []string{"release " + s.Release + " in namespace " + s.Namespace + ": ", "release " + s.Release + ": "} {
				why = strings.TrimPrefix(why, row)
			}
		case len(s.Findings) > 0:
			why = view.FirstOf(s.Findings)
		case len(s.Misfits) > 0:
			why = fmt.Sprintf("%s: %s", s.Misfits[0].Object, s.Misfits[0].Reason)
			more = more || len(s.Misfits) > 1
		}
		const most = 120 // columns
		shown := out.Cut(why, most)
		more = more || shown != why || len(s.Findings) > 1
		p.Row(s.Name, s.Release, state, strings.TrimSpace(s.Chart.Name+" "+s.Chart.Version), fmt.Sprintf("%.1f", s.Seconds), shown)
	}
	if more {
		p.Line("all of it is in %s", file)
	}
}

// jobFlags are those of the commands that remove many releases.
type jobFlags struct{ helmexec.JobOptions }

func (j *jobFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVarP(&j.AllNamespaces, "all-namespaces", "A", false, "search every namespace, not only that of -n")
	f.BoolVar(&j.Wait, "wait", false, "wait until the objects are gone")
	f.DurationVar(&j.Timeout, "timeout", 0, "how long to wait for each release (default 5m)")
	f.IntVar(&j.Parallel, "parallel", 0, "`releases` that are removed at once (default 8)")
}

func (a *app) jobCleanCommand() *cobra.Command {
	var flags jobFlags
	cmd := &cobra.Command{
		Use:   "clean ID",
		Short: "Remove every release of a job",
		Long:  "Remove every release that was installed for a job, or whose name says that it is of the job. Nothing to remove is a success.",
		Example: `  helmexec job clean 42 --wait
  helmexec job clean 42 -A -o json | jq '.removed[].remains[]'`,
		Args:              exactly(1),
		ValidArgsFunction: a.completeJobs,
		RunE: a.do(func(ctx context.Context, h *helmexec.Helm, args []string) error {
			removed, err := h.UninstallJob(ctx, args[0], flags.JobOptions)
			return a.printCleaned(view.CleanedOf(removed), flags.AllNamespaces, err)
		}),
	}
	flags.add(cmd)
	return cmd
}

// printCleaned prints what was removed. With an error it goes to Stderr, since the result is the error then.
func (a *app) printCleaned(c view.Cleaned, everywhere bool, err error) error {
	if err != nil {
		var page out.Page
		removedPage(&page, c.Removed...)
		if text := page.String(); text != "" {
			a.out.Say("%s", text)
		}
		return err
	}
	return a.out.Print(c, func(p *out.Page) {
		if len(c.Removed) == 0 {
			p.Line("nothing to remove in %s", a.searched(everywhere))
		}
		removedPage(p, c.Removed...)
	})
}

func (a *app) overdueCommand() *cobra.Command {
	var flags jobFlags
	var remove bool
	cmd := &cobra.Command{
		Use:   "overdue",
		Short: "List the releases whose deadline has passed, or remove them",
		Long: `List the releases whose deadline has passed, or remove them. A deadline is set by --deadline of install and apply, and by
deadline of a job file; releases without one are never overdue. Helm selects by the deadline, and does not say which it is:
helmexec why RELEASE shows that of one release.`,
		Example: `  helmexec overdue -A
  helmexec overdue -A --remove --wait    # each night`,
		Args: cobra.NoArgs,
		RunE: a.do(func(ctx context.Context, h *helmexec.Helm, _ []string) error {
			if remove {
				removed, err := h.UninstallOverdue(ctx, flags.JobOptions)
				return a.printCleaned(view.CleanedOf(removed), flags.AllNamespaces, err)
			}
			releases, err := h.Overdue(ctx, flags.JobOptions)
			if err != nil {
				return err
			}
			shown := view.Cleaned{Overdue: view.ReleasesOf(releases).Releases, Removed: []view.Removed{}}
			return a.out.Print(shown, func(p *out.Page) {
				if len(shown.Overdue) == 0 {
					p.Line("nothing is overdue in %s", a.searched(flags.AllNamespaces))
					return
				}
				releasesTable(p, shown.Overdue)
			})
		}),
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&remove, "remove", false, "remove them")
	return cmd
}
