package fetch

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/sut-bench/helmexec/chart"
	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/redact"
)

func TestAddArgs(t *testing.T) {
	assert.Equal(t, []string{"repo", "add", "--force-update", "--", "a", "http://a.example"}, addArgs(repository{Name: "a", URL: "http://a.example"}))
	assert.Equal(t, []string{"repo", "add", "--force-update", "--username=bob", "--password-stdin", "--ca-file=/ca", "--cert-file=/cert", "--key-file=/key",
		"--insecure-skip-tls-verify", "--pass-credentials", "--", "a", "http://a.example"},
		addArgs(repository{Name: "a", URL: "http://a.example", Access: Access{
			Username: "bob", Password: "hunter2", CAFile: "/ca", CertFile: "/cert", KeyFile: "/key", InsecureSkipTLSVerify: true, PassCredentialsAll: true,
		}}))
}

// The advice of an error depends on whether credentials were sent.
func TestCredentialsOfAnArchive(t *testing.T) {
	for _, test := range []struct {
		access Access
		url    string
		want   Login
	}{
		{Access{}, "web.tgz", LoginNone},
		{Access{Username: "bob", Password: "hunter2"}, "web.tgz", LoginGiven},
		{Access{Token: "tok3n"}, "https://charts.example:443/web.tgz", LoginGiven},
		{Access{Token: "tok3n"}, "https://other.example/web.tgz", LoginWithheld},
		{Access{Username: "bob", Password: "hunter2"}, "http://charts.example/web.tgz", LoginWithheld},
		{Access{Username: "bob", Password: "hunter2", PassCredentialsAll: true}, "https://other.example/web.tgz", LoginGiven},
	} {
		s := newStore(t, Config{})
		from := repository{Name: "x", URL: "https://charts.example/x", Access: test.access}
		know(t, s, from)
		entry := chart.Version{Version: "1.0.0", URLs: []string{test.url}}
		call, err := s.pullCall(t.Context(), want{source: source{repo: "x", chart: "web"}, from: from, entry: entry}, filepath.Join(t.TempDir(), "archive"))
		require.NoError(t, err)
		call.Via.Stop()
		assert.Equal(t, test.want, call.Login, test)
	}
	s := newStore(t, Config{})
	know(t, s, repository{Name: "x", URL: "https://charts.example/x"})
	before := repository{Name: "x", URL: "https://charts.example/before"}
	_, err := s.pullCall(t.Context(), want{source: source{repo: "x", chart: "web"}, from: before}, t.TempDir())
	require.ErrorIs(t, err, errdef.ErrRepoNotFound, "its name means another repository by now")
}

// Errors quote the server, but never a password, in any form.
func TestRelayQuotesNoPassword(t *testing.T) {
	for _, test := range []struct {
		access Access
		want   string
	}{
		{Access{Username: "bob", Password: "hunter2"}, "malformed: Basic *** ***, tok3n, Og=="},
		{Access{Token: "tok3n"}, "malformed: Bearer *** hunter2, ***, Og=="},
		{Access{}, "malformed:  hunter2, tok3n, Og=="},
	} {
		assert.Equal(t, test.want, redact.Redactor(test.access.secrets())("malformed: "+test.access.authorization()+" hunter2, tok3n, Og=="))
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
		assert.Equal(t, test.want, repository{URL: test.own}.isHost(test.to), test)
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
		u, err := repository{URL: test[0]}.resolve(test[1])
		require.NoError(t, err)
		assert.Equal(t, test[2], u.String(), test[:2])
	}
	assert.Empty(t, repository{URL: "https://h"}.archiveURL(chart.Version{URLs: []string{"oci://h/web"}}))
	assert.Empty(t, repository{URL: "https://h"}.archiveURL(chart.Version{}))
}

// Helm reads the file as YAML, and so do older versions of this library.
func TestWriteRepositories(t *testing.T) {
	file := filepath.Join(t.TempDir(), "repositories.yaml")
	for _, password := range []string{"", "plain", `"\'{}[]<&>: #` + "\t", "pässwörd", "\x7f", "\u0085\u2028\ufeff\U0001f600", strings.Repeat("long ", 500)} {
		want := []repository{{Name: "mine", URL: "https://charts.example/a?b=c&d", Access: Access{Username: "me", Password: password, PassCredentialsAll: true}}}
		require.NoError(t, writeRepositories(file, want...))
		got, err := readRepositories(file)
		require.NoError(t, err)
		require.Equal(t, want, got)
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var asYAML struct{ Repositories []repository }
		require.NoError(t, yaml.Unmarshal(text, &asYAML), "%q", password)
		require.Equal(t, want, asYAML.Repositories)
	}
}
