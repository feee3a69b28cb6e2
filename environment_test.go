package helmexec

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// canary is the value of every variable that a test plants.
const canary = "canary-7f3a"

// planted are variables of a program that has log-ins to everything. They are by the kind of helm that gets them.
var planted = map[string][]string{
	"every helm": {"HTTPS_PROXY", "no_proxy", "SSL_CERT_FILE", "LC_ALL", "TZ"},
	"helms that log in": {
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE",
		"GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_AUTH_ACCESS_TOKEN", "AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE",
		"AAD_SERVICE_PRINCIPAL_CLIENT_SECRET", "IDENTITY_HEADER", "MSI_SECRET", "KUBERNETES_SERVICE_HOST", "KUBECACHEDIR",
		"USER", "XDG_CONFIG_HOME", "VAULT_TOKEN", "MY_LOGIN",
	},
	"no helm": {
		"GITHUB_TOKEN", "DATABASE_URL", "SSH_AUTH_SOCK", "DOCKER_CONFIG", "DOCKER_AUTH_CONFIG", "LD_PRELOAD", "GIT_SSH_COMMAND", "EDITOR",
		"GODEBUG", "GNUPGHOME", "SOURCE_DATE_EPOCH", "VAULTED", "MY_LOGIN2", "AWSOME", "HELM_DRIVER", "HELM_DRIVER_SQL_CONNECTION_STRING", "HELM_KUBETOKEN",
		"HELM_KUBEAPISERVER", "HELM_PLUGINS", "HELM_DEBUG", "HELM_NAMESPACE", "HELM_REGISTRY_CONFIG", "HELM_PPROF_CPU_PROFILE", "HELM_EXPERIMENTAL_OCI",
	},
}

// Which commands reach a cluster.
var logsIn = map[string]bool{
	"install": true, "upgrade": true, "rollback": true, "uninstall": true, "list": true, "status": true, "history": true,
	"get all": true, "get values": true, "test": true, "dry-run install": true, "dry-run upgrade": true,
	"version": false, "repo add": false, "repo update": false, "pull": false, "push": false, "lint": false, "package": false,
	"registry login": false, "registry logout": false, "dependency build": false,
}

// Only a helm that talks to a cluster gets what a log-in there needs, and no helm gets anything else.
func TestEnvironmentByCommand(t *testing.T) {
	for _, names := range planted {
		for _, name := range names {
			t.Setenv(name, canary)
		}
	}
	userHome := os.Getenv("HOME")
	for _, version := range []string{"v3.22.0", "v4.3.1"} {
		run := newArgvRunOf(t, version, Config{PassEnv: []string{"VAULT_*", "MY_LOGIN"}})
		before, seen := len(run.fake.Calls()), map[bool]int{}
		for _, test := range argvCases {
			run.lines(t, test.call)
		}
		for _, c := range run.fake.Calls()[before:] {
			cluster, known := logsIn[c.Command()]
			if c.Command() == "template" {
				cluster, known = c.Flag("--dry-run") == "server", true
			}
			require.True(t, known, c.Command())
			seen[cluster]++
			for kind, names := range planted {
				for _, name := range names {
					switch value := c.Env[name]; {
					case kind == "every helm", kind == "helms that log in" && cluster:
						assert.Equal(t, canary, value, "%s of %s", name, c.Command())
					default:
						assert.NotEqual(t, canary, value, "%s of %s", name, c.Command())
					}
				}
			}
			want := run.h.home.Path("user")
			if cluster {
				want = userHome
			}
			assert.Equal(t, want, c.Env["HOME"], c.Command())
			assert.Equal(t, "1", c.Env["HELM_NO_PLUGINS"])
			assert.Equal(t, os.DevNull, c.Env["HELM_PLUGINS"])
			assert.NotEmpty(t, c.Env["PATH"])
		}
		assert.NotZero(t, seen[true])
		assert.NotZero(t, seen[false])
	}
}

// A plan is rendered without any log-in, except where helm itself has to read the cluster.
func TestEnvironmentOfPlans(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", canary)
	h, fake := withFake(t, Config{Namespace: "team", Env: map[string]string{"HELM_KUBETOKEN": canary}})
	chart := chartFolder(t, "web", "1.2.3")
	_, err := h.Plan(t.Context(), "web", chart, PlanOptions{})
	require.NoError(t, err)
	for _, c := range fake.Calls() {
		asks := c.Command() == "template"
		assert.Equal(t, asks, c.Env["AWS_SECRET_ACCESS_KEY"] == canary, c.Args)
		assert.Equal(t, asks, c.Env["HELM_KUBETOKEN"] == canary, c.Args)
	}
	before := len(fake.Calls())
	_, err = h.Plan(t.Context(), "web", chart, PlanOptions{Cluster: &Cluster{KubeVersion: "v1.34.0"}})
	require.NoError(t, err)
	require.NotEmpty(t, fake.Calls()[before:])
	for _, c := range fake.Calls()[before:] {
		assert.NotContains(t, c.Env, "AWS_SECRET_ACCESS_KEY", c.Args)
	}
	before = len(fake.Calls())
	_, err = h.Plan(t.Context(), "web", chart, PlanOptions{Lookups: true})
	require.NoError(t, err)
	for _, c := range fake.Calls()[before:] {
		assert.Equal(t, canary, c.Env["AWS_SECRET_ACCESS_KEY"], c.Args)
	}
}

