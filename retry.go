package helmexec

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// Retry says how a call is repeated after a failure that may pass. The zero value is three tries,
// one second apart.
type Retry struct {
	// Tries is how often a call is made in all; 1 means no retry.
	Tries int
	// BackOff makes the pauses between the tries of one call. Its MaxElapsedTime, if it has one,
	// ends the tries too.
	BackOff func() backoff.BackOff
	// Retryable decides which failures are worth another try. Default is IsTransient.
	Retryable func(error) bool
}

func (r Retry) withDefaults() Retry {
	if r.Tries == 0 {
		r.Tries = 3
	}
	if r.BackOff == nil {
		r.BackOff = func() backoff.BackOff { return backoff.NewConstantBackOff(time.Second) }
	}
	if r.Retryable == nil {
		r.Retryable = IsTransient
	}
	return r
}

// IsTransient reports whether the call that gave err may succeed if it is repeated: helm met a
// network or server fault that may pass, or was ended by a signal that this package did not send.
// The end of the caller's own context is not transient.
func IsTransient(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.transient && e.cause == nil
}

// retry calls op until it succeeds, fails for good, the tries are used up or ctx ends. If the
// context ends between two tries, its error is joined with the last real error.
func (h *Helm) retry(ctx context.Context, op func() error) error {
	var last error
	pauses := backoff.WithContext(backoff.WithMaxRetries(h.cfg.Retry.BackOff(), uint64(h.cfg.Retry.Tries-1)), ctx)
	err := backoff.Retry(func() error {
		last = op()
		if last != nil && !h.cfg.Retry.Retryable(last) {
			return backoff.Permanent(last)
		}
		return last
	}, pauses)
	if err != nil {
		return lastError(ctx, last)
	}
	return nil
}

// lastError joins the end of ctx, if that ended the tries, with the last real error.
func lastError(ctx context.Context, last error) error {
	if ctx.Err() == nil || errors.Is(last, context.Canceled) || errors.Is(last, context.DeadlineExceeded) {
		return last
	}
	return fmt.Errorf("%w; the last try failed: %w", contextError(ctx), last)
}

// tries counts the tries of one call.
type tries struct {
	left  int
	pause backoff.BackOff
}

func (h *Helm) tries() *tries {
	return &tries{left: h.cfg.Retry.Tries, pause: h.cfg.Retry.BackOff()}
}

// another pauses and reports whether there is another try.
func (t *tries) another(ctx context.Context) bool {
	t.left--
	d := t.pause.NextBackOff()
	return t.left > 0 && d != backoff.Stop && sleep(ctx, d)
}

// sleep reports whether d passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
