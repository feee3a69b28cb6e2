package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"

	"github.com/sut-bench/helmexec/e2e/cluster"
	"github.com/sut-bench/helmexec/e2e/registry"
)

// world is everything that helm can meet: a cluster, registries, a web server that answers as the
// path says, and ports where nobody answers.
type world struct {
	dir      string
	cluster  *cluster.Cluster
	open     *registry.Registry
	private  *registry.Registry
	web      *httptest.Server
	names    map[string]string // what the words in capitals stand for
	ports    []net.Listener
	scenes   int
	answered sync.Map // paths of the web server that were requested once
}

func newWorld(ctx context.Context) (w *world, err error) {
	w = &world{names: map[string]string{}}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if w.dir, err = os.MkdirTemp("", "helmexec-record-"); err != nil {
		return w, err
	}
	if w.cluster, err = cluster.Start(ctx, cluster.Options{}); err != nil {
		return w, err
	}
	if w.open, err = registry.Start(ctx, registry.Options{}); err != nil {
		return w, err
	}
	if w.private, err = registry.Start(ctx, registry.Options{User: "bob", Password: "builder"}); err != nil {
		return w, err
	}
	for name, meet := range map[string]func(net.Conn){
		"HANGUP": func(c net.Conn) { _, _ = c.Read(make([]byte, 4096)); c.Close() },
		"RESET":  func(c net.Conn) { _, _ = c.Read(make([]byte, 1)); _ = c.(*net.TCPConn).SetLinger(0); c.Close() },
		"SILENT": func(net.Conn) {},
		"CLOSED": nil,
	} {
		if w.names[name], err = w.port(meet); err != nil {
			return w, err
		}
	}
	w.web = httptest.NewServer(http.HandlerFunc(w.serve))
	w.names["WEB"], w.names["PLAIN"] = w.web.URL, strings.TrimPrefix(w.web.URL, "http://")
	w.names["REPO"] = w.web.URL + "/repo"
	w.names["OCI"], w.names["PRIVATE"] = w.open.Address, w.private.Address
	w.names["KUBEAPI"] = w.cluster.URL
	w.names["CHARTS"] = filepath.Join(w.dir, "charts")
	if w.names["SECRETKEYS"], w.names["PUBLICKEYS"], err = writeKeys(w.dir, "Ann"); err != nil {
		return w, err
	}
	if _, w.names["STRANGERS"], err = writeKeys(w.dir, "Bob"); err != nil {
		return w, err
	}
	return w, writeCharts(w.names["CHARTS"], w.names["CLOSED"])
}

// writeKeys makes a key, and writes its two keyrings.
func writeKeys(dir, name string) (secret, public string, err error) {
	key, err := openpgp.NewEntity(name, "", strings.ToLower(name)+"@charts.example", nil)
	if err != nil {
		return "", "", err
	}
	var secrets, publics bytes.Buffer
	if err := errors.Join(key.SerializePrivate(&secrets, nil), key.Serialize(&publics)); err != nil {
		return "", "", err
	}
	secret, public = filepath.Join(dir, name+"-secret.gpg"), filepath.Join(dir, name+"-public.gpg")
	return secret, public, errors.Join(os.WriteFile(secret, secrets.Bytes(), 0o600), os.WriteFile(public, publics.Bytes(), 0o600))
}

// port listens, and calls meet for each connection; nil is a port that was closed again.
func (w *world) port(meet func(net.Conn)) (address string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	if meet == nil {
		return l.Addr().String(), l.Close()
	}
	w.ports = append(w.ports, l)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go meet(c)
		}
	}()
	return l.Addr().String(), nil
}

func (w *world) close() {
	if w.web != nil {
		w.web.CloseClientConnections()
		w.web.Close()
	}
	for _, l := range w.ports {
		l.Close()
	}
	for _, r := range []*registry.Registry{w.open, w.private} {
		if r != nil {
			r.Stop()
		}
	}
	if w.cluster != nil {
		w.cluster.Stop()
	}
	_ = os.RemoveAll(w.dir)
}

