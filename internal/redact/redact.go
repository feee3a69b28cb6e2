// Package redact makes text from a chart, a server or helm safe to show: without secrets, and with
// nothing that deceives a reader or moves the cursor of a terminal. It knows the forms of secrets in
// addresses, and nothing else about the text.
package redact

import (
	"net/url"
	"strings"

	"github.com/sut-bench/helmexec/internal/pattern"
)

// Address removes from an address what may be a password or a token. The address need not be valid.
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

// userinfo ends at the last "@" before the path. Where a "?" comes before that, the rest is a password or a query.
var userinfo = pattern.New(`(://)(?:[^/?\s"']+@|[^/?\s"']+\?[^\s"]*@[^\s"]*[^\s"\\])`)

// query is that of a URL, or of an archive's path, which can be a signature or a token. It may contain an apostrophe; a quote
// ends it, also one that another quote has made `\"`.
var query = pattern.New(`((?:://[^\s"?]*|\.(?:tgz|tar\.gz))\?)[^\s"]*[^\s"\\]`)

// Redactor removes secrets: those given, and the userinfo and query of any URL.
func Redactor(secrets []string) func(string) string {
	var pairs []string
	for _, s := range secrets {
		if s != "" {
			pairs = append(pairs, s, "***", url.QueryEscape(s), "***")
		}
	}
	known := strings.NewReplacer(pairs...)
	return func(s string) string {
		return query().ReplaceAllString(userinfo().ReplaceAllString(known.Replace(s), "${1}***@"), "${1}***")
	}
}
