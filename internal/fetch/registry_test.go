package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/internal/chartrepo"
)

// registry is a fake registry with one chart, and a helm that pulls from it without requests.
type registry struct {
	testing.TB
	s        *Store
	helm     *fakeHelm
	server   *httptest.Server
	opts     Options
	tags     map[string]string // tag → version of the chart there
	list     []string          // what it lists, if that is not its tags
	login    string            // "", "Basic" or "Bearer"
	password string
	realm    string // of tokens, if it is not on the same host
	odd      func(w http.ResponseWriter, r *http.Request) bool
	requests atomic.Int64
	refused  error // what helm says instead of pulling
	silent   bool  // helm prints no digest
}

func newRegistry(t testing.TB) *registry {
	t.Helper()
	r := &registry{TB: t, helm: &fakeHelm{}, tags: map[string]string{}, password: "s3cret", opts: Options{Source: Source{PlainHTTP: true}}}
	r.helm.pull = r.pull
	r.server = httptest.NewServer(r)
	t.Cleanup(r.server.Close)
	r.s = newStore(t, Config{Helm: r.helm, Limits: Limits{Archive: 1 << 20}})
	return r
}

func (r *registry) address() string {
	_, host, _ := strings.Cut(r.server.URL, "://")
	return "oci://" + host + "/charts/web"
}

func manifestOf(version string) string {
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(version)))
}

// pull pulls the wanted tag, or the highest.
func (r *registry) pull(call Call) error {
	if r.refused != nil {
		return r.refused
	}
	tag, digest := "", ""
	for _, a := range call.Args {
		if v, ok := strings.CutPrefix(a, "--version="); ok {
			tag = strings.ReplaceAll(v, "+", "_")
		}
		_, digest, _ = strings.Cut(a, "@")
	}
	version := r.tags[tag]
	for t, v := range r.tags {
		if version == "" && (manifestOf(v) == digest || digest == "" && strings.HasSuffix(t, ".0")) {
			version = v
		}
	}
	plain, _, _ := strings.Cut(version, " ") // what follows makes another archive of the same version
	archive, err := chartrepo.Package(map[string]string{"Chart.yaml": "apiVersion: v2\nname: web\nversion: " + plain + "\ndescription: " + version + "\n"})
	if err == nil && !r.silent {
		*call.Stderr = "Pulled: x\nDigest: " + manifestOf(version) + "\n"
	}
	return errors.Join(err, os.WriteFile(filepath.Join(strings.TrimPrefix(call.Args[1], "--destination="), "web.tgz"), archive.Data, 0o600))
}

