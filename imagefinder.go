package helmexec

import (
	"context"
	"slices"
	"strings"

	yamlnode "go.yaml.in/yaml/v3"
)

// foundImage is an image with what it takes to rewrite it.
type foundImage struct {
	ImageUse
	class imageClass
	src   *source
	parts []imagePart
}

type imageClass int

const (
	classImage imageClass = iota
	classInvalid
	classUnresolved
	classHint
)

// imagePart is a piece of text that makes up a reference or a part of it.
type imagePart struct {
	role       partRole
	node       *yamlnode.Node // the scalar
	start, end int            // of the piece in the scalar's value
}

type partRole int

const (
	partWhole partRole = iota
	partRegistry
	partRepository
	partName
	partTag
	partDigest
)

// findImages walks the documents which can hold an image, or with hints those which can hold text like one.
func (m Manifest) findImages(ctx context.Context, opts ImageOptions, hints bool) ([]foundImage, error) {
	finder := &imageFinder{opts: opts, hints: hints, exclude: opts.Exclude, rules: imageRules, words: builtinImageWords, parsed: make(map[string]parsedReference)}
	if len(opts.Rules) > 0 {
		finder.rules = slices.Concat(opts.Rules, imageRules)
		finder.words = newImageWords(slices.Concat(finder.rules, compositeRules))
	}
	if opts.Exclude == nil {
		finder.exclude = DefaultExclude
	}
	err := m.read(ctx, func(doc *document) error {
		if !finder.mayMatter(doc) && doc.skim() {
			return nil
		}
		finder.hintTries, finder.indexes = maxHintTries, nil
		return walk(doc, finder.visit)
	})
	return finder.found, err
}

type imageFinder struct {
	opts    ImageOptions
	hints   bool
	exclude []string
	rules   []ImageRule
	words   imageWords
	found   []foundImage

	ruled  *object // whose rules are ruling
	ruling []*ImageRule

	indexes map[*yamlnode.Node]map[string]*yamlnode.Node // of this document's large mappings

	hintTries int // left in this document
	parsed    map[string]parsedReference
}

type parsedReference struct {
	ref Reference
	err error
}

// maxParsed bounds how many references are remembered, of which most manifests repeat a few.
const maxParsed = 4096

func (f *imageFinder) parse(image string) (Reference, error) {
	if len(image) > maxReference {
		return ParseReference(image)
	}
	if p, found := f.parsed[image]; found {
		return p.ref, p.err
	}
	ref, err := ParseReference(image)
	if len(f.parsed) < maxParsed {
		f.parsed[strings.Clone(image)] = parsedReference{ref, err}
	}
	return ref, err
}

// mayMatter tells from the bytes of a document whether it can hold an image, if its keys are spelled as they read.
func (f *imageFinder) mayMatter(doc *document) bool {
	named := f.hints || containsWord(doc.text, f.words.fields)
	apiVersion, kind := doc.scanIdentity()
	if kind == "" {
		return named || containsWord(doc.text, f.words.groups)
	}
	group, _ := splitAPIVersion(apiVersion)
	switch scopeOf(group, kind) {
	case scopeNothing:
		return false
	case scopeConfig:
		return f.hints
	case scopeTyped:
		if !strings.HasSuffix(kind, "List") {
			return named
		}
	}
	return named || containsWord(doc.text, f.words.groups)
}

// visit reads one mapping.
func (f *imageFinder) visit(c *cursor) bool {
	if f.opts.SkipHooks && len(c.object.hooks) > 0 || f.opts.SkipTests && (Place{Hooks: c.object.hooks}).IsTest() {
		return false
	}
	if f.hints {
		f.readHints(c)
	}
	switch c.object.scope {
	case scopeConfig:
		return false
	case scopeTyped:
		switch {
		case c.isContainer():
			f.field(c, "image", ImageSure)
		case c.key == "image" && c.parent != nil && c.parent.key == "volumes" && c.parent.index >= 0:
			f.field(c, "reference", ImageSure)
		}
	case scopeCustom:
		f.readCustom(c)
	}
	return true
}

// readCustom reads a mapping of a custom resource.
func (f *imageFinder) readCustom(c *cursor) {
	if c.isLabels() {
		return
	}
	var used usedFields
	below := c.belowImages()
	for _, rule := range f.rulesFor(c.object) {
		f.applyRule(c, rule, &used)
	}
	if parts := imageObject(c, below); parts != (ImageParts{}) && !used.has(parts.main()) && f.composite(c, parts) {
		used.add(parts.Registry, parts.Repository, parts.Name)
	}
	for i := range compositeRules {
		f.applyRule(c, &compositeRules[i], &used)
	}
	for i := 0; i+1 < len(c.node.Content); i += 2 {
		key := keyOf(c.node.Content[i])
		if used.has(key) {
			continue
		}
		if kind, known := imageFieldKind(c, key, below); !known {
			f.ofRepository(c, key)
		} else if !f.withOwnTag(c, key) {
			f.field(c, key, kind)
		}
	}
}

// usedFields are the fields of a mapping that a rule has taken.
type usedFields map[string]bool

func (u usedFields) has(key string) bool { return u[key] }

func (u *usedFields) add(keys ...string) {
	if *u == nil {
		*u = make(usedFields)
	}
	for _, key := range keys {
		(*u)[key] = true
	}
}

