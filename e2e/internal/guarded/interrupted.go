package guarded

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// UntilInterrupted returns a context that ends when this program is told to stop: by a signal, or
// by the end of the program that started it. The go command passes no SIGTERM on to the tests it
// runs, and leaves them behind.
func UntilInterrupted() (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancelCause(ctx)
	parent := os.Getppid()
	go func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if os.Getppid() != parent {
					cancel(errors.New("the program that started this one has ended"))
				}
			}
		}
	}()
	return ctx, func() { cancel(nil); stop() }
}
