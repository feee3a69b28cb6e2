package helmexec

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

	"sigs.k8s.io/yaml"

	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/redact"
)

// Repo is a chart repository that is known by name.
type Repo struct {
	Name, URL string
}

// RepoOptions is for AddRepo.
type RepoOptions struct {
	// Name the repository; default is a name made from the URL.
	Name string
	// Username and Password log in to the repository. They may stand in the URL instead. Helm does
	// not get them: its requests go through a relay on the loopback, which adds them. In a UserHome
	// AddRepo gives them to helm, the user name as an argument, which other users of the host can see.
	Username, Password string
	// Token logs in to the repository in their place, as a bearer token, in the same way. Not in a
	// UserHome.
	Token string
	// CAFile verifies the server; CertFile and KeyFile identify the client.
	CAFile, CertFile, KeyFile string
	InsecureSkipTLSVerify     bool
	// PassCredentialsAll sends the credentials to any host that the index names archives on, but not
	// along with a redirect; else they go to the host of the repository alone.
	PassCredentialsAll bool
}

// In a private home each repository has a folder of its own, with a repositories.yaml of one
// entry and that repository's index. So a repository cannot reach another's cache, an update
// reads and writes one index only, and everything becomes visible by one rename: readers need no
// lock. In a UserHome the repositories are Helm's own and shared.

// repoDir is where the entry and the index of a repository are.
type repoDir struct{ config, index string }

func (h *Helm) private() bool { return h.cfg.Home != UserHome }

func (h *Helm) repoPath(name string) string { return h.home.Path("repositories", name) }

// repoDir of a repository; name "" asks for the config alone.
func (h *Helm) repoDir(ctx context.Context, name string) (repoDir, error) {
	if h.private() {
		return repoDirIn(h.repoPath(name), name), nil
	}
	d, err := h.shared.get(ctx, func() (d repoDir, err error) {
		out, err := h.run(ctx, invocation{args: []string{"env"}})
		for _, line := range strings.Split(string(out), "\n") {
			key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			value = strings.Trim(value, `"`)
			switch key {
			case "HELM_REPOSITORY_CONFIG":
				d.config = value
			case "HELM_REPOSITORY_CACHE":
				d.index = value
			}
		}
		return d, err
	})
	d.index = filepath.Join(d.index, name+"-index.yaml")
	return d, err
}

func repoDirIn(folder, name string) repoDir {
	return repoDir{filepath.Join(folder, "repositories.yaml"), filepath.Join(folder, "index", name+"-index.yaml")}
}

// env points helm at a repository.
func (d repoDir) env() []string {
	return []string{"HELM_REPOSITORY_CONFIG=" + d.config, "HELM_REPOSITORY_CACHE=" + filepath.Dir(d.index)}
}

// readRepositories reads a repositories.yaml; a missing one is empty.
func readRepositories(file string) ([]repoEntry, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var content struct{ Repositories []repoEntry }
	if err := yaml.Unmarshal(text, &content); err != nil {
		// The parser's error could quote a password.
		return nil, fmt.Errorf("repositories of helm: %s is not readable", file)
	}
	return content.Repositories, nil
}

// writeRepositories writes a repositories.yaml.
func writeRepositories(file string, entries ...repoEntry) error {
	text, err := yaml.Marshal(struct {
		APIVersion   string      `json:"apiVersion"`
		Repositories []repoEntry `json:"repositories"`
	}{Repositories: entries})
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}

// known is what helm keeps of a known repository.
func (h *Helm) known(ctx context.Context, name string) (repoEntry, error) {
	dir, err := h.repoDir(ctx, name)
	if err != nil {
		return repoEntry{}, err
	}
	entries, err := readRepositories(dir.config)
	for _, e := range entries {
		if e.Name == name {
			return e, nil
		}
	}
	if err == nil {
		err = fmt.Errorf("%w: %q is not among the repositories added by AddRepo", ErrRepoNotFound, name)
	}
	return repoEntry{}, err
}

