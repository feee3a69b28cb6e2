package fetch

import (
	"context"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/internal/errdef"
)

// listed are the versions of the chart of a registry.
func (r *registry) listed(ctx context.Context, suffix string) (versions []string, err error) {
	r.s.limits.Time = max(r.s.limits.Time, 100*time.Millisecond)
	all, err := r.s.Versions(ctx, r.address()+suffix, false, r.opts.Source)
	for _, v := range all {
		versions = append(versions, v.Version)
		if v.Name != "web" || !slices.Equal(v.URLs, []string{r.address() + ":" + strings.ReplaceAll(v.Version, "+", "_")}) {
			r.Errorf("got %+v", v)
		}
	}
	return versions, err
}

func TestVersionsOfRegistries(t *testing.T) {
	for _, login := range []string{"", "Basic", "Bearer"} {
		r := newRegistry(t)
		r.s.limits.Time = time.Hour
		r.login, r.list = login, []string{"1.0.0", "latest", "1.10.0", "1.9.0_build.7", "1.0.0", "2.0.0-rc.1", "v3.0.0", "1.2", "1.9.0_build.7", "sha256-0.sig"}
		if login != "" {
			_, err := r.listed(t.Context(), "")
			require.ErrorIs(t, err, errdef.ErrUnauthorized)
			r.logIn("")
		}
		for suffix, want := range map[string][]string{
			"":               {"2.0.0-rc.1", "1.10.0", "1.9.0+build.7", "1.0.0"},
			":^1.5":          {"1.10.0", "1.9.0+build.7"},
			":1.9.0+build.7": {"1.9.0+build.7"},
			":>=1.10.0-0":    {"2.0.0-rc.1", "1.10.0"},
		} {
			got, err := r.listed(t.Context(), suffix)
			require.NoError(t, err)
			assert.Equal(t, want, got, suffix)
		}
		_, err := r.listed(t.Context(), ":9.0.0")
		require.ErrorIs(t, err, errdef.ErrChartNotFound)
		assert.Zero(t, r.helm.calls.Load())
	}
}

func TestVersionsOfOddRegistries(t *testing.T) {
	answer := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			fmt.Fprint(w, body)
		}
	}
	for name, test := range map[string]struct {
		odd  http.HandlerFunc
		kind error
	}{
		"it is gone":          {answer(404, ""), errdef.ErrChartNotFound},
		"refused":             {answer(403, ""), errdef.ErrUnauthorized},
		"no versions":         {answer(200, `{"tags":["latest"]}`), errdef.ErrChartNotFound},
		"a page":              {answer(200, "<html>"), errdef.ErrRepoNotFound},
		"a page that is huge": {answer(200, `{"tags":["1.0.0"`+strings.Repeat(`,"x"`, 1<<19)+`]}`), errdef.ErrRepoNotFound},
		"too many versions":   {tooManyVersions, errdef.ErrOutputTooLarge},
		"a list without end": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", "<"+r.URL.Path+">; rel=\"next\"")
			fmt.Fprint(w, `{"tags":["1.0.0"]}`)
		}, errdef.ErrOutputTooLarge},
		"no answer":            {hang, errdef.ErrFetchTimeout},
		"a realm that is none": {func(w http.ResponseWriter, r *http.Request) { challenged(`Bearer realm="file:///etc/passwd"`)(w, r) }, errdef.ErrRepoNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRegistry(t)
			if test.kind != errdef.ErrFetchTimeout {
				r.s.limits.Time = time.Hour
			}
			r.odd = func(w http.ResponseWriter, asked *http.Request) bool { test.odd(w, asked); return true }
			versions, err := r.listed(t.Context(), "")
			require.ErrorIs(t, err, test.kind)
			assert.Empty(t, versions)
		})
	}
}

