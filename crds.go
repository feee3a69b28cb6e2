package helmexec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sut-bench/helmexec/chart"
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
	files, err := chart.ReadCRDs(ch.Path, chart.Options{Name: ch.Ref, Limits: chart.Limits{Archive: h.cfg.Limits.Archive}})
	for _, file := range files.Own {
		crds.own = append(crds.own, crdObjects(file)...)
	}
	for _, file := range files.Sub {
		crds.sub = append(crds.sub, crdObjects(file)...)
	}
	if names := len(strings.Join(crds.names(), nameSeparator)); err == nil && names > maxPackedNames {
		err = fmt.Errorf("chart %s: %w: its subcharts bring %d CRDs", ch.Ref, ErrOutputTooLarge, len(crds.sub))
	}
	return crds, err
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
