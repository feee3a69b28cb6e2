package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/home"
)

// A source that is asked whether its index has changed: how often is it asked, how often does helm run, and is what
// it has now found.
func TestUnchangedIndexes(t *testing.T) {
	const old, now = -time.Hour, 0
	for _, test := range []struct {
		name    string
		headers func(version int) http.Header
		odd     http.HandlerFunc // answers conditional requests, unless nil

		unchanged, changed [2]int // requests and helms of a call
	}{
		{name: "an ETag", headers: etag(`"%d"`), unchanged: [2]int{1, 0}, changed: [2]int{1, 1}},
		{name: "a weak ETag", headers: etag(`W/"%d"`), unchanged: [2]int{1, 0}, changed: [2]int{1, 1}},
		{name: "no validators", headers: func(int) http.Header { return http.Header{} }, unchanged: [2]int{1, 1}, changed: [2]int{1, 1}},
		{name: "an ETag that is none", headers: etag(`%d`), unchanged: [2]int{1, 1}, changed: [2]int{1, 1}},
		{name: "an ETag that is huge", headers: etag(`"%d` + strings.Repeat("x", 2000) + `"`), unchanged: [2]int{1, 1}, changed: [2]int{1, 1}},
		{name: "an old time", headers: modified(old), unchanged: [2]int{1, 0}, changed: [2]int{1, 1}},
		{name: "a time a moment ago", headers: modified(now), unchanged: [2]int{1, 1}, changed: [2]int{1, 1}},
		{name: "a time to come", headers: modified(time.Hour), unchanged: [2]int{1, 1}, changed: [2]int{1, 1}},
		{name: "an ETag of a moment ago", headers: both(`"%d"`, now), unchanged: [2]int{1, 1}, changed: [2]int{1, 1}},
		{name: "an ETag and an old time", headers: both(`"%d"`, old), unchanged: [2]int{1, 0}, changed: [2]int{1, 1}},
		{name: "a question that is not allowed", headers: etag(`"%d"`), odd: status(405), unchanged: [2]int{2, 1}, changed: [2]int{2, 1}},
		{name: "a question that fails", headers: etag(`"%d"`), odd: status(500), unchanged: [2]int{2, 1}, changed: [2]int{2, 1}},
		{name: "precondition failed", headers: etag(`"%d"`), odd: status(412), unchanged: [2]int{2, 1}, changed: [2]int{2, 1}},
		{name: "no answer", headers: etag(`"%d"`), odd: hang, unchanged: [2]int{2, 1}, changed: [2]int{2, 1}},
		{name: "huge headers", headers: etag(`"%d"`), odd: hugeHeaders, unchanged: [2]int{2, 1}, changed: [2]int{2, 1}},
		{name: "no HTTP", headers: etag(`"%d"`), odd: noHTTP, unchanged: [2]int{2, 1}, changed: [2]int{2, 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.headers, b.odd = test.headers, test.odd
			if test.name == "no answer" {
				b.s.patience = 100 * time.Millisecond
			}
			b.add("web", "1.0.0")
			b.fetch("/web", "1.0.0") // adds the repository
			b.costs(func() { b.fetch("/web", "1.0.0") }, test.unchanged)
			b.costs(func() { b.fetch("/web:^1", "1.0.0") }, test.unchanged)
			b.add("web", "1.1.0") // a moment ago
			b.costs(func() { b.fetch("/web", "1.1.0") }, [2]int{test.changed[0] + 1, test.changed[1] + 1})
			b.costs(func() { b.fetch("/web", "1.1.0") }, test.unchanged)
		})
	}
}

