package out

import (
	"bytes"
	"encoding/json"
	"strings"

	"go.yaml.in/yaml/v3"
)

// JSON writes a value as JSON for programs. What a terminal could obey stands in it as \u….
func JSON(v any) ([]byte, error) { return encoded(v, inJSON) }

func encoded(v any, as func(rune) string) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return []byte(escaped(b.String(), "\n", as)), nil
}

// YAML writes the same document in YAML.
func YAML(v any) ([]byte, error) {
	text, err := encoded(v, inYAML) // JSON is YAML, with the fields in their order
	if err != nil {
		return nil, err
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	plain(&document)
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(&document); err != nil {
		return nil, err
	}
	return []byte(escaped(b.String(), "\n", inYAML)), nil
}

// plain gives nodes the style that people write: quotes only where a reader of YAML could take the text for something
// else, or where something in it must be escaped.
func plain(n *yaml.Node) {
	n.Style = 0
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" && needsQuotes(n.Value) {
		n.Style = yaml.DoubleQuotedStyle
	}
	for _, child := range n.Content {
		plain(child)
	}
}

// needsQuotes errs on the side of quotes: readers of YAML 1.1 take more for a number or a boolean than those of 1.2.
func needsQuotes(text string) bool {
	if strings.ContainsFunc(text, func(r rune) bool { return isUnsafe(r, "\n") }) {
		return true
	}
	switch strings.ToLower(text) {
	case "", "y", "n", "yes", "no", "on", "off", "true", "false", "null", "~":
		return true
	}
	return strings.ContainsRune("0123456789+-.=<", rune(text[0]))
}
