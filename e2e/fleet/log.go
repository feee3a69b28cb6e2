package fleet

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"time"
)

// Deliveries is what the logs of the workers say.
type Deliveries struct {
	All     int
	Again   []Delivery // those whose predecessor gave no answer that counted
	Helms   int        // helm processes
	Changes int        // of these, the ones that changed a release
}

// Delivery is one activity that a worker was given.
type Delivery struct {
	Home, Workflow, Run, Activity, ID string
	Attempt                           int
	Changing                          bool // the predecessor was ended while one of its helms changed a release

	at       time.Time
	answered bool
	kind     string // of the error that it answered with
	changing int    // helms that change a release, begun and not ended
	cutShort bool   // such a helm was ended early
}

// line is a line of a worker's log.
type line struct {
	Time                                    time.Time
	Msg                                     string
	Home, Workflow, Run, Activity, ID, Kind string
	Attempt                                 int
	Changes                                 bool
}

// Deliveries reads the logs of all workers.
func (l *Lab) Deliveries() (d Deliveries, err error) {
	type key struct {
		home, run, id string
		attempt       int
	}
	found := map[key]*Delivery{}
	var all []*Delivery
	for _, w := range l.workers {
		text, err := os.ReadFile(w.log())
		if err != nil {
			return d, err
		}
		lines := bufio.NewScanner(bytes.NewReader(text))
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var at line
			if json.Unmarshal(lines.Bytes(), &at) != nil {
				continue // cut off by a kill
			}
			k := key{at.Home, at.Run, at.ID, at.Attempt}
			this := found[k]
			switch {
			case at.Msg == "delivered":
				this = &Delivery{Home: at.Home, Workflow: at.Workflow, Run: at.Run, Activity: at.Activity, ID: at.ID, Attempt: at.Attempt, at: at.Time}
				found[k] = this
				all = append(all, this)
			case at.Msg == "helm begins":
				d.Helms++
				if at.Changes {
					d.Changes++
				}
				if at.Changes && this != nil {
					this.changing++
				}
			case this == nil:
			case at.Msg == "helm ended" && at.Changes:
				this.changing--
				this.cutShort = this.cutShort || at.Kind == "Canceled"
			case at.Msg == "answered":
				this.answered, this.kind = true, at.Kind
			}
		}
	}
	slices.SortFunc(all, func(a, b *Delivery) int { return a.at.Compare(b.at) })
	d.All = len(all)
	last := map[[2]string]*Delivery{}
	for _, this := range all {
		step := [2]string{this.Run, this.Activity}
		if before := last[step]; before != nil && before.lost(this) {
			this.Changing = before.changing > 0 || before.cutShort
			d.Again = append(d.Again, *this)
		}
		last[step] = this
	}
	return d, nil
}

// lost reports whether a delivery of a step gave no answer that counted, since the next one repeats it.
func (d *Delivery) lost(next *Delivery) bool {
	switch {
	case !d.answered, d.kind == "Canceled":
		return true
	case d.kind != "":
		return false
	}
	return d.ID == next.ID || d.Activity == "Apply"
}
