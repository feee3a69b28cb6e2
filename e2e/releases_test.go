package e2e

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/e2e/cluster"
)

func installOfEverySource(b *bed) {
	i := 0
	for form, address := range b.sutAddresses() {
		release := "source-" + string(rune('a'+i))
		i++
		rel, err := b.h.Install(b.ctx, release, address, helmexec.InstallOptions{Source: plainHTTP})
		if err != nil {
			b.Errorf("%s: %v", form, err)
			continue
		}
		if rel.Name != release || rel.Status != helmexec.StatusDeployed || rel.ChartName != "sut" || rel.ChartVersion != "0.1.0" {
			b.Errorf("%s: got %+v", form, rel)
		}
	}
	releases, err := b.h.List(b.ctx, helmexec.ListOptions{})
	b.must(err)
	if len(releases) != i {
		b.Errorf("%d releases are listed, want %d", len(releases), i)
	}
}

// installLookUninstall is the life of one release.
func installLookUninstall(b *bed) {
	const release = "job-7-sut-web"
	begin := time.Now()
	rel, err := b.h.Install(b.ctx, release, b.repo.URL+"/webapp", helmexec.InstallOptions{
		Wait: true, Timeout: patient, Description: "of job 7", Values: helmexec.Values{"replicas": 3},
	})
	b.must(err)
	if rel.Status != helmexec.StatusDeployed || rel.Revision != 1 || rel.Recovered || rel.Description != "of job 7" || rel.AppVersion == "" || rel.Notes == "" {
		b.Errorf("installed %+v", rel)
	}
	var deployment struct{ Status struct{ ReadyReplicas int } }
	b.must(b.cluster.Request(b.ctx, http.MethodGet, "/apis/apps/v1/namespaces/"+b.namespace+"/deployments/"+release, nil, &deployment))
	if deployment.Status.ReadyReplicas != 3 {
		b.Errorf("%d pods are ready, want 3", deployment.Status.ReadyReplicas)
	}

	status, err := b.h.Status(b.ctx, release, helmexec.StatusOptions{})
	b.must(err)
	if status.Status != helmexec.StatusDeployed || status.ChartName != "webapp" || !status.Updated.Equal(rel.Updated) || status.Updated.Before(begin) {
		b.Errorf("status is %+v", status)
	}
	_, err = b.h.Install(b.ctx, "other", sutChart, helmexec.InstallOptions{})
	b.must(err)
	listed, err := b.h.List(b.ctx, helmexec.ListOptions{Filter: "^job-"})
	b.must(err)
	if len(listed) != 1 || listed[0].Name != release || listed[0].ChartName != "webapp" || listed[0].ChartVersion != rel.ChartVersion || listed[0].Revision != 1 {
		b.Errorf("listed %+v", listed)
	}
	history, err := b.h.History(b.ctx, release, helmexec.HistoryOptions{})
	b.must(err)
	if len(history) != 1 || history[0].Revision != 1 || history[0].Description != "of job 7" {
		b.Errorf("history is %+v", history)
	}

	for _, name := range []string{release, "other"} {
		result, err := b.h.Uninstall(b.ctx, name, helmexec.UninstallOptions{Wait: true, Timeout: patient})
		b.must(err)
		if result.Release.Name != name || len(result.Remains) != 0 {
			b.Errorf("uninstalled %+v", result)
		}
	}
	if left, err := b.objects(b.ctx); err != nil || len(left) != 0 {
		b.Errorf("after waiting there are %q (%v)", left, err)
	}
	_, err = b.h.Uninstall(b.ctx, release, helmexec.UninstallOptions{})
	b.wantErr(err, helmexec.ErrReleaseNotFound)
	_, err = b.h.Uninstall(b.ctx, release, helmexec.UninstallOptions{IgnoreNotFound: true})
	b.must(err)
	_, err = b.h.Status(b.ctx, release, helmexec.StatusOptions{})
	b.wantErr(err, helmexec.ErrReleaseNotFound)
	_, err = b.h.History(b.ctx, release, helmexec.HistoryOptions{})
	b.wantErr(err, helmexec.ErrReleaseNotFound)
}

func installMakesTheNamespace(b *bed) {
	b.namespace += "-new"
	opts := helmexec.InstallOptions{Namespace: b.namespace}
	_, err := b.h.Install(b.ctx, "web", sutChart, opts)
	b.wantErr(err, nil, "not found")
	opts.CreateNamespace = true
	_, err = b.h.Install(b.ctx, "web", sutChart, opts)
	b.must(err)
	result, err := b.h.Uninstall(b.ctx, "web", helmexec.UninstallOptions{Namespace: b.namespace})
	b.must(err)
	if len(result.Remains) != 1 || result.Remains[0].Kind != "Namespace" || result.Remains[0].Name != b.namespace {
		b.Errorf("remains are %v, want the namespace", result.Remains)
	}
	b.must(b.cluster.Request(b.ctx, http.MethodGet, "/api/v1/namespaces/"+b.namespace, nil, nil))
	b.wantLeft(nil)
}

