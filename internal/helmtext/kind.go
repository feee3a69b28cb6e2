// Package helmtext reads helm's messages, and knows the flags in which Helm 3 and Helm 4 differ.
// Helm's exit code is 1 for nearly everything, so only the text says what happened. All code that
// matches helm's words is here, and is pinned by recordings of real Helms. The package works on
// plain text: it starts no process, and knows neither releases nor charts.
package helmtext

import (
	"strings"

	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/pattern"
)

// The recordings in testdata/stderr pin each row for Helm 3 and 4. Texts are in lower case, since Helm 3
// and 4 differ in case; rows are tried in order.

// verdicts decide what happens to a release, so each matches helm's whole message, or its beginning: a
// chart can make its hooks, or the API server that refuses its objects, print any other text.
var verdicts = []struct {
	text pattern.Pattern
	kind error
}{
	{pattern.New(`^(installation failed: )?(release name check failed: )?cannot re-?use a name that is still in use$`), errdef.ErrReleaseExists},
	{pattern.New(`^(\w+ failed: )?(create: failed to create: )?release: already exists$`), errdef.ErrReleaseExists},
	{pattern.New(`^(\w+ failed: )?another operation \(install/upgrade/rollback\) is in progress$`), errdef.ErrReleaseBusy},
	{pattern.New(`^(uninstall: release not loaded: \S+: )?release: not found$`), errdef.ErrReleaseNotFound},
	{pattern.New(`^(\w+ failed: )?"\S+" has no deployed releases$`), errdef.ErrReleaseNotFound},
	{pattern.New(`^release has no \S+ version$`), errdef.ErrReleaseNotFound},
	// Helm first contacts the cluster and asks what it serves.
	{pattern.New(`^(\w+ failed: )?(cluster reachability check failed: )?kubernetes cluster unreachable(: |$)`), errdef.ErrClusterUnreachable},
	{pattern.New(`^(\w+ failed: )?could not get (apiversions|server version) from kubernetes: `), errdef.ErrClusterUnreachable},
	// The chart of a plan says this, in a template of ours.
	{pattern.New(`^(\w+ failed: )?execution error at \(\S+/templates/0000\.yaml:\d+:\d+\): helmexec: the plan is stale: `), errdef.ErrPlanStale},
	// These tell a reader what failed.
	{pattern.New(`^(\w+ failed: )?(execution error at|parse error at|yaml parse error on|template: |chart requires kubeversion|an error occurred while checking for chart dependencies|values don't meet the specifications of the schema|\S+/templates/\S+:\d+:\d+\s+executing ")`), errdef.ErrRenderFailed},
	{pattern.New(`^(\w+ failed: )?path ".*" not found$`), errdef.ErrChartNotFound},
	{namespaceMissing, errdef.ErrNamespaceNotFound},
}

var namespaceMissing = pattern.New(`namespaces? "([^"]*)" not found`)

// verdict is helm's own last message, "" if that cannot be separated from what it quotes, or from
// what the hooks of a chart wrote before.
func verdict(stderr string) string {
	all := errorLine().FindAllStringIndex(stderr, 2)
	if len(all) != 1 || strings.HasPrefix(stderr, CutMark) {
		return ""
	}
	text := stderr[all[0][1]:]
	if trace := debugLine().FindStringIndex(text); trace != nil {
		text = text[:trace[0]]
	}
	// A hook's log can be on the same line before it. The API server's own words do not count.
	if strings.Contains(strings.ReplaceAll(text, `Internal Server Error: \"`, ""), "Error:") {
		return ""
	}
	return strings.ToLower(strings.TrimSpace(text))
}

var (
	errorLine = pattern.New(`(?m)^Error: `)
	debugLine = pattern.New(`(?m)^helm\.go:\d+: .*\[debug\]`) // what Helm 3 adds with HELM_DEBUG
)

// The kinds for a helm that contacted a source of charts. A rendered chart can print the same texts.
var sourceMessages = []struct {
	text string
	kind error
}{
	{"no cached repo found", errdef.ErrRepoNotFound},
	{"no repositories found", errdef.ErrRepoNotFound},
	{"no repo named", errdef.ErrRepoNotFound},
	{"no repositories configured", errdef.ErrRepoNotFound},
	{"is not a valid chart repository or cannot be reached", errdef.ErrRepoNotFound},
	{"no chart name found", errdef.ErrChartNotFound},
	{"no chart version found", errdef.ErrChartNotFound},
	{"404: name unknown", errdef.ErrChartNotFound},
}

// credentialsRefused matches the message of a source that refuses the credentials.
var credentialsRefused = pattern.New(`failed to fetch \S+ : 40[13]\b|basic credential not found|response status code 40[13]\b|login attempt to \S+ failed with status: 40[13]\b`)

