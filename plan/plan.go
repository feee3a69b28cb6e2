// Package plan holds what an install or upgrade of a chart is going to apply: the objects, rendered once, as
// Kubernetes decodes them. A plan is looked at, checked and changed, and then applied as it is: what ran through a
// check is what runs. The package starts no process and contacts no cluster; package helmexec makes plans and applies
// them.
package plan

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/sut-bench/helmexec/chart"
	"github.com/sut-bench/helmexec/internal/callback"
	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/pattern"
	"github.com/sut-bench/helmexec/manifest"
)

// The kinds of failure. They are those of package helmexec.
var (
	// ErrBadManifest: something rendered cannot be applied as it was shown.
	ErrBadManifest = errdef.ErrBadManifest
	// ErrTooLarge: the release record would be larger than Kubernetes stores.
	ErrTooLarge = errdef.ErrOutputTooLarge
	// ErrBadPlan: a file is not a plan, or one of another version of this package; or a Plan is the zero one.
	ErrBadPlan = errdef.ErrBadPlan
)

// Input is what a plan is made of.
type Input struct {
	Release, Namespace string
	Upgrade            bool
	Base               int // the revision that an upgrade was planned over; 0 for an install

	// Cluster is the UID of the namespace kube-system, "" if any cluster will do. KubeVersion and APIs are what the
	// chart asked about it: its version, "" if the chart did not ask, and for each API whether it was served.
	Cluster, KubeVersion string
	APIs                 map[string]bool

	Chart       chart.Metadata // only Name, Version, AppVersion and KubeVersion are kept
	ChartDigest string
	SigningKey  string       // the fingerprint of the key that signed the archive, "" if nobody verified that
	Values      chart.Values // the user's
	Defaults    chart.Values // the chart's, with those of its subcharts
	Notes       string

	// Rendered are the objects and hooks, CRDs the definitions that the chart brings beside them.
	Rendered, CRDs manifest.Manifest
}

// Plan is what an install or upgrade applies. Its fields are for reading: what is applied are the documents that they
// were derived from.
type Plan struct {
	Release, Namespace string
	Upgrade            bool
	Base               int // the revision that an upgrade was planned over; 0 for an install
	Chart              chart.Metadata
	ChartDigest        string // of the archive that was rendered; "" for a folder
	SigningKey         string // the fingerprint of the key that signed the archive; "" if no Keyring was given
	Values             chart.Values
	Notes              string

	// Cluster is the UID of the namespace kube-system, "" if any cluster will do. KubeVersion and APIs are what the
	// chart asked about it: its version, "" if the chart did not ask, and for each API whether it was served.
	Cluster, KubeVersion string
	APIs                 map[string]bool

	// Images and GPUs are those of all objects, hooks and tests among them; nothing is excluded.
	Images *manifest.ImageReport
	GPUs   *manifest.GPUReport
	// Objects, Hooks and CRDs have every object of the plan once, with the items of a List in its place. A test is
	// a hook.
	Objects, Hooks, CRDs []manifest.Place

	defaults  chart.Values
	documents []manifest.Manifest // canonical, objects and hooks
	crds      []manifest.Manifest // canonical
	contents  []map[string]any    // of the objects of documents and crds, in their order
	places    []manifest.Place    // where they are
}

// New makes a plan.
//
// Errors: ErrBadManifest for a document that cannot be read or written, for an object twice, for a hook without an event, and for anything but a
// CustomResourceDefinition among the CRDs; ErrTooLarge; ErrInvalidArgument for a chart's name, a signing key, or a cluster's version or API that is none.
func New(ctx context.Context, in Input) (*Plan, error) {
	p := &Plan{
		Release: in.Release, Namespace: in.Namespace, Upgrade: in.Upgrade, Base: in.Base,
		Cluster: in.Cluster, KubeVersion: in.KubeVersion, APIs: in.APIs,
		Chart: chart.Metadata{
			APIVersion: "v2", Name: in.Chart.Name, Version: in.Chart.Version, AppVersion: in.Chart.AppVersion, KubeVersion: in.Chart.KubeVersion,
		},
		ChartDigest: in.ChartDigest, SigningKey: in.SigningKey, Values: in.Values.Normal(), defaults: in.Defaults.Normal(),
		Notes: strings.ToValidUTF8(in.Notes, "\ufffd"),
	}
	if err := p.Chart.Validate(); err != nil {
		return nil, errdef.Invalidf("plan: %v", err)
	}
	if p.SigningKey != "" && !fingerprint().MatchString(p.SigningKey) {
		return nil, errdef.Invalidf("plan: %.80q is not the fingerprint of a key", p.SigningKey)
	}
	if err := p.checkCluster(); err != nil {
		return nil, err
	}
	rendered, err := in.Rendered.Canonical(ctx)
	if err != nil {
		return nil, err
	}
	crds, err := in.CRDs.Canonical(ctx)
	if err != nil {
		return nil, fmt.Errorf("crds: %w", err)
	}
	p.documents, p.crds = p.keep(rendered), p.keep(crds)
	if err := p.derive(ctx); err != nil {
		return nil, err
	}
	return p, nil
}

