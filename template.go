package helmexec

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/sut-bench/helmexec/chart"
	"github.com/sut-bench/helmexec/internal/argument"
	"github.com/sut-bench/helmexec/internal/callback"
	"github.com/sut-bench/helmexec/internal/emptycluster"
	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/helmtext"
	"github.com/sut-bench/helmexec/plan"
)

// DefaultKubeVersion is the Kubernetes version that Template renders for by default. Helm's own
// default depends on how the binary was built and can be years old, and then charts refuse to
// render.
const DefaultKubeVersion = "v1.34.0"

// Cluster is what a chart can learn about the cluster it is rendered for.
type Cluster = plan.Cluster

// ClusterOptions is for Cluster and Nodes.
type ClusterOptions struct{ Kubeconfig, KubeContext string }

// Cluster asks a cluster what a chart can learn about it. PlanOptions takes the answer, on a machine that cannot
// reach the cluster too. Starts one helm process, and another one if the caller may not read the namespace kube-system.
//
// Errors: ErrClusterUnreachable, or helm's own.
func (h *Helm) Cluster(ctx context.Context, opts ClusterOptions) (_ *Cluster, err error) {
	ctx, end := h.enter(ctx, Span{Operation: "Cluster"})
	defer end(&err)
	t, err := h.target("", opts.Kubeconfig, opts.KubeContext)
	if err != nil {
		return nil, err
	}
	c, _, err := h.askCluster(ctx, t, "", nil)
	return c, err
}

// capabilitiesChart prints what a chart can learn about a cluster, and the namespace that helm takes without one. It is
// ours. What it prints is a hook, because helm asks the cluster about everything else that it prints.
var capabilitiesChart = map[string]string{
	"Chart.yaml":  "apiVersion: v2\nname: capabilities\nversion: 2.2.0\n",
	"values.yaml": "identify: true\n",
	"templates/capabilities.yaml": `{{- $id := "" }}
{{- if .Values.identify }}{{ with lookup "v1" "Namespace" "" "kube-system" }}{{ $id = .metadata.uid }}{{ end }}{{ end -}}
{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "helmexec-capabilities", "annotations": {"helm.sh/hook": "pre-install"}}, "data": {
  "namespace": {{ .Release.Namespace | toJson }},
  "id": {{ $id | toJson }},
  "version": {{ .Capabilities.KubeVersion.Version | toJson }},
  "major": {{ .Capabilities.KubeVersion.Major | toJson }},
  "minor": {{ .Capabilities.KubeVersion.Minor | toJson }},
  "apis": {{ .Capabilities.APIVersions | toJson | toJson }}}}
`,
}

// askCluster returns what a chart can learn about a cluster, and the namespace that helm takes if it is given none. The
// release is the one that is planned, "" for none. With starts, which is called when helm starts, it runs one helm once.
func (h *Helm) askCluster(ctx context.Context, t target, release string, starts func()) (*Cluster, string, error) {
	d, err := h.dialect(ctx)
	if err != nil {
		return nil, "", err
	}
	task := "ask the cluster" + t.where()
	if release != "" {
		task = "plan " + release + ": " + task
	}
	for {
		nameless := h.clusters.of(t).nameless
		a := append(args{"template"}, d.TemplateCluster...)
		a.is("--set=identify=false", nameless)
		a.add(t.flags()...)
		c, namespace, err := h.capabilities(ctx, invocation{args: a, cluster: true, starts: starts, task: task})
		if e := (*Error)(nil); nameless || !errors.As(err, &e) || !helmtext.Forbidden(e.Stderr) {
			return c, namespace, err
		}
		h.clusters.note(t, knownCluster{nameless: true})
		if starts != nil {
			return nil, "", err
		}
	}
}

// knownCluster is what a cluster was when it was last asked.
type knownCluster struct {
	nameless bool     // its namespace kube-system may not be read
	cluster  *Cluster // as a plan has seen it; nobody changes it
}

// clusterMemory remembers clusters, by targets without a namespace.
type clusterMemory struct {
	mu    sync.Mutex
	known map[target]knownCluster
}

func (m *clusterMemory) of(t target) knownCluster {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.known[target{kubeconfig: t.kubeconfig, context: t.context}]
}

func (m *clusterMemory) note(t target, k knownCluster) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil || len(m.known) >= 100 {
		m.known = map[target]knownCluster{} // to ask again costs little
	}
	m.known[target{kubeconfig: t.kubeconfig, context: t.context}] = k
}

