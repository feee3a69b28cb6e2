package fetch

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/internal/argument"
	"github.com/sut-bench/helmexec/internal/errdef"
)

func TestParseAddress(t *testing.T) {
	digest := "sha256:" + strings.Repeat("a1", 32)
	for address, want := range map[string]source{
		"http://127.0.0.1:8080/charts/web":              {kind: fromRepo, repoURL: "http://127.0.0.1:8080/charts", chart: "web"},
		"http://127.0.0.1:8080/charts/web:1.2.3":        {kind: fromRepo, repoURL: "http://127.0.0.1:8080/charts", chart: "web", version: "1.2.3"},
		"https://charts.example/web":                    {kind: fromRepo, repoURL: "https://charts.example", chart: "web"},
		"https://charts.example:8443/web:v1.2.3-rc.1+b": {kind: fromRepo, repoURL: "https://charts.example:8443", chart: "web", version: "v1.2.3-rc.1+b"},
		"https://bob:pw@charts.example/a/b/c/web:^1.2":  {kind: fromRepo, repoURL: "https://bob:pw@charts.example/a/b/c", chart: "web", version: "^1.2"},
		"http://[::1]:8080/charts/web:1.0.0":            {kind: fromRepo, repoURL: "http://[::1]:8080/charts", chart: "web", version: "1.0.0"},

		"https://charts.example/web-1.2.3.tgz":           {kind: fromArchive, ref: "https://charts.example/web-1.2.3.tgz"},
		"https://charts.example/web.tar.gz?token=x":      {kind: fromArchive, ref: "https://charts.example/web.tar.gz?token=x"},
		"http://127.0.0.1:8080/charts/web-1.2.3+b.1.tgz": {kind: fromArchive, ref: "http://127.0.0.1:8080/charts/web-1.2.3+b.1.tgz"},

		"oci://registry.example/charts/web":           {kind: fromOCI, ref: "oci://registry.example/charts/web", chart: "web"},
		"oci://127.0.0.1:5000/charts/web:1.2.3":       {kind: fromOCI, ref: "oci://127.0.0.1:5000/charts/web", chart: "web", version: "1.2.3"},
		"oci://127.0.0.1:5000/web":                    {kind: fromOCI, ref: "oci://127.0.0.1:5000/web", chart: "web"},
		"oci://registry.example/charts/web@" + digest: {kind: fromOCI, ref: "oci://registry.example/charts/web", chart: "web", digest: digest},
		"oci://registry.example/web:1.2.3@" + digest:  {kind: fromOCI, ref: "oci://registry.example/web", chart: "web", version: "1.2.3", digest: digest},

		"stable/web":           {kind: fromRepo, repo: "stable", chart: "web"},
		"stable/web:1.2.3":     {kind: fromRepo, repo: "stable", chart: "web", version: "1.2.3"},
		"my.repo-1/web_2:>1.0": {kind: fromRepo, repo: "my.repo-1", chart: "web_2", version: ">1.0"},

		"./web": {kind: fromDisk, ref: "./web"}, "../web": {kind: fromDisk, ref: "../web"}, ".": {kind: fromDisk, ref: "."}, "..": {kind: fromDisk, ref: ".."},
		"/charts/web": {kind: fromDisk, ref: "/charts/web"}, "web-1.2.3.tgz": {kind: fromDisk, ref: "web-1.2.3.tgz"}, "web.tar.gz": {kind: fromDisk, ref: "web.tar.gz"},
	} {
		got, err := parseAddress(address)
		require.NoError(t, err, address)
		assert.Equal(t, want, got, address)
	}
}

// An error does not become as long as the address.
func TestErrorsOfLongAddresses(t *testing.T) {
	long := strings.Repeat("a", 1<<20)
	for _, address := range []string{long, long + "/web", "repo/" + long + "!", long + "://x", "http://host/" + long, "http://[" + long, "oci://host/" + long, "repo/web:" + strings.Repeat("b", 4000), strings.Repeat("c", 4000) + "!/web"} {
		_, err := parseAddress(address)
		assert.ErrorIs(t, err, errdef.ErrInvalidArgument)
		assert.Less(t, len(err.Error()), 2048, "%.100v", err)
		_, err = parseRepoURL(address)
		assert.ErrorIs(t, err, errdef.ErrInvalidArgument)
		assert.Less(t, len(err.Error()), 2048, "%.100v", err)
	}
}

