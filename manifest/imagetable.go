package manifest

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
)

// ImageRule says what one field of a custom resource, or some of its fields together, hold. It comes before the
// general rules: a field named image is an image, and so is a field with a name like initImage whose text looks like
// an image.
type ImageRule struct {
	Group  string     // API group; "*.example.com" for every group below example.com; "" for any
	Kind   string     // "" for any
	Path   string     // the end of the way to the field, such as "spec.payload.images"; "" with Parts for any mapping
	Is     ImageKind  // what the field holds, or the items of the list
	Parts  ImageParts // instead of Is: the fields of the mapping at Path that make up an image
	Unless string     // a field beside them which, if it is set, counts instead of the Parts
	of     string     // the type of what the mapping with the field describes; "" for any
}

// ImageKind says how sure it is that a cluster pulls what a field names.
type ImageKind int

const (
	ImageSure   ImageKind = iota // a cluster pulls it
	ImageShaped                  // a cluster pulls it if it has a registry, a tag or a digest; otherwise it is not an image
	ImageHint                    // a program may pull it
	ImageNever                   // nobody pulls it
)

// ImageParts names the fields of a mapping that make up an image: registry/repository/name:tag@digest, without
// missing parts. A tag such as sha256:… counts as a digest. Name may be a list of several names. A field name that
// starts with "../" is looked up in the mapping around.
type ImageParts struct {
	Registry, Repository, Name, Tag, Digest string
}

// main is the field without which there is no image.
func (p ImageParts) main() string { return cmp.Or(p.Name, p.Repository) }