func (r *registry) ServeHTTP(w http.ResponseWriter, asked *http.Request) {
	r.requests.Add(1)
	user, password, _ := asked.BasicAuth()
	right := user == "ann" && password == r.password
	realm := r.realm
	if realm == "" {
		realm = r.server.URL + "/token"
	}
	switch {
	case r.odd != nil && r.odd(w, asked):
		return
	case asked.URL.Path == "/token":
		if !right {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, `{"token":"t"}`)
		return
	case r.login == "Basic" && !right, r.login == "Bearer" && asked.Header.Get("Authorization") != "Bearer t":
		w.Header().Set("WWW-Authenticate", r.login+` realm="`+realm+`",service="s"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	_, tag, isManifest := strings.Cut(asked.URL.Path, "/v2/charts/web/manifests/")
	version, known := r.tags[tag]
	for _, v := range r.tags {
		if manifestOf(v) == tag {
			version, known = v, true
		}
	}
	switch {
	case isManifest && known && asked.Method == http.MethodHead:
		w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		w.Header().Set("Docker-Content-Digest", manifestOf(version))
		w.Header().Set("Content-Length", "10")
	case asked.URL.Path == "/v2/charts/web/tags/list":
		tags := r.list
		if tags == nil {
			for tag := range r.tags {
				tags = append(tags, tag)
			}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"tags": tags})
	default:
		http.NotFound(w, asked)
	}
}

// logIn does what "helm registry login" does.
func (r *registry) logIn(more string) {
	r.Helper()
	_, host, _ := strings.Cut(r.server.URL, "://")
	text := fmt.Sprintf(`{%s"auths":{%q:{"auth":%q}}}`, more, host, base64.StdEncoding.EncodeToString([]byte("ann:s3cret")))
	require.NoError(r, os.WriteFile(r.s.home.Path("registry.json"), []byte(text), 0o600))
}

// gives checks what an address gives, and the numbers of requests and helms.
func (r *registry) gives(suffix string, refresh bool, description string, want [2]int) {
	r.Helper()
	requests, helms := r.requests.Load(), r.helm.calls.Load()
	opts := r.opts
	opts.Refresh = refresh
	ch, err := r.s.Fetch(r.Context(), r.address()+suffix, opts)
	require.NoError(r, err)
	assert.Equal(r, description, ch.Metadata.Description)
	assert.Equal(r, want, [2]int{int(r.requests.Load() - requests), int(r.helm.calls.Load() - helms)}, "requests and helms")
}

// How many requests each case takes.
func TestTagsThatHaveNotMoved(t *testing.T) {
	for _, test := range []struct {
		login       string
		exact, open int
	}{{"", 1, 2}, {"Basic", 2, 3}, {"Bearer", 3, 4}} {
		t.Run(test.login, func(t *testing.T) {
			r := newRegistry(t)
			r.login, r.tags = test.login, map[string]string{"1.0.0": "1.0.0", "1.1.0_b.1": "1.1.0+b.1"}
			r.logIn("")
			// By its version.
			r.gives(":1.0.0", false, "1.0.0", [2]int{0, 1})
			r.gives(":1.0.0", false, "1.0.0", [2]int{0, 0})
			r.gives(":1.0.0", true, "1.0.0", [2]int{test.exact, 0})
			r.tags["1.0.0"] = "1.0.0 moved"
			r.gives(":1.0.0", false, "1.0.0", [2]int{0, 0})
			r.gives(":1.0.0", true, "1.0.0 moved", [2]int{test.exact, 1})
			r.gives(":1.0.0", true, "1.0.0 moved", [2]int{test.exact, 0})
			r.tags["1.0.0"] = "1.0.0" // back
			r.gives(":1.0.0", true, "1.0.0", [2]int{test.exact, 0})
			r.gives(":1.1.0+b.1", false, "1.1.0+b.1", [2]int{0, 1})
			r.gives(":1.1.0+b.1", true, "1.1.0+b.1", [2]int{test.exact, 0})
			// By its digest, which the pull of the tag told.
			r.gives("@"+manifestOf("1.0.0"), false, "1.0.0", [2]int{0, 0})
			r.gives("@"+manifestOf("1.0.0"), true, "1.0.0", [2]int{test.exact, 0})
			// The newest.
			delete(r.tags, "1.1.0_b.1")
			r.gives("", false, "1.0.0", [2]int{0, 1})
			r.gives("", false, "1.0.0", [2]int{test.open, 0})
			r.tags["1.2.0"] = "1.2.0" // published a moment ago
			delete(r.tags, "1.0.0")
			r.gives("", false, "1.2.0", [2]int{test.open, 1})
			r.gives("", false, "1.2.0", [2]int{test.open, 0})
			r.tags["1.2.0"] = "1.2.0 moved"
			r.gives("", false, "1.2.0 moved", [2]int{test.open, 1})
		})
	}
}

// Whatever is odd is left to helm.
func TestRegistriesThatDoNotSay(t *testing.T) {
	header := func(name, value string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Docker-Content-Digest", manifestOf("1.0.0"))
			w.Header().Set("Content-Length", "10")
			if w.Header().Set(name, value); value == "" {
				w.Header().Del(name)
			}
			return true
		}
	}
	answer := func(code int) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(code); return true }
	}
	body := func(text string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool { _, _ = fmt.Fprint(w, text); return true }
	}
	asked := func(f http.HandlerFunc) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool { f(w, r); return true }
	}
	for name, test := range map[string]struct {
		odd  func(http.ResponseWriter, *http.Request) bool
		open bool
	}{
		"honest in this way":              {odd: nil},
		"no digest":                       {odd: header("Docker-Content-Digest", "")},
		"a digest that is none":           {odd: header("Docker-Content-Digest", "sha256:../../x")},
		"a digest of another kind":        {odd: header("Docker-Content-Digest", "sha512:"+strings.Repeat("0", 128))},
		"an unknown digest":               {odd: header("Docker-Content-Digest", manifestOf("other"))},
		"no type":                         {odd: header("Content-Type", "/")},
		"it is gone":                      {odd: answer(404)},
		"not allowed":                     {odd: answer(405)},
		"an error":                        {odd: answer(503)},
		"not modified":                    {odd: answer(304)},
		"refused":                         {odd: answer(403)},
		"no HTTP":                         {odd: asked(noHTTP)},
		"huge headers":                    {odd: asked(hugeHeaders)},
		"no answer":                       {odd: asked(hang)},
		"a circle":                        {odd: asked(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) })},
		"a realm that is a file":          {odd: challenged(`Bearer realm="file:///etc/passwd"`)},
		"a log-in of another kind":        {odd: challenged(`Negotiate x`)},
		"a list that is a page":           {body("<html>"), true},
		"a list of no tags":               {body(`{"tags":[]}`), true},
		"a list of what is none":          {body(`{"tags":["latest","1.2","v1.0.0","2.0.0-rc.1"]}`), true},
		"a list that is huge":             {body(`{"tags":["1.0.0"` + strings.Repeat(`,"x"`, 1<<19) + `]}`), true},
		"a list of tags it does not have": {body(`{"tags":["9.0.0"]}`), true},
		"a list without end": {func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Link", "<"+r.URL.Path+">; rel=\"next\"")
			_, _ = fmt.Fprint(w, `{"tags":["1.0.0"]}`)
			return true
		}, true},
		"a list that goes on elsewhere": {func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Link", `<http://127.0.0.1:1/>; rel="next"`)
			_, _ = fmt.Fprint(w, `{"tags":["1.0.0"]}`)
			return true
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRegistry(t)
			r.tags["1.0.0"] = "1.0.0"
			if name == "no answer" {
				r.s.patience = 100 * time.Millisecond
			}
			suffix := ":1.0.0"
			if test.open {
				suffix = ""
			}
			r.gives(suffix, false, "1.0.0", [2]int{0, 1})
			r.odd = test.odd
			before := r.helm.calls.Load()
			ch, err := r.s.Fetch(t.Context(), r.address()+suffix, Options{Refresh: true, Source: r.opts.Source})
			require.NoError(t, err)
			assert.Equal(t, "1.0.0", ch.Metadata.Version)
			assert.Equal(t, test.odd != nil, r.helm.calls.Load() > before, "helm ran")
			assert.LessOrEqual(t, r.requests.Load(), int64(maxTagPages))

			// A chart that is gone, or for others now, is not served from the cache to whoever asks anew.
			r.refused = errors.New("refused")
			_, err = r.s.Fetch(t.Context(), r.address()+suffix, Options{Refresh: true, Source: r.opts.Source})
			assert.Equal(t, test.odd != nil, err != nil, "%v", err)
			if !test.open {
				r.gives(suffix, false, "1.0.0", [2]int{0, 0}) // but the version that is in the cache
			}
		})
	}
}

