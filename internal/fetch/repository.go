package fetch

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/sut-bench/helmexec/chart"
	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/pattern"
	"github.com/sut-bench/helmexec/internal/redact"
)

// repository is Helm's entry for a repository, with its token, which Helm ignores.
type repository struct {
	Name string `json:"name"`
	URL  string `json:"url"`
	Access
}

// Access says how to reach a repository.
type Access struct {
	Username              string `json:"username"`
	Password              string `json:"password"`
	Token                 string `json:"token,omitempty"`
	CAFile                string `json:"caFile"`
	CertFile              string `json:"certFile"`
	KeyFile               string `json:"keyFile"`
	InsecureSkipTLSVerify bool   `json:"insecure_skip_tls_verify"`
	PassCredentialsAll    bool   `json:"pass_credentials_all"`
}

// over fills the empty fields of a from known.
func (a Access) over(known Access) Access {
	if a.Username+a.Token == "" {
		a.Username, a.Password, a.Token = known.Username, known.Password, known.Token
	}
	a.CAFile = cmp.Or(a.CAFile, known.CAFile)
	a.CertFile = cmp.Or(a.CertFile, known.CertFile)
	a.KeyFile = cmp.Or(a.KeyFile, known.KeyFile)
	a.InsecureSkipTLSVerify = a.InsecureSkipTLSVerify || known.InsecureSkipTLSVerify
	a.PassCredentialsAll = a.PassCredentialsAll || known.PassCredentialsAll
	return a
}

// check refuses credentials that cannot be sent to the repository u.
func (a Access) check(u *url.URL, private bool) error {
	switch {
	case (a.Username == "") != (a.Password == ""):
		return errdef.Invalidf("repository %s: give both a user name and a password", u)
	case a.Token == "":
		return nil
	case a.Username != "":
		return errdef.Invalidf("repository %s: give either a token or a user name and password", u)
	case !private:
		return errdef.Invalidf("repository %s: Helm's own repository file cannot store a token: set Config.Home", u)
	case !bearerToken().MatchString(a.Token):
		return errdef.Invalidf("repository %s: the token has characters that a bearer token cannot have", u)
	}
	return nil
}

// bearerToken is the form of a bearer token: RFC 6750, section 2.1.
var bearerToken = pattern.New(`^[-A-Za-z0-9._~+/]+=*$`)

// authorization is the header that logs in to the repository, "" for none.
func (a Access) authorization() string {
	switch {
	case a.Token != "":
		return "Bearer " + a.Token
	case a.Username != "":
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(a.Username+":"+a.Password))
	}
	return ""
}

// secrets are kept out of logs and errors.
func (a Access) secrets() []string {
	_, sent, _ := strings.Cut(a.authorization(), " ")
	return []string{a.Password, sent}
}

// tlsConfig is the TLS configuration for this repository.
func (a Access) tlsConfig() (*tls.Config, error) {
	config := &tls.Config{InsecureSkipVerify: a.InsecureSkipTLSVerify} // only if the caller of AddRepo asked for it
	if a.CAFile != "" {
		text, err := os.ReadFile(a.CAFile)
		if err != nil {
			return nil, errdef.Invalidf("CAFile: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, errdef.Invalidf("CAFile %s contains no certificate", a.CAFile)
		}
	}
	if a.CertFile != "" || a.KeyFile != "" {
		pair, err := tls.LoadX509KeyPair(a.CertFile, a.KeyFile)
		if err != nil {
			return nil, errdef.Invalidf("CertFile and KeyFile: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// shown is the name of a repository in errors: its URL if the name was made from that.
func (r repository) shown() string {
	if u, err := parseRepoURL(r.URL); err == nil && r.Name == nameOfRepo(u) {
		return redact.Address(r.URL)
	}
	return r.Name
}

// resolve returns the URL of an archive that the index names, or of the index, as helm does.
func (r repository) resolve(name string) (*url.URL, error) {
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

// isHost reports whether a URL is on the repository's own host.
func (r repository) isHost(address string) bool {
	to, err := url.Parse(address)
	own, ownErr := url.Parse(r.URL)
	return err == nil && ownErr == nil && plainHost(to) == plainHost(own) && (to.Scheme == own.Scheme || to.Scheme == "https")
}

// archiveURL is the URL of an archive that the index names; "" if it is not an HTTP URL.
func (r repository) archiveURL(entry chart.Version) string {
	if len(entry.URLs) == 0 {
		return ""
	}
	u, err := r.resolve(entry.URLs[0])
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return ""
	}
	return u.String()
}

// place is where the entry and the index of a repository are.
type place struct {
	config, index string
	registry      string // the user's log-ins at registries
}

// placeIn is the place of a repository in its own folder.
func placeIn(folder, name string) place {
	return place{config: filepath.Join(folder, "repositories.yaml"), index: filepath.Join(folder, "index", name+"-index.yaml")}
}

// env points helm at a repository.
func (p place) env() []string {
	return []string{"HELM_REPOSITORY_CONFIG=" + p.config, "HELM_REPOSITORY_CACHE=" + filepath.Dir(p.index)}
}

// readRepositories reads a repositories.yaml; a missing one is empty.
func readRepositories(file string) ([]repository, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var content struct{ Repositories []repository }
	if json.Unmarshal(text, &content) == nil {
		return content.Repositories, nil
	}
	if err := yaml.Unmarshal(text, &content); err != nil {
		// The parser's error could quote a password.
		return nil, fmt.Errorf("repositories of helm: %s cannot be read", file)
	}
	return content.Repositories, nil
}

// writeRepositories writes a repositories.yaml, in JSON: that is YAML as well, and takes a fraction of the time to read.
func writeRepositories(file string, all ...repository) error {
	text, err := chart.Values{"apiVersion": "", "repositories": all}.JSON()
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}
