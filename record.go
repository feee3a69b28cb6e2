package helmexec

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sut-bench/helmexec/chart"
	"github.com/sut-bench/helmexec/internal/argument"
	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/helmtext"
	"github.com/sut-bench/helmexec/internal/pattern"
)

// record is what Helm stores about one revision.
type record struct {
	Partial         bool // it was too large: chart, manifest and hooks are not known
	Name, Namespace string
	Revision        int
	Status          Status
	Installed       string // when the release was, which no upgrade changes
	Updated         string
	Description     hexText
	Notes           hexText // the first maxNotes bytes
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

const recordTimes = `"Installed":"{{.FirstDeployed.Format "` + time.RFC3339Nano + `"}}","Updated":"{{.LastDeployed.Format "` + time.RFC3339Nano + `"}}",`

const maxNotes = 64 << 10

// recordTemplate prints a record as JSON, free text in hexadecimal digits. "helm get all" with a
// template is the one command that prints chart, labels, manifest and hooks of a release in any
// state, on Helm 3 and 4, from one read of one release. "helm list", which can select by labels,
// reads and decodes every release of the namespace.
const recordTemplate = `{{define "x"}}"{{printf "%x" .}}"{{end}}{{with .Release}}{` +
	`"Name":"{{.Name}}","Namespace":"{{.Namespace}}","Revision":{{.Version}},` +
	`{{with .Info}}"Status":"{{.Status}}",` + recordTimes +
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
	`{{with .Info}}"Status":"{{.Status}}",` + recordTimes + `{{end}}` +
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
	if len(out) == 0 {
		return nil, badOutput("get all", errSilent)
	}
	rec, err := parseRecord(out)
	if err != nil {
		return nil, badOutput("get all", err)
	}
	return rec, nil
}

// errSilent: a helm that succeeds always prints the record, so this is no helm, but a script that a test puts in its place.
var errSilent = errors.New("it printed nothing, as a script in the place of helm does")

// unseen is the record of a release that a silent script cannot show.
func unseen(t target, release string, ch *Chart) *record {
	rec := &record{Partial: true, Name: release, Namespace: t.namespace, Revision: 1, Status: StatusDeployed}
	if ch != nil {
		rec.Chart, rec.ChartVersion, rec.AppVersion = hexText(ch.Metadata.Name), hexText(ch.Metadata.Version), hexText(ch.Metadata.AppVersion)
	}
	return rec
}

// printedRecord is as much of a record as helm prints at the end of an install or upgrade, with the labels that it has.
func printedRecord(rel *helmtext.PrintedRelease, labels map[string]string) *record {
	rec := &record{
		Partial: true, Name: rel.Name, Namespace: rel.Namespace, Revision: rel.Version, Status: Status(rel.Info.Status),
		Installed: rel.Info.FirstDeployed, Updated: rel.Info.LastDeployed, Description: hexText(rel.Info.Description),
		Notes: hexText(rel.Info.Notes[:min(len(rel.Info.Notes), maxNotes)]), Chart: hexText(rel.Chart.Metadata.Name),
		ChartVersion: hexText(rel.Chart.Metadata.Version), AppVersion: hexText(rel.Chart.Metadata.AppVersion),
	}
	for _, k := range sortedKeys(labels) {
		rec.Labels = append(rec.Labels, &struct{ Key, Value string }{k, labels[k]})
	}
	return rec
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
	return sameTry(r.labels(), other.labels()) && r.Revision == other.Revision && r.Updated == other.Updated
}

