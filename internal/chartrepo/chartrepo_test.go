package chartrepo

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

const charts = "../../testdata/charts"

type index struct {
	APIVersion string `json:"apiVersion"`
	Entries    map[string][]struct {
		Name, Version, AppVersion, Digest string
		URLs                              []string
		Created                           time.Time
		Dependencies                      []struct{ Name, Condition string }
	} `json:"entries"`
}

func start(t *testing.T, opts Options) *Server {
	t.Helper()
	server, err := Start("", opts)
	require.NoError(t, err)
	t.Cleanup(func() { _ = server.Close() })
	return server
}

func get(t *testing.T, url string) (int, []byte, error) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

func getIndex(t *testing.T, s *Server) index {
	t.Helper()
	status, body, err := get(t, s.URL+"/index.yaml")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
	var i index
	require.NoError(t, yaml.UnmarshalStrict(body, &map[string]any{}))
	require.NoError(t, yaml.Unmarshal(body, &i))
	return i
}

func TestPackageDir(t *testing.T) {
	archive, err := PackageDir(charts+"/stack", "")
	require.NoError(t, err)
	again, err := PackageDir(charts+"/stack", "")
	require.NoError(t, err)
	assert.Equal(t, archive, again, "the same bytes")
	assert.Equal(t, "stack-2.0.0.tgz", archive.Filename())

	unzipped, err := gzip.NewReader(bytes.NewReader(archive.Data))
	require.NoError(t, err)
	var names []string
	for r := tar.NewReader(unzipped); ; {
		header, err := r.Next()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		names = append(names, header.Name)
	}
	assert.Equal(t, []string{"stack/Chart.yaml", "stack/values.yaml", "stack/values.schema.json"}, names[:3])
	assert.Contains(t, names, "stack/charts/cache/Chart.yaml")

	other, err := PackageDir(charts+"/stack", "3.0.0-rc.1+build.7")
	require.NoError(t, err)
	assert.Equal(t, "stack-3.0.0-rc.1+build.7.tgz", other.Filename())
	assert.NotEqual(t, archive.Digest, other.Digest)

	_, err = PackageDir(charts, "")
	require.Error(t, err)
}

func TestRepo(t *testing.T) {
	for _, absolute := range []bool{false, true} {
		s := start(t, Options{AbsoluteURLs: absolute, Prefix: "/a/b/"})
		assert.Empty(t, getIndex(t, s).Entries)
		require.NoError(t, s.AddDir(charts))

		stack := getIndex(t, s).Entries["stack"][0]
		url := stack.URLs[0]
		assert.Equal(t, absolute, strings.HasPrefix(url, "http://127.0.0.1:"), url)
		if !absolute {
			url = s.URL + "/" + url
		}
		status, body, err := get(t, url)
		require.NoError(t, err)
		assert.Equal(t, http.StatusOK, status)
		sum := sha256.Sum256(body)
		assert.Equal(t, hex.EncodeToString(sum[:]), stack.Digest)
		assert.Equal(t, "cache.enabled", stack.Dependencies[0].Condition)
		assert.Equal(t, 1, s.Requests("stack-2.0.0.tgz"))

		// a version pushed a second ago
		newer, err := PackageDir(charts+"/stack", "3.0.0")
		require.NoError(t, err)
		require.NoError(t, s.Add(newer, newer))
		assert.Len(t, getIndex(t, s).Entries["stack"], 2)
		s.ClaimDigest("stack", "3.0.0", strings.Repeat("0", 64))
		assert.Equal(t, strings.Repeat("0", 64), getIndex(t, s).Entries["stack"][1].Digest)
		s.Remove("stack", "3.0.0")
		assert.Len(t, getIndex(t, s).Entries["stack"], 1)
		status, _, err = get(t, s.URL+"/stack-3.0.0.tgz")
		require.NoError(t, err)
		assert.Equal(t, http.StatusNotFound, status)

		assert.Equal(t, 5, s.Requests("index.yaml"))
		s.ResetRequests()
		assert.Zero(t, s.Requests(""))
	}
}

