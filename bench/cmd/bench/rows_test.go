package main

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/sut-bench/helmexec/bench/internal/job"
)

func TestCountWhole(t *testing.T) {
	step := func(name string, helms map[string]int) job.Step { return job.Step{Name: name, Helms: helms} }
	first := []job.Step{
		step("resolve", nil), step("images", nil), step("install", map[string]int{"install": 1, "get": 1}), step("status", map[string]int{"get": 1}),
	}
	for name, c := range map[string]struct {
		steps []job.Step
		want  [3]int // helms, looks, allowed
	}{
		"one step":                         {append(first[:4:4], step("uninstall", map[string]int{"get": 1, "uninstall": 1})), [3]int{5, 0, 5}},
		"two steps, with looks":            {append(first[:4:4], step("uninstall", map[string]int{"get": 1, "uninstall": 2, "template": 3})), [3]int{6, 3, 6}},
		"a render is no look":              {append([]job.Step{step("images", map[string]int{"template": 1})}, first[2:]...), [3]int{4, 0, 5}},
		"a look while an install waits":    {[]job.Step{step("install", map[string]int{"install": 1, "status": 2})}, [3]int{1, 2, 5}},
		"what the caller asked is no look": {[]job.Step{step("status", map[string]int{"status": 1})}, [3]int{1, 0, 5}},
	} {
		w := countWhole(job.Report{Steps: c.steps})
		if got := [3]int{w.helms, w.looks, w.allowed}; got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

func TestDepartures(t *testing.T) {
	for _, c := range []struct {
		share           []float64
		late            time.Duration // of the first
		decided, inTime bool
	}{
		{[]float64{0.2, 0.3}, 0, false, true},
		{[]float64{0.2, 0.3, 0.2}, 0, true, true},
		{[]float64{3, 0.3, 3}, 0, true, false},
		{[]float64{0.95, 0.3, 3}, 0, false, true},
		{[]float64{0.95, 0.3, 3, 0.95, 1.05}, 0, true, true},
		{[]float64{0.2, 0.3, 0.2}, -time.Second, true, false}, // it did not wait
	} {
		d := departures{share: c.share, late: []time.Duration{c.late}}
		if d.decided() != c.decided || d.inTime() != c.inTime {
			t.Errorf("%v: decided %v, in time %v", c, d.decided(), d.inTime())
		}
	}
}

// TestPairs: a pair that was slow on both sides changes nothing.
func TestPairs(t *testing.T) {
	ours := []cost{{wall: 11}, {wall: 33}, {wall: 12}}
	theirs := []cost{{wall: 10}, {wall: 30}, {wall: 8}}
	if got := pairs(ours, theirs, wall); fmt.Sprintf("%.2f", got) != "1.10" {
		t.Errorf("ratio %v", got)
	}
	if got := beyond(ours, theirs, wall); got != 3 {
		t.Errorf("difference %v", got)
	}
}

func TestLastPod(t *testing.T) {
	p := &pods{there: map[string]map[string]bool{}, gone: map[string]time.Time{}}
	event := func(kind, uid string) {
		p.event(kind, json.RawMessage(fmt.Sprintf(`{"metadata": {"uid": %q, "labels": {"app": "web"}}}`, uid)))
	}
	if _, err := p.lastGone(t.Context(), "web"); err == nil {
		t.Error("a release without pods has a last one")
	}
	for _, e := range [][2]string{{"ADDED", "a"}, {"ADDED", "b"}, {"MODIFIED", "a"}, {"DELETED", "a"}} {
		event(e[0], e[1])
	}
	if !p.gone["web"].IsZero() {
		t.Error("gone with one pod left")
	}
	before := time.Now()
	event("DELETED", "b")
	at, err := p.lastGone(t.Context(), "web")
	if err != nil || at.Before(before) {
		t.Errorf("gone at %v: %v", at, err)
	}
}
