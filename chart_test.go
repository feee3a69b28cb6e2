package helmexec

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
)

// withArchives makes a fake whose repositories and registries have a chart in some versions.
func withArchives(t *testing.T, versions ...string) (*Helm, *helmtest.Fake) {
	t.Helper()
	h, fake := withFake(t, Config{})
	addArchives(t, fake, versions...)
	return h, fake
}

func addArchives(t *testing.T, fake *helmtest.Fake, versions ...string) {
	t.Helper()
	for _, v := range versions {
		fake.AddArchive("web-"+v+".tgz", packed(t, chartFolder(t, "web", v)))
	}
}

const repoAddress = "http://127.0.0.1:8080/charts"

// How many helm processes a chart costs, in addition to the one that prints the version.
func TestFetchCosts(t *testing.T) {
	oci := "oci://127.0.0.1:5000/charts/web"
	for _, test := range []struct {
		name          string
		address       string
		first, second string
	}{
		{"a pinned version of a new repository", repoAddress + "/web:1.0.0", "repo add, pull", ""},
		{"an open version of a new repository", repoAddress + "/web", "repo add, pull", "repo update"},
		{"a range", repoAddress + "/web:^1", "repo add, pull", "repo update"},
		{"a version in a registry", oci + ":1.0.0", "pull", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, fake := withArchives(t, "1.0.0", "1.1.0")
			for _, want := range []string{test.first, test.second} {
				before := len(fake.Commands())
				_, err := h.Fetch(t.Context(), test.address, ChartOptions{})
				require.NoError(t, err)
				assert.Equal(t, want, strings.Join(fake.Commands()[before:], ", "))
			}
		})
	}
	t.Run("a folder", func(t *testing.T) {
		h, fake := withFake(t, Config{})
		_, err := h.Fetch(t.Context(), chartFolder(t, "web", "1.0.0"), ChartOptions{})
		require.NoError(t, err)
		assert.Empty(t, fake.Calls())
	})
}

func TestFetchVersions(t *testing.T) {
	for _, test := range []struct{ address, option, want string }{
		{"/web", "", "1.2.0"},
		{"/web:1.1.0", "", "1.1.0"},
		{"/web", "1.1.0", "1.1.0"},
		{"/web:1.1.0", "1.1.0", "1.1.0"},
		{"/web:~1.1", "", "1.1.0"},
		{"/web", ">1.9-0", "2.0.0-rc.1"},
	} {
		h, _ := withArchives(t, "1.0.0", "1.1.0", "1.2.0", "2.0.0-rc.1")
		ch, err := h.Fetch(t.Context(), repoAddress+test.address, ChartOptions{Version: test.option})
		require.NoError(t, err, test)
		assert.Equal(t, test.want, ch.Metadata.Version, test)
	}
	h, fake := withArchives(t, "1.0.0")
	for address, opts := range map[string]ChartOptions{
		repoAddress + "/web:1.0.0": {Version: "1.1.0"}, "./web": {Version: "1.0.0"}, "https://x.example/web.tgz": {Version: "1.0.0"}, repoAddress + "/web": {Version: "one"},
	} {
		_, err := h.Fetch(t.Context(), address, opts)
		assert.ErrorIs(t, err, ErrInvalidArgument, address)
	}
	assert.Empty(t, fake.Calls())
}

// A version that was published after the index was fetched is found, at the cost of one refresh;
// and one that is not there costs no more.
func TestFetchLooksAgain(t *testing.T) {
	h, fake := withArchives(t, "1.0.0")
	name, err := h.AddRepo(t.Context(), repoAddress, RepoOptions{})
	require.NoError(t, err)
	_, err = h.Fetch(t.Context(), name+"/web:1.1.0", ChartOptions{})
	require.ErrorIs(t, err, ErrChartNotFound)
	assert.ErrorContains(t, err, "the newest is 1.0.0")
	assert.Equal(t, []string{"repo add", "repo update"}, fake.Commands())

	addArchives(t, fake, "1.1.0")
	ch, err := h.Fetch(t.Context(), name+"/web:1.1.0", ChartOptions{})
	require.NoError(t, err)
	assert.Equal(t, "1.1.0", ch.Metadata.Version)
	_, err = h.Fetch(t.Context(), name+"/nosuch:1.0.0", ChartOptions{})
	require.ErrorIs(t, err, ErrChartNotFound)
	_, err = h.Fetch(t.Context(), "nosuch/web:1.0.0", ChartOptions{})
	require.ErrorIs(t, err, ErrRepoNotFound)
	_, err = h.Fetch(t.Context(), "/no/such/chart", ChartOptions{})
	require.ErrorIs(t, err, ErrChartNotFound)
}

