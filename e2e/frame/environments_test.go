package frame

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sut-bench/helmexec"
)

// What a program has in its environment does not reach a helm that has no use for it.
func TestEnvironments(t *testing.T) { tryAll(t, environments) }

var environments = append(append(hidden(
	"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "GOOGLE_APPLICATION_CREDENTIALS", "AZURE_CLIENT_SECRET", "AAD_SERVICE_PRINCIPAL_CLIENT_SECRET",
	"GITHUB_TOKEN", "DATABASE_URL", "SSH_AUTH_SOCK", "LD_LIBRARY_PATH", "GODEBUG", "DOCKER_AUTH_CONFIG", "KUBECONFIG", "KUBERNETES_SERVICE_HOST",
	"HELM_KUBETOKEN", "HELM_KUBEAPISERVER", "HELM_DRIVER_SQL_CONNECTION_STRING", "HELM_NAMESPACE", "HELM_DEBUG", "HELM_REGISTRY_CONFIG", "HELM_REPOSITORY_CONFIG",
	"HELM_CACHE_HOME", "HELM_DATA_HOME", "HELM_CONTENT_CACHE", "HELM_PLUGINS_EXTRA", "XDG_DATA_HOME", "XDG_CONFIG_HOME",
), []attempt{
	{"a driver that is none", nil, with("HELM_DRIVER", "evil", offline)},
	{"plugins of the user", nil, with("HELM_PLUGINS", "PLUGINS", offline)},
	{"plugins in a folder for data", nil, with("XDG_DATA_HOME", "DATA", offline)},
	{"a profile that is written", nil, func(b *bed) error {
		file := filepath.Join(b.TempDir(), "profile")
		err := with("HELM_PPROF_CPU_PROFILE", file, offline)(b)
		if _, there := os.Stat(file); there == nil {
			b.Error("helm wrote a profile")
		}
		return err
	}},
	{"a kubeconfig that runs a program, for a render", nil, with("KUBECONFIG", "KUBECONFIG", offline)},
	{"a log-in helper of Docker, for a pull", errAny, func(b *bed) error {
		return b.fetched("oci://127.0.0.1:1/charts/web:1.0.0", helmexec.ChartOptions{Source: helmexec.SourceOptions{PlainHTTP: true}})
	}},
	{"a log-in helper of Docker, elsewhere", errAny, with("DOCKER_CONFIG", "DOCKER", func(b *bed) error {
		return b.fetched("oci://127.0.0.1:1/charts/web:1.0.0", helmexec.ChartOptions{Source: helmexec.SourceOptions{PlainHTTP: true}})
	})},
}...), []attempt{
	// The trap works: where helm has to log in, the program of the kubeconfig runs.
	{"a kubeconfig that runs a program, for a list", nil, with("KUBECONFIG", "KUBECONFIG", func(b *bed) error {
		_, listed := b.NewHelm(nil).List(b.ctx, helmexec.ListOptions{})
		if listed == nil {
			return errors.New("a list without a cluster")
		}
		if _, err := os.Stat(canary.ran); err != nil {
			return fmt.Errorf("the program of the kubeconfig did not run: %w", listed)
		}
		return os.Remove(canary.ran)
	})},
}...)

// hidden are attempts to reach a helm that renders, lints or fetches by a variable.
func hidden(variables ...string) (attempts []attempt) {
	for _, name := range variables {
		attempts = append(attempts, attempt{name, nil, with(name, secret, func(b *bed) error {
			seen := b.spy()
			if err := offline(b); err != nil {
				return err
			}
			text, err := os.ReadFile(seen)
			b.Must(err)
			if !strings.Contains(string(text), "HELM_NO_PLUGINS=1") {
				b.Error("no helm was seen")
			}
			if strings.Contains(string(text), secret) {
				return fmt.Errorf("helm got %s", name)
			}
			return nil
		})})
	}
	return attempts
}

// with does something with a variable set.
func with(name, value string, do func(b *bed) error) func(b *bed) error {
	return func(b *bed) error {
		at := func(elem ...string) string { return filepath.Join(append([]string{canary.dir}, elem...)...) }
		switch value {
		case "PLUGINS":
			value = at("plugins")
		case "DATA":
			value = at("home", ".local", "share")
		case "KUBECONFIG":
			value = at("home", ".kube", "config")
		case "DOCKER":
			value = at("home", ".docker")
		}
		b.Setenv(name, value)
		return do(b)
	}
}

// spy makes helm write down its environment first, in a file of that name.
func (b *bed) spy() (file string) {
	dir := b.TempDir()
	file = filepath.Join(dir, "environ")
	script := filepath.Join(dir, "helm")
	b.Must(os.WriteFile(script, []byte("#!/bin/sh\ncat /proc/$$/environ >> "+file+"\nexec "+b.Cfg.Binary+" \"$@\"\n"), 0o700))
	b.Cfg.Binary = script
	return file
}

// offline renders, lints and fetches.
func offline(b *bed) error {
	h := b.NewHelm(nil)
	chart := b.folder(map[string]string{"templates/a.yaml": "a: b\n", "values.yaml": "maker: us\n"})
	_, err := h.Template(b.ctx, chart, helmexec.TemplateOptions{})
	if err == nil {
		_, err = h.Lint(b.ctx, chart, helmexec.LintOptions{})
	}
	if err == nil {
		_, err = h.Package(b.ctx, chart, b.TempDir(), helmexec.PackageOptions{})
	}
	if _, failed := h.AddRepo(b.ctx, "http://127.0.0.1:1", helmexec.RepoOptions{}); failed == nil {
		b.Error("a repository that is not there was added")
	}
	return err
}
