package helmexec

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
)

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
		assert.Regexp(t, repoName, got, "legal in a chart reference")
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
		"oci://registry.example/charts": "needs no adding", "ftp://x": "want http:// or https://", "charts.example": "want http:// or https://",
		"http://": "no host", "http://x/?a=b": "query", "http://x:y/": "invalid port", "": "want http",
	} {
		_, err := parseRepoURL(address)
		require.ErrorIs(t, err, ErrInvalidArgument, address)
		assert.ErrorContains(t, err, says, address)
	}
}

func TestAddRepoKnowsWhatIsThere(t *testing.T) {
	h, fake := withFake(t, Config{})
	name, err := h.AddRepo(t.Context(), "http://charts.example:8080/x", RepoOptions{})
	require.NoError(t, err)
	for _, same := range []string{"http://charts.example:8080/x", "http://charts.example:8080/x/", "HTTP://CHARTS.example:8080/x"} {
		again, err := h.AddRepo(t.Context(), same, RepoOptions{})
		require.NoError(t, err)
		assert.Equal(t, name, again)
	}
	assert.Len(t, fake.Calls(), 1, "one process for the first, none for the others")

	mine, err := h.AddRepo(t.Context(), "http://other.example", RepoOptions{Name: "mine"})
	require.NoError(t, err)
	assert.Equal(t, "mine", mine)
	again, err := h.AddRepo(t.Context(), "http://other.example", RepoOptions{})
	require.NoError(t, err)
	assert.Equal(t, "mine", again, "the name that it was given")
	_, err = h.AddRepo(t.Context(), "http://third.example", RepoOptions{Name: "mine"})
	require.ErrorIs(t, err, ErrInvalidArgument)
	assert.ErrorContains(t, err, `"mine" is in use for http://other.example`)

	repos, err := h.Repos(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []Repo{{name, "http://charts.example:8080/x"}, {"mine", "http://other.example"}}, repos)
}

// Credentials are in a file of the home, and nowhere else: a user name is often a token.
func TestAddRepoKeepsCredentials(t *testing.T) {
	h, fake := withFake(t, Config{})
	name, err := h.AddRepo(t.Context(), "https://bob:hunter2@charts.example/x", RepoOptions{})
	require.NoError(t, err)
	for _, call := range fake.Calls() {
		text := strings.Join(call.Args, " ") + strings.Join(sortedKeys(call.Env), " ") + name
		assert.NotContains(t, text, "hunter2")
		assert.NotContains(t, text, "bob")
	}
	config := repoDirIn(h.repoPath(name), name).config
	text, err := os.ReadFile(config)
	require.NoError(t, err)
	assert.Contains(t, string(text), "hunter2")
	info, err := os.Stat(config)
	require.NoError(t, err)
	assert.Zero(t, info.Mode().Perm()&0o077, "for its owner alone")

	before := len(fake.Commands())
	_, err = h.AddRepo(t.Context(), "https://bob:hunter2@charts.example/x", RepoOptions{})
	require.NoError(t, err)
	assert.Len(t, fake.Commands(), before, "the same credentials")
	_, err = h.AddRepo(t.Context(), "https://charts.example/x", RepoOptions{Username: "bob", Password: "changed"})
	require.NoError(t, err)
	assert.Len(t, fake.Commands(), before+1, "a password that was changed")

	failing := helmtest.Reply{Stderr: "Error: hunter3 is not a password of https://eve:hunter3@other.example\n", Exit: 1}
	fake.On("repo", failing)
	_, err = h.AddRepo(t.Context(), "https://eve:hunter3@other.example", RepoOptions{})
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "hunter3")
}

