package page

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/cmd/helmexec/internal/gate"
	"github.com/sut-bench/helmexec/cmd/helmexec/internal/view"
)

// filled is a plan with this text in every place for a text, and one of everything.
func filled(t *testing.T, text string) view.Plan {
	var p view.Plan
	fill(t, reflect.ValueOf(&p).Elem(), text)
	p.Allowed = false
	return p
}

func fill(t *testing.T, v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Bool:
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), text)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(t, v.Index(0), text)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		value := reflect.New(v.Type().Elem()).Elem()
		if value.Kind() == reflect.Interface {
			value.Set(reflect.ValueOf(text))
		} else {
			fill(t, value, text)
		}
		v.SetMapIndex(reflect.ValueOf(text), value)
	default:
		t.Fatalf("a plan has a %s", v.Type())
	}
}

// Whatever a chart says, the page has the same elements with the same attributes, and shows nothing without a shape.
func TestHostile(t *testing.T) {
	elements := func(page []byte) []string {
		all := regexp.MustCompile(`<[^>]*>`).FindAllString(string(page), -1)
		return slices.DeleteFunc(all, func(element string) bool { return element == "<wbr>" }) // where long names may break
	}
	plain, err := Plan(filled(t, "text"))
	require.NoError(t, err)
	want := elements(plain)
	require.NotEmpty(t, want)
	for _, text := range []string{
		"<script>alert(1)</script>", `"><img src=x onerror=alert(1)>`, "' onmouseover='alert(1)", "</pre></td></table></style></title></body>",
		"<!--", "-->", "]]>", "&lt;script&gt;", "javascript:alert(1)", "{{.}}", "\x00<", "\u202e", "\x1b[31m", "+ADw-script+AD4-", "<svg/onload=alert(1)>", "`",
		"\u2028", "\u2029", "\xff\xfe", "<\u200bscript>", "&#60;script>", "</textarea><iframe src=//evil.example>",
	} {
		got, err := Plan(filled(t, text))
		require.NoError(t, err)
		assert.Equal(t, want, elements(got), "%q", text)
		assert.NotContains(t, string(got), "\x1b")
		assert.NotRegexp(t, "[\u202a-\u202e\u200b\u2028\u2029\x00]", string(got))
	}
}

// A reader of the page contacts nobody: a browser applies the style sheet that is on it, and its links lead to places on it.
func TestNothingFromOutside(t *testing.T) {
	page, err := Plan(filled(t, "text"))
	require.NoError(t, err)
	text := string(page)
	_, rest, _ := strings.Cut(text, "<style>")
	style, _, _ := strings.Cut(rest, "</style>")
	sum := sha256.Sum256([]byte(style))
	policy := fmt.Sprintf("default-src 'none'; style-src 'sha256-%s'; base-uri 'none'; form-action 'none'", base64.StdEncoding.EncodeToString(sum[:]))
	assert.Contains(t, html.UnescapeString(text), `http-equiv="Content-Security-Policy" content="`+policy+`"`)
	assert.Less(t, strings.Index(text, "Content-Security-Policy"), strings.Index(text, "<style>"))
	assert.NotRegexp(t, `(?i)<(script|link|img|iframe|object|embed|form|base)\b|\b(src|srcset|action|style|on[a-z]+)=|href="[^#]|url\(|@import|https?:`, text)
	assert.Contains(t, text, "prefers-color-scheme: dark")
	assert.True(t, strings.HasPrefix(text, "<!DOCTYPE html>"))
	for _, link := range regexp.MustCompile(`href="#([^"]*)"`).FindAllStringSubmatch(text, -1) {
		assert.Contains(t, text, `id="`+link[1]+`"`)
	}
}

func TestBreaks(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "",
		"CustomResourceDefinition":      "Custom<wbr>Resource<wbr>Definition",
		"spec.containers[0].image":      "spec.<wbr>containers<wbr>[0].<wbr>image",
		"registry.example/suts/web:1.2": "registry.<wbr>example/<wbr>suts/<wbr>web:1.2",
		"HTTP.":                         "HTTP.",
		"<wbr>.<b>":                     "&lt;wbr&gt;.<wbr>&lt;b&gt;",
		"百度/é.É":                        "百度/<wbr>é.<wbr>É",
	} {
		assert.Equal(t, want, string(line(text)))
	}
}

