package helmtext

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/internal/errdef"
)

// What a message of helm means, in addition to its kind.
const (
	forGood  = "for good"  // the same command fails again
	mayPass  = "may pass"  // the same command may soon succeed
	notReady = "not ready" // objects were made, but the wait for them ended
)

// Recordings of real Helms, in testdata/stderr/<version>: their stderr in the scene of that name.
// Command e2e/cmd/record has the scenes and makes them again. If versions differ in meaning, the
// version is before the name.
var recordedMeanings = []struct {
	scene string
	kind  error
	then  string
}{
	{"name-taken", errdef.ErrReleaseExists, forGood},
	{"name-taken-by-a-pending-release", errdef.ErrReleaseExists, forGood},
	{"busy", errdef.ErrReleaseBusy, forGood},
	{"status-not-found", errdef.ErrReleaseNotFound, forGood},
	{"get-not-found", errdef.ErrReleaseNotFound, forGood},
	{"get-revision-not-found", errdef.ErrReleaseNotFound, forGood},
	{"history-not-found", errdef.ErrReleaseNotFound, forGood},
	{"uninstall-not-found", errdef.ErrReleaseNotFound, forGood},
	{"test-not-found", errdef.ErrReleaseNotFound, forGood},
	{"upgrade-not-found", errdef.ErrReleaseNotFound, forGood},
	{"rollback-not-found", errdef.ErrReleaseNotFound, forGood},
	{"rollback-revision-not-found", errdef.ErrReleaseNotFound, forGood},
	{"upgrade-of-an-uninstalled-release", errdef.ErrReleaseNotFound, forGood},

	{"verify-unknown-key", nil, forGood},
	{"verify-other-archive", nil, forGood},

	{"cluster-connection-refused", errdef.ErrClusterUnreachable, mayPass},
	{"cluster-connection-refused-install", errdef.ErrClusterUnreachable, mayPass},
	{"cluster-connection-refused-upgrade", errdef.ErrClusterUnreachable, mayPass},
	{"cluster-eof", errdef.ErrClusterUnreachable, mayPass},
	{"cluster-reset", errdef.ErrClusterUnreachable, mayPass},
	{"cluster-truncated", errdef.ErrClusterUnreachable, mayPass},
	{"cluster-tls-handshake-timeout", errdef.ErrClusterUnreachable, mayPass},
	{"cluster-429", errdef.ErrClusterUnreachable, mayPass},
	{"cluster-500", errdef.ErrClusterUnreachable, mayPass},
	{"cluster-502", errdef.ErrClusterUnreachable, mayPass},
	{"cluster-503", errdef.ErrClusterUnreachable, mayPass},
	{"cluster-504", errdef.ErrClusterUnreachable, mayPass},
	{"cluster-unknown-host", errdef.ErrClusterUnreachable, forGood},
	{"cluster-unknown-authority", errdef.ErrClusterUnreachable, forGood},
	{"cluster-wrong-token", errdef.ErrClusterUnreachable, forGood},
	{"cluster-http-instead-of-https", errdef.ErrClusterUnreachable, forGood},
	{"no-cluster", errdef.ErrClusterUnreachable, forGood},
	{"no-cluster-install", errdef.ErrClusterUnreachable, forGood},
	{"no-kube-context", errdef.ErrClusterUnreachable, forGood},
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
	{"not-recorded", nil, forGood},
	{"forbidden-hook", nil, forGood},
	{"forbidden-uninstall", nil, mayPass},       // it does not say why
	{"forbidden-uninstall-debug", nil, mayPass}, // see TestWhyObjectsWereNotDeleted
	{"namespace-not-found", errdef.ErrNamespaceNotFound, forGood},

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
	{"post-upgrade-hook-failed", nil, notReady},
	{"not-gone", nil, notReady},
	{"not-gone-debug", nil, notReady},
	// Helm 3 only says that a job failed.
	{"v3.22.0/pre-delete-hook-failed", nil, forGood},
	{"v3.22.0/post-delete-hook-failed", nil, forGood},
	{"v3.22.0/test-failed", nil, forGood},
	{"v4.3.1/pre-delete-hook-failed", nil, notReady},
	{"v4.3.1/post-delete-hook-failed", nil, notReady},
	{"v4.3.1/test-failed", nil, notReady},
	// Not sent by this package: then the context that ended is the cause.
	{"sigterm", nil, mayPass},
	{"sigterm-in-hook", nil, mayPass},

	{"chart-fails", errdef.ErrRenderFailed, forGood},
	{"chart-does-not-parse", errdef.ErrRenderFailed, forGood},
	{"chart-is-no-yaml", errdef.ErrRenderFailed, forGood},
	{"values-schema", errdef.ErrRenderFailed, forGood},
	{"values-not-yaml", nil, forGood},
	{"kube-version", errdef.ErrRenderFailed, forGood},
	{"dependency-missing", errdef.ErrRenderFailed, forGood},
	{"unknown-kind", nil, forGood},
	{"illegal-object", nil, forGood},
	{"foreign-object", nil, forGood},
	{"quota", nil, forGood},
	{"annotation-too-long", nil, forGood},
	{"record-too-long", nil, forGood},
	{"illegal-release-name", nil, forGood},
	{"unknown-flag", nil, forGood},
	{"no-chart-yaml", nil, forGood},
	{"path-not-found", errdef.ErrChartNotFound, forGood},

	{"repo-add-connection-refused", errdef.ErrRepoNotFound, mayPass},
	{"repo-add-reset", errdef.ErrRepoNotFound, mayPass},
	{"repo-add-eof", errdef.ErrRepoNotFound, mayPass},
	{"repo-add-truncated", errdef.ErrRepoNotFound, mayPass},
	{"repo-add-empty", errdef.ErrRepoNotFound, mayPass},
	{"repo-add-408", errdef.ErrRepoNotFound, mayPass},
	{"repo-add-429", errdef.ErrRepoNotFound, mayPass},
	{"repo-add-500", errdef.ErrRepoNotFound, mayPass},
	{"repo-add-503", errdef.ErrRepoNotFound, mayPass},
	{"repo-add-401", errdef.ErrUnauthorized, forGood},
	{"repo-add-403", errdef.ErrUnauthorized, forGood},
	{"repo-add-404", errdef.ErrRepoNotFound, forGood},
	{"repo-add-garbage", errdef.ErrRepoNotFound, forGood},
	{"repo-add-unknown-host", errdef.ErrRepoNotFound, forGood},
	{"repo-add-unknown-authority", errdef.ErrRepoNotFound, forGood},
	{"repo-add-of-another-url", nil, forGood},
	{"repo-remove-unknown", errdef.ErrRepoNotFound, forGood},
	{"repo-remove-without-any", errdef.ErrRepoNotFound, forGood},
	{"repo-update-unknown", errdef.ErrRepoNotFound, forGood},
	{"repo-update-without-any", errdef.ErrRepoNotFound, forGood},
	{"repo-update-401", errdef.ErrUnauthorized, forGood},
	{"repo-update-404", errdef.ErrRepoNotFound, forGood},
	{"repo-update-503", nil, mayPass},

	{"pull-unknown-repo", errdef.ErrRepoNotFound, forGood},
	{"pull-unknown-repo-of-some", errdef.ErrRepoNotFound, forGood},
	{"pull-without-index", errdef.ErrRepoNotFound, forGood},
	{"pull-unknown-chart", errdef.ErrChartNotFound, forGood},
	{"pull-unknown-version", errdef.ErrChartNotFound, forGood},
	{"pull-no-stable-version", errdef.ErrChartNotFound, forGood},
	{"pull-by-url-unknown-chart", errdef.ErrChartNotFound, forGood},
	{"pull-archive-404", errdef.ErrChartNotFound, forGood},
	{"pull-archive-403", errdef.ErrUnauthorized, forGood},
	{"pull-archive-429", nil, mayPass},
	{"pull-archive-503", nil, mayPass},
	{"pull-archive-truncated", nil, mayPass},
	{"pull-archive-connection-refused", nil, mayPass},
	{"pull-archive-scheme", nil, forGood},
	{"pull-archive-garbage", nil, forGood},
	{"oci-unknown-chart", errdef.ErrChartNotFound, forGood},
	{"oci-unknown-chart-latest", errdef.ErrChartNotFound, forGood},
	{"oci-unknown-version", errdef.ErrChartNotFound, forGood},
	{"oci-unknown-digest", errdef.ErrChartNotFound, forGood},
	{"oci-no-version-fits", errdef.ErrChartNotFound, forGood},
	{"oci-connection-refused", nil, mayPass},
	{"oci-429", nil, mayPass},
	{"oci-503", nil, mayPass},
	{"oci-unauthorized", errdef.ErrUnauthorized, forGood},
	// Helm 3 then tries without TLS, and the web server there has no such chart.
	{"v3.22.0/oci-http-instead-of-https", errdef.ErrChartNotFound, forGood},
	{"v4.3.1/oci-http-instead-of-https", nil, forGood},
}

