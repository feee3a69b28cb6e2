package manifest

import (
	"strings"

	yamlnode "go.yaml.in/yaml/v3"
)

// The kinds of fields of custom resources that are called like an image, by what they have to hold to be one.
const (
	imageNamed     ImageKind = -1 - iota // as fooImage: a path, or else a word that may be something else, such as a disk
	imageEntry                           // an entry of images: the same, beside settings
	imageMentioned                       // as imageForFoo: a path with a version
	imagePartly                          // as imageRepository: all of a reference
)

// imageFieldKind is the general rule for the fields of a custom resource, known being false for all others. below is
// c.belowImages(), about that the mapping is called like an image.
func imageFieldKind(c *cursor, key string, below, about bool) (kind ImageKind, known bool) {
	switch {
	case key == "image":
		if c.inHelmValues() {
			return imageNamed, true // in the values of a chart it may be the name alone
		}
		return ImageSure, true
	case key == "name" && scalar(get(c.node, "kind")) == "DockerImage": // where OpenShift imports from
		return ImageSure, true
	case key == "url" && c.key == "registry":
		return imageMentioned, true
	case key == "default" && c.key == "registry" && c.index < 0: // Knative's, of all
		return imageNamed, true
	case c.key == "override" && c.index < 0 && c.parent != nil && c.parent.key == "registry": // and of one container
		return imageNamed, true
	case !about && !isImageWord(key):
		return imagePartly, strings.HasSuffix(key, "Version") && key != "apiVersion"
	case key == "reference" && c.key == "image": // an image volume
		return ImageSure, true
	case hasAnySuffix(key, imageSuffixes...):
		return imageNamed, true
	case key == "url" && hasAnySuffix(c.key, "mage", "mages"):
		return ImageShaped, true
	case hasAnySuffix(key, imagePartSuffixes...):
		return imagePartly, true
	case below && (key == "name" && c.index < 0 || !hasAnySuffix(c.key, "mage")):
		return imageEntry, true
	case below:
		return ImageShaped, true
	}
	return imageMentioned, !strings.Contains(key, "Stream")
}

// imageSuffixes are what the names of fields that hold images end in.
var imageSuffixes = []string{
	"Image", "image", "Images", "images", "mageName", "mage_name",
	"mageURL", "mageUrl", "mageURI", "mageUri", "mage_url", "mage_uri", "mageRef", "mageReference", "mageFqin",
	"magePullSpec", "magePullspec", "mageOverride", "mageList", "mage_list", "image_web",
}

// imagePartSuffixes are what the names of fields end in that hold a part of an image, or say how to pull it.
var imagePartSuffixes = []string{
	"registry", "Registry", "repository", "Repository", "repo", "Repo", "tag", "Tag", "version", "Version",
	"digest", "Digest", "hub", "url", "repoURL", "checksum", "Policy", "policy", "ullSecret", "ullSecrets", "ID",
}

// belowImages reports a mapping called image, a mapping from components to their images, or the part of one that lists
// variants of a component.
func (c *cursor) belowImages() bool {
	if hasAnySuffix(c.key, "mage") && c.index < 0 {
		return true
	}
	for range 2 {
		if c == nil || c == c.object.root || c.index >= 0 {
			return false
		}
		if hasAnySuffix(c.key, "Images", "images", "imageOverrides") {
			return true
		}
		c = c.parent
	}
	return false
}

// field takes the string, or the strings of the list, at a key of c.
func (f *imageFinder) field(c *cursor, key string, kind ImageKind) {
	if kind == ImageNever || kind == ImageHint && !f.hints {
		return
	}
	if kind == ImageShaped && key == "image" && c.isContainer() {
		kind = ImageSure
	}
	for _, item := range f.scalarsAt(c.node, key) {
		text := scalar(item)
		if text == "" {
			continue
		}
		start, class, reason := 0, classImage, ""
		if c.object.scope != scopeTyped || c.isArgument() {
			is := kind
			if start = schemeLength(text); kind != ImageHint && strings.HasPrefix(text, "docker://") {
				is = ImageSure
			}
			class, reason = f.judge(c, text[start:], is)
		}
		called := kind == imageNamed || kind == imageEntry
		switch {
		case called && (class == classNone || class == classInvalid) && f.listed(c, key, item):
			continue
		case class == classNone, class == classHint && !f.hints:
			continue
		}
		f.add(c, foundImage{
			ImageUse: ImageUse{Place: c.place(key, item), Image: text[start:], Reason: reason}, class: class,
			src: c.src, parts: []imagePart{{role: partWhole, node: item, start: start, end: len(text)}},
		})
	}
}

