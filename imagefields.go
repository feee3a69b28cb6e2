package helmexec

import (
	"strings"

	yamlnode "go.yaml.in/yaml/v3"
)

// imageFieldKind is the general rule for the fields of a custom resource, known being false for all others. below is
// c.belowImages().
func imageFieldKind(c *cursor, key string, below bool) (kind ImageKind, known bool) {
	switch {
	case key == "image":
		if c.inHelmValues() {
			return ImageShaped, true // in the values of a chart it may be the name alone
		}
		return ImageSure, true
	case key == "reference" && c.key == "image": // an image volume
		return ImageSure, true
	case key == "name" && scalar(get(c.node, "kind")) == "DockerImage": // where OpenShift imports from
		return ImageSure, true
	case isImageWord(key) && hasAnySuffix(key, imageSuffixes...):
		return ImageShaped, true
	case c.key == "override" && c.index < 0 && c.parent != nil && c.parent.key == "registry": // Knative's, by container
		return ImageShaped, true
	}
	return ImageShaped, below && !imagePartFields[key]
}

// imageSuffixes are what the names of fields that hold images end in.
var imageSuffixes = []string{
	"Image", "_image", "-image", ".image", "Images", "images", "mageName", "mage_name",
	"mageURL", "mageUrl", "mageURI", "mageUri", "mage_url", "mage_uri", "mageRef", "mageReference", "mageFqin",
	"magePullSpec", "magePullspec", "image_web",
}

// imagePartFields are the fields of a mapping called image which do not hold all of a reference, as any other may.
var imagePartFields = map[string]bool{
	"registry": true, "repository": true, "repo": true, "tag": true, "version": true, "digest": true, "hub": true,
	"url": true, "repoURL": true, "checksum": true,
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

// imageObject gives the fields of a mapping which make up an image, where its name or a pull policy says that it
// describes one; nothing where they do not suffice. below is c.belowImages().
func imageObject(c *cursor, below bool) ImageParts {
	called := c.index < 0 && hasAnySuffix(c.key, "mage", "mageSpec", "mageRef")
	listed := c.index >= 0 && hasAnySuffix(c.key, "mages") || below
	if !called && !listed && get(c.node, "pullPolicy") == nil && get(c.node, "imagePullPolicy") == nil {
		return ImageParts{}
	}
	first := func(fields ...string) string {
		for _, field := range fields {
			if scalar(get(c.node, field)) != "" {
				return field
			}
		}
		return ""
	}
	parts := ImageParts{
		Registry: first("registry"), Repository: first("repository", "repo"), Name: first("image", "name"),
		Tag: first("tag", "versionTag"), Digest: first("digest"),
	}
	if parts.Name == "name" && parts.Repository != "" {
		name, repository := scalar(get(c.node, "name")), scalar(get(c.node, parts.Repository))
		if !called || strings.HasSuffix("/"+repository, "/"+name) {
			parts.Name = "" // what the container or the item is called
		}
	}
	if parts.Tag == "" && (parts.Registry != "" && parts.Name != "" || hasAnySuffix(c.key, "mageSpec")) {
		parts.Tag = first("version")
	}
	// A name alone, such as agent, comes after a registry that the operator knows, or is that of a machine's image.
	bare := parts.Registry == "" && parts.Name == "name" && !strings.Contains(scalar(get(c.node, "name")), "/")
	switch {
	case parts.Repository == "" && (parts.Name == "" || bare || !called && !listed),
		parts.Tag == "" && parts.Digest == "" && (parts.Registry == "" || parts.Name == ""):
		return ImageParts{}
	}
	return parts
}

// get finds the value of a key in a mapping of a cursor. It indexes a large mapping, in which each of many fields may
// be looked up with several others.
func (f *imageFinder) get(mapping *yamlnode.Node, key string) *yamlnode.Node {
	const large = 128
	if len(mapping.Content) < large {
		return get(mapping, key)
	}
	index := f.indexes[mapping]
	if index == nil {
		index = make(map[string]*yamlnode.Node, len(mapping.Content)/2)
		for i := 0; i+1 < len(mapping.Content); i += 2 {
			index[keyOf(mapping.Content[i])] = mapping.Content[i+1]
		}
		if f.indexes == nil {
			f.indexes = make(map[*yamlnode.Node]map[string]*yamlnode.Node)
		}
		f.indexes[mapping] = index
	}
	return index[key]
}

// withOwnTag takes a field together with those beside it that are called like it and hold its tag and its registry.
func (f *imageFinder) withOwnTag(c *cursor, key string) bool {
	for _, suffix := range []string{"Tag", "_tag", "Version", "_version"} {
		if scalar(f.get(c.node, key+suffix)) == "" {
			continue
		}
		parts := ImageParts{Name: key, Tag: key + suffix}
		if scalar(f.get(c.node, key+"Registry")) != "" && !hasRegistry(scalar(f.get(c.node, key))) {
			parts.Registry = key + "Registry"
		}
		return f.composite(c, parts)
	}
	return false
}

// ofRepository takes a field such as imageRepository together with those beside it that are called like it.
func (f *imageFinder) ofRepository(c *cursor, key string) {
	stem, found := strings.CutSuffix(key, "Repository")
	if !found || !hasAnySuffix(stem, "mage") {
		return
	}
	parts := ImageParts{Repository: key}
	if scalar(f.get(c.node, stem+"Registry")) != "" {
		parts.Registry = stem + "Registry"
	}
	for _, tag := range []string{stem + "Tag", stem + "Version", "tag"} {
		if scalar(f.get(c.node, tag)) != "" {
			parts.Tag = tag
			f.composite(c, parts)
			return
		}
	}
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

// isFile reports another kind of image: a picture, or the disk of a virtual machine.
func isFile(text string) bool {
	if strings.HasPrefix(text, "/") || strings.HasPrefix(text, "http://") || strings.HasPrefix(text, "https://") {
		return true
	}
	for _, extension := range []string{".png", ".svg", ".jpg", ".jpeg", ".gif", ".ico", ".qcow2", ".iso", ".img", ".vmdk", ".vhd"} {
		if strings.HasSuffix(text, extension) {
			return true
		}
	}
	return false
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
