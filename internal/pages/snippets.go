package pages

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
)

// given is what a snippet of statements may use without declaring it.
const given = `ctx context.Context, helm *helmexec.Helm, release, name, chart, password, token string, opts helmexec.InstallOptions,
	manifest helmexec.Manifest, gpus *helmexec.GPUReport, mirror helmexec.RegistryMap, p *plan.Plan, noLatest plan.Rule,
	t *testing.T, fake *helmtest.Fake`

// imports are the packages that snippets use, by name.
var imports = map[string]string{
	"context": "context", "errors": "errors", "fmt": "fmt", "log": "log", "os": "os", "slices": "slices", "slog": "log/slog",
	"strings": "strings", "testing": "testing", "time": "time",
	"helmexec": "github.com/sut-bench/helmexec", "helmtest": "github.com/sut-bench/helmexec/helmtest",
	"chart": "github.com/sut-bench/helmexec/chart", "manifest": "github.com/sut-bench/helmexec/manifest",
	"plan": "github.com/sut-bench/helmexec/plan", "policy": "github.com/sut-bench/helmexec/policy",
}

// Program makes a Go file of a snippet: a file, declarations, or statements that stand in a function.
func Program(snippet string) (string, error) {
	if strings.HasPrefix(snippet, "package ") {
		return snippet, nil
	}
	text := "package snippet\n" + snippet
	file, err := parser.ParseFile(token.NewFileSet(), "", text, 0)
	if err != nil {
		begin := "package snippet\nfunc snippet(" + given + ") error {\n{\n"
		if file, err = parser.ParseFile(token.NewFileSet(), "", begin+snippet+"}\n}\n", 0); err != nil {
			return "", err
		}
		body := file.Decls[0].(*ast.FuncDecl).Body.List[0].(*ast.BlockStmt).List
		text = begin + snippet + used(body) + "}\nreturn nil\n}\n"
		// Go refuses a variable that nobody uses. What declares it here is only shown.
		if file, err = parser.ParseFile(token.NewFileSet(), "", text, 0); err != nil {
			return "", err
		}
	}
	var needed []string
	for _, name := range file.Unresolved {
		if path := imports[name.Name]; path != "" {
			needed = append(needed, fmt.Sprintf("import %q\n", path))
		}
	}
	slices.Sort(needed)
	return strings.Replace(text, "\n", "\n"+strings.Join(slices.Compact(needed), ""), 1), nil
}

// used uses the variables that statements declare.
func used(statements []ast.Stmt) string {
	var text string
	for _, s := range statements {
		if assign, ok := s.(*ast.AssignStmt); ok && assign.Tok == token.DEFINE {
			for _, left := range assign.Lhs {
				if name := left.(*ast.Ident).Name; name != "_" {
					text += "_ = " + name + "\n"
				}
			}
		}
	}
	return text
}
