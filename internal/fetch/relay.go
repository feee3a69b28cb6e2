package fetch

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sut-bench/helmexec/internal/redact"
)

// Relay fetches one file for helm, and its provenance. It is needed for a source that wants credentials: helm would send a user
// name and password along with a redirect to another port of the host, and from https to http; it cannot send
// a bearer token at all. And it sees the headers of an index, which helm does not show. The relay listens on
// the loopback, at a URL that nobody else can guess.
type Relay struct {
	url            string       // helm uses it as the repository
	served, target string       // the URL that helm requests, and the one that is fetched
	failed         atomic.Value // why the target was not reached last time: a string, "" if it was
	led            atomic.Bool  // the last request was redirected to a place that does not get the credentials
	login          bool         // there are credentials
	secrets        []string
	client         *http.Client
	server         *http.Server
	patience       time.Duration

	serving sync.Mutex  // held while helm is served, one request at a time; guards the rest
	kept    *keptAnswer // for helm's next request
	got     validators  // of what helm got last
}

// keptAnswer is an answer of the target that was not read yet.
type keptAnswer struct {
	*http.Response
	came time.Time
	end  func()
}

// relay starts a Relay for a target on the repository's own host, or on another one, which gets the
// credentials only with PassCredentialsAll. Helm requests name below the relay's url. The limits on helm,
// which reads the answer, also limit its size, except that of the headers.
func (s *Store) relay(r repository, target, name string) (*Relay, error) {
	transport, err := s.transport(r.Access)
	if err != nil {
		return nil, err
	}
	provenance, err := provenanceOf(target)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	via := &Relay{
		url: "http://" + listener.Addr().String() + "/" + rand.Text(), target: target,
		login: r.authorization() != "", secrets: r.secrets(), patience: s.patience,
	}
	via.served = via.url + "/" + name
	via.failed.Store("")
	via.client = &http.Client{Transport: withCredentials{
		transport,
		r.authorization(),
		func(to *url.URL) bool {
			return via.login && (r.PassCredentialsAll && (to.String() == target || to.String() == provenance) || r.isHost(to.String()))
		},
	}}
	via.server = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, asked *http.Request) {
			switch "http://" + asked.Host + asked.URL.Path {
			case via.served:
				via.serve(w, asked, target)
			case via.served + provenanceSuffix:
				via.serve(w, asked, provenance)
			default:
				http.NotFound(w, asked)
			}
		}),
		ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0),
	}
	go func() { _ = via.server.Serve(listener) }()
	return via, nil
}

// provenanceSuffix makes the path of a provenance from that of its archive.
const provenanceSuffix = ".prov"

// provenanceOf is where the provenance of an archive is.
func provenanceOf(archive string) (string, error) {
	u, err := url.Parse(archive)
	if err != nil {
		return "", err
	}
	u.Path += provenanceSuffix
	if u.RawPath != "" {
		u.RawPath += provenanceSuffix
	}
	return u.String(), nil
}

// ask requests the target, or its provenance.
func (via *Relay) ask(ctx context.Context, target string, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	req.Header = header.Clone()
	return via.client.Do(req)
}

// unchanged asks the target whether it still has what has these validators. If it answers with something else, helm
// will get that answer. Any other answer means nothing: then helm asks as if there were no validators.
func (via *Relay) unchanged(ctx context.Context, have validators) bool {
	if via == nil {
		return false
	}
	ctx, end := context.WithCancel(ctx)
	late := time.AfterFunc(via.patience, end)
	answer, err := via.ask(ctx, via.target, have.conditions())
	if err != nil {
		late.Stop()
		end()
		return false
	}
	kept := &keptAnswer{answer, time.Now(), func() { _ = answer.Body.Close(); end() }}
	if late.Stop() && answer.StatusCode == http.StatusOK {
		via.serving.Lock()
		defer via.serving.Unlock()
		via.kept = kept
		return false
	}
	kept.end()
	return have.confirmed(answer)
}

// serve passes the answer of the target, or of its provenance, to helm, byte for byte.
func (via *Relay) serve(w http.ResponseWriter, asked *http.Request, target string) {
	via.serving.Lock()
	defer via.serving.Unlock()
	via.failed.Store("")
	via.led.Store(false)
	via.got = validators{}
	answer, done := via.take(asked.Context())
	defer done()
	if answer == nil {
		var err error
		if answer, err = via.ask(asked.Context(), target, asked.Header); err != nil {
			if e := (*url.Error)(nil); errors.As(err, &e) {
				err = e.Err // without the address, which may be that of a redirect and have secrets
			}
			via.failed.Store(redact.Abridged(redact.Redactor(via.secrets)(err.Error()))) // which can quote the server
			w.WriteHeader(http.StatusBadGateway)
			return
		}
	}
	defer answer.Body.Close()
	via.led.Store(via.login && answer.Request.Response != nil && answer.Request.Header.Get("Authorization") == "")
	maps.Copy(w.Header(), answer.Header)
	w.WriteHeader(answer.StatusCode)
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(w, sum), answer.Body); err != nil {
		panic(http.ErrAbortHandler) // so that helm does not accept a part as the whole
	}
	if answer.StatusCode == http.StatusOK {
		via.got = validatorsOf(answer, hex.EncodeToString(sum.Sum(nil)))
	}
}

// take is the kept answer, nil if there is none, until ctx ends. A server does not wait for its reader for ever, and
// helm may have waited for its turn.
func (via *Relay) take(ctx context.Context) (answer *http.Response, done func()) {
	kept := via.kept
	via.kept = nil
	switch {
	case kept == nil:
		return nil, func() {}
	case time.Since(kept.came) > via.patience:
		kept.end()
		return nil, func() {}
	}
	context.AfterFunc(ctx, kept.end)
	return kept.Response, kept.end
}

// validators are those of what helm got.
func (via *Relay) validators() validators {
	if via == nil {
		return validators{}
	}
	via.serving.Lock()
	defer via.serving.Unlock()
	return via.got
}

// Stop ends the relay and its current request.
func (via *Relay) Stop() {
	if via == nil {
		return
	}
	_ = via.server.Close()
	via.serving.Lock()
	defer via.serving.Unlock()
	if via.kept != nil {
		via.kept.end()
		via.kept = nil
	}
	via.client.CloseIdleConnections()
}

// Speak replaces the relay in helm's messages by the repository.
func (via *Relay) Speak(text string) string {
	if via == nil {
		return text
	}
	if why := via.failed.Load().(string); why != "" {
		text = strings.ReplaceAll(text, "502 Bad Gateway", why)
	}
	text = strings.ReplaceAll(text, via.served, via.target)
	return strings.ReplaceAll(text, via.url, strings.TrimSuffix(via.target, "/index.yaml"))
}

// LedAway reports whether a redirect led to a place that does not get the credentials.
func (via *Relay) LedAway() bool { return via != nil && via.led.Load() }

// withCredentials adds an Authorization header to requests for allowed URLs, also after redirects.
type withCredentials struct {
	*http.Transport
	authorization string
	may           func(*url.URL) bool
}

func (t withCredentials) RoundTrip(req *http.Request) (*http.Response, error) {
	may := t.may(req.URL)
	for hop := req.Response; may && hop != nil; hop = hop.Request.Response {
		may = t.may(hop.Request.URL) // only an allowed host may choose a URL that gets the credentials
	}
	if may {
		req = req.Clone(req.Context())
		req.Header.Set("Authorization", t.authorization)
	}
	return t.Transport.RoundTrip(req)
}
