package helmexec

import (
	"cmp"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/internal/pattern"
)

// A program that imports this package compiles neither Kubernetes nor Helm nor Temporal, and nothing that only the command
// needs. The tests of this package do not count.
func TestDependencies(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	require.NoError(t, err)
	for _, pkg := range strings.Fields(string(out)) {
		for _, not := range []string{"k8s.io/", "helm.sh/", "go.temporal.io/", "google.golang.org/", "testing", "github.com/stretchr/", "github.com/spf13/", "github.com/sut-bench/helmexec/helmtest"} {
			assert.False(t, strings.HasPrefix(pkg, not), "%s is compiled in", pkg)
		}
		if strings.HasPrefix(pkg, "sigs.k8s.io/") {
			assert.True(t, strings.HasPrefix(pkg, "sigs.k8s.io/yaml"), "%s is compiled in", pkg)
		}
	}
}

// thirdParty are the third-party packages that a package of the library may import; all others import
// none.
var thirdParty = map[string][]string{
	"helmexec": {
		"github.com/Masterminds/semver/v3", "github.com/cenkalti/backoff/v4", "golang.org/x/sync/errgroup", "sigs.k8s.io/yaml",
	},
	"chart":             {"github.com/Masterminds/semver/v3"},
	"internal/argument": {"github.com/Masterminds/semver/v3"},
	"internal/fetch": {
		"github.com/Masterminds/semver/v3", "golang.org/x/sync/errgroup", "sigs.k8s.io/yaml",
		"oras.land/oras-go/v2/errdef", "oras.land/oras-go/v2/registry/remote", "oras.land/oras-go/v2/registry/remote/auth", "oras.land/oras-go/v2/registry/remote/credentials", "oras.land/oras-go/v2/registry/remote/errcode", "oras.land/oras-go/v2/registry/remote/retry",
	},
	"internal/filelock": {"golang.org/x/sys/unix"},
	"internal/process":  {"golang.org/x/sys/unix"},
	"internal/safeyaml": {"go.yaml.in/yaml/v3", "sigs.k8s.io/yaml"},
	"internal/yamlfast": {"go.yaml.in/yaml/v3"},
	"manifest":          {"go.yaml.in/yaml/v3", "sigs.k8s.io/yaml"},
	"plan":              {"github.com/Masterminds/semver/v3", "sigs.k8s.io/yaml"},
}

// Patterns are compiled when they are used, so a wrong one would be found late.
func TestPatterns(t *testing.T) {
	assert.Greater(t, pattern.CompileAll(), 50)
}

// noFloor are the prefixes of packages that are for tests and builds, or are programs on top of all floors.
var noFloor = []string{"cmd/", "helmtest", "internal/chartrepo", "internal/corpus", "internal/errorpage", "internal/growth", "internal/hostile", "internal/pages", "internal/tools", "examples/"}

// The picture in CONTRIBUTING.md is true: every package of the library is in it, and imports only from the
// floors below its own.
func TestFloors(t *testing.T) {
	const module = "github.com/sut-bench/helmexec"
	text, err := os.ReadFile("CONTRIBUTING.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(text), "```\nhelmexec ")
	require.True(t, found)
	picture, _, _ := strings.Cut("helmexec "+rest, "```")
	floorOf, floor := map[string]int{}, 0
	for line := range strings.Lines(picture) {
		if strings.HasPrefix(line, "---") {
			floor--
			continue
		}
		floorOf[strings.Fields(line)[0]] = floor
	}
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...").Output()
	require.NoError(t, err)
	there := 0
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		for i, path := range words {
			if own, ok := strings.CutPrefix(path, module); ok {
				words[i] = cmp.Or(strings.TrimPrefix(own, "/"), "helmexec")
			}
		}
		pkg := words[0]
		if slices.ContainsFunc(noFloor, func(prefix string) bool { return strings.HasPrefix(pkg, prefix) }) {
			continue
		}
		own, known := floorOf[pkg]
		assert.True(t, known, "%s is on no floor", pkg)
		there++
		for _, imported := range words[1:] {
			if below, ours := floorOf[imported]; ours {
				assert.Less(t, below, own, "%s imports %s", pkg, imported)
			} else if first, _, _ := strings.Cut(imported, "/"); strings.Contains(first, ".") {
				assert.Contains(t, thirdParty[pkg], imported, "imports of %s", pkg)
			} else {
				assert.False(t, strings.HasPrefix(imported, "internal/"), "%s imports %s, which is on no floor", pkg, imported)
			}
		}
	}
	assert.Equal(t, len(floorOf), there, "the picture has packages that are not there")
}

// Every dependency is there for a reason, which docs/design.md gives.
func TestDependenciesAreExplained(t *testing.T) {
	mod, err := os.ReadFile("go.mod")
	require.NoError(t, err)
	page, err := os.ReadFile("docs/design.md")
	require.NoError(t, err)
	direct, explained := 0, section(t, string(page), "What the library depends on, and why")
	for line := range strings.Lines(string(mod)) {
		fields := strings.Fields(line)
		if strings.HasPrefix(line, "\t") && !strings.Contains(line, "// indirect") {
			direct++
			assert.Contains(t, explained, "| `"+fields[0]+"` | ")
		}
	}
	assert.Equal(t, direct, strings.Count(explained, "\n| `"), "what is explained is required")
}
