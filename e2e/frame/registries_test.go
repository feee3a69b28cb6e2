package frame

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sut-bench/helmexec"
)

// A registry chooses every byte that helm reads from it.
func TestRegistries(t *testing.T) { tryAll(t, registries) }

const (
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	configType   = "application/vnd.cncf.helm.config.v1+json"
	layerType    = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
)

type object = map[string]any

// place is a fake registry with one chart, and what it does otherwise.
type place struct {
	manifest object
	blobs    map[string][]byte
	// serve answers instead of it, if it returns true.
	serve func(p *place, w http.ResponseWriter, r *http.Request) bool
	url   string
}

func digestOf(data []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(data)) }

func descriptor(kind string, data []byte) object {
	return object{"mediaType": kind, "digest": digestOf(data), "size": len(data)}
}

func (p *place) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p.serve != nil && p.serve(p, w, r) {
		return
	}
	_, name, _ := strings.Cut(r.URL.Path, "/web/")
	switch {
	case r.URL.Path == "/v2/":
	case strings.HasPrefix(name, "tags/list"):
		_ = json.NewEncoder(w).Encode(object{"name": "web", "tags": []string{"1.0.0"}})
	case strings.HasPrefix(name, "manifests/"):
		text, _ := json.Marshal(p.manifest)
		w.Header().Set("Content-Type", fmt.Sprint(p.manifest["mediaType"]))
		w.Header().Set("Docker-Content-Digest", digestOf(text))
		w.Header().Set("Content-Length", fmt.Sprint(len(text)))
		_, _ = w.Write(text)
	case strings.HasPrefix(name, "blobs/"):
		data, ok := p.blobs[strings.TrimPrefix(name, "blobs/")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		_, _ = w.Write(data)
	default:
		http.NotFound(w, r)
	}
}

// endless writes as long as somebody reads.
func endless(w http.ResponseWriter, r *http.Request, begin string) {
	_, _ = io.WriteString(w, begin)
	line := strings.Repeat("x", 1<<16)
	for r.Context().Err() == nil {
		if _, err := io.WriteString(w, line); err != nil {
			return
		}
	}
}

