package charts

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// header and row show trials in Markdown.
func header() string {
	columns := slices.Concat([]string{"chart", "helm", "outcome", "left"}, kindsOfFault, []string{"seconds"})
	return "| " + strings.Join(columns, " | ") + " |\n|---|---|---|" + strings.Repeat("--:|", len(columns)-3) + "\n"
}

func (t *trial) row() string {
	var b strings.Builder
	fmt.Fprintf(&b, "| %s | %s | %s | %d |", t.chart.name, t.helm, t.outcome, len(t.left))
	for _, kind := range kindsOfFault {
		fmt.Fprintf(&b, " %d |", t.count(kind))
	}
	fmt.Fprintf(&b, " %.1f |\n", t.took.Seconds())
	return b.String()
}

func (t *trial) count(kind string) (n int) {
	for _, f := range t.faults {
		if f.kind == kind {
			n++
		}
	}
	return n
}

// table shows trials, those with faults first, and totals.
func table(all []*trial) string {
	slices.SortFunc(all, func(a, b *trial) int {
		return strings.Compare(a.chart.name+" "+a.helm, b.chart.name+" "+b.helm)
	})
	var b strings.Builder
	b.WriteString(header())
	outcomes, faults := map[string]int{}, map[string]int{}
	bad, took := 0, time.Duration(0)
	for _, t := range all {
		b.WriteString(t.row())
		outcomes[t.helm+" "+t.outcome]++
		took += t.took
		for _, f := range t.faults {
			faults[f.kind]++
		}
		if len(t.faults) > 0 {
			bad++
		}
	}
	fmt.Fprintf(&b, "\n%d trials, %d with faults, %s in all\n", len(all), bad, took.Round(time.Second))
	for _, count := range []map[string]int{outcomes, faults} {
		var names []string
		for name := range count {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			fmt.Fprintf(&b, "%6d %s\n", count[name], name)
		}
	}
	return b.String()
}
