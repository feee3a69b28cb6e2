package fetch

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path"
	"path/filepath"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/sut-bench/helmexec/internal/argument"
	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/pattern"
	"github.com/sut-bench/helmexec/internal/redact"
)

// sourceKind is where a chart comes from.
type sourceKind int

const (
	fromRepo    sourceKind = iota // a chart of a repository: by its URL, or by the name it was added under
	fromOCI                       // an OCI registry
	fromArchive                   // the URL of one archive
	fromDisk                      // a folder or archive on this machine
)

// source is a parsed chart address.
type source struct {
	kind    sourceKind
	repoURL string // fromRepo by URL
	repo    string // fromRepo by name
	chart   string // fromRepo: the chart's name
	version string // a version or constraint, "" = the latest
	ref     string // fromOCI, fromArchive: the URL; fromDisk: the path
	digest  string // fromOCI: "sha256:…" if the address has one
	shown   string // the name of the chart in errors, without its version and without secrets
}

// secrets are the parts of an archive's URL that must not be shown.
func (src source) secrets() []string {
	u, err := url.Parse(src.ref)
	if err != nil || src.kind != fromArchive {
		return nil
	}
	password, _ := u.User.Password()
	return []string{password, u.RawQuery}
}

const addressForms = "want http(s)://host[:port]/path/chart[:version], oci://host[:port]/path/chart[:version], " +
	"the URL of a .tgz, repo/chart[:version], a path that begins with / or ./, or chart-1.2.3.tgz"

// parseAddress parses a chart address. It only looks at the text: a reference such as "repo/web"
// never means the folder ./repo/web, which Helm itself would prefer.
func parseAddress(address string) (source, error) {
	if err := argument.Address(named(address), address); err != nil {
		return source{}, err
	}
	src, err := parseForm(address)
	if err == nil {
		err = argument.Constraint(named(address), src.version)
	}
	return src, err
}

// ValidateAddress refuses a text that is no chart address.
func ValidateAddress(address string) error {
	_, err := parseAddress(address)
	return err
}

// named is how errors name a chart.
func named(address string) string { return fmt.Sprintf("chart address %q", abridged(address)) }

// abridged is an address without secrets, and not too long for an error.
func abridged(address string) string { return redact.Abridged(redact.Address(address)) }

func parseForm(address string) (source, error) {
	bad := func(format string, a ...any) (source, error) {
		return source{}, errdef.Invalidf("%s: "+format, append([]any{named(address)}, a...)...)
	}
	if address == "" {
		return bad("it is empty; %s", addressForms)
	}
	if strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return bad("it has a space or control character")
	}
	scheme, rest, isURL := strings.Cut(address, "://")
	if isURL {
		scheme = strings.ToLower(scheme)
		address = scheme + "://" + rest
	}
	switch {
	case strings.HasPrefix(address, "~"):
		return bad("a '~' is not expanded: give the whole path")
	case isURL && (scheme == "http" || scheme == "https" || scheme == "oci"):
		return parseChartURL(address, rest, bad)
	case isURL:
		return bad("scheme %.80q is not supported; %s", scheme, addressForms)
	case isPath(address):
		return source{kind: fromDisk, ref: address}, nil
	}
	repo, last, ok := strings.Cut(address, "/")
	switch {
	case !ok:
		return bad("no '/' in it; %s", addressForms)
	case strings.Contains(last, "/"):
		return bad("a reference has one '/', as in repo/chart, and a URL begins with its scheme, as in oci://host/path/chart; %s", addressForms)
	case !argument.IsRepoName(repo):
		return bad("%.80q is not the name of a repository", repo)
	}
	src := source{kind: fromRepo, repo: repo}
	var err error
	if src.chart, src.version, err = splitVersion(last); err != nil {
		return bad("%v", err)
	}
	return src, nil
}

// parseChartURL parses the URL of an archive, of a chart in a registry, or of a repository followed by a
// chart; rest is what follows the scheme.
func parseChartURL(address, rest string, bad func(string, ...any) (source, error)) (source, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return bad("not a URL: %.200v", err.(*url.Error).Err)
	case u.Host == "" || u.Hostname() == "":
		return bad("no host after %s://", u.Scheme)
	case u.Fragment != "":
		return bad("remove the fragment (#…)")
	case u.Scheme == "oci":
		return parseOCI(address, rest, bad)
	case strings.HasSuffix(u.Path, ".tgz") || strings.HasSuffix(u.Path, ".tar.gz"):
		return source{kind: fromArchive, ref: address}, nil
	case u.RawQuery != "":
		return bad("remove the query (?…): the address of a repository has none")
	}
	slash := strings.LastIndexByte(address, '/')
	if slash < len(u.Scheme)+3 {
		return bad("no chart name after the host; %s", addressForms)
	}
	src := source{kind: fromRepo, repoURL: address[:slash]}
	if src.chart, src.version, err = splitVersion(address[slash+1:]); err != nil {
		return bad("%v", err)
	}
	return src, nil
}

