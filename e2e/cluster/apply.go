package cluster

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"sigs.k8s.io/yaml"
)

// applyPatch is a body that PATCH sends as a server-side apply.
type applyPatch string

// Apply applies an object, in YAML, on the server's side. An unknown or double field is an error. With dryRun nothing is kept.
func (c *Cluster) Apply(ctx context.Context, object []byte, dryRun bool) error {
	var head struct {
		APIVersion, Kind string
		Metadata         struct{ Name, Namespace string }
	}
	if err := yaml.Unmarshal(object, &head); err != nil {
		return err
	}
	kinds, err := c.kinds(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == head.Kind && slices.Contains(k.served, head.APIVersion) })
	if i < 0 {
		return fmt.Errorf("no kind %s %s", head.APIVersion, head.Kind)
	}
	path := kinds[i].path(head.Metadata.Namespace) + "/" + head.Metadata.Name + "?fieldManager=helmexec-e2e&force=true&fieldValidation=Strict"
	if dryRun {
		path += "&dryRun=All"
	}
	return c.Request(ctx, http.MethodPatch, path, applyPatch(object), nil)
}

// Token returns a token of a ServiceAccount, for an hour.
func (c *Cluster) Token(ctx context.Context, namespace, account string) (string, error) {
	var answer struct{ Status struct{ Token string } }
	body := map[string]any{"spec": map[string]any{"expirationSeconds": 3600}}
	err := c.Request(ctx, http.MethodPost, "/api/v1/namespaces/"+namespace+"/serviceaccounts/"+account+"/token", body, &answer)
	return answer.Status.Token, err
}