// listed takes a text that holds several images, with or without names for them: a=quay.io/a:1;b=quay.io/b:1. It
// reports whether it is one.
func (f *imageFinder) listed(c *cursor, key string, item *yamlnode.Node) bool {
	if !strings.ContainsAny(item.Value, ";,=\n") {
		return false
	}
	var images []imagePart
	for start := 0; start <= len(item.Value); {
		end := len(item.Value)
		if length := strings.IndexAny(item.Value[start:], ";, \n"); length >= 0 {
			end = start + length
		}
		entry := item.Value[start:end]
		from := start + strings.LastIndexByte(entry, '=') + 1
		switch {
		case from < end && f.looksLikeImage(item.Value[from:end]):
			images = append(images, imagePart{role: partWhole, node: item, start: from, end: end})
		case entry != "":
			return false
		}
		start = end + 1
	}
	for _, image := range images {
		f.add(c, foundImage{
			ImageUse: ImageUse{Place: c.place(key, item), Image: item.Value[image.start:image.end]}, src: c.src, parts: []imagePart{image},
		})
	}
	return len(images) > 0
}

// judge says what a text in a field of a custom resource is.
func (f *imageFinder) judge(c *cursor, text string, kind ImageKind) (class imageClass, reason string) {
	switch {
	case kind == ImageSure && c.isContainer():
		return classImage, ""
	case isOther(text) && !(kind == ImageSure && strings.Contains(text, "://") && !strings.HasPrefix(text, "http")):
		return classNone, ""
	case kind == ImageHint:
		return classHint, ""
	case kind == ImageSure:
		return classImage, ""
	case kind == imageMentioned || kind == imagePartly:
		if f.looksLikeImage(text) && strings.Contains(text, "/") && hasVersion(text) && (kind == imageMentioned || hasRegistry(text)) {
			return classImage, ""
		}
		return classNone, ""
	case f.looksLikeImage(text):
		return classImage, ""
	case isTemplate(text):
		// What takes the place of a template may be all of a reference.
		filled := placeholder.ReplaceAllString(text, "x")
		if f.looksLikeImage(filled) || kind != ImageShaped && !f.shaped && !isProse(filled) {
			return classImage, ""
		}
		return classNone, ""
	case kind == ImageShaped || f.shaped:
		return classNone, ""
	}
	_, err := f.parse(text)
	switch hasPath := strings.Contains(text, "/"); {
	case err == nil && hasPath && c.inHelmValues():
		return classUnresolved, unsaid("tag it has")
	case err == nil && hasPath:
		return classImage, ""
	case err == nil:
		return classHint, ""
	case isProse(text) && !strings.ContainsAny(text, "</"), kind == imageEntry && !strings.ContainsAny(text, "/:<"):
		return classNone, "" // prose, or a setting
	}
	return classInvalid, err.Error()
}

// scalarsAt gives the scalar at a key, or the scalars of the list there.
func (f *imageFinder) scalarsAt(mapping *yamlnode.Node, key string) []*yamlnode.Node {
	value := resolve(f.get(mapping, key))
	switch {
	case value == nil:
		return nil
	case value.Kind != yamlnode.SequenceNode:
		return []*yamlnode.Node{value}
	}
	items := make([]*yamlnode.Node, len(value.Content))
	for i, item := range value.Content {
		items[i] = resolve(item)
	}
	return items
}

