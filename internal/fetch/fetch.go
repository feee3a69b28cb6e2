// Package fetch downloads charts from repositories, registries and web servers. It keeps repositories with
// their credentials and indexes, and archives by their digests, in a home that any number of processes may
// share. This package asks a source whether something has changed; helm, behind an interface, fetches, and for
// an index or with credentials through a relay of this package. The package knows nothing about releases, or how a process runs.
package fetch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/sut-bench/helmexec/chart"
	"github.com/sut-bench/helmexec/internal/argument"
	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/home"
	"github.com/sut-bench/helmexec/internal/redact"
)

// Config is what a Store works with.
type Config struct {
	Home   *home.Home
	Helm   Helm
	Limits Limits
	// UserRepositories makes helm keep the repositories, in the user's own helm files.
	UserRepositories bool
	// Env is what the caller adds to the environment of helm.
	Env map[string]string
	// Keyring is that of every source that names none.
	Keyring string
}

// Limits are in bytes, except that on time.
type Limits struct {
	Index   int64 // of one repository
	Archive int64 // of one chart
	Cache   int64 // of all archives in the cache

	Time time.Duration // for one question or fetch
}

// Helm runs helm.
type Helm interface {
	// Fetch returns helm's stdout. A call with a Dir has the limits of a fetch, and is repeated after
	// a failure that may pass.
	Fetch(ctx context.Context, call Call) ([]byte, error)
	// UpdateFlags are the flags that make "repo update" fail if a repository does not answer.
	UpdateFlags(ctx context.Context) ([]string, error)
}

// Call is one helm process.
type Call struct {
	Args    []string // after the binary; every positional behind "--"
	Env     []string // over the environment of every call
	Stdin   []byte
	Secrets []string // kept out of logs and errors
	Subject string   // replaces the first positional in errors

	Via   *Relay // between helm and the source
	Login Login  // how the credentials for the source are used

	Dir      string  // where it writes what it fetches; "" for a helm that fetches nothing
	MaxBytes int64   // of what it fetches
	Reports  bool    // it prints its failure on stdout
	Kind     error   // of a failure without another kind
	Stderr   *string // set to its end if helm succeeds, unless nil
	// Lacks says why a helm that succeeded has to fetch again, "" if it has not. It may be nil.
	Lacks func(stdout, stderr string) string

	FetchedTo string // the file or folder below Dir that then has what it fetched; "" if nobody knows
}

// Login says whether a source of charts gets credentials.
type Login int

const (
	LoginNone     Login = iota
	LoginGiven          // it does
	LoginWithheld       // there are some, but for another host
)

// Store keeps repositories and archives. It serves any number of goroutines.
type Store struct {
	home     *home.Home
	helm     Helm
	limits   Limits
	env      map[string]string
	private  bool     // each repository has a folder in the home
	users    *place   // of the user's repositories, nil until helm was asked; guarded by a turn
	failures sync.Map // repository name → the refresh that failed last
	patience time.Duration

	indexes    *home.Kept // their tables of contents, by the states of their files
	described  *home.Kept // what was read of archives, by their digests
	signatures *home.Kept // what helm found out about their signatures, and their provenance files
	keyring    string
}

// New makes a Store.
func New(cfg Config) *Store {
	return &Store{home: cfg.Home, helm: cfg.Helm, limits: cfg.Limits, env: cfg.Env, private: !cfg.UserRepositories, patience: patience, keyring: cfg.Keyring,
		indexes: cfg.Home.Kept("indexes", contentsBound), described: cfg.Home.Kept("described", describedBound), signatures: cfg.Home.Kept("signatures", signaturesBound)}
}

// Source says how to reach a registry or the host of an archive.
type Source struct {
	PlainHTTP                 bool
	InsecureSkipTLSVerify     bool
	CAFile, CertFile, KeyFile string
	Keyring                   string
}

// Flags returns the flags for helm that say how to reach it.
func (s Source) Flags() []string {
	var f flags
	f.is("--plain-http", s.PlainHTTP)
	f.is("--insecure-skip-tls-verify", s.InsecureSkipTLSVerify)
	f.str("--ca-file", s.CAFile)
	f.str("--cert-file", s.CertFile)
	f.str("--key-file", s.KeyFile)
	return f
}

// flags collects flags in a fixed order, each as one word, so that no value is read as a flag.
type flags []string

func (f *flags) str(name, value string) {
	if value != "" {
		*f = append(*f, name+"="+value)
	}
}

func (f *flags) is(name string, on bool) {
	if on {
		*f = append(*f, name)
	}
}

// Options say which version of a chart, and how to reach it.
type Options struct {
	Version string // a version or a constraint, if the address has none
	Refresh bool   // contact the source again, even for an exact version in the cache
	Source  Source
	// Described says that a description of the chart is enough: its Values may be missing, and nobody looks whether its
	// archive in the cache is still what it was. IsIntact does that.
	Described bool
	// Ours says that this library made the chart at the path, so that nobody signed it.
	Ours bool
}

// Chart is a chart on this machine.
type Chart struct {
	Path string
	Ref  string // without version and secrets: "repo/chart", "oci://…", a URL or the path
	Repo string // the name of its repository, "" for none

	Manifest  string     // the digest of its manifest in a registry, "" for none
	Signature *Signature // if one was wanted
	*chart.Chart
}

