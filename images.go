package helmexec

import "github.com/sut-bench/helmexec/manifest"

// What a rendered manifest holds is read by package manifest, which needs no helm. Its names are here as well, so that
// a program that installs charts imports one package.

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

// ParseReference reads an image reference by the rules of container runtimes.
func ParseReference(image string) (Reference, error) { return manifest.ParseReference(image) }

// ImageOptions chooses among the images of a manifest. Its zero value takes every image that a cluster pulls.
type ImageOptions = manifest.ImageOptions

// DefaultExclude is what lists of image names leave out when ImageOptions.Exclude is nil. Each call makes a new list.
func DefaultExclude() []string { return manifest.DefaultExclude() }

// ImageReport is what a manifest says about images, each list in the order of the manifest.
type ImageReport = manifest.ImageReport

// ImageUse is one image at one place.
type ImageUse = manifest.ImageUse

// ImageRule adds to what is known of a custom resource: what one of its fields, or some of its fields together, hold.
type ImageRule = manifest.ImageRule

// ImageParts names the fields of a mapping that make up an image.
type ImageParts = manifest.ImageParts

// ImageKind says how sure it is that a cluster pulls what a field names.
type ImageKind = manifest.ImageKind

// The kinds of fields for an ImageRule.
const (
	ImageSure   = manifest.ImageSure   // a cluster pulls it
	ImageShaped = manifest.ImageShaped // a cluster pulls it if it has a registry, a tag or a digest, and else it is something else
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

// ImageExport is what it takes to run a chart from a mirror.
type ImageExport = manifest.ImageExport

// ExportImages puts an ImageExport together of a chart's rendered manifest and its values. Rewrite gives the mirror of
// an image. If opts.Exclude is nil it leaves out nothing, as Manifest.Retag. The error is that of Manifest.Images.
func ExportImages(m Manifest, values Values, rewrite func(Reference) Reference, opts ImageOptions) (*ImageExport, error) {
	return manifest.ExportImages(m, values, rewrite, opts)
}

// Transform changes a manifest before it is installed. It gets the objects in one stream, and what
// it returns is what helm installs; an error, or a panic, ends the install before anything is made.
// Helm waits for it. When the context of the call ends meanwhile the call does not: the transform goes
// on by itself until it returns, and what it returns is dropped. Ready ones are RetagImages, AddLabels,
// AddTolerations and AddNodeSelector; Transforms joins several.
type Transform = manifest.Transform

// Transforms applies transforms one after the other, up to the first that fails.
func Transforms(all ...Transform) Transform { return manifest.Transforms(all...) }

// RetagImages returns a transform that rewrites every image by Manifest.Retag, and fails if one could not be rewritten,
// unless opts.KeepFailed is set.
func RetagImages(rewrite func(Reference) Reference, opts RetagOptions) Transform {
	return manifest.RetagImages(rewrite, opts)
}

// AddLabels returns a transform that sets labels on every object, and on what objects make others of: pod templates,
// job templates of CronJobs, volume claim templates, pods of Argo workflows. Selectors stay as they are. It writes
// documents anew, without the comments inside of them.
func AddLabels(labels map[string]string) Transform { return manifest.AddLabels(labels) }

// Toleration lets pods run on nodes with a taint, as in Kubernetes.
type Toleration = manifest.Toleration

// AddTolerations returns a transform that adds tolerations to every pod spec and Argo workflow that lacks them. It
// writes documents anew, as AddLabels does.
func AddTolerations(tolerations ...Toleration) Transform {
	return manifest.AddTolerations(tolerations...)
}

// AddNodeSelector returns a transform that sets node labels which every pod spec and Argo workflow asks for. It writes
// documents anew, as AddLabels does.
func AddNodeSelector(labels map[string]string) Transform { return manifest.AddNodeSelector(labels) }

// GPUOptions extends what is known of accelerators.
type GPUOptions = manifest.GPUOptions

// GPUReport is what a manifest asks of accelerators. GPUReport.Fits tells whether given nodes can hold it.
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
	GPUOther     = manifest.GPUOther     // belongs to an accelerator and takes nothing of it, such as monitoring
	GPUNone      = manifest.GPUNone      // not an accelerator
)

// GPUWarning is something about accelerators that a reader should look at.
type GPUWarning = manifest.GPUWarning

// GPUProblem is the kind of a warning.
type GPUProblem = manifest.GPUProblem

// The kinds of warnings.
const (
	GPULimitsDiffer    = manifest.GPULimitsDiffer    // Kubernetes refuses requests and limits that differ
	GPUNoLimit         = manifest.GPUNoLimit         // Kubernetes refuses a request without a limit
	GPUBadAmount       = manifest.GPUBadAmount       // no whole number
	GPUUnknownResource = manifest.GPUUnknownResource // an extended resource that may be an accelerator
	GPUNotAsked        = manifest.GPUNotAsked        // an accelerator is used without being asked for
	GPUPrivileged      = manifest.GPUPrivileged      // sees every device of the node
	GPUUnknownClaim    = manifest.GPUUnknownClaim    // refers to a claim that is not in the manifest
	GPUOtherMeans      = manifest.GPUOtherMeans      // asked for in a way whose amount cannot be told
)
