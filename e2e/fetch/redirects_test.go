package fetch

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/internal/chartrepo"
)

// site is a server of a repository that can redirect, and remembers what it was given as credentials.
type site struct {
	*httptest.Server
	*chartrepo.Repo

	mu    sync.Mutex
	to    string            // the URL of a site where everything has moved; "" where nothing has
	given map[string]string // a path → the kind of credentials it was asked with, last time
}

const moved = "/moved" // before the path of what has

func (b *bed) site(start func(http.Handler) *httptest.Server, opts chartrepo.Options) *site {
	b.Helper()
	s := &site{Repo: chartrepo.New(opts), given: map[string]string{}}
	b.Must(s.Add(b.chart("web", "1.0.0", "us")))
	s.Server = start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kind, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		s.mu.Lock()
		s.given[r.URL.Path] = kind
		to := s.to
		s.mu.Unlock()
		if to != "" && !strings.HasPrefix(r.URL.Path, moved) {
			http.Redirect(w, r, to+moved+r.URL.Path, http.StatusFound)
			return
		}
		r.URL.Path = strings.TrimPrefix(r.URL.Path, moved)
		s.Repo.ServeHTTP(w, r)
	}))
	b.Cleanup(s.Close)
	return s
}

func (s *site) move(to string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to = to
}

// wasGiven takes what a path was asked with: "Basic", "Bearer", "" without credentials.
func (s *site) wasGiven(path string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	kind, asked := s.given[path]
	delete(s.given, path)
	if !asked {
		return "not asked"
	}
	return kind
}

