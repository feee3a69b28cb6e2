package fetch

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/Masterminds/semver/v3"
	orasdef "oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
	"oras.land/oras-go/v2/registry/remote/errcode"
	"oras.land/oras-go/v2/registry/remote/retry"

	"github.com/sut-bench/helmexec/chart"
	"github.com/sut-bench/helmexec/internal/argument"
	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/redact"
)

// A fetch leaves a list of tags that is longer to helm.
const (
	maxTagPages     = 32
	maxTagPageBytes = 1 << 20
	maxVersions     = 20_000
	tagsPerPage     = 1000
)

// asTagged asks a registry which manifest a wanted chart is now, and finds that in the cache. It is nil if the cache
// does not have it, and for any answer that does not say it: then helm asks.
func (s *Store) asTagged(ctx context.Context, w want) *Chart {
	if w.kind != fromOCI || !s.private {
		return nil
	}
	if _, pulled := s.readPin(w.key()); !pulled {
		return nil
	}
	digest, err := s.manifest(ctx, w)
	if err != nil {
		return nil
	}
	p, ok := s.readPin(w.manifestKey(digest))
	if !ok {
		return nil
	}
	return s.served(ctx, w, p.Digest, digest)
}

// manifestKey identifies the archive of a manifest, as the address of that manifest does.
func (w want) manifestKey(digest string) string {
	return want{source: source{kind: fromOCI, ref: w.ref, digest: digest}}.key()
}

// manifest asks a registry for the digest of a wanted chart's manifest, with the log-ins that helm has.
func (s *Store) manifest(ctx context.Context, w want) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	logIn, err := s.registryLogIns()
	if err != nil {
		return "", err
	}
	registry, done, err := s.registry(w, logIn, func(direct http.RoundTripper) http.RoundTripper { return direct })
	if err != nil {
		return "", err
	}
	defer done()
	reference := w.source.digest
	if reference == "" {
		if reference, err = tagOf(ctx, registry, w.version); err != nil {
			return "", err
		}
	}
	found, err := registry.Resolve(ctx, reference)
	if err == nil && !argument.IsDigest(found.Digest.String()) {
		err = fmt.Errorf("digest %.80q", found.Digest)
	}
	return found.Digest.String(), err
}

// registry is where a wanted chart is, reached as helm reaches it.
func (s *Store) registry(w want, logIn auth.CredentialFunc, through func(http.RoundTripper) http.RoundTripper) (registry *remote.Repository, done func(), err error) {
	if w.opts.PlainHTTP && w.opts != (Source{PlainHTTP: true}) {
		return nil, nil, errdef.Invalidf("PlainHTTP with options of TLS: Helm 3 and 4 differ there")
	}
	if registry, err = remote.NewRepository(strings.TrimPrefix(w.ref, "oci://")); err != nil {
		return nil, nil, err
	}
	transport, err := s.transport(w.opts.access())
	if err != nil {
		return nil, nil, err
	}
	registry.PlainHTTP = w.opts.PlainHTTP
	registry.TagListMaxPages, registry.MaxMetadataBytes = maxTagPages, maxTagPageBytes
	registry.Client = &auth.Client{
		Client: &http.Client{Transport: through(transport)}, Header: http.Header{"User-Agent": {userAgent}},
		Credential: logIn, Cache: auth.NewCache(),
	}
	return registry, transport.CloseIdleConnections, nil
}

// semverTags are the versions that a registry has as tags, as helm reads them: a tag has "_" for "+", and what is no
// version is left out. Each is there once: the pages of a list can overlap.
func semverTags(ctx context.Context, registry *remote.Repository) ([]*semver.Version, error) {
	var all []*semver.Version
	listed := map[string]bool{}
	err := registry.Tags(ctx, "", func(tags []string) error {
		for _, tag := range tags {
			if v, err := semver.StrictNewVersion(strings.ReplaceAll(tag, "_", "+")); err == nil && !listed[v.String()] {
				listed[v.String()] = true
				all = append(all, v)
			}
		}
		if len(all) > maxVersions {
			return errdef.TooLarge("the list of tags", int64(len(all)), maxVersions, "versions")
		}
		return nil
	})
	sort.Sort(sort.Reverse(semver.Collection(all)))
	return all, err
}

func tagOfVersion(version string) string { return strings.ReplaceAll(version, "+", "_") }

// tagOf is the tag of a version or constraint, as helm chooses it: a version is the tag itself, and of the tags that
// are versions the highest that fits a constraint.
func tagOf(ctx context.Context, registry *remote.Repository, version string) (string, error) {
	if _, err := semver.NewVersion(version); err == nil {
		return tagOfVersion(version), nil
	}
	all, err := semverTags(ctx, registry)
	if err != nil {
		return "", err
	}
	constraint, err := semver.NewConstraint(cmp.Or(version, "*"))
	if err != nil {
		return "", err
	}
	for _, v := range all {
		if constraint.Check(v) {
			return tagOfVersion(v.String()), nil
		}
	}
	return "", errdef.ErrChartNotFound
}

