package helmexec

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sut-bench/helmexec/internal/helmtext"
	"github.com/sut-bench/helmexec/manifest"
)

// Remain is an object that an operation leaves in the cluster, and why.
type Remain struct {
	ObjectRef
	Cause RemainCause
	State RemainState
	Why   string // for a reader
}

// RemainCause says why an object stays.
type RemainCause string

// Helm leaves the first six by design.
const (
	RemainHook        RemainCause = "hook"            // a hook whose delete policy does not cover how it ended
	RemainPolicy      RemainCause = "resource policy" // the chart says to keep it
	RemainVolumeClaim RemainCause = "volume claim"    // made for the pods of a StatefulSet
	RemainCRD         RemainCause = "crd"             // a CustomResourceDefinition of the chart's folder crds
	RemainNamespace   RemainCause = "namespace"       // made by CreateNamespace
	RemainRevision    RemainCause = "revision"        // made by a revision before a failed one, which does not have it
	RemainRecord      RemainCause = "record"          // the secret that is the release record
	RemainNotRemoved  RemainCause = "not removed"     // it was to be removed, and that failed
)

// RemainState says what is known about an object that stays.
type RemainState string

const (
	RemainThere   RemainState = "there"   // it existed when the cluster was asked
	RemainGoing   RemainState = "going"   // it existed, and was being deleted
	RemainUnknown RemainState = "unknown" // the cluster could not be asked; or a request for it may still be on its way
)

func (r Remain) String() string {
	notes := []string{}
	if r.Why != "" {
		notes = append(notes, r.Why)
	}
	switch r.State {
	case RemainGoing:
		notes = append(notes, "being deleted")
	case RemainUnknown:
		notes = append(notes, "not known whether it exists")
	}
	if len(notes) == 0 {
		return r.ObjectRef.String()
	}
	return r.ObjectRef.String() + " (" + strings.Join(notes, "; ") + ")"
}

// inventory is what a release consists of, from its record, or, if that could not be read, from what
// its chart renders to.
type inventory struct {
	name, namespace string
	revision        int
	manifest        Manifest
	hooks           []*hook
	crds            []Remain
	madeNamespace   bool
	failing         bool // something failed
}

func (r *record) inventory() *inventory {
	labels := r.labels()
	i := &inventory{
		name: r.Name, namespace: r.Namespace, revision: r.Revision, manifest: Manifest(r.Manifest), hooks: r.Hooks,
		madeNamespace: labels[labelNamespace] != "" && !madeByKubernetes(r.Namespace),
		failing:       r.Status != StatusDeployed && r.Status != StatusSuperseded && r.Status != StatusUninstalled,
	}
	for _, crd := range r.CRDs {
		i.crds = append(i.crds, crdObjects(Manifest(crd))...)
	}
	for _, name := range unpackNames(labels) {
		i.crds = append(i.crds, crdNamed(name))
	}
	return i
}

// objects lists the objects in the manifest.
func (i *inventory) objects(why string) []Remain {
	return manifestObjects(i.manifest, i.namespace, RemainNotRemoved, func(map[string]any) (string, bool) { return why, true })
}

// objectsToGo lists what an uninstall removes: everything except what the chart says to keep.
func (i *inventory) objectsToGo(why string) []Remain {
	return manifestObjects(i.manifest, i.namespace, RemainNotRemoved, func(document map[string]any) (string, bool) {
		_, kept := keptByPolicy(document)
		return why, !kept
	})
}

// recordObject is where Helm stores a revision.
func (h *Helm) recordObject(release, namespace string, revision int, why string) Remain {
	return Remain{
		ObjectRef: ObjectRef{Version: "v1", Kind: h.env.recordKind(), Namespace: namespace, Name: fmt.Sprintf("sh.helm.release.v1.%s.v%d", release, revision)},
		Cause:     RemainRecord, State: RemainUnknown,
		Why: strings.TrimSuffix("the release record, "+why, ", "),
	}
}

// keptByDesign lists what stays, or may stay, when the release is uninstalled; the caller checks what
// exists. failing means that an uninstall of it has failed.
func (i *inventory) keptByDesign(noHooks, failing bool) []Remain {
	var all []Remain
	for _, hk := range i.hooks {
		if why := hk.stays(noHooks, failing || i.failing, i.revision > 1); why != "" {
			all = append(all, manifestObjects(Manifest(hk.Manifest), i.namespace, RemainHook, func(map[string]any) (string, bool) { return why, true })...)
		}
	}
	all = append(all, manifestObjects(i.manifest, i.namespace, RemainPolicy, keptByPolicy)...)
	objects, _ := i.manifest.Objects()
	for _, hk := range i.hooks {
		more, _ := Manifest(hk.Manifest).Objects()
		objects = append(objects, more...)
	}
	all = append(all, volumeClaims(objects, i.namespace)...)
	all = append(all, i.crds...)
	if i.madeNamespace {
		all = append(all, namespaceMade(i.namespace))
	}
	return all
}

