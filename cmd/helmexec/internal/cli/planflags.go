package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/plan"
)

// planFlags say what is planned. from names a saved plan instead.
type planFlags struct {
	chartFlags
	valueFlags
	from                                 string
	upgrade, reuse, reset, lookups       bool
	skipCRDs, skipSchema, withoutCluster bool
	kubeVersion                          string
	apis                                 []string
	planned                              []string // the flags that say so
}

func (p *planFlags) add(a *app, cmd *cobra.Command) {
	p.chartFlags.add(a, cmd)
	p.valueFlags.add(cmd)
	f := cmd.Flags()
	f.StringVar(&p.from, "from", "", "take the plan that plan --save wrote to this `file`")
	f.BoolVar(&p.lookups, "lookups", false, "let the chart read from the cluster what you may read, Secrets among it")
	f.BoolVar(&p.skipCRDs, "skip-crds", false, "leave out the custom resource definitions that the chart brings")
	f.BoolVar(&p.skipSchema, "skip-schema", false, "do not check values by the chart's schema")
	f.BoolVar(&p.withoutCluster, "offline", false, "ask no cluster; --kube-version and --api-versions do so, too")
	f.StringVar(&p.kubeVersion, "kube-version", "", "`version` of Kubernetes that is planned for, without a cluster")
	f.StringSliceVar(&p.apis, "api-versions", nil, "`APIs` that are served there (default those that helm knows)")
	cmd.MarkFlagsMutuallyExclusive("lookups", "offline")
}

func (p *planFlags) addUpgrade(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&p.reuse, "reuse-values", false, "for an upgrade: keep the values of the last revision below those given")
	f.BoolVar(&p.reset, "reset-then-reuse-values", false, "for an upgrade: the same, over the new chart's defaults")
}

// replacedByFrom is called when a command has all flags that say what is planned: a saved plan has done what they say, or not.
func (p *planFlags) replacedByFrom(cmd *cobra.Command) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Name != "from" && f.Name != "offline" { // a saved plan asks no cluster
			p.planned = append(p.planned, f.Name)
		}
	})
}

// plan makes the plan, or reads it.
func (p *planFlags) plan(ctx context.Context, a *app, cmd *cobra.Command, release, address string) (*helmexec.Plan, error) {
	if p.from != "" {
		return a.load(ctx, cmd, p.from)
	}
	values, err := p.values(a)
	if err != nil {
		return nil, err
	}
	h, err := a.helm()
	if err != nil {
		return nil, err
	}
	opts := helmexec.PlanOptions{
		Upgrade: p.upgrade, Version: p.version, Source: p.source, Values: values, ReuseValues: p.reuse, ResetThenReuseValues: p.reset,
		SkipCRDs: p.skipCRDs, SkipSchema: p.skipSchema, Lookups: p.lookups,
	}
	if p.withoutCluster || p.kubeVersion != "" || len(p.apis) > 0 {
		opts.Cluster = &helmexec.Cluster{KubeVersion: p.kubeVersion, APIVersions: p.apis}
		if p.kubeVersion == "" {
			opts.Cluster.KubeVersion = helmexec.DefaultKubeVersion
		}
	}
	made, err := h.Plan(ctx, release, address, opts)
	if errors.Is(err, helmexec.ErrClusterUnreachable) && !p.upgrade && !p.lookups {
		err = fmt.Errorf("%w; --offline asks no cluster", err)
	}
	return made, err
}

// load reads a saved plan, which is for the namespace of the command if that has one.
func (a *app) load(ctx context.Context, cmd *cobra.Command, path string) (*helmexec.Plan, error) {
	p, err := plan.Load(ctx, path)
	if err == nil && cmd.Flags().Changed("namespace") && p.Namespace != "" && p.Namespace != a.cfg.Namespace {
		return nil, fmt.Errorf("%w: --namespace is %s, and the plan is for %s", helmexec.ErrInvalidArgument, a.cfg.Namespace, p.Namespace)
	}
	return p, err
}

// args checks that there are so many arguments, or none of them, and of the flags that stand for them, with --from.
func (p *planFlags) args(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if p.from == "" {
			return exactly(n)(cmd, args)
		}
		if len(args) > 0 {
			return errors.New("--from takes the place of the arguments")
		}
		for _, name := range p.planned {
			if cmd.Flags().Changed(name) {
				return fmt.Errorf("--from takes the place of --%s: what is planned is in the file", name)
			}
		}
		return nil
	}
}