// certificate writes the certificate of a server.
func (b *bed) certificate(server *httptest.Server) string {
	b.Helper()
	ca := filepath.Join(b.TempDir(), "ca.pem")
	b.Must(os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	return ca
}

// Helm itself sends a user name and password along with a redirect to another port of the host, and in
// clear. Here they go only to the host and port of the repository, and so does a token.
func TestCredentialsAndRedirects(t *testing.T) {
	const token = "s3cret-token"
	onBothHelms(t, func(b *bed) {
		locked := chartrepo.Options{Username: user, Password: first, Token: token}
		plain, safe, other := b.site(httptest.NewServer, locked), b.site(httptest.NewTLSServer, locked), b.site(httptest.NewServer, chartrepo.Options{})
		ca := b.certificate(safe.Server)
		for _, test := range []struct {
			name        string
			own, to     *site
			url         string // of to
			credentials bool   // they get there
		}{
			{"another port", plain, other, other.URL, false},
			{"another port, without TLS", safe, other, other.URL, false},
			{"another name of the host", plain, plain, strings.Replace(plain.URL, "127.0.0.1", "localhost", 1), false},
			{"another path", plain, plain, plain.URL, true},
			{"another path, with TLS", safe, safe, safe.URL, true},
		} {
			for kind, opts := range map[string]helmexec.RepoOptions{"Basic": {Username: user, Password: first}, "Bearer": {Token: token}} {
				if test.own == safe {
					opts.CAFile = ca
				}
				want := ""
				if test.credentials {
					want = kind
				}
				// check checks which credentials were sent, and the result.
				check := func(what, path string, err error) {
					b.Helper()
					what = fmt.Sprintf("%s, %s, %s", test.name, kind, what)
					if got := test.own.wasGiven("/charts/" + path); got != kind {
						b.Errorf("%s: the repository was given %q", what, got)
					}
					if got := test.to.wasGiven(moved + "/charts/" + path); got != want {
						b.Errorf("%s: where it has moved was given %q, want %q", what, got, want)
					}
					if test.to == plain && !test.credentials {
						b.wantErr(err, helmexec.ErrUnauthorized)
						if !strings.Contains(err.Error(), "a redirect led to another host or port, which gets no credentials") {
							b.Errorf("%s: %v", what, err)
						}
					} else if err != nil {
						b.Errorf("%s: %v", what, err)
					}
				}
				h := b.NewHelm(func(cfg *helmexec.Config) { cfg.Home = b.TempDir() })
				test.own.move(test.url)
				_, err := h.AddRepo(b.ctx, test.own.URL+"/charts", opts)
				check("a new repository", "index.yaml", err)
				test.own.move("")
				name, err := h.AddRepo(b.ctx, test.own.URL+"/charts", opts)
				b.Must(err)
				test.own.move(test.url)
				test.own.wasGiven("/charts/index.yaml")
				check("the index", "index.yaml", h.UpdateRepos(b.ctx, helmexec.UpdateReposOptions{}))
				_, err = h.Fetch(b.ctx, name+"/web:1.0.0", helmexec.ChartOptions{})
				check("an archive", "web-1.0.0.tgz", err)
				if kind == "Basic" {
					_, err = h.Fetch(b.ctx, withUser(test.own.URL, first)+"/charts/web-1.0.0.tgz", helmexec.ChartOptions{Source: helmexec.SourceOptions{CAFile: opts.CAFile}})
					check("an archive by its URL", "web-1.0.0.tgz", err)
				}
				test.own.move("")
			}
		}
	})
}

// An index can name archives on another host. That host gets the credentials with PassCredentialsAll,
// but no host to which it redirects does.
func TestPassCredentialsAll(t *testing.T) {
	onBothHelms(t, func(b *bed) {
		third := b.site(httptest.NewServer, chartrepo.Options{})
		other := b.site(httptest.NewServer, chartrepo.Options{})
		archive := other.URL + "/charts/web-1.0.0.tgz"
		own := b.site(httptest.NewServer, chartrepo.Options{Username: user, Password: first})
		own.Inject(chartrepo.Fault{Path: "index.yaml", Replace: []byte("apiVersion: v1\nentries:\n  web:\n  - {apiVersion: v2, name: web, version: 1.0.0, urls: [\"" + archive + "\"]}\n")})
		for _, test := range []struct {
			all  bool
			to   string
			want string
		}{{false, "", ""}, {true, "", "Basic"}, {true, third.URL, "Basic"}} {
			h := b.NewHelm(func(cfg *helmexec.Config) { cfg.Home = b.TempDir() })
			name, err := h.AddRepo(b.ctx, own.URL+"/charts", helmexec.RepoOptions{Username: user, Password: first, PassCredentialsAll: test.all})
			b.Must(err)
			other.move(test.to)
			b.wantMaker(h, name+"/web:1.0.0", helmexec.ChartOptions{}, "us")
			if got := other.wasGiven("/charts/web-1.0.0.tgz"); got != test.want {
				b.Errorf("%+v: the other host was given %q", test, got)
			}
			if got := third.wasGiven(moved + "/charts/web-1.0.0.tgz"); test.to != "" && got != "" {
				b.Errorf("%+v: the third host was given %q", test, got)
			}
		}
	})
}

// A registry names the server that checks its log-ins, and helm gives that the user name and password,
// whatever host it is on.
func TestRegistryNamesWhereToLogIn(t *testing.T) {
	onBothHelms(t, func(b *bed) {
		given := make(chan string, 10)
		realm := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			kind, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
			name, password, _ := r.BasicAuth()
			if r.ParseForm() == nil && r.PostForm.Has("password") {
				kind, name, password = "a form", r.PostForm.Get("username"), r.PostForm.Get("password")
			}
			if name == user && password == first {
				given <- kind
			}
			fmt.Fprint(w, `{"token":"t","access_token":"t"}`)
		}))
		b.Cleanup(realm.Close)
		elsewhere := strings.Replace(realm.URL, "127.0.0.1", "localhost", 1)
		registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer t" {
				w.Header().Set("WWW-Authenticate", `Bearer realm="`+elsewhere+`/token",service="registry"`)
				w.WriteHeader(http.StatusUnauthorized)
			}
		}))
		b.Cleanup(registry.Close)
		b.Must(b.h.RegistryLogin(b.ctx, strings.TrimPrefix(registry.URL, "http://"), helmexec.RegistryOptions{
			Username: user, Password: first, Source: helmexec.SourceOptions{PlainHTTP: true},
		}))
		select {
		case kind := <-given:
			b.Logf("given as %s", kind)
		default:
			b.Error("the server that the registry named was not given the password")
		}
	})
}
