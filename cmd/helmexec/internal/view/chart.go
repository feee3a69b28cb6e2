// Package view has the documents that the command prints as JSON and YAML. They are its interface to other programs: a field
// is never renamed, and its doc tag is what docs/command.md says about it.
package view

import (
	"maps"
	"slices"
	"time"

	"github.com/sut-bench/helmexec"
)

// Chart is a chart before it is installed.
type Chart struct {
	Name         string       `json:"name" doc:"name of the chart"`
	Version      string       `json:"version" doc:"its version"`
	AppVersion   string       `json:"appVersion,omitempty" doc:"version of what it installs"`
	Description  string       `json:"description,omitempty" doc:"one line of its author"`
	KubeVersion  string       `json:"kubeVersion,omitempty" doc:"constraint on the version of Kubernetes"`
	Type         string       `json:"type,omitempty" doc:"application or library"`
	Deprecated   bool         `json:"deprecated" doc:"its author says that it is"`
	Dependencies []Dependency `json:"dependencies" doc:"charts that it depends on"`
	Ref          string       `json:"ref" doc:"the chart without its version, as helm takes it"`
	Repo         string       `json:"repo,omitempty" doc:"name of its repository"`
	Archive      string       `json:"archive" doc:"path of the archive or folder on this machine"`
	Digest       string       `json:"digest,omitempty" doc:"sha256:… of the archive"`
}

// Dependency is a chart that another one depends on.
type Dependency struct {
	Name       string `json:"name" doc:"name of the chart"`
	Version    string `json:"version,omitempty" doc:"version or constraint"`
	Repository string `json:"repository,omitempty" doc:"where it is from"`
	Alias      string `json:"alias,omitempty" doc:"key of its values, if it is not the name"`
}

// ChartOf shows a chart.
func ChartOf(info *helmexec.ChartInfo) Chart {
	m := info.Metadata
	c := Chart{
		Name: info.Name, Version: info.Version, AppVersion: m.AppVersion, Description: m.Description, KubeVersion: m.KubeVersion, Type: m.Type,
		Deprecated: m.Deprecated, Dependencies: []Dependency{}, Ref: info.Ref, Repo: info.Repo, Archive: info.Archive, Digest: info.Digest,
	}
	for _, d := range m.Dependencies {
		c.Dependencies = append(c.Dependencies, Dependency{d.Name, d.Version, d.Repository, d.Alias})
	}
	return c
}

// Object names an object of a cluster.
type Object struct {
	Group     string `json:"group,omitempty" doc:"API group; none for the core group"`
	Version   string `json:"version,omitempty" doc:"version of the API"`
	Kind      string `json:"kind" doc:"kind"`
	Namespace string `json:"namespace,omitempty" doc:"namespace, as far as it is known"`
	Name      string `json:"name" doc:"name"`
}

func (o Object) String() string {
	return helmexec.ObjectRef{Group: o.Group, Version: o.Version, Kind: o.Kind, Namespace: o.Namespace, Name: o.Name}.String()
}

// ObjectOf shows the name of an object.
func ObjectOf(r helmexec.ObjectRef) Object {
	return Object{r.Group, r.Version, r.Kind, r.Namespace, r.Name}
}

// Place is where something stands.
type Place struct {
	Object    Object   `json:"object" doc:"the object"`
	Path      string   `json:"path,omitempty" doc:"the field in it"`
	Container string   `json:"container,omitempty" doc:"name of the container"`
	Line      int      `json:"line,omitempty" doc:"line of the rendered manifest"`
	Hooks     []string `json:"hooks,omitempty" doc:"events, if the object is a hook"`
}

// PlaceOf shows a place.
func PlaceOf(p helmexec.Place) Place {
	return Place{ObjectOf(p.Object), p.Path, p.Container, p.Line, p.Hooks}
}

// Images are the images of a chart.
type Images struct {
	Images     []string `json:"images" doc:"what a cluster pulls, sorted, each once; without leftOut"`
	Uses       []Image  `json:"uses" doc:"each place of an image, in the order of the manifest"`
	Invalid    []Image  `json:"invalid" doc:"text in a place for an image that no container runtime accepts"`
	Unresolved []Image  `json:"unresolved" doc:"images that the manifest does not say in full"`
	Hints      []Image  `json:"hints" doc:"image-shaped text that a program may pull"`
	LeftOut    []string `json:"leftOut,omitempty" doc:"with images: what a cluster pulls as well, and --exclude leaves out, busybox without it"`
}

