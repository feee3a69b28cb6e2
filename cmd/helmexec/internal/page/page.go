// Package page writes a plan as one page for a browser. Everything on it is the text of strangers: html/template escapes it,
// and package out makes visible what has no shape. The page has no script and refers to nothing outside of it; its
// Content-Security-Policy allows its own style sheet and nothing else.
package page

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sut-bench/helmexec/cmd/helmexec/internal/out"
	"github.com/sut-bench/helmexec/cmd/helmexec/internal/view"
)

var (
	//go:embed plan.html
	planHTML string
	//go:embed plan.css
	planCSS string
)

// Plan writes a plan.
func Plan(p view.Plan) ([]byte, error) {
	refs := refer(p)
	t, err := template.New("plan").Funcs(template.FuncMap{
		"style":     func() template.CSS { return template.CSS(planCSS) },
		"styleHash": styleHash,
		"line":      line,
		"unbroken":  shortened,
		"join":      func(words []string) string { return strings.Join(words, ", ") },
		"names":     func(of map[string]int64) []string { return slices.Sorted(maps.Keys(of)) },
		"yaml": func(v any) (string, error) {
			text, err := out.YAML(v)
			return string(text), err
		},
		"size":       size,
		"isLong":     func(rows int) bool { return rows > 50 },
		"rules":      rules,
		"nodes":      nodes,
		"known":      func(nodes []map[string]int64) bool { return nodes != nil },
		"any":        func(registries []string) bool { return registries == nil },
		"registries": registries,
		"doubts":     func(i view.Images) []view.Image { return slices.Concat(i.Invalid, i.Unresolved) },
		"anchor":     func(o view.Object) string { return refs.anchors[o] },
		"findings":   func(o view.Object) []int { return refs.findings[o] },
	}).Parse(planHTML)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, p); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// styleHash names the one style sheet that a browser may apply.
func styleHash() string {
	sum := sha256.Sum256([]byte(planCSS))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// maxLine is how many characters of a text the page shows.
const maxLine = 300

// line is a text of the page: everything in it is visible, and what is far too long does not push the rest away. A browser
// breaks it where a word of a name ends.
func line(text string) template.HTML {
	var b strings.Builder
	rest := shortened(text)
	for rest != "" {
		n := wordEnd(rest)
		b.WriteString(template.HTMLEscapeString(rest[:n]))
		if rest = rest[n:]; rest != "" {
			b.WriteString("<wbr>")
		}
	}
	return template.HTML(b.String())
}

// wordEnd is where the first word of a name ends: "spec.", "host", "library/".
func wordEnd(text string) int {
	small := false
	for i, r := range text {
		if small && unicode.IsUpper(r) || i > 0 && r == '[' {
			return i
		}
		small = unicode.IsLower(r)
		if next := i + utf8.RuneLen(r); i > 0 && strings.ContainsRune("./:@-_", r) && !isDigit(text[next:]) {
			return next
		}
	}
	return len(text)
}

func isDigit(text string) bool { return text != "" && text[0] >= '0' && text[0] <= '9' }

// shortened is such a text in one piece. It looks only at what it shows: a name of megabytes may stand in a thousand places.
func shortened(text string) string {
	head := text[:ahead(text, maxLine)]
	if head == text {
		return out.Line(text)
	}
	const last = 50
	head = head[:ahead(head, maxLine-last)]
	end := len(text)
	for range last {
		_, width := utf8.DecodeLastRuneInString(text[:end])
		end -= width
	}
	return fmt.Sprintf("%s […%d bytes left out…] %s", out.Line(head), end-len(head), out.Line(text[end:]))
}

// ahead is the size of the first n characters of a text.
func ahead(text string, n int) int {
	size := 0
	for ; n > 0 && size < len(text); n-- {
		_, width := utf8.DecodeRuneInString(text[size:])
		size += width
	}
	return size
}

// rule is one that has something against the plan.
type rule struct {
	Name     string
	Findings int
	First    int // finding
}

// rules counts the findings by rule, in the order of the first ones.
func rules(findings []view.Finding) []rule {
	var all []rule
	known := map[string]int{}
	for i, f := range findings {
		at, is := known[f.Rule]
		if !is {
			at = len(all)
			known[f.Rule] = at
			all = append(all, rule{Name: f.Rule, First: i})
		}
		all[at].Findings++
	}
	return all
}

// alike are nodes with the same accelerators.
type alike struct {
	Count int
	Has   map[string]int64
}

// nodes counts those that are alike, in the order of the first ones.
func nodes(all []map[string]int64) []alike {
	var groups []alike
	known := map[string]int{}
	for _, node := range all {
		name := fmt.Sprint(node) // sorted by the keys
		at, is := known[name]
		if !is {
			at = len(groups)
			known[name] = at
			groups = append(groups, alike{Has: node})
		}
		groups[at].Count++
	}
	return groups
}

// references lead from an object to its row and to the findings about it, by their numbers.
type references struct {
	anchors  map[view.Object]string
	findings map[view.Object][]int
}

func refer(p view.Plan) references {
	r := references{map[view.Object]string{}, map[view.Object][]int{}}
	for i, place := range slices.Concat(p.Objects, p.Hooks, p.CRDs) {
		r.anchors[place.Object] = fmt.Sprintf("object-%d", i)
	}
	for i, f := range p.Findings {
		r.findings[f.Object] = append(r.findings[f.Object], i)
	}
	return r
}

// registry has the images that come from it.
type registry struct {
	Name   string
	Images []image
}

// image is what a cluster pulls, with every place that names it.
type image struct {
	Name   string
	Pinned bool // by a digest
	Uses   []view.Place
}

// registries groups the uses of images by registry and image.
func registries(uses []view.Image) []registry {
	sorted := slices.SortedStableFunc(slices.Values(uses), func(a, b view.Image) int {
		return cmp.Or(cmp.Compare(a.Registry, b.Registry), cmp.Compare(a.Image, b.Image))
	})
	var all []registry
	for _, use := range sorted {
		if len(all) == 0 || all[len(all)-1].Name != use.Registry {
			all = append(all, registry{Name: use.Registry})
		}
		r := &all[len(all)-1]
		if len(r.Images) == 0 || r.Images[len(r.Images)-1].Name != use.Image {
			r.Images = append(r.Images, image{Name: use.Image, Pinned: use.Digest != ""})
		}
		i := &r.Images[len(r.Images)-1]
		i.Uses = append(i.Uses, use.Place)
	}
	return all
}

func size(bytes int) string {
	if bytes < 1024 {
		return fmt.Sprintf("%d bytes", bytes)
	}
	return fmt.Sprintf("%.1f KiB", float64(bytes)/1024)
}
