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
	"github.com/sut-bench/helmexec/internal/helmtext"
	"github.com/sut-bench/helmexec/internal/redact"
)

// PackageOptions is for Package.
type PackageOptions struct {
	Version    string // over the one in Chart.yaml
	AppVersion string
}

// Package makes the archive of a chart folder in the folder dir and returns its path. It appears
// there whole or not at all. Starts one helm process.
//
// Errors: ErrInvalidArgument, ErrChartNotFound, or helm's own.
func (h *Helm) Package(ctx context.Context, chart, dir string, opts PackageOptions) (path string, err error) {
	if err := argument.Version("Version", opts.Version); err != nil {
		return "", err
	}
	if fi, err := os.Stat(chart); err != nil || !fi.IsDir() {
		return "", fmt.Errorf("%w: %q is not a folder", ErrChartNotFound, chart)
	}
	tmp, err := os.MkdirTemp(dir, ".package-*")
	if err != nil {
		return "", errdef.Invalidf("package: %v", err)
	}
	defer os.RemoveAll(tmp)
	chart, err = filepath.Abs(chart)
	if err != nil {
		return "", err
	}
	a := args{"package", "--destination=" + tmp}
	a.str("--version", opts.Version)
	a.str("--app-version", opts.AppVersion)
	a.add("--", chart)
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
// Errors: ErrLintFailed, with the messages; ErrBadChart; ErrRenderTooLarge, ErrRenderTimeout.
func (h *Helm) Lint(ctx context.Context, path string, opts LintOptions) ([]LintMessage, error) {
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
	if !opts.SkipSchema {
		if err := chart.CheckSchemaReferences(path, chart.Options{Limits: chart.Limits{Archive: h.cfg.Limits.Archive}}); err != nil {
			return nil, fmt.Errorf("%w (SkipSchema leaves the schema out)", err)
		}
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
func (h *Helm) DependencyBuild(ctx context.Context, folder string) error {
	if fi, err := os.Stat(folder); err != nil || !fi.IsDir() {
		return fmt.Errorf("%w: %q is not a folder", ErrChartNotFound, folder)
	}
	folder, err := filepath.Abs(folder)
	if err != nil {
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