// capabilities renders capabilitiesChart.
func (h *Helm) capabilities(ctx context.Context, inv invocation) (*Cluster, string, error) {
	dir, err := h.home.Files(ctx, "capabilities", capabilitiesChart)
	if err != nil {
		return nil, "", err
	}
	inv.args = append(inv.args, "--disable-openapi-validation", "--", "helmexec-capabilities", dir)
	// Another helm often renders meanwhile and takes longer. This one does not get in its way, and needs less time in all.
	inv.env, inv.limits = []string{kubeCacheBelow(filepath.Join(dir, "Chart.yaml")), "GOMAXPROCS=1"}, h.rendering()
	var out []byte
	run := func(ctx context.Context) (err error) {
		out, err = h.run(ctx, inv)
		return err
	}
	if inv.starts != nil {
		err = run(ctx)
	} else {
		err = h.retry(ctx, run)
	}
	if err != nil {
		return nil, "", err
	}
	var printed struct {
		Data struct{ Namespace, ID, Version, Major, Minor, APIs string }
	}
	// Before the text of the template is helm's comment.
	if err := decodeJSON(out[max(bytes.IndexByte(out, '{'), 0):], &printed); err != nil {
		return nil, "", badOutput("template", err)
	}
	c := &Cluster{ID: printed.Data.ID, KubeVersion: printed.Data.Version, Major: printed.Data.Major, Minor: printed.Data.Minor}
	if err := json.Unmarshal([]byte(printed.Data.APIs), &c.APIVersions); err != nil {
		return nil, "", badOutput("template", err)
	}
	c.APIVersions = slices.DeleteFunc(c.APIVersions, func(api string) bool { return !argument.IsAPI(api) })
	if err := c.Validate(); err != nil {
		return nil, "", badOutput("template", fmt.Errorf("the cluster says that its version is %.80q", c.KubeVersion))
	}
	return c, printed.Data.Namespace, nil
}

// site is where a helm renders.
type site struct {
	target
	cluster bool     // it is the caller's cluster
	env     []string // over helm's environment
}

// kubeCacheBelow is the environment of a helm that keeps nothing of what it learns of a cluster, which takes longer than
// it saves: there cannot be a folder below a file.
func kubeCacheBelow(file string) string { return "KUBECACHEDIR=" + file }

// onEmpty lets helm render for a cluster as if there were no objects in it. describe may wait until the cluster is
// known; helm then waits too.
func (h *Helm) onEmpty(ctx context.Context, namespace string, describe func() (*Cluster, error), helm func(context.Context, site) error) error {
	server, err := emptycluster.Start(func() (emptycluster.Version, []string, error) {
		c, err := describe()
		if err != nil {
			return emptycluster.Version{}, nil, err
		}
		return emptycluster.Version{GitVersion: c.KubeVersion, Major: c.Major, Minor: c.Minor}, c.APIVersions, nil
	})
	if err != nil {
		return err
	}
	defer server.Close()
	dir, err := h.home.MkdirTemp("render-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	kubeconfig := filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(kubeconfig, server.Kubeconfig(), 0o600); err != nil {
		return err
	}
	// Helm would keep it by the server's address, which another server may have had. Releases are of no concern, wherever
	// the environment wants them kept.
	env := []string{kubeCacheBelow(kubeconfig), "HELM_DRIVER=secret"}
	for _, name := range []string{"APISERVER", "ASGROUPS", "ASUSER", "CAFILE", "CONTEXT", "INSECURE_SKIP_TLS_VERIFY", "TLS_SERVER_NAME", "TOKEN"} {
		env = append(env, "HELM_KUBE"+name+"=")
	}
	return helm(ctx, site{target: target{namespace: namespace, kubeconfig: kubeconfig}, env: env})
}

// anyRelease is the name of a release for which nobody gave one.
const anyRelease = "release-name"

// TemplateOptions is for Template.
type TemplateOptions struct {
	ReleaseName string // default "release-name", as helm's
	Namespace   string
	Version     string // a version or a constraint of the chart
	Source      SourceOptions
	// ValuesFiles are local YAML files, later ones over earlier ones; Values is merged last.
	ValuesFiles []string
	Values      Values
	// KubeVersion and APIVersions describe the cluster to the chart. Default is DefaultKubeVersion
	// and the APIs of Helm's build.
	KubeVersion string
	APIVersions []string
	// FromCluster gives the chart the version and APIs of the real cluster, and lets its lookups
	// read from it.
	FromCluster             bool
	Kubeconfig, KubeContext string
	IncludeCRDs             bool
	SkipTests               bool
	// SkipSchema does not check values with the chart's values.schema.json. By default a chart whose schema, or
	// that of a subchart, refers to another document is refused (ErrBadChart): helm would fetch it, or read it
	// from this host. Needs Helm 3.16 or later.
	SkipSchema bool
	// Transform changes the manifest, hooks included.
	Transform Transform
	ExtraArgs []string // as in InstallOptions
}

// Template renders a chart without installing it. The manifest includes hooks, and tests unless
// SkipTests is set. Starts one helm process in addition to those of Fetch.
//
// Errors: as Fetch; ErrRenderFailed, ErrRenderTooLarge, ErrRenderTimeout; with Transform also ErrBadManifest.
func (h *Helm) Template(ctx context.Context, chart string, opts TemplateOptions) (_ Manifest, err error) {
	ctx, end := h.enter(ctx, Span{Operation: "Template", Address: chart})
	defer end(&err)
	inv, err := h.templateInvocation(ctx, opts)
	if err != nil {
		return nil, err
	}
	ch, err := h.Fetch(ctx, chart, ChartOptions{Version: opts.Version, Source: opts.Source})
	if err != nil {
		return nil, err
	}
	return h.render(ctx, ch, inv, opts)
}

