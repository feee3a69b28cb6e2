package manifest

import (
	"strings"

	yamlnode "go.yaml.in/yaml/v3"
)

// imageNodes are the values that make up an image; nil for what it does without.
type imageNodes struct {
	registry, repository, name, tag, digest *yamlnode.Node

	defaulted bool // the registry is a default
}

// isVersioned reports a tag or a digest, which may stand in the name.
func (n *imageNodes) isVersioned() bool {
	last := n.name
	if last == nil {
		last = n.repository
	}
	return n.tag != nil || n.digest != nil || hasVersion(scalar(last))
}

// composite puts an image, or several with one prefix, together from fields of c. It reports whether the fields that
// it takes are all there.
func (f *imageFinder) composite(c *cursor, parts ImageParts) bool {
	var nodes imageNodes
	for _, part := range []struct {
		field string
		node  **yamlnode.Node
	}{
		{parts.Registry, &nodes.registry}, {parts.Repository, &nodes.repository}, {parts.Tag, &nodes.tag}, {parts.Digest, &nodes.digest},
	} {
		if part.field == "" {
			continue
		}
		at, field := c, part.field
		if outer, found := strings.CutPrefix(field, "../"); found && c != c.object.root {
			at, field = c.parent, outer
		}
		if *part.node = resolve(f.get(at.node, field)); scalar(*part.node) == "" {
			return false
		}
	}
	if parts.Name == "" {
		return f.join(c, parts.Repository, nodes, classImage, "")
	}
	complete := false
	for _, nodes.name = range f.scalarsAt(c.node, parts.Name) {
		complete = f.join(c, parts.Name, nodes, classImage, "") || complete
	}
	return complete
}

// join adds the image that some values make up. A name with a version or a registry of its own does without the
// others'.
func (f *imageFinder) join(c *cursor, field string, n imageNodes, class imageClass, reason string) bool {
	last, role := n.name, partName
	if last == nil {
		last, role, n.repository = n.repository, partRepository, nil
	}
	name := shortened(scalar(last), maxReference) // many images may share a part
	text := strings.TrimSuffix(name, "/")
	if text == "" {
		return false
	}
	if hasRegistry(text) && (n.name != nil || n.defaulted) {
		n.registry, n.repository = nil, nil
	}
	var parts []imagePart
	add := func(node *yamlnode.Node, role partRole) string {
		if scalar(node) != "" {
			parts = append(parts, imagePart{role: role, node: node, end: len(scalar(node))})
		}
		return shortened(scalar(node), maxReference)
	}
	prefix := ""
	for _, part := range []struct {
		node *yamlnode.Node
		role partRole
	}{{n.registry, partRegistry}, {n.repository, partRepository}} {
		before := add(part.node, part.role)
		if before != "" && !(part.role == partRegistry && n.defaulted && before == "docker.io") { // which changes nothing
			prefix += strings.TrimSuffix(before, "/") + "/"
		}
	}
	add(last, role)
	switch text = prefix + text; {
	case strings.HasSuffix(name, "@sha256"): // which templates of charts put in front of a tag
		text += ":" + add(n.tag, partTag)
	case !hasVersion(name):
		text += versionOf(add(n.tag, partTag)) + digestOf(add(n.digest, partDigest))
	}
	f.add(c, foundImage{ImageUse: ImageUse{Place: c.place(field, last), Image: text, Reason: reason}, class: class, src: c.src, parts: parts})
	return true
}

// versionOf is the end of a reference that a tag makes. It may be a digest, or have one behind it. The + of a version
// cannot stand in a tag; controllers put a - there.
func versionOf(tag string) string {
	tag, digest, _ := strings.Cut(tag, "@")
	tag = strings.ReplaceAll(tag, "+", "-")
	switch {
	case strings.Contains(tag, ":"):
		return digestOf(tag)
	case tag != "":
		tag = ":" + tag
	}
	return tag + digestOf(digest)
}

func digestOf(digest string) string {
	switch {
	case digest == "":
		return ""
	case strings.Contains(digest, ":"):
		return "@" + digest
	}
	return "@sha256:" + digest
}

// unsaid is the reason why an image is unresolved.
func unsaid(what string) string { return "nothing in the manifest says which " + what }

// imageDefaults are the parts of images that a resource gives for all that do without.
type imageDefaults struct {
	registry, repository, tag *yamlnode.Node
}

// defaultsFor finds the defaults for what is in the mapping c: in a mapping called so in c or in one around it.
func (f *imageFinder) defaultsFor(c *cursor) imageDefaults {
	if d, known := f.defaults[c]; known {
		return d
	}
	var d imageDefaults
	for _, key := range []string{"global", "defaults"} {
		if mapping := resolve(f.get(c.node, key)); d == (imageDefaults{}) && mapping != nil && mapping.Kind == yamlnode.MappingNode {
			d = f.defaultsIn(mapping)
		}
	}
	if outer := c.parent; d == (imageDefaults{}) && c != c.object.root && outer.src == c.src {
		d = f.defaultsFor(outer)
	}
	if f.defaults == nil {
		f.defaults = make(map[*cursor]imageDefaults)
	}
	f.defaults[c] = d
	return d
}

func (f *imageFinder) defaultsIn(mapping *yamlnode.Node) imageDefaults {
	first := func(fields ...string) *yamlnode.Node {
		for _, field := range fields {
			if node := resolve(f.get(mapping, field)); scalar(node) != "" {
				return node
			}
		}
		return nil
	}
	d := imageDefaults{
		registry: first("registry", "imageRegistry"), repository: first("repository", "imageRepository"),
		tag: first("version", "tag", "imageTag"),
	}
	if !isRegistry(scalar(d.registry)) {
		d.registry = nil
	}
	return d
}

