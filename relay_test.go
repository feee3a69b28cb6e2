package helmexec

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
)

// host is a server that remembers what it was given as credentials, path by path.
type host struct {
	*httptest.Server
	given sync.Map
}

func newHost(t *testing.T, answer http.HandlerFunc) *host {
	h := &host{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.given.Store(r.URL.Path, r.Header.Get("Authorization"))
		answer(w, r)
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *host) wasGiven(path string) any {
	given, asked := h.given.Load(path)
	if !asked {
		return "not asked"
	}
	return given
}

func ask(t *testing.T, url string) (status int, body string, err error) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

func TestRelayGivesCredentialsToTheRepositoryAlone(t *testing.T) {
	for given, entry := range map[string]repoEntry{
		"Bearer tok3n":           {Token: "tok3n"},
		"Basic Ym9iOmh1bnRlcjI=": {Username: "bob", Password: "hunter2"},
	} {
		testRelay(t, entry, given)
	}
}

func testRelay(t *testing.T, entry repoEntry, given string) {
	var back string
	other := newHost(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/back" {
			http.Redirect(w, r, back, http.StatusFound)
			return
		}
		_, _ = io.WriteString(w, "theirs")
	})
	own := newHost(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/charts/away":
			http.Redirect(w, r, other.URL+"/away", http.StatusFound)
		case "/charts/near":
			http.Redirect(w, r, "/charts/web.tgz", http.StatusFound)
		case "/charts/torn":
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, strings.Repeat("a part ", 100))
		case "/charts/none":
			http.NotFound(w, r)
		default:
			_, _ = io.WriteString(w, "ours")
		}
	})
	back = own.URL + "/admin"
	h, _ := withFake(t, Config{})
	for _, test := range []struct {
		target     string
		all        bool // PassCredentialsAll
		says       string
		to         *host
		path, gets string
		led        bool // by a redirect to where no credentials go
	}{
		{own.URL + "/charts/web.tgz", false, "ours", own, "/charts/web.tgz", given, false},
		{own.URL + "/elsewhere.tgz", false, "ours", own, "/elsewhere.tgz", given, false},
		{own.URL + "/charts/near", false, "ours", own, "/charts/web.tgz", given, false},
		{own.URL + "/charts/away", false, "theirs", other, "/away", "", true},
		{other.URL + "/direct.tgz", false, "theirs", other, "/direct.tgz", "", false},
		{other.URL + "/back", false, "ours", own, "/admin", "", true}, // nobody else says what is asked with the credentials
		{other.URL + "/all.tgz", true, "theirs", other, "/all.tgz", given, false},
		{own.URL + "/charts/away", true, "theirs", other, "/away", "", true}, // it may be signed, and refuse a second proof
	} {
		entry.URL, entry.PassCredentialsAll = own.URL+"/charts", test.all
		via, err := h.relay(entry, test.target, "archive.tgz")
		require.NoError(t, err)
		status, body, err := ask(t, via.served)
		require.NoError(t, err)
		assert.Equal(t, []any{200, test.says, test.gets, test.led}, []any{status, body, test.to.wasGiven(test.path), via.ledAway()}, test.target)
		via.stop()
		_, _, err = ask(t, via.served)
		require.Error(t, err, "it has stopped")
	}

	via, err := h.relay(repoEntry{URL: own.URL, Token: "tok3n"}, own.URL+"/charts/none", "archive.tgz")
	require.NoError(t, err)
	defer via.stop()
	for url, want := range map[string]int{via.served: 404, via.url + "/index.yaml": 404, strings.TrimSuffix(via.served, via.url[len("http://127.0.0.1:"):]): 404} {
		status, _, err := ask(t, url)
		require.NoError(t, err)
		assert.Equal(t, want, status, url)
	}
	torn, err := h.relay(repoEntry{URL: own.URL, Token: "tok3n"}, own.URL+"/charts/torn", "archive.tgz")
	require.NoError(t, err)
	defer torn.stop()
	_, _, err = ask(t, torn.served)
	require.Error(t, err, "a part is not taken for the whole")
}

// Errors name the repository and what kept it from answering, and not the relay.
func TestRelaySpeaksOfTheRepository(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	entry := repoEntry{Name: "x", URL: gone.URL + "/charts", Token: "tok3n"}
	h, _ := withFake(t, Config{})
	via, err := h.relay(entry, entry.URL+"/index.yaml", "index.yaml")
	require.NoError(t, err)
	defer via.stop()
	status, _, err := ask(t, via.served)
	require.NoError(t, err)
	assert.Equal(t, 502, status)
	said := invocation{via: via}.redactor()("failed to fetch " + via.served + " : 502 Bad Gateway, from " + via.url)
	assert.Regexp(t, `^failed to fetch \S+/charts/index.yaml : dial tcp \S+ connect: connection refused, from \S+/charts$`, said)
	assert.NotContains(t, said, strings.TrimPrefix(via.url, "http://"))
}

