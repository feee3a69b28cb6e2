package helmexec

import (
	"context"
	"strings"

	"github.com/sut-bench/helmexec/chart"
	"github.com/sut-bench/helmexec/internal/argument"
	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/fetch"
	"github.com/sut-bench/helmexec/internal/helmtext"
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
	// Username and Password log in to the repository. They may be in the URL instead. Helm does not
	// get them: its requests go through a relay on the loopback, which adds them. In a UserHome
	// AddRepo gives them to helm, the user name as an argument, which other users of the host can see.
	Username, Password string
	// Token is a bearer token, used instead of them and in the same way. Not in a UserHome.
	Token string
	// CAFile verifies the server; CertFile and KeyFile identify the client.
	CAFile, CertFile, KeyFile string
	InsecureSkipTLSVerify     bool
	// PassCredentialsAll sends the credentials to any host on which the index names archives, but
	// not along with a redirect; otherwise they go only to the host of the repository.
	PassCredentialsAll bool
}

// AddRepo registers the repository at url and returns its name; its charts are then name/chart. If
// the URL is already registered, the name and all options that opts leave empty are kept, until
// RemoveRepo; if nothing changes, helm is not run. Otherwise one helm process starts, which also
// fetches the index; credentials that do not work replace nothing. Pass a Name to register the same
// URL again.
//
// Errors: ErrInvalidArgument; ErrUnauthorized; ErrRepoNotFound if url serves no repository; ErrOutputTooLarge,
// ErrFetchTimeout.
func (h *Helm) AddRepo(ctx context.Context, url string, opts RepoOptions) (name string, err error) {
	ctx, end := h.enter(ctx, Span{Operation: "AddRepo", Address: url})
	defer end(&err)
	return h.store.AddRepo(ctx, url, opts.Name, fetch.Access{
		Username: opts.Username, Password: opts.Password, Token: opts.Token,
		CAFile: opts.CAFile, CertFile: opts.CertFile, KeyFile: opts.KeyFile,
		InsecureSkipTLSVerify: opts.InsecureSkipTLSVerify, PassCredentialsAll: opts.PassCredentialsAll,
	})
}

// Repos lists the known repositories by name. It reads Helm's files and starts no process, except
// once in a UserHome, to ask helm where they are.
func (h *Helm) Repos(ctx context.Context) (_ []Repo, err error) {
	ctx, end := h.enter(ctx, Span{Operation: "Repos"})
	defer end(&err)
	known, err := h.store.Repos(ctx)
	repos := make([]Repo, 0, len(known))
	for _, r := range known {
		repos = append(repos, Repo(r))
	}
	return repos, err
}

// RemoveRepo forgets a repository and its index.
//
// Errors: ErrRepoNotFound.
func (h *Helm) RemoveRepo(ctx context.Context, name string) (err error) {
	ctx, end := h.enter(ctx, Span{Operation: "RemoveRepo", Address: name})
	defer end(&err)
	return h.store.RemoveRepo(ctx, name)
}

// UpdateReposOptions is for UpdateRepos. Names empty means every repository.
type UpdateReposOptions struct {
	Names []string
}

// UpdateRepos fetches the indexes of repositories again, whether they have changed or not, with one helm process for each, or none if
// another caller does so at the same moment. Every repository is tried; the error lists those that
// failed, also on Helm 3, which by itself reports such a failure as a success.
//
// Errors: ErrRepoNotFound for a name that is not known, and for a repository that does not answer;
// ErrUnauthorized, ErrOutputTooLarge, ErrFetchTimeout.
func (h *Helm) UpdateRepos(ctx context.Context, opts UpdateReposOptions) (err error) {
	ctx, end := h.enter(ctx, Span{Operation: "UpdateRepos"})
	defer end(&err)
	return h.store.UpdateRepos(ctx, opts.Names)
}

// ChartVersionsOptions is for ChartVersions.
type ChartVersionsOptions struct {
	Refresh bool          // fetch the repository's index first, whole; a registry is always asked
	Source  SourceOptions // for a registry
}

// ChartVersions lists the versions of a chart that its repository or registry has, the newest first. The address is
// repo/chart, the URL of a repository followed by the chart, or an oci:// address, as for Chart2Info; a repository that is not
// known yet is added. With a version or a constraint in the address it lists only matching versions. It reads
// the local index, which may be old, unless Refresh is set. If the repository is known, it starts no helm
// process, or one with Refresh.
//
// This program, not helm, asks a registry for its tags, with the log-ins of RegistryLogin, and with the proxies and certificates of its
// own environment. Tags that are not versions are left out; in a tag "_" stands for "+". Only Name, Version and URLs
// of the versions are set. A registry with more than 20,000 versions, or more than 32 pages of tags, is an ErrOutputTooLarge.
//
// Errors: ErrInvalidArgument for an address that is in no repository or registry, ErrRepoNotFound,
// ErrChartNotFound, ErrUnauthorized, ErrOutputTooLarge, ErrFetchTimeout.
func (h *Helm) ChartVersions(ctx context.Context, address string, opts ChartVersionsOptions) (_ []ChartVersion, err error) {
	ctx, end := h.enter(ctx, Span{Operation: "ChartVersions", Address: address})
	defer end(&err)
	return h.store.Versions(ctx, address, opts.Refresh, fetch.Source(opts.Source))
}

