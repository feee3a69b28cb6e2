// Package page writes a plan as one page for a browser. Everything on it is the text of strangers: html/template escapes it,
// and package out makes visible what has no shape. The page has no script and refers to nothing outside of it.
package page

import (
	"bytes"
	_ "embed"
	"html/template"
	"maps"
	"slices"
	"strings"

	"github.com/sut-bench/helmexec/cmd/helmexec/internal/out"
	"github.com/sut-bench/helmexec/cmd/helmexec/internal/view"
)

//go:embed plan.html
var planHTML string

// Plan writes a plan.
func Plan(p view.Plan) ([]byte, error) {
	t, err := template.New("plan").Funcs(template.FuncMap{
		"line":  func(v any) string { return out.Line(text(v)) },
		"join":  func(words []string) string { return strings.Join(words, ", ") },
		"names": func(of map[string]int64) []string { return slices.Sorted(maps.Keys(of)) },
		"yaml": func(v any) (string, error) {
			text, err := out.YAML(v)
			return string(text), err
		},
		"doubts": func(i view.Images) []view.Image { return slices.Concat(i.Invalid, i.Unresolved) },
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

func text(v any) string {
	if o, is := v.(view.Object); is {
		return o.String()
	}
	s, _ := v.(string)
	return s
}
