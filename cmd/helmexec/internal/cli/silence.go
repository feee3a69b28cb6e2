package cli

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sut-bench/helmexec"
)

// silence is what a command does while it says nothing. It sees all work as an Observer.
type silence struct {
	mu    sync.Mutex
	next  int
	spans map[int]helmexec.Span
}

type spanKey struct{}

func (s *silence) Begin(ctx context.Context, span helmexec.Span) context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	s.spans[s.next] = span
	return context.WithValue(ctx, spanKey{}, s.next)
}

func (s *silence) End(ctx context.Context, _ helmexec.Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.spans, ctx.Value(spanKey{}).(int))
}

// work names what has been under way for longest: of helm, and if none runs, of the calls for one release. "" is nothing.
func (s *silence) work() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, begun, helm := "", time.Time{}, false
	for _, span := range s.spans {
		isHelm := span.Process != nil
		if !isHelm && span.Release == "" || helm && !isHelm || isHelm == helm && !begun.IsZero() && span.Begun.After(begun) {
			continue
		}
		begun, helm = span.Begun, isHelm
		text = "waiting for another process that works on " + span.Release + ", or to try again"
		if isHelm {
			text = "helm " + span.Process.Command
			if span.Release != "" {
				text += " of " + span.Release
			}
		}
	}
	if text == "" {
		return ""
	}
	return fmt.Sprintf("%s, %v so far", text, time.Since(begun).Round(time.Second))
}

// breakSilence says what the command does when nobody has said anything for some time, and then more rarely, until stop is called.
func (a *app) breakSilence(patience time.Duration) (stop func()) {
	if patience == 0 {
		return func() {}
	}
	s := &silence{spans: map[int]helmexec.Span{}}
	a.cfg.Observer = s
	done := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		for limit := patience; ; {
			select {
			case <-time.After(max(limit-a.out.Quiet(), limit/10)):
			case <-done:
				return
			}
			if a.out.Quiet() < limit {
				continue
			}
			limit = patience
			if work := s.work(); work != "" {
				a.say("at work: %s", work)
				limit = 6 * patience
			}
		}
	})
	return func() { close(done); ended.Wait() }
}
