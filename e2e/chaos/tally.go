package chaos

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// tally counts the results of the runs of one family.
type tally struct {
	mu      sync.Mutex
	family  string
	runs    int // each an install and an uninstall
	faults  int
	struck  int // helm processes that failed
	first   int // installs and uninstalls that took one try
	recover int // installs that seemed lost but had succeeded
	retried int // installs and uninstalls that took more tries
	swept   int // how often skipped objects were swept
	failed  int // that ended in an error
	wrongs  map[wrong]int
	took    time.Duration // of all runs together
}

func (t *tally) add(change func(*tally)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(t)
}

// count adds one install or uninstall.
func (t *tally) count(o outcome, wrongs []wrong) {
	t.add(func(t *tally) {
		t.struck += o.Struck
		t.swept += o.Swept
		switch {
		case !o.OK:
			t.failed++
		case o.Recovered:
			t.recover++
		case o.Tries > 1:
			t.retried++
		default:
			t.first++
		}
		for _, w := range wrongs {
			t.wrongs[w]++
		}
	})
}

// table shows tallies in Markdown.
func table(all []*tally) string {
	var b strings.Builder
	b.WriteString("| family | runs | faults | helm failed | first try | recovered | retried | swept | failed |")
	kinds := []wrong{lost, duplicate, stuck, leftOver, wrongData, untyped, misjudged, missed, early}
	for _, kind := range kinds {
		fmt.Fprintf(&b, " %s |", kind)
	}
	b.WriteString(" seconds a run |\n|---|" + strings.Repeat("--:|", 9+len(kinds)) + "\n")
	for _, t := range all {
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d | %d | %d | %d |", t.family, t.runs, t.faults, t.struck, t.first, t.recover, t.retried, t.swept, t.failed)
		for _, kind := range kinds {
			fmt.Fprintf(&b, " %d |", t.wrongs[kind])
		}
		fmt.Fprintf(&b, " %.0f |\n", t.took.Seconds()/float64(max(1, t.runs)))
	}
	return b.String()
}
