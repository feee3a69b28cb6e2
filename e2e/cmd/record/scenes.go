package main

import (
	"strings"
	"syscall"
)

// scene is something that goes wrong, or is worth a word. In commands, words in capitals stand for parts of the world:
// CHARTS is the folder of charts, REPO the repository, WEB a web server that answers by the path
// (/status/503/…), OCI the registry, CLOSED a port where nobody listens, PUBLICKEYS and SECRETKEYS the keyrings of Ann, and
// STRANGERS the public one of others.
type scene struct {
	name   string
	before []string // commands that set it
	run    string   // the command that goes wrong

	cluster string         // how the cluster is reached; see (*world).kubeconfig
	object  string         // something in the namespace beforehand, as a path and JSON
	signal  syscall.Signal // sent to helm when the release is recorded
	pending bool           // a killed install has left the release pending
	reports bool           // stdout is part of the recording
	says    bool           // nothing goes wrong, and stdout is the recording
	warns   bool           // helm succeeds, and stderr is the recording
	status  bool           // the status is recorded when the pods have settled
}

var scenes = []scene{
	// Releases
	{name: "name-taken", before: lines("install web CHARTS/plain"), run: "install web CHARTS/plain"},
	{name: "name-taken-by-a-pending-release", pending: true, run: "install web CHARTS/plain"},
	{name: "busy", pending: true, run: "upgrade web CHARTS/plain"},
	{name: "status-not-found", run: "status nosuch"},
	{name: "get-not-found", run: "get all nosuch"},
	{name: "get-revision-not-found", before: lines("install web CHARTS/plain"), run: "get all web --revision=9"},
	{name: "history-not-found", run: "history nosuch"},
	{name: "uninstall-not-found", run: "uninstall nosuch"},
	{name: "test-not-found", run: "test nosuch"},
	{name: "upgrade-not-found", run: "upgrade nosuch CHARTS/plain"},
	{name: "rollback-not-found", run: "rollback nosuch 1"},
	{name: "rollback-revision-not-found", before: lines("install web CHARTS/plain"), run: "rollback web 9"},
	{name: "upgrade-of-an-uninstalled-release", before: lines("install web CHARTS/plain", "uninstall web --keep-history"), run: "upgrade web CHARTS/plain"},

	// The cluster
	{name: "cluster-connection-refused", cluster: "https://CLOSED", run: "list"},
	{name: "cluster-connection-refused-install", cluster: "https://CLOSED", run: "install web CHARTS/plain"},
	{name: "cluster-connection-refused-upgrade", cluster: "https://CLOSED", run: "upgrade web CHARTS/plain"},
	{name: "cluster-eof", cluster: "http://HANGUP", run: "list"},
	{name: "cluster-reset", cluster: "http://RESET", run: "list"},
	{name: "cluster-tls-handshake-timeout", cluster: "https://SILENT", run: "list"},
	{name: "cluster-unknown-host", cluster: "https://nosuch.invalid:6443", run: "list"},
	{name: "cluster-unknown-authority", cluster: "x509", run: "list"},
	{name: "cluster-wrong-token", cluster: "token", run: "list"},
	{name: "cluster-http-instead-of-https", cluster: "https://PLAIN", run: "list"},
	{name: "cluster-503", cluster: "WEB/status/503", run: "list"},
	{name: "cluster-502", cluster: "WEB/status/502", run: "list"},
	{name: "cluster-504", cluster: "WEB/status/504", run: "list"},
	{name: "cluster-429", cluster: "WEB/status/429", run: "list"},
	{name: "cluster-500", cluster: "WEB/status/500", run: "list"},
	{name: "cluster-truncated", cluster: "WEB/truncated", run: "list"},
	{name: "api-unavailable", cluster: "WEB/api/503/the+server+is+currently+unable+to+handle+the+request", run: "list"},
	{name: "api-overload", cluster: "WEB/api/429/the+server+has+received+too+many+requests+and+has+asked+us+to+try+again+later", run: "list"},
	{name: "api-timeout", cluster: "WEB/api/504/the+server+was+unable+to+return+a+response+in+the+time+allotted", run: "list"},
	{name: "api-etcd-leader", cluster: "WEB/api/500/etcdserver:+leader+changed", run: "list"},
	{name: "api-etcd-timeout", cluster: "WEB/api/500/etcdserver:+request+timed+out", run: "list"},
	{name: "api-conflict", cluster: "WEB/api/409/Operation+cannot+be+fulfilled:+the+object+has+been+modified", run: "list"},
	{name: "forbidden", run: "list --kube-as-user=nobody"},
	{name: "forbidden-install", run: "install web CHARTS/plain --kube-as-user=nobody"},
	{name: "forbidden-record", before: lines("install roles CHARTS/roles"), run: "install web CHARTS/plain --kube-as-user=no-secrets"},
	{name: "not-recorded", warns: true, before: lines("install roles CHARTS/roles"), run: "install web CHARTS/plain --kube-as-user=no-update"},
	{name: "forbidden-hook", before: lines("install roles CHARTS/roles"), run: "install web CHARTS/pre-install-fails --kube-as-user=no-jobs"},
	{name: "forbidden-uninstall", before: lines("install roles CHARTS/roles", "install web CHARTS/plain"), run: "uninstall web --kube-as-user=no-delete"},
	{name: "forbidden-uninstall-debug", before: lines("install roles CHARTS/roles", "install web CHARTS/plain"), run: "uninstall web --kube-as-user=no-delete --debug"},
	{name: "no-cluster", cluster: "none", run: "list"},
	{name: "no-cluster-install", cluster: "none", run: "install web CHARTS/plain"},
	{name: "no-kube-context", run: "list --kube-context=nosuch"},
	{name: "namespace-not-found", run: "install web CHARTS/plain --namespace=nosuch"},

	// Waiting
	{name: "not-ready", run: "install web CHARTS/notready --wait --timeout=2s"},
	{name: "not-ready-image", run: "install web CHARTS/badimage --wait --timeout=2s"},
	{name: "not-ready-upgrade", before: lines("install web CHARTS/plain"), run: "upgrade web CHARTS/notready --wait --timeout=2s"},
	{name: "not-ready-job", run: "install web CHARTS/hangingjob --wait --wait-for-jobs --timeout=2s"},
	{name: "failed-job", run: "install web CHARTS/failingjob --wait --wait-for-jobs --timeout=8s"},
	{name: "rolled-back-on-failure", run: "install web CHARTS/notready ATOMIC --timeout=2s"},
	{name: "pre-install-hook-failed", run: "install web CHARTS/pre-install-fails"},
	{name: "pre-install-hook-timeout", run: "install web CHARTS/pre-install-hangs --timeout=2s"},
	{name: "post-install-hook-failed", run: "install web CHARTS/post-install-fails"},
	{name: "pre-upgrade-hook-failed", before: lines("install web CHARTS/plain"), run: "upgrade web CHARTS/pre-upgrade-fails"},
	{name: "post-upgrade-hook-failed", before: lines("install web CHARTS/plain"), run: "upgrade web CHARTS/post-upgrade-fails"},
	{name: "pre-delete-hook-failed", before: lines("install web CHARTS/pre-delete-fails"), run: "uninstall web"},
	{name: "post-delete-hook-failed", before: lines("install web CHARTS/post-delete-fails"), run: "uninstall web"},
	{name: "not-gone", before: lines("install web CHARTS/lingers --wait"), run: "uninstall web --wait --cascade=foreground --timeout=2s"},
	{name: "not-gone-debug", before: lines("install web CHARTS/lingers --wait"), run: "uninstall web UNINSTALLWAIT --cascade=foreground --timeout=2s --debug"},
	{name: "test-failed", before: lines("install web CHARTS/test-fails"), run: "test web"},
	{name: "sigterm", signal: syscall.SIGTERM, run: "install web CHARTS/notready --wait --timeout=1m"},
	{name: "sigterm-in-hook", signal: syscall.SIGTERM, run: "install web CHARTS/pre-install-hangs --timeout=1m"},

	// Charts
	{name: "chart-fails", run: "template web CHARTS/fails"},
	{name: "chart-does-not-parse", run: "template web CHARTS/parse-error"},
	{name: "chart-is-no-yaml", run: "template web CHARTS/no-yaml"},
	{name: "values-schema", run: "install web CHARTS/schema"},
	{name: "kube-version", run: "install web CHARTS/kube-version"},
	{name: "dependency-missing", run: "install web CHARTS/dependency"},
	{name: "unknown-kind", run: "install web CHARTS/unknown-kind"},
	{name: "illegal-object", run: "install web CHARTS/illegal-object"},
	{name: "foreign-object", object: `configmaps {"metadata":{"name":"plain"}}`, run: "install web CHARTS/plain"},
	{name: "annotation-too-long", run: "install web CHARTS/long-annotation"},
	{name: "record-too-long", run: "install web CHARTS/huge"},
	{name: "quota", object: `resourcequotas {"metadata":{"name":"none"},"spec":{"hard":{"count/configmaps":"0"}}}`, run: "install web CHARTS/plain"},
	{name: "webhook-unreachable", before: lines("install hook CHARTS/webhook"), run: "install web CHARTS/plain"},
	{name: "no-chart-yaml", run: "install web CHARTS"},
	{name: "path-not-found", run: "install web ./nosuch"},
	{name: "illegal-release-name", run: "install Web_ CHARTS/plain"},
	{name: "unknown-flag", run: "install web CHARTS/plain --nosuch"},
	{name: "values-not-yaml", run: "template web CHARTS/plain --set-json=a={"},

	// Repositories
	{name: "repo-add-connection-refused", run: "repo add x http://CLOSED/charts"},
	{name: "repo-add-reset", run: "repo add x http://RESET/charts"},
	{name: "repo-add-eof", run: "repo add x http://HANGUP/charts"},
	{name: "repo-add-unknown-host", run: "repo add x http://nosuch.invalid/charts"},
	{name: "repo-add-unknown-authority", run: "repo add x KUBEAPI/charts"},
	{name: "repo-add-401", run: "repo add x WEB/status/401"},
	{name: "repo-add-403", run: "repo add x WEB/status/403"},
	{name: "repo-add-404", run: "repo add x WEB/status/404"},
	{name: "repo-add-408", run: "repo add x WEB/status/408"},
	{name: "repo-add-429", run: "repo add x WEB/status/429"},
	{name: "repo-add-500", run: "repo add x WEB/status/500"},
	{name: "repo-add-503", run: "repo add x WEB/status/503"},
	{name: "repo-add-truncated", run: "repo add x WEB/truncated"},
	{name: "repo-add-empty", run: "repo add x WEB/empty"},
	{name: "repo-add-garbage", run: "repo add x WEB/garbage"},
	{name: "repo-add-of-another-url", before: lines("repo add x REPO"), run: "repo add x WEB/status/404"},
	{name: "repo-remove-unknown", before: lines("repo add x REPO"), run: "repo remove nosuch"},
	{name: "repo-remove-without-any", run: "repo remove nosuch"},
	{name: "repo-update-unknown", before: lines("repo add x REPO"), run: "repo update nosuch"},
	{name: "repo-update-without-any", run: "repo update"},
	{name: "repo-update-503", reports: true, before: lines("repo add x WEB/once/503"), run: "repo update UPDATEFAILS x"},
	{name: "repo-update-404", reports: true, before: lines("repo add x WEB/once/404"), run: "repo update UPDATEFAILS x"},
	{name: "repo-update-401", reports: true, before: lines("repo add x WEB/once/401"), run: "repo update UPDATEFAILS x"},

	// Charts of repositories and registries
	{name: "pull-unknown-repo", run: "pull nosuch/web"},
	{name: "pull-unknown-repo-of-some", before: lines("repo add x REPO"), run: "pull nosuch/web"},
	{name: "pull-unknown-chart", before: lines("repo add x REPO"), run: "pull x/nosuch"},
	{name: "pull-unknown-version", before: lines("repo add x REPO"), run: "pull x/web --version=9.9.9"},
	{name: "pull-no-stable-version", before: lines("repo add x REPO"), run: "pull x/early"},
	{name: "pull-by-url-unknown-chart", run: "pull nosuch --repo=REPO"},
	{name: "pull-without-index", before: lines("repo add x REPO", "!rm index"), run: "pull x/web"},
	{name: "pull-archive-404", before: lines("repo add x REPO"), run: "pull x/answers-404"},
	{name: "pull-archive-403", before: lines("repo add x REPO"), run: "pull x/answers-403"},
	{name: "pull-archive-503", before: lines("repo add x REPO"), run: "pull x/answers-503"},
	{name: "pull-archive-429", before: lines("repo add x REPO"), run: "pull x/answers-429"},
	{name: "pull-archive-truncated", before: lines("repo add x REPO"), run: "pull x/is-truncated"},
	{name: "pull-archive-connection-refused", before: lines("repo add x REPO"), run: "pull x/is-down"},
	{name: "pull-archive-scheme", before: lines("repo add x REPO"), run: "pull x/is-ftp"},
	{name: "pull-archive-garbage", before: lines("repo add x REPO"), run: "show chart x/is-garbage"},
	{name: "oci-unknown-chart", run: "pull oci://OCI/charts/nosuch --version=1.0.0 --plain-http"},
	{name: "oci-unknown-chart-latest", run: "pull oci://OCI/charts/nosuch --plain-http"},
	{name: "oci-unknown-version", before: lines("push CHARTS/web-1.0.0.tgz oci://OCI/charts --plain-http"), run: "pull oci://OCI/charts/web --version=9.9.9 --plain-http"},
	{name: "oci-no-version-fits", before: lines("push CHARTS/web-1.0.0.tgz oci://OCI/charts --plain-http"), run: "pull oci://OCI/charts/web --version=>9 --plain-http"},
	{name: "oci-unknown-digest", before: lines("push CHARTS/web-1.0.0.tgz oci://OCI/charts --plain-http"),
		run: "pull oci://OCI/charts/web@sha256:" + strings.Repeat("0", 64) + " --plain-http"},
	{name: "oci-connection-refused", run: "pull oci://CLOSED/charts/web --version=1.0.0 --plain-http"},
	{name: "oci-http-instead-of-https", run: "pull oci://PLAIN/charts/web --version=1.0.0"},
	{name: "oci-unauthorized", run: "pull oci://PRIVATE/charts/web --version=1.0.0 --plain-http"},
	{name: "oci-503", run: "pull oci://PLAIN/status503/web --version=1.0.0 --plain-http"},
	{name: "oci-429", run: "pull oci://PLAIN/status429/web --version=1.0.0 --plain-http"},

	// Signatures
	{name: "verify-unknown-key", before: lines("package CHARTS/plain --sign --key=Ann --keyring=SECRETKEYS"), run: "verify --keyring=STRANGERS plain-1.0.0.tgz"},
	{name: "verify-other-archive", before: lines("package CHARTS/plain --sign --key=Ann --keyring=SECRETKEYS", "package CHARTS/plain --app-version=2"), run: "verify --keyring=PUBLICKEYS plain-1.0.0.tgz"},
	{name: "pull-unsigned", says: true, before: lines("repo add x REPO"), run: "pull x/web --prov"},
	{name: "oci-unsigned", says: true, before: lines("push CHARTS/web-1.0.0.tgz oci://OCI/charts --plain-http"), run: "pull oci://OCI/charts/web --version=1.0.0 --prov --plain-http"},

	// How pods are reported
	{name: "ImagePullBackOff", status: true, before: lines("install web CHARTS/badimage")},
	{name: "CrashLoopBackOff", status: true, before: lines("install web CHARTS/crashes")},
	{name: "NotReady", status: true, before: lines("install web CHARTS/notready")},
	{name: "Unschedulable", status: true, before: lines("install web CHARTS/greedy")},
	{name: "Ready", status: true, before: lines("install web CHARTS/ready")},
	{name: "FailedJob", status: true, before: lines("install web CHARTS/failingjob")},
}

func lines(commands ...string) []string { return commands }
