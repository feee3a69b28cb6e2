package pages

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const root = "../.."

func readPages(t *testing.T) []Page {
	t.Helper()
	all, err := Read(root)
	require.NoError(t, err)
	require.Greater(t, len(all), 10)
	return all
}

func TestParse(t *testing.T) {
	page := parse("p.md", "# One\n\nRun `make\ntest` or `Fetch`.\n\n    make a    # why\n\n    go b\n\n## Two\n- item\n      continues\n\n```go\nx := 1\n```\n```\ngo c\n```\n")
	assert.Equal(t, []string{"# One", "## Two"}, page.Headings)
	assert.Equal(t, []Block{
		{"p.md", 6, "", "make a    # why\n\ngo b\n"}, {"p.md", 15, "go", "x := 1\n"}, {"p.md", 18, "", "go c\n"},
	}, page.Blocks)
	assert.Equal(t, []string{"make a", "go b", "go c", "make test"}, page.Commands())
}

// Every command of every page is run by a test, or is in the list of those that are not; and the lists have no command
// that is on no page.
func TestEveryCommandIsKnown(t *testing.T) {
	onPages := map[string]bool{}
	for _, page := range readPages(t) {
		for _, c := range page.Commands() {
			onPages[c] = true
		}
	}
	known := maps.Clone(NotRun)
	for _, group := range slices.Concat(Unit, Cluster) {
		for _, c := range group.Commands {
			assert.NotContains(t, NotRun, c)
			known[c] = "run"
		}
	}
	for c := range onPages {
		assert.True(t, known[c] != "", "add %q to a list in internal/pages/commands.go", c)
	}
	for c := range known {
		assert.True(t, onPages[c], "no page has the command %q", c)
	}
}

var (
	makeTarget = regexp.MustCompile(`^make ([a-z0-9]+)`)
	assigned   = regexp.MustCompile(`\b([A-Z_]+)=`)
	goPackage  = regexp.MustCompile(`(^| )(\./\S*|\.)( |$)`)
	testName   = regexp.MustCompile(`-(run|bench) (\w+)`)
)

// What no test runs exists at least: its targets, variables, packages and tests.
func TestWhatIsNotRunExists(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	require.NoError(t, err)
	source := sources(t)
	for c := range NotRun {
		if target := makeTarget.FindStringSubmatch(c); target != nil {
			assert.Contains(t, string(makefile), "\n"+target[1]+":", c)
		}
		for _, variable := range assigned.FindAllStringSubmatch(c, -1) {
			assert.Regexp(t, `\b`+variable[1]+`\b`, string(makefile)+source, c)
		}
		folder, rest, found := strings.Cut(strings.TrimPrefix(c, "cd "), " && ")
		if !found {
			folder, rest = ".", c
		}
		if pkg := goPackage.FindStringSubmatch(rest); pkg != nil && !strings.HasPrefix(c, "make") {
			assert.DirExists(t, filepath.Join(root, folder, strings.TrimSuffix(pkg[2], "...")), c)
		}
		if test := testName.FindStringSubmatch(rest); test != nil {
			assert.Regexp(t, `\nfunc (Test|Benchmark|Fuzz)?\w*`+test[2]+`\w*\(`, source, c)
		}
	}
}

// sources are all Go files and scripts, but not those of this package.
func sources(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	require.NoError(t, filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasPrefix(path, filepath.Join(root, "internal", "pages")) {
			return err
		}
		text, err := os.ReadFile(path)
		all.Write(text)
		return err
	}))
	return all.String()
}

func TestCommands(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("no bash: ", err)
	}
	for _, group := range Unit {
		t.Run(group.Commands[0], func(t *testing.T) {
			folder, err := group.In.Make(root, t.TempDir())
			require.NoError(t, err)
			for _, c := range group.Commands {
				if strings.HasPrefix(c, "make ") {
					if _, err := exec.LookPath("make"); err != nil {
						t.Skip("no make: ", err)
					}
				}
				c = strings.Replace(c, " folder", " '"+corpus(t)+"'", 1)
				cmd := exec.Command("bash", "-euc", c)
				cmd.Dir = folder
				out, err := cmd.CombinedOutput()
				require.NoError(t, err, "%s", out)
				assert.NotContains(t, string(out), "FAIL")
			}
		})
	}
}

// corpus is a folder of manifests as cmd/corpus reads it.
func corpus(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(folder, "charts"), 0o755))
	for name, text := range map[string]string{
		"charts/web.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: web, image: nginx:1.27}]}\n",
		"expected.json":   `{"charts/web.yaml": {"images": ["nginx:1.27"]}}`,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600))
	}
	return folder
}