func challenged(with string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("WWW-Authenticate", with)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
}

// A log-in that was revoked, removed, or that a program keeps, is refused by helm or left to it.
func TestLogInsOfRegistries(t *testing.T) {
	for name, change := range map[string]func(r *registry){
		"revoked":           func(r *registry) { r.password = "another" },
		"removed":           func(r *registry) { require.NoError(r, os.Remove(r.s.home.Path("registry.json"))) },
		"kept by a program": func(r *registry) { r.logIn(`"credsStore":"evil",`) },
		"kept for one host": func(r *registry) { r.logIn(`"credHelpers":{"x":"evil"},`) },
		"in another file":   func(r *registry) { r.s.env = map[string]string{"HELM_REGISTRY_CONFIG": r.TempDir() + "/none"} },
		"in no JSON": func(r *registry) {
			require.NoError(r, os.WriteFile(r.s.home.Path("registry.json"), []byte("{"), 0o600))
		},
		"through another proxy": func(r *registry) { r.s.env = map[string]string{"HTTP_PROXY": "http://127.0.0.1:1"} },
		"with options of TLS":   func(r *registry) { r.opts.Source.InsecureSkipTLSVerify = true },
		"in a home of the user": func(r *registry) { r.s.private = false },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRegistry(t)
			r.login, r.tags = "Basic", map[string]string{"1.0.0": "1.0.0"}
			r.logIn("")
			r.gives(":1.0.0", false, "1.0.0", [2]int{0, 1})
			r.gives(":1.0.0", true, "1.0.0", [2]int{2, 0})
			change(r)
			r.refused = errors.New("refused by helm")
			opts := r.opts
			opts.Refresh = true
			_, err := r.s.Fetch(t.Context(), r.address()+":1.0.0", opts)
			require.ErrorIs(t, err, r.refused)
			r.gives(":1.0.0", false, "1.0.0", [2]int{0, 0}) // whoever shares the home gets it
		})
	}
}

