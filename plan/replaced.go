package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sut-bench/helmexec/manifest"
)

// refuseReplaced refuses objects that have the cluster run something else than they show.
func (p *Plan) refuseReplaced() error {
	var deployments, replicaSets []int
	for i, place := range p.places {
		object, content := place.Object, p.contents[i]
		if isPatchedStrategically(object) {
			if object.Kind != "" && !('A' <= object.Kind[0] && object.Kind[0] <= 'Z') {
				return fmt.Errorf("%w: %s is of a kind that Kubernetes does not have, but helm finds the one that begins with a capital", ErrBadManifest, object)
			}
			if key := directive(content); key != "" {
				return fmt.Errorf("%w: %s has the key %q, which an upgrade obeys: it then leaves in the cluster what the plan does not show", ErrBadManifest, object, key)
			}
		}
		switch {
		case object.Group != "apps" && object.Group != "extensions":
		case object.Kind == "ReplicaSet":
			replicaSets = append(replicaSets, i)
		case object.Kind == "Deployment":
			if _, annotated := mapping(content, "metadata", "annotations")[rollbackTo]; annotated {
				return fmt.Errorf("%w: %s has the annotation %s, by which Kubernetes puts an older template in the place of its own", ErrBadManifest, object, rollbackTo)
			}
			deployments = append(deployments, i)
		}
	}
	return p.refuseTakenOver(deployments, replicaSets)
}

// rollbackTo is the annotation of a Deployment that the API server writes for a field of an API that is gone. Its
// controller still obeys it.
const rollbackTo = "deprecated.deployment.rollback.to"

// isPatchedStrategically reports the kinds that Helm may upgrade by a strategic merge patch: those of Kubernetes itself,
// CustomResourceDefinitions of v1 among them. Custom resources may have keys of any name.
func isPatchedStrategically(object manifest.ObjectRef) bool {
	return !strings.Contains(object.Group, ".") || strings.HasSuffix(object.Group, ".k8s.io")
}

// directive finds a key that says in a strategic merge patch how to merge. Where an object is created the API server
// drops it. The schema of a CustomResourceDefinition is in a list that is replaced as a whole, and names fields of others.
func directive(value any) string {
	switch value := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			if key == "$patch" || key == "$retainKeys" || strings.HasPrefix(key, "$deleteFromPrimitiveList/") || strings.HasPrefix(key, "$setElementOrder/") {
				return key
			}
			if key == "openAPIV3Schema" {
				continue
			}
			if found := directive(value[key]); found != "" {
				return found
			}
		}
	case []any:
		for _, item := range value {
			if found := directive(item); found != "" {
				return found
			}
		}
	}
	return ""
}

// maxTerms bounds how many labels and values of selectors are held against ReplicaSets.
const maxTerms = 1 << 20

// refuseTakenOver refuses a ReplicaSet that a Deployment selects: the Deployment takes it for one of its own, and may
// give it as many pods as it has itself. The arguments are indexes of places.
func (p *Plan) refuseTakenOver(deployments, replicaSets []int) error {
	terms := 0
	for _, d := range deployments {
		terms += termsOf(mapping(p.contents[d], "spec", "selector"))
	}
	if terms*len(replicaSets) > maxTerms {
		return fmt.Errorf("%w: it has %d ReplicaSets, and %d labels and values by which Deployments select: too many to tell which of them belong together", ErrBadManifest, len(replicaSets), terms)
	}
	for _, r := range replicaSets {
		set := p.places[r].Object.In(p.Namespace)
		labels := mapping(p.contents[r], "metadata", "labels")
		asMade := map[string]any{}
		maps.Copy(asMade, labels)
		asMade["app.kubernetes.io/managed-by"] = "Helm" // Helm adds it to what is no hook
		for _, d := range deployments {
			deployment, selector := p.places[d].Object, mapping(p.contents[d], "spec", "selector")
			if deployment.In(p.Namespace).Namespace == set.Namespace && (selects(selector, labels) || selects(selector, asMade)) {
				return fmt.Errorf("%w: %s has the labels that %s selects, which takes it over and may run pods of it in the place of its own", ErrBadManifest, p.places[r].Object, deployment)
			}
		}
	}
	return nil
}

// termsOf counts what there is to compare in a label selector.
func termsOf(selector map[string]any) int {
	expressions, _ := selector["matchExpressions"].([]any)
	n := 1 + len(mapping(selector, "matchLabels")) + len(expressions)
	for _, e := range expressions {
		expression, _ := e.(map[string]any)
		values, _ := expression["values"].([]any)
		n += len(values)
	}
	return n
}

// selects reports whether a label selector is met. One that the API server refuses may be met.
func selects(selector, labels map[string]any) bool {
	for key, want := range mapping(selector, "matchLabels") {
		if label, has := labels[key]; !has || text(label) != text(want) {
			return false
		}
	}
	expressions, _ := selector["matchExpressions"].([]any)
	for _, e := range expressions {
		expression, _ := e.(map[string]any)
		label, has := labels[text(expression["key"])]
		values, _ := expression["values"].([]any)
		in := has && slices.ContainsFunc(values, func(value any) bool { return text(value) == text(label) })
		switch expression["operator"] {
		case "In":
			if !in {
				return false
			}
		case "NotIn":
			if in {
				return false
			}
		case "Exists":
			if !has {
				return false
			}
		case "DoesNotExist":
			if has {
				return false
			}
		}
	}
	return true
}

// text gives a text; "" for null, as Kubernetes decodes it, and for what it refuses.
func text(value any) string {
	text, _ := value.(string)
	return text
}

// mapping gives the mapping at a way; nil if there is none.
func mapping(value map[string]any, way ...string) map[string]any {
	for _, key := range way {
		value, _ = value[key].(map[string]any)
	}
	return value
}
