package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/chart"
	"github.com/sut-bench/helmexec/cmd/helmexec/internal/gate"
	"github.com/sut-bench/helmexec/cmd/helmexec/internal/setvalues"
	"github.com/sut-bench/helmexec/cmd/helmexec/internal/view"
)

// chartFlags say which version of a chart, and how its source is reached.
type chartFlags struct {
	version string
	refresh bool
	source  helmexec.SourceOptions
}

func (c *chartFlags) add(a *app, cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&c.version, "version", "", "`version` of the chart or a constraint (default the newest stable one)")
	f.BoolVar(&c.source.PlainHTTP, "plain-http", false, "the registry has no TLS")
	f.BoolVar(&c.source.InsecureSkipTLSVerify, "insecure-skip-tls-verify", false, "do not verify the server")
	f.StringVar(&c.source.CAFile, "ca-file", "", "`file` of certificates that verify the server")
	f.StringVar(&c.source.CertFile, "cert-file", "", "`file` of the client's certificate")
	f.StringVar(&c.source.KeyFile, "key-file", "", "`file` of the client's key")
	complete(cmd, "version", a.completeVersions(&c.source))
}

func (c *chartFlags) options() helmexec.ChartOptions {
	return helmexec.ChartOptions{Version: c.version, Refresh: c.refresh, Source: c.source}
}

// valueFlags are the user's values.
type valueFlags struct{ files, set, setString, setFile []string }

func (v *valueFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringSliceVarP(&v.files, "values", "f", nil, "YAML `file` of values, - for stdin; later ones over earlier ones")
	f.StringArrayVar(&v.set, "set", nil, "`values`, as helm's --set: a.b=1,c[0]=x,d={y,z}")
	f.StringArrayVar(&v.setString, "set-string", nil, "`values` that are texts")
	f.StringArrayVar(&v.setFile, "set-file", nil, "`values` that are the content of files: key=path")
}

// values combines all of them as helm does.
func (v *valueFlags) values(a *app) (helmexec.Values, error) {
	files := slices.Clone(v.files)
	for i, file := range files {
		if strings.TrimSpace(file) != "-" {
			continue
		}
		kept, err := keep(a.stdin)
		if err != nil {
			return nil, fmt.Errorf("values of stdin: %w", err)
		}
		defer os.Remove(kept)
		files[i] = kept
	}
	values, err := chart.UserValues(files, nil)
	if err != nil {
		return nil, err
	}
	read := func(path string) (any, error) {
		text, err := os.ReadFile(path)
		return string(text), err
	}
	for _, flag := range []struct {
		name  string
		given []string
		value func(string) (any, error)
	}{{"--set", v.set, setvalues.Typed}, {"--set-string", v.setString, setvalues.Text}, {"--set-file", v.setFile, read}} {
		for _, text := range flag.given {
			if err := setvalues.Set(values, text, flag.value); err != nil {
				return nil, fmt.Errorf("%w: %s: %w", helmexec.ErrInvalidArgument, flag.name, err)
			}
		}
	}
	a.warnInexact(v.set)
	return values, nil
}

// warnInexact says which numbers helm gets in another form than from its own --set.
func (a *app) warnInexact(set []string) {
	for _, text := range set {
		one := map[string]any{}
		if setvalues.Set(one, text, setvalues.Typed) != nil {
			continue // it sets something in a list or mapping of a file
		}
		for _, n := range setvalues.Inexact(one) {
			a.say("--set: a template that prints %d as it is gets %v, as from a file of values; --set-string is exact", n, float64(n))
		}
	}
}

// keep writes what a reader gives to a file. Nothing is no values: the program before the pipe has failed.
func keep(r io.Reader) (path string, err error) {
	f, err := os.CreateTemp("", "helmexec-values-*.yaml")
	if err != nil {
		return "", err
	}
	n, err := io.Copy(f, r)
	if err == nil && n == 0 {
		err = fmt.Errorf("%w: it is empty", helmexec.ErrInvalidArgument)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(f.Name())
	}
	return f.Name(), err
}

// renderFlags say how a chart is rendered to be looked at.
type renderFlags struct {
	chartFlags
	valueFlags
	release     string
	kubeVersion string
	apis        []string
	fromCluster bool
	skipSchema  bool
	skipTests   bool
}

func (r *renderFlags) add(a *app, cmd *cobra.Command) {
	r.chartFlags.add(a, cmd)
	r.valueFlags.add(cmd)
	f := cmd.Flags()
	f.StringVar(&r.release, "release", "", "`name` of the release that the chart is rendered for")
	f.StringVar(&r.kubeVersion, "kube-version", "", "`version` of Kubernetes that the chart is rendered for (default "+helmexec.DefaultKubeVersion+")")
	f.StringSliceVar(&r.apis, "api-versions", nil, "`APIs` that the cluster serves beside those that helm knows")
	f.BoolVar(&r.fromCluster, "from-cluster", false, "render for the version and APIs of the cluster")
	f.BoolVar(&r.skipSchema, "skip-schema", false, "do not check values by the chart's schema")
	f.BoolVar(&r.skipTests, "skip-tests", false, "leave out what only helm test uses")
}