// get finds the value of a key in a mapping. It indexes a mapping that is large, or may be by its merges: each of many
// fields may be looked up with several others, and each of many images take something from it.
func (f *imageFinder) get(mapping *yamlnode.Node, key string) *yamlnode.Node {
	const large = 128
	mapping = resolve(mapping)
	if mapping == nil || mapping.Kind != yamlnode.MappingNode || len(mapping.Content) < large && !merges(mapping) {
		return get(mapping, key)
	}
	index := f.indexes[mapping]
	if index == nil {
		fields := effective(mapping).Content
		index = make(map[string]*yamlnode.Node, len(fields)/2)
		for i := 0; i+1 < len(fields); i += 2 {
			index[keyOf(fields[i])] = fields[i+1]
		}
		f.remember(mapping, index)
	}
	return index[key]
}

// isLabels reports a mapping of words by which objects are marked and chosen, whatever they are called.
func (c *cursor) isLabels() bool {
	return c.index < 0 && hasAnySuffix(c.key, "abels", "nnotations", "elector")
}

// inHelmValues reports a mapping in the values that a custom resource hands to a Helm chart.
func (c *cursor) inHelmValues() bool {
	for ; c != nil && c != c.object.root; c = c.parent {
		if c.index < 0 && hasAnySuffix(c.key, "values", "Values", "valuesObject") {
			return true
		}
	}
	return false
}

func hasAnySuffix(text string, suffixes ...string) bool {
	for _, suffix := range suffixes {
		if strings.HasSuffix(text, suffix) {
			return true
		}
	}
	return false
}

// isFile reports another kind of image: a picture, or the disk of a virtual machine, in a file or in Google's cloud.
func isFile(text string) bool {
	if strings.HasPrefix(text, "/") || strings.HasPrefix(text, "projects/") && strings.Contains(text, "/global/images/") || strings.HasPrefix(text, "data:") || strings.Contains(text, "://") {
		return true
	}
	for _, extension := range []string{".png", ".svg", ".jpg", ".jpeg", ".gif", ".ico", ".qcow2", ".iso", ".img", ".vmdk", ".vhd"} {
		if strings.HasSuffix(text, extension) {
			return true
		}
	}
	return false
}

// isOther reports text that is no image wherever it stands in a custom resource: a switch, a number, a file.
func isOther(text string) bool {
	if len(text) <= len("false") {
		switch strings.ToLower(text) {
		case "true", "false", "yes", "no", "on", "off", "none", "null":
			return true
		}
	}
	return isNumber(text) || isFile(text)
}

// isProse reports text with blanks outside of its placeholders.
func isProse(text string) bool {
	if !strings.ContainsAny(text, " \t\n") {
		return false
	}
	return strings.ContainsAny(placeholder.ReplaceAllString(text, ""), " \t\n")
}

// schemeLength is the length of what says that a container registry has the image.
func schemeLength(text string) int {
	for _, scheme := range []string{"docker://", "oci://"} {
		if strings.HasPrefix(text, scheme) {
			return len(scheme)
		}
	}
	return 0
}

// isPulled reports a field that says itself that it is an image, whatever it is called. A parameter may be a place to
// push to.
func isPulled(key string, value *yamlnode.Node) bool {
	return strings.HasPrefix(scalar(value), "docker://") && key != "value" && key != "default"
}

// isRegistry reports the host of a registry, with or without a path behind it.
func isRegistry(text string) bool {
	host, _, _ := strings.Cut(text, "/")
	return host == "localhost" || strings.ContainsAny(host, ".:") && !strings.Contains(text, "://")
}

// hasVersion reports a tag or a digest.
func hasVersion(image string) bool {
	return strings.Contains(image, "@") || strings.LastIndexByte(image, ':') > strings.LastIndexByte(image, '/')
}

func hasRegistry(image string) bool {
	domain, _, found := strings.Cut(image, "/")
	return found && strings.ContainsAny(domain, ".:")
}

// looksLikeImage reports a reference that could hardly be anything else: it has a tag, a digest or a registry.
func (f *imageFinder) looksLikeImage(text string) bool {
	if !hasVersion(text) && !hasRegistry(text) {
		return false
	}
	ref, err := f.parse(text)
	name := strings.TrimPrefix(ref.Repository, "library/")
	return err == nil && name != "sha256" && !isNumber(name) // which are a checksum and a time
}
