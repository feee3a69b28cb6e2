package view

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/cmd/helmexec/internal/gate"
	"github.com/sut-bench/helmexec/plan"
)

// Plan is what would run, and what the rules have against it.
type Plan struct {
	Release     string         `json:"release" doc:"name of the release"`
	Namespace   string         `json:"namespace,omitempty" doc:"its namespace"`
	Upgrade     bool           `json:"upgrade" doc:"of a release that exists"`
	Base        int            `json:"base,omitempty" doc:"the revision that an upgrade was planned over"`
	Chart       PlannedChart   `json:"chart" doc:"what was rendered"`
	Digest      string         `json:"digest" doc:"names the plan: what apply --digest takes"`
	RecordSize  int            `json:"recordSize" doc:"bytes of the release record, about"`
	Cluster     string         `json:"cluster,omitempty" doc:"the cluster that it is for: the UID of kube-system"`
	KubeVersion string         `json:"kubeVersion,omitempty" doc:"the version of Kubernetes that the chart asked for"`
	Images      Images         `json:"images" doc:"its images, nothing left out"`
	GPUs        GPUs           `json:"gpus" doc:"its accelerators"`
	Objects     []Place        `json:"objects" doc:"its objects"`
	Hooks       []Place        `json:"hooks" doc:"its hooks, tests among them"`
	CRDs        []Place        `json:"crds" doc:"the custom resource definitions that it creates first"`
	Values      map[string]any `json:"values" doc:"the values of the user"`
	Verdict
}

// PlannedChart is the chart of a plan.
type PlannedChart struct {
	Name       string `json:"name" doc:"name of the chart"`
	Version    string `json:"version" doc:"its version"`
	AppVersion string `json:"appVersion,omitempty" doc:"version of what it installs"`
	Digest     string `json:"digest,omitempty" doc:"sha256:… of the archive"`
	SigningKey string `json:"signingKey,omitempty" doc:"fingerprint of the key that signed it, if a keyring was given"`
}

// Verdict is what the rules say of a plan.
type Verdict struct {
	Policy   gate.Policy        `json:"policy" doc:"the rules, as in a policy file"`
	Allowed  bool               `json:"allowed" doc:"no rule has anything against it, and it fits"`
	Findings []Finding          `json:"findings" doc:"what the rules have against it"`
	Misfits  []Misfit           `json:"misfits" doc:"workloads that the nodes cannot run"`
	Nodes    []map[string]int64 `json:"nodes,omitempty" doc:"with --nodes-from-cluster: the accelerators that each node has free"`
}

// Finding is what one rule has against a plan.
type Finding struct {
	Rule   string `json:"rule" doc:"name of the rule"`
	Object Object `json:"object" doc:"the object"`
	Path   string `json:"path,omitempty" doc:"the field in it"`
	Value  string `json:"value,omitempty" doc:"what stands there"`
	Text   string `json:"text" doc:"what is wrong"`
}

// Misfit is a workload that the nodes cannot run.
type Misfit struct {
	Object   Object `json:"object" doc:"the object"`
	Unplaced int64  `json:"unplaced" doc:"pods without a node"`
	Reason   string `json:"reason" doc:"why"`
}

// Check is the answer of a gate.
type Check struct {
	Release string       `json:"release" doc:"name of the release"`
	Chart   PlannedChart `json:"chart" doc:"what was rendered"`
	Digest  string       `json:"digest" doc:"names the plan"`
	Verdict
}

// Against counts what the rules have against a plan: "2 findings, 1 workload that does not fit on the nodes".
func (v Verdict) Against() string {
	var all []string
	if n := len(v.Findings); n > 0 {
		all = append(all, Count(n, "finding", "findings"))
	}
	if n := len(v.Misfits); n > 0 {
		all = append(all, Count(n, "workload that does not fit on the nodes", "workloads that do not fit on the nodes"))
	}
	return strings.Join(all, ", ")
}

// FirstOf says what the first finding is, and how many more there are.
func FirstOf(all []Finding) string {
	text := fmt.Sprintf("%s: %s %s: %s", all[0].Rule, all[0].Object, all[0].Path, all[0].Text)
	if all[0].Value != "" {
		text += ": " + all[0].Value
	}
	if len(all) > 1 {
		text += fmt.Sprintf("; and %s", Count(len(all)-1, "more finding", "more findings"))
	}
	return text
}

