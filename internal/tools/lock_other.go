//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package tools

import "context"

// lock does nothing where there is no flock: two builders of one tool do the
// work twice, and the rename of a whole folder keeps the result valid.
func lock(context.Context, string, func()) (unlock func(), err error) {
	return func() {}, nil
}
