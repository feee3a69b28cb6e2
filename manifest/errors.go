package manifest

import "github.com/sut-bench/helmexec/internal/errdef"

// The kinds of failure a caller can act on, reachable with errors.Is. Package helmexec has them by the same names.
var (
	// ErrBadManifest: a document of a manifest cannot be read.
	ErrBadManifest = errdef.ErrBadManifest
	// ErrOutputTooLarge: a manifest exceeds a bound set on untrusted input.
	ErrOutputTooLarge = errdef.ErrOutputTooLarge
	// ErrInvalidArgument: what the caller gave was refused before anything was read.
	ErrInvalidArgument = errdef.ErrInvalidArgument
)
