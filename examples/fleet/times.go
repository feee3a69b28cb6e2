package main

import (
	"cmp"
	"time"
)

// Times are how long the steps of a job may take. Zero fields take the defaults, which suit a lab.
type Times struct {
	// Heartbeat is how long a host may be silent. After it a step is delivered again.
	Heartbeat Duration `json:"heartbeat,omitempty"` // 30 s
	// Move is how long a step waits for the home that has the job's locks, before another home gets it.
	Move Duration `json:"move,omitempty"` // 2 min
	// Ready is how long helm waits for each hook, and for readiness.
	Ready Duration `json:"ready,omitempty"` // 5 min
	// Grace is the grace period of the workers' helms. A worker whose own is longer refuses to apply.
	Grace Duration `json:"grace,omitempty"` // 30 s

	// These are for one delivery of a step. Apply bounds when another home may take over from a lost host: by the end of
	// its context or 4 × Ready, whichever is later, and 4 × Grace.
	Plan      Duration `json:"plan,omitempty"`      // 5 min
	Apply     Duration `json:"apply,omitempty"`     // 20 min
	Measure   Duration `json:"measure,omitempty"`   // 1 h
	Uninstall Duration `json:"uninstall,omitempty"` // 10 min
}

func (t Times) withDefaults() Times {
	set := func(d Duration, standard time.Duration) Duration { return cmp.Or(d, Duration{standard}) }
	return Times{
		Heartbeat: set(t.Heartbeat, 30*time.Second), Move: set(t.Move, 2*time.Minute),
		Ready: set(t.Ready, 5*time.Minute), Grace: set(t.Grace, 30*time.Second),
		Plan: set(t.Plan, 5*time.Minute), Apply: set(t.Apply, 20*time.Minute),
		Measure: set(t.Measure, time.Hour), Uninstall: set(t.Uninstall, 10*time.Minute),
	}
}

// Duration is written as "90s" or "5m".
type Duration struct{ time.Duration }

func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

func (d *Duration) UnmarshalText(text []byte) (err error) {
	d.Duration, err = time.ParseDuration(string(text))
	return err
}
