package growth

import (
	"fmt"
	"strings"
)

// A Shape makes a text of about n bytes that is meant to be hard to read.
type Shape struct {
	Name string
	Make func(n int) string
}

// Repeated is one piece over and over, between a beginning and an end.
func Repeated(name, begin, piece, end string) Shape {
	return Shape{name, func(n int) string {
		return begin + strings.Repeat(piece, max(1, (n-len(begin)-len(end))/len(piece))) + end
	}}
}

// Numbered is a piece with a running number in it, over and over.
func Numbered(name, begin, piece, end string) Shape {
	return Shape{name, func(n int) string {
		var b strings.Builder
		b.WriteString(begin)
		for i := 1; b.Len() < n; i++ {
			b.WriteString(strings.NewReplacer("{i}", fmt.Sprint(i), "{i-1}", fmt.Sprint(i-1)).Replace(piece))
		}
		b.WriteString(end)
		return b.String()
	}}
}

// Nested is a piece inside of a piece inside of a piece.
func Nested(name, begin, open, inner, closing, end string) Shape {
	return Shape{name, func(n int) string {
		depth := max(1, n/(len(open)+len(closing)))
		return begin + strings.Repeat(open, depth) + inner + strings.Repeat(closing, depth) + end
	}}
}
