// Package errdef defines the kinds of failure that a caller of helmexec can act on. The root package
// exports each of them and documents it there. They have their own package so that every internal
// package can return them; it imports only the standard library.
package errdef

import (
	"context"
	"errors"
	"fmt"
)

// The kinds of failure, for errors.Is.
var (
	ErrHelmNotFound       = errors.New("helm binary not found")
	ErrUnsupportedVersion = errors.New("unsupported helm version")
	ErrInvalidArgument    = errors.New("invalid argument")
	ErrReleaseExists      = errors.New("release already exists")
	ErrReleaseNotFound    = errors.New("release not found")
	ErrNamespaceNotFound  = errors.New("namespace not found")
	ErrReleaseBusy        = errors.New("another operation on the release is in progress")
	ErrChartNotFound      = errors.New("chart not found")
	ErrBadChart           = errors.New("not a valid chart")
	ErrRepoNotFound       = errors.New("chart repository not found")
	ErrUnauthorized       = errors.New("credentials missing or refused")
	ErrRenderFailed       = errors.New("the chart does not render")
	ErrRenderTooLarge     = fmt.Errorf("%w: it is too large", ErrRenderFailed)
	ErrRenderTimeout      = fmt.Errorf("%w: it takes too long", ErrRenderFailed)
	ErrClusterUnreachable = errors.New("kubernetes cluster unreachable")
	ErrForbidden          = errors.New("a right in the cluster is missing")
	ErrNotReady           = errors.New("release not ready")
	ErrTestFailed         = errors.New("release test failed")
	ErrNotRecorded        = errors.New("helm reported success, but the release is not recorded as deployed")
	ErrNotGone            = errors.New("objects of the release are not gone")
	ErrLeftBehind         = errors.New("left behind in the cluster")
	ErrPlanStale          = errors.New("the plan is stale")
	ErrBadPlan            = errors.New("not a valid plan")
	ErrLintFailed         = errors.New("chart does not pass lint")
	ErrDigestMismatch     = errors.New("chart digest mismatch")
	ErrUnverified         = errors.New("chart is not signed with a trusted key")
	ErrFetchTimeout       = errors.New("fetch timed out")
	ErrOutputTooLarge     = errors.New("output too large")
	ErrBadManifest        = errors.New("bad manifest")
)

// Invalidf is an ErrInvalidArgument that says what was wrong. The format takes %w.
func Invalidf(format string, a ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalidArgument}, a...)...)
}

// TooLarge is an ErrOutputTooLarge that says what is too large, its size and the limit, in a unit.
func TooLarge(what string, n, limit int64, unit string) error {
	return fmt.Errorf("%w: %s has %d %s or more, over the %d allowed", ErrOutputTooLarge, what, n, unit, limit)
}

// ContextError is the end of ctx as an error: context.Canceled or context.DeadlineExceeded, with the
// cause if the caller gave one.
func ContextError(ctx context.Context) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, context.Canceled) || errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	return fmt.Errorf("%w: %w", ctx.Err(), cause)
}