func TestCredentialsAreRefused(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	for _, test := range []struct {
		cfg  Config
		opts RepoOptions
		says string
	}{
		{Config{}, RepoOptions{Token: "tok3n", Username: "bob", Password: "hunter2"}, "give one of them"},
		{Config{Home: UserHome}, RepoOptions{Token: "tok3n"}, "set Config.Home"},
		{Config{}, RepoOptions{Token: "tok3n\r\nX-Other: y"}, "no bearer token has"},
		{Config{Env: map[string]string{"HTTPS_PROXY": "http://proxy.example"}}, RepoOptions{Token: "tok3n"}, "not in Config.Env"},
		{Config{Env: map[string]string{"https_proxy": "http://proxy.example"}}, RepoOptions{Username: "bob", Password: "tok3n"}, "not in Config.Env"},
		{Config{}, RepoOptions{Username: "bob", Password: "tok3n", CAFile: empty}, "holds no certificate"},
		{Config{}, RepoOptions{Token: "tok3n", CAFile: filepath.Join(dir, "none.pem")}, "CAFile"},
		{Config{}, RepoOptions{Token: "tok3n", CAFile: empty}, "holds no certificate"},
		{Config{}, RepoOptions{Token: "tok3n", CertFile: empty, KeyFile: empty}, "CertFile and KeyFile"},
	} {
		h, fake := withFake(t, test.cfg)
		_, err := h.AddRepo(t.Context(), "https://charts.example/x", test.opts)
		require.ErrorIs(t, err, ErrInvalidArgument, test.says)
		assert.ErrorContains(t, err, test.says)
		assert.NotContains(t, err.Error(), "tok3n")
		assert.NotContains(t, fake.Commands(), "repo update", "before any process starts")
	}
}

// The helm that needs credentials gets them neither as arguments nor by its environment, stdin or files.
func TestCredentialsStayInTheHome(t *testing.T) {
	for _, opts := range []RepoOptions{{Token: "tok3n"}, {Username: "b0b", Password: "tok3n"}} {
		h, fake := withArchives(t, "1.0.0")
		for _, command := range []string{"repo update", "pull"} {
			fake.Handle(command, func(c helmtest.Call) helmtest.Reply {
				text, err := os.ReadFile(c.Env["HELM_REPOSITORY_CONFIG"])
				assert.NoError(t, err)
				assert.NotContains(t, string(text), "tok3n")
				assert.NotContains(t, string(text), "b0b")
				assert.Contains(t, string(text), "http://127.0.0.1:")
				return fake.Perform(c)
			})
		}
		name, err := h.AddRepo(t.Context(), "https://charts.example/x", opts)
		require.NoError(t, err)
		_, err = h.Fetch(t.Context(), name+"/web", ChartOptions{Refresh: true})
		require.NoError(t, err)
		if opts.Username != "" {
			_, err = h.Fetch(t.Context(), "https://b0b:tok3n@charts.example/x/web-1.0.0.tgz", ChartOptions{})
			require.NoError(t, err)
		}
		assert.Contains(t, fake.Commands(), "pull")
		for _, call := range fake.Calls() {
			for key, value := range call.Env {
				assert.NotContains(t, value, "tok3n", key)
			}
			assert.NotContains(t, strings.Join(call.Args, " ")+call.Stdin, "tok3n")
		}
		known, err := h.known(t.Context(), name)
		require.NoError(t, err)
		assert.Equal(t, newRepoEntry(name, "https://charts.example/x", opts), known)
	}
}

func TestTokenThatChanges(t *testing.T) {
	h, fake := withFake(t, Config{})
	_, err := h.AddRepo(t.Context(), "https://charts.example/x", RepoOptions{Token: "tok3n"})
	require.NoError(t, err)
	require.Len(t, fake.Calls(), 2, "the version and the index")
	before := len(fake.Calls())
	for token, more := range map[string]int{"": 0, "tok3n": 0} {
		_, err = h.AddRepo(t.Context(), "https://charts.example/x", RepoOptions{Token: token})
		require.NoError(t, err)
		assert.Len(t, fake.Calls(), before+more)
	}
	_, err = h.AddRepo(t.Context(), "https://charts.example/x", RepoOptions{Token: "changed"})
	require.NoError(t, err)
	assert.Len(t, fake.Calls(), before+1, "a token that was changed")

	chart := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(chart, "Chart.yaml"),
		[]byte("apiVersion: v2\nname: a\nversion: 1.0.0\ndependencies: [{name: b, version: 1.0.0, repository: \"https://charts.example/x\"}]\n"), 0o600))
	err = h.DependencyBuild(t.Context(), chart)
	require.ErrorIs(t, err, ErrInvalidArgument)
	assert.ErrorContains(t, err, "with Pull")
}