// imageRules is what is known of custom resources beyond the general rules. The first one that fits counts.
var imageRules = []ImageRule{
	// Operators which are told the parts of an image.
	{Group: "nvidia.com", Parts: ImageParts{Repository: "repository", Name: "image", Tag: "version"}},
	{Group: "nvidia.com", Path: "image", Is: ImageShaped},
	{Group: "mellanox.com", Parts: ImageParts{Repository: "repository", Name: "image", Tag: "version"}},
	{Group: "mellanox.com", Path: "image", Is: ImageShaped},
	{Group: "*.nvidia.com", Path: "modelPuller", Is: ImageShaped},
	{Group: "*.metax-tech.com", Parts: ImageParts{Registry: "registry", Name: "name", Tag: "version"}},
	{Group: "*.metax-tech.com", Path: "payload", Parts: ImageParts{Registry: "registry", Name: "images"}},
	{Group: "monitoring.coreos.com", Path: "image", Is: ImageSure}, // over baseImage, tag and version
	{Group: "monitoring.coreos.com", Parts: ImageParts{Name: "baseImage", Digest: "sha"}, Unless: "image"},
	{Group: "monitoring.coreos.com", Parts: ImageParts{Name: "baseImage", Tag: "tag"}, Unless: "image"},
	{Group: "upgrade.cattle.io", Parts: ImageParts{Name: "image", Tag: "../version"}},
	{Group: "hazelcast.com", Parts: ImageParts{Repository: "repository", Tag: "version"}},
	{Group: "core.k8sgpt.ai", Parts: ImageParts{Repository: "repository", Tag: "version"}},
	{Group: "scylla.scylladb.com", Parts: ImageParts{Repository: "repository", Tag: "version"}},
	{Group: "scylla.scylladb.com", Parts: ImageParts{Repository: "agentRepository", Tag: "agentVersion"}},

	// Fields that are called something else.
	{Group: "pkg.crossplane.io", Path: "spec.package", Is: ImageShaped},
	{Group: "grafana.integreatly.org", Path: "spec.version", Is: ImageShaped},
	{Group: "kafka.strimzi.io", Path: "artifacts.reference", Is: ImageSure},
	{Path: "containerDisk.image", Is: ImageSure}, // KubeVirt's, in the templates of machines too

	// Images to fetch ahead of time.
	{Group: "apps.kruise.io", Kind: "ImageListPullJob", Path: "spec.images", Is: ImageSure},
	{Kind: "ImageCache", Path: "cacheSpec.images", Is: ImageSure},
	{Kind: "ImageCache", Path: "spec.images", Is: ImageSure},

	// The steps of a task are containers.
	{Group: "tekton.dev", Path: "steps.image", Is: ImageSure},
	{Group: "tekton.dev", Path: "stepTemplate.image", Is: ImageSure},
	{Group: "shipwright.io", Path: "steps.image", Is: ImageSure},
	{Group: "shipwright.io", Path: "buildSteps.image", Is: ImageSure},

	// The image of a machine or of another cloud's workload, an image to look at, to push to, or to draw. Where a field
	// image has to look like one, so has every other field that is called so.
	{Group: "*.cluster.x-k8s.io", Path: "imageRepository", Is: ImageNever}, // what comes before several images
	{Group: "*.cluster.x-k8s.io", Path: "image", Is: ImageShaped},
	{Group: "machine.openshift.io", Path: "image", Is: ImageShaped},
	{Group: "machine.sapcloud.io", Path: "image", Is: ImageShaped},
	{Group: "rke-machine-config.cattle.io", Path: "image", Is: ImageShaped},
	{Group: "metal3.io", Path: "image", Is: ImageShaped},
	{Group: "kops.k8s.io", Path: "image", Is: ImageShaped},
	{Group: "*.upbound.io", Path: "image", Is: ImageShaped},
	{Group: "*.crossplane.io", Path: "image", Is: ImageShaped},
	{Group: "*.cnrm.cloud.google.com", Path: "image", Is: ImageNever},
	{Group: "*.services.k8s.aws", Path: "image", Is: ImageNever},
	{Group: "image.toolkit.fluxcd.io", Path: "image", Is: ImageNever},
	{Group: "fleet.cattle.io", Kind: "ImageScan", Path: "image", Is: ImageNever},
	{Group: "kargo.akuity.io", Path: "image", Is: ImageNever},
	{Group: "eraser.sh", Path: "images", Is: ImageNever},
	{Group: "security-profiles-operator.x-k8s.io", Kind: "ProfileBinding", Path: "image", Is: ImageNever},
	{Group: "ollama.ayaka.io", Path: "image", Is: ImageNever},                           // of a model
	{Group: "core.oam.dev", Path: "properties.image", Is: ImageShaped, of: "nocalhost"}, // by the name of a language
	{Group: "*.gardener.cloud", Path: "image", Is: ImageShaped},
	{Group: "kubermatic.k8c.io", Path: "image", Is: ImageShaped},
	{Group: "broker.amq.io", Path: "image", Is: ImageShaped}, // "placeholder" means the operator's own
	{Group: "argocd-image-updater.argoproj.io", Path: "imageName", Is: ImageNever},
	{Group: "install.istio.io", Path: "image", Is: ImageShaped}, // a name such as proxyv2, below hub
	{Path: "rbd.image", Is: ImageNever},
	{Path: "output.image", Is: ImageNever},
	{Path: "output.to.name", Is: ImageNever},
	{Path: "outputImage", Is: ImageNever},
	{Path: "targetImage", Is: ImageNever},
	{Path: "backgroundImage", Is: ImageNever},
	{Path: "osImage", Is: ImageNever},

	// Images beside the version of something else.
	{Group: "kafka.strimzi.io", Path: "image", Is: ImageSure},
	{Group: "dynatrace.com", Path: "image", Is: ImageSure},
	{Group: "amd.com", Path: "driver.image", Is: ImageSure},
	{Group: "core.openfunction.io", Path: "image", Is: ImageSure},
	{Group: "inference.llmaz.io", Path: "image", Is: ImageSure}, // each Playground may choose another version

	// Kustomize's replacement of an image, in resources of Flux.
	{Path: "images", Parts: ImageParts{Name: "newName", Tag: "newTag"}},
	{Path: "images", Parts: ImageParts{Name: "newName", Digest: "digest"}},
	{Path: "images", Parts: ImageParts{Name: "name", Tag: "newTag"}, Unless: "newName"},
}

