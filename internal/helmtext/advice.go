package helmtext

import (
	"slices"
	"strings"

	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/pattern"
)

// Failure is what Advice needs to know about a failed helm.
type Failure struct {
	Args    []string // of helm
	Stderr  string
	Kind    error  // from KindOf, or nil
	Subject string // the address of the requested chart or repository, "" for none

	// How the credentials for that address were used.
	CredentialsGiven    bool // helm or the relay before it had them
	CredentialsWithheld bool // there are some, but for another host
	RedirectedAway      bool // a redirect led to a place that does not get them
}

// Advice says what may help, in terms of the public package; "" if unknown.
func Advice(f Failure) string {
	text := strings.ToLower(failureText(f.Stderr))
	switch f.Kind {
	case errdef.ErrClusterUnreachable:
		if noCluster().MatchString(text) {
			return "helm asks there because no kubeconfig in use names a cluster: set KUBECONFIG or Config.Kubeconfig to one that does"
		}
		return ""
	case errdef.ErrNamespaceNotFound:
		missing := namespaceMissing().FindStringSubmatch(text)
		switch {
		case missing == nil:
			return ""
		case flag(f.Args, "--namespace") == "" && !slices.Contains(f.Args, "--create-namespace"):
			return "create it; if it is the namespace of the release, CreateNamespace does"
		case flag(f.Args, "--namespace") != "" && missing[1] != flag(f.Args, "--namespace"):
			return "the chart puts objects into that namespace: create it, or have the chart changed"
		case slices.Contains(f.Args, "--create-namespace"):
			return ""
		}
		return "create it, or set CreateNamespace"
	}
	oci := strings.HasPrefix(f.Subject, "oci://") || slices.Contains([]string{"push", "registry"}, f.Args[0])
	switch {
	case noTLS().MatchString(text) && oci:
		return "set PlainHTTP if the registry has no TLS"
	case noTLS().MatchString(text):
		return "the server speaks http: write http:// if you trust the network to it"
	case noIndex().MatchString(text):
		return `there is no index.yaml: the repository is what stands before the last "/" in the address of a chart`
	case f.Kind == errdef.ErrUnauthorized:
		return f.aboutCredentials()
	case strings.Contains(text, "repo.indexfile"):
		return "what it serves is not a chart index"
	}
	return ""
}

// aboutCredentials says where to set the credentials that a source requires or refused.
func (f Failure) aboutCredentials() string {
	switch {
	case f.RedirectedAway:
		return "a redirect led to another host or port, which gets no credentials"
	case f.CredentialsGiven:
		return "the credentials were refused"
	case f.CredentialsWithheld:
		return "the archive is on another host than its repository, and PassCredentialsAll is not set"
	case strings.HasPrefix(f.Subject, "oci://") || f.Args[0] == "push":
		return "log in with RegistryLogin"
	case archivePath().MatchString(f.Subject):
		return "put a user name and password into the URL of the archive"
	}
	return "give AddRepo a user name and password, or a token"
}

var (
	noTLS   = pattern.New(`server gave http response to https client|tls: first record does not look like a tls handshake`)
	noIndex = pattern.New(`failed to fetch \S+/index\.yaml : 404\b`)
)

var archivePath = pattern.New(`^https?://.*\.(tgz|tar\.gz)(\?.*)?$`)

// flag is the value of a flag, "" if it is not given.
func flag(args []string, name string) string {
	for _, a := range args {
		if value, ok := strings.CutPrefix(a, name+"="); ok {
			return value
		}
	}
	return ""
}
