package chart

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/sut-bench/helmexec/internal/redact"
)

// CRDs are the files of custom resource definitions that a chart brings, each a stream of YAML or JSON. Helm
// creates their objects before everything else, and never removes them. They can contain objects of any kind.
type CRDs struct {
	Own [][]byte // of the chart's own folder crds
	Sub [][]byte // of its subcharts, including those that its values switch off
}

// ReadCRDs reads the CRD files of a chart and of the charts packed in it.
//
// Errors: as Read.
func ReadCRDs(path string, opts Options) (crds CRDs, err error) {
	defer func() { err = redact.Legible(err) }()
	parts := newParts(opts.Limits.withDefaults(), bringsCRDs)
	if err := parts.read(path, cmp.Or(opts.Name, path)); err != nil {
		return CRDs{}, err
	}
	err = parts.subcharts(bringsCRDs, func(name string, packed bool, text []byte) error {
		if !packed && strings.HasPrefix(name, "crds/") {
			crds.Own = append(crds.Own, text)
		} else {
			crds.Sub = append(crds.Sub, text)
		}
		return nil
	})
	return crds, err
}

// subcharts visits the wanted files of a chart, of its subcharts and of the charts packed in it, in the order
// of their names; packed means that a file is from a packed chart.
func (p *parts) subcharts(wanted func(name string) bool, visit func(name string, packed bool, text []byte) error) error {
	left := p.limits
	return p.visit(wanted, visit, 0, &left)
}

// left is what all packed charts together may still contain, however they are packed in each other.
func (p *parts) visit(wanted func(name string) bool, visit func(name string, packed bool, text []byte) error, depth int, left *Limits) error {
	for _, name := range slices.Sorted(maps.Keys(p.texts)) {
		if !wanted(name) {
			continue
		}
		if _, packed := inSubchart(name); !packed {
			if err := visit(name, depth > 0, p.texts[name]); err != nil {
				return err
			}
			continue
		}
		if depth == maxSubcharts {
			return fmt.Errorf("%w: charts are packed in it more than %d deep", ErrBad, maxSubcharts)
		}
		inner := newParts(*left, wanted)
		if err := inner.readArchive(name, bytes.NewReader(p.texts[name])); err != nil {
			return err
		}
		left.Files = max(0, left.Files-inner.entries)
		left.Content = max(0, left.Content-inner.content)
		if err := inner.visit(wanted, visit, depth+1, left); err != nil {
			return err
		}
	}
	return nil
}

// maxSubcharts is how deep charts may be packed in each other.
const maxSubcharts = 8

// bringsCRDs reports whether a file of a chart contains CRDs, or may contain some. As in Helm, these are
// the YAML and JSON files in crds and in the crds folders of the charts in charts, and packed charts
// there.
func bringsCRDs(name string) bool {
	name, packed := inSubchart(name)
	return packed || strings.HasPrefix(name, "crds/") && slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(name))
}
