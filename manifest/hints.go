package manifest

import (
	"slices"
	"strings"

	yamlnode "go.yaml.in/yaml/v3"
)

// maxHintTries bounds how many pieces of one document's text are tried as references.
const maxHintTries = 200_000

const lastApplied = "kubectl.kubernetes.io/last-applied-configuration" // kubectl's copy of the object itself

// readHints looks for image-shaped text where programs are told of images: the arguments and the environment of
// containers, annotations, text of several lines in custom resources, and every string of a ConfigMap or another
// configuration.
func (f *imageFinder) readHints(c *cursor) {
	switch {
	case c.object.config && c != c.object.root:
	case c.object.config:
		f.scanAll(c, "", "", c.node, 0)
	case c.key == "annotations" && c.parent != nil && c.parent.key == "metadata":
		f.scanAll(c, "", "", c.node, 0)
	default:
		for i := 0; i+1 < len(c.node.Content); i += 2 {
			f.readHintField(c, keyOf(c.node.Content[i]), resolve(c.node.Content[i+1]))
		}
	}
}

// readHintField reads a field of a mapping in which programs are told of images.
func (f *imageFinder) readHintField(c *cursor, key string, value *yamlnode.Node) {
	switch key {
	case "args", "command", "env":
		if value.Kind == yamlnode.SequenceNode {
			f.scanArguments(c, key, value)
			return
		}
	case "value", "default": // of a variable, a parameter or a patch; the JSON in an argument of a workflow is read in its own right
		if name := scalar(get(c.node, "name")); name != "" && c.index >= 0 && !holdsYAML(c, key, scalar(value)) {
			f.scan(c.parent, c.key, name, value)
			return
		}
		if f.readPatch(c, key, value) {
			return
		}
	}
	if c.object.scope != scopeCustom {
		return
	}
	switch text := scalar(value); {
	case strings.Contains(text, "\n"): // such as the values of a chart or a template
		f.scan(c, key, key, value)
	case f.isWhole(text) && !c.isLabels() && !f.isNever(c, key): // whatever the field is called
		f.addHint(c, key, value, 0, len(text))
	}
}

// isNever reports a field that by a rule holds no image that is pulled.
func (f *imageFinder) isNever(c *cursor, key string) bool {
	return slices.ContainsFunc(f.rulesFor(c.object), func(rule objectRule) bool {
		return rule.Is == ImageNever && c.endsIn(rule.Path, key)
	})
}

// scanArguments scans the arguments of a container. What stands before one may be the flag that it is for.
func (f *imageFinder) scanArguments(c *cursor, field string, list *yamlnode.Node) {
	flag := ""
	for _, item := range list.Content {
		f.scan(c, field, flag, item)
		if flag = scalar(item); !strings.HasPrefix(flag, "-") || strings.Contains(flag, "=") {
			flag = ""
		}
	}
}

// readPatch takes the value that a patch of JSON puts where an image is. It reports whether there is one.
func (f *imageFinder) readPatch(c *cursor, key string, value *yamlnode.Node) bool {
	text := scalar(value)
	if text == "" || !hasAnySuffix(scalar(get(c.node, "path")), "/image", "Image") {
		return false
	}
	_, err := f.parse(text)
	if err == nil {
		f.addHint(c, key, value, 0, len(text))
	}
	return err == nil
}

// scanAll scans the strings below a node. The path leads from c to the node; key is the last name in it.
func (f *imageFinder) scanAll(c *cursor, path, key string, node *yamlnode.Node, depth int) {
	if depth > maxDepth || f.hintTries <= 0 {
		return
	}
	f.hintTries--
	switch node = resolve(node); node.Kind {
	case yamlnode.ScalarNode:
		f.scan(c, path, key, node)
	case yamlnode.SequenceNode:
		for _, item := range node.Content {
			f.scanAll(c, path, key, item, depth+1)
		}
	case yamlnode.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			key := keyOf(node.Content[i])
			if key == lastApplied || key == "labels" || key == "binaryData" || c == c.object.root && depth == 0 && (key == "apiVersion" || key == "kind") {
				continue
			}
			f.readPair(c, path, key, node)
			f.scanAll(c, joinPath(path, key), key, node.Content[i+1], depth+1)
		}
	}
}

// pairs are what the keys of an image end in, of its tag and of its registry, where a configuration has a key for each.
var pairs = []struct{ image, tag, registry string }{
	{"repository", "tag", "registry"}, {"repository", "version", "registry"}, {"repo", "tag", "registry"},
	{"Repository", "Tag", "Registry"}, {"Repository", "Version", "Registry"},
	{"REPOSITORY", "TAG", "REGISTRY"}, {"REPOSITORY", "VERSION", "REGISTRY"}, {"REPO", "TAG", "REGISTRY"},
	{"image", "tag", "registry"}, {"image", "image.tag", "registry"}, {"image", "image-tag", "registry"}, {"image", "image_tag", "registry"},
	{"Image", "ImageTag", "ImageRegistry"}, {"Image", "Tag", "Registry"},
	{"IMAGE", "IMAGE_TAG", "REGISTRY"}, {"IMAGE", "TAG", "REGISTRY"},
}

