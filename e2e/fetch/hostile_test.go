package fetch

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/internal/chartrepo"
)

// errHelm stands for any *helmexec.Error: helm itself failed.
var errHelm = errors.New("an *helmexec.Error")

func (b *bed) wantRefused(err, want error) {
	b.Helper()
	var e *helmexec.Error
	switch {
	case err == nil:
		b.Errorf("no error, want %v", want)
	case want == errHelm && errors.As(err, &e):
	case !errors.Is(err, want):
		b.Errorf("got %v, want %v", err, want)
	}
	if err != nil && len(err.Error()) > 4096 {
		b.Errorf("an error of %d bytes", len(err.Error()))
	}
}

// small are limits that a test reaches soon.
func small(cfg *helmexec.Config) {
	cfg.Limits = helmexec.Limits{Index: 8 << 20, Archive: 1 << 20, Time: 5 * time.Minute}
	cfg.GracePeriod = time.Second
}

func TestFaultyRepository(t *testing.T) {
	const archive = "web-1.0.0.tgz"
	tests := []struct {
		name       string
		fault      chartrepo.Fault
		index, get error // what AddRepo and Fetch say when the fault is in the index, in the archive
	}{
		{"2 GiB", chartrepo.Fault{Size: 2 << 30}, helmexec.ErrOutputTooLarge, helmexec.ErrOutputTooLarge},
		{"drip", chartrepo.Fault{Drip: 500 * time.Millisecond}, helmexec.ErrFetchTimeout, helmexec.ErrFetchTimeout},
		{"hold", chartrepo.Fault{Hold: make(chan struct{})}, helmexec.ErrFetchTimeout, helmexec.ErrFetchTimeout},
		{"closed in the body", chartrepo.Fault{Truncate: 100}, helmexec.ErrRepoNotFound, errHelm},
		{"error page", chartrepo.Fault{Status: http.StatusBadGateway}, helmexec.ErrRepoNotFound, errHelm},
		{"other content", chartrepo.Fault{Replace: []byte("<html>")}, helmexec.ErrRepoNotFound, helmexec.ErrBadChart},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			onBothHelms(t, func(b *bed) {
				timed := func(cfg *helmexec.Config) {
					small(cfg)
					if test.index == helmexec.ErrFetchTimeout {
						cfg.Limits.Time = 3 * time.Second
					}
				}
				repo := b.repository(chartrepo.Options{}, b.chart("web", "1.0.0", "us"))
				broken := test.fault
				broken.Path = "index.yaml"
				repair := repo.Inject(broken)
				_, err := b.NewHelm(timed).AddRepo(b.ctx, repo.URL, helmexec.RepoOptions{})
				b.wantRefused(err, test.index)
				b.wantClean()
				repair()

				name, err := b.h.AddRepo(b.ctx, repo.URL, helmexec.RepoOptions{})
				b.Must(err)
				repair = repo.Inject(broken)
				err = b.NewHelm(timed).UpdateRepos(b.ctx, helmexec.UpdateReposOptions{})
				if test.index == helmexec.ErrRepoNotFound {
					b.wantRefused(err, errHelm) // it is known
				} else {
					b.wantRefused(err, test.index)
				}
				repair()

				broken.Path = archive
				repair = repo.Inject(broken)
				for _, address := range []string{name + "/web:1.0.0", repo.URL + "/" + archive} {
					_, err = b.NewHelm(timed).Fetch(b.ctx, address, helmexec.ChartOptions{})
					b.wantRefused(err, test.get)
				}
				repair()
				b.wantMaker(b.h, name+"/web:1.0.0", helmexec.ChartOptions{}, "us")
				b.wantClean()
			})
		})
	}
}

// tgz makes an archive that no packer would make.
func tgz(write func(w *tar.Writer)) []byte {
	var b bytes.Buffer
	zipped := gzip.NewWriter(&b)
	w := tar.NewWriter(zipped)
	write(w)
	_ = w.Close()
	_ = zipped.Close()
	return b.Bytes()
}

func addFile(w *tar.Writer, name, text string) {
	_ = w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(text))})
	_, _ = io.WriteString(w, text)
}

