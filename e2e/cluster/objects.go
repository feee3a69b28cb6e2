package cluster

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sort"
	"strings"
)

// Object is something in the cluster.
type Object struct {
	APIVersion string
	Kind       string
	Namespace  string // empty for an object of the whole cluster
	Name       string
	UID        string
	Labels     map[string]string
	// Controlled: another object made it and looks after it, as a ReplicaSet does
	// its pods. It goes with its controller.
	Controlled bool
}

// String returns the object as a line of a report: "apps/v1 Deployment demo/web".
func (o Object) String() string {
	name := o.Name
	if o.Namespace != "" {
		name = o.Namespace + "/" + name
	}
	return o.APIVersion + " " + o.Kind + " " + name
}

// Objects looks at the cluster itself, past helm: every object of every kind, in
// the given namespaces or, without any, everywhere; sorted. What the cluster
// makes by itself is left out: what was there at the start, events, endpoints,
// and what every namespace has.
func (c *Cluster) Objects(ctx context.Context, namespaces ...string) ([]Object, error) {
	all, err := c.list(ctx)
	if err != nil {
		return nil, err
	}
	var found []Object
	for _, object := range all {
		if c.baseline[object.UID] || ownedByCluster(object) {
			continue
		}
		if len(namespaces) == 0 || slices.Contains(namespaces, object.Namespace) {
			found = append(found, object)
		}
	}
	sort.Slice(found, func(i, j int) bool { return found[i].String() < found[j].String() })
	return found, nil
}

func ownedByCluster(o Object) bool {
	switch o.Kind {
	case "Endpoints", "EndpointSlice", "Event", "IPAddress", "Lease":
		return true
	case "APIService":
		return o.Labels["kube-aggregator.kubernetes.io/automanaged"] != ""
	case "Service":
		return o.Name == "kubernetes" && o.Namespace == "default"
	case "ServiceAccount":
		return o.Name == "default"
	case "ConfigMap":
		return o.Name == "kube-root-ca.crt" || o.Namespace == "kube-system"
	}
	return false
}

// snapshot returns the UIDs of what is in the cluster now.
func (c *Cluster) snapshot(ctx context.Context) (map[string]bool, error) {
	all, err := c.list(ctx)
	if err != nil {
		return nil, err
	}
	uids := make(map[string]bool, len(all))
	for _, object := range all {
		uids[object.UID] = true
	}
	return uids, nil
}

// list returns every object of every kind that can be listed.
func (c *Cluster) list(ctx context.Context) ([]Object, error) {
	kinds, err := c.kinds(ctx)
	if err != nil {
		return nil, err
	}
	var objects []Object
	for _, kind := range kinds {
		some, err := c.listKind(ctx, kind, "")
		if err != nil {
			return nil, err
		}
		objects = append(objects, some...)
	}
	return objects, nil
}

// listKind returns the objects of one kind in a namespace, or everywhere if it is empty.
func (c *Cluster) listKind(ctx context.Context, kind kind, namespace string) ([]Object, error) {
	const metadataOnly = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
	var list struct {
		Items []struct {
			Metadata struct {
				Name, Namespace, UID string
				Labels               map[string]string
				OwnerReferences      []struct{ Controller bool }
			}
		}
	}
	err := c.request(ctx, http.MethodGet, kind.path(namespace), metadataOnly, nil, &list)
	if err != nil {
		return nil, ignoreNotFound(err) // its definition went meanwhile
	}
	var objects []Object
	for _, item := range list.Items {
		object := Object{
			APIVersion: kind.apiVersion, Kind: kind.name,
			Namespace: item.Metadata.Namespace, Name: item.Metadata.Name,
			UID: item.Metadata.UID, Labels: item.Metadata.Labels,
		}
		for _, owner := range item.Metadata.OwnerReferences {
			object.Controlled = object.Controlled || owner.Controller
		}
		objects = append(objects, object)
	}
	return objects, nil
}

// kind is a kind of object that can be listed.
type kind struct {
	name, apiVersion string
	root, resource   string
	namespaced       bool
}

// path is where its objects are, in a namespace or everywhere.
func (k kind) path(namespace string) string {
	if namespace == "" {
		return k.root + "/" + k.apiVersion + "/" + k.resource
	}
	return k.root + "/" + k.apiVersion + "/namespaces/" + namespace + "/" + k.resource
}

// kinds asks the apiserver what can be listed, each kind in its preferred version.
func (c *Cluster) kinds(ctx context.Context) ([]kind, error) {
	const aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
	var kinds []kind
	seen := map[string]bool{}
	for _, root := range []string{"/api", "/apis"} {
		var groups struct {
			Items []struct {
				Metadata struct{ Name string }
				Versions []struct {
					Version   string
					Resources []struct {
						Resource     string
						Scope        string
						ResponseKind struct{ Kind string }
						Verbs        []string
					}
				}
			}
		}
		if err := c.request(ctx, http.MethodGet, root, aggregated, nil, &groups); err != nil {
			return nil, fmt.Errorf("discovery: %w", err)
		}
		for _, group := range groups.Items {
			for _, version := range group.Versions {
				apiVersion := strings.TrimPrefix(group.Metadata.Name+"/"+version.Version, "/")
				for _, resource := range version.Resources {
					id := resource.Resource + "." + group.Metadata.Name
					if seen[id] || !slices.Contains(resource.Verbs, "list") {
						continue
					}
					seen[id] = true
					kinds = append(kinds, kind{
						name: resource.ResponseKind.Kind, apiVersion: apiVersion,
						root: root, resource: resource.Resource,
						namespaced: resource.Scope == "Namespaced",
					})
				}
			}
		}
	}
	return kinds, nil
}