// render renders a chart that is on this machine.
func (h *Helm) render(ctx context.Context, ch *Chart, inv invocation, opts TemplateOptions) (Manifest, error) {
	defer h.store.Hold(ctx, ch.Path)()
	if err := h.checkSchemaReferences(ch, opts.SkipSchema); err != nil {
		return nil, err
	}
	inv.args = append(inv.args, "--", cmp.Or(opts.ReleaseName, anyRelease), ch.Path)
	inv.subject = ch.Metadata.Name + " " + ch.Metadata.Version
	inv.limits, inv.computes = h.rendering(), !inv.cluster
	out, err := h.run(ctx, inv)
	if err = renderFailure(err, ch); err != nil || opts.Transform == nil {
		return Manifest(out), err
	}
	return caught(ctx, opts.Transform, out)
}

// renderFailure gives the failure of a helm that only rendered its kind.
func renderFailure(err error, ch *Chart) error {
	if e := (*Error)(nil); errors.As(err, &e) && e.kind == nil && e.cause == nil && e.Signal == "" && helmtext.NamesChartFile(e.Stderr, ch.Metadata.Name) {
		e.kind = ErrRenderFailed
	}
	return err
}

// checkSchemaReferences refuses a chart whose schemas would make helm fetch another document, or read it from this host.
func (h *Helm) checkSchemaReferences(ch *Chart, skip bool) error {
	if skip || !ch.bringsSchema {
		return nil
	}
	shown := ch.Metadata.Name + " " + ch.Metadata.Version
	err := chart.CheckSchemaReferences(ch.Path, chart.Options{Name: shown, Limits: chart.Limits{Archive: h.cfg.Limits.Archive}})
	if errors.Is(err, ErrBadChart) {
		err = fmt.Errorf("%w (SkipSchema leaves the schema out)", err)
	}
	return err
}

// templateInvocation checks the options before anything is fetched.
func (h *Helm) templateInvocation(ctx context.Context, opts TemplateOptions) (invocation, error) {
	if opts.FromCluster && (opts.KubeVersion != "" || len(opts.APIVersions) > 0) {
		return invocation{}, errdef.Invalidf("template: FromCluster excludes KubeVersion and APIVersions")
	}
	if err := cmp.Or(
		argument.Release(cmp.Or(opts.ReleaseName, anyRelease)), argument.KubeVersion(opts.KubeVersion),
		argument.APIs(opts.APIVersions), argument.Extra(opts.ExtraArgs),
	); err != nil {
		return invocation{}, err
	}
	t, err := h.target(opts.Namespace, opts.Kubeconfig, opts.KubeContext)
	if err != nil {
		return invocation{}, err
	}
	stdin, err := valuesInput(opts.ValuesFiles, opts.Values)
	if err != nil {
		return invocation{}, err
	}
	d, err := h.dialect(ctx)
	if err != nil {
		return invocation{}, err
	}
	return invocation{args: templateArgs(d, t, opts, stdin != nil), cluster: opts.FromCluster, stdin: stdin}, nil
}

func templateArgs(d helmtext.Dialect, t target, opts TemplateOptions, values bool) []string {
	a := append(args{"template"}, opts.ExtraArgs...)
	if opts.FromCluster {
		a.add(d.TemplateCluster...)
	} else {
		// Rendering depends only on the chart, so helm gets no cluster.
		t.kubeconfig, t.context = "", ""
		if opts.KubeVersion == "" {
			opts.KubeVersion = DefaultKubeVersion
		}
		a.str("--kube-version", opts.KubeVersion)
		a.str("--api-versions", strings.Join(opts.APIVersions, ","))
	}
	a.is("--include-crds", opts.IncludeCRDs)
	a.is("--skip-tests", opts.SkipTests)
	a.is("--skip-schema-validation", opts.SkipSchema)
	a.is("--values=-", values)
	return append(a, t.flags()...)
}

// valuesInput is what "--values=-" reads: the files and the values in one document, or nil if there
// are none. Helm never gets the files themselves: it would accept a URL as a file, and split a path
// at a comma. A null stays, because it deletes a default of the chart.
func valuesInput(files []string, values Values) ([]byte, error) {
	if len(files) == 0 && len(values) == 0 {
		return nil, nil
	}
	all, err := chart.UserValues(files, values)
	if err != nil {
		return nil, err
	}
	return all.JSON()
}

// caught applies a transform.
func caught(ctx context.Context, t Transform, m Manifest) (Manifest, error) {
	changed, err := callback.Run(ctx, func() (Manifest, error) {
		changed, err := t(m)
		if err != nil {
			return nil, err
		}
		if _, err := changed.Objects(); err != nil {
			return nil, fmt.Errorf("the manifest that it returned: %w", err)
		}
		return changed, nil
	})
	if errors.Is(err, callback.ErrAbandoned) {
		err = contextError(ctx)
	}
	return changed, err
}
