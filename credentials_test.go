package helmexec

import (
	"cmp"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
)

func TestCredentialsAreRefused(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	for _, test := range []struct {
		cfg  Config
		opts RepoOptions
		says string
	}{
		{Config{}, RepoOptions{Token: "tok3n", Username: "bob", Password: "hunter2"}, "give either a token or"},
		{Config{Home: UserHome}, RepoOptions{Token: "tok3n"}, "set Config.Home"},
		{Config{}, RepoOptions{Token: "tok3n\r\nX-Other: y"}, "a bearer token cannot have"},
		{Config{Env: map[string]string{"HTTPS_PROXY": "http://proxy.example"}}, RepoOptions{Token: "tok3n"}, "not in Config.Env"},
		{Config{Env: map[string]string{"https_proxy": "http://proxy.example"}}, RepoOptions{Username: "bob", Password: "tok3n"}, "not in Config.Env"},
		{Config{}, RepoOptions{Username: "bob", Password: "tok3n", CAFile: empty}, "contains no certificate"},
		{Config{}, RepoOptions{Token: "tok3n", CAFile: filepath.Join(dir, "none.pem")}, "CAFile"},
		{Config{}, RepoOptions{Token: "tok3n", CAFile: empty}, "contains no certificate"},
		{Config{}, RepoOptions{Token: "tok3n", CertFile: empty, KeyFile: empty}, "CertFile and KeyFile"},
		{Config{}, RepoOptions{CAFile: filepath.Join(dir, "none.pem")}, "CAFile"},
		{Config{}, RepoOptions{CertFile: empty, KeyFile: empty}, "CertFile and KeyFile"},
	} {
		h, fake := withFake(t, test.cfg)
		_, err := h.AddRepo(t.Context(), "https://charts.example/x", test.opts)
		require.ErrorIs(t, err, ErrInvalidArgument, test.says)
		assert.ErrorContains(t, err, test.says)
		assert.NotContains(t, err.Error(), "tok3n")
		assert.Empty(t, fake.Commands(), "before any process starts")
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
		config := configOf(t, h, name)
		given := fmt.Sprint(config["username"], config["password"], config["token"])
		assert.Equal(t, fmt.Sprint(opts.Username, opts.Password)+cmp.Or(opts.Token, "<nil>"), given)
	}
}

// Others on this host can read the arguments of helm: through a relay that logs in they would get what the repository has.
func TestRelayThatLogsInIsNoArgument(t *testing.T) {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	key, err := x509.MarshalPKCS8PrivateKey(server.TLS.Certificates[0].PrivateKey)
	require.NoError(t, err)
	pair := filepath.Join(t.TempDir(), "pair.pem")
	require.NoError(t, os.WriteFile(pair, slices.Concat(
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
	), 0o600))
	for _, opts := range []RepoOptions{{Token: "tok3n"}, {Username: "b0b", Password: "tok3n"}, {CertFile: pair, KeyFile: pair}} {
		h, fake := withFake(t, Config{})
		_, err := h.AddRepo(t.Context(), "https://charts.example/x", opts)
		require.NoError(t, err)
		for _, call := range fake.Calls() {
			assert.NotContains(t, strings.Join(call.Args, " "), "http://127.0.0.1:")
		}
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
