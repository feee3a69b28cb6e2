package manifest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	yamlnode "go.yaml.in/yaml/v3"

	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/yamlfast"
)

// RetagOptions chooses what Retag rewrites. Its zero value takes every image that a cluster pulls.
type RetagOptions struct {
	ImageOptions
	// Hints rewrites hints too: image-shaped text in arguments, environment, annotations and ConfigMaps.
	Hints bool
	// KeepFailed makes the transform RetagImages leave images that cannot be rewritten, instead of failing.
	KeepFailed bool
}

// RetagReport says what Retag did, in the order of the manifest.
type RetagReport struct {
	Changed []Retagged // places that name another image now
	Failed  []Retagged // places that should have changed but could not, with the reason
}

// Retagged is one place of an image that Retag changed or would have changed.
type Retagged struct {
	Place
	From, To string // the image before and after; To is empty if unknown
	Reason   string // why it stayed
}

// Retag replaces the image references of the manifest by the results of rewrite, and leaves every other byte as it
// was: comments, order, quoting. A reference that rewrite returns unchanged stays as it is written. If an image is
// put together from several fields, the first fields change and the last ones stay if possible. A value that
// several places share by an anchor is changed once, for all of them; so is the argument of an Argo workflow that
// names an image.
//
// The report lists what was changed, and what could not be: images that are invalid or unresolved, values that are
// folded over several lines or whose tag says that they are no text, and images for which rewrite returns no valid
// reference. A document that cannot be read stays as it is, and is reported in the error. A nil
// rewrite is ErrInvalidArgument.
func (m Manifest) Retag(rewrite func(Reference) Reference, opts RetagOptions) (Manifest, *RetagReport, error) {
	if rewrite == nil {
		return nil, &RetagReport{}, errdef.Invalidf("retag: there is no function that rewrites")
	}
	found, err := m.findImages(context.Background(), opts.ImageOptions, opts.Hints)
	report := &RetagReport{}
	edits := &editor{manifest: m, edits: make(map[int]edit), valid: make(map[Reference]bool)}
	for _, f := range found {
		entry := Retagged{Place: f.Place, From: f.Image}
		if f.class == classInvalid || f.class == classUnresolved {
			entry.Reason = f.Reason
			report.Failed = append(report.Failed, entry)
			continue
		}
		to := rewrite(f.Reference)
		if to == f.Reference {
			continue
		}
		entry.To = to.String()
		if err := edits.retag(&f, to); err != nil {
			entry.Reason = err.Error()
			report.Failed = append(report.Failed, entry)
			continue
		}
		report.Changed = append(report.Changed, entry)
	}
	return edits.apply(), report, err
}

// edit replaces a piece of the stream.
type edit struct {
	start, end int
	text       string
}

// editor collects edits of a manifest.
type editor struct {
	manifest Manifest
	edits    map[int]edit // by start
	valid    map[Reference]bool
}

var (
	errShared = errors.New("shares a field with an image that is rewritten in another way")
	errFolded = errors.New("the text is folded over several lines")
	errTagged = errors.New("its tag says that it is not a text: remove the tag")
	errKey    = errors.New("an anchor or alias shares the text with a key: write it out")
	errNumber = errors.New("a number that Kubernetes reads otherwise than it is written: put it in quotes")
)