// A source says that nothing has changed, and that is wrong.
func TestSourcesThatLie(t *testing.T) {
	for name, lie := range map[string]func(b *bench){
		"it always says so": func(b *bench) { b.odd = status(304) },
		"one ETag for all":  func(b *bench) { b.headers = oneETag },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.headers = etag(`"%d"`)
			lie(b)
			b.add("web", "1.0.0")
			b.fetch("/web", "1.0.0")
			b.fetch("/web", "1.0.0")
			b.add("web", "1.1.0")
			b.add("api", "0.1.0")
			b.costs(func() { b.fetch("/web", "1.0.0") }, [2]int{1, 0})
			b.costs(func() { b.fetch("/api", "0.1.0") }, [2]int{3, 2}) // asked, fetched, pulled
			b.costs(func() { b.fetch("/web", "1.1.0") }, [2]int{2, 1})

			b.add("web", "1.2.0")
			b.costs(func() { b.fetch("/web:1.2.0", "1.2.0") }, [2]int{3, 2})
			b.add("web", "1.3.0")
			b.costs(func() { b.fetch("/web:^1.3", "1.3.0") }, [2]int{3, 2})
			b.costs(func() {
				_, err := b.s.Fetch(t.Context(), b.url+"/web:2.0.0", Options{})
				require.ErrorIs(t, err, errdef.ErrChartNotFound)
			}, [2]int{2, 1})

			b.add("web", "1.4.0")
			b.costs(func() { b.refreshed("/web", "1.4.0") }, [2]int{2, 2})
			b.add("web", "1.5.0")
			require.NoError(t, b.s.UpdateRepos(t.Context(), nil))
			b.fetch("/web", "1.5.0")

			b.add("web", "1.6.0")
			b.fetch("/web", "1.5.0")
			b.turn(func(r *refreshed) { r.Whole = r.Whole.Add(-keptWhole) }) // a day passes
			b.fetch("/web", "1.6.0")
		})
	}
}

// Whoever asks no question gets no "not modified".
func TestNotModifiedUnasked(t *testing.T) {
	b := newBench(t)
	b.headers = etag(`"%d"`)
	b.add("web", "1.0.0")
	b.fetch("/web", "1.0.0")
	b.unasked = status(304)
	_, err := b.s.Fetch(t.Context(), b.url+"/web", Options{Refresh: true})
	assert.ErrorContains(t, err, "304")
}

// A clock that is set does not keep an old index alive.
func TestClockJumps(t *testing.T) {
	for name, jump := range map[string]func(r *refreshed){
		"the last whole fetch is to come": func(r *refreshed) { r.Whole = r.Whole.Add(time.Hour) },
		"the last refresh is to come":     func(r *refreshed) { r.Began = r.Began.Add(time.Hour) },
		"a year passes":                   func(r *refreshed) { r.Whole, r.Began = r.Whole.AddDate(-1, 0, 0), r.Began.AddDate(-1, 0, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.headers = oneETag
			b.add("web", "1.0.0")
			b.fetch("/web", "1.0.0")
			b.fetch("/web", "1.0.0")
			b.add("web", "1.1.0")
			b.turn(jump)
			b.fetch("/web", "1.1.0")
		})
	}
}

// Validators that do not belong to the bytes on disk, or cannot be read, are none.
func TestValidatorsOfOtherBytes(t *testing.T) {
	for name, spoil := range map[string]func(b *bench) error{
		"another index": func(b *bench) error { return os.WriteFile(b.index(), []byte("entries: {}\n"), 0o600) },
		"half an index": func(b *bench) error { return os.Truncate(b.index(), 20) },
		"no index":      func(b *bench) error { return os.Remove(b.index()) },
		"half a record": func(b *bench) error { return os.Truncate(b.stamp(), 40) },
		"an old record": func(b *bench) error { return os.WriteFile(b.stamp(), []byte("2026-01-02T03:04:05Z"), 0o600) },
		"no record":     func(b *bench) error { return os.Remove(b.stamp()) },
		"another place": func(b *bench) error {
			b.turn(func(r *refreshed) { r.Have.URL += "x" })
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.headers = etag(`"%d"`)
			b.add("web", "1.0.0")
			b.fetch("/web", "1.0.0")
			b.fetch("/web", "1.0.0")
			require.NoError(t, spoil(b))
			helms := b.helm.calls.Load()
			b.fetch("/web", "1.0.0")
			assert.EqualValues(t, 1, b.helm.calls.Load()-helms, "it is fetched whole")
			b.costs(func() { b.fetch("/web", "1.0.0") }, [2]int{1, 0})
		})
	}
}

// What is remembered about a fetch is not needed for it.
func TestRecordsThatCannotBeWritten(t *testing.T) {
	b := newBench(t)
	b.headers = etag(`"%d"`)
	b.add("web", "1.0.0")
	b.fetch("/web", "1.0.0")
	require.NoError(t, os.RemoveAll(b.s.home.Path("pins")))
	require.NoError(t, os.WriteFile(b.s.home.Path("pins"), nil, 0o600)) // whoever runs this test cannot write there
	b.add("web", "1.1.0")
	b.fetch("/web", "1.1.0")
	b.fetch("/web", "1.1.0")
}

