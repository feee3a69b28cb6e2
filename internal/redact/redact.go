// Package redact makes text safe to show that a chart, a server or helm wrote: without secrets, and with
// nothing in it that deceives a reader or moves the cursor of a terminal. It knows the forms that
// secrets take in addresses, and nothing of what else the text says.
package redact

import (
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable is a text in which all that has no shape and is no space is made visible: control characters,
// format characters such as a bidirectional override, line separators, invalid UTF-8. So nothing in it
// changes the order or the look of the letters around it, or stands there unseen. Letters of any
// language, line breaks and tabs stay.
func Printable(text string) string { return visible(text, "\n\t") }

// Line is the same for what has to fit on one line: line breaks and tabs are made visible too.
func Line(text string) string { return visible(text, "") }

// visible keeps the control characters in keep.
func visible(text, keep string) string {
	shows := func(r rune) bool { return unicode.IsGraphic(r) && r != utf8.RuneError || strings.ContainsRune(keep, r) }
	if !strings.ContainsFunc(text, func(r rune) bool { return !shows(r) }) {
		return text
	}
	var b strings.Builder
	for i, width := 0, 0; i < len(text); i += width {
		var r rune
		r, width = utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && width == 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case r == utf8.RuneError || shows(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}
	return b.String()
}

// Abridged keeps one argument, such as a template, from filling a log, and on one line.
func Abridged(s string) string {
	const most = 240
	if s = Line(s); len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// legibleError is an error whose text others wrote in part.
type legibleError struct{ error }

func (e legibleError) Error() string { return Printable(e.error.Error()) }
func (e legibleError) Unwrap() error { return e.error }

// Legible makes the text of an error printable that quotes what others wrote.
func Legible(err error) error {
	if err == nil || Printable(err.Error()) == err.Error() {
		return err
	}
	return legibleError{err}
}

// Address is an address without what may be a password or a token in it. It may not even parse.
func Address(address string) string {
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		plain := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
		text := plain.String()
		if u.User != nil {
			text = strings.Replace(text, "://", "://***@", 1)
		}
		if u.RawQuery != "" {
			text += "?***"
		}
		return text
	}
	shown, _, query := strings.Cut(address, "?")
	scheme, rest, isURL := strings.Cut(shown, "://")
	if !isURL {
		scheme, rest = "", shown
	}
	body, digest, _ := strings.Cut(rest, "@sha256:")
	if at := strings.LastIndexByte(body, '@'); at >= 0 {
		body = "***@" + body[at+1:]
	}
	if digest != "" {
		body += "@sha256:" + digest
	}
	if isURL {
		body = scheme + "://" + body
	}
	if query {
		body += "?***"
	}
	return body
}

var userinfo = regexp.MustCompile(`(://)[^/\s"']+@`)

// archiveQuery is the query of an archive's address, which can be a signature or a token.
var archiveQuery = regexp.MustCompile(`(\.(?:tgz|tar\.gz)\?)[^\s"']+`)

// Redactor takes out secrets: those given, the userinfo of any URL, and the query of an archive's.
func Redactor(secrets []string) func(string) string {
	var pairs []string
	for _, s := range secrets {
		if s != "" {
			pairs = append(pairs, s, "***", url.QueryEscape(s), "***")
		}
	}
	known := strings.NewReplacer(pairs...)
	return func(s string) string {
		return archiveQuery.ReplaceAllString(userinfo.ReplaceAllString(known.Replace(s), "${1}***@"), "${1}***")
	}
}
