package manifest

import (
	"strings"

	yamlnode "go.yaml.in/yaml/v3"
)

// imageObject takes the fields of a mapping that make up an image, where its name or a pull policy says that it
// describes one. An image that the operator or the chart adds something to is unresolved.
func (f *imageFinder) imageObject(m *customMapping) {
	o := objectFields{
		c: m.cursor, used: m.used,
		called: m.index < 0 && hasAnySuffix(m.key, "mage", "mageSpec", "mageRef"),
		listed: m.below || m.index >= 0 && hasAnySuffix(m.key, "mages"),
	}
	o.named = o.called || m.below && m.index < 0
	if !o.called && !o.listed && !m.pulled {
		return
	}
	n := o.read()
	if n.repository == nil && n.name == nil {
		f.versionAlone(&o)
		return
	}
	if n.registry == nil {
		n.registry, n.defaulted = f.defaultsFor(m.cursor).registry, true
	}
	missing, isImage := o.missing(n)
	if !isImage || missing != "" && f.shaped {
		return
	}
	class, reason := classImage, ""
	if missing != "" {
		class, reason = classUnresolved, unsaid(missing)
	}
	if f.join(m.cursor, o.field, n, class, reason) {
		m.used.add(o.taken...)
	}
}

// versionAlone takes the version of an image of which the mapping says nothing else.
func (f *imageFinder) versionAlone(o *objectFields) {
	if tag := o.first("tag", "version"); o.called && tag != nil && !f.shaped && isVersionAlone(o.c) {
		f.addUnresolved(o.c, o.field, tag, versionOf(scalar(tag)), unsaid("repository it is of"))
	}
}

// objectFields reads the fields of a mapping that may describe an image.
type objectFields struct {
	c      *cursor
	used   usedFields
	called bool // the mapping is called like an image
	listed bool // it is in a list, or in a mapping, that is
	named  bool // by its key, so that a name in it is one of the image

	taken []string
	field string // that of the image's name; before that is read the last one
}

// first gives the first of some fields that has a value and is not used.
func (o *objectFields) first(fields ...string) *yamlnode.Node {
	for _, field := range fields {
		if node := resolve(get(o.c.node, field)); scalar(node) != "" && !o.used.has(field) {
			o.taken, o.field = append(o.taken, field), field
			return node
		}
	}
	return nil
}

// read gives the parts of the image.
func (o *objectFields) read() imageNodes {
	n := imageNodes{
		registry: o.first("registry"), tag: o.first("tag", "imageTag", "tagName", "versionTag"), digest: o.first("digest", "sha"),
	}
	if n.repository = o.first("repository", "repo"); n.repository == nil {
		n.name = o.first("image", "imageName", "name")
	} else if n.name = o.first("image", "imageName"); n.name == nil && o.named {
		// Without a name for it a mapping has the name of the item or the container in it, as has one that repeats it.
		if name := scalar(get(o.c.node, "name")); name != "" && !strings.HasSuffix("/"+scalar(n.repository), "/"+name) {
			n.name = o.first("name")
		}
	}
	field := o.field
	if n.tag == nil && (n.name != nil && (n.registry != nil || field != "name") || o.called && n.repository != nil || hasAnySuffix(o.c.key, "mageSpec")) {
		n.tag = o.first("version")
	}
	o.field = field
	return n
}

// missing says what the parts lack to be an image, "" for nothing. isImage is false where they describe something else,
// or a name alone.
func (o *objectFields) missing(n imageNodes) (what string, isImage bool) {
	switch {
	case n.repository == nil:
		return o.missingBesideName(n)
	case n.isVersioned():
		return "", true
	}
	return "tag it has", true
}

// missingBesideName is missing for what has a name and no repository.
func (o *objectFields) missingBesideName(n imageNodes) (what string, isImage bool) {
	bare := o.field == "name" && !strings.Contains(scalar(n.name), "/")
	ownRegistry := n.registry != nil && !n.defaulted
	complete := ownRegistry || n.isVersioned()
	switch {
	case !o.named && (!o.listed || bare && !ownRegistry):
		return "", false // the name of something else
	case !complete && (!bare || n.registry == nil):
		return "", false // an image as it is, or a name that the operator adds all to
	case bare && n.registry == nil:
		return "registry it is of", true
	case bare && !complete:
		return "tag it has", true
	}
	return "", true
}

// isVersionAlone reports a mapping with nothing but a version, a registry and how to pull.
func isVersionAlone(c *cursor) bool {
	for i := 0; i+1 < len(c.node.Content); i += 2 {
		switch key := keyOf(c.node.Content[i]); key {
		case "tag", "version", "digest", "registry":
		default:
			if !strings.Contains(key, "ull") {
				return false
			}
		}
	}
	return true
}
