package chartrepo

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"
)

// Fault is a way for the repository to misbehave. Hold combines with any other; Size or Replace with Truncate
// or Drip.
type Fault struct {
	Path  string // the path below the prefix it applies to, such as "index.yaml"; "" = any
	Times int    // how many requests it applies to; 0 = all, until it is removed

	Status   int             // answer with this status and no content
	Replace  []byte          // answer with other content
	Size     int64           // answer with this many bytes, which begin as an index does and never become one
	Truncate int64           // close the connection after this many bytes, though more were promised
	Drip     time.Duration   // wait this long before each 16 bytes
	Hold     <-chan struct{} // wait for this channel to be closed before answering, or for the client to give up
}

type fault struct {
	Fault
	left int
}

// Inject makes the repository misbehave, and returns the function that ends it. If several faults apply to a
// request, the one injected first is used.
func (r *Repo) Inject(f Fault) (remove func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	injected := &fault{Fault: f, left: f.Times}
	r.faults = append(r.faults, injected)
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.faults = slices.DeleteFunc(r.faults, func(f *fault) bool { return f == injected })
	}
}

// takeFault is called with the lock held.
func (r *Repo) takeFault(name string) *fault {
	for i, f := range r.faults {
		if f.Path != "" && f.Path != name {
			continue
		}
		if f.Times > 0 {
			if f.left--; f.left == 0 {
				r.faults = slices.Delete(r.faults, i, i+1)
			}
		}
		return f
	}
	return nil
}

func (f *fault) serve(w http.ResponseWriter, req *http.Request, body []byte) {
	if f.Hold != nil {
		select {
		case <-f.Hold:
		case <-req.Context().Done():
			return
		}
	}
	if f.Status != 0 {
		http.Error(w, http.StatusText(f.Status), f.Status)
		return
	}
	if f.Replace != nil {
		body = f.Replace
	}
	size, content := int64(len(body)), io.Reader(bytes.NewReader(body))
	if f.Size > 0 {
		size, content = f.Size, io.LimitReader(&endlessIndex{}, f.Size)
	}
	if size == 0 {
		http.NotFound(w, req)
		return
	}
	w.Header().Set("Content-Length", fmt.Sprint(size))
	switch {
	case f.Drip > 0:
		drip(w, req, content, f.Drip)
	case f.Truncate > 0:
		_, _ = io.CopyN(w, content, f.Truncate)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler) // closes the connection
	default:
		_, _ = io.Copy(w, content)
	}
}

func drip(w http.ResponseWriter, req *http.Request, content io.Reader, pause time.Duration) {
	ticks := time.NewTicker(pause)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
		case <-req.Context().Done():
			return
		}
		if n, err := io.CopyN(w, content, 16); n == 0 || err != nil && err != io.EOF {
			return
		}
		_ = http.NewResponseController(w).Flush()
	}
}

// endlessIndex is the beginning of an index, and comments without end.
type endlessIndex struct{ begun bool }

func (e *endlessIndex) Read(p []byte) (int, error) {
	if !e.begun {
		e.begun = true
		return copy(p, "apiVersion: v1\nentries: {}\n"), nil
	}
	const line = "# and so on, and so on, and so on, and so on, and so on, and so\n"
	n := 0
	for n < len(p) {
		n += copy(p[n:], line)
	}
	return n, nil
}
