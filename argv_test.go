package helmexec

import (
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
)

var update = flag.Bool("update", false, "write the golden files of testdata again")

// argvCases are calls with default options and with all of them. What they start is in
// testdata/argv, one file for each major version of Helm.
var argvCases = []struct {
	name string
	call func(ctx context.Context, h *Helm, in argvInput) error
}{
	{"install, defaults", func(ctx context.Context, h *Helm, in argvInput) error {
		_, err := h.Install(ctx, "new", in.chart, InstallOptions{})
		return err
	}},
	{"install, all options", func(ctx context.Context, h *Helm, in argvInput) error {
		_, err := h.Install(ctx, "new", in.chart, InstallOptions{
			Namespace: "team", CreateNamespace: true, ValuesFiles: []string{in.file}, Values: Values{"a": 1},
			Wait: true, WaitForJobs: true, Timeout: 90 * time.Second, NoHooks: true, SkipCRDs: true, SkipSchema: true,
			Labels: map[string]string{"zone": "b", "app": "a"}, Description: "for a=b, c", OperationID: "op-1", JobID: "job 7",
			Deadline: time.Unix(2e9, 0), Kubeconfig: in.file, KubeContext: "here",
		})
		return err
	}},
	{"install, roll back on failure", func(ctx context.Context, h *Helm, in argvInput) error {
		_, err := h.Install(ctx, "new", in.chart, InstallOptions{RollbackOnFailure: true})
		return err
	}},
	{"install, dry run", func(ctx context.Context, h *Helm, in argvInput) error {
		_, err := h.Install(ctx, "new", in.chart, InstallOptions{DryRun: true})
		return err
	}},
	{"upgrade, defaults", func(ctx context.Context, h *Helm, in argvInput) error {
		_, err := h.Upgrade(ctx, "web", in.chart, UpgradeOptions{})
		return err
	}},
	{"upgrade, all options", func(ctx context.Context, h *Helm, in argvInput) error {
		_, err := h.Upgrade(ctx, "web", in.chart, UpgradeOptions{
			ValuesFiles: []string{in.file}, Values: Values{"a": 1}, ReuseValues: true,
			Wait: true, WaitForJobs: true, Timeout: 90 * time.Second, NoHooks: true, SkipCRDs: true, SkipSchema: true,
			Labels: map[string]string{"app": "a"}, Description: "d", OperationID: "op-1", JobID: "7",
			Deadline: time.Unix(2e9, 0), Kubeconfig: in.file, KubeContext: "here",
		})
		return err
	}},
	{"upgrade or install what is not there", func(ctx context.Context, h *Helm, in argvInput) error {
		_, err := h.Upgrade(ctx, "new", in.chart, UpgradeOptions{Install: true, CreateNamespace: true, OperationID: "op-1"})
		return err
	}},
	{"rollback, defaults", func(ctx context.Context, h *Helm, in argvInput) error {
		_, err := h.Rollback(ctx, "web", RollbackOptions{})
		return err
	}},
	{"rollback, all options", func(ctx context.Context, h *Helm, in argvInput) error {
		_, err := h.Rollback(ctx, "web", RollbackOptions{
			Revision: 1, Wait: true, WaitForJobs: true, Timeout: time.Minute, NoHooks: true, Kubeconfig: in.file, KubeContext: "here",
		})
		return err
	}},
	{"uninstall, defaults", func(ctx context.Context, h *Helm, in argvInput) error {
		_, err := h.Uninstall(ctx, "web", UninstallOptions{})
		return err
	}},
	{"uninstall, all options", func(ctx context.Context, h *Helm, in argvInput) error {
		_, err := h.Uninstall(ctx, "web", UninstallOptions{
			Wait: true, Timeout: time.Minute, NoHooks: true, KeepHistory: true, IgnoreNotFound: true, Description: "d",
			Kubeconfig: in.file, KubeContext: "here",
		})
		return err
	}},
	{"list, defaults", func(ctx context.Context, h *Helm, in argvInput) error {
		_, err := h.List(ctx, ListOptions{})
		return err
	}},
	{"list, all options", func(ctx context.Context, h *Helm, in argvInput) error {
		_, err := h.List(ctx, ListOptions{
			Namespace: "team", Filter: "^job-", Selector: "a=b", Statuses: []Status{StatusFailed}, Kubeconfig: in.file, KubeContext: "here",
		})
		return err
	}},
	{"list, all namespaces", func(ctx context.Context, h *Helm, in argvInput) error {
		_, err := h.List(ctx, ListOptions{Namespace: "team", AllNamespaces: true})
		return err
	}},
	{"status, defaults", func(ctx context.Context, h *Helm, in argvInput) error {
		_, err := h.Status(ctx, "web", StatusOptions{})
		return err
	}},
	{"status, all options", func(ctx context.Context, h *Helm, in argvInput) error {
		_, err := h.Status(ctx, "web", StatusOptions{Revision: 1, Kubeconfig: in.file, KubeContext: "here"})
		return err
	}},
	{"readiness", func(ctx context.Context, h *Helm, in argvInput) error {
		_, err := h.Readiness(ctx, "web", ReadinessOptions{Namespace: "default", Kubeconfig: in.file, KubeContext: "here"})
		return err
	}},
	{"live objects", func(ctx context.Context, h *Helm, in argvInput) error {
		_, err := h.liveObjects(ctx, target{namespace: "default"}, "web", 0, nil)
		return err
	}},
	{"history, defaults", func(ctx context.Context, h *Helm, in argvInput) error {
		_, err := h.History(ctx, "web", HistoryOptions{})
		return err
	}},
	{"history, all options", func(ctx context.Context, h *Helm, in argvInput) error {
		_, err := h.History(ctx, "web", HistoryOptions{Max: 3, Kubeconfig: in.file, KubeContext: "here"})
		return err
	}},
	{"get values, defaults", func(ctx context.Context, h *Helm, in argvInput) error {
		_, err := h.GetValues(ctx, "web", ValuesOptions{})
		return err
	}},
	{"get values, all options", func(ctx context.Context, h *Helm, in argvInput) error {
		_, err := h.GetValues(ctx, "web", ValuesOptions{All: true, Revision: 1, Kubeconfig: in.file, KubeContext: "here"})
		return err
	}},
	{"test, defaults", func(ctx context.Context, h *Helm, in argvInput) error {
		_, err := h.Test(ctx, "web", TestOptions{})
		return err
	}},
	{"test, all options", func(ctx context.Context, h *Helm, in argvInput) error {
		_, err := h.Test(ctx, "web", TestOptions{Timeout: time.Minute, Names: []string{"smoke", "load"}, Logs: true, Kubeconfig: in.file, KubeContext: "here"})
		return err
	}},
	{"uninstall a job", func(ctx context.Context, h *Helm, in argvInput) error {
		_, err := h.UninstallJob(ctx, "7", JobOptions{AllNamespaces: true})
		return err
	}},
	{"add a repository, defaults", func(ctx context.Context, h *Helm, in argvInput) error {
		_, err := h.AddRepo(ctx, "http://127.0.0.1:8080/charts", RepoOptions{})
		return err
	}},
	{"add a repository, all options", func(ctx context.Context, h *Helm, in argvInput) error {
		_, err := h.AddRepo(ctx, "https://charts.example/", RepoOptions{
			Name: "mine", InsecureSkipTLSVerify: true, PassCredentialsAll: true, // of the relay, which helm asks
		})
		return err
	}},
	{"add a repository with a password", func(ctx context.Context, h *Helm, in argvInput) error {
		_, err := h.AddRepo(ctx, "https://bob:hunter2@charts.example/", RepoOptions{Name: "mine"})
		return err
	}},
	{"update repositories", func(ctx context.Context, h *Helm, in argvInput) error {
		return h.UpdateRepos(ctx, UpdateReposOptions{Names: []string{"known"}})
	}},
	{"pull from a repository", func(ctx context.Context, h *Helm, in argvInput) error {
		_, err := h.Pull(ctx, "known/web:1.2.3", in.dir, ChartOptions{})
		return err
	}},
	{"pull the latest of a repository", func(ctx context.Context, h *Helm, in argvInput) error {
		_, err := h.Pull(ctx, "known/web", in.dir, ChartOptions{})
		return err
	}},
	{"pull from a registry, all options", func(ctx context.Context, h *Helm, in argvInput) error {
		_, err := h.Pull(ctx, "oci://127.0.0.1:5000/charts/web:1.2.3", in.dir, ChartOptions{Source: SourceOptions{
			PlainHTTP: true, InsecureSkipTLSVerify: true, CAFile: "/ca", CertFile: "/cert", KeyFile: "/key",
		}})
		return err
	}},
	{"pull by digest", func(ctx context.Context, h *Helm, in argvInput) error {
		_, err := h.Pull(ctx, "oci://127.0.0.1:5000/charts/web:1.2.3"+in.digest, in.dir, ChartOptions{})
		return err
	}},
	{"template, defaults", func(ctx context.Context, h *Helm, in argvInput) error {
		_, err := h.Template(ctx, in.chart, TemplateOptions{})
		return err
	}},
	{"template, all options", func(ctx context.Context, h *Helm, in argvInput) error {
		_, err := h.Template(ctx, in.chart, TemplateOptions{
			ReleaseName: "web", Namespace: "team", ValuesFiles: []string{in.file}, Values: Values{"a": 1}, KubeVersion: "v1.30.0",
			APIVersions: []string{"b/v1", "a/v1/Kind"}, IncludeCRDs: true, SkipTests: true, SkipSchema: true, Kubeconfig: in.file, KubeContext: "here",
		})
		return err
	}},
	{"template, from the cluster", func(ctx context.Context, h *Helm, in argvInput) error {
		_, err := h.Template(ctx, in.chart, TemplateOptions{FromCluster: true, Kubeconfig: in.file, KubeContext: "here"})
		return err
	}},
}

