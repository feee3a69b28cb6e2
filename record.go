package helmexec

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sut-bench/helmexec/chart"
)

// record is what Helm stores about one revision.
type record struct {
	Partial         bool // it was too large: chart, manifest and hooks are not known
	Name, Namespace string
	Revision        int
	Status          Status
	Updated         string
	Description     hexText
	Notes           hexText // the first 64 KiB
	Chart           hexText
	ChartVersion    hexText
	AppVersion      hexText
	Manifest        hexText
	Labels          []*struct{ Key, Value string }
	CRDs            []hexText // the documents of the chart's crds folder
	Hooks           []*hook
}

// hook is one hook of a revision, with the result of its last run.
type hook struct {
	Name, Kind     hexText
	Phase          string  // "" when it never ran; Unknown, Running, Succeeded, Failed
	Events         hexText // "[pre-install post-upgrade]"
	DeletePolicies hexText // as the chart has them: Helm checks none
	Manifest       hexText
}

// recordTemplate prints a record as JSON, free text in hexadecimal digits. "helm get all" with a
// template is the one command that prints chart, labels, manifest and hooks of a release in any
// state, on Helm 3 and 4, from one read of one release. "helm list", which can select by labels,
// reads and decodes every release of the namespace.
const recordTemplate = `{{define "x"}}"{{printf "%x" .}}"{{end}}{{with .Release}}{` +
	`"Name":"{{.Name}}","Namespace":"{{.Namespace}}","Revision":{{.Version}},` +
	`{{with .Info}}"Status":"{{.Status}}","Updated":"{{.LastDeployed.Format "2006-01-02T15:04:05.999999999Z07:00"}}",` +
	`"Description":{{template "x" .Description}},"Notes":"{{printf "%.65536x" .Notes}}",{{end}}` +
	`{{with .Chart}}{{with .Metadata}}"Chart":{{template "x" .Name}},"ChartVersion":{{template "x" .Version}},"AppVersion":{{template "x" .AppVersion}},{{end}}` +
	`"CRDs":[{{range .CRDObjects}}{{template "x" .File.Data}},{{end}}null],{{end}}` +
	`"Labels":[{{range $k, $v := .Labels}}{"Key":"{{$k}}","Value":"{{$v}}"},{{end}}null],` +
	`"Hooks":[{{range .Hooks}}{"Name":{{template "x" .Name}},"Kind":{{template "x" .Kind}},"Phase":"{{.LastRun.Phase}}",` +
	`"Events":{{template "x" (printf "%v" .Events)}},"DeletePolicies":{{template "x" (printf "%v" .DeletePolicies)}},"Manifest":{{template "x" .Manifest}}},{{end}}null],` +
	`"Manifest":{{template "x" .Manifest}}}{{end}}`

// hexText is text that a template printed in hexadecimal digits.
type hexText string

func (t *hexText) UnmarshalText(b []byte) error {
	text, err := hex.DecodeString(string(b))
	*t = hexText(text)
	return err
}

// slimTemplate leaves out everything that the chart's author can make large.
const slimTemplate = `{{with .Release}}{"Partial":true,` +
	`"Name":"{{.Name}}","Namespace":"{{.Namespace}}","Revision":{{.Version}},` +
	`{{with .Info}}"Status":"{{.Status}}","Updated":"{{.LastDeployed.Format "2006-01-02T15:04:05.999999999Z07:00"}}",{{end}}` +
	`"Labels":[{{range $k, $v := .Labels}}{"Key":"{{$k}}","Value":"{{$v}}"},{{end}}null]}{{end}}`

// record reads one revision of a release; revision 0 is the latest. If the record is too large, it
// reads only the part that nobody can make large, so that a release can always be removed.
func (h *Helm) record(ctx context.Context, t target, release string, revision int) (*record, error) {
	rec, err := h.readRecord(ctx, t, release, revision, recordTemplate)
	var bad *json.SyntaxError
	if errors.Is(err, ErrOutputTooLarge) || errors.As(err, &bad) {
		return h.readRecord(ctx, t, release, revision, slimTemplate)
	}
	return rec, err
}

