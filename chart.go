package helmexec

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sut-bench/helmexec/chart"
	"github.com/sut-bench/helmexec/internal/argument"
	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/fetch"
	"github.com/sut-bench/helmexec/internal/helmtext"
	"github.com/sut-bench/helmexec/internal/home"
	"github.com/sut-bench/helmexec/internal/redact"
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
// [chart.Read] says what is refused, and [chart.Limits] what is too much.
//
// Errors: ErrChartNotFound, ErrBadChart, ErrOutputTooLarge.
func ArchiveValues(path string) (Values, error) {
	content, err := chart.Read(path, chart.Options{})
	if err != nil {
		return nil, err
	}
	return content.Values, nil
}

// ValidateAddress refuses a text that is no address of a chart, as every call that takes one does. It looks at the text only:
// a program that runs for hours calls it before it begins.
//
// Errors: ErrInvalidArgument.
func ValidateAddress(chart string) error { return fetch.ValidateAddress(chart) }

// SourceOptions says how to reach a registry or the host of an archive. A chart repository uses the
// options of AddRepo.
type SourceOptions struct {
	PlainHTTP                 bool // an OCI registry without TLS
	InsecureSkipTLSVerify     bool
	CAFile, CertFile, KeyFile string
	// Keyring is a file of public keys, as "gpg --export" writes it. With one, a call that takes a chart takes only
	// an archive that was signed with one of these keys ("helm package --sign"), and otherwise fails with
	// ErrUnverified. What is in the cache counts only if it was verified with these keys too. The default is
	// Config.Keyring. It means nothing for Push and RegistryLogin.
	Keyring string
}

// ChartOptions says which version of a chart, and how to reach it.
type ChartOptions struct {
	// Version is a version or a constraint; "" is the latest stable one. A version in the address
	// means the same.
	Version string
	// Refresh contacts the source again, even for an exact version that is in the cache. The index of a repository is
	// fetched whole; from a registry only what has changed is pulled.
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
	// ManifestDigest is the "sha256:…" of the chart's manifest in an OCI registry; "" for a chart from elsewhere. The
	// address Ref + "@" + ManifestDigest means exactly this chart, wherever its tag is moved.
	ManifestDigest string
	// Signature says who signed it; nil if no Keyring was given.
	Signature *Signature

	bringsCRDs   bool // in its folder crds, or in that of a subchart
	bringsSchema bool // in it or in a subchart
}

// Signature says who signed a chart. The key is in the Keyring.
type Signature struct {
	Fingerprint string // of the key, in hexadecimal digits
	SignedBy    string // the name of the key's owner, as the keyring has it, in printable text
}

// Fetch downloads a chart from any address (see Chart2Info for the forms). A repository that is not
// known yet is added. An exact version that is in the cache starts no helm process. Otherwise one
// process pulls it; before that, another one fetches the repository's index if the version is open
// or is not in the local index. Neither starts if the source says, when asked, that nothing has
// changed since then. Callers who ask for the same thing at the same time, in any process
// with the same Home, share one refresh and one pull.
//
// Before anything else sees the archive, it must match the digest that the index gives, and be a
// valid chart archive within Limits.
//
// Errors: ErrInvalidArgument, ErrRepoNotFound, ErrUnauthorized, ErrChartNotFound, ErrBadChart,
// ErrDigestMismatch, ErrUnverified, ErrOutputTooLarge, ErrFetchTimeout.
func (h *Helm) Fetch(ctx context.Context, address string, opts ChartOptions) (*Chart, error) {
	return h.fetch(ctx, address, fetch.Options{Version: opts.Version, Refresh: opts.Refresh, Source: fetch.Source(opts.Source)})
}

