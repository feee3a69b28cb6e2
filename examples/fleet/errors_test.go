package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec"
)

// What docs/errors.md says of a retry is what a job does.
func TestRetries(t *testing.T) {
	text, err := os.ReadFile("../../docs/errors.md")
	require.NoError(t, err)
	rows := regexp.MustCompile(`(?m)^\| \[`+"`Err(\\w+)`"+`\]\(.*?\) \| .* \| (.*) \|$`).FindAllStringSubmatch(string(text), -1)
	require.Greater(t, len(rows), 25)
	for _, row := range rows {
		kind, retry := row[1], row[2]
		switch {
		case kind == "TestFailed": // no job runs the tests of a release
		case strings.HasPrefix(retry, "no"), strings.HasPrefix(retry, "if `IsTransient`"):
			assert.False(t, passing[kind], kind)
		default:
			assert.True(t, passing[kind], kind)
		}
	}
}

func TestKinds(t *testing.T) {
	for _, test := range []struct {
		err       error
		kind      string
		retryable bool
	}{
		{helmexec.ErrInvalidArgument, "InvalidArgument", false},
		{helmexec.ErrForbidden, "Forbidden", false},
		{helmexec.ErrUnverified, "Unverified", false},
		{helmexec.ErrNotReady, "NotReady", false},
		{&helmexec.ReleaseError{Kind: helmexec.ErrNotReady, Err: context.DeadlineExceeded}, "NotReady", false},
		{helmexec.ErrLeftBehind, "LeftBehind", true},
		{errors.Join(helmexec.ErrLeftBehind, helmexec.ErrNotReady), "NotReady", false},
		{helmexec.ErrClusterUnreachable, "ClusterUnreachable", false},
		{&helmexec.ReleaseError{Kind: helmexec.ErrReleaseBusy, Err: context.DeadlineExceeded}, "ReleaseBusy", true},
		{helmexec.ErrFetchTimeout, "FetchTimeout", true},
		{fmt.Errorf("wrapped: %w", context.DeadlineExceeded), "DeadlineExceeded", true},
		{errors.New("the disk is full"), "Other", true},
		{&helmexec.Error{ExitCode: 1}, "HelmFailed", false},
		{&helmexec.Error{ExitCode: -1, Signal: "killed"}, "Signal", true},
	} {
		err := answer(test.err)
		assert.Equal(t, test.kind, kindOf(err), "%v", test.err)
		assert.Equal(t, test.retryable, isRetryable(err), "%v", test.err)
		assert.True(t, isRetryable(later(test.err)), "the compensation never gives up")
	}
	assert.NoError(t, answer(nil))
	assert.NoError(t, later(nil))
	assert.Less(t, len(answer(errors.New(strings.Repeat("x", 1<<20))).Error()), 3000)
}
