// Package pattern has regular expressions that are compiled when they are first used. A program of a few milliseconds
// uses few of them, and would spend most of its time on the others.
package pattern

import (
	"regexp"
	"sync"
)

// Pattern gives a regular expression.
type Pattern func() *regexp.Regexp

var all []Pattern

// New makes a pattern, for a variable of a package.
func New(text string) Pattern {
	p := sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
	all = append(all, p)
	return p
}

// CompileAll compiles every pattern of the program, which panics for one that is wrong. A test of each package that has
// some calls it, or of one that imports them.
func CompileAll() (n int) {
	for _, p := range all {
		p()
	}
	return len(all)
}
