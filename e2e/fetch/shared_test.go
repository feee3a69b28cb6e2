package fetch

import (
	"slices"
	"strings"
	"testing"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/internal/chartrepo"
	"github.com/sut-bench/helmexec/internal/tools"
)

// What one Helm has found out costs another with the same home no process; another version of helm finds it out itself.
func TestNextProcessStartsNoHelm(t *testing.T) {
	onBothHelms(t, func(b *bed) {
		repo := b.repository(chartrepo.Options{}, b.chart("web", "1.0.0", "us"))
		address := repo.URL + "/web:1.0.0"
		job := func(h *helmexec.Helm) string {
			b.Helper()
			version, err := h.Version(b.ctx)
			b.Must(err)
			info, err := h.Chart2Info(b.ctx, address, helmexec.ChartOptions{})
			b.Must(err)
			values := helmexec.Values{"image": "registry.example/web:2"}
			for _, chart := range []string{address, info.Archive} {
				images, err := h.Chart2Images(b.ctx, chart, helmexec.TemplateOptions{Values: values}, helmexec.ImageOptions{})
				b.Must(err)
				if !slices.Equal(images, []string{"registry.example/web:2"}) || info.Values["maker"] != "us" {
					b.Errorf("got %q, %v", images, info.Values)
				}
			}
			return version.Text
		}
		wantVersions := func(want int64) {
			b.Helper()
			if got := b.processes.versions.Swap(0); got != want {
				b.Errorf("helm was asked for its version %d times, want %d", got, want)
			}
		}
		version := job(b.h)
		b.wantProcesses("repo add", "pull", "template")
		wantVersions(1)
		if again := job(b.NewHelm(nil)); again != version {
			b.Errorf("the version is %s, and then %s", version, again)
		}
		b.wantProcesses()
		wantVersions(0)

		other := b.NewHelm(func(cfg *helmexec.Config) {
			name := map[bool]string{true: "helm3", false: "helm4"}[strings.HasPrefix(version, "v4.")]
			binary, err := tools.Path(name)
			b.Must(err)
			cfg.Binary = binary
		})
		if another := job(other); another == version {
			b.Errorf("both helms are %s", another)
		}
		b.wantProcesses("template")
		wantVersions(1)
		if again := job(b.NewHelm(nil)); again != version {
			b.Errorf("the version is %s, and %s after another helm used the home", version, again)
		}
		b.wantProcesses()
		wantVersions(0)

		_, err := b.NewHelm(nil).Template(b.ctx, address, helmexec.TemplateOptions{})
		b.Must(err)
		b.wantProcesses("template")
		b.wantClean()
	})
}
