package chart

import (
	"bytes"
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/sut-bench/helmexec/internal/redact"
)

// Defaults reads the values that a chart has where the user gives none: its own values.yaml, with those of its
// subcharts below their names or aliases, as Helm combines them. user decides which subcharts are switched off by their
// condition or tags. What a parent imports from a subchart (import-values) is left out.
//
// Errors: as Read.
func Defaults(path string, user Values, opts Options) (_ Values, err error) {
	defer func() { err = redact.Legible(err) }()
	parts := newParts(opts.Limits.withDefaults(), describes)
	if err := parts.read(path, cmp.Or(opts.Name, path)); err != nil {
		return nil, err
	}
	room := maxDefaults
	return parts.defaults("", user.Normal(), &room)
}

const (
	// maxDefaults bounds the texts that are combined. A subchart counts once for each of its aliases.
	maxDefaults = 16 << 20
	// perChart is what a chart without values counts.
	perChart = 4 << 10
)

// describes reports the files that describe a chart, in it or in a subchart, and packed charts.
func describes(name string) bool {
	inner, packed := inSubchart(name)
	return packed || slices.Contains([]string{chartFile, requirementsFile, valuesFile}, inner)
}

// defaults combines the values of the chart in a folder of the parts, "" or "charts/x/".
func (p *parts) defaults(folder string, user map[string]any, room *int) (Values, error) {
	if *room -= perChart + len(p.texts[folder+valuesFile]); *room < 0 {
		return nil, fmt.Errorf("%w: the values of its subcharts are over %d MiB in all", ErrTooLarge, maxDefaults>>20)
	}
	values, err := parseValues(folder+valuesFile, p.texts[folder+valuesFile])
	if err != nil {
		return nil, invalid(folder, err)
	}
	metadata := &Metadata{}
	if text, ok := p.texts[folder+chartFile]; ok {
		if metadata, err = parseMetadata(folder+chartFile, text); err != nil {
			return nil, invalid(folder, err)
		}
	}
	if text, ok := p.texts[folder+requirementsFile]; ok {
		if err := metadata.addRequirements(folder+requirementsFile, text); err != nil {
			return nil, invalid(folder, err)
		}
	}
	for _, sub := range p.subchartsOf(folder) {
		inner, in := p, folder+"charts/"+sub+"/"
		if packed, ok := p.texts[folder+"charts/"+sub]; ok {
			inner, in = newParts(p.limits, describes), ""
			if err := inner.readArchive(sub, bytes.NewReader(packed)); err != nil {
				return nil, err
			}
		}
		own, err := parseMetadata(in+chartFile, inner.texts[in+chartFile])
		if err != nil {
			return nil, invalid(sub, err)
		}
		for _, name := range metadata.namesFor(own.Name, values.Merge(user)) {
			given, _ := user[name].(map[string]any)
			below, err := inner.defaults(in, given, room)
			if err != nil {
				return nil, err
			}
			over, _ := values[name].(map[string]any)
			values[name] = map[string]any(below.Merge(over))
		}
	}
	return values, nil
}

// subchartsOf lists the folders and archives in charts.
func (p *parts) subchartsOf(folder string) []string {
	var names []string
	for _, file := range p.files {
		inner, ok := strings.CutPrefix(file, folder+"charts/")
		if !ok {
			continue
		}
		name, rest, isFolder := strings.Cut(inner, "/")
		if hidden(name) {
			continue
		}
		if isFolder && rest == chartFile || !isFolder && path.Ext(name) == ".tgz" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// namesFor are the keys under which a subchart has its values: its aliases, or its name. A dependency that the values
// switch off has none.
func (m *Metadata) namesFor(subchart string, values Values) []string {
	var names []string
	declared := false
	for _, d := range m.Dependencies {
		if d.Name != subchart {
			continue
		}
		declared = true
		if d.enabled(values) {
			names = append(names, cmp.Or(d.Alias, d.Name))
		}
	}
	if !declared {
		return []string{subchart}
	}
	return names
}

// enabled reports what the values say of a dependency: the first path of its condition that is set decides, then its
// tags, of which one that is true suffices.
func (d Dependency) enabled(values Values) bool {
	for condition := range strings.SplitSeq(d.Condition, ",") {
		var at any = map[string]any(values)
		for key := range strings.SplitSeq(strings.TrimSpace(condition), ".") {
			table, _ := at.(map[string]any)
			at = table[key]
		}
		if on, ok := at.(bool); ok {
			return on
		}
	}
	tags, _ := values["tags"].(map[string]any)
	on, off := false, false
	for _, tag := range d.Tags {
		if set, ok := tags[tag].(bool); ok {
			on, off = on || set, off || !set
		}
	}
	return on || !off
}
