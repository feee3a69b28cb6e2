// Package chart reads untrusted Helm charts, from archives and folders, without helm: their metadata, values,
// values schema and custom resource definitions. A chart is read as a stream and nothing is unpacked to disk;
// paths that lead out of it are refused, and so is a chart that exceeds [Limits]. The package also combines
// values as Helm does. It starts no process and contacts no cluster.
//
// Use errors.Is for its errors: [ErrNotFound], [ErrBad] and [ErrTooLarge] for a chart, [ErrInvalid] for the
// caller's input. Their text is printable, whatever the chart contains.
package chart

import "github.com/sut-bench/helmexec/internal/errdef"

// The kinds of failure. They are those of package helmexec.
var (
	// ErrNotFound: there is nothing at the path, or no chart. It is helmexec.ErrChartNotFound.
	ErrNotFound = errdef.ErrChartNotFound
	// ErrBad: an archive or folder exists but is not a valid chart. It is helmexec.ErrBadChart.
	ErrBad = errdef.ErrBadChart
	// ErrTooLarge: a limit is exceeded. It is helmexec.ErrOutputTooLarge.
	ErrTooLarge = errdef.ErrOutputTooLarge
	// ErrInvalid: values of the caller that cannot be used. It is helmexec.ErrInvalidArgument.
	ErrInvalid = errdef.ErrInvalidArgument
)