// listEveryState: Helm 3 by itself hides some.
func listEveryState(b *bed) {
	never := helmexec.Values{"hook": map[string]any{"event": "pre-install", "fault": cluster.FaultNeverFinish}}
	_, err := b.h.Install(b.ctx, "job-deployed", sutChart, helmexec.InstallOptions{})
	b.must(err)
	_, err = b.h.Install(b.ctx, "job-failed", sutChart, helmexec.InstallOptions{Values: never, KeepFailed: true, Timeout: time.Second})
	b.wantErr(err, helmexec.ErrNotReady)
	_, err = b.h.Install(b.ctx, "job-uninstalled", sutChart, helmexec.InstallOptions{})
	b.must(err)
	_, err = b.h.Uninstall(b.ctx, "job-uninstalled", helmexec.UninstallOptions{KeepHistory: true})
	b.must(err)
	b.killedInstall("job-pending")
	_, err = b.h.Install(b.ctx, "another", sutChart, helmexec.InstallOptions{})
	b.must(err)

	listed, err := b.h.List(b.ctx, helmexec.ListOptions{Filter: "^job-"})
	b.must(err)
	got := []string{}
	for _, r := range listed {
		got = append(got, r.Name+" "+string(r.Status))
	}
	want := []string{"job-deployed deployed", "job-failed failed", "job-pending pending-install", "job-uninstalled uninstalled"}
	if !slices.Equal(got, want) {
		b.Errorf("listed %q, want %q", got, want)
	}
	listed, err = b.h.List(b.ctx, helmexec.ListOptions{Statuses: []helmexec.Status{helmexec.StatusFailed}})
	b.must(err)
	if len(listed) != 1 || listed[0].Name != "job-failed" {
		b.Errorf("failed are %+v", listed)
	}
	everywhere, err := b.h.List(b.ctx, helmexec.ListOptions{AllNamespaces: true, Filter: "^job-pending$"})
	b.must(err)
	if !slices.ContainsFunc(everywhere, func(r helmexec.Release) bool { return r.Namespace == b.namespace }) {
		b.Errorf("everywhere are %+v", everywhere)
	}
}

// killedInstall leaves a release pending, like a machine that lost its power.
func (b *bed) killedInstall(release string, flags ...string) {
	b.Helper()
	flags = append([]string{
		"install", release, sutChart, "--namespace=" + b.namespace, "--kubeconfig=" + b.cfg.Kubeconfig,
		"--set=hook.event=pre-install", "--set=hook.fault=" + cluster.FaultNeverFinish,
	}, flags...)
	cmd := exec.CommandContext(b.ctx, b.binaries[b.helm], flags...)
	cmd.Env = []string{"HOME=" + b.TempDir()}
	b.must(cmd.Start())
	b.awaitRecord(release)
	b.awaitObject("/apis/batch/v1", "jobs/"+release+"-hook")
	b.must(cmd.Process.Kill())
	_ = cmd.Wait()
}

func labelsFindARelease(b *bed) {
	for _, team := range []string{"red", "blue"} {
		_, err := b.h.Install(b.ctx, "of-"+team, sutChart, helmexec.InstallOptions{
			Labels: map[string]string{"bench.example/team": team}, OperationID: "op " + team, JobID: "7",
		})
		b.must(err)
	}
	for selector, want := range map[string]string{
		"bench.example/team=red":          "of-red",
		"bench.example/team!=red":         "of-blue",
		"helmexec/job=7":                  "of-blue of-red",
		"helmexec/job=8":                  "",
		"helmexec/install,owner=helm":     "of-blue of-red",
		"bench.example/team in (blue, x)": "of-blue",
	} {
		listed, err := b.h.List(b.ctx, helmexec.ListOptions{Selector: selector})
		b.must(err)
		var got []string
		for _, r := range listed {
			got = append(got, r.Name)
		}
		if strings.Join(got, " ") != want {
			b.Errorf("%s finds %q, want %q", selector, got, want)
		}
	}
	rel, err := b.h.Status(b.ctx, "of-red", helmexec.StatusOptions{})
	b.must(err)
	if rel.Labels["bench.example/team"] != "red" || rel.Labels["owner"] != "" {
		b.Errorf("labels are %v", rel.Labels)
	}
}