// A repository can say anything in the place of an answer; it is this program that reads it.
func TestRelayBoundsWhatItReads(t *testing.T) {
	for name, says := range map[string]string{
		"no HTTP": strings.Repeat("x", 1<<20), "an echo": strings.Repeat("x", 180) + strings.Repeat("tok3n", 20), "headers": "HTTP/1.1 200 OK\r\n" + strings.Repeat("a: b\r\n", 1<<17) + "\r\n",
	} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { _ = listener.Close() })
		go func() {
			for {
				c, err := listener.Accept()
				if err != nil {
					return
				}
				_, _ = io.WriteString(c, says)
				_ = c.Close()
			}
		}()
		h, _ := withFake(t, Config{})
		via, err := h.relay(repoEntry{URL: "http://" + listener.Addr().String(), Token: "tok3n"}, "http://"+listener.Addr().String()+"/x.tgz", "archive.tgz")
		require.NoError(t, err)
		status, _, err := ask(t, via.served)
		require.NoError(t, err)
		assert.Equal(t, 502, status, name)
		said := via.speak("502 Bad Gateway")
		assert.Less(t, len(said), 1000, name)
		assert.NotContains(t, said, "tok3n", name)
		via.stop()
	}
}

// What a server says is quoted in errors, and not what it was given, in any form.
func TestRelayQuotesNoPassword(t *testing.T) {
	for _, test := range []struct {
		entry repoEntry
		want  string
	}{
		{repoEntry{Username: "bob", Password: "hunter2"}, "malformed: Basic *** ***, tok3n, Og=="},
		{repoEntry{Token: "tok3n"}, "malformed: Bearer *** hunter2, ***, Og=="},
		{repoEntry{}, "malformed:  hunter2, tok3n, Og=="},
	} {
		assert.Equal(t, test.want, redactor(test.entry.secrets())("malformed: "+test.entry.authorization()+" hunter2, tok3n, Og=="))
	}
}

func TestIsHost(t *testing.T) {
	for _, test := range []struct {
		own, to string
		want    bool
	}{
		{"https://h/charts", "https://h/x", true},
		{"https://h/charts", "https://H:443/x", true},
		{"https://h/charts", "http://h/x", false},
		{"https://h/charts", "https://h:8443/x", false},
		{"https://h:8443/charts", "http://h:8443/x", false},
		{"https://h/charts", "https://sub.h/x", false},
		{"http://h/charts", "https://h/x", true},
		{"http://h:8080/charts", "http://h:8081/x", false},
		{"http://127.0.0.1/charts", "http://localhost/x", false},
	} {
		assert.Equal(t, test.want, repoEntry{URL: test.own}.isHost(test.to), test)
	}
}

// As Helm's repo.ResolveReferenceURL does it.
func TestResolve(t *testing.T) {
	for _, test := range [][3]string{
		{"https://h/charts", "index.yaml", "https://h/charts/index.yaml"},
		{"https://h", "web-1.0.0.tgz", "https://h/web-1.0.0.tgz"},
		{"https://h/charts", "web-1.0.0.tgz?sig=1", "https://h/charts/web-1.0.0.tgz"},
		{"https://h/charts", "/web-1.0.0.tgz", "https://h/web-1.0.0.tgz"},
		{"https://h/a%2Fb", "web.tgz", "https://h/a%2Fb/web.tgz"},
		{"https://h/a/../b", "index.yaml", "https://h/b/index.yaml"},
		{"https://h/charts?", "index.yaml", "https://h/charts/index.yaml"},
		{"https://h/charts", "https://other/web.tgz?sig=1", "https://other/web.tgz?sig=1"},
	} {
		u, err := repoEntry{URL: test[0]}.resolve(test[1])
		require.NoError(t, err)
		assert.Equal(t, test[2], u.String(), test[:2])
	}
	assert.Empty(t, repoEntry{URL: "https://h"}.archiveURL(ChartVersion{URLs: []string{"oci://h/web"}}))
	assert.Empty(t, repoEntry{URL: "https://h"}.archiveURL(ChartVersion{}))
}
