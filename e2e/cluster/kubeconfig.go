package cluster

import (
	"bytes"
	"encoding/base64"
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

// KubeconfigFor writes a kubeconfig that reaches the cluster by another address,
// such as that of a proxy on loopback that breaks connections.
func (c *Cluster) KubeconfigFor(url string) (path string, err error) {
	return c.writeKubeconfig("kubeconfig-"+strings.NewReplacer("/", "-", ":", "-").Replace(url), url, "")
}

// KubeconfigAs writes a kubeconfig for a user who may do nothing but what roles allow.
func (c *Cluster) KubeconfigAs(user string) (path string, err error) {
	return c.writeKubeconfig("kubeconfig-as-"+user, c.URL, user)
}

func (c *Cluster) writeKubeconfig(name, url, user string) (path string, err error) {
	var text bytes.Buffer
	err = kubeconfig.Execute(&text, map[string]string{
		"Server":    url,
		"Authority": base64.StdEncoding.EncodeToString(c.authority.cert),
		"Token":     c.token,
		"As":        user,
	})
	if err != nil {
		return "", err
	}
	return c.file(name), os.WriteFile(c.file(name), text.Bytes(), 0o600)
}
