package cluster

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"strings"
	"text/template"
)

var kubeconfig = template.Must(template.New("kubeconfig").Parse(`apiVersion: v1
kind: Config
clusters:
- name: helmexec-e2e
  cluster:
    server: {{ .Server }}
    certificate-authority-data: {{ .Authority }}
users:
- name: admin
  user:
    token: {{ .Token }}
    {{- with .As }}
    as: {{ . }}
    {{- end }}
contexts:
- name: helmexec-e2e
  context:
    cluster: helmexec-e2e
    user: admin
current-context: helmexec-e2e
`))

// KubeconfigFor writes a kubeconfig that reaches the cluster through another address, such as a
// proxy on loopback that breaks connections.
func (c *Cluster) KubeconfigFor(url string) (path string, err error) {
	return c.writeKubeconfig(fileNameFor(url), url, "", c.authority.cert)
}

// KubeconfigWith is KubeconfigFor for a server with another certificate.
func (c *Cluster) KubeconfigWith(url string, certificate *x509.Certificate) (path string, err error) {
	return c.writeKubeconfig(fileNameFor(url), url, "", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}))
}

func fileNameFor(url string) string {
	return "kubeconfig-" + strings.NewReplacer("/", "-", ":", "-").Replace(url)
}

// KubeconfigAs writes a kubeconfig for a user who may only do what roles allow.
func (c *Cluster) KubeconfigAs(user string) (path string, err error) {
	return c.writeKubeconfig("kubeconfig-as-"+user, c.URL, user, c.authority.cert)
}

// KubeconfigOf writes a kubeconfig for whom a token belongs to; name is part of the name of the file.
func (c *Cluster) KubeconfigOf(name, token string) (path string, err error) {
	return c.writeKubeconfigOf("kubeconfig-of-"+name, c.URL, token, "", c.authority.cert)
}

// Authority is the certificate, in PEM, that the apiserver is verified with.
func (c *Cluster) Authority() []byte { return c.authority.cert }

func (c *Cluster) writeKubeconfig(name, url, user string, authority []byte) (path string, err error) {
	return c.writeKubeconfigOf(name, url, c.token, user, authority)
}

func (c *Cluster) writeKubeconfigOf(name, url, token, user string, authority []byte) (path string, err error) {
	var text bytes.Buffer
	err = kubeconfig.Execute(&text, map[string]string{
		"Server":    url,
		"Authority": base64.StdEncoding.EncodeToString(authority),
		"Token":     token,
		"As":        user,
	})
	if err != nil {
		return "", err
	}
	return c.file(name), os.WriteFile(c.file(name), text.Bytes(), 0o600)
}
