package helmexec

import (
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
		for _, field := range []string{"args", "command", "env"} {
			list := resolve(get(c.node, field))
			if list == nil || list.Kind != yamlnode.SequenceNode {
				continue
			}
			flag := ""
			for _, item := range list.Content {
				if item = resolve(item); item.Kind == yamlnode.MappingNode {
					f.scan(c, field, scalar(get(item, "name")), resolve(get(item, "value")))
				} else {
					f.scan(c, field, flag, item)
				}
				if flag = scalar(item); !strings.HasPrefix(flag, "-") || strings.Contains(flag, "=") {
					flag = ""
				}
			}
		}
		if c.object.scope == scopeCustom && c.key != "env" {
			f.scanTexts(c)
		}
	}
}

// scanTexts scans the fields of c that hold text of several lines, such as the values of a chart or a template.
func (f *imageFinder) scanTexts(c *cursor) {
	for i := 0; i+1 < len(c.node.Content); i += 2 {
		if value := resolve(c.node.Content[i+1]); strings.Contains(scalar(value), "\n") {
			key := keyOf(c.node.Content[i])
			f.scan(c, key, key, value)
		}
	}
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
			f.scanAll(c, joinPath(path, key), key, node.Content[i+1], depth+1)
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
		start = end
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

func mentionsImage(text string) bool {
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
	case ref.Tag == "":
		return aboutImages && hasRegistry
	case aboutImages:
		return hasPath || !isNumber(ref.Tag) || len(ref.Tag) < len("8080") // a port rather than a version
	}
	version := strings.TrimPrefix(ref.Tag, "v")
	return hasPath && !isNumber(ref.Tag) && (isNumber(version[:min(1, len(version))]) || version == "latest" || hasRegistry)
}

// isNumber reports text of nothing but digits, or of nothing.
func isNumber(text string) bool { return strings.Trim(text, "0123456789") == "" }