func oneHelmServesTheOther(b *bed) {
	_, err := b.h.Install(b.ctx, "shared", b.repo.URL+"/sut", helmexec.InstallOptions{})
	b.must(err)
	other := b.other()
	listed, err := other.List(b.ctx, helmexec.ListOptions{})
	b.must(err)
	if len(listed) != 1 || listed[0].Name != "shared" || listed[0].Status != helmexec.StatusDeployed {
		b.Errorf("the other Helm lists %+v", listed)
	}
	_, err = other.Install(b.ctx, "shared", b.repo.URL+"/sut", helmexec.InstallOptions{})
	b.wantErr(err, helmexec.ErrReleaseExists)
	upgraded, err := other.Upgrade(b.ctx, "shared", b.repo.URL+"/sut", helmexec.UpgradeOptions{
		Wait: true, Timeout: patient, Values: helmexec.Values{"greeting": "from the other", "replicas": 2},
	})
	b.must(err)
	if seen, err := b.h.Status(b.ctx, "shared", helmexec.StatusOptions{}); err != nil || upgraded.Revision != 2 || seen.Revision != 2 {
		b.Errorf("upgraded to %+v, and seen as %+v (%v)", upgraded, seen, err)
	}
	_, err = other.Uninstall(b.ctx, "shared", helmexec.UninstallOptions{Wait: true, Timeout: patient})
	b.must(err)
	b.wantLeft(nil)
}

// valuesAreNotOnTheCommandLine: every user of a machine can read those.
func valuesAreNotOnTheCommandLine(b *bed) {
	if _, err := os.Stat("/proc/self/cmdline"); err != nil {
		b.Skip("no /proc to look for processes in")
	}
	const secret = "swordfish-8342"
	file := filepath.Join(b.TempDir(), "values.yaml")
	b.must(os.WriteFile(file, []byte("greeting: "+secret+"-of-a-file\nreadyAfter: 1s\n"), 0o600))
	done := make(chan error, 1)
	go func() {
		_, err := b.h.Install(b.ctx, "discreet", sutChart, helmexec.InstallOptions{
			Wait: true, Timeout: patient, ValuesFiles: []string{file}, Values: helmexec.Values{"configMaps": 2, "image": secret},
		})
		done <- err
	}()
	seen := 0
	err := cluster.Eventually(b.ctx, func(context.Context) error {
		lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, line := range lines {
			text, _ := os.ReadFile(line)
			if !strings.Contains(string(text), b.namespace) || !strings.Contains(string(text), "discreet") {
				continue
			}
			seen++
			environment, _ := os.ReadFile(filepath.Dir(line) + "/environ")
			if strings.Contains(string(text)+string(environment), secret) {
				b.Errorf("a value is on the command line or in the environment: %q", text)
			}
		}
		select {
		case err := <-done:
			return err
		default:
			return errStill
		}
	})
	b.must(err)
	if seen == 0 {
		b.Error("helm was not seen running")
	}
	var data struct{ Data map[string]string }
	b.must(b.cluster.Request(b.ctx, http.MethodGet, "/api/v1/namespaces/"+b.namespace+"/configmaps/discreet-1", nil, &data))
	if want := secret + "-of-a-file"; data.Data["greeting"] != want {
		b.Errorf("the chart got %q, want %q", data.Data["greeting"], want)
	}
}

// whatStaysIsReported: the volume claim of a StatefulSet, and a hook that nothing removes.
func whatStaysIsReported(b *bed) {
	_, err := b.h.Install(b.ctx, "db", sutChart, helmexec.InstallOptions{Wait: true, Timeout: patient, Values: helmexec.Values{
		"kind": "StatefulSet", "replicas": 2, "hook": map[string]any{"event": "post-install", "policy": "before-hook-creation"},
	}})
	b.must(err)
	result, err := b.h.Uninstall(b.ctx, "db", helmexec.UninstallOptions{Wait: true, Timeout: patient})
	b.must(err)
	if len(result.Remains) != 3 {
		b.Errorf("remains are %v, want two claims and a Job", result.Remains)
	}
	b.wantLeft(result.Remains)
}

// uninstallBehindAFailingHook leaves the release as it is until the caller says NoHooks.
func uninstallBehindAFailingHook(b *bed) {
	_, err := b.h.Install(b.ctx, "stubborn", sutChart, helmexec.InstallOptions{Values: helmexec.Values{
		"hook": map[string]any{"event": "pre-delete", "fault": cluster.FaultFail},
	}})
	b.must(err)
	_, err = b.h.Uninstall(b.ctx, "stubborn", helmexec.UninstallOptions{Timeout: 3 * time.Second})
	b.wantErr(err, nil, "stubborn")
	rel, err := b.h.Status(b.ctx, "stubborn", helmexec.StatusOptions{})
	b.must(err)
	if rel.Status != "uninstalling" {
		b.Errorf("status is %s", rel.Status)
	}
	result, err := b.h.Uninstall(b.ctx, "stubborn", helmexec.UninstallOptions{NoHooks: true, Wait: true, Timeout: patient})
	b.must(err)
	b.wantLeft(result.Remains)
}