const neverRemovesCRDs = "Helm never removes CRDs"

// crdObjects lists what a file of a chart's folder crds creates.
func crdObjects(m Manifest) []Remain {
	places, _ := m.Index() // of a large CRD it reads only the name
	all := make([]Remain, 0, len(places))
	for _, place := range places {
		all = append(all, Remain{place.Object, RemainCRD, RemainUnknown, neverRemovesCRDs})
	}
	return all
}

func crdNamed(name string) Remain {
	return Remain{ObjectRef{Group: "apiextensions.k8s.io", Version: "v1", Kind: crdKind, Name: name}, RemainCRD, RemainUnknown, neverRemovesCRDs}
}

// madeByKubernetes reports whether a namespace was there before any release; "" is that of the kubeconfig.
func madeByKubernetes(namespace string) bool {
	return slices.Contains([]string{"", "default", "kube-system", "kube-public", "kube-node-lease"}, namespace)
}

func namespaceMade(name string) Remain {
	return Remain{ObjectRef{Version: "v1", Kind: "Namespace", Name: name}, RemainNamespace, RemainUnknown, "made by the install if it did not exist; Helm never removes it"}
}

// keptByPolicy reports whether Helm leaves the objects of a document because of its resource policy. Helm knows
// only the policy keep, but leaves an object with any other value as well.
func keptByPolicy(document map[string]any) (why string, kept bool) {
	const policy = "helm.sh/resource-policy"
	all, _ := field(document, "metadata", "annotations").(map[string]any)
	value, kept := all[policy]
	text, _ := value.(string)
	if strings.EqualFold(strings.TrimSpace(text), "keep") {
		return policy + ": keep", kept
	}
	return fmt.Sprintf("%s: %.40q, which Helm takes for keep", policy, text), kept
}

// stays says why a hook's object may still exist after the release is gone, "" if it does not. Helm does
// not track hook objects: whether one is deleted depends on its delete policy and on how it ended. Delete
// hooks run after the record is read, and are assumed to succeed. If anything failed, neither policies nor
// the record are trusted: Helm applies a policy after the last hook of an event, the deletion itself can
// fail, and so can recording that a hook runs.
func (t *hook) stays(noHooks, failing, upgraded bool) string {
	phase := t.Phase
	switch {
	case (!noHooks || failing) && (t.has(t.Events, "pre-delete") || t.has(t.Events, "post-delete")):
		phase = "Succeeded"
	case failing && !t.has(t.Events, "test"):
		phase = cmp.Or(phase, "Unknown")
	case upgraded && (t.has(t.Events, "pre-install") || t.has(t.Events, "post-install")):
		phase = cmp.Or(phase, "Succeeded") // with the first revision, whose record is another
	}
	switch {
	case phase == "": // it never ran
		return ""
	case failing:
	case phase == "Succeeded" && t.has(t.DeletePolicies, "hook-succeeded"), phase == "Failed" && t.has(t.DeletePolicies, "hook-failed"):
		return ""
	}
	if strings.EqualFold(string(t.Kind), crdKind) {
		return "a hook, and Helm never removes CRDs"
	}
	return "a hook, and Helm does not track hooks"
}

// volumeClaims lists the volume claims that StatefulSets have made for their pods, or may have made for those that an
// autoscaler wanted.
func volumeClaims(objects []map[string]any, namespace string) []Remain {
	scaled := map[string]float64{} // StatefulSets by namespace and name
	for _, o := range objects {
		if field(o, "kind") == "HorizontalPodAutoscaler" && field(o, "spec", "scaleTargetRef", "kind") == "StatefulSet" {
			most, _ := number64(field(o, "spec", "maxReplicas"))
			of := fmt.Sprint(refOf(o, namespace).Namespace, "/", field(o, "spec", "scaleTargetRef", "name"))
			scaled[of] = max(scaled[of], most)
		}
	}
	var all []Remain
	for _, o := range objects {
		if field(o, "kind") != "StatefulSet" || field(o, "spec", "persistentVolumeClaimRetentionPolicy", "whenDeleted") == "Delete" {
			continue
		}
		ref := refOf(o, namespace)
		replicas, set := number64(field(o, "spec", "replicas"))
		if !set {
			replicas = 1
		}
		replicas = min(max(replicas, scaled[ref.Namespace+"/"+ref.Name]), 1000)
		first, _ := number64(field(o, "spec", "ordinals", "start"))
		templates, _ := field(o, "spec", "volumeClaimTemplates").([]any)
		for _, tpl := range templates {
			claim, _ := tpl.(map[string]any)
			name, _ := field(claim, "metadata", "name").(string)
			for i := range int(replicas) {
				all = append(all, Remain{
					ObjectRef{Version: "v1", Kind: "PersistentVolumeClaim", Namespace: ref.Namespace, Name: fmt.Sprintf("%s-%s-%d", name, ref.Name, int(first)+i)},
					RemainVolumeClaim, RemainUnknown, "a volume claim of StatefulSet " + ref.Name,
				})
			}
		}
	}
	return all
}

