package fetch

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/e2e/registry"
	"github.com/sut-bench/helmexec/internal/chartrepo"
)

// A repository that can say whether its index has changed is asked, by whatever process, and helm runs only if it has.
func TestUnchangedIndex(t *testing.T) {
	onBothHelms(t, func(b *bed) {
		const token = "s3cret-token"
		repo := b.repository(chartrepo.Options{ETags: true}, b.chart("web", "1.0.0", "first"))
		locked := chartrepo.New(chartrepo.Options{ETags: true, Token: token})
		b.Must(locked.Add(b.chart("web", "1.0.0", "first")))
		server := httptest.NewTLSServer(locked)
		b.Cleanup(server.Close)
		url := server.URL + "/charts"
		_, err := b.h.AddRepo(b.ctx, url, helmexec.RepoOptions{Token: token, CAFile: b.certificate(server)})
		b.Must(err)
		for _, r := range []struct {
			*chartrepo.Repo
			address string
		}{{repo.Repo, repo.URL + "/web"}, {locked, url + "/web"}} {
			asks := func(maker string, requests int, processes ...string) {
				b.Helper()
				r.ResetRequests()
				b.wantMaker(b.NewHelm(nil), r.address, helmexec.ChartOptions{}, maker)
				b.wantProcesses(processes...)
				if n := r.Requests("index.yaml"); n != requests {
					b.Errorf("the index was asked for %d times, want %d", n, requests)
				}
			}
			b.wantMaker(b.h, r.address, helmexec.ChartOptions{}, "first")
			b.wantMaker(b.h, r.address, helmexec.ChartOptions{}, "first")
			b.processes.take()
			asks("first", 1)
			b.Must(r.Add(b.chart("web", "1.1.0", "second")))
			asks("second", 1, "repo update", "pull")
			asks("second", 1)
			b.Must(r.Add(b.chart("web", "1.1.0", "republished")))
			asks("republished", 1, "repo update", "pull")
			b.wantMaker(b.h, r.address, helmexec.ChartOptions{Refresh: true}, "republished")
			b.wantProcesses("repo update") // the cache has the archive of the index's digest
			b.Must(b.h.UpdateRepos(b.ctx, helmexec.UpdateReposOptions{}))
			b.processes.take()
			asks("republished", 1)
		}
		b.wantClean()
	})
}

// A tag of a registry is asked for, with the log-in that helm keeps, and pulled only if it has moved.
func TestUnmovedTag(t *testing.T) {
	onBothHelms(t, func(b *bed) {
		plain := helmexec.SourceOptions{PlainHTTP: true}
		open := b.registry(registry.Options{})
		locked := b.registry(registry.Options{User: user, Password: first})
		b.Must(b.h.RegistryLogin(b.ctx, locked.Address, helmexec.RegistryOptions{Username: user, Password: first, Source: plain}))
		for _, r := range []*registry.Registry{open, locked} {
			address := "oci://" + r.Address + "/charts/web"
			push := func(version, maker string) {
				b.Helper()
				archive := filepath.Join(b.TempDir(), "web.tgz")
				b.Must(os.WriteFile(archive, b.chart("web", version, maker).Data, 0o600))
				_, err := b.h.Push(b.ctx, archive, "oci://"+r.Address+"/charts", plain)
				b.Must(err)
				b.processes.take()
			}
			asks := func(opts helmexec.ChartOptions, maker string, processes ...string) {
				b.Helper()
				opts.Source = plain
				b.wantMaker(b.NewHelm(nil), address, opts, maker)
				b.wantProcesses(processes...)
			}
			latest, exact := helmexec.ChartOptions{}, helmexec.ChartOptions{Version: "1.0.0", Refresh: true}
			push("1.0.0", "first")
			asks(latest, "first", "pull")
			asks(latest, "first")
			asks(exact, "first", "pull")
			asks(exact, "first")
			push("1.1.0", "second")
			asks(latest, "second", "pull")
			asks(latest, "second")
			push("1.0.0", "moved")
			asks(exact, "moved", "pull")
			asks(exact, "moved")

			// The same choice as helm's: what it pulled is what is in the cache.
			for _, version := range []string{"2.0.0-rc.1", "1.2.0+build.7", "0.9.0"} {
				push(version, version)
			}
			for version, maker := range map[string]string{"": "1.2.0+build.7", "^1.0": "1.2.0+build.7", "~1.0.0": "moved", "<1.0": "0.9.0", ">=1.0.0-0": "2.0.0-rc.1"} {
				opts := helmexec.ChartOptions{Version: version, Refresh: true}
				opts.Source = plain
				b.wantMaker(b.h, address, opts, maker) // helm's choice, unless another constraint has led there
				b.processes.take()
				asks(opts, maker)
			}
			versions, err := b.h.ChartVersions(b.ctx, address, helmexec.ChartVersionsOptions{Source: plain})
			b.Must(err)
			var listed []string
			for _, v := range versions {
				listed = append(listed, v.Version)
			}
			if want := []string{"2.0.0-rc.1", "1.2.0+build.7", "1.1.0", "1.0.0", "0.9.0"}; !slices.Equal(listed, want) {
				b.Errorf("listed %q, want %q", listed, want)
			}
			b.wantProcesses()
			asks(helmexec.ChartOptions{Version: "1.2.0+build.7"}, "1.2.0+build.7", "pull")
			asks(helmexec.ChartOptions{Version: "1.2.0+build.7", Refresh: true}, "1.2.0+build.7")
		}
		b.Must(b.h.RegistryLogout(b.ctx, locked.Address))
		address := "oci://" + locked.Address + "/charts/web"
		_, err := b.h.ChartVersions(b.ctx, address, helmexec.ChartVersionsOptions{Source: plain})
		b.wantErr(err, helmexec.ErrUnauthorized)
		for _, opts := range []helmexec.ChartOptions{{Source: plain}, {Source: plain, Version: "1.0.0", Refresh: true}} {
			_, err := b.h.Fetch(b.ctx, address, opts)
			b.wantErr(err, helmexec.ErrUnauthorized)
		}
		// What is in the cache under a version is served to whoever shares the home.
		b.processes.take()
		b.wantMaker(b.h, address, helmexec.ChartOptions{Source: plain, Version: "1.0.0"}, "moved")
		b.wantProcesses()
		b.wantClean()
	})
}
