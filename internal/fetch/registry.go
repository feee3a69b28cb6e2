package fetch

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"sort"
	"strings"

	"github.com/Masterminds/semver/v3"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/sut-bench/helmexec/internal/argument"
	"github.com/sut-bench/helmexec/internal/errdef"
)

// A list of tags that is longer is left to helm.
const (
	maxTagPages     = 32
	maxTagPageBytes = 1 << 20
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
	if w.opts.PlainHTTP && w.opts != (Source{PlainHTTP: true}) {
		return "", errdef.Invalidf("PlainHTTP with options of TLS: Helm 3 and 4 differ there")
	}
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	registry, err := remote.NewRepository(strings.TrimPrefix(w.ref, "oci://"))
	if err != nil {
		return "", err
	}
	transport, err := s.transport(w.opts.access())
	if err != nil {
		return "", err
	}
	defer transport.CloseIdleConnections()
	logIn, err := s.registryLogIns()
	if err != nil {
		return "", err
	}
	registry.PlainHTTP = w.opts.PlainHTTP
	registry.TagListMaxPages, registry.MaxMetadataBytes = maxTagPages, maxTagPageBytes
	registry.Client = &auth.Client{
		Client: &http.Client{Transport: transport}, Header: http.Header{"User-Agent": {userAgent}},
		Credential: logIn, Cache: auth.NewCache(),
	}
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

// tagOf is the tag of a version or constraint, as helm chooses it: a version is the tag itself, and of the tags that
// are versions the highest that fits a constraint. A tag has "_" for "+".
func tagOf(ctx context.Context, registry *remote.Repository, version string) (string, error) {
	if _, err := semver.NewVersion(version); err != nil {
		var all []*semver.Version
		err := registry.Tags(ctx, "", func(tags []string) error {
			for _, tag := range tags {
				if v, err := semver.StrictNewVersion(strings.ReplaceAll(tag, "_", "+")); err == nil {
					all = append(all, v)
				}
			}
			return nil
		})
		if err != nil {
			return "", err
		}
		sort.Sort(sort.Reverse(semver.Collection(all)))
		constraint, err := semver.NewConstraint(cmp.Or(version, "*"))
		if err != nil {
			return "", err
		}
		version = ""
		for _, v := range all {
			if constraint.Check(v) {
				version = v.String()
				break
			}
		}
		if version == "" {
			return "", errdef.ErrChartNotFound
		}
	}
	return strings.ReplaceAll(version, "+", "_"), nil
}

// registryLogIns are those that "helm registry login" wrote into a file. A log-in that a program keeps is left to helm.
func (s *Store) registryLogIns() (auth.CredentialFunc, error) {
	file := cmp.Or(s.env["HELM_REGISTRY_CONFIG"], s.home.Path("registry.json"))
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
