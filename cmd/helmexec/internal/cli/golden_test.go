package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/helmtest"
)

const web, plain, hostile = "./testdata/web", "./testdata/plain", "./testdata/hostile"

// notReady is what the cluster shows of a release that waits.
func notReady(b *bench) {
	someReleases(b)
	b.fake.Handle("status", func(helmtest.Call) helmtest.Reply {
		return helmtest.Reply{Stdout: `{"info":{"resources":{"v1/Pod(related)":[
			{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web-1"},"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}},
			{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web-2"},"status":{"phase":"Pending","containerStatuses":[
				{"name":"main","restartCount":2,"state":{"waiting":{"reason":"ImagePullBackOff","message":"no such \u001b[31mimage"}}}]}}]}}}`}
	})
}

// withDeadline is a release of a job that its name does not say, with a deadline.
func withDeadline(b *bench) {
	b.fake.SetRelease(helmtest.Release{
		Name: "nightly", Chart: "web", ChartVersion: "1.2.3", Updated: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC),
		Labels: map[string]string{"helmexec/job": "42", "helmexec/deadline": "1893567845", "team": "web"},
	})
}

// overdue are releases whose deadline has passed.
func overdue(b *bench) {
	b.fake.SetRelease(helmtest.Release{Name: "late", Chart: "web", ChartVersion: "1.2.3", Labels: map[string]string{"helmexec/deadline": "1000"}})
	b.fake.SetRelease(helmtest.Release{Name: "early", Chart: "web", ChartVersion: "1.2.3", Labels: map[string]string{"helmexec/deadline": "9000000000"}})
}

// saved has a plan in a file.
func saved(b *bench) {
	require.Zero(b, b.run("plan", "job-42-sut-web", web, "--save", b.dir+"/plan.json").code)
}

// known has a repository.
func known(b *bench) {
	b.fake.AddArchive("web-1.2.3.tgz", packed(b.T, web))
	_, err := b.helm().AddRepo(b.Context(), "https://known.example/charts", helmexec.RepoOptions{Name: "known"})
	require.NoError(b, err)
}

