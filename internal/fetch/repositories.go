package fetch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sut-bench/helmexec/internal/argument"
	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/redact"
)

// In a private home each repository has its own folder, with a repositories.yaml of one entry and
// its index. So a repository cannot reach another's cache, an update reads and writes only one
// index, and everything becomes visible by one rename: readers need no lock. The repositories of
// the user are Helm's own and shared.

func (s *Store) folder(name string) string { return s.home.Path("repositories", name) }

// place of a repository; for name "" only the config.
func (s *Store) place(ctx context.Context, name string) (place, error) {
	if s.private {
		return placeIn(s.folder(name), name), nil
	}
	p, err := s.usersPlace(ctx)
	p.index = filepath.Join(p.index, name+"-index.yaml")
	return p, err
}

// usersPlace asks helm, once, where the user's repositories are: their config, the folder of
// their indexes and their log-ins at registries.
func (s *Store) usersPlace(ctx context.Context) (p place, err error) {
	leave, err := s.home.Turn(ctx, "the folders of helm")
	if err != nil {
		return p, err
	}
	defer leave()
	if s.users != nil {
		return *s.users, nil
	}
	out, err := s.helm.Fetch(ctx, Call{Args: []string{"env"}})
	if err != nil {
		return p, err
	}
	for _, line := range strings.Split(string(out), "\n") {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = strings.Trim(value, `"`)
		switch key {
		case "HELM_REPOSITORY_CONFIG":
			p.config = value
		case "HELM_REPOSITORY_CACHE":
			p.index = value
		case "HELM_REGISTRY_CONFIG":
			p.registry = value
		}
	}
	s.users = &p
	return p, nil
}

// Repo is a known repository.
type Repo struct{ Name, URL string }

// Repos lists the known repositories by name.
func (s *Store) Repos(ctx context.Context) ([]Repo, error) {
	all, err := s.repositories(ctx)
	repos := make([]Repo, 0, len(all))
	for _, r := range all {
		repos = append(repos, Repo{r.Name, r.URL})
	}
	return repos, err
}

