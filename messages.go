package helmexec

import (
	"cmp"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sut-bench/helmexec/internal/fetch"
)

// What helm says and what it means. Helm's exit code is 1 for nearly everything, so the text is
// all there is. The recordings in testdata/stderr pin each row on both Helms. Texts are in lower
// case, since Helm 3 and 4 differ in theirs; rows are tried in order.

// verdicts decide what becomes of a release, so each is the whole of what helm says, or its beginning:
// a chart can have its hooks, and the API server that refuses its objects, say anything else.
var verdicts = []struct {
	text *regexp.Regexp
	kind error
}{
	{regexp.MustCompile(`^(installation failed: )?(release name check failed: )?cannot re-?use a name that is still in use$`), ErrReleaseExists},
	{regexp.MustCompile(`^(\w+ failed: )?(create: failed to create: )?release: already exists$`), ErrReleaseExists},
	{regexp.MustCompile(`^(\w+ failed: )?another operation \(install/upgrade/rollback\) is in progress$`), ErrReleaseBusy},
	{regexp.MustCompile(`^(uninstall: release not loaded: \S+: )?release: not found$`), ErrReleaseNotFound},
	{regexp.MustCompile(`^(\w+ failed: )?"\S+" has no deployed releases$`), ErrReleaseNotFound},
	{regexp.MustCompile(`^release has no \S+ version$`), ErrReleaseNotFound},
	// Helm looks for the cluster, and asks what it serves, before it does anything.
	{regexp.MustCompile(`^(\w+ failed: )?(cluster reachability check failed: )?kubernetes cluster unreachable(: |$)`), ErrClusterUnreachable},
	{regexp.MustCompile(`^(\w+ failed: )?could not get (apiversions|server version) from kubernetes: `), ErrClusterUnreachable},
	// These tell a reader what failed.
	{regexp.MustCompile(`^(\w+ failed: )?(execution error at|parse error at|yaml parse error on|template: |chart requires kubeversion|an error occurred while checking for chart dependencies|values don't meet the specifications of the schema|\S+/templates/\S+:\d+:\d+\s+executing ")`), ErrRenderFailed},
	{regexp.MustCompile(`^(\w+ failed: )?path ".*" not found$`), ErrChartNotFound},
	{namespaceMissing, ErrNamespaceNotFound},
}

var namespaceMissing = regexp.MustCompile(`namespaces? "([^"]*)" not found`)

// verdict is what helm itself says in the end, "" where that cannot be told from what it quotes, or
// from what the hooks of a chart wrote before.
func verdict(stderr string) string {
	all := errorLine.FindAllStringIndex(stderr, 2)
	if len(all) != 1 || strings.HasPrefix(stderr, cutMark) {
		return ""
	}
	text := stderr[all[0][1]:]
	if trace := debugLine.FindStringIndex(text); trace != nil {
		text = text[:trace[0]]
	}
	// What a hook logged can stand on the same line before it. The API server's own words are no such thing.
	if strings.Contains(strings.ReplaceAll(text, `Internal Server Error: \"`, ""), "Error:") {
		return ""
	}
	return strings.ToLower(strings.TrimSpace(text))
}

var (
	errorLine = regexp.MustCompile(`(?m)^Error: `)
	debugLine = regexp.MustCompile(`(?m)^helm\.go:\d+: .*\[debug\]`) // what Helm 3 adds with HELM_DEBUG
)

// The kinds of a source of charts, of a helm that asked one. A chart that is rendered can say the same.
var sourceMessages = []struct {
	text string
	kind error
}{
	{"no cached repo found", ErrRepoNotFound},
	{"no repositories found", ErrRepoNotFound},
	{"no repo named", ErrRepoNotFound},
	{"no repositories configured", ErrRepoNotFound},
	{"is not a valid chart repository or cannot be reached", ErrRepoNotFound},
	{"no chart name found", ErrChartNotFound},
	{"no chart version found", ErrChartNotFound},
	{"404: name unknown", ErrChartNotFound},
}

// credentialsRefused is what a source of charts says that wants others.
var credentialsRefused = regexp.MustCompile(`failed to fetch \S+ : 40[13]\b|basic credential not found|response status code 40[13]\b|login attempt to \S+ failed with status: 40[13]\b`)

