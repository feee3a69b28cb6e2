package helmtest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/helmtest"
)

// wait installs the chart and waits with these rules.
func (s *stage) wait(rules []helmexec.FailFastRule, forJobs bool) error {
	_, err := s.helm.Install(s.t.Context(), "sut", s.chart, helmexec.InstallOptions{
		Wait: true, WaitForJobs: forJobs, Timeout: time.Hour, FailFast: rules, ProgressInterval: time.Millisecond,
	})
	return err
}

// Each rule of FailFast has a case in which it ends the wait, and one that it leaves alone.
func TestRulesOfFailFast(t *testing.T) {
	cases := map[string]struct {
		hopeless, slow []helmtest.Blocker
		says           string
	}{
		"image": {
			[]helmtest.Blocker{{Reason: "ImagePullBackOff"}, {Reason: "ErrImagePull", FailedPulls: 2}},
			[]helmtest.Blocker{{Reason: "ErrImagePull"}, {Reason: "ImagePullBackOff", FailedPulls: 1}},
			`(Failed: Failed to pull image "registry.example/main:1": not found)`,
		},
		"image-name":    {[]helmtest.Blocker{{Reason: "InvalidImageName"}, {Reason: "ErrImageNeverPull"}}, []helmtest.Blocker{{}}, "image"},
		"configuration": {[]helmtest.Blocker{{Reason: "CreateContainerConfigError"}, {Reason: "CreateContainerError"}}, []helmtest.Blocker{{Reason: "CreateContainerConfigError"}}, "container main"},
		"crash-loop":    {[]helmtest.Blocker{{Reason: "CrashLoopBackOff"}}, []helmtest.Blocker{{Reason: "CrashLoopBackOff", Restarts: 4}}, "back-off 2m40s restarting failed container"},
		"job": {
			[]helmtest.Blocker{{Reason: "BackoffLimitExceeded"}, {Reason: "DeadlineExceeded"}, {Reason: "PodFailurePolicy"}, {Reason: "MaxFailedIndexesExceeded"}},
			[]helmtest.Blocker{{Reason: "BackoffLimitExceeded"}}, "Job sut-0: ",
		},
		"refused": {
			[]helmtest.Blocker{{Reason: "FailedCreate"}, {Object: helmexec.ObjectRef{Kind: "StatefulSet", Name: "sut-0"}, Reason: "FailedCreate"}},
			[]helmtest.Blocker{{Reason: "FailedCreate"}, {Object: helmexec.ObjectRef{Kind: "DaemonSet"}, Reason: "FailedCreate"}}, "sut-0: FailedCreate: pods \"main\" is forbidden: exceeded quota",
		},
		"unschedulable": {[]helmtest.Blocker{{Reason: "Unschedulable"}}, []helmtest.Blocker{{Reason: "Unschedulable"}}, "Pod sut-0: Unschedulable: 0/2 nodes are available"},
	}
	rules := helmexec.FailFastRules()
	require.Len(t, cases, len(rules))
	for i, rule := range rules {
		t.Run(rule.Name, func(t *testing.T) {
			s := newStage(t, versions[i%len(versions)], 0) // whose words matter to TestPlays
			hasty := helmexec.FailFastRules()
			hasty[i].After = min(hasty[i].After, time.Millisecond)
			for _, b := range cases[rule.Name].hopeless {
				s.fake.Hangs(b)
				err := s.wait(hasty, true)
				var failed *helmexec.ReleaseError
				require.ErrorAs(t, err, &failed)
				require.ErrorIs(t, err, helmexec.ErrNotReady)
				assert.Equal(t, rule.Name, failed.FailFastRule)
				assert.ErrorContains(t, err, cases[rule.Name].says)
				_, left := s.fake.Release("bench", "sut")
				assert.False(t, left)
			}
			for _, b := range cases[rule.Name].slow {
				s.fake.Recovers(2, b)
				require.NoError(t, s.wait(rules, rule.Name != "job"), b.Reason)
				now, err := s.helm.Readiness(t.Context(), "sut", helmexec.ReadinessOptions{})
				require.NoError(t, err)
				assert.Equal(t, helmexec.StatusDeployed, now.Release.Status)
				assert.Empty(t, now.Blockers)
				assert.Equal(t, 1, now.Ready)
				require.NoError(t, s.uninstall())
			}
		})
	}
}

// A slow start that takes too many tries is hopeless, too.
func TestRecoversInVain(t *testing.T) {
	s := newStage(t, "v4.3.1", 0)
	s.fake.Recovers(2, helmtest.Blocker{Reason: "ImagePullBackOff"})
	var failed *helmexec.ReleaseError
	require.ErrorAs(t, s.wait(helmexec.FailFastRules(), false), &failed)
	assert.Equal(t, "image", failed.FailFastRule)
}

// Progress sees what is in the way as often as the play says, and then the pods.
func TestRecoversIsSeen(t *testing.T) {
	s := newStage(t, "v4.3.1", 0)
	s.fake.Recovers(3, helmtest.Blocker{Reason: "CreateContainerConfigError"}, helmtest.Blocker{})
	blocked := 0
	_, err := s.helm.Install(t.Context(), "sut", s.chart, helmexec.InstallOptions{Wait: true, ProgressInterval: time.Millisecond, Progress: func(p helmexec.Progress) {
		if p.Blocker != nil {
			assert.Equal(t, "CreateContainerConfigError", p.Blocker.Reason)
			assert.Equal(t, 2, p.Total)
			blocked++
		}
	}})
	require.NoError(t, err)
	assert.Equal(t, 3, blocked)
}