// keep gives the texts of documents, and keeps what is in them.
func (p *Plan) keep(documents []manifest.Document) []manifest.Manifest {
	var texts []manifest.Manifest
	for _, document := range documents {
		texts = append(texts, document.Text)
		p.contents = append(p.contents, document.Objects...)
	}
	return texts
}

// All gives every object, hook and CRD of the plan with its content, as Kubernetes decodes it: a number is a json.Number.
// The content is the plan's own and must not be changed.
func (p *Plan) All() iter.Seq2[manifest.Place, map[string]any] {
	return func(yield func(manifest.Place, map[string]any) bool) {
		for i, place := range p.places {
			if !yield(place, p.contents[i]) {
				return
			}
		}
	}
}

// checkCluster refuses what is not fit for a template.
func (p *Plan) checkCluster() error {
	for text := range p.APIs {
		if !clusterText().MatchString(text) {
			return errdef.Invalidf("plan: %.80q is not an API", text)
		}
	}
	for _, text := range []string{p.Cluster, p.KubeVersion} {
		if text != "" && !clusterText().MatchString(text) {
			return errdef.Invalidf("plan: %.80q is not a version of Kubernetes, or the UID of a namespace", text)
		}
	}
	return nil
}

var fingerprint = pattern.New(`^[0-9A-F]{40,64}$`)

var clusterText = pattern.New(`^[0-9A-Za-z][0-9A-Za-z./+-]{0,400}$`)

// Manifest is the objects and hooks of the plan as one stream; CRDManifest that of its CRDs.
func (p *Plan) Manifest() manifest.Manifest { return join(p.documents) }

// CRDManifest is the CRDs that an install creates before everything else.
func (p *Plan) CRDManifest() manifest.Manifest { return join(p.crds) }

func join(documents []manifest.Manifest) manifest.Manifest {
	var all bytes.Buffer
	for _, text := range documents {
		all.WriteString("---\n")
		all.Write(text)
	}
	return all.Bytes()
}

// Transform returns a plan with its documents changed: each transform gets the objects and hooks in one call, and the
// CRDs, if there are some, in one of their own. What it returns is checked as what was rendered is. A panic of a transform
// is an error, and a transform that outlives the context is not waited for.
//
// Errors: those of the transforms; ErrInvalidArgument for a nil one; ErrBadPlan for a plan that nobody made; the error of ctx; as New.
func (p *Plan) Transform(ctx context.Context, all ...manifest.Transform) (*Plan, error) {
	if err := p.checkMade(); err != nil {
		return nil, err
	}
	change := func(m manifest.Manifest) (manifest.Manifest, error) {
		changed, err := callback.Run(ctx, func() (manifest.Manifest, error) { return manifest.Transforms(all...)(m) })
		if errors.Is(err, callback.ErrAbandoned) {
			err = fmt.Errorf("%w: %w", err, errdef.ContextError(ctx))
		}
		return changed, err
	}
	rendered, err := change(p.Manifest())
	if err != nil {
		return nil, err
	}
	var crds manifest.Manifest
	if len(p.crds) > 0 {
		if crds, err = change(p.CRDManifest()); err != nil {
			return nil, err
		}
	}
	return New(ctx, Input{
		Release: p.Release, Namespace: p.Namespace, Upgrade: p.Upgrade, Base: p.Base,
		Cluster: p.Cluster, KubeVersion: p.KubeVersion, APIs: p.APIs,
		Chart: p.Chart, ChartDigest: p.ChartDigest, SigningKey: p.SigningKey, Values: p.Values, Defaults: p.defaults, Notes: p.Notes,
		Rendered: rendered, CRDs: crds,
	})
}

// checkMade refuses a plan that neither New nor Load has made.
func (p *Plan) checkMade() error {
	if p == nil || p.Images == nil || p.GPUs == nil {
		return fmt.Errorf("%w: it is empty: a plan comes from Helm.Plan or plan.Load", ErrBadPlan)
	}
	return nil
}

