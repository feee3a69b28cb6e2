package e2e

import (
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/e2e/cluster"
)

// loginOf is what the kubeconfig of the cluster has.
func (b *bed) loginOf() (text, token, authority string) {
	b.Helper()
	file, err := os.ReadFile(b.cluster.Kubeconfig)
	b.must(err)
	var content struct {
		Clusters []struct {
			Cluster struct {
				Authority string `json:"certificate-authority-data"`
			}
		}
		Users []struct{ User struct{ Token string } }
	}
	b.must(yaml.Unmarshal(file, &content))
	plain, err := base64.StdEncoding.DecodeString(content.Clusters[0].Cluster.Authority)
	b.must(err)
	authority = filepath.Join(b.TempDir(), "ca.pem")
	b.must(os.WriteFile(authority, plain, 0o600))
	return string(file), content.Users[0].User.Token, authority
}

// logInFromMemory: no file of a kubeconfig is needed, and none is left.
func logInFromMemory(b *bed) {
	text, token, _ := b.loginOf()
	in := func(data, token string) *helmexec.Helm {
		return b.newHelm(func(cfg *helmexec.Config) {
			cfg.Kubeconfig, cfg.KubeconfigData, cfg.KubeToken = "", []byte(data), token
			cfg.Home = filepath.Join(b.TempDir(), "home")
		})
	}
	without := strings.ReplaceAll(text, token, "wrong")
	_, err := in(without, "").List(b.ctx, helmexec.ListOptions{})
	if err == nil {
		b.Error("a wrong token is no error")
	}
	for name, h := range map[string]*helmexec.Helm{"kubeconfig": in(text, ""), "token": in(without, token)} {
		plan, err := h.Plan(b.ctx, name, sutChart, helmexec.PlanOptions{})
		b.must(err)
		_, err = h.Apply(b.ctx, plan, helmexec.ApplyOptions{Wait: true, Timeout: patient, JobID: name})
		b.must(err)
		_, err = h.Upgrade(b.ctx, name, sutChart, helmexec.UpgradeOptions{Wait: true, Timeout: patient})
		b.must(err)
		removed, err := h.UninstallJob(b.ctx, name, helmexec.JobOptions{Wait: true, Timeout: patient})
		b.must(err)
		if len(removed) != 1 {
			b.Errorf("%s: removed %+v", name, removed)
		}
	}
	b.wantLeft(nil)
}

// settingsOfHelm are those of HELM_KUBE* that the documentation promises.
func settingsOfHelm(b *bed) {
	_, token, authority := b.loginOf()
	all := map[string]string{"HELM_KUBEAPISERVER": b.cluster.URL, "HELM_KUBECAFILE": authority, "HELM_KUBETOKEN": token}
	with := func(change map[string]string) *helmexec.Helm {
		return b.newHelm(func(cfg *helmexec.Config) {
			cfg.Kubeconfig, cfg.Env = "", maps.Clone(all)
			maps.Copy(cfg.Env, change)
			for name, value := range cfg.Env {
				if value == "" {
					delete(cfg.Env, name)
				}
			}
			cfg.Env["KUBECONFIG"] = os.DevNull
		})
	}
	_, err := with(nil).Install(b.ctx, "web", sutChart, helmexec.InstallOptions{Wait: true, Timeout: patient})
	b.must(err)
	for name, test := range map[string]struct {
		change map[string]string
		says   string // "" if it works
	}{
		"all":                {nil, ""},
		"no token":           {map[string]string{"HELM_KUBETOKEN": ""}, "orbidden"},
		"no authority":       {map[string]string{"HELM_KUBECAFILE": ""}, "certificate"},
		"any certificate":    {map[string]string{"HELM_KUBECAFILE": "", "HELM_KUBEINSECURE_SKIP_TLS_VERIFY": "true"}, ""},
		"another name":       {map[string]string{"HELM_KUBETLS_SERVER_NAME": "another.example"}, "another.example"},
		"another user":       {map[string]string{"HELM_KUBEASUSER": "nobody"}, "nobody"},
		"a user in a group":  {map[string]string{"HELM_KUBEASUSER": "nobody", "HELM_KUBEASGROUPS": "system:masters"}, ""},
		"an unknown context": {map[string]string{"HELM_KUBECONTEXT": "nosuch"}, "nosuch"},
	} {
		releases, err := with(test.change).List(b.ctx, helmexec.ListOptions{})
		switch {
		case test.says == "" && (err != nil || len(releases) != 1):
			b.Errorf("%s: got %v, %v", name, releases, err)
		case test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)):
			b.Errorf("%s: got %v, want an error with %q", name, err, test.says)
		}
	}
	_, err = with(nil).Uninstall(b.ctx, "web", helmexec.UninstallOptions{Wait: true, Timeout: patient})
	b.must(err)
	b.wantLeft(nil)
}

