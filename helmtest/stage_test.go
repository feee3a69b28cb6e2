package helmtest_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/helmtest"
)

const deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: {{ .Release.Name }}-server}\n"

// stage is a fake with a Helm that drives it, and a chart of one Deployment.
type stage struct {
	t     *testing.T
	fake  *helmtest.Fake
	helm  *helmexec.Helm
	chart string
}

var versions = []string{"v3.22.0", "v4.3.1"}

func newStage(t *testing.T, version string, tries int) *stage {
	t.Helper()
	fake := helmtest.New(t)
	fake.SetVersion(version)
	h, err := helmexec.New(helmexec.Config{
		Binary: fake.Binary, Home: t.TempDir(), Namespace: "bench", GracePeriod: time.Minute,
		Retry: helmexec.Retry{Tries: tries, BackOff: func() backoff.BackOff { return &backoff.ZeroBackOff{} }},
	})
	require.NoError(t, err)
	chart := filepath.Join(t.TempDir(), "web")
	require.NoError(t, os.MkdirAll(filepath.Join(chart, "templates"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(chart, "Chart.yaml"), []byte("apiVersion: v2\nname: web\nversion: 1.2.3\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(chart, "templates", "all.yaml"), []byte(deployment), 0o600))
	return &stage{t, fake, h, chart}
}

func (s *stage) install() error {
	_, err := s.helm.Install(s.t.Context(), "sut", s.chart, helmexec.InstallOptions{Wait: true, Timeout: time.Minute, OperationID: "42-1", JobID: "42"})
	return err
}

func (s *stage) installed() *stage {
	s.t.Helper()
	require.NoError(s.t, s.install())
	return s
}

// hook gives the chart a hook.
func (s *stage) hook(event string) *stage {
	s.t.Helper()
	text := "apiVersion: batch/v1\nkind: Job\nmetadata: {name: job, annotations: {helm.sh/hook: " + event + "}}\n"
	require.NoError(s.t, os.WriteFile(filepath.Join(s.chart, "templates", "hook.yaml"), []byte(text), 0o600))
	return s
}

func (s *stage) upgrade() error {
	_, err := s.helm.Upgrade(s.t.Context(), "sut", s.chart, helmexec.UpgradeOptions{Wait: true})
	return err
}

func (s *stage) uninstall() error {
	_, err := s.helm.Uninstall(s.t.Context(), "sut", helmexec.UninstallOptions{Wait: true})
	return err
}

// test runs the tests of the release.
func (s *stage) test() error {
	_, err := s.helm.Test(s.t.Context(), "sut", helmexec.TestOptions{})
	return err
}

func (s *stage) fetch(address string) error {
	_, err := s.helm.Fetch(s.t.Context(), address, helmexec.ChartOptions{})
	return err
}

func (s *stage) fetchSigned(address string) error {
	_, err := s.helm.Fetch(s.t.Context(), address, helmexec.ChartOptions{Source: helmexec.SourceOptions{Keyring: s.fake.Keyring()}})
	return err
}
