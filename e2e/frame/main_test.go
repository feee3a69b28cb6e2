// Package frame tests the bounds around helm: whatever an address, an index, an archive, a registry, values, an
// environment or a home contain, no foreign code runs, no file is read or written that has nothing to do with it, no
// unexpected host is asked, and memory stays within limits. It runs with real Helm 3 and 4 and needs no cluster.
package frame

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/e2e/internal/guarded"
	"github.com/sut-bench/helmexec/e2e/internal/realhelm"
	"github.com/sut-bench/helmexec/internal/chartrepo"
	"github.com/sut-bench/helmexec/internal/tools"
)

const (
	// secret is what is in files and variables that nobody may read.
	secret = "canary-5e2f90"
	// mostMemory of any process, in MiB.
	mostMemory = 900
)

// traps are what a test must not touch.
type traps struct {
	dir      string // of everything
	files    string // a folder with secrets
	ran      string // a file that exists once foreign code has run
	program  string // makes it
	work     string // the working directory, with charts that no address means
	requests atomic.Int64
	web      *httptest.Server // counts requests, also those to other hosts
}

var (
	canary   traps
	binaries = map[string]string{}
)

func TestMain(m *testing.M) {
	if os.Getenv(starvedVariable) != "" {
		os.Exit(starve())
	}
	ctx, _ := guarded.UntilInterrupted()
	context.AfterFunc(ctx, func() { os.Exit(1) })
	for _, helm := range []string{"helm3", "helm4"} { // before HOME is another
		path, err := tools.Path(helm)
		if err != nil && !errors.Is(err, tools.ErrNotBuilt) {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		binaries[helm] = path
	}
	if err := canary.set(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := realhelm.CheckMemory(mostMemory); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	_ = os.RemoveAll(canary.dir)
	os.Exit(code)
}

// set makes the traps, in this program's environment too.
func (c *traps) set() (err error) {
	if c.dir, err = os.MkdirTemp("", "helmexec-frame-"); err != nil {
		return err
	}
	c.web = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.requests.Add(1)
		w.WriteHeader(http.StatusTeapot)
	}))
	at := func(elem ...string) string { return filepath.Join(append([]string{c.dir}, elem...)...) }
	c.files, c.ran, c.work, c.program = at("files"), at("ran"), at("work"), at("bin", "evil")
	script := "#!/bin/sh\necho \"$0 $*\" >> " + c.ran + "\n"
	plugin := "name: evil\nversion: 1.0.0\ncommand: " + c.program + "\nhooks: {install: " + c.program + "}\ndownloaders: [{command: " + c.program + ", protocols: [evil, http, https]}]\n"
	trap := "apiVersion: v2\nname: web\nversion: 9.9.9\n"
	files := map[string]string{
		"bin/evil": script, "bin/helm-evil": script, "bin/docker-credential-evil": script, "bin/kubectl": script, "bin/tar": script, "bin/sh-evil": script,
		"files/secret": secret, "files/values.yaml": "secret: " + secret + "\n", "files/index.yaml": secret,
		"home/.docker/config.json":                        `{"credsStore": "evil", "auths": {"127.0.0.1": {"auth": "` + secret + `"}}}`,
		"home/.local/share/helm/plugins/evil/plugin.yaml": plugin,
		"home/.config/helm/repositories.yaml":             "apiVersion: v1\nrepositories: [{name: theirs, url: " + c.web.URL + ", password: " + secret + ", username: u}]\n",
		"home/.kube/config":                               kubeconfig(c.program),
		"plugins/evil/plugin.yaml":                        plugin,
		"work/web/Chart.yaml":                             trap,
		"work/web/templates/a.yaml":                       "trap: true\n",
		"work/repo/web/Chart.yaml":                        trap,
		"work/--post-renderer=x/Chart.yaml":               trap,
		"work/values.yaml":                                "trap: true\n",
		"work/http:/127.0.0.1/values.yaml":                "trap: true\n",
	}
	for name, text := range files {
		err := os.MkdirAll(filepath.Dir(at(name)), 0o700)
		if err == nil {
			err = os.WriteFile(at(name), []byte(text), 0o700)
		}
		if err != nil {
			return err
		}
	}
	for name, value := range map[string]string{
		"HOME": at("home"), "PATH": at("bin") + ":" + os.Getenv("PATH"), "HELM_PLUGINS": at("plugins"),
		"HTTP_PROXY": c.web.URL, "HTTPS_PROXY": c.web.URL, "http_proxy": c.web.URL, "https_proxy": c.web.URL, "NO_PROXY": "", "no_proxy": "",
	} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	workedIn = fmt.Sprint(names(c.work), names(c.files), names(filepath.Dir(c.program)))
	return os.Chdir(c.work)
}

// kubeconfig logs in by a program.
func kubeconfig(program string) string {
	return "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: c, cluster: {server: \"https://127.0.0.1:1\", insecure-skip-tls-verify: true}}]\n" +
		"contexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: \"" + program + "\", interactiveMode: Never}}}]\n"
}

// Errors that stand for others.
var (
	errHelm = errors.New("an *helmexec.Error")
	errAny  = errors.New("any error")
)

// attempt is something hostile, and how it ends.
type attempt struct {
	name string
	want error // nil if it is harmless
	do   func(b *bed) error
}