// What the fields are called, behind what the image is called, that hold its tag, its registry and its repository.
var (
	tagSuffixes        = []string{"Tag", "_tag", "tag", "Version", "_version"}
	registrySuffixes   = []string{"Registry", "_registry"}
	repositorySuffixes = []string{"Repository", "_repository"}
)

// withNeighbours takes a field that holds an image together with those beside it, or around it, which hold its tag,
// its registry or its repository: fooImageTag, fooTag, fooRepository.
func (f *imageFinder) withNeighbours(c *cursor, key string, kind ImageKind) bool {
	n := imageNodes{name: resolve(f.get(c.node, key))}
	text := scalar(n.name)
	if text == "" || isOther(text) || isProse(text) || kind == imageMentioned || kind == imagePartly {
		return false
	}
	if f.readNeighbours(c.node, key, &n); n.tag != nil || n.registry != nil || n.repository != nil {
		return f.join(c, key, n, classImage, "")
	}
	return key == "image" && !hasRegistry(text) && !c.isContainer() && f.withDefaults(c, key, n)
}

// readNeighbours reads the fields that are called like the one of the image.
func (f *imageFinder) readNeighbours(mapping *yamlnode.Node, key string, n *imageNodes) {
	base := strings.TrimSuffix(strings.TrimSuffix(key, "Name"), "_name") // such as fooImage
	n.tag = f.beside(mapping, base, tagSuffixes...)
	n.registry = f.beside(mapping, base, registrySuffixes...)
	n.repository = f.beside(mapping, base, repositorySuffixes...)
	stem, found := strings.CutSuffix(base, "Image")
	if !found || stem == "" {
		return
	}
	if n.tag == nil {
		n.tag = f.beside(mapping, stem, "Tag")
	}
	if n.tag == nil {
		n.tag = f.versionFor(scalar(n.name), f.beside(mapping, stem, "Version"))
	}
	if n.registry == nil && n.repository == nil {
		n.registry, n.repository = f.beside(mapping, stem, "Registry"), f.beside(mapping, stem, "Repository")
	}
}

// beside gives the first field of a mapping, called by a stem and one of some suffixes, that holds a part of an image.
func (f *imageFinder) beside(mapping *yamlnode.Node, stem string, suffixes ...string) *yamlnode.Node {
	for _, suffix := range suffixes {
		if node := resolve(f.get(mapping, stem+suffix)); scalar(node) != "" && !strings.Contains(scalar(node), "://") {
			return node
		}
	}
	return nil
}

// withDefaults takes a field image that holds a name alone together with the registry beside it, or with the defaults
// around it.
func (f *imageFinder) withDefaults(c *cursor, key string, n imageNodes) bool {
	if n.registry = f.beside(c.node, "", "registry"); n.registry != nil && isRegistry(scalar(n.registry)) {
		n.tag = f.beside(c.node, "", "tag", "version")
		return f.join(c, key, n, classImage, "")
	}
	defaults := f.defaultsFor(c)
	n.registry, n.repository, n.defaulted = defaults.registry, defaults.repository, true
	if text := scalar(n.name); n.registry == nil && n.repository == nil || strings.Contains(text, "/") || hasVersion(text) {
		return false
	}
	if n.tag = f.beside(c.node, "", "version", "tag"); n.tag == nil {
		n.tag = defaults.tag
	}
	if n.tag == nil {
		return f.join(c, key, n, classUnresolved, unsaid("tag it has"))
	}
	return f.join(c, key, n, classImage, "")
}

// versionFor gives the version beside an image if it is the image's tag: if the image is a path without one. Beside a
// single word it is most likely the version of something else.
func (f *imageFinder) versionFor(image string, version *yamlnode.Node) *yamlnode.Node {
	if text := scalar(version); text != "" && !hasVersion(image) && (strings.Contains(image, "/") || isTemplate(image)) {
		if _, err := f.parse("x" + versionOf(text)); err == nil || isTemplate(text) {
			return version
		}
	}
	return nil
}

// withVersion takes an image together with the field version beside it.
func (f *imageFinder) withVersion(c *cursor, key string) bool {
	image := resolve(f.get(c.node, key))
	if key != "image" || isOther(scalar(image)) || isProse(scalar(image)) || c.isContainer() {
		return false
	}
	version := f.versionFor(scalar(image), resolve(f.get(c.node, "version")))
	return version != nil && f.join(c, key, imageNodes{name: image, tag: version}, classImage, "")
}

// ofRepository takes a field such as imageRepository together with the tag beside it that is called like it.
func (f *imageFinder) ofRepository(c *cursor, key string) bool {
	name := scalar(f.get(c.node, key))
	for _, words := range []struct{ repository, registry, tag, version string }{
		{"Repository", "Registry", "Tag", "Version"}, {"Repo", "Registry", "Tag", "Version"},
		{"_repository", "_registry", "_tag", "_version"}, {"_repo", "_registry", "_tag", "_version"},
	} {
		stem, found := strings.CutSuffix(key, words.repository)
		if !found || !hasAnySuffix(stem, "mage") || name == "" {
			continue
		}
		n := imageNodes{repository: resolve(f.get(c.node, key)), registry: resolve(f.get(c.node, stem+words.registry))}
		for _, tag := range []string{stem + words.tag, stem + words.version, "tag"} {
			if n.tag = resolve(f.get(c.node, tag)); scalar(n.tag) != "" {
				return f.join(c, key, n, classImage, "")
			}
		}
		if n.tag = nil; f.shaped || hasVersion(name) || !strings.Contains(name, "/") || isOther(name) || isProse(name) {
			return false
		}
		return f.join(c, key, n, classUnresolved, unsaid("tag it has"))
	}
	return false
}
