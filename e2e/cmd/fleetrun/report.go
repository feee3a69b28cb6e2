package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sut-bench/helmexec/e2e/fleet"
)

// report prints the table and says what is wrong.
func (t *trial) report(ctx context.Context, states []fleet.State) (wrong []string, err error) {
	took := time.Since(t.begin)
	outcomes, reasons, applies, lost := map[string]int{}, map[string]string{}, 0, 0
	seen := map[string]bool{}
	for _, s := range states {
		outcome, want := s.Outcome(), t.want[s.SUT]
		outcomes[outcome]++
		if s.Text != "" && reasons[outcome] == "" {
			reasons[outcome] = s.Text
		}
		if s.Result != nil {
			applies += s.Result.Applies
			lost += s.Result.Lost
		}
		if outcome != want {
			wrong = append(wrong, fmt.Sprintf("job %s: %s, and not %s: %s", s.SUT, outcome, want, s.Text))
		}
		if seen[s.SUT] {
			wrong = append(wrong, fmt.Sprintf("job %s has more than one outcome", s.SUT))
		}
		seen[s.SUT] = true
	}
	if len(states) != len(t.all) {
		wrong = append(wrong, fmt.Sprintf("%d outcomes of %d jobs", len(states), len(t.all)))
	}
	left, err := t.lab.Left(ctx)
	if err != nil {
		return nil, err
	}
	for _, object := range left {
		wrong = append(wrong, "left in the cluster: "+object)
	}
	deliveries, err := t.lab.Deliveries()
	if err != nil {
		return nil, err
	}
	changing, again := 0, map[string]int{}
	for _, d := range deliveries.Again {
		again[d.Activity]++
		if d.Changing {
			changing++
		}
	}
	// Of 60 jobs 30 and 10, of more in proportion. How many a short run has is up to chance.
	least, leastChanging := len(t.all)/2, len(t.all)/6
	if len(t.all) < 60 {
		least, leastChanging = 1, 1
	}
	if len(deliveries.Again) < least {
		wrong = append(wrong, fmt.Sprintf("%d activities were delivered again, which is below %d", len(deliveries.Again), least))
	}
	if changing < leastChanging {
		wrong = append(wrong, fmt.Sprintf("%d of them while a helm changed a release, which is below %d", changing, leastChanging))
	}
	deployed, err := t.lab.Deployed()
	if err != nil {
		return nil, err
	}
	for _, twice := range fleet.Twice(deployed) {
		wrong = append(wrong, "deployed twice: operation "+twice)
	}
	measured := outcomes["measured"]
	if len(deployed) < measured {
		wrong = append(wrong, fmt.Sprintf("%d jobs were measured, and the audit log shows %d releases", measured, len(deployed)))
	}

	right := 0
	for _, s := range states {
		if s.Outcome() == t.want[s.SUT] {
			right++
		}
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "\njobs\t%d, of which %d were submitted twice\n", len(t.all), t.twice)
	for _, outcome := range slices.Sorted(maps.Keys(outcomes)) {
		fmt.Fprintf(table, "  %s\t%d\t%s\n", outcome, outcomes[outcome], short(reasons[outcome]))
	}
	fmt.Fprintf(table, "expected outcomes\t%d of %d\n", right, len(t.all))
	fmt.Fprintf(table, "releases and objects left\t%d\n", len(left))
	fmt.Fprintf(table, "operations deployed\t%d, %d of them more than once\n", len(deployed), len(fleet.Twice(deployed)))
	fmt.Fprintf(table, "killed\t%s\n", counts(t.kills))
	fmt.Fprintf(table, "activities delivered\t%d\n", deliveries.All)
	fmt.Fprintf(table, "  again\t%d: %s\n", len(deliveries.Again), counts(again))
	fmt.Fprintf(table, "  again, cut off in a change\t%d\n", changing)
	fmt.Fprintf(table, "applies of measured jobs\t%d, of which %d gave no answer\n", applies, lost)
	fmt.Fprintf(table, "helm processes\t%d, of which %d changed a release\n", deliveries.Helms, deliveries.Changes)
	fmt.Fprintf(table, "time\t%.0f s\n", took.Seconds())
	return wrong, table.Flush()
}

func counts(of map[string]int) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		all = append(all, fmt.Sprintf("%d %s", of[name], name))
	}
	return strings.Join(all, ", ")
}

// short is the beginning of a text, on one line.
func short(text string) string {
	words := []rune(strings.Join(strings.Fields(text), " "))
	if len(words) > 100 {
		words = append(words[:99], '…')
	}
	return string(words)
}
