package plan

import (
	"context"
	"fmt"
	"slices"

	"github.com/sut-bench/helmexec/manifest"
)

// Difference is an object that two plans, or a plan and a release, do not have alike.
type Difference struct {
	Object        manifest.ObjectRef
	Before, After manifest.Manifest // the canonical document, nil where there is none
}

// Diff lists the objects, hooks and CRDs that applying the plan adds, changes or drops, compared with a manifest: that
// of a release, with its hooks, as GetManifest and GetHooks give them, or what another plan has (Manifest and
// CRDManifest). The order is that of the names.
//
// Errors: ErrBadManifest.
func (p *Plan) Diff(ctx context.Context, before manifest.Manifest) ([]Difference, error) {
	old, err := before.Canonical(ctx)
	if err != nil {
		return nil, err
	}
	was, err := p.byObject(ctx, new(Plan).keep(old))
	if err != nil {
		return nil, err
	}
	is, err := p.byObject(ctx, slices.Concat(p.documents, p.crds))
	if err != nil {
		return nil, err
	}
	var all []Difference
	for name, after := range is {
		if before := was[name]; string(before.text) != string(after.text) {
			all = append(all, Difference{Object: after.ref, Before: before.text, After: after.text})
		}
	}
	for name, before := range was {
		if _, there := is[name]; !there {
			all = append(all, Difference{Object: before.ref, Before: before.text})
		}
	}
	slices.SortFunc(all, func(a, b Difference) int {
		return slices.Compare([]string{a.Object.Group, a.Object.Kind, a.Object.Namespace, a.Object.Name}, []string{b.Object.Group, b.Object.Kind, b.Object.Namespace, b.Object.Name})
	})
	return all, nil
}

type named struct {
	ref  manifest.ObjectRef
	text manifest.Manifest
}

// byObject gives documents by the name of their object. A List is one document, under its first item's name; of objects
// without a name of their own, each counts by its place among them.
func (p *Plan) byObject(ctx context.Context, documents []manifest.Manifest) (map[string]named, error) {
	all, count := make(map[string]named, len(documents)), map[manifest.ObjectRef]int{}
	for _, text := range documents {
		places, err := text.IndexContext(ctx)
		if err != nil {
			return nil, err
		}
		ref := manifest.ObjectRef{}
		if len(places) > 0 {
			ref = places[0].Object.In(p.Namespace)
		}
		key := ref
		key.Version = ""
		all[fmt.Sprintf("%s/%s/%s/%s/%d", ref.Group, ref.Kind, ref.Namespace, ref.Name, count[key])] = named{ref, text}
		count[key]++
	}
	return all, nil
}
