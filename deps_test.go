package helmexec

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A program that imports this package compiles neither Kubernetes nor Helm, and its own tests are
// no part of it.
func TestDependencies(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	require.NoError(t, err)
	for _, pkg := range strings.Fields(string(out)) {
		for _, not := range []string{"k8s.io/", "helm.sh/", "testing", "github.com/stretchr/", "github.com/sut-bench/helmexec/helmtest"} {
			assert.False(t, strings.HasPrefix(pkg, not), "%s is compiled in", pkg)
		}
		if strings.HasPrefix(pkg, "sigs.k8s.io/") {
			assert.True(t, strings.HasPrefix(pkg, "sigs.k8s.io/yaml"), "%s is compiled in", pkg)
		}
	}
}

// What the packages below may import beside the standard library.
func TestLeaves(t *testing.T) {
	const module = "github.com/sut-bench/helmexec/"
	for pkg, allowed := range map[string][]string{
		"internal/errdef": nil, "internal/redact": nil, "internal/filelock": nil, "internal/process": {"golang.org/x/sys/unix"},
		"internal/helmtext": {"internal/errdef"},
		"internal/home":     {"internal/errdef", "internal/filelock", "internal/redact"},
		"internal/safeyaml": {"internal/errdef", "go.yaml.in/yaml/v3", "sigs.k8s.io/yaml"},
		"chart":             {"internal/errdef", "internal/redact", "internal/safeyaml", "github.com/Masterminds/semver/v3"},
		"internal/fetch": {"chart", "internal/errdef", "internal/filelock", "internal/home", "internal/redact", "internal/safeyaml",
			"github.com/Masterminds/semver/v3", "golang.org/x/sync/errgroup", "sigs.k8s.io/yaml"},
	} {
		out, err := exec.Command("go", "list", "-f", `{{join .Imports "\n"}}`, "./"+pkg).Output()
		require.NoError(t, err)
		for _, imported := range strings.Fields(string(out)) {
			if first, _, _ := strings.Cut(imported, "/"); strings.Contains(first, ".") {
				assert.Contains(t, allowed, strings.TrimPrefix(imported, module), "imports of %s", pkg)
			}
		}
	}
}
