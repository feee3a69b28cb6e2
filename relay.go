package helmexec

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"time"
)

// bearerToken is the form of a bearer token: RFC 6750, section 2.1.
var bearerToken = regexp.MustCompile(`^[-A-Za-z0-9._~+/]+=*$`)

// relay fetches one thing for helm from a source that wants credentials. Helm would send a user name and
// password along with a redirect to another port of the host, and from https to http; a bearer token it
// cannot send at all. The relay listens on the loopback, at a URL that nobody else can guess.
type relay struct {
	url            string       // what helm takes for the repository
	served, target string       // the URL that helm asks for, and the one that is fetched
	failed         atomic.Value // why the target was not reached last time: a string, "" when it was
	led            atomic.Bool  // a redirect led to where no credentials go, last time
	secrets        []string
	server         *http.Server
}

// relay starts one for a target on the repository's own host, or on another one, which gets the credentials
// only where PassCredentialsAll says so. Helm asks for name below the relay's url. What the target says
// is bounded by the limits on helm, which reads it, but for the headers.
func (h *Helm) relay(r repoEntry, target, name string) (*relay, error) {
	for _, key := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"} {
		if value, set := h.cfg.Env[key]; set && value != os.Getenv(key) {
			return nil, invalidf("this program, not helm, sends the credentials: set %s in its environment, not in Config.Env alone", key)
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
	via := &relay{url: "http://" + listener.Addr().String() + "/" + rand.Text(), target: target, secrets: r.secrets()}
	via.served = via.url + "/" + name
	via.failed.Store("")
	client := &http.Client{Transport: withCredentials{
		// Nothing is unpacked here: the limits are on what comes.
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

// serve answers helm with what the target says, byte for byte.
func (via *relay) serve(w http.ResponseWriter, asked *http.Request, client *http.Client) {
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
		via.failed.Store(abridged(redactor(via.secrets)(err.Error()))) // which can quote the server
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	via.led.Store(answer.Request.Response != nil && answer.Request.Header.Get("Authorization") == "")
	maps.Copy(w.Header(), answer.Header)
	w.WriteHeader(answer.StatusCode)
	if _, err := io.Copy(w, answer.Body); err != nil {
		panic(http.ErrAbortHandler) // so that helm does not take a part for the whole
	}
}

// stop ends the relay, and the request that it may be in the middle of.
func (via *relay) stop() {
	if via != nil {
		_ = via.server.Close()
	}
}

// speak puts what helm says of the relay in terms of the repository.
func (via *relay) speak(text string) string {
	if via == nil {
		return text
	}
	if why := via.failed.Load().(string); why != "" {
		text = strings.ReplaceAll(text, "502 Bad Gateway", why)
	}
	text = strings.ReplaceAll(text, via.served, via.target)
	return strings.ReplaceAll(text, via.url, strings.TrimSuffix(via.target, "/index.yaml"))
}

// ledAway tells whether a redirect led to where no credentials go.
func (via *relay) ledAway() bool { return via != nil && via.led.Load() }

// withCredentials adds an Authorization header to requests for allowed URLs, also after redirects.
type withCredentials struct {
	http.RoundTripper
	authorization string
	may           func(*url.URL) bool
}

func (t withCredentials) RoundTrip(req *http.Request) (*http.Response, error) {
	may := t.may(req.URL)
	for hop := req.Response; may && hop != nil; hop = hop.Request.Response {
		may = t.may(hop.Request.URL) // nobody else says what is asked with the credentials
	}
	if may {
		req = req.Clone(req.Context())
		req.Header.Set("Authorization", t.authorization)
	}
	return t.RoundTripper.RoundTrip(req)
}

// authorization is the header that logs in to the repository, "" for none.
func (r repoEntry) authorization() string {
	switch {
	case r.Token != "":
		return "Bearer " + r.Token
	case r.Username != "":
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(r.Username+":"+r.Password))
	}
	return ""
}

// secrets of the repository are kept out of logs and errors.
func (r repoEntry) secrets() []string {
	_, sent, _ := strings.Cut(r.authorization(), " ")
	return []string{r.Password, sent}
}

// tlsConfig is how this repository is reached by TLS.
func (r repoEntry) tlsConfig() (*tls.Config, error) {
	config := &tls.Config{InsecureSkipVerify: r.InsecureSkipTLSVerify} // as the caller of AddRepo wants it
	if r.CAFile != "" {
		text, err := os.ReadFile(r.CAFile)
		if err != nil {
			return nil, invalidf("CAFile: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, invalidf("CAFile %s holds no certificate", r.CAFile)
		}
	}
	if r.CertFile != "" || r.KeyFile != "" {
		pair, err := tls.LoadX509KeyPair(r.CertFile, r.KeyFile)
		if err != nil {
			return nil, invalidf("CertFile and KeyFile: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// resolve gives the URL of what the index names, or of the index, as helm does.
func (r repoEntry) resolve(name string) (*url.URL, error) {
	base, err := parseRepoURL(r.URL)
	if err != nil {
		return nil, err
	}
	to, err := url.Parse(name)
	if err != nil || to.IsAbs() {
		return to, err
	}
	base.Path += "/"
	if base.RawPath != "" {
		base.RawPath += "/"
	}
	to = base.ResolveReference(to)
	to.RawQuery = ""
	return to, nil
}

// isHost tells whether a URL is of the repository's own host.
func (r repoEntry) isHost(address string) bool {
	to, err := url.Parse(address)
	own, ownErr := url.Parse(r.URL)
	return err == nil && ownErr == nil && plainHost(to) == plainHost(own) && (to.Scheme == own.Scheme || to.Scheme == "https")
}

// archiveURL is where an archive is that the index names; "" where that is no matter of HTTP.
func (r repoEntry) archiveURL(entry ChartVersion) string {
	if len(entry.URLs) == 0 {
		return ""
	}
	u, err := r.resolve(entry.URLs[0])
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return ""
	}
	return u.String()
}
