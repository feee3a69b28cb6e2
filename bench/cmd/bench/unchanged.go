package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/bench/internal/job"
	"github.com/sut-bench/helmexec/internal/chartrepo"
)

// toAnswer is how long the sources of unchanged take to answer a request.
const toAnswer = 50 * time.Millisecond

// distant is a source of charts that is far away. It counts its requests.
type distant struct {
	*httptest.Server
	requests atomic.Int64
}

func newDistant(near http.Handler) *distant {
	d := &distant{}
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		d.requests.Add(1)
		time.Sleep(toAnswer)
		near.ServeHTTP(w, req)
	}))
	return d
}

// files are documents on a web server, by path. It knows a document again by its ETag or its date, as the web servers
// of large repositories do.
type files map[string][]byte

func (f files) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	data, ok := f[req.URL.Path]
	if !ok {
		http.NotFound(w, req)
		return
	}
	w.Header().Set("ETag", fmt.Sprintf(`"%x"`, len(data))) // they do not change
	http.ServeContent(w, req, req.URL.Path, time.Date(2025, time.January, 1, 0, 0, 0, 0, time.UTC), bytes.NewReader(data))
}

// copied are some files of the benchmark's repository.
func (b *bench) copied(paths ...string) (files, error) {
	f := files{}
	for _, path := range paths {
		answer, err := http.Get(b.repo.URL + path)
		if err != nil {
			return nil, err
		}
		f["/charts"+path], err = io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil {
			return nil, err
		}
	}
	return f, nil
}

// unchanged: Chart2Info in a new process, of what the home has and the source must be asked about.
func (b *bench) unchanged() error {
	repo, err := b.copied("/index.yaml", job.ChartAt(0)+"-1.0.0.tgz")
	if err != nil {
		return err
	}
	archive, err := chartrepo.Package(chartFiles(strings.TrimPrefix(job.ChartAt(0), "/")))
	if err != nil {
		return err
	}
	open, err := newRegistry(archive, false)
	if err != nil {
		return err
	}
	guarded, err := newRegistry(archive, true)
	if err != nil {
		return err
	}
	// A tag is exact; Refresh asks what it means now.
	tag := helmexec.ChartOptions{Refresh: true, Source: helmexec.SourceOptions{PlainHTTP: true}}
	var got, notes []string
	reached := true
	for _, source := range []struct {
		what    string
		handler http.Handler
		options helmexec.ChartOptions
		needs   int64
	}{
		{"index of 7 MB", repo, helmexec.ChartOptions{}, 1}, {"tag", open, tag, 1}, {"tag with a token", guarded, tag, 3},
	} {
		server := newDistant(source.handler)
		defer server.Close()
		address := server.URL + "/charts" + job.ChartAt(0)
		if source.options.Refresh {
			address = "oci" + strings.TrimPrefix(address, "http") + ":1.0.0"
		}
		order := job.Order{Task: job.Resolve, Home: filepath.Join(b.dir, "unchanged"), Chart: address, Options: source.options}
		// The first process fills the home, and the second may have to learn how the source marks what it has.
		for range 2 {
			if _, _, err := b.runner(order); err != nil {
				return fmt.Errorf("%s: %w", source.what, err)
			}
		}
		var costs []cost
		var helms int
		var requests int64
		for range 3 * b.rounds {
			before := server.requests.Load()
			report, c, err := b.runner(order)
			if err != nil {
				return fmt.Errorf("%s: %w", source.what, err)
			}
			costs, helms, requests = append(costs, c), max(helms, report.Helms()), max(requests, server.requests.Load()-before)
		}
		most := time.Duration(source.needs)*toAnswer*3/2 + 5*time.Millisecond
		took := median(of(costs, wall))
		reached = reached && helms == 0 && requests <= source.needs && took <= most
		got = append(got, fmt.Sprintf("%s: %d processes, %d requests, wall %s", source.what, helms, requests, ms(took)))
		notes = append(notes, fmt.Sprintf("at most %s for the %s", ms(most), source.what))
	}
	b.rows = append(b.rows, row{
		benchmark: "`Chart2Info` in a new process, unpinned, unchanged since, 50 ms to each answer",
		must:      "0 helm processes, 1 request (3 with a token), wall ≤ 1.5 × the answers' time + 5 ms",
		got:       strings.Join(got, "; "), reached: reached,
		notes: "from the start of the process to its end, after two processes have done the same; " + strings.Join(notes, ", "),
	})
	return nil
}
