package manifest

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A program that reads manifests compiles nothing that starts processes or talks to anybody, and of this module only
// what reading takes.
func TestDependencies(t *testing.T) {
	const module = "github.com/sut-bench/helmexec/"
	allowed := []string{"manifest", "internal/argument", "internal/errdef", "internal/pattern", "internal/redact", "internal/safeyaml", "internal/yamlfast"}
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	require.NoError(t, err)
	for _, pkg := range strings.Fields(string(out)) {
		if own, found := strings.CutPrefix(pkg, module); found {
			assert.Contains(t, allowed, own)
		}
		assert.False(t, slices.Contains([]string{"os/exec", "net", "net/http", "testing", strings.TrimSuffix(module, "/")}, pkg), "%s is compiled in", pkg)
	}

	// The quick subset of YAML stands by itself.
	out, err = exec.Command("go", "list", "-deps", "../internal/yamlfast").Output()
	require.NoError(t, err)
	for _, pkg := range strings.Fields(string(out)) {
		if strings.Contains(pkg, ".") {
			assert.Contains(t, []string{module + "internal/yamlfast", "go.yaml.in/yaml/v3"}, pkg)
		}
	}
}
