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
	Owners     []string // UIDs of the objects that it goes with
	Finalizers []string
	Going      bool // it is being deleted

	kind kind
}

// String returns the object as a line of a report: "apps/v1 Deployment demo/web".
func (o Object) String() string {
	name := o.Name
	if o.Namespace != "" {
		name = o.Namespace + "/" + name
	}
	return o.APIVersion + " " + o.Kind + " " + name
}

// Group is the API group, "" for that of Pods.
func (o Object) Group() string {
	group, _, found := strings.Cut(o.APIVersion, "/")
	if !found {
		return ""
	}
	return group
}

// Objects looks at the cluster itself, without helm: every object of every kind, in the given
// namespaces or, without any, everywhere; sorted. Objects that the cluster makes by itself are left
// out: those that existed at the start, events, endpoints, and those that every namespace has.
func (c *Cluster) Objects(ctx context.Context, namespaces ...string) ([]Object, error) {
	all, err := c.Everything(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(o Object) bool {
		return c.baseline[o.UID] || o.OfCluster() || len(namespaces) > 0 && !slices.Contains(namespaces, o.Namespace)
	}), nil
}

// OfCluster reports whether the cluster makes such an object by itself.
func (o Object) OfCluster() bool {
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
		return o.Name == "kube-root-ca.crt" || o.Namespace == "kube-system" && slices.Contains(systemConfig, o.Name)
	}
	return false
}

// systemConfig are the ConfigMaps of kube-system that the apiserver makes.
var systemConfig = []string{"extension-apiserver-authentication", "kube-apiserver-legacy-service-account-token-tracking"}

// uids are those of some objects.
func uids(objects []Object) map[string]bool {
	all := make(map[string]bool, len(objects))
	for _, object := range objects {
		all[object.UID] = true
	}
	return all
}

// Everything returns every object of every kind that can be listed, sorted, including those that
// the cluster makes by itself.
func (c *Cluster) Everything(ctx context.Context) ([]Object, error) {
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
	sort.Slice(objects, func(i, j int) bool { return objects[i].String() < objects[j].String() })
	return objects, nil
}

// listKind returns the objects of one kind in a namespace, or everywhere if it is empty. If one
// version cannot be read, because its conversion webhook does not answer, another may work.
func (c *Cluster) listKind(ctx context.Context, kind kind, namespace string) (objects []Object, err error) {
	for _, kind.apiVersion = range kind.served {
		if objects, err = c.listVersion(ctx, kind, namespace); err == nil {
			return objects, nil
		}
	}
	return nil, err
}

func (c *Cluster) listVersion(ctx context.Context, kind kind, namespace string) ([]Object, error) {
	const metadataOnly = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
	var list struct {
		Items []struct {
			Metadata struct {
				Name, Namespace, UID string
				Labels               map[string]string
				Finalizers           []string
				DeletionTimestamp    string
				OwnerReferences      []struct {
					UID        string
					Controller bool
				}
			}
		}
	}
	err := c.request(ctx, http.MethodGet, kind.path(namespace), metadataOnly, nil, &list)
	if err != nil {
		return nil, ignoreNotFound(err) // its definition was removed meanwhile
	}
	var objects []Object
	for _, item := range list.Items {
		object := Object{
			APIVersion: kind.apiVersion, Kind: kind.name,
			Namespace: item.Metadata.Namespace, Name: item.Metadata.Name,
			UID: item.Metadata.UID, Labels: item.Metadata.Labels,
			Finalizers: item.Metadata.Finalizers, Going: item.Metadata.DeletionTimestamp != "",
			kind: kind,
		}
		for _, owner := range item.Metadata.OwnerReferences {
			object.Owners = append(object.Owners, owner.UID)
			object.Controlled = object.Controlled || owner.Controller
		}
		objects = append(objects, object)
	}
	return objects, nil
}

// path is where an object is.
func (o Object) path() string { return o.kind.path(o.Namespace) + "/" + o.Name }

// kind is a kind of object that can be listed.
type kind struct {
	name, apiVersion string
	served           []string // its versions, the preferred one first
	root, resource   string
	namespaced       bool
}

// path is the URL path of its objects, in a namespace or everywhere.
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
	seen := map[string]int{} // their places
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
					if !slices.Contains(resource.Verbs, "list") || resource.Resource == "componentstatuses" { // which nobody stores
						continue
					}
					id := resource.Resource + "." + group.Metadata.Name
					if i, ok := seen[id]; ok {
						kinds[i].served = append(kinds[i].served, apiVersion)
						continue
					}
					seen[id] = len(kinds)
					kinds = append(kinds, kind{
						name: resource.ResponseKind.Kind, apiVersion: apiVersion, served: []string{apiVersion},
						root: root, resource: resource.Resource,
						namespaced: resource.Scope == "Namespaced",
					})
				}
			}
		}
	}
	return kinds, nil
}
