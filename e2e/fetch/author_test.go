package fetch

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/e2e/registry"
	"github.com/sut-bench/helmexec/internal/chartrepo"
)

// folder writes the files of a chart.
func (b *bed) folder(files map[string]string) string {
	b.Helper()
	dir := b.TempDir()
	for name, text := range files {
		b.Must(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		b.Must(os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	return dir
}

func TestPackageAndPush(t *testing.T) {
	onBothHelms(t, func(b *bed) {
		r := b.registry(registry.Options{})
		plain := helmexec.SourceOptions{PlainHTTP: true}
		chart := b.folder(map[string]string{"Chart.yaml": "apiVersion: v2\nname: web\nversion: 0.1.0\n", "values.yaml": "maker: us\n"})
		dir := b.TempDir()
		path, err := b.h.Package(b.ctx, chart, dir, helmexec.PackageOptions{Version: "1.2.0+build.7", AppVersion: "9"})
		b.Must(err)
		if want := filepath.Join(dir, "web-1.2.0+build.7.tgz"); path != want {
			b.Errorf("packaged %s, want %s", path, want)
		}
		if left, _ := os.ReadDir(dir); len(left) != 1 {
			b.Errorf("the folder has %v", left)
		}
		pushed, err := b.h.Push(b.ctx, path, "oci://"+r.Address+"/charts", plain)
		b.Must(err)
		if want := "oci://" + r.Address + "/charts/web:1.2.0_build.7"; pushed.Ref != want || !strings.HasPrefix(pushed.Digest, "sha256:") {
			b.Errorf("pushed %+v, want %s", pushed, want)
		}

		name := "oci://" + r.Address + "/charts/web"
		options := helmexec.ChartOptions{Source: plain}
		b.processes.take()
		ch := b.wantMaker(b.h, name+":1.2.0+build.7", options, "us")
		if ch.Metadata.AppVersion != "9" || ch.Metadata.Version != "1.2.0+build.7" {
			b.Errorf("fetched %+v", ch.Metadata)
		}
		elsewhere := b.NewHelm(func(cfg *helmexec.Config) { cfg.Home = b.TempDir() })
		b.wantMaker(elsewhere, name+"@"+pushed.Digest, options, "us")
		b.wantProcesses("pull", "pull")
		b.wantMaker(b.h, name+":1.2.0+build.7", options, "us")
		b.wantMaker(b.h, name+"@"+pushed.Digest, options, "us")
		b.wantProcesses()
		b.wantMaker(b.h, name, options, "us")
		b.wantMaker(b.h, name, options, "us")
		b.wantProcesses("pull") // the latest can be another at any time, and the registry was asked
		for _, missing := range []string{name + ":9.9.9", name + "x:1.0.0", name + "@sha256:" + strings.Repeat("0", 64)} {
			_, err := b.h.Fetch(b.ctx, missing, options)
			b.wantErr(err, helmexec.ErrChartNotFound)
		}
		b.wantClean()
	})
}

func TestPushRefuses(t *testing.T) {
	onBothHelms(t, func(b *bed) {
		chart := b.folder(map[string]string{"Chart.yaml": "apiVersion: v2\nname: web\nversion: 0.1.0\n"})
		for _, registry := range []string{"http://127.0.0.1/x", "oci://", "oci://ann:s3cret@127.0.0.1/x", "oci://-x/y"} {
			_, err := b.h.Push(b.ctx, chart, registry, helmexec.SourceOptions{})
			b.wantErr(err, helmexec.ErrInvalidArgument)
			if strings.Contains(err.Error(), "s3cret") {
				b.Error(err)
			}
		}
		_, err := b.h.Push(b.ctx, chart, "oci://127.0.0.1:1/x", helmexec.SourceOptions{})
		b.wantErr(err, helmexec.ErrInvalidArgument) // a folder
		_, err = b.h.Push(b.ctx, chart+"/none.tgz", "oci://127.0.0.1:1/x", helmexec.SourceOptions{})
		b.wantErr(err, helmexec.ErrChartNotFound)
		b.wantProcesses()
	})
}

func TestLint(t *testing.T) {
	onBothHelms(t, func(b *bed) {
		const chartYAML = "apiVersion: v2\nname: web\nversion: 0.1.0\n"
		good := b.folder(map[string]string{"Chart.yaml": chartYAML, "values.yaml": "a: 1\n",
			"templates/cm.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ required \"a name\" .Values.name }}\n"})
		messages, err := b.h.Lint(b.ctx, good, helmexec.LintOptions{Values: helmexec.Values{"name": "x"}})
		b.Must(err)
		if len(messages) == 0 || messages[0].Severity != "INFO" || messages[0].Path != "Chart.yaml" {
			b.Errorf("messages: %+v", messages)
		}
		bad := b.folder(map[string]string{"Chart.yaml": "apiVersion: v2\nname: web\nversion: none\n", "values.yaml": "{}\n",
			"templates/cm.yaml": "apiVersion: v1\nkind: {{ .Values.a.b.c }\n"})
		messages, err = b.h.Lint(b.ctx, bad, helmexec.LintOptions{})
		b.wantErr(err, helmexec.ErrLintFailed)
		var errors []string
		for _, m := range messages {
			if m.Severity == "ERROR" {
				errors = append(errors, m.Path+": "+m.Text)
			}
		}
		if text := fmt.Sprint(errors); !strings.Contains(text, "Chart.yaml: version") || !strings.Contains(text, "templates/") {
			b.Errorf("messages: %+v", messages)
		}
		_, err = b.h.Lint(b.ctx, bad+"/none", helmexec.LintOptions{})
		b.wantErr(err, helmexec.ErrChartNotFound)
	})
}

func TestDependencyBuild(t *testing.T) {
	onBothHelms(t, func(b *bed) {
		repo := b.repository(chartrepo.Options{Username: user, Password: first}, b.chart("db", "1.0.0", "us"))
		dead := b.repository(chartrepo.Options{}, b.chart("x", "1.0.0", "us"))
		_, err := b.h.AddRepo(b.ctx, repo.URL, helmexec.RepoOptions{Username: user, Password: first, Name: "shop"})
		b.Must(err)
		_, err = b.h.AddRepo(b.ctx, dead.URL, helmexec.RepoOptions{})
		b.Must(err)
		b.Must(dead.Close())
		asked := dead.Requests("")
		for _, repository := range []string{repo.URL, "@shop", "alias:shop"} {
			chart := b.folder(map[string]string{"Chart.yaml": fmt.Sprintf(
				"apiVersion: v2\nname: web\nversion: 0.1.0\ndependencies:\n- name: db\n  version: ^1\n  repository: %q\n", repository)})
			b.Must(b.h.DependencyBuild(b.ctx, chart))
			if _, err := os.Stat(filepath.Join(chart, "charts", "db-1.0.0.tgz")); err != nil {
				b.Errorf("%s: %v", repository, err)
			}
			b.Must(b.h.DependencyBuild(b.ctx, chart)) // with the lock file now
		}
		if dead.Requests("") != asked {
			b.Error("a repository that is not the chart's was asked")
		}
		chart := b.folder(map[string]string{"Chart.yaml": "apiVersion: v2\nname: web\nversion: 0.1.0\ndependencies:\n- name: none\n  version: ^1\n  repository: \"@shop\"\n"})
		if err := b.h.DependencyBuild(b.ctx, chart); err == nil {
			b.Error("a dependency that is not there was built")
		}
		b.wantClean()
	})
}
