package helmtest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/helmtest"
)

// A lost answer is a success that says so.
func TestRecovered(t *testing.T) {
	for _, version := range versions {
		s := newStage(t, version, 0)
		s.fake.LoseAnswer()
		rel, err := s.helm.Install(t.Context(), "sut", s.chart, helmexec.InstallOptions{})
		require.NoError(t, err)
		assert.True(t, rel.Recovered)
		assert.Equal(t, []string{"install sut"}, s.fake.Steps())
	}
}

func TestSteps(t *testing.T) {
	s := newStage(t, "v4.3.1", 0)
	p, err := s.helm.Plan(t.Context(), "sut", s.chart, helmexec.PlanOptions{})
	require.NoError(t, err)
	_, err = s.helm.Apply(t.Context(), p, helmexec.ApplyOptions{})
	require.NoError(t, err)
	p, err = s.helm.Plan(t.Context(), "sut", s.chart, helmexec.PlanOptions{Upgrade: true})
	require.NoError(t, err)
	_, err = s.helm.Apply(t.Context(), p, helmexec.ApplyOptions{})
	require.NoError(t, err)
	_, err = s.helm.Install(t.Context(), "other", s.chart, helmexec.InstallOptions{DryRun: true})
	require.NoError(t, err)
	s.fake.Unreachable(1)
	require.NoError(t, s.uninstall())
	assert.Equal(t, []string{"plan sut", "apply sut", "plan sut", "apply sut", "dry-run other", "uninstall sut"}, s.fake.Steps())
}

// broken is a test that notes its failures.
type broken struct {
	inExample
	failures []string
}

func (b *broken) Errorf(format string, args ...any) {
	b.failures = append(b.failures, fmt.Sprintf(format, args...))
}

// A test in which a play waits in vain proves nothing.
func TestPlayThatNobodySees(t *testing.T) {
	for _, test := range []struct {
		play func(*stage)
		want []string
	}{
		{func(s *stage) { s.fake.NotReady(); _ = s.install() }, nil},
		{func(s *stage) { s.fake.Unreachable(9); _ = s.install() }, nil},
		{func(s *stage) { s.fake.NotReady(); _ = s.uninstall() }, []string{"helmtest: NotReady was not played: no call came that it answers"}},
		{func(s *stage) { s.fake.SetPatience(time.Millisecond); s.fake.Hangs(); _ = s.install() }, []string{"helmtest: Hangs has waited for 1ms, and nothing ended it: no rule of FailFast that fits, no context that ends; Recovers ends only for calls that look, by Progress or FailFast"}},
		{func(s *stage) { s.fake.HookHangs("pre-install"); _ = s.install() }, []string{"helmtest: the chart of release sut has no pre-install hook that could fail"}},
		{func(s *stage) { s.fake.HookFails("pre-install"); _ = s.install() }, []string{"helmtest: the chart of release sut has no pre-install hook that could fail"}},
	} {
		s, b := newStage(t, "v4.3.1", 1), &broken{}
		s.fake = helmtest.New(b)
		var err error
		s.helm, err = helmexec.New(helmexec.Config{Binary: s.fake.Binary, Home: t.TempDir(), Retry: helmexec.Retry{Tries: 1}})
		require.NoError(t, err)
		test.play(s)
		b.end()
		assert.Equal(t, test.want, b.failures)
	}
}
