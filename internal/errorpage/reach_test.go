package main

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/sut-bench/helmexec"

// graph says which declarations of the library use which others. A call through an interface uses every method of that
// name.
type graph struct {
	uses    map[types.Object]map[types.Object]bool
	methods map[string][]types.Object
}

// listed is a package as go list prints it.
type listed struct {
	ImportPath, Dir, Export string
	GoFiles                 []string
}

// load type-checks the packages of the library, bottom up.
func load(t *testing.T, root string) (*graph, map[string]*types.Package) {
	t.Helper()
	cmd := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Dir,Export,GoFiles", ".", "./plan", "./policy")
	cmd.Dir, cmd.Stderr = root, os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	g := &graph{uses: map[types.Object]map[types.Object]bool{}, methods: map[string][]types.Object{}}
	fset, exports, own := token.NewFileSet(), map[string]string{}, map[string]*types.Package{}
	others := importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return g, own
		} else {
			require.NoError(t, err)
		}
		exports[p.ImportPath] = p.Export
		if p.ImportPath != module && !strings.HasPrefix(p.ImportPath, module+"/") {
			continue
		}
		var files []*ast.File
		for _, name := range p.GoFiles {
			file, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			require.NoError(t, err)
			files = append(files, file)
		}
		info := &types.Info{Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{}, Types: map[ast.Expr]types.TypeAndValue{}}
		config := types.Config{Importer: importers{own, others}}
		own[p.ImportPath], err = config.Check(p.ImportPath, fset, files, info)
		require.NoError(t, err)
		g.add(files, info)
	}
}

// importers gives the packages of the library as they were checked, so that their objects are the same everywhere.
type importers struct {
	own    map[string]*types.Package
	others types.Importer
}

func (i importers) Import(path string) (*types.Package, error) {
	if p := i.own[path]; p != nil {
		return p, nil
	}
	return i.others.Import(path)
}

func (g *graph) add(files []*ast.File, info *types.Info) {
	for _, file := range files {
		for _, decl := range file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				from := info.Defs[d.Name]
				if d.Recv != nil {
					g.methods[d.Name.Name] = append(g.methods[d.Name.Name], from)
				}
				if d.Body != nil {
					g.addUses(from, d.Body, info)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if value, ok := spec.(*ast.ValueSpec); ok {
						for _, name := range value.Names {
							g.addUses(info.Defs[name], value, info)
						}
					}
				}
			}
		}
	}
}

// addUses adds what a node uses, except what it only compares an error with.
func (g *graph) addUses(from types.Object, node ast.Node, info *types.Info) {
	if g.uses[from] == nil {
		g.uses[from] = map[types.Object]bool{}
	}
	ast.Inspect(node, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if sel, ok := n.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Is" && info.Uses[sel.Sel] != nil && info.Uses[sel.Sel].Pkg().Path() == "errors" {
				g.addUses(from, n.Args[0], info)
				return false
			}
		case *ast.Ident:
			if used := info.Uses[n]; used != nil && used.Pkg() != nil {
				g.uses[from][used] = true
			}
		}
		return true
	})
}

// reaches returns all that a declaration uses, directly or not, except by way of what stop holds.
func (g *graph) reaches(from types.Object, stop map[types.Object]bool) map[types.Object]bool {
	seen := map[types.Object]bool{}
	var visit func(types.Object)
	visit = func(o types.Object) {
		if seen[o] || stop[o] {
			return
		}
		seen[o] = true
		for used := range g.uses[o] {
			visit(used)
		}
		if f, ok := o.(*types.Func); ok {
			if recv := f.Signature().Recv(); recv != nil && types.IsInterface(recv.Type()) {
				for _, method := range g.methods[f.Name()] {
					visit(method)
				}
			}
		}
	}
	visit(from)
	return seen
}
