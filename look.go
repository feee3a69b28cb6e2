package helmexec

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sut-bench/helmexec/internal/process"
)

// lookChart creates nothing. Rendered with the real cluster, it lists which of the objects in its
// values exist, which of these are being deleted, and which belong to the release named in the
// values: the template function lookup is Helm's one way to ask for any object. A kind that the
// cluster does not serve has no objects. Helm marks the owner of an object, and does not install over
// an unmarked one, so an unmarked object must have had its mark removed. For an object with a
// generated name it lists all objects that were made from the same template and are not marked as
// another release's.
//
// A custom resource is held if nothing but foreground deletion keeps it. If all that exists is held, and if the values say
// so, it also counts what any custom resource in these namespaces owns of what makes pods. If one of the first objects
// exists, and is not held, it does not ask for those behind them. If all are held or gone, it also prints the labels of a
// release record, unless there is a later one.
var lookChart = map[string]string{
	"Chart.yaml": "apiVersion: v2\nname: look\nversion: 11.0.0\n",
	"templates/there.yaml": `{{- define "seen" }}
  {{- $owner := dig "annotations" "meta.helm.sh/release-name" "" .found.metadata }}
  {{- $state := "staying" }}
  {{- if .found.metadata.deletionTimestamp }}{{ $state = "going" }}{{ end }}
  {{- $held := .found.metadata.finalizers | default list | join "," | eq "foregroundDeletion" }}
  {{- if and .custom $held .found.metadata.namespace (eq $state "going") }}{{ $state = "held" }}{{ end }}
  {{- $_ := set .states $state (append (get .states $state | default list) .found.metadata.namespace) }}
  {{- .i }} {{ $state }} {{ if or (not $owner) (eq $owner .release) }}owned{{ else }}foreign{{ end }} {{ .found.metadata.namespace | default "-" }} {{ .found.metadata.name }} {{ end -}}
{{- $states := dict }}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Values.name }}
data:
  there: "
  {{- range $i, $o := .Values.objects }}
  {{- $enough := and (ge $i (int $.Values.first)) (or (hasKey $states "staying") (hasKey $states "going")) }}
  {{- if and (not $enough) ($.Capabilities.APIVersions.Has (printf "%s/%s" $o.apiVersion $o.kind)) }}
  {{- $namespace := default $.Release.Namespace $o.namespace }}
  {{- if $o.name }}
  {{- with lookup $o.apiVersion $o.kind $namespace $o.name }}
  {{- include "seen" (dict "i" $i "found" . "release" $.Values.release "custom" $o.custom "states" $states) }}
  {{- end }}
  {{- else }}
  {{- range (lookup $o.apiVersion $o.kind $namespace "").items }}
  {{- if and (eq (.metadata.generateName | default "") $o.generateName) (has (dig "annotations" "meta.helm.sh/release-name" "" .metadata) (list "" $.Values.release)) }}
  {{- include "seen" (dict "i" $i "found" . "release" $.Values.release "custom" $o.custom "states" $states) }}
  {{- end }}
  {{- end }}
  {{- end }}
  {{- end }}
  {{- end }}"
  counted: "
  {{- if and .Values.count (hasKey $states "held") (eq (len $states) 1) }}
  {{- range $namespace := uniq $states.held }}
  {{- range $kind, $api := dict "Pod" "v1" "Deployment" "apps/v1" "StatefulSet" "apps/v1" "DaemonSet" "apps/v1" "ReplicaSet" "apps/v1" "Job" "batch/v1" "CronJob" "batch/v1" }}
  {{- range (lookup $api $kind $namespace "").items }}
  {{- range .metadata.ownerReferences }}
  {{- $group := splitList "/" .apiVersion | first }}
  {{- if and (contains "." $group) (not (has $group $.Values.builtIn)) }}owned {{ end }}
  {{- end }}
  {{- end }}
  {{- end }}
  {{- end }}all{{ end }}"
  record: "
  {{- with .Values.record }}
  {{- if not (or (hasKey $states "staying") (hasKey $states "going") (lookup "v1" "Secret" .namespace .later)) }}
  {{- with lookup "v1" "Secret" .namespace .name }}{{ .metadata.labels | toJson | b64enc }}{{ end }}
  {{- end }}
  {{- end }}"
  {{- $warned := .Values.warned | default list }}
  pods: "
  {{- if .Values.hooks }}
  {{- range (lookup "v1" "Pod" .Release.Namespace "").items }}
  {{- $ofHook := has (printf "Pod/%s" .metadata.name) $.Values.hooks }}
  {{- range .metadata.ownerReferences }}{{ if has (printf "%s/%s" .kind .name) $.Values.hooks }}{{ $ofHook = true }}{{ end }}{{ end }}
  {{- if $ofHook }}
  {{- $warned = append $warned (printf "Pod/%s" .metadata.name) }}
  {{- dict "apiVersion" "v1" "kind" "Pod" "metadata" (pick .metadata "name" "namespace" "uid" "ownerReferences" "deletionTimestamp") "status" .status | toJson | b64enc }} {{ end }}
  {{- end }}
  {{- end }}"
  warnings: "
  {{- if $warned }}
  {{- range (lookup "v1" "Event" .Release.Namespace "").items }}
  {{- $about := printf "%s/%s" .involvedObject.kind .involvedObject.name }}
  {{- if and (eq (.type | default "") "Warning") (has $about $warned) }}
  {{- dict "about" $about "reason" .reason "message" (.message | default "" | trunc 1000) "count" (.count | default (dig "series" "count" 1 .)) "at" (.lastTimestamp | default .eventTime | default "") | toJson | b64enc }} {{ end }}
  {{- end }}
  {{- end }}"
`,
}

