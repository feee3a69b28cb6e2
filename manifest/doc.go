// Package manifest reads rendered Kubernetes manifests: the objects, images and accelerators in them, and rewrites their
// images and labels. It starts no process and needs no cluster and no helm: the manifest may come from helm template,
// kustomize, Argo CD or a file.
//
//	stream, err := os.ReadFile("rendered.yaml")
//	m := manifest.Manifest(stream)
//	images, err := m.Images(manifest.ImageOptions{}) // [nginx:1.27 quay.io/demo/server:v1.2]
//	report, err := m.GPUs(manifest.GPUOptions{})     // report.Totals is map[nvidia.com/gpu:4]
//	mirrors := manifest.RegistryMap{"*": "mirror.lab/all"}
//	after, changes, err := m.Retag(mirrors.Rewrite, manifest.RetagOptions{})
//
// A manifest is untrusted. Whatever it contains, every function takes time and memory in proportion to its size, or
// refuses it with [ErrOutputTooLarge]. A document that cannot be read does not lose the others: the error reports it as
// a [DocumentError].
package manifest
