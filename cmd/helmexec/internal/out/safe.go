// Package out is the one place where the command prints: tables and lines for people, JSON and YAML for programs. Text
// that comes from outside is made safe here, so nothing else needs to think of it.
package out

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Line makes everything visible in a text that has no shape: control characters, line breaks, tabs, format characters
// such as a bidirectional override, fillers and selectors that draw nothing, invalid UTF-8. Letters of any language stay.
func Line(text string) string { return escaped(text, "", shown) }

// Lines is Line for a text that may have several lines.
func Lines(text string) string { return escaped(text, "\n\t", shown) }

func isUnsafe(r rune, keep string) bool {
	shapeless := !unicode.IsGraphic(r) || r == utf8.RuneError || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
	return shapeless && !strings.ContainsRune(keep, r)
}

// escaped replaces what is unsafe in a text, except the runes in keep.
func escaped(text, keep string, as func(rune) string) string {
	if !strings.ContainsFunc(text, func(r rune) bool { return isUnsafe(r, keep) }) {
		return text
	}
	var b strings.Builder
	for i, width := 0, 0; i < len(text); i += width {
		var r rune
		r, width = utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && width == 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case r != utf8.RuneError && isUnsafe(r, keep):
			b.WriteString(as(r))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// shown is a rune as a reader sees it.
func shown(r rune) string { return strings.Trim(strconv.QuoteRuneToASCII(r), "'") }

// inJSON is a rune as JSON has it in a string.
func inJSON(r rune) string {
	if high, low := utf16.EncodeRune(r); high != unicode.ReplacementChar {
		return fmt.Sprintf(`\u%04x\u%04x`, high, low)
	}
	return fmt.Sprintf(`\u%04x`, r)
}

// inYAML is a rune as YAML has it in double quotes.
func inYAML(r rune) string {
	if r > 0xffff {
		return fmt.Sprintf(`\U%08x`, r)
	}
	return fmt.Sprintf(`\u%04x`, r)
}

// columns is how wide a terminal shows a text.
func columns(text string) int {
	n := 0
	for _, r := range text {
		n += width(r)
	}
	return n
}

func width(r rune) int {
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case unicode.In(r, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana) || r >= 0xff01 && r <= 0xff60 || r >= 0x1f300 && r <= 0x1faff:
		return 2
	}
	return 1
}

// Cut shortens a text to so many columns.
func Cut(text string, most int) string {
	if columns(text) <= most {
		return text
	}
	var b strings.Builder
	n := 0
	for _, r := range text {
		if n += width(r); n > most-1 {
			break
		}
		b.WriteRune(r)
	}
	return b.String() + "…"
}
