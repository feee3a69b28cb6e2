package helmexec

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

const crdKind = "CustomResourceDefinition"

// chartCRDs is what the folders crds of a chart hold, which Helm makes before everything else and never
// removes. The record of a release tells what is in the chart's own, and nothing of its subcharts.
type chartCRDs struct {
	own, sub []Remain
}

// crdsOf reads them. A subchart that the values switch off is read too: whether Helm makes its CRDs is
// known to Helm alone, and whoever reports them looks whether they are there.
func (h *Helm) crdsOf(ch *Chart) (crds chartCRDs, err error) {
	if !ch.bringsCRDs {
		return crds, nil
	}
	parts := newChartParts(h.chartLimits())
	parts.extra = bringsCRDs
	if err := parts.read(ch.Path, ch.Ref); err != nil {
		return crds, err
	}
	err = crds.add(parts, false, 0)
	if names := len(strings.Join(crds.names(), nameSeparator)); err == nil && names > maxPackedNames {
		err = fmt.Errorf("chart %s: %w: its subcharts bring %d CRDs", ch.Ref, ErrOutputTooLarge, len(crds.sub))
	}
	return crds, err
}

// add sorts the files of a chart, or of one packed in it.
func (c *chartCRDs) add(parts *chartParts, packed bool, depth int) error {
	for _, name := range slices.Sorted(maps.Keys(parts.texts)) {
		text := parts.texts[name]
		if !bringsCRDs(name) {
			continue
		}
		if !isPackedChart(name) {
			to := &c.own
			if packed || !strings.HasPrefix(name, "crds/") {
				to = &c.sub
			}
			*to = append(*to, crdObjects(text)...)
			continue
		}
		if depth == maxSubcharts {
			return fmt.Errorf("%w: charts are packed in it more than %d deep", ErrBadChart, maxSubcharts)
		}
		inner := newChartParts(parts.limits)
		inner.extra = bringsCRDs
		if err := inner.readArchive(name, bytes.NewReader(text)); err != nil {
			return err
		}
		if err := c.add(inner, true, depth+1); err != nil {
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

// names are those of the CRDs of subcharts.
func (c chartCRDs) names() []string {
	var names []string
	for _, r := range c.sub {
		if r.Kind == crdKind {
			names = append(names, r.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

const (
	nameSeparator  = "_" // which no name of an object has
	maxPackedNames = 32 << 10
	labelBytes     = 61 // of the 63 of a value, which begins and ends with a letter
)

// packNames puts names into labels of a record.
func packNames(into map[string]string, names []string) {
	text := strings.Join(names, nameSeparator)
	for i := 0; text != ""; i++ {
		n := min(len(text), labelBytes)
		into[fmt.Sprint(labelCRDs, i)] = "x" + text[:n] + "x"
		text = text[n:]
	}
}

// unpackNames is the reverse of packNames.
func unpackNames(labels map[string]string) []string {
	var text strings.Builder
	for i := 0; ; i++ {
		value, ok := labels[fmt.Sprint(labelCRDs, i)]
		if !ok || len(value) < 3 {
			break
		}
		text.WriteString(value[1 : len(value)-1])
	}
	return strings.FieldsFunc(text.String(), func(r rune) bool { return string(r) == nameSeparator })
}