// recordsInConfigMaps: all that the engine does works with them, too.
func recordsInConfigMaps(b *bed) {
	h := b.newHelm(func(cfg *helmexec.Config) { cfg.Env = map[string]string{"HELM_DRIVER": "configmap"} })
	_, err := h.Install(b.ctx, "web", sutChart, helmexec.InstallOptions{Wait: true, Timeout: patient, OperationID: "1", JobID: "7"})
	b.must(err)
	path := "/api/v1/namespaces/" + b.namespace + "/configmaps/sh.helm.release.v1.web.v"
	var record map[string]any
	b.must(b.cluster.Request(b.ctx, http.MethodGet, path+"1", nil, &record))
	again, err := h.Install(b.ctx, "web", sutChart, helmexec.InstallOptions{OperationID: "1", JobID: "7"})
	b.must(err)
	if again.Revision != 1 {
		b.Errorf("installed again: %+v", again)
	}
	_, err = h.Upgrade(b.ctx, "web", sutChart, helmexec.UpgradeOptions{Values: helmexec.Values{"replicas": 2}})
	b.must(err)
	_, err = h.Rollback(b.ctx, "web", helmexec.RollbackOptions{})
	b.must(err)
	_, failed := h.Install(b.ctx, "bad", sutChart, helmexec.InstallOptions{Values: hookThat("pre-install", cluster.FaultFail), Timeout: patient})
	b.wantErr(failed, helmexec.ErrNotReady)
	removed, err := h.UninstallJob(b.ctx, "7", helmexec.JobOptions{Wait: true, Timeout: patient})
	b.must(err)
	if len(removed) != 1 {
		b.Errorf("removed %+v", removed)
	}
	b.wantLeft(b.failed(failed).Remains)
}

// historyIsLimited: the deployed revision stays while an upgrade is made, so two are the least.
func historyIsLimited(b *bed) {
	for most, want := range map[int]int{1: 2, 3: 3, -1: 11} {
		h := b.newHelm(func(cfg *helmexec.Config) { cfg.MaxHistory = most })
		name := fmt.Sprint("kept-", want)
		for i := range min(want+1, 11) {
			_, err := h.Upgrade(b.ctx, name, sutChart, helmexec.UpgradeOptions{Install: true, Values: helmexec.Values{"greeting": fmt.Sprint(i), "replicas": 0}})
			b.must(err)
		}
		history, err := h.History(b.ctx, name, helmexec.HistoryOptions{})
		b.must(err)
		if len(history) != want || history[len(history)-1].Status != helmexec.StatusDeployed {
			b.Errorf("MaxHistory %d: %d revisions are left, want %d: %+v", most, len(history), want, history)
		}
		_, err = h.Uninstall(b.ctx, name, helmexec.UninstallOptions{Wait: true, Timeout: patient})
		b.must(err)
	}
	b.wantLeft(nil)
}

// logsOfTests are those that the kubelet has, which the tests' cluster lacks.
func logsOfTests(b *bed) {
	target, err := url.Parse(b.cluster.URL)
	b.must(err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if pod, found := strings.CutSuffix(r.URL.Path, "/log"); found {
			fmt.Fprintf(w, "log of %s\n", pod[strings.LastIndexByte(pod, '/')+1:])
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	b.Cleanup(server.Close)
	kubeconfig, err := b.cluster.KubeconfigWith(server.URL, server.Certificate())
	b.must(err)
	pod := func(name, fault, policy string) string {
		return fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata:\n  name: '{{ .Release.Name }}-%s'\n  labels: {helmexec-e2e/fault: %q}\n"+
			"  annotations: {helm.sh/hook: test, helm.sh/hook-delete-policy: %q}\nspec:\n  restartPolicy: Never\n  containers: [{name: main, image: busybox}]\n", name, fault, policy)
	}
	for name, test := range map[string]struct {
		files map[string]string
		want  error
		logs  map[string]string
	}{
		"good": {map[string]string{"a.yaml": pod("a", "", "before-hook-creation"), "b.yaml": pod("b", "", "before-hook-creation")}, nil, map[string]string{"good-a": "log of good-a\n", "good-b": "log of good-b\n"}},
		"bad":  {map[string]string{"a.yaml": pod("a", cluster.FaultFail, "before-hook-creation")}, helmexec.ErrTestFailed, map[string]string{"bad-a": "log of bad-a\n"}},
		"gone": {map[string]string{"a.yaml": pod("a", "", "hook-succeeded")}, nil, map[string]string{"gone-a": "log of gone-a\n"}},
	} {
		_, err := b.h.Install(b.ctx, name, b.folder(test.files), helmexec.InstallOptions{})
		b.must(err)
		tests, err := b.h.Test(b.ctx, name, helmexec.TestOptions{Timeout: patient, Logs: true, Kubeconfig: kubeconfig})
		if !errors.Is(err, test.want) {
			b.Errorf("%s: got %v, want %v", name, err, test.want)
		}
		if len(tests) != len(test.logs) {
			b.Errorf("%s: tests are %+v", name, tests)
		}
		for _, t := range tests {
			log := t.Logs[""] + t.Logs["main"]
			if log != test.logs[t.Name] && !(name == "gone" && log == "") {
				b.Errorf("%s: the logs of %s are %q", name, t.Name, t.Logs)
			}
			b.Log(t.Name, t.Phase, t.Logs)
		}
	}
}