// serve answers by the path.
func (w *world) serve(rw http.ResponseWriter, req *http.Request) {
	parts := strings.Split(strings.Trim(req.URL.Path, "/"), "/")
	code := func(i int) int { n, _ := strconv.Atoi(parts[i]); return n }
	switch {
	case parts[0] == "v2" && len(parts) > 1 && strings.HasPrefix(parts[1], "status"):
		n, _ := strconv.Atoi(strings.TrimPrefix(parts[1], "status"))
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(n)
		if n == 429 {
			_, _ = rw.Write([]byte(`{"errors":[{"code":"TOOMANYREQUESTS","message":"toomanyrequests: You have reached your pull rate limit"}]}`))
		}
	case parts[0] == "repo":
		w.serveRepo(rw, parts[len(parts)-1])
	case parts[0] == "once": // a good repository at first
		if _, again := w.answered.LoadOrStore(req.URL.Path, true); !again {
			w.serveRepo(rw, "index.yaml")
		} else {
			http.Error(rw, http.StatusText(code(1)), code(1))
		}
	case parts[0] == "status":
		http.Error(rw, http.StatusText(code(1)), code(1))
	case parts[0] == "api" && parts[len(parts)-1] == "version":
		_, _ = rw.Write([]byte(`{"major":"1","minor":"34","gitVersion":"v1.34.4"}`))
	case parts[0] == "api": // a message of the API server
		message, _ := url.QueryUnescape(parts[2])
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(code(1))
		_ = json.NewEncoder(rw).Encode(map[string]any{
			"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code(1),
		})
	case parts[0] == "truncated":
		rw.Header().Set("Content-Length", "1000000")
		_, _ = rw.Write([]byte("apiVersion: v1\n"))
		panic(http.ErrAbortHandler)
	case parts[0] == "garbage":
		_, _ = rw.Write([]byte("<html>please log in</html>\n"))
	case parts[0] == "empty":
	default:
		http.NotFound(rw, req)
	}
}

// serveRepo is a repository in which some archives are missing.
func (w *world) serveRepo(rw http.ResponseWriter, file string) {
	if file != "index.yaml" {
		web, err := webArchive("1.0.0")
		if err != nil || file != web.Filename() {
			http.Error(rw, "no such file", http.StatusNotFound)
			return
		}
		_, _ = rw.Write(web.Data)
		return
	}
	fmt.Fprint(rw, "apiVersion: v1\nentries:\n")
	entry := func(name, version, url string) {
		fmt.Fprintf(rw, "  %s:\n  - {apiVersion: v2, name: %s, version: %s, urls: [%q]}\n", name, name, version, url)
	}
	entry("web", "1.0.0", "web-1.0.0.tgz")
	entry("early", "0.1.0-alpha", "early.tgz")
	for _, status := range []string{"403", "404", "429", "503"} {
		entry("answers-"+status, "1.0.0", w.web.URL+"/status/"+status+"/x.tgz")
	}
	entry("is-truncated", "1.0.0", w.web.URL+"/truncated/x.tgz")
	entry("is-garbage", "1.0.0", w.web.URL+"/garbage/x.tgz")
	entry("is-down", "1.0.0", "http://"+w.names["CLOSED"]+"/x.tgz")
	entry("is-ftp", "1.0.0", "ftp://127.0.0.1/x.tgz")
}

// stage is the place of one scene: its own namespace and home.
type stage struct {
	*world
	helm, namespace, home, kubeconfig string
	helm4                             bool
}

