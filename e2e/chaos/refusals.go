package chaos

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/sut-bench/helmexec/e2e/cluster"
)

// refusal is what the API server refuses for a kind of object in the namespace of a run.
type refusal struct{ group, resource, verb string }

func (f refusal) String() string { return f.verb + " " + f.resource }

// refuser is a way to refuse.
type refuser interface {
	draw(r *run) refusal
	prepare(ctx context.Context, r *run) error
	// refuse and allow return when they have an effect.
	refuse(ctx context.Context, r *run, what refusal) error
	allow(ctx context.Context, r *run, what refusal) error
}

// drawRefusal draws the refusal that a chart's install or removal meets.
func drawRefusal(r *run, verbs ...string) refusal {
	all := []refusal{
		{"", "secrets", "create"}, {"", "secrets", "update"}, {"", "secrets", "delete"},
		{"", "configmaps", "create"}, {"", "configmaps", "delete"},
		{"", "services", "create"}, {"", "services", "delete"},
		{"batch", "jobs", "create"}, {"batch", "jobs", "delete"},
	}
	workload := map[any]string{"Deployment": "deployments", "StatefulSet": "statefulsets"}[r.values["kind"]]
	for _, verb := range []string{"create", "delete"} {
		all = append(all, refusal{"apps", workload, verb})
	}
	all = slices.DeleteFunc(all, func(f refusal) bool { return !slices.Contains(verbs, f.verb) })
	return all[r.rng.IntN(len(all))]
}

// benchObject is one that the bench makes for a run.
func benchObject(r *run, kind map[string]any) map[string]any {
	kind["metadata"] = map[string]any{"name": "refuse-" + r.namespace, "labels": map[string]any{benchLabel: "true"}}
	return kind
}

// admission is a refuser that sees each request in the namespace of a run. It also refuses a probe,
// which shows that it works.
type admission struct{}

const admissionGroup = "/apis/admissionregistration.k8s.io/v1/"

const probe = "probe"

// expression is true of the requests that are refused.
func (admission) expression(what refusal) string {
	verb := map[string]string{"create": "CREATE", "update": "UPDATE", "delete": "DELETE"}[what.verb]
	return fmt.Sprintf(`request.resource.group == '%s' && request.resource.resource == '%s' && request.operation == '%s' || `+
		`request.operation == 'CREATE' && request.name == '%s'`, what.group, what.resource, verb, probe)
}

func (admission) rules() []any {
	return []any{map[string]any{"apiGroups": []string{"*"}, "apiVersions": []string{"*"}, "resources": []string{"*"}, "operations": []string{"CREATE", "UPDATE", "DELETE"}}}
}

func inNamespace(r *run) map[string]any {
	return map[string]any{"matchLabels": map[string]any{"kubernetes.io/metadata.name": r.namespace}}
}

func (admission) draw(r *run) refusal                 { return drawRefusal(r, "create", "update", "delete") }
func (admission) prepare(context.Context, *run) error { return nil }

func (a admission) begin(ctx context.Context, r *run, objects map[string]map[string]any) error {
	for collection, object := range objects {
		if err := r.cluster.Request(ctx, http.MethodPost, admissionGroup+collection, benchObject(r, object), nil); err != nil {
			return err
		}
	}
	return cluster.Eventually(ctx, func(ctx context.Context) error {
		if a.probe(ctx, r) == nil {
			return errors.New("the probe is let through")
		}
		return nil
	})
}

func (a admission) end(ctx context.Context, r *run, collections ...string) error {
	for _, collection := range collections {
		err := r.cluster.Request(ctx, http.MethodDelete, admissionGroup+collection+"/refuse-"+r.namespace, nil, nil)
		if err != nil && !cluster.IsNotFound(err) {
			return err
		}
	}
	return cluster.Eventually(ctx, func(ctx context.Context) error { return a.probe(ctx, r) })
}

func (admission) probe(ctx context.Context, r *run) error {
	object := map[string]any{"metadata": map[string]any{"name": probe}}
	return r.cluster.Request(ctx, http.MethodPost, "/api/v1/namespaces/"+r.namespace+"/configmaps?dryRun=All", object, nil)
}

// policy refuses by a ValidatingAdmissionPolicy.
type policy struct{ admission }

func (p policy) refuse(ctx context.Context, r *run, what refusal) error {
	return p.begin(ctx, r, map[string]map[string]any{
		"validatingadmissionpolicies": {"spec": map[string]any{
			"failurePolicy":    "Fail",
			"matchConstraints": map[string]any{"resourceRules": p.rules()},
			"validations":      []any{map[string]any{"expression": "!(" + p.expression(what) + ")", "message": "not here"}},
		}},
		"validatingadmissionpolicybindings": {"spec": map[string]any{
			"policyName": "refuse-" + r.namespace, "validationActions": []string{"Deny"},
			"matchResources": map[string]any{"namespaceSelector": inNamespace(r)},
		}},
	})
}

func (p policy) allow(ctx context.Context, r *run, _ refusal) error {
	return p.end(ctx, r, "validatingadmissionpolicybindings", "validatingadmissionpolicies")
}

// webhook refuses by a webhook that nobody answers.
type webhook struct{ admission }

func (w webhook) refuse(ctx context.Context, r *run, what refusal) error {
	return w.begin(ctx, r, map[string]map[string]any{
		"validatingwebhookconfigurations": {"webhooks": []any{map[string]any{
			"name": "nobody.helmexec.example", "failurePolicy": "Fail", "sideEffects": "None", "admissionReviewVersions": []string{"v1"},
			"clientConfig":      map[string]any{"service": map[string]any{"name": "nobody", "namespace": "default"}},
			"namespaceSelector": inNamespace(r), "rules": w.rules(),
			"matchConditions": []any{map[string]any{"name": "refused", "expression": w.expression(what)}},
		}}},
	})
}

