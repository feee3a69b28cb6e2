package pages

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// given are the variables that a snippet may use without declaring them, and their types.
var given = map[string]string{
	"ctx": "context.Context", "t": "*testing.T", "helm": "*helmexec.Helm", "fake": "*helmtest.Fake",
	"release": "string", "name": "string", "chart": "string", "password": "string", "token": "string",
	"opts": "helmexec.InstallOptions", "manifest": "helmexec.Manifest", "gpus": "*helmexec.GPUReport", "mirror": "helmexec.RegistryMap",
	"p": "*plan.Plan", "noLatest": "plan.Rule", "runJob": "func(context.Context, *helmexec.Helm, string, string) error",
}

// imports are the packages that snippets and given variables use, by name.
var imports = map[string]string{
	"context": "context", "errors": "errors", "fmt": "fmt", "http": "net/http", "httptest": "net/http/httptest", "log": "log", "os": "os",
	"sha256": "crypto/sha256", "slices": "slices", "slog": "log/slog",
	"strings": "strings", "testing": "testing", "time": "time",
	"assert": "github.com/stretchr/testify/assert", "require": "github.com/stretchr/testify/require", "backoff": "github.com/cenkalti/backoff/v4",
	"helmexec": "github.com/sut-bench/helmexec", "helmtest": "github.com/sut-bench/helmexec/helmtest",
	"plan": "github.com/sut-bench/helmexec/plan", "policy": "github.com/sut-bench/helmexec/policy",
}

// leftOut is a line that stands for others.
var leftOut = regexp.MustCompile(`(?m)^\s*…$`)

// Program makes a Go file of a snippet: a file, declarations, statements, declarations before statements, or fields of a
// Config.
func Program(snippet string) (string, error) {
	if strings.HasPrefix(snippet, "package ") {
		return snippet, nil
	}
	snippet = leftOut.ReplaceAllString(snippet, "")
	var file *ast.File
	var text string
	var err error
	for _, form := range forms(snippet) {
		if file, err = parser.ParseFile(token.NewFileSet(), "", "package snippet\n"+form, 0); err == nil {
			text = form
			break
		}
	}
	if err != nil {
		return "", err
	}
	var variables []string
	needed := map[string]bool{}
	for _, unresolved := range file.Unresolved {
		if kind := given[unresolved.Name]; kind != "" {
			variables = append(variables, "var "+unresolved.Name+" "+kind+"\n")
			for name := range imports {
				needed[name] = needed[name] || strings.Contains(kind, name+".")
			}
		} else if imports[unresolved.Name] != "" {
			needed[unresolved.Name] = true
		}
	}
	slices.Sort(variables)
	program := "package snippet\n"
	for _, name := range slices.Sorted(maps.Keys(needed)) {
		if needed[name] {
			program += fmt.Sprintf("import %q\n", imports[name])
		}
	}
	return program + strings.Join(slices.Compact(variables), "") + text, nil
}

// forms are what a snippet can be, as declarations.
func forms(snippet string) []string {
	all := []string{snippet, inFunction(snippet)}
	for at := range strings.Count(snippet, "\n\n") {
		parts := strings.SplitAfterN(snippet, "\n\n", at+2)
		all = append(all, strings.Join(parts[:at+1], "")+inFunction(parts[at+1]))
	}
	return append(all, "var _ = helmexec.Config{\n"+snippet+"}\n")
}

// inFunction is a function of statements, which uses the variables that they declare: Go refuses a variable that nobody
// uses, and a page may only show what declares it.
func inFunction(statements string) string {
	begin := "func snippet() error {\n{\n"
	uses := ""
	file, err := parser.ParseFile(token.NewFileSet(), "", "package snippet\n"+begin+statements+"}\nreturn nil\n}\n", 0)
	if err == nil {
		for _, s := range file.Decls[0].(*ast.FuncDecl).Body.List[0].(*ast.BlockStmt).List {
			assign, ok := s.(*ast.AssignStmt)
			if !ok || assign.Tok != token.DEFINE {
				continue
			}
			for _, left := range assign.Lhs {
				if name := left.(*ast.Ident).Name; name != "_" {
					uses += "_ = " + name + "\n"
				}
			}
		}
	}
	return begin + statements + uses + "}\nreturn nil\n}\n"
}
