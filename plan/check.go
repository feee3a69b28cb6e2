package plan

import (
	"fmt"

	"github.com/sut-bench/helmexec/internal/redact"
	"github.com/sut-bench/helmexec/manifest"
)

// Finding is what a rule has against a plan.
type Finding struct {
	Rule   string // its name
	Object manifest.ObjectRef
	Path   string // in the object, "" for all of it
	Value  string // what stands there, "" for what is missing; a part of what is long
	Text   string // what is wrong, for people
}

// String is a printable line: rule, object, path, text and value.
func (f Finding) String() string {
	line := f.Rule + ": " + f.Object.String()
	if f.Path != "" {
		line += " " + f.Path
	}
	line += ": " + f.Text
	if f.Value != "" {
		line += ": " + f.Value
	}
	return redact.Line(line)
}

// Rule finds faults in a plan.
type Rule func(*Plan) []Finding

// Check gives what the rules find, in their order. A plan that neither New nor Load has made, such as the zero Plan, has one
// finding, of the rule "plan": there is nothing in it that the rules could judge. A nil rule is a panic.
func (p *Plan) Check(rules ...Rule) []Finding {
	for i, rule := range rules {
		if rule == nil {
			panic(fmt.Sprintf("plan: Check: rule %d of %d is nil", i+1, len(rules)))
		}
	}
	if err := p.checkMade(); err != nil {
		return []Finding{{Rule: "plan", Text: err.Error()}}
	}
	var all []Finding
	for _, rule := range rules {
		all = append(all, rule(p)...)
	}
	return all
}