// The same for texts with a variable part in their middle.
var sourcePatterns = []struct {
	text pattern.Pattern
	kind error
}{
	{pattern.New(`repo(sitory)? \S+ not found`), errdef.ErrRepoNotFound},
	{pattern.New(`failed to fetch \S+/index\.yaml : 404\b`), errdef.ErrRepoNotFound},
	{pattern.New(`failed to fetch \S+ : 404\b`), errdef.ErrChartNotFound},
	{pattern.New(`chart ".*" .*not found in .* (index|repository)`), errdef.ErrChartNotFound},
	{pattern.New(`fetchreference.*: not found|\S+/\S+: not found$`), errdef.ErrChartNotFound},
	{pattern.New(`could not locate a version matching|unable to locate any tags`), errdef.ErrChartNotFound},
}

// noCluster is how helm fails if no kubeconfig names a cluster: it then asks an address at which nothing listens.
var noCluster = pattern.New(`kubernetes cluster unreachable: get "http://localhost:8080/.*connection refused`)

// permanent texts win over the transient ones: an unreachable cluster is worth another try, but not
// if its certificate is wrong.
var permanent = pattern.New(strings.Join([]string{
	`unknown flag`, `invalid argument`, `invalid release name`, `execution error at`, `parse error at`,
	`values don't meet the specifications of the schema`, `chart requires kubeversion`, `missing in charts/ directory`,
	`no matches for kind`, `exists and cannot be imported`, `forbidden`, `unauthorized`, `x509:`, `too long`,
	`asked for the client to provide credentials`, `scheme ".*" not supported`, `failed to fetch .* : 40[134]\b`,
	`namespaces? ".*" not found`, `server gave http response to https client`,
}, "|"))

// transient texts come from a network or a server that may work again in a second.
var transient = pattern.New(strings.Join([]string{
	`connection refused`, `connection reset by peer`, `broken pipe`, `i/o timeout`, `no route to host`, `network is unreachable`,
	`\beof\b`, `tls handshake timeout`, `http2: (client conn|transport|timeout)`, `use of closed (network )?connection`, `timeout awaiting response headers`, `transport connection broken`, `goaway`, `stream error.*internal_error`,
	`temporary failure in name resolution`, `client\.timeout exceeded`, `server closed idle connection`, `connection timed out`,
	`transport is closing`, `apiserver is shutting down`, `server misbehaving`, `error when reading response body`, `the server is currently unable to handle the request`, `(^|[\s:])apiserver not ready`,
	`unable to return a response in the time allotted`, `has received too many requests`, `toomanyrequests`,
	`etcdserver: (leader changed|request timed out|no leader)`, `failed to fetch .* : (5\d\d|429|408)\b`, `\b50[0234] (internal|bad gateway|service|gateway)`,
	`response status code (5\d\d|429|408)\b`,
	`an error on the server .* has prevented the request`, `empty index.yaml file`, `(?m:failed to delete release: \S+$)`, `the object has been modified`, `request canceled while waiting for connection`,
	// Helm's message about a signal. For our own signal the context has ended; this one is from somebody
	// else.
	`context canceled`,
}, "|"))

// KindOf reads helm's stderr: the kind of failure, nil if no row matches, and whether the same
// command may soon succeed. source means that helm contacted a source of charts.
func KindOf(stderr string, source bool) (kind error, again bool) {
	text := strings.ToLower(failureText(stderr))
	again = passing(text) && !permanent().MatchString(text) && !noCluster().MatchString(text)
	said := verdict(stderr)
	for _, v := range verdicts {
		if v.text().MatchString(said) {
			return v.kind, again
		}
	}
	if !source {
		return nil, again
	}
	if credentialsRefused().MatchString(text) {
		return errdef.ErrUnauthorized, again
	}
	for _, m := range sourceMessages {
		if strings.Contains(text, m.text) {
			return m.kind, again
		}
	}
	for _, m := range sourcePatterns {
		if m.text().MatchString(strings.TrimSpace(text)) {
			return m.kind, again
		}
	}
	return nil, again
}

// passing reports whether a failure is a fault of a network or a server. A Helm 4 that loses its
// connection while it waits calls every object not ready, with unknown status, before the time is
// over.
func passing(text string) bool {
	blind := strings.Contains(text, "not ready. status: unknown") && !strings.Contains(text, "context deadline exceeded")
	return blind || transient().MatchString(text)
}

// UnknownFlag reports whether a program does not know a flag that it was given.
func UnknownFlag(stderr string) bool { return strings.Contains(stderr, "unknown flag") }
