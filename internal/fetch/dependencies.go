package fetch

import (
	"context"
	"os"
	"path/filepath"
	"slices"

	"github.com/sut-bench/helmexec/internal/errdef"
)

// BuildDependencies fetches the dependencies in the lock file of a chart's folder into its charts
// folder, with the credentials of the known repositories that they name. A dependency names one by its
// URL, or as "@name" or "alias:name". Helm itself handles the repositories of the user.
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

// writeDependencies writes helm's file of repositories with only those that are named, because helm
// refreshes all in the file. secrets are their passwords.
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
			return nil, errdef.Invalidf("dependency build: repository %s needs a token, which helm cannot send: put its charts into %s with Pull", r.shown(), filepath.Join(folder, "charts"))
		default:
			secrets = append(secrets, r.Password)
			all = append(all, r)
		}
	}
	return secrets, writeRepositories(config, all...)
}