// Log-ins go to the registry and to the server of its realm, as helm sends them, and never along with a redirect.
func TestLogInsGoNowhereElse(t *testing.T) {
	r := newRegistry(t)
	r.login, r.tags = "Bearer", map[string]string{"1.0.0": "1.0.0"}
	r.logIn("")
	other := newHost(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	r.gives(":1.0.0", false, "1.0.0", [2]int{0, 1})
	r.realm = strings.Replace(r.server.URL, "127.0.0.1", "localhost", 1) + "/token"
	r.gives(":1.0.0", true, "1.0.0", [2]int{1, 1}) // another name of this host: helm decides
	r.realm = ""
	r.odd = func(w http.ResponseWriter, asked *http.Request) bool {
		if asked.Header.Get("Authorization") != "Bearer t" {
			return false
		}
		http.Redirect(w, asked, other.URL+"/away", http.StatusTemporaryRedirect)
		return true
	}
	r.gives(":1.0.0", true, "1.0.0", [2]int{3, 1})
	assert.Equal(t, "", other.wasGiven("/away"))
	r.odd = func(w http.ResponseWriter, asked *http.Request) bool {
		http.Redirect(w, asked, other.URL+"/before", http.StatusTemporaryRedirect)
		return true
	}
	r.gives(":1.0.0", true, "1.0.0", [2]int{1, 1})
	assert.Equal(t, "", other.wasGiven("/before"))
}

func TestRegistryWithTLS(t *testing.T) {
	r := newRegistry(t)
	r.server.Close()
	r.server = httptest.NewTLSServer(r)
	defer r.server.Close()
	r.tags["1.0.0"] = "1.0.0"
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.server.Certificate().Raw}), 0o600))
	r.opts.Source = Source{}
	r.gives(":1.0.0", false, "1.0.0", [2]int{0, 1})
	r.gives(":1.0.0", true, "1.0.0", [2]int{0, 1}) // nobody vouches for it
	r.opts.Source = Source{CAFile: ca}
	r.gives(":1.0.0", true, "1.0.0", [2]int{1, 0})
	r.opts.Source = Source{InsecureSkipTLSVerify: true}
	r.gives(":1.0.0", true, "1.0.0", [2]int{1, 0})
}

// A helm that prints no digest, an archive that was evicted, a caller who gives up.
func TestTagsThatCannotBeCompared(t *testing.T) {
	r := newRegistry(t)
	r.tags["1.0.0"], r.silent = "1.0.0", true
	r.gives(":1.0.0", false, "1.0.0", [2]int{0, 1})
	r.gives(":1.0.0", true, "1.0.0", [2]int{1, 1})
	r.silent = false
	r.gives(":1.0.0", true, "1.0.0", [2]int{1, 1})
	r.gives(":1.0.0", true, "1.0.0", [2]int{1, 0})
	require.NoError(t, os.RemoveAll(r.s.home.Path("archives")))
	require.NoError(t, os.Mkdir(r.s.home.Path("archives"), 0o700))
	r.gives(":1.0.0", true, "1.0.0", [2]int{1, 1})

	ctx, cancel := context.WithCancel(t.Context())
	r.refused = context.Canceled
	r.odd = func(_ http.ResponseWriter, asked *http.Request) bool {
		cancel()
		<-asked.Context().Done()
		return true
	}
	_, err := r.s.Fetch(ctx, r.address()+":1.0.0", Options{Refresh: true, Source: r.opts.Source})
	require.ErrorIs(t, err, context.Canceled)
}
