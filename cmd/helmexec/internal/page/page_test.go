package page

import (
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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
	element := regexp.MustCompile(`<[^>]*>`)
	plain, err := Plan(filled(t, "text"))
	require.NoError(t, err)
	want := element.FindAllString(string(plain), -1)
	require.NotEmpty(t, want)
	for _, text := range []string{
		"<script>alert(1)</script>", `"><img src=x onerror=alert(1)>`, "' onmouseover='alert(1)", "</pre></td></table></style></title></body>",
		"<!--", "-->", "]]>", "&lt;script&gt;", "javascript:alert(1)", "{{.}}", "\x00<", "\u202e", "\x1b[31m", "+ADw-script+AD4-", "<svg/onload=alert(1)>", "`",
		"\u2028", "\u2029", "\xff\xfe", "<\u200bscript>", "&#60;script>", "</textarea><iframe src=//evil.example>",
	} {
		got, err := Plan(filled(t, text))
		require.NoError(t, err)
		assert.Equal(t, want, element.FindAllString(string(got), -1), "%q", text)
		assert.NotContains(t, string(got), "\x1b")
		assert.NotRegexp(t, "[\u202a-\u202e\u200b\u2028\u2029\x00]", string(got))
	}
}

// A reader of the page contacts nobody.
func TestNothingFromOutside(t *testing.T) {
	page, err := Plan(filled(t, "text"))
	require.NoError(t, err)
	text := string(page)
	assert.Contains(t, text, `content="default-src 'none'; style-src 'unsafe-inline'"`)
	assert.NotRegexp(t, `(?i)<(script|link|img|iframe|object|embed|form|base|a)\b|\b(src|href|srcset|action|on[a-z]+)=|url\(|@import|https?:`, text)
	assert.Contains(t, text, "prefers-color-scheme: dark")
	assert.True(t, strings.HasPrefix(text, "<!DOCTYPE html>"))
}

// Everything of a plan that a reviewer needs is on the page.
func TestComplete(t *testing.T) {
	for field, value := range map[string]string{
		"chart": "web", "archive": "sha256:aa", "digest": "sha256:bb", "registry": "registry.example", "image": "registry.example/web:1",
		"finding": "shares a namespace", "place": "spec.hostNetwork", "object": "server-object", "hook": "seed-hook", "event": "pre-install",
		"crd": "webs.acme.io", "values": "password: geheim", "GPUs": "4 nvidia.com/gpu", "misfit": "no node",
	} {
		page, err := Plan(view.Plan{
			Chart: view.PlannedChart{Name: "web", Version: "1.2.3", Digest: "sha256:aa"}, Digest: "sha256:bb",
			Images:  view.Images{Uses: []view.Image{{Image: "registry.example/web:1", Registry: "registry.example"}}},
			GPUs:    view.GPUs{Totals: map[string]int64{"nvidia.com/gpu": 8}, Workloads: []view.Workload{{PerPod: map[string]int64{"nvidia.com/gpu": 4}, Replicas: 2}}},
			Objects: []view.Place{{Object: view.Object{Kind: "Pod", Name: "server-object"}}},
			Hooks:   []view.Place{{Object: view.Object{Kind: "Job", Name: "seed-hook"}, Hooks: []string{"pre-install"}}},
			CRDs:    []view.Place{{Object: view.Object{Kind: "CustomResourceDefinition", Name: "webs.acme.io"}}},
			Values:  map[string]any{"password": "geheim"},
			Verdict: view.Verdict{
				Findings: []view.Finding{{Rule: "baseline", Text: "shares a namespace", Path: "spec.hostNetwork"}},
				Misfits:  []view.Misfit{{Reason: "no node"}},
			},
		})
		require.NoError(t, err)
		assert.Contains(t, string(page), value, field)
	}
}
