package policy

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// presence is what the plan makes under one name.
type presence struct {
	plain   bool            // something is no hook
	weights map[string]int  // the least of the hooks, by event
	mounted bool            // a ServiceAccount does not switch off its token
	keys    map[string]bool // of a ConfigMap or Secret
}

// ordinals are the pods of a StatefulSet: first up to, and without, end.
type ordinals struct{ first, end int64 }

func (m *presence) add(s *subject) {
	m.mounted = m.mounted || !s.root.get("automountServiceAccountToken").isFalse()
	if s.is("", "ConfigMap", "Secret") {
		for _, data := range []string{"data", "binaryData", "stringData"} {
			fields, _ := s.root.get(data).value.(map[string]any)
			for key := range fields {
				m.keys[key] = true
			}
		}
	}
	if s.outer.IsHook() {
		m.addHook(s)
		return
	}
	m.plain = true
	if !s.is("apps", "StatefulSet") {
		return
	}
	var made ordinals
	made.first, _ = wholeNumber(s.root.at("spec", "ordinals", "start").value)
	made.end = made.first + 1
	if replicas, ok := wholeNumber(s.root.at("spec", "replicas").value); ok {
		made.end = made.first + min(replicas, math.MaxInt32)
	}
	for _, claim := range s.root.at("spec", "volumeClaimTemplates").items() {
		if template, ok := claim.at("metadata", "name").value.(string); ok && made.end > s.view.claims[template+"-"+s.ref.Name].end {
			s.view.claims[template+"-"+s.ref.Name] = made
		}
	}
}

// addHook adds a hook, unless it has an event that Helm does not know, since Helm then makes nothing of it, or Helm does not
// first delete an object of its name that is there already: Helm 4 takes that over with what it contains.
func (m *presence) addHook(s *subject) {
	if !s.outer.MadeAnew() {
		return
	}
	events, weight := s.when()
	for _, event := range events {
		if event == "test-failure" || !slices.Contains(hookEvents, event) {
			return
		}
	}
	for _, event := range events {
		if least, is := m.weights[event]; !is || weight < least {
			m.weights[event] = weight
		}
	}
}

// when gives the events of a hook as Helm reads them, and its weight.
func (s *subject) when() (events []string, weight int) {
	for _, event := range s.outer.Hooks {
		if event = strings.ToLower(event); event == "test-success" {
			event = "test"
		}
		events = append(events, event)
	}
	weight, err := strconv.Atoi(s.outer.Annotations["helm.sh/hook-weight"])
	if err != nil { // one that is too large among them
		weight = 0
	}
	return events, weight
}

// owns reports whether the plan makes an object of a kind, in its namespace, that is there when the subject uses it. What a
// hook makes is there for the hooks that Helm runs after it for the same event: at another time hooks may not run at all.
// What is no hook is there except before an install and after a removal.
func (s *subject) owns(kind, name string) bool {
	made := s.view.made[kind+"/"+name]
	if made == nil {
		made = &presence{}
	}
	plain := made.plain || kind == "PersistentVolumeClaim" && s.view.claimed(name)
	if !s.outer.IsHook() {
		return plain
	}
	events, weight := s.when()
	for _, event := range events {
		least, before := made.weights[event]
		before = before && least < weight
		if !before && (!plain || event == "pre-install" || event == "post-delete") {
			return false
		}
	}
	return true
}

// claimed reports the name of a claim that a StatefulSet makes: template-set-0.
func (v *view) claimed(name string) bool {
	dash := strings.LastIndexByte(name, '-')
	if dash < 0 {
		return false
	}
	made := v.claims[name[:dash]]
	ordinal, err := strconv.ParseInt(name[dash+1:], 10, 64)
	return err == nil && strconv.FormatInt(ordinal, 10) == name[dash+1:] && made.first <= ordinal && ordinal < made.end
}
