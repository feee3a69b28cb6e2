package helmtext

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestAdvice(t *testing.T) {
	const (
		refused     = "Error: failed to fetch https://h/x : 401 Unauthorized"
		noNamespace = `Error: INSTALLATION FAILED: create: failed to create: namespaces "team" not found`
	)
	for _, test := range []struct {
		stderr string
		about  Failure
		says   string
	}{
		{refused, Failure{Args: []string{"repo", "update"}, Subject: "https://h/charts", CredentialsGiven: true}, "the credentials were refused"},
		{refused, Failure{Args: []string{"repo", "update"}, Subject: "https://h/charts"}, "give AddRepo"},
		{refused, Failure{Args: []string{"pull"}, Subject: "https://h/charts/web 1.0.0", CredentialsWithheld: true}, "PassCredentialsAll"},
		{refused, Failure{Args: []string{"pull"}, Subject: "https://h/web.tgz?***"}, "into the URL"},
		{"Error: response status code 401: unauthorized", Failure{Args: []string{"pull"}, Subject: "oci://h/web 1.0.0"}, "RegistryLogin"},
		{"Error: response status code 401: unauthorized", Failure{Args: []string{"push"}}, "RegistryLogin"},
		{"Error: http: server gave HTTP response to HTTPS client", Failure{Args: []string{"pull"}, Subject: "oci://h/web 1.0.0"}, "PlainHTTP"},
		{"Error: http: server gave HTTP response to HTTPS client", Failure{Args: []string{"push"}}, "PlainHTTP"},
		{"Error: tls: first record does not look like a TLS handshake", Failure{Args: []string{"registry", "login"}}, "PlainHTTP"},
		{"Error: tls: first record does not look like a TLS handshake", Failure{Args: []string{"repo", "add"}, Subject: "https://h/charts"}, "speaks http:"},
		{"Error: Get \"https://h/web.tgz\": http: server gave HTTP response to HTTPS client", Failure{Args: []string{"pull"}, Subject: "https://h/web.tgz"}, "speaks http:"},
		{"Error: failed to fetch https://h/a/index.yaml : 404 Not Found", Failure{Args: []string{"repo", "add"}, Subject: "https://h/a"}, "no index.yaml"},
		{"Error: Kubernetes cluster unreachable: Get \"https://h/version\": http: server gave HTTP response to HTTPS client", Failure{Args: []string{"list"}}, ""},
		{"Error: Kubernetes cluster unreachable: Get \"http://localhost:8080/version\": connection refused", Failure{Args: []string{"list"}}, "no kubeconfig in use names a cluster"},
		{refused, Failure{Args: []string{"pull"}, Subject: "https://h/charts/web", CredentialsGiven: true, RedirectedAway: true}, "redirect"},
		{"Error: failed to fetch https://h/index.yaml: repo.IndexFile", Failure{Args: []string{"repo", "add"}}, "not a chart index"},
		{noNamespace, Failure{Args: []string{"install", "--namespace=team"}}, "CreateNamespace"},
		{noNamespace, Failure{Args: []string{"install"}}, "CreateNamespace"},
		{noNamespace, Failure{Args: []string{"install", "--namespace=other"}}, "the chart puts objects"},
		{noNamespace, Failure{Args: []string{"install", "--namespace=team", "--create-namespace"}}, ""},
		{"Error: it says no", Failure{Args: []string{"list"}}, ""},
	} {
		test.about.Stderr = test.stderr
		test.about.Kind, _ = KindOf(test.stderr, test.about.Args[0] != "list" && test.about.Args[0] != "install")
		got := Advice(test.about)
		assert.Contains(t, got, test.says, test.stderr)
		assert.Equal(t, test.says == "", got == "", test.stderr)
	}
}