func TestGeneratedIndex(t *testing.T) {
	s := start(t, Options{})
	require.NoError(t, s.AddDir(charts+"/webapp"))
	s.AddGenerated(400, 30)
	_, body, err := get(t, s.URL+"/index.yaml")
	require.NoError(t, err)
	assert.InDelta(t, 7<<20, len(body), 1<<19)

	s = start(t, Options{})
	s.AddGenerated(3, 2)
	i := getIndex(t, s)
	assert.Len(t, i.Entries, 3)
	assert.Equal(t, "1.1.0", i.Entries["app-002"][1].Version)
}

func TestAuthentication(t *testing.T) {
	s := start(t, Options{Username: "user", Password: "secret", Token: "token"})
	ask := func(change func(*http.Request)) int {
		req, err := http.NewRequest(http.MethodGet, s.URL+"/index.yaml", nil)
		require.NoError(t, err)
		change(req)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		resp.Body.Close()
		return resp.StatusCode
	}
	assert.Equal(t, 401, ask(func(*http.Request) {}))
	assert.Equal(t, 401, ask(func(r *http.Request) { r.SetBasicAuth("user", "wrong") }))
	assert.Equal(t, 200, ask(func(r *http.Request) { r.SetBasicAuth("user", "secret") }))
	assert.Equal(t, 200, ask(func(r *http.Request) { r.Header.Set("Authorization", "Bearer token") }))
	assert.Equal(t, 401, ask(func(r *http.Request) { r.Header.Set("Authorization", "Bearer ") }))
}

func TestFaults(t *testing.T) {
	s := start(t, Options{})
	require.NoError(t, s.AddDir(charts+"/webapp"))
	url := s.URL + "/webapp-0.3.1.tgz"
	_, good, err := get(t, url)
	require.NoError(t, err)

	t.Run("status", func(t *testing.T) {
		s.Inject(Fault{Path: "webapp-0.3.1.tgz", Status: 503, Times: 2})
		for _, want := range []int{503, 503, 200} {
			status, _, err := get(t, url)
			require.NoError(t, err)
			assert.Equal(t, want, status)
		}
	})
	t.Run("truncate", func(t *testing.T) {
		s.Inject(Fault{Truncate: 100, Times: 1})
		_, body, err := get(t, url)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		assert.Equal(t, good[:100], body)
	})
	t.Run("replace", func(t *testing.T) {
		defer s.Inject(Fault{Replace: []byte("other")})()
		_, body, err := get(t, url)
		require.NoError(t, err)
		assert.Equal(t, "other", string(body))
	})
	t.Run("drip", func(t *testing.T) {
		defer s.Inject(Fault{Drip: time.Microsecond})()
		_, body, err := get(t, url)
		require.NoError(t, err)
		assert.Equal(t, good, body)
	})
	t.Run("size", func(t *testing.T) {
		defer s.Inject(Fault{Path: "index.yaml", Size: 2 << 30})()
		resp, err := http.Get(s.URL + "/index.yaml")
		require.NoError(t, err)
		defer resp.Body.Close()
		assert.Equal(t, int64(2<<30), resp.ContentLength)
		head := make([]byte, 1<<20)
		_, err = io.ReadFull(resp.Body, head)
		require.NoError(t, err)
		assert.True(t, bytes.HasPrefix(head, []byte("apiVersion: v1\nentries: {}\n# and")))
		require.NoError(t, yaml.Unmarshal(head, &index{}))
	})
	t.Run("hold", func(t *testing.T) {
		hold := make(chan struct{})
		defer s.Inject(Fault{Hold: hold})()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		require.NoError(t, err)
		_, err = http.DefaultClient.Do(req)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		close(hold)
		_, body, err := get(t, url)
		require.NoError(t, err)
		assert.Equal(t, good, body)
	})
}

func TestETags(t *testing.T) {
	s := start(t, Options{ETags: true})
	ask := func(etag string) (int, string) {
		req, err := http.NewRequest(http.MethodGet, s.URL+"/index.yaml", nil)
		require.NoError(t, err)
		req.Header.Set("If-None-Match", etag)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		resp.Body.Close()
		return resp.StatusCode, resp.Header.Get("ETag")
	}
	status, etag := ask("")
	assert.Equal(t, 200, status)
	status, _ = ask(etag)
	assert.Equal(t, 304, status)
	require.NoError(t, s.AddDir(charts+"/webapp"))
	status, _ = ask(etag)
	assert.Equal(t, 200, status)
}
