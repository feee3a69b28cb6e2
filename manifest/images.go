package manifest

import (
	"context"
	"slices"

	"github.com/sut-bench/helmexec/internal/errdef"
)

// ImageOptions chooses among the images of a manifest. Its zero value takes every image that a cluster pulls; lists of
// names leave out DefaultExclude.
type ImageOptions struct {
	// Exclude lists images to leave out, by the exact text of the manifest. nil leaves out nothing, except in a list
	// of names: Manifest.Images, and Chart2Images and Inspection.Images of helmexec, leave out DefaultExclude then. An
	// empty list that is not nil leaves out nothing anywhere.
	Exclude []string
	// SkipHooks leaves out what only hooks use, including tests.
	SkipHooks bool
	// SkipTests leaves out what only helm test uses.
	SkipTests bool
	// FullNames gives names in full: docker.io/library/nginx for nginx.
	FullNames bool
	// Rules adds custom resources to those this package knows. They come before its own.
	Rules []ImageRule
}

// DefaultExclude is what Images leaves out when ImageOptions.Exclude is nil: busybox. Each call makes a new list, which
// the caller may change.
func DefaultExclude() []string { return []string{"busybox"} }

// ImageUse is one image at one place.
type ImageUse struct {
	Place
	Image     string    // as a container runtime gets it; composites are put together, arguments filled in
	Reference Reference // what Image says; zero in Invalid and Unresolved
	Reason    string    // why it is invalid or unresolved
}

// ImageReport is what a manifest says about images, each list in the order of the manifest. Every text in a place for
// an image is in one of the lists.
type ImageReport struct {
	Images     []ImageUse // what a cluster pulls
	Invalid    []ImageUse // text in a place for an image that no container runtime accepts
	Unresolved []ImageUse // depends on something that the manifest does not say, such as the tag that an operator adds
	// Hints is image-shaped text in arguments, environment, annotations, ConfigMaps and texts of custom resources, and
	// single words in fields that only have a name like an image.
	Hints []ImageUse
}

// Images returns the images that a cluster pulls for the manifest, sorted and unique: those of containers, init
// containers, ephemeral containers and image volumes of every object that has a pod spec at any depth, of Argo
// workflows, and of custom resources whose operator makes a container from a field. If opts.Exclude is nil it
// leaves out DefaultExclude.
//
// Documents that cannot be read are reported in the error, and the images of the others are still returned.
func (m Manifest) Images(opts ImageOptions) ([]string, error) {
	return m.ImagesContext(context.Background(), opts)
}

// ImagesContext is Images, but stops with the context's error when the context ends.
func (m Manifest) ImagesContext(ctx context.Context, opts ImageOptions) ([]string, error) {
	if opts.Exclude == nil {
		opts.Exclude = DefaultExclude()
	}
	found, err := m.findImages(ctx, opts, false)
	if ctx.Err() != nil {
		return nil, errdef.ContextError(ctx)
	}
	var uses []ImageUse
	for _, f := range found {
		if f.class == classImage {
			uses = append(uses, f.use(opts))
		}
	}
	return imageNames(uses), err
}

// imageNames gives the images of some uses, sorted and unique.
func imageNames(uses []ImageUse) []string {
	names := make([]string, len(uses))
	for i, use := range uses {
		names[i] = use.Image
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// use is the image as the options want it named.
func (f *foundImage) use(opts ImageOptions) ImageUse {
	use := f.ImageUse
	if opts.FullNames && use.Reference != (Reference{}) {
		use.Image = use.Reference.String()
	}
	return use
}

// ImageReport returns each use of an image with its place, with separate lists for invalid and unresolved ones
// and for hints. Its error is that of Images.
func (m Manifest) ImageReport(opts ImageOptions) (*ImageReport, error) {
	return m.ImageReportContext(context.Background(), opts)
}

// ImageReportContext is ImageReport, but stops with the context's error when the context ends.
func (m Manifest) ImageReportContext(ctx context.Context, opts ImageOptions) (*ImageReport, error) {
	found, err := m.findImages(ctx, opts, true)
	if ctx.Err() != nil {
		return nil, errdef.ContextError(ctx)
	}
	report := &ImageReport{}
	for _, f := range found {
		switch use := f.use(opts); f.class {
		case classImage:
			report.Images = append(report.Images, use)
		case classInvalid:
			report.Invalid = append(report.Invalid, use)
		case classUnresolved:
			report.Unresolved = append(report.Unresolved, use)
		case classHint:
			report.Hints = append(report.Hints, use)
		}
	}
	return report, err
}
