// Package safeyaml reads untrusted YAML as Helm does, but neither its size nor its aliases can fill the
// memory.
package safeyaml

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf16"
	"unicode/utf8"

	yamlnode "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"

	"github.com/sut-bench/helmexec/internal/errdef"
)

const (
	// MaxSize is the limit for one YAML file of a chart or a user. Hostile YAML takes a few hundred times its
	// size when it is parsed; the values of the largest public charts have some 300 KB.
	MaxSize = 1 << 20
	// What aliases may add to a text: some bytes for each of its own, and no more than maxAliased in all.
	minAliased     = 64 << 10
	aliasedPerByte = 16
	maxAliased     = 16 << 20
	// maxDirectives limits the lines in front of a document. The parser compares each with all before it.
	maxDirectives = 100
)

// Pass is one pass over an untrusted text. All its documents share the limit for aliases.
type Pass struct {
	ctx     context.Context // the parser ends with it
	aliased int             // bytes that aliases may still add
}

// NewPass begins a pass over a text of a size.
func NewPass(ctx context.Context, size int) *Pass {
	return &Pass{ctx: ctx, aliased: min(minAliased+aliasedPerByte*size, maxAliased)}
}

// Context is the context with which the pass ends.
func (p *Pass) Context() context.Context { return p.ctx }

// Unmarshal decodes the first document of data as Helm does (by the same library, sigs.k8s.io/yaml: YAML 1.1, the
// last of two equal keys wins, numbers and booleans become text in a field of type string), but neither the
// size nor the aliases of an untrusted text can fill the memory. what is the name of the text in errors.
func Unmarshal(what string, data []byte, into any) error {
	if len(data) > MaxSize {
		return fmt.Errorf("%w: %s has %d bytes, more than the %d that one YAML file may have",
			errdef.ErrOutputTooLarge, what, len(data), MaxSize)
	}
	if err := NewPass(context.Background(), len(data)).Decode(data, into, UseNumber); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// UseNumber keeps numbers as they are written.
func UseNumber(d *json.Decoder) *json.Decoder {
	d.UseNumber()
	return d
}

// Decode reads the first document of a text as Helm does.
func (p *Pass) Decode(text []byte, into any, opts ...yaml.JSONOpt) error {
	text = bytes.TrimPrefix(fromUTF16(text), ByteOrderMark)
	if mayAlias(text) { // the decoder limits how many nodes aliases repeat, but not their bytes
		if nodes, err := p.Parse(text); err != nil && len(nodes) == 0 {
			return err
		}
	} else if err := checkDirectives(text); err != nil {
		return err
	}
	return yaml.Unmarshal(text, into, opts...)
}

// Parse gives the nodes of the documents in a text, up to the first that cannot be read.
func (p *Pass) Parse(text []byte) ([]*yamlnode.Node, error) {
	text = fromUTF16(text)
	if err := checkDirectives(text); err != nil {
		return nil, err
	}
	aliases := mayAlias(text)
	var nodes []*yamlnode.Node
	for decoder := yamlnode.NewDecoder(untilDone{p.ctx, bytes.NewReader(text)}); ; {
		node := new(yamlnode.Node)
		if err := decoder.Decode(node); err == io.EOF {
			return nodes, nil
		} else if err != nil {
			return nodes, err
		}
		if aliases {
			if err := p.checkAliases(node); err != nil {
				return nodes, err
			}
		}
		nodes = append(nodes, node)
	}
}

var errSeveral = errors.New("several documents without a line of --- between them, of which Kubernetes reads one")

// Read gives the node of a document, and the value that Kubernetes decodes it to: by the same library, sigs.k8s.io/yaml,
// with numbers as json.Number. Both are nil for a document without content. Whether both say the same is for the caller
// to compare.
func (p *Pass) Read(text []byte) (node *yamlnode.Node, value any, err error) {
	if !utf8.Valid(text) {
		return nil, nil, errors.New("not in UTF-8")
	}
	text = AsLines(text)
	if first := bytes.TrimLeft(text, " \t\r\n"); HasOddBreaks(text) && len(first) > 0 && first[0] == '{' {
		return nil, nil, errors.New("line breaks which JSON and YAML, as either of which Kubernetes may read this, take differently")
	}
	nodes, err := p.Parse(text)
	switch {
	case len(nodes) > 1 || len(nodes) == 1 && err != nil && !errors.Is(err, errdef.ErrOutputTooLarge) && p.ctx.Err() == nil:
		return nil, nil, errSeveral
	case err != nil:
		return nil, nil, err
	}
	if err := yaml.Unmarshal(text, &value, UseNumber); err != nil {
		return nil, nil, err
	}
	if len(nodes) == 1 {
		node = nodes[0]
	}
	return node, value, nil
}

// AsLines gives a text of a manifest as Kubernetes passes it on, which reads it line by line: each ends in a line feed.
func AsLines(text []byte) []byte {
	if n := len(text); n > 0 && text[n-1] != '\n' {
		text = append(text[:n:n], '\n')
	}
	if bytes.IndexByte(text, '\r') >= 0 {
		text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	}
	return text
}

// fromUTF16 converts a text in UTF-16, which YAML allows, to UTF-8, so that searches for bytes work.
func fromUTF16(text []byte) []byte {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(text, []byte{0xfe, 0xff}):
		order = binary.BigEndian
	case bytes.HasPrefix(text, []byte{0xff, 0xfe}):
		order = binary.LittleEndian
	default:
		return text
	}
	units := make([]uint16, 0, len(text)/2)
	for text = text[2:]; len(text) > 1; text = text[2:] {
		units = append(units, order.Uint16(text))
	}
	return []byte(string(utf16.Decode(units)))
}