// Image is an image at a place.
type Image struct {
	Image      string `json:"image" doc:"as a container runtime gets it"`
	Registry   string `json:"registry,omitempty" doc:"such as docker.io"`
	Repository string `json:"repository,omitempty" doc:"such as library/nginx"`
	Tag        string `json:"tag,omitempty" doc:"its tag"`
	Digest     string `json:"digest,omitempty" doc:"its digest"`
	Reason     string `json:"reason,omitempty" doc:"why it is invalid or unresolved"`
	Place
}

// ImagesOf shows a report, with the images of its uses as the list.
func ImagesOf(r *helmexec.ImageReport) Images {
	images := Images{Images: []string{}, Uses: usesOf(r.Images), Invalid: usesOf(r.Invalid), Unresolved: usesOf(r.Unresolved), Hints: usesOf(r.Hints)}
	for _, use := range images.Uses {
		images.Images = append(images.Images, use.Image)
	}
	slices.Sort(images.Images)
	images.Images = slices.Compact(images.Images)
	return images
}

func usesOf(uses []helmexec.ImageUse) []Image {
	all := []Image{}
	for _, u := range uses {
		ref := u.Reference
		all = append(all, Image{u.Image, ref.Registry, ref.Repository, ref.Tag, ref.Digest, u.Reason, PlaceOf(u.Place)})
	}
	return all
}

// ByRegistry groups the images by their registries.
func (i Images) ByRegistry() []Registry {
	images := map[string][]string{}
	for _, use := range i.Uses {
		images[use.Registry] = append(images[use.Registry], use.Image)
	}
	var all []Registry
	for _, name := range slices.Sorted(maps.Keys(images)) {
		slices.Sort(images[name])
		all = append(all, Registry{name, slices.Compact(images[name])})
	}
	return all
}

// Registry has images.
type Registry struct {
	Name   string
	Images []string
}

// GPUs are the accelerators of a chart.
type GPUs struct {
	Totals    map[string]int64 `json:"totals" doc:"what the workloads need together, by resource or device class"`
	Workloads []Workload       `json:"workloads" doc:"each pod spec that asks for accelerators"`
	Warnings  []Warning        `json:"warnings" doc:"what a reader should look at"`
}

// Workload is a pod spec that asks for accelerators.
type Workload struct {
	Place
	PerPod   map[string]int64 `json:"perPod" doc:"what one pod takes"`
	Replicas int64            `json:"replicas" doc:"pods; 0 for a template"`
	PerNode  bool             `json:"perNode" doc:"one pod on each node"`
	Template bool             `json:"template" doc:"something else makes pods of it"`
}

// Warning is a doubt about accelerators.
type Warning struct {
	Place
	Problem string `json:"problem" doc:"its kind"`
	Message string `json:"message" doc:"for a reader"`
}

// GPUsOf shows a report.
func GPUsOf(r *helmexec.GPUReport) GPUs {
	g := GPUs{Totals: map[string]int64{}, Workloads: []Workload{}, Warnings: []Warning{}}
	maps.Copy(g.Totals, r.Totals)
	for _, w := range r.Workloads {
		g.Workloads = append(g.Workloads, Workload{PlaceOf(w.Place), w.PerPod, w.Replicas, w.PerNode, w.Template})
	}
	for _, w := range r.Warnings {
		g.Warnings = append(g.Warnings, Warning{PlaceOf(w.Place), string(w.Problem), w.Message})
	}
	return g
}

// Name is a name of a release and what it is made of.
type Name struct {
	Name string `json:"name" doc:"the name of the release"`
	Job  string `json:"job,omitempty" doc:"the id of the job"`
	SUT  string `json:"sut,omitempty" doc:"the pruned name of the system under test"`
}

// Version is what runs.
type Version struct {
	Version string `json:"version" doc:"of this command"`
	Go      string `json:"go" doc:"of the Go that built it"`
	Helm    string `json:"helm,omitempty" doc:"of helm"`
}

// Doctor is what is found on this machine.
type Doctor struct {
	OK     bool        `json:"ok" doc:"nothing is wrong"`
	Checks []Diagnosis `json:"checks" doc:"what was looked at"`
}

// Diagnosis is one thing that was looked at.
type Diagnosis struct {
	Check  string `json:"check" doc:"what was looked at"`
	Result string `json:"result" doc:"ok, warning, or fault"`
	Detail string `json:"detail" doc:"for a reader"`
}

// timeOf is a time for programs, "" if there is none.
func timeOf(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