// What an author writes far too long does not push the rest away, and what is left out is said.
func TestLongTexts(t *testing.T) {
	page, err := Plan(view.Plan{Release: "r", Chart: view.PlannedChart{Name: "begin" + strings.Repeat("x", 100_000) + "end"}})
	require.NoError(t, err)
	assert.Less(t, len(page), 20_000)
	assert.Equal(t, strings.Repeat("百", 300), shortened(strings.Repeat("百", 300)))
	assert.Equal(t, strings.Repeat("百", 250)+" […3 bytes left out…] "+strings.Repeat("百", 50), shortened(strings.Repeat("百", 301)))
	assert.Equal(t, strings.Repeat(`\xff`, 250)+" […1 bytes left out…] "+strings.Repeat(`\xff`, 50), shortened(strings.Repeat("\xff", 301)))
	assert.Regexp(t, "<bdi>beginx+ \\[…99708 bytes left out…\\] x+end</bdi>", strings.ReplaceAll(string(page), "<wbr>", ""))
}

// Everything of a plan that a reviewer needs is on the page.
func TestComplete(t *testing.T) {
	for field, value := range map[string]string{
		"chart": "web", "archive": "sha256:aa", "key": "A1B2", "digest": "sha256:bb", "registry": "registry.example", "image": "registry.example/web:1",
		"finding": "shares a namespace", "place": "spec.hostNetwork", "object": "server-object", "hook": "seed-hook", "event": "pre-install",
		"crd": "webs.acme.io", "values": "password: geheim", "GPUs": "4 <bdi>nvidia.com/gpu</bdi>", "misfit": "no node", "link to the row": `<a href="#object-0">`, "link to the finding": `<a class="bad" href="#finding-0">1 finding</a>`,
		"checked": "<code>checked.example</code>, by digest only", "limit": "64 CPU", "nodes": "2 with 8 <bdi>acme.io/gpu</bdi>", "another node": "1 with no accelerator", "verdict": "1 finding, 1 workload that",
		"all places of an image": "spec.b", "pinned": "by digest",
	} {
		page, err := Plan(view.Plan{
			Chart: view.PlannedChart{Name: "web", Version: "1.2.3", Digest: "sha256:aa", SigningKey: "A1B2"}, Digest: "sha256:bb",
			Images: view.Images{Uses: []view.Image{
				{Image: "registry.example/web:1", Registry: "registry.example", Digest: "sha256:cc", Place: view.Place{Path: "spec.a"}},
				{Image: "other.example/web:1", Registry: "other.example"},
				{Image: "registry.example/web:1", Registry: "registry.example", Digest: "sha256:cc", Place: view.Place{Path: "spec.b"}},
			}},
			GPUs:    view.GPUs{Totals: map[string]int64{"nvidia.com/gpu": 8}, Workloads: []view.Workload{{PerPod: map[string]int64{"nvidia.com/gpu": 4}, Replicas: 2}}},
			Objects: []view.Place{{Object: view.Object{Kind: "Pod", Name: "server-object"}}},
			Hooks:   []view.Place{{Object: view.Object{Kind: "Job", Name: "seed-hook"}, Hooks: []string{"pre-install"}}},
			CRDs:    []view.Place{{Object: view.Object{Kind: "CustomResourceDefinition", Name: "webs.acme.io"}}},
			Values:  map[string]any{"password": "geheim"},
			Verdict: view.Verdict{
				Policy:   gate.Policy{Registries: []string{"checked.example"}, Pinned: true, Limits: gate.Limits{CPU: "64"}, Nodes: []map[string]int64{{"acme.io/gpu": 8}, {}, {"acme.io/gpu": 8}}},
				Findings: []view.Finding{{Rule: "baseline", Object: view.Object{Kind: "Pod", Name: "server-object"}, Text: "shares a namespace", Path: "spec.hostNetwork"}},
				Misfits:  []view.Misfit{{Reason: "no node"}},
			},
		})
		require.NoError(t, err)
		assert.Contains(t, strings.ReplaceAll(string(page), "<wbr>", ""), value, field)
	}
}
