package policy

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/sut-bench/helmexec/internal/pattern"
	"github.com/sut-bench/helmexec/manifest"
	"github.com/sut-bench/helmexec/plan"
)

// check is a rule before it meets a plan. Tenant runs many of them over one view.
type check struct {
	name string
	run  func(*view)
}

func (c check) rule() plan.Rule { return all(c) }

// all makes one rule of several checks.
func all(checks ...check) plan.Rule {
	return func(p *plan.Plan) []plan.Finding {
		v := viewOf(p)
		for _, c := range checks {
			v.rule = c.name
			c.run(v)
		}
		return v.findings
	}
}

// view is a plan as the rules read it.
type view struct {
	plan     *plan.Plan
	subjects []*subject
	pods     []*pod
	unread   []*field             // texts of custom resources that pods may be made from, and nobody can read here
	made     map[string]*presence // by "Kind/name", for custom resources "group/Kind/name": what the plan makes in its namespace
	claims   map[string]ordinals  // by "template-set": the volume claims that StatefulSets make

	rule     string // that runs
	findings []plan.Finding
	seen     map[plan.Finding]bool
}

// subject is an object of the plan, or one that a custom resource carries.
type subject struct {
	view   *view
	ref    manifest.ObjectRef
	outer  manifest.Place // the object of the plan that it is, or that carries it
	root   *field
	custom bool // not a kind of Kubernetes: only its operator knows what a field means
}

func viewOf(p *plan.Plan) *view {
	v := &view{plan: p, made: map[string]*presence{}, claims: map[string]ordinals{}, seen: map[plan.Finding]bool{}}
	for place, content := range p.All() {
		v.add(place, &field{value: content}, 0)
	}
	for _, s := range v.subjects {
		if s.root.up != nil || s.ref.Name == "" || s.ref.Namespace != "" && s.ref.Namespace != p.Namespace {
			continue
		}
		name := s.ref.Kind + "/" + s.ref.Name
		if s.custom {
			name = s.name() + "/" + s.ref.Name
		}
		if v.made[name] == nil {
			v.made[name] = &presence{weights: map[string]int{}, keys: map[string]bool{}}
		}
		v.made[name].add(s)
	}
	return v
}

// maxTexts bounds how deep texts in texts are read.
const maxTexts = 4

// add adds the object at a field, its pods, and what it carries.
func (v *view) add(outer manifest.Place, root *field, texts int) {
	s := &subject{view: v, outer: outer, root: root}
	root.of = s
	s.ref.Group, s.ref.Version = manifest.SplitAPIVersion(s.text("apiVersion"))
	s.ref.Kind, s.ref.Namespace, s.ref.Name = s.text("kind"), s.text("metadata", "namespace"), s.text("metadata", "name")
	s.custom = s.ref.Scope() == manifest.UnknownScope
	v.subjects = append(v.subjects, s)
	if way, known := templates[s.ref.Group+"/"+s.ref.Kind]; known {
		v.pods = append(v.pods, podOf(s, way))
	}
	if !s.custom {
		return
	}
	s.walk(func(f *field) bool {
		switch value := f.value.(type) {
		case string:
			if looksLikeManifest(f.key, value) {
				v.addText(outer, f, value, texts)
			}
		case map[string]any:
			if f != root && isObject(value) {
				v.add(outer, &field{up: f.up, key: f.key, index: f.index, value: value}, texts)
				return false
			}
			if p := podIn(f); p != nil {
				v.pods = append(v.pods, p)
			}
		}
		return true
	})
}

// addText adds the objects in a text that a custom resource carries.
func (v *view) addText(outer manifest.Place, f *field, text string, texts int) {
	documents, err := manifest.Manifest(text).Canonical(context.Background())
	if err != nil || texts == maxTexts {
		v.unread = append(v.unread, f)
		return
	}
	for _, document := range documents {
		for _, object := range document.Objects {
			v.add(outer, &field{up: f.up, key: f.key, index: f.index, value: object}, texts+1)
		}
	}
}

// faultUnread reports the texts that are not read.
func (v *view) faultUnread() {
	for _, f := range v.unread {
		f.fault("is a text that objects or pods may be made from, and that cannot be read as a manifest")
	}
}

// text gives a text below the root without a complaint about anything else there.
func (s *subject) text(way ...string) string {
	var value any = s.root.value
	for _, key := range way {
		fields, _ := value.(map[string]any)
		value = fields[key]
	}
	text, _ := value.(string)
	return text
}

// is reports whether the subject is of a group and one of its kinds.
func (s *subject) is(group string, kinds ...string) bool {
	return s.ref.Group == group && slices.Contains(kinds, s.ref.Kind)
}

// name is "group/Kind", or the kind alone in the core group.
func (s *subject) name() string { return strings.TrimPrefix(s.ref.Group+"/"+s.ref.Kind, "/") }

// walk visits the fields of a custom resource, the outer ones first, except its metadata and its status. A visit that
// returns false leaves out what is below.
func (s *subject) walk(visit func(*field) bool) {
	var walk func(f *field)
	walk = func(f *field) {
		if !visit(f) {
			return
		}
		switch value := f.value.(type) {
		case map[string]any:
			for _, key := range slices.Sorted(maps.Keys(value)) {
				if f != s.root || key != "metadata" && key != "status" || s.ref.Group == "argoproj.io" && key == "status" {
					walk(f.get(key))
				}
			}
		case []any:
			for i := range value {
				walk(f.item(i))
			}
		}
	}
	walk(s.root)
}

// isObject reports a mapping in a custom resource that is an object, and not only a reference to one.
func isObject(fields map[string]any) bool {
	apiVersion, _ := fields["apiVersion"].(string)
	kind, _ := fields["kind"].(string)
	if apiVersion == "" || kind == "" {
		return false
	}
	for key := range fields {
		if !referenceFields[key] {
			return true
		}
	}
	return false
}

var referenceFields = map[string]bool{
	"apiVersion": true, "kind": true, "name": true, "namespace": true, "uid": true, "resourceVersion": true, "fieldPath": true,
	"controller": true, "blockOwnerDeletion": true, "group": true, "version": true,
}

var (
	containerText = pattern.New(`(?m)(?:^|[\s{,\\"'-])(?:containers|initContainers|ephemeralContainers)\\*["']?[ \t]*:[ \t]*(?:\[|\{|&|\||>|$|\n)`)
	kindText      = pattern.New(`(?m)(?:^|[\s{,\\"'-])kind\\*["']?[ \t]*:`)
	versionText   = pattern.New(`(?m)(?:^|[\s{,\\"'-])apiVersion\\*["']?[ \t]*:`)
)

// looksLikeManifest reports a text that objects, or pods, may be made from.
func looksLikeManifest(key, text string) bool {
	switch {
	case key == "podSpecPatch":
		return text != ""
	case strings.Contains(text, "ontainers") && containerText().MatchString(text):
		return true
	}
	return strings.Contains(text, "apiVersion") && kindText().MatchString(text) && versionText().MatchString(text)
}