// What is not given stays as it is: another way to reach a repository takes no credentials from it.
func TestAddRepoKeepsWhatIsNotGiven(t *testing.T) {
	h, _ := withFake(t, Config{})
	const url = "https://charts.example/x"
	for _, opts := range []RepoOptions{{Username: "bob", Password: "hunter2"}, {InsecureSkipTLSVerify: true}, {PassCredentialsAll: true}} {
		_, err := h.AddRepo(t.Context(), url, opts)
		require.NoError(t, err)
	}
	repos, err := h.repoEntries(t.Context())
	require.NoError(t, err)
	require.Len(t, repos, 1)
	want := repoEntry{Name: repos[0].Name, URL: url, Username: "bob", Password: "hunter2", InsecureSkipTLSVerify: true, PassCredentialsAll: true}
	assert.Equal(t, want, repos[0])

	_, err = h.AddRepo(t.Context(), url, RepoOptions{Token: "tok3n"})
	require.NoError(t, err)
	repos, err = h.repoEntries(t.Context())
	require.NoError(t, err)
	want.Username, want.Password, want.Token = "", "", "tok3n"
	assert.Equal(t, want, repos[0], "one kind of credentials replaces the other")
}

// Whether credentials went along decides what an error advises.
func TestCredentialsOfAnArchive(t *testing.T) {
	for _, test := range []struct {
		opts RepoOptions
		url  string
		want login
	}{
		{RepoOptions{}, "web.tgz", loginNone},
		{RepoOptions{Username: "bob", Password: "hunter2"}, "web.tgz", loginGiven},
		{RepoOptions{Token: "tok3n"}, "https://charts.example:443/web.tgz", loginGiven},
		{RepoOptions{Token: "tok3n"}, "https://other.example/web.tgz", loginWithheld},
		{RepoOptions{Username: "bob", Password: "hunter2"}, "http://charts.example/web.tgz", loginWithheld},
		{RepoOptions{Username: "bob", Password: "hunter2", PassCredentialsAll: true}, "https://other.example/web.tgz", loginGiven},
	} {
		h, _ := withFake(t, Config{})
		name, err := h.AddRepo(t.Context(), "https://charts.example/x", test.opts)
		require.NoError(t, err)
		dest := filepath.Join(t.TempDir(), "archive")
		inv, err := h.stageEntry(t.Context(), chartSource{repo: name, chart: "web"}, "https://charts.example/x", ChartVersion{Version: "1.0.0", URLs: []string{test.url}}, dest)
		require.NoError(t, err)
		inv.via.stop()
		assert.Equal(t, test.want, inv.login, test)
	}
	h, _ := withFake(t, Config{})
	name, err := h.AddRepo(t.Context(), "https://charts.example/x", RepoOptions{})
	require.NoError(t, err)
	_, err = h.stageEntry(t.Context(), chartSource{repo: name, chart: "web"}, "https://charts.example/before", ChartVersion{}, t.TempDir())
	require.ErrorIs(t, err, ErrRepoNotFound, "its name means another repository by now")
}

// A home may have any path.
func TestReposOfAHomeWithBrackets(t *testing.T) {
	h, _ := withFake(t, Config{Home: filepath.Join(t.TempDir(), "[a]")})
	name, err := h.AddRepo(t.Context(), "https://charts.example/x", RepoOptions{})
	require.NoError(t, err)
	repos, err := h.Repos(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []Repo{{name, "https://charts.example/x"}}, repos)
}

func TestAddRepoArgs(t *testing.T) {
	assert.Equal(t, []string{"repo", "add", "--force-update", "--", "a", "http://a.example"}, addRepoArgs("a", "http://a.example", RepoOptions{}))
	assert.Equal(t, []string{"repo", "add", "--force-update", "--username=bob", "--password-stdin", "--ca-file=/ca", "--cert-file=/cert", "--key-file=/key",
		"--insecure-skip-tls-verify", "--pass-credentials", "--", "a", "http://a.example"},
		addRepoArgs("a", "http://a.example", RepoOptions{
			Username: "bob", Password: "hunter2", CAFile: "/ca", CertFile: "/cert", KeyFile: "/key", InsecureSkipTLSVerify: true, PassCredentialsAll: true,
		}))
}