// sameTry reports whether the labels of two records are those of one try.
func sameTry(a, b map[string]string) bool {
	return !slices.ContainsFunc([]string{labelInstall, labelUpgrade, labelTry, labelHome, labelUntil, labelSweep}, func(label string) bool {
		return a[label] != b[label]
	})
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

// The labels that an operation puts on the release record. An upgrade inherits labels, so the key
// of the install survives it.
const (
	labelPrefix   = "helmexec/"
	labelInstall  = labelPrefix + "install"  // the operation that installed the release
	labelUpgrade  = labelPrefix + "upgrade"  // the operation that last upgraded it
	labelJob      = labelPrefix + "job"      // the job it belongs to
	labelDeadline = labelPrefix + "deadline" // Unix seconds: by then its job is over
	labelHome     = labelPrefix + "home"     // the home whose helm wrote the record
	labelLock     = labelPrefix + "lock"     // the file in that home that is locked as long as that helm lives
	labelUntil    = labelPrefix + "until"    // Unix seconds: by then that helm has ended
	labelBase     = labelPrefix + "base"     // the revision that an upgrade found
	labelPlan     = labelPrefix + "plan"     // the digest of the plan that it applied
	labelTry      = labelPrefix + "try"      // one helm of an upgrade: it made the first revision with this label; later ones inherit it

	labelSweep     = labelPrefix + "sweep"            // set on a release that exists only to be uninstalled, see sweep
	labelNamespace = labelPrefix + "create-namespace" // set when the install was to make the namespace
	labelCRDs      = labelPrefix + "crds-"            // and a number: the names of the CRDs of subcharts, see packNames
)

// hashedLabel matches the hashes that labelValueOf makes.
var hashedLabel = pattern.New(`^sha256-[0-9a-f]{40}$`)

// labelValueOf gives each text a unique label value: the text if it is legal and does not look like a hash,
// otherwise its hash. Helm removes a label with the value null.
func labelValueOf(text string) string {
	if text != "" && text != "null" && argument.IsLabelValue(text) && !hashedLabel().MatchString(text) {
		return text
	}
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + hex.EncodeToString(sum[:20])
}

func unixLabel(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

// labels are the labels that one try writes on the record.
func (op *operation) labels(opts InstallOptions, base int, until time.Time) map[string]string {
	all := map[string]string{op.label: op.id, labelHome: op.home, labelLock: op.lock, labelUntil: unixLabel(until)}
	if op.label == labelUpgrade {
		all[labelBase], all[labelTry] = strconv.Itoa(base), op.host.newID()
	}
	if op.plan != "" {
		all[labelPlan] = op.plan
	}
	for k, v := range opts.Labels {
		all[k] = v
	}
	if opts.JobID != "" {
		all[labelJob] = labelValueOf(opts.JobID)
	}
	if !opts.Deadline.IsZero() {
		all[labelDeadline] = unixLabel(opts.Deadline)
	}
	if opts.CreateNamespace {
		all[labelNamespace] = "true"
	}
	packNames(all, op.crds)
	return all
}

func joinLabels(all map[string]string) string {
	var pairs []string
	for _, k := range sortedKeys(all) {
		pairs = append(pairs, k+"="+all[k])
	}
	return strings.Join(pairs, ",")
}

// reservedLabel reports whether Helm reserves a label of the release record for itself.
func reservedLabel(k string) bool {
	return slices.Contains([]string{"name", "owner", "status", "version", "createdAt", "modifiedAt"}, k)
}

// validateLabels checks the labels of a release record.
func validateLabels(labels map[string]string) error {
	if err := argument.Labels(labels); err != nil {
		return err
	}
	for _, k := range sortedKeys(labels) {
		switch {
		case reservedLabel(k):
			return errdef.Invalidf("label %q is reserved by Helm", k)
		case strings.HasPrefix(k, labelPrefix):
			return errdef.Invalidf("label %q: the prefix %s is used by helmexec itself", k, labelPrefix)
		}
	}
	return nil
}

const (
	nameSeparator  = "_" // no name of an object contains it
	maxPackedNames = 32 << 10
	labelBytes     = 61 // a value has 63, and must begin and end with a letter
)

// packNames puts names into labels of a record.
func packNames(into map[string]string, names []string) {
	text := strings.Join(names, nameSeparator)
	for i := 0; text != ""; i++ {
		n := min(len(text), labelBytes)
		into[fmt.Sprint(labelCRDs, i)] = "x" + text[:n] + "x"
		text = text[n:]
	}
}

// unpackNames is the reverse of packNames.
func unpackNames(labels map[string]string) []string {
	var text strings.Builder
	for i := 0; ; i++ {
		value, ok := labels[fmt.Sprint(labelCRDs, i)]
		if !ok || len(value) < 3 {
			break
		}
		text.WriteString(value[1 : len(value)-1])
	}
	return strings.FieldsFunc(text.String(), func(r rune) bool { return string(r) == nameSeparator })
}
