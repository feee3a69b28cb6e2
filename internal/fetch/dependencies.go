package fetch

import (
	"context"
	"os"
	"path/filepath"
	"slices"

	"github.com/sut-bench/helmexec/internal/errdef"
)

// BuildDependencies fetches what the lock file of a chart's folder names into the folder's charts, with
// the credentials of the known repositories that the chart's dependencies name. A dependency names one
// by its URL, or as "@name" or "alias:name". The repositories of the user are helm's own matter.
func (s *Store) BuildDependencies(ctx context.Context, folder string, named []string) error {
	tmp, err := s.home.MkdirTemp("dependencies-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	call := Call{Args: []string{"dependency", "build", "--", folder}, Reports: true, Dir: tmp, MaxBytes: s.limits.Index}
	if s.private {
		at := placeIn(tmp, "")
		if call.Secrets, err = s.writeDependencies(ctx, at.config, folder, named); err != nil {
			return err
		}
		call.Env = append(at.env(), "HELM_CONTENT_CACHE="+filepath.Join(tmp, "content"))
	}
	_, err = s.helm.Fetch(ctx, call)
	return err
}

// writeDependencies writes the file of repositories that helm wants, of those that are named: helm
// refreshes all that are in it. secrets are their passwords.
func (s *Store) writeDependencies(ctx context.Context, config, folder string, named []string) (secrets []string, err error) {
	known, err := s.repositories(ctx)
	if err != nil {
		return nil, err
	}
	all := []repository{}
	for _, r := range known {
		isNamed := slices.ContainsFunc(named, func(name string) bool {
			u, err := parseRepoURL(name)
			return name == "@"+r.Name || name == "alias:"+r.Name || err == nil && u.String() == r.URL
		})
		switch {
		case !isNamed:
		case r.Token != "":
			return nil, errdef.Invalidf("dependency build: repository %s wants a token, which helm cannot send: put its charts into %s with Pull", r.shown(), filepath.Join(folder, "charts"))
		default:
			secrets = append(secrets, r.Password)
			all = append(all, r)
		}
	}
	return secrets, writeRepositories(config, all...)
}