func (r *renderFlags) options(a *app) (helmexec.TemplateOptions, error) {
	values, err := r.values(a)
	return helmexec.TemplateOptions{
		ReleaseName: r.release, Version: r.version, Source: r.source, Values: values, KubeVersion: r.kubeVersion, APIVersions: r.apis,
		FromCluster: r.fromCluster, SkipSchema: r.skipSchema, SkipTests: r.skipTests,
	}, err
}

// policyFlags say what a chart may ask for.
type policyFlags struct {
	files              []string // one, or none
	registries, nodes  []string
	pinned, restricted bool
	fromCluster        bool
}

func (p *policyFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(&p.files, "policy", nil, "YAML `file` of what charts may ask for (check --help shows one); flags come on top")
	f.StringSliceVar(&p.registries, "registry", nil, "`registries` that images may come from (default any)")
	f.BoolVar(&p.pinned, "pinned", false, "refuse images without a digest")
	f.BoolVar(&p.restricted, "restricted", false, "refuse pods that are not of the level restricted")
	f.StringArrayVar(&p.nodes, "node", nil, "`accelerators` of a node, such as nvidia.com/gpu=8; once for each node")
	f.BoolVar(&p.fromCluster, "nodes-from-cluster", false, "the nodes are those of the cluster, with what they have free now, and not those of --policy")
	cmd.MarkFlagsMutuallyExclusive("nodes-from-cluster", "node")
	cmd.MarkFlagsMutuallyExclusive("nodes-from-cluster", "offline")
}

// policy reads the file, adds the flags, and asks the cluster for its nodes.
func (p *policyFlags) policy(ctx context.Context, a *app) (gate.Policy, error) {
	var all gate.Policy
	if len(p.files) > 1 {
		return all, fmt.Errorf("%w: --policy is given %d times: a policy is one file", helmexec.ErrInvalidArgument, len(p.files))
	}
	if len(p.files) == 1 {
		var err error
		if all, err = gate.Load(p.files[0]); err != nil {
			return all, err
		}
	}
	all.Registries = append(all.Registries, p.registries...)
	all.Pinned, all.Restricted = all.Pinned || p.pinned, all.Restricted || p.restricted
	for _, text := range p.nodes {
		node, err := gate.ParseNode(text)
		if err != nil {
			return all, err
		}
		all.Nodes = append(all.Nodes, node)
	}
	if err := all.Validate(); err != nil || !p.fromCluster {
		return all, err
	}
	h, err := a.helm()
	if err != nil {
		return all, err
	}
	all.Nodes, err = h.Nodes(ctx, helmexec.ClusterOptions{})
	return all, err
}

// verdict holds a plan against a policy.
func (p *policyFlags) verdict(of *helmexec.Plan, rules gate.Policy) view.Verdict {
	v := view.VerdictOf(of, rules)
	if p.fromCluster {
		v.Nodes = rules.Nodes
	}
	return v
}

// changeFlags are those of install and apply.
type changeFlags struct {
	wait, waitForJobs, failFast, keepFailed, createNamespace, noHooks bool
	timeout, every                                                    time.Duration
	deadline                                                          after
	operation, job, description                                       string
	labels                                                            map[string]string
}

func (c *changeFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&c.wait, "wait", false, "wait until the objects are ready")
	f.BoolVar(&c.waitForJobs, "wait-for-jobs", false, "wait until Jobs are complete, too")
	f.BoolVar(&c.failFast, "fail-fast", false, "end a wait (--wait, or for a hook) for what no waiting mends, such as an image that is not there")
	f.DurationVar(&c.timeout, "timeout", 0, "how long to wait for each hook, and for the objects (default 5m)")
	f.DurationVar(&c.every, "interval", 0, "time between two looks while waiting (default 5s)")
	f.BoolVar(&c.keepFailed, "keep-failed", false, "leave a release that failed, to look at it")
	f.BoolVar(&c.createNamespace, "create-namespace", false, "make the namespace if it is missing")
	f.BoolVar(&c.noHooks, "no-hooks", false, "run no hooks of the chart")
	f.StringVar(&c.operation, "operation-id", "", "`id` of the operation: the same one continues what a killed command began")
	f.StringVar(&c.job, "job", "", "`id` of the job that the release belongs to")
	f.Var(&c.deadline, "deadline", "the release is overdue after this time, such as 4h")
	f.StringVar(&c.description, "description", "", "`text` on the release record")
	f.StringToStringVar(&c.labels, "label", nil, "`labels` of the release record, key=value")
}

// until is the time of the deadline, none without one.
func (c *changeFlags) until() time.Time {
	if c.deadline == 0 {
		return time.Time{}
	}
	return time.Now().Add(time.Duration(c.deadline))
}

func (c *changeFlags) rules() []helmexec.FailFastRule {
	if !c.failFast {
		return nil
	}
	return helmexec.FailFastRules()
}

// progress says on the live line how far a wait is.
func (a *app) progress(release string) func(helmexec.Progress) {
	return func(p helmexec.Progress) { a.out.Live(p.Elapsed, "%s: %s", release, view.Progress(p)) }
}
