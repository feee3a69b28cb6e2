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

// CRDs are the files of custom resource definitions that a chart brings, each a stream of YAML or JSON. Helm makes what
// is in them before everything else, and never removes it. They can hold objects of any kind.
type CRDs struct {
	Own [][]byte // those of the chart's own folder crds
	Sub [][]byte // those of its subcharts, also of such that its values switch off
}

// ReadCRDs reads the files of CRDs of a chart and of what is packed in it.
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

// subcharts visits the wanted files of a chart, of its subcharts and of what is packed in it, in the order of their
// names; packed tells that a file is of something packed.
func (p *parts) subcharts(wanted func(name string) bool, visit func(name string, packed bool, text []byte) error) error {
	return p.visit(wanted, visit, 0)
}

func (p *parts) visit(wanted func(name string) bool, visit func(name string, packed bool, text []byte) error, depth int) error {
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
		inner := newParts(p.limits, wanted)
		if err := inner.readArchive(name, bytes.NewReader(p.texts[name])); err != nil {
			return err
		}
		if err := inner.visit(wanted, visit, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// maxSubcharts is how deep charts are packed in each other that are read here.
const maxSubcharts = 8

// bringsCRDs tells whether a file of a chart is one of CRDs, or can hold some: as Helm reads a chart, the
// YAML and JSON in crds, in the same folder of what is in charts, and in what is packed there.
func bringsCRDs(name string) bool {
	name, packed := inSubchart(name)
	return packed || strings.HasPrefix(name, "crds/") && slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(name))
}
