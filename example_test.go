package helmexec_test

import (
	"context"
	"errors"
	"log"
	"os"
	"os/signal"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/policy"
)

// One SUT through one job: what it is, what it needs, install, measure, remove.
func Example() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	helm, err := helmexec.New(helmexec.Config{Namespace: "bench"})
	if err != nil {
		log.Fatal(err)
	}

	release := helmexec.SUTHelmName("42", "My_web_app") // job-42-sut-my-web-app
	plan, err := helm.Plan(ctx, release, "https://charts.example/suts/webapp:0.3.1", helmexec.PlanOptions{
		Values: helmexec.Values{"replicas": 3},
	})
	if err != nil {
		log.Fatal(err)
	}
	findings := plan.Check(policy.Tenant(policy.TenantOptions{Registries: []string{"registry.example"}}))
	if len(findings) > 0 {
		log.Fatalf("refused: %q", findings) // of any object or hook: rule, object, path and what is wrong
	}

	_, err = helm.Apply(ctx, plan, helmexec.ApplyOptions{ // exactly what was checked
		Wait:        true,
		Timeout:     10 * time.Minute,
		OperationID: "42/1", // the same one when this program starts again
		JobID:       "42",
	})
	var failed *helmexec.ReleaseError
	switch {
	case errors.Is(err, helmexec.ErrNotReady) && errors.As(err, &failed):
		log.Fatal("not ready: ", failed.Blockers) // already removed, except failed.Remains
	case err != nil:
		log.Fatal(err)
	}

	// … measure …

	removed, err := helm.UninstallJob(context.WithoutCancel(ctx), "42", helmexec.JobOptions{Wait: true})
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range removed {
		log.Printf("%s is removed; left by Helm: %v", r.Release.Name, r.Remains)
	}
}

// The example of the README is the one above, which compiles.
func TestReadmeExample(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	source, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	_, code, _ := strings.Cut(string(readme), "```go\n")
	code, _, found := strings.Cut(code, "```")
	require.True(t, found)
	assert.Contains(t, strings.ReplaceAll(string(source), "\n\t", "\n"), code)
}