func (w webhook) allow(ctx context.Context, r *run, _ refusal) error {
	return w.end(ctx, r, "validatingwebhookconfigurations")
}

// quota refuses by a ResourceQuota that has no room.
type quota struct{}

func (quota) path(r *run) string { return "/api/v1/namespaces/" + r.namespace + "/resourcequotas" }

func (quota) draw(r *run) refusal {
	if r.rng.IntN(3) == 0 {
		return refusal{"", []string{"pods", "persistentvolumeclaims"}[r.rng.IntN(2)], "create"}
	}
	return drawRefusal(r, "create")
}

func (quota) prepare(context.Context, *run) error { return nil }

func (q quota) refuse(ctx context.Context, r *run, what refusal) error {
	counted := "count/" + what.resource
	if what.group != "" {
		counted += "." + what.group
	}
	limit := map[string]any{"spec": map[string]any{"hard": map[string]any{counted: "0"}}}
	if err := r.cluster.Request(ctx, http.MethodPost, q.path(r), benchObject(r, limit), nil); err != nil {
		return err
	}
	return cluster.Eventually(ctx, func(ctx context.Context) error {
		var now struct {
			Status struct{ Hard map[string]string }
		}
		err := r.cluster.Request(ctx, http.MethodGet, q.path(r)+"/refuse-"+r.namespace, nil, &now)
		if err == nil && len(now.Status.Hard) == 0 {
			err = errors.New("nobody has counted yet")
		}
		return err
	})
}

func (q quota) allow(ctx context.Context, r *run, _ refusal) error {
	err := r.cluster.Request(ctx, http.MethodDelete, q.path(r)+"/refuse-"+r.namespace, nil, nil)
	if cluster.IsNotFound(err) {
		return nil
	}
	return err
}

// rights refuses only helm, by the rights of its user.
type rights struct{}

// These stand for each resource and each verb.
const anything, anyVerb = "anything", "do anything with"

func (rights) draw(r *run) refusal {
	switch r.rng.IntN(6) {
	case 0:
		return refusal{"", anything, anyVerb}
	case 1:
		return refusal{"", "secrets", anyVerb}
	}
	return drawRefusal(r, "create", "update", "delete")
}

func (rights) prepare(ctx context.Context, r *run) (err error) {
	rbac := "/apis/rbac.authorization.k8s.io/v1/namespaces/" + r.namespace
	for path, object := range map[string]map[string]any{
		"/roles": {"rules": rules(refusal{})},
		"/rolebindings": {
			"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "refuse-" + r.namespace},
			"subjects": []any{map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": r.namespace}},
		},
	} {
		if err := r.cluster.Request(ctx, http.MethodPost, rbac+path, benchObject(r, object), nil); err != nil {
			return err
		}
	}
	if r.kubeconfig, err = r.cluster.KubeconfigAs(r.namespace); err != nil {
		return err
	}
	return may(ctx, r, refusal{"", "secrets", "create"}, true)
}

func (rights) refuse(ctx context.Context, r *run, what refusal) error {
	return rights{}.set(ctx, r, what, what, false)
}

func (rights) allow(ctx context.Context, r *run, what refusal) error {
	return rights{}.set(ctx, r, refusal{}, what, true)
}

// set gives all rights but some.
func (rights) set(ctx context.Context, r *run, without, probed refusal, allowed bool) error {
	role := "/apis/rbac.authorization.k8s.io/v1/namespaces/" + r.namespace + "/roles/refuse-" + r.namespace
	if err := r.cluster.Request(ctx, http.MethodPatch, role, map[string]any{"rules": rules(without)}, nil); err != nil {
		return err
	}
	if probed.resource == anything {
		probed.resource = "secrets"
	}
	if probed.verb == anyVerb {
		probed.verb = "create"
	}
	return may(ctx, r, probed, allowed)
}

// rules are all rights that a chart needs, without the refused ones.
func rules(without refusal) []any {
	rules := []any{}
	for group, resources := range map[string][]string{
		"":      {"configmaps", "secrets", "services", "pods", "persistentvolumeclaims", "events"},
		"apps":  {"deployments", "statefulsets", "replicasets", "controllerrevisions"},
		"batch": {"jobs"},
	} {
		for _, resource := range resources {
			verbs := []string{"get", "list", "watch", "create", "update", "patch", "delete"}
			if without.resource == anything || without.group == group && without.resource == resource {
				verbs = slices.DeleteFunc(verbs, func(verb string) bool {
					return without.verb == anyVerb || verb == without.verb || verb == "patch" && without.verb == "update"
				})
			}
			if len(verbs) > 0 {
				rules = append(rules, map[string]any{"apiGroups": []string{group}, "resources": []string{resource}, "verbs": verbs})
			}
		}
	}
	return rules
}

// may returns when the user of a run may do something, or may not.
func may(ctx context.Context, r *run, what refusal, allowed bool) error {
	return cluster.Eventually(ctx, func(ctx context.Context) error {
		var review struct{ Status struct{ Allowed bool } }
		err := r.cluster.Request(ctx, http.MethodPost, "/apis/authorization.k8s.io/v1/subjectaccessreviews", map[string]any{"spec": map[string]any{
			"user":               r.namespace,
			"resourceAttributes": map[string]any{"namespace": r.namespace, "group": what.group, "resource": what.resource, "verb": what.verb},
		}}, &review)
		if err == nil && review.Status.Allowed != allowed {
			err = fmt.Errorf("%s: allowed %v", what, review.Status.Allowed)
		}
		return err
	})
}
