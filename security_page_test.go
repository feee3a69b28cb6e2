package helmexec

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func section(t *testing.T, page, title string) string {
	t.Helper()
	_, rest, found := strings.Cut(page, "\n## "+title+"\n")
	require.True(t, found, title)
	text, _, _ := strings.Cut(rest, "\n## ")
	return text
}

// Every claim of the page about security names a test that exists.
func TestSecurityPageNamesTests(t *testing.T) {
	page, err := os.ReadFile("docs/security.md")
	require.NoError(t, err)
	var tests strings.Builder
	require.NoError(t, filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, "_test.go") {
			var text []byte
			text, err = os.ReadFile(path)
			tests.Write(text)
		}
		return err
	}))
	exists := func(name string) {
		test, behaviour, _ := strings.Cut(name, "/")
		assert.Contains(t, tests.String(), "\nfunc "+test+"(t *testing.T) {", name)
		if behaviour != "" {
			assert.Contains(t, tests.String(), `{"`+behaviour+`", `, name)
		}
	}
	named := regexp.MustCompile("`((?:Test|Fuzz)[^`]+)`")
	for _, match := range named.FindAllStringSubmatch(string(page), -1) {
		exists(match[1])
	}
	claims := 0
	for line := range strings.Lines(section(t, string(page), "What is enforced")) {
		if strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| claim") {
			claims++
			assert.Regexp(t, named, line)
		}
	}
	assert.Greater(t, claims, 15)
}

// The table of variables is the list in the code.
func TestEnvironmentTable(t *testing.T) {
	page, err := os.ReadFile("docs/security.md")
	require.NoError(t, err)
	listed := slices.Concat(everyHelm, userOfHelm, logIns, helmsLogIns)
	var documented []string
	for _, match := range regexp.MustCompile("`([A-Za-z_]+\\*?)`").FindAllStringSubmatch(section(t, string(page), "What helm gets of your environment"), -1) {
		if name := match[1]; strings.ContainsAny(name, "_*") || name == strings.ToUpper(name) {
			documented = append(documented, name)
		}
	}
	slices.Sort(documented)
	slices.Sort(listed)
	assert.Equal(t, listed, slices.Compact(documented))
}
