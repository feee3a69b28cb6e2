package process

import (
	"bytes"
	"unicode/utf8"
)

// headBuffer keeps the first max bytes and counts the rest.
type headBuffer struct {
	buf     bytes.Buffer
	max     int
	dropped int
	full    func() // called once, at the first byte over max
}

func (b *headBuffer) Write(p []byte) (int, error) {
	keep := min(len(p), b.max-b.buf.Len())
	b.buf.Write(p[:keep])
	if keep < len(p) && b.dropped == 0 && b.full != nil {
		b.full()
	}
	b.dropped += len(p) - keep
	return len(p), nil
}

// tailBuffer keeps the last max bytes.
type tailBuffer struct {
	buf  []byte
	max  int
	mark string // replaces what is not kept
	cut  bool
}

func (b *tailBuffer) Write(p []byte) (int, error) {
	b.cut = b.cut || len(b.buf)+len(p) > b.max
	b.buf = append(b.buf, lastBytes(p, b.max)...)
	if len(b.buf) > 2*b.max {
		b.buf = append(b.buf[:0], lastBytes(b.buf, b.max)...)
	}
	return len(p), nil
}

func (b *tailBuffer) String() string {
	if b.cut {
		rest := lastBytes(b.buf, b.max-len(b.mark))
		for len(rest) > 0 && !utf8.RuneStart(rest[0]) {
			rest = rest[1:]
		}
		return b.mark + string(rest)
	}
	return string(b.buf)
}

// heard passes on what is written.
type heard func([]byte)

func (h heard) Write(p []byte) (int, error) {
	h(p)
	return len(p), nil
}

func lastBytes(p []byte, n int) []byte {
	if len(p) > n {
		return p[len(p)-n:]
	}
	return p
}
