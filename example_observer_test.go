package helmexec_test

import (
	"context"
	"log"
	"time"

	"github.com/sut-bench/helmexec"
)

// slow reports operations that take longer than a minute.
type slow struct{}

func (slow) Begin(ctx context.Context, s helmexec.Span) context.Context { return ctx }

func (slow) End(ctx context.Context, s helmexec.Span) {
	if s.Process == nil && s.Duration > time.Minute {
		log.Printf("%s %s took %v: %v", s.Operation, s.Release, s.Duration, s.Err)
	}
}

func ExampleObserver() {
	_, err := helmexec.New(helmexec.Config{Observer: slow{}})
	if err != nil {
		log.Fatal(err)
	}
}