// Count is a number of things: "1 finding", "2 findings".
func Count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// VerdictOf holds a plan against the rules.
func VerdictOf(p *plan.Plan, rules gate.Policy) Verdict {
	findings, misfits := rules.Check(p)
	v := Verdict{Policy: rules, Allowed: len(findings)+len(misfits) == 0, Findings: []Finding{}, Misfits: []Misfit{}}
	for _, f := range findings {
		text := Advice(f.Text)
		if slices.ContainsFunc(p.CRDs, func(c helmexec.Place) bool { return c.Object == f.Object }) && f.Path == "kind" {
			text += " (--skip-crds, in a job file skipCRDs of the SUT, leaves it out; the lab installs it)"
		}
		v.Findings = append(v.Findings, Finding{f.Rule, ObjectOf(f.Object), f.Path, f.Value, text})
	}
	for _, m := range misfits {
		v.Misfits = append(v.Misfits, Misfit{ObjectOf(m.Object), m.Unplaced, m.Reason})
	}
	return v
}

// PlanOf shows a plan.
func PlanOf(p *plan.Plan, v Verdict) Plan {
	values := map[string]any(p.Values)
	if values == nil {
		values = map[string]any{}
	}
	return Plan{
		Release: p.Release, Namespace: p.Namespace, Upgrade: p.Upgrade, Base: p.Base,
		Chart:  PlannedChart{p.Chart.Name, p.Chart.Version, p.Chart.AppVersion, p.ChartDigest, p.SigningKey},
		Digest: p.Digest(), RecordSize: p.RecordSize(), Cluster: p.Cluster, KubeVersion: p.KubeVersion,
		Images: ImagesOf(p.Images), GPUs: GPUsOf(p.GPUs), Objects: placesOf(p.Objects), Hooks: placesOf(p.Hooks), CRDs: placesOf(p.CRDs),
		Values: values, Verdict: v,
	}
}

// CheckOf shows the verdict on a plan.
func CheckOf(p *plan.Plan, v Verdict) Check {
	return Check{p.Release, PlannedChart{p.Chart.Name, p.Chart.Version, p.Chart.AppVersion, p.ChartDigest, p.SigningKey}, p.Digest(), v}
}

func placesOf(places []helmexec.Place) []Place {
	all := []Place{}
	for _, p := range places {
		all = append(all, PlaceOf(p))
	}
	return all
}

// Diff is what applying a plan would change.
type Diff struct {
	Release string   `json:"release" doc:"name of the release"`
	Digest  string   `json:"digest" doc:"names the plan"`
	Changes []Change `json:"changes" doc:"objects, hooks and CRDs that differ, by name"`
}

// Change is an object that would change.
type Change struct {
	Object Object   `json:"object" doc:"the object"`
	Change string   `json:"change" doc:"added, changed or dropped"`
	Lines  []string `json:"lines,omitempty" doc:"with --full: its lines, each after a space, - or +"`
}

// Retag is how a chart runs from mirrors.
type Retag struct {
	Changed []Retagged     `json:"changed" doc:"places that name another image now"`
	Failed  []Retagged     `json:"failed" doc:"places that should have changed but could not"`
	Images  []Mirrored     `json:"images" doc:"what to copy"`
	Values  map[string]any `json:"values" doc:"values with which the chart names the mirrors itself"`
	Missed  []string       `json:"missed" doc:"images that these values do not name: the chart has no value for them in a usual place"`
	Unused  []string       `json:"unused,omitempty" doc:"what was given as --mirror, and no image is from"`
}

// Retagged is a place of an image.
type Retagged struct {
	Place
	From   string `json:"from" doc:"the image before"`
	To     string `json:"to,omitempty" doc:"the image after"`
	Reason string `json:"reason,omitempty" doc:"why it stayed"`
}

// Mirrored is an image and its mirror.
type Mirrored struct {
	Image  string `json:"image" doc:"the image in full"`
	Mirror string `json:"mirror" doc:"its mirror"`
}

// RetaggedOf shows places.
func RetaggedOf(all []helmexec.Retagged) []Retagged {
	places := []Retagged{}
	for _, r := range all {
		places = append(places, Retagged{PlaceOf(r.Place), r.From, r.To, r.Reason})
	}
	return places
}
