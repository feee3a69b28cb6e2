package main

import (
	"go/types"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/internal/helmtext"
)

const root = "../.."

func TestPageIsFresh(t *testing.T) {
	page, err := Page(root)
	require.NoError(t, err)
	written, err := os.ReadFile(filepath.Join(root, "docs", "errors.md"))
	require.NoError(t, err)
	assert.Equal(t, page, string(written), `run "make docs"`)
}

// lookUp finds the declaration of a call by the name that the page has for it.
func lookUp(packages map[string]*types.Package, name string) types.Object {
	o, _, _ := types.LookupFieldOrMethod(types.NewPointer(packages[module].Scope().Lookup("Helm").Type()), true, packages[module], name)
	if o == nil {
		o = packages[module].Scope().Lookup(name)
	}
	return o
}

// unreachable are errors that the code seems to give, and why it does not.
var unreachable = []struct {
	why           string
	calls, errors []string
}{
	{
		"they share the code that fetches archives, and fetch none",
		[]string{"AddRepo", "ChartVersions", "RemoveRepo", "Repos", "UpdateRepos"}, []string{"ErrBadChart", "ErrChartNotFound", "ErrDigestMismatch", "ErrUnverified"},
	},
	{
		"the chart that it applies is made of the plan",
		[]string{"Apply"}, []string{"ErrBadChart", "ErrBadManifest", "ErrChartNotFound", "ErrDigestMismatch", "ErrFetchTimeout", "ErrRepoNotFound", "ErrUnauthorized", "ErrUnverified"},
	},
	{"the plan that they apply is of this package", []string{"Install", "Upgrade"}, []string{"ErrBadPlan"}},
	{"what cannot be read of a cluster's answer is an error of helm's output", []string{"Nodes"}, []string{"ErrBadManifest"}},
	{"they fetch nothing", []string{"RemoveRepo", "Repos"}, []string{"ErrFetchTimeout", "ErrRepoNotFound"}},
	{"helm compares what it fetches here", []string{"DependencyBuild"}, []string{"ErrDigestMismatch", "ErrUnverified"}},
	{"the chart that they render is of this package", []string{"Cluster", "Nodes"}, []string{"ErrRenderFailed", "ErrRenderTooLarge", "ErrRenderTimeout"}},
	{
		"the chart that sweeps what is left is of this package, and a sweep that fails leaves ErrNotGone",
		[]string{"Uninstall", "UninstallJob", "UninstallOverdue"},
		[]string{"ErrChartNotFound", "ErrNamespaceNotFound", "ErrPlanStale", "ErrReleaseExists", "ErrRenderFailed", "ErrRepoNotFound", "ErrUnauthorized"},
	},
	{
		"what cannot be read of a record is left out",
		[]string{"Readiness", "Rollback", "Uninstall", "UninstallJob", "UninstallOverdue"}, []string{"ErrBadManifest"},
	},
	{"a release that is not there is removed", []string{"UninstallJob", "UninstallOverdue"}, []string{"ErrReleaseNotFound"}},
}

func seemsOnly(call, failure string) bool {
	for _, row := range unreachable {
		if slices.Contains(row.calls, call) && slices.Contains(row.errors, failure) {
			return true
		}
	}
	return false
}

// The comment of a call names the errors that its code gives, and no others. What helm's words decide cannot be told
// from the code: such an error needs a call that runs helm.
func TestCommentsNameTheErrorsOfTheCode(t *testing.T) {
	s, err := read(root)
	require.NoError(t, err)
	g, packages := load(t, root)
	errdef := packages[module+"/internal/errdef"].Scope()
	run := lookUp(packages, "run")
	words := packages[module+"/internal/helmtext"].Scope().Lookup("KindOf")
	require.NotNil(t, words)
	byHelm := g.reaches(run, nil)
	for name, c := range s.calls {
		if strings.Contains(name, ".") {
			continue
		}
		call := lookUp(packages, name)
		require.NotNil(t, call, name)
		runs := g.reaches(call, nil)[run]
		itself := g.reaches(call, map[types.Object]bool{run: true, words: true})
		for _, e := range s.sentinels {
			failure := errdef.Lookup(e.name)
			named := slices.Contains(s.from(e.name), name)
			if named && !itself[failure] && !(runs && byHelm[failure]) {
				t.Errorf("%s names %s, which it cannot give", name, e.name)
			}
			if c.fails && itself[failure] && !named && e.from == "" && !seemsOnly(name, e.name) {
				t.Errorf("%s can give %s, which its comment does not name", name, e.name)
			}
		}
	}
}

// A retry helps where a recording of a real helm says so, and nowhere else.
func TestRetriesAreThoseOfTheRecordings(t *testing.T) {
	s, err := read(root)
	require.NoError(t, err)
	recordings, err := filepath.Glob(filepath.Join(root, "internal", "helmtext", "testdata", "stderr", "v*", "*"))
	require.NoError(t, err)
	passes := map[string]bool{}
	for _, path := range recordings {
		stderr, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, source := range []bool{true, false} {
			if kind, again := helmtext.KindOf(string(stderr), source); kind != nil && again {
				passes[kind.Error()] = true
			}
		}
	}
	require.NotEmpty(t, passes)
	code, err := os.ReadFile(filepath.Join(root, "internal", "errdef", "errdef.go"))
	require.NoError(t, err)
	for _, e := range s.sentinels {
		text := regexp.MustCompile(`(?m)^\t` + e.name + `\s+= \w+\.\w+\("(.*)"`).FindStringSubmatch(string(code))
		require.NotNil(t, text, e.name)
		assert.Equal(t, passes[text[1]], strings.Contains(e.retry, "IsTransient"), e.name)
	}
}
