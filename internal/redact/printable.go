package redact

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable makes everything visible in a text that has no shape and is not a space: control characters,
// format characters such as a bidirectional override, line separators, invalid UTF-8. So nothing in it
// changes the order or the look of the letters around it, or is invisible. Letters of any language, line
// breaks and tabs stay.
func Printable(text string) string { return visible(text, "\n\t") }

// Line does the same for text on one line: line breaks and tabs are made visible too.
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

// Abridged shortens an argument, such as a template, for a log, and keeps it on one line.
func Abridged(s string) string {
	const most = 240
	if s = Line(s); len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// legibleError is an error with text from outside.
type legibleError struct{ error }

func (e legibleError) Error() string { return Printable(e.error.Error()) }

func (e legibleError) Unwrap() error { return e.error }

// Legible makes the text of an error printable if it quotes text from outside.
func Legible(err error) error {
	if err == nil || Printable(err.Error()) == err.Error() {
		return err
	}
	return legibleError{err}
}