// play returns helm's message in a scene, "" if it does not fail.
func (w *world) play(ctx context.Context, helm string, s scene) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	w.scenes++
	st := &stage{world: w, helm: helm, namespace: fmt.Sprintf("scene-%d", w.scenes), home: filepath.Join(w.dir, strconv.Itoa(w.scenes))}
	w.answered.Clear()
	if err := errors.Join(os.MkdirAll(st.home, 0o700), w.cluster.CreateNamespace(ctx, st.namespace)); err != nil {
		return "", err
	}
	if err := st.reach(ctx, s.cluster); err != nil {
		return "", err
	}
	version, _ := exec.CommandContext(ctx, helm, "version", "--template={{.Version}}").Output()
	st.helm4 = !strings.HasPrefix(string(version), "v3")
	if s.object != "" {
		kind, object, _ := strings.Cut(s.object, " ")
		if err := w.cluster.Request(ctx, http.MethodPost, "/api/v1/namespaces/"+st.namespace+"/"+kind, json.RawMessage(object), nil); err != nil {
			return "", err
		}
	}
	if s.pending {
		st.command(ctx, "install web CHARTS/notready --wait", syscall.SIGKILL)
	}
	for _, before := range s.before {
		if before == "!rm index" {
			before = "repo list"
			if err := os.RemoveAll(filepath.Join(st.home, "index")); err != nil {
				return "", err
			}
		}
		if _, stderr, err := st.command(ctx, before, 0); err != nil {
			return "", fmt.Errorf("%s: %w: %s", before, err, stderr)
		}
	}
	if s.status {
		return st.status(ctx)
	}
	stdout, stderr, err := st.command(ctx, s.run, s.signal)
	var exit *exec.ExitError
	switch {
	case s.says:
		return st.plain(stdout), err
	case s.warns:
		return st.plain(stderr), err
	case err == nil:
		return "", nil
	case !errors.As(err, &exit):
		return "", err
	}
	if s.reports {
		stderr = strings.TrimSpace(stderr) + "\n" + stdout
	}
	if strings.HasPrefix(s.name, "webhook") {
		st.command(ctx, "uninstall hook", 0)
	}
	return st.plain(stderr), nil
}

// reach makes the kubeconfig by which helm reaches a cluster: "" is the real one, "x509" the same
// without its authority, "token" with a wrong token, "none" names no cluster, and anything else is an address.
func (st *stage) reach(ctx context.Context, how string) error {
	st.kubeconfig = filepath.Join(st.home, "kubeconfig")
	if how == "" {
		st.kubeconfig = st.cluster.Kubeconfig
		return nil
	}
	server, tls := st.cluster.URL, ""
	switch how {
	case "none":
		return os.WriteFile(st.kubeconfig, nil, 0o600)
	case "x509":
	case "token":
		tls = "insecure-skip-tls-verify: true"
	default:
		server = st.expand(how)
	}
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: c, user: u}}]
clusters:
- name: c
  cluster:
    server: %s
    %s
users: [{name: u, user: {token: wrong}}]
`, server, tls)
	return os.WriteFile(st.kubeconfig, []byte(text), 0o600)
}

func (st *stage) expand(text string) string {
	words := map[string]string{"ATOMIC": "--atomic", "UNINSTALLWAIT": "--wait", "UPDATEFAILS": "--fail-on-repo-update-fail"}
	if st.helm4 {
		words = map[string]string{"ATOMIC": "--rollback-on-failure", "UNINSTALLWAIT": "--wait=legacy", "UPDATEFAILS": ""}
	}
	return capitals.ReplaceAllStringFunc(text, func(word string) string {
		if v, ok := words[word]; ok {
			return v
		}
		if v, ok := st.names[word]; ok {
			return v
		}
		return word
	})
}

var capitals = regexp.MustCompile(`[A-Z]{3,}`)

// command runs helm, and sends it a signal when the release web is recorded.
func (st *stage) command(ctx context.Context, line string, sig syscall.Signal) (stdout, stderr string, err error) {
	cmd := exec.CommandContext(ctx, st.helm, strings.Fields(st.expand(line))...)
	cmd.Dir = st.home
	cmd.Env = append(os.Environ(),
		"KUBECONFIG="+st.kubeconfig, "HELM_CONFIG_HOME="+st.home, "HELM_CACHE_HOME="+st.home, "HELM_DATA_HOME="+st.home,
		"HELM_REPOSITORY_CACHE="+filepath.Join(st.home, "index"), "HELM_REGISTRY_CONFIG="+filepath.Join(st.home, "registry.json"))
	if !strings.Contains(line, "--namespace") {
		cmd.Env = append(cmd.Env, "HELM_NAMESPACE="+st.namespace)
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		return "", "", err
	}
	if sig != 0 {
		path := "/api/v1/namespaces/" + st.namespace + "/secrets/sh.helm.release.v1.web.v1"
		err := cluster.Eventually(ctx, func(ctx context.Context) error { return st.cluster.Request(ctx, http.MethodGet, path, nil, nil) })
		if err != nil {
			return "", "", err
		}
		// Helm watches for signals only once it has begun to install; a moment later it waits.
		time.Sleep(time.Second)
		_ = cmd.Process.Signal(sig)
	}
	err = cmd.Wait()
	return out.String(), errs.String(), err
}