// An error names a chart as its caller did, and not by the name that the repository was given, says
// what went wrong once, and what to do about it in terms of this package.
func TestFetchErrorsNameTheAddress(t *testing.T) {
	const no = "Error: it says no"
	const named = "127.0.0.1-8080-charts-5e049a4b822014f9" // of repoAddress
	update401 := "Error: failed to update the following repositories: [" + repoAddress + "]\nHang tight while we grab the latest from your chart repositories...\n" +
		"...Unable to get an update from the \"" + named + "\" chart repository (" + repoAddress + "):\n\tfailed to fetch " + repoAddress + "/index.yaml : 401 Unauthorized\n"
	add403 := "Error: looks like \"" + repoAddress + "\" is not a valid chart repository or cannot be reached: failed to fetch " + repoAddress + "/index.yaml : 403 Forbidden\n"
	const noIndex = "failed to fetch " + repoAddress + "/index.yaml : 404 Not Found"
	add404 := "Error: looks like \"" + repoAddress + "\" is not a valid chart repository or cannot be reached: " + noIndex + "\n"
	const noTLS = "Get \"https://127.0.0.1:8080/charts/index.yaml\": tls: first record does not look like a TLS handshake"
	const oci401 = `Error: GET "https://127.0.0.1:1/v2/web/manifests/1.0.0": response status code 401: unauthorized: authentication required`
	const pull401 = "Error: failed to fetch http://127.0.0.1:8080/web.tgz : 401 Unauthorized"
	for _, test := range []struct {
		fails, stderr, address string
		kind                   error
		want                   string
	}{
		{"repo add", no, repoAddress + "/web", nil, "repository " + repoAddress + ": it says no"},
		{"repo add", add403, repoAddress + "/web", ErrUnauthorized, "repository " + repoAddress + ": failed to fetch " + repoAddress + "/index.yaml : 403 Forbidden (give AddRepo a user name and password, or a token)"},
		{"repo add", add404, repoAddress + "/web", ErrRepoNotFound, "repository " + repoAddress + ": " + noIndex + ` (there is no index.yaml: the repository is what stands before the last "/" in the address of a chart)`},
		{"repo add", "Error: " + noTLS, "https://127.0.0.1:8080/charts/web", nil, "repository https://127.0.0.1:8080/charts: " + noTLS + " (the server speaks http: write http:// if you trust the network to it)"},
		{"repo update", no, repoAddress + "/web", ErrRepoNotFound, "repository " + repoAddress + ": it says no"},
		{"repo update", update401, repoAddress + "/web", ErrUnauthorized, "repository " + repoAddress + ": failed to fetch " + repoAddress + "/index.yaml : 401 Unauthorized (give AddRepo a user name and password, or a token)"},
		{"pull", no, repoAddress + "/web", ErrRepoNotFound, "helm pull " + repoAddress + "/web 1.0.0: it says no"},
		{"pull", no, "http://127.0.0.1:8080/web.tgz?token=secret", ErrRepoNotFound, "helm pull http://127.0.0.1:8080/web.tgz?***: it says no"},
		{"pull", pull401, "http://127.0.0.1:8080/web.tgz", ErrUnauthorized, "helm pull http://127.0.0.1:8080/web.tgz: failed to fetch http://127.0.0.1:8080/web.tgz : 401 Unauthorized (put a user name and password into the URL of the archive)"},
		{"pull", pull401, "http://bob:hunter2@127.0.0.1:8080/web.tgz", ErrUnauthorized, "helm pull http://***@127.0.0.1:8080/web.tgz: failed to fetch http://127.0.0.1:8080/web.tgz : 401 Unauthorized (the credentials were refused)"},
		{"pull", oci401, "oci://127.0.0.1:1/web:1.0.0", ErrUnauthorized, "helm pull oci://127.0.0.1:1/web 1.0.0: " + oci401[len("Error: "):] + " (log in with RegistryLogin)"},
		{"", "", "https://host/", ErrInvalidArgument, `invalid argument: chart address "https://host/": no chart name after the last '/'`},
		{"", "", repoAddress + "/nosuch", ErrChartNotFound, "chart not found: repository " + repoAddress + ` has no chart "nosuch"`},
		{"", "", repoAddress + "/web:^2", ErrChartNotFound, "chart not found: chart " + repoAddress + `/web has no version that fits "^2"; the newest is 1.0.0`},
	} {
		t.Run(test.want, func(t *testing.T) {
			h, fake := withArchives(t, "1.0.0")
			if test.fails != "repo add" {
				_, err := h.AddRepo(t.Context(), repoAddress, RepoOptions{})
				require.NoError(t, err)
			}
			fake.On(test.fails, helmtest.Reply{Stderr: test.stderr, Exit: 1})
			_, err := h.Fetch(t.Context(), test.address, ChartOptions{})
			assert.EqualError(t, err, test.want)
			if test.kind != nil {
				assert.ErrorIs(t, err, test.kind)
			}
			if test.kind == ErrUnauthorized {
				assert.NotErrorIs(t, err, ErrRepoNotFound)
			}
		})
	}
	h, fake := withArchives(t, "1.0.0")
	name, err := h.AddRepo(t.Context(), repoAddress, RepoOptions{Name: "mine"})
	require.NoError(t, err)
	fake.On("repo update", helmtest.Reply{Stderr: no, Exit: 1})
	_, err = h.Fetch(t.Context(), name+"/web", ChartOptions{})
	assert.EqualError(t, err, "repository mine: it says no")
}

