package yamlfast

import (
	"encoding/json"
	"strconv"
	"strings"
)

// Infinite is the tag of numbers that JSON does not have, so that Kubernetes reads no document with one.
const Infinite = "!infinite"

// Resolve reads a scalar without quotes and tag as sigs.k8s.io/yaml does, by YAML 1.1: its value as JSON has it, such as
// 420 for 0644 and true for yes, and its tag: !!str, !!null, !!bool, !!int, !!float or Infinite.
func Resolve(text string) (value, tag string) {
	if text == "" {
		return text, "!!null"
	}
	switch c := text[0]; {
	case c >= '0' && c <= '9', c == '+', c == '-', c == '.':
		return resolveNumber(text)
	case len(text) > len("false") || strings.IndexByte("yYnNtTfFoO~", c) < 0:
		return text, "!!str"
	}
	switch text {
	case "~", "null", "Null", "NULL":
		return text, "!!null"
	case "y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON":
		return "true", "!!bool"
	case "n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF":
		return "false", "!!bool"
	}
	return text, "!!str"
}

// isFloat reports whether a text is [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?. To compile that takes a process
// longer than to read most of its documents.
func isFloat(text string) bool {
	digits := func() (n int) {
		rest := strings.TrimLeft(text, "0123456789")
		n, text = len(text)-len(rest), rest
		return n
	}
	oneOf := func(letters string) bool {
		is := text != "" && strings.IndexByte(letters, text[0]) >= 0
		if is {
			text = text[1:]
		}
		return is
	}
	oneOf("-+")
	n := digits()
	if oneOf(".") {
		n += digits()
	}
	if n > 0 && oneOf("eE") {
		oneOf("-+")
		n = digits()
	}
	return n > 0 && text == ""
}

func resolveNumber(text string) (value, tag string) {
	const safe = 18 // digits of a number below the largest
	if digits := strings.TrimLeft(text, "0123456789"); digits == "" && len(text) <= safe && (text[0] != '0' || len(text) == 1) {
		return text, "!!int"
	}
	switch strings.TrimPrefix(text, "+") {
	case ".nan", ".NaN", ".NAN":
		if text[0] == '.' {
			return text, Infinite
		}
	case ".inf", ".Inf", ".INF", "-.inf", "-.Inf", "-.INF":
		if text[:1] != "+" || text[1] == '.' {
			return text, Infinite
		}
	}
	if text[0] == '.' {
		return resolveFloat(text, text)
	}
	plain := strings.ReplaceAll(text, "_", "")
	if n, err := strconv.ParseInt(plain, 0, 64); err == nil {
		return strconv.FormatInt(n, 10), "!!int"
	}
	if n, err := strconv.ParseUint(plain, 0, 64); err == nil {
		return strconv.FormatUint(n, 10), "!!int"
	}
	if isFloat(plain) {
		if value, tag = resolveFloat(plain, text); tag != "!!str" {
			return value, tag
		}
	}
	if bits, found := strings.CutPrefix(plain, "0b"); found { // a sign may stand behind the prefix too
		if n, err := strconv.ParseInt(bits, 2, 64); err == nil {
			return strconv.FormatInt(n, 10), "!!int"
		}
	}
	return text, "!!str"
}

func resolveFloat(plain, text string) (value, tag string) {
	n, err := strconv.ParseFloat(plain, 64)
	if err != nil {
		return text, "!!str"
	}
	written, err := json.Marshal(n)
	if err != nil {
		return text, Infinite
	}
	return string(written), "!!float"
}