// Config.Env goes over everything, but log-ins stay with the helms that log in.
func TestConfiguredEnvironment(t *testing.T) {
	h, fake := withFake(t, Config{PassEnv: []string{"TEAM_*"}, Env: map[string]string{
		"HELM_DRIVER": "configmap", "EDITOR": "ed", "HOME": "/mine", "HELM_PLUGINS": "/plugins", "AWS_PROFILE": canary, "TEAM_TOKEN": canary,
		"HELM_DRIVER_SQL_CONNECTION_STRING": canary,
	}})
	_, err := h.Version(t.Context())
	require.NoError(t, err)
	_, err = h.List(t.Context(), ListOptions{})
	require.NoError(t, err)
	calls := fake.Calls()
	for _, c := range []struct {
		env  map[string]string
		want string
	}{{calls[0].Env, ""}, {calls[1].Env, canary}} {
		for name, value := range map[string]string{"EDITOR": "ed", "HOME": "/mine", "HELM_PLUGINS": "/plugins", "AWS_PROFILE": c.want, "TEAM_TOKEN": c.want, "HELM_DRIVER_SQL_CONNECTION_STRING": c.want} {
			assert.Equal(t, value, c.env[name], name)
		}
	}
	assert.Equal(t, "configmap", calls[1].Env["HELM_DRIVER"])
}

// Where the system takes names of variables without regard to case, the lists do too.
func TestEnvironmentFoldsNames(t *testing.T) {
	before := foldsVariables
	t.Cleanup(func() { foldsVariables = before })
	foldsVariables = true
	env := newEnvironments([]string{"Path=p", "MyLogin=" + canary, "Team_Token=" + canary, "Other=o"}, Config{
		PassEnv: []string{"MyLogin", "team_*"}, Env: map[string]string{"mylogin": canary, "TEAM_key": canary, "Aws_Profile": canary, "Editor": "ed"},
	}, t.TempDir())
	for _, variable := range []string{"Path=p", "Editor=ed"} {
		assert.Contains(t, env.local, variable)
		assert.Contains(t, env.cluster, variable)
	}
	for _, name := range []string{"MyLogin", "Team_Token", "mylogin", "TEAM_key", "Aws_Profile"} {
		assert.NotContains(t, env.local, name+"="+canary)
		assert.Contains(t, env.cluster, name+"="+canary)
	}
	assert.NotContains(t, env.cluster, "Other=o")
}

// In a UserHome helm gets all that the user has.
func TestEnvironmentOfTheUser(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	for _, names := range planted {
		for _, name := range names {
			if name != "LD_PRELOAD" && !strings.HasPrefix(name, "XDG_") {
				t.Setenv(name, canary)
			}
		}
	}
	h, fake := withFake(t, Config{Home: UserHome})
	_, err := h.Version(t.Context())
	require.NoError(t, err)
	for _, name := range []string{"HELM_DRIVER", "HELM_PLUGINS", "GITHUB_TOKEN", "AWS_PROFILE"} {
		assert.Equal(t, canary, fake.Calls()[0].Env[name], name)
	}
	assert.NotContains(t, fake.Calls()[0].Env, "HELM_CONFIG_HOME")
	assert.NotContains(t, fake.Calls()[0].Env, "HELM_NO_PLUGINS")
}

func TestNamesOfVariablesAreChecked(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	for _, cfg := range []Config{
		{Env: map[string]string{"": "x"}}, {Env: map[string]string{"A=B": "x"}}, {Env: map[string]string{"A": "x\x00HELM_PLUGINS=/evil"}},
		{Env: map[string]string{"A\x00B": "x"}}, {PassEnv: []string{"A=B"}}, {PassEnv: []string{"A\x00"}},
	} {
		cfg.Binary, cfg.Home = self, t.TempDir()
		_, err := New(cfg)
		assert.ErrorIs(t, err, ErrInvalidArgument, "%+q", cfg.Env)
	}
}
