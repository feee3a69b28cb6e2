package fetch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/sut-bench/helmexec/chart"
	"github.com/sut-bench/helmexec/internal/errdef"
)

// parseWhole is what versionsIn has to agree with: a full parse.
func parseWhole(t *testing.T, text, name string) ([]chart.Version, error) {
	t.Helper()
	var index struct{ Entries map[string][]chart.Version }
	err := yaml.Unmarshal([]byte(text), &index)
	return newestFirst(index.Entries[name]), err
}

func versionsAt(path, name string, limit int64) ([]chart.Version, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && info.Size() > limit {
		err = errdef.ErrOutputTooLarge
	}
	if err != nil {
		return nil, err
	}
	return versionsIn(f, name, contentsOf(f).listOf(name))
}

// A large index is looked through again only if its file is another one.
func TestContentsOfIndexes(t *testing.T) {
	text := "entries:\n  web:\n  - version: 1.0.0\n    created: \"2026-01-02T03:04:05.6+02:00\"\n    urls: [a.tgz]\n  other:\n" +
		strings.Repeat("  - version: 2.0.0\n", largeIndex/16)
	path := indexFile(t, text)
	s := newStore(t, Config{Limits: Limits{Index: 1 << 20}})
	read := func(want string) {
		t.Helper()
		got, err := s.readIndex(path, "web")
		require.NoError(t, err)
		require.Len(t, got, 1)
		require.Equal(t, want, got[0].Version)
		require.Equal(t, "2026-01-02T03:04:05.6+02:00", got[0].Created.Format(time.RFC3339Nano))
	}
	kept := func() []string {
		names, err := filepath.Glob(s.home.Path("indexes", "*"))
		require.NoError(t, err)
		return names
	}
	read("1.0.0")
	if runtime.GOOS == "windows" {
		require.Empty(t, kept(), "no file has a state")
		return
	}
	read("1.0.0")
	require.Len(t, kept(), 1)

	info, err := os.Stat(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(text, "1.0.0", "1.1.0", 1)), 0o600))
	require.NoError(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
	read("1.1.0") // it has the same name, size and time
	require.Len(t, kept(), 2)

	for _, file := range kept() {
		require.NoError(t, os.WriteFile(file, []byte("spoilt"), 0o600))
	}
	read("1.1.0")
	read("1.1.0")

	require.NoError(t, os.WriteFile(path, []byte("entries: {web: [{version: 1.2.0, created: \"2026-01-02T03:04:05.6+02:00\"}]}\n"), 0o600))
	read("1.2.0")
	require.Len(t, kept(), 2, "a small index is read each time")

	s.limits.Index = 10
	_, err = s.readIndex(path, "web")
	require.ErrorIs(t, err, errdef.ErrOutputTooLarge)
}

func TestTextOfContents(t *testing.T) {
	in := contents{charts: map[string]block{"a": {5, 7}, "all": {1 << 40, 0}, "b.c-d_e": {0, 1}}}
	for _, plain := range []bool{true, false} {
		in.plain = plain
		for _, name := range []string{"a", "all", "b.c-d_e", "b", "the", "", "a 5", "a 5 7\nall", "all charts"} {
			got, ok := listFrom(in.text(), name)
			require.True(t, ok)
			require.Equal(t, in.listOf(name), got, name)
		}
	}
	for _, bad := range []string{"", "spoilt", `{"Charts":{"a":{"From":1,"Size":2}},"Plain":true}`, allCharts + "a 1\n", allCharts + "a x 1\n"} {
		_, ok := listFrom([]byte(bad), "a")
		require.False(t, ok, bad)
	}
}

// A table of contents does not grow with all that a repository puts into its index; the rest is found without it.
func TestIndexOfManyCharts(t *testing.T) {
	var b strings.Builder
	b.WriteString("entries:\n")
	for i := range maxListed + 10 {
		fmt.Fprintf(&b, "  c%d:\n", i)
	}
	b.WriteString("  web:\n  - version: 1.0.0\n")
	in := contentsOf(strings.NewReader(b.String()))
	require.Len(t, in.charts, maxListed)
	require.False(t, in.plain)
	got, err := versionsAt(indexFile(t, b.String()), "web", 1<<30)
	require.NoError(t, err)
	require.Len(t, got, 1)
}