// untilDone reads until a context ends.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}

// checkDirectives refuses a text with too many directives in front.
func checkDirectives(text []byte) error {
	directives := 0
	for line := range bytes.Lines(bytes.TrimPrefix(text, ByteOrderMark)) {
		switch line = bytes.TrimSpace(line); {
		case len(line) == 0, line[0] == '#':
		case line[0] != '%':
			return nil
		default:
			// YAML has more kinds of line breaks, so one line can contain several directives.
			if directives += bytes.Count(line, []byte{'%'}); directives > maxDirectives {
				return fmt.Errorf("more than %d directives: %w", maxDirectives, errdef.ErrOutputTooLarge)
			}
		}
	}
	return nil
}

// mayAlias reports, from the bytes of a text, whether it can contain an anchor and an alias to it: their marks
// are at the start of a word.
func mayAlias(text []byte) bool {
	marks := func(mark byte) bool {
		for at := 0; ; at++ {
			i := bytes.IndexByte(text[at:], mark)
			if i < 0 {
				return false
			}
			if at += i; at+1 < len(text) && isAnchorByte(text[at+1]) && (at == 0 || !isAnchorByte(text[at-1])) {
				return true
			}
		}
	}
	return marks('&') && marks('*')
}

func isAnchorByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// checkAliases refuses a document whose aliases, written out, exceed what is left of the limit.
func (p *Pass) checkAliases(document *yamlnode.Node) error {
	m := aliasMeter{limit: p.aliased + 1, anchored: make(map[*yamlnode.Node]int)}
	if _, err := m.size(document); err != nil {
		return err
	}
	if p.aliased -= m.added; p.aliased < 0 {
		return errTooAliased
	}
	return nil
}

var errTooAliased = fmt.Errorf("its aliases expand too far: %w", errdef.ErrOutputTooLarge)

// aliasMeter measures what the aliases of a document add to it.
type aliasMeter struct {
	limit    int
	anchored map[*yamlnode.Node]int // the sizes of what aliases can point to; -1 while it is being measured
	added    int
}

// size is the size of a node with every alias written out, or the limit if it is larger.
func (m *aliasMeter) size(n *yamlnode.Node) (int, error) {
	const nodeSize = 16
	if n.Kind == yamlnode.AliasNode {
		size := m.anchored[n.Alias]
		if size < 0 {
			return 0, fmt.Errorf("anchor %.80q contains itself", n.Value)
		}
		m.added = min(m.added+size, m.limit)
		return size, nil
	}
	size := nodeSize + len(n.Value)
	if n.Anchor != "" {
		m.anchored[n] = -1
	}
	for _, child := range n.Content {
		below, err := m.size(child)
		if err != nil {
			return 0, err
		}
		size = min(size+below, m.limit)
	}
	if n.Anchor != "" {
		m.anchored[n] = size
	}
	return size, nil
}

// ByteOrderMark can be in front of a text.
var ByteOrderMark = []byte("\ufeff")

// HasOddBreaks reports line breaks other than LF and CRLF: YAML 1.1 has four more.
func HasOddBreaks(text []byte) bool {
	return bytes.Count(text, []byte{'\r'}) != bytes.Count(text, []byte("\r\n")) ||
		bytes.Contains(text, []byte("\u0085")) || bytes.Contains(text, []byte("\u2028")) || bytes.Contains(text, []byte("\u2029"))
}
