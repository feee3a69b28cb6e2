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

// What a chart says about itself; package chart reads it.
type (
	// Metadata is what is in a Chart.yaml.
	Metadata = chart.Metadata
	// Maintainer is a person or group to ask about a chart.
	Maintainer = chart.Maintainer
	// Dependency is a chart that another depends on.
	Dependency = chart.Dependency
	// Values are the values of a chart, or those a user gives over them.
	Values = chart.Values
	// ChartVersion is one version of a chart in a repository's index, with what the index says about
	// it.
	ChartVersion = chart.Version
)

// ArchiveValues reads the values of a chart, an archive (.tgz) or a folder, without a helm process. They are
// the content of the chart's own values.yaml, as "helm show values" prints it, without the defaults of its
// dependencies. A chart without the file has no values, which is not an error. The chart need not be trusted;
// [chart.Read] says what is refused (ErrBadChart), and [chart.Limits] what is too much (ErrOutputTooLarge).
// ErrChartNotFound: there is nothing at the path, or no chart.
func ArchiveValues(path string) (Values, error) {
	content, err := chart.Read(path, chart.Options{})
	if err != nil {
		return nil, err
	}
	return content.Values, nil
}

// SourceOptions says how to reach a registry or the host of an archive. A chart repository uses the
// options of AddRepo.
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
	// Refresh contacts the source again, even for an exact version that is in the cache.
	Refresh bool
	Source  SourceOptions
}

// Chart is a chart on this machine: an existing folder or archive, or an archive that was pulled
// into the private cache.
type Chart struct {
	// Path is what helm gets from now on. An archive in the cache stays there while a call of this
	// package uses it, and for at least ten minutes after its last Fetch.
	Path string
	// Ref is the chart without its version as helm would take it: "repo/chart", "oci://…", a URL
	// or the path.
	Ref string
	// Repo is the name of its repository, "" for a chart that comes from none.
	Repo     string
	Metadata *Metadata
	Values   Values // the chart's own values.yaml, without those of its dependencies
	Schema   []byte // values.schema.json; nil if there is none
	Digest   string // "sha256:…" of the archive; "" for a folder

	bringsCRDs   bool // in its folder crds, or in that of a subchart
	bringsSchema bool // in it or in a subchart
}

// Fetch downloads a chart from any address (see Chart2Info for the forms). A repository that is not
// known yet is added. An exact version that is in the cache starts no helm process. Otherwise one
// process pulls it; before that, another one fetches the repository's index if the version is open
// or is not in the local index. Callers who ask for the same thing at the same time, in any process
// with the same Home, share one refresh and one pull.
//
// Before anything else sees the archive, it must match the digest that the index gives, and be a
// valid chart archive within Limits.
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

// Pull puts the archive of a chart into the folder dir under the name that its source gives it, and
// returns its path. It appears there whole or not at all; a file of that name is replaced. Starts
// one helm process, and one before it if the repository needs a refresh.
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

// ShowChart returns a chart's metadata, its Chart.yaml. Starts only the processes of Fetch.
//
// Errors: as Fetch.
func (h *Helm) ShowChart(ctx context.Context, chart string, opts ChartOptions) (*Metadata, error) {
	ch, err := h.Fetch(ctx, chart, opts)
	if err != nil {
		return nil, err
	}
	return ch.Metadata, nil
}

// ShowValues returns a chart's own values.yaml, as "helm show values" prints it: without those of
// its dependencies. Starts only the processes of Fetch.
//
// Errors: as Fetch.
func (h *Helm) ShowValues(ctx context.Context, chart string, opts ChartOptions) (Values, error) {
	ch, err := h.Fetch(ctx, chart, opts)
	if err != nil {
		return nil, err
	}
	return ch.Values, nil
}