func (h *Helm) readRecord(ctx context.Context, t target, release string, revision int, template string) (*record, error) {
	a := args{"get", "all", "--template=" + template}
	a.number("--revision", revision)
	a.add(t.flags()...)
	a.add("--", release)
	out, err := h.run(ctx, invocation{args: a, cluster: true})
	if err != nil {
		return nil, err
	}
	rec, err := parseRecord(out)
	if err != nil {
		return nil, badOutput("get all", err)
	}
	return rec, nil
}

func parseRecord(out []byte) (*record, error) {
	var rec record
	if err := json.Unmarshal(out, &rec); err != nil {
		return nil, err
	}
	// The template ends every list with a null.
	rec.Hooks = slices.DeleteFunc(rec.Hooks, func(t *hook) bool { return t == nil })
	return &rec, nil
}

// same reports whether two records are of one revision, made by the same try, even if its status
// has changed.
func (r *record) same(other *record) bool {
	a, b := r.labels(), other.labels()
	for _, label := range []string{labelInstall, labelUpgrade, labelTry, labelHome, labelUntil, labelSweep} {
		if a[label] != b[label] {
			return false
		}
	}
	return r.Revision == other.Revision && r.Updated == other.Updated
}

// follows reports whether a record is a later revision of the same install.
func (r *record) follows(other *record) bool {
	install := r.labels()[labelInstall]
	return install != "" && install == other.labels()[labelInstall] && r.Revision > other.Revision
}

func (r *record) labels() map[string]string {
	labels := map[string]string{}
	for _, l := range r.Labels {
		if l != nil && !reservedLabel(l.Key) {
			labels[l.Key] = l.Value
		}
	}
	return labels
}

func (r *record) release() *Release {
	rel := &Release{
		Name: r.Name, Namespace: r.Namespace, Revision: r.Revision, Status: r.Status,
		ChartName: string(r.Chart), ChartVersion: string(r.ChartVersion), AppVersion: string(r.AppVersion),
		Description: string(r.Description), Notes: string(r.Notes), Labels: r.labels(),
	}
	rel.Updated, _ = time.Parse(time.RFC3339Nano, r.Updated)
	return rel
}

// has reports whether a bracketed list has a word.
func (t *hook) has(list hexText, word string) bool {
	for _, w := range strings.Fields(strings.Trim(string(list), "[]")) {
		if w == word {
			return true
		}
	}
	return false
}

// hasHook reports whether the release has a hook for an event.
func (r *record) hasHook(event string) bool {
	return slices.ContainsFunc(r.Hooks, func(t *hook) bool { return t.has(t.Events, event) })
}

const crdKind = "CustomResourceDefinition"

// chartCRDs is the content of the crds folders of a chart, which Helm creates first and never removes.
// The record of a release has those of the chart itself, but not those of its subcharts.
type chartCRDs struct {
	own, sub []Remain
}

// crdsOf reads them. A subchart that the values switch off is read too: only Helm knows whether it
// makes its CRDs, and before they are reported we check that they exist.
func (h *Helm) crdsOf(ch *Chart) (crds chartCRDs, err error) {
	if !ch.bringsCRDs {
		return crds, nil
	}
	files, err := chart.ReadCRDs(ch.Path, chart.Options{Name: ch.Ref, Limits: chart.Limits{Archive: h.cfg.Limits.Archive}})
	for _, file := range files.Own {
		crds.own = append(crds.own, crdObjects(file)...)
	}
	for _, file := range files.Sub {
		crds.sub = append(crds.sub, crdObjects(file)...)
	}
	if names := len(strings.Join(crds.names(), nameSeparator)); err == nil && names > maxPackedNames {
		err = fmt.Errorf("chart %s: %w: its subcharts bring %d CRDs", ch.Ref, ErrOutputTooLarge, len(crds.sub))
	}
	return crds, err
}

// names are the names of the CRDs of subcharts.
func (c chartCRDs) names() []string {
	var names []string
	for _, r := range c.sub {
		if r.Kind == crdKind {
			names = append(names, r.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
