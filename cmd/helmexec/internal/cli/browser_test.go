package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var screenshot = flag.String("screenshot", "", "write a picture of a plan's page to this `file`")

// browser is a headless Chromium that reaches nothing beyond the loopback interface.
type browser struct {
	*testing.T
	path string
}

func newBrowser(t *testing.T) browser {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return browser{t, path}
		}
	}
	const missing = "there is no Chromium: apt-get install chromium"
	if *screenshot != "" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return browser{}
}

// run starts the browser, waits until it has ended, and gives what it printed.
func (b browser) run(args ...string) []byte {
	b.Helper()
	profile, err := os.MkdirTemp("", "helmexec-browser-")
	require.NoError(b, err)
	defer os.RemoveAll(profile)
	ctx, cancel := context.WithTimeout(b.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.path, append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
		"--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--user-data-dir=" + profile,
	}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(b, cmd.Run(), "%s", &stderr)
	return stdout.Bytes()
}

// site serves pages by their names, and remembers each request for anything else.
type site struct {
	*httptest.Server
	mu     sync.Mutex
	pages  map[string]string
	strays []string
}

func newSite(t *testing.T) *site {
	s := &site{pages: map[string]string{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		page, known := s.pages[strings.TrimPrefix(r.URL.Path, "/")]
		if !known {
			s.strays = append(s.strays, r.URL.Path)
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, page)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *site) serve(name, page string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pages[name] = page
}

func (s *site) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.strays
}

// frame shows a page at a width, light or dark.
type frame struct {
	Page, Scheme string
	Width        int
}

// looks is how a frame looks to the browser.
type looks struct {
	frame
	Inner     int      // its width as the page sees it
	Dark      bool     // as the page sees it
	Colour    string   // behind the text
	Heading   string   // the first one
	Overflow  []string // elements that reach over the right side
	Faint     []string // texts without enough contrast to what is behind them
	Scripts   int      // elements
	Ran       bool     // a script ran
	Loaded    []string // what the page asked for
	Dangling  []string // links that lead nowhere
	Rows      int      // that are shown while all details are closed
	ClosedFor int      // details
}

// look is the page that holds the frames. It runs when all are loaded.
const look = `<!DOCTYPE html><meta charset="utf-8"><link rel="icon" href="data:,"><body>%s<pre id="seen"></pre><script>
const channels = c => (c.match(/[\d.]+/g) || []).map(Number);
const luminance = c => { const [r, g, b] = channels(c).map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b };
const ratio = (a, b) => { const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y); return (high + .05) / (low + .05) };
const transparent = c => channels(c).length > 3 && channels(c)[3] === 0;
const short = e => e.tagName + ' ' + e.textContent.slice(0, 60);
function see(f) {
  const w = f.contentWindow, d = w.document, all = [...d.body.querySelectorAll('*')];
  const behind = e => { while (e && transparent(w.getComputedStyle(e).backgroundColor)) e = e.parentElement; return e ? w.getComputedStyle(e).backgroundColor : 'rgb(255, 255, 255)' };
  const seen = {
    Page: f.dataset.page, Scheme: f.style.colorScheme, Width: f.clientWidth, Inner: w.innerWidth, Dark: w.matchMedia('(prefers-color-scheme: dark)').matches,
    Colour: w.getComputedStyle(d.body).backgroundColor, Heading: (d.querySelector('h1') || {}).textContent, Scripts: d.scripts.length, Ran: 'ran' in w,
    Loaded: w.performance.getEntriesByType('resource').map(r => r.name), Rows: [...d.querySelectorAll('tbody tr')].filter(r => r.checkVisibility()).length,
    ClosedFor: d.querySelectorAll('details:not([open])').length,
    Dangling: [...d.querySelectorAll('[href], [src], [action], [srcset], [data]')].map(e => e.getAttribute('href') || '')
      .filter(href => !href.startsWith('#') || !d.getElementById(href.slice(1))),
  };
  for (const e of d.querySelectorAll('details')) e.open = true;
  seen.Overflow = all.filter(e => e.getBoundingClientRect().right > w.innerWidth + .5).map(short);
  if (d.documentElement.scrollWidth > w.innerWidth) seen.Overflow.push('the page');
  seen.Faint = all.slice(0, 2000).filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
    .filter(e => ratio(w.getComputedStyle(e).color, behind(e)) < 4.5).map(short);
  return seen;
}
onload = () => { document.getElementById('seen').textContent = JSON.stringify([...document.querySelectorAll('iframe')].map(see)) };
</script>`

// frames are elements that show pages.
func frames(height int, all ...frame) string {
	var b strings.Builder
	for _, f := range all {
		fmt.Fprintf(&b, `<iframe src="/%[1]s" data-page="%[1]s" style="border:0;width:%[2]dpx;height:%[3]dpx;color-scheme:%[4]s"></iframe>`, f.Page, f.Width, height, f.Scheme)
	}
	return b.String()
}

// see shows frames to the browser.
func (b browser) see(s *site, all ...frame) []looks {
	b.Helper()
	s.serve("look", fmt.Sprintf(look, frames(800, all...)))
	dom := b.run("--dump-dom", s.URL+"/look")
	found := regexp.MustCompile(`<pre id="seen">(.*)</pre>`).FindSubmatch(dom)
	require.NotNil(b, found, "%s", dom)
	var seen []looks
	require.NoError(b, json.Unmarshal([]byte(html.UnescapeString(string(found[1]))), &seen), "%s", found[1])
	require.Len(b, seen, len(all))
	for i, f := range all {
		require.Equal(b, f, seen[i].frame)
	}
	return seen
}

const phone, desk = 390, 1280

// htmlOf is the page of a plan, as the command writes it.
func (b *bench) htmlOf(args ...string) string {
	b.Helper()
	got := b.run(append([]string{"plan", "-o", "html", "--offline"}, args...)...)
	require.Zero(b, got.code, got.stderr)
	return got.stdout
}

// The page of a plan is whole in a browser, on a phone and on a desk, light and dark, whatever the chart says. It loads
// nothing and runs nothing.
func TestPageInBrowser(t *testing.T) {
	chromium := newBrowser(t)
	b, pages, canary := newBench(t), newSite(t), newSite(t)
	var all []frame
	for name, page := range map[string]string{
		"review":  b.htmlOf("job-42-sut-web", web, "--set", "gpus=4,password=<x>", "--node", "nvidia.com/gpu=4", "--registry", "registry.example"),
		"allowed": b.htmlOf("plain", plain),
		"hostile": b.htmlOf("hostile", hostileChart(b, canary.URL), "-f", "-"),
		"large":   b.htmlOf("large", largeChart(b)),
	} {
		pages.serve(name, page)
		all = append(all, frame{name, "light", phone}, frame{name, "dark", phone}, frame{name, "light", desk}, frame{name, "dark", desk})
	}
	for _, seen := range chromium.see(pages, all...) {
		name := fmt.Sprint(seen.frame)
		assert.Equal(t, seen.Width, seen.Inner, name)
		assert.Equal(t, seen.Scheme == "dark", seen.Dark, name)
		assert.Equal(t, map[bool]string{false: "rgb(243, 244, 246)", true: "rgb(14, 16, 20)"}[seen.Dark], seen.Colour, "%s: the style applies", name)
		assert.Equal(t, map[string]string{"review": "job-42-sut-web", "allowed": "plain", "hostile": "hostile", "large": "large"}[seen.Page], seen.Heading, name)
		assert.Empty(t, seen.Overflow, name)
		assert.Empty(t, seen.Faint, name)
		assert.Zero(t, seen.Scripts, name)
		assert.False(t, seen.Ran, name)
		assert.Empty(t, seen.Loaded, name)
		assert.Empty(t, seen.Dangling, name)
		if seen.Page == "large" {
			assert.Less(t, seen.Rows, 300, "long tables are closed")
			assert.NotZero(t, seen.ClosedFor)
		}
	}
	assert.Empty(t, canary.asked())
	assert.Empty(t, pages.asked())

	if *screenshot != "" {
		const height = 860
		pages.serve("picture", `<!DOCTYPE html><body style="margin:0;display:flex">`+frames(height, frame{"review", "light", 890}, frame{"review", "dark", phone}))
		chromium.run("--screenshot="+*screenshot, fmt.Sprintf("--window-size=%d,%d", 890+phone, height), pages.URL+"/picture")
		picture, err := os.Stat(*screenshot)
		require.NoError(t, err)
		assert.Less(t, picture.Size(), int64(200_000), "a picture of the documentation is small")
	}
}

// Even if markup of a stranger came onto the page, the browser would obey none of it. The same on a page without
// a policy shows that this test would see it.
func TestPolicyInBrowser(t *testing.T) {
	chromium := newBrowser(t)
	b, pages, canary := newBench(t), newSite(t), newSite(t)
	markup := strings.ReplaceAll(`<script>window.ran = 1</script><script src="CANARY/script"></script><img src="CANARY/image" onerror="window.ran = 1">
		<svg onload="window.ran = 1"></svg><style>@import url("CANARY/import"); body { background: rgb(1, 2, 3) !important }</style>
		<link rel="stylesheet" href="CANARY/style"><link rel="preload" as="font" href="CANARY/preload"><iframe src="CANARY/frame"></iframe>
		<object data="CANARY/object"></object><video src="CANARY/video" autoplay></video><p style="background: url(CANARY/inline); width: 5000px">wide</p>`, "CANARY", canary.URL)
	page := b.htmlOf("job-42-sut-web", web)
	pages.serve("guarded", strings.Replace(page, "<main>", "<main>"+markup, 1))
	pages.serve("open", "<!DOCTYPE html><title>open</title>"+markup)

	guarded := chromium.see(pages, frame{"guarded", "light", phone})[0]
	assert.False(t, guarded.Ran)
	assert.Empty(t, guarded.Overflow)
	assert.Equal(t, "rgb(243, 244, 246)", guarded.Colour)
	assert.Empty(t, canary.asked())

	open := chromium.see(pages, frame{"open", "light", phone})[0]
	assert.True(t, open.Ran)
	assert.NotEmpty(t, open.Overflow)
	assert.NotEmpty(t, open.Scripts)
	assert.NotEmpty(t, open.Dangling)
	assert.Equal(t, "rgb(1, 2, 3)", open.Colour)
	assert.Subset(t, canary.asked(), []string{"/script", "/image", "/import", "/style", "/frame", "/object", "/inline"})
}

// chartOf is a chart with these objects, and more files.
func chartOf(b *bench, name string, objects []map[string]any, files map[string]string) string {
	dir := filepath.Join(b.dir, name)
	var manifest strings.Builder
	for _, o := range objects {
		text, err := json.Marshal(o)
		require.NoError(b, err)
		fmt.Fprintf(&manifest, "---\n%s\n", text)
	}
	for path, text := range files {
		path = filepath.Join(dir, path)
		require.NoError(b, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(b, os.WriteFile(path, []byte(text), 0o600))
	}
	require.NoError(b, os.MkdirAll(filepath.Join(dir, "templates"), 0o700))
	require.NoError(b, os.WriteFile(filepath.Join(dir, "templates", "all.yaml"), []byte(manifest.String()), 0o600))
	return dir
}
