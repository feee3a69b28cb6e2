package out

import (
	"fmt"
	"strings"
)

// Style is how a terminal shows a text.
type Style string

// The styles are the ones that every terminal knows.
const (
	Good Style = "\x1b[32m"
	Bad  Style = "\x1b[31m"
	Warn Style = "\x1b[33m"
	Head Style = "\x1b[1m"
)

// In is a text in a style, for Row and Line.
func (s Style) In(text string) Styled { return Styled{text, s} }

// Styled is a text with a style.
type Styled struct {
	Text  string
	Style Style
}

// Page is what people read: lines and tables, one after the other.
type Page struct {
	colour bool
	b      strings.Builder
	rows   [][]Styled // of the table that is not written yet
}

// Line adds a line. Each argument is one text from anywhere.
func (p *Page) Line(format string, args ...any) {
	p.flush()
	safe := make([]any, len(args))
	for i, a := range args {
		switch a := a.(type) {
		case Styled:
			safe[i] = p.styled(a, Line(a.Text))
		case int, int64, bool, float64:
			safe[i] = a
		default:
			safe[i] = Line(fmt.Sprint(a))
		}
	}
	fmt.Fprintf(&p.b, format+"\n", safe...)
}

// Text adds lines as they are, such as YAML.
func (p *Page) Text(text string) {
	p.flush()
	p.b.WriteString(Lines(text))
	if !strings.HasSuffix(text, "\n") {
		p.b.WriteByte('\n')
	}
}

// Head begins a table, after an empty line if something is before it.
func (p *Page) Head(names ...string) {
	p.flush()
	if p.b.Len() > 0 {
		p.b.WriteByte('\n')
	}
	row := make([]Styled, len(names))
	for i, name := range names {
		row[i] = Head.In(name)
	}
	p.rows = append(p.rows, row)
}

// Row adds a row to the table, or begins one without a head. A cell is a text from anywhere, or a number.
func (p *Page) Row(cells ...any) {
	row := make([]Styled, len(cells))
	for i, cell := range cells {
		s, styled := cell.(Styled)
		if !styled {
			s.Text = fmt.Sprint(cell)
		}
		s.Text = Line(s.Text)
		row[i] = s
	}
	p.rows = append(p.rows, row)
}

func (p *Page) styled(s Styled, text string) string {
	if !p.colour || s.Style == "" || text == "" {
		return text
	}
	return string(s.Style) + text + "\x1b[0m"
}

// flush writes the table.
func (p *Page) flush() {
	var widths []int
	for _, row := range p.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], columns(cell.Text))
		}
	}
	for _, row := range p.rows {
		gap := 0
		for i, cell := range row {
			if cell.Text != "" {
				p.b.WriteString(strings.Repeat(" ", gap) + p.styled(cell, cell.Text))
				gap = 0
			}
			gap += widths[i] - columns(cell.Text) + 2
		}
		p.b.WriteByte('\n')
	}
	p.rows = nil
}

func (p *Page) String() string {
	p.flush()
	return p.b.String()
}