type argvInput struct {
	chart string // a folder with a chart
	file  string // a file of YAML
	dir   string // an empty folder

	digest string // of an archive of the chart, as in an address
}

func TestArgv(t *testing.T) {
	for _, version := range []string{"v3.22.0", "v4.3.1"} {
		t.Run(version, func(t *testing.T) {
			run := newArgvRun(t, version)
			var got strings.Builder
			for _, test := range argvCases {
				got.WriteString("# " + test.name + "\n")
				for _, c := range run.lines(t, test.call) {
					assertBehindDashes(t, c)
					got.WriteString(c.line + "\n")
				}
				got.WriteString("\n")
			}
			golden := filepath.Join("testdata", "argv", version+".txt")
			if *update {
				require.NoError(t, os.MkdirAll(filepath.Dir(golden), 0o755))
				require.NoError(t, os.WriteFile(golden, []byte(got.String()), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			wantLines := strings.Split(string(want), "\n")
			for i, line := range strings.Split(got.String(), "\n") {
				require.Less(t, i, len(wantLines), "%s ends; then comes %s", golden, line)
				require.Equal(t, wantLines[i], line, "%s:%d; go test -run TestArgv -update writes it again", golden, i+1)
			}
		})
	}
}

type argvLine struct {
	call helmtest.Call
	line string
}

// argvRun is a fake that knows a release, web, a repository, known, and its chart.
type argvRun struct {
	h     *Helm
	fake  *helmtest.Fake
	in    argvInput
	names *strings.Replacer
}

func newArgvRun(t *testing.T, version string) argvRun { return newArgvRunOf(t, version, Config{}) }

func newArgvRunOf(t *testing.T, version string, cfg Config) argvRun {
	h, fake := withFake(t, cfg)
	fake.SetVersion(version)
	in := argvInput{chart: chartFolder(t, "web", "1.2.3"), file: filepath.Join(t.TempDir(), "file"), dir: t.TempDir()}
	require.NoError(t, os.WriteFile(in.file, []byte("b: 2\n"), 0o600))
	archive := packed(t, in.chart)
	in.digest = fmt.Sprintf("@sha256:%x", sha256.Sum256(archive))
	fake.AddArchive("web-1.2.3.tgz", archive)
	_, err := h.AddRepo(t.Context(), "https://known.example/charts", RepoOptions{Name: "known"})
	require.NoError(t, err)
	names := strings.NewReplacer(h.home.Path(), "HOME", in.chart, "CHART", in.file, "FILE", in.dir, "DIR", in.digest, "@DIGEST", recordTemplate, "TEMPLATE")
	return argvRun{h, fake, in, names}
}

// lines makes a call and returns the processes that it started.
func (r argvRun) lines(t *testing.T, call func(context.Context, *Helm, argvInput) error) []argvLine {
	t.Helper()
	r.fake.RemoveRelease("", "new")
	r.fake.RemoveRelease("team", "new")
	for revision := range 3 {
		r.fake.SetRelease(helmtest.Release{
			Name: "web", Revision: revision + 1, Chart: "web", ChartVersion: "1.0.0", Values: "{}", Labels: map[string]string{"helmexec/job": "7"},
		})
	}
	before := len(r.fake.Calls())
	require.NoError(t, call(t.Context(), r.h, r.in))
	var lines []argvLine
	for _, c := range r.fake.Calls()[before:] {
		if c.Command() == "version" {
			continue
		}
		line := r.names.Replace("helm " + strings.Join(c.Args, " "))
		for _, vary := range argvVaries {
			line = vary.pattern.ReplaceAllString(line, vary.name)
		}
		if c.Stdin != "" {
			line += fmt.Sprintf("  < %q", c.Stdin)
		}
		lines = append(lines, argvLine{c, line})
	}
	return lines
}

// argvVaries is what differs from run to run.
var argvVaries = []struct {
	pattern *regexp.Regexp
	name    string
}{
	{regexp.MustCompile(`helmexec/home=[0-9a-f]+`), "helmexec/home=ID"},
	{regexp.MustCompile(`helmexec/lock=[0-9a-f]+\.lock`), "helmexec/lock=ID"},
	{regexp.MustCompile(`helmexec/until=\d+`), "helmexec/until=TIME"},
	{regexp.MustCompile(`=[A-Z2-7]{26}\b`), "=RANDOM"},
	{regexp.MustCompile(`http://127\.0\.0\.1:\d+/[A-Z2-7]{26}\b`), "RELAY"},
	{regexp.MustCompile(`pull-\d+`), "pull-N"},
}

// assertBehindDashes checks that no argument can be taken for a flag, and no flag for an argument.
func assertBehindDashes(t *testing.T, c argvLine) {
	t.Helper()
	words := strings.Fields(c.call.Command())
	for _, a := range c.call.Args[len(words):] {
		if a == "--" {
			return
		}
		assert.Regexp(t, `^--[a-z-]+(=|$)`, a, c.line)
	}
}

// What begins with a dash is refused, or is behind "--".
func TestNothingFromOutsideBecomesAFlag(t *testing.T) {
	const evil = "--post-renderer=./evil.sh"
	h, fake := withFake(t, Config{})
	chart := chartFolder(t, "web", "1.2.3")
	calls := map[string]func() error{
		"release of install":   func() error { _, err := h.Install(t.Context(), evil, chart, InstallOptions{}); return err },
		"release of upgrade":   func() error { _, err := h.Upgrade(t.Context(), evil, chart, UpgradeOptions{}); return err },
		"release of uninstall": func() error { _, err := h.Uninstall(t.Context(), evil, UninstallOptions{}); return err },
		"release of status":    func() error { _, err := h.Status(t.Context(), evil, StatusOptions{}); return err },
		"release of readiness": func() error { _, err := h.Readiness(t.Context(), evil, ReadinessOptions{}); return err },
		"release of history":   func() error { _, err := h.History(t.Context(), evil, HistoryOptions{}); return err },
		"release of rollback":  func() error { _, err := h.Rollback(t.Context(), evil, RollbackOptions{}); return err },
		"release of values":    func() error { _, err := h.GetValues(t.Context(), evil, ValuesOptions{All: true}); return err },
		"release of test":      func() error { _, err := h.Test(t.Context(), evil, TestOptions{}); return err },
		"release of template": func() error {
			_, err := h.Template(t.Context(), chart, TemplateOptions{ReleaseName: evil})
			return err
		},
		"chart of install": func() error { _, err := h.Install(t.Context(), "web", evil, InstallOptions{}); return err },
		"chart of pull":    func() error { _, err := h.Pull(t.Context(), evil, t.TempDir(), ChartOptions{}); return err },
		"name of repo": func() error {
			_, err := h.AddRepo(t.Context(), "http://x.example", RepoOptions{Name: evil})
			return err
		},
		"removed repo": func() error { return h.RemoveRepo(t.Context(), evil) },
		"URL of repo":  func() error { _, err := h.AddRepo(t.Context(), evil, RepoOptions{}); return err },
		"namespace":    func() error { _, err := h.List(t.Context(), ListOptions{Namespace: evil}); return err },
		"version": func() error {
			_, err := h.Pull(t.Context(), "oci://x.example/web", t.TempDir(), ChartOptions{Version: evil})
			return err
		},
		"API version": func() error {
			_, err := h.Template(t.Context(), chart, TemplateOptions{APIVersions: []string{evil}})
			return err
		},
		"label": func() error {
			_, err := h.Install(t.Context(), "web", chart, InstallOptions{Labels: map[string]string{"a": "b,c=d"}})
			return err
		},
		"test name": func() error {
			_, err := h.Test(t.Context(), "web", TestOptions{Names: []string{"a,!name=b"}})
			return err
		},
	}
	for _, name := range sortedKeys(calls) {
		assert.ErrorIs(t, calls[name](), ErrInvalidArgument, name)
	}
	assert.Empty(t, fake.Commands())
}