// parseOCI parses "host/path/name[:version][@sha256:…]"; a port is not a version.
func parseOCI(address, rest string, bad func(string, ...any) (source, error)) (source, error) {
	src := source{kind: fromOCI}
	rest, src.digest, _ = strings.Cut(rest, "@")
	if src.digest == "" && strings.Contains(address, "@") || src.digest != "" && !argument.IsDigest(src.digest) {
		return bad("a digest has the form @sha256: and 64 hexadecimal digits; credentials belong to RegistryLogin")
	}
	slash := strings.LastIndexByte(rest, '/')
	if slash < 0 || slash == len(rest)-1 {
		return bad("no chart name after the host; %s", addressForms)
	}
	name, version, err := splitVersion(rest[slash+1:])
	if err != nil {
		return bad("%v", err)
	}
	src.chart, src.version, src.ref = name, version, "oci://"+rest[:slash+1]+name
	return src, nil
}

// splitVersion splits "name:version".
func splitVersion(s string) (name, version string, err error) {
	name, version, has := strings.Cut(s, ":")
	switch {
	case name == "":
		return "", "", errors.New("no chart name after the last '/'")
	case !argument.IsChartName(name):
		return "", "", fmt.Errorf("%.80q is not a chart name: want letters, digits, '-', '_' and '.', and a version after a ':'", name)
	case has && version == "":
		return "", "", errors.New("no version after the ':'")
	}
	return name, version, nil
}

// pinned reports whether a version is exact, not a range.
func pinned(version string) bool {
	_, err := semver.StrictNewVersion(strings.TrimPrefix(version, "v"))
	return err == nil
}

// sameVersion compares two versions; a tag of a registry has "_" for "+".
func sameVersion(a, b string) bool {
	va, errA := semver.NewVersion(a)
	vb, errB := semver.NewVersion(strings.ReplaceAll(b, "_", "+"))
	return errA == nil && errB == nil && va.Equal(vb)
}

// isPath reports whether an address is a path, judging only by its form.
func isPath(s string) bool {
	return filepath.IsAbs(s) || s == "." || s == ".." ||
		strings.HasPrefix(s, "./") || strings.HasPrefix(s, "../") || strings.HasPrefix(s, `.\`) || strings.HasPrefix(s, `..\`) ||
		!strings.Contains(s, "/") && (path.Ext(s) == ".tgz" || strings.HasSuffix(s, ".tar.gz"))
}

// parseRepoURL parses the address of a repository and normalizes it.
func parseRepoURL(address string) (*url.URL, error) {
	shown := abridged(address)
	if err := argument.Address(fmt.Sprintf("repository URL %q", shown), address); err != nil {
		return nil, err
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, errdef.Invalidf("repository URL %q: %.200v", shown, err.(*url.Error).Err)
	}
	u.Scheme = strings.ToLower(u.Scheme)
	switch {
	case u.Scheme == "oci":
		return nil, errdef.Invalidf("repository URL %q: an OCI registry is not added, use the oci:// address itself", shown)
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errdef.Invalidf("repository URL %q: want http:// or https://", shown)
	case u.Hostname() == "":
		return nil, errdef.Invalidf("repository URL %q: it has no host", shown)
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errdef.Invalidf("repository URL %q: remove its query or fragment", shown)
	}
	u.Host, u.ForceQuery = plainHost(u), false
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = strings.TrimRight(u.RawPath, "/")
	return u, nil
}

// plainHost is the normalized host and port of a URL: lower case, no default port.
func plainHost(u *url.URL) string {
	host := strings.ToLower(u.Host)
	name, port, err := net.SplitHostPort(host)
	if err != nil || port != map[string]string{"http": "80", "https": "443"}[u.Scheme] {
		return host
	}
	if strings.Contains(name, ":") {
		return "[" + name + "]"
	}
	return name
}

var notInName = pattern.New(`[^a-z0-9.]+`)

// nameOfRepo makes a name from a URL: readable, legal in "name/chart" (a ':' is not), and unique
// by sixteen digits of a hash.
func nameOfRepo(u *url.URL) string {
	const readable = 48
	sum := sha256.Sum256([]byte(u.String()))
	text := strings.Trim(notInName().ReplaceAllString(strings.ToLower(u.Host+u.Path), "-"), "-.")
	if len(text) > readable {
		text = strings.Trim(text[:readable], "-.")
	}
	if text == "" {
		text = "repo" // the host has no usable letters
	}
	return text + "-" + hex.EncodeToString(sum[:8])
}
