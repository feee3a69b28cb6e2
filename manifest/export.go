package manifest

import (
	"maps"
	"slices"
	"strings"

	"github.com/sut-bench/helmexec/internal/errdef"
)

// ImageExport is what is needed to run a chart from a mirror.
type ImageExport struct {
	Images  []string // the images of the manifest, sorted and unique, in full
	Mirrors []string // the mirror of each of Images, by the same index
	// Values overrides the chart's values, so that it renders with the mirrors. It reaches images that the chart's
	// values have in a common form: a string, or registry, repository, tag and digest.
	Values map[string]any
	// Missed are those of Images that Values does not reach. Retag reaches them.
	Missed []string
}

// ExportImages makes an ImageExport from a chart's rendered manifest and its values. Rewrite returns the mirror of an
// image. If opts.Exclude is nil, it leaves out nothing, as Retag. The error is that of Images, or
// ErrInvalidArgument for a nil rewrite.
func ExportImages(m Manifest, values map[string]any, rewrite func(Reference) Reference, opts ImageOptions) (*ImageExport, error) {
	if rewrite == nil {
		return &ImageExport{}, errdef.Invalidf("export images: there is no function that rewrites")
	}
	opts.FullNames = true
	if opts.Exclude == nil {
		opts.Exclude = []string{}
	}
	images, err := m.Images(opts)
	export := &ImageExport{Images: images}
	e := exporter{rewrite: rewrite, names: make(map[string]bool), wanted: make(map[string]bool)}
	var refs []Reference
	for _, image := range images {
		ref, parseErr := parseReference(image)
		if parseErr != nil {
			continue // Images returns what parses
		}
		refs = append(refs, ref)
		e.wanted[ref.Name()] = true
		export.Mirrors = append(export.Mirrors, rewrite(ref).String())
	}
	if export.Values = e.mapping(values, 0); export.Values == nil {
		export.Values = map[string]any{}
	}
	for _, ref := range refs {
		if !e.names[ref.Name()] && rewrite(ref) != ref {
			export.Missed = append(export.Missed, ref.String())
		}
	}
	return export, err
}

type exporter struct {
	rewrite func(Reference) Reference
	wanted  map[string]bool // names that the manifest has
	names   map[string]bool // names that the override reaches
}

// mapping gives the override for a mapping of the values, nil where there is nothing to change.
func (e *exporter) mapping(values map[string]any, depth int) map[string]any {
	if depth > maxDepth {
		return nil
	}
	override := e.composite(values)
	set := func(key string, value any) {
		if override == nil {
			override = make(map[string]any)
		}
		override[key] = value
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		switch value := values[key].(type) {
		case map[string]any:
			if changed := e.mapping(value, depth+1); changed != nil {
				set(key, changed)
			}
		case []any:
			if changed := e.list(value, depth+1); changed != nil {
				set(key, changed)
			}
		case string:
			if _, done := override[key]; !done && hasAnySuffix(key, "image", "Image") {
				if changed, ok := e.text(value); ok {
					set(key, changed)
				}
			}
		}
	}
	return override
}

// list gives a whole list, since Helm replaces lists and does not merge them; nil where there is nothing to change.
func (e *exporter) list(values []any, depth int) []any {
	changed := slices.Clone(values)
	found := false
	for i, value := range values {
		item, ok := value.(map[string]any)
		if !ok {
			continue
		}
		if override := e.mapping(item, depth); override != nil {
			changed[i], found = mergeValues(item, override), true
		}
	}
	if !found {
		return nil
	}
	return changed
}

func mergeValues(values, over map[string]any) map[string]any {
	merged := maps.Clone(values)
	for key, value := range over {
		below, isMapping := merged[key].(map[string]any)
		if valueBelow, ok := value.(map[string]any); ok && isMapping {
			value = mergeValues(below, valueBelow)
		}
		merged[key] = value
	}
	return merged
}

// text rewrites an image that is one string.
func (e *exporter) text(image string) (string, bool) {
	ref, err := parseReference(image)
	if err != nil || !e.wanted[ref.Name()] {
		return "", false
	}
	e.names[ref.Name()] = true
	to := e.rewrite(ref)
	return to.String(), to != ref
}

// composite rewrites an image whose name is at repository, or at repository and registry. Which tag counts is left to
// the chart, as many take the one of appVersion where the values have none.
func (e *exporter) composite(values map[string]any) map[string]any {
	registry, _ := values["registry"].(string)
	repository, _ := values["repository"].(string)
	if repository == "" || hasVersion(repository) {
		return nil
	}
	ref, err := parseReference(strings.TrimPrefix(registry+"/"+repository, "/"))
	if err != nil || !e.wanted[ref.Name()] {
		return nil
	}
	e.names[ref.Name()] = true
	to := e.rewrite(ref)
	if to == ref {
		return nil
	}
	if _, hasRegistry := values["registry"]; hasRegistry {
		return map[string]any{"registry": to.Registry, "repository": to.Repository}
	}
	return map[string]any{"repository": to.Name()}
}
