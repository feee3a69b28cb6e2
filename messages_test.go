package helmexec

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/internal/fetch"
)

// What a text of helm's is taken to mean beside its kind.
const (
	forGood  = "for good"  // the same command fails again
	mayPass  = "may pass"  // the same command may succeed in a moment
	notReady = "not ready" // objects were made, and waiting for them ended
)

// Recordings of real Helms, in testdata/stderr/<version>: what they said in the scene of that name.
// Command e2e/cmd/record makes them again and knows the scenes. Where versions differ in meaning the
// version stands before the name.
var recordedMeanings = []struct {
	scene string
	kind  error
	then  string
}{
	{"name-taken", ErrReleaseExists, forGood},
	{"name-taken-by-a-pending-release", ErrReleaseExists, forGood},
	{"busy", ErrReleaseBusy, forGood},
	{"status-not-found", ErrReleaseNotFound, forGood},
	{"get-not-found", ErrReleaseNotFound, forGood},
	{"get-revision-not-found", ErrReleaseNotFound, forGood},
	{"history-not-found", ErrReleaseNotFound, forGood},
	{"uninstall-not-found", ErrReleaseNotFound, forGood},
	{"test-not-found", ErrReleaseNotFound, forGood},
	{"upgrade-not-found", ErrReleaseNotFound, forGood},
	{"rollback-not-found", ErrReleaseNotFound, forGood},
	{"rollback-revision-not-found", ErrReleaseNotFound, forGood},
	{"upgrade-of-an-uninstalled-release", ErrReleaseNotFound, forGood},

	{"cluster-connection-refused", ErrClusterUnreachable, mayPass},
	{"cluster-connection-refused-install", ErrClusterUnreachable, mayPass},
	{"cluster-eof", ErrClusterUnreachable, mayPass},
	{"cluster-reset", ErrClusterUnreachable, mayPass},
	{"cluster-truncated", ErrClusterUnreachable, mayPass},
	{"cluster-tls-handshake-timeout", ErrClusterUnreachable, mayPass},
	{"cluster-429", ErrClusterUnreachable, mayPass},
	{"cluster-500", ErrClusterUnreachable, mayPass},
	{"cluster-502", ErrClusterUnreachable, mayPass},
	{"cluster-503", ErrClusterUnreachable, mayPass},
	{"cluster-504", ErrClusterUnreachable, mayPass},
	{"cluster-unknown-host", ErrClusterUnreachable, forGood},
	{"cluster-unknown-authority", ErrClusterUnreachable, forGood},
	{"cluster-wrong-token", ErrClusterUnreachable, forGood},
	{"cluster-http-instead-of-https", ErrClusterUnreachable, forGood},
	{"no-kube-context", ErrClusterUnreachable, forGood},
	{"api-unavailable", nil, mayPass},
	{"api-overload", nil, mayPass},
	{"api-timeout", nil, mayPass},
	{"api-etcd-leader", nil, mayPass},
	{"api-etcd-timeout", nil, mayPass},
	{"api-conflict", nil, mayPass},
	{"webhook-unreachable", nil, mayPass},
	{"forbidden", nil, forGood},
	{"forbidden-install", nil, forGood},
	{"forbidden-record", nil, forGood},
	{"forbidden-hook", nil, forGood},
	{"forbidden-uninstall", nil, mayPass},       // it does not say why
	{"forbidden-uninstall-debug", nil, mayPass}, // see TestWhyObjectsWereNotDeleted
	{"namespace-not-found", ErrNamespaceNotFound, forGood},

	{"not-ready", nil, notReady},
	{"not-ready-image", nil, notReady},
	{"not-ready-upgrade", nil, notReady},
	{"not-ready-job", nil, notReady},
	{"failed-job", nil, notReady},
	{"rolled-back-on-failure", nil, notReady},
	{"pre-install-hook-failed", nil, notReady},
	{"pre-install-hook-timeout", nil, notReady},
	{"post-install-hook-failed", nil, notReady},
	{"pre-upgrade-hook-failed", nil, notReady},
	{"not-gone", nil, notReady},
	// Helm 3 says no more than that a job failed.
	{"v3.22.0/pre-delete-hook-failed", nil, forGood},
	{"v3.22.0/post-delete-hook-failed", nil, forGood},
	{"v3.22.0/test-failed", nil, forGood},
	{"v4.3.1/pre-delete-hook-failed", nil, notReady},
	{"v4.3.1/post-delete-hook-failed", nil, notReady},
	{"v4.3.1/test-failed", nil, notReady},
	// Not sent by this package: then the context that ended is the cause.
	{"sigterm", nil, mayPass},
	{"sigterm-in-hook", nil, mayPass},

	{"chart-fails", ErrRenderFailed, forGood},
	{"chart-does-not-parse", ErrRenderFailed, forGood},
	{"chart-is-no-yaml", ErrRenderFailed, forGood},
	{"values-schema", ErrRenderFailed, forGood},
	{"values-not-yaml", nil, forGood},
	{"kube-version", ErrRenderFailed, forGood},
	{"dependency-missing", ErrRenderFailed, forGood},
	{"unknown-kind", nil, forGood},
	{"illegal-object", nil, forGood},
	{"foreign-object", nil, forGood},
	{"annotation-too-long", nil, forGood},
	{"record-too-long", nil, forGood},
	{"illegal-release-name", nil, forGood},
	{"unknown-flag", nil, forGood},
	{"no-chart-yaml", nil, forGood},
	{"path-not-found", ErrChartNotFound, forGood},

	{"repo-add-connection-refused", ErrRepoNotFound, mayPass},
	{"repo-add-reset", ErrRepoNotFound, mayPass},
	{"repo-add-eof", ErrRepoNotFound, mayPass},
	{"repo-add-truncated", ErrRepoNotFound, mayPass},
	{"repo-add-empty", ErrRepoNotFound, mayPass},
	{"repo-add-408", ErrRepoNotFound, mayPass},
	{"repo-add-429", ErrRepoNotFound, mayPass},
	{"repo-add-500", ErrRepoNotFound, mayPass},
	{"repo-add-503", ErrRepoNotFound, mayPass},
	{"repo-add-401", ErrUnauthorized, forGood},
	{"repo-add-403", ErrUnauthorized, forGood},
	{"repo-add-404", ErrRepoNotFound, forGood},
	{"repo-add-garbage", ErrRepoNotFound, forGood},
	{"repo-add-unknown-host", ErrRepoNotFound, forGood},
	{"repo-add-unknown-authority", ErrRepoNotFound, forGood},
	{"repo-add-of-another-url", nil, forGood},
	{"repo-remove-unknown", ErrRepoNotFound, forGood},
	{"repo-remove-without-any", ErrRepoNotFound, forGood},
	{"repo-update-unknown", ErrRepoNotFound, forGood},
	{"repo-update-without-any", ErrRepoNotFound, forGood},
	{"repo-update-401", ErrUnauthorized, forGood},
	{"repo-update-404", ErrRepoNotFound, forGood},
	{"repo-update-503", nil, mayPass},

	{"pull-unknown-repo", ErrRepoNotFound, forGood},
	{"pull-unknown-repo-of-some", ErrRepoNotFound, forGood},
	{"pull-without-index", ErrRepoNotFound, forGood},
	{"pull-unknown-chart", ErrChartNotFound, forGood},
	{"pull-unknown-version", ErrChartNotFound, forGood},
	{"pull-no-stable-version", ErrChartNotFound, forGood},
	{"pull-by-url-unknown-chart", ErrChartNotFound, forGood},
	{"pull-archive-404", ErrChartNotFound, forGood},
	{"pull-archive-403", ErrUnauthorized, forGood},
	{"pull-archive-429", nil, mayPass},
	{"pull-archive-503", nil, mayPass},
	{"pull-archive-truncated", nil, mayPass},
	{"pull-archive-connection-refused", nil, mayPass},
	{"pull-archive-scheme", nil, forGood},
	{"pull-archive-garbage", nil, forGood},
	{"oci-unknown-chart", ErrChartNotFound, forGood},
	{"oci-unknown-chart-latest", ErrChartNotFound, forGood},
	{"oci-unknown-version", ErrChartNotFound, forGood},
	{"oci-unknown-digest", ErrChartNotFound, forGood},
	{"oci-no-version-fits", ErrChartNotFound, forGood},
	{"oci-connection-refused", nil, mayPass},
	{"oci-429", nil, mayPass},
	{"oci-503", nil, mayPass},
	{"oci-unauthorized", ErrUnauthorized, forGood},
	// Helm 3 then tries without TLS, and the web server there has no such chart.
	{"v3.22.0/oci-http-instead-of-https", ErrChartNotFound, forGood},
	{"v4.3.1/oci-http-instead-of-https", nil, forGood},
}