// rulesFor gives the rules that are about an object. It remembers those of the last one.
func (f *imageFinder) rulesFor(o *object) []*ImageRule {
	if f.ruled == o {
		return f.ruling
	}
	f.ruled, f.ruling = o, f.ruling[:0]
	for i := range f.rules {
		if f.rules[i].fits(o) {
			f.ruling = append(f.ruling, &f.rules[i])
		}
	}
	return f.ruling
}

func (f *imageFinder) applyRule(c *cursor, rule *ImageRule, used *usedFields) {
	if p := rule.Parts; p != (ImageParts{}) {
		if !used.has(p.main()) && c.endsIn(rule.Path, "") && scalar(get(c.node, rule.Unless)) == "" && f.composite(c, p) {
			used.add(p.Registry, p.Repository, p.Name, p.Tag, p.Digest)
		}
		return
	}
	field := rule.Path[strings.LastIndexByte(rule.Path, '.')+1:]
	if used.has(field) || get(c.node, field) == nil || !c.endsIn(rule.Path, field) {
		return
	}
	used.add(field)
	f.field(c, field, rule.Is)
}

// field takes the string, or the strings of the list, at a key of c.
func (f *imageFinder) field(c *cursor, key string, kind ImageKind) {
	if kind == ImageNever || kind == ImageHint && !f.hints {
		return
	}
	sure := kind == ImageSure || kind == ImageShaped && key == "image" && c.isContainer()
	for _, item := range f.scalarsAt(c.node, key) {
		text := scalar(item)
		switch {
		case text == "":
			continue
		case c.object.scope == scopeTyped:
		case text == "true", text == "false", isNumber(text), isFile(text), !sure && !f.looksLikeImage(text):
			continue
		}
		part := imagePart{role: partWhole, node: item, end: len(text)}
		found := foundImage{ImageUse: ImageUse{Place: c.place(key, item), Image: text}, src: c.src, parts: []imagePart{part}}
		if kind == ImageHint {
			found.class = classHint
		}
		f.add(c, found)
	}
}

// composite puts an image, or several with one prefix, together from fields of c. It reports whether the fields that
// it takes are all there.
func (f *imageFinder) composite(c *cursor, parts ImageParts) bool {
	prefix, suffix, pieces, ok := f.frame(c, parts)
	if !ok {
		return false
	}
	emit := func(field string, node *yamlnode.Node, image string, pieces []imagePart) {
		f.add(c, foundImage{ImageUse: ImageUse{Place: c.place(field, node), Image: image}, src: c.src, parts: pieces})
	}
	if parts.Name == "" {
		name := strings.TrimSuffix(prefix, "/")
		if name == "" || hasVersion(name) {
			return false
		}
		emit(parts.Repository, pieces[0].node, name+suffix, pieces)
		return true
	}
	complete := false
	for _, item := range f.scalarsAt(c.node, parts.Name) {
		name := scalar(item)
		if name == "" || suffix != "" && hasVersion(name) {
			continue
		}
		complete = true
		part := imagePart{role: partName, node: item, end: len(name)}
		emit(parts.Name, item, prefix+name+suffix, append(slices.Clip(pieces), part))
	}
	return complete
}

// frame gives what stands before and behind the name of a composite image, and the pieces it is made of.
func (f *imageFinder) frame(c *cursor, parts ImageParts) (prefix, suffix string, pieces []imagePart, ok bool) {
	for _, p := range []struct {
		field string
		role  partRole
	}{{parts.Registry, partRegistry}, {parts.Repository, partRepository}, {parts.Tag, partTag}, {parts.Digest, partDigest}} {
		if p.field == "" {
			continue
		}
		at, field := c, p.field
		if outer, found := strings.CutPrefix(field, "../"); found && c != c.object.root {
			at, field = c.parent, outer
		}
		node := resolve(f.get(at.node, field))
		text := scalar(node)
		if text == "" || len(text) > maxReference {
			return "", "", nil, false
		}
		pieces = append(pieces, imagePart{role: p.role, node: node, end: len(text)})
		switch isDigest := strings.Contains(text, ":"); {
		case p.role == partRegistry || p.role == partRepository:
			prefix += strings.TrimSuffix(text, "/") + "/"
		case isDigest:
			suffix += "@" + text
		case p.role == partDigest:
			suffix += "@sha256:" + text
		default:
			suffix += ":" + text
		}
	}
	return prefix, suffix, pieces, true
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

// add classifies an image and keeps it, unless it is excluded.
func (f *imageFinder) add(c *cursor, found foundImage) {
	if slices.Contains(f.exclude, found.Image) {
		return
	}
	if found.class != classHint && len(found.Image) <= maxTemplate && isTemplate(found.Image) {
		resolved, argument, ok := fillIn(c, found.Image)
		if found.parts = nil; argument != nil {
			found.src = c.object.root.src
			found.parts = []imagePart{{role: partWhole, node: argument, end: len(argument.Value)}}
		}
		if !ok {
			found.class, found.Reason = classUnresolved, "filled in when the workflow runs"
			f.found = append(f.found, found)
			return
		}
		found.Image = resolved
		if slices.Contains(f.exclude, found.Image) {
			return
		}
	}
	ref, err := f.parse(found.Image)
	if err != nil {
		found.class, found.Reason = classInvalid, err.Error()
	}
	found.Reference = ref
	f.found = append(f.found, found)
}

// maxTemplate bounds the text of an image that is filled in. What is longer is no image.
const maxTemplate = 4 * maxReference

// isTemplate reports text that a workflow engine fills in: Argo's {{…}} and Tekton's $(…), which no reference holds.
func isTemplate(image string) bool {
	return strings.Contains(image, "{{") || strings.Contains(image, "$(")
}