// Fetch downloads the chart at any address, unless it is local or in the cache. Callers who ask for the
// same thing at the same time share one refresh and one pull.
func (s *Store) Fetch(ctx context.Context, address string, opts Options) (_ *Chart, err error) {
	defer func() { err = redact.Legible(advisePath(err, address)) }()
	asked := time.Now()
	src, err := parseAddress(address)
	if err == nil {
		err = src.choose(opts.Version, address)
	}
	if err != nil {
		return nil, err
	}
	src.shown = redact.Address(src.ref)
	w := want{source: src, opts: opts.Source, described: opts.Described}
	if !opts.Ours {
		if w.keys, err = readKeyring(cmp.Or(opts.Source.Keyring, s.keyring)); err != nil {
			return nil, err
		}
	}
	w.opts.Keyring = "" // so that only how to reach it is left
	switch src.kind {
	case fromDisk:
		ch, err := s.openPath(ctx, src, opts.Described)
		if err == nil {
			err = s.verifyLocal(ctx, w, ch)
		}
		if err != nil {
			return nil, err
		}
		return ch, nil
	case fromRepo:
		if err := s.identify(ctx, &w); err != nil {
			return nil, err
		}
	}
	// A URL or a range of versions can mean another archive tomorrow.
	exact := !opts.Refresh && (w.source.digest != "" || pinned(w.version))
	if opts.Refresh || w.kind != fromRepo && !exact {
		w.since = asked
	}
	if exact {
		if ch := s.lookUp(ctx, w); ch != nil {
			return ch, nil
		}
	}
	if w.kind == fromRepo {
		how := ifChanged
		if exact {
			how = asStored
		} else if opts.Refresh {
			how = whole
		}
		if err := s.find(ctx, &w, asked, how); err != nil {
			return nil, err
		}
	}
	return s.obtain(ctx, w)
}

// advisePath adds to the failure of an address that it may be meant as the path of a chart.
func advisePath(err error, address string) error {
	if err == nil || !filepath.IsLocal(address) || isPath(address) {
		return err
	}
	if _, statErr := os.Stat(filepath.Join(address, "Chart.yaml")); statErr == nil {
		return fmt.Errorf("%w; for the folder here write %q", err, "./"+address)
	}
	if info, statErr := os.Stat(address); statErr == nil && info.Mode().IsRegular() {
		return fmt.Errorf("%w; for the file here write %q", err, "./"+address)
	}
	return err
}

// choose adds the version of the options to an address.
func (src *source) choose(version, address string) error {
	switch {
	case version == "" || version == src.version:
		return nil
	case src.version != "":
		return errdef.Invalidf("%s has version %s and the options have %s: give only one", named(address), src.version, version)
	case src.kind == fromArchive || src.kind == fromDisk:
		return errdef.Invalidf("%s: the version of an archive or folder cannot be chosen; leave out Version %s", named(address), version)
	}
	src.version = version
	return argument.Constraint(named(address), version)
}

// openPath reads the chart at a path that the caller gave.
func (s *Store) openPath(ctx context.Context, src source, described bool) (*Chart, error) {
	path, err := filepath.Abs(src.ref)
	if err != nil {
		return nil, errdef.Invalidf("chart path %q: %v", src.ref, err)
	}
	src.ref = path
	if digest := "sha256:" + strings.TrimSuffix(filepath.Base(path), ".tgz"); s.Owns(path, digest) {
		if ch := s.cached(ctx, src, digest, described); ch != nil {
			return ch, nil
		}
	}
	ch, err := s.open(src, path)
	if errors.Is(err, fs.ErrNotExist) && strings.Contains(filepath.Base(path), ":") {
		err = fmt.Errorf("%w (a path takes no version)", err)
	}
	return ch, err
}

// open reads the chart at a path, which must be the chart of an address.
func (s *Store) open(src source, path string) (*Chart, error) {
	content, err := chart.Read(path, chart.Options{Name: src.shown, Limits: chart.Limits{Archive: s.limits.Archive}})
	if err != nil {
		return nil, err
	}
	return src.fits(path, content)
}

// fits makes sure that what was read at a path is the chart of an address.
func (src source) fits(path string, content *chart.Chart) (*Chart, error) {
	if src.chart != "" && content.Metadata.Name != src.chart {
		return nil, fmt.Errorf("%w: %s contains a chart named %q", errdef.ErrChartNotFound, src.shown, content.Metadata.Name)
	}
	if pinned(src.version) && !sameVersion(content.Metadata.Version, src.version) {
		return nil, fmt.Errorf("%w: %s %s contains version %q", errdef.ErrChartNotFound, src.shown, src.version, content.Metadata.Version)
	}
	return &Chart{Path: path, Ref: redact.Address(src.ref), Repo: src.repo, Chart: content}, nil
}

// identify adds the repository of a chart, if the address has its URL, and reads what is stored about
// it.
func (s *Store) identify(ctx context.Context, w *want) (err error) {
	if w.repoURL != "" {
		if w.repo, err = s.AddRepo(ctx, w.repoURL, "", Access{}); err != nil {
			return err
		}
	}
	w.ref = w.repo + "/" + w.chart
	if w.from, err = s.known(ctx, w.repo); err != nil {
		return err
	}
	w.shown = w.from.shown() + "/" + w.chart
	return nil
}

// freshness is how new an index has to be.
type freshness int

const (
	asStored  freshness = iota // it is read as it is
	ifChanged                  // the source says whether it has changed, or it is fetched
	whole                      // it is fetched
)

// find picks a version from the index of the repository. A version that is missing may have been published after the
// index was fetched, and a source may be wrong that nothing has changed.
func (s *Store) find(ctx context.Context, w *want, asked time.Time, how freshness) error {
	for ; ; how++ {
		if how > asStored {
			// Starts no process if the repository was just added.
			if err := s.refresh(ctx, w.repo, asked, how == whole); err != nil {
				return err
			}
		}
		entry, err := s.pick(ctx, w.source)
		if err == nil {
			w.entry, w.version = entry, entry.Version
			return nil
		}
		if how == whole || !errors.Is(err, errdef.ErrChartNotFound) {
			return err
		}
	}
}