// The cache does not serve the archives of one name to another: they can have different
// credentials.
func TestNamesOfOneURLShareNoArchive(t *testing.T) {
	h, fake := withArchives(t, "1.0.0")
	for _, name := range []string{"ann", "bob"} {
		_, err := h.AddRepo(t.Context(), repoAddress, RepoOptions{Name: name})
		require.NoError(t, err)
		_, err = h.Fetch(t.Context(), name+"/web:1.0.0", ChartOptions{})
		require.NoError(t, err)
	}
	commands := strings.Join(fake.Commands(), ", ")
	assert.Equal(t, 2, strings.Count(commands, "pull"), commands)
}

// Helm puts exactly one archive into an empty folder, and it is the chart that was asked for.
func TestPulledArchiveIsChecked(t *testing.T) {
	good := packed(t, chartFolder(t, "web", "1.0.0"))
	other := packed(t, chartFolder(t, "other", "1.0.0"))
	changed := chartFolder(t, "web", "1.0.0")
	require.NoError(t, os.WriteFile(filepath.Join(changed, "values.yaml"), []byte("image: evil\n"), 0o600))
	for _, test := range []struct {
		name  string
		files map[string][]byte
		is    error
		says  string
	}{
		{"nothing", nil, nil, "want one archive, got 0 files"},
		{"two", map[string][]byte{"${--destination}/a.tgz": good, "${--destination}/b.tgz": good}, nil, "got 2 files"},
		{"an archive and something else", map[string][]byte{"${--destination}/a.tgz": good, "${--destination}/a.prov": good}, nil, "got 2 files"},
		{"a folder", map[string][]byte{"${--destination}/a/b": good}, nil, "got 1 files"},
		{"another chart", map[string][]byte{"${--destination}/a.tgz": other}, ErrChartNotFound, `contains a chart named "other"`},
		{"another version", map[string][]byte{"${--destination}/a.tgz": packed(t, chartFolder(t, "web", "1.0.1"))}, ErrChartNotFound, `contains version "1.0.1"`},
		{"no archive", map[string][]byte{"${--destination}/a.tgz": []byte("<html>please log in</html>")}, nil, "gzip"},
		{"half of one", map[string][]byte{"${--destination}/a.tgz": good[:len(good)/2]}, nil, "EOF"},
		{"another than the index says", map[string][]byte{"${--destination}/a.tgz": packed(t, changed)}, ErrDigestMismatch, "digest"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, fake := withArchives(t, "1.0.0")
			fake.On("pull", helmtest.Reply{Files: test.files})
			dir := t.TempDir()
			_, err := h.Pull(t.Context(), repoAddress+"/web:1.0.0", dir, ChartOptions{})
			require.Error(t, err)
			assert.ErrorContains(t, err, test.says)
			if test.is != nil {
				assert.ErrorIs(t, err, test.is)
			}
			for _, folder := range []string{dir, h.home.Path("archives"), h.home.Path("tmp")} {
				names, _ := dirNames(folder)
				assert.Empty(t, names, folder)
			}
			path, err := h.Pull(t.Context(), repoAddress+"/web:1.0.0", dir, ChartOptions{})
			require.NoError(t, err, "it is not remembered")
			assert.Equal(t, filepath.Join(dir, "web-1.0.0.tgz"), path)
		})
	}
}

