package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/sut-bench/helmexec/internal/chartrepo"
)

// registry is a small OCI registry with one chart, under the tag that is its version.
type registry struct {
	token     bool // asks for a token, which it gives to everybody
	name, tag string
	manifest  blob
	blobs     map[string]blob // by digest
}

// blob is a document of a registry.
type blob struct {
	kind string // its media type
	data []byte
}

func (b blob) digest() string {
	sum := sha256.Sum256(b.data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func newRegistry(a chartrepo.Archive, token bool) (*registry, error) {
	r := &registry{token: token, name: "charts/" + a.Name, tag: a.Version, blobs: map[string]blob{}}
	config, err := json.Marshal(a.Metadata)
	if err != nil {
		return nil, err
	}
	described := func(b blob) map[string]any {
		r.blobs[b.digest()] = b
		return map[string]any{"mediaType": b.kind, "digest": b.digest(), "size": len(b.data)}
	}
	const kind = "application/vnd.oci.image.manifest.v1+json"
	text, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": kind,
		"config": described(blob{"application/vnd.cncf.helm.config.v1+json", config}),
		"layers": []any{described(blob{"application/vnd.cncf.helm.chart.content.v1.tar+gzip", a.Data})},
	})
	r.manifest = blob{kind, text}
	return r, err
}

// ServeHTTP implements http.Handler.
func (r *registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	const bearer = "Bearer for-everybody"
	if req.URL.Path == "/token" {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"token": "for-everybody"}`)
		return
	}
	if r.token && req.Header.Get("Authorization") != bearer {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="bench",scope="repository:%s:pull"`, req.Host, r.name))
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	path, _ := strings.CutPrefix(req.URL.Path, "/v2/"+r.name)
	switch {
	case path == "/manifests/"+r.tag, path == "/manifests/"+r.manifest.digest():
		r.manifest.serve(w, req)
	case r.blobs[strings.TrimPrefix(path, "/blobs/")].data != nil:
		r.blobs[strings.TrimPrefix(path, "/blobs/")].serve(w, req)
	default:
		http.NotFound(w, req)
	}
}

func (b blob) serve(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Content-Type", b.kind)
	w.Header().Set("Docker-Content-Digest", b.digest())
	w.Header().Set("ETag", `"`+b.digest()+`"`)
	w.Header().Set("Content-Length", fmt.Sprint(len(b.data)))
	if req.Method != http.MethodHead {
		_, _ = w.Write(b.data)
	}
}
