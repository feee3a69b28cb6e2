package plan

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sut-bench/helmexec/manifest"
)

// refuseExisting gives a template that fails if one of some objects exists. Helm asks for them just after, and makes those that
// do not exist. One that exists, and has the marks of the release, it only changes where the manifest differs: containers that
// somebody put into it would run on. It also fails if a kind is not served: helm's client takes "deployment" for Deployment.
func (p *Plan) refuseExisting(made []int) (text []byte) {
	defined := p.defined()
	for _, i := range made {
		object, content := p.places[i].Object, p.contents[i]
		apiVersion, _ := content["apiVersion"].(string)
		text = fmt.Appendf(text, `{{ if .Capabilities.APIVersions.Has %q }}{{ with lookup %q %q %q %q }}`+
			`{{ fail (printf "%%s exists already%%s" %q (and (dig "metadata" "deletionTimestamp" "" .) ", and is being deleted")) }}{{ end }}`,
			apiVersion+"/"+object.Kind, apiVersion, object.Kind, cmp.Or(object.Namespace, p.Namespace), object.Name, StaleMark+": "+object.String())
		if !defined[object.Group+"/"+object.Kind] { // what is not served has no objects
			text = fmt.Appendf(text, "{{ else }}{{ fail %q }}", StaleMark+": the cluster does not serve "+apiVersion+"/"+object.Kind)
		}
		text = append(text, "{{ end }}\n"...)
	}
	return text
}

// defined has the kinds of the plan's CRDs, with their groups.
func (p *Plan) defined() map[string]bool {
	kinds := map[string]bool{}
	for _, content := range p.contents[len(p.contents)-len(p.CRDs):] {
		kinds[text(mapping(content, "spec")["group"])+"/"+text(mapping(content, "spec", "names")["kind"])] = true
	}
	return kinds
}

// made lists what the plan makes and Helm would take over if it existed: the objects that no revision before made, and
// the hooks that it does not delete before it runs them. What neither runs nor lets others run something may be taken over: charts
// keep such objects for a later release. The result are indexes of places.
func (p *Plan) made(ctx context.Context, opts ChartOptions) ([]int, error) {
	if opts.MayExist {
		return nil, nil
	}
	before, err := opts.Before.IndexContext(ctx)
	if err != nil {
		return nil, err
	}
	has := map[manifest.ObjectRef]bool{}
	for _, place := range before {
		if !place.IsHook() {
			has[unversioned(place, p.Namespace)] = true
		}
	}
	var all []int
	for i, place := range p.places[:len(p.places)-len(p.CRDs)] {
		name, _ := mapping(p.contents[i], "metadata")["name"].(string)
		switch {
		case name == "" || isPassive(place.Object): // the API server makes the name, or it is harmless
		case place.IsHook() && (opts.NoHooks || !p.runs(place) || place.MadeAnew()):
		case !place.IsHook() && has[unversioned(place, p.Namespace)]:
		default:
			all = append(all, i)
		}
	}
	return all, nil
}

// unversioned identifies an object: its versions are views of one.
func unversioned(place manifest.Place, namespace string) manifest.ObjectRef {
	ref := place.Object.In(namespace)
	ref.Version = ""
	return ref
}

// isPassive reports an object that neither runs a container nor lets somebody else change what runs.
func isPassive(object manifest.ObjectRef) bool {
	switch object.Group {
	case "":
		return slices.Contains([]string{
			"ConfigMap", "Endpoints", "LimitRange", "Namespace", "PersistentVolume", "PersistentVolumeClaim", "ResourceQuota", "Secret", "Service", "ServiceAccount",
		}, object.Kind)
	case "apps", "batch", "extensions", "admissionregistration.k8s.io":
		return false
	}
	return isPatchedStrategically(object) // no custom resource
}

// runs reports whether a hook runs when the plan is applied.
func (p *Plan) runs(hook manifest.Place) bool {
	event := "-install"
	if p.Upgrade {
		event = "-upgrade"
	}
	return slices.ContainsFunc(hook.Hooks, func(hook string) bool {
		return strings.EqualFold(hook, "pre"+event) || strings.EqualFold(hook, "post"+event)
	})
}
