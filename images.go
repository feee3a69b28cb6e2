package helmexec

import "github.com/sut-bench/helmexec/manifest"

// Package manifest reads rendered manifests; it needs no helm. Its names are repeated here, so that a program
// that installs charts imports one package.

// Manifest is a stream of YAML documents, such as helm template prints.
type Manifest = manifest.Manifest

// DocumentError is the failure to read one document of a manifest; errors.Is finds ErrBadManifest in it.
type DocumentError = manifest.DocumentError

// ObjectRef names an object of a cluster.
type ObjectRef = manifest.ObjectRef

// Place is where in a manifest something was found.
type Place = manifest.Place

// Reference is an image reference in full.
type Reference = manifest.Reference

// ParseReference reads an image reference by the rules of container runtimes. What is none is ErrInvalidArgument.
func ParseReference(image string) (Reference, error) { return manifest.ParseReference(image) }

// ImageOptions chooses among the images of a manifest. Its zero value takes every image that a cluster pulls; lists of
// names leave out DefaultExclude.
type ImageOptions = manifest.ImageOptions

// DefaultExclude is what lists of image names leave out when ImageOptions.Exclude is nil: busybox. Each call makes a new
// list.
func DefaultExclude() []string { return manifest.DefaultExclude() }

// ImageReport is what a manifest says about images, each list in the order of the manifest.
type ImageReport = manifest.ImageReport

// ImageUse is one image at one place.
type ImageUse = manifest.ImageUse

// ImageRule says what one field of a custom resource, or some of its fields together, hold.
type ImageRule = manifest.ImageRule

// ImageParts names the fields of a mapping that make up an image.
type ImageParts = manifest.ImageParts

// ImageKind says how sure it is that a cluster pulls what a field names.
type ImageKind = manifest.ImageKind

// The kinds of fields for an ImageRule.
const (
	ImageSure   = manifest.ImageSure   // a cluster pulls it
	ImageShaped = manifest.ImageShaped // a cluster pulls it if it has a registry, a tag or a digest; otherwise it is not an image
	ImageHint   = manifest.ImageHint   // a program may pull it
	ImageNever  = manifest.ImageNever  // nobody pulls it
)

// RetagOptions chooses what Manifest.Retag rewrites. Its zero value takes every image that a cluster pulls.
type RetagOptions = manifest.RetagOptions

// RetagReport says what Manifest.Retag did, in the order of the manifest.
type RetagReport = manifest.RetagReport

// Retagged is one place of an image that Manifest.Retag changed or would have changed.
type Retagged = manifest.Retagged

// RegistryMap is a ready rewrite for Manifest.Retag: it maps registries, or repositories and all that is below them, to
// where their mirror is.
type RegistryMap = manifest.RegistryMap

// ImageExport is what is needed to run a chart from a mirror.
type ImageExport = manifest.ImageExport

// ExportImages makes an ImageExport from a chart's rendered manifest and its values. Rewrite returns the mirror
// of an image. If opts.Exclude is nil, it leaves out nothing, as Manifest.Retag.
//
// Errors: ErrBadManifest, as Manifest.Images; ErrInvalidArgument for a nil rewrite.
func ExportImages(m Manifest, values Values, rewrite func(Reference) Reference, opts ImageOptions) (*ImageExport, error) {
	return manifest.ExportImages(m, values, rewrite, opts)
}

// Transform changes a manifest before it is installed. It gets the objects in one stream, and helm
// installs what it returns; an error, or a panic, ends the install before anything is made. Helm waits
// for it. If the context of the call ends meanwhile, the call does not wait: the transform runs on
// until it returns, and its result is dropped. RetagImages, AddLabels, AddTolerations and
// AddNodeSelector make transforms; Transforms joins several.
type Transform = manifest.Transform

// Transforms applies transforms one after the other, up to the first that fails.
func Transforms(all ...Transform) Transform { return manifest.Transforms(all...) }

