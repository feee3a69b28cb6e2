package fetch

import (
	"crypto/rand"
	"errors"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/redact"
)

// Relay fetches one file for helm from a source that needs credentials. Helm would send a user name and
// password along with a redirect to another port of the host, and from https to http; it cannot send a
// bearer token at all. The relay listens on the loopback, at a URL that nobody else can guess.
type Relay struct {
	url            string       // helm uses it as the repository
	served, target string       // the URL that helm requests, and the one that is fetched
	failed         atomic.Value // why the target was not reached last time: a string, "" if it was
	led            atomic.Bool  // the last request was redirected to a place that gets no credentials
	secrets        []string
	server         *http.Server
}

// relay starts a Relay for a target on the repository's own host, or on another one, which gets the
// credentials only with PassCredentialsAll. Helm requests name below the relay's url. The limits on helm,
// which reads the answer, also limit its size, except that of the headers.
func (s *Store) relay(r repository, target, name string) (*Relay, error) {
	for _, key := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"} {
		if value, set := s.env[key]; set && value != os.Getenv(key) {
			return nil, errdef.Invalidf("this program, not helm, sends the credentials: set %s in its environment, not in Config.Env alone", key)
		}
	}
	config, err := r.tlsConfig()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	via := &Relay{url: "http://" + listener.Addr().String() + "/" + rand.Text(), target: target, secrets: r.secrets()}
	via.served = via.url + "/" + name
	via.failed.Store("")
	client := &http.Client{Transport: withCredentials{
		// Nothing is decompressed here: the limits apply to the bytes that arrive.
		&http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: config,
			DisableCompression: true, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10,
		},
		r.authorization(),
		func(to *url.URL) bool {
			return r.PassCredentialsAll && to.String() == target || r.isHost(to.String())
		},
	}}
	via.server = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, asked *http.Request) {
			if "http://"+asked.Host+asked.URL.Path != via.served {
				http.NotFound(w, asked)
				return
			}
			via.serve(w, asked, client)
		}),
		ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0),
	}
	go func() { _ = via.server.Serve(listener) }()
	return via, nil
}

// serve passes the target's answer to helm, byte for byte.
func (via *Relay) serve(w http.ResponseWriter, asked *http.Request, client *http.Client) {
	via.failed.Store("")
	via.led.Store(false)
	req, err := http.NewRequestWithContext(asked.Context(), http.MethodGet, via.target, nil)
	var answer *http.Response
	if err == nil {
		req.Header = asked.Header.Clone()
		answer, err = client.Do(req)
	}
	if err != nil {
		if e := (*url.Error)(nil); errors.As(err, &e) {
			err = e.Err // without the address, which may be that of a redirect and have secrets
		}
		via.failed.Store(redact.Abridged(redact.Redactor(via.secrets)(err.Error()))) // which can quote the server
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	via.led.Store(answer.Request.Response != nil && answer.Request.Header.Get("Authorization") == "")
	maps.Copy(w.Header(), answer.Header)
	w.WriteHeader(answer.StatusCode)
	if _, err := io.Copy(w, answer.Body); err != nil {
		panic(http.ErrAbortHandler) // so that helm does not accept a part as the whole
	}
}

// Stop ends the relay and its current request.
func (via *Relay) Stop() {
	if via != nil {
		_ = via.server.Close()
	}
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

// LedAway reports whether a redirect led to a place that gets no credentials.
func (via *Relay) LedAway() bool { return via != nil && via.led.Load() }

// withCredentials adds an Authorization header to requests for allowed URLs, also after redirects.
type withCredentials struct {
	http.RoundTripper
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
	return t.RoundTripper.RoundTrip(req)
}
