package out

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// Printer has the two streams of the command: results on Stdout, all that happens on the way on Stderr.
type Printer struct {
	Stdout, Stderr io.Writer
	Format         string // "table", "json", "yaml"
	Colour         bool   // of Stdout
	Terminal       bool   // Stderr is one
	Width          int    // of that terminal, in columns

	mu    sync.Mutex
	live  string // on the last line of the terminal
	plain string // what was printed last instead, where there is no terminal
	said  time.Time
}

// Quiet is the time since anything was said, or else since the first call.
func (p *Printer) Quiet() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.said.IsZero() {
		p.said = time.Now()
	}
	return time.Since(p.said)
}

// Print prints a result: data for programs, or what people writes.
func (p *Printer) Print(data any, people func(*Page)) error {
	var text []byte
	var err error
	switch p.Format {
	case "json":
		text, err = JSON(data)
	case "yaml":
		text, err = YAML(data)
	default:
		page := Page{colour: p.Colour}
		people(&page)
		text = []byte(page.String())
	}
	if err != nil {
		return err
	}
	return p.Write(text)
}

// Write prints text that is safe already.
func (p *Printer) Write(text []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	_, err := p.Stdout.Write(text)
	return err
}

// Say prints a line on Stderr. Each argument is a text from anywhere.
func (p *Printer) Say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	p.said = time.Now()
	fmt.Fprintln(p.Stderr, strings.TrimSuffix(Lines(fmt.Sprintf(format, args...)), "\n"))
	p.draw()
}

// Live says how far something is: on a terminal in place of what it said before, elsewhere as a line if it is new.
func (p *Printer) Live(elapsed time.Duration, format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := Line(fmt.Sprintf(format, args...))
	if !p.Terminal {
		if text != p.plain {
			p.plain, p.said = text, time.Now()
			fmt.Fprintln(p.Stderr, text)
		}
		return
	}
	p.clear()
	p.said = time.Now()
	p.live = fmt.Sprintf("%s  %s", elapsed.Round(time.Second), text)
	p.draw()
}

// Done ends what Live says.
func (p *Printer) Done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	p.live, p.plain = "", ""
}

// clear and draw need nothing of a terminal but to go back to the start of its line.
func (p *Printer) clear() {
	if p.live != "" {
		fmt.Fprint(p.Stderr, "\r"+strings.Repeat(" ", columns(p.shortened()))+"\r")
	}
}

func (p *Printer) draw() {
	if p.live != "" {
		fmt.Fprint(p.Stderr, p.shortened())
	}
}

func (p *Printer) shortened() string { return Cut(p.live, p.Width-1) }
