// Package emptycluster answers helm as the API server of a cluster would that serves given APIs and has no object.
// A helm that renders against it gives a chart exactly these APIs, and the chart's look-ups find nothing.
package emptycluster

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sut-bench/helmexec/internal/pattern"
)

// Version is what a cluster says its version is.
type Version struct {
	GitVersion string `json:"gitVersion"`
	Major      string `json:"major"`
	Minor      string `json:"minor"`
}

// Server listens on this host only. It has nothing to hide: whoever connects learns which APIs it was given.
type Server struct {
	URL    string
	server *http.Server
	served func() (*served, error)
}

// served are the APIs of a cluster.
type served struct {
	version  Version
	groups   []string            // in the order they were given; "" is the core group
	versions map[string][]string // by group
	kinds    map[string][]string // by group/version
}

// Start answers for a cluster that describe tells about: its version, and its APIs in the form that helm has them,
// "group/version" and "group/version/Kind", each once. The first request calls describe, so that helm can start before it is
// known; if it fails, so does every request. The caller closes the server.
func Start(describe func() (Version, []string, error)) (*Server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Server{URL: "http://" + listener.Addr().String()}
	s.served = sync.OnceValues(func() (*served, error) {
		version, apis, err := describe()
		if err != nil {
			return nil, err
		}
		all := &served{version: version, versions: map[string][]string{}, kinds: map[string][]string{}}
		for _, api := range apis {
			all.add(api)
		}
		return all, nil
	})
	s.server = &http.Server{Handler: http.HandlerFunc(s.answer), ReadHeaderTimeout: time.Minute}
	go s.server.Serve(listener)
	return s, nil
}

// Close ends it. A request that still waits for the description gets no answer.
func (s *Server) Close() error { return s.server.Close() }

// Kubeconfig is the text of a kubeconfig that leads helm here.
func (s *Server) Kubeconfig() []byte {
	return fmt.Appendf(nil, "apiVersion: v1\nkind: Config\ncurrent-context: empty\n"+
		"clusters: [{name: empty, cluster: {server: %q}}]\n"+
		"contexts: [{name: empty, context: {cluster: empty, user: nobody}}]\n"+
		"users: [{name: nobody, user: {}}]\n", s.URL)
}

func (s *served) add(api string) {
	gv, kind := SplitAPI(api)
	group, version, found := strings.Cut(gv, "/")
	if !found {
		group, version = "", gv
	}
	if _, known := s.kinds[gv]; !known {
		s.kinds[gv] = nil
		if s.versions[group] == nil {
			s.groups = append(s.groups, group)
		}
		s.versions[group] = append(s.versions[group], version)
	}
	if kind != "" {
		s.kinds[gv] = append(s.kinds[gv], kind)
	}
}

// SplitAPI splits "v1", "apps/v1", "v1/Pod" and "apps/v1/Deployment" into version and kind, "" if it names none.
func SplitAPI(api string) (version, kind string) {
	words := strings.Split(api, "/")
	if len(words) > 2 || len(words) == 2 && coreVersion().MatchString(words[0]) {
		last := len(words) - 1
		return strings.Join(words[:last], "/"), words[last]
	}
	return api, ""
}

// coreVersion is a version of the core group, which stands alone. Other groups do not have such names.
var coreVersion = pattern.New(`^v[0-9]+((alpha|beta)[0-9]+)?$`)

type object = map[string]any

func (s *Server) answer(w http.ResponseWriter, r *http.Request) {
	code, body := failure(http.StatusInternalServerError, "InternalError", r)
	if all, err := s.served(); err == nil {
		code, body = all.find(r)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // helm may have gone
}

func (s *served) find(r *http.Request) (code int, body any) {
	if r.Method != http.MethodGet {
		return failure(http.StatusMethodNotAllowed, "MethodNotAllowed", r)
	}
	path := strings.Trim(r.URL.Path, "/")
	switch path {
	case "version":
		return http.StatusOK, s.version
	case "api":
		return http.StatusOK, object{"kind": "APIVersions", "versions": append([]string{}, s.versions[""]...)}
	case "apis":
		return http.StatusOK, object{"kind": "APIGroupList", "apiVersion": "v1", "groups": s.groupList()}
	}
	words := strings.Split(path, "/")
	switch {
	case words[0] == "api" && len(words) > 1:
		path, words = words[1], words[2:]
	case words[0] == "apis" && len(words) > 2:
		path, words = words[1]+"/"+words[2], words[3:]
	default:
		return failure(http.StatusNotFound, "NotFound", r)
	}
	kinds, served := s.kinds[path]
	if served && len(words) == 0 {
		return http.StatusOK, object{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": path, "resources": resources(kinds)}
	}
	if len(words) > 2 && words[0] == "namespaces" {
		words = words[2:]
	}
	if at := slices.IndexFunc(kinds, func(kind string) bool { return plural(kind) == words[0] }); at >= 0 && len(words) == 1 {
		return http.StatusOK, object{"kind": kinds[at] + "List", "apiVersion": path, "metadata": object{"resourceVersion": "1"}, "items": []any{}}
	}
	return failure(http.StatusNotFound, "NotFound", r)
}

func failure(code int, reason string, r *http.Request) (int, any) {
	return code, object{
		"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
		"message": fmt.Sprintf("%s %s: this cluster has no objects", r.Method, r.URL.Path),
	}
}

func (s *served) groupList() []any {
	groups := []any{}
	for _, group := range s.groups {
		if group == "" {
			continue
		}
		var versions []object
		for _, version := range s.versions[group] {
			versions = append(versions, object{"groupVersion": group + "/" + version, "version": version})
		}
		groups = append(groups, object{"name": group, "versions": versions, "preferredVersion": versions[0]})
	}
	return groups
}

func resources(kinds []string) []any {
	all := []any{}
	for _, kind := range kinds {
		all = append(all, object{
			"name": plural(kind), "singularName": strings.ToLower(kind), "namespaced": true, "kind": kind, "verbs": []string{"get", "list"},
		})
	}
	return all
}

// plural is the resource of a kind. Only this server has to understand it.
func plural(kind string) string { return strings.ToLower(kind) + "s" }