// A registry, or its server of tokens, can repeat in an error what it was told.
func TestVersionsWithoutSecretsInErrors(t *testing.T) {
	const token = "t0ken"
	for name, test := range map[string]struct {
		login, path string
		secrets     []string
	}{
		"a password": {"Basic", "/v2/charts/web/tags/list", []string{"s3cret", base64.StdEncoding.EncodeToString([]byte("ann:s3cret"))}},
		"a token":    {"Bearer", "/v2/charts/web/tags/list", []string{token}},
		"its server": {"Bearer", "/token", []string{"s3cret", base64.StdEncoding.EncodeToString([]byte("ann:s3cret"))}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRegistry(t)
			r.s.limits.Time, r.login = time.Hour, test.login
			r.logIn("")
			r.odd = func(w http.ResponseWriter, asked *http.Request) bool {
				authorization := asked.Header.Get("Authorization")
				switch {
				case asked.URL.Path == test.path && authorization != "":
					_, password, _ := asked.BasicAuth()
					w.WriteHeader(http.StatusForbidden)
					fmt.Fprintf(w, `{"errors":[{"code":"DENIED","message":"password <%s>, authorization <%s>"}]}`, password, authorization)
				case asked.URL.Path == "/token":
					fmt.Fprintf(w, `{"token":%q}`, token)
				default:
					return false
				}
				return true
			}
			_, err := r.listed(t.Context(), "")
			require.ErrorIs(t, err, errdef.ErrUnauthorized)
			assert.ErrorContains(t, err, "password <")
			assert.ErrorContains(t, err, "***")
			for ; err != nil; err = errors.Unwrap(err) {
				for _, secret := range test.secrets {
					assert.NotContains(t, err.Error(), secret)
				}
			}
		})
	}
}

func tooManyVersions(w http.ResponseWriter, asked *http.Request) {
	w.Header().Set("Link", fmt.Sprintf("<%s>; rel=\"next\"", asked.URL.Path))
	var tags []string
	for i := range tagsPerPage {
		tags = append(tags, fmt.Sprintf("%q", fmt.Sprint("1.0.", i)))
	}
	fmt.Fprintf(w, `{"tags":[%s]}`, strings.Join(tags, ","))
}

// A registry that is busy is asked again.
func TestVersionsOfABusyRegistry(t *testing.T) {
	r := newRegistry(t)
	r.s.limits.Time, r.list = time.Hour, []string{"1.0.0"}
	r.odd = func(w http.ResponseWriter, _ *http.Request) bool {
		if r.requests.Load() > 2 {
			return false
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	got, err := r.listed(t.Context(), "")
	require.NoError(t, err)
	assert.Equal(t, []string{"1.0.0"}, got)
}

// It is reached as by a fetch.
func TestVersionsAreListedAsHelmFetches(t *testing.T) {
	r := newRegistry(t)
	r.s.limits.Time, r.list = time.Hour, []string{"1.0.0"}
	r.server.Close()
	r.server = httptest.NewTLSServer(r)
	defer r.server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.server.Certificate().Raw}), 0o600))
	for from, want := range map[Source]error{
		{}:                                    errdef.ErrRepoNotFound,
		{CAFile: ca}:                          nil,
		{InsecureSkipTLSVerify: true}:         nil,
		{CAFile: "/none"}:                     errdef.ErrInvalidArgument,
		{PlainHTTP: true, CAFile: ca}:         errdef.ErrInvalidArgument,
		{CAFile: ca, Keyring: "/keyring.gpg"}: nil,
	} {
		r.opts.Source = from
		_, err := r.listed(t.Context(), "")
		require.ErrorIs(t, err, want, from)
	}
	r.opts.Source = Source{CAFile: ca}
	r.s.env = map[string]string{"HTTPS_PROXY": "http://127.0.0.1:1"}
	_, err := r.listed(t.Context(), "")
	require.ErrorIs(t, err, errdef.ErrInvalidArgument)
	r.s.env = nil
	_, err = r.listed(t.Context(), "@sha256:"+strings.Repeat("0", 64))
	require.ErrorIs(t, err, errdef.ErrInvalidArgument)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = r.listed(ctx, "")
	require.ErrorIs(t, err, context.Canceled)
}

// Helm cannot list them, so a log-in that a program keeps is asked from that program here.
func TestVersionsWithALogInThatAProgramKeeps(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the program is a script")
	}
	r := newRegistry(t)
	r.s.limits.Time, r.list, r.login = time.Hour, []string{"1.0.0"}, "Basic"
	bin := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(bin, "docker-credential-fake"), []byte("#!/bin/sh\necho '{\"Username\":\"ann\",\"Secret\":\"s3cret\"}'\n"), 0o700))
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	require.NoError(t, os.WriteFile(r.s.home.Path("registry.json"), []byte(`{"credsStore":"fake"}`), 0o600))
	got, err := r.listed(t.Context(), "")
	require.NoError(t, err)
	assert.Equal(t, []string{"1.0.0"}, got)

	r.s.private = false // the file that helm names
	file := filepath.Join(t.TempDir(), "config.json")
	require.NoError(t, os.Rename(r.s.home.Path("registry.json"), file))
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	r.helm.env = fmt.Sprintf("HELM_REGISTRY_CONFIG=%q\n", file)
	got, err = r.listed(t.Context(), "")
	require.NoError(t, err)
	assert.Equal(t, []string{"1.0.0"}, got)
}