// A question goes through the same redirects as a fetch, and its credentials no further.
func TestQuestionsAreRedirected(t *testing.T) {
	b := newBench(t)
	b.headers = etag(`"%d"`)
	b.add("web", "1.0.0")
	from := newHost(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, b.url+r.URL.Path, http.StatusFound) })
	name, err := b.s.AddRepo(t.Context(), from.URL, "", Access{Token: "tok3n"})
	require.NoError(t, err)
	b.costs(func() { require.NoError(t, b.s.refresh(t.Context(), name, time.Now(), false)) }, [2]int{1, 0})
	assert.Equal(t, "Bearer tok3n", from.wasGiven("/index.yaml"))
	assert.Empty(t, b.last.Load().Header.Get("Authorization"))
	assert.NotEmpty(t, b.last.Load().Header.Get("If-None-Match"))

	// Where the index was is now another one of the same name.
	other := newBench(t)
	other.headers = etag(`"%d"`)
	other.add("web", "2.0.0")
	b.url = other.url
	require.NoError(t, b.s.refresh(t.Context(), name, time.Now(), false))
	entry, err := b.s.pick(t.Context(), source{repo: name, chart: "web"})
	require.NoError(t, err)
	assert.Equal(t, "2.0.0", entry.Version)
}

// Credentials that were revoked: what is pinned and in the cache is served without asking, all else is refused.
func TestRevokedCredentials(t *testing.T) {
	b := newBench(t)
	b.headers = etag(`"%d"`)
	b.add("web", "1.0.0")
	var revoked bool
	locked := newHost(t, func(w http.ResponseWriter, r *http.Request) {
		if revoked || r.Header.Get("Authorization") != "Bearer tok3n" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		b.ServeHTTP(w, r)
	})
	_, err := b.s.AddRepo(t.Context(), locked.URL, "", Access{Token: "tok3n"})
	require.NoError(t, err)
	b.url = locked.URL
	b.fetch("/web", "1.0.0")
	b.costs(func() { b.fetch("/web", "1.0.0") }, [2]int{1, 0})
	revoked = true
	_, err = b.s.Fetch(t.Context(), b.url+"/web", Options{})
	assert.ErrorContains(t, err, "401")
	b.costs(func() { b.fetch("/web:1.0.0", "1.0.0") }, [2]int{0, 0})
}

// The question goes the way of the fetch: with its certificates, and not at all if helm would use another proxy.
func TestQuestionsUseTLS(t *testing.T) {
	b := newBench(t)
	b.headers = etag(`"%d"`)
	b.add("web", "1.0.0")
	server := httptest.NewUnstartedServer(b)
	pair := httptest.NewTLSServer(nil)
	defer pair.Close()
	clients := x509.NewCertPool()
	clients.AddCert(pair.Certificate())
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, ClientCAs: clients}
	server.StartTLS()
	defer server.Close()
	dir := t.TempDir()
	access := Access{CAFile: filepath.Join(dir, "ca.pem"), CertFile: filepath.Join(dir, "ca.pem"), KeyFile: filepath.Join(dir, "key.pem")}
	key, err := x509.MarshalPKCS8PrivateKey(pair.TLS.Certificates[0].PrivateKey)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(access.CAFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	require.NoError(t, os.WriteFile(access.KeyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600))
	know(t, b.s, repository{Name: "safe", URL: server.URL, Access: access})
	asks := func(want int64, whole [2]int) {
		t.Helper()
		before := b.helm.calls.Load()
		b.costs(func() { require.NoError(t, b.s.refresh(t.Context(), "safe", time.Now(), false)) }, whole)
		assert.Equal(t, want, b.helm.calls.Load()-before)
	}
	asks(1, [2]int{1, 1})
	asks(0, [2]int{1, 0})

	b.s.env = map[string]string{"HTTPS_PROXY": "http://127.0.0.1:1"}
	b.helm.direct = b.helm.direct[:0]
	require.ErrorContains(t, b.s.refresh(t.Context(), "safe", time.Now(), false), "certificate") // this helm has none
	assert.Equal(t, []string{server.URL}, b.helm.direct, "helm goes itself")
}

