package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReadJobs(t *testing.T) {
	read := func(text string) ([]Job, error) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "jobs.yaml")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return readJobs(file)
	}
	jobs, err := read(`
defaults: {job: "42", namespace: bench, deadline: 30m, times: {heartbeat: 5s}}
jobs:
- {sut: web, chart: "https://charts.example/webapp:0.3.1"}
- {sut: gpu, chart: "oci://charts.example/gpu", cluster: lab-b, attempt: 2, deadline: 1h, values: {replicas: 2}}
`)
	require.NoError(t, err)
	heartbeat := Times{Heartbeat: Duration{5 * time.Second}}
	assert.Equal(t, []Job{
		{ID: "42", SUT: "web", Attempt: 1, Chart: "https://charts.example/webapp:0.3.1", Namespace: "bench", Deadline: Duration{30 * time.Minute}, Times: heartbeat},
		{ID: "42", SUT: "gpu", Attempt: 2, Chart: "oci://charts.example/gpu", Cluster: "lab-b", Namespace: "bench", Deadline: Duration{time.Hour}, Times: heartbeat,
			Values: map[string]any{"replicas": float64(2)}},
	}, jobs)

	for text, why := range map[string]string{
		"jobs: [{sut: web, chart: x}]":                                             "are needed",
		"jobs: [{job: 1, sut: web, chart: x, colour: red}]":                        "colour",
		"jobs: [{job: a, sut: web, chart: x, attempt: -1}]":                        "attempt",
		"jobs: [{job: a, sut: web, chart: x, deadline: soon}]":                     "soon",
		"jobs: [{job: a, sut: web, chart: x, deadline: -1s}]":                      "negative",
		"jobs: [{job: a, sut: my_web, chart: x}, {job: a, sut: my-web, chart: y}]": "both be release",
	} {
		_, err := read(text)
		require.Error(t, err, text)
		assert.Contains(t, err.Error(), why)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range []string{"", "fly", "submit", "submit a b", "status a b", "cancel", "worker", "worker x", "-colour red"} {
		var wrong usageError
		assert.ErrorAs(t, run(t.Context(), strings.Fields(args), os.Stdout), &wrong, args)
	}
}
