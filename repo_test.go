package helmexec

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/sut-bench/helmexec/helmtest"
)

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
	config := h.home.Path("repositories", name, "repositories.yaml")
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

// Empty options keep their stored values: another way to reach a repository does not remove its
// credentials.
func TestAddRepoKeepsWhatIsNotGiven(t *testing.T) {
	h, _ := withFake(t, Config{})
	const url = "https://charts.example/x"
	for _, opts := range []RepoOptions{{Username: "bob", Password: "hunter2"}, {InsecureSkipTLSVerify: true}, {PassCredentialsAll: true}} {
		_, err := h.AddRepo(t.Context(), url, opts)
		require.NoError(t, err)
	}
	repos, err := h.Repos(t.Context())
	require.NoError(t, err)
	require.Len(t, repos, 1)
	want := map[string]any{
		"name": repos[0].Name, "url": url, "username": "bob", "password": "hunter2", "caFile": "", "certFile": "", "keyFile": "",
		"insecure_skip_tls_verify": true, "pass_credentials_all": true,
	}
	assert.Equal(t, want, configOf(t, h, repos[0].Name))

	_, err = h.AddRepo(t.Context(), url, RepoOptions{Token: "tok3n"})
	require.NoError(t, err)
	want["username"], want["password"], want["token"] = "", "", "tok3n"
	assert.Equal(t, want, configOf(t, h, repos[0].Name), "one kind of credentials replaces the other")
}

// configOf is what the home keeps of a repository.
func configOf(t *testing.T, h *Helm, name string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(h.home.Path("repositories", name, "repositories.yaml"))
	require.NoError(t, err)
	var config struct{ Repositories []map[string]any }
	require.NoError(t, yaml.Unmarshal(text, &config))
	require.Len(t, config.Repositories, 1)
	return config.Repositories[0]
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

// A repository that failed or is half made does not exist.
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
			assert.ErrorContains(t, err, "repository b: failed")
			assert.ErrorContains(t, err, "404 Not Found")
			assert.NotContains(t, err.Error(), "repository a:")
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
	index := h.home.Path("repositories", "a", "index", "a-index.yaml")
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

// In the user's own home helm removes repositories, and says where its files are.
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

	// It gets no password where it needs none.
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