// manifestObjects lists the objects of the documents that pick selects. Documents that do not parse
// are left out: Helm would not have installed them.
func manifestObjects(m Manifest, namespace string, cause RemainCause, pick func(document map[string]any) (why string, ok bool)) []Remain {
	var all []Remain
	documents, _ := m.Documents()
	for _, document := range documents {
		why, ok := pick(document.Whole)
		if !ok {
			continue
		}
		for _, o := range document.Objects {
			all = append(all, Remain{refOf(o, namespace), cause, RemainUnknown, why})
		}
	}
	return all
}

// anySuffix stands for the suffix that the API server adds to a generateName; no name contains it.
const anySuffix = "*"

// refOf names an object, in the namespace of its release if it has no namespace itself.
func refOf(o map[string]any, namespace string) ObjectRef {
	text := func(path ...string) string { s, _ := field(o, path...).(string); return s }
	ref := ObjectRef{Kind: text("kind"), Namespace: text("metadata", "namespace"), Name: text("metadata", "name")}
	if generate := text("metadata", "generateName"); ref.Name == "" && generate != "" {
		ref.Name = generate + anySuffix
	}
	ref.Group, ref.Version = manifest.SplitAPIVersion(text("apiVersion"))
	return ref.In(namespace)
}

// annotation returns an annotation of an object.
func annotation(o map[string]any, name string) (string, bool) {
	all, _ := field(o, "metadata", "annotations").(map[string]any)
	text, ok := all[name].(string)
	return text, ok
}

// field reads a path of maps; nil if it ends early.
func field(v any, path ...string) any {
	for _, key := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[key]
	}
	return v
}

func number64(v any) (float64, bool) {
	switch n := v.(type) {
	case float64:
		return n, true
	case int:
		return float64(n), true
	case int64:
		return float64(n), true
	}
	return 0, false
}

// remainsOf lists what an install may have left when it could not be removed: from its record if that
// was read; otherwise from what the chart renders to, or the plan shows, which needs no cluster, and from helm's
// message, which says how far it came.
func (c *change) remainsOf(ctx context.Context, rec *record) []Remain {
	var made *inventory
	if rec != nil {
		made = rec.inventory()
	} else {
		if ctx.Err() != nil {
			// The grace period was used up by looking. This needs no cluster, and little time.
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
		}
		var err error
		if made, err = c.rendered(ctx); err != nil {
			return []Remain{c.h.recordObject(c.op.release, c.op.target.namespace, 1, "")}
		}
	}
	all := append(made.keptByDesign(false, false), c.h.recordObject(made.name, made.namespace, made.revision, ""))
	return append(all, made.objects("")...)
}

// rendered is what an install makes: helm runs the pre-install hooks, creates all objects, waits, then
// runs the post-install hooks.
func (c *change) rendered(ctx context.Context) (*inventory, error) {
	var m Manifest
	if c.charts != nil && c.charts.plan != nil {
		m = c.charts.plan.Manifest() // its chart renders only with the cluster
	} else {
		render := TemplateOptions{ReleaseName: c.op.release, SkipTests: true, SkipSchema: c.opts.SkipSchema}
		var err error
		if m, err = c.h.render(ctx, c.chart, invocation{args: templateArgs(helmtext.Dialect{}, c.op.target, render, c.stdin != nil), stdin: c.stdin}, render); err != nil {
			return nil, err
		}
	}
	phases := map[string]string{"pre-install": "Succeeded"}
	objectsMade := true
	var e *Error
	switch {
	case c.openErr == nil:
		phases["post-install"] = "Succeeded"
	case !errors.As(c.openErr, &e):
	case helmtext.HookFailed(e.Stderr, "pre-install"):
		phases["pre-install"], objectsMade = "Running", false
	case helmtext.HookFailed(e.Stderr, "post-install"):
		phases["post-install"] = "Running"
	}
	made := &inventory{name: c.op.release, namespace: c.op.target.namespace, revision: 1, madeNamespace: c.opts.CreateNamespace && !madeByKubernetes(c.op.target.namespace), failing: true}
	documents, _ := m.Documents()
	for _, document := range documents {
		doc := "---\n" + string(document.Text)
		events, isHook := annotation(document.Whole, "helm.sh/hook")
		kind, _ := field(document.Whole, "kind").(string)
		switch {
		case isHook && !c.opts.NoHooks:
			policies, _ := annotation(document.Whole, "helm.sh/hook-delete-policy")
			hk := &hook{
				Kind: hexText(kind), Events: hexText(strings.ReplaceAll(events, ",", " ")), Manifest: hexText(doc),
				DeletePolicies: hexText(strings.ReplaceAll(policies, ",", " ")),
			}
			for event, phase := range phases {
				if hk.has(hk.Events, event) {
					hk.Phase = phase
				}
			}
			made.hooks = append(made.hooks, hk)
		case isHook:
		case objectsMade:
			made.manifest = append(made.manifest, doc...)
		}
	}
	return made, nil
}
