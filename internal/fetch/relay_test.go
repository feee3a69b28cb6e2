package fetch

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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
	for given, access := range map[string]Access{
		"Bearer tok3n":           {Token: "tok3n"},
		"Basic Ym9iOmh1bnRlcjI=": {Username: "bob", Password: "hunter2"},
	} {
		testRelay(t, repository{Access: access}, given)
	}
}

func testRelay(t *testing.T, entry repository, given string) {
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
	s := newStore(t, Config{})
	for _, test := range []struct {
		target     string
		all        bool // PassCredentialsAll
		says       string
		to         *host
		path, gets string
		led        bool // redirected to a place that gets no credentials
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
		via, err := s.relay(entry, test.target, "archive.tgz")
		require.NoError(t, err)
		status, body, err := ask(t, via.served)
		require.NoError(t, err)
		assert.Equal(t, []any{200, test.says, test.gets, test.led}, []any{status, body, test.to.wasGiven(test.path), via.LedAway()}, test.target)
		via.Stop()
		_, _, err = ask(t, via.served)
		require.Error(t, err, "it has stopped")
	}

	via, err := s.relay(repository{URL: own.URL, Access: Access{Token: "tok3n"}}, own.URL+"/charts/none", "archive.tgz")
	require.NoError(t, err)
	defer via.Stop()
	for url, want := range map[string]int{via.served: 404, via.url + "/index.yaml": 404, strings.TrimSuffix(via.served, via.url[len("http://127.0.0.1:"):]): 404} {
		status, _, err := ask(t, url)
		require.NoError(t, err)
		assert.Equal(t, want, status, url)
	}
	torn, err := s.relay(repository{URL: own.URL, Access: Access{Token: "tok3n"}}, own.URL+"/charts/torn", "archive.tgz")
	require.NoError(t, err)
	defer torn.Stop()
	_, _, err = ask(t, torn.served)
	require.Error(t, err, "a part is not taken for the whole")
}

// Errors name the repository and why it did not answer, not the relay.
func TestRelaySpeaksOfTheRepository(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	entry := repository{Name: "x", URL: gone.URL + "/charts", Access: Access{Token: "tok3n"}}
	s := newStore(t, Config{})
	via, err := s.relay(entry, entry.URL+"/index.yaml", "index.yaml")
	require.NoError(t, err)
	defer via.Stop()
	status, _, err := ask(t, via.served)
	require.NoError(t, err)
	assert.Equal(t, 502, status)
	said := via.Speak("failed to fetch " + via.served + " : 502 Bad Gateway, from " + via.url)
	assert.Regexp(t, `^failed to fetch \S+/charts/index.yaml : dial tcp \S+ connect: connection refused, from \S+/charts$`, said)
	assert.NotContains(t, said, strings.TrimPrefix(via.url, "http://"))
}

// A repository can send anything as an answer, and this program reads it.
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
		s := newStore(t, Config{})
		via, err := s.relay(repository{URL: "http://" + listener.Addr().String(), Access: Access{Token: "tok3n"}}, "http://"+listener.Addr().String()+"/x.tgz", "archive.tgz")
		require.NoError(t, err)
		status, _, err := ask(t, via.served)
		require.NoError(t, err)
		assert.Equal(t, 502, status, name)
		said := via.Speak("502 Bad Gateway")
		assert.Less(t, len(said), 1000, name)
		assert.NotContains(t, said, "tok3n", name)
		via.Stop()
	}
}
