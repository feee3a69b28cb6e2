package fetch

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

	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/home"
)

// UpdateRepos fetches the indexes of repositories again; without names, of all known ones. Every
// repository is tried; the error lists those that failed.
func (s *Store) UpdateRepos(ctx context.Context, names []string) error {
	known, err := s.repositories(ctx)
	if err != nil {
		return err
	}
	var all []string
	for _, r := range known {
		all = append(all, r.Name)
	}
	for _, name := range names {
		if !slices.Contains(all, name) {
			return fmt.Errorf("%w: %s", unknown(name), strings.Join(all, ", "))
		}
	}
	if len(names) == 0 {
		names = all
	}
	asked := time.Now()
	var group errgroup.Group
	failures := make([]error, len(names))
	for i, name := range names {
		group.Go(func() error {
			failures[i] = s.refresh(ctx, name, asked)
			return nil
		})
	}
	_ = group.Wait()
	return errors.Join(failures...)
}

// refreshed is a past refresh of a repository.
type refreshed struct {
	began time.Time
	err   error
}

// refresh fetches the index of a repository again, unless a refresh that began after the caller
// asked has done so. Helm 3 writes an index in place; we write another file and rename it, so that
// a reader finds the old index or the new one.
func (s *Store) refresh(ctx context.Context, name string, asked time.Time) error {
	unlock, err := s.home.Lock(ctx, "repository "+name)
	if err != nil {
		return err
	}
	defer unlock()
	if text, err := os.ReadFile(s.refreshStamp(name)); err == nil {
		if began, err := time.Parse(time.RFC3339Nano, string(text)); err == nil && !began.Before(asked) {
			return nil
		}
	}
	if last, ok := s.failures.Load(name); ok && !last.(refreshed).began.Before(asked) {
		return last.(refreshed).err
	}
	began := time.Now()
	if err := s.refetch(ctx, name); err != nil {
		if ctx.Err() == nil {
			s.failures.Store(name, refreshed{began, err})
		}
		return err
	}
	return s.stampRefresh(name, began)
}

func (s *Store) refreshStamp(name string) string { return s.pinFile("refresh of " + name) }

// stampRefresh remembers for all processes when the last refresh began.
func (s *Store) stampRefresh(name string, began time.Time) error {
	return home.WriteFile(s.refreshStamp(name), []byte(began.Format(time.RFC3339Nano)))
}

func (s *Store) refetch(ctx context.Context, name string) error {
	at, err := s.place(ctx, name)
	if err != nil {
		return err
	}
	known, err := s.known(ctx, name)
	if err != nil {
		return err
	}
	staged, err := s.home.MkdirTemp("index-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(staged)
	fresh := place{at.config, filepath.Join(staged, filepath.Base(at.index))}
	if err := s.fetchIndex(ctx, known, fresh, staged); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(at.index), 0o700); err != nil {
		return err
	}
	if s.private {
		return errors.Join(os.Chmod(fresh.index, 0o600), os.Rename(fresh.index, at.index))
	}
	return home.CopyFile(fresh.index, at.index) // it may be on another file system
}

// fetchIndex lets helm fetch the index of a repository to a place in the folder tmp, with the
// configuration there.
func (s *Store) fetchIndex(ctx context.Context, from repository, at place, tmp string) error {
	strict, err := s.helm.UpdateFlags(ctx)
	if err != nil {
		return err
	}
	call := Call{
		Args:    slices.Concat([]string{"repo", "update"}, strict, []string{"--", from.Name}),
		Secrets: from.secrets(), Subject: from.shown(),
		Dir: tmp, MaxBytes: s.limits.Index, Reports: true, Kind: errdef.ErrRepoNotFound,
	}
	if from.authorization() != "" {
		call.Login = LoginGiven
		at.config = filepath.Join(tmp, "relayed.yaml")
		index, err := from.resolve("index.yaml")
		if err != nil {
			return err
		}
		if call.Via, err = s.relay(from, index.String(), "index.yaml"); err != nil {
			return fmt.Errorf("repository %s: %w", from.shown(), err)
		}
		defer call.Via.Stop()
		if err := writeRepositories(at.config, repository{Name: from.Name, URL: call.Via.url}); err != nil {
			return err
		}
	}
	call.Env = at.env()
	_, err = s.helm.Fetch(ctx, call)
	return err
}
