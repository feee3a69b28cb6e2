package helmexec

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
)

const memoryKubeconfig = `apiVersion: v1
kind: Config
current-context: lab
contexts: [{name: lab, context: {cluster: lab, user: me}}]
clusters: [{name: lab, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: me, user: {token: canary-of-the-kubeconfig}}]
`

// A log-in from memory goes to helms that talk to a cluster, in no argument, and leaves nothing behind.
func TestLogInFromMemory(t *testing.T) {
	var log bytes.Buffer
	h, fake := withFake(t, Config{
		Namespace: "team", KubeToken: canary, KubeconfigData: []byte(memoryKubeconfig), Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	type seen struct {
		text string
		mode os.FileMode
	}
	files := map[string]seen{}
	fake.Handle("list", func(c helmtest.Call) helmtest.Reply {
		info, statErr := os.Stat(c.Flag("--kubeconfig"))
		text, err := os.ReadFile(c.Flag("--kubeconfig"))
		if err := errors.Join(statErr, err); err != nil {
			return helmtest.Reply{Stderr: err.Error(), Exit: 1}
		}
		files[c.Flag("--kubeconfig")] = seen{string(text), info.Mode().Perm()}
		return helmtest.Reply{Stderr: "Error: the token " + canary + " and canary-of-the-kubeconfig\n", Exit: 1}
	})
	for range 2 {
		_, err := h.List(t.Context(), ListOptions{})
		require.ErrorContains(t, err, "the token ")
		assert.NotContains(t, err.Error(), "canary")
	}
	assert.Len(t, files, 2)
	for path, file := range files {
		assert.Equal(t, memoryKubeconfig, file.text)
		assert.Equal(t, os.FileMode(0o600), file.mode)
		assert.Equal(t, h.home.Path("tmp"), filepath.Dir(path))
	}
	before := len(fake.Calls())
	_, err := h.Install(t.Context(), "web", chartFolder(t, "web", "1.2.3"), InstallOptions{})
	require.NoError(t, err)
	_, err = h.Template(t.Context(), chartFolder(t, "web", "1.2.3"), TemplateOptions{})
	require.NoError(t, err)
	for _, c := range fake.Calls()[before:] {
		cluster := c.Command() != "template"
		assert.Equal(t, cluster, c.Env["HELM_KUBETOKEN"] == canary, c.Args)
		assert.Equal(t, cluster, c.Flag("--kubeconfig") != "", c.Args)
		assert.NotContains(t, strings.Join(c.Args, " "), "canary")
	}
	other := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, os.WriteFile(other, nil, 0o600))
	without := drive(t, fake, Config{Namespace: "team", KubeconfigData: []byte(memoryKubeconfig)})
	_, err = without.Status(t.Context(), "web", StatusOptions{Kubeconfig: other})
	require.NoError(t, err)
	assert.Equal(t, other, fake.Calls()[len(fake.Calls())-1].Flag("--kubeconfig"))

	left, err := os.ReadDir(h.home.Path("tmp"))
	require.NoError(t, err)
	assert.Empty(t, left)
	assert.NotContains(t, log.String(), "canary")
}

// Each helm gets the token that is valid when it starts, and a program that lives longer than a token has the same locks.
func TestTokensThatAreRenewed(t *testing.T) {
	var asked int
	var fails error
	token := func() string { return fmt.Sprintf("%s-%d", canary, asked) }
	h, fake := withFake(t, Config{Namespace: "team", KubeTokenSource: func(context.Context) (string, error) {
		asked++
		return token(), fails
	}})
	fake.Handle("list", func(c helmtest.Call) helmtest.Reply {
		return helmtest.Reply{Stderr: "Error: the token " + c.Env["HELM_KUBETOKEN"] + " is bad\n", Exit: 1}
	})
	at, err := h.target("", "", "")
	require.NoError(t, err)
	for range 2 {
		_, err := h.List(t.Context(), ListOptions{})
		require.ErrorContains(t, err, "the token *** is bad")
		assert.Equal(t, token(), fake.Calls()[len(fake.Calls())-1].Env["HELM_KUBETOKEN"])
	}
	assert.Equal(t, 2, asked)
	again, err := h.target("", "", "")
	require.NoError(t, err)
	assert.Equal(t, at, again)
	_, err = h.Template(t.Context(), chartFolder(t, "web", "1.2.3"), TemplateOptions{})
	require.NoError(t, err)
	assert.Equal(t, 2, asked, "no helm that stays here gets a token")

	before := len(fake.Calls())
	fails = fmt.Errorf(`Post "https://vault.example/login?key=%s": the vault is sealed: %w`, canary, context.DeadlineExceeded)
	_, err = h.List(t.Context(), ListOptions{})
	require.ErrorIs(t, err, ErrClusterUnreachable)
	require.NotErrorIs(t, err, context.DeadlineExceeded, "the caller's context has not ended")
	require.ErrorContains(t, err, `KubeTokenSource: Post "https://vault.example/login?***": the vault is sealed`)
	_, err = h.Install(t.Context(), "web", chartFolder(t, "web", "1.2.3"), InstallOptions{})
	require.ErrorIs(t, err, ErrClusterUnreachable)
	require.NotErrorIs(t, err, ErrLeftBehind)
	for _, bad := range []string{"", "token\n"} {
		h.login.source = func(context.Context) (string, error) { return bad, nil }
		_, err = h.List(t.Context(), ListOptions{})
		require.ErrorIs(t, err, ErrInvalidArgument)
	}
	assert.Len(t, fake.Calls(), before)
}

// The token of the Config is for one cluster: no call can take it to another.
func TestTokenForOneCluster(t *testing.T) {
	dir := t.TempDir()
	mine, other := filepath.Join(dir, "mine"), filepath.Join(dir, "other")
	for _, file := range []string{mine, other} {
		require.NoError(t, os.WriteFile(file, []byte(memoryKubeconfig), 0o600))
	}
	chart := chartFolder(t, "web", "1.2.3")
	for name, cfg := range map[string]Config{
		"default": {}, "file": {Kubeconfig: mine, KubeContext: "lab"}, "memory": {KubeconfigData: []byte(memoryKubeconfig)},
	} {
		cfg.Namespace, cfg.KubeToken = "team", canary
		if name == "file" {
			cfg.KubeToken, cfg.KubeTokenSource = "", func(context.Context) (string, error) { return canary, nil }
		}
		h, fake := withFake(t, cfg)
		_, err := h.List(t.Context(), ListOptions{Kubeconfig: cfg.Kubeconfig, KubeContext: cfg.KubeContext})
		require.NoError(t, err, name)
		before := len(fake.Calls())
		for _, to := range []ClusterOptions{{Kubeconfig: other}, {KubeContext: "other"}} {
			_, list := h.List(t.Context(), ListOptions{Kubeconfig: to.Kubeconfig, KubeContext: to.KubeContext})
			_, install := h.Install(t.Context(), "web", chart, InstallOptions{Kubeconfig: to.Kubeconfig, KubeContext: to.KubeContext})
			_, uninstall := h.Uninstall(t.Context(), "web", UninstallOptions{Kubeconfig: to.Kubeconfig, KubeContext: to.KubeContext})
			_, job := h.UninstallJob(t.Context(), "42", JobOptions{Kubeconfig: to.Kubeconfig, KubeContext: to.KubeContext})
			_, plan := h.Plan(t.Context(), "web", chart, PlanOptions{Kubeconfig: to.Kubeconfig, KubeContext: to.KubeContext})
			_, nodes := h.Nodes(t.Context(), to)
			for _, err := range []error{list, install, uninstall, job, plan, nodes} {
				require.ErrorIs(t, err, ErrInvalidArgument, "%s: %+v", name, to)
				assert.ErrorContains(t, err, "KubeToken")
				assert.NotContains(t, err.Error(), canary)
			}
		}
		assert.Len(t, fake.Calls(), before, name)
	}
}

// A job is found again by a Helm whose kubeconfig in memory leads to the same place, whatever its log-in, and by no other.
func TestKubeconfigsInMemoryAreToldApart(t *testing.T) {
	name := func(data, context string) string {
		l, err := newLogin(Config{KubeconfigData: []byte(data), KubeContext: context})
		require.NoError(t, err)
		require.True(t, isInMemory(l.name))
		return l.name
	}
	change := func(from, to string) string {
		require.Contains(t, memoryKubeconfig, from)
		return strings.Replace(memoryKubeconfig, from, to, 1)
	}
	here := name(memoryKubeconfig, "")
	for what, same := range map[string]string{
		"renewed token":   change("canary-of", "renewed-of"),
		"comment":         memoryKubeconfig + "# another\n",
		"another cluster": change("clusters: [", `clusters: [{name: far, cluster: {server: "https://127.0.0.1:2"}}, `),
	} {
		assert.Equal(t, here, name(same, ""), what)
	}
	assert.Equal(t, here, name(memoryKubeconfig, "lab"))
	two := change("contexts: [", "contexts: [{name: far, context: {cluster: far}}, ")
	two = strings.Replace(two, "clusters: [", `clusters: [{name: far, cluster: {server: "https://127.0.0.1:3"}}, `, 1)
	elsewhere := change("127.0.0.1:1", "127.0.0.1:2")
	names := []string{
		here, name(elsewhere, ""),
		name(change(`:1"}`, `:1", certificate-authority-data: "YQ=="}`), ""),
		name(change(`:1"}`, `:1", certificate-authority: /ca.pem}`), ""),
		name(change("user: me}", "user: me, namespace: b}"), ""),
		name(two, "far"),
		// These lead nowhere that can be read.
		name(memoryKubeconfig, "none"), name(change("cluster: lab,", "cluster: none,"), ""), name(change("current-context: lab", ""), ""),
	}
	for i, one := range names {
		assert.NotContains(t, names[i+1:], one, "the name of number %d", i)
	}

	h, _ := withFake(t, Config{KubeconfigData: []byte(memoryKubeconfig)})
	at, err := h.target("", "", "")
	require.NoError(t, err)
	assert.Equal(t, " of kubeconfig "+here, at.where())
	_, err = h.target("", name(elsewhere, ""), "")
	require.ErrorIs(t, err, ErrInvalidArgument)
}

// A runner that comes back with a renewed token knows what is under way in its home.
func TestInstallUnderWayWithARenewedToken(t *testing.T) {
	home, fake := t.TempDir(), helmtest.New(t)
	first := drive(t, fake, Config{Home: home, Namespace: "team", KubeconfigData: []byte(memoryKubeconfig)})
	renewed := strings.Replace(memoryKubeconfig, "canary-of", "renewed-of", 1)
	second := drive(t, fake, Config{Home: home, Namespace: "team", KubeconfigData: []byte(renewed)})
	at, err := first.target("", "", "")
	require.NoError(t, err)
	op, err := first.begin(t.Context(), "web", at, labelInstall, "42/1", "42")
	require.NoError(t, err)
	defer op.end()
	at, err = second.target("", "", "")
	require.NoError(t, err)
	assert.Equal(t, []Release{{Name: "web", Namespace: "team"}}, second.inProgress("42", at, false))
}

func TestLogInsThatAreRefused(t *testing.T) {
	for says, cfg := range map[string]Config{
		"line break":            {KubeToken: "token\n"},
		"give either KubeToken": {KubeToken: canary, KubeTokenSource: func(context.Context) (string, error) { return "", nil }},
		"not the text of a":     {KubeconfigData: []byte("/root/.kube/config")},
		"kubeconfig with a cl":  {KubeconfigData: []byte("users: [{name: me, user: {token: canary}}]")},
		"is not the text":       {KubeconfigData: []byte("users: canary: {")},
		"give either":           {KubeconfigData: []byte(memoryKubeconfig), Kubeconfig: "x"},
		"HELM_DRIVER=memory":    {Env: map[string]string{"HELM_DRIVER": "memory"}},
		"MaxHistory":            {MaxHistory: -2},
		"HELM_DRIVER=sql":       {Env: map[string]string{"HELM_DRIVER": "SQL"}},
	} {
		self, err := os.Executable()
		require.NoError(t, err)
		if cfg.Kubeconfig != "" {
			cfg.Kubeconfig = self
		}
		cfg.Binary, cfg.Home = self, t.TempDir()
		_, err = New(cfg)
		require.ErrorIs(t, err, ErrInvalidArgument, says)
		assert.ErrorContains(t, err, says)
		assert.NotContains(t, err.Error(), "canary")
	}
	t.Setenv("HELM_DRIVER", "memory")
	self, err := os.Executable()
	require.NoError(t, err)
	for _, cfg := range []Config{{Home: UserHome}, {Home: t.TempDir(), PassEnv: []string{"HELM_DRIVER"}}} {
		t.Setenv("XDG_CACHE_HOME", t.TempDir())
		cfg.Binary = self
		_, err = New(cfg)
		require.ErrorIs(t, err, ErrInvalidArgument)
	}
}

func TestMaxHistory(t *testing.T) {
	for most, want := range map[int]string{0: "", 1: "1", 30: "30", -1: "0"} {
		env := newEnvironments(nil, Config{MaxHistory: most}, t.TempDir())
		set := slices.ContainsFunc(env.cluster, func(v string) bool { return strings.HasPrefix(v, "HELM_MAX_HISTORY=") })
		assert.Equal(t, want != "", set)
		assert.Equal(t, want, env.value("HELM_MAX_HISTORY"))
		// It is over the environment of this program, and below Env as everything is.
		for _, cfg := range []Config{{Home: UserHome}, {PassEnv: []string{"HELM_*"}}} {
			cfg.MaxHistory = most
			program := []string{"HELM_MAX_HISTORY=7"}
			assert.Equal(t, cmp.Or(want, "7"), newEnvironments(program, cfg, t.TempDir()).value("HELM_MAX_HISTORY"), cfg.PassEnv)
			cfg.Env = map[string]string{"HELM_MAX_HISTORY": "8"}
			assert.Equal(t, "8", newEnvironments(program, cfg, t.TempDir()).value("HELM_MAX_HISTORY"), cfg.PassEnv)
		}
	}
}

// What is left of a record is where the driver puts it.
func TestRecordsOfTheDriver(t *testing.T) {
	for driver, want := range map[string]string{"": "Secret", "secret": "Secret", "configmap": "ConfigMap", "configmaps": "ConfigMap"} {
		h, _ := withFake(t, Config{Env: map[string]string{"HELM_DRIVER": driver}})
		assert.Equal(t, want, h.recordObject("web", "team", 1, "").Kind, driver)
	}
}

// What a killed program left in the home, such as the kubeconfig of its last helm, goes when the next one begins.
func TestNewSweepsTheHome(t *testing.T) {
	h := withoutHelm(t)
	old, young := h.home.Path("tmp", "kubeconfig-1"), h.home.Path("tmp", "kubeconfig-2")
	for _, file := range []string{old, young} {
		require.NoError(t, os.WriteFile(file, []byte(memoryKubeconfig), 0o600))
	}
	when := time.Now().Add(-25 * time.Hour)
	require.NoError(t, os.Chtimes(old, when, when))
	_, err := New(Config{Binary: h.binary, Home: h.home.Path()})
	require.NoError(t, err)
	assert.NoFileExists(t, old)
	assert.FileExists(t, young)
}
