package fetch

import (
	"cmp"
	"context"
	"encoding/json"
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
			failures[i] = s.refresh(ctx, name, asked, true)
			return nil
		})
	}
	_ = group.Wait()
	return errors.Join(failures...)
}

// refreshed is what all processes know about the past refreshes of a repository's index.
type refreshed struct {
	Began time.Time  // the last one
	Whole time.Time  // the last one that fetched the index, when it began
	Have  validators // of what that fetched
}

// keptWhole is how long a source is believed that its index has not changed.
const keptWhole = 24 * time.Hour

// failedRefresh is the last refresh in this process that failed.
type failedRefresh struct {
	began time.Time
	err   error
}

// refresh finds out whether the index of a repository has changed, and fetches it again if so; with whole in any
// case. It does nothing if a refresh that began after the caller asked has done so. Helm 3 writes an index in
// place; we write another file and rename it, so that a reader finds the old index or the new one.
func (s *Store) refresh(ctx context.Context, name string, asked time.Time, whole bool) error {
	var last refreshed
	var failed error
	unlock, err := s.home.LockUnless(ctx, "repository "+name, func() bool {
		last = s.lastRefresh(name)
		if !last.Whole.Before(asked) || !whole && !last.Began.Before(asked) {
			return true
		}
		if f, ok := s.failures.Load(name); ok && !f.(failedRefresh).began.Before(asked) {
			failed = f.(failedRefresh).err
		}
		return failed != nil
	})
	if err != nil || unlock == nil {
		return cmp.Or(err, failed)
	}
	defer unlock()
	began := time.Now()
	next, err := s.refetch(ctx, name, last, whole)
	if err != nil {
		if ctx.Err() == nil {
			s.failures.Store(name, failedRefresh{began, err})
		}
		return err
	}
	s.stampRefresh(name, next)
	return nil
}

func (s *Store) refreshStamp(name string) string { return s.pinFile("refresh of " + name) }

// lastRefresh is what is known about the refreshes of a repository. If the clock was set back since then, it is
// nothing.
func (s *Store) lastRefresh(name string) (last refreshed) {
	text, err := os.ReadFile(s.refreshStamp(name))
	now := time.Now()
	if err != nil || json.Unmarshal(text, &last) != nil || last.Began.After(now) || last.Whole.After(now) {
		return refreshed{}
	}
	return last
}

// stampRefresh remembers a refresh for all processes. Where it cannot be written, the others refresh again.
func (s *Store) stampRefresh(name string, r refreshed) {
	if text, err := json.Marshal(r); err == nil {
		_ = home.WriteFile(s.refreshStamp(name), text)
	}
}

// refetch asks whether an index has changed, if that can be asked, and otherwise fetches it. The caller holds the lock
// of the repository.
func (s *Store) refetch(ctx context.Context, name string, last refreshed, whole bool) (next refreshed, err error) {
	at, err := s.place(ctx, name)
	if err != nil {
		return next, err
	}
	known, err := s.known(ctx, name)
	if err != nil {
		return next, err
	}
	via, err := s.indexRelay(known)
	if err != nil {
		return next, err
	}
	defer via.Stop()
	began := time.Now()
	if s.private && !whole && last.Have != (validators{}) && began.Sub(last.Whole) < keptWhole {
		own := make(chan bool, 1)
		go func() { own <- last.Have.of(at.index) }() // while we wait for the answer
		if via.unchanged(ctx, last.Have) && <-own {
			return refreshed{began, last.Whole, last.Have}, nil
		}
	}
	staged, err := s.home.MkdirTemp("index-")
	if err != nil {
		return next, err
	}
	defer os.RemoveAll(staged)
	fresh := place{config: at.config, index: filepath.Join(staged, filepath.Base(at.index))}
	if err := s.fetchIndex(ctx, known, via, fresh, staged); err != nil {
		return next, err
	}
	if err := os.MkdirAll(filepath.Dir(at.index), 0o700); err != nil {
		return next, err
	}
	if s.private {
		err = errors.Join(os.Chmod(fresh.index, 0o600), os.Rename(fresh.index, at.index))
		s.prepare(at.index)
	} else {
		err = home.CopyFile(fresh.index, at.index) // it may be on another file system
	}
	return refreshed{began, began, via.validators()}, err
}

// indexRelay makes a relay for the index of a repository. It is nil where helm can do without: in a UserHome, or if
// this program would reach the repository in another way or cannot listen, as long as there are no credentials.
func (s *Store) indexRelay(from repository) (*Relay, error) {
	login := from.authorization() != ""
	if !s.private && !login {
		return nil, nil
	}
	index, err := from.resolve("index.yaml")
	if err != nil {
		return nil, err
	}
	via, err := s.relay(from, index.String(), "index.yaml")
	isBad := errors.Is(err, errdef.ErrInvalidArgument) && !errors.Is(err, errOtherWay) // for helm as well
	if isBad || err != nil && login {
		return nil, fmt.Errorf("repository %s: %w", from.shown(), err)
	}
	return via, nil
}

// fetchIndex lets helm fetch the index of a repository to a place in the folder tmp, through a relay if there is
// one, and else with the configuration there.
func (s *Store) fetchIndex(ctx context.Context, from repository, via *Relay, at place, tmp string) error {
	strict, err := s.helm.UpdateFlags(ctx)
	if err != nil {
		return err
	}
	call := Call{
		Args:    slices.Concat([]string{"repo", "update"}, strict, []string{"--", from.Name}),
		Secrets: from.secrets(), Subject: from.shown(), Via: via,
		Dir: tmp, FetchedTo: at.index, MaxBytes: s.limits.Index, Reports: true, Kind: errdef.ErrRepoNotFound,
	}
	if from.authorization() != "" {
		call.Login = LoginGiven
	}
	if via != nil {
		at.config = filepath.Join(tmp, "relayed.yaml")
		if err := writeRepositories(at.config, repository{Name: from.Name, URL: via.url}); err != nil {
			return err
		}
	}
	call.Env = at.env()
	_, err = s.helm.Fetch(ctx, call)
	return err
}