// A provenance that a busy server did not give may exist, so its chart does not count as unsigned.
func TestProvenanceOfABusyServer(t *testing.T) {
	keyring := filepath.Join(t.TempDir(), "keys.gpg")
	require.NoError(t, os.WriteFile(keyring, []byte("keys"), 0o600))
	pulled := func(why string) helmtest.Reply {
		return helmtest.Reply{
			Files:  map[string][]byte{"${--destination}/web-1.0.0.tgz": packed(t, chartFolder(t, "web", "1.0.0"))},
			Stderr: "WARNING: Verification not found for repo/web: failed to fetch " + repoAddress + "/web-1.0.0.tgz.prov : " + why + "\n",
		}
	}
	busy, gone := pulled("503 Service Unavailable"), pulled("404 Not Found")
	for name, test := range map[string]struct {
		replies []helmtest.Reply
		kind    error
		again   bool
	}{
		"busy":            {[]helmtest.Reply{busy, busy, busy}, ErrRepoNotFound, true},
		"busy, then gone": {[]helmtest.Reply{busy, gone}, ErrUnverified, false},
	} {
		t.Run(name, func(t *testing.T) {
			h, fake := withArchives(t, "1.0.0")
			fake.On("pull", test.replies...)
			before := len(fake.Calls())
			_, err := h.Pull(t.Context(), repoAddress+"/web:1.0.0", t.TempDir(), ChartOptions{Source: SourceOptions{Keyring: keyring}})
			require.ErrorIs(t, err, test.kind)
			assert.Equal(t, test.again, IsTransient(err), err)
			assert.Equal(t, !test.again, errors.Is(err, ErrUnverified))
			pulls := 0
			for _, call := range fake.Calls()[before:] {
				if call.Args[0] == "pull" {
					pulls++
				}
			}
			assert.Equal(t, len(test.replies), pulls)
		})
	}
}

func TestPullReplaces(t *testing.T) {
	h, fake := withArchives(t, "1.0.0")
	dir := t.TempDir()
	path := filepath.Join(dir, "web-1.0.0.tgz")
	require.NoError(t, os.WriteFile(path, []byte("old"), 0o600))
	got, err := h.Pull(t.Context(), repoAddress+"/web:1.0.0", dir, ChartOptions{})
	require.NoError(t, err)
	assert.Equal(t, path, got)
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.True(t, bytes.HasPrefix(content, []byte{0x1f, 0x8b}), "an archive")
	names, _ := dirNames(dir)
	assert.Equal(t, []string{"web-1.0.0.tgz"}, names)

	before := len(fake.Calls())
	_, err = h.Pull(t.Context(), repoAddress+"/web:1.0.0", filepath.Join(dir, "nosuch"), ChartOptions{})
	require.ErrorIs(t, err, ErrInvalidArgument)
	_, err = h.Pull(t.Context(), chartFolder(t, "web", "1.0.0"), dir, ChartOptions{})
	require.ErrorIs(t, err, ErrInvalidArgument)
	assert.Len(t, fake.Calls(), before)
}

// The next chart at a URL may be another; its password is in no argument.
func TestFetchOfAnArchivesURL(t *testing.T) {
	h, fake := withArchives(t, "1.0.0")
	ch, err := h.Fetch(t.Context(), "https://bob:hunter2@charts.example/x/web-1.0.0.tgz", ChartOptions{})
	require.NoError(t, err)
	assert.Equal(t, "web", ch.Metadata.Name)
	for _, text := range append(fake.Calls("pull")[0].Args, ch.Ref) {
		assert.NotContains(t, text, "hunter2")
	}
}

func TestChart2Info(t *testing.T) {
	h, _ := withArchives(t, "1.0.0")
	info, err := h.Chart2Info(t.Context(), repoAddress+"/web:1.0.0", ChartOptions{})
	require.NoError(t, err)
	assert.Equal(t, "web", info.Name)
	assert.Equal(t, "1.0.0", info.Version)
	assert.Equal(t, info.Repo+"/web", info.Ref)
	assert.Regexp(t, "^sha256:[0-9a-f]{64}$", info.Digest)
	assert.FileExists(t, info.Archive)

	folder := chartFolder(t, "web", "2.0.0")
	require.NoError(t, os.WriteFile(filepath.Join(folder, "values.yaml"), []byte("replicas: 2\n"), 0o600))
	info, err = h.Chart2Info(t.Context(), folder, ChartOptions{})
	require.NoError(t, err)
	assert.Equal(t, "2.0.0", info.Version)
	assert.EqualValues(t, 2, info.Values["replicas"])
	assert.Equal(t, folder, info.Ref)
	assert.Empty(t, info.Repo+info.Digest)
	values, err := h.ShowValues(t.Context(), folder, ChartOptions{})
	require.NoError(t, err)
	assert.Equal(t, info.Values, values)
	meta, err := h.ShowChart(t.Context(), folder, ChartOptions{})
	require.NoError(t, err)
	assert.Equal(t, info.Metadata, meta)
}