// compositeRules come after all others, and after imageObject.
var compositeRules = []ImageRule{
	{Parts: ImageParts{Repository: "repository", Name: "image", Tag: "version"}},
	{Parts: ImageParts{Repository: "repository", Name: "image", Tag: "tag"}},
	{Parts: ImageParts{Registry: "registry", Name: "image", Tag: "tag"}},
	{Parts: ImageParts{Registry: "registry", Repository: "repository", Tag: "tag"}},
	{Parts: ImageParts{Registry: "registry", Name: "name", Tag: "version"}, Unless: "image"},
	{Parts: ImageParts{Registry: "registry", Name: "name", Tag: "tag"}, Unless: "image"},
	{Parts: ImageParts{Name: "baseImage", Tag: "tag"}, Unless: "image"},
	{Parts: ImageParts{Name: "baseImage", Tag: "version"}, Unless: "image"},
	{Parts: ImageParts{Name: "baseImage", Tag: "../version"}, Unless: "image"},
	{Parts: ImageParts{Name: "image", Tag: "tag"}},
	{Parts: ImageParts{Name: "image", Digest: "digest"}},
}

// imageWords are words of which every document with an image has one: nearly all fields are called something with
// "mage". A field that is called something else is looked for by the group of its rule, in custom resources only, or
// by its own name.
type imageWords struct {
	fields, groups [][]byte
}

var builtinImageWords = newImageWords(slices.Concat(imageRules, compositeRules))

func newImageWords(rules []ImageRule) imageWords {
	words := imageWords{fields: [][]byte{[]byte("mage"), []byte("pullPolicy"), []byte("docker://")}}
	for _, rule := range rules {
		p := rule.Parts
		if rule.Is == ImageNever || slices.ContainsFunc([]string{rule.Path, p.Registry, p.Repository, p.Name}, isImageWord) {
			continue
		}
		if rule.Group != "" {
			words.groups = addWord(words.groups, rule.Group)
			continue
		}
		field := rule.Path[strings.LastIndexByte(rule.Path, '.')+1:]
		words.fields = addWord(words.fields, cmp.Or(p.Registry, p.Repository, p.Name, field))
	}
	return words
}

func addWord(words [][]byte, text string) [][]byte {
	word := []byte(strings.TrimLeft(text, "./*"))
	if slices.ContainsFunc(words, func(known []byte) bool { return bytes.Contains(word, known) }) {
		return words
	}
	return append(words, word)
}

func containsWord(text []byte, words [][]byte) bool {
	return slices.ContainsFunc(words, func(word []byte) bool { return bytes.Contains(text, word) })
}

// isImageWord reports the name of a field, or the way to one, that has "mage" in it wherever it is found. Of a name
// longer than any the end counts: many things may stand below it.
func isImageWord(field string) bool {
	return strings.Contains(field[max(0, len(field)-maxPathPart):], "mage")
}

// scope says which rules hold for an object.
type scope int

const (
	scopeCustom  scope = iota // a custom resource: any field may hold an image
	scopeTyped                // containers and image volumes, and nothing else
	scopeConfig               // data for programs: hints
	scopePolicy               // changes objects when they are created: hints
	scopeSchema               // definitions of custom resources: hints among the defaults
	scopeNothing              // policies that forbid, and rights: no image that is meant to be pulled
)

