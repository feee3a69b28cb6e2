package helmexec

import (
	"errors"
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
	classNone
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
func (m Manifest) findImages(opts ImageOptions, hints bool) ([]foundImage, error) {
	finder := &imageFinder{opts: opts, hints: hints, exclude: opts.Exclude, rules: imageRules, words: builtinImageWords, parsed: make(map[string]parsedReference)}
	if len(opts.Rules) > 0 {
		finder.rules = slices.Concat(opts.Rules, imageRules)
		finder.words = newImageWords(slices.Concat(finder.rules, compositeRules))
	}
	var errs []error
	for doc := range m.documents() {
		if finder.mayMatter(doc) {
			finder.documentState = documentState{
				hintTries: maxHintTries, fills: minFills + len(doc.text)/8, fieldVisits: minFills + 4*len(doc.text),
			}
			start := len(finder.found)
			errs = append(errs, walk(doc, finder.visit))
			finder.dropHints(start)
		}
	}
	return finder.found, errors.Join(errs...)
}

// dropHints drops the hints in what was found from start on which are arguments that an image was filled in with.
func (f *imageFinder) dropHints(start int) {
	if len(f.filled) == 0 {
		return
	}
	kept := slices.DeleteFunc(f.found[start:], func(found foundImage) bool {
		return found.class == classHint && len(found.parts) == 1 && f.filled[found.parts[0].node]
	})
	f.found = f.found[:start+len(kept)]
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
	shaped bool // by a rule of them a field image has to look like one

	documentState
	parsed map[string]parsedReference
}

// documentState is what the finder remembers of the document that it reads.
type documentState struct {
	hintTries   int                                          // left
	fills       int                                          // left
	fieldVisits int                                          // left
	indexes     map[*yamlnode.Node]map[string]*yamlnode.Node // of large mappings, and of lists by name
	workflows   map[*object]*workflow
	jsonLists   map[*yamlnode.Node][]*yamlnode.Node   // by the scalar that holds it
	fields      map[*object]map[string]*yamlnode.Node // by plainName
	filled      map[*yamlnode.Node]bool               // scalars that images were filled in with
	hinted      map[string]bool                       // images of kro whose defaults were given
	defaults    map[*cursor]imageDefaults
}

type parsedReference struct {
	ref Reference
	err error
}

// maxParsed bounds how many references are remembered, of which most manifests repeat a few.
const maxParsed = 4096

func (f *imageFinder) parse(image string) (Reference, error) {
	if p, found := f.parsed[image]; found {
		return p.ref, p.err
	}
	ref, err := ParseReference(image)
	if len(f.parsed) < maxParsed {
		f.parsed[strings.Clone(image)] = parsedReference{ref, err}
	}
	return ref, err
}

// mayMatter tells from the bytes of a document whether it can hold an image.
func (f *imageFinder) mayMatter(doc *document) bool {
	if hidesKeys(doc.text) {
		return true
	}
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
	if c.node.Kind == yamlnode.ScalarNode {
		f.readUnreadable(c)
		return true
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
			f.readContainer(c)
		case c.key == "image" && c.parent != nil && c.parent.key == "volumes" && c.parent.index >= 0:
			f.field(c, "reference", ImageSure)
		case c.isArgument():
			f.readArgument(c)
		}
	case scopeCustom:
		f.readCustom(c)
	}
	return true
}

// readContainer reads a container of a pod spec or of a template of Argo.
func (f *imageFinder) readContainer(c *cursor) {
	if !f.patchedLater(c) {
		f.field(c, "image", ImageSure)
	} else if image := resolve(get(c.node, "image")); scalar(image) != "" {
		f.addUnresolved(c, "image", image, scalar(image), "podSpecPatch, which only the running workflow knows, may set another image")
	}
}

// addUnresolved adds an image, or what is known of one, that the manifest does not tell.
func (f *imageFinder) addUnresolved(c *cursor, field string, node *yamlnode.Node, text, reason string) {
	f.add(c, foundImage{
		ImageUse: ImageUse{Place: c.place(field, node), Image: text, Reason: reason}, class: classUnresolved, src: c.src,
	})
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
	f.imageObject(c, below, &used)
	for i := range compositeRules {
		f.applyRule(c, &compositeRules[i], &used)
	}
	for i := 0; i+1 < len(c.node.Content); i += 2 {
		key := keyOf(c.node.Content[i])
		if used.has(key) {
			continue
		}
		switch kind, known := imageFieldKind(c, key, below); {
		case isPulled(key, c.node.Content[i+1]):
			f.field(c, key, ImageSure)
		case known && !f.ofRepository(c, key) && !f.withNeighbours(c, key, kind):
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
	f.ruled, f.ruling, f.shaped = o, f.ruling[:0], false
	for i := range f.rules {
		if rule := &f.rules[i]; rule.fits(o) {
			f.ruling = append(f.ruling, rule)
			f.shaped = f.shaped || rule.Path == "image" && rule.Is == ImageShaped
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
	if rule.Is == ImageNever || rule.Is == ImageHint || !f.withNeighbours(c, field, rule.Is) {
		f.field(c, field, rule.Is)
	}
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
			start = schemeLength(text)
			class, reason = f.judge(c, text[start:], kind)
		}
		if class == classNone || class == classHint && !f.hints || class == classInvalid && f.listed(c, key, item) {
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
	case isOther(text):
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
		if f.looksLikeImage(filled) || kind != ImageShaped && !isProse(filled) {
			return classImage, ""
		}
		return classNone, ""
	case kind == ImageShaped || f.shaped:
		return classNone, ""
	}
	_, err := f.parse(text)
	switch hasPath := strings.Contains(text, "/"); {
	case err == nil && hasPath && c.inHelmValues():
		return classUnresolved, "nothing in the manifest says which tag it has"
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

// add classifies an image and keeps it, unless it is excluded.
func (f *imageFinder) add(c *cursor, found foundImage) {
	if slices.Contains(f.exclude, found.Image) {
		return
	}
	switch {
	case found.class == classUnresolved, found.class == classInvalid:
		f.found = append(f.found, found)
		return
	case found.class == classHint || !isTemplate(found.Image):
		f.addReference(found)
		return
	}
	filled, missing := f.fillIn(c, found.Image)
	for _, x := range filled {
		if f.hints && x.node != nil && found.class != classHint {
			if f.filled == nil {
				f.filled = make(map[*yamlnode.Node]bool)
			}
			f.filled[x.node] = true
		}
		if !slices.Contains(f.exclude, x.text) {
			f.addReference(x.as(found))
		}
	}
	if missing != "" {
		found.class, found.Reason, found.parts = classUnresolved, missing, nil
		f.found = append(f.found, found)
	}
}

// addReference keeps an image whose text is complete.
func (f *imageFinder) addReference(found foundImage) {
	ref, err := f.parse(found.Image)
	if err != nil {
		found.class, found.Reason = classInvalid, err.Error()
	}
	found.Reference = ref
	f.found = append(f.found, found)
}