var registries = []attempt{
	registry("an honest one", nil, nil),
	registry("a layer that is elsewhere", errAny, func(p *place) {
		layer := p.layers()[0].(object)
		delete(p.blobs, layer["digest"].(string))
		layer["urls"] = []string{canary.web.URL + "/layer.tgz", "file://" + canary.files + "/secret"}
		layer["mediaType"] = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
	}),
	registry("a layer with places elsewhere", errOrUs, func(p *place) {
		p.layers()[0].(object)["urls"] = []string{canary.web.URL + "/layer.tgz"}
	}),
	registry("a layer of another digest", errAny, func(p *place) {
		digest := p.layers()[0].(object)["digest"].(string)
		p.blobs[digest] = append([]byte{}, p.blobs[digest]...)
		p.blobs[digest][len(p.blobs[digest])-1] ^= 1
	}),
	registry("a layer that is shorter", errAny, func(p *place) {
		digest := p.layers()[0].(object)["digest"].(string)
		p.blobs[digest] = p.blobs[digest][:20]
	}),
	registry("a layer of another size", errAny, func(p *place) { p.layers()[0].(object)["size"] = 1 }),
	registry("a layer of a size below zero", errAny, func(p *place) { p.layers()[0].(object)["size"] = -1 }),
	registry("a layer of a huge size", errAny, func(p *place) { p.layers()[0].(object)["size"] = int64(1) << 60 }),
	registry("a layer without end", errAny, func(p *place) {
		p.layers()[0].(object)["size"] = int64(1) << 40
		p.serve = func(p *place, w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, p.layers()[0].(object)["digest"].(string)) {
				return false
			}
			w.Header().Set("Content-Length", fmt.Sprint(int64(1)<<40))
			endless(w, r, "")
			return true
		}
	}),
	registry("a digest that is a path", errAny, func(p *place) { p.layers()[0].(object)["digest"] = "sha256:../../../../etc/passwd" }),
	registry("a digest of an unknown kind", errAny, func(p *place) { p.layers()[0].(object)["digest"] = "crc32:00000000" }),
	registry("no layers", errAny, func(p *place) { p.manifest["layers"] = []any{} }),
	registry("layers that are null", errAny, func(p *place) { p.manifest["layers"] = nil }),
	registry("a layer of another kind", errAny, func(p *place) { p.layers()[0].(object)["mediaType"] = "text/plain" }),
	registry("two charts", errOrUs, func(p *place) {
		evil := []byte("evil")
		p.blobs[digestOf(evil)] = evil
		p.manifest["layers"] = append(p.layers(), descriptor(layerType, evil))
	}),
	registry("a title that is a path", errOrUs, func(p *place) {
		p.layers()[0].(object)["annotations"] = object{"org.opencontainers.image.title": "../../../../../tmp/evil.tgz"}
	}),
	registry("a layer that is no archive", helmexec.ErrBadChart, func(p *place) { p.replaceLayer([]byte("evil")) }),
	registry("another chart", helmexec.ErrChartNotFound, func(p *place) {
		p.replaceLayer(pack(func(w *packer) { w.file("api/Chart.yaml", "apiVersion: v2\nname: api\nversion: 1.0.0\n") }))
	}),
	registry("another version", helmexec.ErrChartNotFound, func(p *place) {
		p.replaceLayer(pack(func(w *packer) { w.file("web/Chart.yaml", "apiVersion: v2\nname: web\nversion: 2.0.0\n") }))
	}),
	registry("no config", errOrUs, func(p *place) { delete(p.manifest, "config") }),
	registry("a config of another kind", errAny, func(p *place) { p.manifest["config"].(object)["mediaType"] = "text/plain" }),
	registry("a config without end", errAny, func(p *place) {
		p.manifest["config"].(object)["size"] = int64(1) << 40
		p.serve = func(p *place, w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, p.manifest["config"].(object)["digest"].(string)) {
				return false
			}
			w.Header().Set("Content-Length", fmt.Sprint(int64(1)<<40))
			endless(w, r, "{")
			return true
		}
	}),
	registry("a manifest that is a list of itself", errAny, func(p *place) {
		p.manifest = object{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []any{descriptor("application/vnd.oci.image.index.v1+json", []byte("x"))}}
	}),
	registry("a manifest without end", helmexec.ErrFetchTimeout, instead("/manifests/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", manifestType)
		endless(w, r, `{"schemaVersion":2,"annotations":{"a":"`)
	})),
	registry("a manifest that is huge", errAny, func(p *place) { p.manifest["annotations"] = object{"a": strings.Repeat("x", 6<<20)} }),
	registry("a manifest that is a page", errAny, instead("/manifests/", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "<html>") })),
	registry("a manifest of another digest", errAny, instead("/manifests/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", manifestType)
		w.Header().Set("Docker-Content-Digest", "sha256:"+strings.Repeat("0", 64))
		_, _ = io.WriteString(w, "{}")
	})),
	registry("a realm elsewhere", errAny, challenge(`Bearer realm="http://127.0.0.1:1/token",service="x"`)),
	registry("a realm that is a file", errAny, challenge(`Bearer realm="file:///etc/passwd",service="x"`)),
	registry("a realm that is none", errAny, challenge(`Bearer realm="\x00",service="x"`)),
	registry("a realm of a strange kind", errAny, challenge(`Negotiate abc`)),
	registry("very many realms", errAny, challenge(strings.Repeat(`Bearer realm="x",`, 2000))),
	registry("a token without end", errAny, func(p *place) {
		p.serve = func(p *place, w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/token" {
				endless(w, r, `{"token":"`)
				return true
			}
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+p.url+`/token",service="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
	}),
	registry("redirects in a circle", errAny, instead("/v2/", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) })),
	registry("a redirect to a file", errAny, instead("/blobs/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "file://"+canary.files+"/secret")
		w.WriteHeader(http.StatusTemporaryRedirect)
	})),
	registry("errors with escape sequences", errAny, instead("/v2/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"errors":[{"code":"DENIED","message":"\u001b[2J\u202e`+strings.Repeat("x", 100000)+`"}]}`)
	})),
	tags("tags without end", errAny, func(w http.ResponseWriter, r *http.Request) { endless(w, r, `{"name":"web","tags":["`) }),
	tags("pages of tags in a circle", helmexec.ErrFetchTimeout, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", `</v2/charts/web/tags/list?n=1&last=a>; rel="next"`)
		_, _ = io.WriteString(w, `{"name":"web","tags":["latest"]}`)
	}),
	tags("tags that are no versions", errAny, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"name":"web","tags":["--post-renderer=x","../../x","latest","\u001b[2J"]}`)
	}),
	tags("tags that are null", errAny, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, `{"name":"web","tags":null}`) }),
}

func (p *place) layers() []any { return p.manifest["layers"].([]any) }

func (p *place) replaceLayer(data []byte) {
	p.blobs[digestOf(data)] = data
	p.manifest["layers"] = []any{descriptor(layerType, data)}
}

// instead answers requests for some paths.
func instead(part string, answer http.HandlerFunc) func(p *place) {
	return func(p *place) {
		p.serve = func(p *place, w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, part) {
				return false
			}
			answer(w, r)
			return true
		}
	}
}

func challenge(text string) func(p *place) {
	return instead("/v2/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("WWW-Authenticate", text)
		w.WriteHeader(http.StatusUnauthorized)
	})
}

func tags(name string, want error, answer http.HandlerFunc) attempt {
	a := registry(name, want, instead("/tags/list", answer))
	do := a.do
	a.do = func(b *bed) error { b.openVersion = true; return do(b) }
	return a
}

// registry is the attempt to pull a chart from a registry that was changed.
func registry(name string, want error, change func(p *place)) attempt {
	expected := want
	if want == errOrUs {
		expected = nil
	}
	return attempt{name, expected, func(b *bed) error {
		archive, config := b.chart("web", "1.0.0", nil).Data, []byte(`{"name":"web","version":"1.0.0","apiVersion":"v2"}`)
		p := &place{
			manifest: object{"schemaVersion": 2, "mediaType": manifestType, "config": descriptor(configType, config), "layers": []any{descriptor(layerType, archive)}},
			blobs:    map[string][]byte{digestOf(archive): archive, digestOf(config): config},
		}
		if change != nil {
			change(p)
		}
		p.url = b.serve(p.ServeHTTP)
		address := "oci://" + strings.TrimPrefix(p.url, "http://") + "/charts/web"
		if !b.openVersion {
			address += ":1.0.0"
		}
		b.h = b.NewHelm(func(cfg *helmexec.Config) {
			cfg.Limits.Memory = 600 << 20
			if want == helmexec.ErrFetchTimeout {
				cfg.Limits.Time = soon
			}
		})
		err := b.fetched(address, helmexec.ChartOptions{Source: helmexec.SourceOptions{PlainHTTP: true}})
		if want == errOrUs {
			b.Logf("%v", err)
			return nil
		}
		return err
	}}
}
