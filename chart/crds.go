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
	err = crds.add(parts, false, 0)
	return crds, err
}

// add sorts the files of a chart, or of one packed in it.
func (c *CRDs) add(p *parts, packed bool, depth int) error {
	for _, name := range slices.Sorted(maps.Keys(p.texts)) {
		text := p.texts[name]
		switch {
		case !bringsCRDs(name):
		case isPackedChart(name):
			if depth == maxSubcharts {
				return fmt.Errorf("%w: charts are packed in it more than %d deep", ErrBad, maxSubcharts)
			}
			inner := newParts(p.limits, bringsCRDs)
			if err := inner.readArchive(name, bytes.NewReader(text)); err != nil {
				return err
			}
			if err := c.add(inner, true, depth+1); err != nil {
				return err
			}
		case !packed && strings.HasPrefix(name, "crds/"):
			c.Own = append(c.Own, text)
		default:
			c.Sub = append(c.Sub, text)
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
	for strings.HasPrefix(name, "charts/") {
		if isPackedChart(name) {
			return true
		}
		rest := strings.TrimPrefix(name, "charts/")
		folder, below, _ := strings.Cut(rest, "/")
		if strings.HasPrefix(folder, "_") || strings.HasPrefix(folder, ".") {
			return false
		}
		name = below
	}
	return strings.HasPrefix(name, "crds/") && slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(name))
}

func isPackedChart(name string) bool {
	folder, file := path.Split(name)
	return path.Base(folder) == "charts" && path.Ext(file) == ".tgz" && !strings.HasPrefix(file, "_") && !strings.HasPrefix(file, ".")
}
