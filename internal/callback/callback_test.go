package callback

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRun(t *testing.T) {
	n, err := Run(t.Context(), func() (int, error) { return 7, nil })
	require.NoError(t, err)
	assert.Equal(t, 7, n)

	cause := errors.New("no")
	_, err = Run(t.Context(), func() (int, error) { return 7, cause })
	require.ErrorIs(t, err, cause)

	n, err = Run(t.Context(), func() (int, error) { panic("no") })
	require.EqualError(t, err, "panic: no")
	assert.Zero(t, n)

	ctx, end := context.WithCancel(t.Context())
	goOn := make(chan struct{})
	defer close(goOn)
	_, err = Run(ctx, func() (int, error) { end(); <-goOn; return 7, nil })
	require.ErrorIs(t, err, ErrAbandoned)
}

// A function that ends its goroutine has given nothing.
func TestGoexit(t *testing.T) {
	_, err := Run(t.Context(), func() (int, error) { runtime.Goexit(); return 1, nil })
	require.ErrorContains(t, err, "has ended its goroutine")
}