var commands = []struct {
	name  string
	args  []string // DIR is the folder of the test
	setup func(*bench)
	stdin string
}{
	{"info", []string{"info", web}, nil, ""},
	{"info-json", []string{"info", web, "-o", "json"}, nil, ""},
	{"info-hostile", []string{"info", hostile}, nil, ""},
	{"info-hostile-json", []string{"info", hostile, "-o", "json"}, nil, ""},
	{"info-hostile-yaml", []string{"info", hostile, "-o", "yaml"}, nil, ""},
	{"values", []string{"values", web}, nil, ""},
	{"values-set", []string{"values", web, "-f", "-", "--set", "image.tag=2,list={a,b}", "--set-string", "replicas=5", "--set-file", "file=testdata/plain/Chart.yaml"}, nil, "gpus: null\n"},
	{"values-empty-stdin", []string{"values", web, "-f", "-"}, nil, ""},
	{"values-inexact", []string{"values", web, "--set", "id=12345678"}, nil, ""},
	{"values-json", []string{"values", web, "-o", "json"}, nil, ""},
	{"images", []string{"images", web}, nil, ""},
	{"images-all", []string{"images", web, "--all", "--full-names"}, nil, ""},
	{"images-why", []string{"images", web, "--why"}, nil, ""},
	{"images-json", []string{"images", plain, "-o", "json"}, nil, ""},
	{"images-left-out-json", []string{"images", web, "-o", "json"}, nil, ""},
	{"images-yaml", []string{"images", plain, "-o", "yaml"}, nil, ""},
	{"images-hostile-why", []string{"images", hostile, "--why"}, nil, ""},
	{"gpus", []string{"gpus", web, "--set", "gpus=4"}, nil, ""},
	{"gpus-json", []string{"gpus", web, "-o", "json"}, nil, ""},
	{"gpus-none", []string{"gpus", plain}, nil, ""},
	{"retag", []string{"retag", web, "--mirror", "registry.example=mirror.lab/suts", "--mirror", "*=mirror.lab/other"}, nil, ""},
	{"retag-json", []string{"retag", web, "--mirror", "*=mirror.lab", "-o", "json"}, nil, ""},
	{"retag-some", []string{"retag", web, "--mirror", "registry.example=mirror.lab"}, nil, ""},
	{"retag-nothing", []string{"retag", web, "--mirror", "dockr.io=mirror.lab", "--mirror", "docker.io=mirror.lab", "-o", "json"}, nil, ""},
	{"retag-scheme", []string{"retag", web, "--mirror", "docker.io=https://mirror.lab"}, nil, ""},
	{"retag-half-a-mirror", []string{"retag", web, "--mirror", "docker.io"}, nil, ""},
	{"retag-empty-mirror", []string{"retag", web, "--mirror", "docker.io="}, nil, ""},
	{"retag-without-mirror", []string{"retag", web}, nil, ""},

	{"plan", []string{"plan", "job-42-sut-web", web, "--registry", "registry.example"}, nil, ""},
	{"plan-json", []string{"plan", "plain", plain, "--offline", "--set", "a=1", "-o", "json"}, nil, ""},
	{"plan-html", []string{"plan", "job-42-sut-web", web, "--offline", "--set", "password=<x>", "-o", "html"}, nil, ""},
	{"plan-hostile-html", []string{"plan", "hostile", hostile, "--offline", "--set", `x=</pre><script>alert(9)</script>`, "-o", "html"}, nil, ""},
	{"plan-from", []string{"plan", "--from", "DIR/plan.json", "-o", "yaml"}, saved, ""},
	{"plan-from-nothing", []string{"plan", "--from", "DIR/plan.json"}, nil, ""},
	{"check-refused", []string{"check", web, "--offline", "--node", "nvidia.com/gpu=1"}, nil, ""},
	{"check-allowed", []string{"check", plain, "--offline", "--registry", "registry.example"}, nil, ""},
	{"check-empty-registry", []string{"check", plain, "--offline", "--registry", ""}, nil, ""},
	{"check-no-registry", []string{"check", plain, "--offline", "--policy", "DIR/policy.yaml", "-o", "json"}, func(b *bench) { b.write("policy.yaml", "registries: []\n") }, ""},
	{"check-all-rules", []string{"check", plain, "--offline", "--policy", "DIR/policy.yaml"}, func(b *bench) {
		b.write("policy.yaml", "registries: [registry.example, docker.io/library]\npinned: true\nrestricted: true\nnoTokens: true\nkinds: [argoproj.io/Workflow]\n"+
			"references: [Secret/login]\nlimits: {cpu: '64', pods: 10}\nnodes: [{nvidia.com/gpu: 8}, {}]\n")
	}, ""},
	{"check-policy-null", []string{"check", plain, "--offline", "--policy", "DIR/policy.yaml"}, func(b *bench) { b.write("policy.yaml", "registries:\n# - registry.example\n") }, ""},
	{"check-bad-limit", []string{"check", plain, "--offline", "--policy", "DIR/policy.yaml"}, func(b *bench) { b.write("policy.yaml", "limits: {cpu: 4x}\n") }, ""},
	{"check-registry-with-scheme", []string{"check", plain, "--offline", "--registry", "https://docker.io"}, nil, ""},
	{"check-without-chart", []string{"check"}, nil, ""},
	{"check-policy", []string{"check", plain, "--offline", "--policy", "DIR/policy.yaml", "-o", "json"}, func(b *bench) {
		b.write("policy.yaml", "registries: [other.example]\npinned: true\nlimits: {pods: 1}\n")
	}, ""},
	{"check-no-values", []string{"check", plain, "--values", "DIR/values.yaml"}, nil, ""},
	{"job-run-nothing", []string{"job", "run", "DIR/jobs.yaml"}, nil, ""},
	{"check-nodes", []string{"check", web, "--nodes-from-cluster", "--policy", "DIR/policy.yaml"}, func(b *bench) {
		b.write("policy.yaml", "nodes: [{nvidia.com/gpu: 100}]\nlimits: {gpus: {nvidia.com/gpu: 8}}\n")
		b.fake.SetNodes(map[string]int64{"nvidia.com/gpu": 1}, map[string]int64{}, map[string]int64{"nvidia.com/gpu": 0, "rdma/hca": 2})
	}, ""},
	{"check-nodes-json", []string{"check", plain, "--nodes-from-cluster", "-o", "json"}, func(b *bench) { b.fake.SetNodes(map[string]int64{"nvidia.com/gpu": 8}) }, ""},
	{"check-no-nodes", []string{"check", web, "--nodes-from-cluster"}, nil, ""},
	{"check-nodes-forbidden", []string{"check", plain, "--nodes-from-cluster", "-o", "yaml"}, func(b *bench) {
		b.fake.On("template", helmtest.Reply{Exit: 1, Stderr: `Error: template: nodes/templates/nodes.yaml:20:12: executing "nodes/templates/nodes.yaml" at <lookup "v1" "Node" "" "">: ` +
			`error calling lookup: nodes is forbidden: User "ci" cannot list resource "nodes" in API group "" at the cluster scope` + "\n"})
	}, ""},
	{"check-nodes-offline", []string{"check", plain, "--nodes-from-cluster", "--offline"}, nil, ""},
	{"check-bad-policy", []string{"check", plain, "--policy", "DIR/policy.yaml"}, func(b *bench) { b.write("policy.yaml", "registry: x\n") }, ""},
	{"check-two-policies", []string{"check", plain, "--offline", "--policy", "DIR/a.yaml", "--policy", "DIR/b.yaml"}, nil, ""},
	{"check-no-policy", []string{"check", plain, "--policy", "DIR/policy.yaml", "-o", "json"}, nil, ""},
	{"check-no-cluster", []string{"check", plain}, func(b *bench) {
		b.fake.Handle("template", func(helmtest.Call) helmtest.Reply {
			return helmtest.Reply{Stderr: "Error: kubernetes cluster unreachable: connection refused\n", Exit: 1}
		})
	}, ""},
	{"apply", []string{"apply", "DIR/plan.json", "--wait", "--job", "42"}, saved, ""},
	{"apply-other-digest", []string{"apply", "DIR/plan.json", "--digest", "sha256:" + strings.Repeat("0", 64)}, saved, ""},
	{"apply-half-a-digest", []string{"apply", "DIR/plan.json", "--digest", "sha256:956be476"}, saved, ""},
	{"plan-save-over-another", []string{"plan", "job-42-sut-web", web, "-n", "bench", "--save", "DIR/plan.json"}, saved, ""},
	{"plan-save-over-no-plan", []string{"plan", "web", plain, "--save", "DIR/values.yaml"}, func(b *bench) { b.write("values.yaml", "a: 1\n") }, ""},
	{"apply-other-namespace", []string{"apply", "DIR/plan.json", "-n", "other"}, func(b *bench) {
		b.run("plan", "web", web, "-n", "bench", "--save", b.dir+"/plan.json")
	}, ""},
	{"apply-digest-without-kind", []string{"apply", "DIR/plan.json", "--digest", "956be476"}, saved, ""},
	{"check-from-and-flags", []string{"check", "--from", "DIR/plan.json", "--set", "privileged=true"}, saved, ""},
	{"check-from-and-release", []string{"check", "--from", "DIR/plan.json", "--release", "foo"}, saved, ""},
	{"check-from-other-namespace", []string{"check", "--from", "DIR/plan.json", "-n", "other"}, func(b *bench) {
		b.run("plan", "web", web, "-n", "bench", "--save", b.dir+"/plan.json")
	}, ""},
	{"diff-offline", []string{"diff", "plain", plain, "--offline"}, func(b *bench) { b.run("install", "plain", plain) }, ""},
	{"diff-new", []string{"diff", "web", web}, nil, ""},
	{"diff-same", []string{"diff", "plain", plain, "--exit-code"}, func(b *bench) { b.run("install", "plain", plain) }, ""},
	{"diff-full", []string{"diff", "web", web, "--set", "replicas=3", "--full", "--exit-code"}, func(b *bench) { b.run("install", "web", web) }, ""},

	{"install", []string{"install", "web", web, "--wait"}, nil, ""},
	{"install-json", []string{"install", "web", plain, "-o", "json"}, nil, ""},
	{"install-other-job", []string{"install", "job-45-sut-x", plain, "--job", "46"}, nil, ""},
	{"install-deadline", []string{"install", "web", plain, "--job", "42", "--deadline", "4h"}, nil, ""},
	{"install-deadline-passed", []string{"install", "web", plain, "--deadline", "-5m"}, nil, ""},
	{"install-empty-job", []string{"install", "web", plain, "--job", " ", "-o", "json"}, nil, ""},
	{"install-taken", []string{"install", "job-42-sut-web", plain, "-o", "json"}, someReleases, ""},
	{"list", []string{"list"}, someReleases, ""},
	{"list-job-json", []string{"list", "--job", "7", "-o", "json"}, someReleases, ""},
	{"list-empty", []string{"list", "-n", "bench"}, nil, ""},
	{"list-no-such", []string{"list", "--job", "9", "-A"}, someReleases, ""},
	{"list-none", []string{"list", "-o", "json"}, nil, ""},
	{"why", []string{"why", "job-42-sut-web"}, notReady, ""},
	{"why-deadline", []string{"why", "nightly"}, withDeadline, ""},
	{"why-deadline-yaml", []string{"why", "nightly", "-o", "yaml"}, withDeadline, ""},
	{"why-not-found", []string{"why", "nothing", "-n", "bench"}, nil, ""},
	{"why-json", []string{"why", "job-42-sut-web", "-o", "json"}, notReady, ""},
	{"uninstall", []string{"uninstall", "job-42-sut-web"}, someReleases, ""},
	{"uninstall-not-found", []string{"uninstall", "nothing"}, nil, ""},
	{"uninstall-not-found-there", []string{"uninstall", "nothing", "-n", "bench"}, nil, ""},
	{"uninstall-not-found-yaml", []string{"uninstall", "nothing", "-o", "yaml"}, nil, ""},
	{"uninstall-ignored", []string{"uninstall", "nothing", "--ignore-not-found"}, nil, ""},
	{"name", []string{"name", "42", "My web app"}, nil, ""},
	{"name-json", []string{"name", "42", "My web app", "-o", "json"}, nil, ""},
	{"name-prune", []string{"name", "My_Model v1.2"}, nil, ""},
	{"name-parse", []string{"name", "--parse", "job-42-sut-web"}, nil, ""},
	{"name-parse-other", []string{"name", "--parse", "web\x1b[31m"}, nil, ""},

	{"job-clean", []string{"job", "clean", "42"}, someReleases, ""},
	{"job-clean-nothing", []string{"job", "clean", "1", "-o", "json"}, someReleases, ""},
	{"job-clean-nothing-here", []string{"job", "clean", "1"}, someReleases, ""},
	{"overdue-none", []string{"overdue", "-A"}, nil, ""},
	{"overdue", []string{"overdue"}, overdue, ""},
	{"overdue-remove", []string{"overdue", "--remove", "-o", "json"}, overdue, ""},
	{"doctor", []string{"doctor"}, func(b *bench) { b.fake.SetVersion("v3.18.0") }, ""},
	{"doctor-no-namespace", []string{"doctor", "-n", "nons"}, nil, ""},
	{"doctor-namespace", []string{"doctor", "-n", "kube-system"}, nil, ""},
	{"doctor-offline-json", []string{"doctor", "--offline", "-o", "json"}, func(b *bench) { known(b); b.fake.SetVersion("v4.3.1") }, ""},
	{"doctor-no-cluster", []string{"doctor"}, func(b *bench) {
		b.fake.Handle("list", func(helmtest.Call) helmtest.Reply {
			return helmtest.Reply{Stderr: "Error: kubernetes cluster unreachable: connection refused\n", Exit: 1}
		})
	}, ""},
	{"doctor-no-helm", []string{"doctor", "--helm", "DIR/helm"}, nil, ""},
	{"doctor-open-home", []string{"doctor"}, func(b *bench) {
		b.home = filepath.Join(b.dir, "home")
		require.NoError(b, os.Mkdir(b.home, 0o700))
		require.NoError(b, errors.Join(os.Chmod(b.dir, 0o755), os.Chmod(filepath.Dir(b.dir), 0o755), os.Chmod(b.home, 0o777)))
	}, ""},
	{"doctor-no-kubeconfig", []string{"doctor", "--kubeconfig", "DIR/kubeconfig"}, nil, ""},
	{"no-helm", []string{"list", "--helm", "DIR/helm", "-o", "json"}, nil, ""},
	{"version", []string{"version"}, nil, ""},
	{"version-no-helm", []string{"version", "--helm", "DIR/helm"}, nil, ""},
	{"list-no-kubeconfig", []string{"list", "--kubeconfig", "DIR/kubeconfig"}, nil, ""},
	{"list-missing-kubeconfig", []string{"list"}, func(b *bench) {
		b.Setenv("KUBECONFIG", filepath.Join(b.dir, "kubeconfig"))
		b.fake.Handle("list", func(helmtest.Call) helmtest.Reply {
			return helmtest.Reply{Stderr: "Error: Kubernetes cluster unreachable: Get \"http://localhost:8080/version\": dial tcp 127.0.0.1:8080: connect: connection refused\n", Exit: 1}
		})
	}, ""},
	{"info-no-repository", []string{"info", "foo/bar"}, nil, ""},
	{"version-json", []string{"version", "-o", "json"}, nil, ""},

	{"overdue-none-here", []string{"overdue"}, nil, ""},
	{"job-clean-none-anywhere", []string{"job", "clean", "1", "-A"}, nil, ""},
	{"no-such-command", []string{"instal"}, nil, ""},
	{"no-such-command-json", []string{"instal", "-o", "json"}, nil, ""},
	{"no-such-flag-yaml", []string{"list", "--al", "-oyaml"}, nil, ""},
	{"no-such-job-command", []string{"job", "rnu"}, nil, ""},
	{"no-such-flag", []string{"list", "--al"}, nil, ""},
	{"no-such-flag-json", []string{"list", "--al", "-o", "json"}, nil, ""},
	{"too-few-arguments", []string{"install", "web"}, nil, ""},
	{"too-few-arguments-json", []string{"install", "web", "-o", "json"}, nil, ""},
	{"bad-duration", []string{"install", "web", web, "--deadline", "1d"}, nil, ""},
	{"from-and-chart", []string{"check", web, "--from", "plan.json"}, nil, ""},
	{"no-such-output", []string{"list", "-o", "xml"}, nil, ""},
	{"html-of-another", []string{"list", "-o", "html"}, nil, ""},
	{"bad-set", []string{"images", web, "--set", "a"}, nil, ""},
	{"no-such-chart", []string{"images", "./testdata/nothing", "-o", "json"}, nil, ""},
	{"repository-down", []string{"images", "http://127.0.0.1:1/charts/web:1.0.0", "-o", "json"}, func(b *bench) {
		refused := helmtest.Reply{Stderr: "Error: looks like \"http://127.0.0.1:1/charts\" is not a valid chart repository or cannot be reached: Get \"http://127.0.0.1:1/charts/index.yaml\": dial tcp 127.0.0.1:1: connect: connection refused\n", Exit: 1}
		for _, command := range []string{"repo add", "repo update", "pull"} {
			b.fake.Handle(command, func(helmtest.Call) helmtest.Reply { return refused })
		}
	}, ""},
	{"bad-release-name", []string{"install", "Web\x1b[31m", web}, nil, ""},

	{"complete-commands", []string{"__complete", "un"}, nil, ""},
	{"complete-releases", []string{"__complete", "uninstall", "job-4"}, someReleases, ""},
	{"complete-repositories", []string{"__complete", "images", "kn"}, known, ""},
	{"complete-chart-versions", []string{"__complete", "images", "known/web", "--version", ""}, known, ""},
	{"complete-versions-of-address", []string{"__complete", "images", "known/web:1"}, known, ""},
	{"complete-chart-of-diff", []string{"__complete", "diff", "web", "known/web:"}, known, ""},
	{"complete-jobs", []string{"__complete", "job", "clean", ""}, someReleases, ""},
	{"complete-nothing", []string{"__complete", "overdue", ""}, someReleases, ""},
	{"complete-output", []string{"__complete", "list", "-o", ""}, nil, ""},

	{"plugin-help", []string{"--help"}, asPlugin, ""},
	{"plugin-list-help", []string{"list", "--help"}, asPlugin, ""},
	{"plugin-no-such-command", []string{"instal"}, asPlugin, ""},
	{"plugin-other-login", []string{"uninstall", "web"}, withToken, ""},
	{"plugin-complete", []string{"__complete", ""}, asPlugin, ""},
}

func TestCommands(t *testing.T) {
	for _, test := range commands {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t)
			if test.setup != nil {
				test.setup(b)
			}
			b.stdin = test.stdin
			args := make([]string, len(test.args))
			for i, a := range test.args {
				args[i] = strings.ReplaceAll(a, "DIR", b.dir)
			}
			got := b.run(args...)
			golden(t, test.name+".txt", fmt.Sprintf("$ helmexec %q\nexit %d\n--- stdout\n%s--- stderr\n%s", test.args, got.code, got.stdout, got.stderr))
			for _, text := range []string{got.stdout, got.stderr} {
				assert.NotRegexp(t, "[\x00-\x08\x0b-\x1f\x7f\u0080-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\U000E0000-\U000E007F]", text)
			}
		})
	}
}

// Each golden file is of a test.
func TestGoldenFiles(t *testing.T) {
	var want []string
	for _, test := range commands {
		want = append(want, test.name+".txt")
	}
	entries, err := os.ReadDir("testdata/golden")
	require.NoError(t, err)
	var there []string
	for _, e := range entries {
		there = append(there, e.Name())
	}
	assert.ElementsMatch(t, want, there)
}
