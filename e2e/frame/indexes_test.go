package frame

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sut-bench/helmexec"
)

// An index is read by us and by helm. None makes helm crash unnoticed, leads to a file, or takes the memory.
func TestIndexes(t *testing.T) { tryAll(t, indexes) }

// entry is an index with one entry, whose lines follow.
func entry(lines ...string) string {
	return "apiVersion: v1\nentries:\n  web:\n  - " + strings.Join(append([]string{"apiVersion: v2"}, lines...), "\n    ") + "\n"
}

// plain is an honest entry with more lines.
func plain(more ...string) string {
	return entry(append([]string{"name: web", "version: 1.0.0", "urls: [web-1.0.0.tgz]"}, more...)...)
}

var indexes = []attempt{
	index("an honest one", plain(), nil),
	index("nothing", "", helmexec.ErrRepoNotFound),
	index("null", "null\n", errAny),
	index("a list", "- a\n- b\n", helmexec.ErrRepoNotFound),
	index("no API version", "entries: {}\n", helmexec.ErrRepoNotFound),
	index("no entries", "apiVersion: v1\n", helmexec.ErrChartNotFound),
	index("entries that are null", "apiVersion: v1\nentries: null\n", helmexec.ErrChartNotFound),
	index("entries that are a text", "apiVersion: v1\nentries: x\n", helmexec.ErrRepoNotFound),
	index("versions that are null", "apiVersion: v1\nentries: {web: null}\n", helmexec.ErrChartNotFound),
	index("a version that is null", "apiVersion: v1\nentries:\n  web:\n  - null\n  - {apiVersion: v2, name: web, version: 1.0.0, urls: [web-1.0.0.tgz]}\n", errOrUs),
	index("versions that are a text", "apiVersion: v1\nentries: {web: x}\n", helmexec.ErrRepoNotFound),
	index("a version without anything", "apiVersion: v1\nentries: {web: [{}]}\n", helmexec.ErrChartNotFound),
	index("a version that is none", entry("name: web", "version: newest", "urls: [web-1.0.0.tgz]"), helmexec.ErrChartNotFound),
	index("a version that is a path", entry("name: web", "version: 1.0.0/../../../x", "urls: [web-1.0.0.tgz]"), helmexec.ErrChartNotFound),
	index("a version of two lines", entry("name: web", `version: "1.0.0\n--post-renderer=x"`, "urls: [web-1.0.0.tgz]"), helmexec.ErrChartNotFound),
	index("a version that is a flag", entry("name: web", `version: "--post-renderer=x"`, "urls: [web-1.0.0.tgz]"), helmexec.ErrChartNotFound),
	index("a name that is a path", entry("name: ../../web", "version: 1.0.0", "urls: [web-1.0.0.tgz]"), errOrUs),
	index("a name of another", entry("name: api", "version: 1.0.0", "urls: [web-1.0.0.tgz]"), errOrUs),
	index("no place", entry("name: web", "version: 1.0.0"), errAny),
	index("places that are null", entry("name: web", "version: 1.0.0", "urls: null"), errAny),
	index("a place that is a list", entry("name: web", "version: 1.0.0", "urls: [[web-1.0.0.tgz]]"), errAny),
	index("a place that is empty", entry("name: web", "version: 1.0.0", `urls: [""]`), errAny),
	index("a file", entry("name: web", "version: 1.0.0", "urls: [SECRETFILE]"), errHelm),
	index("a path", entry("name: web", "version: 1.0.0", "urls: [SECRETPATH]"), errHelm),
	index("a path above", entry("name: web", "version: 1.0.0", "urls: [../../../../../../../../etc/passwd]"), errHelm),
	index("a scheme of a plugin", entry("name: web", "version: 1.0.0", `urls: ["evil://host/web-1.0.0.tgz"]`), errHelm),
	index("a flag", entry("name: web", "version: 1.0.0", `urls: ["--post-renderer=x"]`), errHelm),
	index("a place with control characters", entry("name: web", "version: 1.0.0", `urls: ["web\x1b]0;x\x07.tgz"]`), errAny),
	index("a place with a NUL", entry("name: web", "version: 1.0.0", `urls: ["web\x00.tgz"]`), errAny),
	index("a place in a registry that is not there", entry("name: web", "version: 1.0.0", `urls: ["oci://127.0.0.1:1/web:1.0.0"]`), errAny),
	index("a digest that is a path", plain(`digest: "../../../../x"`), errOrUs),
	index("a digest of another", plain(`digest: "`+strings.Repeat("0", 64)+`"`), helmexec.ErrDigestMismatch),
	index("a digest of another kind", plain("digest: md5:00"), errOrUs),
	index("terminal sequences", plain(`description: "\x1b[2J\x1b]0;x\x07"`, `home: "\u202e"`), nil),
	index("a key twice", plain()+"entries: {}\n", errAny),
	index("aliases that expand", "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\n"+
		"f: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]\nh: &h [*g,*g,*g,*g,*g,*g,*g,*g,*g]\n"+plain(), errAny),
	index("nesting", plain("annotations: "+strings.Repeat("{a: ", 50000)+strings.Repeat("}", 50000)), errAny),
	index("a line of megabytes", plain("description: "+strings.Repeat("x", 7<<20)), helmexec.ErrOutputTooLarge),
	index("more than the limit", plain("description: "+strings.Repeat("x", 9<<20)), helmexec.ErrOutputTooLarge),
	index("thirty thousand versions", manyVersions(30000), nil),
	index("a page", "<!DOCTYPE html><html><body>Sign in</body></html>", helmexec.ErrRepoNotFound),
	index("zeros", strings.Repeat("\x00", 1<<20), helmexec.ErrRepoNotFound),
	index("compressed", gzipped(plain()), helmexec.ErrRepoNotFound),
	index("a byte order mark", "\ufeff"+plain(), errOrUs),
	index("other encodings", "\xff\xfea\x00p\x00i\x00", helmexec.ErrRepoNotFound),
	index("a tag of a language", plain("annotations: !!python/object/apply:os.system [evil]"), errAny),
	index("a merge", "apiVersion: v1\nbase: &b {apiVersion: v2, name: web, version: 1.0.0, urls: [web-1.0.0.tgz]}\nentries:\n  web:\n  - <<: *b\n", errOrUs),
}