func (h *Helm) fetch(ctx context.Context, address string, opts fetch.Options) (ch *Chart, err error) {
	ctx, end := h.enter(ctx, Span{Operation: "Fetch", Address: address})
	defer end(&err)
	if ch, err = h.open(ctx, address, opts); err != nil {
		return nil, err
	}
	noteChart(ctx, ch)
	if h.store.Owns(ch.Path, ch.Digest) {
		note(ctx, func(s *Span) { s.Cache = cmp.Or(s.Cache, CacheHit) })
	}
	return ch, nil
}

// open is fetch without an operation that an Observer sees.
func (h *Helm) open(ctx context.Context, address string, opts fetch.Options) (*Chart, error) {
	ch, err := h.store.Fetch(ctx, address, opts)
	if err != nil {
		return nil, err
	}
	return &Chart{
		Path: ch.Path, Ref: ch.Ref, Repo: ch.Repo, Metadata: ch.Metadata, Values: ch.Values, Schema: ch.Schema, Digest: ch.Digest,
		ManifestDigest: ch.Manifest, Signature: (*Signature)(ch.Signature),
		bringsCRDs: ch.HasCRDs(), bringsSchema: ch.HasSchema(),
	}, nil
}

// Pull puts the archive of a chart into the folder dir under the name that its source gives it, and
// returns its path. It appears there whole or not at all; a file of that name is replaced. Starts
// one helm process, and one before it if the repository needs a refresh.
//
// Errors: as Fetch.
func (h *Helm) Pull(ctx context.Context, chart, dir string, opts ChartOptions) (path string, err error) {
	ctx, end := h.enter(ctx, Span{Operation: "Pull", Address: chart})
	defer end(&err)
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
func (h *Helm) ShowChart(ctx context.Context, chart string, opts ChartOptions) (_ *Metadata, err error) {
	ctx, end := h.enter(ctx, Span{Operation: "ShowChart", Address: chart})
	defer end(&err)
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
func (h *Helm) ShowValues(ctx context.Context, chart string, opts ChartOptions) (_ Values, err error) {
	ctx, end := h.enter(ctx, Span{Operation: "ShowValues", Address: chart})
	defer end(&err)
	ch, err := h.Fetch(ctx, chart, opts)
	if err != nil {
		return nil, err
	}
	return ch.Values, nil
}

// PackageOptions is for Package.
type PackageOptions struct {
	Version    string // over the one in Chart.yaml
	AppVersion string
}

// Package makes the archive of a chart folder in the folder dir and returns its path. It appears
// there whole or not at all. A folder with a link that leads out of it is refused: helm would pack the file that
// it leads to. Starts one helm process.
//
// Errors: ErrInvalidArgument, ErrChartNotFound, ErrBadChart, ErrOutputTooLarge, or helm's own.
func (h *Helm) Package(ctx context.Context, folder, dir string, opts PackageOptions) (path string, err error) {
	ctx, end := h.enter(ctx, Span{Operation: "Package", Address: folder})
	defer end(&err)
	if err := argument.Version("Version", opts.Version); err != nil {
		return "", err
	}
	if fi, err := os.Stat(folder); err != nil || !fi.IsDir() {
		return "", fmt.Errorf("%w: %q is not a folder", ErrChartNotFound, folder)
	}
	if err := chart.CheckFiles(folder, chart.Options{}); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(dir, ".package-*")
	if err != nil {
		return "", errdef.Invalidf("package: %v", err)
	}
	defer os.RemoveAll(tmp)
	if folder, err = filepath.Abs(folder); err != nil {
		return "", err
	}
	a := args{"package", "--destination=" + tmp}
	a.str("--version", opts.Version)
	a.str("--app-version", opts.AppVersion)
	a.add("--", folder)
	if _, err := h.run(ctx, invocation{args: a}); err != nil {
		return "", err
	}
	made, _ := filepath.Glob(filepath.Join(tmp, "*.tgz"))
	if len(made) != 1 {
		return "", fmt.Errorf("helm package: want one archive, got %d", len(made))
	}
	path = filepath.Join(dir, filepath.Base(made[0]))
	return path, os.Rename(made[0], path)
}

// LintOptions is for Lint.
type LintOptions struct {
	ValuesFiles []string
	Values      Values
	KubeVersion string // default DefaultKubeVersion
	Strict      bool   // warnings fail too
	SkipSchema  bool   // as in TemplateOptions
	ExtraArgs   []string
}

// LintMessage is one finding, in printable text.
type LintMessage struct {
	Severity string // INFO, WARNING or ERROR
	Path     string // within the chart
	Text     string
}

// Lint examines a chart folder or archive on this machine, as helm lint does: a chart that passes may still
// not render, which Template shows. Starts one helm process.
//
// Errors: ErrLintFailed, with the messages; ErrChartNotFound, ErrBadChart; ErrRenderTooLarge and ErrRenderTimeout, both also an
// ErrRenderFailed.
func (h *Helm) Lint(ctx context.Context, path string, opts LintOptions) (_ []LintMessage, err error) {
	ctx, end := h.enter(ctx, Span{Operation: "Lint", Address: path})
	defer end(&err)
	if err := cmp.Or(argument.KubeVersion(opts.KubeVersion), argument.Extra(opts.ExtraArgs)); err != nil {
		return nil, err
	}
	stdin, err := valuesInput(opts.ValuesFiles, opts.Values)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrChartNotFound, err)
	}
	if opts.KubeVersion == "" {
		opts.KubeVersion = DefaultKubeVersion
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	check, advice := chart.CheckSchemaReferences, " (SkipSchema leaves the schema out)"
	if opts.SkipSchema {
		check, advice = chart.CheckFiles, ""
	}
	if err := check(path, chart.Options{Limits: chart.Limits{Archive: h.cfg.Limits.Archive}}); err != nil {
		return nil, fmt.Errorf("%w%s", err, advice)
	}
	a := append(args{"lint"}, opts.ExtraArgs...)
	a.str("--kube-version", opts.KubeVersion)
	a.is("--strict", opts.Strict)
	a.is("--skip-schema-validation", opts.SkipSchema)
	a.is("--values=-", stdin != nil)
	a.add("--", path)
	out, err := h.run(ctx, invocation{args: a, stdin: stdin, limits: h.rendering()})
	var messages []LintMessage
	for _, m := range helmtext.LintMessages(redact.Printable(string(out))) {
		messages = append(messages, LintMessage(m))
	}
	var e *Error
	if errors.As(err, &e) && e.ExitCode == 1 && len(messages) > 0 {
		err = fmt.Errorf("%w: %w", ErrLintFailed, err)
	}
	return messages, err
}

// DependencyBuild fetches the dependencies in a chart folder's lock file into its charts folder, with
// the credentials of repositories added by AddRepo. Use it only for your own charts: a dependency can
// name any address. Here helm itself gets a user name and password, and sends them along with a
// redirect to another port of the host. Starts one helm process.
//
// Errors: ErrInvalidArgument for a repository with a token, ErrChartNotFound, ErrBadChart,
// ErrRepoNotFound, ErrUnauthorized, ErrOutputTooLarge, ErrFetchTimeout.
func (h *Helm) DependencyBuild(ctx context.Context, folder string) (err error) {
	ctx, end := h.enter(ctx, Span{Operation: "DependencyBuild", Address: folder})
	defer end(&err)
	if fi, err := os.Stat(folder); err != nil || !fi.IsDir() {
		return fmt.Errorf("%w: %q is not a folder", ErrChartNotFound, folder)
	}
	if folder, err = filepath.Abs(folder); err != nil {
		return err
	}
	var named []string
	if h.cfg.Home != UserHome {
		content, err := chart.Read(folder, chart.Options{})
		if err != nil {
			return err
		}
		for _, d := range content.Metadata.Dependencies {
			named = append(named, d.Repository)
		}
	}
	return h.store.BuildDependencies(ctx, folder, named)
}
