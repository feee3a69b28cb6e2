package helmexec

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/home"
	"github.com/sut-bench/helmexec/internal/redact"
)

// SourceOptions is how a registry or the host of an archive is reached. A chart repository is
// reached as AddRepo was told.
type SourceOptions struct {
	PlainHTTP                 bool // an OCI registry without TLS
	InsecureSkipTLSVerify     bool
	CAFile, CertFile, KeyFile string
}

func (o SourceOptions) flags() []string {
	var a args
	a.is("--plain-http", o.PlainHTTP)
	a.is("--insecure-skip-tls-verify", o.InsecureSkipTLSVerify)
	a.str("--ca-file", o.CAFile)
	a.str("--cert-file", o.CertFile)
	a.str("--key-file", o.KeyFile)
	return a
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

	bringsCRDs bool // in its folder crds, or in that of a subchart
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
func (h *Helm) Fetch(ctx context.Context, address string, opts ChartOptions) (_ *Chart, err error) {
	defer func() { err = redact.Legible(err) }()
	asked := time.Now()
	src, err := parseAddress(address)
	if err != nil {
		return nil, err
	}
	switch {
	case opts.Version == "" || opts.Version == src.version:
	case src.version != "":
		return nil, errdef.Invalidf("chart address %q names version %s and the options %s: give one", redact.Address(address), src.version, opts.Version)
	case src.kind == fromArchive || src.kind == fromDisk:
		return nil, errdef.Invalidf("chart address %q: an archive or folder has the version it has; leave Version %s out", redact.Address(address), opts.Version)
	default:
		src.version = opts.Version
		if err := checkVersion(src.version); err != nil {
			return nil, errdef.Invalidf("chart address %q: %w", redact.Address(address), err)
		}
	}
	src.shown = redact.Address(src.ref)
	switch src.kind {
	case fromDisk:
		path, err := filepath.Abs(src.ref)
		if err != nil {
			return nil, errdef.Invalidf("chart path %q: %v", src.ref, err)
		}
		src.ref = path
		ch, err := h.openChart(src, path)
		if errors.Is(err, fs.ErrNotExist) && strings.Contains(filepath.Base(path), ":") {
			err = fmt.Errorf("%w (a path takes no version)", err)
		}
		return ch, err
	case fromRepo:
		return h.fetchFromRepo(ctx, src, opts, asked)
	}
	// A URL or a range of versions can mean another archive tomorrow.
	exact := src.kind == fromOCI && (src.digest != "" || pinned(src.version)) && !opts.Refresh
	return h.cached(ctx, src.ref+" "+src.version+src.digest, src, func(p pin) bool {
		return exact || !p.At.Before(asked)
	}, func(dest string) (invocation, error) {
		if src.kind == fromOCI {
			return invocation{args: pullArgs(src.ref, src.version, src.digest, dest, opts.Source)}, nil
		}
		return h.stageURL(src, dest, opts.Source)
	}, "")
}

func (h *Helm) fetchFromRepo(ctx context.Context, src chartSource, opts ChartOptions, asked time.Time) (*Chart, error) {
	if src.repoURL != "" {
		var err error
		if src.repo, err = h.AddRepo(ctx, src.repoURL, RepoOptions{}); err != nil {
			return nil, err
		}
	}
	src.ref = src.repo + "/" + src.chart
	// A name can be given to another repository one day, its URL is what it is.
	from, err := h.known(ctx, src.repo)
	if err != nil {
		return nil, err
	}
	src.shown = from.shown() + "/" + src.chart
	key := func(version string) string { return from.Name + " " + from.URL + "/" + src.chart + " " + version }
	if pinned(src.version) && !opts.Refresh {
		if p, ok := h.readPin(key(src.version)); ok {
			if ch := h.kept(ctx, src, p.Digest); ch != nil {
				return ch, nil
			}
		}
	}
	fresh := opts.Refresh || !pinned(src.version)
	if fresh {
		// Starts no process where the repository was added just now.
		if err := h.refresh(ctx, src.repo, asked); err != nil {
			return nil, err
		}
	}
	entry, err := h.find(ctx, src)
	if errors.Is(err, ErrChartNotFound) && !fresh {
		// It may have been published after the index was fetched.
		if err := h.refresh(ctx, src.repo, asked); err != nil {
			return nil, err
		}
		entry, err = h.find(ctx, src)
	}
	if err != nil {
		return nil, err
	}
	src.version = entry.Version
	return h.cached(ctx, key(entry.Version), src, func(p pin) bool {
		if digest := entry.digest(); digest != "" {
			return p.Digest == digest
		}
		return !opts.Refresh || !p.At.Before(asked)
	}, func(dest string) (invocation, error) {
		return h.stageEntry(ctx, src, from.URL, entry, dest)
	}, entry.digest())
}

// openChart reads what is at path.
func (h *Helm) openChart(src chartSource, path string) (*Chart, error) {
	a, err := readChart(path, cmp.Or(src.shown, path), h.chartLimits())
	if err != nil {
		return nil, err
	}
	digest := a.Digest
	if digest != "" {
		digest = "sha256:" + digest
	}
	if src.chart != "" && a.Metadata.Name != src.chart {
		return nil, fmt.Errorf("%w: %s holds a chart named %q", ErrChartNotFound, src.shown, a.Metadata.Name)
	}
	if pinned(src.version) && !sameVersion(a.Metadata.Version, src.version) {
		return nil, fmt.Errorf("%w: %s %s holds version %q", ErrChartNotFound, src.shown, src.version, a.Metadata.Version)
	}
	ref := redact.Address(src.ref)
	return &Chart{
		Path: path, Ref: ref, Repo: src.repo, Metadata: a.Metadata, Values: a.Values, Schema: a.Schema, Digest: digest,
		bringsCRDs: slices.ContainsFunc(a.Files, bringsCRDs),
	}, nil
}

func (h *Helm) chartLimits() chartLimits {
	limits := defaultChartLimits
	limits.compressed = h.cfg.Limits.Archive
	return limits
}

func pullArgs(ref, version, digest, dir string, opts SourceOptions) []string {
	a := args{"pull", "--destination=" + dir}
	if digest != "" {
		ref += "@" + digest
	} else {
		a.str("--version", version)
	}
	a.add(opts.flags()...)
	return append(a, "--", ref)
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

// sameVersion compares two versions; a tag of a registry has "_" for "+".
func sameVersion(a, b string) bool {
	va, errA := semver.NewVersion(a)
	vb, errB := semver.NewVersion(strings.ReplaceAll(b, "_", "+"))
	return errA == nil && errB == nil && va.Equal(vb)
}
