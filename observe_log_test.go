package helmexec

import (
	"bytes"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
)

// A look that comes before the release is recorded, or is under way when the wait is over, is no fault.
func TestSuccessLogsNoWarning(t *testing.T) {
	var log bytes.Buffer
	h, fake := withFake(t, Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	looks := make(chan chan struct{}, 1)
	var nth atomic.Int32
	fake.Handle("status", func(helmtest.Call) helmtest.Reply {
		if nth.Add(1)%3 != 0 {
			return helmtest.Reply{Stderr: "Error: release: not found\n", Exit: 1}
		}
		looking := <-looks
		return helmtest.Reply{Then: func() { close(looking) }, Until: helmtest.Forever}
	})
	for range 5 {
		looking := make(chan struct{})
		looks <- looking
		inTurn(fake, "install", installed(fake, "deployed", helmtest.Reply{Until: looking}))
		_, err := h.Install(t.Context(), "web", chartFolder(t, "web", "1.2.3"), InstallOptions{
			Wait: true, Progress: func(Progress) {}, ProgressInterval: time.Millisecond,
		})
		require.NoError(t, err)
		_, err = h.Uninstall(t.Context(), "web", UninstallOptions{})
		require.NoError(t, err)
		nth.Store(0)
	}
	_, err := h.Upgrade(t.Context(), "web", chartFolder(t, "web", "1.2.3"), UpgradeOptions{Install: true})
	require.NoError(t, err)
	assert.Zero(t, strings.Count(log.String(), "level=WARN"), log.String())
	assert.Contains(t, log.String(), "not found", "the lines are there")
}