func assertMeaning(t *testing.T, stderr string, source bool, kind error, then string) {
	t.Helper()
	gotKind, again := meaning(stderr, source)
	got := forGood
	switch {
	case again:
		got = mayPass
	case notReadyInTime(stderr):
		got = notReady
	}
	assert.Equal(t, kind, gotKind, stderr)
	assert.Equal(t, then, got, stderr)
}

func TestRecordedMessages(t *testing.T) {
	files, err := filepath.Glob("testdata/stderr/*/*.txt")
	require.NoError(t, err)
	scene := func(file string) (version, name string) {
		name = strings.TrimSuffix(filepath.Base(file), ".txt")
		return filepath.Base(filepath.Dir(file)), name
	}
	played := map[string]bool{}
	for _, row := range recordedMeanings {
		found := 0
		for _, file := range files {
			version, name := scene(file)
			if row.scene != name && row.scene != version+"/"+name {
				continue
			}
			found++
			played[file] = true
			t.Run(version+"/"+name, func(t *testing.T) {
				text, err := os.ReadFile(file)
				require.NoError(t, err)
				asksASource := regexp.MustCompile("^(repo|pull|oci)-").MatchString(name)
				assertMeaning(t, string(text), asksASource, row.kind, row.then)
			})
		}
		assert.NotZero(t, found, "no recording of %s", row.scene)
	}
	for _, file := range files {
		assert.True(t, played[file], "%s has no row in the table", file)
	}
	assert.Greater(t, len(files), 200)
}

