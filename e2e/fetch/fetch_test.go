package fetch

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/internal/chartrepo"
)

func TestPinnedIsServedFromTheCache(t *testing.T) {
	onBothHelms(t, func(b *bed) {
		repo := b.repository(chartrepo.Options{}, b.chart("web", "1.0.0", "us"))
		address := repo.URL + "/web:1.0.0"
		b.wantMaker(b.h, address, helmexec.ChartOptions{}, "us")
		b.wantProcesses("repo add", "pull")
		b.wantMaker(b.h, address, helmexec.ChartOptions{}, "us")
		b.wantMaker(b.NewHelm(nil), address, helmexec.ChartOptions{}, "us")
		_, err := b.h.ShowValues(b.ctx, repo.URL+"/web", helmexec.ChartOptions{Version: "1.0.0"})
		b.Must(err)
		b.wantProcesses()
		b.wantClean()
	})
}

func TestUnpinnedIsRefreshed(t *testing.T) {
	onBothHelms(t, func(b *bed) {
		repo := b.repository(chartrepo.Options{}, b.chart("web", "1.0.0", "first"))
		address := repo.URL + "/web"
		b.wantMaker(b.h, address, helmexec.ChartOptions{}, "first")
		b.wantProcesses("repo add", "pull") // the index that came with it is as new as the call
		b.wantMaker(b.h, address, helmexec.ChartOptions{}, "first")
		b.wantProcesses("repo update") // the archive is known by its digest
		b.Must(repo.Add(b.chart("web", "1.1.0", "second")))
		b.wantMaker(b.h, address, helmexec.ChartOptions{}, "second")
		b.wantProcesses("repo update", "pull")
		b.wantMaker(b.h, address, helmexec.ChartOptions{Version: "^1"}, "second")
		b.wantProcesses("repo update")
	})
}

func TestPushedASecondAgo(t *testing.T) {
	onBothHelms(t, func(b *bed) {
		repo := b.repository(chartrepo.Options{}, b.chart("web", "1.0.0", "first"))
		b.wantMaker(b.h, repo.URL+"/web:1.0.0", helmexec.ChartOptions{}, "first")
		b.Must(repo.Add(b.chart("web", "1.1.0", "second"), b.chart("other", "0.1.0", "third")))
		b.processes.take()
		b.wantMaker(b.h, repo.URL+"/web:1.1.0", helmexec.ChartOptions{}, "second")
		b.wantProcesses("repo update", "pull")
		b.wantMaker(b.h, repo.URL+"/other:0.1.0", helmexec.ChartOptions{}, "third")
		b.wantProcesses("pull") // the local index has it
		_, err := b.h.Fetch(b.ctx, repo.URL+"/web:9.0.0", helmexec.ChartOptions{})
		b.wantErr(err, helmexec.ErrChartNotFound)
		b.wantProcesses("repo update")
	})
}

func TestRefreshForces(t *testing.T) {
	onBothHelms(t, func(b *bed) {
		repo := b.repository(chartrepo.Options{}, b.chart("web", "1.0.0", "first"))
		address := repo.URL + "/web:1.0.0"
		b.wantMaker(b.h, address, helmexec.ChartOptions{}, "first")
		b.Must(repo.Add(b.chart("web", "1.0.0", "republished")))
		b.wantMaker(b.h, address, helmexec.ChartOptions{}, "first")
		b.processes.take()
		b.wantMaker(b.h, address, helmexec.ChartOptions{Refresh: true}, "republished")
		b.wantProcesses("repo update", "pull")
		b.wantMaker(b.h, address, helmexec.ChartOptions{}, "republished")
		b.wantProcesses()
	})
}

// Callers at one moment share the processes, also over two Helms on one home.
func TestCallersShare(t *testing.T) {
	onBothHelms(t, func(b *bed) {
		repo := b.repository(chartrepo.Options{}, b.chart("web", "1.0.0", "us"))
		other := b.NewHelm(nil)
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				h := b.h
				if i%2 == 1 {
					h = other
				}
				b.wantMaker(h, repo.URL+"/web", helmexec.ChartOptions{}, "us")
			})
		}
		all.Wait()
		if n := repo.Requests("web-1.0.0.tgz"); n != 1 {
			b.Errorf("the archive was fetched %d times", n)
		}
		if n := repo.Requests("index.yaml"); n > 3 {
			b.Errorf("the index was fetched %d times", n)
		}
		b.wantClean()
	})
}

// A repository that claims the digest of another's chart harms only its own users.
func TestHostileTwin(t *testing.T) {
	onBothHelms(t, func(b *bed) {
		good, bad := b.chart("web", "1.0.0", "good"), b.chart("web", "1.0.0", "bad")
		honest := b.repository(chartrepo.Options{}, good)
		hostile := b.repository(chartrepo.Options{}, bad)
		hostile.ClaimDigest("web", "1.0.0", good.Digest)
		plain := b.repository(chartrepo.Options{Prefix: "/plain"}, bad)
		plain.ClaimDigest("web", "1.0.0", "")

		claim := func() {
			b.Helper()
			_, err := b.h.Fetch(b.ctx, hostile.URL+"/web:1.0.0", helmexec.ChartOptions{})
			b.wantErr(err, helmexec.ErrDigestMismatch)
			for _, digest := range []string{good.Digest, bad.Digest} {
				if !strings.Contains(err.Error(), digest) {
					b.Errorf("the error does not name %s: %v", digest, err)
				}
			}
		}
		claim()
		b.wantMaker(b.h, plain.URL+"/web:1.0.0", helmexec.ChartOptions{}, "bad")
		b.wantMaker(b.h, honest.URL+"/web:1.0.0", helmexec.ChartOptions{}, "good")
		claim()
		b.wantMaker(b.h, plain.URL+"/web", helmexec.ChartOptions{}, "bad")
		b.wantMaker(b.h, honest.URL+"/web", helmexec.ChartOptions{}, "good")
		b.wantClean()
	})
}