// readPair takes a field of a configuration together with those beside it that hold its tag and its registry, such as
// trivy.repository and trivy.tag.
func (f *imageFinder) readPair(c *cursor, path, key string, mapping *yamlnode.Node) {
	for _, pair := range pairs {
		stem, found := strings.CutSuffix(key, pair.image)
		if !found {
			continue
		}
		n := imageNodes{name: resolve(f.get(mapping, key)), tag: resolve(f.get(mapping, stem+pair.tag)), registry: resolve(f.get(mapping, stem+pair.registry))}
		if len(scalar(n.name))+len(scalar(n.tag)) > maxReference {
			continue
		}
		if name := scalar(n.name); name == "" || scalar(n.tag) == "" || isOther(name) || hasVersion(name) || isTemplate(name+scalar(n.tag)) {
			continue
		}
		if _, err := f.parse(scalar(n.name) + versionOf(scalar(n.tag))); err == nil {
			f.join(c, joinPath(path, key), n, classHint, "")
			return
		}
	}
}

// scan takes the references in a string. The key that it stands under may say that it is an image.
func (f *imageFinder) scan(c *cursor, path, key string, node *yamlnode.Node) {
	text := scalar(node)
	if len(text) < 3 {
		return
	}
	underImage := mentionsImage(key)
	for start := 0; start < len(text) && f.hintTries > 0; {
		if !isReferenceByte(text[start]) {
			start++
			continue
		}
		end := start
		for end < len(text) && isReferenceByte(text[end]) {
			end++
		}
		from, to := start, end
		if start = end; end < len(text) && strings.IndexByte("{$<", text[end]) >= 0 {
			continue // a placeholder goes on with it
		}
		for to > from && strings.IndexByte(".:/@-", text[to-1]) >= 0 {
			to--
		}
		if at := strings.Index(text[from:to], "://"); at >= 0 {
			if scheme := text[from : from+at]; scheme != "docker" && scheme != "oci" {
				continue
			}
			from += at + len("://")
		}
		if word := text[from:to]; len(word) < 3 || len(word) > 500 || !strings.ContainsAny(word, "/:@") {
			continue
		}
		f.hintTries--
		if f.isHint(text[from:to], underImage || mentionsImage(lineBefore(text, from))) {
			f.addHint(c, path, node, from, to)
		}
	}
}

func (f *imageFinder) addHint(c *cursor, path string, node *yamlnode.Node, from, to int) {
	f.add(c, foundImage{
		ImageUse: ImageUse{Place: c.place(path, node), Image: scalar(node)[from:to]},
		class:    classHint, src: c.src, parts: []imagePart{{role: partWhole, node: node, start: from, end: to}},
	})
}

// lineBefore is what stands on the line of a text before a position, the last hundred bytes at most.
func lineBefore(text string, position int) string {
	before := text[max(0, position-100):position]
	return before[strings.LastIndexByte(before, '\n')+1:]
}

// mentionsImage reports text that speaks of images. Of a key, under which many things may stand, the end counts.
func mentionsImage(text string) bool {
	text = text[max(0, len(text)-maxPathPart):]
	return strings.Contains(text, "mage") || strings.Contains(text, "IMAGE")
}

func isReferenceByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("._-/:@", c) >= 0
}

// isHint reports whether a word is most likely an image. Where nothing around it speaks of images it needs a digest,
// or a path and what looks like a version.
func (f *imageFinder) isHint(word string, aboutImages bool) bool {
	ref, err := f.parse(word)
	if err != nil {
		return false
	}
	domain, _, hasPath := strings.Cut(word, "/")
	hasRegistry := hasPath && strings.IndexByte(domain, '.') > 0
	switch {
	case ref.Digest != "":
		return true
	case domain == "k8s.io", hasAnySuffix("."+domain, ".kubernetes.io", ".x-k8s.io", ".helm.sh"):
		return false // a label, an annotation or a taint
	case ref.Tag == "":
		return aboutImages && hasRegistry
	case aboutImages:
		return hasPath || !isNumber(ref.Tag) || len(ref.Tag) < len("8080") // a port rather than a version
	}
	version := strings.TrimPrefix(ref.Tag, "v")
	hasRegistry = hasRegistry && strings.Count(word, "/") > 1 // what has a domain and a name only may be a label
	return hasPath && (hasRegistry || !isNumber(ref.Tag) && (isNumber(version[:min(1, len(version))]) || version == "latest"))
}

// isWhole reports a reference that is most likely an image wherever it stands: with a path and a version.
func (f *imageFinder) isWhole(text string) bool {
	return strings.IndexByte(text, '/') > 0 && hasVersion(text) && f.isHint(text, false)
}

// isNumber reports text of nothing but digits, or of nothing.
func isNumber(text string) bool { return strings.Trim(text, "0123456789") == "" }