// Texts that a real Helm has been seen to say elsewhere, and that no scene brings about: from
// Kubernetes' and Helm's source, and from what users report.
func TestMessagesOutOfReach(t *testing.T) {
	for _, row := range []struct {
		stderr string
		kind   error
		then   string
	}{
		{"Error: release: already exists", ErrReleaseExists, forGood},
		{"Error: INSTALLATION FAILED: dial tcp 10.0.0.1:443: i/o timeout", nil, mayPass},
		{"Error: dial tcp 10.0.0.1:443: connect: no route to host", nil, mayPass},
		{"Error: dial tcp 10.0.0.1:443: connect: network is unreachable", nil, mayPass},
		{"Error: write tcp 10.0.0.2:1->10.0.0.1:443: write: broken pipe", nil, mayPass},
		{"Error: http2: client connection lost", nil, mayPass},
		{"Error: kubernetes cluster unreachable: Get \"https://x/version\": http2: client conn could not be established", ErrClusterUnreachable, mayPass},
		{"Error: Get \"https://x/api\": http2: client conn not usable", nil, mayPass},
		{"Error: Get \"https://x/api\": http2: Transport received Server's graceful shutdown GOAWAY", nil, mayPass},
		{"Error: Get \"https://x/api\": http2: timeout awaiting response headers", nil, mayPass},
		{"Error: Get \"https://x/api\": net/http: HTTP/1.x transport connection broken: malformed HTTP response", nil, mayPass},
		{"Error: write tcp 10.0.0.2:1->10.0.0.1:443: use of closed network connection", nil, mayPass},
		{"Error: http2: server sent GOAWAY and closed the connection; LastStreamID=1999", nil, mayPass},
		{"Error: stream error: stream ID 3; INTERNAL_ERROR; received from peer", nil, mayPass},
		{"Error: Get \"https://k8s.example/version\": dial tcp: lookup k8s.example: Temporary failure in name resolution", nil, mayPass},
		{"Error: Get \"https://k8s.example/version\": dial tcp: lookup k8s.example on 10.0.0.10:53: server misbehaving", nil, mayPass},
		{"Error: unexpected error when reading response body. Please retry. Original error: read tcp: use of closed connection", nil, mayPass},
		{"Error: etcdserver: no leader", nil, mayPass},
		{"Error: rpc error: code = Unavailable desc = transport is closing", nil, mayPass},
		{"Error: INSTALLATION FAILED: apiserver is shutting down", nil, mayPass},
		{"Error: failed to delete release: web: Delete \"https://x/api\": read: connection reset by peer", nil, mayPass},
		{"Error: failed to delete release: web: admission webhook \"x\" denied the request: no", nil, forGood},
		{"Error: net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)", nil, mayPass},
		{"Error: unexpected EOF", nil, mayPass},
		{"Error: INSTALLATION FAILED: client rate limiter Wait returned an error: context deadline exceeded", nil, notReady},
		{"Error: INSTALLATION FAILED: client rate limiter Wait returned an error: rate: Wait(n=1) would exceed context deadline", nil, notReady},
		{"Error: UPGRADE FAILED: post-upgrade hooks failed: timed out waiting for the condition", nil, notReady},
		{"Error: UPGRADE FAILED: Unauthorized", nil, forGood},
		// What may pass does not, when something that does not is said as well.
		{"Error: kubernetes cluster unreachable: Get \"https://x\": EOF: x509: certificate has expired", ErrClusterUnreachable, forGood},
		// The reason stands behind the last "Error:", and what was logged before it says nothing.
		{"W0101 reflector.go: connection refused\nError: INSTALLATION FAILED: execution error at (a/b.yaml:1:2): no", ErrRenderFailed, forGood},
		{"level=ERROR msg=\"connection refused\"\nError: release: not found", ErrReleaseNotFound, forGood},
		// What a chart has its hooks say, or the API server that refuses an object of it, is no verdict.
		{"Error: first\nError: release: not found", nil, forGood},
		{"Error: release: not foundError: uninstallation completed with 1 error(s): no", nil, forGood},
		{"Error: warning: Hook pre-delete web/a.yaml failed: spec.restartPolicy: Unsupported value: \"release: not found\"", nil, forGood},
		{"Error: warning: Hook pre-delete web/a.yaml failed: 1 error occurred:\n\t* release: not found", nil, forGood},
		{"Error: INSTALLATION FAILED: pathType: Unsupported value: \"kubernetes cluster unreachable: no\"", nil, forGood},
		{"Error: INSTALLATION FAILED: pathType: Unsupported value: \"cannot re-use a name that is still in use\"", nil, forGood},
		{cutMark + "Error: release: not found", nil, forGood},
		{"Error: kubernetes cluster unreachable: noError: INSTALLATION FAILED: failed pre-install", nil, notReady},
		{"Error: kubernetes cluster unreachable: no Internal Server Error: INSTALLATION FAILED: failed pre-install", nil, notReady},
		// Nor is a template a source of charts.
		{"Error: execution error at (web/templates/a.yaml:1:3): failed to fetch https://h/index.yaml : 401", ErrRenderFailed, forGood},
		{"Error: execution error at (web/templates/a.yaml:1:3): x\nError: failed to fetch https://h/index.yaml : 401", nil, forGood},
		{"Error: INSTALLATION FAILED: web/templates/a.yaml:1:10\n  executing \"web/templates/a.yaml\" at <.Values.a.b.c>:\n    nil pointer evaluating interface {}.c", ErrRenderFailed, forGood},
		// And these are, whatever stands around them.
		{"Error: INSTALLATION FAILED: Kubernetes cluster unreachable: an error on the server (\"Internal Server Error: \\\"/version\\\"\")", ErrClusterUnreachable, forGood},
		{"E0101 memcache.go: (\"Internal Server Error: x\")\nError: release: already exists", ErrReleaseExists, forGood},
		{"Error: release: not found\nhelm.go:92: 2026-01-01 00:00:00 +0000 UTC [debug] release: not found\nhelm.sh/helm/v3/x.go:1\n", ErrReleaseNotFound, forGood},
		{"", nil, forGood},
		{"Segmentation fault", nil, forGood},
	} {
		t.Run(row.stderr, func(t *testing.T) { assertMeaning(t, row.stderr, false, row.kind, row.then) })
	}
}