// AddRepo makes the repository at url known and returns its name, by which charts are then
// referred to as name/chart. A repository that is already known under that URL keeps its name and
// all that opts leave open, until RemoveRepo, and where they give nothing new no helm process starts.
// Otherwise one does, which also fetches the index; credentials that do not work replace none. A Name
// of its own makes the same URL known once more.
//
// Errors: ErrInvalidArgument; ErrUnauthorized; ErrRepoNotFound when url serves no repository.
func (h *Helm) AddRepo(ctx context.Context, url string, opts RepoOptions) (name string, err error) {
	u, err := parseRepoURL(url)
	if err != nil {
		return "", err
	}
	if u.User != nil {
		opts.Username = u.User.Username()
		opts.Password, _ = u.User.Password()
		u.User = nil
	}
	if (opts.Username == "") != (opts.Password == "") {
		return "", errdef.Invalidf("repository %s: a user name and a password belong together", u)
	}
	switch {
	case opts.Token == "":
	case opts.Username != "":
		return "", errdef.Invalidf("repository %s: a token takes the place of a user name and password: give one of them", u)
	case !h.private():
		return "", errdef.Invalidf("repository %s: Helm's own file of repositories has no place for a token: set Config.Home", u)
	case !bearerToken.MatchString(opts.Token):
		return "", errdef.Invalidf("repository %s: the token has characters that no bearer token has", u)
	}
	if opts.Name != "" && !repoName.MatchString(opts.Name) {
		return "", errdef.Invalidf("repository name %q: want letters, digits, '-', '_' and '.'", opts.Name)
	}
	for _, file := range []*string{&opts.CAFile, &opts.CertFile, &opts.KeyFile} {
		if *file == "" {
			continue
		}
		if *file, err = filepath.Abs(*file); err != nil {
			return "", errdef.Invalidf("repository: %v", err)
		}
	}
	if name, err := h.knownRepo(ctx, u, opts); name != "" || err != nil {
		return name, err
	}
	name = opts.Name
	if name == "" {
		name = nameOfRepo(u)
	}
	unlock, err := h.home.Lock(ctx, "repository "+name)
	if err != nil {
		return "", err
	}
	defer unlock()
	if name, err := h.knownRepo(ctx, u, opts); name != "" || err != nil {
		return name, err // somebody added it while we waited
	}
	if have, err := h.known(ctx, name); err == nil {
		opts = have.keep(opts)
	}
	if err := h.fetchNew(ctx, name, u.String(), opts); err != nil {
		return "", err
	}
	return name, nil
}

