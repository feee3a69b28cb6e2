package helmexec

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sut-bench/helmexec/internal/home"
	"github.com/sut-bench/helmexec/internal/redact"
)

// UpdateReposOptions is for UpdateRepos. Names empty means every repository.
type UpdateReposOptions struct {
	Names []string
}

// UpdateRepos fetches the indexes of repositories again, one helm process for each, or none where a
// caller at the same moment has done so. Every repository is tried; what failed is in the error, on
// Helm 3 too, which by itself reports such a failure as a success.
//
// Errors: ErrRepoNotFound for a name that is not known, and for a repository that does not answer;
// ErrUnauthorized, ErrOutputTooLarge, ErrFetchTimeout.
func (h *Helm) UpdateRepos(ctx context.Context, opts UpdateReposOptions) error {
	known, err := h.Repos(ctx)
	if err != nil {
		return err
	}
	var names []string
	for _, r := range known {
		names = append(names, r.Name)
	}
	for _, name := range opts.Names {
		if !slices.Contains(names, name) {
			return fmt.Errorf("%w: %q is not among the repositories added by AddRepo: %s", ErrRepoNotFound, name, strings.Join(names, ", "))
		}
	}
	if len(opts.Names) > 0 {
		names = opts.Names
	}
	asked := time.Now()
	var all errgroup.Group
	failures := make([]error, len(names))
	for i, name := range names {
		all.Go(func() error {
			failures[i] = h.refresh(ctx, name, asked)
			return nil
		})
	}
	_ = all.Wait()
	return errors.Join(failures...)
}

// refreshed is a refresh of a repository in the past.
type refreshed struct {
	began time.Time
	err   error
}

// refresh fetches the index of a repository again, unless somebody's refresh that began after the
// caller asked has done so. Helm 3 writes an index in place; here it is written beside and renamed,
// so that a reader finds the old one or the new one.
func (h *Helm) refresh(ctx context.Context, name string, asked time.Time) error {
	unlock, err := h.home.Lock(ctx, "repository "+name)
	if err != nil {
		return err
	}
	defer unlock()
	if text, err := os.ReadFile(h.refreshStamp(name)); err == nil {
		if began, err := time.Parse(time.RFC3339Nano, string(text)); err == nil && !began.Before(asked) {
			return nil
		}
	}
	if last, ok := h.failures.Load(name); ok && !last.(refreshed).began.Before(asked) {
		return last.(refreshed).err
	}
	began := time.Now()
	if err := h.refetch(ctx, name); err != nil {
		if ctx.Err() == nil {
			h.failures.Store(name, refreshed{began, err})
		}
		return err
	}
	return h.stampRefresh(name, began)
}

func (h *Helm) refreshStamp(name string) string { return h.pinFile("refresh of " + name) }

// stampRefresh remembers for all processes when the last refresh began.
func (h *Helm) stampRefresh(name string, began time.Time) error {
	return home.WriteFile(h.refreshStamp(name), []byte(began.Format(time.RFC3339Nano)))
}

func (h *Helm) refetch(ctx context.Context, name string) error {
	dir, err := h.repoDir(ctx, name)
	if err != nil {
		return err
	}
	known, err := h.known(ctx, name)
	if err != nil {
		return err
	}
	staged, err := h.home.MkdirTemp("index-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(staged)
	fresh := repoDir{dir.config, filepath.Join(staged, filepath.Base(dir.index))}
	if err := h.fetchIndex(ctx, known, fresh, staged); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir.index), 0o700); err != nil {
		return err
	}
	if h.private() {
		return errors.Join(os.Chmod(fresh.index, 0o600), os.Rename(fresh.index, dir.index))
	}
	return home.CopyFile(fresh.index, dir.index) // it may be on another file system
}

// fetchIndex lets helm fetch the index of a repository, as the configuration that is at a place says,
// to that place, in the folder tmp.
func (h *Helm) fetchIndex(ctx context.Context, from repoEntry, at repoDir, tmp string) error {
	d, err := h.dialect(ctx)
	if err != nil {
		return err
	}
	a := args{"repo", "update"}
	a.add(d.updateFails...)
	a.add("--", from.Name)
	inv := invocation{args: a, reports: true, subject: from.shown(), secrets: from.secrets()}
	if from.authorization() != "" {
		inv.login = loginGiven
		at.config = filepath.Join(tmp, "relayed.yaml")
		index, err := from.resolve("index.yaml")
		if err != nil {
			return err
		}
		if inv.via, err = h.relay(from, index.String(), "index.yaml"); err != nil {
			return fmt.Errorf("repository %s: %w", from.shown(), err)
		}
		defer inv.via.stop()
		if err := writeRepositories(at.config, repoEntry{Name: from.Name, URL: inv.via.url}); err != nil {
			return err
		}
	}
	inv.env = at.env()
	return sourceFailed(h.fetching(ctx, inv, tmp, h.cfg.Limits.Index))
}

// find looks a version of a chart up in its repository's index.
func (h *Helm) find(ctx context.Context, src chartSource) (ChartVersion, error) {
	versions, err := h.versions(ctx, src.repo, src.chart)
	if err != nil {
		return ChartVersion{}, err
	}
	v, ok := pickVersion(versions, src.version)
	switch {
	case ok:
		return v, nil
	case len(versions) == 0:
		return v, fmt.Errorf("%w: repository %s has no chart %q", ErrChartNotFound, h.shownRepo(ctx, src.repo), src.chart)
	case src.version == "":
		return v, fmt.Errorf("%w: chart %s has no stable version; the newest is %s: name it", ErrChartNotFound, src.shown, versions[0].Version)
	}
	return v, fmt.Errorf("%w: chart %s has no version that fits %q; the newest is %s", ErrChartNotFound, src.shown, src.version, versions[0].Version)
}

// versions reads the versions of a chart from the index at hand.
func (h *Helm) versions(ctx context.Context, repo, chart string) ([]ChartVersion, error) {
	dir, err := h.repoDir(ctx, repo)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(dir.config); err != nil {
		return nil, fmt.Errorf("%w: %q is not among the repositories added by AddRepo", ErrRepoNotFound, repo)
	}
	versions, err := readIndex(dir.index, chart, h.cfg.Limits.Index)
	if err != nil {
		return nil, redact.Legible(fmt.Errorf("repository %s: %w", h.shownRepo(ctx, repo), err))
	}
	return versions, nil
}
