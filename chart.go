package helmexec

import (
	"context"
	"os"
	"path/filepath"

	"github.com/sut-bench/helmexec/chart"
	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/fetch"
	"github.com/sut-bench/helmexec/internal/home"
)

// What a chart says of itself; see package chart, which reads it.
type (
	// Metadata is what is in a Chart.yaml.
	Metadata = chart.Metadata
	// Maintainer is a person or group to ask about a chart.
	Maintainer = chart.Maintainer
	// Dependency is a chart that another depends on.
	Dependency = chart.Dependency
	// Values are the values of a chart, or those a user gives over them.
	Values = chart.Values
	// ChartVersion is one version of a chart in a repository's index. All of it is what the index says.
	ChartVersion = chart.Version
)

// ArchiveValues reads the values of a chart, an archive (.tgz) or a folder, without a helm process. They are the
// content of the chart's own values.yaml, as "helm show values" prints it: the defaults of its dependencies are not in
// it. A chart without the file has no values, which is not an error. The chart need not be trusted; [chart.Read] says
// what is refused (ErrBadChart), and [chart.Limits] what is too much (ErrOutputTooLarge). ErrChartNotFound: there is
// nothing at the path, or no chart.
func ArchiveValues(path string) (Values, error) {
	content, err := chart.Read(path, chart.Options{})
	if err != nil {
		return nil, err
	}
	return content.Values, nil
}

// SourceOptions is how a registry or the host of an archive is reached. A chart repository is
// reached as AddRepo was told.
type SourceOptions struct {
	PlainHTTP                 bool // an OCI registry without TLS
	InsecureSkipTLSVerify     bool
	CAFile, CertFile, KeyFile string
}

// ChartOptions says which version of a chart, and how to reach it.
type ChartOptions struct {
	// Version is a version or a constraint; "" is the latest stable one. A version in the address
	// means the same.
	Version string
	// Refresh asks the source again, even for an exact version that is in the cache.
	Refresh bool
	Source  SourceOptions
}

// Chart is a chart on this machine: a folder or archive that was there, or an archive that was
// pulled into the private cache.
type Chart struct {
	// Path is what helm is given from here on. An archive of the cache stays there for ten minutes
	// after the last Fetch of it at least, and while a call of this package uses it.
	Path string
	// Ref is the chart without its version as helm would take it: "repo/chart", "oci://…", a URL
	// or the path.
	Ref string
	// Repo is the name of its repository, "" for a chart that comes from none.
	Repo     string
	Metadata *Metadata
	Values   Values // the chart's own values.yaml, without those of its dependencies
	Schema   []byte // values.schema.json; nil when there is none
	Digest   string // "sha256:…" of the archive; "" for a folder

	bringsCRDs   bool // in its folder crds, or in that of a subchart
	bringsSchema bool // of its values, or a subchart does
}

// Fetch makes a chart of any address (see Chart2Info for the forms) a file on this machine. A
// repository that is not known yet is added. An exact version that is in the cache starts no helm
// process. Otherwise one pulls it, after one that fetches the repository's index where the version
// is open, or is not in the index at hand. Callers who ask for the same at the same time, in any
// process with the same Home, share one refresh and one pull.
//
// What is pulled has to match the digest that the index gives, and to be a sound chart archive
// within Limits, before anything else sees it.
//
// Errors: ErrInvalidArgument, ErrRepoNotFound, ErrUnauthorized, ErrChartNotFound, ErrBadChart,
// ErrDigestMismatch, ErrOutputTooLarge, ErrFetchTimeout.
func (h *Helm) Fetch(ctx context.Context, address string, opts ChartOptions) (*Chart, error) {
	ch, err := h.store.Fetch(ctx, address, fetch.Options{Version: opts.Version, Refresh: opts.Refresh, Source: fetch.Source(opts.Source)})
	if err != nil {
		return nil, err
	}
	return &Chart{
		Path: ch.Path, Ref: ch.Ref, Repo: ch.Repo, Metadata: ch.Metadata, Values: ch.Values, Schema: ch.Schema, Digest: ch.Digest,
		bringsCRDs: ch.HasCRDs(), bringsSchema: ch.HasSchema(),
	}, nil
}

// Pull puts the archive of a chart into the folder dir under the name that its source gives it,
// and returns its path. It appears there whole or not at all; a file of that name is replaced.
// Starts one helm process, and one before it where the repository needs a refresh.
//
// Errors: as Fetch.
func (h *Helm) Pull(ctx context.Context, chart, dir string, opts ChartOptions) (path string, err error) {
	if fi, err := os.Stat(dir); err != nil || !fi.IsDir() {
		return "", errdef.Invalidf("pull: %q is not a folder", dir)
	}
	ch, err := h.Fetch(ctx, chart, opts)
	if err != nil {
		return "", err
	}
	if ch.Digest == "" {
		return "", errdef.Invalidf("pull: %s is a folder and has no archive", ch.Ref)
	}
	path = filepath.Join(dir, ch.Metadata.Name+"-"+ch.Metadata.Version+".tgz")
	return path, home.CopyFile(ch.Path, path)
}

// ShowChart gives a chart's metadata, its Chart.yaml. Starts the processes of Fetch and no more.
//
// Errors: as Fetch.
func (h *Helm) ShowChart(ctx context.Context, chart string, opts ChartOptions) (*Metadata, error) {
	ch, err := h.Fetch(ctx, chart, opts)
	if err != nil {
		return nil, err
	}
	return ch.Metadata, nil
}

// ShowValues gives a chart's own values.yaml, as "helm show values" prints it: without those of
// its dependencies. Starts the processes of Fetch and no more.
//
// Errors: as Fetch.
func (h *Helm) ShowValues(ctx context.Context, chart string, opts ChartOptions) (Values, error) {
	ch, err := h.Fetch(ctx, chart, opts)
	if err != nil {
		return nil, err
	}
	return ch.Values, nil
}