// fetchNew lets helm add a repository. The caller holds its lock.
func (h *Helm) fetchNew(ctx context.Context, name, url string, opts RepoOptions) error {
	began := time.Now()
	tmp, err := h.home.MkdirTemp("repo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	staged := repoDirIn(tmp, name)
	if h.private() && opts.Username+opts.Token != "" {
		// "repo add" wants the user name, which often is a token, among its arguments. What it
		// would write is written here, and helm fetches the index.
		entry := newRepoEntry(name, url, opts)
		if err := writeRepositories(staged.config, entry); err != nil {
			return err
		}
		if err := h.fetchIndex(ctx, entry, staged, tmp); err != nil {
			return err
		}
	} else {
		inv := invocation{args: addRepoArgs(name, url, opts), secrets: []string{opts.Password}, subject: url}
		if opts.Password != "" {
			inv.stdin = []byte(opts.Password)
		}
		if h.private() {
			inv.env = staged.env()
		}
		if err := h.fetching(ctx, inv, tmp, h.cfg.Limits.Index); err != nil {
			return err
		}
	}
	if h.private() {
		// The config comes last: with it the repository is there, and other credentials replace
		// the old ones in one step.
		dir := repoDirIn(h.repoPath(name), name)
		err := errors.Join(os.MkdirAll(filepath.Dir(dir.index), 0o700), os.Chmod(staged.index, 0o600))
		if err == nil {
			err = os.Rename(staged.index, dir.index)
		}
		if err == nil {
			err = os.Rename(staged.config, dir.config)
		}
		if err != nil {
			return err
		}
	}
	return h.stampRefresh(name, began)
}

// knownRepo finds the repository of a URL among the known ones, "" when it is not there or is
// reached in another way than the one given.
func (h *Helm) knownRepo(ctx context.Context, u *url.URL, opts RepoOptions) (name string, err error) {
	var known []repoEntry
	if h.private() && opts.Name == "" {
		// The name that this URL is given, before reading what may be hundreds of files.
		known, err = readRepositories(repoDirIn(h.repoPath(nameOfRepo(u)), "").config)
	}
	if len(known) == 0 && err == nil {
		known, err = h.repoEntries(ctx)
	}
	if err != nil {
		return "", err
	}
	for _, r := range known {
		have, err := parseRepoURL(r.URL)
		sameURL := err == nil && have.String() == u.String()
		switch {
		case sameURL && (opts.Name == "" || opts.Name == r.Name):
			if !r.reachedBy(opts) {
				return "", nil
			}
			return r.Name, nil
		case !sameURL && cmp.Or(opts.Name, nameOfRepo(u)) == r.Name:
			return "", errdef.Invalidf("repository name %q is in use for %s", r.Name, redact.Address(r.URL))
		}
	}
	return "", nil
}

func addRepoArgs(name, url string, opts RepoOptions) []string {
	a := args{"repo", "add", "--force-update"} // which replaces credentials
	a.str("--username", opts.Username)
	a.is("--password-stdin", opts.Password != "")
	a.str("--ca-file", opts.CAFile)
	a.str("--cert-file", opts.CertFile)
	a.str("--key-file", opts.KeyFile)
	a.is("--insecure-skip-tls-verify", opts.InsecureSkipTLSVerify)
	a.is("--pass-credentials", opts.PassCredentialsAll)
	return append(a, "--", name, url)
}

// Repos lists the known repositories by name. It reads Helm's files and starts no process, except
// in a UserHome once to ask helm where they are.
func (h *Helm) Repos(ctx context.Context) ([]Repo, error) {
	entries, err := h.repoEntries(ctx)
	repos := make([]Repo, 0, len(entries))
	for _, e := range entries {
		repos = append(repos, Repo{e.Name, e.URL})
	}
	return repos, err
}

// repoEntry is what Helm keeps of a repository, and its token, which Helm does not look at.
type repoEntry struct {
	Name                  string `json:"name"`
	URL                   string `json:"url"`
	Username              string `json:"username"`
	Password              string `json:"password"`
	Token                 string `json:"token,omitempty"`
	CAFile                string `json:"caFile"`
	CertFile              string `json:"certFile"`
	KeyFile               string `json:"keyFile"`
	InsecureSkipTLSVerify bool   `json:"insecure_skip_tls_verify"`
	PassCredentialsAll    bool   `json:"pass_credentials_all"`
}

func newRepoEntry(name, url string, opts RepoOptions) repoEntry {
	return repoEntry{
		Name: name, URL: url, Username: opts.Username, Password: opts.Password, Token: opts.Token,
		CAFile: opts.CAFile, CertFile: opts.CertFile, KeyFile: opts.KeyFile,
		InsecureSkipTLSVerify: opts.InsecureSkipTLSVerify, PassCredentialsAll: opts.PassCredentialsAll,
	}
}

// reachedBy tells whether a repository is reached as opts say.
func (r repoEntry) reachedBy(opts RepoOptions) bool {
	return newRepoEntry(r.Name, r.URL, r.keep(opts)) == r
}

// keep fills what opts leave open from what is known.
func (r repoEntry) keep(opts RepoOptions) RepoOptions {
	if opts.Username+opts.Token == "" {
		opts.Username, opts.Password, opts.Token = r.Username, r.Password, r.Token
	}
	for field, known := range map[*string]string{&opts.CAFile: r.CAFile, &opts.CertFile: r.CertFile, &opts.KeyFile: r.KeyFile} {
		*field = cmp.Or(*field, known)
	}
	opts.InsecureSkipTLSVerify = opts.InsecureSkipTLSVerify || r.InsecureSkipTLSVerify
	opts.PassCredentialsAll = opts.PassCredentialsAll || r.PassCredentialsAll
	return opts
}

// shown is how errors name a repository: by its URL when its name was made from that.
func (r repoEntry) shown() string {
	if u, err := parseRepoURL(r.URL); err == nil && r.Name == nameOfRepo(u) {
		return redact.Address(r.URL)
	}
	return r.Name
}

// shownRepo is shown of the repository of that name.
func (h *Helm) shownRepo(ctx context.Context, name string) string {
	if r, err := h.known(ctx, name); err == nil {
		return r.shown()
	}
	return name
}

// repoFiles are the configurations of all repositories of a private home.
func (h *Helm) repoFiles() []string {
	folders, _ := os.ReadDir(h.repoPath(""))
	var files []string
	for _, f := range folders {
		files = append(files, repoDirIn(h.repoPath(f.Name()), "").config)
	}
	return files
}

func (h *Helm) repoEntries(ctx context.Context) ([]repoEntry, error) {
	var files []string
	if h.private() {
		files = h.repoFiles()
	} else {
		dir, err := h.repoDir(ctx, "")
		if err != nil {
			return nil, err
		}
		files = []string{dir.config}
	}
	var all []repoEntry
	for _, file := range files {
		entries, err := readRepositories(file)
		if err != nil {
			return nil, err
		}
		all = append(all, entries...)
	}
	slices.SortFunc(all, func(a, b repoEntry) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// RemoveRepo forgets a repository and its index.
//
// Errors: ErrRepoNotFound.
func (h *Helm) RemoveRepo(ctx context.Context, name string) error {
	if !repoName.MatchString(name) {
		return errdef.Invalidf("repository name %q: want letters, digits, '-', '_' and '.'", name)
	}
	unlock, err := h.home.Lock(ctx, "repository "+name)
	if err != nil {
		return err
	}
	defer unlock()
	if !h.private() {
		_, err := h.run(ctx, invocation{args: []string{"repo", "remove", "--", name}})
		return err
	}
	if err := h.discard(name); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %q is not among the repositories added by AddRepo", ErrRepoNotFound, name)
	} else if err != nil {
		return err
	}
	return nil
}

// discard removes the folder of a repository. The rename makes it gone at once; deleting the files
// may take its time.
func (h *Helm) discard(name string) error {
	trash := h.home.Path("tmp", fmt.Sprintf("removed-%s-%d", name, time.Now().UnixNano()))
	if err := os.Rename(h.repoPath(name), trash); err != nil {
		return err
	}
	return os.RemoveAll(trash)
}