func TestRepositoryNameReused(t *testing.T) {
	onBothHelms(t, func(b *bed) {
		first := b.repository(chartrepo.Options{}, b.chart("web", "1.0.0", "first"))
		second := b.repository(chartrepo.Options{}, b.chart("web", "1.0.0", "second"))
		named := helmexec.RepoOptions{Name: "shop"}
		_, err := b.h.AddRepo(b.ctx, first.URL, named)
		b.Must(err)
		b.wantMaker(b.h, "shop/web:1.0.0", helmexec.ChartOptions{}, "first")
		_, err = b.h.AddRepo(b.ctx, second.URL, named)
		b.wantErr(err, helmexec.ErrInvalidArgument)
		b.Must(b.h.RemoveRepo(b.ctx, "shop"))
		b.wantErr(b.h.RemoveRepo(b.ctx, "shop"), helmexec.ErrRepoNotFound)
		_, err = b.h.Fetch(b.ctx, "shop/web:1.0.0", helmexec.ChartOptions{})
		b.wantErr(err, helmexec.ErrRepoNotFound)
		_, err = b.h.AddRepo(b.ctx, second.URL, named)
		b.Must(err)
		b.wantMaker(b.h, "shop/web:1.0.0", helmexec.ChartOptions{}, "second")
		b.wantMaker(b.h, "shop/web", helmexec.ChartOptions{}, "second")
	})
}

// The version chosen is the one helm would choose.
func TestVersionIsHelms(t *testing.T) {
	onBothHelms(t, func(b *bed) {
		repo := b.repository(chartrepo.Options{AbsoluteURLs: true})
		for _, version := range []string{"1.0.0", "v1.2.0", "2.0.0-rc.1", "1.1.0+build.7", "0.9.0"} {
			b.Must(repo.Add(b.chart("web", version, "us")))
		}
		for want, got := range map[string]string{
			"": "v1.2.0", "v1.0.0": "1.0.0", "1.2.0": "v1.2.0", "1.1.0": "1.1.0+build.7", "1.1.0+build.7": "1.1.0+build.7",
			"^1.0": "v1.2.0", ">=1.0.0-0": "2.0.0-rc.1", "<1.0": "0.9.0", "2.0.0": "", "~3": "",
		} {
			ch, err := b.h.Fetch(b.ctx, repo.URL+"/web", helmexec.ChartOptions{Version: want})
			switch {
			case got == "":
				b.wantErr(err, helmexec.ErrChartNotFound)
			case err != nil:
				b.Errorf("version %q: %v", want, err)
			case ch.Metadata.Version != got:
				b.Errorf("version %q is %s, want %s", want, ch.Metadata.Version, got)
			}
			if helms := b.helmsChoice(repo.URL, want); helms != got {
				b.Errorf("version %q: helm chooses %q, this test wants %q", want, helms, got)
			}
		}
	})
}

// Addresses with odd parts.
func TestArchiveURL(t *testing.T) {
	onBothHelms(t, func(b *bed) {
		chart := b.chart("web", "1.0.0+x", "us")
		repo := b.repository(chartrepo.Options{Prefix: "/a b/c"}, chart)
		base := strings.ReplaceAll(repo.URL, " ", "%20")
		for _, address := range []string{base + "/web-1.0.0+x.tgz", base + "/web-1.0.0%2Bx.tgz?token=1"} {
			ch := b.wantMaker(b.h, address, helmexec.ChartOptions{}, "us")
			if ch.Digest != "sha256:"+chart.Digest {
				b.Errorf("digest %s", ch.Digest)
			}
		}
		b.wantProcesses("pull", "pull")
		dir := b.TempDir()
		path, err := b.h.Pull(b.ctx, base+"/web-1.0.0+x.tgz", dir, helmexec.ChartOptions{})
		b.Must(err)
		data, err := os.ReadFile(path)
		if err != nil || string(data) != string(chart.Data) || path != filepath.Join(dir, chart.Filename()) {
			b.Errorf("pulled %s, %v", path, err)
		}
		_, err = b.h.Fetch(b.ctx, base+"/none.tgz", helmexec.ChartOptions{})
		var e *helmexec.Error
		if !errors.As(err, &e) {
			b.Errorf("an archive that is not there: %v", err)
		}
		b.wantClean()
	})
}

func TestSearch(t *testing.T) {
	onBothHelms(t, func(b *bed) {
		repo := b.repository(chartrepo.Options{}, b.chart("web", "1.0.0", "us"), b.chart("web", "1.10.0", "us"), b.chart("web", "1.9.0", "us"))
		name, err := b.h.AddRepo(b.ctx, repo.URL, helmexec.RepoOptions{})
		b.Must(err)
		b.processes.take()
		found, err := b.h.ChartVersions(b.ctx, name+"/web", helmexec.ChartVersionsOptions{})
		b.Must(err)
		if len(found) != 3 || found[0].Version != "1.10.0" || found[2].Version != "1.0.0" {
			b.Errorf("found %v", found)
		}
		b.wantProcesses()
		_, err = b.h.ChartVersions(b.ctx, name+"/api", helmexec.ChartVersionsOptions{Refresh: true})
		b.wantErr(err, helmexec.ErrChartNotFound)
		b.wantProcesses("repo update")
		_, err = b.h.ChartVersions(b.ctx, "nobody/api", helmexec.ChartVersionsOptions{})
		b.wantErr(err, helmexec.ErrRepoNotFound)
	})
}
