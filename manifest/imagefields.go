package manifest

import (
	"strings"

	yamlnode "go.yaml.in/yaml/v3"
)

// The kinds of fields of custom resources that are called like an image, by what they have to hold to be one.
const (
	imageCalled    ImageKind = -1 - iota // as image: a reference, but no picture, switch or number
	imageNamed                           // as fooImage: a path, or else a word that may be something else, such as a disk
	imageEntry                           // an entry of images: the same, beside settings
	imageMentioned                       // as imageForFoo: a path with a version
	imagePartly                          // as imageRepository: all of a reference
)

// placedField is a field that holds an image because of the mapping that it is in.
type placedField struct {
	field  string // "" for any
	is     ImageKind
	around string // name of the mapping around that one; "" for any
	listed bool   // also in the items of a list
}

// placedFields are the fields of custom resources that hold an image, by the name of the mapping that they are in.
var placedFields = map[string][]placedField{
	"image":    {{field: "reference", is: imageCalled, listed: true}},                                  // an image volume
	"registry": {{field: "url", is: imageMentioned, listed: true}, {field: "default", is: imageNamed}}, // Knative's, of all
	"override": {{is: imageNamed, around: "registry"}},                                                 // and of one container
}

// fieldKind is the general rule for the fields of a custom resource, known being false for all others.
func (m *customMapping) fieldKind(key string) (kind ImageKind, known bool) {
	if key == "image" {
		if m.isListedContainer() {
			return ImageSure, true
		}
		if m.inHelmValues() {
			return imageNamed, true // in the values of a chart it may be the name alone
		}
		if m.isContainer() {
			return ImageSure, true
		}
		return imageCalled, true
	}
	if key == "name" && scalar(get(m.node, "kind")) == "DockerImage" { // where OpenShift imports from
		return ImageSure, true
	}
	for _, p := range m.placed {
		if (p.field == "" || p.field == key) && (p.listed || m.index < 0) && (p.around == "" || m.parent != nil && m.parent.key == p.around) {
			return p.is, true
		}
	}
	if !m.about && !isImageWord(key) {
		return imagePartly, strings.HasSuffix(key, "Version") && key != "apiVersion"
	}
	return m.kindByName(key)
}

// kindByName is fieldKind for what is called like an image, or is in a mapping that is.
func (m *customMapping) kindByName(key string) (kind ImageKind, known bool) {
	switch {
	case hasAnySuffix(key, imageSuffixes...):
		return imageNamed, true
	case key == "url" && hasAnySuffix(m.key, "mage", "mages"):
		return ImageShaped, true
	case hasAnySuffix(key, imagePartSuffixes...):
		return imagePartly, true
	case m.below && (key == "name" && m.index < 0 || !hasAnySuffix(m.key, "mage")):
		return imageEntry, true
	case m.below:
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
		start, class, reason := f.judge(c, text, kind)
		named := kind == imageNamed || kind == imageEntry
		switch {
		case named && (class == classNone || class == classInvalid) && f.listed(c, key, item):
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

// judge says what the text of a field is, and where in it the reference starts.
func (f *imageFinder) judge(c *cursor, text string, kind ImageKind) (start int, class imageClass, reason string) {
	if c.object.scope == scopeTyped && !c.isArgument() {
		return 0, classImage, "" // Kubernetes says so
	}
	if start = schemeLength(text); kind != ImageHint && strings.HasPrefix(text, "docker://") {
		kind = ImageSure
	}
	switch text = text[start:]; {
	case kind == ImageSure:
		return start, classImage, ""
	case isOther(text) && !(kind == imageCalled && strings.Contains(text, "://") && !strings.HasPrefix(text, "http")):
		return start, classNone, ""
	}
	switch kind {
	case imageCalled:
		class = classImage
	case ImageHint:
		class = classHint
	case imageMentioned:
		class = imageIf(strings.Contains(text, "/") && hasVersion(text) && f.looksLikeImage(text))
	case imagePartly:
		class = imageIf(hasRegistry(text) && hasVersion(text) && f.looksLikeImage(text))
	default:
		class, reason = f.judgeWord(c, text, kind)
	}
	return start, class, reason
}

// judgeWord says what the text of a field is that may hold a reference as well as something else.
func (f *imageFinder) judgeWord(c *cursor, text string, kind ImageKind) (class imageClass, reason string) {
	shaped := kind == ImageShaped || f.shaped
	switch {
	case f.looksLikeImage(text):
		return classImage, ""
	case isTemplate(text):
		// What takes the place of a template may be all of a reference.
		filled := placeholder().ReplaceAllString(text, "x")
		return imageIf(f.looksLikeImage(filled) || !shaped && !isProse(filled)), ""
	case shaped:
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

func imageIf(is bool) imageClass {
	if is {
		return classImage
	}
	return classNone
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

// get finds the value of a key in a mapping. It indexes a mapping that is large: each of many fields may be looked up
// with several others, and each of many images take something from it.
func (f *imageFinder) get(mapping *yamlnode.Node, key string) *yamlnode.Node {
	const large = 128
	mapping = resolve(mapping)
	if mapping == nil || mapping.Kind != yamlnode.MappingNode || len(mapping.Content) < large {
		return get(mapping, key)
	}
	index := f.indexes[mapping]
	if index == nil {
		fields := mapping.Content
		index = make(map[string]*yamlnode.Node, len(fields)/2)
		for i := 0; i+1 < len(fields); i += 2 {
			index[keyOf(fields[i])] = fields[i+1]
		}
		f.remember(mapping, index)
	}
	return index[key]
}

// isLabels reports a mapping of words by which objects are marked and chosen, whatever they are called. Somebody may
// call a part of a resource like that, which shows in what no label holds.
func (c *cursor) isLabels() bool {
	if c.index >= 0 || !hasAnySuffix(c.key, "abels", "nnotations", "elector") {
		return false
	}
	for i := 1; i < len(c.node.Content); i += 2 {
		value := resolve(c.node.Content[i])
		if value.Kind != yamlnode.ScalarNode || !strings.HasSuffix(c.key, "nnotations") && strings.ContainsAny(value.Value, ":/@") {
			return false
		}
	}
	return true
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