// RetagImages returns a transform that rewrites every image by Manifest.Retag, and fails if one could not be rewritten,
// unless opts.KeepFailed is set.
func RetagImages(rewrite func(Reference) Reference, opts RetagOptions) Transform {
	return manifest.RetagImages(rewrite, opts)
}

// AddLabels returns a transform that sets labels on every object, and on the templates in it: pod templates,
// job templates of CronJobs, volume claim templates, pods of Argo workflows. Selectors stay as they are. It
// rewrites documents, without the comments inside them.
func AddLabels(labels map[string]string) Transform { return manifest.AddLabels(labels) }

// Toleration lets pods run on nodes with a taint, as in Kubernetes.
type Toleration = manifest.Toleration

// AddTolerations returns a transform that adds tolerations to every pod spec and Argo workflow that lacks them.
// It rewrites documents, as AddLabels does.
func AddTolerations(tolerations ...Toleration) Transform {
	return manifest.AddTolerations(tolerations...)
}

// AddNodeSelector returns a transform that adds node labels to the node selector of every pod spec and Argo
// workflow. It rewrites documents, as AddLabels does.
func AddNodeSelector(labels map[string]string) Transform { return manifest.AddNodeSelector(labels) }

// GPUOptions adds rules about accelerators.
type GPUOptions = manifest.GPUOptions

// GPUReport lists the accelerators that a manifest asks for. GPUReport.Fits says whether given nodes can
// hold it.
type GPUReport = manifest.GPUReport

// GPUWorkload is one pod spec, or one part of a custom resource that an operator makes pods of.
type GPUWorkload = manifest.GPUWorkload

// GPURequest is what one container asks for.
type GPURequest = manifest.GPURequest

// DeviceClaim is what one claim of a pod asks for (Dynamic Resource Allocation).
type DeviceClaim = manifest.DeviceClaim

// DeviceChoice is an amount of devices of a class.
type DeviceChoice = manifest.DeviceChoice

// Misfit is a workload that the given nodes cannot run.
type Misfit = manifest.Misfit

// GPURule says what an extended resource is.
type GPURule = manifest.GPURule

// GPUKind says what one unit of a resource is.
type GPUKind = manifest.GPUKind

// The kinds of resources.
const (
	GPUDevice    = manifest.GPUDevice    // a whole accelerator
	GPUShare     = manifest.GPUShare     // a part of an accelerator that others use too
	GPUPartition = manifest.GPUPartition // a part of an accelerator that the hardware keeps apart
	GPUMemory    = manifest.GPUMemory    // accelerator memory, in the unit of the device plugin
	GPUCores     = manifest.GPUCores     // accelerator cores, or a percentage of them
	GPUOther     = manifest.GPUOther     // belongs to an accelerator but uses none of it, such as monitoring
	GPUNone      = manifest.GPUNone      // not an accelerator
	GPUUnknown   = manifest.GPUUnknown   // may be an accelerator: not counted, but there is a warning
)

// GPUWarning is something about accelerators that a reader should look at.
type GPUWarning = manifest.GPUWarning

// GPUProblem is the kind of a warning.
type GPUProblem = manifest.GPUProblem

// The kinds of warnings.
const (
	GPULimitsDiffer    = manifest.GPULimitsDiffer    // Kubernetes refuses requests and limits that differ
	GPUNoLimit         = manifest.GPUNoLimit         // Kubernetes refuses a request without a limit
	GPUBadAmount       = manifest.GPUBadAmount       // not a whole number
	GPUUnknownResource = manifest.GPUUnknownResource // an extended resource that may be an accelerator
	GPUNotAsked        = manifest.GPUNotAsked        // an accelerator is used without being requested
	GPUPrivileged      = manifest.GPUPrivileged      // sees every device of the node
	GPUUnknownClaim    = manifest.GPUUnknownClaim    // refers to a claim that is not in the manifest
	GPUOtherMeans      = manifest.GPUOtherMeans      // requested in a way that does not show the amount
	GPUByDefault       = manifest.GPUByDefault       // a LimitRange gives it to containers that do not name it
)
