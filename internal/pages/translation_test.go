package pages

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// shape is what a page and its translation have in common.
type shape struct {
	levels []string // of the headings
	blocks []string
	links  []string // sorted, without those between a page and its translations
	spans  []string // sorted: names of the source
	rows   int      // of tables
}

var link = regexp.MustCompile(`\]\(([^)]+)\)`)

func shapeOf(page Page, text string) shape {
	s := shape{spans: slices.Sorted(slices.Values(page.Spans)), rows: strings.Count(text, "\n|")}
	for _, heading := range page.Headings {
		level, _, _ := strings.Cut(heading, " ")
		s.levels = append(s.levels, level)
	}
	for _, block := range page.Blocks {
		s.blocks = append(s.blocks, block.Language+"\n"+block.Text)
	}
	for _, match := range link.FindAllStringSubmatch(text, -1) {
		if !strings.HasPrefix(match[1], "README.") {
			s.links = append(s.links, match[1])
		}
	}
	slices.Sort(s.links)
	return s
}

// The Chinese README has the headings, code, links, names and rows of the English one.
func TestTranslation(t *testing.T) {
	var shapes []shape
	for _, name := range []string{"README.md", "README.zh-CN.md"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		shapes = append(shapes, shapeOf(parse(name, string(text)), string(text)))
	}
	require.Len(t, shapes[0].blocks, 5)
	assert.Equal(t, shapes[0], shapes[1])
}

func TestLinksLeadSomewhere(t *testing.T) {
	headings := map[string][]string{}
	for _, page := range readPages(t) {
		for _, heading := range page.Headings {
			_, title, _ := strings.Cut(heading, " ")
			headings[page.Path] = append(headings[page.Path], anchor(title))
		}
	}
	for _, page := range readPages(t) {
		text, err := os.ReadFile(filepath.Join(root, page.Path))
		require.NoError(t, err)
		for _, match := range link.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(match[1], "://") {
				continue
			}
			path, section, found := strings.Cut(match[1], "#")
			if path == "" {
				path = page.Path
			} else {
				path = filepath.ToSlash(filepath.Join(filepath.Dir(page.Path), path))
			}
			_, err := os.Stat(filepath.Join(root, path))
			assert.NoError(t, err, "%s: %s", page.Path, match[1])
			if found {
				assert.Contains(t, headings[path], section, "%s: %s", page.Path, match[1])
			}
		}
	}
}

// anchor is the name of a section in a link.
func anchor(title string) string {
	return strings.ReplaceAll(regexp.MustCompile("[^a-z0-9 -]").ReplaceAllString(strings.ToLower(title), ""), " ", "-")
}