// The same for texts with a variable part in their middle.
var sourcePatterns = []struct {
	text *regexp.Regexp
	kind error
}{
	{regexp.MustCompile(`repo(sitory)? \S+ not found`), ErrRepoNotFound},
	{regexp.MustCompile(`failed to fetch \S+/index\.yaml : 404\b`), ErrRepoNotFound},
	{regexp.MustCompile(`failed to fetch \S+ : 404\b`), ErrChartNotFound},
	{regexp.MustCompile(`chart ".*" .*not found in .* (index|repository)`), ErrChartNotFound},
	{regexp.MustCompile(`fetchreference.*: not found|\S+/\S+: not found$`), ErrChartNotFound},
	{regexp.MustCompile(`could not locate a version matching|unable to locate any tags`), ErrChartNotFound},
}

// advice tells what may help, in terms of this package.
func (inv invocation) advice(e *Error) string {
	if e.cause != nil || e.Signal != "" {
		return ""
	}
	text := strings.ToLower(failureText(e.Stderr))
	switch {
	case e.kind == ErrClusterUnreachable && strings.Contains(text, `"http://localhost:8080/`):
		return "helm asks there where it finds no kubeconfig: set KUBECONFIG or Config.Kubeconfig"
	case e.kind == ErrClusterUnreachable:
		return ""
	case e.kind == ErrNamespaceNotFound:
		missing := namespaceMissing.FindStringSubmatch(text)
		switch {
		case missing == nil:
			return ""
		case missing[1] != cmp.Or(inv.flag("--namespace"), missing[1]):
			return "the chart puts objects into that namespace: make it, or have the chart changed"
		case slices.Contains(inv.args, "--create-namespace"):
			return ""
		}
		return "make it, or set CreateNamespace"
	case strings.Contains(text, "server gave http response to https client"):
		return "set PlainHTTP where a registry has no TLS"
	case e.kind == ErrUnauthorized && inv.via.LedAway():
		return "a redirect led to another host or port, which gets no credentials"
	case e.kind == ErrUnauthorized && inv.login == fetch.LoginGiven:
		return "the credentials were refused"
	case e.kind == ErrUnauthorized && inv.login == fetch.LoginWithheld:
		return "the archive is on another host than its repository, and PassCredentialsAll is not set"
	case e.kind == ErrUnauthorized && (strings.HasPrefix(inv.subject, "oci://") || inv.args[0] == "push"):
		return "log in with RegistryLogin"
	case e.kind == ErrUnauthorized && archivePath.MatchString(inv.subject):
		return "the URL of an archive takes a user name and password in it"
	case e.kind == ErrUnauthorized:
		return "give AddRepo a user name and password, or a token"
	case strings.Contains(text, "repo.indexfile"):
		return "what it serves is no index of charts"
	}
	return ""
}

var archivePath = regexp.MustCompile(`^https?://.*\.(tgz|tar\.gz)(\?.*)?$`)

// permanent texts win over the transient ones: an unreachable cluster is worth another try, but
// not when its certificate is wrong.
var permanent = regexp.MustCompile(strings.Join([]string{
	`unknown flag`, `invalid argument`, `invalid release name`, `execution error at`, `parse error at`,
	`values don't meet the specifications of the schema`, `chart requires kubeversion`, `missing in charts/ directory`,
	`no matches for kind`, `exists and cannot be imported`, `forbidden`, `unauthorized`, `x509:`, `too long`,
	`asked for the client to provide credentials`, `scheme ".*" not supported`, `failed to fetch .* : 40[134]\b`,
	`namespaces? ".*" not found`, `server gave http response to https client`,
}, "|"))

// transient texts are those of a network or a server that may do better in a second.
var transient = regexp.MustCompile(strings.Join([]string{
	`connection refused`, `connection reset by peer`, `broken pipe`, `i/o timeout`, `no route to host`, `network is unreachable`,
	`\beof\b`, `tls handshake timeout`, `http2: (client conn|transport|timeout)`, `use of closed (network )?connection`, `timeout awaiting response headers`, `transport connection broken`, `goaway`, `stream error.*internal_error`,
	`temporary failure in name resolution`, `client\.timeout exceeded`, `server closed idle connection`, `connection timed out`,
	`transport is closing`, `apiserver is shutting down`, `server misbehaving`, `error when reading response body`, `the server is currently unable to handle the request`, `(^|[\s:])apiserver not ready`,
	`unable to return a response in the time allotted`, `has received too many requests`, `toomanyrequests`,
	`etcdserver: (leader changed|request timed out|no leader)`, `failed to fetch .* : (5\d\d|429|408)\b`, `\b50[0234] (internal|bad gateway|service|gateway)`,
	`response status code (5\d\d|429|408)\b`,
	`an error on the server .* has prevented the request`, `empty index.yaml file`, `(?m:failed to delete release: \S+$)`, `the object has been modified`, `request canceled while waiting for connection`,
	// What helm says of a signal. One of ours is known by the context that ended; this is somebody else's.
	`context canceled`,
}, "|"))