func TestRecordRemoved(t *testing.T) {
	for scene, want := range map[string]bool{
		"not-gone": true, "post-delete-hook-failed": true,
		"pre-delete-hook-failed": false, "uninstall-not-found": false, "cluster-connection-refused": false,
	} {
		files, err := filepath.Glob("testdata/stderr/*/" + scene + ".txt")
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			assert.Equal(t, want, recordRemoved(string(text)), file)
		}
	}
	assert.False(t, recordRemoved("Error: uninstallation completed with 2 error(s): timed out; uninstall: Failed to purge the release: EOF"))
}

// Met in the chaos tests.
func TestMeaningOfWaiting(t *testing.T) {
	for stderr, then := range map[string]string{
		"Error: INSTALLATION FAILED: resource StatefulSet/bench/job-1-sut-apiserver not ready. status: InProgress, message: Replicas: 0/1\ncontext deadline exceeded":         notReady,
		"Error: INSTALLATION FAILED: resource ConfigMap/bench/web not ready. status: Unknown, message: \nresource Deployment/bench/web not ready. status: Unknown, message: ": mayPass,
		"Error: INSTALLATION FAILED: resource Example/bench/web not ready. status: Unknown, message: \ncontext deadline exceeded":                                             notReady,
	} {
		assertMeaning(t, stderr, false, nil, then)
	}
}

