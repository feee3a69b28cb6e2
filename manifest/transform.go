package manifest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"sigs.k8s.io/yaml"

	"github.com/sut-bench/helmexec/internal/argument"
	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/redact"
	"github.com/sut-bench/helmexec/internal/safeyaml"
)

// A Transform changes a manifest.
type Transform func(Manifest) (Manifest, error)

// Transforms applies transforms one after the other, up to the first that fails. A nil one fails with ErrInvalidArgument.
func Transforms(all ...Transform) Transform {
	return func(m Manifest) (_ Manifest, err error) {
		for i, t := range all {
			if t == nil {
				return nil, errdef.Invalidf("transform %d of %d is nil", i+1, len(all))
			}
			if m, err = t(m); err != nil {
				return nil, err
			}
		}
		return m, nil
	}
}

// RetagImages returns a transform that rewrites every image by Retag. It fails if one could not be rewritten, unless
// opts.KeepFailed is set, so that nothing from another registry gets installed. As in Retag, images that opts.Exclude
// names, and hints without opts.Hints, stay as they are and are not a failure.
func RetagImages(rewrite func(Reference) Reference, opts RetagOptions) Transform {
	return func(m Manifest) (Manifest, error) {
		after, report, err := m.Retag(rewrite, opts)
		if err != nil || opts.KeepFailed {
			return after, err
		}
		var errs []error
		for _, f := range report.Failed {
			errs = append(errs, redact.Legible(fmt.Errorf("image %q of %s at %s cannot be rewritten: %s", f.From, f.Object, f.Path, f.Reason)))
		}
		return after, errors.Join(errs...)
	}
}

// AddLabels returns a transform that sets labels on every object, and on the templates in it: pod templates, job
// templates of CronJobs, volume claim templates, pods of Argo workflows. Selectors stay as they are.
//
// It does not reach what an operator makes from a custom resource without a pod template.
//
// Unlike Retag, which leaves every other byte alone, it rewrites every document of the manifest: comments inside
// documents, the order of keys and quoting are lost, but the meaning for Kubernetes stays.
func AddLabels(labels map[string]string) Transform {
	return eachObject(func() error { return argument.Labels(labels) }, func(object map[string]any) {
		setLabels(object, labels)
		if !hasPods(object) {
			return
		}
		if object["kind"] != "Pod" {
			eachTemplate(object, func(template map[string]any) { setLabels(template, labels) })
		}
		for _, spec := range workflowSpecs(object) {
			merge(child(child(spec, "podMetadata"), "labels"), labels)
		}
	})
}

// Toleration lets pods run on nodes with a taint, as in Kubernetes.
type Toleration struct {
	Key               string `json:"key,omitempty"`
	Operator          string `json:"operator,omitempty"` // Equal, which is the default, or Exists
	Value             string `json:"value,omitempty"`
	Effect            string `json:"effect,omitempty"` // empty is any
	TolerationSeconds *int64 `json:"tolerationSeconds,omitempty"`
}

// AddTolerations returns a transform that adds tolerations to every pod spec and Argo workflow that lacks them. It
// rewrites documents, as AddLabels does.
func AddTolerations(tolerations ...Toleration) Transform {
	return eachPodSpec(nil, func(spec map[string]any) {
		list, _ := spec["tolerations"].([]any)
		have := make(map[string]bool)
		for _, toleration := range list {
			text, _ := json.Marshal(toleration)
			have[string(text)] = true
		}
		for _, toleration := range tolerations {
			var fields map[string]any
			text, _ := json.Marshal(toleration)
			_ = json.Unmarshal(text, &fields)
			if text, _ = json.Marshal(fields); !have[string(text)] {
				list = append(list, fields)
				have[string(text)] = true
			}
		}
		if len(list) > 0 {
			spec["tolerations"] = list
		}
	})
}

// AddNodeSelector returns a transform that adds node labels to the node selector of every pod spec and Argo
// workflow. A label that is already in it gets the new value. It rewrites documents, as AddLabels does.
func AddNodeSelector(labels map[string]string) Transform {
	return eachPodSpec(func() error { return argument.Labels(labels) }, func(spec map[string]any) {
		if len(labels) > 0 {
			merge(child(spec, "nodeSelector"), labels)
		}
	})
}

func eachPodSpec(check func() error, change func(spec map[string]any)) Transform {
	return eachObject(check, func(object map[string]any) {
		if !hasPods(object) {
			return
		}
		if spec, ok := object["spec"].(map[string]any); ok && object["kind"] == "Pod" {
			change(spec)
			return
		}
		eachTemplate(object, func(template map[string]any) {
			spec := template["spec"].(map[string]any)
			if _, isPod := spec["containers"].([]any); isPod {
				change(spec)
			}
		})
		for _, spec := range workflowSpecs(object) {
			change(spec)
		}
	})
}