func assertKind(t *testing.T, stderr string, source bool, kind error, then string) {
	t.Helper()
	gotKind, again := KindOf(stderr, source)
	got := forGood
	switch {
	case again:
		got = mayPass
	case NotReadyInTime(stderr):
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
				assertKind(t, string(text), asksASource, row.kind, row.then)
			})
		}
		assert.NotZero(t, found, "no recording of %s", row.scene)
	}
	for _, file := range files {
		assert.True(t, played[file], "%s has no row in the table", file)
	}
	assert.Greater(t, len(files), 200)
}

// Texts of a real Helm that no scene produces: from Kubernetes' and Helm's source, and from users'
// reports.
func TestMessagesOutOfReach(t *testing.T) {
	for _, row := range []struct {
		stderr string
		kind   error
		then   string
	}{
		{"Error: release: already exists", errdef.ErrReleaseExists, forGood},
		{"Error: INSTALLATION FAILED: dial tcp 10.0.0.1:443: i/o timeout", nil, mayPass},
		{"Error: dial tcp 10.0.0.1:443: connect: no route to host", nil, mayPass},
		{"Error: dial tcp 10.0.0.1:443: connect: network is unreachable", nil, mayPass},
		{"Error: write tcp 10.0.0.2:1->10.0.0.1:443: write: broken pipe", nil, mayPass},
		{"Error: http2: client connection lost", nil, mayPass},
		{"Error: kubernetes cluster unreachable: Get \"https://x/version\": http2: client conn could not be established", errdef.ErrClusterUnreachable, mayPass},
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
		// A failure that may pass does not if the text also has a permanent one.
		{"Error: kubernetes cluster unreachable: Get \"https://x\": EOF: x509: certificate has expired", errdef.ErrClusterUnreachable, forGood},
		// The reason follows the last "Error:"; what was logged before it does not count.
		{"W0101 reflector.go: connection refused\nError: INSTALLATION FAILED: execution error at (a/b.yaml:1:2): no", errdef.ErrRenderFailed, forGood},
		{"level=ERROR msg=\"connection refused\"\nError: release: not found", errdef.ErrReleaseNotFound, forGood},
		// The output of a chart's hooks, or of the API server that refuses its object, is not a verdict.
		{"Error: first\nError: release: not found", nil, forGood},
		{"Error: release: not foundError: uninstallation completed with 1 error(s): no", nil, forGood},
		{"Error: warning: Hook pre-delete web/a.yaml failed: spec.restartPolicy: Unsupported value: \"release: not found\"", nil, forGood},
		{"Error: warning: Hook pre-delete web/a.yaml failed: 1 error occurred:\n\t* release: not found", nil, forGood},
		{"Error: INSTALLATION FAILED: pathType: Unsupported value: \"kubernetes cluster unreachable: no\"", nil, forGood},
		{"Error: INSTALLATION FAILED: pathType: Unsupported value: \"cannot re-use a name that is still in use\"", nil, forGood},
		{CutMark + "Error: release: not found", nil, forGood},
		{"Error: kubernetes cluster unreachable: noError: INSTALLATION FAILED: failed pre-install", nil, notReady},
		{"Error: kubernetes cluster unreachable: no Internal Server Error: INSTALLATION FAILED: failed pre-install", nil, notReady},
		// A template is not a source of charts either.
		{"Error: execution error at (web/templates/a.yaml:1:3): failed to fetch https://h/index.yaml : 401", errdef.ErrRenderFailed, forGood},
		{"Error: execution error at (web/templates/a.yaml:1:3): x\nError: failed to fetch https://h/index.yaml : 401", nil, forGood},
		{"Error: INSTALLATION FAILED: web/templates/a.yaml:1:10\n  executing \"web/templates/a.yaml\" at <.Values.a.b.c>:\n    nil pointer evaluating interface {}.c", errdef.ErrRenderFailed, forGood},
		// These are verdicts, whatever is around them.
		{"Error: INSTALLATION FAILED: Kubernetes cluster unreachable: an error on the server (\"Internal Server Error: \\\"/version\\\"\")", errdef.ErrClusterUnreachable, forGood},
		{"E0101 memcache.go: (\"Internal Server Error: x\")\nError: release: already exists", errdef.ErrReleaseExists, forGood},
		{"Error: release: not found\nhelm.go:92: 2026-01-01 00:00:00 +0000 UTC [debug] release: not found\nhelm.sh/helm/v3/x.go:1\n", errdef.ErrReleaseNotFound, forGood},
		{"", nil, forGood},
		{"Segmentation fault", nil, forGood},
	} {
		t.Run(row.stderr, func(t *testing.T) { assertKind(t, row.stderr, false, row.kind, row.then) })
	}
}