func TestMalformedAddresses(t *testing.T) {
	for address, says := range map[string]string{
		"":                                 "it is empty; want http",
		"web":                              "no '/' in it; want http",
		"--version=1":                      "no '/' in it",
		"-x/web":                           `"-x" is not the name of a repository`,
		"stable/--debug":                   `"--debug" is not a chart name`,
		"stable/web/more":                  "a reference has one '/'",
		"stable/":                          "no chart name after the last '/'",
		"stable/web:":                      "no version after the ':'",
		"stable/web:one":                   `version "one" is neither a version nor a constraint`,
		"stable/web:1.2.3 --debug":         "it has a space or control character",
		"stable/web\n":                     "it has a space or control character",
		"ftp://charts.example/web":         `scheme "ftp" is not supported`,
		"file:///charts/web":               `scheme "file" is not supported`,
		"http:///web":                      "no host after http://",
		"http://:8080/web":                 "no host after http://",
		"http://charts.example":            "no chart name after the host",
		"http://charts.example/":           "no chart name after the last '/'",
		"http://charts.example/charts/":    "no chart name after the last '/'",
		"http://charts.example:port/web":   "not a URL: invalid port",
		"http://charts.example/%zz/web":    "not a URL: invalid URL escape",
		"http://charts.example/web?x=1":    "remove the query (?…)",
		"http://charts.example/web#1":      "remove the fragment (#…)",
		"oci://registry.example":           "no chart name after the host",
		"oci://registry.example/":          "no chart name after the host",
		"oci://":                           "no host after oci://",
		"oci://registry.example/web@1":     "a digest has the form @sha256:",
		"oci://registry.example/web@":      "a digest has the form @sha256:",
		"oci://bob:secret@registry.ex/web": "credentials belong to RegistryLogin",
		"oci://registry.example/web:x y":   "it has a space",
	} {
		_, err := parseAddress(address)
		require.ErrorIs(t, err, errdef.ErrInvalidArgument, "%q", address)
		assert.ErrorContains(t, err, says, "%q", address)
		assert.NotContains(t, err.Error(), "secret")
	}
}

func TestPinned(t *testing.T) {
	for version, want := range map[string]bool{
		"1.2.3": true, "v1.2.3": true, "1.2.3-rc.1+b": true,
		"": false, "1.2": false, "^1.2.3": false, "1.2.x": false, ">=1.2.3": false, "1.2.3 - 2.0.0": false, "*": false,
	} {
		assert.Equal(t, want, pinned(version), "%q", version)
	}
}

func TestNameOfRepo(t *testing.T) {
	name := func(address string) string {
		u, err := parseRepoURL(address)
		require.NoError(t, err, address)
		return nameOfRepo(u)
	}
	for address, readable := range map[string]string{
		"http://127.0.0.1:8080/charts":                         "127.0.0.1-8080-charts",
		"https://charts.example":                               "charts.example",
		"https://charts.example/a_b/C%20d":                     "charts.example-a-b-c-d",
		"http://[::1]:8080/charts":                             "1-8080-charts",
		"http://例/图表":                                          "repo",
		"https://" + strings.Repeat("long.", 20) + "example/x": strings.TrimRight(strings.Repeat("long.", 20)[:48], "."),
	} {
		got := name(address)
		cut := strings.LastIndexByte(got, '-')
		assert.Equal(t, readable, got[:cut], address)
		assert.Regexp(t, `^[0-9a-f]{16}$`, got[cut+1:])
		assert.True(t, argument.IsRepoName(got), "legal in a chart reference")
		assert.LessOrEqual(t, len(got), 65)
	}
	seen := map[string]string{}
	for _, address := range []string{
		"http://charts.example", "https://charts.example", "http://charts.example:8080", "http://charts.example/8080",
		"http://charts.example/a-b", "http://charts.example/a/b", "http://charts.example/A/b",
	} {
		got := name(address)
		assert.Empty(t, seen[got], "%s has the name of %s", address, seen[got])
		seen[got] = address
	}
}

func TestRepoURLSpellings(t *testing.T) {
	for _, same := range []string{"http://charts.example/x", "HTTP://Charts.Example/x", "http://charts.example:80/x", "http://charts.example/x/", "http://charts.example/x//"} {
		u, err := parseRepoURL(same)
		require.NoError(t, err)
		assert.Equal(t, "http://charts.example/x", u.String())
	}
	for other, want := range map[string]string{
		"https://charts.example:443/x": "https://charts.example/x", "http://[::1]:80": "http://[::1]", "https://charts.example:80/X": "https://charts.example:80/X",
	} {
		u, err := parseRepoURL(other)
		require.NoError(t, err)
		assert.Equal(t, want, u.String())
	}
	for address, says := range map[string]string{
		"oci://registry.example/charts": "is not added", "ftp://x": "want http:// or https://", "charts.example": "want http:// or https://",
		"http://": "no host", "http://x/?a=b": "query", "http://x:y/": "invalid port", "": "want http",
	} {
		_, err := parseRepoURL(address)
		require.ErrorIs(t, err, errdef.ErrInvalidArgument, address)
		assert.ErrorContains(t, err, says, address)
	}
}

func FuzzNameOfRepo(f *testing.F) {
	f.Add("http://127.0.0.1:8080/charts")
	f.Add("https://例.example/图表")
	f.Fuzz(func(t *testing.T, address string) {
		if u, err := parseRepoURL(address); err == nil {
			if name := nameOfRepo(u); !argument.IsRepoName(name) || strings.Contains(name, url.QueryEscape("/")) {
				t.Errorf("%q is named %q", address, name)
			}
		}
	})
}