// bed is what the attempts of one table work with on one Helm.
type bed struct {
	realhelm.Bed
	ctx context.Context
	h   *helmexec.Helm

	openVersion bool // the version of a chart is not given
	mayKeep     bool // archives, of a fetch that succeeded too
}

// soon ends what a registry or a template keeps going for ever.
const soon = 3 * time.Second

// tryAll runs the attempts of a table on both Helms.
func tryAll(t *testing.T, attempts []attempt) {
	for _, helm := range []string{"helm3", "helm4"} {
		t.Run(helm, func(t *testing.T) {
			binary := binaries[helm]
			if binary == "" {
				t.Skip("helm is not built")
			}
			for _, a := range attempts {
				t.Run(a.name, func(t *testing.T) {
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute) // ends what hangs
					defer cancel()
					b := &bed{Bed: realhelm.Bed{T: t}, ctx: ctx}
					b.Cfg = helmexec.Config{Binary: binary, Home: filepath.Join(t.TempDir(), "home"), GracePeriod: time.Second}
					b.Cfg.Retry.Tries = 1
					b.Cfg.Limits = helmexec.Limits{Index: 8 << 20, Archive: 1 << 20, Time: 3 * time.Minute, RenderOutput: 4 << 20}
					b.h = b.NewHelm(nil)
					before := canary.requests.Load()
					b.wantOutcome(a.do(b), a.want)
					if n := canary.requests.Load() - before; n != 0 {
						b.Errorf("%d requests to a host that has nothing to do with it", n)
					}
				})
			}
		})
	}
}

// wantOutcome checks how an attempt ended, and that it touched no trap.
func (b *bed) wantOutcome(err, want error) {
	b.Helper()
	var failed *helmexec.Error
	switch {
	case want == nil && err != nil:
		b.Errorf("got %v", err)
	case want != nil && err == nil:
		b.Errorf("it succeeded, want %v", want)
	case want == nil, want == errAny, want == errHelm && errors.As(err, &failed):
	case !errors.Is(err, want):
		b.Errorf("got %v, want %v", err, want)
	}
	if err != nil {
		b.Logf("refused: %.300v", err)
		if text := err.Error(); len(text) > 4096 || strings.ContainsFunc(text, isHidden) || strings.Contains(text, secret) {
			b.Errorf("an error of %d bytes: %.500q", len(text), text)
		}
	}
	if ran, err := os.ReadFile(canary.ran); err == nil {
		b.Errorf("foreign code ran: %s", ran)
		_ = os.Remove(canary.ran)
	}
	left, _ := os.ReadDir(filepath.Join(b.Cfg.Home, "tmp"))
	for _, entry := range left {
		b.Errorf("left behind: tmp/%s", entry.Name())
	}
	if now := fmt.Sprint(names(canary.work), names(canary.files), names(filepath.Dir(canary.program))); now != workedIn {
		b.Errorf("files were made: %s, before %s", now, workedIn)
	}
	if err == nil || b.mayKeep || b.Failed() {
		return
	}
	if kept := names(filepath.Join(b.Cfg.Home, "archives")); len(kept) > 0 {
		b.Errorf("kept %q", kept)
	}
}

// isHidden reports a character that changes how a text looks in a terminal.
func isHidden(r rune) bool {
	return r != '\n' && r != '\t' && unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == unicode.ReplacementChar
}

// workedIn is what the folders of the traps contain when the tests begin.
var workedIn string

func names(dir string) (all []string) {
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		all = append(all, entry.Name())
	}
	return all
}

// chart is a small chart that says who made it.
func (b *bed) chart(name, version string, more map[string]string) chartrepo.Archive {
	b.Helper()
	files := map[string]string{
		"Chart.yaml": fmt.Sprintf("apiVersion: v2\nname: %s\nversion: %q\n", name, version), "values.yaml": "maker: us\n",
		"templates/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\ndata:\n  values: {{ toJson .Values | quote }}\n",
	}
	for name, text := range more {
		files[name] = text
	}
	archive, err := chartrepo.Package(files)
	b.Must(err)
	return archive
}

// folder writes a chart into a folder.
func (b *bed) folder(more map[string]string) string {
	b.Helper()
	dir := filepath.Join(b.TempDir(), "web")
	files := map[string]string{"Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\n"}
	for name, text := range more {
		files[name] = text
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		b.Must(errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)))
	}
	return dir
}

// serve starts a server on the loopback.
func (b *bed) serve(handler http.HandlerFunc) string {
	b.Helper()
	server := httptest.NewServer(handler)
	b.Cleanup(server.Close)
	return server.URL
}

// fetched fetches a chart, which must be ours if it succeeds.
func (b *bed) fetched(address string, opts helmexec.ChartOptions) error {
	ch, err := b.h.Fetch(b.ctx, address, opts)
	if err == nil && ch.Values["maker"] != "us" {
		return fmt.Errorf("%s is made by %v", address, ch.Values["maker"])
	}
	return err
}

// There are enough attempts, each with its own name.
func TestNumberOfAttempts(t *testing.T) {
	all := 0
	for _, table := range [][]attempt{addresses, indexes, archives, registries, values, renders, environments, homes} {
		seen := map[string]bool{}
		for _, a := range table {
			if seen[a.name] {
				t.Errorf("two attempts are called %q", a.name)
			}
			seen[a.name] = true
		}
		all += len(table)
	}
	t.Logf("%d attempts on each Helm", all)
	if all <= 300 { // docs/security.md says so
		t.Errorf("%d attempts", all)
	}
}
