// Package pages runs the commands of the documentation that need a cluster or a real helm.
package pages

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/e2e/cluster"
	"github.com/sut-bench/helmexec/internal/pages"
	"github.com/sut-bench/helmexec/internal/tools"
)

const root = "../.."

// said is what a command prints if it did what its page says.
var said = map[string]string{
	"make demo": "Kubernetes has nothing left of it",
	"go run ./internal/tools/cmd/tools -path helm4":                                                 "/helm",
	"bin/helmexec doctor --offline":                                                                 "ok",
	"bin/helmexec check ./testdata/charts/webapp --offline --registry docker.io --registry quay.io": "allowed",
	"bin/helmexec install job-42-sut-webapp ./testdata/charts/webapp --wait --job 42":               "is deployed",
	"bin/helmexec why job-42-sut-webapp":                                                            "2 of 2 pods ready",
	"bin/helmexec job clean 42 --wait":                                                              "job-42-sut-webapp is removed",
	"bin/cluster -- go run ./mine":                                                                  "the cluster has 0 releases",
	"cd ../mine && ../helmexec/bin/cluster -- go run .":                                             "the cluster has 0 releases",
	"make plugin":     "'helm sut --help' shows",
	"helm sut":        "helm sut [command]",
	"helm sut --help": "helm sut [command]",
	"helm sut images ./testdata/charts/webapp": "nginx",
	"helm plugin uninstall sut":                "Uninstalled plugin: sut",
	`bin/cluster -- bin/jobrunner -helm "$(go run ./internal/tools/cmd/tools -path helm4)" -node nvidia.com/gpu=8 ./testdata/charts/webapp`: "removed",
}

// onCluster are the groups, by their last commands, whose commands find a cluster.
var onCluster = map[string]bool{"bin/helmexec job clean 42 --wait": true}

// watched are the commands that do not end by themselves, or need something that the page speaks of.
var watched = map[string]func(*testing.T, string, *exec.Cmd){
	"make cluster":                    untilInterrupted,
	"helm list -l helmexec/job=42 -A": afterAnInstall,
}

func TestCommands(t *testing.T) {
	helm, err := tools.Path("helm4")
	if err == nil {
		err = cluster.Available()
	}
	if err != nil {
		t.Skip(err)
	}
	for _, group := range pages.Cluster {
		last := group.Commands[len(group.Commands)-1]
		t.Run(last, func(t *testing.T) {
			// A folder of its own name: that of the subtest has all that a shell understands.
			dir, err := os.MkdirTemp("", "helmexec-pages-")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(dir) })
			folder, err := group.In.Make(root, dir)
			if err != nil {
				t.Fatal(err)
			}
			environment := append(os.Environ(), "PATH="+filepath.Dir(helm)+":"+os.Getenv("PATH"))
			if onCluster[last] {
				c, err := cluster.Start(context.WithoutCancel(t.Context()), cluster.Options{})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(c.Stop)
				environment = append(environment, "KUBECONFIG="+c.Kubeconfig)
			}
			for _, c := range group.Commands {
				cmd := exec.CommandContext(t.Context(), "bash", "-euc", c)
				cmd.Dir = folder
				cmd.Env = append(environment, "HELM_DATA_HOME="+filepath.Join(dir, "helm"))
				cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
				if watch := watched[c]; watch != nil {
					watch(t, helm, cmd)
					continue
				}
				out, err := cmd.CombinedOutput()
				if err != nil || !strings.Contains(string(out), said[c]) {
					t.Fatalf("%s: %v, or it does not say %q:\n%s", c, err, said[c], out)
				}
			}
		})
	}
}

// untilInterrupted waits until the cluster is there and presses Ctrl-C.
func untilInterrupted(t *testing.T, _ string, cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C reaches make and all that it started
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var kubeconfig string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if path, found := strings.CutPrefix(lines.Text(), "export KUBECONFIG="); found {
			kubeconfig = path
			if _, err := os.Stat(path); err != nil {
				t.Error(err)
			}
			if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
				t.Error(err)
			}
		}
	}
	_ = cmd.Wait() // make fails when it is interrupted
	if kubeconfig == "" {
		t.Fatal("no line with KUBECONFIG")
	}
	if _, err := os.Stat(kubeconfig); !os.IsNotExist(err) {
		t.Error("the cluster left its kubeconfig: ", err)
	}
}

// afterAnInstall runs a command of helm after a job has installed something.
func afterAnInstall(t *testing.T, helm string, cmd *exec.Cmd) {
	ctx := context.WithoutCancel(t.Context())
	c, err := cluster.Start(ctx, cluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	h, err := helmexec.New(helmexec.Config{Binary: helm, Home: t.TempDir(), Kubeconfig: c.Kubeconfig})
	if err != nil {
		t.Fatal(err)
	}
	for release, job := range map[string]string{"ours": "42", "others": "43"} {
		_, err := h.Install(ctx, release, filepath.Join(root, "testdata", "charts", "webapp"),
			helmexec.InstallOptions{Namespace: release, CreateNamespace: true, JobID: job})
		if err != nil {
			t.Fatal(err)
		}
	}
	cmd.Env = append(slices.Clone(cmd.Env), "KUBECONFIG="+c.Kubeconfig)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "ours") || strings.Contains(string(out), "others") {
		t.Errorf("%v:\n%s", err, out)
	}
}
