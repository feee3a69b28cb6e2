package cli

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/helmtest"
)

// Every kind of error of the library has an exit code that is not 1.
func TestEveryKindHasAnExitCode(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../../../../errors.go", nil, 0)
	require.NoError(t, err)
	source, err := os.ReadFile("exit.go")
	require.NoError(t, err)
	found := 0
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, is := n.(*ast.ValueSpec); is && strings.HasPrefix(spec.Names[0].Name, "Err") {
			found++
			assert.Contains(t, string(source), "{helmexec."+spec.Names[0].Name+",", "exit.go")
		}
		return true
	})
	assert.Greater(t, found, 20)
}

func TestExitCodes(t *testing.T) {
	for _, k := range kinds {
		name, code := kindOf(fmt.Errorf("somewhere: %w", k.is))
		assert.Equal(t, k.name, name)
		assert.Equal(t, k.code, code, k.name)
	}
	for _, test := range []struct {
		err  error
		code int
	}{
		{errors.New("something else"), 1},
		{usageError{errors.New("unknown flag")}, 2},
		{&helmexec.ReleaseError{Kind: helmexec.ErrLeftBehind, Err: helmexec.ErrNotReady}, 8},
		{fmt.Errorf("%w: %w", helmexec.ErrForbidden, helmexec.ErrRenderFailed), 10}, // of a chart that asks the cluster
		{errors.Join(helmexec.ErrNotReady, helmexec.ErrClusterUnreachable), 7},
	} {
		_, code := kindOf(test.err)
		assert.Equal(t, test.code, code, "%v", test.err)
	}
}

// docs/command.md has a row for each kind.
func TestExitCodesAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../../../docs/command.md")
	require.NoError(t, err)
	for _, k := range kinds {
		assert.Regexp(t, fmt.Sprintf(`(?m)^\| %d \|[^|]*`+"`%s`", k.code, k.name), string(doc))
	}
	assert.Regexp(t, "(?m)^\\| 9 \\|[^|]*`repo-unreachable`", string(doc))
	assert.Regexp(t, "(?m)^\\| 4 \\|[^|]*`cluster-not-found`", string(doc))
}

// A cluster that does not answer may do so soon. Where the kubeconfig leads to none, somebody must change it.
func TestWithoutCluster(t *testing.T) {
	for said, want := range map[string]outcome{
		`Get "https://lab.example/version": dial tcp 192.0.2.1:443: connect: connection refused`: {code: 9, stdout: "cluster-unreachable"},
		`context "nosuch" does not exist`: {code: 4, stdout: "cluster-not-found"},
		`Get "https://lab.example/version": tls: failed to verify certificate: x509: certificate has expired`: {code: 4, stdout: "cluster-not-found"},
	} {
		b := newBench(t)
		b.fake.Handle("list", func(helmtest.Call) helmtest.Reply {
			return helmtest.Reply{Stderr: "Error: Kubernetes cluster unreachable: " + said + "\n", Exit: 1}
		})
		got := b.run("list", "-o", "json")
		assert.Equal(t, want.code, got.code, said)
		assert.Contains(t, got.stdout, `"kind": "`+want.stdout+`"`, said)
	}
}