// Met in the chaos tests.
func TestMeaningOfWaiting(t *testing.T) {
	for stderr, then := range map[string]string{
		"Error: INSTALLATION FAILED: resource StatefulSet/bench/job-1-sut-apiserver not ready. status: InProgress, message: Replicas: 0/1\ncontext deadline exceeded":         notReady,
		"Error: INSTALLATION FAILED: resource ConfigMap/bench/web not ready. status: Unknown, message: \nresource Deployment/bench/web not ready. status: Unknown, message: ": mayPass,
		"Error: INSTALLATION FAILED: resource Example/bench/web not ready. status: Unknown, message: \ncontext deadline exceeded":                                             notReady,
	} {
		assertKind(t, stderr, false, nil, then)
	}
}

// Where nothing listens, no kubeconfig names a cluster; where something does, one names it.
func TestLocalAddress(t *testing.T) {
	for said, again := range map[string]bool{"dial tcp 127.0.0.1:8080: connect: connection refused": false, "read: connection reset by peer": true, "net/http: TLS handshake timeout": true} {
		kind, got := KindOf(`Error: Kubernetes cluster unreachable: Get "http://localhost:8080/version": `+said+"\n", false)
		assert.Equal(t, errdef.ErrClusterUnreachable, kind)
		assert.Equal(t, again, got, said)
	}
}