// errOrUs stands for an error or our chart.
var errOrUs = fmt.Errorf("any error, or our chart")

// index is the attempt to fetch a chart by an index.
func index(name, text string, want error) attempt {
	do := func(b *bed) error {
		archive := b.chart("web", "1.0.0", nil)
		secretPath := filepath.Join(canary.files, "web-1.0.0.tgz")
		text := strings.NewReplacer("SECRETFILE", "file://"+secretPath, "SECRETPATH", secretPath).Replace(text)
		url := b.serve(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/charts/index.yaml":
				_, _ = w.Write([]byte(text))
			case "/charts/web-1.0.0.tgz":
				_, _ = w.Write(archive.Data)
			default:
				http.NotFound(w, r)
			}
		})
		err := b.fetched(url+"/charts/web", helmexec.ChartOptions{})
		if want == errOrUs {
			b.Logf("%v", err)
			return nil
		}
		return err
	}
	if want == errOrUs {
		return attempt{name, nil, do}
	}
	return attempt{name, want, do}
}

func manyVersions(n int) string {
	var text strings.Builder
	text.WriteString("apiVersion: v1\nentries:\n  web:\n")
	for i := range n {
		fmt.Fprintf(&text, "  - {apiVersion: v2, name: web, version: 0.%d.0, urls: [web-0.%d.0.tgz]}\n", i, i)
	}
	return text.String() + "  - {apiVersion: v2, name: web, version: 1.0.0, urls: [web-1.0.0.tgz]}\n"
}

func gzipped(text string) string {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return out.String()
}