// retag adds the edits that make an image another one: all of them or none.
func (e *editor) retag(f *foundImage, to Reference) error {
	if !e.valid[to] {
		if parsed, err := parseReference(to.String()); err != nil {
			return fmt.Errorf("rewritten to %q: %w", to.String(), err)
		} else if parsed != to {
			return fmt.Errorf("rewritten to %q, which reads as %q", to.String(), parsed.String())
		}
		e.valid[to] = true
	}
	texts, err := f.split(to)
	if err != nil {
		return err
	}
	var edits []edit
	for i, part := range f.parts {
		old := part.node.Value[part.start:part.end]
		edit, err := f.src.edit(part, texts[i])
		switch was := string(e.manifest[edit.start:edit.end]); {
		case err != nil && texts[i] == old:
		case err != nil:
			return err
		case was != old && !strings.Contains(was, `\`):
			return errFolded
		case texts[i] == old:
			edit.text = was
			fallthrough
		default:
			edits = append(edits, edit) // what stays is kept too, so that nobody else changes it
		}
	}
	for _, edit := range edits {
		if other, taken := e.edits[edit.start]; taken && other != edit {
			return errShared
		}
	}
	for _, edit := range edits {
		e.edits[edit.start] = edit
	}
	return nil
}

// apply makes the edits. They do not overlap: each is a scalar, or a word of one.
func (e *editor) apply() Manifest {
	edits := make([]edit, 0, len(e.edits))
	for _, edit := range e.edits {
		edits = append(edits, edit)
	}
	slices.SortFunc(edits, func(a, b edit) int { return cmp.Compare(a.start, b.start) })
	var out bytes.Buffer
	at := 0
	for _, edit := range edits {
		if edit.start < at {
			continue
		}
		out.Write(e.manifest[at:edit.start])
		out.WriteString(edit.text)
		at = edit.end
	}
	out.Write(e.manifest[at:])
	return out.Bytes()
}

// split spreads a reference over the parts that an image is made of.
func (f *foundImage) split(to Reference) ([]string, error) {
	texts := make([]string, len(f.parts))
	if len(f.parts) == 0 {
		return nil, errors.New("put together from arguments of the workflow")
	}
	if f.parts[0].role == partWhole {
		for i := range texts {
			texts[i] = to.String()
		}
		return texts, nil
	}
	var names []int // the parts of the name, from the registry on
	version := Reference{Tag: to.Tag, Digest: to.Digest}
	for i, part := range f.parts {
		old := part.node.Value[part.start:part.end]
		texts[i] = old
		switch part.role {
		case partTag:
			texts[i] = takeVersion(old, &version)
		case partDigest:
			if texts[i], version.Digest = version.Digest, ""; !strings.Contains(old, ":") {
				texts[i] = strings.TrimPrefix(texts[i], "sha256:")
			}
		default:
			names = append(names, i)
			continue
		}
		if texts[i] == "" {
			return nil, errors.New("the version has a field of its own, and the new reference has none")
		}
	}
	slices.SortFunc(names, func(a, b int) int { return cmp.Compare(f.parts[a].role, f.parts[b].role) })
	last := names[len(names)-1]
	if hasVersion(texts[last]) && !strings.HasSuffix(texts[last], "/") {
		texts[last], _, _ = strings.Cut(texts[last], "@")
		if hasVersion(texts[last]) {
			texts[last] = texts[last][:strings.LastIndexByte(texts[last], ':')]
		}
	} else if version.Tag != "" || version.Digest != "" {
		return nil, errors.New("there is no field for the version of the new reference")
	}
	rest := to.Name()
	for n := len(names) - 1; n > 0; n-- {
		i := names[n]
		// A part keeps its text if the new name ends in it, and else as many elements as it had.
		cut := len(rest)
		for range strings.Count(strings.Trim(texts[i], "/"), "/") + 1 {
			if cut = strings.LastIndexByte(rest[:cut], '/'); cut < 0 {
				return nil, errors.New("the new name has fewer elements than fields")
			}
		}
		texts[i], rest = rest[cut+1:], rest[:cut]
	}
	texts[names[0]] = rest
	texts[last] += version.String()
	return texts, nil
}

// takeVersion takes from a version what a field for a tag is to hold: a tag, a digest or both, as it held before. It
// gives nothing if the version lacks one.
func takeVersion(old string, version *Reference) string {
	tag, digest, both := strings.Cut(old, "@")
	if !both && strings.Contains(old, ":") {
		tag, digest = "", old
	}
	if tag != "" && versionOf(tag) != ":"+version.Tag {
		tag = version.Tag
	}
	if digest != "" {
		digest = version.Digest
	}
	if both && (tag == "" || digest == "") {
		return ""
	}
	if tag != "" {
		version.Tag = ""
	}
	if digest != "" {
		version.Digest = ""
	}
	return strings.Trim(tag+"@"+digest, "@")
}

// edit replaces a piece of a scalar.
func (s *source) edit(part imagePart, text string) (edit, error) {
	located := s.locate(part.node)
	start, startOK := located.at(part.start)
	end, endOK := located.at(part.end)
	switch {
	case s.keys[part.node]:
		return edit{}, errKey
	case part.node.Style&yamlnode.TaggedStyle != 0 && part.node.Tag != "!!str":
		return edit{}, errTagged
	case startOK && endOK && start <= end:
	case isNumeric(part.node):
		return edit{}, errNumber
	default:
		return edit{}, errFolded
	}
	const quoted = yamlnode.DoubleQuotedStyle | yamlnode.SingleQuotedStyle | yamlnode.LiteralStyle
	if part.node.Style&quoted == 0 && text != part.node.Value[part.start:part.end] && !isPlainString(text) {
		if s.parent != nil {
			return edit{}, errors.New("needs quotes inside of a string")
		}
		text = `"` + text + `"`
	}
	return edit{start, end, text}, nil
}

// isPlainString reports text that Kubernetes takes for a string without quotes. References hold no character that means
// anything, but a tag can look like a number or like a word such as null.
func isPlainString(text string) bool {
	_, tag := yamlfast.Resolve(text)
	return tag == "!!str"
}

// RegistryMap is a ready rewrite for Retag: it maps registries, or repositories and everything below them, to their
// mirrors. The longest key that matches counts; the key "*" stands for every registry. For example
//
//	RegistryMap{"docker.io": "mirror.lab/docker", "quay.io/ceph": "mirror.lab/ceph", "*": "mirror.lab/other"}
//
// makes mirror.lab/docker/library/nginx:1.27 of nginx:1.27. Tags and digests stay. References that are already
// below one of the mirrors stay as they are, so a second run changes nothing.
type RegistryMap map[string]string

// Rewrite returns the reference at the mirror. Use it as the argument of Retag.
func (m RegistryMap) Rewrite(r Reference) Reference {
	name := r.Name()
	from := ""
	for key, mirror := range m {
		if isBelow(name, mirror) {
			return r
		}
		if isBelow(name, key) && len(key) > len(from) || key == "*" && from == "" {
			from = key
		}
	}
	if from == "" {
		return r
	}
	rest := strings.TrimPrefix(name[len(strings.TrimSuffix(from, "/")):], "/")
	if from == "*" {
		rest = r.Repository
	}
	mirror := strings.TrimSuffix(m[from], "/")
	if rest != "" {
		mirror += "/" + rest
	}
	r.Registry, r.Repository, _ = strings.Cut(mirror, "/")
	return r
}

// isBelow reports whether the name is the prefix or below it, by whole elements.
func isBelow(name, prefix string) bool {
	prefix = strings.TrimSuffix(prefix, "/")
	return prefix != "" && (name == prefix || strings.HasPrefix(name, prefix+"/"))
}
