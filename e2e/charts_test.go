package e2e

import (
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/internal/chartrepo"
)

var plainHTTP = helmexec.SourceOptions{PlainHTTP: true}

// repositoryAtAPort: a URL with a port gets a name that works in a chart reference.
func repositoryAtAPort(b *bed) {
	h := b.newHelm(func(cfg *helmexec.Config) { cfg.Home = b.TempDir() })
	name, err := h.AddRepo(b.ctx, b.repo.URL, helmexec.RepoOptions{})
	b.must(err)
	again, err := h.AddRepo(b.ctx, b.repo.URL+"/", helmexec.RepoOptions{})
	b.must(err)
	if again != name {
		b.Errorf("the same URL is named %q and %q", name, again)
	}
	repos, err := h.Repos(b.ctx)
	b.must(err)
	if want := []helmexec.Repo{{Name: name, URL: b.repo.URL}}; !slices.Equal(repos, want) {
		b.Errorf("repositories are %v, want %v", repos, want)
	}
	info, err := h.Chart2Info(b.ctx, name+"/webapp", helmexec.ChartOptions{})
	b.must(err)
	if info.Name != "webapp" || info.Repo != name {
		b.Errorf("found chart %q of repository %q", info.Name, info.Repo)
	}
	b.must(h.RemoveRepo(b.ctx, name))
	_, err = h.Chart2Info(b.ctx, name+"/webapp", helmexec.ChartOptions{})
	b.wantErr(err, helmexec.ErrRepoNotFound, name)
}

// updateWithADeadRepository: Helm 3 by itself calls it a success.
func updateWithADeadRepository(b *bed) {
	repo, err := chartrepo.Start("", chartrepo.Options{})
	b.must(err)
	b.must(repo.AddDir(sutChart))
	h := b.newHelm(func(cfg *helmexec.Config) {
		cfg.Home, cfg.Retry.Tries = b.TempDir(), 1
	})
	dead, err := h.AddRepo(b.ctx, repo.URL, helmexec.RepoOptions{})
	b.must(err)
	alive, err := h.AddRepo(b.ctx, b.repo.URL, helmexec.RepoOptions{})
	b.must(err)
	b.must(h.UpdateRepos(b.ctx, helmexec.UpdateReposOptions{}))

	repair := repo.Inject(chartrepo.Fault{Status: http.StatusServiceUnavailable})
	b.wantErr(h.UpdateRepos(b.ctx, helmexec.UpdateReposOptions{}), nil, "503")
	repair()
	b.must(h.UpdateRepos(b.ctx, helmexec.UpdateReposOptions{}))

	b.must(repo.Close())
	b.wantErr(h.UpdateRepos(b.ctx, helmexec.UpdateReposOptions{}), nil, "connection refused")
	b.wantErr(h.UpdateRepos(b.ctx, helmexec.UpdateReposOptions{Names: []string{dead}}), nil)
	b.must(h.UpdateRepos(b.ctx, helmexec.UpdateReposOptions{Names: []string{alive}}))
	b.wantErr(h.UpdateRepos(b.ctx, helmexec.UpdateReposOptions{Names: []string{"nobody"}}), helmexec.ErrRepoNotFound, "nobody")
}

func (b *bed) sutAddresses() map[string]string {
	b.Helper()
	name, err := b.h.AddRepo(b.ctx, b.repo.URL, helmexec.RepoOptions{})
	b.must(err)
	return map[string]string{
		"repository":        b.repo.URL + "/sut",
		"version":           b.repo.URL + "/sut:0.1.0",
		"name":              name + "/sut",
		"name and version":  name + "/sut:0.1.0",
		"archive URL":       b.repo.URL + "/sut-0.1.0.tgz",
		"registry":          b.oci + "/sut",
		"registry, version": b.oci + "/sut:0.1.0",
		"archive":           b.archive,
		"folder":            sutChart,
	}
}

func chartByEveryAddress(b *bed) {
	for form, address := range b.sutAddresses() {
		info, err := b.h.Chart2Info(b.ctx, address, helmexec.ChartOptions{Source: plainHTTP})
		if err != nil {
			b.Errorf("%s: %v", form, err)
			continue
		}
		if info.Name != "sut" || info.Version != "0.1.0" || info.Values["greeting"] != "hello" {
			b.Errorf("%s: got %s %s with greeting %v", form, info.Name, info.Version, info.Values["greeting"])
		}
	}
}