// sighting is an object that exists.
type sighting struct {
	Remain
	owned bool // not marked as another release's
	held  bool // a custom resource that is going, and that only foreground deletion keeps
}

// sightings are the objects that exist.
type sightings struct {
	there []sighting
	idle  bool // they were counted: all are held, and no custom resource in their namespaces owns pods
	// record has the labels of the record that was asked for, if all are held or gone, and there is no later one.
	record map[string]string
}

// question is what to look at.
type question struct {
	objects []Remain
	first   int // so many of them are looked at first, and the others only if none of these exists
	// count says to count what custom resources own if they are all that exists. That lists what others have in the
	// namespace; errTooMany says that it is too much.
	count  bool
	record *record // that of the release, nil for none; it is in a Secret
}

// errTooMany ends a look that counts. The limits are some thousand pods.
var errTooMany = errors.New("too many objects to count")

var countLimits = processLimits{Limits: process.Limits{
	Memory: 256 << 20, OverMemory: errTooMany, CPUTime: 5 * time.Second, OverCPUTime: errTooMany,
}}

// missing is 0 if an object is among those seen, 1 if not. Only the cluster knows the namespace of some.
func (s sightings) missing(o Remain) int {
	if slices.ContainsFunc(s.there, func(seen sighting) bool { return seen.Kind == o.Kind && seen.Group == o.Group && seen.Name == o.Name }) {
		return 0
	}
	return 1
}

// look asks the cluster which of the objects of a release exist. Starts one helm process.
func (h *Helm) look(ctx context.Context, t target, release string, objects []Remain) ([]sighting, error) {
	seen, err := h.sight(ctx, t, release, question{objects: objects, first: len(objects)})
	return seen.there, err
}

// sight answers a question about a release. Starts one helm process.
func (h *Helm) sight(ctx context.Context, t target, release string, q question) (all sightings, err error) {
	objects := slices.DeleteFunc(slices.Clone(q.objects), func(o Remain) bool { return o.Name == "" })
	if len(objects) == 0 && q.record == nil {
		return all, nil
	}
	var refs []any
	for _, o := range objects {
		ref := map[string]any{"apiVersion": strings.TrimPrefix(o.Group+"/"+o.Version, "/"), "kind": o.Kind, "namespace": o.Namespace, "name": o.Name}
		if q.count && isCustom(o.Group) {
			ref["custom"] = true
		}
		if prefix, generated := strings.CutSuffix(o.Name, anySuffix); generated {
			ref["name"], ref["generateName"] = "", prefix
		}
		refs = append(refs, ref)
	}
	about := Values{"objects": refs, "release": release, "first": q.first}
	var limits *processLimits
	if q.count {
		about["count"], about["builtIn"], limits = true, builtIn, &countLimits
	}
	if q.record != nil {
		of := func(revision int) string { return h.recordObject(release, "", revision, "").Name }
		about["record"] = map[string]any{"namespace": q.record.Namespace, "name": of(q.record.Revision), "later": of(q.record.Revision + 1)}
	}
	said, err := h.ask(ctx, t, about, limits)
	if err != nil {
		return all, err
	}
	if records, err := decodedWords[map[string]string](said["record"]); err == nil && len(records) == 1 {
		all.record = records[0]
	}
	all.idle = said["counted"] == "all"
	seen := map[ObjectRef]bool{} // two of the requested objects can be the same
	for words := range slices.Chunk(strings.Fields(said["there"]), 5) {
		i, err := strconv.Atoi(words[0])
		if err != nil || i >= len(objects) || len(words) < 5 {
			continue
		}
		s := sighting{Remain: objects[i], owned: words[2] == "owned", held: words[1] == "held"}
		s.State = RemainThere
		if words[1] != "staying" {
			s.State = RemainGoing
		}
		// Only the cluster knows whether a custom resource has a namespace.
		if s.Namespace, s.Name = words[3], words[4]; s.Namespace == "-" {
			s.Namespace = ""
		}
		if !seen[s.ObjectRef] {
			seen[s.ObjectRef] = true
			all.there = append(all.there, s)
		}
	}
	return all, nil
}

// isCustom reports whether an API group is that of custom resources.
func isCustom(group string) bool {
	return strings.Contains(group, ".") && !slices.Contains(builtIn, group)
}

