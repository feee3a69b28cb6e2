// Package callback calls functions that a user of this library gave.
package callback

import (
	"context"
	"errors"
	"fmt"
)

// ErrAbandoned says that a context ended while a function was running.
var ErrAbandoned = errors.New("the context ended before the function did")

// Run returns what a function returns. The chart of a stranger may drive it into a panic, which is an error then, or into
// more work than the context has time for: then it runs on, and its result is dropped. It runs on a goroutine of its own.
func Run[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type outcome struct {
		result T
		err    error
	}
	done := make(chan outcome, 1)
	go func() {
		o := outcome{err: errors.New("the function has ended its goroutine, as t.FailNow does")}
		defer func() {
			if p := recover(); p != nil { // nothing else recovers on this goroutine
				o = outcome{err: fmt.Errorf("panic: %v", p)}
			}
			done <- o
		}()
		o.result, o.err = f()
	}()
	select {
	case o := <-done:
		return o.result, o.err
	case <-ctx.Done():
		var none T
		return none, ErrAbandoned
	}
}
