package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/sut-bench/helmexec"
)

// lines prints what several SUTs do at once, one line per step, each with the SUT's name, the step,
// and the time since the SUT's last step.
type lines struct {
	mu    sync.Mutex
	to    io.Writer
	width int // of the longest name
}

func newLines(to io.Writer, suts []sut) *lines {
	l := &lines{to: to}
	for _, s := range suts {
		l.width = max(l.width, columns(s.name))
	}
	return l
}

func (l *lines) of(s sut) *sutLines {
	return &sutLines{lines: l, name: s.name + strings.Repeat(" ", l.width-columns(s.name)), last: time.Now()}
}

// sutLines prints the lines of one SUT.
type sutLines struct {
	*lines
	name string
	last time.Time
}

// step prints the result of a step.
func (l *sutLines) step(step, format string, a ...any) {
	took := time.Since(l.last)
	l.last = time.Now()
	l.print(took, step, fmt.Sprintf(format, a...))
}

// progress prints how far a waiting install is.
func (l *sutLines) progress(p helmexec.Progress) {
	text := fmt.Sprintf("%d of %d pods ready", p.Ready, p.Total)
	switch {
	case p.Err != nil:
		text = "not known: " + p.Err.Error()
	case p.Blocker != nil:
		text += "; " + p.Blocker.String()
	}
	l.print(p.Elapsed, "waiting", text)
}

// print prints a text, one line or a table, with name, step and time beside its first line.
func (l *sutLines) print(took time.Duration, step, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	duration := ""
	if took.Seconds() >= 0.05 {
		duration = seconds(took)
	}
	for line := range strings.Lines(text) {
		fmt.Fprintf(l.to, "%s  %6s  %-11s  %s\n", l.name, duration, step, strings.TrimSuffix(line, "\n"))
		duration, step = "", ""
	}
}

// imageTable lists each image once, and what may be one but that nobody can pull as it stands.
func imageTable(report *helmexec.ImageReport) string {
	var rows []string
	for _, use := range report.Images {
		ref := use.Reference
		rows = append(rows, fmt.Sprintf("%s\t%s\t%s", ref.Registry, ref.Repository, strings.Trim(ref.Tag+"@"+ref.Digest, "@")))
	}
	slices.Sort(rows)
	rows = slices.Compact(rows)
	var text strings.Builder
	fmt.Fprintf(&text, "%d to pull\n", len(rows))
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "REGISTRY\tREPOSITORY\tTAG")
	for _, row := range rows {
		fmt.Fprintln(table, row)
	}
	table.Flush()
	for _, use := range slices.Concat(report.Invalid, report.Unresolved) {
		fmt.Fprintf(&text, "not known: %q at %s of %s: %s\n", use.Image, use.Path, use.Object, use.Reason)
	}
	return text.String()
}

func gpuTotals(report *helmexec.GPUReport) string {
	var parts []string
	for _, resource := range slices.Sorted(maps.Keys(report.Totals)) {
		parts = append(parts, fmt.Sprintf("%d %s", report.Totals[resource], resource))
	}
	for _, warning := range report.Warnings {
		parts = append(parts, "warning: "+warning.Message)
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, "; ")
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// columns is how wide a terminal shows a text: Chinese characters take two columns.
func columns(text string) int {
	n := 0
	for _, r := range text {
		n++
		if unicode.Is(unicode.Han, r) {
			n++
		}
	}
	return n
}
