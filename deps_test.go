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
	const internal = "github.com/sut-bench/helmexec/internal/"
	for pkg, allowed := range map[string][]string{
		"errdef": nil, "redact": nil, "process": {"golang.org/x/sys/unix"}, "helmtext": {internal + "errdef"},
	} {
		out, err := exec.Command("go", "list", "-f", `{{join .Imports "\n"}}`, "./internal/"+pkg).Output()
		require.NoError(t, err)
		for _, imported := range strings.Fields(string(out)) {
			if first, _, _ := strings.Cut(imported, "/"); strings.Contains(first, ".") {
				assert.Contains(t, allowed, imported, "imports of %s", pkg)
			}
		}
	}
}
