package redact

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// invisible are characters that others can put into a text, and how they are shown.
var invisible = []struct{ name, text, shown string }{
	{"escape", "\x1b[31m", `\x1b[31m`},
	{"null", "\x00", `\x00`},
	{"backspace", "\b", `\b`},
	{"delete", "\x7f", `\x7f`},
	{"carriage return", "\r", `\r`},
	{"next line", "\u0085", `\u0085`},
	{"control sequence introducer", "\u009b2J", `\u009b2J`},
	{"line separator", "\u2028", `\u2028`},
	{"paragraph separator", "\u2029", `\u2029`},
	{"right-to-left override", "\u202egnp", `\u202egnp`},
	{"isolate", "\u2066", `\u2066`},
	{"left-to-right mark", "\u200e", `\u200e`},
	{"Arabic letter mark", "\u061c", `\u061c`},
	{"zero width space", "\u200b", `\u200b`},
	{"zero width joiner", "\u200d", `\u200d`},
	{"soft hyphen", "\u00ad", `\u00ad`},
	{"byte order mark", "\ufeff", `\ufeff`},
	{"tag", "\U000e0041", `\U000e0041`},
	{"private use", "\ue000", `\ue000`},
	{"no character", "\U0010ffff", `\U0010ffff`},
}

// languages is text in several languages.
const languages = "配置、失败 é ñ Ωж عربى עברית हिन्दी ไทย 🚀 ❤️ 1\u00a0000\u3000�"

func TestPrintable(t *testing.T) {
	for _, test := range invisible {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, "a"+test.shown+"b", Printable("a"+test.text+"b"))
			assert.Equal(t, test.shown+languages, Line(test.text+languages))
		})
	}
	for name, test := range map[string]struct{ text, line, printable string }{
		"languages":        {languages, languages, languages},
		"lines":            {"a\n\tb", `a\n\tb`, "a\n\tb"},
		"backslash, quote": {`\x1b "'`, `\x1b "'`, `\x1b "'`},
		"no UTF-8":         {"a\xff\xe8\xaf", `a\xff\xe8\xaf`, `a\xff\xe8\xaf`},
		"nothing":          {"", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.line, Line(test.text))
			assert.Equal(t, test.printable, Printable(test.text))
		})
	}
}

func TestLegible(t *testing.T) {
	require.NoError(t, Legible(nil))
	plain := fmt.Errorf("%w: in %s", fs.ErrNotExist, languages)
	assert.Equal(t, plain, Legible(plain))
	odd := Legible(fmt.Errorf("%w: a\nb\x1b[31m", fs.ErrNotExist))
	require.ErrorIs(t, odd, fs.ErrNotExist)
	assert.EqualError(t, odd, "file does not exist: a\nb\\x1b[31m")
}

func TestAbridged(t *testing.T) {
	assert.Equal(t, `a\nb`, Abridged("a\nb"))
	long := strings.Repeat("é", 200)
	assert.Equal(t, long[:240]+"…", Abridged(long))
	assert.Equal(t, "x"+long[:238]+"…", Abridged("x"+long), "no half of a letter")
}

func TestAddress(t *testing.T) {
	for address, want := range map[string]string{
		"https://bob:s3cret@charts.example/a/web:1.0.0":                  "https://***@charts.example/a/web:1.0.0",
		"https://bob:s3'cret@charts.example/a/web-1.0.0.tgz":             "https://***@charts.example/a/web-1.0.0.tgz",
		"https://charts.example/a/web-1.0.0.tgz?sig='abc'TOKEN":          "https://charts.example/a/web-1.0.0.tgz?***",
		"https://charts.example/a/web-1.0.0.tg%7a?sig=TOKEN":             "https://charts.example/a/web-1.0.0.tg%7a?***",
		"oci://registry.example:5000/a/web:1.0.0":                        "oci://registry.example:5000/a/web:1.0.0",
		"oci://registry.example/a/web@sha256:" + strings.Repeat("0", 64): "oci://registry.example/a/web@sha256:" + strings.Repeat("0", 64),
		"https://bob:s3%cret@charts.example/web":                         "https://***@charts.example/web",
		"oci://bob:s3%cret@host/web@sha256:00":                           "oci://***@host/web@sha256:00",
		"https://host/a%zz/web.tgz?sig=TOKEN":                            "https://host/a%zz/web.tgz?***",
		"bob:s3cret@host/web":                                            "***@host/web",
		"/folder/web":                                                    "/folder/web",
	} {
		assert.Equal(t, want, Address(address))
	}
}

func TestRedactor(t *testing.T) {
	for _, test := range []struct {
		name, text, want string
		secrets          []string
	}{
		{"userinfo of a URL", "https://bob:pw@host/x and oci://tok@reg", "https://***@host/x and oci://***@reg", nil},
		{"a password with an @", "https://bob:p@ss@host/x", "https://***@host/x", nil},
		{"a password with a slash", "https://bob:p/w@host/x", "https://***@host/x", []string{"p/w"}},
		{"a password anywhere", `the password "hunter2" is wrong`, `the password "***" is wrong`, []string{"hunter2"}},
		{"a password as URLs spell it", "?password=a%2Bb", "?password=***", []string{"a+b"}},
		{"no password", "text", "text", []string{""}},
		{"a query", `Get "https://host/a/web-1.0.0.tgz?sig=a%2Fb&x=y": EOF`, `Get "https://host/a/web-1.0.0.tgz?***": EOF`, nil},
		{"a query of an archive without a host", "a/web-1.0.0.tgz?sig=token is wrong", "a/web-1.0.0.tgz?*** is wrong", nil},
		{"a query behind any path", "failed to fetch https://host/download?file=web.tgz&sig=token : 404 Not Found", "failed to fetch https://host/download?*** : 404 Not Found", nil},
		{"a query with quotes", "failed to fetch https://host/a'b?sig='a'token : 404", "failed to fetch https://host/a'b?*** : 404", nil},
		{"a query behind a host", "https://bob:pw@host?sig=token", "https://***@host?***", nil},
		{"a query with an @ behind a host", `Get "https://host?for=bob@host&sig=token": EOF`, `Get "https://***@": EOF`, nil},
		{"a password with a ?", `Get "https://bob:p?w@host/x?sig=token": EOF`, `Get "https://***@": EOF`, nil},
		{"a query with an @", "https://bob:pw@host/x?for=bob@host&sig=token", "https://***@host/x?***", nil},
		{"a query in a quoted quote", `msg="Get \"https://host/x?sig=token\": EOF"`, `msg="Get \"https://host/x?***\": EOF"`, nil},
		{"a question", "https://host is down? yes", "https://host is down? yes", nil},
		{"an @ that is no userinfo", "oci://host/chart@sha256:ab mail@host", "oci://host/chart@sha256:ab mail@host", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, test.want, Redactor(test.secrets)(test.text))
		})
	}
}