func TestHostileArchive(t *testing.T) {
	const chartYAML = "apiVersion: v2\nname: web\nversion: 1.0.0\n"
	chart := func(more func(w *tar.Writer)) []byte {
		return tgz(func(w *tar.Writer) {
			addFile(w, "web/Chart.yaml", chartYAML)
			addFile(w, "web/values.yaml", "{}\n")
			more(w)
		})
	}
	link := func(flag byte, name, to string) []byte {
		return chart(func(w *tar.Writer) {
			_ = w.WriteHeader(&tar.Header{Name: name, Typeflag: flag, Linkname: to, Mode: 0o644})
			addFile(w, name+"/pwned", "x")
		})
	}
	tests := []struct {
		name string
		data []byte
		want error
	}{
		{"tar bomb", chart(func(w *tar.Writer) {
			zero := strings.Repeat("\x00", 10<<20)
			for i := range 20 {
				addFile(w, fmt.Sprintf("web/files/%d", i), zero)
			}
		}), helmexec.ErrOutputTooLarge},
		{"symbolic link out", link(tar.TypeSymlink, "web/charts", "/etc"), helmexec.ErrBadChart},
		{"hard link out", link(tar.TypeLink, "web/templates", "/etc/passwd"), helmexec.ErrBadChart},
		{"device", link(tar.TypeChar, "web/null", ""), helmexec.ErrBadChart},
		{"path out", chart(func(w *tar.Writer) { addFile(w, "web/../../pwned", "x") }), helmexec.ErrBadChart},
		{"absolute path", chart(func(w *tar.Writer) { addFile(w, "/pwned", "x") }), helmexec.ErrBadChart},
		{"named as its parent", tgz(func(w *tar.Writer) {
			addFile(w, "web/Chart.yaml", "apiVersion: v2\nname: ..\nversion: 1.0.0\n")
		}), helmexec.ErrBadChart},
		{"another chart", tgz(func(w *tar.Writer) {
			addFile(w, "api/Chart.yaml", "apiVersion: v2\nname: api\nversion: 1.0.0\n")
		}), helmexec.ErrChartNotFound},
		{"no chart", tgz(func(w *tar.Writer) { addFile(w, "web/x", "x") }), helmexec.ErrChartNotFound},
		{"cut short", chart(func(*tar.Writer) {})[:60], helmexec.ErrBadChart},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			onBothHelms(t, func(b *bed) {
				repo := b.repository(chartrepo.Options{}, b.chart("web", "1.0.0", "us"))
				repo.ClaimDigest("web", "1.0.0", fmt.Sprintf("%x", sha256.Sum256(test.data)))
				repo.Inject(chartrepo.Fault{Path: "web-1.0.0.tgz", Replace: test.data})
				_, err := b.h.Fetch(b.ctx, repo.URL+"/web:1.0.0", helmexec.ChartOptions{})
				b.wantRefused(err, test.want)
				b.wantClean()
				kept, _ := os.ReadDir(b.Cfg.Home + "/archives")
				if len(kept) > 0 {
					b.Errorf("the cache has %v", kept)
				}
			})
		})
	}
}

// Addresses in an index that lead elsewhere.
func TestIndexWithOddURLs(t *testing.T) {
	secret := t.TempDir() + "/web-1.0.0.tgz"
	tests := []struct {
		url  string
		want error
	}{
		{"file://" + secret, errHelm},
		{secret, errHelm},
		{"../../web-1.0.0.tgz", errHelm},
		{"--post-renderer=/bin/sh", errHelm},
		{"ftp://127.0.0.1/web.tgz", errHelm},
		{"loop/web-1.0.0.tgz", errHelm},
		{"", errHelm},
		{"http://[::1", errHelm},
	}
	for _, test := range tests {
		t.Run(strings.ReplaceAll(test.url, "/", "_"), func(t *testing.T) {
			t.Parallel()
			onBothHelms(t, func(b *bed) {
				chart := b.chart("web", "1.0.0", "file")
				b.Must(os.WriteFile(secret, chart.Data, 0o600))
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					switch {
					case r.URL.Path == "/charts/index.yaml":
						fmt.Fprintf(w, "apiVersion: v1\nentries:\n  web:\n  - apiVersion: v2\n    name: web\n    version: 1.0.0\n    urls:\n    - %q\n", test.url)
					case strings.Contains(r.URL.Path, "loop"):
						http.Redirect(w, r, r.URL.Path, http.StatusFound)
					default:
						http.NotFound(w, r)
					}
				}))
				b.Cleanup(server.Close)
				_, err := b.h.Fetch(b.ctx, server.URL+"/charts/web:1.0.0", helmexec.ChartOptions{})
				b.wantRefused(err, test.want)
				b.wantClean()
			})
		})
	}
}