// A failed or half-made repository is not there.
func TestAddRepoWholeOrNotAtAll(t *testing.T) {
	h, fake := withFake(t, Config{})
	fake.On("repo add", helmtest.Reply{
		Files:  map[string][]byte{"${HELM_REPOSITORY_CONFIG}": []byte("repositories: [{name: x, url: http://charts.example}]")},
		Stderr: "Error: looks like \"http://charts.example\" is not a valid chart repository or cannot be reached: empty\n", Exit: 1,
	})
	_, err := h.AddRepo(t.Context(), "http://charts.example", RepoOptions{})
	require.ErrorIs(t, err, ErrRepoNotFound)
	repos, err := h.Repos(t.Context())
	require.NoError(t, err)
	assert.Empty(t, repos)
	rest, err := dirNames(h.home.Path("tmp"))
	require.NoError(t, err)
	assert.Empty(t, rest)
}

func TestAddRepoAtOnce(t *testing.T) {
	home := t.TempDir()
	h, fake := withFake(t, Config{Home: home})
	helms := []*Helm{h, drive(t, fake, Config{Home: home})}
	var all sync.WaitGroup
	for i := range 10 {
		all.Add(1)
		go func() {
			defer all.Done()
			_, err := helms[i%2].AddRepo(t.Context(), "http://charts.example", RepoOptions{})
			assert.NoError(t, err)
		}()
	}
	all.Wait()
	assert.Len(t, fake.Calls("repo add"), 1)
}

func TestUpdateRepos(t *testing.T) {
	for version, failure := range map[string]helmtest.Reply{
		"v3.22.0": {Stderr: "Error: Failed to update the following repositories: [http://b.example]\n",
			Stdout: "...Unable to get an update from the \"b\" chart repository (http://b.example):\n\tfailed to fetch http://b.example/index.yaml : 404 Not Found\n", Exit: 1},
		"v4.3.1": {Stderr: "Error: failed to update the following repositories: [http://b.example]\n",
			Stdout: "...Unable to get an update from the \"b\" chart repository (http://b.example):\n\tfailed to fetch http://b.example/index.yaml : 404 Not Found\n", Exit: 1},
	} {
		t.Run(version, func(t *testing.T) {
			h, fake := withFake(t, Config{})
			fake.SetVersion(version)
			for _, name := range []string{"a", "b", "c"} {
				_, err := h.AddRepo(t.Context(), "http://"+name+".example", RepoOptions{Name: name})
				require.NoError(t, err)
			}
			fake.Handle("repo update", func(c helmtest.Call) helmtest.Reply {
				if c.Arg(0) == "b" {
					return failure
				}
				return fake.Perform(c)
			})
			err := h.UpdateRepos(t.Context(), UpdateReposOptions{})
			require.ErrorIs(t, err, ErrRepoNotFound)
			assert.ErrorContains(t, err, "repo update b")
			assert.ErrorContains(t, err, "404 Not Found")
			assert.NotContains(t, err.Error(), "repo update a")
			assert.Len(t, fake.Calls("repo update"), 3, "the others are updated all the same")
			for _, c := range fake.Calls("repo update") {
				assert.Equal(t, version == "v3.22.0", c.Flag("--fail-on-repo-update-fail") != "")
			}
			require.NoError(t, h.UpdateRepos(t.Context(), UpdateReposOptions{Names: []string{"c"}}))
			assert.Len(t, fake.Calls("repo update"), 4)
		})
	}
	t.Run("an unknown name", func(t *testing.T) {
		h, fake := withFake(t, Config{})
		err := h.UpdateRepos(t.Context(), UpdateReposOptions{Names: []string{"nosuch"}})
		require.ErrorIs(t, err, ErrRepoNotFound)
		assert.ErrorContains(t, err, `"nosuch"`)
		require.NoError(t, h.UpdateRepos(t.Context(), UpdateReposOptions{}), "none at all")
		assert.Empty(t, fake.Calls())
	})
}

