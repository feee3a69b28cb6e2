package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/helmtest"
)

// What Prometheus reads after a probe that succeeded and one that failed.
func TestMetrics(t *testing.T) {
	fake := helmtest.New(t)
	helm, metrics, err := newWatched(helmexec.Config{Binary: fake.Binary, Home: t.TempDir(), Retry: helmexec.Retry{Tries: 1}})
	require.NoError(t, err)
	chart := filepath.Join(t.TempDir(), "web")
	require.NoError(t, os.MkdirAll(chart, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(chart, "Chart.yaml"), []byte("apiVersion: v2\nname: web\nversion: 1.2.3\n"), 0o600))
	server := httptest.NewServer(metrics)
	defer server.Close()

	require.NoError(t, probe(t.Context(), helm, chart))
	fake.On("install", helmtest.Reply{Stderr: "Error: INSTALLATION FAILED: values don't meet the specifications of the schema(s)\n", Exit: 1})
	require.Error(t, probe(t.Context(), helm, chart))
	_, left := fake.Release("default", "job-canary-sut-probe")
	assert.False(t, left)

	answer, err := http.Get(server.URL + "/metrics")
	require.NoError(t, err)
	defer answer.Body.Close()
	page, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, answer.StatusCode)
	for _, line := range []string{
		`(?m)^helmexec_operation_duration_seconds_count\{helmexec_operation_name="Install",.*\} 1$`,
		`(?m)^helmexec_operation_duration_seconds_count\{error_type="\w+",helmexec_operation_name="Install",.*\} 1$`,
		`(?m)^helmexec_operation_duration_seconds_bucket\{helmexec_operation_name="Install",.*le="1800"\} 1$`,
		`(?m)^helmexec_operation_duration_seconds_count\{helmexec_operation_name="UninstallJob",.*\} 4$`,
		`(?m)^helmexec_operation_active\{helmexec_operation_name="Install",.*\} 0$`,
		`(?m)^helmexec_process_duration_seconds_count\{helmexec_command="install",helmexec_operation_name="Install",.*\} 1$`,
		`(?m)^helmexec_queue_duration_seconds_count\{helmexec_command="install",.*\} 2$`,
	} {
		assert.Regexp(t, line, string(page))
	}
}