func TestOddServers(t *testing.T) {
	line := "# and so on and so on and so on and so on and so on and so on\n"
	tests := []struct {
		name  string
		serve http.HandlerFunc
		want  error
	}{
		{"redirects in a circle", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
		}, helmexec.ErrRepoNotFound},
		{"endless, of no stated length", func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, line)
			}
		}, helmexec.ErrOutputTooLarge},
		{"compressed on the way", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			zipped, text := gzip.NewWriter(w), bytes.Repeat([]byte(line), 1<<14)
			for i := 0; i < 4096 && r.Context().Err() == nil; i++ {
				_, _ = zipped.Write(text)
			}
		}, nil},
		{"endless headers", func(w http.ResponseWriter, r *http.Request) {
			c, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			defer c.Close()
			for _, err = io.WriteString(c, "HTTP/1.1 200 OK\r\n"); err == nil; {
				_, err = io.WriteString(c, "X: "+line[2:len(line)-1]+"\r\n")
			}
		}, helmexec.ErrRepoNotFound},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			onBothHelms(t, func(b *bed) {
				server := httptest.NewServer(test.serve)
				b.Cleanup(server.Close)
				_, err := b.NewHelm(small).AddRepo(b.ctx, server.URL, helmexec.RepoOptions{})
				if test.want == nil {
					var e *helmexec.Error
					if !errors.As(err, &e) {
						b.Errorf("got %v, want an *Error", err)
					}
				} else {
					b.wantRefused(err, test.want)
				}
				b.wantClean()
			})
		})
	}
}

// A large index is accepted; one that takes too much memory is not.
func TestLargeIndex(t *testing.T) {
	onBothHelms(t, func(b *bed) {
		var index bytes.Buffer
		index.WriteString("apiVersion: v1\nentries:\n")
		for c := range 1000 {
			fmt.Fprintf(&index, "  app-%d:\n", c)
			for v := range 100 {
				fmt.Fprintf(&index, "  - {name: app-%d, version: 1.%d.0, apiVersion: v2}\n", c, v)
			}
		}
		repo := b.repository(chartrepo.Options{})
		repo.Inject(chartrepo.Fault{Path: "index.yaml", Replace: index.Bytes()})
		name, err := b.h.AddRepo(b.ctx, repo.URL, helmexec.RepoOptions{})
		b.Must(err)
		found, err := b.h.ChartVersions(b.ctx, name+"/app-999", helmexec.ChartVersionsOptions{})
		b.Must(err)
		if len(found) != 100 || found[0].Version != "1.99.0" {
			b.Errorf("found %d versions", len(found))
		}
		tight := b.NewHelm(func(cfg *helmexec.Config) { cfg.Limits.Memory = 150 << 20 })
		b.wantRefused(tight.UpdateRepos(b.ctx, helmexec.UpdateReposOptions{}), helmexec.ErrOutputTooLarge)
		b.wantClean()
	})
}

// An archive and an index just within their limits are accepted.
func TestJustWithinTheLimits(t *testing.T) {
	onBothHelms(t, func(b *bed) {
		noise := make([]byte, 9<<20)
		state := uint32(1)
		for i := range noise {
			state = state*1664525 + 1013904223
			noise[i] = byte(state >> 24)
		}
		chart, err := chartrepo.Package(map[string]string{
			"Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\n", "values.yaml": "maker: us\n", "files/noise": string(noise),
		})
		b.Must(err)
		repo := b.repository(chartrepo.Options{}, chart)
		repo.AddGenerated(300, 30)
		h := b.NewHelm(func(cfg *helmexec.Config) {
			cfg.Limits.Archive, cfg.Limits.Index = int64(len(chart.Data)), 6<<20
		})
		b.wantMaker(h, repo.URL+"/web", helmexec.ChartOptions{}, "us")
		b.wantMaker(h, repo.URL+"/"+chart.Filename(), helmexec.ChartOptions{}, "us")
		h = b.NewHelm(func(cfg *helmexec.Config) { cfg.Limits.Archive, cfg.Home = int64(len(chart.Data))-1, b.TempDir() })
		_, err = h.Fetch(b.ctx, repo.URL+"/"+chart.Filename(), helmexec.ChartOptions{})
		b.wantRefused(err, helmexec.ErrOutputTooLarge)
	})
}
