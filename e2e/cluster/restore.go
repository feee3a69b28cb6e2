package cluster

import (
	"context"
	"fmt"
	"net/http"
)

// Restore removes all objects that are not in before, which Everything returned, except those that
// the cluster makes by itself; see RemoveAll.
func (c *Cluster) Restore(ctx context.Context, before []Object) error {
	had := uids(before)
	return c.RemoveAll(ctx, func(o Object) bool { return !had[o.UID] && !o.OfCluster() })
}

// RemoveAll removes such objects by force, and returns when all are gone: webhooks that refuse a
// removal are removed first, and finalizers are cleared.
func (c *Cluster) RemoveAll(ctx context.Context, such func(Object) bool) error {
	return Eventually(ctx, func(ctx context.Context) error {
		if err := c.convertNothing(ctx, such); err != nil {
			return err
		}
		all, err := c.Everything(ctx)
		if err != nil {
			return err
		}
		// In this order: what refuses removals, what blocks definitions and namespaces, then those.
		var turns [3][]Object
		for _, o := range all {
			if such(o) {
				turns[o.turn()] = append(turns[o.turn()], o)
			}
		}
		for _, turn := range turns {
			for _, o := range turn {
				if err := c.remove(ctx, o); err != nil {
					return err
				}
			}
			if len(turn) > 0 {
				return fmt.Errorf("%d objects are still there, such as %s", len(turn), turn[0])
			}
		}
		return nil
	})
}

// turn is the place of an object in that order.
func (o Object) turn() int {
	switch o.Kind {
	case "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration", "ValidatingAdmissionPolicyBinding", "APIService":
		return 0
	case "CustomResourceDefinition", "Namespace":
		return 2
	}
	return 1
}

// remove removes one object, whatever finalizers it has.
func (c *Cluster) remove(ctx context.Context, o Object) error {
	now := map[string]any{"gracePeriodSeconds": 0, "propagationPolicy": "Background"}
	if err := ignoreNotFound(c.Request(ctx, http.MethodDelete, o.path(), now, nil)); err != nil {
		return err
	}
	switch {
	case o.Kind == "Namespace":
		none := map[string]any{"metadata": map[string]any{"name": o.Name}, "spec": map[string]any{"finalizers": []string{}}}
		return ignoreNotFound(c.Request(ctx, http.MethodPut, o.path()+"/finalize", none, nil))
	case o.Kind == "CustomResourceDefinition" || len(o.Finalizers) == 0:
		return nil // the finalizer of a definition removes its objects
	}
	none := map[string]any{"metadata": map[string]any{"finalizers": nil}}
	return ignoreNotFound(c.Request(ctx, http.MethodPatch, o.path(), none, nil))
}

// convertNothing removes the conversion webhooks from custom resource definitions: if nobody
// answers them, their objects can be neither read nor removed.
func (c *Cluster) convertNothing(ctx context.Context, such func(Object) bool) error {
	const definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
	var list struct {
		Items []struct {
			Metadata struct {
				Name, UID string
				Labels    map[string]string
			}
			Spec struct{ Conversion struct{ Strategy string } }
		}
	}
	if err := c.Request(ctx, http.MethodGet, definitions, nil, &list); err != nil {
		return err
	}
	for _, definition := range list.Items {
		m := definition.Metadata
		o := Object{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition", Name: m.Name, UID: m.UID, Labels: m.Labels}
		if definition.Spec.Conversion.Strategy != "Webhook" || !such(o) {
			continue
		}
		none := map[string]any{"spec": map[string]any{"conversion": map[string]any{"strategy": "None", "webhook": nil}}}
		if err := c.Request(ctx, http.MethodPatch, definitions+"/"+m.Name, none, nil); ignoreNotFound(err) != nil {
			return err
		}
	}
	return nil
}
