// Package chart reads Helm charts that nobody trusts, from archives and folders, without helm: what a chart
// says of itself, its values, their schema, and the custom resource definitions it brings. A chart is read as
// a stream and nothing of it is unpacked to disk; what leads out of it is refused, and so is what is larger
// than [Limits]. The package also combines values as Helm does. It starts no process and asks no cluster.
//
// Its errors are found by errors.Is: [ErrNotFound], [ErrBad] and [ErrTooLarge] for a chart, [ErrInvalid] for what
// a caller gives. Their text is printable whatever the chart has in it.
package chart

import "github.com/sut-bench/helmexec/internal/errdef"

// The kinds of failure. They are those of package helmexec.
var (
	// ErrNotFound: there is nothing at the path, or no chart. It is helmexec.ErrChartNotFound.
	ErrNotFound = errdef.ErrChartNotFound
	// ErrBad: an archive or folder is there, and cannot be read and trusted as a chart. It is helmexec.ErrBadChart.
	ErrBad = errdef.ErrBadChart
	// ErrTooLarge: a limit is exceeded. It is helmexec.ErrOutputTooLarge.
	ErrTooLarge = errdef.ErrOutputTooLarge
	// ErrInvalid: values of the caller that cannot be used. It is helmexec.ErrInvalidArgument.
	ErrInvalid = errdef.ErrInvalidArgument
)