// builtIn are the API groups of Kubernetes itself, of those with a dot.
var builtIn = []string{
	"admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io", "authentication.k8s.io",
	"authorization.k8s.io", "certificates.k8s.io", "coordination.k8s.io", "discovery.k8s.io", "events.k8s.io",
	"flowcontrol.apiserver.k8s.io", "internal.apiserver.k8s.io", "networking.k8s.io", "node.k8s.io",
	"rbac.authorization.k8s.io", "resource.k8s.io", "scheduling.k8s.io", "storage.k8s.io", "storagemigration.k8s.io",
}

// ask renders lookChart with the real cluster, and returns its answers by key.
func (h *Helm) ask(ctx context.Context, t target, about Values, limits *processLimits) (map[string]string, error) {
	// Helm refuses to render an object that exists and is another's: this name is never taken.
	about["name"] = "look-" + strings.ToLower(h.host.newID())
	values, err := about.JSON()
	if err != nil {
		return nil, err
	}
	return h.answers(ctx, t, "look", lookChart, invocation{stdin: values, limits: limits, task: "look into the cluster" + t.where()})
}

// answers renders a chart of ours, which prints one object, with the real cluster, and returns the data of the object.
func (h *Helm) answers(ctx context.Context, t target, name string, files map[string]string, inv invocation) (map[string]string, error) {
	chart, err := h.home.Files(ctx, name, files)
	if err != nil {
		return nil, err
	}
	d, err := h.dialect(ctx)
	if err != nil {
		return nil, err
	}
	inv.args = slices.Concat(templateArgs(d, t, TemplateOptions{FromCluster: true}, inv.stdin != nil), inv.args, args{"--", name, chart})
	inv.cluster = true
	var out []byte
	err = h.retry(ctx, func(ctx context.Context) (err error) {
		out, err = h.run(ctx, inv)
		return err
	})
	if err != nil {
		return nil, err
	}
	rendered, err := Manifest(out).Objects()
	if err == nil && len(rendered) != 1 {
		err = fmt.Errorf("want one object, got %d", len(rendered))
	}
	if err != nil {
		return nil, badOutput("template", err)
	}
	said := map[string]string{}
	data, _ := field(rendered[0], "data").(map[string]any)
	for key, value := range data {
		said[key], _ = value.(string)
	}
	return said, nil
}

// warning is an event of Kubernetes that says what went wrong with an object.
type warning struct {
	About           string // "Kind/name"
	Reason, Message string
	Count           int
	At              string // a time as the API server prints it, which sorts as text

	pulls int // that failed, of all events about the object
}

func (w warning) text() string { return w.Reason + ": " + oneLine(w.Message) }

// said is what the cluster says of objects.
type said struct {
	last map[string]warning // the last warning about each, by "Kind/name"
	pods []liveObject       // of the hooks
}

// events reads the warnings about some objects, "Kind/name", and about the pods of some hooks, in the release's namespace.
// Starts one helm process, none without objects.
func (h *Helm) events(ctx context.Context, t target, objects, hooks []string) (said, error) {
	all := said{last: map[string]warning{}}
	if len(objects) == 0 {
		return all, nil
	}
	answers, err := h.ask(ctx, t, Values{"warned": objects, "hooks": hooks}, nil)
	if err != nil {
		return all, err
	}
	warnings, err := decodedWords[warning](answers["warnings"])
	if err != nil {
		return all, err
	}
	for _, w := range warnings {
		last := all.last[w.About]
		pulls := last.pulls
		if strings.HasPrefix(w.Message, "Failed to pull image") {
			pulls += max(w.Count, 1)
		}
		if w.At >= last.At {
			last = w
		}
		last.pulls = pulls
		all.last[w.About] = last
	}
	all.pods, err = decodedWords[liveObject](answers["pods"])
	return all, err
}

// decodedWords reads the objects that lookChart printed.
func decodedWords[T any](answer string) ([]T, error) {
	var all []T
	for _, word := range strings.Fields(answer) {
		var one T
		text, err := base64.StdEncoding.DecodeString(word)
		if err == nil {
			err = json.Unmarshal(text, &one)
		}
		if err != nil {
			return nil, badOutput("template", err)
		}
		all = append(all, one)
	}
	return all, nil
}

// present returns the objects that exist, or all of them, with unknown state, if the cluster does not
// answer.
func (h *Helm) present(ctx context.Context, t target, objects []Remain) []Remain {
	objects = distinct(objects)
	seen, err := h.look(ctx, t, "", objects)
	if err != nil {
		return objects
	}
	var there []Remain
	for _, s := range seen {
		there = append(there, s.Remain)
	}
	return there
}

// distinct keeps the first of each object that is listed more than once.
func distinct(objects []Remain) []Remain {
	var all []Remain
	seen := map[ObjectRef]bool{}
	for _, o := range objects {
		if !seen[o.ObjectRef] {
			seen[o.ObjectRef] = true
			all = append(all, o)
		}
	}
	return all
}