// scopes are the groups, and some kinds of them, whose schema is known; "*.example.com" is every group below
// example.com. A group not listed is a custom resource's.
var scopes = map[string]scope{
	"":                         scopeTyped,
	"/ConfigMap":               scopeConfig,
	"/Secret":                  scopeConfig,
	"/Service":                 scopeNothing,
	"/ServiceAccount":          scopeNothing,
	"/Namespace":               scopeNothing,
	"/Endpoints":               scopeNothing,
	"/Event":                   scopeNothing,
	"/Node":                    scopeNothing,
	"/PersistentVolume":        scopeNothing,
	"/PersistentVolumeClaim":   scopeNothing,
	"/ResourceQuota":           scopeNothing,
	"apps":                     scopeTyped,
	"batch":                    scopeTyped,
	"extensions":               scopeTyped,
	"resource.k8s.io":          scopeTyped,
	"kustomize.config.k8s.io":  scopeConfig,
	"skaffold":                 scopeConfig, // files for programs that make a cluster, or something in it
	"k3d.io":                   scopeConfig,
	"kind.x-k8s.io":            scopeConfig,
	"argoproj.io/Workflow":     scopeTyped,
	"argoproj.io/CronWorkflow": scopeTyped,
	"argoproj.io/Rollout":      scopeTyped,
	"serving.knative.dev":      scopeTyped,
	"kyverno.io":               scopePolicy,
	"policies.kyverno.io":      scopePolicy,
	"*.kyverno.io":             scopeNothing, // reports
	"*.gatekeeper.sh":          scopeNothing,
	"*.sigstore.dev":           scopeNothing,
	"*.kubewarden.io":          scopeNothing,
	"wgpolicyk8s.io":           scopeNothing,
	"secscan.quay.redhat.com":  scopeNothing, // reports
	"aquasecurity.github.io":   scopeNothing,

	"policies.kubewarden.io/PolicyServer": scopeCustom,
	"argoproj.io/WorkflowTemplate":        scopeTyped,
	"argoproj.io/ClusterWorkflowTemplate": scopeTyped,
	"admissionregistration.k8s.io":        scopeNothing,

	"admissionregistration.k8s.io/MutatingAdmissionPolicy": scopePolicy,

	"apiextensions.k8s.io":                 scopeSchema,
	"apiregistration.k8s.io":               scopeNothing,
	"authentication.k8s.io":                scopeNothing,
	"authorization.k8s.io":                 scopeNothing,
	"autoscaling":                          scopeNothing,
	"certificates.k8s.io":                  scopeNothing,
	"coordination.k8s.io":                  scopeNothing,
	"discovery.k8s.io":                     scopeNothing,
	"events.k8s.io":                        scopeNothing,
	"flowcontrol.apiserver.k8s.io":         scopeNothing,
	"gateway.networking.k8s.io":            scopeNothing,
	"monitoring.coreos.com/PodMonitor":     scopeNothing,
	"monitoring.coreos.com/Probe":          scopeNothing,
	"monitoring.coreos.com/PrometheusRule": scopeNothing,
	"monitoring.coreos.com/ServiceMonitor": scopeNothing,
	"networking.k8s.io":                    scopeNothing,
	"node.k8s.io":                          scopeTyped,
	"policy":                               scopeNothing,
	"rbac.authorization.k8s.io":            scopeNothing,
	"scheduling.k8s.io":                    scopeNothing,
	"storage.k8s.io":                       scopeNothing,
}

func scopeOf(group, kind string) scope {
	if s, known := scopes[group+"/"+kind]; known {
		return s
	}
	if s, known := scopes[group]; known {
		return s
	}
	for {
		_, below, found := strings.Cut(group, ".")
		if !found {
			return scopeCustom
		}
		group = below
		if s, known := scopes["*."+group]; known {
			return s
		}
	}
}

// fits reports whether the rule is about the group and kind.
func (r *ImageRule) fits(o *object) bool {
	if r.Kind != "" && r.Kind != o.Kind {
		return false
	}
	if suffix, below := strings.CutPrefix(r.Group, "*"); below {
		return strings.HasSuffix(o.Group, suffix)
	}
	return r.Group == "" || r.Group == o.Group
}

// endsIn reports whether the way to a field of c (to c itself where the field is "") ends in the path.
func (c *cursor) endsIn(path, field string) bool {
	if path == "" {
		return true
	}
	if field == "" {
		field, c = c.key, c.parent
	}
	for {
		dot := strings.LastIndexByte(path, '.')
		if name := path[dot+1:]; name != field && !(name[:1] == "*" && strings.HasSuffix(field, name[1:])) {
			return false
		}
		if dot < 0 {
			return true
		}
		if c == nil || c == c.object.root {
			return false
		}
		path, field, c = path[:dot], c.key, c.parent
	}
}