func TestAdvice(t *testing.T) {
	const refused = "Error: failed to fetch https://h/x : 401 Unauthorized"
	for _, test := range []struct {
		stderr string
		inv    invocation
		says   string
	}{
		{refused, invocation{args: []string{"repo", "update"}, subject: "https://h/charts", login: fetch.LoginGiven}, "the credentials were refused"},
		{refused, invocation{args: []string{"repo", "update"}, subject: "https://h/charts"}, "give AddRepo"},
		{refused, invocation{args: []string{"pull"}, subject: "https://h/charts/web 1.0.0", login: fetch.LoginWithheld}, "PassCredentialsAll"},
		{refused, invocation{args: []string{"pull"}, subject: "https://h/web.tgz?***"}, "in it"},
		{"Error: response status code 401: unauthorized", invocation{args: []string{"pull"}, subject: "oci://h/web 1.0.0"}, "RegistryLogin"},
		{"Error: response status code 401: unauthorized", invocation{args: []string{"push"}}, "RegistryLogin"},
		{"Error: http: server gave HTTP response to HTTPS client", invocation{args: []string{"pull"}}, "PlainHTTP"},
		{"Error: Kubernetes cluster unreachable: Get \"https://h/version\": http: server gave HTTP response to HTTPS client", invocation{args: []string{"list"}}, ""},
		{"Error: Kubernetes cluster unreachable: Get \"http://localhost:8080/version\": connection refused", invocation{args: []string{"list"}}, "KUBECONFIG"},
		{"Error: it says no", invocation{args: []string{"list"}}, ""},
	} {
		e := &Error{Stderr: test.stderr}
		e.kind, _ = meaning(test.stderr, test.inv.source())
		got := test.inv.advice(e)
		assert.Contains(t, got, test.says, test.stderr)
		assert.Equal(t, test.says == "", got == "", test.stderr)
	}
}

// Helm tells with --debug alone why it could not delete objects.
func TestWhyObjectsWereNotDeleted(t *testing.T) {
	for _, version := range []string{"v3.22.0", "v4.3.1"} {
		text, err := os.ReadFile("testdata/stderr/" + version + "/forbidden-uninstall-debug.txt")
		require.NoError(t, err)
		e := &Error{Args: []string{"uninstall", "--", "web"}, ExitCode: 1, Stderr: string(text)}
		e.kind, e.transient = meaning(e.Stderr, false)
		e.explainDeletion()
		assert.Equal(t, `helm uninstall web: failed to delete release: configmaps "plain" is forbidden: `+
			`User "no-delete" cannot delete resource "configmaps" in API group "" in the namespace "team"`, e.Error())
		assert.False(t, IsTransient(e))
	}
}

// What helm says before it has recorded a release.
func TestRecordedNothing(t *testing.T) {
	for scene, want := range map[string]bool{
		"forbidden-record": true, "forbidden-install": true, "unknown-kind": true, "foreign-object": true, "record-too-long": true,
		"forbidden-hook": false, "illegal-object": false, "not-ready": false, "name-taken": false, "cluster-eof": false,
	} {
		for _, version := range []string{"v3.22.0", "v4.3.1"} {
			text, err := os.ReadFile("testdata/stderr/" + version + "/" + scene + ".txt")
			require.NoError(t, err)
			assert.Equal(t, want, recordedNothing(&Error{Stderr: string(text)}), "%s: %s", version, text)
		}
	}
}