// A failed update leaves the index that was there.
func TestUpdateReposKeepsTheOldIndex(t *testing.T) {
	h, fake := withFake(t, Config{})
	_, err := h.AddRepo(t.Context(), "http://a.example", RepoOptions{Name: "a"})
	require.NoError(t, err)
	index := repoDirIn(h.repoPath("a"), "a").index
	before, err := os.ReadFile(index)
	require.NoError(t, err)
	fake.On("repo update", helmtest.Reply{
		Files: map[string][]byte{"${HELM_REPOSITORY_CACHE}/a-index.yaml": []byte("half of an ind")}, Stderr: "Error: no\n", Exit: 1,
	})
	require.Error(t, h.UpdateRepos(t.Context(), UpdateReposOptions{}))
	after, err := os.ReadFile(index)
	require.NoError(t, err)
	assert.Equal(t, string(before), string(after))
}

func TestRemoveRepo(t *testing.T) {
	h, fake := withFake(t, Config{})
	_, err := h.AddRepo(t.Context(), "http://a.example", RepoOptions{Name: "a"})
	require.NoError(t, err)
	require.NoError(t, h.RemoveRepo(t.Context(), "a"))
	repos, err := h.Repos(t.Context())
	require.NoError(t, err)
	assert.Empty(t, repos)
	require.ErrorIs(t, h.RemoveRepo(t.Context(), "a"), ErrRepoNotFound)
	require.ErrorIs(t, h.RemoveRepo(t.Context(), "../a"), ErrInvalidArgument)
	assert.Equal(t, []string{"repo add"}, fake.Commands())
}

// In the user's own home it is helm that removes, and helm that says where its files are.
func TestReposOfTheUser(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	config := filepath.Join(t.TempDir(), "repositories.yaml")
	t.Setenv("HELM_REPOSITORY_CONFIG", config)
	t.Setenv("HELM_REPOSITORY_CACHE", filepath.Dir(config))
	h, fake := withFake(t, Config{Home: UserHome})
	repos, err := h.Repos(context.Background())
	require.NoError(t, err)
	assert.Empty(t, repos, "no file yet")
	require.NoError(t, os.WriteFile(config, []byte("repositories:\n- {name: b, url: http://b.example}\n- {name: a, url: http://a.example}\n"), 0o600))
	repos, err = h.Repos(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []Repo{{"a", "http://a.example"}, {"b", "http://b.example"}}, repos)
	require.NoError(t, h.RemoveRepo(t.Context(), "a"))
	assert.Equal(t, "a", fake.Calls("repo remove")[0].Arg(0))

	// What it does not need a password for it does not get one for.
	require.NoError(t, os.WriteFile(config, []byte("repositories:\n- {name: c, url: http://c.example, username: bob, password: hunter2}\n"), 0o600))
	fake.Handle("repo update", func(c helmtest.Call) helmtest.Reply {
		text, err := os.ReadFile(c.Env["HELM_REPOSITORY_CONFIG"])
		assert.NoError(t, err)
		assert.NotContains(t, string(text), "hunter2")
		return fake.Perform(c)
	})
	require.NoError(t, h.UpdateRepos(t.Context(), UpdateReposOptions{}))
	require.Len(t, fake.Calls("repo update"), 1)

	require.NoError(t, os.WriteFile(config, []byte("repositories: [{password: hunter2"), 0o600))
	_, err = h.Repos(t.Context())
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "hunter2")
}

func FuzzNameOfRepo(f *testing.F) {
	f.Add("http://127.0.0.1:8080/charts")
	f.Add("https://例.example/图表")
	f.Fuzz(func(t *testing.T, address string) {
		if u, err := parseRepoURL(address); err == nil {
			if name := nameOfRepo(u); !repoName.MatchString(name) || strings.Contains(name, url.QueryEscape("/")) {
				t.Errorf("%q is named %q", address, name)
			}
		}
	})
}