func indexFile(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "index.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const helmsIndex = `apiVersion: v1
entries:
  app:
  - apiVersion: v2
    created: "2025-01-01T00:00:00Z"
    description: An app
    digest: aa
    name: app
    urls:
    - app-1.0.0.tgz
    version: 1.0.0
  web:
  - description: |
      web:
      entries:

      # not a comment
    name: web
    urls:
    - web-2.0.0.tgz
    version: 2.0.0
  - description: older
    name: web
    version: 1.9.0
  web-extra:
  - name: web-extra
    version: 3.0.0
generated: "2025-01-01T00:00:00Z"
`

func TestReadIndexAgreesWithAFullParse(t *testing.T) {
	long := strings.Repeat("word ", 15_000)
	tests := []struct {
		name, text string
		plain      bool // it is cut and not parsed whole
	}{
		{"as helm writes it", helmsIndex, true},
		{"CRLF", strings.ReplaceAll(helmsIndex, "\n", "\r\n"), true},
		{"no newline at the end", "entries:\n  web:\n  - name: web\n    version: 1.0.0", true},
		{"a lone CR is a line break", "entries:\n  app: []\r  web:\n  - version: 1.0.0\n", false},
		{"entries last, key before", "generated: x\nentries:\n  web:\n  - version: 1.0.0\n", true},
		{"a longer name first", "entries:\n  web-extra:\n  - version: 3.0.0\n  web:\n  - version: 1.0.0\n", true},
		{"comments", "# top\nentries:\n# margin\n  # indented\n  web: # behind\n  - version: 1.0.0\n", false},
		{"comments on lines of their own", "# top\nentries:\n# margin\n  # two\n  web:\n    # four\n  - version: 1.0.0\n# in\n  - version: 1.1.0\n", true},
		{"dashes deeper", "entries:\n  web:\n    - version: 1.0.0\n      name: web\n    - version: 1.1.0\n", true},
		{"charts at four spaces", "entries:\n    web:\n    - version: 1.0.0\n", false},
		{"charts at one space", "entries:\n web:\n - version: 1.0.0\n", false},
		{"charts at three spaces", "entries:\n   web:\n   - version: 1.0.0\n", false},
		{"quoted key", "entries:\n  \"web\":\n  - version: 1.0.0\n", false},
		{"quoted key of another", "entries:\n  'app':\n  - version: 1.0.0\n  web:\n  - version: 2.0.0\n", false},
		{"quoted entries", "\"entries\":\n  web:\n  - version: 1.0.0\n", false},
		{"space before the colon", "entries:\n  web :\n  - version: 1.0.0\n", false},
		{"list on the line of its key", "entries:\n  web: [{version: 1.0.0}]\n", false},
		{"flow list over lines", "entries:\n  app: [\n  {version: 1.0.0}\n  ]\n  web:\n  - version: 1.0.0\n", false},
		{"flow", "{entries: {web: [{name: web, version: 1.0.0}]}}\n", false},
		{"JSON", `{"apiVersion":"v1","entries":{"web":[{"name":"web","version":"1.0.0","urls":["a"]}]}}`, false},
		{"JSON over lines", "{\n  \"entries\": {\n    \"web\": [\n      {\"version\": \"1.0.0\"}\n    ]\n  }\n}\n", false},
		{"empty", "apiVersion: v1\nentries: {}\n", false},
		{"no entries", "apiVersion: v1\n", false},
		{"chart without versions", "entries:\n  web:\n  app:\n  - version: 1.0.0\n", true},
		{"anchor within", "entries:\n  web:\n  - &a\n    version: 1.0.0\n    urls: &u [x]\n  - version: 1.1.0\n    urls: *u\n", true},
		{"anchor of another chart", "entries:\n  app:\n  - version: 1.0.0\n    urls: &u [x]\n  web:\n  - version: 1.1.0\n    urls: *u\n", true},
		{"document markers", "---\nentries:\n  web:\n  - version: 1.0.0\n...\n", false},
		{"a second document", "apiVersion: v1\n---\nentries:\n  web:\n  - version: 1.0.0\n", false},
		{"byte order mark", "\ufeffentries:\n  web:\n  - version: 1.0.0\n", false},
		{"long lines", "entries:\n  app:\n  - description: " + long + "\n    version: 1.0.0\n  web:\n  - description: " + long + "\n    version: 1.0.0\n    name: web\n", true},
		{"a long line that begins as a key in its middle", "entries:\n  app:\n  - description: \"" + strings.Repeat("x", 64<<10-19) + "  web:\"\n    version: 1.0.0\n", true},
		{"versions that are none", "entries:\n  web:\n  - version: latest\n  - version: v1.2\n  - version: 1.2.0+a\n  - version: 1.3.0-rc.1\n  -\n  - version: \"\"\n", true},
		{"unquoted numbers", "entries:\n  web:\n  - version: 1.5\n    appVersion: 1.10\n", true},
		{"empty file", "", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			in := contentsOf(strings.NewReader(test.text))
			if in.listOf("web").known != test.plain {
				t.Errorf("cut by its lines: %v, want %v", !test.plain, test.plain)
			}
			for _, chart := range []string{"web", "app", "we", "web-extra", "entries"} {
				if kept, ok := listFrom(in.text(), chart); !ok || kept != in.listOf(chart) {
					t.Errorf("the list of %s is %v, kept as %v", chart, in.listOf(chart), kept)
				}
				want, err := parseWhole(t, test.text, chart)
				if err != nil {
					t.Fatal(err)
				}
				got, err := versionsAt(indexFile(t, test.text), chart, 1<<20)
				if err != nil || !reflect.DeepEqual(got, want) {
					t.Errorf("chart %s: got %v, %v\nwant %v", chart, got, err, want)
				}
			}
		})
	}
}

func TestReadIndexRefuses(t *testing.T) {
	tests := []struct {
		name, text string
		limit      int64
		want       error
	}{
		{"odd lay-out and large", "entries:\n    web:\n    - version: 1.0.0\n" + strings.Repeat("# more\n", maxIndexYAML/7), 1 << 30, errdef.ErrOutputTooLarge},
		{"no YAML", "entries:\n  web:\n  - {", 1 << 20, nil},
		{"expanding aliases", "a: &a [x,x,x,x,x,x,x,x,x]\n" + bomb() + "entries:\n  web: *i\n", 1 << 20, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := versionsAt(indexFile(t, test.text), "web", test.limit)
			if err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("got %d versions, %v, want %v", len(got), err, test.want)
			}
		})
	}
	if _, err := newStore(t, Config{}).readIndex(filepath.Join(t.TempDir(), "none"), "web"); !errors.Is(err, errdef.ErrRepoNotFound) {
		t.Errorf("an index that is not there: %v", err)
	}
}

// bomb is a billion elements in ten lines.
func bomb() string {
	var b strings.Builder
	for c := 'b'; c <= 'i'; c++ {
		fmt.Fprintf(&b, "%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c,", c-1), 9), ","))
	}
	return b.String()
}

// As "helm pull --version" chooses: seen on Helm 3.22 and 4.3, and tested against both in e2e/fetch.
func TestPickVersion(t *testing.T) {
	index := newestFirst([]chart.Version{
		{Version: "1.0.0"}, {Version: "v1.2.0"}, {Version: "2.0.0-rc.1"}, {Version: "1.1.0+build.7"}, {Version: "latest"}, {Version: "0.9"},
	})
	tests := []struct{ want, got string }{
		{"", "v1.2.0"},
		{"1.0.0", "1.0.0"},
		{"v1.0.0", "1.0.0"},
		{"1.2.0", "v1.2.0"},
		{"1.1.0", "1.1.0+build.7"},
		{"1.1.0+build.7", "1.1.0+build.7"},
		{"1.1.0+other", "1.1.0+build.7"},
		{"^1.0", "v1.2.0"},
		{"~1.0.0", "1.0.0"},
		{"<1.0", "0.9"},
		{">=1.0.0-0", "2.0.0-rc.1"},
		{"2.0.0-rc.1", "2.0.0-rc.1"},
		{"2.0.0", ""},
		{"2.x", ""},
		{"3.0.0", ""},
		{"latest", ""},
	}
	for _, test := range tests {
		got, ok := pickVersion(index, test.want)
		if got.Version != test.got || ok != (test.got != "") {
			t.Errorf("version %q picks %q, want %q", test.want, got.Version, test.got)
		}
	}
}

// FuzzReadIndex compares indexes as tools write them with a full parse. The bytes decide the charts
// and the style of each line.
func FuzzReadIndex(f *testing.F) {
	for _, seed := range []string{"", "abc", "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09", "zzzzzzzzzzzzzzzz", "0123456789abcdef0123456789abcdef"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, choices []byte) {
		text := writeIndex(choices)
		for _, chart := range []string{"web", "web-extra", "a"} {
			want, err := parseWhole(t, text, chart)
			if err != nil {
				t.Skip()
			}
			got, err := versionsAt(indexFile(t, text), chart, 1<<20)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("chart %s: got %v, %v\nwant %v\n%s", chart, got, err, want, text)
			}
		}
	})
}

// writeIndex writes an index; each choice takes one byte.
func writeIndex(choices []byte) string {
	choose := func(from ...string) string {
		if len(choices) == 0 {
			return from[0]
		}
		c := int(choices[0])
		choices = choices[1:]
		return from[c%len(from)]
	}
	var b strings.Builder
	newline := choose("\n", "\n", "\r\n")
	b.WriteString(choose("", "apiVersion: v1\n", "---\n", "# comment\n", "\n", "generated: |\n  entries:\n"))
	b.WriteString(choose("entries:", "entries:", "entries:", "'entries':", "entries: # all") + "\n")
	indent := choose("  ", "  ", "  ", "    ", " ")
	for _, name := range []string{choose("a", "web-extra", "z"), choose("web", "web", "'web'", "web "), choose("y", "web.x", "\"q\"")} {
		b.WriteString(choose("", "", "\n", indent+"# "+name+":\n"))
		b.WriteString(indent + name + ":" + choose("", "", "", " []", " # why", " &x") + "\n")
		dash := choose(indent, indent+"  ")
		for range len(choose("", "v", "vv", "vvv")) {
			pad := dash + "  "
			b.WriteString(dash + "- version: " + choose("1.0.0", "'2.0.0'", "1.0.0-rc.1", "1.5", "bad") + choose("", " # here") + "\n")
			b.WriteString(choose("", pad+"description: |\n"+pad+"  web:\n\n"+pad+"  - version: 9.9.9\n", pad+"description: >-\n"+pad+" entries:\n",
				pad+"description: \"a\n"+pad+"  web:\"\n", "\n", pad+"# web:\n", pad+"urls: ["+choose("x", "'y'")+"]\n", pad+"urls:\n"+pad+"- x\n", pad+"name: web\n"))
		}
	}
	b.WriteString(choose("", "generated: x\n", "...\n", "---\nentries: {}\n", "z:\n  web:\n  - version: 8.0.0\n"))
	return strings.ReplaceAll(b.String(), "\n", newline)
}

// A file system of another host can lose a file that is open.
func TestIndexThatIsLost(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "index.yaml"))
	require.NoError(t, err)
	require.NoError(t, f.Close())
	_, err = versionsIn(f, "web", contentsOf(f).listOf("web"))
	require.ErrorIs(t, err, os.ErrClosed)
}
