package fetch

import (
	"errors"
	"net/http"
	"os"
	"time"

	"github.com/sut-bench/helmexec/internal/errdef"
)

// userAgent is how this program, not helm, names itself to a source.
const userAgent = "helmexec"

// patience is how long a source may take to say whether something has changed. After that helm fetches it.
const patience = 15 * time.Second

// errOtherWay: this program would contact a source in another way than helm.
var errOtherWay = errors.New("this program, not helm, sends the credentials")

// transport is how this program contacts a source itself: through the proxies and with the certificates that
// helm would use. The size of headers is limited; that of bodies is up to the reader.
func (s *Store) transport(access Access) (*http.Transport, error) {
	for _, key := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"} {
		if value, set := s.env[key]; set && value != os.Getenv(key) {
			return nil, errdef.Invalidf("%w: set %s in its environment, not in Config.Env alone", errOtherWay, key)
		}
	}
	config, err := access.tlsConfig()
	if err != nil {
		return nil, err
	}
	return &http.Transport{
		// Nothing is decompressed here: the limits apply to the bytes that arrive.
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10,
	}, nil
}