// meaning reads helm's stderr: the kind of failure, nil when no row knows it, and whether the
// same command may succeed in a moment. source tells that it asked a source of charts.
func meaning(stderr string, source bool) (kind error, again bool) {
	text := strings.ToLower(failureText(stderr))
	again = passing(text) && !permanent.MatchString(text)
	said := verdict(stderr)
	for _, v := range verdicts {
		if v.text.MatchString(said) {
			return v.kind, again
		}
	}
	if !source {
		return nil, again
	}
	if credentialsRefused.MatchString(text) {
		return ErrUnauthorized, again
	}
	for _, m := range sourceMessages {
		if strings.Contains(text, m.text) {
			return m.kind, again
		}
	}
	for _, m := range sourcePatterns {
		if m.text.MatchString(strings.TrimSpace(text)) {
			return m.kind, again
		}
	}
	return nil, again
}

// deletionFailed tells an uninstall that could not delete all objects, and does not say why.
func deletionFailed(stderr string) bool {
	return strings.HasPrefix(verdict(stderr), "failed to delete release: ")
}

// deletionReasons is where helm says why with --debug: "uninstall: Failed to delete release: [reasons]",
// and on Helm 4 as a field of a log line.
var deletionReasons = regexp.MustCompile(`uninstall: Failed to delete release(?:: \[(.*)\]|" error=("(?:[^"\\]|\\.)*"))`)

// explainDeletion puts the reason into the failure of an uninstall that ran with --debug, and the kind
// that follows from it.
func (e *Error) explainDeletion() {
	found := deletionReasons.FindAllStringSubmatch(e.Stderr, -1)
	if e.cause != nil || e.Signal != "" || !deletionFailed(e.Stderr) || len(found) == 0 {
		return
	}
	last := found[len(found)-1]
	reason := last[1]
	if quoted, err := strconv.Unquote(last[2]); err == nil {
		reason = strings.Trim(quoted, "[]")
	}
	e.Stderr = "Error: failed to delete release: " + reason + "\n"
	e.kind, e.transient = meaning(e.Stderr, false)
}

// unsettled texts leave open what became of the release: it may stand, half-made or whole.
var unsettled = regexp.MustCompile(strings.Join([]string{
	`context deadline exceeded`, `timed out waiting for the condition`, `failed (pre|post)-\w+`, `(pre|post)-\w+ hooks failed`,
	`not ready`, `has been uninstalled due to`, `would exceed context deadline`, `client rate limiter wait`,
}, "|"))

// notReadyInTime tells whether helm gave up waiting for objects it had created.
func notReadyInTime(stderr string) bool {
	text := strings.ToLower(failureText(stderr))
	return unsettled.MatchString(text) && !passing(text) && !hookRefused.MatchString(verdict(stderr))
}

// hookRefused is what helm says when the API server does not take a hook: nothing waits to get ready.
var hookRefused = regexp.MustCompile(`^(\w+ failed: )?(failed (pre|post)-\w+: |(pre|post)-\w+ hooks failed: )?(warning: hook \S+ .+ failed: |unable to build kubernetes object for \S+ hook )`)

// unrecorded is what helm says when it gives up before it has recorded a release, which it does before
// it makes any of its objects. CRDs and the namespace can have been made by then.
var unrecorded = regexp.MustCompile(`^installation failed: (unable to continue with install: |unable to build kubernetes objects from release manifest: |create: failed to create: |failed to install crd )`)

// recordedNothing tells whether helm says that it has recorded nothing.
func recordedNothing(err error) bool {
	var e *Error
	return errors.As(err, &e) && unrecorded.MatchString(verdict(e.Stderr))
}

// sawNothing tells whether a Helm 4 that gave up waiting had no sight of any object it waited for.
func sawNothing(stderr string) bool {
	text := strings.ToLower(failureText(stderr))
	const unknown = "not ready. status: unknown"
	return strings.Contains(text, unknown) && strings.Count(text, "not ready. status: ") == strings.Count(text, unknown)
}

// passing tells a fault of a network or a server from other failures. A Helm 4 that loses its
// connection while it waits calls every object not ready, of unknown status, before the time is over.
func passing(text string) bool {
	blind := strings.Contains(text, "not ready. status: unknown") && !strings.Contains(text, "context deadline exceeded")
	return blind || transient.MatchString(text)
}
