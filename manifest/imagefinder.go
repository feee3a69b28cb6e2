package manifest

import (
	"context"
	"fmt"
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
func (m Manifest) findImages(ctx context.Context, opts ImageOptions, hints bool) ([]foundImage, error) {
	finder := &imageFinder{opts: opts, hints: hints, exclude: opts.Exclude, rules: imageRules, words: builtinImageWords, parsed: make(map[string]parsedReference)}
	if len(opts.Rules) > 0 {
		finder.rules = slices.Concat(opts.Rules, imageRules)
		finder.words = newImageWords(slices.Concat(finder.rules, compositeRules))
	}
	err := m.read(ctx, func(doc *document) error {
		if !finder.mayMatter(doc) && doc.searchable() {
			return nil
		}
		if finder.full {
			return doc.fail(errTooManyImages)
		}
		finder.documentState = documentState{
			hintTries: maxHintTries, fills: minFills + len(doc.Text)/8, fieldVisits: minFills + 4*len(doc.Text),
		}
		start := len(finder.found)
		err := walk(doc, finder.visit)
		if hints {
			finder.dropHints(start)
		}
		if err == nil && len(finder.found) > maxFound {
			clear(finder.found[start:])
			finder.found, finder.full = finder.found[:start], true
			err = doc.fail(errTooManyImages)
		}
		return err
	})
	return finder.found, err
}

// maxFound bounds what is found in a manifest: each takes some kilobytes, with the document that it is in.
const maxFound = 100_000

var errTooManyImages = fmt.Errorf("with it the manifest has more than %d images: %w", maxFound, ErrOutputTooLarge)

// dropHints drops the hints in what was found from start on which stand where an image is due too, or hold what an
// image was filled in with.
func (f *imageFinder) dropHints(start int) {
	taken := make(map[*yamlnode.Node]bool)
	hints := 0
	for _, found := range f.found[start:] {
		if found.class == classHint {
			hints++
			continue
		}
		for _, part := range found.parts {
			taken[part.node] = true
		}
	}
	if hints == 0 || len(taken) == 0 {
		return
	}
	kept := slices.DeleteFunc(f.found[start:], func(found foundImage) bool {
		return found.class == classHint && len(found.parts) == 1 && taken[found.parts[0].node]
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
	full    bool // there were more than maxFound

	posing bool // what is read stands in a part that says it is an object of another kind

	ruled  *object // whose rules are ruling
	ruling []objectRule
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
	patches     map[*yamlnode.Node]patchKind          // of pods of workflows
	jsonLists   map[*yamlnode.Node][]*yamlnode.Node   // by the scalar that holds it
	fields      map[*object]map[string]*yamlnode.Node // by plainName
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
	if len(image) > maxReference {
		return parseReference(image)
	}
	if p, found := f.parsed[image]; found {
		return p.ref, p.err
	}
	ref, err := parseReference(image)
	if len(f.parsed) < maxParsed {
		f.parsed[strings.Clone(image)] = parsedReference{ref, err}
	}
	return ref, err
}

// visit reads one mapping.
func (f *imageFinder) visit(c *cursor) bool {
	place := Place{Hooks: c.src.doc.hooks}
	if f.opts.SkipHooks && place.IsHook() || f.opts.SkipTests && place.IsTest() {
		return false
	}
	if c.node.Kind == yamlnode.ScalarNode {
		f.readUnreadable(c)
		return true
	}
	if f.hints {
		f.readHints(c)
	}
	if c.src.parent != nil {
		f.readLateKeys(c)
	}
	switch scope := c.object.scope; {
	case c.bare:
		f.readBare(c)
	case scope == scopeTyped:
		f.readTyped(c)
	case scope == scopeCustom:
		f.readCustom(c)
	case c.object.carried:
		f.readPosing(c)
	case scope == scopePolicy:
		f.hintContainer(c)
		return f.hints
	default:
		return f.hints && scope == scopeSchema
	}
	return true
}

// readTyped reads a mapping of a kind whose schema is known.
func (f *imageFinder) readTyped(c *cursor) {
	if from := get(c.node, "manifestFrom"); from != nil && c.key == "resource" && isArgoWorkflow(c.object) {
		f.addUnresolved(c, "manifestFrom", resolve(from), "manifestFrom", lateText)
	}
	switch {
	case c.isContainer():
		f.readContainer(c)
	case c.key == "image" && c.parent != nil && c.parent.key == "volumes" && c.parent.index >= 0:
		f.field(c, "reference", ImageSure)
	case c.isArgument():
		f.readArgument(c)
	case c.object.carried && (c == c.object.root || c.parent == c.object.root && c.key == "spec"):
		f.asPosing(func() { f.field(c, "image", imageCalled) })
	}
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
		parts: []imagePart{{role: partWhole, node: node, end: len(scalar(node))}},
	})
}

// customMapping is a mapping of a custom resource, with what its name and its fields say of images.
type customMapping struct {
	*cursor
	below  bool // belowImages
	about  bool // it is called like an image
	parts  bool // it has a field that one of the compositeRules is about
	pulled bool // it says how to pull
	runs   bool // it has a field of a container that says what to run
	placed []placedField
	used   usedFields
}

// readSigns looks through the mapping's name and its keys.
func (m *customMapping) readSigns() {
	m.below, m.placed = m.belowImages(), placedFields[m.key]
	m.about = m.below || isImageWord(m.key)
	for i := 0; i+1 < len(m.node.Content); i += 2 {
		switch keyOf(m.node.Content[i]) {
		case "registry", "repository", "image", "baseImage":
			m.parts = true
		case "pullPolicy", "imagePullPolicy":
			m.pulled = true
		case "command", "args", "env", "envFrom", "volumeMounts":
			m.runs = true
		}
	}
}

// readCustom reads a mapping of a custom resource.
func (f *imageFinder) readCustom(c *cursor) {
	if c.isLabels() {
		f.hintField(c, "image")
		return
	}
	m := customMapping{cursor: c}
	m.readSigns()
	start := len(f.found)
	rules := f.rulesFor(c.object)
	ofPod := c.isOfPod() // then the image is what stands there, whatever is beside it
	for i := range rules {
		if !ofPod || !rules[i].parts || rules[i].Path != "" {
			f.applyRule(&m, &rules[i])
		}
	}
	if ofPod && !m.used.has("image") {
		f.field(c, "image", ImageSure)
		m.used.add("image")
	}
	if !ofPod {
		f.imageObject(&m)
	}
	for i := 0; i < len(compositeRules) && m.parts && !ofPod; i++ {
		f.applyParts(&m, &compositeRules[i])
	}
	f.readFields(&m)
	f.readEventParameter(c)
	if m.runs && c.namesImage() || c.isListedContainer() {
		f.otherReading(c, start)
	}
}

// readFields reads the fields of a custom resource's mapping by their names, those that no rule has taken.
func (f *imageFinder) readFields(m *customMapping) {
	var whole []string // fields that are called something else and hold all of a reference
	for i := 0; i+1 < len(m.node.Content); i += 2 {
		key, value := keyOf(m.node.Content[i]), m.node.Content[i+1]
		if m.used.has(key) {
			continue
		}
		switch kind, known := m.fieldKind(key); {
		case isPulled(key, value):
			f.field(m.cursor, key, ImageSure)
		case known && !f.ofRepository(m.cursor, key) && !f.withNeighbours(m.cursor, key, kind) && !f.withVersion(m.cursor, key):
			f.field(m.cursor, key, kind)
		case !known && hasRegistry(scalar(value)) && f.isWhole(scalar(value)):
			whole = append(whole, key)
		}
	}
	for i := 0; i < len(whole) && len(whole) > 1; i++ { // a mapping of images that is not called so
		f.field(m.cursor, whole[i], ImageSure)
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

// objectRule is a rule that is about the object under walk.
type objectRule struct {
	*ImageRule
	field string // that it is about; "" where that are several
	parts bool   // it is about several
}

// rulesFor gives the rules that are about an object. It remembers those of the last one.
func (f *imageFinder) rulesFor(o *object) []objectRule {
	if f.ruled == o {
		return f.ruling
	}
	f.ruled, f.ruling, f.shaped = o, f.ruling[:0], false
	for i := range f.rules {
		rule := &f.rules[i]
		if !rule.fits(o) {
			continue
		}
		found := objectRule{ImageRule: rule, parts: rule.Parts != (ImageParts{})}
		if !found.parts {
			found.field = rule.Path[strings.LastIndexByte(rule.Path, '.')+1:]
		}
		f.ruling = append(f.ruling, found)
		f.shaped = f.shaped || rule.Path == "image" && rule.Is == ImageShaped
	}
	return f.ruling
}

func (f *imageFinder) applyRule(m *customMapping, rule *objectRule) {
	if rule.parts {
		f.applyParts(m, rule.ImageRule)
		return
	}
	c, field := m.cursor, rule.field
	if m.used.has(field) || get(c.node, field) == nil || !c.endsIn(rule.Path, field) {
		return
	}
	if rule.of != "" && (c.parent == nil || scalar(c.parent.get("type")) != rule.of) {
		return
	}
	m.used.add(field)
	if rule.Is == ImageNever || rule.Is == ImageHint || !f.withNeighbours(c, field, rule.Is) {
		f.field(c, field, rule.Is)
	}
}

// applyParts takes the fields of a mapping that by a rule make up an image.
func (f *imageFinder) applyParts(m *customMapping, rule *ImageRule) {
	p := rule.Parts
	if !m.used.has(p.main()) && m.endsIn(rule.Path, "") && scalar(get(m.node, rule.Unless)) == "" && f.composite(m.cursor, p) {
		m.used.add(p.Registry, p.Repository, p.Name, p.Tag, p.Digest)
	}
}

// add classifies an image and keeps it, unless it is excluded.
func (f *imageFinder) add(c *cursor, found foundImage) {
	if slices.Contains(f.exclude, found.Image) {
		return
	}
	if found.class == classImage {
		f.doubt(c, &found)
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
		if !slices.Contains(f.exclude, x.text) {
			f.addReference(x.as(found))
		}
	}
	if missing != "" {
		found.class, found.Reason = classUnresolved, missing
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
