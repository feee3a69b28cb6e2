package errdef

import (
	"errors"
	"io/fs"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestInvalidf(t *testing.T) {
	err := Invalidf("chart %q: %w", "web", fs.ErrNotExist)
	require.ErrorIs(t, err, ErrInvalidArgument)
	require.ErrorIs(t, err, fs.ErrNotExist)
	assert.EqualError(t, err, `invalid argument: chart "web": file does not exist`)
}

// A source that answers but refuses the credentials exists.
func TestKindsWithinKinds(t *testing.T) {
	assert.True(t, errors.Is(ErrRenderTooLarge, ErrRenderFailed))
	assert.True(t, errors.Is(ErrRenderTimeout, ErrRenderFailed))
	assert.False(t, errors.Is(ErrUnauthorized, ErrRepoNotFound))
}
