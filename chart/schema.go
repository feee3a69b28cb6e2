package chart

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"github.com/sut-bench/helmexec/internal/pattern"
	"github.com/sut-bench/helmexec/internal/redact"
)

// HasSchema reports whether a chart brings a values schema, or may bring one: it or a subchart has a
// values.schema.json, or it has packed subcharts.
func (c *Chart) HasSchema() bool {
	for _, name := range c.Files {
		if bringsSchema(name) {
			return true
		}
	}
	return false
}

// CheckSchemaReferences refuses a chart if its values schema, or that of a subchart, refers to another document. A
// program that checks values with such a schema, as Helm does, fetches that document from the network or reads
// it from this machine's files, and may quote it in an error.
//
// References within a schema, such as "#/$defs/port", are allowed, and so are the drafts 4, 6 and 7 of JSON Schema,
// which validators have built in. A schema can be written in these and in 2019-09 and 2020-12. A reference to the schema's own $id is refused too: whether it leads back depends
// on the validator.
//
// Errors: ErrBad for a reference to another document, and as Read.
func CheckSchemaReferences(path string, opts Options) (err error) {
	defer func() { err = redact.Legible(err) }()
	name := cmp.Or(opts.Name, path)
	parts := newParts(opts.Limits.withDefaults(), bringsSchema)
	if err := parts.read(path, name); err != nil {
		return err
	}
	return parts.subcharts(bringsSchema, func(file string, _ bool, text []byte) error {
		if refs := foreignReferences(text); len(refs) > 0 {
			return invalid(name, fmt.Errorf("%.200s refers to another document, which Helm would fetch or read on this host: %.200q", file, refs[0]))
		}
		return nil
	})
}

// bringsSchema reports whether a file of a chart is a values schema, or may contain one. As in Helm, these are
// the schema of the chart, those of the charts in charts, and packed charts there.
func bringsSchema(name string) bool {
	name, packed := inSubchart(name)
	return packed || name == schemaFile
}

var (
	// drafts are the schemas of JSON Schema that every supported Helm has built in; Helm before 3.18 fetches them from an https URL.
	drafts = pattern.New(`^http://json-schema\.org/draft-0[467]/schema$`)
	// languages are those that a schema can be written in, without that Helm fetches something. Helm before 3.18 takes
	// no notice of the later ones.
	languages = pattern.New(`^https?://json-schema\.org/((draft-0[467]|draft/(2019-09|2020-12))/)?schema$`)
	// straying are those of an $id against which validators resolve "#/a" to a URL that they do not know, and so fetch: Go's resolver
	// drops an empty query and adds an empty host, and Helm before 3.18 knows an $id only with its fragment.
	straying = pattern.New(`^[^#]*\?|^[A-Za-z][-A-Za-z0-9+.]*:/([^/]|$)|^[^#]+#.`)
)

// foreignReferences lists the references of a schema that lead out of it, or may. Every key counts, wherever it
// is, also a duplicate one or one with escapes: validators differ in what they treat as a schema.
func foreignReferences(schema []byte) (refs []string) {
	decoder := json.NewDecoder(bytes.NewReader(schema))
	decoder.UseNumber() // as validators do; otherwise a large number ends the search
	type level struct {
		object, keyNext bool
		key             string
	}
	levels := []level{{}}
	for {
		token, err := decoder.Token()
		if err != nil {
			return refs // at its end, or where neither we nor Helm can read on
		}
		at := &levels[len(levels)-1]
		isKey := at.keyNext
		at.keyNext = at.object && !isKey
		switch token {
		case json.Delim('{'):
			levels = append(levels, level{object: true, keyNext: true})
			continue
		case json.Delim('['):
			levels = append(levels, level{})
			continue
		case json.Delim('}'), json.Delim(']'):
			levels = levels[:len(levels)-1]
			continue
		}
		text, isText := token.(string)
		if isKey {
			at.key = text
		} else if at.object && isText {
			if document, _, _ := strings.Cut(text, "#"); leadsOut(at.key, text, document) {
				refs = append(refs, document)
			}
		}
	}
}

// leadsOut reports whether a key of a schema refers to another document by a text, or makes references within the schema do so.
func leadsOut(key, text, document string) bool {
	switch {
	case identifiesBy[key]:
		return straying().MatchString(text)
	case !refersBy[key], document == "", drafts().MatchString(document):
		return false
	}
	return key != "$schema" || !languages().MatchString(document)
}

// refersBy are the keys of a schema whose text refers to another schema.
var refersBy = map[string]bool{"$ref": true, "$dynamicRef": true, "$recursiveRef": true, "$schema": true}

// identifiesBy are the keys of a schema whose text is the URL against which references in it are resolved.
var identifiesBy = map[string]bool{"$id": true, "id": true}

// inSubchart removes the folders of the subcharts around a file from its path. packed means that the file is a
// packed subchart. The name is "" if Helm does not read the file as a part of a subchart.
func inSubchart(name string) (rest string, packed bool) {
	for strings.HasPrefix(name, "charts/") {
		folder, file := path.Split(name)
		if path.Base(folder) == "charts" && path.Ext(file) == ".tgz" && !hidden(file) {
			return name, true
		}
		subchart, below, _ := strings.Cut(strings.TrimPrefix(name, "charts/"), "/")
		if hidden(subchart) {
			return "", false
		}
		name = below
	}
	return name, false
}

// hidden reports what Helm leaves out of the folder charts.
func hidden(name string) bool { return strings.HasPrefix(name, "_") || strings.HasPrefix(name, ".") }
