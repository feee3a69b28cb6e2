package manifest

import "github.com/sut-bench/helmexec/internal/errdef"

// The kinds of failure that a caller can act on. Use errors.Is. Package helmexec has them under the same names.
var (
	// ErrBadManifest: a document of a manifest cannot be read.
	ErrBadManifest = errdef.ErrBadManifest
	// ErrOutputTooLarge: a manifest exceeds a limit on untrusted input.
	ErrOutputTooLarge = errdef.ErrOutputTooLarge
	// ErrInvalidArgument: an argument was refused before anything was read.
	ErrInvalidArgument = errdef.ErrInvalidArgument
)