// eachObject returns a transform that changes every object of a manifest. Documents are written anew, behind the
// comments in front of them; what they say to Kubernetes is the same but for the change. A document that cannot be
// read fails the transform.
func eachObject(check func() error, change func(object map[string]any)) Transform {
	return func(m Manifest) (Manifest, error) {
		if check != nil {
			if err := check(); err != nil {
				return nil, err
			}
		}
		var out bytes.Buffer
		err := m.read(context.Background(), func(doc *document) error {
			object, items, err := doc.decode()
			if err != nil || object == nil {
				return err
			}
			for _, item := range items {
				change(item)
			}
			if room := minIndentation + indentationPerByte*len(doc.Text); indentation(object, 0, room) > room {
				return doc.fail(errTooIndented)
			}
			text, err := yaml.Marshal(object)
			if err != nil {
				return doc.fail(err)
			}
			out.WriteString("---\n")
			out.Write(leadingComments(doc.Text))
			out.Write(text)
			return nil
		})
		if err != nil {
			return nil, err
		}
		return out.Bytes(), nil
	}
}

// A document that is written anew may grow by its indentation, but not without bounds.
const (
	minIndentation     = 64 << 10
	indentationPerByte = 16
)

var errTooIndented = fmt.Errorf("nested so deeply that its indentation takes more than its text: %w", ErrOutputTooLarge)

// indentation is about how many spaces it takes to write a value as YAML in block style, counted up to a little over
// the limit: what is nested deeply and takes few bytes in flow style can take thousands of times as many.
func indentation(value any, depth, limit int) int {
	spaces := 2 * depth
	below := func(value any) {
		if spaces <= limit {
			spaces += indentation(value, depth+1, limit-spaces)
		}
	}
	switch value := value.(type) {
	case map[string]any:
		for _, value := range value {
			below(value)
		}
	case []any:
		for _, item := range value {
			below(item)
		}
	}
	return spaces
}

// leadingComments gives the comments before the content of a document, such as the template it was made from.
func leadingComments(text []byte) []byte {
	var comments []byte
	for line := range bytes.Lines(bytes.TrimPrefix(text, safeyaml.ByteOrderMark)) {
		switch trimmed := bytes.TrimSpace(line); {
		case len(trimmed) == 0:
		case trimmed[0] == '#' && !safeyaml.HasOddBreaks(trimmed):
			comments = append(append(comments, trimmed...), '\n')
		default:
			return comments
		}
	}
	return comments
}

// hasPods reports whether the rules for pod templates hold for an object: a schema or a policy may look like one.
func hasPods(object map[string]any) bool {
	apiVersion, _ := object["apiVersion"].(string)
	kind, _ := object["kind"].(string)
	group, _ := SplitAPIVersion(apiVersion)
	of := scopeOf(group, kind)
	return of == scopeTyped || of == scopeCustom
}

// eachTemplate visits what an object makes other objects of: a mapping called something like template, or an item of
// a list called so, that has a spec.
func eachTemplate(object map[string]any, visit func(template map[string]any)) {
	var walk func(key string, value any, depth int)
	walk = func(key string, value any, depth int) {
		switch value := value.(type) {
		case map[string]any:
			if depth > maxDepth {
				return
			}
			if _, hasSpec := value["spec"].(map[string]any); hasSpec && hasAnySuffix(key, "template", "Template", "Templates") {
				visit(value)
			}
			for _, key := range slices.Sorted(maps.Keys(value)) {
				if key != "status" && key != "openAPIV3Schema" {
					walk(key, value[key], depth+1)
				}
			}
		case []any:
			for _, item := range value {
				walk(key, item, depth+1)
			}
		}
	}
	walk("", object, 0)
}

// workflowSpecs gives the specs of an Argo workflow, which hold the metadata and the placement of its pods.
func workflowSpecs(obj map[string]any) []map[string]any {
	apiVersion, _ := obj["apiVersion"].(string)
	kind, _ := obj["kind"].(string)
	group, _ := SplitAPIVersion(apiVersion)
	spec, _ := obj["spec"].(map[string]any)
	if spec == nil || !isArgoWorkflow(&object{ObjectRef: ObjectRef{Group: group, Kind: kind}}) {
		return nil
	}
	if kind == "CronWorkflow" {
		if spec, _ = spec["workflowSpec"].(map[string]any); spec == nil {
			return nil
		}
	}
	return []map[string]any{spec}
}

func setLabels(object map[string]any, labels map[string]string) {
	if len(labels) > 0 {
		merge(child(child(object, "metadata"), "labels"), labels)
	}
}

// child gives the mapping at a key, a new one if there is none.
func child(object map[string]any, key string) map[string]any {
	value, ok := object[key].(map[string]any)
	if !ok {
		value = make(map[string]any)
		object[key] = value
	}
	return value
}

func merge(into map[string]any, labels map[string]string) {
	for key, value := range labels {
		into[key] = value
	}
}