// RegistryOptions is for RegistryLogin. PlainHTTP of its Source needs a newer Helm 3 than v3.17 (docs/compatibility.md).
type RegistryOptions struct {
	Username, Password string
	Source             SourceOptions
}

// RegistryLogin logs in to an OCI registry, a host with or without a port, for every later call with
// the same Home. Helm gets the password through stdin and keeps it in a file of mode 0600 in the
// home. Helm accepts the user name only as an argument, so other users of the host can see it for a
// moment. Starts one helm process.
//
// Errors: ErrInvalidArgument, ErrUnauthorized, or helm's own.
func (h *Helm) RegistryLogin(ctx context.Context, host string, opts RegistryOptions) (err error) {
	ctx, end := h.enter(ctx, Span{Operation: "RegistryLogin", Address: host})
	defer end(&err)
	if err := argument.RegistryHost(host, redact.Address(host)); err != nil {
		return err
	}
	if opts.Username == "" || opts.Password == "" {
		return errdef.Invalidf("registry login: Username and Password are needed")
	}
	unlock, err := h.home.Lock(ctx, "registry credentials")
	if err != nil {
		return err
	}
	defer unlock()
	a := args{"registry", "login", "--username=" + opts.Username, "--password-stdin"}
	for _, flag := range fetch.Source(opts.Source).Flags() {
		if flag == "--insecure-skip-tls-verify" {
			flag = "--insecure" // as login spells it
		}
		a.add(flag)
	}
	a.add("--", host)
	return h.retry(ctx, func(ctx context.Context) error {
		_, err := h.run(ctx, invocation{args: a, stdin: []byte(opts.Password), secrets: []string{opts.Password}, login: fetch.LoginGiven})
		return err
	})
}

// RegistryLogout forgets the credentials of an OCI registry. Starts one helm process.
//
// Errors: ErrInvalidArgument, or helm's own.
func (h *Helm) RegistryLogout(ctx context.Context, host string) (err error) {
	ctx, end := h.enter(ctx, Span{Operation: "RegistryLogout", Address: host})
	defer end(&err)
	if err := argument.RegistryHost(host, redact.Address(host)); err != nil {
		return err
	}
	unlock, err := h.home.Lock(ctx, "registry credentials")
	if err != nil {
		return err
	}
	defer unlock()
	_, err = h.run(ctx, invocation{args: []string{"registry", "logout", "--", host}})
	return err
}

// PushResult says where Push has put a chart.
type PushResult struct {
	Ref    string // "oci://host:5000/charts/web:1.2.3", to pull it
	Digest string // of its manifest, "sha256:…"
}

// Push puts a chart archive into an OCI registry, below an address such as
// "oci://host:5000/charts". Starts one helm process; a lost push may be repeated.
//
// Errors: ErrInvalidArgument, ErrChartNotFound and ErrBadChart of the archive, ErrUnauthorized, or
// helm's own.
func (h *Helm) Push(ctx context.Context, archive, registry string, opts SourceOptions) (_ *PushResult, err error) {
	ctx, end := h.enter(ctx, Span{Operation: "Push", Address: registry})
	defer end(&err)
	if err := argument.Registry(registry, redact.Address(registry)); err != nil {
		return nil, err
	}
	ch, err := chart.Read(archive, chart.Options{Limits: chart.Limits{Archive: h.cfg.Limits.Archive}})
	if err != nil {
		return nil, err
	}
	if ch.Digest == "" {
		return nil, errdef.Invalidf("push: %s is a folder: make an archive of it with Package", archive)
	}
	a := args{"push"}
	a.add(fetch.Source(opts).Flags()...)
	a.add("--", archive, registry)
	var said string
	err = h.retry(ctx, func(ctx context.Context) error {
		out, err := h.run(ctx, invocation{args: a, mutates: true, stderr: &said})
		said += string(out)
		return err
	})
	if err != nil {
		return nil, err
	}
	// A "+" of a version is written "_" in a tag.
	ref := strings.TrimSuffix(registry, "/") + "/" + ch.Metadata.Name + ":" + strings.ReplaceAll(ch.Metadata.Version, "+", "_")
	return &PushResult{Ref: ref, Digest: helmtext.PushedDigest(said)}, nil
}
