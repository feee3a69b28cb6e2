package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/cmd/helmexec/internal/out"
)

// patience is how long a shell waits for a completion.
const patience = 5 * time.Second

// complete sets how the value of a flag is completed.
func complete(cmd *cobra.Command, flag string, by cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, by); err != nil {
		panic(err) // there is no such flag
	}
}

const (
	withFiles    = cobra.ShellCompDirectiveDefault
	withoutFiles = cobra.ShellCompDirectiveNoFileComp
)

// completion asks for words within the time that a shell waits, and gives none where that fails. Each is "word\tdescription".
func (a *app) completion(cmd *cobra.Command, with cobra.ShellCompDirective, ask func(context.Context, *helmexec.Helm) ([]string, error)) ([]cobra.Completion, cobra.ShellCompDirective) {
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := a.configure(cmd); err != nil {
		return nil, with
	}
	h, err := a.helm()
	if err != nil {
		return nil, with
	}
	words, _ := ask(ctx, h)
	return slices.DeleteFunc(words, func(word string) bool { return word == "" }), with
}

// completeReleases gives the names of releases, for the first argument.
func (a *app) completeReleases(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, withoutFiles
	}
	return a.completion(cmd, withoutFiles, func(ctx context.Context, h *helmexec.Helm) ([]string, error) {
		releases, err := h.List(ctx, helmexec.ListOptions{})
		var words []string
		for _, r := range releases {
			if strings.HasPrefix(r.Name, begun) {
				words = append(words, described(r.Name, r.ChartName+" "+r.ChartVersion+", "+string(r.Status)))
			}
		}
		return words, err
	})
}

// completeCharts gives the repositories that are known, for the argument at a place; files come from the shell.
func (a *app) completeCharts(at int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) != at {
			return nil, withoutFiles
		}
		chart, _, versions := strings.Cut(begun, ":")
		if versions && !strings.Contains(begun, "://") {
			return a.completion(cmd, withoutFiles, func(ctx context.Context, h *helmexec.Helm) ([]string, error) {
				return versionsOf(ctx, h, chart, helmexec.SourceOptions{}, chart+":", begun)
			})
		}
		return a.completion(cmd, withFiles|cobra.ShellCompDirectiveNoSpace, func(ctx context.Context, h *helmexec.Helm) ([]string, error) {
			repos, err := h.Repos(ctx)
			var words []string
			for _, r := range repos {
				if strings.HasPrefix(r.Name, begun) {
					words = append(words, described(r.Name+"/", r.URL))
				}
			}
			return words, err
		})
	}
}

// completeReleaseAndChart gives releases for the first argument and charts for the second.
func (a *app) completeReleaseAndChart(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return a.completeReleases(cmd, args, begun)
	}
	return a.completeCharts(1)(cmd, args, begun)
}

// completeJobs gives the jobs that the names of releases say.
func (a *app) completeJobs(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, withoutFiles
	}
	return a.completion(cmd, withoutFiles, func(ctx context.Context, h *helmexec.Helm) ([]string, error) {
		releases, err := h.List(ctx, helmexec.ListOptions{AllNamespaces: given(cmd, "all-namespaces")})
		var words []string
		for _, r := range releases {
			if job, _, ok := helmexec.ParseSUTHelmName(r.Name); ok && strings.HasPrefix(job, begun) {
				words = append(words, described(job, ""))
			}
		}
		slices.Sort(words)
		return slices.Compact(words), err
	})
}

// completeVersions gives the versions of the chart that is the last argument.
func (a *app) completeVersions(source *helmexec.SourceOptions) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return nil, withoutFiles
		}
		return a.completion(cmd, withoutFiles, func(ctx context.Context, h *helmexec.Helm) ([]string, error) {
			return versionsOf(ctx, h, args[len(args)-1], *source, "", begun)
		})
	}
}

func versionsOf(ctx context.Context, h *helmexec.Helm, chart string, source helmexec.SourceOptions, before, begun string) ([]string, error) {
	versions, err := h.ChartVersions(ctx, chart, helmexec.ChartVersionsOptions{Source: source})
	var words []string
	for _, v := range versions {
		if word := before + v.Version; strings.HasPrefix(word, begun) {
			words = append(words, described(word, v.AppVersion))
		}
	}
	return words, err
}

// described is a word and what it stands for, without anything that a shell could obey. A word that is not printable is no
// completion.
func described(word, as string) string {
	if out.Line(word) != word {
		return ""
	}
	return strings.TrimSuffix(word+"\t"+out.Line(as), "\t")
}
