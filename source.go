package helmexec

import (
	"context"
	"errors"
	"fmt"

	"github.com/sut-bench/helmexec/internal/fetch"
	"github.com/sut-bench/helmexec/internal/helmtext"
)

// sources runs helm for what asks sources of charts.
type sources struct{ h *Helm }

// Fetch implements fetch.Helm.
func (s sources) Fetch(ctx context.Context, call fetch.Call) (out []byte, err error) {
	h := s.h
	inv := invocation{
		args: call.Args, env: call.Env, stdin: call.Stdin, secrets: call.Secrets, subject: call.Subject,
		via: call.Via, login: call.Login, reports: call.Reports,
	}
	if call.Dir == "" {
		return h.run(ctx, inv)
	}
	inv.limits = h.fetchingInto(call.Dir, call.MaxBytes)
	inv.atMost, inv.late = h.cfg.Limits.Time, fmt.Errorf("%w: over %v", ErrFetchTimeout, h.cfg.Limits.Time)
	err = h.retry(ctx, func() error {
		out, err = h.run(ctx, inv)
		return err
	})
	// What keeps a server from serving has many names; what keeps helm from writing is not its fault.
	if e := (*Error)(nil); errors.As(err, &e) && e.kind == nil && e.cause == nil && e.Signal == "" && !helmtext.LocalFault(e.Stderr) {
		e.kind = call.Kind
	}
	return out, err
}

// UpdateFlags implements fetch.Helm.
func (s sources) UpdateFlags(ctx context.Context) ([]string, error) {
	d, err := s.h.dialect(ctx)
	return d.UpdateFails, err
}
