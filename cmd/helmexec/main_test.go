package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The command uses what every program can use: of the library it imports public packages only.
func TestImports(t *testing.T) {
	const library, own = "github.com/sut-bench/helmexec", "github.com/sut-bench/helmexec/cmd/helmexec/"
	out, err := exec.Command("go", "list", "-f", `{{join .Imports "\n"}}`, "./...").Output()
	require.NoError(t, err)
	imports := strings.Fields(string(out))
	assert.Contains(t, imports, library)
	assert.Contains(t, imports, "github.com/spf13/cobra")
	for _, pkg := range imports {
		if strings.HasPrefix(pkg, library) && !strings.HasPrefix(pkg, own) {
			assert.NotContains(t, pkg+"/", "/internal/")
			assert.NotContains(t, pkg, "/helmtest")
		}
	}
}
