package fetch

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/internal/chartrepo"
)

// What a chart without a version costs if nothing has changed at a source that takes 50 ms to answer: an index of 7 MB,
// and a tag that is asked for by its version. No helm runs.
func BenchmarkUnchanged(b *testing.B) {
	const answers = 50 * time.Millisecond
	slow := func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(answers)
			h.ServeHTTP(w, r)
		})
	}
	b.Run("index", func(b *testing.B) {
		repo := chartrepo.New(chartrepo.Options{ETags: true})
		archive, err := chartrepo.Package(map[string]string{"Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\n"})
		require.NoError(b, err)
		require.NoError(b, repo.Add(archive))
		repo.AddGenerated(400, 30)
		server := httptest.NewServer(slow(repo))
		defer server.Close()
		helm := &fakeHelm{}
		s := newStore(b, Config{Helm: helm, Limits: Limits{Index: 64 << 20, Archive: 1 << 20}})
		fetch := func() {
			_, err := s.Fetch(b.Context(), server.URL+"/charts/web", Options{})
			require.NoError(b, err)
		}
		fetch()
		fetch()
		repo.ResetRequests()
		helm.calls.Store(0)
		for b.Loop() {
			fetch()
		}
		require.Equal(b, b.N, repo.Requests(""))
		require.Zero(b, helm.calls.Load())
	})
	b.Run("tag", func(b *testing.B) {
		r := newRegistry(b)
		r.server.Config.Handler = slow(r)
		r.tags["1.0.0"] = "1.0.0"
		opts := r.opts
		opts.Refresh = true
		fetch := func() {
			_, err := r.s.Fetch(b.Context(), r.address()+":1.0.0", opts)
			require.NoError(b, err)
		}
		fetch()
		r.requests.Store(0)
		r.helm.calls.Store(0)
		for b.Loop() {
			fetch()
		}
		require.EqualValues(b, b.N, r.requests.Load())
		require.Zero(b, r.helm.calls.Load())
	})
}
