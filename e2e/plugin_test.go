package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/e2e/cluster"
)

// commandPlugin: helm runs the command as its plugin, from its installation to the end.
func commandPlugin(b *bed) {
	dir := b.TempDir()
	p := plugin{b, dir, filepath.Join(dir, "data")}
	p.make("")
	p.make("") // another time
	other := map[string]string{"helm3": "helm4", "helm4": "helm3"}[b.helm]
	for _, test := range []struct {
		cmd  *exec.Cmd
		code int
		says string
	}{
		{p.helm("plugin", "list"), 0, "sut"},
		{p.helm("sut"), 0, "helm sut [command]"},
		{p.helm("sut", "install", "--help"), 0, "helm sut install web ./web"},
		{p.helm("sut", "images", sutChart), 0, "nginx:1.27\n"},
		{p.of(b.binaries[other], "sut", "images", sutChart), 0, "nginx:1.27\n"}, // they share a folder of plugins
		{p.helm("sut", "instal"), 2, "helm sut: unknown command"},
		{p.helm("sut", "doctor"), 0, "ok"},
		{p.helm("sut", "install", "web", sutChart, "--wait", "--timeout", patient.String()), 0, "web is deployed"},
		{p.helm("sut", "list", "-o", "json"), 0, `"namespace": "` + b.namespace + `"`},
		{p.helm("sut", "list", "-n", "default"), 0, "NAME"},
		{p.helm("sut", "uninstall", "web", "--namespace=default"), 4, "helm sut: "},
		{p.helm("sut", "list", "--kubeconfig", dir+"/nothing"), 4, "helm sut: "},
		{p.helm("sut", "list", "--kube-token", "x"), 2, "HELM_KUBETOKEN"},
		{p.helm("--kube-apiserver=https://127.0.0.1:1", "sut", "uninstall", "web"), 2, "HELM_KUBEAPISERVER"},
		{p.helm("__complete", "sut", "ima"), 0, "images\t"},
		{p.helm("__complete", "sut", "why", "w"), 0, "web\tsut "},
		{p.helm("__complete", "sut", "list", "-o", ""), 0, "json\n"},
		{p.helm("sut", "uninstall", "web", "--wait"), 0, "web is removed"},
	} {
		out, err := test.cmd.CombinedOutput()
		var failed *exec.ExitError
		if err != nil && !errors.As(err, &failed) {
			b.Fatal(err)
		}
		if code := test.cmd.ProcessState.ExitCode(); code != test.code || !strings.Contains(string(out), test.says) {
			b.Errorf("%q: exit %d, want %d and %q:\n%s", test.cmd.Args, code, test.code, test.says, out)
		}
		if bytes.Contains(out, []byte("Completion ended")) && strings.Count(string(out), "Completion ended") != 1 {
			b.Errorf("%q: what the plugin says on stderr is a completion:\n%s", test.cmd.Args, out)
		}
	}
	p.passesNothingOn()
	p.interrupted()

	p.run(p.helm("plugin", "uninstall", "sut"))
	if _, err := os.Stat(filepath.Join(dir, "sut", "helm-sut")); err != nil {
		b.Error("helm removed what it has a link to: ", err)
	}
	if err := p.helm("sut", "version").Run(); err == nil {
		b.Error("the plugin is uninstalled, and runs")
	}
	p.make("")
	b.must(os.RemoveAll(filepath.Join(dir, "sut")))
	p.make("elsewhere") // the link leads nowhere
	p.run(p.helm("sut", "version"))
}

// plugin is a helm with folders of its own.
type plugin struct {
	*bed
	dir, data string
}

// make installs the plugin from this source.
func (p plugin) make(folder string) {
	p.Helper()
	cmd := exec.CommandContext(p.ctx, "make", "-s", "plugin", "HELM="+p.cfg.Binary, "INTO="+filepath.Join(p.dir, folder))
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "HELM_DATA_HOME="+p.data)
	p.run(cmd)
}

// run runs a command that has to succeed.
func (p plugin) run(cmd *exec.Cmd) {
	p.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		p.Fatalf("%q: %v\n%s", cmd.Args, err, out)
	}
}

// helm is a call of helm with the cluster and the namespace of the test.
func (p plugin) helm(args ...string) *exec.Cmd { return p.of(p.cfg.Binary, args...) }

func (p plugin) of(binary string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(p.ctx, binary, args...)
	cmd.Env = append(os.Environ(), "HELM_DATA_HOME="+p.data, "XDG_CACHE_HOME="+p.dir, "KUBECONFIG="+p.cfg.Kubeconfig, "HELM_NAMESPACE="+p.namespace)
	return cmd
}

// passesNothingOn: a helm that the plugin starts is the one that started the plugin, and gets none of its variables.
func (p plugin) passesNothingOn() {
	seen := filepath.Join(p.dir, "seen")
	between := filepath.Join(p.dir, "between")
	p.must(os.WriteFile(between, fmt.Appendf(nil, "#!/bin/sh\n{ echo \"$@\"; env | grep ^HELM_; } >>%s\nexec %s \"$@\"\n", seen, p.cfg.Binary), 0o755))
	cmd := p.helm("sut", "list")
	cmd.Args[0] = between // what helm says to its plugins that it is
	cmd.Env = append(cmd.Env,
		"HELM_DRIVER=configmap", "HELM_POST_RENDERER=canary", "HELM_DEBUG=true", "HELM_MAX_HISTORY=77", "HELM_QPS=77", "HELM_BURST_LIMIT=77",
		"HELM_CONFIG_HOME="+p.dir+"/canary", "HELM_REPOSITORY_CONFIG="+p.dir+"/canary", "HELM_CANARY=canary")
	p.run(cmd)
	text, err := os.ReadFile(seen)
	p.must(err)
	for _, canary := range []string{"HELM_DRIVER", "canary", "=77", "HELM_DEBUG", "HELM_BIN", "HELM_PLUGIN_", "HELM_NAMESPACE", p.data} {
		if bytes.Contains(text, []byte(canary)) {
			p.Errorf("%s reaches the helm that the plugin starts:\n%s", canary, text)
		}
	}
	if !bytes.Contains(text, []byte("--namespace="+p.namespace)) {
		p.Errorf("the plugin did not start the helm that started it, for its namespace:\n%s", text)
	}
}

// interrupted: Ctrl-C ends helm at once, and the command still removes what it made.
func (p plugin) interrupted() {
	cmd := p.helm("sut", "install", "web", sutChart, "--wait", "--timeout", patient.String(), "--interval", "500ms", "--set-string", "fault="+cluster.FaultImagePull)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	errs := &hearing{want: "0 of 1 pods ready; Pod ", heard: make(chan struct{})}
	cmd.Stderr = errs
	p.must(cmd.Start())
	select {
	case <-errs.heard:
	case <-p.ctx.Done():
		p.Fatal(errs.text())
	}
	p.must(syscall.Kill(-cmd.Process.Pid, syscall.SIGINT))
	_ = cmd.Wait() // until the command has ended, which has the other end of stderr
	if _, err := p.h.Status(context.WithoutCancel(p.ctx), "web", helmexec.StatusOptions{}); !errors.Is(err, helmexec.ErrReleaseNotFound) || !strings.Contains(errs.text(), "helm sut: stopping") {
		p.Errorf("after the interrupt: %v\n%s", err, errs.text())
	}
}
