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
// somebody put into it would run on. A kind that is not served has no objects.
func (p *Plan) refuseExisting(made []int) (text []byte) {
	for _, i := range made {
		object, content := p.places[i].Object, p.contents[i]
		apiVersion, _ := content["apiVersion"].(string)
		text = fmt.Appendf(text, `{{ if .Capabilities.APIVersions.Has %q }}{{ with lookup %q %q %q %q }}`+
			`{{ fail (printf "%%s exists already%%s" %q (and (dig "metadata" "deletionTimestamp" "" .) ", and is being deleted")) }}{{ end }}{{ end }}`+"\n",
			apiVersion+"/"+object.Kind, apiVersion, object.Kind, cmp.Or(object.Namespace, p.Namespace), object.Name, StaleMark+": "+object.String())
	}
	return text
}

// made lists what the plan makes and Helm would take over if it existed: the objects that no revision before made, and
// the hooks that it does not delete before it runs them. What holds data and runs nothing may be taken over, so that a
// release finds what an earlier one of its name has kept. The result are indexes of places.
func (p *Plan) made(ctx context.Context, opts ChartOptions) ([]int, error) {
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
		case name == "" || isData(place.Object): // the API server makes the name, or it is harmless
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

func isData(object manifest.ObjectRef) bool {
	return object.Group == "" && slices.Contains([]string{"ConfigMap", "Secret", "PersistentVolumeClaim"}, object.Kind)
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