func chartThatIsNotThere(b *bed) {
	name, err := b.h.AddRepo(b.ctx, b.repo.URL, helmexec.RepoOptions{})
	b.must(err)
	for address, want := range map[string]error{
		b.repo.URL + "/nosuch":         helmexec.ErrChartNotFound,
		b.repo.URL + "/sut:9.9.9":      helmexec.ErrChartNotFound,
		name + "/nosuch":               helmexec.ErrChartNotFound,
		b.repo.URL + "/nosuch-1.0.tgz": helmexec.ErrChartNotFound,
		b.oci + "/nosuch":              helmexec.ErrChartNotFound,
		b.oci + "/sut:9.9.9":           helmexec.ErrChartNotFound,
		"/nowhere/chart.tgz":           helmexec.ErrChartNotFound,
		"nobody/sut":                   helmexec.ErrRepoNotFound,
		strings.TrimSuffix(b.repo.URL, "/charts") + "/nothing/sut": helmexec.ErrRepoNotFound,
		"ftp://host/sut": helmexec.ErrInvalidArgument,
	} {
		_, err := b.h.Install(b.ctx, "missing", address, helmexec.InstallOptions{Source: plainHTTP})
		b.wantErr(err, want)
		if helmexec.IsTransient(err) {
			b.Errorf("%s: %v is called transient", address, err)
		}
	}
	b.wantLeft(nil)
}

var wantImages = map[string][]string{
	"argo-benchmark": {
		"docker.io/library/python:3.12-slim", "ghcr.io/sut-bench/base:1.0.0", "ghcr.io/sut-bench/clock-check:0.2.0",
		"ghcr.io/sut-bench/load-generator:2.1.0", "ghcr.io/sut-bench/monitor:3.0.1", "ghcr.io/sut-bench/recorder:0.9.4",
		"ghcr.io/sut-bench/report:1.8.2", "ghcr.io/sut-bench/smoke-test:1.0.3", "ghcr.io/sut-bench/warm-up:1.1.0",
	},
	"gpu-inference": {
		"docker.io/vllm/vllm-openai:v0.6.6", "ghcr.io/sut-bench/model-downloader:1.4.0",
		"nvcr.io/nvidia/k8s/dcgm-exporter:3.3.9-3.6.1-ubuntu22.04",
	},
	"stack": {
		"docker.io/library/redis:7.4.1-alpine", "ghcr.io/sut-bench/stack-api:2.0.0", "ghcr.io/sut-bench/stack-migrate:2.0.0",
		"ghcr.io/sut-bench/stack-register:1.3.0", "ghcr.io/sut-bench/stack-test:2.0.0",
	},
	"webapp": {"docker.io/fluent/fluent-bit:3.2.4", "docker.io/library/nginx:1.27.3", "quay.io/curl/curl:8.11.1"},
}

func imagesOfTheCharts(b *bed) {
	for chart, want := range wantImages {
		got, err := b.h.Chart2Images(b.ctx, b.repo.URL+"/"+chart, helmexec.TemplateOptions{}, helmexec.ImageOptions{})
		b.must(err)
		if !slices.Equal(got, want) {
			b.Errorf("%s: got %q\nwant %q", chart, got, want)
		}
	}
	if charts, _ := filepath.Glob(chartsDir + "/*"); len(charts) != len(wantImages)+1 {
		b.Errorf("%d charts are expected to have images, and one is broken, of %q", len(wantImages), charts)
	}
	_, err := b.h.Chart2Images(b.ctx, chartsDir+"/broken-template", helmexec.TemplateOptions{}, helmexec.ImageOptions{})
	b.wantErr(err, nil, "tag is required")
}

