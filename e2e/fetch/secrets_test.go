package fetch

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/e2e/registry"
	"github.com/sut-bench/helmexec/internal/chartrepo"
)

const (
	user   = "ann"
	first  = "s3cret/one@x:1%" // with what a URL has to escape
	second = "s3cret-two"
)

// spyOn makes helm a script that writes down its command line and environment before it becomes
// helm, and collects the log. Everything that must be free of secrets is then in the folder it
// returns.
func (b *bed) spyOn() (dir string, log *lockedBuffer) {
	b.Helper()
	dir, log = b.TempDir(), &lockedBuffer{}
	script := filepath.Join(b.TempDir(), "helm")
	text := fmt.Sprintf("#!/bin/sh\ncat /proc/$$/cmdline /proc/$$/environ > %s/$$\nexec %s \"$@\"\n", dir, b.Cfg.Binary)
	b.Must(os.WriteFile(script, []byte(text), 0o700))
	b.Cfg.Binary, b.Cfg.Logger = script, slog.New(slog.NewTextHandler(log, nil))
	b.h = b.NewHelm(nil)
	return dir, log
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// wantNoSecret looks for the secrets of this file, also as a URL escapes them, in everything that
// was shown or that other users can read: command lines, environments, logs, errors, results.
func (b *bed) wantNoSecret(dir string, log *lockedBuffer, said ...any) {
	b.Helper()
	seen := map[string]string{"the log": log.String(), "what was returned": fmt.Sprintf("%+v", said)}
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(files) == 0 {
		b.Error("no helm was seen")
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		b.Must(err)
		seen["a process"] += string(text)
	}
	for where, text := range seen {
		for _, secret := range []string{first, second, "s3cret"} {
			if at := strings.Index(text, secret); at >= 0 {
				b.Errorf("%s has a secret: …%.120q", where, text[max(0, at-60):])
			}
		}
	}
}

func withUser(url, password string) string {
	return strings.Replace(url, "://", "://"+user+":"+strings.NewReplacer("/", "%2F", "@", "%40", ":", "%3A", "%", "%25").Replace(password)+"@", 1)
}

func TestBasicAuthentication(t *testing.T) {
	onBothHelms(t, func(b *bed) {
		dir, log := b.spyOn()
		var said []any
		repo := b.repository(chartrepo.Options{Username: user, Password: first}, b.chart("web", "1.0.0", "us"))

		// Without, wrong, then right, as options.
		_, err := b.h.AddRepo(b.ctx, repo.URL, helmexec.RepoOptions{})
		b.wantErr(err, helmexec.ErrUnauthorized)
		_, wrong := b.h.AddRepo(b.ctx, repo.URL, helmexec.RepoOptions{Username: user, Password: second})
		b.wantErr(wrong, helmexec.ErrUnauthorized)
		name, err := b.h.AddRepo(b.ctx, repo.URL, helmexec.RepoOptions{Username: user, Password: first})
		b.Must(err)
		b.Must(b.h.UpdateRepos(b.ctx, helmexec.UpdateReposOptions{}))
		said = append(said, err, wrong, name, b.wantMaker(b.h, name+"/web:1.0.0", helmexec.ChartOptions{}, "us"))

		// In the URL of a repository, of a chart and of an archive.
		h := b.NewHelm(func(cfg *helmexec.Config) { cfg.Home = b.TempDir() })
		name, err = h.AddRepo(b.ctx, withUser(repo.URL, first), helmexec.RepoOptions{})
		b.Must(err)
		repos, err := h.Repos(b.ctx)
		b.Must(err)
		said = append(said, name, repos, b.wantMaker(h, name+"/web", helmexec.ChartOptions{}, "us"))
		h = b.NewHelm(func(cfg *helmexec.Config) { cfg.Home = b.TempDir() })
		ch, err := h.Fetch(b.ctx, withUser(repo.URL, first)+"/web:1.0.0", helmexec.ChartOptions{})
		b.Must(err)
		said = append(said, ch)
		ch, err = h.Fetch(b.ctx, withUser(repo.URL, first)+"/web-1.0.0.tgz", helmexec.ChartOptions{})
		b.Must(err)
		said = append(said, ch)
		for _, address := range []string{"/web-1.0.0.tgz", "/none.tgz", "/web:^1", "/ /x", "/web:bad version"} {
			_, err = b.NewHelm(func(cfg *helmexec.Config) { cfg.Home = b.TempDir() }).Fetch(b.ctx, withUser(repo.URL, second)+address, helmexec.ChartOptions{})
			if err == nil {
				b.Errorf("%s was fetched with a wrong password", address)
			}
			said = append(said, err)
		}
		// A token in the query of an archive's address.
		_, err = h.Fetch(b.ctx, repo.URL+"/none.tgz?token=s3cret", helmexec.ChartOptions{})
		said = append(said, err)
		b.wantNoSecret(dir, log, said...)
		b.wantClean()
	})
}

// A password that was changed at the repository is changed by adding it again.
func TestChangedPassword(t *testing.T) {
	onBothHelms(t, func(b *bed) {
		chart := b.chart("web", "1.0.0", "us")
		locks := map[string]*chartrepo.Repo{}
		for _, password := range []string{first, second} {
			locks[password] = chartrepo.New(chartrepo.Options{Username: user, Password: password})
			b.Must(locks[password].Add(chart))
		}
		server := httptest.NewServer(locks[first])
		b.Cleanup(server.Close)
		url := server.URL + "/charts"
		name, err := b.h.AddRepo(b.ctx, url, helmexec.RepoOptions{Username: user, Password: first})
		b.Must(err)
		server.Config.Handler = locks[second]
		if err := b.h.UpdateRepos(b.ctx, helmexec.UpdateReposOptions{}); err == nil {
			b.Error("the old password still works")
		}
		// A wrong password does not replace the stored one.
		_, err = b.h.AddRepo(b.ctx, url, helmexec.RepoOptions{Username: user, Password: "wrong"})
		b.wantErr(err, helmexec.ErrUnauthorized)
		again, err := b.h.AddRepo(b.ctx, withUser(url, second), helmexec.RepoOptions{})
		b.Must(err)
		if again != name {
			b.Errorf("the repository has two names: %s and %s", name, again)
		}
		b.Must(b.h.UpdateRepos(b.ctx, helmexec.UpdateReposOptions{}))
		b.wantMaker(b.h, name+"/web", helmexec.ChartOptions{}, "us")
		b.wantClean()
	})
}

func TestTLS(t *testing.T) {
	onBothHelms(t, func(b *bed) {
		repo := chartrepo.New(chartrepo.Options{})
		b.Must(repo.Add(b.chart("web", "1.0.0", "us")))
		server := httptest.NewUnstartedServer(repo)
		server.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		server.StartTLS()
		b.Cleanup(server.Close)
		ca := filepath.Join(b.TempDir(), "ca.pem")
		b.Must(os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
		url := server.URL + "/charts"

		_, err := b.h.AddRepo(b.ctx, url, helmexec.RepoOptions{})
		b.wantErr(err, helmexec.ErrRepoNotFound)
		name, err := b.h.AddRepo(b.ctx, url, helmexec.RepoOptions{CAFile: ca})
		b.Must(err)
		b.wantMaker(b.h, name+"/web", helmexec.ChartOptions{}, "us")
		_, err = b.h.Fetch(b.ctx, url+"/web-1.0.0.tgz", helmexec.ChartOptions{})
		if err == nil {
			b.Error("an archive from a server that nobody vouches for")
		}
		for _, source := range []helmexec.SourceOptions{{CAFile: ca}, {InsecureSkipTLSVerify: true}} {
			b.wantMaker(b.h, url+"/web-1.0.0.tgz", helmexec.ChartOptions{Source: source}, "us")
		}

		h := b.NewHelm(func(cfg *helmexec.Config) { cfg.Home = b.TempDir() })
		name, err = h.AddRepo(b.ctx, url, helmexec.RepoOptions{InsecureSkipTLSVerify: true})
		b.Must(err)
		b.wantMaker(h, name+"/web", helmexec.ChartOptions{}, "us")
		b.processes.take()
		_, err = h.AddRepo(b.ctx, url, helmexec.RepoOptions{CAFile: ca})
		b.Must(err)
		b.wantProcesses("repo add") // it is reached in another way now
	})
}

// Helm knows no bearer tokens; a repository that needs one is used like any other.
func TestBearerToken(t *testing.T) {
	const right, wrong = "s3cret-token.right==", "s3cret-token.wrong=="
	onBothHelms(t, func(b *bed) {
		dir, log := b.spyOn()
		repo := b.repository(chartrepo.Options{Token: right}, b.chart("web", "1.0.0", "us"))
		_, without := b.h.AddRepo(b.ctx, repo.URL, helmexec.RepoOptions{})
		b.wantErr(without, helmexec.ErrUnauthorized)
		_, denied := b.h.AddRepo(b.ctx, repo.URL, helmexec.RepoOptions{Token: wrong})
		b.wantErr(denied, helmexec.ErrUnauthorized)
		if !strings.Contains(denied.Error(), repo.URL+"/index.yaml : 401") {
			b.Errorf("it does not say what was denied: %v", denied)
		}
		name, err := b.h.AddRepo(b.ctx, repo.URL, helmexec.RepoOptions{Token: right})
		b.Must(err)
		ch := b.wantMaker(b.h, name+"/web", helmexec.ChartOptions{}, "us")
		b.Must(repo.Add(b.chart("web", "1.1.0", "us")))
		counted := b.NewHelm(func(cfg *helmexec.Config) { cfg.Logger = slog.New(b.processes) })
		again := b.wantMaker(counted, repo.URL+"/web:1.1.0", helmexec.ChartOptions{}, "us")
		b.wantProcesses("repo update", "pull")

		// Another token replaces the stored one only if it works.
		_, err = b.h.AddRepo(b.ctx, repo.URL, helmexec.RepoOptions{Token: wrong})
		b.wantErr(err, helmexec.ErrUnauthorized)
		b.Must(b.h.UpdateRepos(b.ctx, helmexec.UpdateReposOptions{}))
		b.Must(repo.Close())
		gone := b.h.UpdateRepos(b.ctx, helmexec.UpdateReposOptions{})
		if gone == nil || !strings.Contains(gone.Error(), "connection refused") {
			b.Errorf("a repository that is gone: %v", gone)
		}
		b.wantNoSecret(dir, log, without, denied, err, ch, again, gone)
		b.wantClean()

		// The limits apply to what comes through the relay, and so do TLS files.
		charts := chartrepo.New(chartrepo.Options{Token: right})
		b.Must(charts.Add(b.chart("web", "1.0.0", "us")))
		server := httptest.NewTLSServer(charts)
		b.Cleanup(server.Close)
		ca := filepath.Join(b.TempDir(), "ca.pem")
		b.Must(os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
		_, err = b.h.AddRepo(b.ctx, server.URL+"/charts", helmexec.RepoOptions{Token: right})
		if err == nil || !strings.Contains(err.Error(), "certificate signed by unknown authority") {
			b.Errorf("a server that nobody vouches for: %v", err)
		}
		name, err = b.h.AddRepo(b.ctx, server.URL+"/charts", helmexec.RepoOptions{Token: right, CAFile: ca})
		b.Must(err)
		b.wantMaker(b.h, name+"/web", helmexec.ChartOptions{}, "us")
		charts.Inject(chartrepo.Fault{Size: 2 << 30})
		err = b.NewHelm(small).UpdateRepos(b.ctx, helmexec.UpdateReposOptions{Names: []string{name}})
		b.wantRefused(err, helmexec.ErrOutputTooLarge)
		b.wantClean()
	})
}

func (b *bed) registry(opts registry.Options) *registry.Registry {
	b.Helper()
	if err := registry.Available(); err != nil {
		b.Skip(err)
	}
	r, err := registry.Start(b.ctx, opts)
	b.Must(err)
	b.Cleanup(r.Stop)
	return r
}

func TestRegistryLogin(t *testing.T) {
	onBothHelms(t, func(b *bed) {
		dir, log := b.spyOn()
		r := b.registry(registry.Options{User: user, Password: first})
		plain := helmexec.SourceOptions{PlainHTTP: true}
		archive := filepath.Join(b.TempDir(), "web-1.0.0.tgz")
		b.Must(os.WriteFile(archive, b.chart("web", "1.0.0", "us").Data, 0o600))
		push := func() error {
			_, err := b.h.Push(b.ctx, archive, "oci://"+r.Address+"/charts", plain)
			return err
		}
		before := push()
		wrong := b.h.RegistryLogin(b.ctx, r.Address, helmexec.RegistryOptions{Username: user, Password: second, Source: plain})
		b.wantErr(before, helmexec.ErrUnauthorized)
		b.wantErr(wrong, helmexec.ErrUnauthorized)
		b.Must(b.h.RegistryLogin(b.ctx, r.Address, helmexec.RegistryOptions{Username: user, Password: first, Source: plain}))
		b.Must(push())
		b.wantMaker(b.h, "oci://"+r.Address+"/charts/web:1.0.0", helmexec.ChartOptions{Source: plain}, "us")
		b.Must(b.h.RegistryLogout(b.ctx, r.Address))
		after := push()
		b.wantErr(after, helmexec.ErrUnauthorized)
		b.wantNoSecret(dir, log, before, wrong, after)
		b.wantClean()
	})
}
