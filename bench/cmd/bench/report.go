package main

import (
	"fmt"
	"math"
	"os"
	"strings"
)

// row is one line of the table.
type row struct {
	benchmark, must, got, notes string // must is "" for what is only compared
	reached                     bool
	// bar is the line of the chart: a time or throughput as a multiple of the baseline's, 0 for none.
	bar      float64
	barLabel string
}

const (
	tableBegin = "<!-- written by make bench -->\n"
	tableEnd   = "<!-- end -->\n"
)

func table(rows []row, header string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n| benchmark | must reach | figure | reached | notes |\n|---|---|---|---|---|\n", header)
	for _, r := range rows {
		reached := "yes"
		switch {
		case r.must == "":
			reached = "" // for comparison
		case !r.reached:
			reached = "**no**"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", r.benchmark, r.must, r.got, reached, r.notes)
	}
	return b.String()
}

// writeTable puts the table between the marks in a Markdown file.
func writeTable(file, text string) error {
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(old), tableBegin)
	_, after, ended := strings.Cut(rest, tableEnd)
	if !found || !ended {
		return fmt.Errorf("%s has no place for the table", file)
	}
	return os.WriteFile(file, []byte(before+tableBegin+"\n"+text+"\n"+tableEnd+after), 0o644)
}

// svg draws the bars, on a scale of powers of ten: 1 is the baseline, to the left is faster.
func svg(rows []row) string {
	const left, width, line = 330, 420, 34
	var bars []row
	low := -1.0
	for _, r := range rows {
		if r.bar > 0 {
			bars = append(bars, r)
			low = math.Min(low, math.Floor(math.Log10(r.bar)))
		}
	}
	const high = 0.5
	x := func(v float64) float64 { return left + width*(math.Log10(v)-low)/(high-low) }
	height := 60 + line*len(bars) + 30
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`+"\n", left+width+90, height)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/><text x="16" y="26" font-size="15" font-weight="bold">Time, as a multiple of the baseline's (shorter is better)</text>`+"\n")
	for e := low; e <= 0; e++ {
		v := math.Pow(10, e)
		fmt.Fprintf(&b, `<line x1="%.0f" y1="44" x2="%.0f" y2="%d" stroke="#ccc"/><text x="%.0f" y="%d" text-anchor="middle" fill="#555">%g</text>`+"\n", x(v), x(v), height-26, x(v), height-8, v)
	}
	for i, r := range bars {
		y := 52 + line*i
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text><rect x="%d" y="%d" width="%.0f" height="18" fill="#3b7dd8"/><text x="%.0f" y="%d">%.3g</text>`+"\n",
			left-10, y+15, r.barLabel, left, y+1, math.Max(1, x(r.bar)-left), x(r.bar)+6, y+15, r.bar)
	}
	b.WriteString("</svg>\n")
	return b.String()
}
