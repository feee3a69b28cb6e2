package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// sentinel is an error that callers tell apart, as its comment describes it.
type sentinel struct {
	name    string
	meaning string
	toDo    string
	retry   string
	from    string // the calls that give it, in words; "" if their comments name it
}

// call is a public function or method, by its name as a caller writes it: Install, plan.Load.
type call struct {
	name   string
	fails  bool     // it returns an error
	errors []string // the sentinels that its comment names
	as     []string // the calls whose errors it gives as well
}

// packages are the public packages that read or change something.
var packages = []string{".", "chart", "manifest", "plan"}

type source struct {
	sentinels []sentinel
	calls     map[string]*call
}

// read reads the source in the folder root.
func read(root string) (*source, error) {
	s := &source{calls: map[string]*call{}}
	comments := map[*call]string{}
	for _, pkg := range packages {
		files, err := parse(filepath.Join(root, pkg))
		if err != nil {
			return nil, err
		}
		prefix, aliases := "", map[string]string{}
		if pkg != "." {
			prefix = pkg + "."
		}
		for _, file := range files {
			for _, decl := range file.Decls {
				switch d := decl.(type) {
				case *ast.GenDecl:
					if err := s.readErrors(d, prefix, aliases); err != nil {
						return nil, err
					}
				case *ast.FuncDecl:
					if name := public(d); name != "" {
						c := &call{name: prefix + name, fails: fails(d)}
						s.calls[c.name] = c
						comments[c] = d.Doc.Text()
					}
				}
			}
		}
		for c, text := range comments {
			c.errors = named(text, aliases)
		}
		for c, text := range comments {
			c.as = s.references(c, prefix, text)
			delete(comments, c)
		}
	}
	return s, nil
}

func parse(dir string) ([]*ast.File, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []*ast.File
	for _, entry := range entries {
		name := entry.Name()
		if filepath.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}

// public is the name of an exported function, or of an exported method of an exported type; methods of Helm are called
// by their name alone.
func public(d *ast.FuncDecl) string {
	if !d.Name.IsExported() {
		return ""
	}
	if d.Recv == nil {
		return d.Name.Name
	}
	t := d.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	switch receiver, ok := t.(*ast.Ident); {
	case !ok || !receiver.IsExported():
		return ""
	case receiver.Name == "Helm":
		return d.Name.Name
	default:
		return receiver.Name + "." + d.Name.Name
	}
}

func fails(d *ast.FuncDecl) bool {
	if d.Type.Results == nil {
		return false
	}
	list := d.Type.Results.List
	last, ok := list[len(list)-1].Type.(*ast.Ident)
	return ok && last.Name == "error"
}

// readErrors reads the errors of a var block: the sentinels, and other packages' names for them.
func (s *source) readErrors(d *ast.GenDecl, prefix string, aliases map[string]string) error {
	if d.Tok != token.VAR {
		return nil
	}
	for _, spec := range d.Specs {
		value := spec.(*ast.ValueSpec)
		if len(value.Values) != 1 {
			continue
		}
		original, ok := value.Values[0].(*ast.SelectorExpr)
		if pkg, in := selected(original, ok); !in || pkg != "errdef" {
			continue
		}
		name := value.Names[0].Name
		if prefix != "" {
			aliases[name] = original.Sel.Name
			continue
		}
		found, err := describe(name, value.Doc.Text())
		if err != nil {
			return err
		}
		aliases[name] = name
		s.sentinels = append(s.sentinels, found)
	}
	return nil
}

func selected(sel *ast.SelectorExpr, ok bool) (pkg string, in bool) {
	if !ok {
		return "", false
	}
	ident, ok := sel.X.(*ast.Ident)
	if !ok {
		return "", false
	}
	return ident.Name, true
}

var label = regexp.MustCompile(`(?m)^(To do|Retry|From): `)

// describe reads the comment of a sentinel: its meaning, then labelled sentences.
func describe(name, comment string) (sentinel, error) {
	text, found := strings.CutPrefix(comment, name+": ")
	if !found {
		return sentinel{}, fmt.Errorf("the comment of %s does not begin with %q", name, name+": ")
	}
	s := sentinel{name: name}
	part := &s.meaning
	for text != "" {
		next := label.FindStringSubmatchIndex(text)
		if next == nil {
			next = []int{len(text), len(text), len(text), len(text)}
		}
		*part = strings.Join(strings.Fields(text[:next[0]]), " ")
		part = map[string]*string{"To do": &s.toDo, "Retry": &s.retry, "From": &s.from}[text[next[2]:next[3]]]
		text = text[next[1]:]
	}
	if s.toDo == "" || s.retry == "" {
		return s, fmt.Errorf(`the comment of %s needs a line "To do: …" and a line "Retry: …"`, name)
	}
	return s, nil
}

var (
	errorName = regexp.MustCompile(`\bErr[A-Z]\w*`)
	callName  = regexp.MustCompile(`\b[A-Z]\w*(\.[A-Z]\w*)?`)
)

// failures is the paragraph of a comment about errors.
func failures(comment string) string {
	_, text, found := strings.Cut("\n\n"+comment, "\n\nErrors")
	if !found {
		return ""
	}
	text, _, _ = strings.Cut(text, "\n\n")
	return text
}

func named(comment string, aliases map[string]string) []string {
	var names []string
	for _, name := range errorName.FindAllString(failures(comment), -1) {
		names = append(names, cmp.Or(aliases[name], name))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// references are the calls that a comment names when it speaks of errors: "as Fetch".
func (s *source) references(c *call, prefix, comment string) []string {
	var names []string
	for _, name := range callName.FindAllString(failures(comment), -1) {
		for _, full := range []string{prefix + name, name} {
			if s.calls[full] != nil && full != c.name {
				names = append(names, full)
				break
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// gives reports whether a call gives an error by its own comment or by that of a call it refers to.
func (s *source) gives(name, failure string, seen map[string]bool) bool {
	if seen[name] {
		return false
	}
	seen[name] = true
	c := s.calls[name]
	return slices.Contains(c.errors, failure) ||
		slices.ContainsFunc(c.as, func(other string) bool { return s.gives(other, failure, seen) })
}

// from lists the calls that give an error.
func (s *source) from(failure string) []string {
	var names []string
	for name := range s.calls {
		if s.gives(name, failure, map[string]bool{}) {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(strings.Count(a, "."), strings.Count(b, ".")), strings.Compare(a, b))
	})
	return names
}
