package frame

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sut-bench/helmexec"
)

// What is no address is refused by its form. The working directory has charts that Helm by itself would take for some.
func TestAddresses(t *testing.T) { tryAll(t, addresses) }

var addresses = append(malformed(
	"", " ", "-", "--", "-f", "--post-renderer=/bin/sh", "--post-renderer=x", "web", "repo", "web:1.0.0", "repo/web/extra", "repo//web", "/../repo/web:\x00",
	"repo/web:", "repo/web:latest", "repo/web:--devel", "repo/web:1.0.0 --devel", "repo/-web", "repo/..", "../repo\x00", "@repo/web", "alias:repo/web", "re:po/web", "-repo/web",
	"file:///etc/passwd", "FILE:///etc/passwd", "file://localhost/etc/passwd", "ftp://127.0.0.1/web.tgz", "s3://bucket/web", "evil://host/web", "git+https://host/web",
	"javascript:alert(1)", "data:application/gzip;base64,H4sI", "ssh://host/web", "unix:///var/run/x/web", "gopher://127.0.0.1/web",
	"oci://", "oci:///web", "oci://host", "oci://host/", "oci://host/a@sha256:zz", "oci://host/a@sha512:00", "oci://u:p@host/a", "oci://host/a:1@", "oci://host/a b", "oci://host/a#b",
	"http://", "http:///web", "https://host", "https://host/", "http://host/a b", "http://host/web\n", "http://host/\x1b]0;x\x07", "http://host/%zz/web", "http://host/web#f", "http://host/web?x=1",
	"http://[::1/web", "http://host:port/web", "http:host/web", "http//host/web", "~/web", "~root/web", "$HOME/web", "`id`/web", "$(evil)/web", "a;evil/web", "a|evil/web", "%HOME%/web",
	strings.Repeat("a", 1<<20), "http://host/"+strings.Repeat("a/", 1<<19)+"w b",
), []attempt{
	{"a device", helmexec.ErrBadChart, func(b *bed) error { return b.fetched("/dev/zero", helmexec.ChartOptions{}) }},
	{"the standard input", errAny, func(b *bed) error { return b.fetched("/dev/stdin", helmexec.ChartOptions{}) }},
	{"an environment", helmexec.ErrBadChart, func(b *bed) error { return b.fetched("/proc/self/environ", helmexec.ChartOptions{}) }},
	{"a file that is no chart", helmexec.ErrBadChart, func(b *bed) error { return b.fetched(filepath.Join(canary.files, "secret"), helmexec.ChartOptions{}) }},
	{"a folder that is no chart", helmexec.ErrChartNotFound, func(b *bed) error { return b.fetched(canary.files, helmexec.ChartOptions{}) }},
	{"nothing", helmexec.ErrChartNotFound, func(b *bed) error { return b.fetched("./none.tgz", helmexec.ChartOptions{}) }},
	{"a pipe", helmexec.ErrBadChart, func(b *bed) error {
		pipe := filepath.Join(b.TempDir(), "web.tgz")
		b.Must(syscall.Mkfifo(pipe, 0o600))
		return b.fetched(pipe, helmexec.ChartOptions{})
	}},
	{"a link to a secret", errAny, func(b *bed) error {
		link := filepath.Join(b.TempDir(), "web.tgz")
		b.Must(os.Symlink(filepath.Join(canary.files, "secret"), link))
		return b.fetched(link, helmexec.ChartOptions{})
	}},
	{"a chart with a link to a secret", helmexec.ErrBadChart, func(b *bed) error {
		dir := b.folder(nil)
		b.Must(os.Symlink(filepath.Join(canary.files, "secret"), filepath.Join(dir, "README.md")))
		return b.fetched(dir, helmexec.ChartOptions{})
	}},
	{"a lock file that is a link", helmexec.ErrBadChart, func(b *bed) error {
		dir := b.folder(nil)
		b.Must(os.Symlink(canary.program, filepath.Join(dir, "Chart.lock")))
		return b.fetched(dir, helmexec.ChartOptions{})
	}},
	{"a repository that nobody added", helmexec.ErrRepoNotFound, func(b *bed) error { return b.fetched("repo/web", helmexec.ChartOptions{}) }},
	{"a repository of the user", helmexec.ErrRepoNotFound, func(b *bed) error { return b.fetched("theirs/web", helmexec.ChartOptions{}) }},
	{"a version in the options that is none", helmexec.ErrInvalidArgument, func(b *bed) error {
		return b.fetched("repo/web", helmexec.ChartOptions{Version: "--post-renderer=evil"})
	}},
	{"a version that is a path", helmexec.ErrInvalidArgument, func(b *bed) error {
		return b.fetched("oci://127.0.0.1:1/web", helmexec.ChartOptions{Version: "../../x"})
	}},
	{"a repository that is a file", helmexec.ErrInvalidArgument, func(b *bed) error {
		_, err := b.h.AddRepo(b.ctx, "file://"+canary.files, helmexec.RepoOptions{})
		return err
	}},
	{"a name of a repository that is a path", helmexec.ErrInvalidArgument, func(b *bed) error {
		_, err := b.h.AddRepo(b.ctx, "http://127.0.0.1:1", helmexec.RepoOptions{Name: "../../x"})
		return err
	}},
	{"a removed repository that is a path", helmexec.ErrInvalidArgument, func(b *bed) error { return b.h.RemoveRepo(b.ctx, "../archives") }},
	{"a registry that is a flag", helmexec.ErrInvalidArgument, func(b *bed) error {
		return b.h.RegistryLogin(b.ctx, "--config=x", helmexec.RegistryOptions{Username: "a", Password: "b"})
	}},
}...)

// malformed are addresses that start no helm.
func malformed(all ...string) (attempts []attempt) {
	for i, address := range all {
		attempts = append(attempts, attempt{fmt.Sprintf("%d %.40q", i, address), helmexec.ErrInvalidArgument, func(b *bed) error {
			h := b.NewHelm(func(cfg *helmexec.Config) { cfg.Binary = canary.program }) // which must not run
			_, err := h.Fetch(b.ctx, address, helmexec.ChartOptions{})
			return err
		}})
	}
	return attempts
}
