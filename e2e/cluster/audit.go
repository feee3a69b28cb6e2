package cluster

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// auditPolicy notes each request once, when it has been answered; and which Secret it writes, as a release record is one.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- {level: Request, verbs: [create, update], resources: [{group: "", resources: [secrets]}]}
- {level: Metadata}
`

// APIRequest is a request as the audit log of the apiserver has it.
type APIRequest struct {
	Verb      string // get, list, watch, create, update, patch, delete, …
	URI       string
	User      string // for whom it was made
	Agent     string
	Labels    map[string]string // of the Secret that it writes
	Resource  string            // "deployments.apps", "pods/status"; "" for a URL that is no resource, such as those of discovery
	Namespace string
	Name      string
	Code      int  // the HTTP status
	Denied    bool // for want of rights
}

// Requests reads the audit log: the requests that were answered so far, in the order of their answers. The cluster needs
// Options.Audit.
func (c *Cluster) Requests() ([]APIRequest, error) {
	f, err := os.Open(c.file("audit.log"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("this cluster keeps no audit log: set Options.Audit")
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []APIRequest
	lines := bufio.NewReader(f)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return all, nil // the last one may be half written
		}
		var event struct {
			Verb, RequestURI, UserAgent string
			User, ImpersonatedUser      struct{ Username string }
			RequestObject               struct {
				Metadata struct{ Labels map[string]string }
			}
			ObjectRef      struct{ Resource, Subresource, APIGroup, Namespace, Name string }
			ResponseStatus struct{ Code int }
			Annotations    map[string]string
		}
		if err := json.Unmarshal(line, &event); err != nil {
			return nil, fmt.Errorf("audit log: %w", err)
		}
		r := APIRequest{
			Labels: event.RequestObject.Metadata.Labels,
			Verb:   event.Verb, URI: event.RequestURI, User: event.User.Username, Agent: event.UserAgent,
			Namespace: event.ObjectRef.Namespace, Name: event.ObjectRef.Name, Code: event.ResponseStatus.Code,
			Denied: event.Annotations["authorization.k8s.io/decision"] == "forbid",
		}
		if event.ImpersonatedUser.Username != "" {
			r.User = event.ImpersonatedUser.Username
		}
		r.Resource = strings.Join(slices.DeleteFunc([]string{event.ObjectRef.Resource, event.ObjectRef.APIGroup}, func(s string) bool { return s == "" }), ".")
		if event.ObjectRef.Subresource != "" {
			r.Resource += "/" + event.ObjectRef.Subresource
		}
		all = append(all, r)
	}
}
