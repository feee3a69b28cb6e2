package fetch

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/sut-bench/helmexec/chart"
	"github.com/sut-bench/helmexec/internal/chartrepo"
)

// bench is a Store with a repository that counts requests, and a helm that counts its runs.
type bench struct {
	*testing.T
	s    *Store
	helm *fakeHelm
	url  string

	headers func(version int) http.Header // of the index; version counts its changes
	odd     http.HandlerFunc              // answers conditional requests
	unasked http.HandlerFunc              // answers all others

	provenance func(w http.ResponseWriter) // answers requests for one

	mu       sync.Mutex
	archives map[string]chartrepo.Archive
	entries  map[string][]chart.Version
	version  int
	requests atomic.Int64
	last     atomic.Pointer[http.Request]
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{T: t, helm: &fakeHelm{}, archives: map[string]chartrepo.Archive{}, entries: map[string][]chart.Version{}}
	server := httptest.NewServer(b)
	t.Cleanup(server.Close)
	b.url = server.URL
	b.s = newStore(t, Config{Helm: b.helm, Limits: Limits{Index: 64 << 20, Archive: 1 << 20}})
	return b
}

// add publishes a chart.
func (b *bench) add(name, version string) {
	b.Helper()
	archive, err := chartrepo.Package(map[string]string{"Chart.yaml": "apiVersion: v2\nname: " + name + "\nversion: " + version + "\n"})
	require.NoError(b, err)
	b.mu.Lock()
	defer b.mu.Unlock()
	file := name + "-" + version + ".tgz"
	b.archives["/"+file] = archive
	b.entries[name] = append(b.entries[name], chart.Version{Name: name, Version: version, URLs: []string{file}, Digest: archive.Digest})
	b.version++
}

func (b *bench) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.requests.Add(1)
	b.last.Store(r)
	b.mu.Lock()
	archive, isArchive := b.archives[r.URL.Path]
	text, _ := yaml.Marshal(map[string]any{"apiVersion": "v1", "entries": b.entries})
	headers, odd, unasked := b.headers(b.version), b.odd, b.unasked
	b.mu.Unlock()
	conditional := r.Header.Get("If-None-Match")+r.Header.Get("If-Modified-Since") != ""
	switch {
	case strings.HasSuffix(r.URL.Path, ".prov") && b.provenance != nil:
		b.provenance(w)
	case isArchive:
		_, _ = w.Write(archive.Data)
	case !strings.HasSuffix(r.URL.Path, "/index.yaml"):
		http.NotFound(w, r)
	case conditional && odd != nil:
		odd(w, r)
	case !conditional && unasked != nil:
		unasked(w, r)
	default:
		for name, values := range headers {
			w.Header()[name] = values
		}
		modified, _ := http.ParseTime(w.Header().Get("Last-Modified"))
		http.ServeContent(w, r, "index.yaml", modified, strings.NewReader(string(text)))
	}
}

// fetch fetches a chart of the repository and checks its version.
func (b *bench) fetch(address, version string) {
	b.Helper()
	b.fetchWith(b.url+address, version, Options{})
}

func (b *bench) refreshed(address, version string) {
	b.Helper()
	b.fetchWith(b.url+address, version, Options{Refresh: true})
}

func (b *bench) fetchWith(address, version string, opts Options) {
	b.Helper()
	ch, err := b.s.Fetch(b.Context(), address, opts)
	require.NoError(b, err)
	assert.Equal(b, version, ch.Metadata.Version)
}

// costs checks the numbers of requests and helms.
func (b *bench) costs(do func(), want [2]int) {
	b.Helper()
	requests, helms := b.requests.Load(), b.helm.calls.Load()
	do()
	assert.Equal(b, want, [2]int{int(b.requests.Load() - requests), int(b.helm.calls.Load() - helms)}, "requests and helms")
}

// turn changes what is remembered of the last refresh.
func (b *bench) turn(change func(*refreshed)) {
	b.Helper()
	var r refreshed
	text, err := os.ReadFile(b.stamp())
	require.NoError(b, err)
	require.NoError(b, json.Unmarshal(text, &r))
	change(&r)
	text, err = json.Marshal(r)
	require.NoError(b, errors.Join(err, os.WriteFile(b.stamp(), text, 0o600)))
}

// name is that of the only repository.
func (b *bench) name() string {
	b.Helper()
	all, err := b.s.repositories(b.Context())
	require.NoError(b, err)
	require.Len(b, all, 1)
	return all[0].Name
}

func (b *bench) stamp() string { return b.s.refreshStamp(b.name()) }

func (b *bench) index() string { return placeIn(b.s.folder(b.name()), b.name()).index }

// fakeHelm does what helm does with repositories and registries, in this process.
type fakeHelm struct {
	calls  atomic.Int64
	direct []string // the repositories that it was sent to without a relay
	pull   func(call Call) error
	env    string // what "helm env" prints
}

func (h *fakeHelm) UpdateFlags(context.Context) ([]string, error) { return nil, nil }

func (h *fakeHelm) Fetch(ctx context.Context, call Call) ([]byte, error) {
	h.calls.Add(1)
	if call.Args[0] == "env" {
		return []byte(h.env), nil
	}
	env := map[string]string{}
	for _, variable := range call.Env {
		name, value, _ := strings.Cut(variable, "=")
		env[name] = value
	}
	name := call.Args[len(call.Args)-1]
	if call.Args[1] == "add" {
		name = call.Args[len(call.Args)-2]
		if err := writeRepositories(env["HELM_REPOSITORY_CONFIG"], repository{Name: name, URL: call.Args[len(call.Args)-1]}); err != nil {
			return nil, err
		}
	}
	chartName := ""
	if call.Args[0] == "verify" {
		return verifyAsHelm(call)
	}
	if call.Args[0] == "pull" {
		if h.pull != nil {
			return nil, h.pull(call)
		}
		name, chartName, _ = strings.Cut(name, "/")
	}
	known, err := readRepositories(env["HELM_REPOSITORY_CONFIG"])
	if err != nil || len(known) != 1 {
		return nil, fmt.Errorf("%d repositories, %w", len(known), err)
	}
	if call.Via == nil {
		h.direct = append(h.direct, known[0].URL)
	}
	index := filepath.Join(env["HELM_REPOSITORY_CACHE"], name+"-index.yaml")
	if chartName == "" {
		return nil, h.download(ctx, known[0].URL+"/index.yaml", index)
	}
	versions, err := versionsAt(index, chartName, 1<<20)
	if err != nil {
		return nil, err
	}
	to := strings.TrimPrefix(call.Args[1], "--destination=")
	archive := known[0].archiveURL(versions[0])
	if err := h.download(ctx, archive, filepath.Join(to, "chart.tgz")); err != nil || !slices.Contains(call.Args, "--prov") {
		return nil, err
	}
	if err := h.download(ctx, archive+".prov", filepath.Join(to, "chart.tgz.prov")); err != nil {
		return []byte("WARNING: Verification not found for " + name + "/" + chartName + ": failed to fetch " + archive + ".prov : " + err.Error() + "\n"), nil
	}
	return nil, nil
}

func (h *fakeHelm) download(ctx context.Context, url, file string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if unknown := (x509.UnknownAuthorityError{}); errors.As(err, &unknown) {
		return fmt.Errorf("certificate: %w", err)
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	return errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, text, 0o600))
}