// repositories returns all known repositories, by name.
func (s *Store) repositories(ctx context.Context) ([]repository, error) {
	var files []string
	if s.private {
		folders, _ := os.ReadDir(s.folder(""))
		for _, f := range folders {
			files = append(files, placeIn(s.folder(f.Name()), "").config)
		}
	} else {
		p, err := s.place(ctx, "")
		if err != nil {
			return nil, err
		}
		files = []string{p.config}
	}
	var all []repository
	for _, file := range files {
		there, err := readRepositories(file)
		if err != nil {
			return nil, err
		}
		all = append(all, there...)
	}
	slices.SortFunc(all, func(a, b repository) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// known returns what is stored about a known repository.
func (s *Store) known(ctx context.Context, name string) (repository, error) {
	p, err := s.place(ctx, name)
	if err != nil {
		return repository{}, err
	}
	there, err := readRepositories(p.config)
	for _, r := range there {
		if r.Name == name {
			return r, nil
		}
	}
	if err == nil {
		err = unknown(name)
	}
	return repository{}, err
}

func unknown(name string) error {
	return fmt.Errorf("%w: %q is not among the repositories added by AddRepo", errdef.ErrRepoNotFound, name)
}

// shown is the name of a repository in errors.
func (s *Store) shown(ctx context.Context, name string) string {
	if r, err := s.known(ctx, name); err == nil {
		return r.shown()
	}
	return name
}

// AddRepo adds the repository at an address and returns its name, which is made from the address if
// none is given. A known repository keeps its name and all of its access that is left empty; if nothing
// changes, helm is not run.
func (s *Store) AddRepo(ctx context.Context, address, name string, access Access) (string, error) {
	u, err := parseRepoURL(address)
	if err != nil {
		return "", err
	}
	if u.User != nil {
		access.Username = u.User.Username()
		access.Password, _ = u.User.Password()
		u.User = nil
	}
	if err := access.check(u, s.private); err != nil {
		return "", err
	}
	if name != "" {
		if err := argument.Repo(name); err != nil {
			return "", err
		}
	}
	for what, file := range map[string]*string{"CAFile": &access.CAFile, "CertFile": &access.CertFile, "KeyFile": &access.KeyFile} {
		if err := argument.AbsolutePath(what, file); err != nil {
			return "", err
		}
	}
	adds := cmp.Or(name, nameOfRepo(u))
	known := ""
	var fault error
	unlock, err := s.home.LockUnless(ctx, "repository "+adds, func() bool {
		known, fault = s.reached(ctx, u, name, access)
		return known != "" || fault != nil
	})
	if err != nil || unlock == nil {
		return known, cmp.Or(err, fault)
	}
	defer unlock()
	if have, err := s.known(ctx, adds); err == nil {
		access = access.over(have.Access)
	}
	if err := s.add(ctx, repository{Name: adds, URL: u.String(), Access: access}); err != nil {
		return "", err
	}
	return adds, nil
}

// reached finds the repository of a URL among the known ones; "" if it is not known, or has other
// access options. name is its required name, "" for any.
func (s *Store) reached(ctx context.Context, u *url.URL, name string, access Access) (known string, err error) {
	var all []repository
	if s.private && name == "" {
		// Try the default name for this URL first: there may be hundreds of files.
		all, err = readRepositories(placeIn(s.folder(nameOfRepo(u)), "").config)
	}
	if len(all) == 0 && err == nil {
		all, err = s.repositories(ctx)
	}
	if err != nil {
		return "", err
	}
	for _, r := range all {
		have, err := parseRepoURL(r.URL)
		sameURL := err == nil && have.String() == u.String()
		switch {
		case sameURL && (name == "" || name == r.Name):
			if access.over(r.Access) != r.Access {
				return "", nil
			}
			return r.Name, nil
		case !sameURL && cmp.Or(name, nameOfRepo(u)) == r.Name:
			return "", errdef.Invalidf("repository name %q is in use for %s", r.Name, redact.Address(r.URL))
		}
	}
	return "", nil
}

// add lets helm fetch a repository's index and stores both. The caller holds its lock.
func (s *Store) add(ctx context.Context, r repository) error {
	began := time.Now()
	tmp, err := s.home.MkdirTemp("repo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	staged := placeIn(tmp, r.Name)
	var via *Relay
	if s.private {
		if via, err = s.indexRelay(r); err != nil {
			return err
		}
		defer via.Stop()
	}
	if via != nil && (r.authorization() != "" || r.CertFile != "") {
		// Others on this host can read the arguments of helm. With a relay's URL they would get the index through it.
		err = s.fetchIndex(ctx, r, via, staged, tmp)
	} else {
		err = s.helmAdd(ctx, r, via, staged, tmp)
	}
	if err != nil {
		return err
	}
	if s.private {
		if err := writeRepositories(staged.config, r); err != nil {
			return err
		}
		// The config comes last: it makes the repository known, and replaces old credentials in one
		// step.
		to := placeIn(s.folder(r.Name), r.Name)
		err := errors.Join(os.MkdirAll(filepath.Dir(to.index), 0o700), os.Chmod(staged.index, 0o600))
		if err == nil {
			err = os.Rename(staged.index, to.index)
		}
		if err == nil {
			s.prepare(to.index)
			err = os.Rename(staged.config, to.config)
		}
		if err != nil {
			return err
		}
	}
	s.stampRefresh(r.Name, refreshed{began, began, via.validators()})
	return nil
}

// helmAdd lets helm add a repository, through a relay if there is one; in a private home to a place in the folder tmp.
func (s *Store) helmAdd(ctx context.Context, r repository, via *Relay, at place, tmp string) error {
	call := Call{Secrets: r.secrets(), Subject: r.URL, Via: via, Dir: tmp, MaxBytes: s.limits.Index}
	if s.private {
		call.Env, call.FetchedTo = at.env(), at.index
	}
	if via != nil {
		r = repository{Name: r.Name, URL: via.url}
	}
	if r.Password != "" {
		call.Stdin = []byte(r.Password)
	}
	call.Args = addArgs(r)
	_, err := s.helm.Fetch(ctx, call)
	return err
}

func addArgs(r repository) []string {
	f := flags{"repo", "add", "--force-update"} // which replaces credentials
	f.str("--username", r.Username)
	f.is("--password-stdin", r.Password != "")
	f.str("--ca-file", r.CAFile)
	f.str("--cert-file", r.CertFile)
	f.str("--key-file", r.KeyFile)
	f.is("--insecure-skip-tls-verify", r.InsecureSkipTLSVerify)
	f.is("--pass-credentials", r.PassCredentialsAll)
	return append(f, "--", r.Name, r.URL)
}

// RemoveRepo removes a repository and its index. ErrRepoNotFound: it is not known.
func (s *Store) RemoveRepo(ctx context.Context, name string) error {
	if err := argument.Repo(name); err != nil {
		return err
	}
	unlock, err := s.home.Lock(ctx, "repository "+name)
	if err != nil {
		return err
	}
	defer unlock()
	if !s.private {
		_, err := s.helm.Fetch(ctx, Call{Args: []string{"repo", "remove", "--", name}})
		return err
	}
	// The rename removes it at once; deleting the files may take some time.
	trash := s.home.Path("tmp", fmt.Sprintf("removed-%s-%d", name, time.Now().UnixNano()))
	if err := os.Rename(s.folder(name), trash); errors.Is(err, fs.ErrNotExist) {
		return unknown(name)
	} else if err != nil {
		return err
	}
	return os.RemoveAll(trash)
}