// tagged lists the versions of a chart in a registry, the newest first. Helm has no command for it, so this program asks,
// with the log-ins, certificates and proxies that helm has.
func (s *Store) tagged(ctx context.Context, w want) ([]chart.Version, error) {
	if w.source.digest != "" {
		return nil, errdef.Invalidf("%s: a digest is one chart; leave it out to list versions", w)
	}
	logIn, err := s.allLogIns(ctx)
	if err != nil {
		return nil, err
	}
	var told secrets
	registry, done, err := s.registry(w, told.noting(logIn), func(direct http.RoundTripper) http.RoundTripper {
		return retry.NewTransport(toldTo{direct, &told})
	})
	if err != nil {
		return nil, err
	}
	defer done()
	registry.TagListPageSize = tagsPerPage
	limited, cancel := context.WithTimeoutCause(ctx, s.limits.Time, fmt.Errorf("%w: over %v", errdef.ErrFetchTimeout, s.limits.Time))
	defer cancel()
	tags, err := semverTags(limited, registry)
	if err != nil {
		return nil, fmt.Errorf("chart %s: %w", w, told.redacted(tagsError(ctx, limited, err)))
	}
	var all []chart.Version
	for _, v := range tags {
		all = append(all, chart.Version{Name: w.chart, Version: v.String(), URLs: []string{w.ref + ":" + tagOfVersion(v.String())}})
	}
	return all, nil
}

// secrets are those that a registry was told, whose answers can repeat them.
type secrets struct {
	mu  sync.Mutex
	all []string
}

func (s *secrets) add(more ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, secret := range more {
		if secret != "" && !slices.Contains(s.all, secret) {
			s.all = append(s.all, secret)
		}
	}
}

// noting notes what a log-in gives.
func (s *secrets) noting(logIn auth.CredentialFunc) auth.CredentialFunc {
	return func(ctx context.Context, host string) (auth.Credential, error) {
		got, err := logIn(ctx, host)
		s.add(got.Password, got.RefreshToken, got.AccessToken)
		return got, err
	}
}

// redacted is an error with the text of a registry. It has its kinds, and nothing else of what it wraps.
func (s *secrets) redacted(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.SortFunc(s.all, func(a, b string) int { return len(b) - len(a) }) // one can be a part of another
	return redactedError{redact.Redactor(s.all)(err.Error()), err}
}

type redactedError struct {
	text string
	is   error
}

func (e redactedError) Error() string { return e.text }

func (e redactedError) Is(kind error) bool { return errors.Is(e.is, kind) }

// toldTo notes what requests have as their authorization: a token came from a server.
type toldTo struct {
	http.RoundTripper
	told *secrets
}

func (t toldTo) RoundTrip(req *http.Request) (*http.Response, error) {
	_, secret, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	t.told.add(secret)
	return t.RoundTripper.RoundTrip(req)
}

// tagsError is the kind of a failure to list tags; limited is ctx with the limit on the time.
func tagsError(ctx, limited context.Context, err error) error {
	answer := (*errcode.ErrorResponse)(nil)
	switch {
	case ctx.Err() != nil:
		return errdef.ContextError(ctx)
	case limited.Err() != nil:
		return context.Cause(limited)
	case errors.Is(err, errdef.ErrOutputTooLarge):
		return err
	case errors.Is(err, orasdef.ErrTooManyPages), errors.Is(err, orasdef.ErrSizeExceedsLimit):
		return fmt.Errorf("%w: %w", errdef.ErrOutputTooLarge, err)
	case errors.Is(err, auth.ErrBasicCredentialNotFound), errors.As(err, &answer) && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden):
		return fmt.Errorf("%w: %w; log in with RegistryLogin", errdef.ErrUnauthorized, err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: the list of tags ends too early, or a page of it has more than %d bytes: %w", errdef.ErrRepoNotFound, maxTagPageBytes, err)
	case answer != nil && answer.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%w: %w", errdef.ErrChartNotFound, err)
	}
	return fmt.Errorf("%w: %w", errdef.ErrRepoNotFound, err)
}

// allLogIns are those that helm has, also those that a program keeps.
func (s *Store) allLogIns(ctx context.Context) (auth.CredentialFunc, error) {
	file := s.registryConfig()
	if !s.private {
		at, err := s.usersPlace(ctx)
		if err != nil {
			return nil, err
		}
		file = at.registry
	}
	store, err := credentials.NewStore(file, credentials.StoreOptions{})
	if err != nil {
		return nil, fmt.Errorf("log-ins of registries: %w", err)
	}
	if s.private {
		return credentials.Credential(store), nil
	}
	docker, err := credentials.NewStoreFromDocker(credentials.StoreOptions{})
	if err != nil {
		return nil, fmt.Errorf("log-ins of registries: %w", err)
	}
	return credentials.Credential(credentials.NewStoreWithFallbacks(store, docker)), nil // as helm looks for them
}

// registryConfig is the file of log-ins in a private home.
func (s *Store) registryConfig() string {
	return cmp.Or(s.env["HELM_REGISTRY_CONFIG"], s.home.Path("registry.json"))
}

// registryLogIns are those that "helm registry login" wrote into a file. A log-in that a program keeps is left to helm.
func (s *Store) registryLogIns() (auth.CredentialFunc, error) {
	file := s.registryConfig()
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var programs struct {
		CredsStore  string
		CredHelpers map[string]string
	}
	if err == nil {
		err = json.Unmarshal(text, &programs)
	}
	if err == nil && (programs.CredsStore != "" || len(programs.CredHelpers) > 0) {
		err = errors.New("a program keeps the log-ins")
	}
	if err != nil {
		return nil, err
	}
	store, err := credentials.NewFileStore(file)
	if err != nil {
		return nil, err
	}
	return credentials.Credential(store), nil
}

// access are the options that a repository has as well.
func (s Source) access() Access {
	return Access{CAFile: s.CAFile, CertFile: s.CertFile, KeyFile: s.KeyFile, InsecureSkipTLSVerify: s.InsecureSkipTLSVerify}
}
