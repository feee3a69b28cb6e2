package helmexec

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sut-bench/helmexec/manifest"
)

// lookChart creates nothing. Rendered with the real cluster, it lists which of the objects in its
// values exist, which of these are being deleted, and which belong to the release named in the
// values: the template function lookup is Helm's one way to ask for any object. A kind that the
// cluster does not serve has no objects. Helm marks the owner of an object, and does not install over
// an unmarked one, so an unmarked object must have had its mark removed. For an object with a
// generated name it lists all objects that were made from the same template and are not marked as
// another release's.
var lookChart = map[string]string{
	"Chart.yaml": "apiVersion: v2\nname: look\nversion: 7.0.0\n",
	"templates/there.yaml": `{{- define "seen" }}
  {{- $owner := dig "annotations" "meta.helm.sh/release-name" "" .found.metadata }}
  {{- .i }} {{ if .found.metadata.deletionTimestamp }}going{{ else }}staying{{ end }} {{ if or (not $owner) (eq $owner .release) }}owned{{ else }}foreign{{ end }} {{ .found.metadata.namespace | default "-" }} {{ .found.metadata.name }} {{ end -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Values.name }}
data:
  there: "
  {{- range $i, $o := .Values.objects }}
  {{- if $.Capabilities.APIVersions.Has (printf "%s/%s" $o.apiVersion $o.kind) }}
  {{- $namespace := default $.Release.Namespace $o.namespace }}
  {{- if $o.name }}
  {{- with lookup $o.apiVersion $o.kind $namespace $o.name }}
  {{- include "seen" (dict "i" $i "found" . "release" $.Values.release) }}
  {{- end }}
  {{- else }}
  {{- range (lookup $o.apiVersion $o.kind $namespace "").items }}
  {{- if and (eq (.metadata.generateName | default "") $o.generateName) (has (dig "annotations" "meta.helm.sh/release-name" "" .metadata) (list "" $.Values.release)) }}
  {{- include "seen" (dict "i" $i "found" . "release" $.Values.release) }}
  {{- end }}
  {{- end }}
  {{- end }}
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
}

// look asks the cluster which of the objects of a release exist. Starts one helm process.
func (h *Helm) look(ctx context.Context, t target, release string, objects []Remain) ([]sighting, error) {
	objects = slices.DeleteFunc(slices.Clone(objects), func(o Remain) bool { return o.Name == "" })
	if len(objects) == 0 {
		return nil, nil
	}
	var refs []any
	for _, o := range objects {
		ref := map[string]any{"apiVersion": strings.TrimPrefix(o.Group+"/"+o.Version, "/"), "kind": o.Kind, "namespace": o.Namespace, "name": o.Name}
		if prefix, generated := strings.CutSuffix(o.Name, anySuffix); generated {
			ref["name"], ref["generateName"] = "", prefix
		}
		refs = append(refs, ref)
	}
	said, err := h.ask(ctx, t, Values{"objects": refs, "release": release})
	if err != nil {
		return nil, err
	}
	var there []sighting
	seen := map[ObjectRef]bool{} // two of the requested objects can be the same
	for words := range slices.Chunk(strings.Fields(said["there"]), 5) {
		i, err := strconv.Atoi(words[0])
		if err != nil || i >= len(objects) || len(words) < 5 {
			continue
		}
		s := sighting{objects[i], words[2] == "owned"}
		s.State = RemainThere
		if words[1] == "going" {
			s.State = RemainGoing
		}
		// Only the cluster knows whether a custom resource has a namespace.
		if s.Namespace, s.Name = words[3], words[4]; s.Namespace == "-" {
			s.Namespace = ""
		}
		if !seen[s.ObjectRef] {
			seen[s.ObjectRef] = true
			there = append(there, s)
		}
	}
	return there, nil
}

// ask renders lookChart with the real cluster, and returns its answers by key.
func (h *Helm) ask(ctx context.Context, t target, about Values) (map[string]string, error) {
	chart, err := h.home.Files(ctx, "look", lookChart)
	if err != nil {
		return nil, err
	}
	d, err := h.dialect(ctx)
	if err != nil {
		return nil, err
	}
	// Helm refuses to render an object that exists and is another's: this name is never taken.
	about["name"] = "look-" + strings.ToLower(h.host.newID())
	values, err := about.JSON()
	if err != nil {
		return nil, err
	}
	a := templateArgs(d, t, TemplateOptions{FromCluster: true}, true)
	var out []byte
	err = h.retry(ctx, func(ctx context.Context) (err error) {
		out, err = h.run(ctx, invocation{args: append(a, "--", "look", chart), cluster: true, stdin: values, task: "look into the cluster" + t.where()})
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
	answers, err := h.ask(ctx, t, Values{"warned": objects, "hooks": hooks})
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

// live is what the cluster shows of a release.
type live struct {
	objects []liveObject // of the manifest, and their pods
	hooks   []*hook      // by name, kind, phase and events
}

// withoutPods are the controllers without a pod, except those of a Deployment, which says itself why.
func (l live) withoutPods() Blockers {
	makes := map[string]bool{}
	for _, o := range l.objects {
		makes[o.maker()] = o.Kind == "Pod" || makes[o.maker()]
	}
	var all Blockers
	for _, o := range l.objects {
		switch o.Kind {
		case "StatefulSet", "DaemonSet", "Job":
			if !makes[o.Kind+"/"+o.Metadata.Name] {
				all = append(all, Blocker{ObjectRef: o.ref(), maker: o.Kind + "/" + o.Metadata.Name})
			}
		}
	}
	return all
}

// liveObjects reads the objects of a release and their pods as they are in the cluster.
func (h *Helm) liveObjects(ctx context.Context, t target, release string) (live, error) {
	d, err := h.dialect(ctx)
	if err != nil {
		return live{}, err
	}
	a := args{"status", "--output=json"}
	a.add(d.StatusResources...)
	a.add(t.flags()...)
	a.add("--", release)
	out, err := h.run(ctx, invocation{args: a, cluster: true})
	if err != nil {
		return live{}, err
	}
	var status struct {
		Info  struct{ Resources map[string][]liveObject }
		Hooks []struct {
			Name, Kind string
			Events     []string
			LastRun    struct{ Phase string } `json:"last_run"`
		}
	}
	if err := json.Unmarshal(out, &status); err != nil {
		return live{}, badOutput("status", err)
	}
	var all live
	for _, hk := range status.Hooks {
		all.hooks = append(all.hooks, &hook{Name: hexText(hk.Name), Kind: hexText(hk.Kind), Phase: hk.LastRun.Phase, Events: hexText(strings.Join(hk.Events, " "))})
	}
	for _, kind := range sortedKeys(status.Info.Resources) {
		for _, o := range status.Info.Resources[kind] {
			// A selector's pods come as one list on some versions.
			if len(o.Items) > 0 {
				all.objects = append(all.objects, o.Items...)
			} else {
				all.objects = append(all.objects, o)
			}
		}
	}
	return all, nil
}

// liveObject is the part of an object's status that matters for its readiness.
type liveObject struct {
	APIVersion, Kind string
	Metadata         struct {
		Name, Namespace, UID, DeletionTimestamp string
		OwnerReferences                         []ownerReference
	}
	Items []liveObject
	Spec  struct {
		Replicas                 *int
		Strategy, UpdateStrategy updateStrategy
	}
	Status struct {
		DesiredNumberScheduled                   int
		Phase, Reason, Message                   string
		Conditions                               []condition
		InitContainerStatuses, ContainerStatuses []containerStatus
	}
}

func (o liveObject) ref() ObjectRef {
	ref := ObjectRef{Kind: o.Kind, Namespace: o.Metadata.Namespace, Name: o.Metadata.Name}
	ref.Group, ref.Version = manifest.SplitAPIVersion(o.APIVersion)
	return ref
}

// maker is what makes a pod, "Kind/name"; for a pod that nothing makes, the pod.
func (o liveObject) maker() string {
	if len(o.Metadata.OwnerReferences) > 0 {
		owner := o.Metadata.OwnerReferences[0]
		if at := strings.LastIndexByte(owner.Name, '-'); owner.Kind == "ReplicaSet" && at > 0 {
			return "Deployment/" + owner.Name[:at]
		}
		return owner.Kind + "/" + owner.Name
	}
	return o.Kind + "/" + o.Metadata.Name
}

type ownerReference struct{ Kind, Name string }

type updateStrategy struct {
	RollingUpdate struct{ MaxUnavailable any } // a number or a part of all
}

type condition struct{ Type, Status, Reason, Message string }

type containerStatus struct {
	Name  string
	Ready bool
	State struct {
		Waiting    *struct{ Reason, Message string }
		Terminated *struct {
			Reason, Message string
			ExitCode        int
		}
		Running *struct{}
	}
	LastState struct {
		Terminated *struct {
			Reason   string
			ExitCode int
		}
	}
	RestartCount int
}
