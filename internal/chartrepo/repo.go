package chartrepo

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// Options of a repository; the zero value is one that anybody may read, at /charts.
type Options struct {
	Prefix             string // path of the repository; "" = /charts
	AbsoluteURLs       bool   // the index names archives by absolute URLs
	Username, Password string // required by basic authentication, unless Username is empty
	Token              string // required as a bearer token, unless empty
	ETags              bool   // answers have an ETag, and conditional requests are answered
}

// Repo is a chart repository: an http.Handler that may be changed while it serves.
type Repo struct {
	opts Options

	mu       sync.Mutex
	entries  []*indexEntry
	archives map[string]Archive // by file name
	faults   []*fault
	requests map[string]int
	index    []byte // nil = to be made
	indexURL string // the base of the URLs in index
}

// New makes an empty repository.
func New(opts Options) *Repo {
	opts.Prefix = "/" + strings.Trim(opts.Prefix, "/")
	if opts.Prefix == "/" {
		opts.Prefix = "/charts"
	}
	return &Repo{opts: opts, archives: map[string]Archive{}, requests: map[string]int{}}
}

// Add publishes archives, in place of those of the same name and version.
func (r *Repo) Add(archives ...Archive) error {
	for _, archive := range archives {
		entry, err := newIndexEntry(archive)
		if err != nil {
			return err
		}
		r.mu.Lock()
		r.removeEntry(archive.Name, archive.Version)
		r.entries = append(r.entries, entry)
		r.archives[archive.Filename()] = archive
		r.index = nil
		r.mu.Unlock()
	}
	return nil
}

// AddProvenance publishes the provenance file of an archive.
func (r *Repo) AddProvenance(archive Archive, text []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.archives[archive.Filename()+".prov"] = Archive{Data: text}
}

// AddDir publishes the chart in the folder dir, or every chart in a folder of dir.
func (r *Repo) AddDir(dir string) error {
	paths := []string{filepath.Join(dir, "Chart.yaml")}
	if _, err := os.Stat(paths[0]); err != nil {
		paths, err = filepath.Glob(filepath.Join(dir, "*", "Chart.yaml"))
		if err != nil || len(paths) == 0 {
			return fmt.Errorf("no chart in %s", dir)
		}
	}
	for _, path := range paths {
		archive, err := PackageDir(filepath.Dir(path), "")
		if err != nil {
			return err
		}
		if err := r.Add(archive); err != nil {
			return err
		}
	}
	return nil
}

// Remove takes a chart version out of the index and stops serving it.
func (r *Repo) Remove(name, version string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.removeEntry(name, version)
	delete(r.archives, Archive{Name: name, Version: version}.Filename())
	r.index = nil
}

// ClaimDigest makes the index claim a digest for a chart version, whatever its archive has.
func (r *Repo) ClaimDigest(name, version, digest string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, entry := range r.entries {
		if entry.name == name && entry.version == version {
			entry.digest = digest
		}
	}
	r.index = nil
}

func (r *Repo) removeEntry(name, version string) {
	kept := r.entries[:0]
	for _, entry := range r.entries {
		if entry.name != name || entry.version != version {
			kept = append(kept, entry)
		}
	}
	r.entries = kept
}

// Requests returns how often a path below the prefix was requested ("index.yaml", "demo-0.1.0.tgz"), whatever
// the answer; "" counts every request.
func (r *Repo) Requests(path string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if path != "" {
		return r.requests[path]
	}
	sum := 0
	for _, n := range r.requests {
		sum += n
	}
	return sum
}

// ResetRequests sets the counters to zero.
func (r *Repo) ResetRequests() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.requests)
}

// ServeHTTP implements http.Handler.
func (r *Repo) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	name, inside := strings.CutPrefix(req.URL.Path, r.opts.Prefix+"/")
	if !inside {
		http.NotFound(w, req)
		return
	}
	r.mu.Lock()
	r.requests[name]++
	fault := r.takeFault(name)
	r.mu.Unlock()
	if !r.allowed(req) {
		w.Header().Set("WWW-Authenticate", `Basic realm="charts"`)
		http.Error(w, "unauthorized", http.StatusUnauthorized)
		return
	}
	body, contentType := r.body(name, "http://"+req.Host+r.opts.Prefix)
	if fault != nil {
		fault.serve(w, req, body)
		return
	}
	if body == nil {
		http.NotFound(w, req)
		return
	}
	w.Header().Set("Content-Type", contentType)
	if r.opts.ETags {
		etag := fmt.Sprintf(`"%x"`, sha256.Sum256(body))
		w.Header().Set("ETag", etag)
		if req.Header.Get("If-None-Match") == etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	_, _ = w.Write(body)
}

func (r *Repo) allowed(req *http.Request) bool {
	same := func(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
	if r.opts.Username == "" && r.opts.Token == "" {
		return true
	}
	user, password, ok := req.BasicAuth()
	if ok && r.opts.Username != "" && same(user, r.opts.Username) && same(password, r.opts.Password) {
		return true
	}
	return r.opts.Token != "" && same(req.Header.Get("Authorization"), "Bearer "+r.opts.Token)
}

// body is what the repository has under a name, or nil.
func (r *Repo) body(name, url string) (body []byte, contentType string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if name == "index.yaml" {
		if !r.opts.AbsoluteURLs {
			url = ""
		}
		if r.index == nil || r.indexURL != url {
			r.index, r.indexURL = writeIndex(r.entries, url), url
		}
		return r.index, "application/yaml"
	}
	return r.archives[name].Data, "application/gzip"
}

// Server is a repository that listens on a free port of the loopback interface.
type Server struct {
	*Repo
	URL string // of the repository, with the prefix

	server *http.Server
}

// Start serves a new repository until Close. addr is where to listen; "" = a free port on 127.0.0.1.
func Start(addr string, opts Options) (*Server, error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	repo := New(opts)
	s := &Server{Repo: repo, URL: "http://" + listener.Addr().String() + repo.opts.Prefix, server: &http.Server{Handler: repo}}
	go func() { _ = s.server.Serve(listener) }()
	return s, nil
}

// Close stops the server, and cuts the requests it is answering.
func (s *Server) Close() error { return s.server.Close() }