// chartFolderWithLinks: links within the chart's folder are followed, but none that leads out.
func chartFolderWithLinks(b *bed) {
	configMap := func(name string) string {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\n"
	}
	chart := b.folder(map[string]string{
		"dep/Chart.yaml": "apiVersion: v2\nname: dep\nversion: 1.0.0\n", "dep/templates/a.yaml": configMap("of-the-dependency"),
		"shared/b.yaml": configMap("shared-{{ .Template.Name | base }}"),
	})
	b.must(os.Mkdir(filepath.Join(chart, "charts"), 0o700))
	for link, target := range map[string]string{
		"charts/dep": "../dep", "templates": "shared", "shared/c.yaml": filepath.Join(chart, "shared/b.yaml"),
	} {
		b.must(os.Symlink(target, filepath.Join(chart, link)))
	}
	m, err := b.h.Template(b.ctx, chart, helmexec.TemplateOptions{})
	b.must(err)
	places, err := m.Index()
	b.must(err)
	var names []string
	for _, place := range places {
		names = append(names, place.Object.Name)
	}
	slices.Sort(names)
	if want := []string{"of-the-dependency", "shared-b.yaml", "shared-c.yaml"}; !slices.Equal(names, want) {
		b.Errorf("rendered %q, want %q", names, want)
	}

	b.must(os.Symlink("../..", filepath.Join(chart, "shared/out")))
	_, err = b.h.Template(b.ctx, chart, helmexec.TemplateOptions{})
	b.wantErr(err, helmexec.ErrBadChart, "shared/out leads out of the folder")

	// Helm shows the file that a link leads to in what lint says, and packs it.
	thief := b.folder(map[string]string{"templates/a.yaml": `{{ include (.Files.Get "out") . }}`})
	secret := filepath.Join(b.TempDir(), "secret")
	b.must(os.WriteFile(secret, []byte("hunter2"), 0o600))
	b.must(os.Symlink(secret, filepath.Join(thief, "out")))
	for _, skip := range []bool{false, true} {
		messages, err := b.h.Lint(b.ctx, thief, helmexec.LintOptions{SkipSchema: skip})
		b.wantErr(err, helmexec.ErrBadChart, "out leads out of the folder")
		if len(messages) > 0 {
			b.Errorf("messages: %q", messages)
		}
	}
	_, err = b.h.Package(b.ctx, thief, b.TempDir(), helmexec.PackageOptions{})
	b.wantErr(err, helmexec.ErrBadChart, "out leads out of the folder")
}

func chartIsShownRenderedPulled(b *bed) {
	address := b.repo.URL + "/sut"
	metadata, err := b.h.ShowChart(b.ctx, address, helmexec.ChartOptions{})
	b.must(err)
	if metadata.Name != "sut" || metadata.AppVersion != "1.0" {
		b.Errorf("metadata is %+v", metadata)
	}
	values, err := b.h.ShowValues(b.ctx, address, helmexec.ChartOptions{Version: "~0.1"})
	b.must(err)
	if keys := slices.Sorted(maps.Keys(values)); len(keys) != 10 || keys[0] != "configMaps" {
		b.Errorf("values are %v", values)
	}
	ch, err := b.h.Fetch(b.ctx, address, helmexec.ChartOptions{Version: "0.1.0"})
	b.must(err)

	dir := b.TempDir()
	path, err := b.h.Pull(b.ctx, address, dir, helmexec.ChartOptions{})
	b.must(err)
	pulled, err := os.ReadFile(path)
	b.must(err)
	cached, err := os.ReadFile(ch.Path)
	b.must(err)
	if files, _ := os.ReadDir(dir); len(files) != 1 || filepath.Base(path) != "sut-0.1.0.tgz" || !slices.Equal(pulled, cached) {
		b.Errorf("pulled %s of %d bytes, and fetched %d", path, len(pulled), len(cached))
	}

	for want, opts := range map[string]helmexec.TemplateOptions{
		helmexec.DefaultKubeVersion: {Values: helmexec.Values{"greeting": "good day"}},
		"v1.29.7":                   {KubeVersion: "1.29.7", Values: helmexec.Values{"greeting": "good day"}},
		"v1.34.4":                   {FromCluster: true, Values: helmexec.Values{"greeting": "good day"}},
	} {
		m, err := b.h.Template(b.ctx, address, opts)
		b.must(err)
		for _, text := range []string{"kubernetes: " + want, `greeting: "good day"`} {
			if !strings.Contains(string(m), text) {
				b.Errorf("the manifest for %s has no %q:\n%s", want, text, m)
			}
		}
	}
}
