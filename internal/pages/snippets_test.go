package pages

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestProgram(t *testing.T) {
	const begin = "package snippet\n"
	for _, test := range []struct{ name, snippet, want string }{
		{"file", "package a\n", "package a\n"},
		{"declaration", "func f(*plan.Plan) {}\n", begin + "import \"github.com/sut-bench/helmexec/plan\"\nfunc f(*plan.Plan) {}\n"},
		{
			"statements", "x, _ := name\n…\nlog.Print(name)\n",
			begin + "import \"log\"\nvar name string\nfunc snippet() error {\n{\nx, _ := name\n\nlog.Print(name)\n_ = x\n}\nreturn nil\n}\n",
		},
		{
			"both", "func a() {}\n\nfunc b() {}\n\na()\n",
			begin + "func a() {}\n\nfunc b() {}\n\nfunc snippet() error {\n{\na()\n}\nreturn nil\n}\n",
		},
		{"fields", "Home: name,\n", begin + "import \"github.com/sut-bench/helmexec\"\nvar name string\nvar _ = helmexec.Config{\nHome: name,\n}\n"},
	} {
		got, err := Program(test.snippet)
		require.NoError(t, err, test.name)
		assert.Equal(t, test.want, got, test.name)
	}
	_, err := Program("helm.Plan(\n")
	assert.Error(t, err)
}

// compile compiles programs that only the go command's overlay has, one package each, and returns what is wrong.
func compile(t *testing.T, programs map[string]string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	top, err := filepath.Abs(root)
	require.NoError(t, err)
	overlay := map[string]string{}
	args := []string{"build", "-overlay=" + filepath.Join(dir, "overlay.json")}
	for name, program := range programs {
		path := filepath.Join(dir, name+".go")
		require.NoError(t, os.WriteFile(path, []byte(program), 0o600))
		overlay[filepath.Join(top, "internal", "pages", name, "snippet.go")] = path
		args = append(args, "./internal/pages/"+name)
	}
	text, err := json.Marshal(map[string]any{"Replace": overlay})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "overlay.json"), text, 0o600))
	cmd := exec.Command("go", args...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestSnippetsCompile(t *testing.T) {
	programs := map[string]string{}
	for _, page := range readPages(t) {
		for _, block := range page.Blocks {
			if block.Language != "go" || strings.Contains(block.Text, "otelhelm.") { // a module of its own, which this one does not have
				continue
			}
			where := fmt.Sprintf("%s:%d", block.Page, block.Line)
			program, err := Program(block.Text)
			if assert.NoError(t, err, where) {
				programs[fmt.Sprintf("snippet%d", len(programs))] = "// " + where + "\n" + program
			}
		}
	}
	require.Greater(t, len(programs), 10)
	out, err := compile(t, programs)
	if !assert.NoError(t, err, out) {
		for name, program := range programs {
			t.Logf("%s:\n%s", name, program)
		}
	}
}

func TestWrongSnippetsAreFound(t *testing.T) {
	program, err := Program("rel, err := helm.Status(ctx, release)\n")
	require.NoError(t, err)
	out, err := compile(t, map[string]string{"wrong": program})
	require.Error(t, err)
	assert.Contains(t, out, "not enough arguments")
}