// derive reads the fields from the documents, and refuses what cannot be applied as it reads.
func (p *Plan) derive(ctx context.Context) error {
	all, crds := p.Manifest(), p.CRDManifest()
	var errs [4]error
	p.Images, errs[0] = all.ImageReportContext(ctx, manifest.ImageOptions{})
	p.GPUs, errs[1] = all.GPUsContext(ctx, manifest.GPUOptions{})
	var places []manifest.Place
	places, errs[2] = all.IndexContext(ctx)
	p.CRDs, errs[3] = crds.IndexContext(ctx)
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	p.places = slices.Concat(places, p.CRDs)
	if len(p.places) != len(p.contents) {
		return fmt.Errorf("%w: its text has %d objects, of which Kubernetes decodes %d", ErrBadManifest, len(p.places), len(p.contents))
	}
	p.Objects, p.Hooks = nil, nil
	seen, twice := map[manifest.ObjectRef]bool{}, map[int][]manifest.ObjectRef{}
	for _, place := range places {
		if events, annotated := place.Annotations["helm.sh/hook"]; annotated && strings.Trim(events, " ") == "" {
			return fmt.Errorf("%w: %s has the annotation helm.sh/hook without an event, and Helm leaves it out", ErrBadManifest, place.Object)
		}
		if place.IsHook() {
			p.Hooks = append(p.Hooks, place)
			continue
		}
		p.Objects = append(p.Objects, place)
		ref := place.Object.In(p.Namespace)
		ref.Version = ""
		if seen[ref] {
			twice[place.Document] = append(twice[place.Document], place.Object)
		}
		seen[ref] = true
	}
	for document, refs := range twice {
		if err := generated(p.documents[document-1], refs); err != nil {
			return err
		}
	}
	for _, place := range p.CRDs {
		if place.Object.Kind != "CustomResourceDefinition" || place.Object.Group != "apiextensions.k8s.io" {
			return fmt.Errorf("%w: %s in the chart's crds, where a plan takes only CustomResourceDefinitions", ErrBadManifest, place.Object)
		}
	}
	if err := errors.Join(p.refuseRecords(), p.refuseReplaced()); err != nil {
		return err
	}
	if size := p.RecordSize(); size > maxRecord {
		return errdef.TooLarge("the release record", int64(size), maxRecord, "bytes")
	}
	return nil
}

// refuseRecords refuses objects that Helm would take for the record of a release: whoever uninstalls or rolls back that
// release runs what the record says, which no plan shows.
func (p *Plan) refuseRecords() error {
	const prefix, kind = "sh.helm.release.v1.", "helm.sh/release.v1"
	for _, document := range slices.Concat(p.documents, p.crds) {
		mentions := func(text string) bool { return bytes.Contains(document, []byte(text)) }
		if !mentions(prefix) && !mentions(kind) && !mentions("owner: helm") { // it is canonical, so nothing spells them otherwise
			continue
		}
		objects, err := document.Objects()
		if err != nil {
			return err
		}
		for _, object := range objects {
			metadata, _ := object["metadata"].(map[string]any)
			labels, _ := metadata["labels"].(map[string]any)
			name := fmt.Sprint(cmp.Or(metadata["name"], metadata["generateName"]))
			what := fmt.Sprint(object["kind"])
			forged := labels["owner"] == "helm" || object["type"] == kind || strings.HasPrefix(name, prefix)
			if forged && (what == "Secret" || what == "ConfigMap") {
				return fmt.Errorf("%w: %s %s looks like the record of a release, which only Helm may write", ErrBadManifest, what, name)
			}
		}
	}
	return nil
}

// generated refuses objects of a document that a plan has twice, unless the API server makes their names: then they are
// two objects.
func generated(document manifest.Manifest, refs []manifest.ObjectRef) error {
	objects, err := document.Objects()
	if err != nil {
		return err
	}
	names := map[string]bool{}
	for _, object := range objects {
		metadata, _ := object["metadata"].(map[string]any)
		if name, named := metadata["name"]; named && name != "" {
			names[fmt.Sprint(name)] = true
		}
	}
	for _, ref := range refs {
		if names[ref.Name] {
			return fmt.Errorf("%w: it has %s twice, of which Helm 3 keeps the last and Helm 4 the first", ErrBadManifest, ref)
		}
	}
	return nil
}

// Digest names what the plan applies: "sha256:…" over the release, the chart, the values and every document. Two plans
// of one digest apply the same.
func (p *Plan) Digest() string {
	text, err := json.Marshal(p.content())
	if err != nil {
		panic(err) // every value in it was normal
	}
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// content is what a plan consists of, as it is written to a file.
type content struct {
	Release     string          `json:"release"`
	Namespace   string          `json:"namespace,omitempty"`
	Upgrade     bool            `json:"upgrade,omitempty"`
	Base        int             `json:"base,omitempty"`
	Cluster     string          `json:"cluster,omitempty"`
	KubeVersion string          `json:"kubeVersion,omitempty"`
	APIs        map[string]bool `json:"apis,omitempty"`
	Chart       chart.Metadata  `json:"chart"`
	ChartDigest string          `json:"chartDigest,omitempty"`
	SigningKey  string          `json:"signingKey,omitempty"`
	Values      chart.Values    `json:"values,omitempty"`
	Defaults    chart.Values    `json:"defaults,omitempty"`
	Notes       string          `json:"notes,omitempty"`
	CRDs        []string        `json:"crds,omitempty"`
	Documents   []string        `json:"documents"`
}

func (p *Plan) content() content {
	return content{
		Release: p.Release, Namespace: p.Namespace, Upgrade: p.Upgrade, Base: p.Base,
		Cluster: p.Cluster, KubeVersion: p.KubeVersion, APIs: p.APIs,
		Chart: p.Chart, ChartDigest: p.ChartDigest, SigningKey: p.SigningKey, Values: p.Values, Defaults: p.defaults, Notes: p.Notes,
		CRDs: texts(p.crds), Documents: texts(p.documents),
	}
}

func texts(documents []manifest.Manifest) []string {
	all := make([]string, len(documents))
	for i, text := range documents {
		all[i] = string(text)
	}
	return slices.Clip(all)
}