// Two processes that share a home share what they know, and callers at one moment share one question.
func TestProcessesShareValidators(t *testing.T) {
	b := newBench(t)
	b.headers = etag(`"%d"`)
	b.add("web", "1.0.0")
	b.fetch("/web", "1.0.0")
	b.fetch("/web", "1.0.0")
	again, err := home.Open(b.s.home.Path())
	require.NoError(t, err)
	other := New(Config{Home: again, Helm: b.helm, Limits: b.s.limits})
	third, err := home.Open(b.s.home.Path())
	require.NoError(t, err)
	unlock, err := third.Lock(t.Context(), "repository "+b.name())
	require.NoError(t, err)
	b.costs(func() {
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				_, err := []*Store{b.s, other}[i%2].Fetch(t.Context(), b.url+"/web", Options{})
				assert.NoError(t, err)
			})
		}
		for b.s.home.Waiting() < 9 || again.Waiting() < 9 {
			runtime.Gosched()
		}
		unlock() // all have asked by now
		all.Wait()
	}, [2]int{1, 0})
}

// A caller who gives up is not held by a source that does not answer.
func TestQuestionEndsWithItsCaller(t *testing.T) {
	b := newBench(t)
	b.headers = etag(`"%d"`)
	b.add("web", "1.0.0")
	b.fetch("/web", "1.0.0")
	b.fetch("/web", "1.0.0")
	ctx, cancel := context.WithCancel(t.Context())
	b.odd = func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}
	_, err := b.s.Fetch(ctx, b.url+"/web", Options{})
	require.ErrorIs(t, err, context.Canceled)
}

// The answer to a question reaches helm if that asks soon, and nothing is held for one that never does.
func TestKeptAnswers(t *testing.T) {
	b := newBench(t)
	b.headers = etag(`"%d"`)
	b.add("web", "1.0.0")
	s := b.s
	entry := repository{Name: "x", URL: b.url}
	for _, test := range []struct {
		patience time.Duration
		requests int
	}{{time.Hour, 1}, {time.Minute, 2}} {
		via, err := s.relay(entry, b.url+"/index.yaml", "index.yaml")
		require.NoError(t, err)
		via.patience = test.patience
		b.costs(func() {
			assert.False(t, via.unchanged(t.Context(), validators{ETag: `"0"`, URL: b.url + "/index.yaml"}))
			via.kept.came = via.kept.came.Add(-30 * time.Minute)
			status, body, err := ask(t, via.served)
			require.NoError(t, err)
			assert.Equal(t, 200, status)
			assert.Contains(t, body, "version: 1.0.0")
			assert.Equal(t, `"1"`, via.validators().ETag)
			_, _, err = ask(t, via.served)
			require.NoError(t, err)
		}, [2]int{test.requests + 1, 0})
		assert.False(t, via.unchanged(t.Context(), validators{ETag: `"0"`, URL: b.url + "/index.yaml"}))
		require.NotNil(t, via.kept)
		body := via.kept.Body
		via.Stop()
		_, err = body.Read(make([]byte, 1))
		require.Error(t, err)
	}
}

func etag(format string) func(int) http.Header {
	return func(version int) http.Header { return http.Header{"Etag": {fmt.Sprintf(format, version)}} }
}

// oneETag is the same for all versions.
func oneETag(int) http.Header { return http.Header{"Etag": {`"same"`}} }

func modified(ago time.Duration) func(int) http.Header {
	date := time.Now().UTC()
	return func(version int) http.Header {
		at := date.Add(ago + time.Duration(version)*time.Second)
		return http.Header{"Date": {date.Format(http.TimeFormat)}, "Last-Modified": {at.Format(http.TimeFormat)}}
	}
}

func both(format string, ago time.Duration) func(int) http.Header {
	times := modified(ago)
	return func(version int) http.Header {
		h := times(version)
		h["Etag"] = etag(format)(version)["Etag"]
		return h
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func hugeHeaders(w http.ResponseWriter, _ *http.Request) {
	for i := range 200 {
		w.Header().Set(fmt.Sprint("X-", i), strings.Repeat("x", 1000))
	}
	w.WriteHeader(http.StatusNotModified)
}

func noHTTP(w http.ResponseWriter, _ *http.Request) {
	if c, _, err := w.(http.Hijacker).Hijack(); err == nil {
		_, _ = c.Write([]byte("304 Not Modified\r\n\r\n"))
		_ = c.Close()
	}
}
